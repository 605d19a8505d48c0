# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a backup or a restore asks of one server."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Table
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._programs import LOCK
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    CHANGE_TIMEOUT,
    Client,
    NoAnswer,
    SqlError,
    noted,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB, GtidSet

#: those of the server, and of this collection
OWN_DATABASES = ("information_schema", "mysql", "ndbinfo", "performance_schema", "stateful_kube", "sys")
# What the server says of an event that is not there.
NO_SUCH_EVENT = 1539
# Seconds for what takes as long as it takes: counting, dropping.
LONG = 12 * 3600.0
# Entries of a binary log that are read at once.
PAGE = 1000
_MYSQL_GTID = re.compile(r"GTID_NEXT= '([^']+)'")
_MARIADB_GTID = re.compile(r"\bGTID (\d+-\d+-\d+)")


@dataclasses.dataclass(frozen=True)
class Log:
    """A file of the binary log."""

    name: str
    size: int
    encrypted: bool = False


class Server:
    """Its session may have ended since it was last asked. Raises NoAnswer and SqlError."""

    def __init__(self, client: Client, flavour: str) -> None:
        self.flavour = flavour
        self._client = client

    def ask(self, statement: str, *values: t.Any, seconds: float = CHANGE_TIMEOUT) -> list[dict[str, t.Any]]:
        """Asked once more where the session is gone: only for what may be done twice."""
        try:
            return self._client.rows(statement, *values, seconds=seconds)
        except NoAnswer:
            return self._client.rows(statement, *values, seconds=seconds)

    def databases(self) -> tuple[str, ...]:
        """Those of the user."""
        rows = self.ask("SHOW DATABASES")
        return tuple(sorted(name for row in rows if (name := str(row["Database"])) not in OWN_DATABASES))

    def size(self) -> int:
        """Bytes of data, about."""
        found = self.ask("SELECT SUM(data_length) AS bytes FROM information_schema.tables", seconds=LONG)
        return int(found[0]["bytes"] or 0)

    def now(self) -> str:
        """By its own clock, in UTC."""
        found = self.ask("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ') AS now")
        return str(found[0]["now"])

    def without_transactions(self, databases: t.Sequence[str]) -> list[str]:
        """Tables whose content no snapshot holds still."""
        rows = self.ask(
            "SELECT table_schema AS d, table_name AS n FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND engine NOT IN ('InnoDB', 'ROCKSDB', 'BLACKHOLE') ORDER BY 1, 2",
            seconds=LONG,
        )
        return [f"{row['d']}.{row['n']}" for row in rows if row["d"] in databases]

    def sleeping_events(self, databases: t.Sequence[str]) -> tuple[tuple[str, str], ...]:
        """Those that only the primary runs, as a replica knows them."""
        rows = self.ask(
            "SELECT event_schema AS d, event_name AS n FROM information_schema.events "
            "WHERE status IN ('SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED') ORDER BY 1, 2"
        )
        return tuple((str(row["d"]), str(row["n"])) for row in rows if row["d"] in databases)

    def runs_events(self) -> bool:
        return str(self.ask("SELECT @@GLOBAL.event_scheduler AS s")[0]["s"]).upper() in ("ON", "1")

    def enable(self, events: t.Iterable[tuple[str, str]]) -> None:
        """Those that a replica knew as asleep: this is the primary."""
        for database, name in events:
            try:
                self.ask(f"ALTER EVENT {quoted(database)}.{quoted(name)} ENABLE")
            except SqlError as error:
                # The list is younger than the backup: this one was made meanwhile.
                if error.code != NO_SUCH_EVENT:
                    raise

    def logs(self) -> list[Log]:
        """Files of the binary log, the one that is being written last."""
        encrypted = False
        if self.flavour == MARIADB:
            encrypted = bool(int(self.ask("SELECT @@GLOBAL.encrypt_binlog AS encrypted")[0]["encrypted"]))
        return [
            Log(str(row["Log_name"]), int(row["File_size"]), encrypted or row.get("Encrypted") == "Yes")
            for row in self.ask("SHOW BINARY LOGS")
        ]

    def log_folder(self) -> str:
        return str(self.ask("SELECT @@GLOBAL.log_bin_basename AS base")[0]["base"]).rpartition("/")[0]

    def history_at(self, log: str, until: int = 0) -> str:
        """All that was committed before this place in the binary log; by default, before its beginning."""
        # A copy begins its binary log behind what it was copied with, and what is purged is before every file that is
        # there. Asked first, because more may be purged meanwhile.
        purged = ""
        if self.flavour != MARIADB:
            purged = str(self.ask("SELECT @@GLOBAL.gtid_purged AS purged")[0]["purged"])
        begun, place = purged, 4
        gtids: list[str] = []
        while True:
            rows = self.ask(f"SHOW BINLOG EVENTS IN %s FROM {place} LIMIT {PAGE if until else 4}", log)
            for row in rows:
                if until and int(row["Pos"]) >= until:
                    return history(self.flavour, begun, gtids)
                kind, said = str(row["Event_type"]), str(row["Info"])
                if kind in ("Previous_gtids", "Gtid_list"):
                    begun = f"{said},{purged}" if purged else said
                elif kind.startswith("Gtid"):
                    gtids.append(said)
                place = int(row["End_log_pos"])
            if not until or len(rows) < PAGE:
                return history(self.flavour, begun, gtids if until else [])

    def executed(self) -> str:
        """All that it has, and may hand on."""
        name = "gtid_binlog_state" if self.flavour == MARIADB else "gtid_executed"
        return str(self.ask(f"SELECT @@GLOBAL.{name} AS executed")[0]["executed"]).replace("\n", "")

    def far(self) -> t.Optional[tuple[str, str]]:
        """What was loaded last, and how far this server was at the end of that; None where none has ended."""
        row = noted(self.ask, "SELECT begun, executed FROM stateful_kube.restored")
        return (str(row["begun"]), str(row["executed"])) if row else None

    def unlogged(self, statement: str) -> None:
        """For this server alone."""
        self._client.run("SET SESSION sql_log_bin = 0")
        try:
            self._client.run(statement)
        finally:
            self._client.run("SET SESSION sql_log_bin = 1")

    def loading(self) -> t.Optional[int]:
        """The session that loads; it may be one that a killed run has left."""
        found = self.ask("SELECT IS_USED_LOCK(%s) AS id", LOCK)[0]["id"]
        return None if found is None else int(found)

    def drop(self, database: str) -> None:
        """Tables of other databases may refer to its own."""
        drop = f"DROP DATABASE IF EXISTS {quoted(database)}"
        try:
            self._without_references(drop)
        except NoAnswer:
            self._without_references(drop)

    def _without_references(self, statement: str) -> None:
        # In one session, which ends with the first of them that gets no answer.
        self._client.run("SET SESSION foreign_key_checks = 0")
        try:
            self._client.run(statement, seconds=LONG)
        finally:
            self._client.run("SET SESSION foreign_key_checks = 1")

    def rows_of(self, table: Table) -> t.Optional[int]:
        name = f"{quoted(table.database)}.{quoted(table.name)}"
        return int(self.ask(f"SELECT COUNT(*) AS n FROM {name}", seconds=LONG)[0]["n"])  # noqa: S608


def history(flavour: str, begun: str, gtids: t.Sequence[str]) -> str:
    """What a binary log begins with, and the transactions in it, as one history. Pure."""
    if flavour != MARIADB:
        found = [gtid[1] for said in gtids if (gtid := _MYSQL_GTID.search(said))]
        return str(GtidSet.parse(",".join([begun.replace("\n", ""), *found])))
    last: dict[tuple[str, str], str] = {}
    listed = filter(None, begun.strip("[]").replace(" ", "").split(","))
    for one in (*listed, *(known[1] for said in gtids if (known := _MARIADB_GTID.search(said)))):
        domain, server, _number = one.split("-")
        last[domain, server] = one
    return ",".join(last[key] for key in sorted(last))


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
