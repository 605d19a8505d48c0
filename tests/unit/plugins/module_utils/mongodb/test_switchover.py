# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another primary: what the planner says of one snapshot, and who is believed to be fit."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import MemberConfig, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._switchover_plan import Wish, plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb.test_plan import (
    TARGET,
    behind,
    config,
    formed,
    host,
    lost,
    member,
    seen,
)


def sentences(wish: Wish, snapshot: Snapshot) -> list[str]:
    found = plan_switchover(TARGET, wish, snapshot)
    assert isinstance(found, Plan), found
    return [step.sentence for step in found.steps]


def refusal(wish: Wish, snapshot: Snapshot) -> str:
    found = plan_switchover(TARGET, wish, snapshot)
    assert isinstance(found, Refusal), found
    assert found.choices
    return found.sentence()


def with_members(**special: t.Any) -> Snapshot:
    """Three members, the first one primary; ``m1={"priority": 5.0}`` says what is special of the second one."""
    members = tuple(MemberConfig(o, host(o), **special.get(f"m{o}", {})) for o in range(3))
    its = config(3, members=members)
    return seen({o: member("PRIMARY" if not o else "SECONDARY", its) for o in range(3)})


def test_to_a_named_member() -> None:
    assert sentences(Wish("shop-2"), formed(3))[0] == "let shop-0 step down for shop-2, which is 0 s behind"
    assert sentences(Wish("shop-0"), formed(3)) == []


def test_to_the_best_one() -> None:
    assert sentences(Wish(), with_members(m2={"priority": 5.0}))[0].startswith("let shop-0 step down for shop-2")
    assert sentences(Wish(), behind(formed(3), {1: 4}))[0].startswith("let shop-0 step down for shop-2")
    # It has been moved since the operation began.
    assert sentences(Wish(away_from="shop-1"), formed(3)) == []
    assert sentences(Wish(away_from="shop-0"), formed(3))[0].startswith("let shop-0 step down")


def test_not_to_one_that_lags_is_away_or_goes() -> None:
    late = sentences(Wish("shop-1"), behind(formed(3), {1: 30}))
    assert late == ["wait until another member can take over from the primary shop-0: shop-1 is 30 s behind"]
    assert sentences(Wish("shop-1", lag_limit=60), behind(formed(3), {1: 30}))[0].startswith("let shop-0")
    assert sentences(Wish("shop-1"), lost(3, 1))[0].startswith("wait until another member can take over")
    going = formed(3)
    pods = {**going.pods, 1: dataclasses.replace(going.pods[1], deleting=True)}
    [told] = sentences(Wish("shop-1"), dataclasses.replace(going, pods=pods))
    assert told.endswith("shop-1 is going, to be made again")


def test_without_a_primary_there_is_nothing_to_move_yet() -> None:
    its = config(3)
    nobody = seen({o: member("SECONDARY", its) for o in range(3)})
    assert sentences(Wish("shop-1"), nobody)[0].startswith("wait until a member is primary")


@pytest.mark.parametrize(
    ("wish", "snapshot", "expected"),
    [
        (Wish("shop-9"), formed(3), "to: shop-9 is no member of shop"),
        (Wish("shop-1"), with_members(m1={"priority": 0.0, "votes": 0}), "to: shop-1 can never be primary"),
        (Wish(), formed(1), "is the only member of shop that can be primary"),
        (Wish(), Snapshot(), "There is no StatefulSet shop"),
    ],
)
def test_refusals(wish: Wish, snapshot: Snapshot, expected: str) -> None:
    assert expected in refusal(wish, snapshot)


def test_a_member_with_a_higher_priority_is_told_of() -> None:
    found = plan_switchover(TARGET, Wish("shop-1"), with_members(m0={"priority": 2.0}))
    assert isinstance(found, Plan)
    assert "shop-0 (2)" in found.warnings[0]
    assert plan_switchover(TARGET, Wish("shop-1"), formed(3)).warnings == ()  # type: ignore[union-attr]
