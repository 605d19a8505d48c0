# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The switchover of a replica set as an operation."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Asking
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._switchover_plan import Wish, plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal


class Switchover(Asking):
    def __init__(self, observer: Observer, wish: Wish, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        if not self._wish.away_from and observed.primary is not None:
            # Without a name any other member will do, and the first look says other than whom.
            self._wish = dataclasses.replace(self._wish, away_from=self._target.pod(observed.primary))
        return plan_switchover(self._target, self._wish, observed)
