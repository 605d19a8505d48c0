# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Plans a backup: from which member it is read, and what is to be done. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import destination
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    OPLOG,
    Manifest,
    fulls,
    outdated,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import LAG_LIMIT
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import missing_secret
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    PRIMARY,
    SECONDARY,
    MemberConfig,
    MemberStatus,
    Snapshot,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of a backup."""

    dest: str
    kind: str = FULL
    keep: int = 0
    read_from: str = ""
    gzip: bool = True
    verify: bool = False


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """Read and check the options. Raises Failure that names the option."""
    if params["verify"] and params["mode"] == OPLOG:
        raise Failure(
            "verify: expected false where mode is oplog, because a slice alone cannot be restored. Leave it out."
        )
    return Wish(
        dest=destination(params),
        kind=params["mode"],
        keep=params["keep"],
        read_from=params["read_from"] or "",
        gzip=params["gzip"],
        verify=params["verify"],
    )


@dataclasses.dataclass(frozen=True)
class Around:
    """What one look saw, of the set and of the folder."""

    seen: Snapshot
    manifests: tuple[Manifest, ...] = ()
    leftovers: tuple[str, ...] = ()
    #: what this run has done already
    made: bool = False
    verified: bool = False

    @property
    def set_id(self) -> str:
        config = self.seen.config
        return config.set_id if config else ""

    @property
    def own(self) -> list[Manifest]:
        """Backups of this very set. Those of an earlier one of its name are none of our business."""
        return [one for one in self.manifests if one.set_id == self.set_id]


def plan(target: Target, wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    refusal = _refusal(target, wish, around)
    if refusal:
        return refusal
    steps = [
        Step("remove", name, f"remove {name}, which a run that was killed left in {wish.dest}")
        for name in around.leftovers
    ]
    warnings: tuple[str, ...] = ()
    if not around.made:
        ordinal, why = choose(target, around.seen, wish.read_from)
        if ordinal is None:
            steps.append(Step("wait", target.name, f"wait for a member to read from: {why}", change=False))
        else:
            steps.append(Step("dump", target.pod(ordinal), _sentence(target, wish, around, ordinal)))
            if around.seen.answers[ordinal].state == PRIMARY and not wish.read_from:
                warnings = (
                    f"{target.pod(ordinal)} is the only member that holds data, so the backup is read from the "
                    "primary.",
                )
    if wish.verify and wish.kind == FULL and not around.verified:
        steps.append(
            Step("verify", target.name, "verify it: restore it into a member of its own and compare every collection")
        )
    steps += [Step("remove", one.backup, f"remove {one.backup} ({_age(one)})") for one in _outdated(wish, around)]
    return Plan(tuple(steps), warnings)


def _sentence(target: Target, wish: Wish, around: Around, ordinal: int) -> str:
    member = f"{target.pod(ordinal)} ({around.seen.answers[ordinal].state})"
    if wish.kind == OPLOG:
        return f"copy the oplog since the last backup from {member} into {wish.dest}"
    return f"dump all databases and the oplog meanwhile from {member} into {wish.dest}"


def _outdated(wish: Wish, around: Around) -> list[Manifest]:
    if not wish.keep:
        return []
    if around.made or wish.kind == OPLOG:
        return outdated(around.own, wish.keep)
    if wish.keep == 1:
        # All of them once there is a newer one, and their slices with them.
        return sorted(around.own, key=lambda one: (one.end, one.backup))
    return outdated(around.own, wish.keep - 1)


def _age(manifest: Manifest) -> str:
    if manifest.kind == OPLOG:
        return "a slice that none of the kept backups needs"
    return f"of {manifest.ended}"


def _refusal(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    seen = around.seen
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}, so there is nothing to back up.",
            choices=("correct name and namespace",),
        )
    if not seen.secret:
        return Refusal(missing_secret(target))
    if wish.kind == OPLOG and seen.config and not fulls(around.own):
        return Refusal(
            "An oplog slice continues a full backup, and there is none of this replica set there.",
            evidence=(
                f"dest is {wish.dest}",
                *(f"{one.backup} is of the set {one.set_id}" for one in around.manifests),
            ),
            choices=("take a full backup first (mode full)", "correct dest"),
        )
    if wish.read_from and wish.read_from not in {pod.name for pod in seen.pods.values()}:
        return Refusal(
            f"read_from: {wish.read_from} is none of the set's pods.",
            evidence=(f"there are {', '.join(pod.name for pod in seen.pods.values()) or 'none'}",),
            choices=("name one of these", "leave read_from out"),
        )
    return None


def choose(target: Target, seen: Snapshot, read_from: str) -> tuple[t.Optional[int], str]:
    """The member to read from, or why there is none now.

    A hidden secondary before others, then the one that is least likely to become primary, then the one that is least
    behind. The primary only where nobody else holds data, or where it is named.
    """
    config = seen.config
    if config is None:
        return None, "no member tells a configuration"
    if read_from:
        ordinal = next(o for o, pod in seen.pods.items() if pod.name == read_from)
        answer = seen.answer(ordinal)
        return (ordinal, "") if answer.serves else (None, f"{read_from} {answer.detail or f'is {answer.state}'}")
    ordinals = {target.host(ordinal, seen): ordinal for ordinal in seen.pods}
    newest = max((one.optime for one in _statuses(seen).values()), default=0.0)
    fit: list[tuple[bool, float, float, int]] = []
    behind: list[str] = []
    others = [member for member in config.members if not member.secondary_delay_secs and member.host in ordinals]
    for member in others:
        ordinal = ordinals[member.host]
        answer, status = seen.answer(ordinal), _statuses(seen).get(member.host)
        if answer.serves and answer.state == SECONDARY and status:
            lag = newest - status.optime
            if lag > LAG_LIMIT:
                behind.append(f"{target.pod(ordinal)} is {lag:.0f} s behind")
            else:
                fit.append((not member.hidden, member.priority, lag, ordinal))
        elif answer.state != PRIMARY:
            behind.append(f"{target.pod(ordinal)} {answer.detail or f'is {answer.state}'}")
    if fit:
        return min(fit)[3], ""
    primary = seen.primary
    if primary is not None and _alone(config.members, target.host(primary, seen)):
        return primary, ""
    return None, "; ".join(behind) or "no secondary is there. Name the primary in read_from if it is to be read"


def _alone(members: t.Sequence[MemberConfig], host: str) -> bool:
    return all(member.host == host or member.secondary_delay_secs or member.arbiter_only for member in members)


def _statuses(seen: Snapshot) -> dict[str, MemberStatus]:
    """The newest that anybody tells of each member."""
    found: dict[str, MemberStatus] = {}
    for answer in seen.answers.values():
        for status in answer.statuses:
            if status.host not in found or status.optime > found[status.host].optime:
                found[status.host] = status
    return found
