# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Histories of both flavours: against explicit sets of transactions, and against servers that write and replicate."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import (
    BinlogState,
    GtidSet,
    History,
    parse,
)

ONE = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
TWO = "4350f323-7565-4e59-8763-4b1b83a0ce0e"

# MySQL.

Numbers = set[tuple[str, str, int]]
NUMBERS = st.sets(st.tuples(st.sampled_from([ONE, TWO]), st.sampled_from(["", "blue", "red_2"]), st.integers(1, 9)))


def gtids(numbers: Numbers) -> GtidSet:
    return GtidSet.parse(",".join(f"{uuid}:{tag}:{n}" if tag else f"{uuid}:{n}" for uuid, tag, n in sorted(numbers)))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_gtid_set_is_the_set_of_its_transactions(one: Numbers, two: Numbers, three: Numbers) -> None:
    a, b, c = gtids(one), gtids(two), gtids(three)
    assert a.contains(b) == (two <= one)
    assert a.minus(b) == gtids(one - two)
    assert a.union(b) == gtids(one | two)
    assert a.count == len(one)
    assert bool(a) == bool(one)
    assert (a == b) == (one == two)
    assert a.of_others(ONE.upper()) == gtids({number for number in one if number[0] != ONE})
    assert a.minus(b).union(b) == a.union(b)
    assert a.minus(b.union(c)) == a.minus(b).minus(c)
    assert not a.minus(a)
    assert not (a.contains(b) and b.contains(a)) or a == b
    assert not (a.contains(b) and b.contains(c)) or a.contains(c)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_a_gtid_set_is_read_as_it_was_written(numbers: Numbers, random: object) -> None:
    found = gtids(numbers)
    assert GtidSet.parse(str(found)) == found
    assert str(GtidSet.parse(str(found))) == str(found)
    assert (
        GtidSet.parse(f" \n{str(found).upper()} ".replace(",", " ,\n").replace(":", " : ").replace("-", "-")) == found
    )


@pytest.mark.parametrize(
    ("text", "canonical", "count"),
    [
        ("", "", 0),
        (" \n", "", 0),
        (f"{ONE}:1-5:7, {TWO}:1-3", f"{ONE}:1-5:7,{TWO}:1-3", 9),
        (f"{TWO}:1,\n{ONE.upper()}:7:1-3:4-5", f"{ONE}:1-5:7,{TWO}:1", 7),
        (f"{ONE}:1-5:3-9:2", f"{ONE}:1-9", 9),
        (f"{ONE}:Blue:1-5", f"{ONE}:blue:1-5", 5),
        (f"{ONE}:1-2:blue:1:3:green:9,{ONE}:3", f"{ONE}:1-3:blue:1:3:green:9", 6),
        (f"{ONE}:blue:1,{ONE}:2-9223372036854775806", f"{ONE}:2-9223372036854775806:blue:1", 2**63 - 2),
        (f",{ONE}:1,,", f"{ONE}:1", 1),
    ],
)
def test_texts_of_mysql(text: str, canonical: str, count: int) -> None:
    found = parse("mysql", text)
    assert str(found) == canonical
    assert found.count == count
    assert bool(found) == bool(count)


@pytest.mark.parametrize(
    "text",
    [
        "0-1-5",
        ONE,
        f"{ONE}:",
        f"{ONE}:0",
        f"{ONE}:5-3",
        f"{ONE}:1-",
        f"{ONE}:1-2-3",
        f"{ONE}:9223372036854775807",
        f"{ONE}:blue",
        f"{ONE}:blue:red:1",
        f"{ONE}:1:blue",
        f"{ONE}::1",
        f"{ONE[:-1]}:1",
        f"{ONE}:1;{TWO}:1",
        f"{ONE}:2blue:1",
    ],
)
def test_what_is_no_gtid_set_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no GTID set of MySQL: ") as caught:
        parse("mysql", text)
    assert repr(text) in str(caught.value)


# MariaDB.


@dataclasses.dataclass(eq=False)
class Transaction:
    """One that was committed. Another one of the same name is another one all the same."""

    server: int
    number: int


class Servers:
    """Servers of MariaDB in strict mode: who writes, whose transactions reach whom, whose data is thrown away."""

    def __init__(self, count: int, reuse: bool = False) -> None:
        self.reuse = reuse
        self.ids = itertools.count(100 + count)
        self.servers = {ordinal: 100 + ordinal for ordinal in range(count)}
        self.logs: dict[int, tuple[Transaction, ...]] = dict.fromkeys(range(count), ())

    def write(self, ordinal: int) -> None:
        log = self.logs[ordinal]
        self.logs[ordinal] = (*log, Transaction(self.servers[ordinal], log[-1].number + 1 if log else 1))

    def replicate(self, ordinal: int, source: int, most: int) -> None:
        """Take the next ones, unless the source does not have what is here: then replication stops with an error."""
        mine, theirs = self.logs[ordinal], self.logs[source]
        if theirs[: len(mine)] == mine:
            self.logs[ordinal] = theirs[: len(mine) + most]

    def copy(self, ordinal: int, donor: int) -> None:
        self.logs[ordinal] = self.logs[donor]
        if not self.reuse:
            self.servers[ordinal] = next(self.ids)


def state(log: tuple[Transaction, ...]) -> BinlogState:
    last = {entry.server: entry.number for entry in log}
    return BinlogState.parse(",".join(f"0-{server}-{number}" for server, number in last.items()))


EVENTS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "replicate", "copy"]), *[st.integers(0, 3)] * 2, st.integers(1, 4)),
    max_size=40,
)
Events = list[tuple[str, int, int, int]]


def logs_after(events: Events, servers: Servers) -> list[tuple[Transaction, ...]]:
    """All that any of them ever had: a server that was cut off comes back with what was true long ago."""
    seen = dict.fromkeys(servers.logs.values())
    for event, ordinal, other, most in events:
        if event == "write":
            servers.write(ordinal)
        elif event == "replicate":
            servers.replicate(ordinal, other, most)
        elif ordinal != other:
            servers.copy(ordinal, other)
        seen[servers.logs[ordinal]] = None
    return list(seen)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_states_tell_all_where_an_id_belongs_to_one_data_directory(events: Events) -> None:
    for one, two in itertools.product(logs_after(events, Servers(4)), repeat=2):
        a, b = state(one), state(two)
        missing = [entry for entry in one if entry not in two]
        assert a.contains(b) == (set(two) <= set(one)), (a, b)
        beyond = a.minus(b)
        assert beyond.count == len(missing), (a, b)
        assert str(beyond) == str(state(tuple(missing))), (a, b)
        others = beyond.of_others("100")
        assert str(others) == str(state(tuple(entry for entry in missing if entry.server != 100)))
        assert others.count in (None, sum(1 for entry in missing if entry.server != 100))


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_ids_that_are_used_again_never_hide_what_is_contained(events: Events) -> None:
    """What is not contained is seen only where the states show it; what is contained stays contained."""
    for one, two in itertools.product(logs_after(events, Servers(4, reuse=True)), repeat=2):
        a, b = state(one), state(two)
        if set(two) <= set(one):
            assert a.contains(b), (a, b)
            assert a.minus(b).count == len(one) - len(two)
        elif a.contains(b):
            names = {entry.server for entry in two if entry not in one}
            assert names & {entry.server for entry in one}, (a, b)


LAST = st.dictionaries(st.tuples(st.integers(0, 1), st.integers(1, 3)), st.integers(0, 5))
Last = dict[tuple[int, int], int]


@settings(max_examples=500)
@given(LAST, LAST, LAST)
def test_states_are_in_a_partial_order_whatever_they_are(one: Last, two: Last, three: Last) -> None:
    a, b, c = BinlogState(one), BinlogState(two), BinlogState(three)
    assert a.contains(a)
    assert a.contains(BinlogState({}))
    assert not (a.contains(b) and b.contains(a)) or a == b
    assert not (a.contains(b) and b.contains(c)) or a.contains(c)
    assert bool(a.minus(b)) != b.contains(a)
    assert a.union(b) == b.union(a)
    assert a.union(b).union(c) == a.union(b.union(c))
    assert not a.contains(b) or a.union(b) == a
    assert BinlogState.parse(str(a)) == a
    assert a.minus(BinlogState({})).count == a.count


@pytest.mark.parametrize(
    ("mine", "theirs", "contains", "beyond", "count"),
    [
        ("0-100-5", "", True, "0-100-5", 5),
        ("", "0-100-5", False, "", 0),
        ("0-100-7", "0-100-5", True, "0-100-7", 2),
        # 101 took over at 5, and 100 wrote on: a higher number proves nothing.
        ("0-100-5,0-101-9", "0-100-7", False, "0-101-9", 4),
        ("0-100-7", "0-100-5,0-101-9", False, "0-100-7", 2),
        ("0-100-5,0-101-9", "0-100-5", True, "0-101-9", 4),
        ("0-100-5,1-100-2", "0-100-5", True, "1-100-2", 2),
        ("0-100-5", "1-100-5", False, "0-100-5", 5),
        # Number 6 is by 101 here and by 100 there, although 100 reaches 8 here: its id was used twice.
        ("0-100-8,0-101-6", "0-100-6", False, "0-100-8,0-101-6", None),
        ("0-100-6", "0-100-8,0-101-6", False, "0-100-6", None),
        # Number 6 by 101 would be there as well, had 100 written 7 behind it.
        ("0-100-8,0-101-6", "0-100-7", False, "0-100-8,0-101-6", None),
        ("0-100-8,0-101-6", "0-100-7,0-101-6", True, "0-100-8", 1),
        # Number 6 is by 100 here and by 101 there, and both reach further on both sides.
        ("0-100-6,0-101-8", "0-100-8,0-101-6", False, "0-100-6,0-101-8", None),
    ],
)
def test_states_of_two_servers(mine: str, theirs: str, contains: bool, beyond: str, count: int) -> None:
    a, b = parse("mariadb", mine), parse("mariadb", theirs)
    assert a.contains(b) == contains
    assert (str(a.minus(b)), a.minus(b).count) == (beyond, count)


def position(log: tuple[Transaction, ...]) -> BinlogState:
    return BinlogState.position(f"0-{log[-1].server}-{log[-1].number}" if log else "")


@settings(deadline=None)
@given(EVENTS, st.data())
def test_positions_stand_for_all_before_them(events: Events, data: st.DataObject) -> None:
    """A server has applied some of what it has received, of which it tells the last."""
    for one, two in itertools.product(logs_after(events, Servers(4)), repeat=2):
        applied = one[: data.draw(st.integers(0, len(one)), label="applied")]
        has = state(applied).union(position(one))
        assert state(two).contains(position(one)) == (set(one) <= set(two)), (one, two)
        assert state(two).contains(has) == (set(one) <= set(two)), (has, two)
        assert state(applied).contains(position(one)) == (applied == one), has
        assert set(two) <= set(one) or not has.contains(state(two)), (has, two)
        assert not set(two) <= set(applied) or has.contains(state(two)), (has, two)
        assert has != state(one) or has.minus(state(two)).count == len(set(one) - set(two))
        assert applied != one or has == state(one)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("", ""), (" 0-101-9 ,\n0-100-5 ", "0-100-5,0-101-9"), ("1-2-18446744073709551615", None), ("0-100-0", "")],
)
def test_texts_of_mariadb(text: str, canonical: str | None) -> None:
    assert str(parse("mariadb", text)) == (text if canonical is None else canonical)


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}:1",
        "0-1",
        "0-1-2-3",
        "0-1-5,",
        "0-1-x",
        "-1-2",
        "0-4294967296-1",
        "0-1-18446744073709551616",
        "0-1-5,0-1-7",
        "0-1-²",
    ],
)
def test_what_is_no_state_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no GTID state of MariaDB: ") as caught:
        parse("mariadb", text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (parse("mysql", ""), "no transaction"),
        (parse("mysql", f"{ONE}:4"), f"1 transaction ({ONE}:4)"),
        (parse("mariadb", "0-100-5"), "5 transactions (up to 0-100-5)"),
        (parse("mariadb", "0-100-5").minus(parse("mariadb", "0-100-3")), "2 transactions (up to 0-100-5)"),
        (parse("mariadb", "0-100-6").minus(parse("mariadb", "0-100-8,0-101-6")), "transactions (up to 0-100-6)"),
    ],
)
def test_histories_are_described(history: History, words: str) -> None:
    assert history.describe() == words


def test_a_state_that_leaves_out_what_a_former_primary_wrote_last_seems_to_have_parted() -> None:
    """Why finish_mariadb.sh uses no copy that was made while the primary became another one."""
    primary = parse("mariadb", "0-100-53,0-101-60")
    assert not parse("mariadb", "0-100-53,0-101-55").minus(primary)
    assert parse("mariadb", "0-100-50,0-101-55").minus(primary)


def test_flavours_are_never_compared() -> None:
    with pytest.raises(TypeError, match="is of another flavour"):
        parse("mysql", "").contains(parse("mariadb", ""))
    with pytest.raises(TypeError, match="is of another flavour"):
        parse("mariadb", "").minus(parse("mysql", ""))
