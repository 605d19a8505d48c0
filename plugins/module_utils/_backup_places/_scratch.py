# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A pod in which a backup is proven: from the image of the application, as restricted as that one, on an emptyDir, and
gone when that is done."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition, failed, pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import remove

Object = t.Mapping[str, t.Any]
S = t.TypeVar("S", bound="ScratchPod")

APPLICATION = "backup-verification"
# Seconds: the pod is gone at the latest after a day, also when this run is killed and nobody comes back.
DEADLINE = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Container:
    """What runs in it."""

    command: t.Sequence[str]
    #: folders that may be written to, the first of which holds the data
    folders: t.Sequence[str]
    #: bytes of the node's disk that it asks for
    size: int
    args: t.Sequence[str] = ()
    #: volumes of the application's own pod, read-only, and where they are mounted
    volumes: t.Sequence[tuple[Object, str]] = ()


def pod(name: str, namespace: str, owner: Object, live: Object, port: int, wanted: Container) -> dict[str, t.Any]:
    """One that is like a pod of the application, as far as that matters here. Pure."""
    spec = live["spec"]
    container = serving(live, port)
    security = {
        key: value
        for key, value in (spec.get("securityContext") or {}).items()
        if key in ("runAsUser", "runAsGroup", "fsGroup", "seLinuxOptions")
    }
    own = {key: value for key, value in (container.get("securityContext") or {}).items() if key.startswith("runAs")}
    mounts: list[Object] = [{"name": _folder(n), "mountPath": path} for n, path in enumerate(wanted.folders)]
    mounts += [{"name": one["name"], "mountPath": path, "readOnly": True} for one, path in wanted.volumes]
    body: dict[str, t.Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": DEADLINE,
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {**security, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": probe.CONTAINER,
                "image": container["image"],
                "imagePullPolicy": container.get("imagePullPolicy", "IfNotPresent"),
                "command": list(wanted.command),
                "args": list(wanted.args),
                "securityContext": {
                    **own,
                    "runAsNonRoot": True,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": str(wanted.size)},
                    "limits": {"memory": "1Gi"},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": [
            *({"name": _folder(n), "emptyDir": {}} for n, _path in enumerate(wanted.folders)),
            *(one for one, _path in wanted.volumes),
        ],
    }
    for key in ("imagePullSecrets", "nodeSelector", "tolerations"):
        if spec.get(key):
            body[key] = spec[key]
    about = {**metadata(name, namespace), "ownerReferences": [probe.owned_by(owner)]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": body}


def _folder(number: int) -> str:
    return f"scratch-{number}" if number else "data"


def living(cluster: Cluster, namespace: str, names: t.Iterable[str]) -> t.Optional[Object]:
    """The first of these pods that is there: one that is proven in is made after it."""
    return next((one for name in names if (one := cluster.get("v1", "Pod", name, namespace))), None)


def serving(live: Object, port: int) -> t.Any:
    """The container of the server."""
    containers = live["spec"]["containers"]
    return next((one for one in containers if _serves(one, port)), containers[0])


def _serves(container: Object, port: int) -> bool:
    return any(one.get("containerPort") == port for one in container.get("ports") or ())


def metadata(name: str, namespace: str) -> dict[str, t.Any]:
    return {"name": name, "namespace": namespace, "labels": probe.labels(APPLICATION, name)}


class ScratchPod:
    """It lives for the time of a comparison. Use it as a context manager."""

    def __init__(
        self, cluster: Cluster, namespace: str, alive: t.Callable[[str], None], title: str, timeout: float
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.alive = alive
        self.title = title
        self.timeout = timeout
        self.name = f"{APPLICATION}-{secrets.token_hex(3)}"

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(Failure):
            remove(self.cluster, self.namespace, APPLICATION, self.name, self.timeout)

    def start(self, live: Object, port: int, wanted: Container) -> None:
        """Make it and wait until it runs. Raises Failure."""
        nothing = {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
        owner = self.cluster.create(probe.anchor(metadata(self.name, self.namespace), DEADLINE, nothing))
        self.cluster.create(pod(self.name, self.namespace, owner, live, port, wanted))
        until = time.monotonic() + self.timeout
        while True:
            why = self.require_running()
            if not why:
                return
            if time.monotonic() > until:
                raise self.not_started(why)
            self.alive(f"waiting for pod {self.name}, which {why}")
            time.sleep(0.3)

    def require_running(self) -> str:
        """Why it is not there yet; empty where it is. Raises Failure where it will not be."""
        found = self.cluster.get("v1", "Pod", self.name, self.namespace)
        if found and condition(found, "Ready") == "True":
            return ""
        why = str((failed(found) or pod_obstacle(found)) if found else "was deleted")
        if found is None or failed(found):
            raise self.not_started(why)
        return why

    def not_started(self, why: str) -> Failure:
        return Failure(
            f"{self.title}: the backup is complete, and could not be verified: pod {self.name}, into which it was "
            f"to be restored, {why}. It asks for a multiple of the size of the data on its node's disk. Make room, or "
            "do without verify."
        )
