# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What results say of a replica set, and what is wrong with it: from one snapshot. Pure."""

from __future__ import annotations

import calendar
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._measures import Measures
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
    PRIMARY,
    SECONDARY,
    Answer,
    Kind,
    MemberConfig,
    MemberStatus,
    Snapshot,
)

# Part of a certificate's life below which the next run renews it.
RENEW_AT = 1 / 3
# Seconds that a secondary may be behind before it is called a problem.
LAG_LIMIT = 10


def measured_facts(state: dict[str, t.Any], target: Target, measured: t.Mapping[int, Measures]) -> None:
    """Add to the state what was measured; null where a member could not be asked."""
    known = {target.pod(ordinal): one for ordinal, one in measured.items()}
    for member in state["members"]:
        one = known.get(member["pod"] or "", Measures())
        member["disk"] = one.disk.facts() if one.disk else None
        member["oplog"] = one.oplog.facts() if one.oplog else None
    state["oplog_hours"] = next(
        (one.oplog.hours for pod, one in known.items() if pod == state["primary"] and one.oplog), None
    )


def facts(target: Target, seen: Snapshot, now: float) -> dict[str, t.Any]:
    """The state of the set in plain data. ``now`` is seconds since the epoch."""
    config, primary = seen.config, seen.primary
    view = {status.host: status for status in seen.answers[primary].statuses} if primary is not None else {}
    ordinals = set(seen.pods) | (set(range(seen.stateful_set.replicas)) if seen.stateful_set else set(seen.claims))
    hosts = {target.host(ordinal, seen): ordinal for ordinal in ordinals}
    known = {member.host: member for member in config.members} if config else {}
    newest = max((status.optime for status in view.values() if status.state == PRIMARY), default=0.0)
    members = [
        _member(target, seen, ordinal, host, known.get(host), view.get(host), newest, now)
        for host, ordinal in sorted(hosts.items(), key=lambda item: item[1])
    ]
    members += [_stranger(member, view.get(host), newest) for host, member in known.items() if host not in hosts]
    return {
        "replica_set": config.set_name if config else None,
        "set_id": config.set_id if config else None,
        "recorded_set_id": seen.recorded or None,
        "config_version": config.version if config else None,
        "term": config.term if config else None,
        "primary": target.pod(primary) if primary is not None else None,
        "feature_compatibility_version": seen.feature_version or None,
        "voting_members": seen.answers[primary].voting if primary is not None else None,
        "members": members,
        "left_claims": [
            claim for ordinal, claims in seen.claims.items() if ordinal not in ordinals for claim in claims
        ],
    }


def _member(
    target: Target,
    seen: Snapshot,
    ordinal: int,
    host: str,
    member: t.Optional[MemberConfig],
    status: t.Optional[MemberStatus],
    newest: float,
    now: float,
) -> dict[str, t.Any]:
    pod, answer = seen.pods.get(ordinal), seen.answer(ordinal)
    claims = seen.claims.get(ordinal, ()) or (pod.claims if pod else ())
    created = _epoch(pod.created) if pod else None
    own = answer.status(host)
    if status and own and own.optime > status.optime:
        # Its own word is newer than what the primary heard of it by the last heartbeat.
        status = dataclasses.replace(status, optime=own.optime)
    return {
        "pod": target.pod(ordinal),
        **_replication(host, member, status, newest),
        "state": _state(answer, status),
        "health": status.healthy if status else answer.kind is Kind.MEMBER,
        "claim": ", ".join(claims) or None,
        "node": (pod.node or None) if pod else None,
        "age_seconds": max(0, int(now - created)) if created else None,
        "ready": bool(pod and pod.ready),
        "certificate_days_left": _days_left(answer, now),
        "blocked": _blocked(seen, ordinal, status),
    }


def _stranger(member: MemberConfig, status: t.Optional[MemberStatus], newest: float) -> dict[str, t.Any]:
    """A member of the configuration that has no pod here."""
    return {
        "pod": None,
        **_replication(member.host, member, status, newest),
        "state": status.state if status else "UNKNOWN",
        "health": bool(status and status.healthy),
        "claim": None,
        "node": None,
        "age_seconds": None,
        "ready": False,
        "certificate_days_left": None,
        "blocked": "it is in the configuration and has no pod here",
    }


def _days_left(answer: Answer, now: float) -> t.Optional[int]:
    return int((answer.certificate[1] - now) // 86400) if answer.certificate else None


def _replication(
    host: str, member: t.Optional[MemberConfig], status: t.Optional[MemberStatus], newest: float
) -> dict[str, t.Any]:
    lag = None
    if status and status.healthy and status.optime and newest:
        lag = max(0, round(newest - status.optime))
    return {
        "host": host,
        "lag_seconds": lag,
        "priority": member.priority if member else None,
        "votes": member.votes if member else None,
        "hidden": member.hidden if member else None,
        "tags": dict(member.tags) if member else None,
        "secondary_delay_secs": member.secondary_delay_secs if member else None,
        "arbiter_only": member.arbiter_only if member else None,
        "horizons": dict(member.horizons) if member else None,
    }


def _state(answer: Answer, status: t.Optional[MemberStatus]) -> str:
    """Its own word first; the primary's where it cannot be asked; else why there is none."""
    if answer.state:
        return answer.state
    if status:
        return status.state
    return {
        Kind.UNREACHABLE: "UNREACHABLE",
        Kind.UNINITIALISED: "NOT INITIALISED",
        Kind.REFUSED: "LOGIN REFUSED",
        Kind.REMOVED: "REMOVED",
        Kind.STANDALONE: "STANDALONE",
    }.get(answer.kind, "UNKNOWN")


def _blocked(seen: Snapshot, ordinal: int, status: t.Optional[MemberStatus]) -> t.Optional[str]:
    pod, answer = seen.pods.get(ordinal), seen.answer(ordinal)
    if pod is None:
        return "its pod does not exist"
    if pod.obstacle:
        return f"its pod {pod.obstacle}"
    if answer.kind in (Kind.UNREACHABLE, Kind.REFUSED):
        return answer.detail
    if status and not status.serves:
        return status.message or f"it is {status.state}"
    return None


def problems(target: Target, seen: Snapshot, now: float) -> list[str]:
    """What a person on call should know, one sentence each."""
    if not seen.stateful_set:
        return [f"there is no StatefulSet {target.name} in namespace {target.namespace}"]
    found = _secret_problems(target, seen)
    told = {answer.set_id for answer in seen.answers.values() if answer.set_id}
    if len(told) > 1 or (seen.recorded and told and told != {seen.recorded}):
        found.append(f"not all members are of the same replica set: {'; '.join(evidence(target, seen))}")
    state = facts(target, seen, now)
    if state["config_version"] is None:
        found.append("no member reports a configuration")
    elif state["primary"] is None:
        found.append("no member is primary; where that stays so, mongodb_repair tells why")
    elif not seen.recorded:
        found.append("the set id is not recorded on the StatefulSet; mongodb_replica_set records it")
    for member in state["members"]:
        name = member["pod"] or member["host"]
        if member["blocked"]:
            found.append(f"{name}: {member['blocked']}")
        elif member["state"] not in (PRIMARY, SECONDARY, ARBITER):
            found.append(f"{name} is {member['state']}")
        elif member["votes"] is None:
            found.append(f"{name} is not in the configuration")
        lag = (member["lag_seconds"] or 0) - (member["secondary_delay_secs"] or 0)
        if lag > LAG_LIMIT:
            found.append(f"{name} is {lag} s behind the primary")
    found += _certificate_problems(target, seen, now)
    config = seen.config
    if config and config.voters % 2 == 0:
        found.append(f"the number of voting members is even ({config.voters})")
    return found


def _certificate_problems(target: Target, seen: Snapshot, now: float) -> list[str]:
    found = []
    for ordinal, answer in seen.answers.items():
        begins, ends = answer.certificate or (0.0, 0.0)
        days = _days_left(answer, now)
        if days is not None and ends - now < (ends - begins) * RENEW_AT:
            left = f"has {days} days left" if days >= 0 else "has run out"
            found.append(f"{target.pod(ordinal)}: its certificate {left}; the playbook stateful.kube.mongodb renews it")
    return found


def _secret_problems(target: Target, seen: Snapshot) -> list[str]:
    if any(answer.open for answer in seen.answers.values()):
        return ["it lets anybody in without a login (mongodb_authentication)"]
    if not seen.secret:
        return [f"there is no Secret {target.root_secret} to log in with (root_secret)"]
    if not seen.password_pending:
        return []
    return [
        f"a change of the root user's password has begun and is not complete (Secret {target.root_secret}); "
        "mongodb_root_password completes it"
    ]


def _epoch(stamp: str) -> t.Optional[float]:
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None
