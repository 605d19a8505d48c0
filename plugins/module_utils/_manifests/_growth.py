# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the growth of claims asks of the cluster, and the growth itself."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object, list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import Classes, Growth
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def growable(cluster: Cluster) -> Classes:
    """Whether claims of each class can grow; None for an account that may not know."""
    classes = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass")
    return (
        None if classes is None else {one["metadata"]["name"]: bool(one.get("allowVolumeExpansion")) for one in classes}
    )


def default_class(cluster: Cluster) -> t.Optional[str]:
    """The class of a claim that names none: the newest that is marked. None where there is none to be seen."""
    classes = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass") or ()
    marked = [one for one in classes if (one["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"]
    newest = max(marked, key=lambda one: str(one["metadata"].get("creationTimestamp") or ""), default=None)
    return str(newest["metadata"]["name"]) if newest else None


def quotas(cluster: Cluster, namespace: str) -> t.Sequence[Object]:
    return list_if_allowed(cluster, "v1", "ResourceQuota", namespace) or ()


def grow(cluster: Cluster, growth: Growth, dry_run: bool = False) -> None:
    """Raise the request of one claim, if it is as it was seen. Raises NotYet."""
    patch = {
        "metadata": {"uid": growth.uid, "resourceVersion": growth.version},
        "spec": {"resources": {"requests": {"storage": growth.after}}},
    }
    try:
        cluster.merge("v1", "PersistentVolumeClaim", growth.claim, growth.namespace, patch, dry_run)
    except ApiError as error:
        if error.conflict and dry_run:
            return
        if error.conflict:
            raise NotYet(f"claim {growth.claim} has changed meanwhile") from error
        raise Failure(
            f"claim {growth.claim} cannot grow from {growth.before} to {growth.after}: "
            f"{error.message.rstrip('.')}. Correct this, or keep the old size.",
            **error.facts,
        ) from error


def late_classes(cluster: Cluster) -> frozenset[str]:
    """The classes that make a volume only once a pod asks for it; none for an account that may not know."""
    classes = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass") or ()
    return frozenset(
        one["metadata"]["name"] for one in classes if one.get("volumeBindingMode") == "WaitForFirstConsumer"
    )


def require_classes(cluster: Cluster, key: Key, declared: t.Mapping[Key, Object]) -> None:
    """A claim template cannot be corrected afterwards, so a class that does not exist is found before."""
    for template in declared[key]["spec"].get("volumeClaimTemplates") or ():
        name = template["spec"].get("storageClassName")
        if not name or any(one.kind == "StorageClass" and one.name == name for one in declared):
            continue
        found = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass")
        if found is None:
            return
        classes = [one["metadata"]["name"] for one in found]
        if name in classes:
            continue
        volumes = list_if_allowed(cluster, "v1", "PersistentVolume")
        if volumes is None:
            return
        if not any(volume["spec"].get("storageClassName") == name for volume in volumes):
            raise Failure(
                f'{key}: storageClassName of the claim template {template["metadata"]["name"]} is "{name}", and '
                f"there is neither a StorageClass nor a PersistentVolume of that class in the cluster (found "
                f"{', '.join(classes) or 'no class at all'}). Correct the name, or make the class first."
            )
