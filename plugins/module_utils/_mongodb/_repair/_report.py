# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a repair tells people: the table of the evidence, what it comes to, and what would be done. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._judge import Case
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._plan import (
    apart_choices,
    plan,
    refuse_to_force,
    risk,
    what_they_hear,
    words,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Choice, Evidence, Heard
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Kind
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, plan_lines

# What a situation is called in results.
HEALTHY = "healthy"
PRIMARY_THERE = "no_repair_needed"
ELECTION = "election_pending"
APART = "members_apart"
STALE_NAMES = "stale_names"
LOST_MAJORITY = "lost_majority"
SEVERAL_SETS = "several_sets"
NO_SET = "no_set"
NO_ANSWER = "no_answer"


@dataclasses.dataclass(frozen=True)
class Report:
    situation: str
    #: what it is, a sentence each
    diagnosis: tuple[str, ...]
    #: what would be lost or is not known
    risk: str = ""
    #: what has to be typed for a repair; empty where none is needed or possible
    needed: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    would: t.Union[Plan, Refusal] = dataclasses.field(default_factory=Plan)


def report(target: Target, choice: Choice, found: Evidence) -> Report:
    """What the evidence comes to, and what a repair would do with everything typed that it needs."""
    set_ids = found.set_ids
    if not set_ids:
        return _without_set(target, found)
    if len(set_ids) > 1 and choice.accept not in set_ids:
        return _several(target, found)
    case = Case(target, found, choice.accept if choice.accept in set_ids else set_ids[0])
    situation, diagnosis = _diagnosis(case)
    foreign = tuple(_foreign(case, ordinal) for ordinal in case.others)
    if foreign and situation == HEALTHY:
        situation = SEVERAL_SETS
    if situation not in (STALE_NAMES, LOST_MAJORITY):
        return Report(situation, (*diagnosis, *foreign))
    lost = frozenset(case.missing)
    typed = Choice(case.set_id, lost, choice.empty)
    refusal = refuse_to_force(case, typed)
    needed = {} if refusal else {"accept": case.set_id, "lost": sorted(lost)}
    would = plan(target, typed, found)
    return Report(situation, (*diagnosis, *foreign), risk(case), needed, would)


def _without_set(target: Target, found: Evidence) -> Report:
    seen = found.seen
    if seen.of_kind(Kind.NO_USER):
        names = ", ".join(target.pod(ordinal) for ordinal in seen.of_kind(Kind.NO_USER))
        return Report(
            NO_SET,
            (f"{names}: a set was begun and has no user yet. mongodb_replica_set goes on with it; see what it says.",),
        )
    empty = seen.of_kind(Kind.UNINITIALISED)
    if not empty or len(empty) < len(seen.answers):
        return Report(
            NO_ANSWER,
            ("no pod that answers shows a replica set: nothing can be judged before those that hold one do",),
        )
    if not seen.recorded:
        return Report(NO_SET, ("no pod holds a replica set, and none is recorded: mongodb_replica_set forms one",))
    return Report(
        NO_SET,
        (
            f"every disk is empty, and set {seen.recorded} was formed here: there is nothing to repair from. Give the "
            "pods back their volumes, or restore a backup",
        ),
    )


def _several(target: Target, found: Evidence) -> Report:
    told = []
    for set_id in found.set_ids:
        case = Case(target, found, set_id)
        newest = case.newest()
        names = ", ".join(target.pod(ordinal) for ordinal in case.holders)
        wrote = f", newest write {case.newest_of(newest)} on {target.pod(newest)}" if newest is not None else ""
        recorded = ", recorded on the StatefulSet" if set_id == found.seen.recorded else ""
        told.append(f"set {set_id}{recorded}: {names}{wrote}")
    return Report(
        SEVERAL_SETS,
        (
            "the pods hold several sets, which never become one; only you can know which data to keep",
            *told,
        ),
        "the writes of the sets that are not kept, when the disks of their pods are emptied",
        {
            "accept": "the set id to keep",
            "lost": [],
            "empty": "names of the pods that hold the others, to empty their disks",
        },
    )


def _foreign(case: Case, ordinal: int) -> str:
    answer = case.seen.answer(ordinal)
    holds = f"set {answer.set_id}" if answer.set_id else "a set that has no user yet"
    return (
        f"{case.target.pod(ordinal)} holds {holds}: it becomes a member of {case.set_id} only when its disk is "
        f"emptied (empty: [{case.target.pod(ordinal)}])"
    )


def _diagnosis(case: Case) -> tuple[str, tuple[str, ...]]:
    target = case.target
    if case.primary is not None:
        troubles = tuple(_trouble(case, ordinal) for ordinal in case.ordinals if _troubled(case, ordinal))
        named = [f"{host} should be {right or 'the name of a pod'}" for host, right in case.wrongly_named.items()]
        if named:
            troubles += (
                "the configuration has other names than the pods: " + "; ".join(named) + ". A primary is there, so an "
                "ordinary reconfiguration (rs.reconfig) does; nothing has to be forced",
            )
        leads = f"{target.pod(case.primary)} is primary of set {case.set_id}"
        if not troubles:
            return HEALTHY, (f"{leads}, and every member is PRIMARY or SECONDARY: there is nothing to repair",)
        return PRIMARY_THERE, (f"{leads}: nothing has to be forced", *troubles)
    if case.heard_primary:
        return PRIMARY_THERE, (f"{case.heard_primary}, which does not answer here: nothing has to be forced",)
    if case.can_elect:
        return ELECTION, (f"no member is primary, and {case.can_elect}: one will be elected",)
    if case.majority_named_rightly:
        return APART, (
            "a majority answers here, under names that are right, and the members do not hear each other: a forced "
            "configuration would not help",
            *what_they_hear(case),
            f"what you can do: {'; or '.join(apart_choices(case))}",
        )
    if case.wrongly_named:
        names = "; ".join(f"{host} (now {right})" if right else host for host, right in case.wrongly_named.items())
        return STALE_NAMES, (
            f"no member is primary, and the configuration names members that are not to be found there: {names}",
            *_gone(case),
        )
    return LOST_MAJORITY, ("no member is primary, and no majority is left that could elect one", *_gone(case))


def _gone(case: Case) -> tuple[str, ...]:
    gone = tuple(f"{name} may have newer data: {why}" for name, why in case.missing.items())
    replicas = case.seen.stateful_set.replicas if case.seen.stateful_set else 0
    beyond = [ordinal for ordinal in case.seen.claims if ordinal >= replicas and ordinal not in case.seen.pods]
    if not beyond:
        return gone
    claims = ", ".join(claim for ordinal in beyond for claim in case.seen.claims[ordinal])
    return (
        *gone,
        f"the StatefulSet has {replicas} replicas, and there are claims of more ({claims}): give it "
        f"{max(beyond) + 1} first, since their members may come back with all that they have",
    )


def _troubled(case: Case, ordinal: int) -> bool:
    if ordinal in case.others:
        return False  # told apart
    found = case.seen.stateful_set
    declared = ordinal in case.by_name or (found is not None and ordinal < found.replicas)
    return declared and not case.seen.answer(ordinal).serves


def _trouble(case: Case, ordinal: int) -> str:
    """What is wrong with one member of a set that has a primary, and who mends it."""
    name, answer = case.target.pod(ordinal), case.seen.answer(ordinal)
    config = case.config
    declared = config is not None and config.member(case.target.host(ordinal, case.seen)) is not None
    if answer.kind is Kind.UNINITIALISED and declared:
        return (
            f"{name} has an empty disk, and the primary gives it everything: wait, or see what mongodb_replica_set says"
        )
    if answer.kind is Kind.UNINITIALISED:
        return f"{name} is empty and in no set: mongodb_replica_set adds it"
    if answer.kind is Kind.REMOVED and declared:
        return (
            f"{name} is REMOVED though the configuration has it: it did not find itself under its own name, which may "
            f"not have resolved when it started. Delete the pod {name}, so that mongod starts anew"
        )
    if answer.kind is Kind.REMOVED and not answer.set_id:
        return (
            f"{name} is REMOVED, and has no users to show its configuration to, as an arbiter: empty its disk (empty: "
            f"[{name}]), and mongodb_replica_set adds it again"
        )
    if answer.kind is Kind.REMOVED:
        return f"{name} is REMOVED, and the configuration does not have it: mongodb_replica_set adds it again"
    return f"{name} does not serve ({answer.state or answer.detail or answer.kind.value})"


# The table.

_COLUMNS = ("pod", "answer", "state", "set id", "config", "newest write", "disk")


def members(target: Target, found: Evidence) -> list[dict[str, t.Any]]:
    """The evidence of every pod in plain data."""
    seen = found.seen
    ordinals = {*seen.pods, *seen.claims, *seen.answers}
    ordinals |= set(range(seen.stateful_set.replicas if seen.stateful_set else 0))
    return [_member(target, found, ordinal) for ordinal in sorted(ordinals)]


def _member(target: Target, found: Evidence, ordinal: int) -> dict[str, t.Any]:
    seen = found.seen
    answer, said, pod = seen.answer(ordinal), found.statement(ordinal), seen.pods.get(ordinal)
    config, newest = answer.config, said.newest
    return {
        "pod": target.pod(ordinal),
        "exists": pod is not None,
        "answer": answer.kind.value,
        "detail": answer.detail or None,
        "state": answer.state or ("REMOVED" if answer.kind is Kind.REMOVED else None),
        "replica_set": (config.set_name if config else answer.set_name) or None,
        "set_id": answer.set_id or None,
        "config_version": config.version if config else None,
        "config_term": config.term if config and not config.forced else None,
        "config_hosts": [member.host for member in config.members] if config else [],
        "newest_write": dataclasses.asdict(newest) if newest else None,
        "data_complete": said.complete if newest else None,
        "problem": said.problem or None,
        "new_disk": ordinal in found.new_disks,
        "claims": list(seen.claims.get(ordinal, ())),
        "hears": [dataclasses.asdict(heard) for heard in said.heard],
    }


def table(target: Target, found: Evidence) -> list[str]:
    """The same for eyes."""
    rows = [_COLUMNS, *(_row(target, found, member) for member in members(target, found))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    named: dict[str, list[str]] = {}
    for ordinal, answer in found.seen.answers.items():
        if answer.config:
            hosts = ", ".join(member.host for member in answer.config.members)
            named.setdefault(f"{words(answer.config)} names {hosts}", []).append(target.pod(ordinal))
    lines += [f"{', '.join(pods)}: {said}" for said, pods in named.items()]
    for ordinal, said_ in sorted(found.statements.items()):
        if said_.heard:
            lines.append(f"{target.pod(ordinal)}: {'; '.join(_heard(heard) for heard in said_.heard)}")
    return lines


def _heard(heard: Heard) -> str:
    if heard.healthy:
        return f"hears {heard.host} ({heard.state})"
    return f"does not hear {heard.host} ({f'last at {heard.last}' if heard.last else 'never did'})"


def _row(target: Target, found: Evidence, member: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    ordinal = int(member["pod"].rpartition("-")[2])
    newest, config = found.statement(ordinal).newest, found.seen.answer(ordinal).config
    wrote = str(newest) if newest else found.statement(ordinal).problem or "-"
    if newest and not found.statement(ordinal).complete:
        wrote += " (first copy not finished)"
    disk = "data" if member["exists"] else "no pod"
    if member["answer"] == Kind.UNINITIALISED.value:
        disk = "new" if member["new_disk"] else "empty"
    elif member["exists"] and not member["set_id"]:
        disk = "?"
    return (
        member["pod"],
        member["answer"],
        member["state"] or "-",
        member["set_id"] or "-",
        words(config) if config else "-",
        wrote,
        disk,
    )


def facts(target: Target, choice: Choice, found: Evidence) -> dict[str, t.Any]:
    """The state in a result."""
    told = report(target, choice, found)
    set_id = choice.accept if choice.accept in found.set_ids else ""
    case = Case(target, found, set_id or found.set_ids[0]) if found.set_ids else None
    primary = case.primary if case else None
    would = told.would
    return {
        "situation": told.situation,
        "diagnosis": list(told.diagnosis),
        "risk": told.risk or None,
        "needed": dict(told.needed),
        "would": plan_lines(would) if isinstance(would, Plan) else [would.sentence()],
        "set_ids": list(found.set_ids),
        "recorded_set_id": found.seen.recorded or None,
        "primary": target.pod(primary) if primary is not None else None,
        "backups": sorted(found.backups),
        "members": members(target, found),
        "table": table(target, found),
    }
