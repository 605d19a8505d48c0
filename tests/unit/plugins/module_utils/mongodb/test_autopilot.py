# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The autopilot's planner, which is JavaScript, beside that of the module: same snapshots, same next step.

Both are asked at every turn of random histories with faults, on the simulation that the module's planner is tried on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import pathlib
import subprocess
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, desired_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb import test_plan_random as random_plans
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb.simulation import TARGET, World, host

FILES = pathlib.Path(__file__).parents[5] / "roles" / "mongodb" / "files"
ASK = """
const { desiredOf } = require('./autopilot-desired.js');
const { next, isOut } = require('./autopilot-plan.js');
const asked = {
  next: ({ target, desired, seen }) => next(target, desired, seen),
  desired: ({ members, entries }) => desiredOf(members, entries, [], 10),
  isOut: ({ host, answers }) => isOut(host, answers),
};
require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => {
    const question = JSON.parse(line);
    process.stdout.write(`${JSON.stringify(asked[question.ask](question))}\\n`);
  });
"""
# What the autopilot leaves to the module.
# A pod sees no claims, and so cannot know whether there was a set before.
FORMS = "initiate"
NOT_ITS = ("scale", "hand_back", "replace", "delete_claim")


class Script:
    """A Node.js that answers a line of JSON with a line of JSON."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "-e", ASK], cwd=FILES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: str, **question: t.Any) -> t.Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"ask": what, **question}, default=_plain) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, enum.Enum):
        return value.value
    raise TypeError(repr(value))


@pytest.fixture(scope="module")
def script() -> t.Iterator[Script]:
    found = Script()
    yield found
    found.close()


def asks(seen: Snapshot, desired: Desired) -> dict[str, t.Any]:
    return {
        "target": {**dataclasses.asdict(TARGET), "service": "shop"},
        "desired": {
            "members": desired.members,
            "options": {ordinal: dataclasses.asdict(options) for ordinal, options in desired.options.items()},
            "settings": desired.settings,
            "lag_limit": desired.lag_limit,
        },
        "seen": dataclasses.asdict(seen),
    }


def as_the_autopilot(seen: Snapshot, desired: Desired) -> tuple[Snapshot, Desired]:
    """A pod sees no claims and no revisions, and the size that counts is that of the StatefulSet."""
    assert seen.stateful_set
    wanted = dataclasses.replace(desired, members=max(1, seen.stateful_set.replicas), replace_pods=False)
    stateful_set = dataclasses.replace(seen.stateful_set, owed=False, replicas=wanted.members)
    return dataclasses.replace(seen, claims={}, stateful_set=stateful_set), wanted


def both(script: Script, seen: Snapshot, desired: Desired) -> t.Any:
    """What both plan next, which has to be the same."""
    seen, desired = as_the_autopilot(seen, desired)
    found = plan(TARGET, desired, seen)
    told = script.ask("next", **asks(seen, desired))
    if isinstance(found, Refusal):
        assert told, found.reason
        assert told["action"] == "refuse", (found.reason, told)
        return told
    steps = [step for step in found.steps if step.action not in NOT_ITS]
    if not steps:
        assert told is None, told
        return told
    step = steps[0]
    assert told, step.sentence
    if FORMS in [each.action for each in steps]:
        assert told == {"action": "wait", "why": "wait until the playbook forms the set: no member has one"}
        return told
    assert told["action"] == step.action, (step.sentence, told)
    if step.change:
        assert told["target"] == step.target
        for name in ("ordinal", "host", "version", "term", "to"):
            assert told.get(name) == step.data.get(name), (step.sentence, told)
        if "options" in step.data:
            options = json.loads(json.dumps(dataclasses.asdict(step.data["options"])))
            assert told["options"] == options, (step.sentence, told)
        if "settings" in step.data:
            assert dict(told["settings"]) == dict(step.data["settings"])
    return told


@settings(max_examples=60, deadline=None, phases=random_plans.PHASES)
@given(st.data())
def test_both_planners_take_the_same_steps(script: Script, data: st.DataObject) -> None:
    desired = data.draw(random_plans.desired_of())
    world = World(desired.members, data.draw(st.booleans()))
    chaos = random_plans.Chaos(world, data)
    for _turn in range(data.draw(st.integers(5, 40))):
        both(script, world.observe(), desired)
        random_plans.run_one(world, desired)
        chaos.strike(desired)
        if data.draw(st.integers(0, 9)) == 0:
            desired = data.draw(random_plans.desired_of())
            world.declare(desired.members)
        if data.draw(st.integers(0, 9)) == 0:
            world.tick()


@settings(max_examples=40, deadline=None, phases=random_plans.PHASES)
@given(st.data())
def test_follows_the_size_of_the_stateful_set(script: Script, data: st.DataObject) -> None:
    """It acts on its own: to each size, and the simulation fails where it harms the set."""
    first = data.draw(st.integers(1, 7))
    world = World(first)
    random_plans.converge(world, desired_of(_params(first, [])))
    for size in [*data.draw(st.lists(st.integers(1, 9), max_size=3)), data.draw(st.integers(1, 9))]:
        world.declared = size
        world.scale(max(size, world.stateful_set.replicas))
        for _turn in range(random_plans.BOUND):
            world.tick()
            seen = world.observe()
            assert seen.stateful_set
            # Pods that are to go wait in their hook until their member is out: the size is declared, they are there.
            declared = dataclasses.replace(seen, stateful_set=dataclasses.replace(seen.stateful_set, replicas=size))
            wanted = desired_of(_params(size, []))
            told = both(script, declared, wanted)
            reference = plan(TARGET, wanted, as_the_autopilot(declared, wanted)[0])
            assert isinstance(reference, Plan)
            if told is None or str(told.get("why")).startswith("wait until these pods are gone"):
                break
            if told["action"] != "wait":
                with contextlib.suppress(NotYet):
                    world.apply(next(s for s in reference.steps if s.action == told["action"]), seen)
        else:
            raise AssertionError(f"not at {size} members: {told}")
        world.scale(size)
    replica_set = next(iter(world.sets.values()))
    assert {member.host for member in replica_set.config.members} == {host(ordinal) for ordinal in range(size)}
    assert world.initiations == 1
    assert replica_set.config.voters % 2
    assert replica_set.config.voters <= 7


def _params(members: int, entries: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    return {
        "members": members,
        "member_options": entries,
        "settings": {},
        "lag_limit": 10,
        "replace_pods": False,
        "template_changes": False,
        "claims_when_scaled": "retain",
        "feature_compatibility_version": None,
        "authentication": "required",
    }


ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "votes": st.sampled_from([0, 1, None]),
        "hidden": st.sampled_from([None, False]),
        "tags": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
        "secondary_delay_secs": st.sampled_from([None, 0]),
    },
)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.dictionaries(st.integers(0, 11), ENTRIES, max_size=5))
def test_both_give_the_same_votes(script: Script, members: int, given_of: dict[int, dict[str, t.Any]]) -> None:
    entries = [{"ordinal": ordinal, **entry} for ordinal, entry in given_of.items()]
    try:
        wanted = desired_of(_params(members, [entry for entry in entries if entry["ordinal"] < members]))
    except Failure:  # a declaration that no role takes
        return
    told = script.ask("desired", members=members, entries=entries)["options"]
    for ordinal in range(members):
        options = json.loads(json.dumps(dataclasses.asdict(wanted.member(ordinal))))
        usual = {**options, "priority": 1, "votes": 1}
        assert told.get(str(ordinal), usual) == options


def test_a_set_that_was_emptied_is_refused(script: Script) -> None:
    desired = Desired(3)
    world = World(3)
    random_plans.converge(world, desired)
    for ordinal in range(3):
        world.empty(ordinal)
    world.tick()
    told = both(script, world.observe(), desired)
    assert told["action"] == "refuse"
    assert "no member has that set any more" in told["why"]


def test_a_minority_does_nothing(script: Script) -> None:
    desired = Desired(3)
    world = World(3)
    random_plans.converge(world, desired)
    world.stop(0)
    world.stop(1)
    world.step_down()
    told = both(script, world.observe(), Desired(1))
    assert told == {"action": "wait", "why": "wait until a member is primary"}


def test_a_member_is_out_by_the_word_of_a_majority(script: Script) -> None:
    desired = Desired(3)
    world = World(3)
    random_plans.converge(world, desired)
    seen = world.observe()

    def out(*told: tuple[int, int]) -> bool:
        """Each ordinal with the size of the configuration that it has, of which a smaller one is newer."""
        answers = []
        for ordinal, size in told:
            told_config = seen.answers[ordinal].config
            assert told_config
            config = json.loads(json.dumps(dataclasses.asdict(told_config), default=_plain))
            config["members"] = config["members"][:size]
            config["version"] += 3 - size
            answers.append({"host": host(ordinal), "kind": Kind.MEMBER.value, "config": config})
        return bool(script.ask("isOut", host=host(2), answers=answers))

    assert not out((0, 3), (1, 3), (2, 3))
    assert not out((0, 2), (1, 3), (2, 3))
    assert not out((0, 2), (2, 2))
    assert out((0, 2), (1, 2), (2, 3))
