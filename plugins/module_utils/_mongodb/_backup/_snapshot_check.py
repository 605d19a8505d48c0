# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Proves a snapshot: a mongod of its own starts on a volume made of it, and validates every collection.

It starts alone, applies the oplog that is in the files, and is read-only. It listens on the pod's own loopback, so
nobody but a tunnel reaches it, and it needs no login. Volume and pod live as long as that takes.
"""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places import _scratch as places
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition, failed, pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _scratch as scratch
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_plan import API_VERSION, Kept
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import remove

Object = t.Mapping[str, t.Any]

# Seconds that one collection may take.
PATIENCE = 6 * 3600.0
SCHEMA = "not compliant with the collection's schema"
# Where mongod keeps data when nobody says otherwise.
DATA = "/data/db"
# Seconds that the kubelet may take to tell that a container has ended.
TOLD_WITHIN = 20.0
# Exit codes that are no word on the files: a clean end, wrong options, no port, SIGKILL, SIGTERM.
NOT_ITS_OWN = (0, 2, 48, 137, 143)
LOG_LINES = 200
NO_SPACE = "No space left on device"
# What may help where nothing could be told.
AGAIN = "Take another one"
ROOM = "Make room for a volume of its size and a pod"


class Wrong(Exception):
    """What is in the snapshot is not what it should be."""


def claim_of(name: str, namespace: str, owner: Object, source: Object, made: Kept) -> dict[str, t.Any]:
    """A claim like the one that was taken, made of the snapshot. Pure."""
    spec = source["spec"]
    has = (source.get("status") or {}).get("capacity", {}).get("storage") or spec["resources"]["requests"]["storage"]
    # Drivers that do not know the size of a snapshot say 0.
    asked = max(made.size or "0", has, key=quantity)
    wanted: dict[str, t.Any] = {
        "accessModes": spec["accessModes"],
        "resources": {"requests": {"storage": asked}},
        "dataSource": {"apiGroup": API_VERSION.partition("/")[0], "kind": "VolumeSnapshot", "name": made.name},
    }
    for key in ("storageClassName", "volumeMode"):
        if spec.get(key):
            wanted[key] = spec[key]
    metadata = {**places.metadata(name, namespace), "ownerReferences": [probe.owned_by(owner)]}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted}


def pod_of(name: str, namespace: str, owner: Object, live: Object, port: int, claim: str) -> dict[str, t.Any]:
    """A mongod on it, like the member that was taken, as far as that matters here. Pure."""
    made = places.pod(name, namespace, owner, live, port, scratch.container(name, port, 0))
    container = made["spec"]["containers"][0]
    container["resources"]["requests"].pop("ephemeral-storage")
    volume = {
        one["name"]
        for one in live["spec"].get("volumes") or ()
        if (one.get("persistentVolumeClaim") or {}).get("claimName") == claim
    }
    serving = places.serving(live, port)
    mount = next((one for one in serving.get("volumeMounts") or () if one["name"] in volume), {"mountPath": DATA})
    words = [*(serving.get("command") or ()), *(serving.get("args") or ())]
    path = next((word.partition("=")[2] for word in words if word.startswith("--dbpath=")), DATA)
    if "--dbpath" in words[:-1]:
        path = words[words.index("--dbpath") + 1]
    container["args"] = [
        *("--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
        *("--dbpath", path, "--wiredTigerCacheSizeGB", "0.25"),
        # What is in the oplog and not in the data files yet belongs to it.
        *("--setParameter", "recoverFromOplogAsStandalone=true"),
        *("--setParameter", "ttlMonitorEnabled=false"),
    ]
    if "--directoryperdb" in words:
        container["args"].append("--directoryperdb")
    container["volumeMounts"][0] = {"name": "data", "mountPath": mount["mountPath"]}
    if mount.get("subPath"):
        container["volumeMounts"][0]["subPath"] = mount["subPath"]
    made["spec"]["volumes"][0] = {"name": "data", "persistentVolumeClaim": {"claimName": name}}
    return made


def damage(found: t.Mapping[str, t.Any]) -> str:
    """What validate says is wrong with the files of a collection. Pure."""
    errors = [str(one) for one in found.get("errors") or ()]
    # Of documents that a validator would not take today, which is the set's own affair.
    told = [one for one in errors if SCHEMA not in one]
    return "; ".join(told) if errors or found.get("valid") else "it does not say why"


def died(found: Object) -> str:
    """How the container ended by itself; empty where it did not start, goes on, or was ended by others. Pure."""
    status = found.get("status") or {}
    # The pod has a reason where the kubelet ended it: Evicted, DeadlineExceeded, NodeShutdown.
    if status.get("reason") or found["metadata"].get("deletionTimestamp"):
        return ""
    for one in status.get("containerStatuses") or ():
        ended = (one.get("state") or {}).get("terminated") or {}
        # Others are those of one that never started, or was killed: StartError, ContainerStatusUnknown, OOMKilled.
        if ended.get("reason") == "Error" and ended.get("exitCode") not in NOT_ITS_OWN:
            return f"ended with exit code {ended.get('exitCode')}"
    return ""


def last_words(lines: t.Sequence[str]) -> str:
    """What the end of a mongod's log says: its first errors, behind which come its own abort and a backtrace. Pure."""
    errors = [line for line in lines if '"s":"F"' in line or '"s":"E"' in line]
    return " ".join(errors[:3] or lines[-3:])[:1000] or "nothing"


class Check:
    """A mongod for the time of a look. Use it as a context manager."""

    def __init__(self, observer: Observer, alive: t.Callable[[str], None], title: str, timeout: float) -> None:
        self._cluster = observer.cluster
        self._target = observer.target
        self._alive = alive
        self._title = title
        self._timeout = timeout
        self._name = f"{places.APPLICATION}-{secrets.token_hex(3)}"

    def __enter__(self) -> Check:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(Failure):
            remove(self._cluster, self._target.namespace, places.APPLICATION, self._name, self._timeout)

    def check(self, made: Kept) -> dict[str, t.Any]:
        """Raises Wrong where it is not what it should be, and Failure where that cannot be told."""
        target, cluster, name = self._target, self._cluster, self._name
        claim = str(made.note["claim"])
        live = cluster.get("v1", "Pod", str(made.note["member"]), target.namespace)
        source = cluster.get("v1", "PersistentVolumeClaim", claim, target.namespace)
        if live is None or source is None:
            raise self._not_told(f"{made.note['member']} or its claim {claim} is gone, after which it is to be made")
        anchor = {"restartPolicy": "Never", "containers": [{"name": "none", "image": "none"}]}
        metadata = places.metadata(name, target.namespace)
        owner = cluster.create(probe.anchor(metadata, places.DEADLINE, anchor))
        cluster.create(claim_of(name, target.namespace, owner, source, made))
        cluster.create(pod_of(name, target.namespace, owner, live, target.port, claim))
        self._await_running()
        with Tunnel(cluster, target.namespace, name, target.port) as tunnel:
            client = Client(tunnel.path)
            try:
                self._await_serving(client)
                return self._validated(client, made)
            except NoAnswer as exc:
                self._require_alive(TOLD_WITHIN)
                raise self._not_told(f"the mongod on it broke off ({exc})") from exc
            except CommandError as exc:
                raise self._not_told(f"the mongod on it broke off ({exc})") from exc
            finally:
                client.close()

    def _validated(self, client: Client, made: Kept) -> dict[str, t.Any]:
        config = _first(client, "system.replset", {})
        set_id = str(((config or {}).get("settings") or {}).get("replicaSetId") or "")
        if set_id != made.set_id:
            raise Wrong(f"it has the set id {set_id or 'of no set'}, and was taken of the set {made.set_id}")
        newest = _first(client, "oplog.rs", {"$natural": -1})
        reached = Optime.of(newest["ts"], int(newest.get("t", -1))) if newest else Optime(0, 0)
        until = Optime.load(made.note["until"])
        if reached < until:
            raise Wrong(f"its oplog ends at {reached.text}, and {until.text} was in the member's journal before")
        bad, collections = [], 0
        for database in client.command("listDatabases", nameOnly=True)["databases"]:
            for one in _collections(client, database["name"]):
                self._alive(f"validating {database['name']}.{one}")
                found = client.command("validate", one, seconds=PATIENCE, database=database["name"])
                collections += 1
                why = damage(found)
                if why:
                    bad.append(f"{database['name']}.{one} ({why})")
        if bad:
            raise Wrong(f"these do not validate: {', '.join(bad)}")
        return {"collections": collections, "reaches": reached.dump()}

    def _await_running(self) -> None:
        until = time.monotonic() + self._timeout
        while True:
            found = self._cluster.get("v1", "Pod", self._name, self._target.namespace)
            if found and condition(found, "Ready") == "True":
                return
            if found is None:
                raise self._not_told(f"pod {self._name} was deleted")
            if failed(found):
                self._require_alive()
                raise self._not_told(f"pod {self._name} {failed(found)}")
            if time.monotonic() > until:
                labels = probe.selector(places.APPLICATION, self._name)
                told = diagnose(self._cluster, self._target.namespace, labels, owners=(self._name,))
                raise self._not_told(
                    f"pod {self._name} {pod_obstacle(found)}: {'; '.join(told) or 'nothing is told'}", ROOM
                )
            self._alive(f"waiting for pod {self._name}, which {pod_obstacle(found)}")
            time.sleep(0.3)

    def _await_serving(self, client: Client) -> None:
        until = time.monotonic() + self._timeout
        while True:
            try:
                client.command("hello")
            except (NoAnswer, CommandError) as exc:
                # It does not listen before it has recovered; where it cannot, its pod ends.
                found = self._cluster.get("v1", "Pod", self._name, self._target.namespace)
                ended = failed(found) if found else "was deleted"
                if ended or time.monotonic() > until:
                    self._require_alive()
                    raise self._not_told(
                        f"the mongod on it does not serve ({ended or exc}); it said last: {last_words(self._log())}",
                        AGAIN if ended else ROOM,
                    ) from exc
            else:
                return
            self._alive(f"waiting for the mongod in {self._name}, which recovers")
            time.sleep(0.3)

    def _require_alive(self, patience: float = 0.0) -> None:
        """Raises Wrong where it ended by itself: a mongod starts on good files, and reads them."""
        until = time.monotonic() + patience
        while True:
            found = self._cluster.get("v1", "Pod", self._name, self._target.namespace)
            how = died(found) if found else ""
            log = self._log() if how else []
            # A full volume is none that is damaged.
            if how and not any(NO_SPACE in line for line in log):
                raise Wrong(f"the mongod on it {how}; it said last: {last_words(log)}")
            if how or found is None or failed(found) or time.monotonic() >= until:
                return
            time.sleep(0.3)

    def _log(self) -> list[str]:
        return self._cluster.log_tail(self._target.namespace, self._name, probe.CONTAINER, lines=LOG_LINES)

    def _not_told(self, why: str, advice: str = AGAIN) -> Failure:
        return Failure(
            f"{self._title}: the snapshot is ready, and could not be verified: {why}. {advice}, or do without verify."
        )


def _first(client: Client, collection: str, sort: t.Mapping[str, int]) -> t.Optional[t.Mapping[str, t.Any]]:
    found = client.command("find", collection, database="local", sort=sort, limit=1, singleBatch=True)
    batch = found["cursor"]["firstBatch"]
    return batch[0] if batch else None


def _collections(client: Client, database: str) -> list[str]:
    """The names of all that hold documents: behind a view or a time series are others."""
    cursor = client.command("listCollections", database=database, cursor={}, nameOnly=True)["cursor"]
    found = list(cursor["firstBatch"])
    while cursor["id"]:
        cursor = client.command("getMore", cursor["id"], database=database, collection="$cmd.listCollections")["cursor"]
        found += cursor["nextBatch"]
    return [str(one["name"]) for one in found if one.get("type") == "collection"]
