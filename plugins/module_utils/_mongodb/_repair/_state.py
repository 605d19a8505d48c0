# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a repair goes by: what every member has written last, whom it hears, and what the user accepts."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Kind, Snapshot


@dataclasses.dataclass(frozen=True, order=True)
class Optime:
    """When a write was made. The term goes first: what an older primary wrote later is still the older history."""

    term: int
    seconds: int
    increment: int = 0

    def __str__(self) -> str:
        stamp = datetime.datetime.fromtimestamp(self.seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{stamp} #{self.increment}, term {self.term}"


@dataclasses.dataclass(frozen=True)
class Heard:
    """Another member as one member hears it."""

    host: str
    state: str
    healthy: bool
    #: when its last heartbeat came, in ISO 8601; empty for never
    last: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Statement:
    """What one member says beside its Answer."""

    #: its newest write, from its oplog; None where it could not be read
    newest: t.Optional[Optime] = None
    #: whether its data is all there: False in the middle of a first copy
    complete: bool = True
    #: why the newest write is not known
    problem: str = ""
    #: the name in the configuration under which it knows itself; empty where it does not find itself
    me: str = ""
    heard: tuple[Heard, ...] = ()
    #: its configuration, in extended JSON, for the backup
    document: str = dataclasses.field(default="", compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """One look at everything. ``statements`` are by ordinal, of members that hold a configuration."""

    seen: Snapshot
    statements: t.Mapping[int, Statement] = dataclasses.field(default_factory=dict)
    new_disks: frozenset[int] = frozenset()
    #: names of the ConfigMaps that hold configurations which were saved before
    backups: frozenset[str] = frozenset()
    #: what becomes of the volumes of a pod's claims when these are deleted, by ordinal, in words
    volumes: t.Mapping[int, str] = dataclasses.field(default_factory=dict)

    def statement(self, ordinal: int) -> Statement:
        return self.statements.get(ordinal, Statement())

    @property
    def set_ids(self) -> tuple[str, ...]:
        """Set ids that members told, the recorded one first."""
        told = {answer.set_id for answer in self.seen.answers.values() if answer.set_id}
        return tuple(sorted(told, key=lambda set_id: (set_id != self.seen.recorded, set_id)))

    @property
    def slow(self) -> tuple[int, ...]:
        """Pods that run and have not told yet what they have."""
        return tuple(
            ordinal
            for ordinal, pod in self.seen.pods.items()
            if pod.running
            and (
                (answer := self.seen.answer(ordinal)).kind is Kind.UNREACHABLE
                or not answer.settled
                or (answer.set_id and not self.statement(ordinal).newest and self.statement(ordinal).complete)
            )
        )

    def holders(self, set_id: str) -> tuple[int, ...]:
        return tuple(o for o, answer in sorted(self.seen.answers.items()) if answer.set_id == set_id)


@dataclasses.dataclass(frozen=True)
class Choice:
    """What the user typed."""

    #: the set id to keep; empty for a report alone
    accept: str = ""
    #: members, by pod or by the name in the configuration, that are gone for good
    lost: frozenset[str] = frozenset()
    #: pods whose disks may be emptied
    empty: frozenset[str] = frozenset()

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any], target: Target) -> Choice:
        choice = cls(params["accept"] or "", frozenset(params["lost"] or ()), frozenset(params["empty"] or ()))
        for option in ("lost", "empty"):
            if getattr(choice, option) and not choice.accept:
                raise Failure(
                    f"{option}: expected accept beside it, found none. Without accept (the set id to keep) nothing is "
                    f"done, so nothing is taken for granted either. Leave {option} out, or give accept."
                )
        for name in sorted(choice.empty):
            prefix, _dash, number = name.rpartition("-")
            if prefix != target.name or not number.isdigit():
                raise Failure(
                    f"empty: expected names of pods of the StatefulSet {target.name} ({target.pod(0)}, "
                    f"{target.pod(1)}, …), found {name}. Correct the name."
                )
        return choice
