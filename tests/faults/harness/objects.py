# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a finished run leaves in a namespace, without anything that differs from one deployment to the next."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object

KINDS = (
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
)
# Chosen by the cluster for each object anew.
CHOSEN = ("clusterIP", "clusterIPs", "volumeName", "nodePort")
# Every namespace has these by itself.
OWN = (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))


def what_is_left(api: Cluster, namespace: str, without_annotations: t.Collection[str]) -> dict[str, t.Any]:
    """By kind and name."""
    found = {}
    for api_version, kind in KINDS:
        for obj in api.list(api_version, kind, namespace):
            name = obj["metadata"]["name"]
            if (kind, name) not in OWN:
                found[f"{kind} {name}"] = _essence(obj, without_annotations)
    return t.cast("dict[str, t.Any]", json.loads(json.dumps(found).replace(namespace, "NAMESPACE")))


def _essence(obj: Object, without_annotations: t.Collection[str]) -> Object:
    metadata = obj["metadata"]
    annotations = metadata.get("annotations") or {}
    kept: Object = {
        "labels": metadata.get("labels") or {},
        "annotations": {key: value for key, value in annotations.items() if key not in without_annotations},
        "spec": {key: value for key, value in (obj.get("spec") or {}).items() if key not in CHOSEN},
    }
    data = obj.get("data") or {}
    # A generated secret is another one each time; that it has its keys, of the right length, is all.
    kept["data"] = {key: len(value) for key, value in data.items()} if obj["kind"] == "Secret" else data
    if obj["kind"] == "PersistentVolumeClaim":
        del kept["annotations"]  # the provisioner's own
    return kept


def differences(wanted: t.Any, found: t.Any, path: str = "") -> list[str]:
    """Where two of these differ, as paths."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return [
            line
            for key in sorted({*wanted, *found})
            for line in differences(wanted.get(key), found.get(key), f"{path}/{key}")
        ]
    return [] if wanted == found else [path]
