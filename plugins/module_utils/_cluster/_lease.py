# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One change of one application at a time: a Kubernetes Lease that whoever changes it holds.

The Lease exists only while it is held, and it is the API server that decides who gets it: making it, taking it over
and giving it back are each a compare-and-set. A holder that is gone is found out in two ways: by its process, where
it ran on this very host, and by a Lease that stays as it is for its whole duration, measured on the waiter's own clock.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import pwd
import socket
import threading
import time
import typing as t
import uuid

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._proc import START, STATE, stat

KIND = ("coordination.k8s.io/v1", "Lease")
# Seconds. A Lease that nobody renewed for this long is free.
DURATION = 30
# What the process behind holderIdentity is, so that another one on the same host can look whether it still lives.
PROCESS = "stateful.kube/holder-process"
_PROGRESS_EVERY = 10.0


@dataclasses.dataclass(frozen=True)
class Process:
    """Names one process for as long as its host is up. Any part is empty where the platform does not tell."""

    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        pid = os.getpid()
        return cls(_read("/proc/sys/kernel/random/boot_id"), _pid_namespace(), pid, _started(pid))

    @classmethod
    def parse(cls, text: str) -> t.Optional[Process]:
        try:
            found = json.loads(text)
            return cls(str(found["boot"]), str(found["namespace"]), int(found["pid"]), str(found["started"]))
        except (ValueError, KeyError, TypeError):
            return None

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def surely_dead(self) -> bool:
        """Whether this process ran here and runs no more. False means "perhaps alive"."""
        here = Process.this()
        if not (self.boot and self.namespace and self.started):
            return False
        if (self.boot, self.namespace) != (here.boot, here.namespace):
            return False
        started = _started(self.pid)
        # Process numbers are used again: the same number with another start is another process.
        return started != self.started if started else _is_gone(self.pid)


def lease_name(application: str) -> str:
    return f"stateful-kube-{application}"


class Lease:
    """The Lease of one application. Get it with ``acquire``, and give it back with ``release`` whatever happens."""

    def __init__(self, cluster: Cluster, namespace: str, application: str, duration: int = DURATION) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._application = application
        self.name = lease_name(application)
        self._duration = duration
        self._identity = f"{_user()}@{socket.gethostname()} pid {os.getpid()} {uuid.uuid4().hex[:8]}"
        self._held: t.Optional[Object] = None
        self._renewed = 0.0
        self._lost = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()

    @property
    def held(self) -> bool:
        return self._held is not None

    def acquire(self, task: Task, title: str, timeout: float) -> None:
        """Wait until nobody else holds it, and take it. Raises Failure after ``timeout`` seconds."""
        begun = _clock()
        said = begun - _PROGRESS_EVERY
        watch = _Watched()
        labels = f"app.kubernetes.io/instance={self._application}"
        changes: t.Optional[Changes] = None
        try:
            while True:
                obstacle = self._attempt(watch, task, title)
                if not obstacle:
                    break
                now = _clock()
                # A holder that died elsewhere is only told by a Lease that stands still for its whole duration.
                if now - begun > max(timeout, watch.free_after - begun):
                    raise Failure(
                        f"{title}: waited {now - begun:.0f} s (wait_timeout is {timeout:.0f} s) for the Lease "
                        f"{self._namespace}/{self.name}, which keeps two runs from changing one application at once: "
                        f"{obstacle}. Nothing was changed meanwhile. Run the same command again when the other run "
                        "has ended."
                    )
                if task.abandoned():
                    raise Failure(f"{title}: stopped, because the process that started this run is gone.")
                if now - said >= _PROGRESS_EVERY:
                    task.progress(f"{title}: waiting for the Lease {self.name}: {obstacle}")
                    said = now
                changes = changes or Changes(self._cluster, [(*KIND, self._namespace, labels)])
                changes.wait(1.0)
        finally:
            if changes:
                changes.close()
        self._ended.clear()
        threading.Thread(target=self._keep, daemon=True).start()

    def _attempt(self, watch: _Watched, task: Task, title: str) -> str:
        """Take it, or say what stands in the way."""
        try:
            if self._take(None):
                return ""
            there = self._cluster.get(*KIND, self.name, self._namespace)
            if there is None:
                return "it was given back just now"
            why = watch.free(there, self._identity)
            if why and self._take(there):
                if watch.by_force:
                    task.progress(f"{title}: took over the Lease {self.name} of {_holder(there)}, because {why}")
                return ""
        except Unreachable as unreachable:
            return str(unreachable.message)
        return f"{_holder(there)} holds it, and renewed it last at {there['spec'].get('renewTime')}"

    def check(self) -> None:
        """Make sure that it is still ours, just before something is changed. Raises Failure."""
        if _clock() - self._renewed > self._duration / 2:
            self._renew()
        if self._lost or _clock() - self._renewed > self._duration:
            raise Failure(
                f"The Lease {self._namespace}/{self.name} is lost ({self._lost or 'it could not be renewed in time'}), "
                "so another run may be changing this application now. Stopped before the next change. Run the same "
                "command again: it goes on from here."
            )

    def release(self) -> None:
        """Give it back. A Lease that somebody else took meanwhile is theirs and stays."""
        self._ended.set()
        with self._lock:
            held, self._held = self._held, None
            if held is None or self._lost:
                return
            metadata = held["metadata"]
            # A run that cannot reach the server any more leaves the Lease, which ends by itself.
            with contextlib.suppress(ApiError, Unreachable):
                self._cluster.delete(
                    *KIND, self.name, self._namespace, uid=metadata["uid"], version=metadata["resourceVersion"]
                )

    def _take(self, there: t.Optional[Object]) -> bool:
        """Make the Lease, or take over the one that was seen. False where somebody else was quicker."""
        now = _now()
        spec: Object = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._duration,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": (there["spec"].get("leaseTransitions") or 0) + 1 if there else 0,
        }
        metadata: Object = {
            "name": self.name,
            "namespace": self._namespace,
            "labels": {
                "app.kubernetes.io/instance": self._application,
                "app.kubernetes.io/managed-by": "stateful.kube",
            },
            "annotations": {PROCESS: Process.this().dump()},
        }
        if there:
            metadata["resourceVersion"] = there["metadata"]["resourceVersion"]
        wanted: Object = {"apiVersion": KIND[0], "kind": KIND[1], "metadata": metadata, "spec": spec}
        begun = _clock()
        try:
            self._held = self._cluster.replace(wanted) if there else self._cluster.create(wanted)
        except ApiError as error:
            if error.conflict or (there and error.not_found):
                return False
            if error.forbidden:
                raise Failure(
                    f"Before it changes {self._application}, this task takes the Lease {self._namespace}/{self.name}, "
                    f"so that no two runs change one application at once, and it may not. {error.message} It needs "
                    "the verbs get, list, watch, create, update and delete on leases in the API group "
                    "coordination.k8s.io. Nothing was changed."
                ) from error
            raise
        self._renewed = begun
        return True

    def _keep(self) -> None:
        while not self._ended.wait(self._duration / 3):
            self._renew()

    def _renew(self) -> None:
        with self._lock:
            if self._held is None or self._lost:
                return
            begun = _clock()
            wanted = {**self._held, "spec": {**self._held["spec"], "renewTime": _now()}}
            try:
                self._held = self._cluster.replace(wanted)
                self._renewed = begun
            except ApiError as error:
                if error.not_found:
                    self._lost = "somebody deleted it"
                elif error.conflict:
                    self._look()
            except Unreachable:
                # It is tried again; check() finds out when that took too long.
                return

    def _look(self) -> None:
        """Our picture of it is old: an answer to us got lost, or it is somebody else's now."""
        with contextlib.suppress(ApiError, Unreachable):
            there = self._cluster.get(*KIND, self.name, self._namespace)
            if there and there["spec"].get("holderIdentity") == self._identity:
                self._held = there
            else:
                self._lost = f"{_holder(there)} took it" if there else "somebody deleted it"


class _Watched:
    """What a waiter saw of a Lease, and since when it has not changed, on the waiter's own clock."""

    def __init__(self) -> None:
        self._version = ""
        self._since = 0.0
        #: when the Lease is free if it is not renewed any more
        self.free_after = 0.0
        self.by_force = False

    def free(self, lease: Object, mine: str) -> str:
        """Why this Lease can be taken, or an empty text where it cannot."""
        now = _clock()
        if lease["metadata"]["resourceVersion"] != self._version:
            self._version, self._since = lease["metadata"]["resourceVersion"], now
        spec = lease.get("spec") or {}
        self.by_force = spec.get("holderIdentity") not in (None, "", mine)
        if not self.by_force:
            return "it is free"
        process = Process.parse((lease["metadata"].get("annotations") or {}).get(PROCESS, ""))
        if process and process.surely_dead():
            return "its process on this host has ended"
        duration = spec.get("leaseDurationSeconds") or DURATION
        if not self.free_after:
            self.free_after = self._since + duration + 2  # set once: a holder that renews is not waited for any longer
        if now - self._since > duration:
            return f"it was not renewed for {duration} s"
        return ""


def _holder(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "nobody")


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # platforms that give containers a user number of their own


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _is_gone(pid: int) -> bool:
    """Whether there is no such process, or only its remains; /proc may hide processes of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # It is ours, so /proc shows it: without a start it has ended, and only waits for its parent to notice.
    return bool(stat(pid))


def _clock() -> float:
    """Seconds that go on while the machine sleeps, where the platform counts them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where there is no such process, or only its remains."""
    fields = stat(pid)
    return fields[START] if len(fields) > START and fields[STATE] not in ("Z", "X") else ""
