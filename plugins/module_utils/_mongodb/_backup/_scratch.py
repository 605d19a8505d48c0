# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Proves a backup: restores it into a mongod of its own, which lives as long as that takes, and compares.

That mongod runs in a pod of the set's namespace, from the set's image, on an emptyDir. It listens on the pod's own
loopback only, so nobody but a tunnel reaches it, and it needs no login.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    condition,
    failed,
    pod_obstacle,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _source as source
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import BATCH, Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._dump import Reading
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    Manifest,
    Optime,
    add_content,
    content_text,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._oplog import is_data, split
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import remove

Object = t.Mapping[str, t.Any]

APPLICATION = "backup-verification"
DATA = "/data/db"
# Seconds: the pod is gone at the latest after a day, also when this run is killed and nobody comes back.
DEADLINE = 24 * 3600
# Room for indexes and the journal, in times of the documents' size.
ROOM = 2


class Content(t.NamedTuple):
    """What a collection holds: how many documents, and their hash."""

    documents: int
    content: str


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a restored backup has to hold, by namespace; and what cannot be told, with why."""

    contents: t.Mapping[str, Content]
    unknown: t.Mapping[str, str]


def content_of(batches: t.Iterable[list[t.Any]], alive: t.Callable[[], None]) -> Content:
    count = total = 0
    for batch in batches:
        for document in batch:
            total = add_content(total, document.raw)
        count += len(batch)
        alive()
    return Content(count, content_text(total))


def expected(reading: Reading, manifest: Manifest, touched: t.Collection[str]) -> Expected:
    """What was not written to meanwhile is as it was read. The rest is read once more, as of the backup's end."""
    contents = {
        one.ns: Content(one.documents, one.content)
        for one in manifest.collections
        if one.data and one.ns not in touched and one.database != "admin"
    }
    unknown: dict[str, str] = {}
    for ns in sorted(touched):
        database, name = split(ns)
        if not is_data(database, name) or database == "admin":
            continue
        try:
            contents[ns] = _at(reading, database, name, manifest.end)
        except (NoAnswer, CommandError) as exc:
            unknown[ns] = f"the server could not tell what was in it at the end of the backup ({exc})"
    # A server looks a name up as it is now, also where it is asked for documents of an earlier moment.
    for ns in source.named_anew_since(reading.bulk(), manifest.end) & set(touched):
        if contents.pop(ns, None) is not None:
            unknown[ns] = "another collection had its name right after the end of the backup"
    return Expected(contents, unknown)


def _at(reading: Reading, database: str, name: str, at: Optime) -> Content:
    batches = source.read_at(reading.bulk(), database, name, at)
    return content_of(batches, lambda: reading.alive(f"reading {database}.{name} once more, to compare"))


def pod(name: str, run: str, namespace: str, owner: Object, live: Object, port: int, size: int) -> dict[str, t.Any]:
    """A mongod that is like a member of the set, as far as that matters here. Pure."""
    spec = live["spec"]
    container = serving(live, port)
    security = {
        key: value
        for key, value in (spec.get("securityContext") or {}).items()
        if key in ("runAsUser", "runAsGroup", "fsGroup", "seLinuxOptions")
    }
    own = {key: value for key, value in (container.get("securityContext") or {}).items() if key.startswith("runAs")}
    wanted: dict[str, t.Any] = {
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
                "command": ["mongod"],
                "args": [
                    *("--replSet", name, "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
                    *("--dbpath", DATA, "--wiredTigerCacheSizeGB", "0.25"),
                    # It would delete what the backup has.
                    *("--setParameter", "ttlMonitorEnabled=false"),
                ],
                "securityContext": {
                    **own,
                    "runAsNonRoot": True,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {
                    "requests": {"cpu": "100m", "memory": "512Mi", "ephemeral-storage": str(size)},
                    "limits": {"memory": "1Gi"},
                },
                "volumeMounts": [{"name": "data", "mountPath": DATA}, {"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
            }
        ],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}],
    }
    for key in ("imagePullSecrets", "nodeSelector", "tolerations"):
        if spec.get(key):
            wanted[key] = spec[key]
    about = {**metadata(name, run, namespace), "ownerReferences": [probe.owned_by(owner)]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": wanted}


def serving(live: Object, port: int) -> t.Any:
    """The container of mongod."""
    containers = live["spec"]["containers"]
    return next((one for one in containers if _serves(one, port)), containers[0])


def _serves(container: Object, port: int) -> bool:
    return any(one.get("containerPort") == port for one in container.get("ports") or ())


def metadata(name: str, run: str, namespace: str) -> dict[str, t.Any]:
    return {"name": name, "namespace": namespace, "labels": probe.labels(APPLICATION, run)}


class Scratch:
    """A set of one member for the time of a comparison. Use it as a context manager."""

    def __init__(self, observer: Observer, alive: t.Callable[[str], None], title: str, timeout: float) -> None:
        self._cluster = observer.cluster
        self._target = observer.target
        self._alive = alive
        self._title = title
        self._timeout = timeout
        self._name = f"{APPLICATION}-{secrets.token_hex(3)}"

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(Failure):
            remove(self._cluster, self._target.namespace, APPLICATION, self._name, self._timeout)

    def check(self, wanted: Source, expect: Expected, live: Object) -> dict[str, t.Any]:
        """Restore and compare. Raises Failure where something differs."""
        size = ROOM * sum(one.bytes for one in wanted.base.collections) + (1 << 30)
        target, port = self._target, self._target.port
        anchor = {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
        owner = self._cluster.create(probe.anchor(metadata(self._name, self._name, target.namespace), DEADLINE, anchor))
        self._cluster.create(pod(self._name, self._name, target.namespace, owner, live, port, size))
        self._await_running()
        self._initiate()
        tunnel = Tunnel(self._cluster, target.namespace, self._name, port)
        with Bulk(tunnel, self._name, None, silence=None) as bulk:
            work = Work(bulk, wanted, self._alive)
            work.clear()
            work.load(())
            work.replay()
            work.build_indexes()
            work.create_views()
            return self._compare(bulk, wanted, expect)

    def _compare(self, bulk: Bulk, wanted: Source, expect: Expected) -> dict[str, t.Any]:
        different = []
        for ns, one in sorted(expect.contents.items()):
            database, name = split(ns)
            batches = bulk.batches(database, {"find": name, "batchSize": BATCH})
            found = content_of(batches, lambda ns=ns: self._alive(f"comparing {ns}"))  # type: ignore[misc]
            if found != one:
                different.append(f"{ns} has {found.documents} documents and had {one.documents}")
        if different:
            raise Differs("; ".join(different))
        return {
            "collections": len(expect.contents),
            "documents": sum(one.documents for one in expect.contents.values()),
            "not_compared": [{"collection": ns, "why": why} for ns, why in sorted(expect.unknown.items())],
        }

    def _await_running(self) -> None:
        until = time.monotonic() + self._timeout
        while True:
            found = self._cluster.get("v1", "Pod", self._name, self._target.namespace)
            if found and condition(found, "Ready") == "True":
                return
            why = (failed(found) or pod_obstacle(found)) if found else "was deleted"
            if found is None or failed(found) or time.monotonic() > until:
                raise self._not_started(str(why))
            self._alive(f"waiting for pod {self._name}, which {why}")
            time.sleep(0.3)

    def _initiate(self) -> None:
        # Without a session, which nobody gives before there is a set.
        with Tunnel(self._cluster, self._target.namespace, self._name, self._target.port) as tunnel:
            client = Client(tunnel.path)
            try:
                self._until_primary(client)
            finally:
                client.close()

    def _until_primary(self, client: Client) -> None:
        until = time.monotonic() + self._timeout
        host = f"127.0.0.1:{self._target.port}"
        asked = {"_id": self._name, "members": [{"_id": 0, "host": host}]}
        why = ""
        while time.monotonic() < until:
            try:
                found = client.command("hello")
                if found.get("isWritablePrimary"):
                    return
                if "setName" not in found:
                    client.command("replSetInitiate", asked)
            except (NoAnswer, CommandError) as exc:
                why = str(exc)
            self._alive(f"waiting for the mongod in {self._name}")
            time.sleep(0.2)
        raise self._not_started(f"does not serve ({why})")

    def _not_started(self, why: str) -> Failure:
        return Failure(
            f"{self._title}: the backup is complete, and could not be verified: pod {self._name}, into which it was "
            f"to be restored, {why}. It asks for {ROOM} times the size of the data on its node's disk. Make room, or "
            "do without verify."
        )


class Differs(Exception):
    """What was restored is not what was backed up."""
