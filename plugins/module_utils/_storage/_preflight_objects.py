# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The objects that a preflight makes for a moment: an anchor, a claim, pods. Pure.

Everything that a preflight makes belongs to its anchor, a Job that runs no pod and has a deadline. When the deadline
passes, the Job fails, Kubernetes deletes it, and all that belongs to it. So nothing lasts, also when the run is killed
and nobody ever runs it again.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import Object, Volume
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_script import (
    FOLDER_PREFIX,
    SCRATCH,
    STAY,
    VOLUME,
    shell,
)

APPLICATION = "storage-preflight"
SELECTOR = f"app.kubernetes.io/name={APPLICATION},app.kubernetes.io/managed-by=stateful.kube"
CONTAINER = "probe"
_HOSTNAME = "kubernetes.io/hostname"


@dataclasses.dataclass(frozen=True)
class Pods:
    """What all pods of a preflight have in common."""

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    user: t.Optional[int] = None
    fs_group: t.Optional[int] = None
    node_selector: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Object, ...] = ()


@dataclasses.dataclass(frozen=True)
class Run:
    """One preflight: what it makes is named and labelled by it, and ends ``deadline`` seconds after it began."""

    name: str
    namespace: str
    claim: str
    deadline: int
    pods: Pods

    @property
    def folder(self) -> str:
        return f"{VOLUME}/{FOLDER_PREFIX}{self.name}"

    @property
    def labels(self) -> dict[str, str]:
        return labels(self.name)

    @property
    def selector(self) -> str:
        return ",".join(f"{key}={value}" for key, value in sorted(self.labels.items()))


def labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": APPLICATION,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "stateful.kube",
    }


def anchor(run: Run) -> dict[str, t.Any]:
    """What everything else belongs to. With no parallelism it makes no pod of its own."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": run.name, "namespace": run.namespace, "labels": run.labels},
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": run.deadline,
            "ttlSecondsAfterFinished": 0,
            "template": {"metadata": {"labels": run.labels}, "spec": _pod_spec(run, {}, root=False)},
        },
    }


def claim(run: Run, owner: Object, size: str, modes: t.Sequence[str], storage_class: str) -> dict[str, t.Any]:
    """The throw-away claim. Without ``storage_class`` it gets the default one."""
    spec: dict[str, t.Any] = {
        "accessModes": list(modes),
        "resources": {"requests": {"storage": size}},
        "volumeMode": "Filesystem",
    }
    if storage_class:
        spec["storageClassName"] = storage_class
    metadata = {"name": run.claim, "namespace": run.namespace, "labels": run.labels, "ownerReferences": [_owner(owner)]}
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
        "metadata": {
            "name": f"{run.name}-{role}",
            "namespace": run.namespace,
            "labels": run.labels,
            "ownerReferences": [_owner(owner)],
        },
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


def _owner(owner: Object) -> dict[str, t.Any]:
    metadata = owner["metadata"]
    return {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}


def _pod_spec(run: Run, affinity: Object, root: bool) -> dict[str, t.Any]:
    pods = run.pods
    security: dict[str, t.Any] = {"runAsNonRoot": not root, "seccompProfile": {"type": "RuntimeDefault"}}
    if root:
        security["runAsUser"] = 0
    elif pods.user is not None:
        security.update(runAsUser=pods.user, runAsGroup=pods.user)
    if pods.fs_group is not None and not root:
        security.update(fsGroup=pods.fs_group, fsGroupChangePolicy="OnRootMismatch")
    capabilities = {"drop": ["ALL"], **({"add": ["CHOWN"]} if root else {})}
    container = {
        "name": CONTAINER,
        "image": pods.image,
        "imagePullPolicy": pods.pull_policy,
        "command": shell(STAY, VOLUME, run.folder, run.deadline),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": capabilities,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "volume", "mountPath": VOLUME}, {"name": "scratch", "mountPath": SCRATCH}],
    }
    spec: dict[str, t.Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": run.deadline,
        "terminationGracePeriodSeconds": 5,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [
            {"name": "volume", "persistentVolumeClaim": {"claimName": run.claim}},
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    }
    if pods.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pods.pull_secrets]
    if pods.node_selector:
        spec["nodeSelector"] = dict(pods.node_selector)
    if pods.tolerations:
        spec["tolerations"] = [dict(one) for one in pods.tolerations]
    if affinity:
        spec["affinity"] = {"nodeAffinity": dict(affinity)}
    return spec
