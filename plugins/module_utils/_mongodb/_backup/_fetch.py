# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Brings backups to a folder of this host: from a bucket, or from the claim that the cluster made them on, through a
tunnel to a pod that hands out files on its own loopback. Every file is compared with the hash in its manifest."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.client
import os
import pathlib
import re
import secrets
import socket
import time
import typing as t
from urllib.parse import quote, unquote

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import CHUNK, Folder, Writer
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import MANIFEST, PARTIAL, File
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition, failed, pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import LAYOUT, Manifest
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import remove

APPLICATION = "backup-fetch"
# Seconds: the pod is gone at the latest after a day, also when this run is killed and nobody comes back.
DEADLINE = 24 * 3600
PORT = 8000
SERVE = ("python3", "-m", "http.server", str(PORT), "--bind", "127.0.0.1", "--directory", probe.VOLUME)
# Seconds without a byte.
SILENCE = 60.0
SAY_EVERY = 5.0


@dataclasses.dataclass(frozen=True)
class Wish:
    name: str
    namespace: str
    dest: str
    claim: str = ""
    image: str = ""


@dataclasses.dataclass(frozen=True)
class Around:
    """``there`` is None as long as nobody looked onto the claim."""

    #: the CronJob of the set, or nothing
    cron_job: t.Mapping[str, t.Any]
    here: tuple[Manifest, ...] = ()
    leftovers: tuple[str, ...] = ()
    there: t.Optional[tuple[Manifest, ...]] = None


def claim_of(wish: Wish, cron_job: t.Mapping[str, t.Any]) -> str:
    volumes = _pod(cron_job).get("volumes") or ()
    named = (one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one)
    return wish.claim or next(named, "")


def pods_of(wish: Wish, cron_job: t.Mapping[str, t.Any]) -> probe.Pods:
    """The pod that hands out the files is like that of the backup, whose files it has to read."""
    spec = _pod(cron_job)
    container: t.Mapping[str, t.Any] = (spec.get("containers") or ({},))[0]
    security = spec.get("securityContext") or {}
    return probe.Pods(
        image=wish.image or container.get("image", ""),
        pull_policy=container.get("imagePullPolicy", "IfNotPresent"),
        pull_secrets=tuple(one["name"] for one in spec.get("imagePullSecrets") or ()),
        user=security.get("runAsUser"),
        fs_group=security.get("fsGroup"),
        node_selector=spec.get("nodeSelector") or {},
        tolerations=tuple(spec.get("tolerations") or ()),
    )


def _pod(cron_job: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    return cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"] if cron_job else {}


def plan(wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    claim = claim_of(wish, around.cron_job)
    if around.there is None and (not claim or not pods_of(wish, around.cron_job).image):
        return Refusal(
            f"There is no CronJob {wish.name}-backup in namespace {wish.namespace}, so it is not known where "
            "the backups are.",
            choices=("let the role make one (mongodb_backup_schedule)", "give claim and image"),
        )
    steps = [
        Step("remove", name, f"remove {name}, which a run that was killed left in {wish.dest}")
        for name in around.leftovers
    ]
    if around.there is None:
        steps.append(Step("copy", claim, f"copy what is on the claim {claim} and not in {wish.dest}"))
        return Plan(tuple(steps))
    here = {one.backup for one in around.here}
    missing = sorted((one for one in around.there if one.backup not in here), key=lambda one: (one.end, one.backup))
    steps += [
        Step("copy", one.backup, f"copy {one.backup} ({one.size} bytes) to {wish.dest}", data={"manifest": one})
        for one in missing
    ]
    return Plan(tuple(steps))


class _Copying(Operation[Around]):
    """Takes no Lease: it changes nothing in the set."""

    def __init__(self, wish: Wish, task: Task, wait_timeout: float) -> None:
        self.title = f"{wish.namespace}/{wish.name}"
        self.wait_timeout = wait_timeout
        self._wish = wish
        self._task = task
        self._folder = Folder(wish.dest, wish.namespace, wish.name, LAYOUT)
        self._there: t.Optional[tuple[Manifest, ...]] = None
        self._said = time.monotonic()

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            try:
                if step.action == "remove":
                    self._folder.remove(step.target)
                else:
                    self._copy(step.data["manifest"])
            except http.client.HTTPException as exc:
                raise NotYet(f"the pod broke off in the middle of a file ({exc!r})") from exc
            except OSError as exc:
                raise Failure(
                    f"dest: {step.target} cannot be copied to {self._wish.dest} ({exc}). Make room or correct it, "
                    "and run it again; what is incomplete is removed."
                ) from exc

    def facts(self, observed: Around) -> dict[str, t.Any]:
        found = sorted(observed.here, key=lambda one: (one.ended, one.backup))
        return {"path": self._wish.dest, "backups": [one.facts() for one in found]}

    def _copy(self, manifest: Manifest) -> None:
        path = self._folder.path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path / (manifest.backup + PARTIAL)
        partial.mkdir(mode=0o700)
        writer: Writer[Manifest] = Writer(partial, manifest.backup, self._folder.mark())
        try:
            for file in manifest.files:
                self._file(manifest, file, partial)
            writer.complete(manifest)
        except BaseException:
            writer.abandon()
            raise

    def _file(self, manifest: Manifest, file: File, folder: pathlib.Path) -> None:
        target = folder / file.path
        target.parent.mkdir(mode=0o700, exist_ok=True)
        found, size = hashlib.sha256(), 0
        with os.fdopen(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as opened:
            for part in self._read(f"{manifest.backup}/{file.path}"):
                found.update(part)
                size += len(part)
                opened.write(part)
                self._alive(f"copying {manifest.backup}/{file.path}, {size >> 20} MiB")
            opened.flush()
            os.fsync(opened.fileno())
        if (size, found.hexdigest()) != (file.size, file.sha256):
            raise Failure(
                f"{self.title}: {manifest.backup}/{file.path} there is not as it was written: it has {size} "
                f"bytes and had {file.size}, or another hash. The copy is removed. Look at the disk that it is on, and "
                "take another backup."
            )

    def _read(self, path: str) -> t.Iterator[bytes]:
        """The content of a file there. Raises FileNotFoundError."""
        raise NotImplementedError

    def _alive(self, text: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            if self._task.abandoned():
                raise Failure(f"{self.title}: stopped, because the process that started this run is gone.")
            self._task.progress(f"{self.title}: {text}")


class Fetch(_Copying):
    """From a claim."""

    def __init__(self, cluster: Cluster, wish: Wish, task: Task, wait_timeout: float) -> None:
        super().__init__(wish, task, wait_timeout)
        self._cluster = cluster
        self._run = ""
        self._tunnel: t.Optional[Tunnel] = None

    def observe(self) -> Around:
        wish = self._wish
        found = self._cluster.get("batch/v1", "CronJob", f"{wish.name}-backup", wish.namespace) or {}
        if self._there is None and not self._task.check_mode and isinstance(plan(wish, Around(found)), Plan):
            self._there = tuple(self._look(found))
        return Around(found, tuple(self._folder.manifests()), tuple(self._folder.leftovers()), self._there)

    def close(self) -> None:
        if self._tunnel:
            self._tunnel.close()
        if self._run:
            with contextlib.suppress(Failure):
                remove(self._cluster, self._wish.namespace, APPLICATION, self._run, self.wait_timeout)

    def _look(self, cron_job: t.Mapping[str, t.Any]) -> t.Iterator[Manifest]:
        self._start(cron_job)
        listed = self._whole("").decode("utf-8", "replace")
        for name in map(unquote, re.findall(r'href="([^"/]+)/"', listed)):
            if LAYOUT.is_folder(self._wish.name, name) and not name.endswith(PARTIAL):
                with contextlib.suppress(ValueError, FileNotFoundError):
                    record = self._whole(f"{name}/{MANIFEST}").decode()
                    yield LAYOUT.read(record, self._wish.namespace, self._wish.name, name)

    def _whole(self, path: str) -> bytes:
        """A small file, as soon as the pod answers: it runs before it listens. Raises FileNotFoundError."""
        until = time.monotonic() + self.wait_timeout
        while True:
            try:
                return b"".join(self._read(path))
            except (http.client.HTTPException, ConnectionError) as exc:
                why = (self._tunnel.error if self._tunnel else None) or repr(exc)
            if time.monotonic() > until:
                raise Failure(f"{self.title}: nothing was copied, because pod {self._run} gives no files ({why}).")
            self._alive(f"waiting for pod {self._run} to hand out files ({why})")
            time.sleep(0.2)

    def _start(self, cron_job: t.Mapping[str, t.Any]) -> None:
        namespace, run = self._wish.namespace, f"{APPLICATION}-{secrets.token_hex(3)}"
        metadata = {"name": run, "namespace": namespace, "labels": probe.labels(APPLICATION, run)}
        nothing = {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
        claim = claim_of(self._wish, cron_job)
        if self._cluster.get("v1", "PersistentVolumeClaim", claim, namespace) is None:
            raise Failure(
                f"claim: there is no claim {claim} in namespace {namespace} that the backups would be on. Correct it."
            )
        owner = self._cluster.create(probe.anchor(metadata, DEADLINE, nothing))
        self._run = run
        body = probe.Body(SERVE, claim, DEADLINE, read_only=True, grace=1)
        spec = probe.pod_spec(pods_of(self._wish, cron_job), body)
        more = {**metadata, "ownerReferences": [probe.owned_by(owner)]}
        self._cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": more, "spec": spec})
        self._await_running()
        self._tunnel = Tunnel(self._cluster, namespace, run, PORT)

    def _await_running(self) -> None:
        until = time.monotonic() + self.wait_timeout
        while True:
            found = self._cluster.get("v1", "Pod", self._run, self._wish.namespace)
            if found and condition(found, "Ready") == "True":
                return
            why = (failed(found) or pod_obstacle(found)) if found else "was deleted"
            if found is None or failed(found) or time.monotonic() > until:
                raise Failure(
                    f"{self.title}: nothing was copied, because pod {self._run}, which was to hand out what is on the "
                    f"claim, {why}. Its image has to hold python3, and the claim must be usable on one of the nodes."
                )
            self._alive(f"waiting for pod {self._run}, which {why}")
            time.sleep(0.3)

    def _read(self, path: str) -> t.Iterator[bytes]:
        """The content of a file on the claim. Raises FileNotFoundError."""
        if self._tunnel is None:
            raise AssertionError("the pod is there before anything is read")
        connection = _Connection(self._tunnel.path)
        try:
            connection.request("GET", f"/{quote(path)}")
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise FileNotFoundError(f"{path}: {answer.status} {answer.reason}")
            while part := answer.read(CHUNK):
                yield part
        finally:
            connection.close()


class FetchFromPlace(_Copying):
    """From a bucket."""

    def __init__(self, place: Place[Manifest], wish: Wish, task: Task, wait_timeout: float) -> None:
        super().__init__(wish, task, wait_timeout)
        self._place = place

    def observe(self) -> Around:
        if self._there is None:
            self._there = tuple(self._place.manifests())
        return Around({}, tuple(self._folder.manifests()), tuple(self._folder.leftovers()), self._there)

    def _read(self, path: str) -> t.Iterator[bytes]:
        backup, _slash, file = path.partition("/")
        with self._place.open(backup, file) as opened:
            while part := opened.read(CHUNK):
                yield part


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SILENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SILENCE)
        self.sock.connect(self._path)
