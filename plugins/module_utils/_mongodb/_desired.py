# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is wanted of a replica set: read from the task's options and checked before any I/O."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import MemberConfig, Snapshot

MOST_MEMBERS = 50
MOST_VOTERS = 7
HIGHEST_PRIORITY = 1000

# Options of ``settings`` and the fields of the configuration that they set.
SETTINGS = {
    "chaining_allowed": "chainingAllowed",
    "heartbeat_interval_millis": "heartbeatIntervalMillis",
    "heartbeat_timeout_secs": "heartbeatTimeoutSecs",
    "election_timeout_millis": "electionTimeoutMillis",
    "catch_up_timeout_millis": "catchUpTimeoutMillis",
    "catch_up_takeover_delay_millis": "catchUpTakeoverDelayMillis",
}


@dataclasses.dataclass(frozen=True)
class MemberOptions:
    """What is declared of one member; the defaults are those of MongoDB."""

    priority: float = 1.0
    votes: int = 1
    hidden: bool = False
    tags: tuple[tuple[str, str], ...] = ()
    secondary_delay_secs: int = 0
    build_indexes: bool = True
    arbiter_only: bool = False

    @property
    def electable(self) -> bool:
        return bool(self.votes and self.priority > 0)

    def differs_from(self, member: MemberConfig) -> tuple[str, ...]:
        """Names of the fields that a member in the configuration has otherwise."""
        return tuple(
            field.name for field in dataclasses.fields(self) if getattr(self, field.name) != getattr(member, field.name)
        )


@dataclasses.dataclass(frozen=True)
class Target:
    """Which replica set is meant."""

    name: str
    namespace: str
    replica_set: str
    service: str = ""
    cluster_domain: str = "cluster.local"
    port: int = 27017
    root_secret: str = ""

    def pod(self, ordinal: int) -> str:
        return f"{self.name}-{ordinal}"

    def host(self, ordinal: int, snapshot: Snapshot) -> str:
        """The stable name of a member: the only name that ever goes into a configuration."""
        return f"{self.pod(ordinal)}.{self.address(snapshot)}"

    def address(self, snapshot: Snapshot) -> str:
        """Where clients begin: the headless Service answers with every member."""
        found = snapshot.stateful_set
        service = self.service or (found.service if found else "") or self.name
        return f"{service}.{self.namespace}.svc.{self.cluster_domain}:{self.port}"

    def ordinal(self, host: str, snapshot: Snapshot) -> t.Optional[int]:
        """Whose stable name this is, or None where it is that of no pod of the StatefulSet."""
        found = re.match(rf"{re.escape(self.name)}-(0|[1-9]\d*)\.", host)
        ordinal = int(found.group(1)) if found else None
        return ordinal if ordinal is not None and self.host(ordinal, snapshot) == host else None

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any], namespace: str) -> Target:
        name = params["name"]
        if not 0 < params["port"] < 65536:
            raise Failure(f"port: expected 1 to 65535, found {params['port']}.")
        return cls(
            name=name,
            namespace=params["namespace"] or namespace,
            replica_set=params["replica_set"] or name,
            service=params["service"] or "",
            cluster_domain=params["cluster_domain"].strip("."),
            port=params["port"],
            root_secret=params["root_secret"] or f"{name}-root",
        )


@dataclasses.dataclass(frozen=True)
class Desired:
    """The declared replica set."""

    members: int
    options: t.Mapping[int, MemberOptions] = dataclasses.field(default_factory=dict)
    settings: tuple[tuple[str, t.Any], ...] = ()
    #: what clients elsewhere call the members: the same horizons for all of them, or none; None leaves them alone
    horizons: t.Optional[t.Mapping[int, tuple[tuple[str, str], ...]]] = None
    #: seconds that a member may be behind before another one is taken away
    lag_limit: float = 10.0
    #: whether pods of an older revision of the StatefulSet are replaced
    replace_pods: bool = True
    #: whether the StatefulSet is about to get another template, which check mode does not see on it
    template_changes: bool = False
    #: the feature compatibility version that is wanted, such as 6.0; empty leaves it as it is
    feature_version: str = ""
    #: whether the claims of members that left are deleted
    delete_claims: bool = False
    #: whether there is to be a root user: a set without authentication needs none
    root: bool = True

    def member(self, ordinal: int) -> MemberOptions:
        return self.options.get(ordinal, MemberOptions())

    @property
    def ordinals(self) -> range:
        return range(self.members)

    @property
    def voters(self) -> int:
        return sum(self.member(ordinal).votes for ordinal in self.ordinals)

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.voters % 2:
            return ()
        return (
            f"{self.voters} voting members survive the loss of no more members than {self.voters - 1} do: declare an "
            "odd number (option members, or votes in member_options).",
        )


def desired_of(params: t.Mapping[str, t.Any]) -> Desired:
    """Read and check the declaration. Raises Failure that names the option."""
    members = params["members"]
    if not 1 <= members <= MOST_MEMBERS:
        raise Failure(f"members: expected 1 to {MOST_MEMBERS} (what MongoDB allows), found {members}.")
    entries: dict[int, t.Mapping[str, t.Any]] = {}
    for entry in params["member_options"] or ():
        ordinal = entry["ordinal"]
        if not 0 <= ordinal < members:
            raise Failure(
                f"member_options: ordinal {ordinal} is not a declared member; expected 0 to {members - 1} "
                f"(members is {members})."
            )
        if ordinal in entries:
            raise Failure(f"member_options: ordinal {ordinal} is given twice. Put its options into one entry.")
        entries[ordinal] = entry
    silent = _without_vote(members, entries)
    options = {
        ordinal: _member_options(entries.get(ordinal, {}), ordinal, ordinal in silent)
        for ordinal in {*entries, *silent}
    }
    settings = {key: value for key, value in (params["settings"] or {}).items() if value is not None}
    if params["lag_limit"] < 1:
        raise Failure(f"lag_limit: expected 1 second or more, found {params['lag_limit']}.")
    desired = Desired(
        members,
        options,
        tuple(sorted((SETTINGS[key], value) for key, value in settings.items())),
        _horizons(members, entries),
        float(params["lag_limit"]),
        params["replace_pods"],
        params["template_changes"],
        _feature_version(params["feature_compatibility_version"]),
        params["claims_when_scaled"] == "delete",
        params["authentication"] != "disabled",
    )
    _check_votes(desired)
    return desired


def _feature_version(given: t.Optional[str]) -> str:
    if given and not re.fullmatch(r"\d+\.\d+", given):
        raise Failure(
            f"feature_compatibility_version: expected a series of MongoDB such as 6.0, in quotes, found {given!r}."
        )
    return given or ""


def _without_vote(members: int, entries: t.Mapping[int, t.Mapping[str, t.Any]]) -> set[int]:
    """Members that do not vote because nothing is declared of it, and more or an even number would vote.

    An even number of voters survives the loss of no more members than the odd number below it.
    """
    free = [ordinal for ordinal in range(members) if not _declares_vote(entries.get(ordinal, {}))]
    voters = members - sum(1 for entry in entries.values() if entry.get("votes") == 0)
    excess = max(0, voters - MOST_VOTERS)
    excess += (voters - excess) % 2 == 0
    silent = set(free[max(0, len(free) - excess) :])
    if silent and not any(
        entries.get(ordinal, {}).get("priority") != 0 and entries.get(ordinal, {}).get("votes") != 0
        for ordinal in set(range(members)) - silent
    ):
        silent.remove(min(silent))  # somebody has to be primary
    return silent


def _declares_vote(entry: t.Mapping[str, t.Any]) -> bool:
    """A member that is to be preferred, or hidden, or behind is declared with its vote in mind."""
    return any((entry.get("votes") is not None, entry.get("priority") is not None, entry.get("arbiter_only")))


def _member_options(entry: t.Mapping[str, t.Any], ordinal: int, silent: bool) -> MemberOptions:
    tags = entry.get("tags") or {}
    votes = entry.get("votes")
    votes = (0 if silent else 1) if votes is None else votes
    priority = entry.get("priority")
    arbiter = bool(entry.get("arbiter_only"))
    options = MemberOptions(
        priority=float((0 if arbiter else votes) if priority is None else priority),
        votes=votes,
        hidden=bool(entry.get("hidden")),
        tags=tuple(sorted((str(key), str(value)) for key, value in tags.items())),
        secondary_delay_secs=entry.get("secondary_delay_secs") or 0,
        build_indexes=entry.get("build_indexes", True) is not False,
        arbiter_only=arbiter,
    )
    where = f"member_options (ordinal {ordinal})"
    if not 0 <= options.priority <= HIGHEST_PRIORITY:
        raise Failure(f"{where}: priority must be 0 to {HIGHEST_PRIORITY}, found {options.priority:g}.")
    if options.secondary_delay_secs < 0:
        raise Failure(f"{where}: secondary_delay_secs must not be negative, found {options.secondary_delay_secs}.")
    if options.priority > 0:
        for name, given in (
            ("votes is 0", not options.votes),
            ("hidden is true", options.hidden),
            ("secondary_delay_secs is set", options.secondary_delay_secs > 0),
            ("build_indexes is false", not options.build_indexes),
            ("arbiter_only is true", arbiter),
        ):
            if given:
                raise Failure(
                    f"{where}: priority must be 0 where {name}, because such a member must never become primary; "
                    f"found priority {options.priority:g}. Add 'priority: 0'."
                )
    if arbiter and (wrong := _wrong_of_an_arbiter(options)):
        raise Failure(
            f"{where}: an arbiter (arbiter_only) has one vote and no data, so nothing else can be declared of it; "
            f"found {wrong}. Take that out."
        )
    return options


def _wrong_of_an_arbiter(options: MemberOptions) -> str:
    plain = MemberOptions(priority=0.0, arbiter_only=True)
    different = [f.name for f in dataclasses.fields(plain) if getattr(options, f.name) != getattr(plain, f.name)]
    return " and ".join(different)


def _horizons(
    members: int, entries: t.Mapping[int, t.Mapping[str, t.Any]]
) -> t.Optional[dict[int, tuple[tuple[str, str], ...]]]:
    """Checked as the server does, which takes them for all members or for none."""
    found = {
        ordinal: tuple(sorted((str(name), str(address)) for name, address in entry["horizons"].items()))
        for ordinal, entry in entries.items()
        if entry.get("horizons") is not None
    }
    if not any(found.values()):
        return found or None
    names = {name for horizons in found.values() for name, _address in horizons}
    for ordinal in range(members):
        missing = names - {name for name, _address in found.get(ordinal, ())}
        if missing:
            raise Failure(
                f"member_options: horizons must name the same horizons for every member (MongoDB takes no others); "
                f"ordinal {ordinal} has no {' and no '.join(sorted(missing))}. Add it there."
            )
    addresses = [address for horizons in found.values() for _name, address in horizons]
    for address in addresses:
        host, _colon, port = address.rpartition(":")
        if not host or not port.isdigit() or addresses.count(address) > 1:
            raise Failure(
                f"member_options: each address in horizons must be HOST:PORT, and there once only; found {address!r}"
                f"{' more than once' if addresses.count(address) > 1 else ''}."
            )
    return found


def _check_votes(desired: Desired) -> None:
    if desired.voters > MOST_VOTERS:
        raise Failure(
            f"members: {desired.members} members with {desired.voters} votes are declared, and MongoDB allows at most "
            f"{MOST_VOTERS} voting members. Declare fewer members, or 'votes: 0' with 'priority: 0' in member_options "
            f"for {desired.voters - MOST_VOTERS} of them."
        )
    if not any(desired.member(ordinal).electable for ordinal in desired.ordinals):
        raise Failure(
            "member_options: no declared member can become primary (votes 1 and a priority above 0). "
            "Leave at least one such member."
        )
    arbiters = [ordinal for ordinal in desired.ordinals if desired.member(ordinal).arbiter_only]
    if arbiters and (len(arbiters) > 1 or arbiters[0] == 0):
        raise Failure(
            "member_options: arbiter_only is for one member at most, and not for ordinal 0, with which the set is "
            f"started; found it at ordinal {', '.join(str(ordinal) for ordinal in arbiters)}. A second arbiter adds "
            "no copy of the data: declare a member without it."
        )
    if not desired.member(0).build_indexes:
        raise Failure(
            "member_options (ordinal 0): build_indexes must be true, because the set is started with this member "
            "and that field can never be changed later. Choose another ordinal."
        )
