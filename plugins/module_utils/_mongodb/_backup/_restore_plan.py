# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""Plans a restore, and refuses what would overwrite data in silence. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._overwrite import mistyped
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import Manifest, Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import missing_secret
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

#: what a restore comes through, in this order
CLEAR, LOAD, REPLAY, BUILD = "clear", "load", "replay", "build"
#: what is noted while the oplog is being replayed
REPLAYING = "replaying"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to be restored, and how."""

    base: Manifest
    slices: tuple[Manifest, ...] = ()
    until: t.Optional[Optime] = None
    users: bool = False
    overwrite_data_of: str = ""

    @property
    def identity(self) -> dict[str, t.Any]:
        """What makes a restore that was begun the same as this one."""
        return {
            "backup": self.base.backup,
            "set_id": self.base.set_id,
            "until": self.until.text if self.until else "",
            "slices": [one.backup for one in self.slices],
        }


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a restore notes in the target: what is restored, how far it is, and which collections are complete."""

    phase: str
    identity: t.Mapping[str, t.Any]
    done: tuple[str, ...] = ()

    @classmethod
    def load(cls, found: t.Mapping[str, t.Any], done: t.Iterable[str]) -> t.Optional[Mark]:
        return cls(str(found["phase"]), dict(found["identity"]), tuple(done)) if found else None

    def dump(self) -> dict[str, t.Any]:
        return {"phase": self.phase, "identity": dict(self.identity)}


@dataclasses.dataclass(frozen=True)
class Around:
    seen: Snapshot
    #: what the primary says; None where there is none that answers
    databases: t.Optional[tuple[str, ...]] = None
    mark: t.Optional[Mark] = None
    fcv: str = ""
    #: whether this run has come to the end
    finished: bool = False


def plan(target: Target, wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    if around.finished:
        return Plan()
    refusal = _refusal(target, wish, around)
    if refusal:
        return refusal
    if around.databases is None:
        wait = f"wait for a primary of {target.namespace}/{target.name} that answers"
        return Plan((Step("wait", target.name, wait, change=False),))
    steps = [step for step in _all_steps(target, wish, around) if step.action in _left(wish, around)]
    return Plan(tuple(steps))


def _left(wish: Wish, around: Around) -> tuple[str, ...]:
    every = (CLEAR, LOAD, REPLAY, BUILD)
    mark = around.mark
    if mark is None or mark.identity != wish.identity or mark.phase not in every:
        # A replay that was broken off cannot be gone on with: what was renamed must not be renamed once more.
        return every
    return every[every.index(mark.phase) :]


def _all_steps(target: Target, wish: Wish, around: Around) -> list[Step]:
    base = wish.base
    done = around.mark.done if around.mark and around.mark.phase == LOAD else ()
    collections = [one for one in base.collections if one.data and one.ns not in done]
    count, size = sum(one.documents for one in collections), sum(one.bytes for one in collections)
    end = wish.until or (wish.slices[-1].end if wish.slices else base.end)
    until = f"up to what was before {end.time} ({end.text})" if wish.until else f"up to {end.time} ({end.text})"
    entries = base.entries + sum(one.entries for one in wish.slices)
    last = "indexes, views, and users and roles" if wish.users else "indexes and views"
    if around.databases:
        clear = f"DROP the data that is there ({', '.join(around.databases)}), and note that a restore goes on"
    else:
        clear = "note that a restore goes on, so that nobody takes it for complete"
    return [
        Step(CLEAR, target.name, clear),
        Step(
            LOAD, target.name, f"load {len(collections)} collections of {base.backup}: {count} documents, {size} bytes"
        ),
        Step(REPLAY, target.name, f"replay the oplog {until}, {entries} entries at most"),
        Step(BUILD, target.name, f"create {last}, wait for a majority, and remove the notes"),
    ]


def _refusal(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    seen = around.seen
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace} to restore into.",
            choices=("deploy the application first (stateful.kube.mongodb)", "correct name and namespace"),
        )
    if not seen.secret:
        return Refusal(missing_secret(target))
    typed = wish.overwrite_data_of
    refusal = mistyped(typed, target.name, "the set that")
    if refusal:
        return refusal
    if around.databases is None:
        return None
    if around.fcv and _version(around.fcv) < _version(wish.base.fcv):
        return Refusal(
            f"The backup is of a set with feature compatibility version {wish.base.fcv}, and {target.name} has "
            f"{around.fcv}: an older server does not understand what a newer one wrote.",
            choices=(f"restore into a set of version {wish.base.fcv} or newer",),
        )
    mark = around.mark
    if mark and mark.identity == wish.identity:
        return None
    if (around.databases or mark) and not typed:
        evidence = [f"its databases are {', '.join(around.databases)}"] if around.databases else []
        if mark:
            evidence.append(f"a restore of {mark.identity.get('backup')} into it has not come to its end")
        return Refusal(
            f"{target.namespace}/{target.name} holds data, and a restore replaces all of it.",
            evidence=tuple(evidence),
            choices=(
                f"type its name again to lose what it holds: overwrite_data_of={target.name}",
                "restore into a set of another name",
                *(("run the restore that was begun to its end, with the same options",) if mark else ()),
            ),
        )
    return None


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        raise Failure(f"The feature compatibility version {text!r} is none that can be compared.") from None
