# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Writes a backup: the collections one after the other, and the oplog along with them."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import OutFile
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Writing
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import iso
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _source as source
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    OPLOG,
    Collection,
    Manifest,
    Optime,
    add_content,
    content_text,
    escaped,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._oplog import BUCKETS
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import Wish, choose
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import NOT_PRIMARY, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task

# How often one collection is begun anew, where its reading breaks off.
TRIES = 10
# Seconds between two lines of progress.
SAY_EVERY = 5.0
# How much smaller documents become at least, as a rule: what lacks room for that need not begin.
COMPRESSED = 10
# What a member says that is shutting down, changing its role, or copying data itself.
LEAVING = (*NOT_PRIMARY, 11601, 13436)


class Reading:
    """The member that is read. Where it goes away, another one that knows as much."""

    def __init__(self, observer: Observer, wish: Wish, task: Task, title: str, wait_timeout: float) -> None:
        self.members: list[str] = []
        self.task = task
        self.title = title
        self._observer = observer
        self._wish = wish
        self._wait_timeout = wait_timeout
        self._bulk: t.Optional[Bulk] = None
        self._reached = Optime(0, 0)
        self._said = time.monotonic()

    def __enter__(self) -> Reading:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bulk:
            self._note_position()
            self._bulk.__exit__()
            self._bulk = None

    @property
    def reached(self) -> Optime:
        """The newest position that anything read so far may be of."""
        self._note_position()
        return self._reached

    def alive(self, text: str = "") -> None:
        """Called all the time: ends with the process that started this run, and shows that something goes on."""
        if time.monotonic() - self._said > SAY_EVERY or self.task.abandoned():
            self._said = time.monotonic()
            if self.task.abandoned():
                raise Failure(f"{self.title}: stopped, because the process that started this run is gone.")
            if text:
                self.task.progress(f"{self.title}: {text}")

    def bulk(self) -> Bulk:
        if self._bulk is None:
            self._bulk = self._connect()
        return self._bulk

    def lost(self, why: Exception) -> None:
        pod = self._bulk.pod if self._bulk else "the member"
        self.close()
        self._observer.forget_objects()
        self.task.progress(f"{self.title}: {pod} went away ({why}), looking for another member")

    def _note_position(self) -> None:
        reached = self._bulk.reached() if self._bulk else None
        if reached and self._reached < reached:
            self._reached = reached

    def _connect(self) -> Bulk:
        target = self._observer.target
        until = time.monotonic() + self._wait_timeout
        why = ""
        while True:
            seen = self._observer.observe()
            ordinal, why = choose(target, seen, self._wish.read_from)
            if ordinal is not None:
                pod = target.pod(ordinal)
                bulk = self._observer.bulk(seen.pods[ordinal])
                try:
                    if bulk.majority() >= self._reached:
                        if pod not in self.members:
                            self.members.append(pod)
                        return bulk
                    why = f"{pod} has not reached {self._reached.text} yet"
                except (NoAnswer, CommandError) as exc:
                    why = f"{pod}: {exc}"
                bulk.__exit__()
            if time.monotonic() > until:
                raise Failure(
                    f"{self.title}: gave up after {self._wait_timeout:.0f} s without a member to read from: {why}. The "
                    "backup that was begun is removed; run it again."
                )
            self.alive(f"waiting for a member to read from: {why}")
            self._observer.pause(0.5)


def dump(reading: Reading, writer: Writing[Manifest], wish: Wish) -> tuple[Manifest, set[str]]:
    """A full backup, and what was written to meanwhile. Raises NotYet while no collection was read, and Failure."""
    started = iso(time.time())
    suffix = ".bson.gz" if wish.gzip else ".bson"
    catalog = source.catalog(reading.bulk())
    oplog = source.Slice(catalog.at, writer.open(f"oplog{suffix}"))
    total = sum(one.get("size", 0) for one in catalog.collections)
    writer.require_room(total // COMPRESSED if wish.gzip else total, wish.dest)
    work = _Dump(reading, writer, oplog, suffix, total)
    found = [work.collection(one, catalog.collections) for one in catalog.collections]
    consistent = max(reading.reached, catalog.at)
    _pull(reading, oplog, consistent)
    vanished = work.gone - oplog.dropped
    if vanished:
        raise Failure(
            f"{reading.title}: {len(vanished)} collections were gone when they were to be read, and the oplog does not "
            "tell of it. The backup is removed. Run it again."
        )
    _finish_oplog(writer, oplog, work.oplog_file)
    return _manifest(reading, writer, FULL, started, oplog, consistent, tuple(found)), oplog.touched


def copy_oplog(
    reading: Reading, writer: Writing[Manifest], wish: Wish, positions: t.Sequence[Optime]
) -> t.Optional[Manifest]:
    """A slice from the first of these positions that the oplog still has; nothing where nothing happened since."""
    started = iso(time.time())
    suffix = ".bson.gz" if wish.gzip else ".bson"
    for number, position in enumerate(positions):
        file = writer.open(f"oplog{suffix}")
        oplog = source.Slice(position, file)
        try:
            _pull(reading, oplog, reading.bulk().majority())
        except source.Overrun as overrun:
            file.discard()
            if number + 1 == len(positions):
                raise
            reading.task.warn(
                f"{overrun.message} The newest full backup is continued from its own end; older ones cannot be "
                f"restored to a time after {position.time}."
            )
            continue
        if not oplog.entries:
            file.discard()
            return None
        _finish_oplog(writer, oplog, file)
        return _manifest(reading, writer, OPLOG, started, oplog, position, ())
    return None


def _pull(reading: Reading, oplog: source.Slice, wanted: Optime) -> None:
    """Read the oplog up to a position that something else was read of."""
    while True:
        try:
            oplog.pull(reading.bulk(), lambda: reading.alive(f"reading the oplog, {oplog.entries} entries"))
        except NoAnswer as exc:
            reading.lost(exc)
        except CommandError as error:
            if error.code not in (*LEAVING, *source.READ_AGAIN):
                raise
            reading.lost(error)
        if not oplog.end < wanted:
            return
        reading.alive()
        time.sleep(0.1)


def _finish_oplog(writer: Writing[Manifest], oplog: source.Slice, file: OutFile) -> None:
    """Put what belongs in front of it in front of it."""
    written = writer.add(file)
    if oplog.head:
        writer.put_before(written, (oplog.head[at] for at in sorted(oplog.head)))


def _manifest(
    reading: Reading,
    writer: Writing[Manifest],
    kind: str,
    started: str,
    oplog: source.Slice,
    consistent: Optime,
    collections: tuple[Collection, ...],
) -> Manifest:
    bulk, target = reading.bulk(), reading._observer.target
    config = reading._observer.observe().config
    compatibility = bulk.command("admin", {"getParameter": 1, "featureCompatibilityVersion": 1})
    return Manifest(
        backup=writer.name,
        kind=kind,
        namespace=target.namespace,
        name=target.name,
        replica_set=config.set_name if config else "",
        set_id=config.set_id if config else "",
        version=str(bulk.command("admin", {"buildInfo": 1})["version"]),
        fcv=str(compatibility["featureCompatibilityVersion"]["version"]),
        member=", ".join(reading.members),
        started=started,
        ended=iso(time.time()),
        start=oplog.start,
        consistent=consistent,
        end=oplog.end,
        entries=oplog.entries + len(oplog.head),
        files=tuple(writer.files),
        collections=collections,
    )


class _Dump:
    def __init__(
        self, reading: Reading, writer: Writing[Manifest], oplog: source.Slice, suffix: str, total: int
    ) -> None:
        #: ids of collections that were not there any more
        self.gone: set[bytes] = set()
        self.oplog_file = oplog.file
        self._reading = reading
        self._writer = writer
        self._oplog = oplog
        self._suffix = suffix
        self._total = total
        self._done = 0

    def collection(self, one: t.Mapping[str, t.Any], every: t.Sequence[t.Mapping[str, t.Any]]) -> Collection:
        database, name, kind = one["database"], one["name"], one["type"]
        folder = escaped(database)
        metadata = ""
        # The buckets of a time series have none of their own, as with mongodump.
        if not name.startswith(BUCKETS):
            metadata = f"{folder}/{escaped(name)}.metadata.json" + (".gz" if self._suffix.endswith(".gz") else "")
            self._writer.text(metadata, _metadata(one, every))
        entry = Collection(database, name, kind, metadata)
        if kind != "collection":
            return entry
        path = f"{folder}/{escaped(name)}{self._suffix}"
        for number in range(1, TRIES + 1):
            file = self._writer.open(path)
            before = self._done
            try:
                found = self._documents(one, file)
            except (NoAnswer, CommandError) as exc:
                file.discard()
                self._done = before
                self._broken(exc, f"{database}.{name}", number)
                continue
            self._writer.add(file)
            uuid = one["uuid"].hex()
            return dataclasses.replace(entry, data=path, uuid=uuid, **found)
        raise AssertionError("the last try raises")

    def _documents(self, one: t.Mapping[str, t.Any], file: OutFile) -> dict[str, t.Any]:
        count = size = total = 0
        bulk, ns = self._reading.bulk(), f"{one['database']}.{one['name']}"
        try:
            for batch in source.read(bulk, one["database"], one["uuid"]):
                parts = [document.raw for document in batch]
                for part in parts:
                    total = add_content(total, part)
                data = b"".join(parts)
                file.write(data)
                count += len(parts)
                size += len(data)
                self._done += len(data)
                if self._oplog.due():
                    self._oplog.pull(bulk, self._reading.alive)
                self._reading.alive(f"{ns}: {count} documents, {self._share()} of all")
        except CommandError as error:
            if error.code != source.NAMESPACE_NOT_FOUND:
                raise
            self.gone.add(bytes(one["uuid"]))
        return {"documents": count, "bytes": size, "content": content_text(total)}

    def _share(self) -> str:
        return f"{min(99, self._done * 100 // max(1, self._total))} %"

    def _broken(self, exc: t.Union[NoAnswer, CommandError], ns: str, number: int) -> None:
        code = exc.code if isinstance(exc, CommandError) else None
        if number == TRIES or (code is not None and code not in (*LEAVING, *source.READ_AGAIN)):
            raise Failure(
                f"{self._reading.title}: {ns} cannot be read ({exc}), tried {number} times. The backup that was begun "
                "is removed. Look at the member's log, or name another member in read_from."
            ) from exc
        if code is None or code in LEAVING:
            self._reading.lost(exc)
        else:
            time.sleep(0.2)


def _metadata(one: t.Mapping[str, t.Any], every: t.Sequence[t.Mapping[str, t.Any]]) -> bytes:
    from bson import json_util

    found: dict[str, t.Any] = {
        "options": one["options"],
        "indexes": one["indexes"],
        "uuid": one["uuid"].hex() if "uuid" in one else "",
        "collectionName": one["name"],
        "type": one["type"],
    }
    if one["type"] == "timeseries":
        bucket = next(
            (o for o in every if o["database"] == one["database"] and o["name"] == f"{BUCKETS}{one['name']}"), None
        )
        # As they are on the buckets: the oplog speaks of these.
        found["bucketIndexes"] = bucket["indexes"] if bucket else []
    return json_util.dumps(found, json_options=json_util.CANONICAL_JSON_OPTIONS).encode()
