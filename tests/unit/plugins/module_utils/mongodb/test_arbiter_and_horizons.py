# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Members that hold no data, and what clients elsewhere call the members."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, MemberOptions
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import problems
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Config,
    Kind,
    MemberStatus,
    Snapshot,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb.test_plan import (
    EMPTY,
    TARGET,
    config,
    formed,
    host,
    member,
    of_revisions,
    seen,
)

ARBITER = MemberOptions(priority=0.0, arbiter_only=True)
WITH_ARBITER = Desired(3, {2: ARBITER})


def planned(desired: Desired, snapshot: Snapshot) -> list[Step]:
    found = plan(TARGET, desired, snapshot)
    assert isinstance(found, Plan), found
    return [step for step in found.steps if step.change]


def with_arbiter(**changes: t.Any) -> Config:
    its = config(3, **changes)
    last = dataclasses.replace(its.members[2], priority=0.0, arbiter_only=True)
    return dataclasses.replace(its, members=(*its.members[:2], last))


def formed_with_arbiter() -> Snapshot:
    """An arbiter has no users, so nobody logs in there, and it tells no configuration."""
    its = with_arbiter()
    statuses = (
        MemberStatus(host(0), "PRIMARY", True, 100.0),
        MemberStatus(host(1), "SECONDARY", True, 100.0),
        MemberStatus(host(2), "ARBITER", True),
    )

    def says(state: str, kind: Kind, told: t.Optional[Config]) -> Answer:
        return Answer(kind, "", state, "shop", told, statuses, 3, 1)

    return seen(
        {
            0: says("PRIMARY", Kind.MEMBER, its),
            1: says("SECONDARY", Kind.MEMBER, its),
            2: says("ARBITER", Kind.NO_USER, None),
        }
    )


def test_an_arbiter_is_added_as_one() -> None:
    its = config(2)
    (step,) = planned(
        WITH_ARBITER, seen({0: member("PRIMARY", its), 1: member("SECONDARY", its), 2: EMPTY}, replicas=3)
    )
    assert (step.action, step.data["options"].arbiter_only) == ("add", True)
    assert "as an arbiter (the default write concern becomes majority, unless one is set)" in step.sentence


def test_an_arbiter_that_was_one_before_comes_back() -> None:
    its = config(2)
    left = Answer(Kind.REMOVED, "we are not a member of it")
    snapshot = seen({0: member("PRIMARY", its), 1: member("SECONDARY", its), 2: left}, replicas=3)
    assert [step.action for step in planned(WITH_ARBITER, snapshot)] == ["add"]
    # Of one that is to hold data it is not known what it has.
    found = plan(TARGET, Desired(3), snapshot)
    assert isinstance(found, Plan)
    assert not found.steps[0].change


def test_a_set_with_its_arbiter_is_as_declared_and_well() -> None:
    found = formed_with_arbiter()
    assert planned(WITH_ARBITER, found) == []
    assert problems(TARGET, found, now=0.0) == []


@pytest.mark.parametrize(("desired", "snapshot"), [(Desired(3), formed_with_arbiter()), (WITH_ARBITER, formed(3))])
def test_nobody_becomes_an_arbiter_or_ceases_to_be_one(desired: Desired, snapshot: Snapshot) -> None:
    found = plan(TARGET, desired, snapshot)
    assert isinstance(found, Refusal)
    assert "can never become the one from the other" in found.reason


def test_an_arbiter_never_takes_over_and_is_replaced_like_the_others() -> None:
    found = planned(WITH_ARBITER, of_revisions(formed_with_arbiter(), "old", "old", "old"))
    assert [(step.action, step.target, step.data.get("to")) for step in found] == [
        ("replace", "shop-2", None),
        ("replace", "shop-1", None),
        ("step_down", "shop-0", 1),
        ("replace", "shop-0", None),
    ]


def test_what_an_arbiter_says_is_enough_to_recall_it() -> None:
    assert Hello.of({"setName": "shop", "arbiterOnly": True}).state == "ARBITER"


def named(suffix: str) -> dict[int, tuple[tuple[str, str], ...]]:
    return {ordinal: (("out", f"{ordinal}.{suffix}:27017"),) for ordinal in range(3)}


def having(horizons: t.Mapping[int, tuple[tuple[str, str], ...]], members: int = 3) -> Snapshot:
    its = config(members)
    its = dataclasses.replace(
        its,
        members=tuple(dataclasses.replace(each, horizons=horizons.get(each.id, ())) for each in its.members),
    )
    answers = {o: member("SECONDARY" if o else "PRIMARY", its) if o < members else EMPTY for o in range(3)}
    return seen(answers)


@pytest.mark.parametrize(
    ("before", "after"), [({}, named("a")), (named("a"), named("b")), (named("a"), {0: (), 1: (), 2: ()})]
)
def test_horizons_change_all_at_once(before: t.Any, after: t.Any) -> None:
    (step,) = planned(Desired(3, horizons=after), having(before))
    assert step.action == "horizons"
    assert step.data["horizons"] == {host(ordinal): dict(after.get(ordinal, ())) for ordinal in range(3)}
    assert planned(Desired(3, horizons=after), having(after)) == []


def test_horizons_that_nobody_declares_are_left_alone() -> None:
    assert planned(Desired(3), having(named("a"))) == []


def test_who_joins_members_with_horizons_has_them_from_the_start() -> None:
    (step,) = planned(Desired(3, horizons=named("a")), having(named("a"), members=2))
    assert (step.action, step.data["horizons"]) == ("add", {"out": "2.a:27017"})


def test_who_joins_members_without_horizons_gets_them_with_the_others() -> None:
    add, horizons = planned(Desired(3, horizons=named("a")), having({}, members=2))
    assert (add.action, add.data["horizons"]) == ("add", {})
    assert horizons.data["horizons"][host(2)] == {"out": "2.a:27017"}
