# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repairs on random evidence: what must never happen, whatever members say and whatever was typed."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._plan import BACK_UP, EMPTY, FORCE, plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import (
    Choice,
    Evidence,
    Optime,
    Statement,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RECORD
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

# As in test_plan_random.
HISTORIES = int(os.environ.get("STATEFUL_KUBE_HISTORIES", "50"))
TARGET = Target(name="shop", namespace="prod", replica_set="shop", root_secret="shop-root")  # noqa: S106
NAMES = {
    "right": "shop-{}.shop.prod.svc.cluster.local:27017",
    "old": "shop-{}.old.prod.svc.cluster.local:27017",
    "address": "10.244.0.{}:27017",
    "foreign": "db{}.example.org:27017",
}
SETS = ("id1", "id2")
PODS = 5
LOST = [f"shop-{o}" for o in range(PODS)] + [NAMES["foreign"].format(o) for o in range(PODS)]


@st.composite
def configs(draw: st.DrawFn, set_id: str) -> Config:
    """A configuration whose members have names of one kind mostly, as a renaming or a restart leaves them."""
    most = draw(st.sampled_from([*NAMES, "right"]))
    members = []
    for ordinal in sorted(draw(st.sets(st.integers(0, PODS - 1), min_size=1))):
        kind = draw(st.sampled_from([most, most, most, *NAMES]))
        votes = draw(st.sampled_from([1, 1, 1, 0]))
        members.append(
            MemberConfig(
                ordinal,
                NAMES[kind].format(ordinal),
                priority=draw(st.sampled_from([1.0, 1.0, 0.0])) if votes else 0.0,
                votes=votes,
                build_indexes=draw(st.sampled_from([True, True, True, False])),
                arbiter_only=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return Config("shop", set_id, draw(st.integers(1, 3)), draw(st.integers(0, 2)), tuple(members))


@st.composite
def answers(draw: st.DrawFn) -> tuple[Answer, t.Optional[Statement]]:
    kind = draw(st.sampled_from([*Kind, Kind.MEMBER, Kind.MEMBER, Kind.REMOVED, Kind.REMOVED, Kind.REMOVED]))
    if kind not in (Kind.MEMBER, Kind.REMOVED):
        return Answer(kind, settled=draw(st.booleans())), None
    config = draw(configs(draw(st.sampled_from([SETS[0], SETS[0], SETS[1]]))))
    newest = draw(st.none() | st.builds(Optime, st.integers(0, 2), st.integers(0, 3)))
    said = Statement(newest=newest, complete=draw(st.sampled_from([True, True, True, False])))
    if kind is Kind.REMOVED:
        return Answer(kind, config=config), said
    state = draw(st.sampled_from(["SECONDARY"] * 5 + ["PRIMARY", "RECOVERING", "STARTUP2"]))
    alone = draw(st.booleans())
    statuses = tuple(
        MemberStatus(
            member.host,
            draw(st.sampled_from(["SECONDARY", "SECONDARY", "PRIMARY"])),
            healthy=not alone and draw(st.booleans()),
        )
        for member in config.members
    )
    return Answer(kind, state=state, set_name="shop", config=config, statuses=statuses), said


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    replicas = draw(st.integers(0, PODS))
    told = {o: draw(answers()) for o in range(PODS) if draw(st.booleans())}
    claims = {o: (f"data-shop-{o}",) for o in range(PODS) if o in told or draw(st.booleans())}
    pods = {o: Pod(f"shop-{o}", uid=f"u{o}", claims=claims.get(o, ())) for o in told}
    stateful_set = StatefulSet("u", "1", replicas, "shop", recorded=draw(st.sampled_from(["", *SETS])))
    seen = Snapshot(stateful_set, pods, claims, {o: answer for o, (answer, _said) in told.items()})
    return Evidence(seen, {o: said for o, (_answer, said) in told.items() if said})


@st.composite
def cases(draw: st.DrawFn) -> tuple[Evidence, Choice]:
    """Evidence, and what somebody types: mostly what the report asks for, and sometimes anything."""
    found = draw(evidences())
    accept = draw(st.sampled_from([*found.set_ids, *found.set_ids, "id9"]))
    others = [f"shop-{o}" for o, a in found.seen.answers.items() if a.set_id != accept]
    empty = draw(st.just([]) | st.just(others) | st.lists(st.sampled_from([f"shop-{o}" for o in range(PODS)])))
    choice = Choice(accept, frozenset(), frozenset(empty))
    if draw(st.integers(0, 3)):
        # Random words alone would seldom be the right ones.
        needed = facts(TARGET, choice, found)["needed"]
        return found, dataclasses.replace(choice, lost=frozenset(needed.get("lost", ())))
    lost = draw(st.frozensets(st.sampled_from(LOST)) | st.just(frozenset(LOST)))
    return found, dataclasses.replace(choice, lost=lost)


def steps(choice: Choice, found: Evidence) -> tuple[Step, ...]:
    told = plan(TARGET, choice, found)
    return told.steps if isinstance(told, Plan) else ()


def known(found: Evidence, set_id: str) -> dict[int, Optime]:
    """Newest writes of pods that hold all data of the set."""
    return {
        o: said.newest
        for o, said in found.statements.items()
        if said.newest and said.complete and found.seen.answers[o].set_id == set_id
    }


def newest_config(found: Evidence, set_id: str) -> Config:
    """By a rule of its own: nobody has one that is newer; in a circle the forced one."""
    told = [c for a in found.seen.answers.values() if (c := a.config) and c.set_id == set_id]
    unbeaten = [c for c in told if not any(other.newer_than(c) for other in told)]
    return (unbeaten or sorted((c for c in told if c.forced), key=lambda c: -c.version))[0]


def label_of(member: MemberConfig) -> str:
    return member.host.partition(".")[0]


def check_force(found: Evidence, choice: Choice, force: Step) -> None:
    ordinal = force.data["ordinal"]
    answered = {o: a for o, a in found.seen.answers.items() if a.set_id == choice.accept}
    data = known(found, choice.accept)
    steady = [o for o in data if answered[o].kind is Kind.REMOVED or answered[o].state in ("PRIMARY", "SECONDARY")]
    # Only the newest, and of the set that was typed.
    assert ordinal in steady
    for other, newest in data.items():
        assert newest <= data[ordinal] or f"shop-{other}" in choice.lost
    # Nobody who leads, or hears a leader.
    for answer in answered.values():
        assert answer.state != "PRIMARY"
        assert not any(status.healthy and status.state == "PRIMARY" for status in answer.statuses)
    # Whoever does not tell is named, unless it never had data.
    config = newest_config(found, choice.accept)
    arbiters = {label_of(member) for member in config.members if member.arbiter_only}
    for pod, answer in found.seen.answers.items():
        if f"shop-{pod}" in arbiters:
            continue
        if answer.kind in (Kind.UNREACHABLE, Kind.REFUSED, Kind.STANDALONE) or (
            answer.kind is Kind.UNINITIALISED and not answer.settled
        ):
            assert f"shop-{pod}" in choice.lost
        if pod in answered and pod not in data:
            assert f"shop-{pod}" in choice.lost
    for left in found.seen.claims:
        assert left in found.seen.answers or f"shop-{left}" in choice.lost | arbiters
    # No member of the newest configuration is unaccounted for, by name or by number.
    full = [member for member in config.members if not member.arbiter_only]
    for member in full:
        label = label_of(member)
        if label.startswith("shop-"):
            assert int(label[5:]) in data or label in choice.lost
    assert len(full) <= len(data) + len(choice.lost)
    # A majority under its right names needs no force, if anybody in it can be elected.
    here = [m for m in config.members if any(m.host == NAMES["right"].format(o) for o in answered)]
    assert sum(m.votes for m in here) * 2 <= config.voters or not any(m.electable for m in here)


@settings(max_examples=HISTORIES * 8, deadline=None)
@given(cases())
def test_what_never_happens(case: tuple[Evidence, Choice]) -> None:
    found, choice = case
    assert steps(Choice(), found) == ()
    told = plan(TARGET, choice, found)
    if isinstance(told, Refusal):
        assert told.choices
        return
    changes = told.changes
    assert sum(step.action == FORCE for step in changes) <= 1
    for step in changes:
        if step.action == FORCE:
            check_force(found, choice, step)
            assert changes[0].action == BACK_UP
        if step.action == EMPTY:
            assert step.target in choice.empty
            assert found.seen.answers[step.data["ordinal"]].set_id != choice.accept
    if changes and choice.accept not in found.set_ids:
        raise AssertionError("acted on a set that nobody has")
    leads = any(a.state == "PRIMARY" and a.set_id == choice.accept for a in found.seen.answers.values())
    if told.steps and told.steps[0].action in (EMPTY, RECORD):
        assert leads


def carried_out(found: Evidence, step: Step) -> Evidence:
    """What the step leaves behind, the moment it is taken."""
    seen = found.seen
    if step.action == BACK_UP:
        return dataclasses.replace(found, backups=found.backups | {step.target})
    if step.action == RECORD:
        assert seen.stateful_set
        recorded = dataclasses.replace(seen.stateful_set, recorded=step.data["set_id"])
        return dataclasses.replace(found, seen=dataclasses.replace(seen, stateful_set=recorded))
    ordinal = step.data["ordinal"]
    if step.action == EMPTY:
        answer = Answer(Kind.UNINITIALISED)
    else:
        old = seen.answers[ordinal].config
        assert old
        host = step.data["host"]
        only = Config("shop", old.set_id, old.version + 70000, 0, (MemberConfig(0, host),))
        answer = Answer(Kind.MEMBER, "", "SECONDARY", "shop", only, (MemberStatus(host, "SECONDARY", healthy=True),), 1)
    return dataclasses.replace(found, seen=dataclasses.replace(seen, answers={**seen.answers, ordinal: answer}))


def elected(found: Evidence) -> Evidence:
    """The only member of a set becomes its primary."""
    answers = {
        o: dataclasses.replace(answer, state="PRIMARY")
        if answer.kind is Kind.MEMBER and answer.config and len(answer.config.members) == 1 and answer.config.forced
        else answer
        for o, answer in found.seen.answers.items()
    }
    return dataclasses.replace(found, seen=dataclasses.replace(found.seen, answers=answers))


@settings(max_examples=HISTORIES * 5, deadline=None)
@given(cases())
def test_it_ends_and_forces_once_however_often_it_is_killed(case: tuple[Evidence, Choice]) -> None:
    """Every turn is a run of its own that is killed after its first step: it knows only what is there."""
    found, choice = case
    forced = 0
    for turn in range(2 * PODS + 8):
        told = plan(TARGET, choice, found)
        if isinstance(told, Refusal):
            assert not forced, told.sentence()
            return
        if not told.steps:
            return
        first = told.steps[0]
        if not first.change:
            before, found = found, elected(found)
            if before == found:
                return  # it waits for something that this test does not bring about
            continue
        forced += first.action == FORCE
        assert forced <= 1, turn
        found = carried_out(found, first)
    raise AssertionError("it does not end")
