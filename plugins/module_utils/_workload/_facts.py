# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What results say of a workload and of what belongs to it. Pure."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import carries, matches
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import Object, Revision
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import Workload, ready, unfinished


def summary(seen: Workload) -> dict[str, t.Any]:
    """The workload itself: how many pods, which revision, what its rollout waits for."""
    named = {"kind": seen.kind, "namespace": seen.namespace, "name": seen.name, "exists": seen.live is not None}
    if seen.live is None:
        return named
    status, daemon = seen.status, seen.kind == "DaemonSet"
    return {
        **named,
        "replicas": {
            "wanted": seen.replicas,
            "current": status.get("currentNumberScheduled" if daemon else "replicas", 0),
            "ready": status.get("numberReady" if daemon else "readyReplicas", 0),
            "updated": status.get("updatedNumberScheduled" if daemon else "updatedReplicas", 0),
            "available": status.get("numberAvailable" if daemon else "availableReplicas", 0),
        },
        "revision": {"current": _revision(seen.current), "newest": _revision(seen.newest)},
        "paused": seen.held,
        "restarted_at": seen.restarted_at,
        "waits_for": unfinished(seen),
    }


def strategy(seen: Workload) -> dict[str, t.Any]:
    """How pods get a new revision."""
    declared = seen.spec.get("strategy" if seen.kind == "Deployment" else "updateStrategy") or {}
    rolling = declared.get("rollingUpdate") or {}
    stateful = seen.kind == "StatefulSet"
    return {
        "type": seen.strategy,
        "partition": seen.partition if stateful and seen.strategy == "RollingUpdate" else None,
        "max_unavailable": rolling.get("maxUnavailable"),
        "max_surge": rolling.get("maxSurge"),
        "pod_management_policy": seen.spec.get("podManagementPolicy", "OrderedReady") if stateful else None,
    }


def history(seen: Workload) -> list[dict[str, t.Any]]:
    """Every revision that can be gone back to, and how many pods run it."""
    newest = seen.newest
    names = [seen.revision_of(pod) for pod in seen.pods]
    return [
        {
            **t.cast("dict[str, t.Any]", _revision(one)),
            "created": one.created or None,
            "images": list(one.images),
            "pods": names.count(one.name),
            "newest": newest is not None and one.name == newest.name,
        }
        for one in seen.history
    ]


def pods(seen: Workload, now: float) -> list[dict[str, t.Any]]:
    """``now`` is seconds since the epoch."""
    return [_pod(seen, pod, now) for pod in seen.pods]


def _pod(seen: Workload, pod: Object, now: float) -> dict[str, t.Any]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    number = {one.name: one.number for one in seen.history}.get(seen.revision_of(pod))
    return {
        "name": metadata["name"],
        "ordinal": seen.ordinal(pod),
        "node": pod["spec"].get("nodeName"),
        "ip": status.get("podIP"),
        "phase": "Terminating" if metadata.get("deletionTimestamp") else status.get("phase"),
        "ready": ready(pod),
        "revision": {"name": seen.revision_of(pod), "number": number},
        "images": [container["image"] for container in pod["spec"]["containers"]],
        "restarts": sum(container.get("restartCount", 0) for container in containers),
        "created": metadata.get("creationTimestamp"),
        "age_seconds": age(metadata.get("creationTimestamp"), now),
        "claims": list(claim_names(pod)),
        "obstacle": pod_obstacle(pod),
    }


def claims(seen: Workload, found: t.Iterable[Object]) -> list[dict[str, t.Any]]:
    """Claims that the pods use, and those of its claim templates that are left from pods which are gone."""
    users = {name: pod["metadata"]["name"] for pod in seen.pods for name in claim_names(pod)}
    prefixes = [f"{one['metadata']['name']}-{seen.name}-" for one in seen.spec.get("volumeClaimTemplates") or ()]

    def left(name: str) -> bool:
        return any(name.startswith(prefix) and name[len(prefix) :].isdigit() for prefix in prefixes)

    mine = [one for one in found if one["metadata"]["name"] in users or left(one["metadata"]["name"])]
    return [_claim(one, users) for one in sorted(mine, key=lambda one: _numbered(one["metadata"]["name"]))]


def _claim(claim: Object, users: t.Mapping[str, str]) -> dict[str, t.Any]:
    spec, status = claim["spec"], claim.get("status") or {}
    return {
        "name": claim["metadata"]["name"],
        "pod": users.get(claim["metadata"]["name"]),
        "phase": status.get("phase"),
        "requested": spec.get("resources", {}).get("requests", {}).get("storage"),
        "capacity": status.get("capacity", {}).get("storage"),
        "storage_class": spec.get("storageClassName"),
        "volume": spec.get("volumeName"),
        "access_modes": spec.get("accessModes") or [],
    }


def services_of(seen: Workload, found: t.Iterable[Object]) -> list[Object]:
    """The Services whose selector takes its pods, also those for a single pod."""
    labels = _labels(seen)
    chosen = ((service, service["spec"].get("selector")) for service in found)
    return [service for service, selector in chosen if selector and any(carries(selector, one) for one in labels)]


def service(found: Object, slices: t.Optional[t.Iterable[Object]]) -> dict[str, t.Any]:
    spec = found["spec"]
    address = spec.get("clusterIP")
    mine = [
        one
        for one in slices or ()
        if (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == found["metadata"]["name"]
    ]
    return {
        "name": found["metadata"]["name"],
        "type": spec.get("type"),
        "cluster_ip": None if address == "None" else address,
        "headless": address == "None",
        "ports": [
            {"name": port.get("name"), "port": port["port"], "protocol": port.get("protocol", "TCP")}
            for port in spec.get("ports") or ()
        ],
        "ready_addresses": None if slices is None else sorted({one for part in mine for one in _addresses(part)}),
    }


def _addresses(endpoint_slice: Object) -> t.Iterator[str]:
    for endpoint in endpoint_slice.get("endpoints") or ():
        # Unknown counts as ready, as the API says.
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield from endpoint.get("addresses") or ()


def budgets(seen: Workload, found: t.Iterable[Object]) -> list[dict[str, t.Any]]:
    """The PodDisruptionBudgets that take its pods."""
    labels = _labels(seen)
    mine = [one for one in found if any(matches(one["spec"].get("selector"), each) for each in labels)]
    return [
        {
            "name": one["metadata"]["name"],
            "min_available": one["spec"].get("minAvailable"),
            "max_unavailable": one["spec"].get("maxUnavailable"),
            "disruptions_allowed": (one.get("status") or {}).get("disruptionsAllowed"),
            "current_healthy": (one.get("status") or {}).get("currentHealthy"),
            "desired_healthy": (one.get("status") or {}).get("desiredHealthy"),
        }
        for one in mine
    ]


def age(stamp: t.Optional[str], now: float) -> t.Optional[int]:
    if not stamp:
        return None
    made = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
    return max(0, int(now - made.timestamp()))


def _labels(seen: Workload) -> list[t.Mapping[str, str]]:
    """Of the pods as declared, and of each there is: a Service for one pod selects a label that only that one has."""
    declared = (seen.spec["template"].get("metadata") or {}).get("labels") or {}
    return [declared, *((pod["metadata"].get("labels") or {}) for pod in seen.pods)]


def _revision(found: t.Optional[Revision]) -> t.Optional[dict[str, t.Any]]:
    if found is None:
        return None
    return {"name": found.name, "number": found.number, "change_cause": found.cause or None}


def _numbered(name: str) -> tuple[str, int]:
    stem, _dash, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)
