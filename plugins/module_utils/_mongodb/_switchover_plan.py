# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another primary, on purpose: to a named member, or to the best one. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config, MemberConfig, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


@dataclasses.dataclass(frozen=True)
class Wish:
    #: the pod that is to be primary; empty: the best one that is not now
    to: str = ""
    #: seconds that it may be behind
    lag_limit: float = 10.0
    #: the pod that was primary when the operation began, which matters where none is named
    away_from: str = ""


def plan_switchover(target: Target, wish: Wish, seen: Snapshot) -> t.Union[Plan, Refusal]:
    found = seen.stateful_set
    if found is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}. Nothing was changed.",
            choices=("check name and namespace",),
        )
    view = View(target, Desired(max(1, found.replicas), lag_limit=wish.lag_limit), seen)
    config, primary = seen.config, seen.primary
    if config is None or primary is None:
        return Plan((view.wait(f"wait until a member is primary: {view.states()}"),))
    if target.pod(primary) == wish.to or (wish.away_from and not wish.to and target.pod(primary) != wish.away_from):
        return Plan(tuple(_others(view, config)))
    candidates = _candidates(view, config, wish)
    if isinstance(candidates, Refusal):
        return candidates
    step = view.move_primary(config, candidates)
    return Plan(
        (step, *([view.wait("wait until the new primary is seen by the others")] if step.change else [])),
        _taken_back(view, config, wish),
    )


def _others(view: View, config: Config) -> t.Iterator[Step]:
    """What is left when the primary is the right one: the others have to follow it."""
    away = view.not_serving(config, [o for o in view.desired.ordinals if _electable(view, config, o)])
    primary = t.cast(int, view.seen.primary)
    if not any(view.serves(o) for o in view.desired.ordinals if o != primary) and len(config.members) > 1:
        yield view.wait(f"wait until another member follows the primary {view.target.pod(primary)}: {away}")


def _candidates(view: View, config: Config, wish: Wish) -> t.Union[Refusal, list[int]]:
    target, seen = view.target, view.seen
    members = {ordinal: m for ordinal in view.desired.ordinals if (m := view.member(config, ordinal))}
    if not wish.to:
        electable = [o for o, member in members.items() if member.electable and o != seen.primary]
        if electable:
            return electable
        return Refusal(
            f"{target.pod(t.cast(int, seen.primary))} is the only member of {target.replica_set} that can be primary. "
            "Nothing was changed.",
            evidence(target, seen),
            ("add a member", "give another member a vote and a priority above 0"),
        )
    named = {target.pod(ordinal): ordinal for ordinal in members}
    if wish.to not in named:
        return Refusal(
            f"to: {wish.to} is no member of {target.replica_set}. Nothing was changed.",
            (f"its members are {', '.join(sorted(named, key=named.__getitem__))}",),
            ("name one of these", "leave to out for the best one"),
        )
    member = members[named[wish.to]]
    if not member.electable:
        return Refusal(
            f"to: {wish.to} can never be primary. Nothing was changed.",
            (_why_not(member),),
            ("name another member", "give it a vote and a priority above 0 (member_options of mongodb_replica_set)"),
        )
    return [named[wish.to]]


def _electable(view: View, config: Config, ordinal: int) -> bool:
    member = view.member(config, ordinal)
    return bool(member and member.electable)


def _why_not(member: MemberConfig) -> str:
    return f"it has priority {member.priority:g} and {member.votes or 'no'} vote{'' if member.votes == 1 else 's'}"


def _taken_back(view: View, config: Config, wish: Wish) -> tuple[str, ...]:
    """Members of a higher priority take over by themselves, once they have caught up."""
    chosen = [o for o in view.desired.ordinals if view.target.pod(o) == wish.to]
    mine = max((m.priority for o in chosen if (m := view.member(config, o))), default=None)
    if mine is None:
        return ()
    above = [
        f"{view.target.pod(o)} ({m.priority:g})"
        for o in view.desired.ordinals
        if (m := view.member(config, o)) and m.electable and m.priority > mine
    ]
    if not above:
        return ()
    return (
        f"{wish.to} has priority {mine:g}, and a member with more takes over again after a minute: "
        f"{', '.join(above)}. To keep it, declare other priorities (member_options of mongodb_replica_set).",
    )
