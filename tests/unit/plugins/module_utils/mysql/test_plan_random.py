# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of replicated MySQL against a simulated cluster in which things go wrong between any two steps."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import re
import typing as t

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import Wish as Autopilot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import plan_autopilot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import given_up, plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import FLAVOURS, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import COPY
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.simulation import TARGET, Node, World

# A failing case is told by its events; STATEFUL_KUBE_SHRINK=1 makes it smaller.
SHRINK = (Phase.shrink,) if os.environ.get("STATEFUL_KUBE_SHRINK") else ()
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, *SHRINK)

# Histories of the longest test; `make simulate` asks for many more.
HISTORIES = int(os.environ.get("STATEFUL_KUBE_HISTORIES", "200"))
# Looks at a healthy cluster within which every plan must have come to its end.
BOUND = 120

Event = tuple[str, int, int]
Found = t.Union[Plan, Refusal]


# It may act at any moment: no silence is too short, and no pod had its time to go.
PILOT = Autopilot(by="pilot", after=0.0, cut_off=True)


class Killed(Exception):
    """The run ends between two parts of an act."""


class Run:
    """One run of an operation, from look to look. What it asks for stays as it was at its start."""

    def __init__(
        self, world: World, desired: Desired, wish: t.Union[Switchover, Failover, Autopilot, None] = None
    ) -> None:
        self.world = world
        self.desired = desired
        self.wish = wish

    def plan(self, seen: Snapshot) -> Found:
        if isinstance(self.wish, Autopilot):
            return plan_autopilot(TARGET, self.wish, seen).plan
        if self.wish is not None and not self.wish.away_from and seen.record:
            failing = isinstance(self.wish, Failover)
            self.wish = dataclasses.replace(
                self.wish, away_from=given_up(TARGET, seen) if failing else seen.record.primary
            )
        if isinstance(self.wish, Switchover):
            return plan_switchover(TARGET, self.wish, seen)
        if isinstance(self.wish, Failover):
            self.world.without.update(self.wish.without)
            return plan_failover(TARGET, self.wish, seen)
        return plan(TARGET, self.desired, seen)

    def turn(self) -> Found:
        """One turn of the operation's loop. Raises Killed."""
        seen = self.world.observe()
        found = self.plan(seen)
        if isinstance(found, Plan) and found.steps and found.steps[0].change:
            with contextlib.suppress(NotYet):
                self.act(found.steps, seen)
        return found

    def act(self, steps: t.Sequence[Step], seen: Snapshot) -> None:
        """The first one, or the first batch."""
        first = steps[0]
        for step in itertools.takewhile(
            lambda each: each is first or (each.batch and each.batch == first.batch), steps
        ):
            self.world.apply(step, seen)
            if step.action == COPY:
                left = tuple(pod for pod in self.desired.copies if pod != step.data["pod"])
                self.desired = dataclasses.replace(self.desired, copies=left)


EVENTS = (
    *("nothing", "tick", "write", "write_to") * 4,
    "restart",
    "crash",
    "kill",
    "lose_volume",
    "hide",
    "show",
    "cut",
    "mend",
    "lag",
    "keep_up",
    "lose_node",
    "fence_node",
    "stop_receiver",
    "stop_applier",
    "purge",
    "members",
    "image",
    "forget_record",
    "kill_run",
    "apply",
    "switchover",
    "failover",
    "failover",
    "failover_without",
    *("autopilot",) * 6,
    "deafen",
)
# These end the run that goes on, even in the middle of an act.
ENDINGS = ("kill_run", "apply", "members", "switchover", "failover", "failover_without", "autopilot")
EVENT = st.tuples(st.sampled_from(EVENTS), st.integers(0, 3), st.integers(0, 3))
TAPE = st.integers(0, 90).flatmap(lambda size: st.lists(EVENT, min_size=size, max_size=size))

# What matters to a set that is looked after, from the moment at which its primary is lost.
LOSSES = (("lose_node",), ("hide", "deafen"), ("hide",))
AROUND = (
    *("nothing",) * 30,
    *("tick",) * 6,
    *("write_to", "restart", "autopilot", "show", "mend") * 2,
    *("write", "kill", "hide", "cut", "lag", "keep_up", "lose_node", "deafen"),
    *("fence_node", "stop_receiver", "failover"),
)
AROUND_EVENT = st.tuples(st.sampled_from(AROUND), st.integers(0, 3), st.integers(0, 3))
AROUND_TAPE = st.integers(30, 120).flatmap(lambda size: st.lists(AROUND_EVENT, min_size=size, max_size=size))


class Story:
    """A cluster, the runs on it, and a tape of what happens between any two parts of what they do."""

    def __init__(self, world: World, desired: Desired, tape: t.Sequence[Event]) -> None:
        self.world = world
        self.run = Run(world, desired)
        self.desired = desired
        self.tape = list(tape)
        self.acting = False

    def go(self) -> None:
        self.world.between = self.happen
        while self.tape:
            self.happen()
            self.acting = True
            try:
                found = self.run.turn()
            except Killed:
                self.run = Run(self.world, self.desired)
            else:
                if isinstance(found, Refusal) or not found.steps:
                    self.run = Run(self.world, self.desired)
            finally:
                self.acting = False
        self.world.between = lambda: None

    def happen(self) -> None:
        """The next thing on the tape."""
        if not self.tape:
            return
        event, one, two = self.tape.pop(0)
        acting, self.acting = self.acting, False
        try:
            getattr(self, f"_{event}")(one, two)
        finally:
            self.acting = acting
        if event in ENDINGS and acting:
            raise Killed

    def _nothing(self, _one: int, _two: int) -> None: ...

    def _tick(self, _one: int, _two: int) -> None:
        self.world.tick()

    def _write(self, _one: int, _two: int) -> None:
        self.world.write()

    def _write_to(self, one: int, _two: int) -> None:
        self.world.write(one)

    def _restart(self, one: int, _two: int) -> None:
        self.world.restart(one)

    def _crash(self, one: int, _two: int) -> None:
        self.world.crash(one)

    def _kill(self, one: int, _two: int) -> None:
        self.world.kill(one)

    def _lose_volume(self, one: int, _two: int) -> None:
        # Where nobody has a copy that could be gone on from, the test would be of nothing.
        if any(o != one and node.data for o, node in self.world.nodes.items()):
            self.world.lose_volume(one)

    def _hide(self, one: int, _two: int) -> None:
        self.world.node(one).reachable = False

    def _show(self, one: int, _two: int) -> None:
        self.world.node(one).reachable = True

    def _cut(self, one: int, two: int) -> None:
        if one != two:
            self.world.cut.add(frozenset({one, two}))

    def _mend(self, _one: int, _two: int) -> None:
        self.world.cut.clear()

    def _lag(self, one: int, _two: int) -> None:
        self.world.node(one).lagging = True

    def _keep_up(self, one: int, _two: int) -> None:
        self.world.node(one).lagging = False

    def _lose_node(self, one: int, _two: int) -> None:
        self.world.lose_node(one)

    def _fence_node(self, one: int, _two: int) -> None:
        self.world.fence_node(one)

    def _stop_receiver(self, one: int, _two: int) -> None:
        self.world.stop_threads(one, receiver=True)

    def _stop_applier(self, one: int, _two: int) -> None:
        self.world.stop_threads(one, receiver=False)

    def _purge(self, one: int, _two: int) -> None:
        self.world.purge(one)

    def _members(self, one: int, _two: int) -> None:
        self.desired = dataclasses.replace(self.desired, members=max(1, one))
        self.world.declare(self.desired.members)
        self.run = Run(self.world, self.desired)

    def _image(self, _one: int, _two: int) -> None:
        self.world.change_template()

    def _forget_record(self, one: int, _two: int) -> None:
        """Somebody deletes it, after the StatefulSet and the primary have noted what it says."""
        record = self.world.record
        if one == 0 and record and self.world.stateful_set.recorded == (record.epoch, record.primary):
            self.world.record = None

    def _kill_run(self, _one: int, _two: int) -> None:
        self.run = Run(self.world, self.desired)

    def _apply(self, _one: int, _two: int) -> None:
        self.run = Run(self.world, self.desired)

    def _switchover(self, one: int, two: int) -> None:
        self.run = Run(self.world, self.desired, Switchover(TARGET.pod(one) if two else ""))

    def _failover(self, one: int, two: int) -> None:
        self.run = Run(self.world, self.desired, Failover(TARGET.pod(one) if two == 3 else ""))

    def _autopilot(self, _one: int, two: int) -> None:
        self.run = Run(self.world, self.desired, PILOT if two else dataclasses.replace(PILOT, cut_off=False))

    def _deafen(self, one: int, _two: int) -> None:
        self.world.deafen(one)

    def _failover_without(self, one: int, two: int) -> None:
        self.run = Run(self.world, self.desired, Failover(without=(TARGET.pod(one), TARGET.pod(two))))


def converge(world: World, run: Run) -> Found:
    """Until nothing is left to do; or a Refusal; or, where it goes no further, the plan that waits."""
    found: Found = Plan()
    for _turn in range(BOUND):
        world.tick()
        found = run.turn()
        if isinstance(found, Refusal) or not found.steps:
            return found
        if run.wish and run.wish.away_from and primary_of(world) is not world.node(ordinal_of(run.wish.away_from)):
            world.heal()
    assert isinstance(found, Plan)
    assert not found.steps[0].change, f"still changing after {BOUND} turns: {[step.sentence for step in found.steps]}"
    return found


def settle(world: World, desired: Desired) -> Found:
    """What a user does who is told why it goes no further, until the declared state is there."""
    world.heal()
    run = Run(world, desired)
    found: Found = Plan()
    for _try in range(12):
        world.declare(desired.members)
        found = converge(world, run)
        if isinstance(found, Plan) and not found.steps and run.wish is None:
            return found
        following = advised(world, desired, found)
        if following is None:
            return found
        run = following
    raise AssertionError(f"whatever is said is done, and it goes no further: {found}")


def advised(world: World, desired: Desired, found: Found) -> t.Optional[Run]:
    """The run that follows from what the last one said; None where nothing can be done."""
    world.heal()
    if isinstance(found, Plan) and not found.steps:
        return Run(world, desired)
    primary = primary_of(world)
    if isinstance(found, Plan):
        assert not primary.running, f"nothing happens: {[step.sentence for step in found.steps]}"
        return Run(world, desired, Failover())
    if "is no replica of anybody" in found.reason:
        assert_parted(world)
        asked = names_in(found.choices[1])
        world.may_copy.update(asked)
        return Run(world, dataclasses.replace(desired, copies=asked))
    if "is to take writes" in found.reason:
        # Any of those that have more, while this one is stopped.
        primary.reachable = False
        return Run(world, desired, Failover())
    if "may have transactions that nobody else has" in found.reason:
        primary.reachable = False
        return Run(world, desired, Failover(without=names_in(found.choices[1])))
    if "so nobody can take over" in found.reason:
        others = [node for node in world.nodes.values() if node.running and node is not primary]
        assert not others, found
        assert primary.data is None, found
        return None
    if "nothing to fail over from" in found.reason:
        return Run(world, desired)
    raise AssertionError(f"no way out: {found}")


def names_in(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(r"shop-\d+", text)))


def primary_of(world: World) -> Node:
    assert world.record
    return world.node(ordinal_of(world.record.primary))


def ordinal_of(pod: str) -> int:
    return t.cast(int, TARGET.ordinal(pod))


def assert_parted(world: World) -> None:
    """Some replica cannot go on: it has what the primary has not, or lacks what nobody can give it."""
    primary = primary_of(world).loaded
    for node in world.nodes.values():
        has = set(node.data.has) if node.data else set(primary.log)
        if has - set(primary.log) or set(primary.log[: primary.purged]) - has:
            return
    raise AssertionError("refused, and all histories are one")


def assert_as_declared(world: World, desired: Desired) -> None:
    for _wait in range(30):
        world.tick()
    record, found = world.record, world.stateful_set
    assert record
    assert found.replicas == record.members == desired.members
    assert world.routed == record.primary
    assert found.recorded == (record.epoch, record.primary)
    primary = t.cast(int, TARGET.ordinal(record.primary))
    assert primary in desired.ordinals
    assert [o for o, node in sorted(world.nodes.items()) if node.exists] == list(desired.ordinals)
    log = world.node(primary).loaded.log
    lost = [entry for entry in world.transactions if entry.acknowledged and not entry.given_up and entry not in log]
    assert not lost, f"acknowledged and lost: {lost}"
    for ordinal in desired.ordinals:
        node = world.node(ordinal)
        assert node.running
        assert node.writable == (ordinal == primary), f"shop-{ordinal}"
        assert node.role == ("primary" if ordinal == primary and desired.members > 1 else "replica"), f"shop-{ordinal}"
        assert f"r{node.revision}" == found.revision, f"shop-{ordinal} is old"
        assert set(node.loaded.log) == set(log), f"shop-{ordinal} has something else than the primary"
        assert node.loaded.source == (None if ordinal == primary else primary), f"shop-{ordinal}"


def formed(members: int, flavour: str, semi_sync: bool) -> World:
    world = World(members, flavour, semi_sync)
    found = converge(world, Run(world, Desired(members)))
    assert isinstance(found, Plan)
    assert not found.steps
    return world


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("members", [1, 2, 3, 5])
def test_forms_and_has_nothing_left_to_do(members: int, flavour: str) -> None:
    world = formed(members, flavour, semi_sync=False)
    world.write()
    assert world.transactions, "nobody could write"
    assert_as_declared(world, Desired(members))
    record = world.record
    found = converge(world, Run(world, Desired(members)))
    assert found == Plan()
    assert world.record == record


@settings(max_examples=HISTORIES, deadline=None, phases=PHASES)
@given(st.integers(1, 4), st.sampled_from(FLAVOURS), st.booleans(), st.booleans(), TAPE)
def test_whatever_happens(members: int, flavour: str, semi_sync: bool, new: bool, tape: list[Event]) -> None:
    world = World(members, flavour, semi_sync) if new else formed(members, flavour, semi_sync)
    story = Story(world, Desired(members), tape)
    story.go()
    found = settle(world, story.desired)
    if isinstance(found, Plan) and not found.steps:
        assert_as_declared(world, story.desired)


@settings(max_examples=HISTORIES, deadline=None, phases=PHASES)
@given(
    st.integers(3, 4),
    st.sampled_from(FLAVOURS),
    st.sampled_from([True, True, False]),
    st.sampled_from(LOSSES),
    st.sampled_from(["autopilot", "autopilot", "failover"]),
    AROUND_TAPE,
)
def test_whatever_happens_when_a_primary_is_lost(
    members: int, flavour: str, semi_sync: bool, loss: tuple[str, ...], first: str, tape: list[Event]
) -> None:
    world = formed(members, flavour, semi_sync)
    Run(world, Desired(members), PILOT).turn()
    story = Story(world, Desired(members), [("write", 0, 0), *((event, 0, 0) for event in loss), (first, 0, 1), *tape])
    story.go()
    found = settle(world, story.desired)
    if isinstance(found, Plan) and not found.steps:
        assert_as_declared(world, story.desired)
