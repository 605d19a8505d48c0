# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The objects that a preflight makes for a moment: an anchor, a claim, pods. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import Object, Volume
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_script import (
    FOLDER_PREFIX,
    STAY,
    VOLUME,
    shell,
)

APPLICATION = "storage-preflight"
SELECTOR = probe.selector(APPLICATION)
_HOSTNAME = "kubernetes.io/hostname"


@dataclasses.dataclass(frozen=True)
class Run:
    """One preflight: what it makes is named and labelled by it, and ends ``deadline`` seconds after it began."""

    name: str
    namespace: str
    claim: str
    deadline: int
    pods: probe.Pods

    @property
    def folder(self) -> str:
        return f"{VOLUME}/{FOLDER_PREFIX}{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        return probe.labels(APPLICATION, self.name)

    @property
    def selector(self) -> str:
        return probe.selector(APPLICATION, self.name)


def anchor(run: Run) -> dict[str, t.Any]:
    """What everything else belongs to."""
    return probe.anchor(_metadata(run, run.name), run.deadline, _pod_spec(run, {}, root=False))


def claim(run: Run, owner: Object, size: str, modes: t.Sequence[str], storage_class: str) -> dict[str, t.Any]:
    """The throw-away claim. Without ``storage_class`` it gets the default one."""
    spec: dict[str, t.Any] = {
        "accessModes": list(modes),
        "resources": {"requests": {"storage": size}},
        "volumeMode": "Filesystem",
    }
    if storage_class:
        spec["storageClassName"] = storage_class
    metadata = {
        "name": run.claim,
        "namespace": run.namespace,
        "labels": run.labels,
        "ownerReferences": [probe.owned_by(owner)],
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def pod(
    run: Run, owner: Object, role: str, *, on: str = "", away_from: str = "", root: bool = False
) -> dict[str, t.Any]:
    """One pod, ``on`` a node, or if possible ``away_from`` one. ``root`` runs as root, with the right to chown."""
    affinity: dict[str, t.Any] = {}
    if on:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [on]}]}
        affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    elif away_from:
        term = {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": [away_from]}]}
        affinity = {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": term}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**_metadata(run, f"{run.name}-{role}"), "ownerReferences": [probe.owned_by(owner)]},
        "spec": _pod_spec(run, affinity, root),
    }


def volume_of(claim_: Object, volume: t.Optional[Object], drivers: t.Mapping[str, bool]) -> Volume:
    """What is known of the volume of a claim. ``drivers``: for each CSI driver, whether its volumes are attached."""
    modes = tuple(claim_["spec"].get("accessModes") or ())
    if volume is None:
        return Volume(modes)
    spec = volume["spec"]
    csi = spec.get("csi")
    known = ("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy")
    source = next((key for key in spec if key not in (*known, "storageClassName", "volumeMode")), "")
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    keys = {
        expression.get("key", "")
        for term in required.get("nodeSelectorTerms") or ()
        for expression in term.get("matchExpressions") or ()
    }
    tied = any(key == _HOSTNAME or key.endswith(("/hostname", "/node")) for key in keys)
    attached = drivers.get(csi.get("driver", ""), True) if csi else source not in ("nfs", "local", "hostPath")
    return Volume(modes, "csi" if csi else source, tied, attached)


def _metadata(run: Run, name: str) -> dict[str, t.Any]:
    return {"name": name, "namespace": run.namespace, "labels": run.labels}


def _pod_spec(run: Run, affinity: Object, root: bool) -> dict[str, t.Any]:
    command = shell(STAY, VOLUME, run.folder, run.deadline)
    capabilities = ("CHOWN",) if root else ()
    body = probe.Body(command, run.claim, run.deadline, root=root, capabilities=capabilities, affinity=affinity)
    return probe.pod_spec(run.pods, body)
