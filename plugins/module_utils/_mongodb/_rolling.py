# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods of an older revision: replaced one by one, and the primary last, after it has stepped down. Pure."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import ARBITER, Config, Kind
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _rolling


class Rolling(_rolling.Rolling[View]):
    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.target = view.target
        self.seen = view.seen

    @property
    def replaces(self) -> bool:
        """Whether pods are made from the newest template, or about to be."""
        return self.view.desired.replace_pods and bool(self.old)

    def steps(self, config: Config) -> list[Step]:
        if not self.may():
            return self.unsettled()
        steps: list[Step] = []
        primary = self.seen.primary
        # Who does not serve comes first: it is away already, and its new pod may be the remedy.
        old = sorted((o for o in self.old if not self.is_stuck(o)), key=self.view.serves)
        for ordinal in [*(o for o in old if o != primary), *(o for o in old if o == primary)]:
            member = self.view.member(config, ordinal)
            state = self.seen.answer(ordinal).state or "no member yet"
            if not steps:
                steps += self._others_are_well(config, ordinal)
            else:
                before = steps[-1].target
                steps.append(self.view.wait(f"wait until {before} serves and has caught up"))
            if ordinal == primary and member:
                if any(each.electable and each.host != member.host for each in config.members):
                    steps.append(self._step_down(config, ordinal))
                else:
                    state = "PRIMARY, and the only member that can be: nothing is written until it is back"
            steps.append(self.replace(ordinal, state))
        return steps

    def is_stuck(self, ordinal: int) -> bool:
        pod, status = self.view.pod(ordinal), self.view.status(ordinal)
        if pod.ready or pod.deleting or self.seen.answer(ordinal).kind is not Kind.UNREACHABLE:
            return False
        # It may be only us who do not reach it.
        return not (status and status.healthy)

    def _others_are_well(self, config: Config, ordinal: int) -> list[Step]:
        """No other member is away, joining or behind: a second one that is missing could be one too many."""
        others = [
            other
            for other in self.view.desired.ordinals
            if other != ordinal and self.view.member(config, other) and other != self.seen.primary
        ]
        missing = self.view.not_serving(config, others)
        late = [
            f"{self.target.pod(other)} is {behind:.0f} s behind" if behind is not None else f"{self.target.pod(other)}"
            for other in others
            if self.seen.answer(other).state != ARBITER and self.view.lags(other)
            for behind in [self.view.behind(other)]
        ]
        votes = self.view.votes_missing(config) if self.view.serves(ordinal) else ""
        primary = self.seen.primary
        unseen = self.view.unseen_by(primary) if primary is not None else []
        lost = self.view.does_not_reach(primary, [other for other in unseen if other != ordinal])
        why = missing or lost or "; ".join(late) or votes
        if not why:
            return []
        limit = f"{self.view.desired.lag_limit:g} s"
        return [self.view.wait(f"wait until the other members serve and are at most {limit} behind: {why}")]

    def _step_down(self, config: Config, ordinal: int) -> Step:
        return self.view.move_primary(config, [o for o in self.view.desired.ordinals if o != ordinal])
