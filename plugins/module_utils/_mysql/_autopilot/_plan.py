# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is done about a lost primary without anybody asking for it: a failover that can lose nothing, or nothing. Pure.

While the primary is there, it is recorded that its commits wait for a replica for as long as that takes. That makes it
safe to go on without the word of its node: when every other server replicates from somebody else or from nobody, it can
acknowledge nothing more, wherever it is, and everything that it has acknowledged is on one of those that were compared.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import COPY, REPLACE, SCALE, WAITS
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

# With fewer no commit would return after a failover.
FEWEST = 3
# Seconds that a MariaDB must have run before the primary was lost.
BEFORE = 10.0
# What only people ask for.
NEVER = (COPY, REPLACE, SCALE)


@dataclasses.dataclass(frozen=True)
class Wish:
    #: tells this autopilot from one that was switched off before
    by: str
    #: seconds for which the primary has to give no answer, and those for which it has given none
    after: float = 30.0
    silence: float = 0.0
    #: seconds since it was there for certain
    unheard: float = float("inf")
    #: whether the pod of the old primary had its time to go
    cut_off: bool = False
    lag_limit: float = 10.0


@dataclasses.dataclass(frozen=True)
class Found:
    plan: Plan = dataclasses.field(default_factory=Plan)
    #: why nothing is done, where somebody should know
    held_back: str = ""


def plan_autopilot(target: Target, wish: Wish, seen: Snapshot) -> Found:
    if seen.stateful_set is None or seen.record is None or seen.record.epoch == 0:
        return Found()
    desired = dataclasses.replace(as_it_is(seen, wish.lag_limit), cut_off=wish.cut_off)
    view = View(target, desired, seen)
    if seen.record.dismissed and seen.record.cut_off and not _lost_again(view):
        found = _goes_on(view, plan(target, desired, seen))
        if found.plan.steps or not view.promoted:
            return found
    answer = view.primary_answer
    if answer.kind is not Kind.UNREACHABLE:
        if view.promoted and answer.waits and seen.record.waits != wish.by:
            sentence = f"record that every commit of {seen.record.primary} waits for a replica"
            return Found(Plan((Step(WAITS, target.record, sentence, data={"by": wish.by}),)))
        if view.promoted and not answer.waits and seen.record.waits:
            sentence = f"record that commits of {seen.record.primary} do not wait for a replica"
            return Found(Plan((Step(WAITS, target.record, sentence, data={"by": ""}),)))
        if view.promoted and answer.waits and any(_halted(view, ordinal) for ordinal in view.replicas):
            return _goes_on(view, plan(target, desired, seen))
        if answer.serves and not view.promoted and view.pending:
            return Found(held_back=_unfinished(view))
        return Found()
    why = _held_back(view, wish)
    if why:
        return Found(held_back=f"{seen.record.primary} gives no answer, and no other one takes over: {why}")
    failover = plan_failover(target, Failover(lag_limit=wish.lag_limit, by=wish.by), seen)
    return Found(held_back=failover.sentence()) if isinstance(failover, Refusal) else Found(failover)


def _unfinished(view: View) -> str:
    """A failover that somebody asked for, or of a version that noted otherwise whether commits waited."""
    return (
        f"{view.record.primary} takes no writes yet, because the pod of {view.record.dismissed}, which was primary, is "
        "not seen gone: see to its node, and run the playbook stateful.kube.failover once more"
    )


def _halted(view: View, ordinal: int) -> bool:
    """Whether it was told to receive nothing more, by a failover that came to no end: commits would wait for it."""
    source = view.seen.answer(ordinal).source
    told = source is not None and source.receiver == "No" and source.applier == "Yes"
    return told and view.attached(ordinal) and not view.broken(ordinal)


def _lost_again(view: View) -> bool:
    """Whether the one that took over was primary, and is lost in its turn."""
    answer = view.primary_answer
    return answer.kind is Kind.UNREACHABLE and bool(view.record.waits)


def _goes_on(view: View, found: t.Union[Plan, Refusal]) -> Found:
    """An earlier failover, until the new primary takes writes and whoever can replicate from it does."""
    if isinstance(found, Refusal):
        return Found(held_back=found.sentence())
    steps = found.steps
    if not steps or steps[0].action in NEVER or (view.promoted and not steps[0].change):
        return Found()
    return Found(found)


def _held_back(view: View, wish: Wish) -> str:
    """Why a failover could lose something, or is not called for; empty where it is."""
    record, name = view.record, view.record.primary
    if not record.waits or record.waits != wish.by:
        return f"its commits were not seen to wait for a replica (mysql_semi_sync): some may be on {name} alone"
    if len(view.present) < FEWEST:
        return f"there are {len(view.present)} members, and of fewer than {FEWEST} no commit would return afterwards"
    if view.pending:
        return f"{record.dismissed}, which was primary before, is not seen gone yet"
    if record.copies:
        return f"{', '.join(sorted(record.copies))} is to take a copy in place of its data"
    silent = [view.said(ordinal) for ordinal in view.replicas if not view.seen.answer(ordinal).serves]
    if silent:
        return f"{'; '.join(silent)}, and may have what nobody else has"
    for ordinal in view.replicas:
        answer, pod = view.seen.answer(ordinal), view.target.pod(ordinal)
        if "mariadb" in answer.version.lower() and (answer.uptime or 0.0) < wish.unheard + BEFORE:
            if wish.unheard == float("inf"):
                return (
                    f"this autopilot has not heard of {name} since it started, and cannot tell whether {pod} was "
                    "running before that: a MariaDB forgets at its start what it has received and not applied"
                )
            return (
                f"{pod} was not running for {BEFORE:.0f} s yet when that began, and a MariaDB forgets at its start "
                "what it has received and not applied"
            )
    if wish.silence < wish.after:
        return f"it has been away for {wish.silence:.0f} s, and that counts after {wish.after:.0f} s"
    return ""
