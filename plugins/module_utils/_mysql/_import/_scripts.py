# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 (the statements have names of tables in them, which are constants or quoted)
# This file is private to the collection: no promise is made to others who import it.

"""The statements that ask a source, the script that loads its data, and what their answers mean. Pure.

Both run in the target's pod by the clients of its image. What logs in comes by standard input, and reaches a client as
a file that is open for it alone: a command line is there for all to read.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    SYSTEM,
    Outside,
    Wish,
    flavour_name,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import MARIADB

SOCKET = "/run/mysqld/mysqld.sock"
#: who loads holds this lock of the server, so others see that somebody does
LOCK = "stateful_kube.import"
#: what the clients said, in the pod
SAID = "/run/mysqld/stateful-import.log"

_OWN = ", ".join(f"'{schema}'" for schema in SYSTEM)
_VARIABLES = (
    "version",
    "server_id",
    "server_uuid",
    "log_bin",
    "binlog_format",
    "gtid_mode",
    "read_only",
    "binlog_expire_logs_seconds",
    "expire_logs_days",
    "lower_case_table_names",
)
# SHOW VARIABLES cuts these.
_LONG = ("gtid_executed", "gtid_binlog_state", "gtid_binlog_pos")
#: no name of a table
_WHOLE = "."
_OBJECTS = {
    "views": ("views", "table_schema"),
    "routines": ("routines", "routine_schema"),
    "triggers": ("triggers", "trigger_schema"),
    "events": ("events", "event_schema"),
}
OBJECTS = " UNION ALL ".join(
    f"SELECT '{name}' AS name, COUNT(*) AS number FROM information_schema.{table} WHERE {schema} NOT IN ({_OWN})"
    for name, (table, schema) in _OBJECTS.items()
)
DATABASES = f"SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name NOT IN ({_OWN}) ORDER BY 1"
TABLES = (
    "SELECT CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', REPLACE(table_name, '`', '``'), '`') AS name "
    f"FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ({_OWN}) ORDER BY 1"
)
ACCOUNTS = (
    "SELECT CONCAT(user, '@', host) AS name FROM mysql.user WHERE host <> '' AND user NOT IN ('mysql.sys', "
    "'mysql.session', 'mysql.infoschema', 'mariadb.sys') ORDER BY 1"
)

# Some of them only one flavour or version knows: the client goes on behind those.
_ASKED = {
    "variables": "SHOW GLOBAL VARIABLES WHERE Variable_name IN ("
    + ", ".join(f"'{name}'" for name in _VARIABLES)
    + ")"
    + "".join(f";\nSELECT '{name}', @@GLOBAL.{name}" for name in _LONG),
    "grants": "SHOW GRANTS",
    "databases": DATABASES,
    "tables": TABLES,
    "objects": OBJECTS,
    # The last row says that it did not fail.
    "engines": f"SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_type = "
    f"'BASE TABLE' AND engine <> 'InnoDB' AND table_schema NOT IN ({_OWN}) UNION ALL SELECT '{_WHOLE}'",
    "definers": " UNION ".join(
        f"SELECT definer FROM information_schema.{table} WHERE {schema} NOT IN ({_OWN})"
        for table, schema in _OBJECTS.values()
    ),
    "accounts": ACCOUNTS,
    "encrypted": "SHOW SESSION STATUS LIKE 'Ssl_cipher'",
    "log": "SHOW BINARY LOG STATUS;\nSHOW MASTER STATUS",
    "end": "DO 0",
}
LOOK = "".join(f"SELECT '#{name}';\n{statement};\n" for name, statement in _ASKED.items())

# Reads what logs in up to a line with a dot. The rest of the standard input is for the client.
_READ = """\
read_settings() {
    settings=
    while IFS= read -r line && [ "$line" != . ]; do
        settings="$settings$line
"
    done
}
"""
ASK = f"""\
{_READ}\
read_settings
exec "$@" 3<<SETTINGS
$settings
SETTINGS
"""
# Goes on without who has started it. That everything was loaded is the last statement of what is loaded.
LOAD = f"""\
{_READ}\
client=$1
shift
read_settings
source=$settings
read_settings
before=$(while IFS= read -r line && [ "$line" != . ]; do echo "$line"; done)
after=$(cat)
umask 077
rm -f {SAID}
load() {{
    trap '' HUP
    {{
        echo "$before"
        "$@" 3<<SETTINGS || exit
$source
SETTINGS
        echo "$after"
    }} | "$client" --defaults-extra-file=/dev/fd/3 --socket={SOCKET} --batch --max-allowed-packet=1G 3<<SETTINGS
$settings
SETTINGS
    echo "ended with $?"
}}
(exec >{SAID} 2>&1 </dev/null; load "$@") &
"""


def client(flavour: str) -> str:
    return "mariadb" if flavour == MARIADB else "mysql"


def settings(credentials: Credentials, flavour: str, wish: t.Optional[Wish] = None) -> str:
    """What a client reads of how to log in: to the source where one is given, else to the server of the pod."""
    lines = ["[client]", f"user={_quoted(credentials.username)}", f"password={_quoted(credentials.password)}"]
    if wish:
        lines += [f"host={_quoted(wish.host)}", f"port={wish.port}", "protocol=tcp"]
        if wish.require_tls:
            lines += ["ssl", "ssl-verify-server-cert=0"] if flavour == MARIADB else ["ssl-mode=REQUIRED"]
        elif flavour != MARIADB:
            lines.append("get-server-public-key")
    return "".join(f"{line}\n" for line in [*lines, "."])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ask_command(flavour: str) -> list[str]:
    options = ["--defaults-extra-file=/dev/fd/3", "--connect-timeout=10", "--batch", "--skip-column-names", "--force"]
    return ["sh", "-c", ASK, "ask", client(flavour), *options]


def load_command(flavour: str, wish: Wish, outside: Outside) -> list[str]:
    program = "mariadb-dump" if flavour == MARIADB else "mysqldump"
    options = [
        "--lock-all-tables" if wish.lock_tables else "--single-transaction",
        *("--quick", "--routines", "--events", "--triggers", "--hex-blob", "--max-allowed-packet=1G"),
        *("--default-character-set=utf8mb4", "--no-tablespaces"),
    ]
    if flavour == MARIADB:
        options += ["--master-data=1", "--gtid"] if wish.replicate else []
    else:
        # With GTIDs the statement for a position would be in the way of finding it by itself.
        position = "--source-data=2" if outside.gtids else "--source-data=1"
        purged = "--set-gtid-purged=ON" if wish.replicate and outside.gtids else "--set-gtid-purged=OFF"
        options += [position, purged] if wish.replicate else [purged]
    dump = [program, "--defaults-extra-file=/dev/fd/3", *options, "--databases", *outside.databases]
    return ["sh", "-c", LOAD, "load", client(flavour), *dump]


def load_input(flavour: str, wish: Wish, outside: Credentials, root: Credentials) -> str:
    before = [
        f"SET @sql = IF(GET_LOCK('{LOCK}', 0) = 1, 'DO 0', 'SELECT * FROM stateful_kube.somebody_else_loads');",
        "PREPARE ask FROM @sql;",
        "EXECUTE ask;",
        "SET SESSION sql_log_bin = 0, wait_timeout = 604800, net_read_timeout = 86400;",
    ]
    after = ["SET SESSION sql_log_bin = 0;"]
    if flavour == MARIADB and wish.replicate:
        # Copies of this server ask it where they go on. One variable set to the other in one statement blocks a server.
        after += ["SET @position = @@GLOBAL.gtid_slave_pos;", "SET GLOBAL gtid_binlog_state = @position;"]
    after += ["UPDATE stateful_kube.imported SET loaded = 1;"]
    if flavour != MARIADB:
        after += ["SET GLOBAL super_read_only = 1;"]
    sections = ["".join(f"{line}\n" for line in (*before, ".")), "".join(f"{line}\n" for line in after)]
    return settings(outside, flavour, wish) + settings(root, flavour) + "".join(sections)


def parse_look(out: str, err: str, username: str) -> Outside:
    """What a source has answered to LOOK."""
    sections: dict[str, list[list[str]]] = {}
    for line in out.splitlines():
        if line.startswith("#") and line[1:] in _ASKED:
            sections[line[1:]] = []
        elif sections:
            sections[next(reversed(sections))].append(line.split("\t"))
    lines = [line for line in err.splitlines() if line.strip() and "[Warning]" not in line]
    if set(sections) != set(_ASKED) or not sections["variables"]:
        return Outside(silence=lines[0] if lines else "its answer breaks off")
    lacks = _lacks(sections)
    if lacks:
        return Outside(silence=f"its answer lacks {', '.join(lacks)}: {' '.join(lines)[-600:] or 'no reason known'}")
    names = {name: tuple(row[0] for row in rows) for name, rows in sections.items()}
    log = next((row for row in sections["log"] if len(row) > 1), None)
    return Outside(
        # In a set of transactions the line break means nothing.
        variables={row[0]: (row[1:] or [""])[0].replace("\\n", "") for row in sections["variables"]},
        rights=rights(names["grants"]),
        databases=names["databases"],
        tables=names["tables"],
        objects={row[0]: int(row[1]) for row in sections["objects"]},
        other_engines=tuple(sorted(name for name in names["engines"] if name != _WHOLE)),
        definers=names["definers"],
        accounts=tuple(name for name in names["accounts"] if name.rpartition("@")[0] != username),
        encrypted=any(len(row) > 1 and row[1] for row in sections["encrypted"]),
        log=f"{log[0]}:{log[1]}" if log else "",
    )


def _lacks(sections: t.Mapping[str, list[list[str]]]) -> list[str]:
    """What is not to be taken for nothing where it is missing."""
    variables = {row[0]: row[-1] for row in sections["variables"]}
    if flavour_name(variables.get("version", "")) == MARIADB:
        needed = ["gtid_binlog_state", "gtid_binlog_pos"]
    else:
        needed = ["gtid_executed"] if variables.get("gtid_mode", "").upper() == "ON" else []
    lacks = [name for name in ("version", *needed) if name not in variables]
    if {row[0] for row in sections["objects"]} != set(_OBJECTS):
        lacks.append("the numbers of views, routines, triggers and events")
    if [_WHOLE] not in sections["engines"]:
        lacks.append("the tables that are not of InnoDB")
    return lacks


def rights(grants: t.Iterable[str]) -> frozenset[str]:
    """The rights on everything. Nothing else of these lines is kept: MariaDB's hold the digest of the password."""
    found: set[str] = set()
    for line in grants:
        granted = re.match(r"GRANT (.+?) ON \*\.\* TO ", line)
        if granted:
            found.update(right.strip().upper() for right in granted.group(1).split(","))
    return frozenset(found)
