# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What was seen of one application of MySQL or MariaDB: one immutable snapshot, without any I/O."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

MYSQL, MARIADB = FLAVOURS = ("mysql", "mariadb")


class Kind(enum.Enum):
    """What a pod's server said of itself. No answer is an answer of its own, never 'no data'."""

    UNREACHABLE = "unreachable"
    #: it does not let in the user of the Secret
    REFUSED = "login refused"
    SERVER = "server"


@dataclasses.dataclass(frozen=True)
class Source:
    """From whom a server replicates, or is to."""

    host: str
    #: receiving thread: Yes, No or Connecting
    receiver: str = "Yes"
    applier: str = "Yes"
    #: seconds behind the source, as far as it is known
    lag: t.Optional[float] = None
    error: str = ""
    #: the part of it that is the applier's
    apply_error: str = ""
    #: the source does not let it in
    denied: bool = False

    @property
    def runs(self) -> bool:
        return self.receiver != "No" and self.applier == "Yes"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one pod's server said."""

    kind: Kind
    detail: str = ""
    version: str = ""
    #: what its transactions are named by: server_uuid of MySQL, server_id of MariaDB
    identity: str = ""
    #: transactions that it has, and may hand on
    executed: t.Optional[History] = None
    #: those that it has received besides, from its present source, and not yet applied
    received: t.Optional[History] = None
    #: those of its own that it cannot hand on any more
    purged: t.Optional[History] = None
    read_only: bool = True
    #: the pod and the epoch for which it was made primary, as its own data says
    own: t.Optional[tuple[str, int]] = None
    source: t.Optional[Source] = None
    #: whether it is set up so that a commit waits until a replica has it
    semi_sync: bool = False
    #: whether its own commits do wait now, for as long as it takes
    waits: bool = False
    #: seconds since it was started, where it forgets at its start what it has received
    uptime: t.Optional[float] = None

    @property
    def backlog(self) -> bool:
        """Whether it has received what it would forget at its next start."""
        return self.uptime is not None and not self.applied

    @property
    def serves(self) -> bool:
        return self.kind is Kind.SERVER

    @property
    def has(self) -> t.Optional[History]:
        """Everything that it has or has received."""
        if self.executed is None or self.received is None:
            return self.executed
        return self.executed.union(self.received)

    @property
    def applied(self) -> bool:
        """Whether it has applied what it has received."""
        return self.executed is None or self.received is None or self.executed.contains(self.received)


@dataclasses.dataclass(frozen=True)
class Record:
    """Who may write, as the ConfigMap says: what counts when a server starts, and when no server can be asked."""

    #: 0 until the first data was made
    epoch: int
    primary: str
    members: int
    #: pods that have ever been primary: a copy in place of their data makes another server of them, with another
    #: server_id, because what they wrote before is for the new one to replicate
    primaries: tuple[str, ...] = ()
    #: pods that are to take a new copy in place of their data, and what tells one such wish from the next
    copies: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: the pod of the primary before that has to be seen gone before anybody may write; and its uid, as soon as it
    #: was told to go
    dismissed: str = ""
    dismissed_uid: str = ""
    #: pods that are not asked, and whose transactions do not count, before the primary takes writes
    without: tuple[str, ...] = ()
    #: what pods had when a failover began that forget at their start what they have not applied
    had: t.Mapping[str, History] = dataclasses.field(default_factory=dict)
    #: how often a server was let take writes: another one that would do so on an older word finds another version
    turn: int = 0
    #: which autopilot has seen that the commits of this primary wait for a replica
    waits: str = ""
    #: whether that was known of the primary that was given up: it acknowledges nothing when no replica is left to it
    cut_off: bool = False
    #: HOST:PORT of a server outside whose data is being brought in: until that is over nobody writes
    importing: str = ""
    #: HOST:PORT of the one whose data was brought in last
    imported: str = ""
    #: the backup whose restore has not come to its end, as the restore has noted; never written from here
    restoring: str = ""
    #: files of a backup that the primary of an epoch is to put in the place of its data when its pod starts anew, as
    #: EPOCH.NAME; and the uid of the pod that has not done so
    swap: str = ""
    swap_uid: str = ""
    #: those of restores before that came to no end, with blanks between: what the first of them replaced is kept
    swap_before: str = ""
    resource_version: str = ""

    @property
    def swapping(self) -> bool:
        """Whether a restore of files goes on: others have data of before, until they have their copies."""
        return self.swap.partition(".")[0] == str(self.epoch)


@dataclasses.dataclass(frozen=True)
class StatefulSet:
    uid: str
    resource_version: str
    replicas: int
    service: str = ""
    #: epoch and primary as they are recorded here too, in case the ConfigMap is lost
    recorded: t.Optional[tuple[int, str]] = None
    #: the version of the template that new pods are made from
    revision: str = ""
    #: whether its controller has seen its newest version
    settled: bool = True
    #: whether servers of its template ask the record before they take writes; those that others have made do not
    asks: bool = True
    #: whether this operation still manages the number of replicas, which somebody else has declared
    owed: bool = False


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All that one look saw. Pods, claims and answers are by ordinal."""

    stateful_set: t.Optional[StatefulSet] = None
    record: t.Optional[Record] = None
    pods: t.Mapping[int, Pod] = dataclasses.field(default_factory=dict)
    claims: t.Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    answers: t.Mapping[int, Answer] = dataclasses.field(default_factory=dict)
    #: ordinals whose disk has no other user than its pod, at the pod's first start
    new_disks: t.Collection[int] = ()
    #: value of the label by which the pod is found
    roles: t.Mapping[int, str] = dataclasses.field(default_factory=dict)
    #: the pod that the Service for writing leads to; empty where it leads elsewhere, None where there is no Service
    routed: t.Optional[str] = None
    secret: bool = True

    def answer(self, ordinal: int) -> Answer:
        return self.answers.get(ordinal) or Answer(Kind.UNREACHABLE, "no such pod yet")

    @property
    def servers(self) -> tuple[int, ...]:
        return tuple(ordinal for ordinal in sorted(self.answers) if self.answers[ordinal].serves)
