# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another key file: whoever is made again whenever, all members let each other in."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _keyfile_plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._keyfile_plan import (
    Keys,
    Seen,
    keys_in,
    text_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

from . import test_plan
from .simulation import TARGET, World
from .test_arbiter_and_horizons import formed_with_arbiter

MEMBERS = 3
MOST = 400
SECRET = "shop/shop-keyfile"  # noqa: S105 (a name)


def formed() -> World:
    world = World(MEMBERS)
    for _turn in range(100):
        world.tick()
        found = _plan.plan(TARGET, Desired(MEMBERS), world.observe())
        assert isinstance(found, Plan)
        if not found.steps:
            return world
        if found.steps[0].change:
            try:
                world.apply(found.steps[0], world.observe())
            except NotYet:
                continue
    raise AssertionError("never formed")


class Members:
    """The set, its Secret, and which keys each server has read."""

    def __init__(self) -> None:
        self.world = formed()
        self.keys = Keys(("old",))
        self.loaded = dict.fromkeys(range(MEMBERS), self.keys.used)
        self.revisions = self._revisions()
        self.done: list[str] = []

    def seen(self) -> Seen:
        return Seen(self.world.observe(), SECRET, self.keys)

    def step(self, rotation: str) -> bool:
        """Take the first step, if there is any."""
        found = planner.plan(TARGET, rotation, 10, self.seen())
        assert isinstance(found, Plan)
        if found.steps and found.steps[0].change:
            self.act(found.steps[0], rotation)
        return bool(found.steps)

    def act(self, step: Step, rotation: str) -> None:
        self.done.append(step.action)
        keys = self.keys
        if step.action == planner.BEGIN:
            self.keys = Keys(planner.after(step.action, Keys(keys.used, "new")), "new", keys.rotation)
        elif step.action in (planner.TURN, planner.LEAVE):
            self.keys = dataclasses.replace(keys, used=planner.after(step.action, keys))
        elif step.action == planner.COMPLETE:
            self.keys = Keys(keys.used, "", rotation)
        elif step.action == planner.MARK:
            self.world.change_template()
            self.world.stateful_set = dataclasses.replace(self.world.stateful_set, keyfile=keys.mark)
        else:
            try:
                self.world.apply(step, self.world.observe())
            except NotYet:
                self.done.pop()
        self.understand()

    def made_again(self, ordinal: int) -> None:
        """Its pod is another one: it has read what the Secret has now."""
        self.loaded[ordinal] = self.keys.used

    def understand(self) -> None:
        revisions = self._revisions()
        for ordinal, revision in revisions.items():
            if revision != self.revisions[ordinal]:
                self.made_again(ordinal)
        self.revisions = revisions
        for one in self.loaded.values():
            assert all(one[0] in other for other in self.loaded.values()), self.loaded

    def _revisions(self) -> dict[int, int]:
        return {ordinal: self.world.nodes[ordinal].revision for ordinal in range(MEMBERS)}


@settings(max_examples=60, deadline=None)
@given(evictions=st.dictionaries(st.integers(0, 60), st.integers(0, MEMBERS - 1), max_size=8))
def test_all_let_each_other_in_wherever_it_is(evictions: dict[int, int]) -> None:
    members = Members()
    for turn in range(MOST):
        members.world.tick()
        if turn in evictions:
            members.world.stop(evictions[turn])
            members.world.start(evictions[turn])
            members.made_again(evictions[turn])
        members.understand()
        if not members.step("2026"):
            break
    else:
        raise AssertionError("no end")
    assert members.keys == Keys(("new",), "", "2026")
    assert set(members.loaded.values()) == {("new",)}
    assert [action for action in members.done if action in (planner.BEGIN, planner.TURN, planner.LEAVE)] == [
        planner.BEGIN,
        planner.TURN,
        planner.LEAVE,
    ]
    assert members.done.count("replace") == 3 * MEMBERS
    assert not members.step("2026")


def test_a_rotation_that_was_left_is_completed_without_its_name() -> None:
    members = Members()
    assert not members.step("")
    members.step("2026")
    for _turn in range(MOST):
        members.world.tick()
        if not members.step(""):
            break
    assert members.keys.used == ("new",)


def test_nothing_begins_while_members_leave() -> None:
    """With kubectl their pods wait for that, and not for long."""
    seen = Members().seen()
    found = seen.snapshot.stateful_set
    assert found
    smaller = dataclasses.replace(seen.snapshot, stateful_set=dataclasses.replace(found, replicas=1))
    refused = planner.plan(TARGET, "1", 10, dataclasses.replace(seen, snapshot=smaller))
    assert isinstance(refused, Refusal)
    assert "shop-1, shop-2 is in the configuration and beyond the 1 replicas" in refused.reason


def test_no_pod_is_replaced_by_a_server_that_cannot_read_the_data() -> None:
    seen = Members().seen()
    found = seen.snapshot.stateful_set
    assert found
    answers = {o: dataclasses.replace(a, feature_version="6.0") for o, a in seen.snapshot.answers.items()}
    newer = dataclasses.replace(found, image="mongo:8.0.1")
    snapshot = dataclasses.replace(seen.snapshot, stateful_set=newer, answers=answers)
    refused = planner.plan(TARGET, "1", 10, dataclasses.replace(seen, snapshot=snapshot))
    assert isinstance(refused, Refusal)
    assert "The image mongo:8.0.1 is of 8.0" in refused.reason


def test_an_arbiter_stays_one() -> None:
    its = formed_with_arbiter()
    found = planner.plan(test_plan.TARGET, "1", 10, Seen(its, SECRET, Keys(("old",))))
    assert isinstance(found, Plan), found
    assert found.steps[0].action == planner.BEGIN


def test_the_plan_shows_all_three_rounds() -> None:
    found = planner.plan(TARGET, "2026", 10, Members().seen())
    assert isinstance(found, Plan)
    own = [step.action for step in found.steps if step.action not in ("wait", "step_down", "replace")]
    assert own == ["begin", "mark", "turn", "mark", "leave", "mark", "complete"]
    assert [step.action for step in found.steps].count("replace") == 3 * MEMBERS
    assert "old" not in str([step.sentence for step in found.steps])


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("abc", ("abc",)),
        ("abc\ndef\n", ("abcdef",)),
        ("- abc\n- def\n", ("abc", "def")),
        ("- 'abc'\n", ("abc",)),
        ("", ()),
    ],
)
def test_what_is_in_a_key_file(text: str, keys: tuple[str, ...]) -> None:
    assert keys_in(text) == keys
    if keys:
        assert keys_in(text_of(keys)) == keys


def test_keys_are_in_no_text() -> None:
    shown: t.Any = Seen(t.cast("t.Any", None), SECRET, Keys(("old",), "new"))
    assert "old" not in repr(shown)
    assert "new" not in repr(shown)
