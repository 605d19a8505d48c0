# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Statements that MySQL and MariaDB have each their own of.

Sources: the reference manual of MySQL 8.4 (Replication; SQL statements for controlling replicas) and the MariaDB
documentation (Global Transaction ID, CHANGE MASTER TO).
"""

from __future__ import annotations

import abc
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    ACCESS_DENIED,
    CLIENT_ERRORS,
    Client,
    Credentials,
    SqlError,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import BinlogState, GtidSet, History
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Source

# Seconds between two attempts of a replica to connect, and for which `SET read_only` waits for commits.
CONNECT_RETRY = 2
PATIENCE = 5
REPLICATION_USER = "stateful_replication"


class Flavour(abc.ABC):
    """What differs."""

    #: what it says of itself: version, identity, read_only, executed, and purged where it knows
    look: str
    #: asks for all that has been executed, in a form that can be waited for elsewhere
    position: str
    #: variable of a replica that acknowledges, which says that commits are to wait for replicas
    semi_sync: str
    #: variable of the primary that has them wait
    waits: str
    #: all that this takes, with the values that it takes: no time after which a commit goes on without
    waiting: t.ClassVar[t.Mapping[str, str]]
    #: what says that it is so
    waits_now: str
    start_applying: str
    stop_receiving: str

    @abc.abstractmethod
    def history(self, text: str) -> History:
        """Transactions as the server writes them."""

    @abc.abstractmethod
    def source(self, row: t.Mapping[str, t.Any]) -> Source:
        """From whom it replicates, of `SHOW REPLICA STATUS`."""

    @abc.abstractmethod
    def received(self, row: t.Mapping[str, t.Any]) -> History:
        """What it has received, of the same."""

    @abc.abstractmethod
    def attach(self, client: Client, host: str, port: int, credentials: Credentials) -> None:
        """Let a server that has applied all it has received replicate from another one."""

    @abc.abstractmethod
    def log_in_with(self, client: Client, credentials: Credentials) -> bool:
        """Let a replica log in at its source with these from now on; whether it could be done now."""

    @abc.abstractmethod
    def detach(self, client: Client) -> None:
        """Let it replicate from nobody."""

    @abc.abstractmethod
    def let_write(self, client: Client, pod: str, epoch: int) -> None:
        """Write down that it is primary, and let it take writes."""

    @abc.abstractmethod
    def fence(self, client: Client) -> None:
        """Let it take no writes, also after another start. To be followed by release, once clients are sent away."""

    @abc.abstractmethod
    def release(self, client: Client) -> None:
        """End what only lasts as long as clients are to be kept from writing."""

    @abc.abstractmethod
    def wait_for(self, client: Client, position: str, seconds: int) -> bool:
        """Whether it has applied all of that within these seconds."""

    def let_wait(self, client: Client, wait: bool) -> None:
        """Let commits wait for a replica, where that is declared: on the primary, and on nobody else.

        What a replica applies would wait for replicas of its own.
        """
        if self.is_semi_sync(client):
            client.run(f"SET GLOBAL {self.waits} = {int(wait)}")

    def is_semi_sync(self, client: Client) -> bool:
        rows = client.rows("SHOW GLOBAL VARIABLES LIKE %s", self.semi_sync)
        return bool(rows) and str(rows[0]["Value"]).upper() == "ON"

    def commits_wait(self, client: Client) -> bool:
        """Whether each commit of this server waits until a replica has it, for as long as that takes."""
        rows = client.rows("SHOW GLOBAL VARIABLES LIKE %s", "rpl_semi_sync%")
        found = {str(row["Variable_name"]): str(row["Value"]) for row in rows}
        if found.get(self.waits) != "ON" or any(found.get(key) != value for key, value in self.waiting.items()):
            return False
        state = client.rows("SHOW GLOBAL STATUS LIKE %s", self.waits_now)
        return bool(state) and str(state[0]["Value"]) == "ON"

    def note_own(self, client: Client, pod: str, epoch: int) -> None:
        client.run("SET SESSION sql_log_bin = 0")
        try:
            client.rows("REPLACE INTO stateful_kube.own (id, pod, epoch) VALUES (1, %s, %s)", pod, epoch)
        finally:
            client.run("SET SESSION sql_log_bin = 1")

    def forget_own(self, client: Client) -> None:
        client.run("SET SESSION sql_log_bin = 0")
        try:
            client.run("DELETE FROM stateful_kube.own")
        finally:
            client.run("SET SESSION sql_log_bin = 1")

    def disconnect(self, client: Client) -> None:
        """End the connections of clients: they would stay with a server that takes no writes any more."""
        own = {"system user", "event_scheduler", "stateful_health", REPLICATION_USER}
        mine = client.rows("SELECT CONNECTION_ID() AS id")[0]["id"]
        for row in client.rows("SHOW PROCESSLIST"):
            found = {key.lower(): value for key, value in row.items()}
            system = found["user"] in own or str(found["command"]).startswith("Binlog Dump")
            if not system and found["id"] != mine and found["command"] != "Daemon":
                # It may have ended meanwhile.
                _forgiving(client, f"KILL {int(found['id'])}")


# Who has it takes no writes, and no commit of it waits any more: start.sh calls it before the server is told to stop.
# It holds whoever has the right to write to a server that is read-only as well.
_TAKE_NO_WRITES = (
    "CREATE PROCEDURE IF NOT EXISTS stateful_kube.take_no_writes() SQL SECURITY DEFINER "
    "BEGIN SET SESSION lock_wait_timeout = 1; SET GLOBAL super_read_only = 1; END",
    "GRANT EXECUTE ON PROCEDURE stateful_kube.take_no_writes TO 'stateful_health'@'localhost'",
)


class MySQL(Flavour):
    look = (
        "SELECT VERSION() AS version, @@GLOBAL.server_uuid AS identity, @@GLOBAL.read_only AS read_only, "
        "@@GLOBAL.gtid_executed AS executed, @@GLOBAL.gtid_purged AS purged"
    )
    position = "SELECT @@GLOBAL.gtid_executed AS position"
    semi_sync = "rpl_semi_sync_replica_enabled"
    waits = "rpl_semi_sync_source_enabled"
    waiting: t.ClassVar[t.Mapping[str, str]] = {
        "rpl_semi_sync_source_wait_point": "AFTER_SYNC",
        "rpl_semi_sync_source_timeout": "4294967295",
        "rpl_semi_sync_source_wait_no_replica": "ON",
    }
    waits_now = "Rpl_semi_sync_source_status"
    start_applying = "START REPLICA SQL_THREAD"
    stop_receiving = "STOP REPLICA IO_THREAD"

    def history(self, text: str) -> History:
        return GtidSet.parse(text)

    def source(self, row: t.Mapping[str, t.Any]) -> Source:
        return _source(row, "Source", "Replica")

    def received(self, row: t.Mapping[str, t.Any]) -> History:
        return GtidSet.parse(str(row.get("Retrieved_Gtid_Set") or ""))

    def attach(self, client: Client, host: str, port: int, credentials: Credentials) -> None:
        client.run("STOP REPLICA")
        self.let_wait(client, False)
        client.rows(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s, "
            f"SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1, SOURCE_CONNECT_RETRY = {CONNECT_RETRY}, "
            "SOURCE_RETRY_COUNT = 1000000",
            host,
            port,
            credentials.username,
            credentials.password,
            seconds=30.0,
        )
        client.run("START REPLICA")

    def log_in_with(self, client: Client, credentials: Credentials) -> bool:
        # It goes on applying meanwhile, and keeps what it has received.
        client.run("STOP REPLICA IO_THREAD")
        client.rows(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER = %s, SOURCE_PASSWORD = %s",
            credentials.username,
            credentials.password,
            seconds=30.0,
        )
        client.run("START REPLICA")
        return True

    def detach(self, client: Client) -> None:
        client.run("STOP REPLICA", "RESET REPLICA ALL")

    def let_write(self, client: Client, pod: str, epoch: int) -> None:
        # Not even root may write the row before.
        client.run("SET GLOBAL super_read_only = 0")
        self.note_own(client, pod, epoch)
        self._let_stop(client)
        self.let_wait(client, True)
        client.run("SET GLOBAL read_only = 0")

    def _let_stop(self, client: Client) -> None:
        """On this server alone: each one gets it before it takes writes."""
        # A backup may keep everybody from such statements (LOCK INSTANCE FOR BACKUP), which would wait for a year.
        client.run("SET SESSION sql_log_bin = 0", "SET SESSION lock_wait_timeout = 1")
        try:
            for statement in _TAKE_NO_WRITES:
                # Servers that others have made may have no such account, and start.sh does without.
                _forgiving(client, statement)
        finally:
            client.run("SET SESSION lock_wait_timeout = DEFAULT", "SET SESSION sql_log_bin = 1")

    def fence(self, client: Client) -> None:
        client.run(
            f"SET SESSION lock_wait_timeout = {PATIENCE}", "SET GLOBAL read_only = 1", "SET GLOBAL super_read_only = 0"
        )
        self.forget_own(client)
        client.run("SET GLOBAL super_read_only = 1")

    def release(self, client: Client) -> None:
        """Nothing: not even root may write to a server that is super_read_only."""

    def wait_for(self, client: Client, position: str, seconds: int) -> bool:
        found = client.rows(
            "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s) AS waited", position, seconds, seconds=seconds + 5.0
        )
        return bool(found[0]["waited"] == 0)


class MariaDB(Flavour):
    look = (
        "SELECT VERSION() AS version, @@GLOBAL.server_id AS identity, @@GLOBAL.read_only AS read_only, "
        "@@GLOBAL.gtid_binlog_state AS executed, (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE "
        "VARIABLE_NAME = 'UPTIME') AS uptime"
    )
    position = "SELECT @@GLOBAL.gtid_binlog_pos AS position"
    semi_sync = "rpl_semi_sync_slave_enabled"
    waits = "rpl_semi_sync_master_enabled"
    waiting: t.ClassVar[t.Mapping[str, str]] = {
        "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
        "rpl_semi_sync_master_timeout": "18446744073709551615",
        "rpl_semi_sync_master_wait_no_slave": "ON",
    }
    waits_now = "Rpl_semi_sync_master_status"
    start_applying = "START SLAVE SQL_THREAD"
    stop_receiving = "STOP SLAVE IO_THREAD"

    def history(self, text: str) -> History:
        return BinlogState.parse(text)

    def source(self, row: t.Mapping[str, t.Any]) -> Source:
        return _source(row, "Master", "Slave")

    def received(self, row: t.Mapping[str, t.Any]) -> History:
        # With GTIDs it throws its relay logs away when both threads start anew, and asks its source for all again.
        keeps = (row.get("Slave_IO_Running"), row.get("Slave_SQL_Running")) != ("No", "No")
        return BinlogState.position(str(row.get("Gtid_IO_Pos") or "") if keeps else "")

    def attach(self, client: Client, host: str, port: int, credentials: Credentials) -> None:
        self.release(client)
        self.let_wait(client, False)
        # One that was primary has written what no replica position knows of. All of it is in its binary log.
        client.run("STOP SLAVE", "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos")
        client.rows(
            "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s, "
            f"MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = {CONNECT_RETRY}",
            host,
            port,
            credentials.username,
            credentials.password,
            seconds=30.0,
        )
        client.run("START SLAVE")

    def log_in_with(self, client: Client, credentials: Credentials) -> bool:
        client.run("STOP SLAVE IO_THREAD")
        # Both threads have to stop, and then it forgets what it has received and not applied: nothing may be left.
        position = str(client.rows("SHOW SLAVE STATUS")[0].get("Gtid_IO_Pos") or "")
        if not self.wait_for(client, position, PATIENCE):
            client.run("START SLAVE")
            return False
        client.run("STOP SLAVE")
        client.rows(
            "CHANGE MASTER TO MASTER_USER = %s, MASTER_PASSWORD = %s",
            credentials.username,
            credentials.password,
            seconds=30.0,
        )
        client.run("START SLAVE")
        return True

    def detach(self, client: Client) -> None:
        client.run("STOP SLAVE", "RESET SLAVE ALL")

    def let_write(self, client: Client, pod: str, epoch: int) -> None:
        self.release(client)
        self.note_own(client, pod, epoch)
        self.let_wait(client, True)
        client.run("SET GLOBAL read_only = 0")

    def fence(self, client: Client) -> None:
        client.run(f"SET SESSION lock_wait_timeout = {PATIENCE}", "SET GLOBAL read_only = 1")
        self.forget_own(client)
        # Root, and whoever else has READ ONLY ADMIN, may write to a server that is read-only. This holds them as well,
        # for as long as this session has it.
        client.run("FLUSH TABLES WITH READ LOCK")

    def release(self, client: Client) -> None:
        client.run("UNLOCK TABLES")

    def wait_for(self, client: Client, position: str, seconds: int) -> bool:
        if not position:
            return True
        found = client.rows("SELECT MASTER_GTID_WAIT(%s, %s) AS waited", position, seconds, seconds=seconds + 5.0)
        return bool(found[0]["waited"] == 0)


def flavour_of(version: str) -> Flavour:
    """By what a server says of its version."""
    return MariaDB() if "mariadb" in version.lower() else MySQL()


def _source(row: t.Mapping[str, t.Any], source: str, replica: str) -> Source:
    receiver = str(row.get(f"{replica}_IO_Running") or "No")
    receiving, applying = (str(row.get(f"Last_{thread}_Error") or "") for thread in ("IO", "SQL"))
    if receiver == "No" and int(row.get("Last_IO_Errno") or 0) in CLIENT_ERRORS:
        # It had no connection when it was stopped, which is why nobody has taken this back.
        receiving = ""
    lag = row.get(f"Seconds_Behind_{source}")
    return Source(
        host=str(row.get(f"{source}_Host") or ""),
        receiver=receiver,
        applier=str(row.get(f"{replica}_SQL_Running") or "No"),
        lag=None if lag is None else float(lag),
        error="; ".join(error for error in (receiving, applying) if error),
        apply_error=applying,
        denied=receiver != "Yes" and int(row.get("Last_IO_Errno") or 0) in ACCESS_DENIED,
    )


def _forgiving(client: Client, statement: str) -> None:
    try:
        client.run(statement)
    except SqlError:
        return
