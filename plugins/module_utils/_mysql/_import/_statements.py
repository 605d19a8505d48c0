# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Statements of an import that MySQL and MariaDB each have their own of.

Sources: the reference manual of MySQL 8.4 (CHANGE REPLICATION SOURCE TO, CHANGE REPLICATION FILTER) and the MariaDB
documentation (CHANGE MASTER TO, Replication Filters).
"""

from __future__ import annotations

import abc

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Client, Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import CONNECT_RETRY, Flavour
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import Outside, Wish, series
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import MARIADB

#: what a source has and is not brought in; start.sh says the same to a server that starts meanwhile
IGNORED = ("mysql.%", "sys.%", "stateful_kube.%")
STOP_WITHIN = 60.0


class ImportFlavour(abc.ABC):
    def __init__(self, general: Flavour) -> None:
        self._general = general

    @abc.abstractmethod
    def begin_anew(self, client: Client, version: str) -> None:
        """Forget all transactions, and be writable for root."""

    @abc.abstractmethod
    def follow(self, client: Client, wish: Wish, credentials: Credentials, outside: Outside, tls: bool) -> None:
        """Replicate from the source, from where the dump was made."""

    @abc.abstractmethod
    def resume(self, client: Client, credentials: Credentials) -> None:
        """Go on from where it stopped, with this user and password."""

    @abc.abstractmethod
    def stop(self, client: Client) -> None:
        """Apply nothing more, and be a server that ignores nothing again."""

    @abc.abstractmethod
    def open(self, client: Client) -> None:
        """Let root write, although the server is read-only."""

    def wait_for(self, client: Client, outside: Outside, seconds: int) -> bool:
        """Whether all was applied within these seconds that the source had written."""
        return self._general.wait_for(client, outside.position, seconds)


class ImportMySQL(ImportFlavour):
    def begin_anew(self, client: Client, version: str) -> None:
        self.open(client)
        client.run("RESET BINARY LOGS AND GTIDS" if series(version) >= (8, 2) else "RESET MASTER")

    def open(self, client: Client) -> None:
        client.run("SET GLOBAL super_read_only = 0")

    def follow(self, client: Client, wish: Wish, credentials: Credentials, outside: Outside, tls: bool) -> None:
        if outside.gtids:
            where, values = "SOURCE_AUTO_POSITION = 1", []
        else:
            # The dump has said it. A server without a source shows it nowhere else.
            row = client.rows(
                "SELECT Master_log_name AS file, Master_log_pos AS position FROM mysql.slave_master_info "
                "WHERE Channel_name = ''"
            )[0]
            values = [row["file"], row["position"]]
            where = (
                "SOURCE_AUTO_POSITION = 0, SOURCE_LOG_FILE = %s, SOURCE_LOG_POS = %s, "
                "ASSIGN_GTIDS_TO_ANONYMOUS_TRANSACTIONS = LOCAL"
            )
        self._ignore(client)
        client.rows(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s, "
            f"SOURCE_SSL = {int(tls)}, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = {CONNECT_RETRY}, "
            f"SOURCE_RETRY_COUNT = 1000000, {where}",
            *(wish.host, wish.port, credentials.username, credentials.password, *values),
            seconds=STOP_WITHIN,
        )
        client.run("START REPLICA")

    def resume(self, client: Client, credentials: Credentials) -> None:
        client.run("STOP REPLICA", seconds=STOP_WITHIN)
        self._ignore(client)
        client.rows(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER = %s, SOURCE_PASSWORD = %s",
            *(credentials.username, credentials.password),
            seconds=STOP_WITHIN,
        )
        client.run("START REPLICA")

    def stop(self, client: Client) -> None:
        client.run("STOP REPLICA", "CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ()", seconds=STOP_WITHIN)

    def wait_for(self, client: Client, outside: Outside, seconds: int) -> bool:
        if outside.gtids:
            return super().wait_for(client, outside, seconds)
        file, _colon, position = outside.position.rpartition(":")
        found = client.rows(
            "SELECT SOURCE_POS_WAIT(%s, %s, %s) AS waited", file, int(position), seconds, seconds=seconds + 5.0
        )
        waited = found[0]["waited"]
        return waited is not None and int(waited) >= 0

    @staticmethod
    def _ignore(client: Client) -> None:
        ignored = ", ".join(f"'{pattern}'" for pattern in IGNORED)
        client.run(f"CHANGE REPLICATION FILTER REPLICATE_WILD_IGNORE_TABLE = ({ignored})")


class ImportMariaDB(ImportFlavour):
    def begin_anew(self, client: Client, version: str) -> None:
        client.run("RESET MASTER", "SET GLOBAL gtid_slave_pos = ''")

    def open(self, client: Client) -> None:
        """Nothing: root may write to a server that is read-only."""

    def follow(self, client: Client, wish: Wish, credentials: Credentials, outside: Outside, tls: bool) -> None:
        self._ignore(client)
        client.rows(
            "CHANGE MASTER TO MASTER_HOST = %s, MASTER_PORT = %s, MASTER_USER = %s, MASTER_PASSWORD = %s, "
            f"MASTER_SSL = {int(tls)}, MASTER_SSL_VERIFY_SERVER_CERT = 0, MASTER_USE_GTID = slave_pos, "
            f"MASTER_CONNECT_RETRY = {CONNECT_RETRY}",
            *(wish.host, wish.port, credentials.username, credentials.password),
            seconds=STOP_WITHIN,
        )
        client.run("START SLAVE")

    def resume(self, client: Client, credentials: Credentials) -> None:
        client.run("STOP SLAVE", seconds=STOP_WITHIN)
        self._ignore(client)
        client.rows(
            "CHANGE MASTER TO MASTER_USER = %s, MASTER_PASSWORD = %s",
            *(credentials.username, credentials.password),
            seconds=STOP_WITHIN,
        )
        client.run("START SLAVE")

    def stop(self, client: Client) -> None:
        # What was ignored is in the position and not in the binary log. Copies of this server rest on both.
        client.run(
            "STOP SLAVE",
            "SET GLOBAL replicate_wild_ignore_table = ''",
            "SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos",
            seconds=STOP_WITHIN,
        )

    @staticmethod
    def _ignore(client: Client) -> None:
        client.run(f"SET GLOBAL replicate_wild_ignore_table = '{','.join(IGNORED)}'")


def import_flavour(name: str, general: Flavour) -> ImportFlavour:
    return ImportMariaDB(general) if name == MARIADB else ImportMySQL(general)
