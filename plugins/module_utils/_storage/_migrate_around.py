# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks what has to allow a move of claims: rights, class, drivers, quotas, autoscalers."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._cluster._access import allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._growth import quotas
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import Around, Seen

# (API group, resource, verbs); the last line but one is for copies alone.
_IN_NAMESPACE = (
    ("", "persistentvolumeclaims", ("list", "create", "patch", "delete")),
    ("apps", "statefulsets", ("get", "create", "patch", "delete")),
    ("", "secrets", ("get", "create", "patch", "delete")),
    ("", "pods", ("list",)),
)
_TO_COPY = (("", "pods", ("create", "delete")), ("", "pods/log", ("get",)))
_IN_CLUSTER = (("", "persistentvolumes", ("get", "list", "patch")),)


def around(cluster: Cluster, seen: Seen) -> Around:
    classes = list_if_allowed(cluster, "storage.k8s.io/v1", "StorageClass")
    drivers = list_if_allowed(cluster, "storage.k8s.io/v1", "CSIDriver")
    return Around(
        target=next((one for one in classes or () if one["metadata"]["name"] == seen.wish.class_name), None),
        known=classes is not None,
        classes=tuple(one["metadata"]["name"] for one in classes or ()),
        drivers=None if drivers is None else frozenset(one["metadata"]["name"] for one in drivers),
        quotas=tuple(quotas(cluster, seen.key.namespace)),
        autoscalers=_autoscalers(cluster, seen),
        lacking=_lacking(cluster, seen),
    )


def _autoscalers(cluster: Cluster, seen: Seen) -> tuple[str, ...]:
    try:
        found = list_if_allowed(cluster, "autoscaling/v2", "HorizontalPodAutoscaler", seen.key.namespace) or ()
    except Failure as failure:
        if isinstance(failure, ApiError) and not failure.not_found:
            raise
        return ()  # a server without this API has none
    target = ("StatefulSet", seen.key.name)
    return tuple(
        one["metadata"]["name"]
        for one in found
        if (one["spec"]["scaleTargetRef"].get("kind"), one["spec"]["scaleTargetRef"].get("name")) == target
    )


def _lacking(cluster: Cluster, seen: Seen) -> tuple[str, ...]:
    rules = [*_IN_NAMESPACE, *(_TO_COPY if seen.wish.data == "copy" else ())]
    asked = [(verb, resource, group, seen.key.namespace) for group, resource, verbs in rules for verb in verbs]
    asked += [(verb, resource, group, "") for group, resource, verbs in _IN_CLUSTER for verb in verbs]
    answers = in_parallel(lambda one: allowed(cluster, *one), asked)
    lacking: dict[str, list[str]] = {}
    for (verb, resource, _group, _namespace), may in zip(asked, answers, strict=True):
        if not may:
            lacking.setdefault(resource, []).append(verb)
    return tuple(f"{', '.join(verbs)} {resource}" for resource, verbs in lacking.items())
