# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What entries of an oplog mean: by example, and against a small database that is copied while it changes."""

from __future__ import annotations

import copy
import random
import typing as t

import pytest
from bson.binary import Binary
from bson.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _oplog as oplog
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import SCRATCH
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._oplog import Replay, Run, Write

Entry = dict[str, t.Any]


def uuid(number: int) -> Binary:
    return Binary(number.to_bytes(16, "big"), 4)


class Database:
    """As much of a database as the oplog speaks of. It keeps every state that it was in."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}  # name -> id
        self.documents: dict[int, dict[int, dict[str, int]]] = {}
        self.indexes: dict[int, set[str]] = {}
        self.entries: list[Entry] = []
        self.history: list[tuple[dict[str, int], dict[int, t.Any], dict[int, t.Any]]] = []
        self._next = 1
        self._transaction = 0
        self.note()

    def note(self) -> None:
        state = (self.names, self.documents, self.indexes)
        self.history.append(copy.deepcopy(state))

    def log(self, **entry: t.Any) -> Entry:
        entry["ts"] = Timestamp(1, len(self.entries) + 1)
        self.entries.append(entry)
        self.note()
        return entry

    def command(self, number: t.Optional[int], document: Entry) -> None:
        self.log(op="c", ns="d.$cmd", o=document, **({} if number is None else {"ui": uuid(number)}))

    def create(self, name: str) -> None:
        if name not in self.names:
            number, self._next = self._next, self._next + 1
            self.names[name], self.documents[number], self.indexes[number] = number, {}, set()
            self.command(number, {"create": name, "idIndex": {"v": 2, "key": {"_id": 1}, "name": "_id_"}})

    def drop(self, name: str) -> None:
        if name in self.names:
            number = self.names.pop(name)
            del self.documents[number], self.indexes[number]
            self.command(number, {"drop": name})

    def rename(self, old: str, new: str) -> None:
        if old in self.names and old != new:
            number, target = self.names.pop(old), self.names.get(new)
            if target is not None:
                del self.documents[target], self.indexes[target]
            self.names[new] = number
            more = {} if target is None else {"dropTarget": uuid(target)}
            self.command(number, {"renameCollection": f"d.{old}", "to": f"d.{new}", "stayTemp": False, **more})

    def index(self, name: str, index: str) -> None:
        if name in self.names:
            number = self.names[name]
            spec = {"v": 2, "key": {index: 1}, "name": index}
            self.command(number, {"startIndexBuild": name, "indexes": [spec]})
            if index in self.indexes[number]:
                self.indexes[number].discard(index)
                self.command(number, {"dropIndexes": name, "index": index})
            else:
                self.indexes[number].add(index)
                self.command(number, {"commitIndexBuild": name, "indexes": [spec]})

    def write(self, name: str, one: int, value: int) -> list[Entry]:
        """Operations on one document, applied, and not written to the oplog yet."""
        if name not in self.names:
            return []
        number = self.names[name]
        held = self.documents[number]
        base = {"ns": f"d.{name}", "ui": uuid(number)}
        if one not in held:
            held[one] = {"_id": one, f"f{value % 3}": value}
            return [{**base, "op": "i", "o": dict(held[one]), "o2": {"_id": one}}]
        if value % 4 == 0:
            del held[one]
            return [{**base, "op": "d", "o": {"_id": one}}]
        held[one][f"f{value % 3}"] = value
        return [{**base, "op": "u", "o": {"$v": 2, "diff": {"u": {f"f{value % 3}": value}}}, "o2": {"_id": one}}]

    def transaction(self, writes: t.Sequence[tuple[str, int, int]], parts: int, how: str) -> None:
        """As one entry or as several, of which only the last makes it all happen."""
        self._transaction += 1
        before = (copy.deepcopy(self.documents), copy.deepcopy(self.indexes))
        ops = [op for write in writes for op in self.write(*write)]
        after, self.documents = self.documents, before[0]
        if not ops:
            return
        base = {"op": "c", "ns": "admin.$cmd", "lsid": {"id": uuid(7), "uid": b"u"}, "txnNumber": self._transaction}
        previous: t.Any = Timestamp(0, 0)
        size = max(1, len(ops) // parts)
        groups = [ops[at : at + size] for at in range(0, len(ops), size)]
        for position, group in enumerate(groups):
            last = position == len(groups) - 1
            document: Entry = {"applyOps": group}
            if not last:
                document["partialTxn"] = True
            elif how != "plain":
                document["prepare"] = True
            elif last:
                self.documents = after
            previous = self.log(**base, o=document, prevOpTime={"ts": previous})["ts"]
        if how == "commit":
            self.documents = after
            self.log(**base, o={"commitTransaction": 1}, prevOpTime={"ts": previous})
        elif how == "abort":
            self.log(**base, o={"abortTransaction": 1}, prevOpTime={"ts": previous})


NAMES = st.sampled_from(["a", "b", "c"])
WRITE = st.tuples(NAMES, st.integers(0, 4), st.integers(1, 50))
ACTIONS = st.one_of(
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("drop"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("index"), NAMES, st.sampled_from(["x", "y"])),
    st.tuples(st.just("write"), WRITE),
    st.tuples(st.just("write"), WRITE),
    st.tuples(
        st.just("transaction"),
        st.lists(WRITE, min_size=1, max_size=4),
        st.integers(1, 3),
        st.sampled_from(["plain", "commit", "abort"]),
    ),
)


def perform(database: Database, action: t.Any) -> None:
    name, *rest = action
    if name == "write":
        for op in database.write(*rest[0]):
            database.log(**op)
    else:
        getattr(database, name)(*rest)


def dump(database: Database, start: int, chance: random.Random) -> tuple[dict[str, t.Any], dict[str, set[str]]]:
    """What a reader finds who reads every document at another moment, each collection by its id."""
    names, _documents, indexes = database.history[start]
    found: dict[str, t.Any] = {}
    for name, number in names.items():
        found[name] = {}
        for one in range(5):
            _names, documents, _indexes = database.history[chance.randrange(start, len(database.history))]
            held = documents.get(number, {}).get(one)
            if held:
                found[name][one] = dict(held)
    return found, {name: set(indexes[number]) for name, number in names.items()}


class Target:
    def __init__(self, found: dict[str, t.Any]) -> None:
        self.found = found

    def take(self, action: t.Union[Write, Run]) -> None:
        if isinstance(action, Run):
            self.run(action.command)
            return
        held, op = self.found[action.ns.removeprefix("d.")], action.op
        assert "ui" not in op
        if op["op"] == "i":
            held[op["o"]["_id"]] = dict(op["o"])
        elif op["op"] == "d":
            held.pop(op["o"]["_id"], None)
        elif op["o2"]["_id"] in held:
            held[op["o2"]["_id"]].update(op["o"]["diff"]["u"])

    def run(self, command: t.Mapping[str, t.Any]) -> None:
        if "create" in command:
            assert command["create"] not in self.found
            self.found[command["create"]] = {}
        elif "drop" in command:
            del self.found[command["drop"]]
        else:
            old, new = (command[key].removeprefix("d.") for key in ("renameCollection", "to"))
            assert command["dropTarget"] == (new in self.found)
            self.found[new] = self.found.pop(old)


@settings(max_examples=400, deadline=None)
@given(st.lists(ACTIONS, max_size=12), st.lists(ACTIONS, max_size=20), st.randoms(use_true_random=False))
def test_a_copy_that_is_made_while_all_changes_becomes_right(before: t.Any, meanwhile: t.Any, chance: t.Any) -> None:
    database = Database()
    for action in before:
        perform(database, action)
    start = len(database.entries)
    for action in meanwhile:
        perform(database, action)
    found, indexes = dump(database, start, chance)
    target, replay = Target(found), Replay()
    for name, those in indexes.items():
        for index in those:
            replay.add_index(f"d.{name}", {"v": 2, "key": {index: 1}, "name": index})
    for entry in database.entries[start:]:
        for action in replay.feed(entry):
            target.take(action)
    assert target.found == {name: database.documents[number] for name, number in database.names.items()}
    wanted = {f"d.{name}": database.indexes[number] for name, number in database.names.items()}
    assert {ns: set(those) for ns, those in replay.indexes.items() if those} == {
        ns: those for ns, those in wanted.items() if those
    }


@given(st.lists(ACTIONS, min_size=1, max_size=20))
def test_what_changes_the_catalog_is_told(actions: t.Any) -> None:
    database = Database()
    for action in actions:
        perform(database, action)
    for number, entry in enumerate(database.entries):
        before, after = database.history[number], database.history[number + 1]
        if (before[0], before[2]) != (after[0], after[2]):
            assert oplog.changes_catalog(entry)
        if before[1] != after[1] and entry["op"] in oplog.CRUD:
            assert set(oplog.touched(entry))
        gone = before[1].keys() - after[1].keys()
        assert {bytes(uuid(one)) for one in gone} == set(oplog.dropped(entry))


# By example.


def entry(op: str, ns: str, document: Entry, **more: t.Any) -> Entry:
    return {"op": op, "ns": ns, "o": document, "ts": Timestamp(5, 1), **more}


def fed(*entries: Entry) -> list[t.Union[Write, Run]]:
    replay = Replay()
    return [action for one in entries for action in replay.feed(one)]


@pytest.mark.parametrize(
    "ns",
    [
        "config.transactions",
        "config.system.indexBuilds",
        "local.x",
        f"{SCRATCH}.state",
        "admin.system.keys",
        "admin.system.version",
        "shop.system.profile",
    ],
)
def test_what_is_no_data_is_left_out(ns: str) -> None:
    assert fed(entry("i", ns, {"_id": 1}), entry("u", ns, {"$v": 2}, o2={"_id": 1}), entry("d", ns, {"_id": 1})) == []


@pytest.mark.parametrize(
    ("ns", "to"),
    [
        ("shop.system.views", f"{SCRATCH}.views"),
        ("admin.system.users", f"{SCRATCH}.users"),
        ("admin.system.roles", f"{SCRATCH}.roles"),
        ("shop.system.js", "shop.system.js"),
        ("shop.system.buckets.weather", "shop.system.buckets.weather"),
        ("admin.notes", "admin.notes"),
        ("shop.a.b", "shop.a.b"),
    ],
)
def test_where_documents_go(ns: str, to: str) -> None:
    (action,) = fed(entry("i", ns, {"_id": 1}, ui=uuid(1), lsid={"id": uuid(2)}, txnNumber=1))
    assert isinstance(action, Write)
    assert dict(action.op) == {"op": "i", "ns": to, "o": {"_id": 1}}


def test_a_time_series_is_created_and_dropped_by_its_own_name() -> None:
    made = {
        "create": "system.buckets.w",
        "validator": {"a": 1},
        "clusteredIndex": True,
        "timeseries": {"timeField": "at"},
    }
    found = fed(
        entry("c", "d.$cmd", {**made, "expireAfterSeconds": 60}),
        entry("c", "d.$cmd", {"drop": "system.buckets.w"}, ui=uuid(1)),
    )
    assert found == [
        Run("d", {"create": "w", "timeseries": {"timeField": "at"}, "expireAfterSeconds": 60}),
        Run("d", {"drop": "w"}),
    ]


def test_options_come_along_and_what_the_command_does_not_take_stays() -> None:
    made = {"create": "a", "capped": True, "size": 9, "temp": True, "autoIndexId": True, "idIndex": {}}
    assert fed(entry("c", "d.$cmd", made)) == [Run("d", {"create": "a", "capped": True, "size": 9})]


def test_changes_of_indexes_and_of_collections_are_told_apart() -> None:
    replay = Replay()
    replay.add_index("d.a", {"v": 2, "key": {"x": 1}, "name": "x", "ns": "d.a", "background": True})
    change = {"collMod": "a", "index": {"name": "x", "hidden": True}, "validator": {"n": 1}}
    assert list(replay.feed(entry("c", "d.$cmd", change))) == [Run("d", {"collMod": "a", "validator": {"n": 1}})]
    assert replay.indexes == {"d.a": {"x": {"v": 2, "key": {"x": 1}, "name": "x", "hidden": True}}}
    by_key = {"collMod": "a", "index": {"keyPattern": {"x": 1}, "expireAfterSeconds": 9}}
    assert list(replay.feed(entry("c", "d.$cmd", by_key))) == []
    assert replay.indexes["d.a"]["x"]["expireAfterSeconds"] == 9


def test_a_database_that_is_dropped_takes_its_views_along() -> None:
    replay = Replay()
    replay.add_index("d.a", {"v": 2, "key": {"x": 1}, "name": "x"})
    replay.add_index("dd.a", {"v": 2, "key": {"x": 1}, "name": "x"})
    views, gone = replay.feed(entry("c", "d.$cmd", {"dropDatabase": 1}))
    assert isinstance(views, Run)
    assert views.command["deletes"][0]["q"] == {"_id": {"$regex": "^d\\."}}
    assert gone == Run("d", {"dropDatabase": 1})
    assert list(replay.indexes) == ["dd.a"]


@pytest.mark.parametrize("document", [{"convertToCapped": "a"}, {"importCollection": "a"}])
def test_what_is_not_known_is_refused(document: Entry) -> None:
    with pytest.raises(Failure, match="does not know how to replay"):
        fed(entry("c", "d.$cmd", document))
    with pytest.raises(Failure, match="does not know how to replay"):
        fed(entry("xi", "d.a", {"_id": 1}))


def test_a_transaction_without_its_beginning_is_refused() -> None:
    base = {"lsid": {"id": uuid(7)}, "txnNumber": 1, "prevOpTime": {"ts": Timestamp(4, 1)}}
    for document in ({"applyOps": []}, {"commitTransaction": 1}):
        with pytest.raises(Failure, match="lacks the beginning of a transaction"):
            fed(entry("c", "admin.$cmd", document, **base))


def test_the_earlier_part_is_that_of_a_transaction_only() -> None:
    before = {"ts": Timestamp(4, 1)}
    parts = {"txnNumber": 1, "prevOpTime": before}
    assert oplog.earlier_part(entry("c", "admin.$cmd", {"applyOps": []}, **parts)) == Timestamp(4, 1)
    assert oplog.earlier_part(entry("c", "admin.$cmd", {"commitTransaction": 1}, **parts)) == Timestamp(4, 1)
    # Writes that may be tried again are linked as well, and each is whole.
    assert oplog.earlier_part(entry("i", "d.a", {"_id": 1}, **parts)) is None
    first = {"txnNumber": 1, "prevOpTime": {"ts": Timestamp(0, 0)}}
    assert oplog.earlier_part(entry("c", "admin.$cmd", {"applyOps": []}, **first)) is None
