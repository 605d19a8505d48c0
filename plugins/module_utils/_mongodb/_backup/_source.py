# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Reads a set: what collections there are at one moment, their documents, and the oplog since then.

The collections are read one after the other while writes go on, each by its id, so that one that is renamed meanwhile
is still found. Everything is read with read concern majority, so nothing of it can be rolled back. The oplog is read
along with it from the very moment at which the list of collections was right; who replays it has the set as it was at
the end of that slice. Reading it along, and not at the end, keeps a dump that takes long from losing its beginning.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import OutFile
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import BATCH, Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import SCRATCH, Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._oplog import (
    NOT_DATA,
    changes_catalog,
    dropped,
    earlier_part,
    is_data,
    named_anew,
    touched,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError

NAMESPACE_NOT_FOUND = 26
# The cursor is gone, a capped collection overran the reader, it was renamed, a majority does not have it yet.
# 211: who has just come up does not have the keys yet by which times are signed.
READ_AGAIN = (43, 136, 175, 211, 237, 246)
# How often the list of collections is taken anew at once, where collections change at that very moment.
QUIET_TRIES = 10
# Seconds between two looks at the oplog while documents are read.
PULL_EVERY = 2.0
_MAJORITY = {"level": "majority"}
_LOCAL = {"level": "local"}


class Catalog(t.NamedTuple):
    """All collections as they were at ``at``."""

    at: Optime
    collections: list[dict[str, t.Any]]


def catalog(bulk: Bulk) -> Catalog:
    """Taken at a moment at which no collection changed, so that the oplog continues it exactly. Raises NotYet."""
    for _try in range(QUIET_TRIES):
        at = bulk.majority()
        try:
            found = [one for database in _databases(bulk) for one in _collections(bulk, database)]
        except CommandError as error:
            if error.code == NAMESPACE_NOT_FOUND:
                continue  # dropped between two questions
            raise
        changes = {
            "find": "oplog.rs",
            "filter": {"ts": {"$gt": _stamp(at)}, "$or": [{"op": "c"}, {"ns": {"$regex": r"\.system\.views$"}}]},
            "readConcern": _LOCAL,
        }
        if not any(changes_catalog(entry) for batch in bulk.batches("local", changes) for entry in batch):
            return Catalog(at, found)
    raise NotYet("collections are created, dropped or indexed all the time; waiting for a quiet moment")


def _databases(bulk: Bulk) -> list[str]:
    asked = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": False}
    names = [one["name"] for one in bulk.command("admin", asked)["databases"]]
    if SCRATCH in names:
        raise Failure(
            f"A restore into this set has not come to its end (its notes are in the database {SCRATCH}), so there is "
            "nothing whole to back up. Run that restore again first."
        )
    return sorted(name for name in names if name not in NOT_DATA)


def _collections(bulk: Bulk, database: str) -> list[dict[str, t.Any]]:
    found = []
    listed = bulk.all(database, {"listCollections": 1, "cursor": {"batchSize": BATCH}, "authorizedCollections": False})
    for one in sorted(listed, key=lambda one: str(one["name"])):
        name, kind = one["name"], one["type"]
        if kind == "collection" and not is_data(database, name):
            continue
        entry = {"database": database, "name": name, "type": kind, "options": one["options"], "indexes": []}
        if kind != "view":
            entry["indexes"] = _indexes(bulk, database, name)
        if kind == "collection":
            entry["uuid"] = one["info"]["uuid"]
            entry["size"] = int(bulk.command(database, {"collStats": name}).get("size", 0))
        found.append(entry)
    return found


def _indexes(bulk: Bulk, database: str, name: str) -> list[dict[str, t.Any]]:
    asked = {"listIndexes": name, "includeBuildUUIDs": True, "cursor": {"batchSize": BATCH}}
    # Those being built have one more level; the oplog tells when they are done.
    return [one for one in bulk.all(database, asked) if "buildUUID" not in one and not one.get("clustered")]


def read(bulk: Bulk, database: str, uuid: t.Any) -> t.Iterator[list[t.Any]]:
    """The documents of a collection, as a majority has them now."""
    return bulk.batches(database, {"find": uuid, "batchSize": BATCH, "readConcern": _MAJORITY, "noCursorTimeout": True})


def read_at(bulk: Bulk, database: str, name: str, at: Optime) -> t.Iterator[list[t.Any]]:
    """The documents of a collection as they were at one position, while the server still knows."""
    concern = {"level": "snapshot", "atClusterTime": _stamp(at)}
    return bulk.batches(database, {"find": name, "batchSize": BATCH, "readConcern": concern})


def named_anew_since(bulk: Bulk, at: Optime) -> set[str]:
    """Names that may mean another collection now than at that position."""
    asked = {"find": "oplog.rs", "filter": {"ts": {"$gt": _stamp(at)}, "op": "c"}, "readConcern": _LOCAL}
    return {ns for batch in bulk.batches("local", asked) for entry in batch for ns in named_anew(entry)}


class Slice:
    """The oplog from one position on, written to a file as it grows."""

    def __init__(self, start: Optime, file: OutFile) -> None:
        self.start = start
        self.end = start
        self.entries = 0
        self.dropped: set[bytes] = set()
        self.touched: set[str] = set()
        #: parts of transactions from before the start, which belong in front of everything
        self.head: dict[Optime, bytes] = {}
        self.file = file
        self._pulled = 0.0

    def due(self) -> bool:
        return time.monotonic() - self._pulled > PULL_EVERY

    def pull(self, bulk: Bulk, alive: t.Callable[[], None]) -> None:
        """Take over what a majority has by now. Raises Failure where the oplog does not reach back any more."""
        self._pulled = time.monotonic()
        asked = {
            "find": "oplog.rs",
            "filter": {"ts": {"$gte": _stamp(self.end)}},
            "batchSize": BATCH,
            "readConcern": _MAJORITY,
        }
        first = True
        for batch in bulk.batches("local", asked):
            alive()
            for entry in batch:
                at = Optime.of(entry["ts"], int(entry.get("t", -1)))
                if first:
                    self._require_linked(at, bulk)
                    first = False
                    continue
                self._take(bulk, entry, at)
        if first:
            raise overrun(self.end)

    def _require_linked(self, at: Optime, bulk: Bulk) -> None:
        if at != self.end or (self.end.term >= 0 and at.term != self.end.term):
            raise overrun(self.end)

    def _take(self, bulk: Bulk, entry: t.Any, at: Optime) -> None:
        self.dropped.update(dropped(entry))
        self.touched.update(touched(entry))
        before = earlier_part(entry)
        if before is not None and not self.start < Optime.of(before):
            self._fetch_head(bulk, before)
        self.file.write(entry.raw)
        self.entries += 1
        self.end = at

    def _fetch_head(self, bulk: Bulk, stamp: t.Any) -> None:
        """Parts of a transaction that was written before the start, and takes effect after it."""
        while stamp is not None and (at := Optime.of(stamp)) not in self.head:
            asked = {"find": "oplog.rs", "filter": {"ts": stamp}, "readConcern": _MAJORITY}
            found = [one for batch in bulk.batches("local", asked) for one in batch]
            if not found:
                raise overrun(at)
            self.head[at] = found[0].raw
            stamp = earlier_part(found[0])


class Overrun(Failure):
    """The oplog does not reach back far enough."""


def overrun(position: Optime) -> Overrun:
    return Overrun(
        f"The oplog of the set no longer has {position.text} ({position.time}), from where it was to be continued: "
        "more was written meanwhile than it holds. Make the oplog larger (replSetResizeOplog on every member), or take "
        "slices more often; then take a full backup."
    )


def _stamp(position: Optime) -> t.Any:
    from bson.timestamp import Timestamp

    return Timestamp(position.seconds, position.ordinal)
