# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The restore of a copy of files: the planner, the backup and the pods in one shape."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _steps as steps_of_all
from ansible_collections.stateful.kube.plugins.module_utils._mysql._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _files as files
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _swap_plan as planning
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import (
    RESTORING,
    life,
    require_programs,
    require_reader,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import Alive, Ended, Gone
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_plan import FINISH, REPLAY, Around
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._swap_plan import OWN, SWAP, UNPACK
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation


class FilesRestore(Conversation[Around]):
    def __init__(self, observer: Observer, source: Source, task: Task, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._wish = source.wish
        self._work = Work(observer, source, Alive(task, self.title))
        #: what is done, and of which server
        self._done: tuple[str, ...] = ()
        self._of = ("", 0)
        #: what was unpacked, for which epoch of which primary, and what it leads to
        self._swap = ""
        self._end = ""
        #: whether the server whose data goes ran events
        self._scheduler = False
        self._attached: tuple[int, ...] = ()

    def observe(self) -> Around:
        seen = self._observer.observe()
        _set_id, mark = life(self._observer.cluster, self._observer.target)
        if seen.record is None:
            return Around(seen, mark=mark, done=self._done)
        if UNPACK in self._done and SWAP not in self._done and self._of != (seen.record.primary, seen.record.epoch):
            # It was made for another one.
            self._done = ()
        begun = SWAP in self._done and FINISH not in self._done
        if begun and (seen.record.swap != self._swap or not seen.record.swapping):
            # Somebody else has begun another one, or another one was made primary.
            self._done = ()
        databases: t.Optional[tuple[str, ...]] = None
        ordinal = self._observer.target.ordinal(seen.record.primary)
        if ordinal is not None and seen.answer(ordinal).serves:
            with contextlib.suppress(NoAnswer, SqlError):
                databases = self._work.server(ordinal).databases()
        return Around(seen, databases, mark, self._done)

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return planning.plan(self._observer.target, self._wish, observed, self._attached)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            if step.action not in OWN:
                act(self._observer, step, observed.seen)
                if step.action == steps_of_all.ATTACH:
                    self._attached = (*self._attached, step.data["ordinal"])
                continue
            try:
                self._own(step, observed)
            except (Gone, NoAnswer) as exc:
                if step.action != FINISH:
                    self._done = ()
                raise NotYet(f"the primary went away in the middle, so it begins anew ({exc})") from exc
            except (Ended, SqlError, OSError) as exc:
                raise Failure(
                    f"{self.title}: the restore broke off where it was to {step.sentence}: {exc}. "
                    f"{'Nothing was changed yet' if step.action == UNPACK else 'It is noted as incomplete'}. Correct "
                    "that, and run the same command again."
                ) from exc
            self._done = (*self._done, step.action)
        self.acted()

    def _own(self, step: Step, observed: Around) -> None:
        record = t.cast(Record, observed.seen.record)
        ordinal = t.cast(int, self._observer.target.ordinal(record.primary))
        if step.action == UNPACK:
            self._unpack(record, ordinal)
        elif step.action == SWAP:
            self._begin(record, observed)
        elif step.action == REPLAY:
            self._apply(ordinal, observed)
        elif step.action == FINISH:
            self._close(record, ordinal, observed)
        else:
            raise AssertionError(step.action)

    def _unpack(self, record: Record, ordinal: int) -> None:
        base, observer = self._wish.base, self._observer
        pod = record.primary
        require_programs(observer, pod, files.PROGRAMS[base.flavour], "restore a dump")
        if self._wish.slices:
            require_reader(observer, pod, base.flavour)
        # The one that starts on the files runs none before they are complete.
        self._scheduler = self._work.server(ordinal).runs_events()
        root, replication = observer.credentials, observer.replication()
        own = files.own(
            base.flavour,
            pod,
            record.epoch + 1,
            (root.username, root.password),
            (replication.username, replication.password),
        )
        self._swap = f"{record.epoch + 1}.{secrets.token_hex(8)}"
        self._of = (record.primary, record.epoch)
        path = files.path(base.flavour)
        size = next(file.size for file in base.files if file.path == path)
        command = files.unpack(base.flavour, size, own, self._swap, base.room, ordinal)
        with self._work.place.open(base.backup, path) as opened:
            said = self._work.pods().run(pod, command, self._after(own, opened, f"{base.backup}/{path}", size))
            self._end = b"".join(said).decode().strip()
        base.history(self._end)

    def _after(self, own: bytes, opened: t.BinaryIO, what: str, size: int) -> t.Iterator[bytes]:
        yield own
        yield from self._work.read(opened, what, size)
        self._work.alive.say("preparing them")

    def _begin(self, record: Record, observed: Around) -> None:
        """One write: from here on the ordinary plan puts them in place."""
        observer = self._observer
        target = observer.target
        if execute(observer.cluster, target.namespace, record.primary, files.is_there(self._swap)).rc != 0:
            raise Gone(f"what was unpacked is not on the volume of {record.primary} any more")
        pod = observer.cluster.get("v1", "Pod", record.primary, target.namespace)
        if pod is None:
            raise Gone(f"{record.primary} is gone")
        mark = planning.noted_of(self._wish, observed.seen, SWAP, self._swap, self._end, time.time())
        # Where a restore was begun before, that server has run none since.
        mark["scheduler"] = self._scheduler or bool(observed.mark.get("scheduler"))
        annotations = {RESTORING: json.dumps(mark, sort_keys=True), **_record.another_life()}
        try:
            following = planning.swapped(target, record, observed.seen, self._swap)
            # It may be another pod than the one that was seen, and has them on its volume all the same.
            following = dataclasses.replace(following, swap_uid=str(pod["metadata"]["uid"]))
            _record.write(observer.cluster, target, following, annotations)
        finally:
            observer.forget_objects()

    def _apply(self, ordinal: int, observed: Around) -> None:
        server, mark = self._work.server(ordinal), dict(observed.mark)
        self._step(mark, REPLAY)
        if server.runs_events():
            # Its scripts are older than that they would keep it from it.
            server.ask("SET GLOBAL event_scheduler = OFF")
        # What the binary logs say of them comes after that.
        server.enable(self._wish.base.events)
        self._work.replay(self._observer.target.pod(ordinal), str(mark.get("end", "")))
        self._step(mark, FINISH)

    def _step(self, mark: t.Mapping[str, t.Any], step: str) -> None:
        self._work.mark(json.dumps({**mark, "step": step, "at": int(time.time())}, sort_keys=True))

    def _close(self, record: Record, ordinal: int, observed: Around) -> None:
        wish, observer, server = self._wish, self._observer, self._work.server(ordinal)
        if not wish.slices and server.databases() != wish.base.databases:
            raise Ended(
                f"there are the databases {', '.join(server.databases())}, and the backup has "
                f"{', '.join(wish.base.databases)}. Somebody else may write to it"
            )
        if not wish.slices:
            server.enable(wish.base.events)
        if observed.mark.get("scheduler"):
            server.ask("SET GLOBAL event_scheduler = ON")
        namespace = observer.target.namespace
        removed = execute(observer.cluster, namespace, record.primary, files.forget(), timeout=3600.0)
        if removed.rc != 0:
            raise Ended(f"the data of before stays on the volume of {record.primary}: {removed.stderr.strip()[:300]}")
        try:
            _record.write(
                observer.cluster,
                observer.target,
                dataclasses.replace(record, swap="", swap_uid="", swap_before=""),
                {RESTORING: None},
            )
        finally:
            observer.forget_objects()

    def facts(self, observed: Around) -> dict[str, t.Any]:
        return self._work.facts(FINISH in self._done)
