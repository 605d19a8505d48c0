# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner against a simulated cluster in which things go wrong between any two steps."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import os
import typing as t

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, MemberOptions
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb.simulation import TARGET, World, host

# A failing case is told by its draws; making it smaller takes minutes, and is asked for by hand.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

# Histories of the longest test, and a measure for the others; `make simulate` asks for many more.
HISTORIES = int(os.environ.get("STATEFUL_KUBE_HISTORIES", "100"))
# Looks at a healthy cluster within which every plan must have come to its end.
BOUND = 150


def run_one(world: World, desired: Desired) -> t.Union[Plan, Refusal]:
    """One turn of the operation's loop."""
    seen = world.observe()
    found = plan(TARGET, desired, seen)
    if isinstance(found, Plan) and found.steps and found.steps[0].change:
        with contextlib.suppress(NotYet):
            world.apply(found.steps[0], seen)
    return found


def converge(world: World, desired: Desired) -> t.Union[Plan, Refusal]:
    left: list[str] = []
    for _turn in range(BOUND):
        world.tick()
        found = run_one(world, desired)
        if isinstance(found, Refusal) or not found.steps:
            return found
        left = [step.sentence for step in found.steps]
    raise AssertionError(f"still planning after {BOUND} turns: {left}")


@functools.cache
def _formed(members: int) -> World:
    world = World(members)
    converge(world, Desired(members))
    return world


def formed(members: int) -> World:
    """A set of equal members, which there is before anything happens to it."""
    return copy.deepcopy(_formed(members))


@st.composite
def options_of(draw: st.DrawFn, may_vote: bool) -> MemberOptions:
    electable = may_vote and draw(st.booleans())
    votes = 1 if electable or (may_vote and draw(st.booleans())) else 0
    if electable:
        return MemberOptions(priority=float(draw(st.integers(1, 5))), votes=votes)
    return MemberOptions(priority=0.0, votes=votes, hidden=draw(st.booleans()))


@st.composite
def desired_of(draw: st.DrawFn, least: int = 1, arbiter: int = 0) -> Desired:
    """``arbiter``: which ordinal is one, if it is a member; 0 for none. It never becomes one, nor ceases to be one."""
    members = draw(st.integers(least, 11))
    anchor = draw(st.integers(0, members - 1).filter(lambda ordinal: not arbiter or ordinal != arbiter))
    votes, declared = 1, {anchor: MemberOptions()}
    if 0 < arbiter < members:
        votes += 1
        declared[arbiter] = MemberOptions(priority=0.0, arbiter_only=True)
    for ordinal in range(members):
        if ordinal in declared:
            continue
        one = draw(options_of(may_vote=votes < 7))
        votes += one.votes
        declared[ordinal] = one
    chaining = draw(st.sampled_from([(), (("chainingAllowed", False),), (("chainingAllowed", True),)]))
    return Desired(members, declared, chaining)


ARBITERS = st.sampled_from([0, 0, 1, 2, 4])
FAULTS = (
    "none",
    "tick",
    "stop",
    "start",
    "hide",
    "show",
    "restart",
    "empty",
    "move_primary",
    "lag",
    "other_acts",
    "other_looks",
)


class Chaos:
    """Faults between steps. At most one member loses its disk, and only while another one has the data."""

    def __init__(self, world: World, data: st.DataObject) -> None:
        self.world = world
        self.data = data
        self.stale: t.Any = None

    def strike(self, desired: Desired) -> None:
        fault = self.data.draw(st.sampled_from(FAULTS))
        ordinal = self.data.draw(st.sampled_from(sorted(self.world.nodes)))
        node = self.world.nodes[ordinal]
        if fault == "tick":
            self.world.tick()
        elif fault == "stop":
            self.world.stop(ordinal)
        elif fault == "start":
            self.world.start(ordinal)
        elif fault in ("hide", "show"):
            node.reachable = fault == "show"
        elif fault == "restart":
            self.world.stop(ordinal)
            self.world.start(ordinal)
        elif fault == "empty":
            if self.world.can_lose(ordinal):
                self.world.empty(ordinal)
        elif fault == "lag":
            node.lagging = True
        elif fault == "move_primary":
            self.world.step_down()
            self.world.tick()
        elif fault == "other_acts":
            self._act_on(desired, self.world.observe())
        elif fault == "other_looks":
            # The second run looks now, and acts later, when this is no longer true.
            if self.stale is not None:
                self.world.outdated_look = True
                self._act_on(desired, self.stale)
                self.world.outdated_look = False
            self.stale = self.world.observe()

    def _act_on(self, desired: Desired, seen: t.Any) -> None:
        found = plan(TARGET, desired, seen)
        if isinstance(found, Plan) and found.steps and found.steps[0].change:
            if found.steps[0].action == "initiate" and seen is self.stale:
                return  # a look that old is prevented by taking the step at once, and by the server
            with contextlib.suppress(NotYet):
                self.world.apply(found.steps[0], seen)

    def stop(self) -> None:
        """The faults are over: everything runs and answers again."""
        for ordinal, node in self.world.nodes.items():
            self.world.start(ordinal)
            node.reachable, node.lagging = True, False


def chaotic_run(world: World, desired: Desired, data: st.DataObject) -> t.Union[Plan, Refusal]:
    chaos = Chaos(world, data)
    for _turn in range(data.draw(st.integers(0, 25))):
        run_one(world, desired)
        chaos.strike(desired)
    chaos.stop()
    return converge(world, desired)


def assert_as_declared(world: World, desired: Desired) -> None:
    assert len(world.sets) == 1, "more than one replica set was formed"
    replica_set = next(iter(world.sets.values()))
    assert world.stateful_set.recorded == replica_set.config.set_id
    assert not replica_set.joining
    assert len(replica_set.config.members) == desired.members
    assert not world.stateful_set.owed
    assert [o for o, node in sorted(world.nodes.items()) if node.exists] == list(desired.ordinals)
    assert replica_set.acknowledged <= set(world.nodes[replica_set.primary].log), "acknowledged writes are missing"
    for ordinal in desired.ordinals:
        member = replica_set.config.member(host(ordinal))
        assert member, f"shop-{ordinal} is missing"
        assert world.nodes[ordinal].revision == world.revision, f"shop-{ordinal} is old"
        assert not desired.member(ordinal).differs_from(member)
        assert world.nodes[ordinal].set_id == replica_set.config.set_id
    assert dict(desired.settings).items() <= dict(replica_set.config.settings).items()


@settings(max_examples=HISTORIES * 2, deadline=None, phases=PHASES)
@given(st.data(), ARBITERS.flatmap(lambda arbiter: desired_of(arbiter=arbiter)), st.booleans())
def test_forms_one_set_whatever_happens(data: st.DataObject, desired: Desired, parallel: bool) -> None:
    world = World(desired.members, parallel)
    found = chaotic_run(world, desired, data)
    assert isinstance(found, Plan), found
    assert_as_declared(world, desired)


@settings(max_examples=HISTORIES * 2, deadline=None, phases=PHASES)
@given(st.data())
def test_grows_and_changes_a_formed_set(data: st.DataObject) -> None:
    arbiter = data.draw(ARBITERS)
    first = data.draw(desired_of(arbiter=arbiter))
    world = World(first.members)
    converge(world, first)
    second = data.draw(desired_of(least=first.members, arbiter=arbiter))
    world.declare(second.members)
    found = chaotic_run(world, second, data)
    assert isinstance(found, Plan), found
    assert_as_declared(world, second)
    # Nothing left to do stays nothing to do.
    version = next(iter(world.sets.values())).config.version
    again = converge(world, second)
    assert isinstance(again, Plan)
    assert again.steps == ()
    assert next(iter(world.sets.values())).config.version == version


@settings(max_examples=HISTORIES * 2, deadline=None, phases=PHASES)
@given(st.data(), st.integers(2, 7))
def test_emptied_disks_never_make_a_second_set(data: st.DataObject, members: int) -> None:
    """Whichever disks are lost, and whoever answers meanwhile, a recorded set is never replaced by a new one."""
    desired = Desired(members)
    world = formed(members)
    lost = data.draw(st.sets(st.integers(0, members - 1), min_size=1))
    for ordinal in lost:
        world.empty(ordinal)
    for ordinal in data.draw(st.sets(st.integers(0, members - 1))):
        world.nodes[ordinal].reachable = False
    for _turn in range(10):
        found = run_one(world, desired)
        if isinstance(found, Refusal):
            break
        world.tick()
    assert world.initiations == 1
    if len(lost) == members and all(node.reachable for node in world.nodes.values()):
        assert isinstance(plan(TARGET, desired, world.observe()), Refusal)


@settings(max_examples=HISTORIES * 3, deadline=None, phases=PHASES)
@given(st.data(), st.integers(2, 7), st.booleans(), st.booleans())
def test_a_redeployed_set_is_found_again(data: st.DataObject, members: int, parallel: bool, forget: bool) -> None:
    """The StatefulSet is deleted and made anew, with or without its record, and some of the disks are lost.

    The simulation fails at an initiation while any disk holds a set, whoever can or cannot be reached.
    """
    desired = Desired(members)
    world = formed(members)
    world.recreate(parallel, forget)
    lost = data.draw(st.sets(st.integers(0, members - 1)))
    for ordinal in lost:
        world.empty(ordinal)
        world.nodes[ordinal].exists = world.nodes[ordinal].claim = False
    for ordinal in data.draw(st.sets(st.integers(0, members - 1))):
        world.nodes[ordinal].reachable = False
    for _turn in range(members * 2):
        for _try in range(data.draw(st.integers(1, 3))):
            run_one(world, desired)
        world.tick()
    for node in world.nodes.values():
        node.reachable = True
    if len(lost) * 2 < members:
        assert isinstance(converge(world, desired), Plan)
        assert_as_declared(world, desired)
    if not forget or len(lost) < members:
        assert world.initiations == 1


@settings(max_examples=HISTORIES, deadline=None, phases=PHASES)
@given(st.data())
def test_scales_up_and_down_and_updates_whatever_happens(data: st.DataObject) -> None:
    """The simulation fails where an acknowledged write is lost, and where a member leaves in a wrong order."""
    arbiter = data.draw(ARBITERS)
    desired = data.draw(desired_of(arbiter=arbiter))
    world = World(desired.members)
    converge(world, desired)
    for _change in range(data.draw(st.integers(1, 3))):
        desired = data.draw(desired_of(arbiter=arbiter))
        desired = dataclasses.replace(desired, delete_claims=data.draw(st.booleans()))
        world.may_delete_claims = desired.delete_claims
        if data.draw(st.booleans()):
            world.change_template()
        world.declare(desired.members)
        found = chaotic_run(world, desired, data)
        assert isinstance(found, Plan), found
        assert_as_declared(world, desired)
        left = [o for o, node in world.nodes.items() if node.claim and o >= desired.members]
        assert not (left and desired.delete_claims), f"claims of {left} are left"
    version, replaced = next(iter(world.sets.values())).config.version, len(world.replaced)
    again = converge(world, desired)
    assert isinstance(again, Plan)
    assert again.steps == ()
    assert (next(iter(world.sets.values())).config.version, len(world.replaced)) == (version, replaced)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 7])
def test_a_template_that_cannot_work_takes_one_member_and_gives_it_back(members: int) -> None:
    desired = Desired(members)
    world = formed(members)
    world.change_template(broken=True)
    for _turn in range(30):
        world.tick()
        found = run_one(world, desired)
        assert isinstance(found, Plan)
    stuck = [ordinal for ordinal, node in world.nodes.items() if node.revision == world.revision]
    assert stuck == world.replaced
    assert len(stuck) == 1
    assert not found.steps[0].change
    world.undo_template()
    assert isinstance(converge(world, desired), Plan)
    assert world.replaced == stuck * 2, "other pods than the stuck one were replaced"
    assert_as_declared(world, desired)
