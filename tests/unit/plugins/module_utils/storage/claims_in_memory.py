# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster in memory: a StatefulSet with its controller, claims, volumes with what is in them, and pods that copy."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError

Object = dict[str, t.Any]
NAMESPACE = "shop"


class Killed(BaseException):
    """The run is gone, without a word to anybody."""


class Connection:
    def request(self, method: str, path: str, *_others: t.Any, **_more: t.Any) -> Object:
        assert path.endswith("selfsubjectaccessreviews")
        return {"status": {"allowed": True}}


class InMemory:
    """Two pods on claims of class slow, and a third claim without a pod. ``data``: what is in each volume."""

    def __init__(self, kill_before: int = 0, eager: bool = False) -> None:
        self.connection = Connection()
        self.objects: dict[tuple[str, str], Object] = {}
        self.data: dict[str, str] = {}
        self.count = 0
        self.writes: list[str] = []
        self.kill_before = kill_before
        #: whether the controllers are quicker than the run
        self.eager = eager
        #: claims whose copy fails, with what the pod says
        self.fails: dict[str, str] = {}
        self.quota: list[Object] = []
        for name in ("slow", "fast"):
            self.put("StorageClass", name, {"provisioner": "example.org/x"})
        template = {
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "slow",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        pod = {"securityContext": {"runAsUser": 999}, "containers": [{"volumeMounts": [{"name": "data"}]}]}
        replicas = {"f:spec": {"f:replicas": {}, "f:template": {}}}
        self.put(
            "StatefulSet",
            "web",
            {
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
                    "volumeClaimTemplates": [template],
                },
            },
            managedFields=[{"manager": "stateful.kube", "operation": "Apply", "fieldsV1": replicas}],
            labels={"app.kubernetes.io/instance": "web"},
        )
        for number in range(3):
            self._claim(f"data-web-{number}", template["spec"], {"number": str(number)})
        self.tick()
        for number in range(3):
            self.data[self.volume_of(f"data-web-{number}")] = f"content {number}"
        self.writes.clear()

    # What a cluster answers

    def get(self, _api: str, kind: str, name: str, _namespace: t.Optional[str] = None) -> t.Optional[Object]:
        return copy.deepcopy(self.objects.get((kind, name)))

    def list(
        self, _api: str, kind: str, _namespace: t.Optional[str] = None, labels: str = "", fields: str = ""
    ) -> list[Object]:
        if kind == "ResourceQuota":
            return self.quota
        wanted = [part.split("=") for part in labels.split(",") if part]

        def matches(one: Object) -> bool:
            there = one["metadata"].get("labels") or {}
            return all(part[0] in there and (len(part) == 1 or there[part[0]] == part[1]) for part in wanted)

        found = [one for (of, _name), one in sorted(self.objects.items()) if of == kind and matches(one)]
        return copy.deepcopy(found)

    def create(self, declared: Object, dry_run: bool = False) -> Object:
        kind, name = declared["kind"], declared["metadata"]["name"]
        if dry_run:
            return declared
        self._write(f"create {kind} {name}")
        if (kind, name) in self.objects:
            raise ApiError(f"{name} exists", 409, "AlreadyExists")
        metadata = {key: value for key, value in declared["metadata"].items() if key not in ("name", "namespace")}
        body = {key: value for key, value in copy.deepcopy(declared).items() if key != "metadata"}
        return self._written(self.put(kind, name, body, **copy.deepcopy(metadata)))

    def merge(
        self,
        _api: str,
        kind: str,
        name: str,
        _namespace: t.Optional[str],
        patch: Object,
        dry_run: bool = False,
        manager: str = "stateful.kube",
    ) -> Object:
        assert not dry_run
        self._write(f"patch {kind} {name}")
        there = self._there(kind, name)
        wanted = patch.get("metadata", {})
        for key in ("uid", "resourceVersion"):
            if wanted.get(key, there["metadata"][key]) != there["metadata"][key]:
                raise ApiError(f"{name} has changed", 409, "Conflict")
        before = copy.deepcopy(there.get("spec"))
        metadata = {key: value for key, value in wanted.items() if key not in ("uid", "resourceVersion")}
        _merge(there, copy.deepcopy({**patch, "metadata": metadata}))
        if there.get("spec") != before:
            there["metadata"]["generation"] += 1
        if (before or {}).get("replicas") != (there.get("spec") or {}).get("replicas"):
            _takes(there, manager)
        self.count += 1
        there["metadata"]["resourceVersion"] = str(self.count)
        return self._written(there)

    def delete(
        self,
        _api: str,
        kind: str,
        name: str,
        _namespace: t.Optional[str] = None,
        propagation: str = "Background",
        uid: t.Optional[str] = None,
        version: t.Optional[str] = None,
    ) -> bool:
        self._write(f"delete {kind} {name}")
        there = self.objects.get((kind, name))
        if there is None:
            return False
        metadata = there["metadata"]
        if uid not in (None, metadata["uid"]) or version not in (None, metadata["resourceVersion"]):
            raise ApiError(f"{name} has changed", 409, "Conflict")
        if kind == "StatefulSet":
            assert propagation == "Orphan"
        if kind == "PersistentVolumeClaim":
            assert not self._pods_on(name), f"{name} is in use"
        del self.objects[kind, name]
        self._written(None)
        return True

    def log_tail(self, *_others: t.Any, **_more: t.Any) -> list[str]:
        return []

    # What its controllers do

    def tick(self) -> None:
        stateful_set = self.objects.get(("StatefulSet", "web"))
        if stateful_set:
            self._run_pods(stateful_set)
        for claim in self._all("PersistentVolumeClaim"):
            self._bind(claim)
        for volume in self._all("PersistentVolume"):
            self._reclaim(volume)
        for pod in self._all("Pod"):
            self._run(pod)

    def _run_pods(self, stateful_set: Object) -> None:
        wanted = {f"web-{number}" for number in range(stateful_set["spec"]["replicas"])}
        there = {pod["metadata"]["name"] for pod in self._all("Pod") if pod["metadata"]["name"][-1].isdigit()}
        for name in sorted(there - wanted):
            del self.objects["Pod", name]
        for name in sorted(wanted - there):
            claim = f"data-{name}"
            if ("PersistentVolumeClaim", claim) not in self.objects:
                self._claim(claim, stateful_set["spec"]["volumeClaimTemplates"][0]["spec"], {})
            body = {
                "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": claim}}]},
                "status": {"phase": "Running"},
            }
            owner = [{"uid": stateful_set["metadata"]["uid"]}]
            self.put("Pod", name, body, ownerReferences=owner, labels={"app": "web"})
        count = stateful_set["spec"]["replicas"]
        stateful_set["status"] = {
            "observedGeneration": stateful_set["metadata"]["generation"],
            "replicas": count,
            "readyReplicas": count,
        }

    def _bind(self, claim: Object) -> None:
        name, spec = claim["metadata"]["name"], claim["spec"]
        if (claim.get("status") or {}).get("phase") == "Bound":
            return
        volume = self.objects.get(("PersistentVolume", spec.get("volumeName", "")))
        if volume is None and "volumeName" in spec:
            return
        if volume is None:
            self.count += 1
            body = {
                "spec": {
                    "persistentVolumeReclaimPolicy": "Delete",
                    "storageClassName": spec["storageClassName"],
                    "claimRef": {"name": name},
                },
            }
            annotations = {"pv.kubernetes.io/provisioned-by": "example.org/x"}
            volume = self.put("PersistentVolume", f"pv-{self.count}", body, annotations=annotations)
            self.data[volume["metadata"]["name"]] = ""
        reference = volume["spec"]["claimRef"]
        if reference["name"] != name or reference.get("uid") not in (None, claim["metadata"]["uid"]):
            return
        reference["uid"] = claim["metadata"]["uid"]
        volume["status"] = {"phase": "Bound"}
        spec["volumeName"] = volume["metadata"]["name"]
        claim["status"] = {"phase": "Bound", "capacity": {"storage": spec["resources"]["requests"]["storage"]}}

    def _reclaim(self, volume: Object) -> None:
        reference = volume["spec"].get("claimRef") or {}
        claim = self.objects.get(("PersistentVolumeClaim", reference.get("name", "")))
        if reference.get("uid") is None:
            volume["status"] = {"phase": "Available"}
        elif claim is None or claim["metadata"]["uid"] != reference["uid"]:
            if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                del self.objects["PersistentVolume", volume["metadata"]["name"]]
                del self.data[volume["metadata"]["name"]]
            else:
                volume["status"] = {"phase": "Released"}

    def _run(self, pod: Object) -> None:
        name = pod["metadata"]["name"]
        owners = [owner["uid"] for owner in pod["metadata"].get("ownerReferences") or ()]
        if owners and not any(one["metadata"]["uid"] in owners for one in self.objects.values()):
            if name.endswith("-migration"):
                del self.objects["Pod", name]
            return
        if pod.get("status") or not name.endswith("-migration"):
            return
        claim = name.removesuffix("-migration")
        words, phase = "files\t1\nbytes\t9\nsha256\tabc\n", "Succeeded"
        if claim in self.fails:
            words, phase = f"failed\t{self.fails[claim]}\n", "Failed"
        elif claim != "web":
            self.data[self.volume_of(name)] = self.data[self.volume_of(claim)]
        ended = {"terminated": {"message": words}}
        pod["status"] = {"phase": phase, "containerStatuses": [{"name": "copy", "state": ended}]}

    # What tests look at and do

    def put(self, kind: str, name: str, body: Object, **metadata: t.Any) -> Object:
        self.count += 1
        known = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{self.count}", "generation": 1}
        metadata = {**known, "resourceVersion": str(self.count), **metadata}
        self.objects[kind, name] = {"apiVersion": "v1", "kind": kind, **body, "metadata": metadata}
        return self.objects[kind, name]

    def scale(self, replicas: int) -> None:
        """Somebody else changes the number of pods."""
        live = self._there("StatefulSet", "web")
        live["spec"]["replicas"] = replicas
        live["metadata"]["generation"] += 1
        self.count += 1
        live["metadata"]["resourceVersion"] = str(self.count)

    def volume_of(self, claim: str) -> str:
        return str(self._there("PersistentVolumeClaim", claim)["spec"]["volumeName"])

    def has_volume(self, claim: str) -> bool:
        found = self.objects.get(("PersistentVolumeClaim", claim)) or {"spec": {}}
        return "volumeName" in found["spec"]

    def content_of(self, claim: str) -> str:
        return self.data[self.volume_of(claim)]

    def names(self, kind: str) -> list[str]:
        return [one["metadata"]["name"] for one in self._all(kind)]

    def _claim(self, name: str, spec: Object, labels: Object) -> None:
        self.put("PersistentVolumeClaim", name, {"spec": copy.deepcopy(spec)}, labels=labels)

    def _all(self, kind: str) -> list[Object]:
        return [one for (of, _name), one in sorted(self.objects.items()) if of == kind]

    def _there(self, kind: str, name: str) -> Object:
        found = self.objects.get((kind, name))
        if found is None:
            raise ApiError(f"{kind} {name} not found", 404, "NotFound")
        return found

    def _pods_on(self, claim: str) -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in self._all("Pod")
            for volume in pod["spec"].get("volumes") or ()
            if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim
            and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]

    def _write(self, text: str) -> None:
        if self.kill_before and len(self.writes) + 1 == self.kill_before:
            raise Killed
        self.writes.append(text)

    def _written(self, after: t.Any) -> t.Any:
        result = copy.deepcopy(after)
        if self.eager:
            self.tick()
        return result


def _merge(there: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            there.pop(key, None)
        elif isinstance(value, dict):
            _merge(there.setdefault(key, {}), value)
        else:
            there[key] = value


def _takes(live: Object, manager: str) -> None:
    """The API server's record of who changed the number of pods last."""
    entries = live["metadata"].setdefault("managedFields", [])
    for entry in entries:
        entry["fieldsV1"].get("f:spec", {}).pop("f:replicas", None)
    entries.append({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}})
