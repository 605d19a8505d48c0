# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The objects of a move of claims: new claims, the pods that copy, and the notes from which a killed run goes on. Pure.

Everything that a later run has to know is on the objects themselves: on the StatefulSet what is moved where and how
many pods it had, on a new claim that its copy is complete, on the volumes whose they are and what becomes of them.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._manifests._variant import MIGRATION
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_script import (
    COPY,
    FROM,
    LAST_WORDS,
    SCRATCH,
    TO,
    TRY,
)

#: on a new claim: its copy is complete, and of which state of the StatefulSet. On a pod: of which it is to be
COPIED = "stateful.kube/copied"
#: labels of volumes: of a move that is under way (new, old), and that it left behind (left)
NEW, OLD, LEFT = "new", "old", "left"
#: on a volume that was left: whose it was
LEFT_BY = "stateful.kube/left-by"
CONTAINER = "copy"
SUFFIX = "-migration"
_BY_KUBERNETES = ("pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/", "kubectl.kubernetes.io/")
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
_ROOTS_RIGHTS = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "MKNOD")


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a StatefulSet says of the move of its claims. ``class_name`` and the rest are what was asked for."""

    class_name: str
    templates: tuple[str, ...]
    replicas: int
    data: str = "copy"
    size: str = ""
    access_modes: tuple[str, ...] = ()
    #: who managed the number of pods before: manager, operation, subresource
    managers: tuple[tuple[str, str, str], ...] = ()

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, live: t.Optional[Object]) -> t.Optional[Mark]:
        text = ((live or {}).get("metadata", {}).get("annotations") or {}).get(MIGRATION)
        try:
            found = json.loads(text) if text else None
        except ValueError:
            return None
        if not isinstance(found, dict) or "class_name" not in found:
            return None
        managers = tuple((str(a), str(b), str(c)) for a, b, c in found.get("managers") or ())
        return cls(
            str(found["class_name"]),
            tuple(found.get("templates") or ()),
            int(found.get("replicas", 1)),
            str(found.get("data", "copy")),
            str(found.get("size", "")),
            tuple(found.get("access_modes") or ()),
            managers,
        )


@dataclasses.dataclass(frozen=True)
class Held:
    """What a volume says of the move: its part in it, whose claim it is, and what its reclaim policy was."""

    part: str
    stateful_set: str
    claim: str
    template: str
    policy: str
    #: of an old volume: what becomes of it in the end, retain or delete
    fate: str = "retain"
    #: of a new volume: the claim that is to be made for it
    wanted: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def of(cls, volume: t.Optional[Object]) -> t.Optional[Held]:
        text = ((volume or {}).get("metadata", {}).get("annotations") or {}).get(MIGRATION)
        try:
            found = json.loads(text) if text else None
            return cls(**found) if found else None
        except (ValueError, TypeError):
            return None


@dataclasses.dataclass(frozen=True)
class Pods:
    """How the pods that copy run."""

    image: str
    pull_policy: str
    #: None where the StatefulSet does not say it and the user did not either: root, who can read and give everything
    user: t.Optional[int]
    group: t.Optional[int]
    security: t.Mapping[str, t.Any]
    #: parts of the pod template that decide where a pod may run, and as whom
    spec: t.Mapping[str, t.Any]


def pods_of(live: Object, templates: t.Collection[str], image: str, pull_policy: str, user: t.Optional[int]) -> Pods:
    """Pods that run as those of the StatefulSet do, as far as reading and writing its files goes."""
    spec = live["spec"]["template"]["spec"]
    pod = spec.get("securityContext") or {}
    mounting: Object = next(
        (
            one
            for one in spec.get("containers") or ()
            if any(mount.get("name") in templates for mount in one.get("volumeMounts") or ())
        ),
        {},
    )
    own = mounting.get("securityContext") or {}
    if user is None:
        user = own.get("runAsUser", pod.get("runAsUser"))
    group = own.get("runAsGroup", pod.get("runAsGroup"))
    names = ("fsGroup", "supplementalGroups", "seLinuxOptions")
    security = {name: pod[name] for name in names if pod.get(name) is not None}
    if own.get("seLinuxOptions"):
        security["seLinuxOptions"] = own["seLinuxOptions"]
    where = ("nodeSelector", "tolerations", "imagePullSecrets", "serviceAccountName", "priorityClassName")
    kept = {name: spec[name] for name in where if spec.get(name)}
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity")
    if node_affinity:
        kept["affinity"] = {"nodeAffinity": node_affinity}
    return Pods(image, pull_policy, user, group, security, kept)


def temporary(claim: str) -> str:
    """The name of a new claim until it gets its own, and of the pod that fills it."""
    return f"{claim}{SUFFIX}"


def labels(key: Key) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "stateful.kube", "stateful.kube/migration": _short(key.name)}


def new_claim(key: Key, claim: Object, class_name: str, size: str, access_modes: t.Sequence[str]) -> dict[str, t.Any]:
    """The claim on the new class that gets the copy, under a name of its own."""
    name = claim["metadata"]["name"]
    spec: dict[str, t.Any] = {
        "accessModes": list(access_modes or claim["spec"]["accessModes"]),
        "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
        "storageClassName": class_name,
        "resources": {"requests": {"storage": size}},
    }
    metadata = {"name": temporary(name), "namespace": key.namespace, "labels": labels(key)}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def final_claim(claim: Object, fresh: Object, volume: str) -> dict[str, t.Any]:
    """The claim of the old name for the new volume: labels and annotations of the old one, what it asks of the new."""
    metadata: dict[str, t.Any] = {"name": claim["metadata"]["name"], "namespace": claim["metadata"]["namespace"]}
    for part in ("labels", "annotations"):
        there = claim["metadata"].get(part) or {}
        kept = {name: value for name, value in there.items() if not name.startswith(_BY_KUBERNETES)}
        if kept:
            metadata[part] = kept
    spec = {
        name: fresh["spec"][name]
        for name in ("accessModes", "volumeMode", "storageClassName", "resources")
        if name in fresh["spec"]
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": {**spec, "volumeName": volume},
    }


def copy_pod(key: Key, claim: str, owner: Object, stamp: str, pods: Pods) -> dict[str, t.Any]:
    """The pod that copies one claim. It belongs to the new claim, and goes with it."""
    name = temporary(claim)
    metadata = {
        "name": name,
        "namespace": key.namespace,
        "labels": labels(key),
        "annotations": {COPIED: stamp},
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
            }
        ],
    }
    volumes: list[Object] = [
        {"name": "from", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}},
        {"name": "to", "persistentVolumeClaim": {"claimName": name}},
    ]
    mounts: list[Object] = [{"name": "from", "mountPath": FROM, "readOnly": True}, {"name": "to", "mountPath": TO}]
    return _pod(metadata, ["sh", "-c", COPY, "copy", FROM, TO, SCRATCH, LAST_WORDS], pods, volumes, mounts)


def try_pod(key: Key, pods: Pods) -> dict[str, t.Any]:
    """A pod without volumes: can the image be had, may it run so, and has it the tools?"""
    metadata = {"name": f"{key.name}{SUFFIX}", "namespace": key.namespace, "labels": labels(key)}
    return _pod(metadata, ["sh", "-c", TRY, "try", LAST_WORDS], pods, [], [])


def _pod(
    metadata: Object, command: t.Sequence[str], pods: Pods, volumes: t.Sequence[Object], mounts: t.Sequence[Object]
) -> dict[str, t.Any]:
    user = pods.user or 0
    security: dict[str, t.Any] = {**pods.security, "seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": user}
    if user:
        security["runAsNonRoot"] = True
    if pods.group is not None:
        security["runAsGroup"] = pods.group
    if "fsGroup" in security:
        security["fsGroupChangePolicy"] = "OnRootMismatch"
    container = {
        "name": CONTAINER,
        "image": pods.image,
        "imagePullPolicy": pods.pull_policy,
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], **({} if user else {"add": list(_ROOTS_RIGHTS)})},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [*mounts, {"name": "scratch", "mountPath": SCRATCH}],
    }
    spec = {
        **pods.spec,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "containers": [container],
        "volumes": [*volumes, {"name": "scratch", "emptyDir": {}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": dict(metadata), "spec": spec}


def hold(held: Held, volume: Object) -> dict[str, t.Any]:
    """The patch that keeps a volume whatever becomes of its claim, and says whose it is."""
    return {
        "metadata": {
            "resourceVersion": volume["metadata"]["resourceVersion"],
            "labels": {MIGRATION: held.part},
            "annotations": {MIGRATION: held.dump()},
        },
        "spec": {"persistentVolumeReclaimPolicy": "Retain"},
    }


def hand_over(held: Held, namespace: str, volume: Object) -> dict[str, t.Any]:
    """The patch that keeps a volume which belongs to nobody for one claim that is yet to be made."""
    return {
        "metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]},
        "spec": {
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": held.claim,
                "uid": None,
                "resourceVersion": None,
            }
        },
    }


def let_go(held: Held) -> dict[str, t.Any]:
    """The patch that gives a volume its reclaim policy back, and takes the notes away."""
    return {
        "metadata": {"labels": {MIGRATION: None}, "annotations": {MIGRATION: None}},
        "spec": {"persistentVolumeReclaimPolicy": held.policy},
    }


def discard(held: t.Optional[Held], volume: Object) -> dict[str, t.Any]:
    """The patch of a new volume that is not wanted any more: what a driver has made goes with its claim."""
    policy = held.policy if held else volume["spec"].get("persistentVolumeReclaimPolicy", "Retain")
    if (volume["metadata"].get("annotations") or {}).get(_PROVISIONED_BY):
        policy = "Delete"
    return {
        "metadata": {"labels": {MIGRATION: None}, "annotations": {MIGRATION: None}},
        "spec": {"persistentVolumeReclaimPolicy": policy},
    }


def settle_old(held: Held) -> dict[str, t.Any]:
    """The patch that leaves an old volume for good, or lets its driver delete it."""
    if held.fate == "delete":
        return {
            "metadata": {"labels": {MIGRATION: None}, "annotations": {MIGRATION: None}},
            "spec": {"persistentVolumeReclaimPolicy": "Delete"},
        }
    return {
        "metadata": {
            "labels": {MIGRATION: LEFT},
            "annotations": {MIGRATION: None, LEFT_BY: f"{held.stateful_set} claim {held.claim}"},
        }
    }


def with_variant(
    live: Object, templates: t.Collection[str], class_name: str, size: str, access_modes: t.Sequence[str]
) -> dict[str, t.Any]:
    """The StatefulSet with another class in these claim templates, and otherwise as it is."""

    def moved(one: Object) -> Object:
        if one["metadata"]["name"] not in templates:
            return one
        spec = {**one["spec"], "storageClassName": class_name}
        if access_modes:
            spec["accessModes"] = list(access_modes)
        if size:
            resources = spec.get("resources") or {}
            spec["resources"] = {**resources, "requests": {**(resources.get("requests") or {}), "storage": size}}
        return {**one, "spec": spec}

    found = [moved(one) for one in live["spec"].get("volumeClaimTemplates") or ()]
    return {**live, "spec": {**live["spec"], "volumeClaimTemplates": found}}


def _short(text: str) -> str:
    """As much of a name as a label takes."""
    return text[:63].rstrip("-.")
