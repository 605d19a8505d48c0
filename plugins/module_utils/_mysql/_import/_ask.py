# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S608 (the names of tables that stand in statements are quoted)
# This file is private to the collection: no promise is made to others who import it.

"""Asks both servers: the target through its tunnel, the source by the client in the target's pod."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import Executed, execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Client, Credentials, noted
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _scripts as scripts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    Local,
    Marker,
    Outside,
    Wish,
    flavour_name,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer

#: seconds that a source may take to answer what is asked of it in every run
ASK_WITHIN = 120.0
#: seconds that a table may take to be counted
COUNT_WITHIN = 7200.0
LINES_OF_ERROR = 6


def local(client: Client) -> Local:
    """Raises NoAnswer and SqlError."""
    said = client.rows(
        "SELECT VERSION() AS version, @@GLOBAL.server_id AS id, @@GLOBAL.lower_case_table_names AS lower_case, "
        f"IS_USED_LOCK('{scripts.LOCK}') AS loader"
    )[0]
    return Local(
        version=str(said["version"]),
        server_id=int(said["id"]),
        lower_case=str(said["lower_case"]),
        databases=_names(client, scripts.DATABASES),
        tables=len(_names(client, scripts.TABLES)),
        accounts=_names(client, scripts.ACCOUNTS),
        marker=_marker(client),
        loader=int(said["loader"] or 0),
    )


def _names(client: Client, statement: str) -> tuple[str, ...]:
    return tuple(_text(row["name"]) for row in client.rows(statement))


def _text(value: t.Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _marker(client: Client) -> t.Optional[Marker]:
    row = noted(client.rows, "SELECT source, position, events, loaded FROM stateful_kube.imported")
    if row is None:
        return None
    return Marker(str(row["source"]), bool(row["loaded"]), str(row["position"]), str(row["events"]))


class Asker:
    """The source, from the pod of the target."""

    def __init__(self, observer: Observer, wish: Wish) -> None:
        self._observer = observer
        self._wish = wish
        self._credentials: t.Optional[Credentials] = None

    def credentials(self) -> Credentials:
        """Of the source. Raises Failure."""
        if self._credentials is None:
            name = self._wish.secret
            found = self._observer.login(name, "source_secret") if name else None
            if found is None:
                raise Failure(
                    f"source_secret: expected the name of a Secret in namespace {self._observer.target.namespace} with "
                    f"the keys username and password; found {'no Secret ' + name if name else 'nothing'}. Make it, or "
                    "name another one."
                )
            self._credentials = found
        return self._credentials

    def look(self, pod: str, version: str) -> Outside:
        done = self.run(pod, version, scripts.LOOK)
        return scripts.parse_look(done.stdout, done.stderr, self.credentials().username)

    def run(self, pod: str, version: str, statements: str, timeout: float = ASK_WITHIN) -> Executed:
        flavour = flavour_name(version)
        given = scripts.settings(self.credentials(), flavour, self._wish) + statements
        return self._execute(pod, scripts.ask_command(flavour), given, timeout)

    def start_load(self, pod: str, version: str, outside: Outside) -> None:
        root = self._observer.login(self._observer.target.root_secret, "root_secret")
        if root is None:
            raise NotYet(f"the Secret {self._observer.target.root_secret} is gone")
        flavour = flavour_name(version)
        command = scripts.load_command(flavour, self._wish, outside)
        done = self._execute(pod, command, scripts.load_input(flavour, self._wish, self.credentials(), root))
        if done.rc:
            raise NotYet(f"the load could not be started in {pod} ({done.stderr.strip()[-300:]})")

    def load_ended(self, pod: str) -> str:
        """What the clients said that loaded; empty while they go on."""
        done = self._execute(pod, ["cat", scripts.SAID], None)
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        if not lines or not lines[-1].startswith("ended with"):
            return ""
        return " ".join(lines[:-1][-LINES_OF_ERROR:]) or lines[-1]

    def counts(self, pod: str, version: str, tables: t.Sequence[str]) -> dict[str, int]:
        statements = "".join(f"SELECT {number}, COUNT(*) FROM {table};\n" for number, table in enumerate(tables))
        done = self.run(pod, version, statements, COUNT_WITHIN)
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        found = {tables[int(row[0])]: int(row[1]) for row in rows if len(row) == 2}
        if len(found) != len(tables):
            raise NotYet(f"{self._wish.source} did not count all rows ({done.stderr.strip()[-300:]})")
        return found

    def _execute(self, pod: str, command: t.Sequence[str], stdin: t.Optional[str], timeout: float = 30.0) -> Executed:
        observer = self._observer
        return execute(observer.cluster, observer.target.namespace, pod, command, stdin=stdin, timeout=timeout)


def counted(client: Client, tables: t.Sequence[str]) -> dict[str, int]:
    """Raises NoAnswer and SqlError."""
    return {
        table: int(client.rows(f"SELECT COUNT(*) AS number FROM {table}", seconds=COUNT_WITHIN)[0]["number"])
        for table in tables
    }


def objects(client: Client) -> dict[str, int]:
    return {_text(row["name"]): int(row["number"]) for row in client.rows(scripts.OBJECTS)}


def tables(client: Client) -> tuple[str, ...]:
    return _names(client, scripts.TABLES)
