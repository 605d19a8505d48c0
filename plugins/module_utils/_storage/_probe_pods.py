# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Starts short-lived pods, waits for them, has them run programs, and removes all that belongs to a run."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    CANNOT_START,
    condition,
    failed,
    no_image_name,
    pod_obstacle,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import RWOP
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import CONTAINER, Object, selector

# Seconds between looks where no watch wakes us up.
LOOK_AGAIN = 1.0
# Seconds that one small program may take.
PATIENCE = 30.0
_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull")


class ProbePods:
    """The pods of one run in one namespace."""

    def __init__(
        self, cluster: Cluster, task: Task, title: str, namespace: str, labels: str, image: str, wait_timeout: float
    ) -> None:
        self.cluster = cluster
        self.task = task
        self.title = title
        self.namespace = namespace
        self._labels = labels
        self._image = image
        self._wait_timeout = wait_timeout
        self._changes = Changes(cluster, [("v1", "Pod", namespace, labels)])
        self._made: dict[str, dict[str, t.Any]] = {}

    def close(self) -> None:
        self._changes.close()

    def say(self, text: str) -> None:
        self.task.progress(f"{self.title}: {text}")

    def start(self, wanted: dict[str, t.Any]) -> str:
        name = str(wanted["metadata"]["name"])
        self.cluster.create(wanted)
        self._made[name] = wanted
        return name

    def start_if_admitted(self, wanted: dict[str, t.Any]) -> tuple[str, str]:
        """The pod's name, or why admission does not allow it."""
        try:
            return self.start(wanted), ""
        except ApiError as error:
            if not error.forbidden:
                raise
            told = error.message.partition(" is forbidden: ")[2] or error.message
            return "", told.partition(": ")[0].strip()

    def require_parent(self) -> None:
        if self.task.abandoned():
            raise Failure(f"{self.title}: stopped, because the process that started this run is gone.")

    def deleted(self, what: str) -> Failure:
        return Failure(f"{self.title}: {what} was deleted meanwhile. Run it again.")

    def await_ready(self, name: str, refused: bool = False) -> str:
        """Wait until a pod runs. Returns why it does not, as far as its volume is to blame, or nothing.

        With ``refused`` the answer "refused" means that ReadWriteOncePod keeps it away.
        """
        begun = time.monotonic()
        said = begun
        while True:
            self.require_parent()
            found = self._look(name)
            if found and condition(found, "Ready") == "True":
                return ""
            told = _unscheduled(found) if found else ""
            if refused and RWOP in told:
                return "refused"
            waited = time.monotonic() - begun
            late = waited > self._wait_timeout
            if "unbound immediate" in told and not late:
                self._again(name)
            if found:
                self._require_startable(found, late)
            if late:
                return self._explain(name, told)
            if time.monotonic() - said > 5:
                said = time.monotonic()
                obstacle = pod_obstacle(found) if found else "is not seen: the API server is away"
                self.say(f"{name} {obstacle} ({waited:.0f} s)")
            self._changes.wait(LOOK_AGAIN)

    def node(self, name: str) -> str:
        found = self._look(name) or {"spec": {}}
        return str(found["spec"].get("nodeName") or "an unknown node")

    def execute(self, name: str, command: t.Sequence[str], patience: float) -> str:
        """What a program in a pod said; nothing where it gave no answer in time."""
        try:
            return execute(self.cluster, self.namespace, name, command, CONTAINER, timeout=patience).stdout
        except ApiError as error:
            if error.not_found:
                raise self.deleted(f"pod {name}") from error
            raise
        except Unreachable:
            raise
        except Failure:
            return ""  # storage that hangs is what this is to find out

    def _look(self, name: str) -> t.Optional[Object]:
        """The pod; None while the API server is away, which it was not a moment ago."""
        try:
            found = self.cluster.get("v1", "Pod", name, self.namespace)
        except Unreachable:
            return None
        if found is None:
            raise self.deleted(f"pod {name}")
        return found

    def _again(self, name: str) -> None:
        """Make a pod anew that the scheduler tried before it knew that the claim has its volume."""
        wanted = self._made[name]
        claim = wanted["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        found = self.cluster.get("v1", "PersistentVolumeClaim", claim, self.namespace) or {}
        if (found.get("status") or {}).get("phase") == "Bound":
            self.cluster.delete("v1", "Pod", name, self.namespace)
            self.cluster.create(wanted)  # one without a node is gone at once

    def _require_startable(self, found: Object, late: bool) -> None:
        """End the task where it is not the storage that keeps a pod from running."""
        name = found["metadata"]["name"]
        image = no_image_name(found)
        waiting = [
            (one.get("state") or {}).get("waiting") or {}
            for one in (found.get("status") or {}).get("containerStatuses") or ()
        ]
        reasons = {str(one.get("reason")) for one in waiting}
        if image or (late and reasons & set(_IMAGE_REASONS)):
            raise Failure(
                f"{self.title}: the image {self._image} cannot be had, so nothing was proven: "
                f"{pod_obstacle(found)}. Name one that can, with image."
            )
        if failed(found) or reasons & set(CANNOT_START):
            raise Failure(
                f"{self.title}: pod {name} did not start, so nothing was proven: "
                f"{failed(found) or pod_obstacle(found)}. The image {self._image} needs a shell (sh), and "
                "run_as_user a number other than 0, unless the platform chooses the user."
            )

    def _explain(self, name: str, unscheduled: str) -> str:
        if unscheduled and not any(word in unscheduled.lower() for word in ("volume", "claim")):
            raise Failure(
                f"{self.title}: pod {name} finds no node, so nothing was proven: {unscheduled}. Correct "
                "node_selector and tolerations, or make room."
            )
        phrases = diagnose(self.cluster, self.namespace, self._labels)
        about = [phrase.partition(" ")[2] for phrase in phrases if phrase.startswith(f"{name} ")]
        told = "; ".join(about) or "no reason is told"
        return f"no pod could start on it within {self._wait_timeout:.0f} s: {told}"


def _unscheduled(found: Object) -> str:
    """What the scheduler says of a pod that it finds no node for."""
    for one in (found.get("status") or {}).get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return str(one.get("message", ""))
    return ""


def remove_all(pods: ProbePods, run: str, deadline: int, wait_timeout: float, application: str) -> None:
    """Remove what a run made. What cannot be removed now ends by itself, which is told."""
    until = time.monotonic() + wait_timeout
    while True:
        try:
            left = remove(pods.cluster, pods.namespace, application, run, wait_timeout)
        except Unreachable as unreachable:
            left = unreachable.message
            if time.monotonic() < until:
                time.sleep(LOOK_AGAIN)
                continue
        except Failure as failure:
            left = failure.message
        break
    if left:
        pods.task.warn(
            f"{pods.title}: not everything is gone yet ({left}). Pods and claims of it end by themselves, at "
            f"the latest {deadline} s after they were made."
        )


def remove(cluster: Cluster, namespace: str, application: str, name: str, timeout: float) -> str:
    """Delete the anchor of a run and all that belongs to it, and wait until it is gone. Returns what is left."""
    instance = selector(application, name)
    claims = cluster.list("v1", "PersistentVolumeClaim", namespace, labels=instance)
    volumes = [volume for one in claims if (volume := one["spec"].get("volumeName"))]
    # With its anchor gone, Kubernetes removes the rest also where this run dies now.
    cluster.delete("batch/v1", "Job", name, namespace)
    for one in cluster.list("v1", "Pod", namespace, labels=instance):
        cluster.delete("v1", "Pod", one["metadata"]["name"], namespace)
    for one in claims:
        cluster.delete("v1", "PersistentVolumeClaim", one["metadata"]["name"], namespace)
    deadline = time.monotonic() + timeout
    while True:
        left = [
            f"{kind} {one['metadata']['name']}"
            for kind in ("Pod", "PersistentVolumeClaim")
            for one in cluster.list("v1", kind, namespace, labels=instance)
        ]
        for volume in volumes:
            there = None
            with contextlib.suppress(ApiError):  # who may not read volumes cannot wait for them
                there = cluster.get("v1", "PersistentVolume", volume)
            if there:
                status = there.get("status") or {}
                left.append(f"PersistentVolume {volume} {status.get('phase', '')} {status.get('message', '')}".strip())
        if not left or time.monotonic() > deadline:
            return ", ".join(left)
        time.sleep(0.3)
