# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Accounts and what they may do, as statements that add them where they are not there yet."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB

#: of the server, and those that the role makes
_OWN = (
    "mariadb.sys",
    "mysql.infoschema",
    "mysql.session",
    "mysql.sys",
    "root",
    "stateful_donor",
    "stateful_health",
    "stateful_replication",
)
_DEFAULT_ROLE = re.compile(r" DEFAULT ROLE ((?:`(?:[^`]|``)+`@`(?:[^`]|``)*`,?)+)")
# In a GRANT of MariaDB. Whoever is there keeps his password.
_PASSWORD = re.compile(r" IDENTIFIED (?:BY PASSWORD|VIA) .*?(?= REQUIRE | WITH |$)")


def read(server: Server, root: str) -> list[str]:
    """The statements, in an order in which they can be run."""
    maria = server.flavour == MARIADB
    every = "SELECT user AS u, host AS h, is_role AS r FROM mysql.user"
    found = server.ask(every if maria else every.replace(", is_role AS r", ""))
    rows = [row for row in found if row["u"] not in (*_OWN, root)]
    made: list[str] = []
    granted: list[str] = []
    at_last: list[str] = []
    for row in sorted(rows, key=lambda row: (row.get("r") != "Y", str(row["u"]), str(row["h"]))):
        name = _text(row["u"])
        if row.get("r") == "Y":
            if row["u"] != "PUBLIC":
                made.append(f"CREATE ROLE IF NOT EXISTS {name}")
        else:
            name = f"{name}@{_text(row['h'])}"
            if not maria:
                server.ask("SET SESSION print_identified_with_as_hex = 1")
            statement, roles = created(_first(server, f"SHOW CREATE USER {name}"))
            made.append(statement)
            at_last += [f"ALTER USER {name} DEFAULT ROLE {roles}"] if roles else []
        who = "PUBLIC" if row["u"] == "PUBLIC" and maria else name
        for said in server.ask(f"SHOW GRANTS FOR {who}"):
            statement = str(next(iter(said.values())))
            (at_last if statement.startswith("SET ") else granted).append(without_password(statement))
    return [*made, *granted, *at_last]


def created(statement: str) -> tuple[str, str]:
    """The statement that makes a user who is not there yet, and his default roles, which have to be there before."""
    found = _DEFAULT_ROLE.search(statement)
    return _DEFAULT_ROLE.sub("", statement).replace("CREATE USER ", "CREATE USER IF NOT EXISTS ", 1), (
        found[1] if found else ""
    )


def without_password(statement: str) -> str:
    return _PASSWORD.sub("", statement)


def whose(statement: str) -> str:
    """As much of a statement as may be shown."""
    found = re.search(r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*')@(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.)*')", statement)
    return f"{statement.split(' ', maxsplit=1)[0]} … {found[0] if found else ''}".strip()


def dump(statements: t.Iterable[str]) -> bytes:
    return "".join(f"{one};\n" for one in statements).encode()


def load(data: bytes) -> list[str]:
    return [one for one in data.decode().split(";\n") if one.strip()]


def _first(server: Server, statement: str) -> str:
    return str(next(iter(server.ask(statement)[0].values())))


def _text(value: t.Any) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
