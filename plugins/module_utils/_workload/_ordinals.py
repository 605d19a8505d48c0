# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods of a StatefulSet and their claims by ordinal, from the objects as the API server gives them. Pure."""

from __future__ import annotations

import calendar
import dataclasses
import re
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import pod_obstacle, revision_hash

Object = dict[str, t.Any]

# Stands on a claim whose volume is made for it.
PROVISIONED = "volume.kubernetes.io/storage-provisioner"


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod of the StatefulSet. ``obstacle`` says what keeps it from being ready, or is None."""

    name: str
    uid: str = ""
    node: str = ""
    created: str = ""
    #: whether its server runs
    running: bool = True
    obstacle: t.Optional[str] = None
    claims: tuple[str, ...] = ()
    #: which version of the StatefulSet's template it was made from
    revision: str = ""
    deleting: bool = False

    @property
    def ready(self) -> bool:
        return self.obstacle is None


def pod_fields(obj: Object) -> dict[str, t.Any]:
    """The fields of a Pod."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    containers = status.get("containerStatuses") or ()
    # The role names the container after the application; one that runs beside a server is no server.
    main = (metadata.get("labels") or {}).get("app.kubernetes.io/name")
    servers = [container for container in containers if container.get("name") == main] or containers
    return {
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "node": obj["spec"].get("nodeName") or "",
        "created": metadata.get("creationTimestamp", ""),
        "running": any("running" in container.get("state", {}) for container in servers),
        "obstacle": pod_obstacle(obj),
        "claims": claim_names(obj),
        "revision": revision_hash(obj),
        "deleting": "deletionTimestamp" in metadata,
    }


def pods_by_ordinal(name: str, pods: t.Iterable[Object]) -> dict[int, Object]:
    found = {ordinal: pod for pod in pods if (ordinal := _ordinal(pod, rf"{re.escape(name)}-(\d+)")) is not None}
    return dict(sorted(found.items()))


def claims_by_ordinal(
    name: str, stateful_set: t.Optional[Object], claims: t.Iterable[Object]
) -> dict[int, list[Object]]:
    """Those that come from a claim template of the StatefulSet."""
    templates = (stateful_set or {}).get("spec", {}).get("volumeClaimTemplates") or ()
    names = "|".join(re.escape(template["metadata"]["name"]) for template in templates)
    found: dict[int, list[Object]] = {}
    for claim in claims if names else ():
        ordinal = _ordinal(claim, rf"(?:{names})-{re.escape(name)}-(\d+)")
        if ordinal is not None:
            found.setdefault(ordinal, []).append(claim)
    return dict(sorted(found.items()))


def new_disk(pod: Object, claims: t.Sequence[Object]) -> bool:
    """Whether this pod is the first user of its disk, at its first start.

    A StatefulSet's controller creates the claims of a pod right before the pod, and a provisioner makes an empty
    volume for each; a volume that was there before may hold anything. Without claims the disk is the pod's own,
    and as old as the pod.
    """
    born = pod["metadata"].get("creationTimestamp", "")
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    if not born or any(status.get("restartCount") for status in statuses):
        return False
    if len(claims) < len(claim_names(pod)):
        return False  # a claim that is none of its StatefulSet's: nothing is known of its age
    if not all(PROVISIONED in (claim["metadata"].get("annotations") or {}) for claim in claims):
        return False
    made = [_seconds(claim["metadata"].get("creationTimestamp", "")) for claim in claims]
    # Times of objects are whole seconds.
    return all(_seconds(born) - at <= 1 for at in made)


def _ordinal(obj: Object, pattern: str) -> t.Optional[int]:
    found = re.fullmatch(pattern, obj["metadata"]["name"])
    return int(found.group(1)) if found else None


def _seconds(stamp: str) -> float:
    """An RFC 3339 time of the API server as seconds since the epoch; 0 where there is none."""
    try:
        return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return 0.0
