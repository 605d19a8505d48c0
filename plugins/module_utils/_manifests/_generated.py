# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Secrets that are made once with random values, and kept."""

from __future__ import annotations

import base64
import re
import secrets as random
import string
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import GeneratedSecret, Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import SeenSecret


def look(cluster: Cluster, key: Key, rules: GeneratedSecret, declared: t.Mapping[Key, Object]) -> SeenSecret:
    """Which of its values are there, and what an earlier value may protect."""
    live = cluster.get("v1", "Secret", key.name, key.namespace)
    there = set((live or {}).get("data") or {})
    missing = tuple(name for name in rules.keys if name not in there)
    opens = tuple(_data(cluster, declared)) if missing and rules.protects_data else ()
    return SeenSecret(key, live is not None, missing, opens)


def generate(cluster: Cluster, seen: SeenSecret, rules: GeneratedSecret) -> None:
    """Make what is missing, and never anew what is there. Raises NotYet."""
    data = {name: base64.b64encode(_value(rules.keys[name]).encode()).decode() for name in seen.missing}
    if seen.exists:
        current = cluster.get("v1", "Secret", seen.key.name, seen.key.namespace)
        if current is None:
            raise NotYet(f"{seen.key} has just been deleted")
        for name in current.get("data") or {}:
            data.pop(name, None)
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "data": data}
        try:
            cluster.merge("v1", "Secret", seen.key.name, seen.key.namespace, patch)
        except ApiError as error:
            if not error.conflict:
                raise
            raise NotYet(f"{seen.key} has changed meanwhile") from error
        return
    metadata: Object = {"name": seen.key.name, "namespace": seen.key.namespace}
    metadata.update({k: dict(v) for k, v in (("labels", rules.labels), ("annotations", rules.annotations)) if v})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": rules.type, "data": data}
    try:
        cluster.create(secret)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        # Somebody else made it in this very moment: theirs is as good, and the only one that counts.


def _data(cluster: Cluster, declared: t.Mapping[Key, Object]) -> t.Iterator[str]:
    """The declared StatefulSets that exist, and the claims that one left."""
    for key, obj in declared.items():
        if key.kind != "StatefulSet":
            continue
        if cluster.get(key.api_version, key.kind, key.name, key.namespace):
            yield f"{key} exists"
        # A claim that somebody made by hand for a first deployment has no labels yet.
        claims = cluster.list("v1", "PersistentVolumeClaim", key.namespace, labels=query(obj["spec"]["selector"]))
        templates = obj["spec"].get("volumeClaimTemplates") or ()
        names = "|".join(re.escape(template["metadata"]["name"]) for template in templates)
        for claim in claims:
            if re.fullmatch(rf"(?:{names})-{re.escape(key.name)}-\d+", claim["metadata"]["name"]):
                yield f"claim {claim['metadata']['name']} exists"


def _value(rule: t.Mapping[str, t.Any]) -> str:
    if "value" in rule:
        return str(rule["value"])
    return random_text(int(rule["length"]), "+/" if rule.get("encoding") == "base64" else "")


def random_text(length: int, more: str = "") -> str:
    """Letters and digits by chance, and what ``more`` has besides."""
    alphabet = string.ascii_letters + string.digits + more
    return "".join(random.choice(alphabet) for _position in range(length))
