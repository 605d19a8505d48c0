# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""The backup operation: the planner, the folder and the reading in one shape."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup_dump import Reading, copy_oplog, dump
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup_folder import Folder
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup_format import (
    OPLOG,
    Manifest,
    continuing,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup_plan import Around, Wish, plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, Task


class Backup(Operation[Around]):
    """Takes no Lease: it changes nothing in the set, and nothing in the set has to wait for it."""

    def __init__(self, observer: Observer, wish: Wish, task: Task, wait_timeout: float) -> None:
        target = observer.target
        self.title = f"{target.namespace}/{target.name}"
        self.wait_timeout = wait_timeout
        self._observer = observer
        self._wish = wish
        self._task = task
        self._folder = Folder(wish.dest, target.namespace, target.name)
        self._done = False
        self._made: t.Optional[Manifest] = None
        self._verified = False

    def observe(self) -> Around:
        return Around(
            seen=self._observer.observe(),
            manifests=tuple(self._folder.manifests()),
            leftovers=tuple(self._folder.leftovers()),
            made=self._done,
            verified=self._verified,
        )

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            try:
                if step.action == "dump":
                    self._dump(observed)
                elif step.action == "remove":
                    self._folder.remove(step.target)
                else:
                    raise AssertionError(step.action)
            except OSError as exc:
                raise Failure(
                    f"dest: {self._wish.dest} cannot be written to ({exc.strerror or exc}"
                    f"{f': {exc.filename}' if exc.filename else ''}). Make room or correct it, and run it again; an "
                    "incomplete backup is removed."
                ) from exc

    def _dump(self, observed: Around) -> None:
        writer = self._folder.begin(self._wish.kind)
        try:
            with Reading(self._observer, self._wish, self._task, self.title, self.wait_timeout) as reading:
                if self._wish.kind == OPLOG:
                    found = copy_oplog(reading, writer, self._wish, continuing(observed.own))
                else:
                    found = dump(reading, writer, self._wish)
            if found is None:
                writer.abandon()
            else:
                writer.complete(found)
        except BaseException:
            writer.abandon()
            raise
        self._done, self._made = True, found

    def facts(self, observed: Around) -> dict[str, t.Any]:
        made = next((one for one in observed.manifests if self._made and one.backup == self._made.backup), self._made)
        return {
            "path": self._wish.dest,
            "backup": made.facts() if made else None,
            "backups": [one.facts() for one in sorted(observed.manifests, key=lambda one: (one.ended, one.backup))],
        }

    def blocked_by(self, observed: Around) -> t.Sequence[str]:
        target = self._observer.target
        if not self._observer.selector:
            return ()
        return diagnose(self._observer.cluster, target.namespace, self._observer.selector, owners=(target.name,))

    def pause(self, seconds: float) -> None:
        self._observer.pause(seconds)
