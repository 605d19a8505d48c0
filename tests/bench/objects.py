# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The objects of the application, as they were declared: what the other ways get to apply.

They are read from the cluster after this collection made them, so all ways deploy the very same. Of each object that
part is taken which its `managedFields` record for the collection; what the server filled in is left out.
"""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster

MANAGER = "stateful.kube"
# In the order in which one would write them down.
KINDS = (
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("apps/v1", "StatefulSet"),
)

Object = dict[str, t.Any]


def read(cluster: Cluster, namespace: str) -> list[Object]:
    """The namespace and every object in it that this collection made."""
    found: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}]
    for api_version, kind in KINDS:
        for live in cluster.list(api_version, kind, namespace):
            fields = _record(live)
            if fields is not None:
                found.append({"apiVersion": api_version, "kind": kind, **declared(fields, live)})
    for obj in found[1:]:
        obj["metadata"].update(name=obj["metadata"].get("name"), namespace=namespace)
    return found


def moved(objects: t.Sequence[Object], namespace: str) -> list[Object]:
    """The same objects for another namespace."""
    result = copy.deepcopy(list(objects))
    result[0]["metadata"]["name"] = namespace
    for obj in result[1:]:
        obj["metadata"]["namespace"] = namespace
    return result


def _record(live: Object) -> t.Optional[Object]:
    """The fields that the collection applied, or created where it does not apply (Secrets)."""
    entries = [
        entry
        for entry in live["metadata"].get("managedFields") or ()
        if entry["manager"] == MANAGER and not entry.get("subresource")
    ]
    entries.sort(key=lambda entry: t.cast("str", entry["operation"]))  # Apply before Update
    if not entries:
        return None
    fields: Object = copy.deepcopy(entries[0]["fieldsV1"])
    fields.setdefault("f:metadata", {})["f:name"] = {}
    return fields


def declared(fields: t.Mapping[str, t.Any], live: t.Any) -> t.Any:
    """The part of a value that a record of `managedFields` names."""
    children = [key for key in fields if key != "."]
    if not children:
        return copy.deepcopy(live)
    kind = children[0].partition(":")[0]
    if kind == "f":
        return {key[2:]: declared(fields[key], live[key[2:]]) for key in children if key[2:] in live}
    if kind == "v":
        return [json.loads(key[2:]) for key in children]
    # The order of a keyed list is that of the live one.
    keyed = [(json.loads(key[2:]), fields[key]) for key in children]
    return [
        declared(inner, item)
        for item in live
        for keys, inner in keyed
        if all(item.get(name) == value for name, value in keys.items())
    ]
