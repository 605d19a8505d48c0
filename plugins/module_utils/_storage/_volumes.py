# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From declared PersistentVolumes and those of the cluster to ordered steps. Pure.

No step here deletes data: what is deleted are objects, and only of volumes that nobody uses and whose policy keeps what
is behind them. A volume that was used is given to a new claim only by its name, because the next pod sees what the last
one left.
"""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import visible
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._families import HOSTNAME, KINDS

Object = t.Mapping[str, t.Any]

# Phases of a volume that had a claim and has it no more.
LEFT = ("Released", "Failed")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Wish:
    state: str
    volumes: tuple[Object, ...]
    #: names of volumes that may be given to a new claim, with what is on them
    rebind: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Change:
    """A declared volume that is not as declared."""

    declared: Object
    live: t.Optional[Object]
    #: what the server would make of it; None where it refuses, for the reason in ``fixed``
    after: t.Optional[Object] = None
    fixed: str = ""


@dataclasses.dataclass(frozen=True)
class Seen:
    #: every PersistentVolume of the cluster
    volumes: tuple[Object, ...] = ()
    changes: tuple[Change, ...] = ()
    #: the host names of all nodes; None where they need not, or may not, be known
    hosts: t.Optional[frozenset[str]] = None

    def find(self, name: str) -> t.Optional[Object]:
        return next((one for one in self.volumes if one["metadata"]["name"] == name), None)


def phase(volume: Object) -> str:
    return str((volume.get("status") or {}).get("phase", "Pending"))


def claim(volume: Object) -> str:
    """The claim that a volume has, or had."""
    reference = volume["spec"].get("claimRef") or {}
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def source(volume: Object) -> tuple[str, Object]:
    """The kind of a volume and its fields; of an unknown kind nothing."""
    kind = next((kind for kind in KINDS if kind in volume["spec"]), "")
    return kind, volume["spec"].get(kind) or {}


def place(volume: Object) -> str:
    """Where the data of a volume is, for people."""
    kind, fields = source(volume)
    if kind == "nfs":
        return f"nfs {fields.get('server')}:{fields.get('path')}"
    if kind in ("hostPath", "local"):
        where = f" on {', '.join(sorted(nodes(volume)))}" if nodes(volume) else ""
        return f"{kind} {fields.get('path')}{where}"
    if kind == "iscsi":
        return f"iscsi {fields.get('targetPortal')} {fields.get('iqn')} lun {fields.get('lun')}"
    if kind == "fc":
        ids = fields.get("wwids") or [*(fields.get("targetWWNs") or ()), f"lun {fields.get('lun')}"]
        return f"fc {' '.join(map(str, ids))}"
    if kind == "csi":
        return f"{fields.get('driver')} {fields.get('volumeHandle')}"
    return kind


def nodes(volume: Object) -> frozenset[str]:
    """The nodes that a volume is tied to by their names; empty where it is not."""
    required = (volume["spec"].get("nodeAffinity") or {}).get("required") or {}
    found: set[str] = set()
    for term in required.get("nodeSelectorTerms") or ():
        for rule in term.get("matchExpressions") or ():
            if rule.get("key") == HOSTNAME and rule.get("operator") == "In":
                found.update(rule.get("values") or ())
    return frozenset(found)


def shared(one: Object, other: Object) -> str:
    """How two volumes have their data in one place, in words, or nothing."""
    (kind, fields), (other_kind, other_fields) = source(one), source(other)
    on_disk = ("hostPath", "local")
    if kind == "nfs" == other_kind and fields.get("server") == other_fields.get("server"):
        return _nested(fields, other_fields)
    if kind in on_disk and other_kind in on_disk:
        here, there = nodes(one), nodes(other)
        return _nested(fields, other_fields) if not here or not there or here & there else ""
    if kind == other_kind and kind in ("iscsi", "fc", "csi") and place(one) == place(other):
        return "are the same volume"
    return ""


def _nested(one: Object, other: Object) -> str:
    path, other_path = (posixpath.normpath(str(fields.get("path"))).rstrip("/") for fields in (one, other))
    if path == other_path:
        return "have the same path"
    if path.startswith(other_path + "/") or other_path.startswith(path + "/"):
        return "have paths of which one lies in the other"
    return ""


def plan(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    """What is left to do for this wish."""
    return _absent(wish, seen) if wish.state == "absent" else _present(wish, seen)


def _present(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    unknown = [name for name in wish.rebind if seen.find(name) is None]
    if unknown:
        return Refusal(
            f"rebind: there is no PersistentVolume {', '.join(unknown)}. Nothing was changed.",
            (f"Released are {_names(one['metadata']['name'] for one in seen.volumes if phase(one) in LEFT)}",),
            ("correct the name",),
        )
    for change in seen.changes:
        if change.fixed and change.live:
            return _cannot_change(change.live, change.fixed)
    steps = [
        Step(
            "apply",
            f"PersistentVolume {change.declared['metadata']['name']}",
            f"{'change' if change.live else 'create'} PersistentVolume {change.declared['metadata']['name']} "
            f"({place(change.declared)})",
            batch="apply",
            data={"declared": change.declared, "before": visible(change.live), "after": visible(change.after)},
        )
        for change in seen.changes
    ]
    for name in wish.rebind:
        live = t.cast(Object, seen.find(name))
        if phase(live) in LEFT and (live["spec"].get("claimRef") or {}).get("uid"):
            steps.append(_rebind_step(wish, live))
    return Plan(tuple(steps), (*wish.warnings, *_warnings(wish, seen)))


def _rebind_step(wish: Wish, live: Object) -> Step:
    name = live["metadata"]["name"]
    declared = next((one for one in wish.volumes if one["metadata"]["name"] == name), None)
    reserved = bool(declared and declared["spec"].get("claimRef"))
    # A volume that is kept for a claim by name stays so; what goes is which very claim it was.
    patch = {"claimRef": {"uid": None, "resourceVersion": None}} if reserved else {"claimRef": None}
    sentence = f"give PersistentVolume {name}, with the data of claim {claim(live)}, to a new claim"
    before = {"metadata": {"name": name}, "spec": {"claimRef": dict(live["spec"]["claimRef"])}}
    kept = {key: value for key, value in live["spec"]["claimRef"].items() if key not in ("uid", "resourceVersion")}
    after = {"metadata": {"name": name}, "spec": {"claimRef": kept} if reserved else {}}
    data = {"live": live, "patch": {"spec": patch}, "before": before, "after": after}
    return Step("rebind", f"PersistentVolume {name}", sentence, data=data)


def _cannot_change(live: Object, fixed: str) -> Refusal:
    name = live["metadata"]["name"]
    return Refusal(
        f"PersistentVolume {name}: what it is of, its volume mode and its node are fixed once it exists, because a "
        "claim that has it relies on them. Nothing was changed.",
        (f"it is {place(live)}, {phase(live)}{' to ' + claim(live) if claim(live) else ''}", fixed),
        (
            "declare it as it is",
            "declare the new one under another name",
            "where nobody uses it: remove it with state absent, which keeps the data, and declare it anew",
        ),
    )


def _warnings(wish: Wish, seen: Seen) -> t.Iterator[str]:
    declared = {one["metadata"]["name"]: one for one in wish.volumes}
    others = [one for one in seen.volumes if one["metadata"]["name"] not in declared]
    everything = [*declared.values(), *others]
    for index, one in enumerate(declared.values()):
        for other in everything[index + 1 :]:
            how = shared(one, other)
            if how:
                yield (
                    f"PersistentVolumes {one['metadata']['name']} and {other['metadata']['name']} {how} ({place(one)} "
                    f"and {place(other)}): two claims would write into each other's data."
                )
    if seen.hosts is not None:
        lost = sorted({node for one in declared.values() for node in nodes(one)} - seen.hosts)
        if lost:
            yield (
                f"No node has the host name {', '.join(lost)} (found: {_names(sorted(seen.hosts))}): a pod with such a "
                "volume is placed nowhere."
            )
    for one in left_behind(wish, seen):
        name = one["metadata"]["name"]
        if name not in wish.rebind:
            yield (
                f"PersistentVolume {name} ({(one['spec'].get('capacity') or {}).get('storage')}, {place(one)}) is "
                f"{phase(one)}{_since(one)}: it holds what claim {claim(one)} left, and no claim gets it. To give it "
                "to a new claim, with that data, name it in rebind."
            )


def left_behind(wish: Wish, seen: Seen) -> list[Object]:
    """Volumes that had a claim: those declared, and others of the same classes."""
    names = {one["metadata"]["name"] for one in wish.volumes} | set(wish.rebind)
    classes = {one["spec"].get("storageClassName") or "" for one in wish.volumes if "spec" in one}
    return [
        one
        for one in seen.volumes
        if phase(one) in LEFT
        and (one["spec"].get("claimRef") or {}).get("uid")
        and (one["metadata"]["name"] in names or (one["spec"].get("storageClassName") or "") in classes)
    ]


def _since(volume: Object) -> str:
    at = (volume.get("status") or {}).get("lastPhaseTransitionTime")
    return f" since {at}" if at else ""


def _absent(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    there = [live for one in wish.volumes if (live := seen.find(one["metadata"]["name"]))]
    there = [live for live in there if not live["metadata"].get("deletionTimestamp")]
    used = [live for live in there if phase(live) == "Bound"]
    if used:
        return Refusal(
            "PersistentVolumes that have a claim are not removed: its pods would lose their data. Nothing was changed.",
            tuple(f"{one['metadata']['name']} is Bound to {claim(one)}" for one in used[:_SHOWN]),
            ("remove the pods and the claims first", "leave these volumes out"),
        )
    risky = [live for live in there if live["spec"].get("persistentVolumeReclaimPolicy") != "Retain"]
    if risky:
        return Refusal(
            "PersistentVolumes whose policy is not Retain are not removed: with the object, its data may be deleted. "
            "Nothing was changed.",
            tuple(
                f"{one['metadata']['name']} has {one['spec'].get('persistentVolumeReclaimPolicy')}"
                for one in risky[:_SHOWN]
            ),
            ("declare them with reclaim_policy Retain first",),
        )
    steps = tuple(
        Step(
            "delete",
            f"PersistentVolume {one['metadata']['name']}",
            f"delete PersistentVolume {one['metadata']['name']}, and leave what is on {place(one)}",
            batch="delete",
            data={"live": one, "before": visible(one), "after": {}},
        )
        for one in there
    )
    return Plan(steps, wish.warnings)


def _names(names: t.Iterable[str]) -> str:
    found = list(names)
    return (", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")) or "none"
