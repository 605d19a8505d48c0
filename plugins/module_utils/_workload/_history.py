# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The revisions of a workload, the one shape of ControllerRevisions and ReplicaSets. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import without_nulls
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import revision_hash

Object = dict[str, t.Any]

#: the kinds that have a rollout, and the kind that holds the revisions of each
REVISION_KINDS = {"StatefulSet": "ControllerRevision", "Deployment": "ReplicaSet", "DaemonSet": "ControllerRevision"}
KINDS = tuple(REVISION_KINDS)

CHANGE_CAUSE = "kubernetes.io/change-cause"
_NUMBER = "deployment.kubernetes.io/revision"
_TEMPLATE_HASH = "pod-template-hash"


@dataclasses.dataclass(frozen=True)
class Revision:
    """One template that the workload has had. Numbers only grow: an older template that comes back gets a new one."""

    name: str
    number: int
    created: str = ""
    cause: str = ""
    template: Object = dataclasses.field(default_factory=dict, repr=False)

    @property
    def images(self) -> tuple[str, ...]:
        return tuple(container["image"] for container in (self.template.get("spec") or {}).get("containers") or ())

    def phrase(self) -> str:
        about = ", ".join((*self.images, *((self.cause,) if self.cause else ())))
        return f"revision {self.number} ({about})" if about else f"revision {self.number}"


def controlled_by(objects: t.Iterable[Object], uids: t.Collection[str]) -> list[Object]:
    """Those objects whose controller has one of these uids: a label alone proves nothing."""
    return [obj for obj in objects if _controller(obj).get("uid") in uids]


def revisions(objects: t.Iterable[Object]) -> tuple[Revision, ...]:
    """The ControllerRevisions or ReplicaSets of one workload, the oldest first."""
    found = [_of_replica_set(obj) if obj["kind"] == "ReplicaSet" else _of_controller(obj) for obj in objects]
    return tuple(sorted(found, key=lambda revision: revision.number))


def newest(live: Object, history: t.Sequence[Revision]) -> t.Optional[Revision]:
    """The revision of the template as it is now.

    It can be told once the controller has seen the newest version of the workload. None where there is no revision
    of it yet: a paused Deployment makes none.
    """
    if live["kind"] == "StatefulSet":
        name = (live.get("status") or {}).get("updateRevision")
        return next((revision for revision in history if revision.name == name), None)
    if live["kind"] == "Deployment":
        template = without_nulls(live["spec"]["template"])
        same = [revision for revision in history if revision.template == template]
        if same or live["spec"].get("paused"):
            return same[-1] if same else None
    return history[-1] if history else None


def pod_revision(live: Object, pod: Object) -> str:
    """The name of the revision that a pod was made from."""
    if live["kind"] == "Deployment":
        return str(_controller(pod).get("name", ""))
    label = revision_hash(pod)
    return f"{live['metadata']['name']}-{label}" if live["kind"] == "DaemonSet" else label


def current(live: Object, pods: t.Sequence[Object], history: t.Sequence[Revision]) -> t.Optional[Revision]:
    """The revision that a rollout comes from; the newest where none is under way."""
    if live["kind"] == "StatefulSet":
        name = (live.get("status") or {}).get("currentRevision")
        return next((revision for revision in history if revision.name == name), None)
    names = {pod_revision(live, pod) for pod in pods}
    return next((revision for revision in history if revision.name in names), newest(live, history))


def merge_patch(before: t.Any, after: t.Any) -> t.Any:
    """The JSON merge patch (RFC 7396) that makes ``after`` of ``before``. Neither may hold nulls in dictionaries."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif before[key] != value:
            patch[key] = merge_patch(before[key], value)
    return patch


def _controller(obj: Object) -> Object:
    return next((owner for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")), {})


def _of_controller(obj: Object) -> Revision:
    template = without_nulls(((obj.get("data") or {}).get("spec") or {}).get("template") or {})
    template.pop("$patch", None)
    return _revision(obj, int(obj.get("revision", 0)), template)


def _of_replica_set(obj: Object) -> Revision:
    template = without_nulls(obj["spec"]["template"])
    labels = {key: value for key, value in template["metadata"].get("labels", {}).items() if key != _TEMPLATE_HASH}
    template["metadata"] = {**template["metadata"], "labels": labels}
    return _revision(obj, int((obj["metadata"].get("annotations") or {}).get(_NUMBER, 0)), template)


def _revision(obj: Object, number: int, template: Object) -> Revision:
    metadata = obj["metadata"]
    cause = (metadata.get("annotations") or {}).get(CHANGE_CAUSE, "")
    return Revision(metadata["name"], number, metadata.get("creationTimestamp", ""), cause, template)
