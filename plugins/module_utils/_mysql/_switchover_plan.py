# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another primary, on purpose: to a named replica, or to the best one. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._rolling import Rolling
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal


@dataclasses.dataclass(frozen=True)
class Wish:
    #: the pod that is to be primary; empty: the best one that is not now
    to: str = ""
    #: seconds that it may be behind
    lag_limit: float = 10.0
    #: the pod that was primary when the operation began, which matters where none is named
    away_from: str = ""


def as_it_is(seen: Snapshot, lag_limit: float) -> Desired:
    """What is there, as what is wanted: no pod comes, goes, or is replaced."""
    replicas = seen.stateful_set.replicas if seen.stateful_set else 1
    return Desired(max(1, replicas), lag_limit=lag_limit, replace_pods=False, scale=False)


def not_asked(view: View) -> Refusal:
    """As after an adoption: a pod that is made anew from such a template may take writes, whoever is primary."""
    name = view.target.name
    return Refusal(
        f"The template of StatefulSet {name} is not that of the role yet: a pod that starts by it would not ask who is "
        "primary. Nothing was changed.",
        view.evidence(),
        ("run the playbook stateful.kube.mysql first, which replaces the pods, the primary last",),
    )


def plan_switchover(target: Target, wish: Wish, seen: Snapshot) -> t.Union[Plan, Refusal]:
    if seen.stateful_set is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}. Nothing was changed.",
            choices=("check name and namespace",),
        )
    view = View(target, as_it_is(seen, wish.lag_limit), seen)
    if seen.record is None or seen.record.epoch == 0:
        return Refusal(
            f"Nobody has been primary of {target.name} yet. Nothing was changed.",
            view.evidence() if seen.record else (),
            ("run the playbook stateful.kube.mysql first",),
        )
    if not seen.stateful_set.asks:
        return not_asked(view)
    primary = seen.record.primary
    done = primary == wish.to if wish.to else bool(wish.away_from) and primary != wish.away_from
    if not done and len(view.desired.ordinals) < 2:
        return Refusal(
            f"{primary} is the only server of {target.name}. Nothing was changed.",
            view.evidence(),
            ("add a replica (members, in the role mysql_members)",),
        )
    to = target.ordinal(wish.to) if wish.to else None
    if wish.to and to not in view.desired.ordinals:
        names = ", ".join(target.pod(ordinal) for ordinal in view.desired.ordinals)
        return Refusal(
            f"to: {wish.to} is no member of {target.name}. Nothing was changed.",
            (f"its members are {names}",),
            ("name one of these", "leave to out for the best one"),
        )
    if seen.record.swapping:
        return Refusal(
            f"A restore of {seen.record.restoring or 'a backup'} into {target.name} has not come to its end, and until "
            f"then nobody but {primary} has what was restored for certain. Nothing was changed.",
            view.evidence(),
            ("run that restore to its end, with the same options",),
        )
    if not done and view.promoted and seen.record.cut_off and view.pending:
        return Refusal(
            f"{seen.record.dismissed}, which was primary before and was cut off, is not seen gone yet, and who takes "
            "over now could not be kept from it. Nothing was changed.",
            view.evidence(),
            (f"wait until the pod of {seen.record.dismissed} is gone", "see to its node, and run again"),
        )
    if not done and view.promoted:
        steps = Rolling(view).hand_over([o for o in view.desired.ordinals if o != view.primary], to)
        follow = [view.wait("wait until the others replicate from the new primary")] if steps[0].change else []
        return Plan((*steps, *follow))
    # What an earlier run has begun comes first, and what follows from a new primary last.
    return plan(target, view.desired, seen)
