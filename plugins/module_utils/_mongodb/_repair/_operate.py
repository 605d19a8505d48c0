# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The repair operation: evidence, judgement and acts in one shape."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair import _look as _repair_look
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._plan import EMPTY, FORCE, plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Choice, Evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import WAIT
from ansible_collections.stateful.kube.plugins.module_utils._operation import (
    LOOK_AGAIN,
    Plan,
    Refusal,
    Step,
    step_diffs,
)

# Seconds that pods which run and do not answer, or may still be reading their disks, are asked again, in all.
PATIENCE = 20.0


class Repair(Conversation[Evidence]):
    def __init__(self, observer: Observer, choice: Choice, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._choice = choice
        #: once something was forced or deleted there is no way back
        self._begun = False
        self._patience = PATIENCE
        self._emptied: dict[int, str] = {}

    def observe(self) -> Evidence:
        """A pod that runs gets some time to answer: what is slow must not look like what is lost."""
        while True:
            since = time.monotonic()
            found = _repair_look.gather(self._observer)
            if self._patience <= 0 or not found.slow:
                return found
            self._observer.pause(LOOK_AGAIN)
            self._patience -= time.monotonic() - since

    def plan(self, observed: Evidence) -> t.Union[Plan, Refusal]:
        found = plan(self._target, self._choice, observed)
        if isinstance(found, Refusal) and self._begun:
            # The member that was started from may be silent for a moment: that is no reason to leave it halfway.
            return Plan((Step(WAIT, self._target.name, f"wait for the set that was repaired: {found.reason}", False),))
        return found

    def act(self, steps: t.Sequence[Step], observed: Evidence) -> None:
        for step in steps:
            if step.action == EMPTY:
                self._came_back(step)
            act(self._observer, step, observed, self._next_change)
            self._begun = self._begun or step.action in (FORCE, EMPTY)
        self.acted()

    def _came_back(self, step: Step) -> None:
        """A disk that is neither a claim's nor the pod's own is not emptied by this: never try it again and again."""
        before = self._emptied.setdefault(step.data["ordinal"], step.data["uid"])
        if before != step.data["uid"]:
            raise Failure(
                f"{step.target} was deleted with its claims, and came back with the same data: its volume is none that "
                "Kubernetes makes anew. Empty it by hand while the pod is away."
            )

    def _next_change(self) -> t.Optional[Step]:
        self._observer.forget_objects()
        found = plan(self._target, self._choice, self.observe())
        return found.steps[0] if isinstance(found, Plan) and found.steps else None

    def facts(self, observed: Evidence) -> dict[str, t.Any]:
        return facts(self._target, self._choice, observed)

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)
