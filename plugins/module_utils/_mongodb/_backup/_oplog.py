# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""What the entries of an oplog mean, for those who copy a set and for those who bring a copy to a later position. Pure.

Entries are documents as the driver decodes them. Their ``ui`` (the id of a collection) is of the set they come from; an
entry is replayed by name, which is right because a dump is of the names that were at its start.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import SCRATCH

Entry = t.Mapping[str, t.Any]

CRUD = ("i", "u", "d")
#: state of the server or of our own, and no data of anybody
NOT_DATA = ("local", "config", SCRATCH)
BUCKETS = "system.buckets."
#: where definitions of views, users and roles wait in the target until everything else is there
VIEWS, USERS, ROLES = "views", "users", "roles"

# Options that the oplog records and the command does not take.
_NO_OPTIONS = ("create", "idIndex", "autoIndexId", "temp", "uuid", "flags")
_INDEX_CHANGES = ("hidden", "expireAfterSeconds", "unique", "prepareUnique")


def split(ns: str) -> tuple[str, str]:
    database, _dot, name = ns.partition(".")
    return database, name


def is_data(database: str, name: str) -> bool:
    """Whether a collection belongs into a dump as it is."""
    if database in NOT_DATA:
        return False
    if not name.startswith("system."):
        return True
    if database == "admin":
        return name in ("system.users", "system.roles", "system.version")
    return name.startswith(BUCKETS) or name == "system.js"


def changes_catalog(entry: Entry) -> bool:
    """Whether collections, their options, indexes or views are otherwise after this entry."""
    operation, document = entry.get("op"), entry.get("o") or {}
    if operation in CRUD:
        return split(str(entry.get("ns", "")))[1] == "system.views"
    if operation != "c":
        return False
    if "applyOps" in document:
        return any(changes_catalog(inner) for inner in document["applyOps"])
    return not ("commitTransaction" in document or "abortTransaction" in document)


def earlier_part(entry: Entry) -> t.Any:
    """The position of the entry that a transaction's entry goes on from, or None where it is the first."""
    document = entry.get("o") or {}
    if entry.get("op") != "c" or "txnNumber" not in entry:
        return None
    if not ({"applyOps", "commitTransaction", "abortTransaction"} & set(document)):
        return None
    before = (entry.get("prevOpTime") or {}).get("ts")
    return before if before is not None and before.time else None


def dropped(entry: Entry) -> t.Iterator[bytes]:
    """Ids of collections that are gone after this entry."""
    document = entry.get("o") or {}
    if entry.get("op") != "c":
        return
    for inner in document.get("applyOps") or ():
        yield from dropped(inner)
    if "drop" in document and entry.get("ui") is not None:
        yield bytes(entry["ui"])
    if "renameCollection" in document and not isinstance(document.get("dropTarget"), (bool, type(None))):
        yield bytes(document["dropTarget"])


def touched(entry: Entry) -> t.Iterator[str]:
    """Namespaces whose documents may differ after this entry; of a command also those it names."""
    document = entry.get("o") or {}
    if entry.get("op") in CRUD:
        yield str(entry["ns"])
    elif entry.get("op") == "c":
        for inner in document.get("applyOps") or ():
            if inner.get("op") != "c":
                yield from touched(inner)
        yield from named_anew(entry)


def named_anew(entry: Entry) -> t.Iterator[str]:
    """Names that may mean another collection after this entry than before, or none."""
    if entry.get("op") != "c":
        return
    document = entry.get("o") or {}
    database = split(str(entry["ns"]))[0]
    for inner in document.get("applyOps") or ():
        yield from named_anew(inner)
    if "renameCollection" in document:
        yield str(document["renameCollection"])
        yield str(document["to"])
    for command in ("create", "drop"):
        if command in document:
            yield f"{database}.{document[command]}"


@dataclasses.dataclass(frozen=True)
class Write:
    """An operation on one document, for applyOps."""

    op: t.Mapping[str, t.Any]

    @property
    def ns(self) -> str:
        return str(self.op["ns"])


@dataclasses.dataclass(frozen=True)
class Run:
    """A command on a database."""

    database: str
    command: t.Mapping[str, t.Any]


Action = t.Union[Write, Run]
Index = dict[str, t.Any]


class Replay:
    """Turns entries, in order, into what has to be done in the target.

    Indexes are only noted: data passes through states in which a unique index would be violated, because the dump was
    made while writes went on. They are built when all else is done. So are views, users and roles, which are kept in a
    database of their own meanwhile.
    """

    def __init__(self) -> None:
        #: of each namespace, the indexes by name
        self.indexes: dict[str, dict[str, Index]] = {}
        self._transactions: dict[tuple[bytes, int], list[Entry]] = {}

    def feed(self, entry: Entry) -> t.Iterator[Action]:
        operation = entry["op"]
        if operation == "n":
            return
        if operation in CRUD:
            yield from self._write(entry)
        elif operation == "c":
            yield from self._command(entry)
        else:
            raise _unknown(f"an operation of the kind {operation!r}")

    def _write(self, entry: Entry) -> t.Iterator[Action]:
        ns = _destination(str(entry["ns"]))
        if ns:
            op = {"op": entry["op"], "ns": ns, "o": entry["o"]}
            if "o2" in entry:
                op["o2"] = entry["o2"]
            yield Write(op)

    def _command(self, entry: Entry) -> t.Iterator[Action]:
        document = entry["o"]
        if "applyOps" in document:
            yield from self._apply_ops(entry)
        elif "commitTransaction" in document:
            if _transaction(entry) not in self._transactions:
                raise _headless(entry)
            for inner in self._transactions.pop(_transaction(entry)):
                yield from self.feed(inner)
        elif "abortTransaction" in document:
            self._transactions.pop(_transaction(entry), None)
        else:
            database = split(str(entry["ns"]))[0]
            if database not in NOT_DATA:
                yield from self._change(database, document)

    def _apply_ops(self, entry: Entry) -> t.Iterator[Action]:
        document = entry["o"]
        if "txnNumber" not in entry:
            for inner in document["applyOps"]:
                yield from self.feed(inner)
            return
        key = _transaction(entry)
        if earlier_part(entry) is None:
            # The number of a transaction that was begun and left may be used again after a failover.
            self._transactions[key] = []
        elif key not in self._transactions:
            raise _headless(entry)
        self._transactions[key].extend(document["applyOps"])
        if document.get("partialTxn") or document.get("prepare"):
            return
        for inner in self._transactions.pop(key):
            yield from self.feed(inner)

    def _change(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        command = next(iter(document), "")
        handler = _COMMANDS.get(command)
        if handler is None:
            raise _unknown(f"the command {command!r} in {database}")
        yield from handler(self, database, document)

    def _create(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        name = str(document["create"])
        if not is_data(database, name) or (database == "admin" and name.startswith("system.")):
            return
        self.indexes.pop(f"{database}.{name}", None)
        yield Run(database, create(name, document))

    def _drop(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        name = str(document["drop"])
        if name == "system.views":
            every = {"q": {"_id": {"$regex": f"^{re.escape(database)}\\."}}, "limit": 0}
            yield Run(SCRATCH, {"delete": VIEWS, "deletes": [every]})
        elif is_data(database, name) and not (database == "admin" and name.startswith("system.")):
            self.indexes.pop(f"{database}.{name}", None)
            yield Run(database, {"drop": name.removeprefix(BUCKETS)})

    def _rename(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        old, new = str(document["renameCollection"]), str(document["to"])
        moved = self.indexes.pop(old, None)
        self.indexes.pop(new, None)
        if moved is not None:
            self.indexes[new] = moved
        yield Run("admin", {"renameCollection": old, "to": new, "dropTarget": bool(document.get("dropTarget"))})

    def _drop_database(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        for ns in [ns for ns in self.indexes if split(ns)[0] == database]:
            del self.indexes[ns]
        yield from self._drop(database, {"drop": "system.views"})
        if database != "admin":
            yield Run(database, {"dropDatabase": 1})

    def _modify(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        name = str(document["collMod"])
        change = document.get("index")
        if change:
            for index in self.indexes.get(f"{database}.{name}", {}).values():
                if index["name"] == change.get("name") or index["key"] == change.get("keyPattern"):
                    index.update({key: change[key] for key in _INDEX_CHANGES if key in change})
        rest = {key: value for key, value in document.items() if key not in ("collMod", "index")}
        if rest:
            yield Run(database, {"collMod": name.removeprefix(BUCKETS), **rest})

    def _create_index(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        index = {key: value for key, value in document.items() if key != "createIndexes"}
        self.add_index(f"{database}.{document['createIndexes']}", index)
        return iter(())

    def _commit_build(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        for index in document["indexes"]:
            self.add_index(f"{database}.{document['commitIndexBuild']}", index)
        return iter(())

    def _drop_index(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        name = document.get("dropIndexes", document.get("deleteIndexes"))
        self.indexes.get(f"{database}.{name}", {}).pop(str(document["index"]), None)
        return iter(())

    def _nothing(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[Action]:
        return iter(())

    def add_index(self, ns: str, index: t.Mapping[str, t.Any]) -> None:
        if _destination(ns) == ns:
            self.indexes.setdefault(ns, {})[str(index["name"])] = {
                key: value for key, value in index.items() if key not in ("ns", "background")
            }


_COMMANDS: dict[str, t.Callable[[Replay, str, t.Mapping[str, t.Any]], t.Iterator[Action]]] = {
    "create": Replay._create,
    "drop": Replay._drop,
    "renameCollection": Replay._rename,
    "dropDatabase": Replay._drop_database,
    "collMod": Replay._modify,
    "createIndexes": Replay._create_index,
    "startIndexBuild": Replay._nothing,
    "abortIndexBuild": Replay._nothing,
    "commitIndexBuild": Replay._commit_build,
    "dropIndexes": Replay._drop_index,
    "deleteIndexes": Replay._drop_index,
}


def create(name: str, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The command that creates a collection with these options. Buckets are created by their time series."""
    if name.startswith(BUCKETS):
        kept = {key: options[key] for key in ("timeseries", "expireAfterSeconds") if key in options}
        return {"create": name.removeprefix(BUCKETS), **kept}
    return {"create": name, **{key: value for key, value in options.items() if key not in _NO_OPTIONS}}


def _destination(ns: str) -> str:
    """Where the documents of a namespace go in the target; nowhere, where that is empty."""
    database, name = split(ns)
    if database in NOT_DATA:
        return ""
    if name == "system.views":
        return f"{SCRATCH}.{VIEWS}"
    if database == "admin" and name.startswith("system."):
        return {"system.users": f"{SCRATCH}.{USERS}", "system.roles": f"{SCRATCH}.{ROLES}"}.get(name, "")
    return ns if is_data(database, name) else ""


def _transaction(entry: Entry) -> tuple[bytes, int]:
    session = entry["lsid"]
    return bytes(session["id"]) + bytes(session.get("uid", b"")), int(entry["txnNumber"])


def _headless(entry: Entry) -> Failure:
    stamp = entry["ts"]
    return Failure(
        f"The oplog of the backup lacks the beginning of a transaction that ends at {stamp.time}:{stamp.inc}, so it "
        "cannot be replayed. The data is incomplete and marked as such: restore to a time before it (option until), or "
        "from another backup."
    )


def _unknown(what: str) -> Failure:
    return Failure(
        f"The oplog of the backup holds {what}, which this version does not know how to replay. The data is incomplete "
        "and marked as such: restore to a time before it (option until), or with a newer version of the collection."
    )
