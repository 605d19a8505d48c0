# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a run that found everything as declared writes down, so that the next one need not ask again. Pure.

Every configuration of a replica set has its own version, and every member tells which one it has without a login. So
where all members have the version that was noted, the noted configuration is the one in force. The note is a hint: it
is never needed, and whatever does not fit it makes the run look closely.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
    PRIMARY,
    SECONDARY,
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Snapshot,
)

ANNOTATION = "stateful.kube/mongodb-replica-set-note"


@dataclasses.dataclass(frozen=True)
class Hello:
    """What a member tells anybody who asks."""

    set_name: str
    config_version: int
    host: str
    state: str
    term: int = 0
    optime: float = 0.0  # seconds since the epoch of its newest write
    #: whom it takes for the primary; one that is cut off from the others takes nobody
    primary: str = ""

    @classmethod
    def of(cls, document: t.Mapping[str, t.Any]) -> Hello:
        election = document.get("electionId")
        written = (document.get("lastWrite") or {}).get("lastWriteDate")
        return cls(
            set_name=str(document.get("setName", "")),
            config_version=int(document.get("setVersion", 0)),
            host=str(document.get("me", "")),
            state=_state(document),
            # The second half of a primary's election id is the term that it was elected in.
            term=int(str(election)[8:], 16) if election else 0,
            optime=written.timestamp() if written else 0.0,
            primary=str(document.get("primary", "")),
        )


@dataclasses.dataclass(frozen=True)
class Note:
    """The configuration that was found as declared, and the version of the Secret that the login was tried with."""

    config: Config
    secret: str

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> t.Optional[Note]:
        try:
            found = json.loads(text)
            config = found["config"]
            members = tuple(
                MemberConfig(
                    **{**member, "tags": _pairs(member["tags"]), "horizons": _pairs(member.get("horizons", ()))}
                )
                for member in config.pop("members")
            )
            settings = _pairs(config.pop("settings"))
            return cls(Config(**config, members=members, settings=settings), str(found["secret"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def recalled(note: Note, target: Target, seen: Snapshot, hellos: t.Mapping[int, Hello]) -> t.Optional[Snapshot]:
    """The snapshot with the answers that every member would give, or None where any of them does not fit the note."""
    config = note.config
    ordinals = {target.host(ordinal, seen): ordinal for ordinal in seen.pods}
    if set(ordinals) != {member.host for member in config.members} or set(hellos) != set(seen.pods):
        return None
    if not seen.recorded or seen.recorded != config.set_id or config.set_name != target.replica_set:
        return None
    for host, ordinal in ordinals.items():
        told = hellos[ordinal]
        if (told.set_name, told.config_version, told.host) != (config.set_name, config.version, host):
            return None
    states = [told.state for told in hellos.values()]
    if states.count(PRIMARY) != 1 or not all(states):
        return None
    primary = next(told.host for told in hellos.values() if told.state == PRIMARY)
    if any(told.primary != primary for told in hellos.values()):
        return None
    now = dataclasses.replace(config, term=max(config.term, *(told.term for told in hellos.values())))
    statuses = tuple(MemberStatus(told.host, told.state, healthy=True, optime=told.optime) for told in hellos.values())
    answers = {
        ordinal: Answer(
            Kind.MEMBER,
            state=told.state,
            set_name=told.set_name,
            config=now,
            statuses=statuses,
            voting=now.voters,
            term=now.term,
        )
        for ordinal, told in sorted(hellos.items())
    }
    return dataclasses.replace(seen, answers=answers)


def _state(document: t.Mapping[str, t.Any]) -> str:
    if document.get("isWritablePrimary"):
        return PRIMARY
    if document.get("secondary"):
        return SECONDARY
    return ARBITER if document.get("arbiterOnly") else ""


def _pairs(value: t.Any) -> tuple[tuple[str, t.Any], ...]:
    return tuple((str(key), item) for key, item in value)
