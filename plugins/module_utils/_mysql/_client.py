# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Speaks to one server, through a tunnel to its pod."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import MissingLibrary

# Seconds. A server that does not answer in this time counts as unreachable for this look.
READ_TIMEOUT = 5.0
# One that did not answer the last time is not waited for as long again.
SILENT_TIMEOUT = 2.5
# Seconds after which the server ends a session that says nothing: less than a Lease lasts, so whoever was frozen finds
# that it has none any more.
IDLE = 15
# Some statements wait for other transactions, or for other servers.
CHANGE_TIMEOUT = 30.0

# Error codes of the server.
ACCESS_DENIED = (1044, 1045, 1698)
NO_SUCH_TABLE = (1049, 1146)
LOCK_WAIT_TIMEOUT = 1205
# Those of the driver: no connection, or a broken one. And what a server says that stops, or has ended the session.
CLIENT_ERRORS = range(2000, 3000)
GOING = (1053, 1927, 4031)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A user. Kept out of every result by never being part of a snapshot."""

    username: str
    password: str = dataclasses.field(repr=False)
    #: while it changes, a server may have another one still, or already
    others: tuple[str, ...] = dataclasses.field(default=(), repr=False)


class NoAnswer(Exception):
    """The server did not answer in time, or the connection broke."""


class SqlError(Exception):
    """The server answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def preload() -> None:
    """Import the driver, so that a parent process pays for it once and its forked workers do not."""
    try:
        import pymysql
        import pymysql.cursors  # noqa: F401
    except ImportError:
        # The task itself says clearly what is missing.
        return


def require_driver() -> None:
    try:
        import pymysql  # noqa: F401
    except ImportError as exc:
        raise MissingLibrary("PyMySQL", str(exc)) from exc


def noted(ask: t.Callable[[str], list[dict[str, t.Any]]], statement: str) -> t.Optional[dict[str, t.Any]]:
    """The row of a table that may not be there yet; None without it. Raises what asking raises otherwise."""
    try:
        rows = ask(statement)
    except SqlError as error:
        if error.code in NO_SUCH_TABLE:
            return None
        raise
    return rows[0] if rows else None


class Client:
    """One connection, opened with the first statement. Raises NoAnswer and SqlError."""

    def __init__(self, socket_path: str, credentials: Credentials) -> None:
        self._path = socket_path
        self._credentials = credentials
        self._connection: t.Any = None
        self._let_in = ""
        #: seconds that opening the connection may take
        self.patience = READ_TIMEOUT

    def open(self) -> None:
        with self._answered():
            self._connected()

    def rows(self, statement: str, *values: t.Any, seconds: float = READ_TIMEOUT) -> list[dict[str, t.Any]]:
        """What a statement answers with; values take the place of %s."""
        import pymysql.cursors

        with self._answered():
            connection = self._connected()
            # The driver has no option for it once there is a connection.
            connection._read_timeout = seconds
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(statement, values or None)
                return list(cursor.fetchall())

    def run(self, *statements: str, seconds: float = CHANGE_TIMEOUT) -> None:
        for statement in statements:
            self.rows(statement, seconds=seconds)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection._force_close()

    def _connected(self) -> t.Any:
        import pymysql

        if self._connection is None:
            *first, last = self._passwords
            for password in first:
                try:
                    self._connection = self._opened(password)
                except pymysql.MySQLError as exc:
                    if not exc.args or exc.args[0] not in ACCESS_DENIED:
                        raise
                else:
                    return self._connection
            self._connection = self._opened(last)
        return self._connection

    @property
    def _passwords(self) -> list[str]:
        """The one that let in the last time comes first."""
        known = [self._credentials.password, *self._credentials.others]
        return sorted(dict.fromkeys(known), key=lambda password: password != self._let_in)

    def _opened(self, password: str) -> t.Any:
        import pymysql

        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.settimeout(self.patience)
        end.connect(self._path)
        # To the server it is TCP, and encrypted where the server offers that; through a Unix socket of its own making
        # the driver would send the password as it is.
        connection = pymysql.connect(
            user=self._credentials.username,
            password=password,
            charset="utf8mb4",
            autocommit=True,
            init_command=f"SET SESSION wait_timeout = {IDLE}",
            read_timeout=self.patience,
            write_timeout=READ_TIMEOUT,
            defer_connect=True,
        )
        connection.connect(end)
        self._let_in = password
        return connection

    @contextlib.contextmanager
    def _answered(self) -> t.Iterator[None]:
        import pymysql

        try:
            yield
        except pymysql.MySQLError as exc:
            code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
            message = str(exc.args[1] if len(exc.args) > 1 else exc)
            if code in CLIENT_ERRORS or code in GOING or code == 0:
                self.close()
                raise NoAnswer(message) from exc
            raise SqlError(code, message) from exc
        except OSError as exc:
            self.close()
            raise NoAnswer(str(exc)) from exc
