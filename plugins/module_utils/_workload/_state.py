# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One workload as it was seen, and how far its rollout is. Pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition, obstacle, settled
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import (
    Object,
    Revision,
    current,
    newest,
    pod_revision,
)

#: on the template: when its pods were last told to restart (kubectl's own name, so that both see each other's)
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
#: on the workload: the restart that is not complete yet, for a run that goes on with it
RECORD = "stateful.kube/restart"
#: on the workload: what the last undo went back from and to, so that nobody undoes it by asking for it again
UNDONE = "stateful.kube/undone"
#: on a StatefulSet: the partition to go back to, and the one that holds it
PAUSED = "stateful.kube/paused"


@dataclasses.dataclass(frozen=True)
class Workload:
    """A StatefulSet, Deployment or DaemonSet with its own pods and revisions. ``live`` is None where there is none."""

    kind: str
    namespace: str
    name: str
    live: t.Optional[Object] = None
    pods: tuple[Object, ...] = ()
    history: tuple[Revision, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def spec(self) -> Object:
        return t.cast("Object", (self.live or {}).get("spec") or {})

    @property
    def status(self) -> Object:
        return t.cast("Object", (self.live or {}).get("status") or {})

    @property
    def settled(self) -> bool:
        """Whether the controller has seen the newest version: before that, its status tells of an older one."""
        return settled(self.live or {})

    @property
    def replicas(self) -> int:
        if self.kind == "DaemonSet":
            return int(self.status.get("desiredNumberScheduled", 0))
        return int(self.spec.get("replicas", 1))

    @property
    def strategy(self) -> str:
        """RollingUpdate, OnDelete or Recreate."""
        declared = self.spec.get("strategy" if self.kind == "Deployment" else "updateStrategy") or {}
        return str(declared.get("type", "RollingUpdate"))

    @property
    def partition(self) -> int:
        """Ordinals below it keep the revision that they have. Counted from 0, wherever the ordinals begin."""
        rolling = (self.spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
        return int(rolling.get("partition", 0)) if self.kind == "StatefulSet" else 0

    @property
    def held(self) -> bool:
        """Whether no pod gets a new revision, for as long as this stands."""
        if self.kind == "Deployment":
            return bool(self.spec.get("paused"))
        return self.kind == "StatefulSet" and self.strategy != "OnDelete" and self.partition >= max(1, self.replicas)

    @property
    def newest(self) -> t.Optional[Revision]:
        return newest(self.live, self.history) if self.live else None

    @property
    def current(self) -> t.Optional[Revision]:
        return current(self.live, self.pods, self.history) if self.live else None

    @property
    def restarted_at(self) -> t.Optional[str]:
        return self._annotation(("spec", "template"), RESTARTED_AT)

    @property
    def record(self) -> Object:
        return _note(self._annotation((), RECORD))

    @property
    def undone(self) -> Object:
        return _note(self._annotation((), UNDONE))

    @property
    def pause(self) -> Object:
        """What the pause of a StatefulSet recorded; empty where it is not paused by this collection."""
        note = _note(self._annotation((), PAUSED))
        return note if all(isinstance(note.get(key), int) for key in ("held", "partition")) else {}

    @property
    def returning(self) -> bool:
        """Whether the pause is over, and its partition still has to go back to the manager that declared it."""
        return "held" not in (note := _note(self._annotation((), PAUSED))) and bool(note.get("declared"))

    def revision_of(self, pod: Object) -> str:
        return pod_revision(self.live or {}, pod)

    def ordinal(self, pod: Object) -> t.Optional[int]:
        return ordinal(self.kind, pod["metadata"]["name"])

    def _annotation(self, where: t.Sequence[str], key: str) -> t.Optional[str]:
        node: t.Any = self.live or {}
        for part in where:
            node = node.get(part) or {}
        value = ((node.get("metadata") or {}).get("annotations") or {}).get(key)
        return None if value is None else str(value)


def ordinal(kind: str, pod: str) -> t.Optional[int]:
    number = pod.rpartition("-")[2]
    return int(number) if kind == "StatefulSet" and number.isdigit() else None


def ready(pod: Object) -> bool:
    return condition(pod, "Ready") == "True" and not pod["metadata"].get("deletionTimestamp")


def unfinished(seen: Workload) -> t.Optional[str]:
    """What the rollout still waits for, or None when nothing more will come.

    What is held back on purpose is not waited for: pods below the partition, pods of a paused workload, and with
    OnDelete pods of an older revision.
    """
    if seen.live is None:
        return "it does not exist"
    if not seen.settled:
        return "its controller has not seen the newest version yet"
    if seen.held or seen.strategy == "OnDelete":
        name = "numberAvailable" if seen.kind == "DaemonSet" else "readyReplicas"
        there = int(seen.status.get(name, 0))
        return f"{there}/{seen.replicas} pods ready" if there < seen.replicas else None
    held = obstacle(seen.live)
    if held or seen.kind != "StatefulSet":
        return held
    return _not_replaced(seen) or _not_available(seen)


def _not_replaced(seen: Workload) -> t.Optional[str]:
    """What the pods themselves say: the numbers in the status lag behind, and after an undo do not tell."""
    first = int((seen.spec.get("ordinals") or {}).get("start", 0)) + seen.partition
    due = [pod for pod in seen.pods if (seen.ordinal(pod) or 0) >= first]
    done = [pod for pod in due if seen.revision_of(pod) == seen.status.get("updateRevision")]
    if len(done) < len(due):
        return f"{len(done)}/{len(due)} pods updated"
    there = sum(map(ready, seen.pods))
    return f"{there}/{seen.replicas} pods ready" if there < seen.replicas else None


def _not_available(seen: Workload) -> t.Optional[str]:
    there = int(seen.status.get("availableReplicas", 0))
    if seen.spec.get("minReadySeconds") and there < seen.replicas:
        return f"{there}/{seen.replicas} pods available"
    return None


def _note(text: t.Optional[str]) -> Object:
    """An annotation of ours. Somebody may have written anything into it, and it is a help, no proof."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
