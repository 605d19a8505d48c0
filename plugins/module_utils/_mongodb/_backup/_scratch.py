# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Proves a backup: restores it into a mongod of its own, which lives as long as that takes, and compares.

That mongod runs in a pod of the set's namespace, from the set's image, on an emptyDir. It listens on the pod's own
loopback only, so nobody but a tunnel reaches it, and it needs no login.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._scratch import Container, ScratchPod
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
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

Object = t.Mapping[str, t.Any]

DATA = "/data/db"
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


def container(name: str, port: int, size: int) -> Container:
    """A mongod that is like a member of the set, as far as that matters here. Pure."""
    return Container(
        command=["mongod"],
        args=[
            *("--replSet", name, "--port", str(port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--dbpath", DATA, "--wiredTigerCacheSizeGB", "0.25"),
            # It would delete what the backup has.
            *("--setParameter", "ttlMonitorEnabled=false"),
        ],
        folders=(DATA, "/tmp"),  # noqa: S108
        size=size,
    )


class Scratch(ScratchPod):
    """A set of one member. Use it as a context manager."""

    def __init__(self, observer: Observer, alive: t.Callable[[str], None], title: str, timeout: float) -> None:
        super().__init__(observer.cluster, observer.target.namespace, alive, title, timeout)
        self._port = observer.target.port

    def check(self, wanted: Source, expect: Expected, live: Object) -> dict[str, t.Any]:
        """Restore and compare. Raises Failure where something differs."""
        size = ROOM * sum(one.bytes for one in wanted.base.collections) + (1 << 30)
        self.start(live, self._port, container(self.name, self._port, size))
        self._initiate()
        tunnel = Tunnel(self.cluster, self.namespace, self.name, self._port)
        with Bulk(tunnel, self.name, None, silence=None) as bulk:
            work = Work(bulk, wanted, self.alive)
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
            found = content_of(batches, lambda ns=ns: self.alive(f"comparing {ns}"))  # type: ignore[misc]
            if found != one:
                different.append(f"{ns} has {found.documents} documents and had {one.documents}")
        if different:
            raise Differs("; ".join(different))
        return {
            "collections": len(expect.contents),
            "documents": sum(one.documents for one in expect.contents.values()),
            "not_compared": [{"collection": ns, "why": why} for ns, why in sorted(expect.unknown.items())],
        }

    def _initiate(self) -> None:
        # Without a session, which nobody gives before there is a set.
        with Tunnel(self.cluster, self.namespace, self.name, self._port) as tunnel:
            client = Client(tunnel.path)
            try:
                self._until_primary(client)
            finally:
                client.close()

    def _until_primary(self, client: Client) -> None:
        until = time.monotonic() + self.timeout
        host = f"127.0.0.1:{self._port}"
        asked = {"_id": self.name, "members": [{"_id": 0, "host": host}]}
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
            self.alive(f"waiting for the mongod in {self.name}")
            time.sleep(0.2)
        raise self.not_started(f"does not serve ({why})")


class Differs(Exception):
    """What was restored is not what was backed up."""
