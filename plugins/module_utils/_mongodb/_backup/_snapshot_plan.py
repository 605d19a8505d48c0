# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Plans a backup by a snapshot of one member's volume. Pure.

A snapshot holds one volume as it was at one moment, as after a power failure, and that is what a journal is for: no
member is locked for it, so no run that is killed can leave one locked. It takes data and journal on one volume.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import FAILED
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import choose
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import LABEL, seconds
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import missing_secret
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import PRIMARY, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

Object = dict[str, t.Any]

API_VERSION = "snapshot.storage.k8s.io/v1"
KIND = "VolumeSnapshot"
CLASS = "VolumeSnapshotClass"
DEFAULT = "snapshot.storage.kubernetes.io/is-default-class"
#: on a VolumeSnapshot: what is in it
NOTE = "stateful.kube/mongodb-snapshot"
# Seconds for which one that has an error may still become ready: drivers report what they try again.
HOPE = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options."""

    snapshot_class: str = ""
    keep: int = 0
    read_from: str = ""
    verify: bool = False


@dataclasses.dataclass(frozen=True)
class Kept:
    """A VolumeSnapshot that was taken of a set, with what was noted on it."""

    name: str
    set_id: str
    taken: str
    ready: bool
    error: str = ""
    going: bool = False
    note: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    size: str = ""
    uid: str = ""

    @classmethod
    def of(cls, found: Object) -> t.Optional[Kept]:
        """None for one that others made."""
        metadata, status = found["metadata"], found.get("status") or {}
        note: t.Any = None
        with contextlib.suppress(ValueError):
            note = json.loads((metadata.get("annotations") or {}).get(NOTE) or "null")
        if not isinstance(note, dict) or not note.get("set_id"):
            return None
        return cls(
            metadata["name"],
            str(note["set_id"]),
            str(note.get("taken") or ""),
            bool(status.get("readyToUse")),
            str((status.get("error") or {}).get("message") or ""),
            bool(metadata.get("deletionTimestamp")),
            note,
            str(status.get("restoreSize") or ""),
            str(metadata.get("uid") or ""),
        )

    @property
    def wrong(self) -> bool:
        return str(self.note.get("verified") or "").startswith(FAILED)

    def facts(self) -> dict[str, t.Any]:
        return {**self.note, "snapshot": self.name, "ready": self.ready, "error": self.error or None, "size": self.size}


@dataclasses.dataclass(frozen=True)
class Around:
    """What one look saw."""

    seen: Snapshot
    snapshots: tuple[Kept, ...] = ()
    #: the driver of each member's volume, by claim
    drivers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: driver and whether it is the default, by name; None where they may not be read
    classes: t.Optional[t.Mapping[str, tuple[str, bool]]] = None
    #: the name of the one that this run takes, once it does
    made: str = ""
    verified: bool = False
    #: the id of the set, as its members told it
    set_id: str = ""
    #: seconds since the epoch
    now: float = 0.0

    @property
    def own(self) -> list[Kept]:
        """Those of this very set, the oldest first."""
        found = [one for one in self.snapshots if one.set_id == self.set_id and not one.going]
        return sorted(found, key=lambda one: (one.taken, one.name))

    @property
    def mine(self) -> t.Optional[Kept]:
        return next((one for one in self.snapshots if one.name == self.made), None)


def plan(target: Target, wish: Wish, around: Around, given_up: bool = False) -> t.Union[Plan, Refusal]:
    if given_up:
        return _taken_back(around)
    refusal = _refusal(target, wish, around)
    if refusal:
        return refusal
    steps: list[Step] = []
    warnings: tuple[str, ...] = ()
    mine = around.mine
    if not around.made:
        ordinal, why = choose(target, around.seen, wish.read_from)
        if ordinal is None:
            steps.append(_wait(target.name, f"wait for a member whose volume can be taken: {why}"))
        else:
            refusal = _of_volume(target, wish, around, ordinal)
            if refusal:
                return refusal
            steps.append(_take(target, wish, around, ordinal))
            if around.seen.answers[ordinal].state == PRIMARY and not wish.read_from:
                warnings = (f"{target.pod(ordinal)} is the only member that holds data, so its volume is taken.",)
    elif mine is None:
        raise Failure(
            f"{target.namespace}/{target.name}: VolumeSnapshot {around.made} was deleted while it was being taken. "
            "Run it again."
        )
    if not around.made or not (mine and mine.ready):
        name = around.made or "it"
        told = f": its driver says {mine.error}" if mine and mine.error else ""
        steps.append(_wait(around.made or target.name, f"wait until {name} is ready to use{told}"))
    if wish.verify and not around.verified:
        sentence = "verify it: start a mongod on a volume made of it, and validate every collection"
        steps.append(Step("verify", around.made or target.name, sentence))
    steps += [_remove(one, f", which never became ready ({one.error})") for one in failed(around)]
    steps += [_remove(one, f" (of {one.taken})") for one in outdated(wish, around)]
    return Plan(tuple(steps), warnings)


def _taken_back(around: Around) -> Plan:
    """One that never became ready is of no use to anybody."""
    mine = around.mine
    if mine and not mine.ready and not mine.going:
        return Plan((_remove(mine, ", which did not become ready"),))
    return Plan((_wait(around.made, "nothing more"),))


def failed(around: Around) -> list[Kept]:
    """Those that will not become ready any more, whoever took them."""
    return [
        one
        for one in around.own
        if one.error and not one.ready and one.name != around.made and 0 < seconds(one.taken) < around.now - HOPE
    ]


def outdated(wish: Wish, around: Around) -> list[Kept]:
    """Those beyond the number to keep, the new one included. Those that turned out to be wrong do not count."""
    if not wish.keep:
        return []
    usable = [one for one in around.own if one.ready and not one.wrong and one.name != around.made]
    others = wish.keep - 1
    return usable[: max(0, len(usable) - others)]


def snapshot(
    target: Target, name: str, claim: str, snapshot_class: str, note: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """The object. Its labels are not those of the application, with which it does not go."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": target.namespace,
            "labels": {
                "app.kubernetes.io/name": "mongodb-backup",
                "app.kubernetes.io/instance": target.name,
                "app.kubernetes.io/managed-by": "stateful.kube",
                LABEL: target.name,
            },
            "annotations": {NOTE: json.dumps(dict(note), sort_keys=True)},
        },
        "spec": {"volumeSnapshotClassName": snapshot_class, "source": {"persistentVolumeClaimName": claim}},
    }


def _take(target: Target, wish: Wish, around: Around, ordinal: int) -> Step:
    (claim,) = around.seen.pods[ordinal].claims
    chosen = class_for(wish, around, around.drivers.get(claim, ""))
    state = around.seen.answers[ordinal].state
    return Step(
        "snapshot",
        target.pod(ordinal),
        f"take a snapshot of {claim}, the volume of {target.pod(ordinal)} ({state}), by VolumeSnapshotClass {chosen}",
        data={"ordinal": ordinal, "claim": claim, "class": chosen},
    )


def class_for(wish: Wish, around: Around, driver: str) -> str:
    """The class to take it by; empty where none can be told."""
    if wish.snapshot_class:
        return wish.snapshot_class
    fit = {name: default for name, (of, default) in (around.classes or {}).items() if of == driver}
    chosen = [name for name, default in fit.items() if default] or list(fit)
    return chosen[0] if len(chosen) == 1 else ""


def _of_volume(target: Target, wish: Wish, around: Around, ordinal: int) -> t.Optional[Refusal]:
    pod = around.seen.pods[ordinal]
    if len(pod.claims) != 1:
        return Refusal(
            f"A snapshot is one moment of one volume, and {pod.name} has {len(pod.claims)} claims: expected one, with "
            "data and journal together.",
            evidence=(f"its claims are {', '.join(pod.claims) or 'none'}",),
            choices=("take a dump instead (mongodb_backup)",),
        )
    claim = pod.claims[0]
    driver = around.drivers.get(claim, "")
    known = around.classes
    named = known.get(wish.snapshot_class) if known is not None and wish.snapshot_class else None
    told = tuple(f"{name} is of {of}" for name, (of, _default) in sorted((known or {}).items()))
    if known is not None and wish.snapshot_class and (named is None or (driver and named[0] != driver)):
        return Refusal(
            f"snapshot_class: {wish.snapshot_class} is no VolumeSnapshotClass that can take the claim {claim}, whose "
            f"volume is made by {driver or 'nobody who says so'}.",
            evidence=told or ("there is no VolumeSnapshotClass",),
            choices=("name one of that driver", "leave snapshot_class out", "take a dump instead (mongodb_backup)"),
        )
    if not class_for(wish, around, driver):
        return Refusal(
            f"No VolumeSnapshotClass can be told to be the one for the claim {claim}, whose volume is made by "
            f"{driver or 'nobody who says so'}.",
            evidence=told
            or ("there is no VolumeSnapshotClass" if known is not None else "this account may not list the classes",),
            choices=(
                "name one of that driver with snapshot_class, or mark one as the default",
                "take a dump instead (mongodb_backup), where the driver offers no snapshots",
            ),
        )
    return None


def _refusal(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    seen = around.seen
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}, so there is no volume to take a "
            "snapshot of.",
            choices=("correct name and namespace",),
        )
    if not seen.secret:
        return Refusal(missing_secret(target))
    if wish.read_from and wish.read_from not in [pod.name for pod in seen.pods.values()]:
        return Refusal(
            f"read_from: there is no pod {wish.read_from} whose volume could be taken.",
            evidence=(f"there are {', '.join(pod.name for pod in seen.pods.values()) or 'none'}",),
            choices=("name one of these", "leave read_from out"),
        )
    return None


def _remove(one: Kept, why: str) -> Step:
    return Step("remove", one.name, f"remove {one.name}{why}", data={"uid": one.uid})


def _wait(target: str, what: str) -> Step:
    return Step("wait", target, what, change=False)
