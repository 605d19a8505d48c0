# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods of a StatefulSet that hold a rollout up and have nothing to lose. Pure.

With OnDelete the controller replaces no pod at all. With RollingUpdate and OrderedReady it waits for a pod to become
ready before it touches the next, even where the pod is of a broken revision that has been corrected since
(kubernetes/kubernetes#67250). Both would stay so for ever.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    condition,
    idle,
    pod_obstacle,
    ready_since_start,
    revision_hash,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object


@dataclasses.dataclass(frozen=True)
class StuckPod:
    """A pod of an older revision that never becomes ready."""

    key: Key
    uid: str
    why: str
    version: str = ""
    #: whether the controller would replace it, and waits for it to become ready before it does
    holds_up: bool = False


def stuck_pods(key: Key, live: Object, pods: t.Sequence[Object], unready_long: t.Container[str]) -> list[StuckPod]:
    """Pods of the StatefulSet to replace, lowest ordinal first.

    Something runs in a pod that merely fails its readiness probe, so such a pod is replaced only where it has never
    been ready and its uid is in ``unready_long``. A pod in which any container is ready is never replaced.
    """
    spec, status = live["spec"], live.get("status") or {}
    strategy = spec.get("updateStrategy") or {}
    on_delete = strategy.get("type") == "OnDelete"
    if not on_delete and spec.get("podManagementPolicy", "OrderedReady") != "OrderedReady":
        return []  # there the controller replaces what is not ready by itself
    newest = status.get("updateRevision")
    start = (spec.get("ordinals") or {}).get("start", 0)
    partition = 0 if on_delete else (strategy.get("rollingUpdate") or {}).get("partition", 0)
    found = []
    for pod in pods:
        metadata = pod["metadata"]
        revision = revision_hash(pod)
        name, _dash, ordinal = metadata["name"].rpartition("-")
        if (
            metadata.get("deletionTimestamp")
            or not newest
            or revision == newest
            or name != key.name
            or not ordinal.isdigit()
        ):
            continue
        if int(ordinal) - start < partition and revision == status.get("currentRevision"):
            continue  # this one would be made anew just as it is
        why = idle(pod)
        if not why and not on_delete and metadata["uid"] in unready_long and never_served(pod):
            why = pod_obstacle(pod)
        if why and not any(container.get("ready") for container in _containers(pod)):
            one = StuckPod(
                Key("v1", "Pod", key.namespace, metadata["name"]),
                metadata["uid"],
                why,
                metadata.get("resourceVersion", ""),
                holds_up=not on_delete,
            )
            found.append((int(ordinal), one))
    return [one for _ordinal, one in sorted(found, key=lambda pair: pair[0])]


def never_served(pod: Object) -> bool:
    """Whether a pod is not ready, and has never been since it started."""
    return condition(pod, "Ready") == "False" and not ready_since_start(pod)


def _containers(pod: Object) -> t.Sequence[Object]:
    return (pod.get("status") or {}).get("containerStatuses") or ()
