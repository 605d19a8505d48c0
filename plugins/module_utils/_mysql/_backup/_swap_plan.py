# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Plans a restore of the files of a server, which take the place of the primary's data at a new start of its pod. Pure.

Until then nothing of what is there is touched. One write of the record begins it: another epoch, another life of the
data, the files that the primary is to take, and every other member as one that takes a copy anew. What follows from
the record is the ordinary plan's, whoever carries it out; nobody else can be made primary meanwhile.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._overwrite import mistyped
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _plan as ordinary
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import series
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import LAG_LIMIT, refused
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_plan import (
    FINISH,
    REPLAY,
    Around,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is, not_asked
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

#: what comes before REPLAY and FINISH
UNPACK, SWAP = "unpack", "swap"
OWN = (UNPACK, SWAP, REPLAY, FINISH)


def noted_of(wish: Wish, seen: Snapshot, step: str, swap: str, end: str, now: float) -> dict[str, t.Any]:
    """What is noted with a step: which files, and what they lead to, from where binary logs are applied."""
    record = seen.record
    return {
        **wish.identity,
        "epoch": record.epoch if record else 0,
        "imported": record.imported if record else "",
        "step": step,
        "at": int(now),
        "executed": "",
        "databases": None,
        "swap": swap,
        "end": end,
    }


def swapped(target: Target, record: Record, seen: Snapshot, swap: str) -> Record:
    """The record that begins it."""
    view = View(target, as_it_is(seen, LAG_LIMIT), seen)
    # A pod that is not there now is told so when it is.
    others = {target.pod(o): view.pod(o).uid or swap for o in view.replicas}
    uid = view.pod(view.primary).uid
    return dataclasses.replace(
        record,
        epoch=record.epoch + 1,
        copies={**record.copies, **others},
        dismissed="",
        dismissed_uid="",
        without=(),
        had={},
        turn=record.turn + 1,
        waits="",
        cut_off=False,
        swap=swap,
        swap_uid=uid,
        swap_before=f"{record.swap_before} {record.swap}".strip() if record.swapping else "",
    )


def plan(target: Target, wish: Wish, around: Around, attached: t.Sequence[int] = ()) -> t.Union[Plan, Refusal]:
    if FINISH in around.done:
        return Plan()
    refusal = refused(target, around.seen)
    if refusal:
        return refusal
    view = View(target, dataclasses.replace(as_it_is(around.seen, LAG_LIMIT), attached=tuple(attached)), around.seen)
    if _begun(wish, around):
        found = ordinary.plan(target, view.desired, around.seen)
        if isinstance(found, Plan):
            return Plan((*found.steps, *_last(target, wish, around)), found.warnings)
        if not view.swap_pending or SWAP in around.done:
            return found
        # The files are not on the volume any more: they are brought there again.
    refusal = _refused(wish, view, around)
    if refusal:
        return refusal
    # Its data goes, whatever state it is in.
    if not view.primary_answer.serves or view.pending:
        name = view.record.dismissed if view.pending else view.record.primary
        gone = "is seen gone" if view.pending else "answers"
        return Plan((Step("wait", target.name, f"wait until {name} {gone}", change=False),))
    steps = [step for step in _first(target, wish, view) if step.action == SWAP or UNPACK not in around.done]
    return Plan((*steps, *_last(target, wish, around)))


def _begun(wish: Wish, around: Around) -> bool:
    """Whether the record says so, and no binary log was applied in part: nobody knows in which one that broke off."""
    mark, record = around.mark, around.seen.record
    if record is None or not record.swapping or record.swap != mark.get("swap"):
        return False
    same = {key: mark.get(key) for key in wish.identity} == wish.identity
    return same and (mark.get("step") != REPLAY or REPLAY in around.done)


def _first(target: Target, wish: Wish, view: View) -> list[Step]:
    base, name = wish.base, view.record.primary
    others = [view.target.pod(ordinal) for ordinal in view.replicas]
    copies = f", and every other member ({', '.join(others)}) takes a copy anew" if others else ""
    return [
        Step(UNPACK, name, f"unpack the files of {base.backup} beside the data of {name}: {base.room} bytes"),
        Step(
            SWAP,
            target.name,
            f"replace the data of {name} by them at a new start of its pod{copies}; note that a restore goes on",
        ),
    ]


def _last(target: Target, wish: Wish, around: Around) -> list[Step]:
    steps = []
    applied = REPLAY in around.done or (_begun(wish, around) and around.mark.get("step") == FINISH)
    if wish.slices and not applied:
        until = f"before {wish.until}" if wish.until else f"up to {wish.slices[-1].until}"
        files = sum(len(one.logs) for one in wish.slices)
        steps.append(Step(REPLAY, target.name, f"apply what was committed {until}, of {files} binary logs"))
    steps.append(Step(FINISH, target.name, "remove the data of before, and the note"))
    return steps


def _refused(wish: Wish, view: View, around: Around) -> t.Optional[Refusal]:
    target, typed, base = view.target, wish.overwrite_data_of, wish.base
    refusal = mistyped(typed, target.name)
    if refusal:
        return refusal
    if around.seen.stateful_set and not around.seen.stateful_set.asks:
        return not_asked(view)
    if not around.seen.claims.get(view.primary):
        return Refusal(
            f"{view.record.primary} keeps its data for as long as its pod lives, and files are put in its place when "
            "that starts anew.",
            choices=("restore a dump", "give the application a storage class (mysql_storage_class)"),
        )
    version = view.primary_answer.version
    if version and (
        (MARIADB in version.lower()) != (base.flavour == MARIADB) or series(version) != series(base.version)
    ):
        return Refusal(
            f"The backup holds files of version {base.version}, and {target.name} has {version}: a server reads those "
            "of its own series alone.",
            choices=("restore into an application of the same series, and upgrade that", "restore a dump"),
        )
    if (around.databases or around.mark) and not typed:
        evidence = [f"its databases are {', '.join(around.databases)}"] if around.databases else []
        if around.mark:
            evidence.append(f"a restore of {around.mark.get('backup')} into it has not come to its end")
        return Refusal(
            f"{target.namespace}/{target.name} holds data, and a restore of files replaces all of it, accounts too.",
            evidence=tuple(evidence),
            choices=(
                f"type its name again to lose what it holds: overwrite_data_of={target.name}",
                "restore into an application of another name",
            ),
        )
    return None
