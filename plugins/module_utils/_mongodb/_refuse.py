# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""When the replica set operation will not go on: the evidence, and what the user can choose. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Answer, Config, Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal

HAS_CONFIG = (Kind.MEMBER, Kind.NO_USER, Kind.REMOVED)


def refuse(target: Target, desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    """The first reason not to go on, or None."""
    for rule in (_standalone, _two_sets, _emptied, _left_claims, _other_data, _locked_out):
        found = rule(target, desired, seen)
        if found:
            return found
    config = seen.config
    return _foreign_config(target, desired, seen, config) if config else None


def evidence(target: Target, seen: Snapshot) -> tuple[str, ...]:
    """What each member said, and what is recorded."""
    said = [f"{target.pod(ordinal)} {_said(answer)}" for ordinal, answer in seen.answers.items()]
    if seen.recorded:
        said.append(f"the StatefulSet records set id {seen.recorded}")
    return tuple(said)


def _said(answer: Answer) -> str:
    if answer.set_id:
        return f"is {answer.kind.value} of set id {answer.set_id} ({answer.state or 'no state'})"
    if answer.kind is Kind.NO_USER:
        return f"is in set {answer.set_name} and has no user yet ({answer.state or 'no state'})"
    if answer.kind is Kind.REFUSED:
        return "refuses the login"
    if answer.users:
        return f"is {answer.kind.value} and has users, so its disk has data"
    return f"is {answer.kind.value}" if not answer.detail else f"is {answer.kind.value} ({answer.detail})"


def without_majority(target: Target, desired: Desired, seen: Snapshot) -> t.Optional[str]:
    """Why members cannot leave while most of those that vote do not answer, or None.

    It may pass: this is for who has waited for a while.
    """
    config = seen.config
    if config is None or seen.primary is not None or seen.stateful_set is None:
        return None
    if seen.stateful_set.replicas <= desired.members and not _leaving(target, desired, seen, config):
        return None
    voters = [target.ordinal(member.host, seen) for member in config.members if member.votes]
    there = [ordinal for ordinal in voters if ordinal is not None and seen.answer(ordinal).serves]
    if len(there) * 2 > len(voters):
        return None
    away = [target.pod(ordinal) for ordinal in voters if ordinal is not None and ordinal not in there]
    return (
        f"{len(there)} of {len(voters)} voting members answer, which is no majority: no member can become primary, "
        f"and none can be taken out of the configuration safely. Nothing was changed. Seen: "
        f"{'; '.join(evidence(target, seen))}. What you can do: bring {', '.join(away)} back and run again; or, if "
        "they are lost for good, see with stateful.kube.mongodb_repair who has the newest data, and decide there."
    )


def _leaving(target: Target, desired: Desired, seen: Snapshot, config: Config) -> bool:
    return any(target.ordinal(member.host, seen) not in desired.ordinals for member in config.members)


def _standalone(target: Target, _desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    found = [target.pod(ordinal) for ordinal in seen.of_kind(Kind.STANDALONE)]
    if not found:
        return None
    return Refusal(
        f"mongod in {', '.join(found)} runs without --replSet, so it can be in no replica set.",
        (),
        (f"start it with --replSet {target.replica_set}",),
    )


def _two_sets(target: Target, _desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    told = {answer.set_id for answer in seen.answers.values() if answer.set_id}
    if seen.recorded and told and told != {seen.recorded}:
        return Refusal(
            f"The replica set that was formed here has set id {seen.recorded}, and members report another one: "
            "their disks hold another replica set.",
            evidence(target, seen),
            (
                "give these pods back the claims of the recorded replica set",
                "if the members are right, or some of them, see with mongodb_repair what each one has, and type the "
                "set id to keep in its option accept",
            ),
        )
    if len(told) > 1 or _apart(seen):
        return Refusal(
            "These pods hold more than one replica set, and nobody but you can know which one has the data to keep.",
            evidence(target, seen),
            (
                "see with mongodb_repair what each one has, type the set id to keep in its option accept and the pods "
                "whose disks may be emptied in empty, and run again",
            ),
        )
    return None


def _apart(seen: Snapshot) -> bool:
    """Whether members without users, whose set id nobody may read, name sets that have no member in common."""
    groups: list[set[str]] = []
    for ordinal in seen.of_kind(Kind.MEMBER, Kind.NO_USER):
        answer = seen.answers[ordinal]
        hosts = {status.host for status in answer.statuses}
        if answer.config:
            hosts |= {member.host for member in answer.config.members}
        joined = [group for group in groups if group & hosts]
        groups = [group for group in groups if not group & hosts] + [hosts.union(*joined)]
    return len(groups) > 1


def _emptied(target: Target, desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    """A set was formed here, and every member says with certainty that it has none, or one without users."""
    if not seen.recorded:
        return None
    # Members that are to leave may be the only ones that still have it.
    answers = [seen.answer(ordinal) for ordinal in sorted({*desired.ordinals, *seen.pods})]
    if not all(
        (answer.kind is Kind.UNINITIALISED and answer.settled) or answer.kind is Kind.NO_USER for answer in answers
    ):
        return None
    return Refusal(
        f"A replica set was formed here (set id {seen.recorded}), and no member has it any more: the disks were "
        "emptied or replaced.",
        evidence(target, seen),
        (
            "give the pods back their claims",
            f"to start anew without the data, empty the disks, remove the annotation that records the set id "
            f"from the StatefulSet {target.name} and run again",
        ),
    )


def _left_claims(target: Target, desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    """Disks that nobody will ask may hold the set that a new one would replace."""
    left = [claim for ordinal, claims in seen.claims.items() if ordinal >= desired.members for claim in claims]
    if not left or seen.recorded or seen.of_kind(*HAS_CONFIG, Kind.REFUSED):
        return None
    return Refusal(
        f"There are claims of members beyond members: {desired.members} ({', '.join(left)}), and no replica set is "
        "known here: they may hold the one that was. A new one is not formed beside it.",
        evidence(target, seen),
        (
            f"declare members: {max(seen.claims) + 1}, so that these disks are asked too",
            "or delete the claims, if you know that they hold nothing of worth",
        ),
    )


def _other_data(target: Target, _desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    """A new set begins with the data of pod 0 alone, and overwrites that of whoever joins."""
    if seen.recorded or seen.of_kind(*HAS_CONFIG):
        return None
    # A starting member of a set says the same for a moment.
    having = [ordinal for ordinal, answer in seen.answers.items() if ordinal and answer.users and answer.settled]
    if not having:
        return None
    names = ", ".join(target.pod(ordinal) for ordinal in having)
    return Refusal(
        f"The disks of {names} have users, so data, and are of no replica set. A new one would begin with what "
        f"{target.pod(0)} has, and overwrite them: expected data on the disk of {target.pod(0)} alone, or on none.",
        evidence(target, seen),
        (
            f"where {target.pod(0)} has the data to keep, give {names} empty claims",
            f"where another one has it, give that data to the claim of {target.pod(0)}, and empty claims to the others",
        ),
    )


def _locked_out(target: Target, _desired: Desired, seen: Snapshot) -> t.Optional[Refusal]:
    refused = seen.of_kind(Kind.REFUSED)
    if not refused or seen.of_kind(Kind.MEMBER, Kind.NO_USER, Kind.REMOVED):
        return None
    names = ", ".join(target.pod(ordinal) for ordinal in refused)
    if not seen.secret:
        return Refusal(
            f"There is no Secret {target.root_secret} in namespace {target.namespace} to log in with (root_secret), "
            f"and these members let nobody in without: {names}.",
            evidence(target, seen),
            ("create the Secret with the username and password of the root user", "name the right one"),
        )
    return Refusal(
        f"The password in Secret {target.namespace}/{target.root_secret} (root_secret) is not that of user "
        f"{seen.root_user}: these members have users, and refuse this login: {names}.",
        evidence(target, seen),
        ("put the right username and password into the Secret", "name the right Secret"),
    )


def _foreign_config(target: Target, desired: Desired, seen: Snapshot, config: Config) -> t.Optional[Refusal]:
    """Something in the configuration that this operation did not make and will not touch."""
    if config.set_name != target.replica_set:
        return Refusal(
            f"The members are in a replica set named {config.set_name}, and replica_set is {target.replica_set}. "
            "The name of a replica set can never be changed.",
            evidence(target, seen),
            (f"declare replica_set: {config.set_name}",),
        )
    for member in config.members:
        ordinal = target.ordinal(member.host, seen)
        if ordinal is None:
            return _foreign_member(target, member.host)
        if ordinal not in desired.ordinals:
            continue
        if member.arbiter_only != desired.member(ordinal).arbiter_only:
            is_one, wanted = ("an arbiter", "none") if member.arbiter_only else ("no arbiter", "one")
            return Refusal(
                f"{member.host} is {is_one}, and {wanted} is declared (arbiter_only in member_options): a member can "
                "never become the one from the other.",
                (),
                (
                    f"declare arbiter_only: {str(member.arbiter_only).lower()} for ordinal {ordinal}",
                    f"or scale it away first: run with members: {ordinal}, delete its claim, and then run with it",
                ),
            )
        if member.build_indexes != desired.member(ordinal).build_indexes:
            return Refusal(
                f"build_indexes of {target.pod(ordinal)} is {str(member.build_indexes).lower()} and can never be "
                f"changed; declared is {str(desired.member(ordinal).build_indexes).lower()} (member_options).",
                (),
                (f"declare build_indexes: {str(member.build_indexes).lower()} for ordinal {ordinal}",),
            )
    return None


def _foreign_member(target: Target, host: str) -> Refusal:
    first = host.partition(":")[0].partition(".")[0]
    prefix, _dash, number = first.rpartition("-")
    if prefix == target.name and number.isdigit():
        return Refusal(
            f"{first} is in the configuration under the name {host}, and its stable name is another one: renaming a "
            "member under clients that use the old name is not done silently.",
            (),
            (
                "declare service, cluster_domain and port as they are in the configuration",
                "change the name by hand (rs.reconfig), and run again",
                "where no member is primary any more because of that, see with mongodb_repair what each one has, and "
                "let it start anew from the newest",
            ),
        )
    return Refusal(
        f"{host} is in the configuration and is no pod of the StatefulSet {target.name}.",
        (),
        (
            "remove that member by hand (rs.remove), and run again",
            "where no member is primary any more, see with mongodb_repair what each one has, and let it start anew "
            "from the newest",
        ),
    )
