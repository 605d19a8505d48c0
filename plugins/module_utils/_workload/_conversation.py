# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What operations that ask the members of an application have in common: they wait for what these say."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Operation

# Seconds between two looks at members: short at first, because an election is over in a moment.
FIRST_PAUSE = 0.05
SLOWER = 1.3


class Watching(t.Protocol):
    """What is needed of whoever observes."""

    cluster: Cluster

    @property
    def selector(self) -> str:
        """The label selector of the pods, as last read."""

    def pause(self, seconds: float) -> None:
        """Wait until an object changed, at most this long."""


class Watched(Operation[Observed]):
    """What holds whoever waits for the pods of an application, whatever is done meanwhile."""

    def __init__(self, observer: Watching, name: str, namespace: str, wait_timeout: float) -> None:
        self.title = f"{namespace}/{name}"
        self.wait_timeout = wait_timeout
        self._name = name
        self._namespace = namespace
        self._watching = observer

    def blocked_by(self, observed: Observed) -> t.Sequence[str]:
        if not self._watching.selector:
            return ()
        return diagnose(self._watching.cluster, self._namespace, self._watching.selector, owners=(self._name,))

    def pause(self, seconds: float) -> None:
        self._watching.pause(seconds)


class Conversation(Watched[Observed]):
    """What holds whatever is observed of the members."""

    def __init__(self, observer: Watching, name: str, namespace: str, wait_timeout: float) -> None:
        super().__init__(observer, name, namespace, wait_timeout)
        self.lock = Lease(observer.cluster, namespace, name)
        self._pause = FIRST_PAUSE

    def acted(self) -> None:
        """A step was taken: what follows from it is to be seen soon."""
        self._pause = FIRST_PAUSE

    def pause(self, seconds: float) -> None:
        """Pods are watched; members are asked again soon, and less often the longer nothing happens."""
        super().pause(min(seconds, self._pause))
        self._pause = min(seconds, self._pause * SLOWER)
