# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The operations on replicated MySQL or MariaDB: planner, observer and acts in one shape."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._facts import facts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import given_up, plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan, waiting_for
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import ATTACH, COPY
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation


class Asking(Conversation[Snapshot]):
    def __init__(self, observer: Observer, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer: Observer = observer

    @property
    def _target(self) -> Target:
        return self._observer.target

    def observe(self) -> Snapshot:
        return self._observer.observe()

    def act(self, steps: t.Sequence[Step], observed: Snapshot) -> None:
        for step in steps:
            act(self._observer, step, observed)
        self.acted()

    def facts(self, observed: Snapshot) -> dict[str, t.Any]:
        return facts(self._target, observed)


class Replication(Asking):
    """As declared: who is primary, who replicates, how many there are, and what their pods are made from."""

    def __init__(self, observer: Observer, desired: Desired, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._desired = desired

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        return plan(self._target, self._desired, observed)

    def act(self, steps: t.Sequence[Step], observed: Snapshot) -> None:
        super().act(steps, observed)
        copied = {step.data["pod"] for step in steps if step.action == COPY}
        # One that cannot go on with its copy either gets no second one from the same run.
        self._desired = dataclasses.replace(
            self._desired,
            copies=tuple(pod for pod in self._desired.copies if pod not in copied),
            attached=(
                *self._desired.attached,
                *(step.data["ordinal"] for step in steps if step.action == ATTACH),
            ),
        )

    def hopeless(self, observed: Snapshot) -> t.Optional[str]:
        missing = waiting_for(self._target, self._desired, observed)
        return f"{missing[0].upper()}{missing[1:]}." if missing else None


class SwitchingOver(Asking):
    def __init__(self, observer: Observer, to: str, lag_limit: float, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = Switchover(to=to, lag_limit=lag_limit)

    def observe(self) -> Snapshot:
        seen = super().observe()
        if not self._wish.away_from and seen.record:
            self._wish = dataclasses.replace(self._wish, away_from=seen.record.primary)
        return seen

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        return plan_switchover(self._target, self._wish, observed)


class FailingOver(Asking):
    def __init__(self, observer: Observer, wish: Failover, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish

    def observe(self) -> Snapshot:
        seen = super().observe()
        if not self._wish.away_from and seen.record:
            self._wish = dataclasses.replace(self._wish, away_from=given_up(self._target, seen))
        return seen

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        return plan_failover(self._target, self._wish, observed)
