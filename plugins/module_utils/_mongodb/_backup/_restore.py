# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""The restore operation: the planner, the backup and the writing in one shape."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._bucket import place_of
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import verify_files
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._documents import Damaged
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._dump import LEAVING, SAY_EVERY
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    LAYOUT,
    Optime,
    base_for,
    chain,
    require_covered,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore_plan import (
    BUILD,
    CLEAR,
    LOAD,
    REPLAY,
    REPLAYING,
    Around,
    Mark,
    Wish,
    plan,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Pod
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Watched

#: for until: as far as there are slices
LATEST = "latest"


def source_of(params: t.Mapping[str, t.Any], cluster: Cluster, namespace: str, task: Task) -> Source:
    """Choose the backup and check every byte of it, before anything is touched. Raises Failure."""
    name = params["backup_of"] or params["name"]
    place = place_of(params, "src", cluster, namespace, params["backup_of_namespace"] or namespace, name, LAYOUT)
    found = place.manifests()
    last = params["until"] == LATEST
    until = Optime.parse(params["until"]) if params["until"] and not last else None
    base = base_for(found, params["backup"], until)
    require_covered(base, found, until)
    # Without a time it is the backup as it is; with one, no more slices than needed.
    needed = [one for one in chain(base, found) if last or (until and one.start < until)]
    said = time.monotonic()
    read = 0

    def alive(size: int) -> None:
        nonlocal said, read
        read += size
        if time.monotonic() - said > SAY_EVERY:
            said = time.monotonic()
            if task.abandoned():
                raise Failure(f"{name}: stopped, because the process that started this run is gone.")
            task.progress(f"checking {base.backup}: {read >> 20} MiB read")

    for manifest in (base, *needed):
        verify_files(place, manifest, alive)
    return Source(place, base, tuple(needed), until)


def wish_of(params: t.Mapping[str, t.Any], source: Source) -> Wish:
    return Wish(
        base=source.base,
        slices=source.slices,
        until=source.until,
        users=params["users"],
        overwrite_data_of=params["overwrite_data_of"] or "",
    )


class Restore(Watched[Around]):
    def __init__(self, observer: Observer, source: Source, wish: Wish, task: Task, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self.lock = Lease(observer.cluster, observer.target.namespace, observer.target.name)
        self._observer = observer
        self._source = source
        self._wish = wish
        self._task = task
        self._finished = False
        self._said = time.monotonic()
        self._bulk: t.Optional[Bulk] = None

    def observe(self) -> Around:
        seen = self._observer.observe()
        primary = seen.primary
        if self._finished or primary is None or not seen.answers[primary].serves:
            return Around(seen, finished=self._finished)
        try:
            bulk = self._primary(seen.pods[primary])
            work = self._work(bulk)
            compatibility = bulk.command("admin", {"getParameter": 1, "featureCompatibilityVersion": 1})
            return Around(
                seen,
                databases=tuple(work.databases()),
                mark=Mark.load(work.mark(), work.done()),
                fcv=str(compatibility["featureCompatibilityVersion"]["version"]),
            )
        except (NoAnswer, CommandError):
            self._hang_up()
            return Around(seen)

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            try:
                self._act(step, observed)
            except NoAnswer as exc:
                self._hang_up()
                raise NotYet(f"the primary went away ({exc})") from exc
            except CommandError as error:
                self._hang_up()
                if error.code in LEAVING:
                    raise NotYet(f"the primary went away ({error})") from error
                raise Failure(
                    f"{self.title}: the server refused to {step.sentence} ({error}, code {error.code}). The data is "
                    "incomplete, and a note in it says so. The same command goes on from here, or begins anew."
                ) from error
            except Damaged as exc:
                raise Failure(
                    f"{self.title}: {exc}, although its hash is right. The data is incomplete, and a note in it says "
                    "so. Restore another backup."
                ) from exc

    def _act(self, step: Step, observed: Around) -> None:
        if self._bulk is None:
            raise NotYet("the primary is to be asked again")
        work = self._work(self._bulk)
        identity = self._wish.identity
        if step.action == CLEAR:
            work.write_mark(Mark(CLEAR, identity).dump())
            work.clear()
            work.write_mark(Mark(LOAD, identity).dump())
        elif step.action == LOAD:
            work.load(observed.mark.done if observed.mark else ())
            work.write_mark(Mark(REPLAY, identity).dump())
        elif step.action == REPLAY:
            work.write_mark(Mark(REPLAYING, identity).dump())
            work.replay()
            work.write_mark(Mark(BUILD, identity).dump())
        elif step.action == BUILD:
            work.build_indexes()
            work.create_views()
            if self._wish.users:
                work.merge_users()
            work.finish()
            self._finished = True
        else:
            raise AssertionError(step.action)

    def _work(self, bulk: Bulk) -> Work:
        return Work(bulk, self._source, self._alive)

    def _alive(self, text: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            if self._task.abandoned():
                raise Failure(
                    f"{self.title}: stopped, because the process that started this run is gone. Run the same command "
                    "again to go on."
                )
            self._task.progress(f"{self.title}: {text}")

    def _primary(self, pod: Pod) -> Bulk:
        if self._bulk and self._bulk.pod != pod.name:
            self._hang_up()
        if self._bulk is None:
            # No limit: an index takes as long as it takes. A pod that goes away ends the tunnel.
            self._bulk = Bulk(self._observer.tunnel(pod), pod.name, self._observer.credentials, silence=None)
        return self._bulk

    def _hang_up(self) -> None:
        if self._bulk:
            self._bulk.__exit__()
            self._bulk = None

    def close(self) -> None:
        self._hang_up()

    def facts(self, observed: Around) -> dict[str, t.Any]:
        end = self._wish.until or self._source.end
        return {
            "backup": self._source.base.facts(),
            "slices": [one.facts() for one in self._source.slices],
            "until": {**end.dump(), "excluded": bool(self._wish.until)},
            "complete": self._finished,
        }
