# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What operations on a replica set have in common: they ask its members, and wait for what these say."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Operation, Step

# Seconds between two looks at members: short at first, because an election is over in a moment.
FIRST_PAUSE = 0.05
SLOWER = 1.3


class Conversation(Operation[Observed]):
    """What holds whatever is observed of the members."""

    def __init__(self, observer: Observer, wait_timeout: float) -> None:
        self.title = f"{observer.target.namespace}/{observer.target.name}"
        self.wait_timeout = wait_timeout
        self.lock = Lease(observer.cluster, observer.target.namespace, observer.target.name)
        self._observer = observer
        self._target = observer.target
        self._pause = FIRST_PAUSE

    def acted(self) -> None:
        """A step was taken: what follows from it is to be seen soon."""
        self._pause = FIRST_PAUSE

    def blocked_by(self, observed: Observed) -> t.Sequence[str]:
        if not self._observer.selector:
            return ()
        return diagnose(
            self._observer.cluster, self._target.namespace, self._observer.selector, owners=(self._target.name,)
        )

    def pause(self, seconds: float) -> None:
        """Pods are watched; members are asked again soon, and less often the longer nothing happens."""
        self._observer.pause(min(seconds, self._pause))
        self._pause = min(seconds, self._pause * SLOWER)


class Asking(Conversation[Snapshot]):
    def observe(self) -> Snapshot:
        return self._observer.observe()

    def act(self, steps: t.Sequence[Step], observed: Snapshot) -> None:
        for step in steps:
            act(self._observer, step, observed)
        self.acted()

    def facts(self, observed: Snapshot) -> dict[str, t.Any]:
        return facts(self._target, observed, time.time())
