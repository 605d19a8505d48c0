# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another primary because the one that is recorded is lost: only by evidence, and only when asked. Pure.

The promise: nobody writes before the pod of the old primary is seen gone, and who takes over has everything that any
replica has that answered. What is acknowledged is on a replica only with semi-synchronous replication.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql import _memory as memory
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import halt, plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import DISMISS, RECORD
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is, not_asked
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


@dataclasses.dataclass(frozen=True)
class Wish:
    #: the pod that is to be primary; empty: the one that has most
    to: str = ""
    #: pods that are not waited for, although they may have transactions that no other one has
    without: tuple[str, ...] = ()
    lag_limit: float = 10.0
    #: the pod that was primary when the operation began
    away_from: str = ""
    #: the autopilot that asks: what it has seen of the old primary tells whether that one can be cut off
    by: str = ""


def given_up(target: Target, seen: Snapshot) -> str:
    """Whose place is to be taken: an earlier run may have recorded a successor who answers, and takes no writes yet."""
    if seen.record is None:
        return ""
    view = View(target, as_it_is(seen, 0.0), seen)
    begun = view.primary_answer.serves and not view.promoted and seen.record.dismissed
    return seen.record.dismissed if begun else seen.record.primary


def plan_failover(target: Target, wish: Wish, seen: Snapshot) -> t.Union[Plan, Refusal]:
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}. Nothing was changed.",
            choices=("check name and namespace",),
        )
    view = View(target, as_it_is(seen, wish.lag_limit), seen)
    if seen.record is None or seen.record.epoch == 0:
        return Refusal(
            f"Nobody is recorded as primary of {target.name}, so nobody can take over. Nothing was changed.",
            view.evidence() if seen.record else (),
            ("run the playbook stateful.kube.mysql first",),
        )
    if not seen.stateful_set.asks:
        return not_asked(view)
    begun = view.primary_answer.serves and not view.promoted
    if begun and seen.record.dismissed and not seen.record.importing and {*wish.without} - {*seen.record.without}:
        return _left_out(view, wish)
    if begun or _comes_first(view, wish):
        return plan(target, view.desired, seen)
    left = _in_a_restore(view, wish)
    if isinstance(left, Refusal):
        return left
    wish, copies = left
    refusal = _still_there(view)
    if refusal:
        return refusal
    had = memory.had(view, wish.without)
    remember = memory.remember(view, had)
    chosen = _chosen(view, wish)
    if isinstance(chosen, Refusal):
        return memory.once_written_down(view, remember, chosen)
    # Whoever has most is known once nobody gets more.
    still = [ordinal for ordinal in view.replicas if view.receives(ordinal)]
    idle = memory.idle(view, [ordinal for ordinal in view.replicas if target.pod(ordinal) not in wish.without])
    if isinstance(idle, Refusal):
        return memory.once_written_down(view, remember, idle)
    if idle:
        return Plan((*remember, *idle))
    old, new = seen.record.primary, target.pod(chosen)
    data = {
        "epoch": seen.record.epoch + 1,
        "primary": new,
        "members": seen.record.members,
        "dismissed": old,
        "without": wish.without,
        "had": had,
        "cut_off": bool(wish.by) and seen.record.waits == wish.by,
        **({} if copies is None else {"copies": copies}),
    }
    return Plan(
        (
            *remember,
            *halt(view, still),
            Step(RECORD, target.record, f"record that {new} is primary in place of {old}", data=data),
            Step(DISMISS, old, f"delete the pod of {old}, which was primary, and see it gone before anybody writes"),
            view.wait(f"wait until {new} has applied what it has received, let it take writes, and the others follow"),
        ),
        _warnings(view, wish, old),
    )


def _comes_first(view: View, wish: Wish) -> bool:
    """Whether something that goes on already has to come further."""
    record = view.record
    if record.importing or (wish.away_from and record.primary != wish.away_from):
        return True
    # While the files of a backup are put in place others have data of before: who goes by evidence alone waits.
    if record.swapping and (wish.by or view.primary_answer.kind is not Kind.UNREACHABLE):
        return True
    # The one before this one may write still.
    return view.pending


def _in_a_restore(view: View, wish: Wish) -> t.Union[Refusal, tuple[Wish, t.Optional[dict[str, str]]]]:
    """Who counts where the primary is lost that puts the files of a backup in place, and who takes a copy after that.

    A replica that has its copy has what was restored. What the others have was to be replaced.
    """
    record, name = view.record, view.record.primary
    if not record.swapping:
        return wish, None
    # Its volume may hold either.
    mine = {name: record.swap}
    answer = [view.target.pod(o) for o in view.servers_asked if o != view.primary]
    if any(pod not in record.copies and pod not in wish.without for pod in answer):
        outdated = tuple(view.target.pod(o) for o in view.replicas if view.target.pod(o) in record.copies)
        without = (*wish.without, *(pod for pod in outdated if pod not in wish.without))
        return dataclasses.replace(wish, without=without), {**record.copies, **mine}
    if wish.to and name in wish.without:
        return wish, mine
    return Refusal(
        f"{name} is to go on with the files of {record.restoring or 'a backup'} and does not answer, and no replica "
        "that answers has its copy of them: all that there is beside it is the data of before. Nothing was changed.",
        view.evidence(),
        (
            f"bring {name} or its volume back, and run the same restore again",
            f"go on with the data of before, and restore once more: to=NAME of a replica, without={name}",
        ),
    )


def _left_out(view: View, wish: Wish) -> Plan:
    """An earlier run waits for somebody, or for what somebody had, and is told to go on without."""
    record = view.record
    named = tuple(pod for pod in wish.without if pod not in record.without)
    data = {
        "epoch": record.epoch + 1,
        "primary": record.primary,
        "members": record.members,
        "dismissed": record.dismissed,
        "dismissed_uid": record.dismissed_uid,
        "without": (*record.without, *named),
        "had": memory.had(view, (*record.without, *named)),
        "cut_off": record.cut_off,
    }
    sentence = f"record that {record.primary} is primary, without what only {', '.join(named)} has"
    return Plan(
        (
            Step(RECORD, view.target.record, sentence, data=data),
            view.wait(f"wait until {record.primary} has applied what it has received, and let it take writes"),
        ),
        _warnings(view, wish, record.dismissed),
    )


def _still_there(view: View) -> t.Optional[Refusal]:
    answer, name = view.primary_answer, view.record.primary
    if answer.kind is Kind.UNREACHABLE:
        return None
    return Refusal(
        f"The primary {name} answers, so there is nothing to fail over from. Nothing was changed.",
        view.evidence(),
        (f"move the primary without loss: playbook stateful.kube.switchover with app={view.target.name}",),
    )


def _chosen(view: View, wish: Wish) -> t.Union[int, Refusal]:
    without = {ordinal for pod in wish.without if (ordinal := view.target.ordinal(pod)) is not None}
    there = [o for o in view.servers_asked if o != view.primary and o not in without]
    silent = [o for o in view.replicas if o not in there and o not in without and view.may_hold_data(o)]
    if silent:
        names = ", ".join(view.target.pod(ordinal) for ordinal in silent)
        return Refusal(
            f"{names} does not answer, and may have transactions that nobody else has. Nothing was changed.",
            view.evidence(),
            (
                f"bring {names} back, and run again",
                "go on without, and lose what nobody else has: without="
                + ",".join(view.target.pod(ordinal) for ordinal in sorted({*without, *silent})),
            ),
        )
    # Where nobody else is there, one of those takes over whose loss is no matter: what it has, it keeps.
    there = there or [o for o in view.servers_asked if o != view.primary]
    named = view.target.ordinal(wish.to) if wish.to else None
    if wish.to and (named is None or named not in there or not view.stays(named)):
        return Refusal(
            f"to: {wish.to} is no replica of {view.target.name} that answers. Nothing was changed.",
            view.evidence(),
            ("name one that answers", "leave to out for the one that has most"),
        )
    best = view.most(there)
    if best is None and there:
        return Refusal(
            "No replica has everything that the others have: their histories have parted, and whoever takes over, "
            "something is lost. Nothing was changed.",
            view.evidence(),
            ("see what the transactions are, and leave out the replica that is to be given up: without=NAME",),
        )
    if best is None:
        return Refusal(
            f"No replica of {view.target.name} answers, so nobody can take over. Nothing was changed.",
            view.evidence(),
            ("bring a replica back", f"bring {view.record.primary} back"),
        )
    lost = memory.forgotten(view, best, wish.without)
    if lost:
        return memory.refused(view, lost, view.record.primary, wish.without)
    if named is not None and not all(_has_all(view, named, other) for other in there):
        return Refusal(
            f"to: {wish.to} lacks transactions that {view.target.pod(best)} has. Nothing was changed.",
            view.evidence(),
            (f"name {view.target.pod(best)}, or leave to out",),
        )
    return named if named is not None else best


def _has_all(view: View, one: int, other: int) -> bool:
    mine, theirs = view.seen.answer(one).has, view.seen.answer(other).has
    return mine is not None and theirs is not None and mine.contains(theirs)


def _warnings(view: View, wish: Wish, old: str) -> tuple[str, ...]:
    said = []
    answers = [view.seen.answer(ordinal) for ordinal in view.replicas if view.seen.answer(ordinal).serves]
    if not all(answer.semi_sync for answer in answers):
        said.append(
            f"Replication of {view.target.name} is asynchronous: what {old} acknowledged and no replica has received "
            f"is lost. Should {old} come back, the run after that names those transactions."
        )
    elif any("mariadb" in answer.version.lower() for answer in answers):
        said.append(
            "A MariaDB forgets at its start what it has received and not applied: where a replica was started again "
            f"between the loss of {old} and this look, acknowledged transactions may be lost."
        )
    if wish.without:
        said.append(f"{', '.join(wish.without)} was left out: what only it has is lost.")
    return tuple(said)
