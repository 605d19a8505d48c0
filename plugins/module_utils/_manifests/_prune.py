# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which objects of an application are no longer declared, and which of them may be deleted. Pure.

Which kinds an application has had is recorded in an annotation of one of its objects, so that a run which has nothing
to do need not look through every kind that there is. The record is made wider before an object of a new kind is made,
and narrower only after the last object of a kind is gone.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import BUILT_IN
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import appliers
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal

#: on one object of an application: the kinds of its objects, and the names of those that live outside of namespaces
RECORD = "stateful.kube/kinds"
#: the label that says to which application an object belongs
LABEL = "app.kubernetes.io/instance"
#: the label that says what kind of application that is
NAME = "app.kubernetes.io/name"

# Data, and what others stand on: deleting these is never a matter of a line that was left out.
_NEVER = frozenset(
    (
        "CSIDriver",
        "CustomResourceDefinition",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "PriorityClass",
        "StorageClass",
    )
)
# Made by controllers and not by people.
_NOT_SWEPT = frozenset(("ControllerRevision", "EndpointSlice", "Endpoints", "Event", "Lease", "Pod", "ReplicaSet"))

#: where to look when there is no record: (apiVersion, kind)
SWEPT: tuple[tuple[str, str], ...] = tuple(
    key for key, resource in BUILT_IN.items() if resource.namespaced and key[1] not in _NEVER | _NOT_SWEPT
)
# Objects that stay while an application changes carry its record, the first of these that there is.
_ANCHORS = ("Service", "ServiceAccount", "ConfigMap")


@dataclasses.dataclass(frozen=True)
class Undeclared:
    """An object of the application that is not declared any more; ``kept`` says why it stays all the same."""

    key: Key
    live: Object
    kept: str = ""


@dataclasses.dataclass(frozen=True)
class Record:
    """The record of kinds: where it lies, what it says, and what it has to say before and after the work."""

    anchor: Key
    says: t.Optional[str]
    before: str
    after: str


def anchor(declared: t.Mapping[Key, Object], application: str, namespace: str) -> t.Optional[Key]:
    """The declared object that carries the record."""
    able = [
        key
        for key, obj in declared.items()
        if key.namespace == namespace
        and key.kind not in _NEVER
        and (obj["metadata"].get("labels") or {}).get(LABEL) == application
    ]
    return min(
        able,
        key=lambda key: (
            _ANCHORS.index(key.kind) if key.kind in _ANCHORS else len(_ANCHORS) + key.rank,
            key.kind,
            key.name,
        ),
        default=None,
    )


def written(keys: t.Iterable[Key]) -> str:
    """The record of these objects."""
    return " ".join(sorted({_entry(key) for key in keys if key.kind not in _NEVER}))


def wider(*records: t.Optional[str]) -> str:
    """The record of everything that any of these speaks of."""
    return " ".join(sorted({entry for record in records for entry in (record or "").split()}))


def read(record: str) -> tuple[set[tuple[str, str]], set[Key]]:
    """The kinds in namespaces, and the objects outside of them, that a record speaks of."""
    kinds: set[tuple[str, str]] = set()
    objects: set[Key] = set()
    for entry in record.split():
        head, _colon, name = entry.partition(":")
        api_version, _slash, kind = head.rpartition("/")
        if kind in _NEVER or not api_version or not kind:
            continue  # somebody wrote there who knows no better
        if name:
            objects.add(Key(api_version, kind, "", name))
        else:
            kinds.add((api_version, kind))
    return kinds, objects


def judge(key: Key, live: Object, application: str, manager: str, names: t.Collection[str]) -> t.Optional[Undeclared]:
    """What to do about an object that is not declared: None where it is no business of this application.

    ``names`` are the values that the declared objects have for the label NAME: another kind of application may bear
    the same name.
    """
    metadata = live["metadata"]
    labels = metadata.get("labels") or {}
    if (
        key.kind in _NEVER
        or labels.get(LABEL) != application
        or (names and labels.get(NAME) not in (None, *names))
        or metadata.get("ownerReferences")
        or metadata.get("deletionTimestamp")
    ):
        return None
    managers = appliers(live)
    if manager not in managers:
        return None
    others = sorted(managers - {manager})
    if others:
        return Undeclared(key, live, f"{', '.join(others)} applies it too")
    if not key.namespace:
        return Undeclared(key, live, "it lives outside of namespaces, where it may serve others as well")
    if (key.api_version, key.kind) not in BUILT_IN:
        # Data may hang on it: a snapshot, a database of an operator.
        return Undeclared(key, live, f"nothing is known here of what goes with a {key.kind}")
    return Undeclared(key, live)


def refuse(one: Undeclared) -> t.Optional[Refusal]:
    """A StatefulSet whose pods only its own operation replaces, or whose claims go with it, is not pruned."""
    if one.key.kind != "StatefulSet" or one.kept:
        return None
    spec = one.live["spec"]
    evidence = []
    if (spec.get("updateStrategy") or {}).get("type") == "OnDelete" and spec.get("replicas", 1):
        evidence.append("spec.updateStrategy.type is OnDelete: its members must leave the application one by one")
    if (spec.get("persistentVolumeClaimRetentionPolicy") or {}).get("whenDeleted") == "Delete":
        evidence.append("spec.persistentVolumeClaimRetentionPolicy.whenDeleted is Delete: its data would go with it")
    if not evidence:
        return None
    return Refusal(
        f"{one.key} is no longer declared, and prune does not delete it. Nothing was changed.",
        tuple(evidence),
        (
            "declare it again",
            "remove the application by its own playbook or operation",
            "delete it by a task of its own with state absent, which is then your explicit word",
        ),
    )


def _entry(key: Key) -> str:
    return f"{key.api_version}/{key.kind}" + ("" if key.namespace else f":{key.name}")
