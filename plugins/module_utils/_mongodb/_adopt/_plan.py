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

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import Found, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import ARBITER, Config, Kind
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RENAME, WAIT, planned_on
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption

# Seconds for which a member's last answer to a heartbeat counts.
HEARD = 5.0


def application(target: Target) -> adoption.Application:
    return adoption.Application("mongodb", "MongoDB", target.name, target.namespace, "stateful.kube/replica-set")


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


def _whose(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    return adoption.whose(application(target), found.objects, wish.from_helm)


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
    if found.objects.services or not wish.rename or not wrong:
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
    more = [] if found.snapshot.recorded else [f"record the set id {found.set_ids[0]} on it"]
    return adoption.marks(application(target), found.objects, more)


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
