# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder of the lab's NFS server for one scenario, a provisioner on it, and what lies there, hashed on the disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import stat
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from harness.lab import Lab
from harness.trial import Trial
from harness.verdict import Failed, Skipped, check

EXPORT = "volumes"
LOOKER = "looker"
BUSYBOX = "stateful_lab_busybox_image"
# Seconds.
STARTS_WITHIN = 90
GONE_WITHIN = 90


class Export:
    """``/volumes/NAMESPACE`` on the server, and a pod that sees it: nobody but a client makes or removes there."""

    def __init__(self, trial: Trial, lab: Lab, namespace: str) -> None:
        self.trial = trial
        self.lab = lab
        self.api: Cluster = trial.api
        self.namespace = namespace
        self.path = f"/{EXPORT}/{namespace}"
        self.folder = lab.nfs_folder / EXPORT / namespace
        #: of the StorageClass, the provisioner and all of its objects
        self.name = namespace

    def shell(self, script: str, *words: str) -> str:
        """Run a script as root on a client of the server, in the folder; what it prints."""
        command = ["sh", "-ec", f"cd /export/{self.namespace}; {script}", "sh", *words]
        done = execute(self.api, self.namespace, LOOKER, command)
        if done.rc:
            raise Failed(f"On the export, `{script}` ended with {done.rc}: {done.stderr.strip()}")
        return done.stdout

    # The provisioner, by its role.

    def provisioner(self, state: str = "present", name: str = "", **variables: t.Any) -> None:
        name = name or self.name
        given = {
            "nfs_provisioner_name": name,
            "nfs_provisioner_namespace": self.namespace,
            "nfs_provisioner_server": self.lab.nfs_server,
            "nfs_provisioner_path": self.path,
            "nfs_provisioner_state": state,
            **variables,
        }
        self.trial.play_playbook("nfs_provisioner", given).expect_success(f"The provisioner {name} ({state})")

    def volumes(self, storage_class: str = "") -> list[Object]:
        wanted = storage_class or self.name
        return [one for one in self.api.list("v1", "PersistentVolume") if one["spec"].get("storageClassName") == wanted]


@contextlib.contextmanager
def export(trial: Trial, namespace: str, *files: str) -> t.Iterator[Export]:
    """The folder with some files in it; in the end nothing of it is left."""
    if trial.lab is None:
        raise Skipped("it needs the lab's NFS server; unset KUBECONFIG to run it there")
    found = Export(trial, trial.lab, namespace)
    _start(found)
    try:
        for file in files:
            found.shell('umask 0; mkdir -p "$(dirname "$1")"; echo "$1 is of somebody else" >"$1"', file)
        yield found
    finally:
        if not trial.options.keep:
            _tidy_up(found)


def _start(found: Export) -> None:
    api, namespace = found.api, found.namespace
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api.apply(made, manager="faults")
    api.apply(pod(namespace, LOOKER, found.lab.image(BUSYBOX), [f"{found.lab.nfs_server}:/{EXPORT}"]), manager="faults")
    wait_until(lambda: _running(api, namespace, LOOKER), STARTS_WITHIN, f"Pod {LOOKER} runs")
    done = execute(api, namespace, LOOKER, ["sh", "-c", f"umask 0; mkdir -p /export/{namespace}"])
    check(done.rc == 0, f"No folder could be made on the export: {done.stderr}")


def pod(namespace: str, name: str, image: str, exports: t.Sequence[str], user: int = 0) -> Object:
    """A pod that sleeps and sees these exports (SERVER:PATH), as /export, /export-1, ..."""
    places = [f"export{f'-{number}' if number else ''}" for number in range(len(exports))]
    parts = [each.partition(":") for each in exports]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsUser": user},
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                    "volumeMounts": [{"name": place, "mountPath": f"/{place}"} for place in places],
                }
            ],
            "volumes": [
                {"name": place, "nfs": {"server": server, "path": path}}
                for place, (server, _colon, path) in zip(places, parts, strict=True)
            ],
        },
    }


def _running(api: Cluster, namespace: str, name: str) -> bool:
    found = api.get("v1", "Pod", name, namespace) or {}
    states = (found.get("status") or {}).get("containerStatuses") or [{}]
    return "running" in states[0].get("state", {})


def wait_until(holds: t.Callable[[], t.Any], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise Failed(f"Not so within {seconds:.0f} s: {what}.")
        time.sleep(0.3)


def _tidy_up(found: Export) -> None:
    """Leave nothing, whatever has failed before."""
    api, namespace = found.api, found.namespace
    with contextlib.suppress(ApiError):
        for each in api.list("v1", "Pod", namespace):
            if each["metadata"]["name"] != LOOKER and not each["metadata"]["name"].startswith(found.name):
                found.trial.delete_pods(namespace, [each["metadata"]["name"]])
    for volume in api.list("v1", "PersistentVolume"):
        mine = str(volume["spec"].get("storageClassName") or "").startswith(found.name)
        if mine or volume["metadata"]["name"].startswith(found.name):
            # Nobody is to look after the folder any more: all of it goes below.
            api.merge("v1", "PersistentVolume", volume["metadata"]["name"], None, KEPT)
            api.delete("v1", "PersistentVolume", volume["metadata"]["name"])
    for api_version, kind in CLUSTER_WIDE:
        for obj in api.list(api_version, kind):
            # Those of the role are named after their kind first.
            if found.name in obj["metadata"]["name"]:
                api.delete(api_version, kind, obj["metadata"]["name"])
    with contextlib.suppress(Exception):
        execute(api, namespace, LOOKER, ["rm", "-rf", f"/export/{namespace}"])


KEPT = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
CLUSTER_WIDE = (
    ("storage.k8s.io/v1", "StorageClass"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
)


def tree(folder: pathlib.Path) -> dict[str, str]:
    """Everything below a folder: kind, mode, owner, and of files a hash of what is in them."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = pathlib.Path(place) / name
            status = path.lstat()
            held = ""
            if stat.S_ISREG(status.st_mode):
                held = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = f"{stat.filemode(status.st_mode)} {status.st_uid} {held}".strip()
    return found


def differences(before: t.Mapping[str, str], after: t.Mapping[str, str]) -> list[str]:
    """In words: what is gone, has changed or is new."""
    gone = [f"{path} is gone" for path in before if path not in after]
    changed = [f"{path} has changed" for path in before if path in after and after[path] != before[path]]
    return sorted([*gone, *changed, *(f"{path} is new" for path in after if path not in before)])
