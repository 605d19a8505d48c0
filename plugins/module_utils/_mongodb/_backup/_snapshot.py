# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes snapshots of a member's volume: asks, and takes the steps of the plan."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import FAILED, iso
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _snapshot_plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import (
    ANNOTATION,
    LABEL,
    noted_snapshot,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_check import Check, Wrong
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_plan import (
    API_VERSION,
    CLASS,
    DEFAULT,
    KIND,
    NOTE,
    Around,
    Kept,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer, annotate
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import PROVISIONED

SAY_EVERY = 5.0


class Snapshots(Operation[Around]):
    """Takes no Lease: it changes nothing in the set, and nothing in the set has to wait for it."""

    def __init__(self, observer: Observer, wish: Wish, task: Task, wait_timeout: float) -> None:
        target = observer.target
        self.title = f"{target.namespace}/{target.name}"
        self.wait_timeout = wait_timeout
        self._observer = observer
        self._cluster = observer.cluster
        self._target = target
        self._wish = wish
        self._task = task
        self._made = ""
        self._verification: t.Optional[dict[str, t.Any]] = None
        self._given_up = ""
        self._set_id = ""
        self._said = time.monotonic()

    def observe(self) -> Around:
        target, cluster = self._target, self._cluster
        found = self._snapshots()
        # Once it is being taken nothing more is asked of the members.
        seen = self._observer.objects() if self._made else self._observer.observe()
        drivers: dict[str, str] = {}
        classes: t.Optional[dict[str, tuple[str, bool]]] = None
        if not self._made:
            for claim in cluster.list("v1", "PersistentVolumeClaim", target.namespace):
                annotations = claim["metadata"].get("annotations") or {}
                drivers[claim["metadata"]["name"]] = annotations.get(PROVISIONED, "")
            listed = list_if_allowed(cluster, API_VERSION, CLASS)
            if listed is not None:
                classes = {
                    one["metadata"]["name"]: (
                        one["driver"],
                        (one["metadata"].get("annotations") or {}).get(DEFAULT) == "true",
                    )
                    for one in listed
                }
            self._set_id = seen.config.set_id if seen.config else ""
        verified = self._verification is not None
        return Around(seen, found, drivers, classes, self._made, verified, self._set_id, time.time())

    def _snapshots(self) -> tuple[Kept, ...]:
        try:
            found = self._cluster.list(API_VERSION, KIND, self._target.namespace, labels=f"{LABEL}={self._target.name}")
        except (ApiError, Unreachable):
            raise
        except Failure as failure:
            raise Failure(
                f"{self.title}: this cluster serves no kind {KIND} in {API_VERSION}, by which a driver is asked for "
                "snapshots. Install the snapshot controller with its kinds, or take a dump (mongodb_backup). Nothing "
                "was changed."
            ) from failure
        return tuple(one for each in found if (one := Kept.of(each)))

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return planner.plan(self._target, self._wish, observed, bool(self._given_up))

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            if step.action == "snapshot":
                self._take(step, observed)
            elif step.action == "verify":
                self._verify(observed)
            else:
                self._remove(step)

    def _remove(self, step: Step) -> None:
        try:
            self._cluster.delete(API_VERSION, KIND, step.target, self._target.namespace, uid=step.data["uid"])
        except ApiError as error:
            if not error.conflict:
                raise
            raise NotYet(f"VolumeSnapshot {step.target} has just changed") from error

    def _take(self, step: Step, observed: Around) -> None:
        target, ordinal = self._target, step.data["ordinal"]
        link, seen = self._observer.links.get(ordinal), observed.seen
        if link is None:
            raise NotYet(f"{step.target} is to be asked again")
        try:
            optimes = link.client(login=True).command("replSetGetStatus")["optimes"]
        except (NoAnswer, CommandError) as exc:
            raise NotYet(f"{step.target} did not tell how far it has written ({exc})") from exc
        # In its journal before the snapshot is asked for, so in the snapshot.
        until = Optime.of(optimes["durableOpTime"]["ts"], int(optimes["durableOpTime"]["t"]))
        now = time.time()
        note = {
            "set_id": observed.set_id,
            "replica_set": target.replica_set,
            "member": step.target,
            "claim": step.data["claim"],
            "taken": iso(now),
            "until": until.dump(),
            "database_version": seen.answers[ordinal].version or None,
            "feature_compatibility_version": seen.feature_version or None,
            "verified": None,
        }
        name = f"{target.name}-{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime(now))}"
        made = planner.snapshot(target, name, step.data["claim"], step.data["class"], note)
        try:
            self._cluster.create(made)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            raise NotYet(f"another run takes {name} in this very second") from error
        self._made = name

    def _verify(self, observed: Around) -> None:
        made = observed.mine
        if made is None:
            raise NotYet(f"{self._made} is to be looked at again")
        try:
            with Check(self._observer, self._alive, self.title, self.wait_timeout) as check:
                self._verification = check.check(made)
        except Wrong as exc:
            unmarked = self._note(made, f"{FAILED} {iso(time.time())}: {exc}")
            self.record()
            marked = f"It could not be marked as such ({unmarked}): delete it" if unmarked else "It is marked as such"
            raise Failure(
                f"{self.title}: VolumeSnapshot {made.name} is not what the set held: {exc}. {marked}. Take another "
                f"one, and look at the storage under {made.note.get('claim')}."
            ) from exc
        unmarked = self._note(made, iso(time.time()))
        if unmarked:
            self._task.warn(f"{self.title}: {made.name} is proven, and that could not be noted on it ({unmarked}).")

    def _note(self, made: Kept, verified: str) -> str:
        """Why it could not be noted; empty where it was. What was found out is true without."""
        annotations = {NOTE: json.dumps({**made.note, "verified": verified}, sort_keys=True)}
        patch = {"metadata": {"annotations": annotations}}
        try:
            self._cluster.merge(API_VERSION, KIND, made.name, self._target.namespace, patch)
        except (ApiError, Unreachable) as exc:
            return str(exc).rstrip(".")
        return ""

    def hopeless(self, observed: Around) -> t.Optional[str]:
        return self._given_up or None

    def retreat(self, observed: Around) -> bool:
        mine = observed.mine
        if self._given_up or mine is None or mine.ready:
            return False
        why = f"its driver says: {mine.error}" if mine.error else "its driver has said nothing"
        self._given_up = (
            f"VolumeSnapshot {mine.name} did not become ready within {self.wait_timeout:.0f} s (wait_timeout); {why}. "
            "It was taken away again. Look at the driver and at the snapshot controller, and run it again."
        )
        return True

    def _alive(self, text: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            if self._task.abandoned():
                raise Failure(f"{self.title}: stopped, because the process that started this run is gone.")
            self._task.progress(f"{self.title}: {text}")

    def facts(self, observed: Around) -> dict[str, t.Any]:
        mine = observed.mine
        return {
            "snapshot": mine.facts() if mine else None,
            "verification": self._verification,
            "snapshots": [one.facts() for one in observed.own],
        }

    def record(self) -> None:
        """Note on the StatefulSet what there is now, for ``status``. The snapshot is as good without."""
        if not self._made:
            return
        try:
            mine = next((one for one in self._snapshots() if one.name == self._made), None)
            self._observer.forget_objects()
            stateful_set = self._observer.objects().stateful_set
            if mine is None or stateful_set is None:
                return
            note = noted_snapshot(stateful_set.backup, mine.set_id, mine.facts(), self._target.namespace)
            annotate(self._cluster, self._target, stateful_set, {ANNOTATION: note}, exact=False)
        except Failure as exc:
            self._task.warn(
                f"{self.title}: {self._made} is ready, and could not be noted on the StatefulSet, so status does not "
                f"know of it ({exc})."
            )

    def pause(self, seconds: float) -> None:
        self._observer.pause(seconds)
