# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How backups of MySQL and MariaDB belong together."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import File
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _format as form
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import (
    BINLOG,
    FULL,
    LAYOUT,
    Manifest,
    Table,
)

UUID = "00000000-0000-0000-0000-000000000000"


def at(minute: int) -> str:
    return f"2026-11-22T10:{minute:02}:00Z"


def gtids(last: int, flavour: str = "mysql", server: int = 100) -> str:
    if not last:
        return ""
    return f"{UUID}:1-{last}" if flavour == "mysql" else f"0-{server}-{last}"


def made(kind: str, start: int, end: int, minute: int, flavour: str = "mysql", **more: t.Any) -> Manifest:
    fields: dict[str, t.Any] = {
        "backup": LAYOUT.folder("shop", kind, 60 * minute),
        "kind": kind,
        "namespace": "prod",
        "name": "shop",
        "set_id": "life",
        "flavour": flavour,
        "version": "9.7.0",
        "member": "shop-1",
        "started": at(minute - 1),
        "ended": at(minute),
        "start": gtids(start, flavour) if kind == BINLOG else "",
        "end": gtids(end, flavour),
        "until": at(minute),
        "files": (File("binlog.000001.gz" if kind == BINLOG else form.DUMP, 5, "0"),),
        **more,
    }
    return Manifest(**fields)


def full(end: int, minute: int, **more: t.Any) -> Manifest:
    return made(FULL, 0, end, minute, **more)


def log(start: int, end: int, minute: int, **more: t.Any) -> Manifest:
    return made(BINLOG, start, end, minute, **more)


FLAVOURS = pytest.mark.parametrize("flavour", ["mysql", "mariadb"])


def test_what_is_written_is_read() -> None:
    one = full(5, 3, tables=(Table("shop", "orders", 3, "abc"),), events=(("shop", "ev"),), databases=("shop",))
    assert Manifest.parse(one.dump()) == one
    assert (one.rows, one.size) == (3, 5)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": "mysql-1"}', full(5, 3).dump().replace(UUID, "nobody")]
)
def test_what_is_no_record_of_one_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"manifest|format|Expecting|GTID|JSON"):
        Manifest.parse(text)


def test_a_record_that_names_a_file_elsewhere_is_none() -> None:
    one = dataclasses.replace(full(5, 3), files=(File("../x", 1, "0"),))
    with pytest.raises(ValueError, match="outside"):
        Manifest.parse(one.dump())


@FLAVOURS
def test_logs_continue_a_backup_without_a_gap(flavour: str) -> None:
    base = full(10, 10, flavour=flavour)
    overlapping, more = log(4, 12, 11, flavour=flavour), log(12, 20, 12, flavour=flavour)
    assert form.chain(base, [more, overlapping]) == [overlapping, more]
    assert form.chain(base, [more]) == []
    assert form.chain(base, [log(4, 9, 11, flavour=flavour)]) == []


@FLAVOURS
@pytest.mark.parametrize("change", [{"set_id": "another"}, {"flavour": ""}])
def test_logs_of_other_data_continue_nothing(flavour: str, change: dict[str, str]) -> None:
    if "flavour" in change:
        change = {"flavour": "mariadb" if flavour == "mysql" else "mysql"}
    other = log(10, 12, 11, **{"flavour": flavour, **change})
    assert form.chain(full(10, 10, flavour=flavour), [other]) == []


def test_logs_of_a_primary_that_lost_what_is_saved_continue_nothing() -> None:
    base = full(10, 10, flavour="mariadb")
    parted = log(5, 5, 11, flavour="mariadb")
    parted = dataclasses.replace(parted, start="0-100-8", end="0-100-8,0-101-14")
    assert form.chain(base, [parted]) == []


def test_a_new_log_continues_the_newest_one_and_else_the_newest_full() -> None:
    assert form.continuing([]) == []
    assert form.continuing([log(5, 9, 9)]) == []
    assert form.continuing([full(10, 10)]) == [gtids(10)]
    assert form.continuing([full(3, 3), log(3, 9, 9), full(10, 10)]) == [gtids(9), gtids(10)]
    # Once something continues the newest full backup, that alone can be continued without leaving a part of it out.
    assert form.continuing([full(3, 3), log(3, 9, 9)]) == [gtids(9)]
    assert form.continuing([full(3, 3), log(3, 9, 9), log(3, 7, 12)]) == [gtids(9)]
    assert form.continuing([full(8, 3), log(3, 7, 12)]) == [gtids(7), gtids(8)]
    parted = dataclasses.replace(log(3, 7, 12), end=f"{gtids(7)},22222222-2222-2222-2222-222222222222:1")
    assert form.continuing([full(8, 3), parted]) == [gtids(8)]


def test_retention_keeps_the_logs_that_are_needed() -> None:
    old, between, new, after = full(3, 3), log(3, 9, 9), full(10, 12), log(9, 20, 20)
    every = [after, new, between, old]
    assert form.outdated(every, 1) == [old, between]
    assert form.outdated(every, 2) == []
    assert form.outdated([between], 1) == []
    assert form.outdated([*every, full(30, 30, verified="FAILED now")], 1) == [old, between]


def test_what_ended_while_the_kept_backup_was_read_is_kept() -> None:
    old, new = full(3, 3), full(10, 10)
    during = log(3, 11, 10)
    assert during.until > new.started
    assert form.outdated([old, during, new], 1) == [old]


@FLAVOURS
def test_logs_that_go_further_than_the_kept_backup_are_kept_whatever_the_clocks_say(flavour: str) -> None:
    old, new = full(3, 3, flavour=flavour), full(10, 30, flavour=flavour)
    had, ahead = log(3, 9, 9, flavour=flavour), log(9, 20, 20, flavour=flavour)
    assert ahead.until < new.started
    assert form.outdated([old, had, ahead, new], 1) == [old, had]
    late = dataclasses.replace(had, until=at(40))
    assert form.outdated([old, late, new], 1) == [old, late]


def test_logs_of_a_history_that_the_kept_backup_parted_from_go_with_theirs() -> None:
    old, new = full(3, 3, flavour="mariadb"), full(10, 30, flavour="mariadb")
    new = dataclasses.replace(new, end="0-100-8,0-101-10")
    lost = log(3, 9, 9, flavour="mariadb")
    assert form.outdated([old, lost, new], 1) == [old, lost]
    assert form.outdated([lost, new], 1) == []


def test_the_newest_backup_before_a_time_is_taken() -> None:
    first, second = full(3, 3), full(10, 10)
    assert form.base_for([second, first], "latest", "") is second
    assert form.base_for([second, first], "latest", at(9)) is first
    assert form.base_for([second, first], first.backup, "") is first
    with pytest.raises(Failure, match=r"until: the oldest full backup"):
        form.base_for([second, first], "latest", at(2))
    with pytest.raises(Failure, match=r"backup: there is no complete full backup nothing there"):
        form.base_for([second, first], "nothing", "")
    with pytest.raises(Failure, match=r"src, s3: there is no complete full backup"):
        form.base_for([full(3, 3, verified="FAILED")], "latest", "")


def test_a_time_has_to_be_covered_and_a_gap_is_named() -> None:
    base, linked, lost = full(3, 3), log(3, 9, 9), log(11, 20, 20)
    found = [base, linked, lost]
    chain = form.chain(base, found)
    form.require_covered(base, chain, found, at(9))
    with pytest.raises(Failure, match=rf"There is a gap before {lost.backup}, which begins after {UUID}:1-11\."):
        form.require_covered(base, chain, found, at(15))
    with pytest.raises(Failure, match=r"to any time from 2026-11-22T10:03:00Z to 2026-11-22T10:03:00Z; found"):
        form.require_covered(base, [], [base], at(4))


def test_no_more_logs_are_taken_than_lead_to_the_time() -> None:
    linked = [log(3, 9, 9), log(9, 12, 12), log(12, 15, 15)]
    assert form.needed(linked, at(8)) == linked[:1]
    assert form.needed(linked, at(9)) == linked[:1]
    assert form.needed(linked, at(10)) == linked[:2]


@pytest.mark.parametrize("text", ["yesterday", "2026-11-22", "2026-11-22T10:00:00", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(Failure, match=r"until: expected a time in UTC"):
        form.moment(text)


@pytest.mark.parametrize(
    ("state", "position"),
    [("", ""), ("0-100-5", "0-100-5"), ("0-100-9,0-101-10,7-1-3", "0-101-10,7-1-3"), ("0-101-9,0-100-10", "0-100-10")],
)
def test_the_place_in_a_history_of_mariadb_is_its_last_transaction(state: str, position: str) -> None:
    assert form.position(state) == position


@pytest.mark.parametrize(
    ("older", "newer"), [("9.7.4-2", "10.0.1"), ("10.11.19-MariaDB-0+deb12u1-log", "11.8.2-MariaDB"), ("8.4.0", "9.7")]
)
def test_a_newer_series_is_newer(older: str, newer: str) -> None:
    assert form.series(older) < form.series(newer)
