# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Reads along what mysqldump or mariadb-dump writes: where it is in the binary log, and what is in it. Pure."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Table

_POSITION = re.compile(rb"-- CHANGE (?:MASTER|REPLICATION SOURCE) TO \w+_LOG_FILE='([^']+)', \w+_LOG_POS=(\d+);")
_USE = re.compile(rb"USE (`(?:[^`]|``)+`);")
_FILLED = re.compile(rb"LOCK TABLES (`(?:[^`]|``)+`) WRITE;")
_INSERT = re.compile(rb"INSERT INTO `(?:[^`]|``)+` (?:\((?:`(?:[^`]|``)+`(?:, )?)+\) )?VALUES ?")
_TEXT = re.compile(rb"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'", re.DOTALL)
# How a server writes down what a view selects depends on where it was told.
_VIEW = re.compile(rb"/\*!50001 VIEW `(?:[^`]|``)+` AS ")
_END = b"-- Dump completed"


class Census:
    """Give it the bytes as they come, and close it."""

    def __init__(self) -> None:
        #: file and position in the binary log, as soon as they are known
        self.position: t.Optional[tuple[str, int]] = None
        self.tables: list[Table] = []
        self._rest: list[bytes] = []
        self._last = b""
        self._database = ""
        self._table = ""
        self._rows = 0
        self._content = hashlib.sha256()
        self._structure = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        lines = data.split(b"\n")
        if len(lines) > 1:
            self._line(b"".join([*self._rest, lines[0]]))
            for line in lines[1:-1]:
                self._line(line)
            self._rest = []
        self._rest.append(lines[-1])

    def close(self) -> None:
        self.feed(b"\n")

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self._last.startswith(_END)

    @property
    def structure(self) -> str:
        return self._structure.hexdigest()

    def _line(self, line: bytes) -> None:
        if line.strip():
            self._last = line
        if self._table:
            self._filling(line)
            return
        if not line.startswith(b"--"):
            view = _VIEW.match(line)
            self._structure.update((view[0] if view else line) + b"\n")
        elif self.position is None and (found := _POSITION.match(line)):
            self.position = (found[1].decode(), int(found[2]))
        if found := _USE.fullmatch(line):
            self._database = _name(found[1])
        elif found := _FILLED.fullmatch(line):
            self._table, self._rows, self._content = _name(found[1]), 0, hashlib.sha256()

    def _filling(self, line: bytes) -> None:
        if line == b"UNLOCK TABLES;":
            self.tables.append(Table(self._database, self._table, self._rows, self._content.hexdigest()))
            self._table = ""
            return
        # MariaDB gives each row a line of its own.
        found = _INSERT.match(line)
        rows = line[found.end() :] if found else line
        if found or rows.startswith(b"("):
            self._content.update(line + b"\n")
        if rows.startswith(b"("):
            self._rows += _TEXT.sub(b"", rows).count(b"),(") + 1


def _name(quoted: bytes) -> str:
    return quoted[1:-1].decode("utf-8", "replace").replace("``", "`")
