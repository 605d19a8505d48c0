# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which member is taken for the primary, and when it is believed."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import problems
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Answer, Kind
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._primary import (
    NEVER_FORMED,
    claimant,
    doubt,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._root import RootPassword
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import Wish

from .users_in_memory import CONFIG, HOSTS, TARGET, Api, Server, Task, Watcher


def told(ordinal: int, primary: int, term: int = 0) -> Hello:
    state = "PRIMARY" if ordinal == primary else "SECONDARY"
    return Hello("shop", 3, HOSTS[ordinal], state, term=term, primary=HOSTS[primary])


def test_of_two_the_newer_one_counts() -> None:
    assert claimant({0: told(0, 0, term=1), 1: told(1, 1, term=2), 2: told(2, 1)}) == 1
    assert claimant({1: told(1, 0), 2: told(2, 0)}) is None
    assert claimant({}) is None


def test_a_majority_of_the_voters_has_to_agree() -> None:
    assert not doubt(0, {0: told(0, 0), 1: told(1, 0)}, CONFIG)
    assert "1 of 3" in doubt(0, {0: told(0, 0), 1: told(1, 1), 2: told(2, 1)}, CONFIG)
    assert "1 of 3" in doubt(0, {0: told(0, 0)}, CONFIG)


def test_who_has_no_vote_does_not_count() -> None:
    votes = [dataclasses.replace(member, votes=int(member.id == 0)) for member in CONFIG.members]
    assert not doubt(0, {0: told(0, 0)}, dataclasses.replace(CONFIG, members=tuple(votes)))
    votes = [dataclasses.replace(member, votes=int(member.id != 1)) for member in CONFIG.members]
    config = dataclasses.replace(CONFIG, members=tuple(votes))
    assert "1 of 2" in doubt(0, {0: told(0, 0), 1: told(1, 0)}, config)


def waits(watcher: Watcher, rotation: str = "") -> str:
    result = carry_out(RootPassword(t.cast("t.Any", watcher), Wish(rotation), 0, Task().conceal), Task(check_mode=True))
    return "; ".join(step["step"] for step in result["plan"])


def test_what_is_waited_for_is_named() -> None:
    watcher = Watcher(Server(), Api())
    assert waits(watcher) == ""
    watcher.silent = {0}
    assert waits(watcher) == (
        "wait until a member is primary: shop-1 SECONDARY; shop-2 SECONDARY; shop-0 gives no answer (silent)"
    )
    assert NEVER_FORMED in waits(Watcher(Server(), Api(), formed=False), "1")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(Kind.NO_USER, state="PRIMARY"), "the set has its root user"),
        (Answer(Kind.MEMBER, state="SECONDARY"), "a member is primary: shop-0 SECONDARY"),
        (Answer(Kind.UNREACHABLE, "its pod is gone"), "a member is primary: shop-0 its pod is gone"),
    ],
)
def test_its_own_answer_decides(answer: Answer, words: str) -> None:
    watcher = Watcher(Server(), Api())
    watcher.ask = lambda _ordinal: answer  # type: ignore[method-assign]
    assert words in waits(watcher)


def test_another_set_is_refused() -> None:
    watcher = Watcher(Server(), Api())
    watcher.ask = lambda _ordinal: Answer(Kind.MEMBER, state="PRIMARY", set_name="old", config=CONFIG)  # type: ignore[method-assign]
    with pytest.raises(Failure, match="in a replica set named old, and replica_set is shop"):
        waits(watcher)


def test_a_missing_secret_is_not_waited_for() -> None:
    watcher = Watcher(Server(), Api())
    del watcher.cluster.secrets["shop-root"]
    operation = RootPassword(t.cast("t.Any", watcher), Wish("1"), 1000, Task().conceal)
    with pytest.raises(Failure, match="There is no Secret shop-root in namespace ns"):
        carry_out(operation, Task())


def test_a_change_that_is_not_complete_is_a_problem() -> None:
    seen = Watcher(Server(), Api()).objects()
    words = "a change of the root user's password has begun and is not complete"
    assert not [one for one in problems(TARGET, seen, 0) if words in one]
    pending = dataclasses.replace(seen, password_pending=True)
    assert [one for one in problems(TARGET, pending, 0) if words in one]
