# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""How a replica set that somebody else made is taken over, without a restart and without force. Pure.

First the objects are marked as ours, then who manages their fields, then members get their stable names: one
reconfiguration each, while all others serve, and the primary last.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import (
    CLAIM,
    MANAGED_BY,
    SET,
    Found,
    Thing,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import ARBITER, Config, Kind
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RENAME, WAIT, planned_on
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

MARK = "mark"
TAKE_OVER = "take_over"
NAME, INSTANCE = "app.kubernetes.io/name", "app.kubernetes.io/instance"
OURS = "stateful.kube"
KEEP = "helm.sh/resource-policy"
# Seconds for which a member's last answer to a heartbeat counts.
HEARD = 5.0


def labels_of(target: Target) -> dict[str, str]:
    return {NAME: "mongodb", INSTANCE: target.name, MANAGED_BY: OURS}


def plan(target: Target, wish: Wish, found: Found) -> t.Union[Plan, Refusal]:
    """Without ``accept`` it is for the evidence alone, and plans nothing."""
    refusal = _refuse(target, wish, found)
    if refusal:
        return refusal
    if not wish.accept:
        return Plan()
    steps = _marks(target, found)
    if wish.rename:
        steps += _renames(target, found)
    return Plan(tuple(steps))


# When it is refused


def _refuse(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    for rule in (_whose, _where, _what, _which, _who, _nameless, _renames_by_others):
        refusal = rule(target, wish, found)
        if refusal:
            return refusal
    return None


def _things(found: Found) -> list[Thing]:
    return [thing for thing in (found.stateful_set, found.service) if thing]


def _whose(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    """Somebody else who would put it back as it was, or delete it."""
    if found.stateful_set is None:
        return Refusal(f"There is no StatefulSet {target.name} in namespace {target.namespace}: nothing to adopt.")
    for thing in _things(found):
        if thing.owner:
            return Refusal(
                f"{thing} is owned by {thing.owner}, whose operator would undo whatever is changed here. Nothing was "
                "changed.",
                (f"metadata.ownerReferences of {thing} names {thing.owner} as its controller",),
                (
                    "leave it to that operator",
                    "take the operator away in a way that leaves the StatefulSet without ownerReferences, and run "
                    "again",
                ),
            )
        name, instance = thing.labels.get(NAME), thing.labels.get(INSTANCE)
        if thing.labels.get(MANAGED_BY) == OURS and (name, instance) != ("mongodb", target.name):
            return Refusal(
                f"{thing} is part of {name} {instance}, another application of this collection. Nothing was changed.",
                (f"labels {NAME}={name}, {INSTANCE}={instance}",),
                ("name the right StatefulSet",),
            )
    helm = [str(thing) for thing in _things(found) if thing.helm]
    if helm and not wish.from_helm:
        return Refusal(
            f"Helm manages {' and '.join(helm)}: its next upgrade would put everything back, and an uninstall would "
            "delete it. Nothing was changed.",
            tuple(f"{thing} has the label {MANAGED_BY}={thing.labels.get(MANAGED_BY)}" for thing in _things(found)),
            (
                "set from_helm to true, and afterwards delete the Secrets sh.helm.release.v1.* of the release, so that "
                "Helm knows nothing of it any more; never upgrade or uninstall it, which goes by what they hold and "
                "would delete the set with its Secrets",
            ),
        )
    return None


def _where(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    if not found.elsewhere:
        return None
    return Refusal(
        f"The data of {target.name} is in {found.elsewhere}, which the role cannot declare: the next run would give "
        "each member an empty folder. Nothing was changed.",
        (),
        (
            "move the data into claims of the StatefulSet (volumeClaimTemplates) first, one member after the other",
            "back it up, and restore it into a set that the playbook stateful.kube.mongodb makes",
        ),
    )


def _what(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    seen = found.snapshot
    alone = [target.pod(ordinal) for ordinal in seen.of_kind(Kind.STANDALONE)]
    if alone or not seen.of_kind(Kind.MEMBER, Kind.NO_USER, Kind.REMOVED, Kind.REFUSED, Kind.UNREACHABLE):
        return Refusal(
            f"The pods of StatefulSet {target.name} are no replica set: "
            f"{f'{alone[0]} runs without --replSet' if alone else 'none of them has a configuration'}.",
            evidence(target, seen),
            ("run the playbook stateful.kube.mongodb under another name, and move the data there",),
        )
    # An arbiter has no users, and lets nobody in who does.
    refused = [
        target.pod(ordinal)
        for ordinal in seen.of_kind(Kind.REFUSED, Kind.NO_USER)
        if seen.answer(ordinal).state != ARBITER
    ]
    if refused:
        return Refusal(
            f"These members let nobody read their configuration: {', '.join(refused)}.",
            evidence(target, seen),
            (
                f"put name and password of a user with the role root into Secret {target.namespace}/"
                f"{target.root_secret}, under username and password (root_secret)",
            ),
        )
    return None


def _which(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    ids, seen = found.set_ids, found.snapshot
    if len(ids) > 1:
        return Refusal(
            "These pods hold more than one replica set, and nobody but you can know which one has the data to keep.",
            evidence(target, seen),
            ("see with mongodb_repair what each one has",),
        )
    if seen.recorded and ids and seen.recorded != ids[0]:
        return Refusal(
            f"The StatefulSet records set id {seen.recorded}, and its members report {ids[0]}: their disks hold "
            "another replica set.",
            evidence(target, seen),
            ("see with mongodb_repair what each one has",),
        )
    if wish.accept and ids and wish.accept != ids[0]:
        return Refusal(
            f"accept is {wish.accept}, and the set id of {target.namespace}/{target.name} is {ids[0]}. Nothing was "
            "changed.",
            evidence(target, seen),
            ("type the set id that the report shows",),
        )
    return None


def _who(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    """What cannot be asked may be another set, and a member that is away is none to reconfigure around."""
    seen, config = found.snapshot, found.snapshot.config
    away = [
        f"{target.pod(ordinal)} ({seen.answer(ordinal).detail or 'no answer'})"
        for ordinal in seen.of_kind(Kind.UNREACHABLE)
    ]
    away += [member.host for member in config.members if found.pod_of(member) is None] if config else []
    if away:
        return Refusal(
            f"Every member has to answer before a set is adopted, and these do not: {', '.join(away)}. Nothing was "
            "changed.",
            evidence(target, seen),
            (
                "bring them back and run again",
                "take a member that is gone for good out of the configuration (rs.remove) and run again",
            ),
        )
    if seen.primary is None or config is None:
        return Refusal(
            f"The replica set in the pods of {target.name} has no primary. Nothing was changed.",
            evidence(target, seen),
            ("see with mongodb_repair what is wrong",),
        )
    return None


def _nameless(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    """Without the Service nobody resolves the names that members would get."""
    wrong = found.misnamed(target)
    if found.service is not None or not wish.rename or not wrong:
        return None
    return Refusal(
        f"The members of {target.name} are to get their stable names, and the headless Service that resolves them is "
        "not there. Nothing was changed.",
        tuple(f"{target.pod(ordinal)} would be {host} in place of {member.host}" for ordinal, member, host in wrong),
        (
            "make the Service that spec.serviceName of the StatefulSet names, headless, with its pods as selector",
            "leave the names as they are (rename_members: false)",
        ),
    )


def _renames_by_others(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    """A sidecar that knows members by their addresses would put these back, by force."""
    wrong = found.misnamed(target)
    if not found.sidecar or wish.sidecar_stopped or not wish.rename or not wrong:
        return None
    return Refusal(
        f"Container {found.sidecar} in the pods of {target.name} keeps the configuration by itself, by the names that "
        "it knows, and forces it: members that were renamed would be added once more. Nothing was changed.",
        tuple(f"{target.pod(ordinal)} is {member.host}" for ordinal, member, _host in wrong),
        (
            "take away its right to list pods (its RoleBinding or ClusterRoleBinding), so that it does nothing, and "
            "set sidecar_stopped to true: the next run of the playbook stateful.kube.mongodb takes it out of the pods",
        ),
    )


# What is done


def _marks(target: Target, found: Found) -> list[Step]:
    steps = []
    for thing in found.claims:
        if _unmarked(target, thing):
            steps.append(_mark(target, thing, "", batch="mark-claims"))
    if found.service and _unmarked(target, found.service):
        steps.append(_mark(target, found.service, ""))
    own = found.stateful_set
    if own:
        more = []
        if not found.snapshot.recorded:
            more.append(f"record the set id {found.set_ids[0]} on it")
        if not found.keeps_claims:
            more.append("keep its claims when it is deleted or scaled (persistentVolumeClaimRetentionPolicy)")
        if not found.on_delete:
            more.append("leave its pods alone when its template changes (OnDelete)")
        if more or _unmarked(target, own):
            steps.append(_mark(target, own, "".join(f", and {what}" for what in more)))
    for thing in _things(found):
        if thing.managers:
            sentence = f"take over the fields of {thing} from {', '.join(thing.managers)}, as they are"
            steps.append(Step(TAKE_OVER, str(thing), sentence, data={"thing": thing}))
    return steps


def _unmarked(target: Target, thing: Thing) -> bool:
    wanted = labels_of(target)
    if thing.kind == CLAIM:
        del wanted[MANAGED_BY]
    told = thing.kind != SET or "stateful.kube/replica-set" in thing.annotations
    kept = thing.kind == CLAIM or not thing.helm or thing.annotations.get(KEEP) == "keep"
    return not (told and kept) or any(thing.labels.get(key) != value for key, value in wanted.items())


def _mark(target: Target, thing: Thing, more: str, batch: t.Optional[str] = None) -> Step:
    sentence = f"mark {thing} as part of MongoDB {target.name}{more}"
    return Step(MARK, str(thing), sentence, batch=batch, data={"thing": thing})


def _renames(target: Target, found: Found) -> list[Step]:
    seen, config = found.snapshot, found.snapshot.config
    if config is None:
        return []
    wrong = sorted(found.misnamed(target), key=lambda one: (one[0] == seen.primary, -one[0]))
    steps: list[Step] = []
    for number, (ordinal, member, host) in enumerate(wrong):
        missing = _missing(found, config) if not number else f"{wrong[number - 1][2]} under its new name"
        if missing:
            steps.append(Step(WAIT, target.name, f"wait until every member serves: {missing}", change=False))
        steps.append(
            Step(
                RENAME,
                target.pod(ordinal),
                f"give {target.pod(ordinal)} its stable name: {host} in place of {member.host}",
                data={"host": member.host, "to": host, **planned_on(config)},
            )
        )
    if not wrong and (missing := _missing(found, config)):
        steps.append(Step(WAIT, target.name, f"wait until every member serves: {missing}", change=False))
    return steps


def _missing(found: Found, config: Config) -> str:
    """Members of which a majority could be lacking one, as the primary and they themselves say."""
    seen = found.snapshot
    answer = seen.answers[t.cast(int, seen.primary)]
    late = []
    for member in config.members:
        status, ordinal = answer.status(member.host), found.pod_of(member)
        itself = ordinal is not None and seen.answer(ordinal).serves
        if not (status and status.serves and status.silent <= HEARD and itself):
            late.append(member.host)
    if not late and answer.voting != config.voters:
        late.append(f"{answer.voting} of {config.voters} votes count so far")
    return ", ".join(late)
