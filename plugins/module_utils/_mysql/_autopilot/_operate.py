# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The operation of the autopilot: as every other one it holds the Lease while it acts, and looks before each step."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import Found, Wish, plan_autopilot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._silence import Silence
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._operate import Asking
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

# Seconds in which the node of the old primary has to let its pod go. The server has ten of them to stop.
GOES_WITHIN = 15.0


class Piloting(Asking):
    """From one look that finds something to do until nothing is left."""

    def __init__(self, observer: Observer, wish: Wish, silence: Silence, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish
        self._silence = silence
        self._going_since: t.Optional[float] = None
        self.found = Found()

    def observe(self) -> Snapshot:
        seen = super().observe()
        now = time.monotonic()
        going = self._going(seen)
        self._going_since = (self._going_since or now) if going else None
        self._wish = dataclasses.replace(
            self._wish,
            silence=self._silence.look(self._target, seen, now),
            unheard=self._silence.unheard(now),
            cut_off=self._going_since is not None and now - self._going_since > GOES_WITHIN,
        )
        return seen

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        self.found = plan_autopilot(self._target, self._wish, observed)
        return self.found.plan

    def _going(self, seen: Snapshot) -> bool:
        """Whether the pod of the old primary was told to go, and is there."""
        view = View(self._target, as_it_is(seen, 0.0), seen)
        return bool(seen.record and view.going is not None and view.pod(view.going).deleting)
