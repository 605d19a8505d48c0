# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is wanted of PersistentVolumes, what was seen of them, and what they say of themselves. Pure."""

from __future__ import annotations

import dataclasses
import posixpath
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage._families import HOSTNAME, KINDS
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import Expected, Inside

Object = t.Mapping[str, t.Any]

# Phases of a volume that had a claim and has it no more.
LEFT = ("Released", "Failed")
SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Wish:
    state: str
    volumes: tuple[Object, ...]
    #: names of volumes that may be given to a new claim, with what is on them
    rebind: tuple[str, ...] = ()
    #: names of volumes that are to be emptied, and then free for any claim
    wipe: tuple[str, ...] = ()
    #: what volumes have to hold before they are rebound or wiped, by their names
    expect: t.Mapping[str, Expected] = dataclasses.field(default_factory=dict)
    #: whether to look inside all volumes that were used, and not only where expect or wipe need it
    look: bool = False
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
    #: what is inside volumes, by their names, as far as somebody looked
    inside: t.Mapping[str, Inside] = dataclasses.field(default_factory=dict)

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


def was_claimed(volume: Object) -> bool:
    """Whether a volume had a claim and has none now."""
    return phase(volume) in LEFT and bool((volume["spec"].get("claimRef") or {}).get("uid"))


def names(found: t.Iterable[str]) -> str:
    """The first of some names, for people."""
    every = list(found)
    return (", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")) or "none"
