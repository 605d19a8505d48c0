# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a backup of MySQL or MariaDB is: its record, and how backups belong together. Pure.

A full backup is what mysqldump or mariadb-dump writes, and the accounts beside it; or, by the method physical, a copy
of the files of a server. One of mode binlog holds closed files of the primary's binary log, as they are.
"""

from __future__ import annotations

import calendar
import dataclasses
import json
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import (
    FAILED,
    File,
    Layout,
    require_inside,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History, parse

FORMAT = "mysql-1"
FULL = "full"
BINLOG = "binlog"
# How a full one is made.
DUMPED = "dump"
PHYSICAL = "physical"
DUMP = "dump.sql.gz"
ACCOUNTS = "accounts.sql.gz"

_ISO = "%Y-%m-%dT%H:%M:%SZ"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a full backup. ``content`` is the hash of the statements that fill it."""

    database: str
    name: str
    rows: int
    content: str

    @property
    def title(self) -> str:
        return f"{self.database}.{self.name}"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a backup says of itself."""

    backup: str
    kind: str
    namespace: str
    name: str
    #: which life of the data it is of: the uid of the ConfigMap that says who may write
    set_id: str
    flavour: str
    version: str
    member: str
    started: str
    ended: str
    #: transactions that are behind its first binary log; empty for a full one
    start: str
    #: all that it leads to, as the server of this flavour writes histories; a copy of files may lead further, and the
    #: server that is started on them says how far
    end: str
    #: of a full one, nothing that was committed behind this time is in it; of binary logs, everything before it is
    until: str
    files: tuple[File, ...]
    databases: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    #: the hash of everything in the dump that fills no table
    structure: str = ""
    #: events that the primary runs, where a replica was read, which does not
    events: tuple[tuple[str, str], ...] = ()
    accounts: int = 0
    verified: str = ""
    method: str = DUMPED
    #: bytes that a copy of files takes on a volume
    room: int = 0

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @property
    def logs(self) -> tuple[str, ...]:
        """The files of binary logs, in order."""
        return tuple(file.path for file in self.files) if self.kind == BINLOG else ()

    def history(self, text: str) -> History:
        return parse(self.flavour, text)

    def dump(self) -> str:
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Raises ValueError where it is none, or one of a later format."""
        try:
            plain = json.loads(text)
            if plain.pop("format") != FORMAT:
                raise ValueError("it is of a format that this version does not know")
            plain["files"] = tuple(File(**one) for one in plain["files"])
            plain["tables"] = tuple(Table(**one) for one in plain["tables"])
            plain["events"] = tuple((str(one[0]), str(one[1])) for one in plain["events"])
            plain["databases"] = tuple(str(one) for one in plain["databases"])
            found = cls(**plain)
            for history in (found.start, found.end):
                found.history(history)
        except (KeyError, TypeError, AttributeError, IndexError) as exc:
            raise ValueError(f"it is no manifest of a backup ({exc})") from exc
        require_inside(found.files)
        return found

    def facts(self) -> dict[str, t.Any]:
        """For results: what a person asks first."""
        return {
            "backup": self.backup,
            "kind": self.kind,
            "method": self.method if self.kind == FULL else None,
            "set_id": self.set_id,
            "flavour": self.flavour,
            "version": self.version,
            "member": self.member,
            "started": self.started,
            "ended": self.ended,
            "until": self.until,
            "gtid": self.end,
            "databases": list(self.databases),
            "tables": len(self.tables),
            "rows": self.rows,
            "accounts": self.accounts,
            "logs": len(self.logs),
            "bytes": self.size,
            "verified": self.verified or None,
        }


LAYOUT = Layout(Manifest.parse, {BINLOG: "-binlog"})


def fulls(found: t.Iterable[Manifest]) -> list[Manifest]:
    """Full backups that can be relied on, the newest last."""
    good = (one for one in found if one.kind == FULL and not one.verified.startswith(FAILED))
    return sorted(good, key=lambda one: (one.until, one.backup))


def slices(found: t.Iterable[Manifest]) -> list[Manifest]:
    return sorted((one for one in found if one.kind == BINLOG), key=lambda one: (one.until, one.backup))


def chain(base: Manifest, found: t.Iterable[Manifest]) -> list[Manifest]:
    """The binary logs that continue a full backup without a gap, in order. They may overlap.

    One that lacks something of what is there already is of another history: after a failover that lost it.
    """
    linked: list[Manifest] = []
    end = base.history(base.end)
    for one in slices(found):
        if (one.set_id, one.flavour) != (base.set_id, base.flavour):
            continue
        next_end = one.history(one.end)
        if end.contains(one.history(one.start)) and next_end.contains(end) and not end.contains(next_end):
            linked.append(one)
            end = next_end
    return linked


def outdated(found: t.Iterable[Manifest], keep: int) -> list[Manifest]:
    """What retention removes: all but the newest full backups, and binary logs that none of these needs."""
    known = list(found)
    kept = fulls(known)[-keep:] if keep else fulls(known)
    if not kept:
        return []
    old = [one for one in known if one.kind == FULL and one not in kept and one.until <= kept[0].started]
    needed_still = [one for base in kept for one in chain(base, known)]
    theirs = [one for base in old for one in chain(base, known)]
    for one in slices(known):
        if covered(one, kept[0].flavour, kept[0].history(kept[0].end)) or (one in theirs and one not in needed_still):
            old.append(one)
    return sorted(old, key=lambda one: (one.until, one.backup))


def covered(one: Manifest, flavour: str, history: History) -> bool:
    """Whether all that these binary logs lead to is in this history: whoever has that needs none of them."""
    return one.flavour == flavour and history.contains(one.history(one.end))


def continuing(found: t.Iterable[Manifest]) -> list[str]:
    """Histories from which new binary logs may go on, the best first. The last continues the newest full backup.

    As long as none does, the end of the newest ones leaves no gap for any older backup.
    """
    known = list(found)
    if not fulls(known):
        return []
    newest = fulls(known)[-1]
    linked = chain(newest, known)
    if linked:
        return [linked[-1].end]
    end = newest.history(newest.end)
    older = [one.end for one in slices(known)[-1:] if covered(one, newest.flavour, end)]
    return list(dict.fromkeys([*older, newest.end]))


def base_for(found: t.Iterable[Manifest], wanted: str, until: str) -> Manifest:
    """The full backup to restore from. Raises Failure."""
    known = fulls(found)
    if not known:
        raise Failure(
            "src, s3: there is no complete full backup of such an application there. Name another place, or the "
            "application (backup_of)."
        )
    if wanted != "latest":
        named = next((one for one in known if one.backup == wanted), None)
        if named is None:
            raise Failure(
                f"backup: there is no complete full backup {wanted} there; there are "
                f"{', '.join(one.backup for one in known)}. Name one of these, or latest."
            )
        return named
    early = [one for one in known if not until or one.until <= until]
    if not early:
        raise Failure(
            f"until: the oldest full backup, {known[0].backup}, holds what there was at {known[0].until}; found "
            f"{until}. Choose a later time."
        )
    return early[-1]


def gap(base: Manifest, linked: t.Sequence[Manifest], found: t.Iterable[Manifest]) -> str:
    """What is told of newer binary logs of the same data that do not continue these; empty where there are none."""
    last = linked[-1].until if linked else base.until
    one = next((one for one in slices(found) if one.until > last and one.set_id == base.set_id), None)
    return f" There is a gap before {one.backup}, which begins after {one.start or 'nothing'}." if one else ""


def require_covered(base: Manifest, linked: t.Sequence[Manifest], found: t.Iterable[Manifest], until: str) -> None:
    """Whether this backup and the binary logs that continue it hold all that was before this time. Raises Failure."""
    last = linked[-1].until if linked else base.until
    if base.until <= until <= last:
        return
    why = gap(base, linked, found)
    raise Failure(
        f"until: {base.backup} and the binary logs that continue it can be restored to any time from {base.until} to "
        f"{last}; found {until}.{why} Choose a time in between, or another backup."
    )


def needed(linked: t.Sequence[Manifest], until: str) -> list[Manifest]:
    """As many of them as lead to this time."""
    found: list[Manifest] = []
    for one in linked:
        if found and found[-1].until >= until:
            break
        found.append(one)
    return found


def moment(text: str) -> str:
    """A time as people write it. Raises Failure."""
    try:
        return time.strftime(_ISO, time.gmtime(calendar.timegm(time.strptime(text, _ISO))))
    except ValueError:
        raise Failure(f"until: expected a time in UTC such as 2026-03-01T14:05:00Z, or latest, found {text}.") from None


def series(version: str) -> tuple[int, int]:
    """Servers of one series understand each other, and a newer one the older."""
    numbers = version.split("-", maxsplit=1)[0].split(".")
    return int(numbers[0]), int(numbers[1])


def position(text: str) -> str:
    """Of a history of MariaDB, the last transaction of each domain."""
    last: dict[str, tuple[int, str]] = {}
    for gtid in filter(None, text.split(",")):
        domain, _server, number = gtid.split("-")
        last[domain] = max(last.get(domain, (0, "")), (int(number), gtid))
    return ",".join(gtid for _number, gtid in last.values())
