# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The restore operation: the planner, the backup and the writing in one shape."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._bucket import place_of
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import content, verify_files
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _accounts as accounts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import (
    ACCOUNTS,
    DUMP,
    LAYOUT,
    base_for,
    chain,
    gap,
    moment,
    needed,
    require_covered,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import life, require_reader
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import Alive, Ended, Gone
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_plan import (
    CLEAR,
    END,
    FINISH,
    LOAD,
    REPLAY,
    Around,
    Wish,
    noted_of,
    plan,
    promoted,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation

#: for until: as far as there are binary logs
LATEST = "latest"
# Seconds until a session that a killed run left has ended, and within which its pod says how far it came.
ENDING = 60.0
SAYING = 5.0


def source_of(params: t.Mapping[str, t.Any], cluster: Cluster, namespace: str, task: Task) -> Source:
    """Choose the backup and check every byte of it, before anything is touched. Raises Failure."""
    name = params["backup_of"] or params["name"]
    place = place_of(params, "src", cluster, namespace, params["backup_of_namespace"] or namespace, name, LAYOUT)
    found = place.manifests()
    last = params["until"] == LATEST
    until = moment(params["until"]) if params["until"] and not last else ""
    base = base_for(found, params["backup"], until)
    linked = chain(base, found)
    if until:
        require_covered(base, linked, found, until)
    # Without a time it is the backup as it is.
    slices = linked if last else needed(linked, until) if until > base.until else []
    if last and (why := gap(base, linked, found)):
        task.warn(f"{name}: newer binary logs cannot be restored.{why}")
    alive = Alive(task, name)
    alive.say(f"checking {base.backup}")
    for manifest in (base, *slices):
        verify_files(place, manifest, lambda _size: alive())
    return Source(place, Wish(base, tuple(slices), until, params["users"], params["overwrite_data_of"] or ""))


class Restore(Conversation[Around]):
    def __init__(self, observer: Observer, source: Source, task: Task, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._wish = source.wish
        self._alive = Alive(task, self.title)
        self._work = Work(observer, source, self._alive)
        #: what is done, and of which server
        self._done: tuple[str, ...] = ()
        self._of = ("", 0)
        self._began = False
        self._waited = False
        #: what this run's step is known by
        self._begun = ""

    def observe(self) -> Around:
        seen = self._observer.observe()
        _set_id, mark = life(self._observer.cluster, self._observer.target)
        primary = promoted(self._observer.target, seen)
        if primary is None or seen.record is None:
            return Around(seen, mark=mark, done=self._done if FINISH in self._done else ())
        if self._of != (seen.record.primary, seen.record.epoch) and FINISH not in self._done:
            # Another server may lack a part of what was loaded.
            self._done, self._of = (), (seen.record.primary, seen.record.epoch)
        try:
            server = self._work.server(primary)
            databases = server.databases()
            loading, far = self._left(server, mark) if mark and not self._began else (None, None)
        except (NoAnswer, SqlError):
            return Around(seen, mark=mark, done=self._done)
        return Around(seen, databases, mark, self._done, self._began, loading, far)

    def _left(self, server: Server, mark: t.Mapping[str, t.Any]) -> tuple[t.Optional[int], t.Optional[tuple[str, str]]]:
        """What a run that was killed has left. Its pod says how far it came a moment after the session has ended."""
        until = time.monotonic() + (0 if self._waited else SAYING)
        while (loading := server.loading()) is None:
            far = server.far()
            said = far is not None and far[0] == mark.get("begun")
            if said or mark.get("step") not in (LOAD, REPLAY) or time.monotonic() > until:
                self._waited = True
                return None, far
            time.sleep(0.2)
        return loading, None

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        primary = promoted(self._observer.target, observed.seen)
        if primary is None:
            raise NotYet("the primary is to be asked again")
        for step in steps:
            try:
                self._act(step, observed, primary)
            except (Gone, NoAnswer) as exc:
                self._done = ()
                raise NotYet(f"the primary went away in the middle, so it begins anew ({exc})") from exc
            except (Ended, SqlError, OSError) as exc:
                raise Failure(
                    f"{self.title}: the restore broke off where it was to {step.sentence}: {exc}. The data is "
                    "incomplete, and noted to be so. Correct that, and run the same command again: it begins anew."
                ) from exc
            self._done = (*self._done, step.action)
        self.acted()

    def _act(self, step: Step, observed: Around, primary: int) -> None:
        server, pod = self._work.server(primary), self._observer.target.pod(primary)
        if step.action == END:
            self._end_former(server)
            return
        if step.action in (LOAD, REPLAY):
            server.unlogged(programs.FAR)
        if step.action != CLEAR:
            self._note(server, observed, step.action, bool(observed.mark.get("scheduler")))
        if step.action == CLEAR:
            # What would be missed after the databases are gone is looked for before.
            if self._wish.slices:
                require_reader(self._observer, pod, self._wish.base.flavour)
            self._clear(server, observed)
        elif step.action == LOAD:
            self._load(server, pod)
        elif step.action == REPLAY:
            self._work.replay(pod, self._wish.base.end, self._begun)
        elif step.action == FINISH:
            self._finish(server, observed)
        else:
            raise AssertionError(step.action)

    def _clear(self, server: Server, observed: Around) -> None:
        scheduler = server.runs_events()
        events = scheduler or bool(observed.mark.get("scheduler"))
        self._note(server, observed, CLEAR, events)
        if scheduler:
            # An event that is restored may fall due, and would change what is yet to be compared or applied.
            server.ask("SET GLOBAL event_scheduler = OFF")
        self._end_former(server)
        for database in server.databases():
            self._alive.say(f"dropping {database}")
            server.drop(database)

    def _end_former(self, server: Server) -> None:
        """What a run that was killed has left in the server may go on for as long as one statement takes."""
        until = time.monotonic() + ENDING
        while (former := server.loading()) is not None:
            if time.monotonic() > until:
                raise NotYet(f"session {former} of a restore that was killed has not ended yet")
            with contextlib.suppress(SqlError):
                server.ask(f"KILL {former}")
            self._alive.say(f"ending session {former}, which a restore that was killed has left")
            time.sleep(0.2)

    def _load(self, server: Server, pod: str) -> None:
        base = self._wish.base
        user, said = self._observer.credentials.username, programs.far(base.flavour, self._begun)
        self._work.feed(pod, base, DUMP, lambda size: programs.load(base.flavour, user, size, said))
        server.enable(base.events)
        if base.events:
            server.unlogged(said)

    def _finish(self, server: Server, observed: Around) -> None:
        wish = self._wish
        if not wish.slices:
            self._compare(server)
        if wish.users:
            with self._work.place.open(wish.base.backup, ACCOUNTS) as opened:
                statements = accounts.load(content(opened, ACCOUNTS))
            for statement in statements:
                try:
                    server.ask(statement)
                except SqlError as error:
                    raise Ended(f"{accounts.whose(statement)} failed (error {error.code})") from error
        if observed.mark.get("scheduler"):
            server.ask("SET GLOBAL event_scheduler = ON")
        self._work.mark(None)

    def _compare(self, server: Server) -> None:
        different = []
        for table in self._wish.base.tables:
            self._alive.say(f"counting {table.title}")
            rows = server.rows_of(table)
            if rows != table.rows:
                different.append(f"{table.title} has {rows} rows, and the backup has {table.rows}")
        if different:
            raise Ended(f"{'; '.join(different[:5])}. Somebody else may write to it")

    def _note(self, server: Server, observed: Around, action: str, scheduler: bool) -> None:
        """What the step begins with, so that a later run can tell whether anybody else has written since."""
        self._begun = secrets.token_hex(8)
        noted = noted_of(self._wish, observed, action, server.executed(), self._begun)
        self._work.mark(json.dumps({**noted, "scheduler": scheduler}, sort_keys=True))
        self._began = True

    def facts(self, observed: Around) -> dict[str, t.Any]:
        return self._work.facts(FINISH in self._done)
