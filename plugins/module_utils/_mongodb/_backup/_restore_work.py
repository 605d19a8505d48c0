# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Brings a backup into a set that is there: its collections, then the oplog since, then indexes, views and users."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import content
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._documents import Damaged, documents
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    SCRATCH,
    Collection,
    Manifest,
    Optime,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._oplog import (
    BUCKETS,
    ROLES,
    USERS,
    VIEWS,
    Replay,
    Run,
    create,
    split,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer

NAMESPACE_NOT_FOUND = 26
NAMESPACE_EXISTS = 48
UPDATE_FAILED = 218
DUPLICATE_KEY = 11000
#: which collections are complete
DONE = "done"
#: databases of the server itself
OWN = ("admin", "config", "local")

# What one command may hold; the server takes 16 MB.
MOST_BYTES = 8 * 1024 * 1024
MOST_DOCUMENTS = 5000
# What an operation takes besides its document: names, and the key of the document that it changes.
_AROUND = 512
MAJORITY = {"w": "majority"}
_ONE = {"w": 1}
_EMPTY_STAMP = b"\x00" * 8


@dataclasses.dataclass(frozen=True)
class Source:
    """What is restored: a full backup, the slices that continue it, and where to stop."""

    place: Place[Manifest]
    base: Manifest
    slices: tuple[Manifest, ...] = ()
    #: operations from this position on are left out
    until: t.Optional[Optime] = None

    @property
    def end(self) -> Optime:
        """The last position that is restored, as far as it is known beforehand."""
        return self.slices[-1].end if self.slices else self.base.end

    def documents(self, manifest: Manifest, file: str) -> t.Iterator[bytes]:
        with self.place.open(manifest.backup, file) as opened:
            yield from documents(opened, f"{manifest.backup}/{file}")

    def entries(self) -> t.Iterator[t.Any]:
        """The oplog, in order and each entry once."""
        from bson.raw_bson import RawBSONDocument

        position = Optime(0, 0)
        for manifest in (self.base, *self.slices):
            for raw in self.documents(manifest, manifest.oplog_file):
                entry = RawBSONDocument(raw)
                at = Optime.of(entry["ts"])
                if self.until and not at < self.until:
                    return
                # The beginning of a transaction stands before what follows it, wherever that was.
                if position < at:
                    position = at
                    yield entry

    def metadata(self, collection: Collection) -> dict[str, t.Any]:
        from bson import json_util

        with self.place.open(self.base.backup, collection.metadata) as opened:
            text = content(opened, collection.metadata).decode()
        found: dict[str, t.Any] = json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS)
        return found


class Work:
    """Writes to one member, which has to be the primary. Raises NoAnswer, CommandError and Failure."""

    def __init__(self, bulk: Bulk, source: Source, alive: t.Callable[[str], None]) -> None:
        self._bulk = bulk
        self._source = source
        self._alive = alive
        self._loaded = 0

    # -- what is there

    def databases(self) -> list[str]:
        """Those with data of somebody, and the admin database where it has such collections."""
        asked = {"listDatabases": 1, "nameOnly": True, "authorizedDatabases": False}
        names = [one["name"] for one in self._bulk.command("admin", asked)["databases"]]
        found = [name for name in names if name not in OWN and name != SCRATCH]
        return sorted(found + (["admin"] if self._in_admin() else []))

    def mark(self) -> dict[str, t.Any]:
        found = self._bulk.all(SCRATCH, {"find": "state", "filter": {"_id": "restore"}})
        return found[0] if found else {}

    def done(self) -> list[str]:
        """Collections that are complete."""
        return [str(one["_id"]) for one in self._bulk.all(SCRATCH, {"find": DONE})]

    def note_done(self, ns: str) -> None:
        self._upsert(SCRATCH, DONE, {"_id": ns}, MAJORITY)

    def write_mark(self, mark: t.Mapping[str, t.Any]) -> None:
        """On a majority, and everything that was written before with it."""
        self._upsert(SCRATCH, "state", {"_id": "restore", **mark}, MAJORITY)

    def clear(self) -> None:
        for database in self.databases():
            self._alive(f"dropping the data in {database}")
            if database == "admin":
                for name in self._in_admin():
                    self._bulk.command("admin", {"drop": name, "writeConcern": MAJORITY})
            else:
                self._bulk.command(database, {"dropDatabase": 1, "writeConcern": MAJORITY})
        for name in (DONE, VIEWS, USERS, ROLES):
            self._drop(SCRATCH, name)
            self._bulk.command(SCRATCH, {"create": name})

    def _in_admin(self) -> list[str]:
        found = self._bulk.all("admin", {"listCollections": 1, "nameOnly": True})
        return [str(one["name"]) for one in found if not str(one["name"]).startswith("system.")]

    # -- the dump

    def load(self, done: t.Collection[str]) -> None:
        """All collections but those that are done, and note each that is."""
        every = {one.ns: one for one in self._source.base.collections}
        for one in every.values():
            if one.ns in done:
                continue
            if one.type == "view":
                self._note_view(one)
            elif one.data:
                self._load(one, every)
            self.note_done(one.ns)

    def _note_view(self, one: Collection) -> None:
        document = {"_id": one.ns, **self._source.metadata(one)["options"]}
        self._upsert(SCRATCH, VIEWS, document)

    def _load(self, one: Collection, every: t.Mapping[str, Collection]) -> None:
        database, name = one.database, one.name
        if database == "admin" and name.startswith("system."):
            database, name = SCRATCH, {"system.users": USERS, "system.roles": ROLES}.get(name, "")
            if not name:
                return
            self._make(database, name, {"create": name})
        else:
            described = every[f"{database}.{name.removeprefix(BUCKETS)}"]
            options = self._source.metadata(described)["options"]
            self._make(database, described.name, create(described.name, options))
        count = 0
        total = sum(collection.bytes for collection in every.values())
        for batch in _batches(self._source.documents(self._source.base, one.data)):
            self._insert(database, name, batch)
            count += len(batch)
            self._loaded += sum(len(raw) for raw in batch)
            self._alive(
                f"{one.ns}: {count} of {one.documents} documents, {self._loaded * 100 // max(1, total)} % of all"
            )
        if count != one.documents:
            raise Damaged(f"{one.data} holds {count} documents, and the manifest says {one.documents}")

    def _make(self, database: str, name: str, asked: t.Mapping[str, t.Any]) -> None:
        """An empty collection, whatever was there. Raises NoAnswer where that is to be tried again."""
        self._drop(database, name)
        try:
            self._bulk.command(database, asked)
        except CommandError as error:
            if error.code != NAMESPACE_EXISTS:
                raise
            # A connection that broke off had asked for the same, and the server has come to it only now.
            raise NoAnswer(f"{database}.{name} came to be at the same moment") from error

    def _insert(self, database: str, name: str, batch: t.Sequence[bytes]) -> None:
        from bson.raw_bson import RawBSONDocument

        found = [RawBSONDocument(raw) for raw in batch]
        asked = {"insert": name, "documents": found, "ordered": False, "writeConcern": _ONE}
        answer = self._bulk.command(database, {**asked, "bypassDocumentValidation": True})
        # A document that was deleted and made again while the collection was read is in the dump twice. Either will do:
        # the oplog that is yet to come brings it to its last state.
        _require_written(answer, besides=DUPLICATE_KEY)
        again = [op for document in found for op in _empty_stamps(f"{database}.{name}", document)]
        if again:
            self._apply(again)

    # -- the oplog

    def replay(self) -> int:
        """How many entries were replayed."""
        replay, count = self._indexes_of_dump(), 0
        waiting: list[t.Mapping[str, t.Any]] = []
        size = 0
        for entry in self._source.entries():
            count += 1
            for action in replay.feed(entry):
                # One entry may hold all of a transaction, so it is looked at before each.
                more = 0 if isinstance(action, Run) else len(action.op["o"].raw) + _AROUND
                if isinstance(action, Run) or size + more > MOST_BYTES or len(waiting) >= MOST_DOCUMENTS:
                    self._flush(waiting)
                    size = 0
                if isinstance(action, Run):
                    self._run(action)
                else:
                    waiting.append(action.op)
                    size += more
                    if action.op["op"] == "i":
                        waiting += _empty_stamps(action.ns, action.op["o"])
            self._alive(f"replaying the oplog, {count} entries")
        self._flush(waiting)
        return count

    def _run(self, action: Run) -> None:
        try:
            self._bulk.command(action.database, {**action.command, "writeConcern": _ONE})
        except CommandError as error:
            if not ("drop" in action.command and error.code == NAMESPACE_NOT_FOUND):
                raise

    def _flush(self, waiting: list[t.Mapping[str, t.Any]]) -> None:
        """Apply all, except changes of documents that are not there.

        The dump read those after they were deleted. The oplog that is yet to come deletes them again.
        """
        while waiting:
            try:
                self._apply(waiting)
            except CommandError as error:
                failed = int(error.details.get("applied", 0)) - 1
                if error.code != UPDATE_FAILED or failed < 0 or waiting[failed]["op"] != "u":
                    raise
                self._require_missing(waiting[failed], error)
                if failed:
                    self._apply(waiting[:failed])
                del waiting[: failed + 1]
            else:
                waiting.clear()

    def _apply(self, ops: t.Sequence[t.Mapping[str, t.Any]]) -> None:
        asked = {"applyOps": list(ops), "alwaysUpsert": False, "bypassDocumentValidation": True, "writeConcern": _ONE}
        self._bulk.command("admin", asked)

    def _require_missing(self, op: t.Mapping[str, t.Any], error: CommandError) -> None:
        database, name = split(str(op["ns"]))
        if self._bulk.all(database, {"find": name, "filter": {"_id": op["o2"]["_id"]}, "limit": 1}):
            raise error

    # -- what comes last

    def _indexes_of_dump(self) -> Replay:
        replay = Replay()
        for one in self._source.base.collections:
            if one.type == "view":
                continue
            if one.metadata:
                found = self._source.metadata(one)
                ns = f"{one.database}.{BUCKETS}{one.name}" if one.type == "timeseries" else one.ns
                for index in found["bucketIndexes" if one.type == "timeseries" else "indexes"]:
                    replay.add_index(ns, index)
        return replay

    def build_indexes(self) -> None:
        """As they are at the end of the oplog. What is there already stays."""
        replay = self._indexes_of_dump()
        for entry in self._source.entries():
            for _action in replay.feed(entry):
                pass
        for ns, indexes in sorted(replay.indexes.items()):
            database, name = split(ns)
            wanted = [index for index in indexes.values() if index["name"] != "_id_"]
            if wanted:
                self._alive(f"building {len(wanted)} indexes of {ns}")
                self._build(database, name, wanted)

    def _build(self, database: str, name: str, wanted: list[dict[str, t.Any]]) -> None:
        try:
            self._bulk.command(database, {"createIndexes": name, "indexes": wanted, "writeConcern": MAJORITY})
        except CommandError as error:
            if error.code != NAMESPACE_NOT_FOUND:
                raise

    def create_views(self) -> None:
        for view in self._bulk.all(SCRATCH, {"find": VIEWS}):
            database, name = split(str(view.pop("_id")))
            if str(view["viewOn"]).startswith(BUCKETS):
                continue  # that of a time series
            try:
                self._bulk.command(database, {"create": name, **view})
            except CommandError as error:
                if error.code != NAMESPACE_EXISTS:
                    raise

    def merge_users(self) -> None:
        """Those of the backup are added; who is there already stays as he is."""
        asked = {
            "_mergeAuthzCollections": 1,
            "tempUsersCollection": f"{SCRATCH}.{USERS}",
            "tempRolesCollection": f"{SCRATCH}.{ROLES}",
            "db": "",
            "drop": False,
            "writeConcern": MAJORITY,
        }
        self._bulk.command("admin", asked)

    def finish(self) -> None:
        self._bulk.command(SCRATCH, {"dropDatabase": 1, "writeConcern": MAJORITY})

    def _drop(self, database: str, name: str) -> None:
        try:
            self._bulk.command(database, {"drop": name})
        except CommandError as error:
            if error.code != NAMESPACE_NOT_FOUND:
                raise

    def _upsert(
        self,
        database: str,
        name: str,
        document: t.Mapping[str, t.Any],
        concern: t.Optional[t.Mapping[str, t.Any]] = None,
    ) -> None:
        change = {"q": {"_id": document["_id"]}, "u": dict(document), "upsert": True}
        asked = {"update": name, "updates": [change], "writeConcern": concern or _ONE}
        _require_written(self._bulk.command(database, asked))


def _batches(found: t.Iterable[bytes]) -> t.Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for raw in found:
        if batch and (size + len(raw) > MOST_BYTES or len(batch) >= MOST_DOCUMENTS):
            yield batch
            batch, size = [], 0
        batch.append(raw)
        size += len(raw)
    if batch:
        yield batch


def _empty_stamps(ns: str, document: t.Any) -> list[dict[str, t.Any]]:
    """What puts the timestamp 0 back into fields of a document: an insert puts the present time in its place."""
    if _EMPTY_STAMP not in document.raw:
        return []
    from bson.timestamp import Timestamp

    fields = {key: value for key, value in document.items() if isinstance(value, Timestamp) and not value.time}
    empty = {key: value for key, value in fields.items() if not value.inc and key != "_id"}
    op = {"op": "u", "ns": ns, "o": {"$v": 2, "diff": {"u": empty}}, "o2": {"_id": document["_id"]}}
    return [op] if empty else []


def _require_written(answer: t.Mapping[str, t.Any], besides: t.Optional[int] = None) -> None:
    errors = [error for error in answer.get("writeErrors") or () if error.get("code") != besides]
    if errors:
        raise CommandError(int(errors[0].get("code", 0)), str(errors[0].get("errmsg", "")), errors[0])
    concern = answer.get("writeConcernError")
    if concern:
        raise CommandError(int(concern.get("code", 0)), str(concern.get("errmsg", "")), concern)
