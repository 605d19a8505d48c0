# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Reads the objects of an application that somebody else has made, and changes whose they are."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER, Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import (
    API,
    CLAIM,
    SERVICE,
    SET,
    Objects,
    Thing,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import others, taken_over

Object = dict[str, t.Any]


def objects(found: t.Sequence[Object]) -> Objects:
    """What was read of StatefulSet, Services and claims."""
    raw = next((one for one in found if one["kind"] == SET), None)
    spec = raw["spec"] if raw else {}
    return Objects(
        _thing(raw) if raw else None,
        tuple(_thing(one) for one in found if one["kind"] == SERVICE),
        tuple(_thing(one) for one in found if one["kind"] == CLAIM),
        (spec.get("updateStrategy") or {}).get("type") == "OnDelete",
        "Delete" not in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).values(),
    )


def patch(cluster: Cluster, namespace: str, step: Step, change: Object) -> None:
    """Change the very version that was seen. Raises NotYet."""
    thing: Thing = step.data["thing"]
    change["metadata"].update(uid=thing.uid, resourceVersion=thing.resource_version)
    try:
        cluster.merge(API[thing.kind], thing.kind, thing.name, namespace, change)
    except ApiError as error:
        if not (error.conflict or error.not_found):
            raise
        raise NotYet(f"{thing} changed meanwhile; next: {step.sentence}") from error


def take_over(cluster: Cluster, namespace: str, step: Step, declared: t.Collection[str] = ()) -> None:
    """Make its fields ours, as they are; also those ``declared`` annotations that its mark wrote. Raises NotYet."""
    thing: Thing = step.data["thing"]
    live = cluster.get(API[thing.kind], thing.kind, thing.name, namespace)
    if live is None or live["metadata"]["resourceVersion"] != thing.resource_version:
        raise NotYet(f"{thing} changed meanwhile; next: {step.sentence}")
    patch(cluster, namespace, step, {"metadata": {"managedFields": taken_over(live, FIELD_MANAGER, declared)}})


def _thing(live: Object) -> Thing:
    metadata = live["metadata"]
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    return Thing(
        live["kind"],
        metadata["name"],
        metadata.get("uid", ""),
        metadata.get("resourceVersion", ""),
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        f"{owner['kind']} {owner['name']}" if owner else "",
        others(live, FIELD_MANAGER),
    )
