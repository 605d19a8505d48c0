# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which transactions a server has, as MySQL and MariaDB each tell it, and what one has that another has not. Pure.

MySQL lists every transaction, as intervals (`GtidSet`). MariaDB lists the last one of each server (`BinlogState`), so
what lies before it has to be concluded. Planners know neither, only `History`.
"""

from __future__ import annotations

import abc
import re
import typing as t

MYSQL = "mysql"
MARIADB = "mariadb"


class Transactions(abc.ABC):
    """Some transactions; false where there are none. The text is as a server would tell it."""

    #: what stands before the text
    _before_text = ""

    @property
    @abc.abstractmethod
    def count(self) -> t.Optional[int]:
        """How many they are, or None where that cannot be known."""

    @abc.abstractmethod
    def __bool__(self) -> bool: ...

    @abc.abstractmethod
    def __str__(self) -> str: ...

    @abc.abstractmethod
    def of_others(self, identity: str) -> Transactions:
        """Those that were written by other servers than this one (server_uuid of MySQL, server_id of MariaDB)."""

    def describe(self) -> str:
        """In words, for evidence."""
        if not self:
            return "no transaction"
        many = "transactions" if self.count is None else f"{self.count} transaction{'' if self.count == 1 else 's'}"
        return f"{many} ({self._before_text}{self})"


class History(Transactions):
    """All transactions of one server."""

    @abc.abstractmethod
    def contains(self, other: History) -> bool:
        """Whether every transaction of the other is here too. In doubt it says no."""

    @abc.abstractmethod
    def minus(self, other: History) -> Transactions:
        """What is here and not there. Empty if and only if the other contains this."""

    @abc.abstractmethod
    def union(self, other: History) -> History:
        """What is here or there: what a server has applied, with what it has received."""

    def noted(self) -> str:
        """In one line, to be written down. Not empty where there is any."""
        return str(self)


def parse(flavour: str, text: str) -> History:
    """What a server of this flavour has told. Raises ValueError with the text where it is none."""
    return BinlogState.parse(text) if flavour == MARIADB else GtidSet.parse(text)


# MySQL: an interval holds its first and its last number; a source is a server's UUID, with a tag or "".

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(\d{1,19})(?:\s*-\s*(\d{1,19}))?", re.ASCII)
_LARGEST = 2**63 - 2

Interval = tuple[int, int]
Source = tuple[str, str]


class GtidSet(History):
    """A set of GTIDs of MySQL: ``uuid:1-5:7:tag:1-3,uuid:…``, with tags from MySQL 8.4 on."""

    def __init__(self, intervals: t.Mapping[Source, t.Iterable[Interval]]) -> None:
        merged = {source: _merged(found) for source, found in intervals.items()}
        self._intervals: dict[Source, tuple[Interval, ...]] = {
            source: merged[source] for source in sorted(merged) if merged[source]
        }

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        found: dict[Source, list[Interval]] = {}
        for part in text.lower().split(","):
            fields = [field.strip() for field in part.split(":")]
            if fields == [""]:
                continue  # MySQL passes over empty parts too
            uuid, tag, pending = fields[0], "", True
            if not _UUID.fullmatch(uuid):
                raise _malformed(MYSQL, text, f"{fields[0]!r} is no UUID")
            for field in fields[1:]:
                if _TAG.fullmatch(field) and not (pending and tag):
                    tag, pending = field, True
                    continue
                found.setdefault((uuid, tag), []).append(_interval(field, text))
                pending = False
            if pending:
                raise _malformed(MYSQL, text, f"{part.strip()!r} names no transaction")
        return cls(found)

    @property
    def count(self) -> int:
        return sum(last - first + 1 for intervals in self._intervals.values() for first, last in intervals)

    def contains(self, other: History) -> bool:
        return not _of(GtidSet, other).minus(self)

    def minus(self, other: History) -> GtidSet:
        theirs = _of(GtidSet, other)._intervals
        return GtidSet({source: _without(mine, theirs.get(source, ())) for source, mine in self._intervals.items()})

    def union(self, other: History) -> GtidSet:
        theirs = _of(GtidSet, other)._intervals
        sources = {*self._intervals, *theirs}
        return GtidSet({source: (*self._intervals.get(source, ()), *theirs.get(source, ())) for source in sources})

    def of_others(self, identity: str) -> GtidSet:
        return GtidSet({source: found for source, found in self._intervals.items() if source[0] != identity.lower()})

    def __bool__(self) -> bool:
        return bool(self._intervals)

    def __str__(self) -> str:
        parts: dict[str, str] = {}
        # Without a tag comes first, because behind a tag everything is of that tag.
        for (uuid, tag), intervals in self._intervals.items():
            words = [tag] if tag else []
            words += [f"{first}" if first == last else f"{first}-{last}" for first, last in intervals]
            parts[uuid] = ":".join([parts.get(uuid, uuid), *words])
        return ",".join(parts.values())

    def __repr__(self) -> str:
        return f"GtidSet({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._intervals == other._intervals

    def __hash__(self) -> int:
        return hash(str(self))


def _interval(field: str, text: str) -> Interval:
    found = _INTERVAL.fullmatch(field)
    if not found:
        raise _malformed(MYSQL, text, f"{field!r} is neither a number, nor an interval, nor a tag in front of one")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last <= _LARGEST:
        raise _malformed(MYSQL, text, f"{field!r} is no interval of transactions")
    return first, last


def _merged(intervals: t.Iterable[Interval]) -> tuple[Interval, ...]:
    """In order, with neighbours made one."""
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(mine: t.Sequence[Interval], theirs: t.Sequence[Interval]) -> list[Interval]:
    left: list[Interval] = []
    for first, last in mine:
        begin = first
        for taken_first, taken_last in theirs:
            if taken_last < begin or taken_first > last:
                continue
            if taken_first > begin:
                left.append((begin, taken_first - 1))
            begin = taken_last + 1
        if begin <= last:
            left.append((begin, last))
    return left


# MariaDB.

_GTID = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})", re.ASCII)


class BinlogState(History):
    """A ``gtid_binlog_state`` of MariaDB: ``domain-server-number,…``, the last transaction of each server in a domain.

    What may be concluded from it rests on three things:

    1. With ``gtid_strict_mode`` the numbers in a domain grow from each transaction to the next, whichever server wrote
       them. So no two of one history have the same number.
    2. A server writes on top of what it has, and a replica takes everything in the order of its source. So whoever has
       a transaction has all that came before it, and two histories are one up to a point and share nothing behind it.
    3. A server id belongs to one data directory, and that one never goes back to what it was before. So transaction
       D-S-N is one and the same wherever it is found, and who has it has all of server S with numbers up to N.

    By 3, a server has of S what its entry for S reaches, so two histories share, for every S, what the lower of their
    two entries reaches. By 2 they share everything up to the highest of these numbers, the fork, and nothing behind it.
    So *a* contains *b* exactly if each entry of *b* is reached by an entry of *a* of the same domain and server: a
    higher number of another server proves nothing, because that one may have gone its own way. As MariaDB leaves no
    number out, the numbers behind the fork are counted. (Numbers that somebody left out on purpose, with
    ``gtid_seq_no``, count too.)

    3 is a promise of whoever gives out server ids, and snapshots of volumes break it. Where it is broken the states
    may show that: an entry of one is certainly missing in the other (its entry for that server is lower, or there is
    none, or by 1 another server's transaction has that very number), and yet the other reaches further with an entry
    that both should share. Then histories part before the missing one, it is not known where, nothing is contained in
    the other that goes beyond it, and nothing is counted. Where the states show nothing it cannot be found out: two
    data directories with the same id that wrote the same numbers have equal states.

    A position (``Gtid_IO_Pos``, ``gtid_slave_pos``) stands for its transaction and all before it: entries of other
    servers are not listed. So `position` notes up to which number everything is listed, and nothing is concluded from
    what is not listed behind that. United with a state, which ends before it, it makes answers no in doubt and counts
    higher, never the other way round.
    """

    _before_text = "up to "

    def __init__(self, last: t.Mapping[tuple[int, int], int], listed: t.Optional[t.Mapping[int, int]] = None) -> None:
        #: by domain, then by server, the number of the last transaction
        self._domains: dict[int, dict[int, int]] = {}
        for (domain, server), number in sorted(last.items()):
            if number:
                self._domains.setdefault(domain, {})[server] = number
        #: by domain, up to which number every server is listed, where that is not to the end
        self._listed = {
            domain: listed[domain]
            for domain, servers in self._domains.items()
            if listed and listed.get(domain, max(servers.values())) < max(servers.values())
        }

    @classmethod
    def parse(cls, text: str) -> BinlogState:
        found: dict[tuple[int, int], int] = {}
        for part in text.split(",") if text.strip() else ():
            gtid = _GTID.fullmatch(part.strip())
            if not gtid:
                raise _malformed(MARIADB, text, f"{part.strip()!r} is not of the form domain-server-number")
            domain, server, number = (int(group) for group in gtid.groups())
            if max(domain, server) >= 2**32 or number >= 2**64:
                raise _malformed(MARIADB, text, f"a number in {part.strip()!r} is too large")
            if (domain, server) in found:
                raise _malformed(MARIADB, text, f"it has two entries of domain {domain} and server {server}")
            found[domain, server] = number
        return cls(found)

    @classmethod
    def recall(cls, text: str) -> BinlogState:
        """What `noted` gave. Raises ValueError."""
        entries, *listed = text.split()
        numbers = (one.partition(":") for one in listed)
        return cls(cls.parse(entries)._last(), {int(domain): int(number) for domain, _colon, number in numbers})

    @classmethod
    def position(cls, text: str) -> BinlogState:
        """All that a position stands for: the transactions that it names and whatever is before them."""
        last = cls.parse(text)._last()
        return cls(last, {domain: 0 for domain, _server in last})

    @property
    def count(self) -> int:
        return sum(max(servers.values()) for servers in self._domains.values())

    def contains(self, other: History) -> bool:
        return not _of(BinlogState, other).minus(self)

    def minus(self, other: History) -> Beyond:
        there = _of(BinlogState, other)
        beyond: dict[tuple[int, int], int] = {}
        count: t.Optional[int] = 0
        for domain, mine in self._domains.items():
            fork, known = _fork(self._in(domain), there._in(domain))
            beyond.update({(domain, server): number for server, number in mine.items() if number > fork})
            count = None if count is None or not known else count + max(mine.values()) - fork
        return Beyond(BinlogState(beyond), count)

    def union(self, other: History) -> BinlogState:
        """The higher entry of each. Nobody has both of two histories that have parted, so nobody contains this then."""
        there = _of(BinlogState, other)
        both = self._last()
        for key, number in there._last().items():
            both[key] = max(number, both.get(key, 0))
        domains = {*self._domains, *there._domains}
        listed = {domain: max(self._in(domain).listed, there._in(domain).listed) for domain in domains}
        return BinlogState(both, listed)

    def of_others(self, identity: str) -> BinlogState:
        return BinlogState({key: number for key, number in self._last().items() if str(key[1]) != identity})

    @property
    def writers(self) -> dict[int, int]:
        """Who wrote the last transaction of each domain."""
        return {domain: max(servers, key=lambda one: servers[one]) for domain, servers in self._domains.items()}

    def _in(self, domain: int) -> _Domain:
        servers = self._domains.get(domain, {})
        return _Domain(servers, self._listed.get(domain, max(servers.values(), default=0)))

    def _last(self) -> dict[tuple[int, int], int]:
        return {(d, server): number for d, servers in self._domains.items() for server, number in servers.items()}

    def noted(self) -> str:
        return " ".join([str(self), *(f"{domain}:{number}" for domain, number in sorted(self._listed.items()))])

    def __bool__(self) -> bool:
        return bool(self._domains)

    def __str__(self) -> str:
        return ",".join(f"{domain}-{server}-{number}" for (domain, server), number in self._last().items())

    def __repr__(self) -> str:
        return f"BinlogState({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BinlogState) and (self._domains, self._listed) == (other._domains, other._listed)

    def __hash__(self) -> int:
        return hash(str(self))


class Beyond(Transactions):
    """What one history of MariaDB has and another one has not, told by the last one of each server."""

    _before_text = "up to "

    def __init__(self, last: BinlogState, count: t.Optional[int]) -> None:
        self._last = last
        self._count = count

    @property
    def count(self) -> t.Optional[int]:
        return self._count

    def of_others(self, identity: str) -> Beyond:
        """Of how many servers' transactions they are, the counts do not tell."""
        last = self._last.of_others(identity)
        return self if last == self._last else Beyond(last, None if last else 0)

    def __bool__(self) -> bool:
        return bool(self._last)

    def __str__(self) -> str:
        return str(self._last)

    def __repr__(self) -> str:
        return f"Beyond({str(self)!r}, {self._count})"


class _Domain(t.NamedTuple):
    """One history in one domain: the last number of each server, of all servers up to the number ``listed``."""

    last: t.Mapping[int, int]
    listed: int


def _fork(mine: _Domain, theirs: _Domain) -> tuple[int, bool]:
    """Up to which number two histories of one domain are the same, at most, and whether that is known."""
    shared = max((min(number, theirs.last.get(server, 0)) for server, number in mine.last.items()), default=0)
    apart = min((*_missing(mine, theirs), *_missing(theirs, mine)), default=None)
    if apart is None or apart > shared:
        return shared, True
    return apart - 1, False


def _missing(these: _Domain, there: _Domain) -> list[int]:
    """The entries of the first that are certainly not in the second history, as far as all is listed there."""
    return [
        number
        for server, number in these.last.items()
        if there.last.get(server, 0) < number <= there.listed
        or (number < there.last.get(server, 0) and number in there.last.values())  # a history has a number once
    ]


_Flavour = t.TypeVar("_Flavour", bound=History)


def _of(flavour: type[_Flavour], other: History) -> _Flavour:
    if not isinstance(other, flavour):
        raise TypeError(f"{other!r} is of another flavour")
    return other


def _malformed(flavour: str, text: str, why: str) -> ValueError:
    name = "GTID set of MySQL" if flavour == MYSQL else "GTID state of MariaDB"
    return ValueError(f"{text!r} is no {name}: {why}.")
