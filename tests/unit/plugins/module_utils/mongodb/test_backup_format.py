# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup on disk is: its manifest, how backups continue each other, and what retention removes."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import PARTIAL, File
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _format as form
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    OPLOG,
    Collection,
    Manifest,
    Optime,
)


def manifest(
    backup: str, kind: str, start: int, end: int, consistent: t.Optional[int] = None, **more: t.Any
) -> Manifest:
    fields: dict[str, t.Any] = {
        "backup": backup,
        "kind": kind,
        "namespace": "prod",
        "name": "shop",
        "replica_set": "shop",
        "set_id": "id1",
        "version": "6.0.5",
        "fcv": "6.0",
        "member": "shop-1",
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:01:00Z",
        "start": Optime(start, 1, 3),
        "consistent": Optime(start if consistent is None else consistent, 1),
        "end": Optime(end, 1, 3),
        "entries": 5,
        "files": (File("oplog.bson.gz", 10, "00"),),
    }
    return Manifest(**{**fields, **more})


def full(start: int, end: int, **more: t.Any) -> Manifest:
    return manifest(f"full{end}", FULL, start, end, consistent=end, **more)


def part(start: int, end: int, **more: t.Any) -> Manifest:
    return manifest(f"slice{start}-{end}", OPLOG, start, end, **more)


def test_a_manifest_comes_back_as_it_was() -> None:
    one = full(
        5, 9, collections=(Collection("a", "b", "collection", "a/b.metadata.json", "a/b.bson", 3, 9, "ff", "u"),)
    )
    assert Manifest.parse(one.dump()) == one
    assert Manifest.parse(one.dump()).end.term == 3


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', "null", '"text"'])
def test_what_is_no_manifest_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Manifest.parse(text)


def test_a_manifest_that_names_files_outside_of_its_folder_is_none() -> None:
    for path in ("../other", "/etc/passwd", "a/../../b"):
        text = full(1, 2, files=(File(path, 1, "00"),)).dump()
        with pytest.raises(ValueError, match="outside of its folder"):
            Manifest.parse(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1970-01-01T00:01:00Z", Optime(60, 0)), ("60:7", Optime(60, 7)), ("2026-03-01T14:05:00Z", Optime(1772373900, 0))],
)
def test_positions_as_people_write_them(text: str, wanted: Optime) -> None:
    assert Optime.parse(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-03-01", "2026-03-01T14:05:00", "2026-03-01T14:05:00.5Z", "1:2:3"]
)
def test_other_positions_are_refused(text: str) -> None:
    with pytest.raises(Failure, match="until: expected"):
        Optime.parse(text)


def test_names_of_files_are_those_of_mongodump() -> None:
    assert form.escaped("orders.2026") == "orders.2026"
    assert form.escaped("a/b c;é") == "a%2Fb%20c%3B%C3%A9"
    long = form.escaped("x" * 250)
    assert len(long) < 250
    assert long.startswith("x" * 208 + "%24")
    assert form.escaped("x" * 250) != form.escaped("x" * 251)


def test_names_of_folders() -> None:
    name = form.LAYOUT.folder("shop", OPLOG, 0)
    assert name == "shop-19700101T000000Z-oplog"
    assert form.LAYOUT.is_folder("shop", name)
    assert form.LAYOUT.is_folder("shop", name + PARTIAL)
    for other in ("shop", "shop-notes", "shop-2-19700101T000000Z", "my-shop-19700101T000000Z", f"{name}.old"):
        assert not form.LAYOUT.is_folder("shop", other)


@given(st.lists(st.binary(min_size=5, max_size=30), max_size=8), st.randoms())
def test_the_hash_of_a_content_knows_no_order_and_every_byte(documents: list[bytes], chance: t.Any) -> None:
    def total(these: t.Iterable[bytes]) -> int:
        found = 0
        for one in these:
            found = form.add_content(found, one)
        return found

    mixed = list(documents)
    chance.shuffle(mixed)
    assert total(mixed) == total(documents)
    assert total([*documents, b"\x05\0\0\0\0"]) != total(documents)


# How backups continue each other.


def test_slices_that_overlap_continue_a_backup_and_gaps_end_it() -> None:
    base = full(1, 10)
    found = [part(20, 30), part(8, 20), base, part(31, 40), part(5, 10)]
    assert [one.backup for one in form.chain(base, found)] == ["slice8-20", "slice20-30"]
    assert form.reaches(base, found) == Optime(30, 1)


def test_slices_of_another_set_continue_nothing() -> None:
    base = full(1, 10)
    assert form.chain(base, [part(10, 20, set_id="id2")]) == []


def test_an_older_backup_reaches_over_a_newer_one() -> None:
    old, new = full(1, 10), full(50, 60)
    found = [old, part(10, 45), new, part(45, 70)]
    assert form.reaches(old, found) == form.reaches(new, found) == Optime(70, 1)


def test_a_slice_goes_on_where_the_last_one_ended() -> None:
    assert form.continuing([full(1, 10)]) == [Optime(10, 1)]
    assert form.continuing([full(1, 10), part(10, 20), full(25, 30)]) == [Optime(20, 1), Optime(30, 1)]
    assert form.continuing([part(10, 20)]) == []


def test_the_newest_backup_before_a_time_is_restored() -> None:
    old, new = full(1, 10), full(50, 60)
    found = [new, old, part(10, 80)]
    assert form.base_for(found, "latest", None) == new
    assert form.base_for(found, "latest", Optime(60, 1)) == old
    assert form.base_for(found, "latest", Optime(60, 2)) == new
    assert form.base_for(found, "full10", Optime(70, 0)) == old


def test_a_backup_that_turned_out_wrong_is_not_used() -> None:
    bad = full(50, 60, verified="FAILED 2026: shop.orders has 1 documents and had 2")
    assert form.base_for([full(1, 10), bad], "latest", None).backup == "full10"
    with pytest.raises(Failure, match="no complete full backup full60"):
        form.base_for([full(1, 10), bad], "full60", None)


@pytest.mark.parametrize("until", [Optime(10, 1), Optime(9, 0), Optime(30, 3), Optime(31, 0)])
def test_what_is_not_covered_is_refused(until: Optime) -> None:
    base = full(1, 10)
    with pytest.raises(Failure, match="until:"):
        form.require_covered(base, [base, part(10, 30)], until)


@pytest.mark.parametrize("until", [None, Optime(10, 2), Optime(11, 0), Optime(30, 1), Optime(30, 2)])
def test_what_is_covered_is_not(until: t.Optional[Optime]) -> None:
    base = full(1, 10)
    form.require_covered(base, [base, part(10, 30)], until)


# Retention.

BACKUPS = st.lists(
    st.tuples(st.sampled_from([FULL, OPLOG]), st.integers(1, 40), st.integers(1, 20), st.booleans()), max_size=12
)


@given(BACKUPS, st.integers(0, 5))
def test_retention_keeps_the_newest_and_all_that_they_need(drawn: list[t.Any], keep: int) -> None:
    found = [
        manifest(f"{kind}{n}", kind, start, start + length, verified="FAILED" if bad and kind == FULL else "")
        for n, (kind, start, length, bad) in enumerate(drawn)
    ]
    gone = form.outdated(found, keep)
    left = [one for one in found if one not in gone]
    good = form.fulls(found)
    assert form.fulls(left) == (good[-keep:] if keep else good)
    for one in form.fulls(left):
        assert form.reaches(one, left) == form.reaches(one, found)
    assert form.outdated(left, keep) == []
    assert all(one in found for one in gone)


def test_retention_removes_slices_that_nobody_needs() -> None:
    found = [full(1, 10), part(10, 20), full(25, 30), part(20, 30), part(30, 40)]
    assert {one.backup for one in form.outdated(found, 1)} == {"full10", "slice10-20", "slice20-30"}
    assert form.outdated(found, 2) == []


def test_nothing_is_removed_where_no_full_backup_is_left() -> None:
    assert form.outdated([part(1, 2), part(2, 3)], 1) == []
    assert form.outdated([dataclasses.replace(full(1, 2), verified="FAILED"), part(2, 3)], 1) == []
