# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods of an older revision: replaced one by one, and the primary last, after it has handed over. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import HAND_OVER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _rolling


class Rolling(_rolling.Rolling[View]):
    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.target = view.target
        self.seen = view.seen

    def steps(self) -> list[Step]:
        if not self.may():
            return self.unsettled()
        steps: list[Step] = []
        old = [ordinal for ordinal in self.old if not self.is_stuck(ordinal)]
        primary = self.view.primary
        # Who does not follow comes first: its new pod may be the remedy.
        replicas = sorted((o for o in old if o != primary), key=self.view.fit)
        for ordinal in [*replicas, *(o for o in old if o == primary)]:
            if not steps:
                steps += self._others_are_well(ordinal)
            else:
                steps.append(self.view.wait(f"wait until {steps[-1].target} follows closely"))
            state = "a replica"
            if ordinal == primary and self.view.desired.members > 1:
                steps += self.hand_over([o for o in self.view.desired.ordinals if o != ordinal])
                state = "the primary before"
            elif ordinal == primary:
                state = "the only server: nothing is read or written until it is back"
            steps.append(self.replace(ordinal, state))
        return steps

    def hand_over(self, candidates: t.Sequence[int], to: t.Optional[int] = None) -> list[Step]:
        """The best of these takes over from the primary, as soon as one of them is fit."""
        old = set(self.old)
        fit = [o for o in candidates if o != self.view.primary and self.view.fit(o) and not self.view.broken(o)]
        if to is not None:
            fit = [to] if to in fit else []
        if not fit or not self.view.promoted:
            asked = candidates if to is None else [to]
            why = [self.view.unfit(o) or self.view.broken(o) for o in asked if o != self.view.primary]
            said = "; ".join(each for each in why if each) or f"{self.view.record.primary} is not primary yet"
            return [self.view.wait(f"wait until a replica can take over: {said}")]
        # One whose pod is going to be replaced would have to hand over again.
        best = min(fit, key=lambda o: (o in old, self._lag(o), o))
        name, primary = self.target.pod(best), self.view.record.primary
        apart = tuple(self.target.pod(o) for o in self.view.replicas if self.view.errant(o))
        return [
            Step(
                HAND_OVER,
                name,
                f"hand over from {primary} to {name}: {primary} takes no more writes, {name} applies what is left, "
                "and takes writes",
                data={"from": self.view.primary, "to": best, "epoch": self.view.record.epoch + 1, "without": apart},
            )
        ]

    def _lag(self, ordinal: int) -> float:
        source = self.seen.answer(ordinal).source
        return source.lag if source and source.lag is not None else float("inf")

    def is_stuck(self, ordinal: int) -> bool:
        """Not one whose server runs: it may be only us who do not reach it."""
        pod = self.view.pod(ordinal)
        return not (pod.ready or pod.deleting or pod.running or self.seen.answer(ordinal).serves)

    def _others_are_well(self, ordinal: int) -> list[Step]:
        """No other replica is away or behind: a second one that is missing could be one too many."""
        others = [o for o in self.view.desired.ordinals if o not in (ordinal, self.view.primary)]
        why = [self.view.unfit(other) for other in others if not self.view.fit(other)]
        if not self.view.promoted:
            why.insert(0, f"{self.view.record.primary} takes no writes yet")
        if not why:
            return []
        limit = f"{self.view.desired.lag_limit:g} s"
        return [self.view.wait(f"wait until the other replicas are at most {limit} behind: {'; '.join(why)}")]
