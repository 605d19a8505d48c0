# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The oplog that is copied along, where it ends, begins too late, or holds half a transaction; and the restore of it.

The member is a double: what a real one does only when its oplog is overrun, or in the moment of a rename.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import bson
import pytest
from bson.binary import Binary
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import Folder
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _dump as dumping
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _source as source
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._documents import Damaged, documents
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    LAYOUT,
    Collection,
    Manifest,
    Optime,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._scratch import expected
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer

SESSION = {"id": Binary(b"s" * 16, 4), "uid": b"u"}
UUID = Binary(b"c" * 16, 4)


def entry(at: int, term: int = 1, **fields: t.Any) -> dict[str, t.Any]:
    return {"op": "i", "ns": "d.a", "o": {"_id": at}, "ui": UUID, **fields, "ts": Timestamp(at, 1), "t": term}


def part(at: int, before: int, last: bool = False, **document: t.Any) -> dict[str, t.Any]:
    """One entry of a transaction; 0 as ``before`` for the first."""
    inner = [{"op": "i", "ns": "d.a", "o": {"_id": at}, "ui": UUID}]
    whole = document or {"applyOps": inner, **({} if last else {"partialTxn": True})}
    previous = {"ts": Timestamp(before, 1 if before else 0), "t": 1}
    return entry(at, op="c", ns="admin.$cmd", o=whole, lsid=SESSION, txnNumber=1, prevOpTime=previous)


class Member:
    """What a member says, and when it breaks off."""

    pod = "shop-1"

    def __init__(self, entries: t.Sequence[dict[str, t.Any]]) -> None:
        self.entries = list(entries)
        self.committed = 10**6
        self.asked: list[tuple[str, t.Mapping[str, t.Any]]] = []
        self.answers: dict[str, list[t.Any]] = {}

    def majority(self) -> Optime:
        return Optime(self.committed, 1)

    def reached(self) -> t.Optional[Optime]:
        return None

    def _raw(self, found: t.Iterable[dict[str, t.Any]]) -> list[t.Any]:
        return [RawBSONDocument(bson.encode(one)) for one in found]

    def batches(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[list[t.Any]]:
        self.asked.append((database, document))
        if document.get("find") == "oplog.rs":
            wanted = document["filter"]["ts"]
            after = wanted.get("$gt") if isinstance(wanted, dict) else None
            start = wanted.get("$gte") if isinstance(wanted, dict) else None
            assert document["readConcern"] == ({"level": "local"} if after else {"level": "majority"})
            found = [
                one
                for one in self.entries
                if (after and one["ts"] > after) or (start and one["ts"] >= start) or one["ts"] == wanted
            ]
            shown = [one for one in found if after or one["ts"].time <= self.committed]
            yield self._raw(shown[:2])
            yield self._raw(shown[2:])
        else:
            yield from self._answer(next(iter(document), ""))

    def all(self, database: str, document: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        return [bson.decode(one.raw) for batch in self.batches(database, document) for one in batch]

    def command(self, database: str, document: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        self.asked.append((database, document))
        (found,) = self._answer(next(iter(document)))
        return t.cast("dict[str, t.Any]", found)

    def _answer(self, name: str) -> t.Iterator[t.Any]:
        answer = self.answers[name].pop(0) if len(self.answers[name]) > 1 else self.answers[name][0]
        for one in answer if isinstance(answer, list) else [answer]:
            if isinstance(one, Exception):
                raise one
            yield self._raw(one) if isinstance(one, list) else one


def documents_in(path: pathlib.Path) -> list[bytes]:
    with path.open("rb") as opened:
        return list(documents(opened, path.name))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Folder[Manifest]:
    return Folder(str(tmp_path), "prod", "shop", LAYOUT)


def slice_of(folder: Folder[Manifest], start: Optime) -> tuple[source.Slice, t.Callable[[], list[int]]]:
    writer = folder.begin(FULL)
    file = writer.open("oplog.bson")
    found = source.Slice(start, file)

    def written() -> list[int]:
        dumping._finish_oplog(writer, found, file)
        return [bson.decode(one)["ts"].time for one in documents_in(writer.folder / "oplog.bson")]

    return found, written


def pull(oplog: source.Slice, member: Member) -> None:
    oplog.pull(t.cast("t.Any", member), lambda: None)


def test_the_oplog_is_copied_from_behind_the_start_each_entry_once(folder: Folder[Manifest]) -> None:
    member = Member([entry(at) for at in (1, 3, 4, 6)])
    oplog, written = slice_of(folder, Optime(3, 1, 1))
    member.committed = 4
    pull(oplog, member)
    pull(oplog, member)
    assert oplog.end == Optime(4, 1)
    member.committed = 9
    pull(oplog, member)
    assert (oplog.entries, oplog.end) == (2, Optime(6, 1))
    assert written() == [4, 6]


@pytest.mark.parametrize(
    "left", [[], [entry(4), entry(5)], [entry(3, term=2), entry(4, term=2)]], ids=["nothing", "later", "another term"]
)
def test_an_oplog_that_lost_the_position_is_told(folder: Folder[Manifest], left: list[dict[str, t.Any]]) -> None:
    oplog, _written = slice_of(folder, Optime(3, 1, 1))
    with pytest.raises(source.Overrun, match=r"no longer has 3:1"):
        pull(oplog, Member(left))


def test_it_is_told_also_in_the_middle(folder: Folder[Manifest]) -> None:
    member = Member([entry(3), entry(4)])
    oplog, _written = slice_of(folder, Optime(3, 1, 1))
    pull(oplog, member)
    del member.entries[:]
    member.entries += [entry(7), entry(8)]
    with pytest.raises(source.Overrun, match=r"no longer has 4:1"):
        pull(oplog, member)


def test_a_transaction_that_began_earlier_is_fetched_from_its_beginning(folder: Folder[Manifest]) -> None:
    member = Member([part(1, 0), entry(2), part(3, 1), entry(4), part(5, 3), entry(6), part(7, 5, last=True)])
    oplog, written = slice_of(folder, Optime(4, 1, 1))
    member.committed = 5
    pull(oplog, member)
    member.committed = 9
    pull(oplog, member)
    assert written() == [1, 3, 5, 6, 7]


def test_one_whose_beginning_is_lost_is_told(folder: Folder[Manifest]) -> None:
    oplog, _written = slice_of(folder, Optime(4, 1, 1))
    with pytest.raises(source.Overrun, match=r"no longer has 1:1"):
        pull(oplog, Member([part(3, 1), entry(4), part(5, 3, last=True)]))


def test_the_head_of_two_transactions_is_in_order(folder: Folder[Manifest]) -> None:
    other = {**part(5, 2, last=True), "txnNumber": 2}
    member = Member([part(1, 0), {**part(2, 0), "txnNumber": 2}, entry(4), other, part(6, 1, last=True)])
    oplog, written = slice_of(folder, Optime(4, 1, 1))
    pull(oplog, member)
    assert written() == [1, 2, 5, 6]


# The list of collections.


def listing(*names: str) -> list[t.Any]:
    return [[{"name": name, "type": "collection", "options": {}, "info": {"uuid": UUID}} for name in names]]


def member_with(databases: t.Sequence[str], **answers: t.Any) -> Member:
    member = Member([])
    member.committed = 5
    member.answers = {
        "listDatabases": [{"databases": [{"name": name} for name in databases]}],
        "listCollections": [listing("a", "system.profile", "system.views")],
        "listIndexes": [[[{"name": "_id_"}, {"name": "x", "buildUUID": UUID}, {"name": "c", "clustered": True}]]],
        "collStats": [{"size": 7}],
        **answers,
    }
    return member


def test_the_list_is_that_of_a_quiet_moment() -> None:
    member = member_with(["d", "config", "local"])
    member.entries = [entry(5), entry(6)]  # documents may change
    found = source.catalog(t.cast("t.Any", member))
    assert found.at == Optime(5, 1)
    assert [(one["database"], one["name"], one["size"]) for one in found.collections] == [("d", "a", 7)]
    assert [index["name"] for index in found.collections[0]["indexes"]] == ["_id_"]


@pytest.mark.parametrize(
    "change",
    [
        {"op": "c", "o": {"create": "b"}},
        {"op": "c", "o": {"renameCollection": "d.a", "to": "d.b"}},
        {"op": "c", "o": {"commitIndexBuild": "a", "indexes": []}},
        {"op": "c", "o": {"applyOps": [{"op": "c", "ns": "d.$cmd", "o": {"create": "b"}}]}},
        {"op": "i", "ns": "d.system.views"},
    ],
)
def test_where_it_changes_all_the_time_that_is_waited_for(change: dict[str, t.Any]) -> None:
    member = member_with(["d"])
    member.entries = [entry(6, **change)]
    with pytest.raises(NotYet, match="waiting for a quiet moment"):
        source.catalog(t.cast("t.Any", member))
    # Up to the position that the list is of, it does not matter.
    member.committed = 6
    assert source.catalog(t.cast("t.Any", member)).at == Optime(6, 1)


def test_a_collection_that_goes_while_it_is_looked_at_makes_it_look_again() -> None:
    gone = CommandError(source.NAMESPACE_NOT_FOUND, "ns does not exist")
    member = member_with(["d"], collStats=[gone, {"size": 1}])
    assert [one["size"] for one in source.catalog(t.cast("t.Any", member)).collections] == [1]


def test_a_set_that_is_half_restored_is_not_backed_up() -> None:
    with pytest.raises(Failure, match="has not come to its end"):
        source.catalog(t.cast("t.Any", member_with(["d", "stateful_kube_restore"])))


# Reading.


class Reading:
    """Which members were read, one after the other."""

    title = "prod/shop"
    members: t.ClassVar[list[str]] = []

    def __init__(self, *members: Member) -> None:
        self.left = list(members)
        self.reached = Optime(0, 0)

    def bulk(self) -> Member:
        return self.left[0]

    def lost(self, why: Exception) -> None:
        self.left.pop(0)

    def alive(self, text: str = "") -> None:
        pass


A = {"database": "d", "name": "a", "type": "collection", "options": {}, "indexes": [], "uuid": UUID, "size": 1}


def read(folder: Folder[Manifest], reading: Reading) -> tuple[Collection, dumping._Dump, list[int]]:
    writer = folder.begin(FULL)
    oplog = source.Slice(Optime(1, 1, 1), writer.open("oplog.bson"))
    oplog._pulled = 10**12  # not due
    work = dumping._Dump(t.cast("t.Any", reading), writer, oplog, ".bson", 1)
    found = work.collection(A, [A])
    return found, work, [bson.decode(one)["_id"] for one in documents_in(writer.folder / "d/a.bson")]


def held(*ids: int) -> list[dict[str, t.Any]]:
    return [{"_id": one} for one in ids]


def reader(*answers: t.Any) -> Member:
    member = Member([])
    member.answers = {"find": list(answers)}
    return member


@pytest.mark.parametrize("code", [43, 136, 175, 246])
def test_a_collection_whose_cursor_is_killed_is_read_again(folder: Folder[Manifest], code: int) -> None:
    member = reader([held(1, 2), CommandError(code, "killed")], [held(1, 2, 3)])
    found, _work, ids = read(folder, Reading(member))
    assert (found.documents, ids) == (3, [1, 2, 3])


@pytest.mark.parametrize(
    "lost", [NoAnswer("gone"), CommandError(11600, "shutting down"), CommandError(13436, "recovering")]
)
def test_another_member_is_read_where_one_goes_away(folder: Folder[Manifest], lost: Exception) -> None:
    reading = Reading(reader([held(1), lost]), reader([held(1, 2)]))
    found, _work, ids = read(folder, reading)
    assert (found.documents, ids) == (2, [1, 2])
    assert found.content == read(folder, Reading(reader([held(2, 1)])))[0].content


def test_a_collection_that_is_gone_is_empty_and_has_to_be_explained_by_the_oplog(folder: Folder[Manifest]) -> None:
    gone = CommandError(source.NAMESPACE_NOT_FOUND, "gone")
    found, work, ids = read(folder, Reading(reader([gone])))
    assert (found.documents, ids, work.gone) == (0, [], {bytes(UUID)})


def test_a_collection_that_cannot_be_read_ends_it(folder: Folder[Manifest]) -> None:
    with pytest.raises(Failure, match="tried 1 times"):
        read(folder, Reading(reader([CommandError(13, "not allowed")])))
    with pytest.raises(Failure, match="tried 10 times"):
        read(folder, Reading(reader([CommandError(175, "killed")])))


def test_a_slice_goes_on_from_the_first_position_that_there_still_is(folder: Folder[Manifest]) -> None:
    said: list[str] = []
    member = Member([entry(5), entry(6)])
    member.committed = 6

    class Rest(Reading):
        task = type("Task", (), {"warn": staticmethod(said.append)})

    writer = folder.begin(FULL)
    reading = t.cast("t.Any", Rest(member))
    with pytest.raises(source.Overrun):
        dumping.copy_oplog(reading, writer, Wish("/b"), [Optime(2, 1, 1), Optime(3, 1, 1)])
    assert "continued from its own end" in said[0]
    # Where nothing happened there is no slice.
    assert dumping.copy_oplog(reading, writer, Wish("/b"), [Optime(6, 1, 1)]) is None


# Writing it back.


class Primary(Member):
    """Takes everything, and refuses to change what is not there, as the server does: all or nothing."""

    def __init__(self) -> None:
        super().__init__([])
        self.held: dict[str, dict[int, t.Any]] = {"d.a": {}}

    def command(self, database: str, document: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        self.asked.append((database, document))
        if "insert" in document:
            ns, errors = f"{database}.{document['insert']}", []
            for number, one in enumerate(document["documents"]):
                if one["_id"] in self.held[ns]:
                    errors.append({"index": number, "code": 11000, "errmsg": "duplicate key"})
                else:
                    self.held[ns][one["_id"]] = dict(one)
            return {"n": 1, **({"writeErrors": errors} if errors else {})}
        if "applyOps" in document:
            assert document["alwaysUpsert"] is False
            before = {ns: dict(held) for ns, held in self.held.items()}
            for number, op in enumerate(document["applyOps"], 1):
                held = self.held[op["ns"]]
                if op["op"] == "u" and op["o2"]["_id"] not in held:
                    self.held = before
                    raise CommandError(218, "Update of non-mod failed", {"applied": number})
                if op["op"] == "d":
                    held.pop(op["o"]["_id"], None)
                elif op["op"] == "i":
                    held[op["o"]["_id"]] = dict(op["o"])
                else:
                    held[op["o2"]["_id"]] = {**held[op["o2"]["_id"]], **op["o"]["diff"]["u"]}
        return {}

    def all(self, database: str, document: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
        found = self.held[f"{database}.{document['find']}"].get(document["filter"]["_id"])
        return [found] if found else []


def restored(
    folder: Folder[Manifest], entries: t.Sequence[dict[str, t.Any]], until: t.Optional[int] = None
) -> tuple[Work, Primary]:
    writer = folder.begin(FULL)
    for path, found in (("oplog.bson", entries), ("d/a.bson", held(1, 2, 1))):
        file = writer.open(path)
        for one in found:
            file.write(bson.encode(one))
        writer.add(file)
    writer.text("d/a.metadata.json", b'{"options": {}, "indexes": []}')
    zero = Optime(0, 0)
    rest = dict.fromkeys(
        ("namespace", "name", "replica_set", "set_id", "version", "fcv", "member", "started", "ended"), ""
    )
    data = Collection("d", "a", "collection", "d/a.metadata.json", "d/a.bson", 3, 60)
    base = Manifest(
        writer.name, FULL, **rest, start=zero, consistent=zero, end=zero, entries=1, files=tuple(writer.files)
    )
    base = dataclasses.replace(base, collections=(data,))
    writer.complete(base)
    primary = Primary()
    wanted = Source(folder, base, (), Optime(until, 1) if until else None)
    return Work(t.cast("t.Any", primary), wanted, lambda text: None), primary


def change(at: int, one: int) -> dict[str, t.Any]:
    return entry(at, op="u", o={"$v": 2, "diff": {"u": {"x": at}}}, o2={"_id": one})


def test_documents_that_are_in_the_dump_twice_are_loaded_once(folder: Folder[Manifest]) -> None:
    work, primary = restored(folder, [])
    work._load(work._source.base.collections[0], {"d.a": work._source.base.collections[0]})
    assert primary.held["d.a"] == {1: {"_id": 1}, 2: {"_id": 2}}


def test_a_file_with_fewer_documents_than_it_had_is_told(folder: Folder[Manifest]) -> None:
    work, _primary = restored(folder, [])
    less = dataclasses.replace(work._source.base.collections[0], documents=4)
    with pytest.raises(Damaged, match="holds 3 documents"):
        work._load(less, {"d.a": less})


def test_changes_of_documents_that_are_gone_are_left_out_and_nothing_else(folder: Folder[Manifest]) -> None:
    missing = [change(at, 77) for at in (2, 3, 6)]
    work, primary = restored(folder, [missing[0], missing[1], entry(4), change(5, 4), missing[2], entry(7)])
    assert work.replay() == 6
    assert primary.held["d.a"] == {4: {"_id": 4, "x": 5}, 7: {"_id": 7}}


def test_a_change_that_is_refused_for_another_reason_ends_it(folder: Folder[Manifest]) -> None:
    work, primary = restored(folder, [change(2, 1)])
    primary.held["d.a"][1] = {"_id": 1}

    def refuse(database: str, document: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        raise CommandError(218, "Update of non-mod failed", {"applied": 1})

    primary.command = refuse  # type: ignore[method-assign]
    with pytest.raises(CommandError):
        work.replay()


def test_the_position_that_is_named_is_the_first_that_is_left_out(folder: Folder[Manifest]) -> None:
    work, primary = restored(folder, [entry(2), entry(3), entry(4)], until=3)
    assert work.replay() == 1
    assert list(primary.held["d.a"]) == [2]


def test_the_timestamp_of_nothing_stays_what_it_is(folder: Folder[Manifest]) -> None:
    work, primary = restored(folder, [entry(2, o={"_id": 2, "at": Timestamp(0, 0), "n": 5})])
    work.replay()
    (asked,) = [document["applyOps"] for _database, document in primary.asked if "applyOps" in document]
    assert [(op["op"], dict(op["o"])) for op in asked][1] == ("u", {"$v": 2, "diff": {"u": {"at": Timestamp(0, 0)}}})


class Later:
    """A reading after the dump: what each name holds now, and what happened since."""

    def __init__(self, contents: t.Mapping[str, list[bytes]], since: t.Sequence[dict[str, t.Any]]) -> None:
        self._contents = contents
        self._since = since

    def bulk(self) -> Later:
        return self

    def alive(self, _text: str = "") -> None:
        pass

    def batches(self, database: str, document: t.Mapping[str, t.Any]) -> t.Iterator[list[t.Any]]:
        if document["find"] == "oplog.rs":
            after = document["filter"]["ts"]["$gt"]
            yield [RawBSONDocument(bson.encode(one)) for one in self._since if one["ts"] > after and one["op"] == "c"]
        else:
            assert document["readConcern"] == {"level": "snapshot", "atClusterTime": Timestamp(9, 1)}
            yield [RawBSONDocument(one) for one in self._contents[f"{database}.{document['find']}"]]


@pytest.mark.parametrize(
    "command", [{"renameCollection": "d.moved", "to": "d.kept"}, {"drop": "moved"}, {"create": "moved"}]
)
def test_a_name_that_means_another_collection_by_now_is_not_compared(command: dict[str, t.Any]) -> None:
    """The server looks the name up as it is now, and shows what the new one held then: nothing."""
    end = Optime(9, 1)
    words = ("namespace", "name", "replica_set", "set_id", "version", "fcv", "member", "started", "ended")
    manifest = Manifest("b", FULL, **dict.fromkeys(words, ""), start=end, consistent=end, end=end, entries=1, files=())
    contents = {"d.moved": [], "d.stays": [bson.encode({"_id": 1})]}
    before = [entry(8, op="c", ns="d.$cmd", o={"create": "stays"})]
    found = expected(
        t.cast(t.Any, Later(contents, [*before, entry(10, op="c", ns="d.$cmd", o=command)])),
        manifest,
        {"d.moved", "d.stays"},
    )
    assert set(found.contents) == {"d.stays"}
    assert found.contents["d.stays"].documents == 1
    assert set(found.unknown) == {"d.moved"}
