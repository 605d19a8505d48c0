# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A StatefulSet and its controller in memory, for tests: what it does with pods and revisions, one thing a look."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import without_nulls

Object = dict[str, t.Any]

LABELS = {"app": "web"}
BROKEN = "broken"


CONTAINERS: Object = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:image": {}}}}}}}
NAME: Object = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:name": {}}}}}}}
PARTITION: Object = {"f:spec": {"f:updateStrategy": {"f:rollingUpdate": {"f:partition": {}}}}}


def template(image: str) -> Object:
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": image}]}}


class Killed(BaseException):
    """The process that ran the operation is gone. No handler of errors may catch it."""


class World:
    """Stands in for Cluster. Images that begin with "broken" never become ready."""

    def __init__(self, replicas: int, partition: int = 0, strategy: str = "RollingUpdate", policy: str = "") -> None:
        """``partition`` is declared by the manager "shop", unless it is 0."""
        update: Object = {"type": strategy}
        if strategy == "RollingUpdate":
            update["rollingUpdate"] = {"partition": partition}
        self.live: Object = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "web", "uid": "u", "annotations": {"stateful.kube/mongodb-set-id": "65f0"}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": LABELS},
                "podManagementPolicy": policy or "OrderedReady",
                "updateStrategy": update,
                "template": template("good"),
            },
            "status": {},
        }
        declared = merged(NAME, PARTITION) if partition else NAME
        fields = [{"manager": "shop", "operation": "Apply", "fieldsV1": declared}]
        self.live["metadata"].update(generation=1, resourceVersion="1", managedFields=fields)
        self.revisions: list[Object] = []
        self.pods: dict[int, Object] = {}
        self.made = 0
        #: every pod that went, as (ordinal, image, who)
        self.gone: list[tuple[int, str, str]] = []
        #: die at the n-th change that is asked for, before or after it is done
        self.die_at: t.Optional[int] = None
        self.die_after = False
        self.settle()

    # What the controller does

    def settle(self) -> None:
        before = None
        while before != (before := copy.deepcopy((self.live, self.pods))):
            self.tick()

    def tick(self) -> None:
        spec, status = self.live["spec"], self.live["status"]
        newest = self._revision(spec["template"])
        status.update(observedGeneration=self.live["metadata"]["generation"], updateRevision=newest)
        status.setdefault("currentRevision", newest)
        self._replace(spec, status, newest)
        ready = [pod for pod in self.pods.values() if is_ready(pod)]
        status.update(
            replicas=len(self.pods),
            readyReplicas=len(ready),
            availableReplicas=len(ready),
            updatedReplicas=sum(revision(pod) == newest for pod in self.pods.values()),
        )
        if len(ready) == spec["replicas"] == status["updatedReplicas"]:
            status["currentRevision"] = newest

    def _replace(self, spec: Object, status: Object, newest: str) -> None:
        partition = (spec["updateStrategy"].get("rollingUpdate") or {}).get("partition", 0)
        ordered = spec["podManagementPolicy"] == "OrderedReady"
        for ordinal in range(spec["replicas"]):
            pod = self.pods.get(ordinal)
            if pod is None:
                self._make(ordinal, status["currentRevision"] if ordinal < partition else newest)
                return
            if not is_ready(pod):
                if not image(pod).startswith(BROKEN):
                    pod["status"] = running("True")
                    return
                if ordered:
                    return
        if spec["updateStrategy"]["type"] == "OnDelete":
            return
        for ordinal in reversed(range(partition, spec["replicas"])):
            if revision(self.pods[ordinal]) != newest:
                self._remove(ordinal, "controller")
                return
            if not is_ready(self.pods[ordinal]):
                return

    def _revision(self, wanted: Object) -> str:
        for kept in self.revisions:
            if kept["data"]["spec"]["template"] == {**wanted, "$patch": "replace"}:
                if kept is not max(self.revisions, key=lambda one: one["revision"]):
                    kept["revision"] = 1 + max(one["revision"] for one in self.revisions)
                return str(kept["metadata"]["name"])
        number = 1 + max((one["revision"] for one in self.revisions), default=0)
        metadata = {"name": f"web-{number}", "uid": f"r{number}", "ownerReferences": [{"uid": "u", "controller": True}]}
        data = {"spec": {"template": {**copy.deepcopy(wanted), "$patch": "replace"}}}
        self.revisions.append({"metadata": metadata, "revision": number, "data": data})
        return f"web-{number}"

    def _make(self, ordinal: int, name: str) -> None:
        self.made += 1
        made_from = next(one for one in self.revisions if one["metadata"]["name"] == name)["data"]["spec"]["template"]
        self.pods[ordinal] = {
            "metadata": {
                "name": f"web-{ordinal}",
                "uid": f"p{self.made}",
                "labels": {**LABELS, "controller-revision-hash": name},
                "ownerReferences": [{"uid": "u", "controller": True}],
            },
            "spec": copy.deepcopy(made_from["spec"]),
            "status": waiting() if image({"spec": made_from["spec"]}).startswith(BROKEN) else running("False"),
        }

    def _remove(self, ordinal: int, who: str) -> None:
        self.gone.append((ordinal, image(self.pods.pop(ordinal)), who))

    # What others ask for

    def get(self, _api_version: str, _kind: str, name: str, _namespace: str) -> t.Optional[Object]:
        found = copy.deepcopy(self.live) if name == "web" else None
        self.tick()
        return found

    def list(self, _api_version: str, kind: str, _namespace: str, labels: str = "", fields: str = "") -> list[Object]:
        items = {"Pod": list(self.pods.values()), "ControllerRevision": self.revisions}.get(kind, [])
        return [{**copy.deepcopy(item), "kind": kind} for item in items]

    def merge(self, _version: str, _kind: str, _name: str, _namespace: str, patch: Object, manager: str) -> None:
        assert manager == "stateful.kube-rollout"
        metadata = dict(patch["metadata"])
        seen = metadata.pop("resourceVersion"), metadata.pop("uid")
        if seen != (self.live["metadata"]["resourceVersion"], self.live["metadata"]["uid"]):
            raise ApiError("changed", 409, "Conflict")
        self._change(lambda: self._edit_as(manager, {**patch, "metadata": metadata}))

    def delete(
        self,
        _api: str,
        kind: str,
        name: str,
        _namespace: str,
        uid: str,
        version: t.Optional[str],
        grace: t.Optional[int],
    ) -> None:
        assert kind == "Pod"
        assert version is None
        assert grace is None
        ordinal = int(name.rpartition("-")[2])
        assert self.pods[ordinal]["metadata"]["uid"] == uid
        self._change(lambda: self._remove(ordinal, "operation"))

    def _edit_as(self, manager: str, patch: Object) -> None:
        """What changes is recorded as the field of who changed it, and of nobody else."""
        self.edit(patch)
        taken: Object = {}
        if "spec" in (patch.get("spec", {}).get("template") or {}):
            taken = merged(taken, CONTAINERS)
        if "updateStrategy" in patch.get("spec", {}):
            taken = merged(taken, PARTITION)
            self.live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].pop("f:updateStrategy", None)
        if taken:
            entries = self.live["metadata"]["managedFields"]
            before = next((one["fieldsV1"] for one in entries if one["manager"] == manager), {})
            entries[:] = [one for one in entries if one["manager"] != manager]
            entries.append({"manager": manager, "operation": "Update", "fieldsV1": merged(before, taken)})

    def fields_of(self, manager: str) -> Object:
        entries = self.live["metadata"].get("managedFields", [])
        return next((one["fieldsV1"] for one in entries if one["manager"] == manager), {})

    def edit(self, patch: Object) -> None:
        """A merge patch by anybody."""
        before = copy.deepcopy(self.live["spec"])
        self.live = without_nulls(merged(self.live, patch))
        metadata = self.live["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata["generation"] += self.live["spec"] != before

    def _change(self, change: t.Callable[[], None]) -> None:
        dies = self.die_at == 0
        self.die_at = None if self.die_at is None or dies else self.die_at - 1
        if dies and not self.die_after:
            raise Killed
        change()
        if dies:
            raise Killed


def merged(target: t.Any, patch: t.Any) -> t.Any:
    """RFC 7396, written from its text."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def image(pod: Object) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def revision(pod: Object) -> str:
    return str(pod["metadata"]["labels"]["controller-revision-hash"])


def is_ready(pod: Object) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"]["conditions"])


def running(ready: str) -> Object:
    status = {"name": "main", "state": {"running": {}}}
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [status]}


def waiting() -> Object:
    reason = {"reason": "ImagePullBackOff", "message": "no such image"}
    status = {"name": "main", "image": BROKEN, "state": {"waiting": reason}}
    return {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [status],
    }
