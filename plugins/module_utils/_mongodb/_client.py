# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Speaks to one mongod, through a tunnel to its pod."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from urllib.parse import quote_plus

from ansible_collections.stateful.kube.plugins.module_utils._failure import MissingLibrary

# Seconds. A member that does not answer in this time counts as unreachable for this look.
SELECT_TIMEOUT = 2.0
CONNECT_TIMEOUT = 3.0
READ_TIMEOUT = 5.0
# Reconfiguration and step-down wait for other members.
CHANGE_TIMEOUT = 30.0

# Error codes of the server (its error_codes.yml).
HOST_UNREACHABLE = 6
USER_NOT_FOUND = 11
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
ALREADY_INITIALIZED = 23
ROLE_NOT_FOUND = 31
MAX_TIME_EXPIRED = 50
NODE_NOT_FOUND = 74
NO_REPLICATION = 76
INVALID_CONFIG = 93
NOT_YET_INITIALIZED = 94
INCOMPATIBLE_CONFIG = 103
CONFIGURATION_IN_PROGRESS = 109
CONFIGURATION_NOT_COMMITTED = 308
CONFLICTING_OPERATION = 117
# No other member has caught up in time: the primary stays.
EXCEEDED_TIME_LIMIT = 262
NOT_PRIMARY = (10107, 13435, 10058, 11602, 189, 91, 11600)
ROLE_EXISTS = 51002
USER_EXISTS = 51003


@dataclasses.dataclass(frozen=True)
class Credentials:
    """The root user. Kept out of every result by never being part of a snapshot."""

    username: str
    password: str = dataclasses.field(repr=False)
    #: others that a member may take instead, while the password is being changed and a while after it
    others: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def ways(self) -> tuple[Credentials, ...]:
        """One for each password, the likeliest first."""
        passwords = dict.fromkeys((self.password, *self.others))
        return tuple(Credentials(self.username, password) for password in passwords)


class NoAnswer(Exception):
    """The server did not answer in time, or the connection broke."""


class CommandError(Exception):
    """The server answered with an error."""

    def __init__(self, code: int, message: str, details: t.Optional[t.Mapping[str, t.Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details or {}


def preload() -> None:
    """Import the driver, so that a parent process pays for it once and its forked workers do not."""
    try:
        import pymongo
        import pymongo.errors  # noqa: F401
    except ImportError:
        # The task itself says clearly what is missing.
        return


def require_driver() -> None:
    try:
        import pymongo  # noqa: F401
    except ImportError as exc:
        raise MissingLibrary("pymongo", str(exc)) from exc


class Client:
    """One client of one server, with or without a login. Raises NoAnswer and CommandError."""

    def __init__(self, socket_path: str, credentials: t.Optional[Credentials] = None) -> None:
        self._client = direct(socket_path, credentials, socketTimeoutMS=int(CHANGE_TIMEOUT * 1000))

    def command(
        self, name: str, value: t.Any = 1, seconds: float = READ_TIMEOUT, database: str = "admin", **more: t.Any
    ) -> dict[str, t.Any]:
        import pymongo

        with answered(), pymongo.timeout(seconds):
            return dict(self._client[database].command(name, value, **more))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()


def direct(socket_path: str, credentials: t.Optional[Credentials], **more: t.Any) -> t.Any:
    """A client of the driver for one server; ``more`` are options of MongoClient."""
    import pymongo

    login: dict[str, t.Any] = {}
    if credentials:
        login = {"username": credentials.username, "password": credentials.password, "authSource": "admin"}
    return pymongo.MongoClient(
        f"mongodb://{quote_plus(socket_path)}",
        directConnection=True,
        # Polling needs one connection less than streaming, and every connection is a request to the API server.
        serverMonitoringMode="poll",
        serverSelectionTimeoutMS=int(SELECT_TIMEOUT * 1000),
        connectTimeoutMS=int(CONNECT_TIMEOUT * 1000),
        maxPoolSize=2,
        appname="stateful.kube",
        **login,
        **more,
    )


@contextlib.contextmanager
def answered() -> t.Iterator[None]:
    """Turns what the driver raises into CommandError and NoAnswer."""
    from pymongo import errors

    try:
        yield
    except (errors.OperationFailure, errors.NotPrimaryError) as exc:
        details: t.Mapping[str, t.Any] = t.cast("t.Mapping[str, t.Any]", getattr(exc, "details", None) or {})
        code = int(getattr(exc, "code", None) or details.get("code") or 0)
        raise CommandError(code, str(details.get("errmsg") or exc), details) from exc
    except errors.PyMongoError as exc:
        raise NoAnswer(_brief(exc)) from exc


def _brief(exc: BaseException) -> str:
    """The first line of a driver's message: the rest repeats addresses and topology."""
    text = str(exc).partition(", full error:")[0].partition(", Timeout:")[0].partition("\n")[0]
    return text[:200] or type(exc).__name__
