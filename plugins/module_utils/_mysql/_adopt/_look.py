# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks one server what an adoption has to know of it."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import HEALTH, WARN, Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Client
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link

_WATCHED = (
    "SELECT TIMESTAMPDIFF(MICROSECOND, set_time, NOW(6)) / 1000000 AS watched, set_time FROM "
    "performance_schema.variables_info WHERE variable_name = 'enforce_gtid_consistency'"
)
_VIOLATIONS = (
    "SELECT DISTINCT data FROM performance_schema.error_log WHERE data LIKE '%%violates GTID consistency%%' "
    "AND (%s IS NULL OR logged >= %s) LIMIT 20"
)
_OPEN = (
    "SELECT CONCAT(user, '@', host) AS name FROM mysql.user WHERE authentication_string = '' AND account_locked = 'N' "
    "AND plugin IN ('caching_sha2_password', 'mysql_native_password', 'sha256_password') "
    "AND user <> 'stateful_health' ORDER BY 1 LIMIT 20"
)
_TABLES = (
    "SELECT CONCAT(table_schema, '.', table_name) AS name FROM information_schema.tables WHERE table_type = "
    "'BASE TABLE' AND engine <> 'InnoDB' AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', "
    "'information_schema', 'stateful_kube') ORDER BY 1 LIMIT 20"
)
_SETTINGS = (
    "SELECT i.variable_name AS name, v.variable_value AS value FROM performance_schema.variables_info i JOIN "
    "performance_schema.global_variables v USING (variable_name) WHERE i.variable_source IN "
    "('GLOBAL', 'SERVER', 'EXPLICIT', 'EXTRA', 'USER', 'LOGIN', 'COMMAND_LINE') ORDER BY 1"
)


def look(link: Link, user: str) -> Server:
    """``user``: of the Secret of root. Raises NoAnswer and SqlError."""
    client = link.client
    version = str(client.rows("SELECT VERSION() AS version")[0]["version"])
    server = Server(version)
    if server.is_mariadb or server.numbers < (8, 4):
        return server
    said = client.rows(
        "SELECT @@GLOBAL.server_id AS id, @@GLOBAL.gtid_mode AS mode, @@GLOBAL.log_bin AS log_bin, "
        "@@GLOBAL.enforce_gtid_consistency AS consistency, @@GLOBAL.log_replica_updates AS updates, "
        "@@GLOBAL.datadir AS datadir, @@GLOBAL.log_bin_basename AS binlog"
    )[0]
    status = next((row for row in client.rows("SHOW REPLICA STATUS") if row.get("Source_Host")), {})
    watched, violations = _watched(client) if said["consistency"] == WARN else (0.0, ())
    return Server(
        version=version,
        server_id=int(said["id"]),
        gtid_mode=str(said["mode"]),
        consistency=str(said["consistency"]),
        by_argument=bool(
            client.rows(
                "SELECT 1 FROM performance_schema.variables_info WHERE variable_name IN ('gtid_mode', "
                "'enforce_gtid_consistency') AND variable_source = 'COMMAND_LINE'"
            )
        ),
        watched=watched,
        violations=violations,
        anonymous=_anonymous(client),
        logs=bool(said["log_bin"]) and bool(said["updates"]),
        source_identity=str(status.get("Source_UUID") or ""),
        source_user=str(status.get("Source_User") or ""),
        auto_position=str(status.get("Auto_Position", "0")) == "1",
        accounts=frozenset(
            str(row["user"])
            for row in client.rows(
                "SELECT user FROM mysql.user WHERE (user, host) IN ((%s, '%%'), (%s, '%%'), (%s, 'localhost'))",
                user,
                REPLICATION_USER,
                HEALTH,
            )
        ),
        table=bool(
            client.rows(
                "SELECT 1 FROM information_schema.tables WHERE table_schema = 'stateful_kube' AND table_name = 'own'"
            )
        ),
        open_accounts=_names(client, _OPEN),
        tables=_names(client, _TABLES),
        datadir=str(said["datadir"]),
        binlog=str(said["binlog"] or "").rpartition("/")[2],
        settings={str(row["name"]): str(row["value"]) for row in client.rows(_SETTINGS)},
    )


def position(client: Client) -> tuple[str, int]:
    """Where the server's binary log ends."""
    row = client.rows("SHOW BINARY LOG STATUS")[0]
    return str(row["File"]), int(row["Position"])


def has_reached(client: Client, at: tuple[str, int], seconds: int) -> bool:
    """Whether a replica has applied its source's binary log up to there."""
    found = client.rows("SELECT SOURCE_POS_WAIT(%s, %s, %s) AS waited", *at, seconds, seconds=seconds + 5.0)
    waited = found[0]["waited"]
    return waited is not None and int(waited) >= 0


def _watched(client: Client) -> tuple[float, tuple[str, ...]]:
    row = client.rows(_WATCHED)[0]
    # One that has it from its files has warned for as long as it runs.
    since = row["set_time"]
    found = tuple(str(each["data"]) for each in client.rows(_VIOLATIONS, since, since))
    if since is None:
        return float(client.rows("SHOW GLOBAL STATUS LIKE 'Uptime'")[0]["Value"]), found
    return float(row["watched"]), found


def _anonymous(client: Client) -> int:
    rows = client.rows("SHOW GLOBAL STATUS LIKE 'Ongoing_anonymous_transaction_count'")
    return int(rows[0]["Value"]) if rows else 0


def _names(client: Client, statement: str) -> tuple[str, ...]:
    return tuple(str(row["name"]) for row in client.rows(statement))
