# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A StatefulSet deleted without its pods and made again, so that fields change which cannot change in place.

Killed anywhere, the next run goes on. Before the deletion the StatefulSet is marked, and what it will be is saved:
everything that it was, also what others wrote (annotations, a number of pods set by an autoscaler), and who manages
which field. The copy lies in a Secret, because templates may hold what only readers of Secrets may see. The mark comes
before the copy and goes after it, so a copy without a use is never left behind.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import re
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import claims_of
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key

#: on a StatefulSet: it is being made again, and this Secret has the copy
MARK = "stateful.kube/recreation"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_CONTENT = "statefulset"
# Seconds. The garbage collector and the controller take moments; when they do not, the loop of the operation waits.
_MOMENT = 10.0
_LOOK_AGAIN = 0.05


@dataclasses.dataclass(frozen=True)
class Recreation:
    """Where the recreation of a StatefulSet stands that was begun earlier."""

    #: going (being deleted), gone, adopting, finishing
    stage: str
    saved: t.Optional[t.Mapping[str, t.Any]] = dataclasses.field(default=None, repr=False)
    #: pods that the new StatefulSet has not taken over yet
    pods: tuple[str, ...] = ()


def copy_name(key: Key) -> str:
    return f"{key.name}.recreation"


def left_copy(cluster: Cluster, key: Key, live: t.Optional[Object]) -> t.Optional[Key]:
    """The copy that a killed recreation left beside a StatefulSet that is to be deleted, or is gone."""
    if live is not None and MARK not in (live["metadata"].get("annotations") or {}):
        return None
    return Key("v1", "Secret", key.namespace, copy_name(key)) if _saved(cluster, key) else None


def stand(cluster: Cluster, key: Key, live: t.Optional[Object]) -> t.Optional[Recreation]:
    """Where the recreation of this StatefulSet stands, or None where none is under way."""
    if live is not None and MARK not in (live["metadata"].get("annotations") or {}):
        return None
    if live is not None and live["metadata"].get("deletionTimestamp"):
        return Recreation("going")
    saved = _saved(cluster, key)
    if live is None:
        # A copy for which neither pods nor claims are left belongs to an application that was removed.
        return Recreation("gone", saved) if saved and _left(cluster, key, saved) else None
    waiting = tuple(_orphans(cluster, key, live))
    return Recreation("adopting" if waiting else "finishing", saved, waiting)


def lost(cluster: Cluster, key: Key) -> t.Optional[Recreation]:
    """The recreation of a StatefulSet that is gone, also where neither pods nor claims of it are left."""
    saved = _saved(cluster, key)
    return Recreation("gone", saved) if saved else None


def attempt(cluster: Cluster, target: Object) -> None:
    """Try whether the API server would make this StatefulSet. Raises ApiError."""
    try:
        cluster.create(_bare(target), dry_run=True)
    except ApiError as error:
        # The last of its checks is whether the name is taken: all others were passed.
        if error.reason != "AlreadyExists":
            raise


def recreate(cluster: Cluster, key: Key, live: Object, target: Object) -> None:
    """Mark, save, delete without the pods, make again, and give every field back to its manager. Raises NotYet."""
    saved = {"uid": live["metadata"]["uid"], "managedFields": _records(live), "object": _bare(target)}
    try:
        marked = cluster.merge(
            key.api_version,
            key.kind,
            key.name,
            key.namespace,
            {
                "metadata": {
                    "resourceVersion": live["metadata"]["resourceVersion"],
                    "annotations": {MARK: copy_name(key)},
                }
            },
        )
        _save(cluster, key, saved)
        cluster.delete(
            key.api_version,
            key.kind,
            key.name,
            key.namespace,
            "Orphan",
            marked["metadata"]["uid"],
            marked["metadata"]["resourceVersion"],
        )
    except ApiError as error:
        if not error.conflict:
            raise
        raise NotYet(f"{key} has changed meanwhile") from error
    until = time.monotonic() + _MOMENT
    while time.monotonic() < until:
        there = cluster.get(key.api_version, key.kind, key.name, key.namespace)
        if there is None or there["metadata"]["uid"] != saved["uid"]:
            make_again(cluster, key, saved)
            return
        time.sleep(_LOOK_AGAIN)


def make_again(cluster: Cluster, key: Key, saved: t.Mapping[str, t.Any]) -> None:
    """Make the saved StatefulSet, which takes its pods over; then finish."""
    try:
        cluster.create(saved["object"])
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    until = time.monotonic() + _MOMENT
    while time.monotonic() < until:
        live = cluster.get(key.api_version, key.kind, key.name, key.namespace)
        if live is None:
            return
        if not any(_orphans(cluster, key, live)):
            with contextlib.suppress(NotYet):  # the controller writes the status in these very moments
                finish(cluster, key, live, saved)
                return
        time.sleep(_LOOK_AGAIN)


def finish(cluster: Cluster, key: Key, live: Object, saved: t.Optional[t.Mapping[str, t.Any]]) -> None:
    """Give the fields back to their managers, remove the copy, and then the mark. Raises NotYet."""
    version = live["metadata"]["resourceVersion"]
    try:
        if saved and saved["uid"] != live["metadata"]["uid"]:
            version = _patch(cluster, key, {"resourceVersion": version, "managedFields": saved["managedFields"]})
        if saved:
            cluster.delete("v1", "Secret", copy_name(key), key.namespace)
        _patch(cluster, key, {"resourceVersion": version, "annotations": {MARK: None}})
    except ApiError as error:
        if not error.conflict:
            raise
        raise NotYet(f"{key} has changed meanwhile") from error


def _patch(cluster: Cluster, key: Key, metadata: Object) -> str:
    after = cluster.merge(key.api_version, key.kind, key.name, key.namespace, {"metadata": metadata})
    return str(after["metadata"]["resourceVersion"])


def _records(live: Object) -> list[t.Any]:
    """Who manages which field, but for the status, which is made anew."""
    return [entry for entry in live["metadata"].get("managedFields") or () if not entry.get("subresource")]


def _bare(target: Object) -> Object:
    """A StatefulSet that can be created: without what the API server gave the old one."""
    kept = {
        name: value
        for name, value in target["metadata"].items()
        if name in ("name", "namespace", "labels", "annotations", "ownerReferences")
    }
    # kubectl's copy of an object that is no more would make its next apply undo things.
    kept["annotations"] = {
        **{name: value for name, value in (kept.get("annotations") or {}).items() if name != _LAST_APPLIED},
        MARK: f"{target['metadata']['name']}.recreation",
    }
    own = [name for name in target["metadata"].get("finalizers") or () if name not in ("orphan", "foregroundDeletion")]
    if own:
        kept["finalizers"] = own
    return {"apiVersion": target["apiVersion"], "kind": target["kind"], "metadata": kept, "spec": target["spec"]}


def _save(cluster: Cluster, key: Key, saved: Object) -> None:
    content = base64.b64encode(json.dumps(saved).encode()).decode()
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": copy_name(key), "namespace": key.namespace},
        "type": "stateful.kube/recreation",
        "data": {_CONTENT: content},
    }
    try:
        cluster.create(secret)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        # From a run that was killed before the deletion: the StatefulSet itself is the newer truth.
        cluster.merge("v1", "Secret", copy_name(key), key.namespace, {"data": {_CONTENT: content}})


def _saved(cluster: Cluster, key: Key) -> t.Optional[Object]:
    try:
        secret = cluster.get("v1", "Secret", copy_name(key), key.namespace)
    except ApiError as error:
        if error.forbidden:
            return None  # who may not read Secrets has not saved one either
        raise
    if secret is None or _CONTENT not in (secret.get("data") or {}):
        return None
    return t.cast("Object", json.loads(base64.b64decode(secret["data"][_CONTENT])))


def _orphans(cluster: Cluster, key: Key, live: Object) -> t.Iterator[str]:
    """Pods of the StatefulSet that belong to nobody."""
    for pod in cluster.list("v1", "Pod", key.namespace, labels=query(live["spec"]["selector"])):
        metadata = pod["metadata"]
        if (
            re.fullmatch(rf"{re.escape(key.name)}-\d+", metadata["name"])
            and not metadata.get("ownerReferences")
            and not metadata.get("deletionTimestamp")
        ):
            yield metadata["name"]


def _left(cluster: Cluster, key: Key, saved: t.Mapping[str, t.Any]) -> bool:
    if any(_orphans(cluster, key, saved["object"])):
        return True
    templates = saved["object"]["spec"].get("volumeClaimTemplates") or ()
    claims = cluster.list("v1", "PersistentVolumeClaim", key.namespace) if templates else []
    return any(claims_of(key, template["metadata"]["name"], claims) for template in templates)
