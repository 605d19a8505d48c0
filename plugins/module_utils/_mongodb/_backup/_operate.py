# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""The backup operation: the planner, the folder and the reading in one shape."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import verify_files
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import writing_to
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._scratch import living
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import FAILED, iso
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._documents import Damaged
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._dump import (
    SAY_EVERY,
    Reading,
    copy_oplog,
    dump,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import OPLOG, Manifest, continuing
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import Around, Wish, plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import ANNOTATION, noted
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore_work import Source
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._scratch import (
    Differs,
    Expected,
    Scratch,
    expected,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer, annotate
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Watched


class Backup(Watched[Around]):
    """Takes no Lease: it changes nothing in the set, and nothing in the set has to wait for it."""

    def __init__(self, observer: Observer, place: Place[Manifest], wish: Wish, task: Task, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._cluster = observer.cluster
        self._wish = wish
        self._task = task
        self._place = place
        self._done = False
        self._made: t.Optional[Manifest] = None
        self._verified = False
        self._expected: t.Optional[Expected] = None
        self._verification: t.Optional[dict[str, t.Any]] = None
        self._said = time.monotonic()

    def observe(self) -> Around:
        return Around(
            seen=self._observer.observe(),
            manifests=tuple(self._place.manifests()),
            leftovers=tuple(self._place.leftovers()),
            made=self._done,
            verified=self._verified,
        )

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            with writing_to(self._wish.dest):
                if step.action == "dump":
                    self._dump(observed)
                elif step.action == "verify":
                    self._verify()
                elif step.action == "remove":
                    self._place.remove(step.target)
                else:
                    raise AssertionError(step.action)

    def _dump(self, observed: Around) -> None:
        writer = self._place.begin(self._wish.kind)
        try:
            with Reading(self._observer, self._wish, self._task, self.title, self.wait_timeout) as reading:
                if self._wish.kind == OPLOG:
                    found = copy_oplog(reading, writer, self._wish, continuing(observed.own))
                else:
                    found, touched = dump(reading, writer, self._wish)
                    if self._wish.verify:
                        self._expected = expected(reading, found, touched)
            if found is None:
                writer.abandon()
            else:
                writer.complete(found)
        except BaseException:
            writer.abandon()
            raise
        self._done, self._made = True, found
        self._record()

    def _verify(self) -> None:
        made, target = self._made, self._observer.target
        if made is None or self._expected is None:
            raise AssertionError("only a backup of this run is verified")
        seen = self._observer.observe()
        live = living(self._cluster, target.namespace, [pod.name for pod in seen.pods.values()])
        if live is None:
            raise Failure(
                f"{self.title}: the backup is complete, and could not be verified, because no pod of the set is left "
                "to take the image from. Run it again when the set is back."
            )
        source = Source(self._place, made)
        verify_files(self._place, made, lambda _size: self._alive("reading the files again"))
        try:
            with Scratch(self._observer, self._alive, self.title, self.wait_timeout) as scratch:
                self._verification = scratch.check(source, self._expected, live)
        except (Differs, Damaged) as exc:
            self._note(f"{FAILED} {iso(time.time())}: {exc}")
            raise Failure(
                f"{self.title}: {made.backup} is not what the set held: {exc}. It is marked as such, and not used. "
                "Take another one, and look at the disks of this host and of the member that was read."
            ) from exc
        except (NoAnswer, CommandError) as exc:
            raise Failure(
                f"{self.title}: the backup is complete, and could not be verified: the mongod that it was restored "
                f"into broke off ({exc}). It may have been short of memory or disk. Run it again."
            ) from exc
        self._note(iso(time.time()))
        self._verified = True

    def _note(self, verified: str) -> None:
        if self._made:
            self._made = dataclasses.replace(self._made, verified=verified)
            self._place.rewrite(self._made)
            self._record()

    def _record(self) -> None:
        """Note on the StatefulSet what there is now, for ``status``. The backup is as good without."""
        made, target = self._made, self._observer.target
        self._observer.forget_objects()
        stateful_set = self._observer.objects().stateful_set
        if made is None or stateful_set is None or not stateful_set.uid:
            return  # in the cluster itself nothing is known of the StatefulSet, and its CronJob tells as much
        try:
            note = noted(stateful_set.backup, made, self._place.where)
            annotate(self._cluster, target, stateful_set, {ANNOTATION: note}, exact=False)
        except (ApiError, Unreachable) as exc:
            self._task.warn(
                f"{self.title}: {made.backup} is complete, and could not be noted on the StatefulSet, so status "
                f"does not know of it ({exc})."
            )

    def _alive(self, text: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            if self._task.abandoned():
                raise Failure(f"{self.title}: stopped, because the process that started this run is gone.")
            self._task.progress(f"{self.title}: {text}")

    def facts(self, observed: Around) -> dict[str, t.Any]:
        made = next((one for one in observed.manifests if self._made and one.backup == self._made.backup), self._made)
        return {
            "path": self._wish.dest,
            "backup": made.facts() if made else None,
            "verification": self._verification,
            "backups": [one.facts() for one in sorted(observed.manifests, key=lambda one: (one.ended, one.backup))],
        }
