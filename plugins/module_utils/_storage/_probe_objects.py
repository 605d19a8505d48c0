# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Short-lived pods on a claim, and the anchor that everything of a run belongs to. Pure.

The anchor is a Job that runs no pod and has a deadline. When the deadline passes, the Job fails, Kubernetes deletes it,
and all that belongs to it. So nothing lasts, also when the run is killed and nobody ever runs it again.
"""

from __future__ import annotations

import dataclasses
import typing as t

Object = t.Mapping[str, t.Any]

CONTAINER = "probe"
#: where the volume is mounted
VOLUME = "/volume"
#: a folder in memory for what a pod has to remember
SCRATCH = "/scratch"


@dataclasses.dataclass(frozen=True)
class Pods:
    """What all pods of a run have in common."""

    image: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    user: t.Optional[int] = None
    fs_group: t.Optional[int] = None
    node_selector: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    tolerations: tuple[Object, ...] = ()


@dataclasses.dataclass(frozen=True)
class Body:
    """What one pod is to do, and with which rights."""

    command: t.Sequence[str]
    claim: str
    deadline: int
    #: runs as root, with these capabilities
    root: bool = False
    capabilities: tuple[str, ...] = ()
    read_only: bool = False
    affinity: Object = dataclasses.field(default_factory=dict)
    #: seconds between the request to end and the end
    grace: int = 5
    #: the group, where it is not the one of the user's number
    group: t.Optional[int] = None


def labels(application: str, name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": application,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "stateful.kube",
    }


def selector(application: str, name: str = "") -> str:
    """The label selector of all runs of an application, or of one."""
    every = f"app.kubernetes.io/name={application},app.kubernetes.io/managed-by=stateful.kube"
    return f"{every},app.kubernetes.io/instance={name}" if name else every


def anchor(metadata: Object, deadline: int, spec: Object) -> dict[str, t.Any]:
    """What everything else belongs to. With no parallelism it makes no pod of its own."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": dict(metadata),
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "ttlSecondsAfterFinished": 0,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": spec},
        },
    }


def owned_by(owner: Object) -> dict[str, t.Any]:
    metadata = owner["metadata"]
    return {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}


def pod_spec(pods: Pods, body: Body) -> dict[str, t.Any]:
    security: dict[str, t.Any] = {"runAsNonRoot": not body.root, "seccompProfile": {"type": "RuntimeDefault"}}
    if body.root:
        security["runAsUser"] = 0
    elif pods.user is not None:
        security.update(runAsUser=pods.user, runAsGroup=pods.user if body.group is None else body.group)
    if pods.fs_group is not None and not body.root:
        security.update(fsGroup=pods.fs_group, fsGroupChangePolicy="OnRootMismatch")
    capabilities = {"drop": ["ALL"], **({"add": list(body.capabilities)} if body.capabilities else {})}
    claim: dict[str, t.Any] = {"claimName": body.claim}
    mount: dict[str, t.Any] = {"name": "volume", "mountPath": VOLUME}
    if body.read_only:
        claim["readOnly"] = mount["readOnly"] = True
    container = {
        "name": CONTAINER,
        "image": pods.image,
        "imagePullPolicy": pods.pull_policy,
        "command": list(body.command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": capabilities,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [mount, {"name": "scratch", "mountPath": SCRATCH}],
    }
    spec: dict[str, t.Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": body.deadline,
        "terminationGracePeriodSeconds": body.grace,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [
            {"name": "volume", "persistentVolumeClaim": claim},
            {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        ],
    }
    if pods.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in pods.pull_secrets]
    if pods.node_selector:
        spec["nodeSelector"] = dict(pods.node_selector)
    if pods.tolerations:
        spec["tolerations"] = [dict(one) for one in pods.tolerations]
    if body.affinity:
        spec["affinity"] = {"nodeAffinity": dict(body.affinity)}
    return spec
