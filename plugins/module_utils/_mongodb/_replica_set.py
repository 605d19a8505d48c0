# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The replica set operation: the planner, the observer and the acts in one shape."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Asking
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan, waiting_for
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import without_majority
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

# Seconds for which a majority must have been away before a run that is to take members out gives up: more than an
# election takes, and less than whoever has lost members for good wants to wait.
PATIENCE = 25.0


class ReplicaSet(Asking):
    def __init__(self, observer: Observer, desired: Desired, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._desired = desired
        self._looked: t.Optional[Snapshot] = None
        self._first = True
        self._lost_since: t.Optional[float] = None

    def observe(self) -> Snapshot:
        if self._first:
            # Only where nothing is left to do is a note good enough: whatever is done needs a close look.
            self._first = False
            # What the data is kept in, no note tells.
            noted = None if self._desired.feature_version else self._observer.recall()
            if noted and self._fulfilled(noted):
                return noted
        self._looked = super().observe()
        return self._looked

    def remember(self) -> None:
        """After the end: write down what was seen, if that was a close look at a set that is as declared."""
        if self._looked and self._fulfilled(self._looked):
            self._observer.remember(self._looked)

    def _fulfilled(self, seen: Snapshot) -> bool:
        found = self.plan(seen)
        return isinstance(found, Plan) and not found.steps

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        return plan(self._target, self._desired, observed)

    def hopeless(self, observed: Snapshot) -> t.Optional[str]:
        missing = waiting_for(self._target, self._desired, observed)
        if missing:
            return f"{missing[0].upper()}{missing[1:]}."
        lost = without_majority(self._target, self._desired, observed)
        if lost is None:
            self._lost_since = None
            return None
        self._lost_since = self._lost_since or time.monotonic()
        return lost if time.monotonic() - self._lost_since > PATIENCE else None
