# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a repair does with what the user typed, or why it does not: from one look alone. Pure.

Nothing is forced where a majority can elect, or where its names are right and something else keeps the members apart;
nothing is forced while anybody may be newer who is not given up by name; and only the newest is started from.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import evidence as told_by_all
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._judge import Case
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Choice, Evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config, Kind
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RECORD, WAIT
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

BACK_UP = "back_up"
FORCE = "force"
EMPTY = "empty"


def plan(target: Target, choice: Choice, found: Evidence) -> t.Union[Plan, Refusal]:
    """The ordered steps for what was typed. Without ``accept`` there are none."""
    refusal = _nothing_to_go_by(target, found)
    if refusal:
        return refusal
    if not choice.accept:
        return Plan()
    if choice.accept not in found.set_ids:
        return Refusal(
            f"accept is {choice.accept}, and no pod that answers holds a set with that id.",
            told_by_all(target, found.seen),
            tuple(f"type accept: {set_id}" for set_id in found.set_ids)
            or ("wait until the members answer, and run again",),
        )
    case = Case(target, found, choice.accept)
    return _wrong_words(case, choice) or _planned(case, choice)


def _planned(case: Case, choice: Choice) -> t.Union[Plan, Refusal]:
    steps: list[Step] = []
    if case.primary is None:
        if case.heard_primary:
            steps.append(_wait(case, f"wait until the primary answers here too: {case.heard_primary}"))
        elif case.can_elect:
            steps.append(_wait(case, f"wait until a member is primary: {case.can_elect}"))
        else:
            forced = _forced(case, choice)
            if isinstance(forced, Refusal):
                return forced
            steps += forced
    if case.seen.recorded != case.set_id:
        instead = f" in place of {case.seen.recorded}" if case.seen.recorded else ""
        steps.append(
            Step(
                RECORD,
                case.target.name,
                f"record the set id {case.set_id}{instead} on the StatefulSet {case.target.name}",
                data={"set_id": case.set_id},
            )
        )
    # What another disk holds goes last: only when the set that is kept is known to live.
    for ordinal in sorted(int(name.rpartition("-")[2]) for name in choice.empty):
        steps += _emptied(case, ordinal)
    return Plan(tuple(steps), _left(case, choice))


def _forced(case: Case, choice: Choice) -> t.Union[list[Step], Refusal]:
    refusal = refuse_to_force(case, choice)
    first, config = case.newest(choice.lost), case.config
    own = case.seen.answer(first).config if first is not None else None
    if refusal or first is None or config is None or own is None:
        return refusal or _nobody(case)
    name, host = case.target.pod(first), case.target.host(first, case.seen)
    backup = backup_name(case.target, config)
    steps: list[Step] = []
    if backup not in case.evidence.backups:
        steps.append(
            Step(
                BACK_UP,
                backup,
                f"save the configuration of every member that has one ({words(config)}) in the ConfigMap {backup}",
                data={"name": backup, "set_id": case.set_id},
            )
        )
    member = case.by_name.get(first)
    steps.append(
        Step(
            FORCE,
            name,
            f"force on {name}, which has the newest write ({case.newest_of(first)}), a configuration with {host} as "
            "its only member",
            data={
                "ordinal": first,
                "host": host,
                "member": member.host if member else "",
                "version": own.version,
                "term": own.term,
                "newest": case.newest_of(first),
                "before": shown(own),
                "after": f"{host}\n",
            },
        )
    )
    steps.append(_wait(case, f"wait until {name} is primary"))
    return steps


def _emptied(case: Case, ordinal: int) -> list[Step]:
    name, answer = case.target.pod(ordinal), case.seen.answer(ordinal)
    if answer.kind is Kind.UNINITIALISED or ordinal in case.holders:
        return []  # it is empty, or has become a member
    if not answer.set_id and answer.kind not in (Kind.NO_USER, Kind.REFUSED, Kind.REMOVED):
        why = answer.detail or answer.kind.value
        return [_wait(case, f"wait until {name} says what is on its disk, before it is emptied or after it ({why})")]
    holds = f"set {answer.set_id}" if answer.set_id else answer.kind.value
    claims = ", ".join(case.seen.claims.get(ordinal, ()))
    after = case.evidence.volumes.get(ordinal, "")
    what = f"the claim {claims}" if claims else "its volume, which goes with the pod"
    return [
        Step(
            EMPTY,
            name,
            f"empty the disk of {name} ({holds}): delete the pod and {what}{f' ({after})' if after else ''}",
            data={
                "ordinal": ordinal,
                "uid": case.seen.pods[ordinal].uid,
                "claims": case.seen.claims.get(ordinal, ()),
                "before": f"{name}: {holds}\n",
                "after": f"{name}: empty\n",
            },
        )
    ]


def _left(case: Case, choice: Choice) -> tuple[str, ...]:
    left = [name for o in case.others if (name := case.target.pod(o)) not in choice.empty]
    if not left:
        return ()
    return (
        f"{', '.join(left)}: what is on the disk is none of set {case.set_id}, and stays. mongodb_replica_set does not "
        "go on beside it. When its data is saved or of no use, type the pod's name in empty.",
    )


def _wait(case: Case, sentence: str) -> Step:
    return Step(WAIT, case.target.name, sentence, change=False)


def backup_name(target: Target, config: Config) -> str:
    """The same configuration has the same name, so a run that goes on saves nothing twice."""
    term = "" if config.forced else f"-t{config.term}"
    return f"{target.name}-replica-set-config-v{config.version}{term}-{config.set_id[-6:]}"


def words(config: Config) -> str:
    return f"version {config.version}, forced" if config.forced else f"version {config.version}, term {config.term}"


def shown(config: Config) -> str:
    return "".join(f"{member.host}\n" for member in config.members)


# Why not.


def _nothing_to_go_by(target: Target, found: Evidence) -> t.Optional[Refusal]:
    if not found.seen.stateful_set:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}, so there are no pods to ask.",
            (),
            ("correct name and namespace", "bring the StatefulSet back over its claims, and run again"),
        )
    if not found.seen.secret:
        return Refusal(
            f"There is no Secret {target.root_secret} in namespace {target.namespace} (root_secret): without a login "
            "no member shows what it has.",
            (),
            ("bring the Secret back, with the username and password of the root user", "name the right one"),
        )
    return None


def _wrong_words(case: Case, choice: Choice) -> t.Optional[Refusal]:
    kept = [case.target.pod(ordinal) for ordinal in case.holders]
    # Some of them may be named: emptied by an earlier run, and given the data again by the others.
    if choice.empty.issuperset(kept):
        return Refusal(
            f"empty names {', '.join(kept)}, whose disk holds the very set to keep ({case.set_id}).",
            told_by_all(case.target, case.seen),
            (f"leave {', '.join(kept)} out of empty",),
        )
    fixed = {
        name: ", ".join(pod.claims)
        for o, pod in case.seen.pods.items()
        if (name := case.target.pod(o)) in choice.empty and pod.claims and not case.seen.claims.get(o)
    }
    if fixed:
        told = "; ".join(f"{name} ({claims})" for name, claims in fixed.items())
        return Refusal(
            f"empty names pods whose claims are not made by a template of the StatefulSet: {told}. Nothing would make "
            "them again.",
            (),
            ("empty these volumes by hand while the pods are away",),
        )
    config = case.config
    if config and config.set_name != case.target.replica_set:
        return Refusal(
            f"Set {case.set_id} has the name {config.set_name}, and replica_set is {case.target.replica_set}: mongod "
            "takes no other name than that of its --replSet.",
            told_by_all(case.target, case.seen),
            (f"declare replica_set: {config.set_name}, here and in --replSet of the pods",),
        )
    return None


def refuse_to_force(case: Case, choice: Choice) -> t.Optional[Refusal]:
    """The first reason why no configuration is forced, or None."""
    for rule in (_only_apart, _unnamed_missing, _lost_answers, _no_start):
        found = rule(case, choice)
        if found:
            return found
    return None


def _only_apart(case: Case, _choice: Choice) -> t.Optional[Refusal]:
    """A majority answers here under names that are right: then no other configuration would help."""
    if not case.majority_named_rightly:
        return None
    return Refusal(
        "A majority of the members answers here, under the names that the configuration has for them, and they do not "
        "hear each other: another configuration would not change that, so none is forced.",
        what_they_hear(case),
        apart_choices(case),
    )


def apart_choices(case: Case) -> tuple[str, ...]:
    removed = [case.target.pod(o) for o in case.rightly_named if case.seen.answer(o).kind is Kind.REMOVED]
    if removed:
        return (
            f"delete the pods {', '.join(removed)}, so that mongod starts anew: it did not find itself under its own "
            "name, which may not have resolved when it started",
            "look whether these names resolve inside the pods",
        )
    return (
        "look at the name service, and at NetworkPolicies between the pods",
        "look whether all pods have the same key file",
    )


def _unnamed_missing(case: Case, choice: Choice) -> t.Optional[Refusal]:
    unnamed = {name: why for name, why in case.missing.items() if name not in choice.lost}
    if not unnamed:
        return None
    return Refusal(
        "Somebody may have newer data than those that answer, and is not named in lost: "
        f"{'; '.join(f'{name} ({why})' for name, why in unnamed.items())}.",
        (risk(case),),
        (
            "bring them back: that loses nothing",
            f"type lost: [{', '.join(sorted({*unnamed, *choice.lost}))}], if they are gone for good and will not come "
            "back on their own",
        ),
    )


def _lost_answers(case: Case, choice: Choice) -> t.Optional[Refusal]:
    there = [name for o in case.holders if case.can_lead(o) and (name := case.target.pod(o)) in choice.lost]
    if not there:
        return None
    return Refusal(
        f"lost names {', '.join(there)}, and that pod answers with data of set {case.set_id}: it is not lost.",
        told_by_all(case.target, case.seen),
        (f"leave {', '.join(there)} out of lost",),
    )


def _no_start(case: Case, choice: Choice) -> t.Optional[Refusal]:
    newest = case.newest(choice.lost)
    if newest is None:
        return _nobody(case)
    if case.can_lead(newest):
        return None
    name, answer = case.target.pod(newest), case.seen.answer(newest)
    member = case.by_name.get(newest)
    why = "it builds no indexes" if member and not member.build_indexes else answer.state or answer.kind.value
    return Refusal(
        f"{name} has the newest write ({case.newest_of(newest)}), and no set can be started from it ({why}).",
        told_by_all(case.target, case.seen),
        (
            f"wait until {name} is SECONDARY, and run again",
            f"type lost: [{', '.join(sorted({name, *choice.lost}))}], to do without what it alone has",
        ),
    )


def _nobody(case: Case) -> Refusal:
    return Refusal(
        f"No pod has data of set {case.set_id} that is known to be complete, so there is none to start from.",
        tuple(f"{name}: {why}" for name, why in case.missing.items()),
        ("bring back a member that has the data", "restore a backup into a new set"),
    )


def what_they_hear(case: Case) -> tuple[str, ...]:
    """Whom members do not hear, and what they say of it."""
    said = []
    for ordinal in case.holders:
        name, answer = case.target.pod(ordinal), case.seen.answer(ordinal)
        if answer.kind is Kind.REMOVED:
            said.append(f"{name} is REMOVED: {answer.detail}")
        for heard in case.evidence.statement(ordinal).heard:
            if not heard.healthy:
                since = f" since {heard.last}" if heard.last else ""
                why = f" ({heard.message})" if heard.message else ""
                said.append(f"{name} does not hear {heard.host}{since}{why}")
    return tuple(said)


def risk(case: Case) -> str:
    """What would be lost, or is not known."""
    if not case.missing:
        return "every member answers: nothing is lost that the newest of them has"
    names, newest = ", ".join(case.missing), case.newest()
    if case.safe:
        return (
            f"what a majority acknowledged is on those that answer; only writes that {names} had alone, and no "
            "majority acknowledged, would be lost"
        )
    left = f", and the newest that is left is of {case.newest_of(newest)}" if newest is not None else ""
    return (
        f"no majority of the members answers with its data{left}: later writes, acknowledged ones among them, may be "
        f"on {names} alone, and would be lost"
    )
