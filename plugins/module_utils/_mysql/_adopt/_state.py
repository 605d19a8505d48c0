# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What was found of a replicated MySQL that somebody else made: its objects, its servers, and what these run with."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import Difference, Objects

# In the order in which a server takes them.
MODES = OFF, OFF_PERMISSIVE, ON_PERMISSIVE, ON = "OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"
WARN = "WARN"
# The account that is made for the Secret of root, where applications may still be root themselves.
ADMIN = "stateful_root"
HEALTH = "stateful_health"


@dataclasses.dataclass(frozen=True)
class Server:
    """What one server said besides what every operation asks."""

    version: str
    server_id: int = 0
    gtid_mode: str = OFF
    #: enforce_gtid_consistency
    consistency: str = OFF
    #: whether gtid_mode is an argument of the server, which goes before what it keeps by itself
    by_argument: bool = False
    #: seconds for which it has warned of statements that GTIDs do not allow
    watched: float = 0.0
    #: those that it has warned of meanwhile
    violations: tuple[str, ...] = ()
    #: transactions without GTID that are under way
    anonymous: int = 0
    #: whether it has a binary log, and writes to it what it gets from others
    logs: bool = True
    #: identity of the server that it replicates from
    source_identity: str = ""
    source_user: str = ""
    auto_position: bool = False
    #: accounts that the role needs, and which are there
    accounts: frozenset[str] = frozenset()
    #: whether the table is there in which the primary is noted
    table: bool = False
    #: accounts of whomever that need no password
    open_accounts: tuple[str, ...] = ()
    #: tables of users that are not transactional
    tables: tuple[str, ...] = ()
    datadir: str = ""
    binlog: str = ""
    #: what is set in its files and arguments
    settings: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_mariadb(self) -> bool:
        return "mariadb" in self.version.lower()

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:2])

    @property
    def level(self) -> int:
        return MODES.index(self.gtid_mode) if self.gtid_mode in MODES else 0


@dataclasses.dataclass(frozen=True)
class Wish:
    #: the server_uuid of the primary, typed as the report shows it; nothing is changed without it
    accept: str = ""
    from_helm: bool = False
    #: seconds that statements are watched before those are refused that GTIDs do not allow
    watch: int = 60


@dataclasses.dataclass(frozen=True)
class Found:
    snapshot: Snapshot
    objects: Objects = dataclasses.field(default_factory=Objects)
    servers: t.Mapping[int, Server] = dataclasses.field(default_factory=dict)
    #: keys that the Secrets of root and of replication lack
    lacking: t.Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    #: which of these Secrets is there
    secrets: t.Collection[str] = ()
    #: the user of root's Secret
    user: str = ADMIN
    #: servers that do not let this user in
    refused: t.Collection[int] = ()
    #: where the data is, where the role could not declare it there
    elsewhere: str = ""
    #: variables of the role that declare what there is
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    @property
    def primaries(self) -> list[int]:
        """Those that take writes and replicate from nobody."""
        answers = self.snapshot.answers
        return [o for o in self.snapshot.servers if not answers[o].read_only and answers[o].source is None]
