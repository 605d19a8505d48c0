# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What operations on a replica set have in common: they ask its members, and wait for what these say."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _conversation


class Conversation(_conversation.Conversation[Observed]):
    """What holds whatever is observed of the members."""

    def __init__(self, observer: Observer, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._target = observer.target


class Asking(Conversation[Snapshot]):
    def observe(self) -> Snapshot:
        return self._observer.observe()

    def act(self, steps: t.Sequence[Step], observed: Snapshot) -> None:
        for step in steps:
            act(self._observer, step, observed)
        self.acted()

    def facts(self, observed: Snapshot) -> dict[str, t.Any]:
        return facts(self._target, observed, time.time())
