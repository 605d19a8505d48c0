# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What was seen of one replica set: one immutable snapshot, without any I/O."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._workload import _ordinals

PRIMARY = "PRIMARY"
SECONDARY = "SECONDARY"
ARBITER = "ARBITER"

# Seconds that a mongod on a used disk must have said "not initialised" before it is believed: while it starts, it says
# so too, until it has found itself in the configuration on its disk (which takes name look-ups).
BELIEVED_AFTER = 10.0


# What a mongod does about logins, each understood by its neighbours alone: without a key file it knows no member of a
# set that has one, but in between members and clients come in with a login and without.
DISABLED, TRANSITION, REQUIRED = AUTHENTICATION = ("disabled", "transition", "required")


def authentication_of(parsed: t.Mapping[str, t.Any]) -> str:
    """Which of them these arguments of a mongod mean, as it shows them parsed."""
    security = parsed.get("security") or {}
    if security.get("transitionToAuth"):
        return TRANSITION
    has = security.get("keyFile") or security.get("clusterAuthMode") or security.get("authorization") == "enabled"
    return REQUIRED if has else DISABLED


class Kind(enum.Enum):
    """What a pod's mongod said of itself. No answer is an answer of its own, never 'not initialised'."""

    UNREACHABLE = "unreachable"
    #: it has received no configuration yet
    UNINITIALISED = "not initialised"
    #: it has a configuration and no user yet: the localhost exception still applies
    NO_USER = "no user yet"
    #: it takes neither the login nor the localhost exception
    REFUSED = "login refused"
    #: it has a configuration and is not a member of it, or does not find itself in it
    REMOVED = "not a member of its configuration"
    #: it runs without --replSet
    STANDALONE = "runs without --replSet"
    #: logged in, and it reports a status and a configuration
    MEMBER = "member"


@dataclasses.dataclass(frozen=True)
class MemberConfig:
    """One member in a replica set configuration."""

    id: int
    host: str
    priority: float = 1.0
    votes: int = 1
    hidden: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    secondary_delay_secs: int = 0
    build_indexes: bool = True
    arbiter_only: bool = False
    #: its addresses for clients elsewhere, by the name of the horizon
    horizons: tuple[tuple[str, str], ...] = ()

    @property
    def electable(self) -> bool:
        return bool(self.votes and self.priority > 0)


@dataclasses.dataclass(frozen=True)
class Config:
    """A replica set configuration as one member has it."""

    set_name: str
    set_id: str
    version: int
    term: int
    members: tuple[MemberConfig, ...]
    settings: tuple[tuple[str, t.Any], ...] = ()

    def member(self, host: str) -> t.Optional[MemberConfig]:
        return next((member for member in self.members if member.host == host), None)

    @property
    def voters(self) -> int:
        return sum(member.votes for member in self.members)

    @property
    def forced(self) -> bool:
        """Whether it was forced: such a configuration has no term."""
        return self.term <= 0

    def newer_than(self, other: Config) -> bool:
        """As mongod compares them: by the term first, and without one by the version alone."""
        if self.forced or other.forced:
            return self.version > other.version
        return (self.term, self.version) > (other.term, other.version)


@dataclasses.dataclass(frozen=True)
class MemberStatus:
    """One member as another (or itself) sees it."""

    host: str
    state: str
    healthy: bool
    optime: float = 0.0  # seconds since the epoch of the newest applied write
    message: str = ""
    #: seconds since it last answered whoever tells this; of one that was lost, 'healthy' is true for ten seconds more
    silent: float = 0.0
    #: version and term of its configuration, as it told last
    config: tuple[int, int] = (0, 0)

    @property
    def serves(self) -> bool:
        return self.healthy and self.state in (PRIMARY, SECONDARY, ARBITER)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What one pod's mongod said."""

    kind: Kind
    detail: str = ""
    #: its own state, as far as it told (PRIMARY, STARTUP2, ...)
    state: str = ""
    set_name: str = ""
    config: t.Optional[Config] = None
    statuses: tuple[MemberStatus, ...] = ()
    #: members whose votes count: a joining voter does not, until it has caught up
    voting: int = 0
    term: int = 0
    #: an elected primary takes no writes until it has caught up
    writable: bool = True
    #: of the server, such as 6.0.5; empty where it was not asked
    version: str = ""
    #: the feature compatibility version, as the primary tells it
    feature_version: str = ""
    #: the days for which the certificate that it showed holds, as seconds since the epoch: from and until
    certificate: t.Optional[tuple[float, float]] = None
    #: 'not initialised' is believed only when the disk is new, or after it was said for a while
    settled: bool = True
    #: it lets anybody do anything, and does not know the root user of the Secret
    open: bool = False
    #: not initialised, and a login was let in all the same: its disk has users, so data
    users: bool = False
    #: the name in the configuration under which it finds itself
    me: str = ""

    @property
    def set_id(self) -> str:
        return self.config.set_id if self.config else ""

    @property
    def serves(self) -> bool:
        """By its own word, and to those who log in. An arbiter has no data, so no users either."""
        if self.state == ARBITER:
            return self.kind in (Kind.MEMBER, Kind.NO_USER)
        return self.kind is Kind.MEMBER and self.state in (PRIMARY, SECONDARY)

    def status(self, host: str) -> t.Optional[MemberStatus]:
        return next((status for status in self.statuses if status.host == host), None)


@dataclasses.dataclass(frozen=True)
class Pod(_ordinals.Pod):
    #: the Secret that its mongod has certificate and authorities from; empty for one without TLS
    tls_secret: str = ""


@dataclasses.dataclass(frozen=True)
class StatefulSet:
    uid: str
    resource_version: str
    replicas: int
    service: str = ""
    parallel: bool = True
    #: the set id that was recorded when the replica set was formed
    recorded: str = ""
    #: what the last run that found everything as declared wrote down
    note: str = ""
    #: what the last backups wrote down
    backup: str = ""
    #: the version of the template that new pods are made from
    revision: str = ""
    #: whether its controller has seen its newest version
    settled: bool = True
    #: the image of its first container
    image: str = ""
    #: the Secret that new pods have certificate and authorities from; empty for those without TLS
    tls_secret: str = ""
    #: which content of the key file's Secret its pods are to have, where that was ever changed
    keyfile: str = ""
    #: whether this operation still manages the number of replicas, which somebody else has declared
    owed: bool = False


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All that one look saw. Pods, claims and answers are by ordinal."""

    stateful_set: t.Optional[StatefulSet] = None
    pods: t.Mapping[int, Pod] = dataclasses.field(default_factory=dict)
    claims: t.Mapping[int, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    answers: t.Mapping[int, Answer] = dataclasses.field(default_factory=dict)
    #: claims that were told to go, and are still there
    going: t.Collection[str] = ()
    #: whether the Secret with the root user's name and password is there
    secret: bool = True
    root_user: str = ""
    #: that Secret has a next password too: a change of it has begun and is not complete
    password_pending: bool = False

    def answer(self, ordinal: int) -> Answer:
        found = self.answers.get(ordinal)
        if found:
            return found
        return Answer(Kind.UNREACHABLE, "no such pod yet")

    @property
    def recorded(self) -> str:
        return self.stateful_set.recorded if self.stateful_set else ""

    @property
    def feature_version(self) -> str:
        """The feature compatibility version of the data, or an empty text where no primary told it."""
        primary = self.primary
        return self.answers[primary].feature_version if primary is not None else ""

    def of_kind(self, *kinds: Kind) -> tuple[int, ...]:
        return tuple(ordinal for ordinal in sorted(self.answers) if self.answers[ordinal].kind in kinds)

    @property
    def primary(self) -> t.Optional[int]:
        """The ordinal of the primary that takes writes.

        One that lets us in goes first; of two, the one with the newer term is right.
        """
        for kind in (Kind.MEMBER, Kind.NO_USER):
            told = {ordinal: self.answers[ordinal] for ordinal in self.of_kind(kind)}
            found = [ordinal for ordinal, answer in told.items() if answer.state == PRIMARY and answer.writable]
            if found:
                return max(found, key=lambda ordinal: self.answers[ordinal].term)
        return None

    @property
    def config(self) -> t.Optional[Config]:
        """The primary's configuration, or else the newest that any member told."""
        primary = self.primary
        if primary is not None and self.answers[primary].config:
            return self.answers[primary].config
        return newest_config(answer.config for answer in self.answers.values())


def newest_config(told: t.Iterable[t.Optional[Config]]) -> t.Optional[Config]:
    """The one that no other is newer than.

    With a forced one among three, each may be newer than the next, in a circle: what somebody forced counts then.
    """
    configs = [config for config in told if config]
    for config in configs:
        if not any(other.newer_than(config) for other in configs):
            return config
    return max((config for config in configs if config.forced), key=lambda config: config.version, default=None)
