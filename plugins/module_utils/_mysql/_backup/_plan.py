# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Plans a backup: which server is read, and what is to be done. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import destination
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import (
    BINLOG,
    DUMPED,
    FULL,
    PHYSICAL,
    Manifest,
    continuing,
    covered,
    fulls,
    outdated,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB, MYSQL
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

# Seconds that a replica may be behind and still be read.
LAG_LIMIT = 10.0


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of a backup."""

    dest: str
    kind: str = FULL
    keep: int = 0
    read_from: str = ""
    verify: bool = False
    method: str = DUMPED


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """Read and check the options. Raises Failure that names the option."""
    for option in ("verify", "read_from"):
        if params[option] and params["mode"] == BINLOG:
            raise Failure(
                f"{option}: not with mode binlog, which reads the primary's binary log and can be proven only by a "
                "restore. Leave it out."
            )
    if params["method"] == PHYSICAL and params["mode"] == BINLOG:
        raise Failure(
            "method: physical is for mode full, found mode binlog, which copies files of the binary log always. Leave "
            "method out; binary logs continue full backups of both methods."
        )
    return Wish(
        dest=destination(params),
        kind=params["mode"],
        keep=params["keep"],
        read_from=params["read_from"] or "",
        verify=params["verify"],
        method=params["method"],
    )


@dataclasses.dataclass(frozen=True)
class Around:
    """What one look saw, of the servers and of the place."""

    seen: Snapshot
    #: which life of the data this is
    set_id: str = ""
    #: the backup whose restore into this application has not come to its end
    restoring: str = ""
    manifests: tuple[Manifest, ...] = ()
    leftovers: tuple[str, ...] = ()
    #: what this run has done already
    made: bool = False
    verified: bool = False

    @property
    def own(self) -> list[Manifest]:
        """Backups of this very data. Those of an earlier application of its name are none of our business."""
        return [one for one in self.manifests if one.set_id == self.set_id]


def plan(target: Target, wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    refusal = refused(target, around.seen) or _refused(target, wish, around)
    if refusal:
        return refusal
    steps = [
        Step("remove", name, f"remove {name}, which a run that was killed left in {wish.dest}")
        for name in around.leftovers
    ]
    warnings: tuple[str, ...] = ()
    if not around.made and not _nothing_new(target, wish, around):
        ordinal, why = choose(target, wish, around.seen)
        if ordinal is None:
            steps.append(Step("wait", target.name, f"wait for a server to read from: {why}", change=False))
        else:
            steps.append(_dump(target, wish, around.seen, ordinal))
            primary = around.seen.record and around.seen.record.primary == target.pod(ordinal)
            if primary and wish.kind == FULL and not wish.read_from:
                warnings = (f"{target.pod(ordinal)} is the only server, so the primary is read.",)
    if wish.verify and not around.verified:
        how = "start a server of its own on it, and read every table"
        if wish.method == DUMPED:
            how = "restore it into a server of its own, dump that, and compare"
        steps.append(Step("verify", target.name, f"verify it: {how}"))
    old = _outdated(target, wish, around)
    steps += [Step("remove", one.backup, f"remove {one.backup} (up to {one.until})") for one in old]
    return Plan(tuple(steps), warnings)


def refused(target: Target, seen: Snapshot) -> t.Optional[Refusal]:
    """What holds for a backup as well as for a restore."""
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}, so nothing can be backed up or "
            "restored.",
            choices=("correct name and namespace", "deploy the application first (stateful.kube.mysql)"),
        )
    if not seen.secret:
        return Refusal(
            f"There is no Secret {target.root_secret} in namespace {target.namespace} to log in with.",
            choices=("name the right one in root_secret",),
        )
    if seen.record is None or seen.record.epoch == 0:
        return Refusal(
            f"Nobody has been primary of {target.name} yet, so there are no data to speak of.",
            choices=("run the playbook stateful.kube.mysql first",),
        )
    if seen.record.importing:
        return Refusal(
            f"Data of {seen.record.importing} is being imported into {target.name}: it is nothing whole to back up, "
            "and nothing may be restored beside it.",
            choices=("finish the import (playbook stateful.kube.mysql_import with cut_over)", "give it up"),
        )
    return None


def choose(target: Target, wish: Wish, seen: Snapshot) -> tuple[t.Optional[int], str]:
    """The server to read, or why there is none now.

    Of replicas that are close behind the one with the highest number, because the lowest are the first to be primary.
    The primary only where there is nobody else, or where it is named; of its binary log nobody else has the newest.
    """
    view = View(target, as_it_is(seen, LAG_LIMIT), seen)
    if wish.kind == BINLOG:
        return (view.primary, "") if view.promoted else (None, view.said(view.primary))
    if wish.read_from:
        ordinal = t.cast(int, target.ordinal(wish.read_from))
        return (ordinal, "") if seen.answer(ordinal).serves else (None, view.said(ordinal))
    replicas = [ordinal for ordinal in view.replicas if ordinal in view.desired.ordinals]
    fit = [ordinal for ordinal in replicas if view.fit(ordinal)]
    if fit:
        return fit[-1], ""
    if not replicas:
        return (view.primary, "") if view.primary_answer.serves else (None, view.said(view.primary))
    why = "; ".join(view.unfit(ordinal) for ordinal in replicas)
    return None, f"{why}. Name the primary in read_from if it is to be read"


def _nothing_new(target: Target, wish: Wish, around: Around) -> bool:
    """Whether a backup holds all that the primary has."""
    ends = continuing(around.own)
    if wish.kind != BINLOG or not ends or around.seen.record is None:
        return False
    executed = around.seen.answer(t.cast(int, target.ordinal(around.seen.record.primary))).executed
    return executed is not None and fulls(around.own)[0].history(ends[0]).contains(executed)


def _dump(target: Target, wish: Wish, seen: Snapshot, ordinal: int) -> Step:
    pod = target.pod(ordinal)
    role = "primary" if seen.record and seen.record.primary == pod else "replica"
    sentence = f"dump all databases and accounts of {pod} ({role}) into {wish.dest}"
    if wish.method == PHYSICAL:
        sentence = f"copy the files of {pod} ({role}) into {wish.dest}"
    if wish.kind == BINLOG:
        sentence = f"copy the binary log since the last backup from {pod} ({role}) into {wish.dest}"
    return Step("dump", pod, sentence, data={"ordinal": ordinal})


def _outdated(target: Target, wish: Wish, around: Around) -> list[Manifest]:
    if not wish.keep:
        return []
    if around.made or wish.kind == BINLOG:
        return outdated(around.own, wish.keep)
    if wish.keep == 1:
        ordinal, _why = choose(target, wish, around.seen)
        answer = around.seen.answer(ordinal) if ordinal is not None else Answer(Kind.UNREACHABLE)
        flavour, history = MARIADB if "mariadb" in answer.version.lower() else MYSQL, answer.executed
        # All of them once there is a newer one, and their binary logs as far as it has what is in them.
        old = [one for one in around.own if one.kind == FULL or (history and covered(one, flavour, history))]
        return sorted(old, key=lambda one: (one.until, one.backup))
    return outdated(around.own, wish.keep - 1)


def _refused(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    if around.restoring:
        return Refusal(
            f"A restore of {around.restoring} into {target.name} has not come to its end, so there is nothing whole to "
            "back up.",
            choices=("run that restore to its end, with the same options",),
        )
    if wish.kind == BINLOG and not fulls(around.own):
        return Refusal(
            "Binary logs continue a full backup, and there is none of this very data there.",
            evidence=(
                f"dest is {wish.dest}",
                *(f"{one.backup} is of other data ({one.set_id})" for one in around.manifests),
            ),
            choices=("take a full backup first (mode full)", "correct dest"),
        )
    ordinal = target.ordinal(wish.read_from) if wish.read_from else None
    if wish.read_from and ordinal not in around.seen.pods:
        return Refusal(
            f"read_from: {wish.read_from} is no pod of {target.name}.",
            evidence=(f"there are {', '.join(pod.name for pod in around.seen.pods.values()) or 'none'}",),
            choices=("name one of these", "leave read_from out"),
        )
    return None
