# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Operations whose waits are woken by changes in the cluster."""

from __future__ import annotations

import abc
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Operation

# Where nothing changes, or a watch is not allowed, a wait looks again after this long (seconds).
LOOK_AGAIN = 2.0


class Watching(Operation[Observed]):
    """An operation that watches what it waits for. Its end closes the watches."""

    cluster: Cluster
    _changes: t.Optional[Changes] = None

    @abc.abstractmethod
    def watched(self) -> t.Collection[tuple[str, str, t.Optional[str], str]]:
        """Collections in which a change may end a wait: (apiVersion, kind, namespace, label selector)."""

    def pause(self, seconds: float) -> None:
        if self._changes is None:
            self._changes = Changes(self.cluster, sorted(self.watched(), key=str))
        self._changes.wait(max(seconds, LOOK_AGAIN))

    def close(self) -> None:
        if self._changes:
            self._changes.close()
