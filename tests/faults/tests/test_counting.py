# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The harness must be able to fail: a loss, a second set, and a gap are seen."""

from __future__ import annotations

import argparse
import pathlib
import random
import typing as t

import pytest

from harness import ledger, trial
from harness.ledger import Entry, Ledger
from harness.trial import Trial
from harness.verdict import Failed
from harness.writer import NotWritten, Writer


class Store:
    """A session and an application in one, which keeps what it is told to keep."""

    kind = "store"
    namespace = "here"

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.sent: list[int] = []
        self.refused: set[int] = set()
        self.forgotten: set[int] = set()
        self.sets = {"a": "one", "b": "one"}
        self.behind = 0

    def connect(self) -> Store:
        return self

    def write(self, number: int) -> None:
        self.sent.append(number)
        if len(self.sent) in self.refused:
            raise NotWritten("not now")
        self.kept.append(number)

    def close(self) -> None: ...

    def present(self) -> set[int]:
        return {number for position, number in enumerate(self.kept) if position not in self.forgotten}

    def counts(self) -> dict[str, int]:
        return {"a": len(self.kept), "b": len(self.kept) - self.behind}

    def identities(self) -> dict[str, str]:
        return self.sets


@pytest.fixture
def here(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(trial, "MEMBERS_AGREE", 0.2)
    nothing: t.Any = None
    return Trial(nothing, {}, tmp_path, tmp_path, argparse.Namespace(keep=False), random.Random(1))


def write_some(here: Trial, store: t.Any) -> None:
    with here.writing(store) as writer:
        writer.wait_for(10, 10)


def fail_after(writer: Writer, writes: int) -> None:
    writer.wait_for(writes, 10)
    raise Failed("first failure")


def test_nothing_lost_is_no_failure(here: Trial) -> None:
    store = Store()
    store.refused = {2, 3}
    write_some(here, store)
    assert here.acknowledged == len(store.kept) >= 15
    assert here.lost == 0


def test_an_acknowledged_write_that_is_gone_is_a_failure(here: Trial) -> None:
    store = Store()
    store.forgotten = {3}
    with pytest.raises(Failed, match=f"1 of .* acknowledged writes are lost in here, the first number {1000004}"):
        write_some(here, store)
    assert here.lost == 1


def test_a_loss_is_counted_also_after_another_failure(here: Trial) -> None:
    store = Store()
    store.forgotten = {3}
    with pytest.raises(Failed, match="first failure"), here.writing(t.cast("t.Any", store)) as writer:
        fail_after(writer, 10)
    assert (here.lost, here.acknowledged) == (1, len(store.kept))


def test_two_sets_are_a_failure(here: Trial) -> None:
    store = Store()
    store.sets = {"a": "one", "b": "other"}
    with pytest.raises(Failed, match="do not agree"):
        write_some(here, store)


def test_a_member_that_holds_less_is_a_failure(here: Trial) -> None:
    store = Store()
    store.behind = 1
    with pytest.raises(Failed, match="do not agree"):
        write_some(here, store)


def test_no_number_is_sent_twice_and_none_is_recorded_that_was_refused(tmp_path: pathlib.Path) -> None:
    store = Store()
    store.refused = {1, 4}
    with Ledger(tmp_path / "record") as book, Writer(store.connect, book) as writer:
        writer.wait_for(5, 10)
    assert len(set(store.sent)) == len(store.sent)
    assert [entry.number for entry in ledger.read(tmp_path / "record")] == store.kept


def test_writes_that_do_not_come_back_are_a_failure_with_the_reason(tmp_path: pathlib.Path) -> None:
    store = Store()
    store.refused = set(range(1000))
    with (
        Ledger(tmp_path / "record") as book,
        Writer(store.connect, book) as writer,
        pytest.raises(Failed, match="1 of 1 awaited writes were not acknowledged in 0 s: not now"),
    ):
        writer.wait_for(1, 0.3)


def test_a_writer_that_breaks_is_a_failure(tmp_path: pathlib.Path) -> None:
    class Broken(Store):
        def write(self, number: int) -> None:
            raise ValueError(number)

    with (
        pytest.raises(Failed, match="The writer broke: ValueError"),
        Ledger(tmp_path / "record") as book,
        Writer(Broken().connect, book) as writer,
    ):
        writer.wait_for(1, 10)


@pytest.mark.parametrize(
    ("times", "end", "gap"),
    [((), 5.0, 0.0), ((1.0, 2.0, 2.5), 3.0, 1.0), ((1.0, 9.0, 9.5), 10.0, 8.0), ((1.0, 2.0), 12.0, 10.0)],
)
def test_the_longest_gap_counts_to_the_end(times: tuple[float, ...], end: float, gap: float) -> None:
    entries = [Entry(number, at) for number, at in enumerate(times)]
    assert ledger.longest_gap(entries, end) == gap
