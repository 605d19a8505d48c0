# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is wanted of an import, and what was seen of both servers. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import MARIADB, MYSQL, Snapshot

#: schemas that are a server's own
SYSTEM = ("information_schema", "innodb", "mysql", "performance_schema", "stateful_kube", "sys")


@dataclasses.dataclass(frozen=True)
class Wish:
    host: str
    port: int
    secret: str
    present: bool = True
    cut_over: bool = False
    #: whether the module makes the source read-only
    stop_writes: bool = False
    #: whether what is written meanwhile is brought in too
    replicate: bool = True
    #: whether the source takes no writes while it is dumped
    lock_tables: bool = False
    require_tls: bool = False
    compare_rows: bool = True
    lag_limit: float = 10.0

    @property
    def source(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> Wish:
        """Raises Failure that names the option."""
        host, port = params["source_host"], params["source_port"]
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", host):
            raise Failure(
                f"source_host: expected the name of a Service, a DNS name or an address; found {host!r}. Correct it."
            )
        if not 0 < port < 65536:
            raise Failure(f"source_port: expected 1 to 65535, found {port}. Correct it.")
        if params["lag_limit"] < 0:
            raise Failure(f"lag_limit: expected 0 or more seconds, found {params['lag_limit']}. Correct it.")
        if not params["replicate"] and not params["cut_over"] and params["state"] == "present":
            raise Failure(
                "replicate: false brings in what the source has at one moment, so it needs cut_over: true in the same "
                "run; found cut_over: false. Say both, or leave replicate out."
            )
        return cls(
            host=host,
            port=port,
            secret=params["source_secret"] or "",
            present=params["state"] == "present",
            lag_limit=float(params["lag_limit"]),
            **{key: params[key] for key in _FLAGS},
        )


_FLAGS = ("cut_over", "stop_writes", "replicate", "lock_tables", "require_tls", "compare_rows")


@dataclasses.dataclass(frozen=True)
class Marker:
    """The row in the target's own data that says how far the load has come. It is as durable as what was loaded."""

    source: str
    loaded: bool
    #: where the source was when the load began
    position: str = ""
    #: event_scheduler of the target before
    events: str = "ON"


@dataclasses.dataclass(frozen=True)
class Local:
    """What the target's server says, besides what every operation asks."""

    version: str
    server_id: int
    lower_case: str = "0"
    #: databases of users
    databases: tuple[str, ...] = ()
    #: how many tables are there
    tables: int = 0
    accounts: tuple[str, ...] = ()
    marker: t.Optional[Marker] = None
    #: the connection that loads; 0 where none does
    loader: int = 0

    @property
    def strange(self) -> tuple[str, ...]:
        """Databases that no import has made: it writes its marker before the first, and drops it after the last."""
        return self.databases if self.marker is None and not self.loader else ()


@dataclasses.dataclass(frozen=True)
class Outside:
    """What the source says, asked from the target's pod. With ``silence`` it gave no answer, and that says why."""

    silence: str = ""
    variables: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: global rights of the account, in capitals
    rights: frozenset[str] = frozenset()
    databases: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    #: how many views, routines, triggers and events there are
    objects: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    #: tables that are not of InnoDB
    other_engines: tuple[str, ...] = ()
    definers: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    encrypted: bool = False
    #: binary log and position, as FILE:POSITION
    log: str = ""

    @property
    def answers(self) -> bool:
        return not self.silence

    @property
    def version(self) -> str:
        return self.variables.get("version", "")

    @property
    def flavour(self) -> str:
        return flavour_name(self.version)

    @property
    def read_only(self) -> bool:
        """Whether nobody writes who has no special right."""
        return _on(self.variables.get("read_only", ""))

    @property
    def gtids(self) -> bool:
        """Whether its transactions have names. Those of MariaDB always have."""
        return self.flavour == MARIADB or self.variables.get("gtid_mode", "").upper() == "ON"

    @property
    def executed(self) -> str:
        key = "gtid_binlog_state" if self.flavour == MARIADB else "gtid_executed"
        return self.variables.get(key, "")

    @property
    def position(self) -> str:
        """All that it has written, to be waited for elsewhere, and compared."""
        if self.flavour == MARIADB:
            return self.variables.get("gtid_binlog_pos", "")
        return self.variables.get("gtid_executed", "") if self.gtids else self.log

    @property
    def keeps(self) -> t.Optional[int]:
        """Seconds that it keeps binary logs; None for ever, or where that is not known."""
        seconds = _number(self.variables.get("binlog_expire_logs_seconds", ""))
        return int(seconds or 86400 * _number(self.variables.get("expire_logs_days", ""))) or None


@dataclasses.dataclass(frozen=True)
class Seen:
    target: Snapshot
    local: t.Optional[Local] = None
    outside: t.Optional[Outside] = None
    #: what ended a load that this run has begun
    load_error: str = ""
    #: whether this run has told the server once to go on
    resumed: bool = False


def flavour_name(version: str) -> str:
    return MARIADB if "mariadb" in version.lower() else MYSQL


def series(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _on(value: str) -> bool:
    return value.upper() not in ("", "0", "OFF", "NO_LOCK")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
