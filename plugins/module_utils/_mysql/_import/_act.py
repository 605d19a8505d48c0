# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes the steps of an import, each so that a run that is killed in it is continued by the next one."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _act, _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Client, NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _ask as ask
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _plan as steps
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    Local,
    Outside,
    Seen,
    Wish,
    flavour_name,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._statements import (
    ImportFlavour,
    import_flavour,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import MYSQL, Record
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

#: seconds within which the load is to have taken its lock
STARTED_WITHIN = 20.0
#: seconds that the target may take to apply the last of it, while nobody writes
CATCH_UP = 30
#: seconds between two looks at a source that is to take no writes
LOOK_TWICE = 1.0
DROP_WITHIN = 600.0
#: seconds that a source may wait for what holds it from being read-only
STOPPED_WITHIN = 5


class Acts:
    def __init__(self, observer: Observer, asker: ask.Asker, wish: Wish) -> None:
        self._observer = observer
        self._asker = asker
        self._wish = wish
        #: whether this run has told the source to take no writes
        self._stopped = False

    def act(self, step: Step, seen: Seen) -> None:
        """Raises NotYet where waiting may help, Failure where it will not."""
        own = {
            steps.BEGIN: self._begin,
            steps.LOAD: self._load,
            steps.FOLLOW: self._follow,
            steps.RESUME: self._resume,
            steps.CUT_OVER: self._cut_over,
            steps.TIDY: self._tidy,
            steps.DROP: self._drop,
            steps.FORGET: self._forget,
        }.get(step.action)
        if own is None:
            _act.act(self._observer, step, seen.target)
            return
        try:
            own(step, seen)
        except NoAnswer as silence:
            raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
        except SqlError as error:
            raise Failure(
                f"The server refused to {step.sentence}: {error.message} (error {error.code}).", code=error.code
            ) from error

    def _write(self, seen: Seen, **changes: t.Any) -> None:
        try:
            record = dataclasses.replace(t.cast(Record, seen.target.record), **changes)
            _record.write(self._observer.cluster, self._observer.target, record)
        finally:
            self._observer.forget_objects()

    def _link(self, step: Step) -> Link:
        link = self._observer.links.get(step.data["ordinal"])
        if link is None:
            raise NotYet(f"{step.target} is gone")
        return link

    def _flavour(self, link: Link, local: Local) -> ImportFlavour:
        return import_flavour(flavour_name(local.version), link.flavour)

    def _begin(self, _step: Step, seen: Seen) -> None:
        self._write(seen, importing=self._wish.source, imported="")

    def _load(self, step: Step, seen: Seen) -> None:
        link, local, outside = self._link(step), t.cast(Local, seen.local), t.cast(Outside, seen.outside)
        if not self._wish.replicate:
            outside = self._at_rest(step, local)
        events = local.marker.events if local.marker else ""
        self._empty(link, local, seen)
        client = link.client
        client.run("SET SESSION sql_log_bin = 0")
        try:
            now = str(client.rows("SELECT @@GLOBAL.event_scheduler AS events")[0]["events"])
            if now != "DISABLED":
                client.run("SET GLOBAL event_scheduler = OFF")
            client.run(
                "CREATE TABLE IF NOT EXISTS stateful_kube.imported (id TINYINT PRIMARY KEY, source VARCHAR(300) NOT "
                "NULL, position TEXT NOT NULL, events VARCHAR(20) NOT NULL, loaded BOOLEAN NOT NULL) ENGINE = InnoDB "
                "CHARACTER SET utf8mb4"
            )
            client.rows(
                "REPLACE INTO stateful_kube.imported (id, source, position, events, loaded) VALUES (1, %s, %s, %s, 0)",
                *(self._wish.source, outside.position, events or now),
            )
        finally:
            client.run("SET SESSION sql_log_bin = 1")
        self._asker.start_load(step.target, local.version, outside)
        deadline = time.monotonic() + STARTED_WITHIN
        while not (now_local := ask.local(client)).loader and not (now_local.marker and now_local.marker.loaded):
            if self._asker.load_ended(step.target) or time.monotonic() > deadline:
                return
            time.sleep(0.2)

    def _empty(self, link: Link, local: Local, seen: Seen) -> None:
        """Nothing of an earlier try is left: neither data, nor what the server believes to have of the source."""
        client, flavour = link.client, self._flavour(link, local)
        try:
            _record.begin_life(self._observer.cluster, self._observer.target, t.cast(Record, seen.target.record))
        finally:
            self._observer.forget_objects()
        if local.loader:
            with contextlib.suppress(SqlError):
                client.run(f"KILL {local.loader}")
        link.flavour.detach(client)
        flavour.open(client)
        client.run("SET SESSION sql_log_bin = 0, SESSION foreign_key_checks = 0")
        try:
            for database in local.databases:
                quoted = database.replace("`", "``")
                client.run(f"DROP DATABASE IF EXISTS `{quoted}`", seconds=DROP_WITHIN)
        finally:
            client.run("SET SESSION sql_log_bin = 1, SESSION foreign_key_checks = 1")
        flavour.stop(client)
        flavour.begin_anew(client, local.version)
        # Last: it tells the next run that there is something left to do.
        self._drop_marker(client)

    def _follow(self, step: Step, seen: Seen) -> None:
        link, local, outside = self._link(step), t.cast(Local, seen.local), t.cast(Outside, seen.outside)
        if not outside.answers:
            raise NotYet(f"the source {self._wish.source} gave no answer ({outside.silence})")
        self._flavour(link, local).follow(
            link.client, self._wish, self._asker.credentials(), outside, self._wish.require_tls or outside.encrypted
        )

    def _resume(self, step: Step, seen: Seen) -> None:
        link = self._link(step)
        self._flavour(link, t.cast(Local, seen.local)).resume(link.client, self._asker.credentials())

    # The end of it

    def _at_rest(self, step: Step, local: Local) -> Outside:
        """A source that takes no writes any more, as two looks show."""
        first = self._look(step, local)
        if not first.read_only and self._wish.stop_writes:
            said = self._make_read_only(step, local)
            first = self._look(step, local)
            if not first.read_only:
                raise Failure(
                    f"{self._wish.source} could not be made read-only ({said}), and nothing was cut over. Make it "
                    "read-only there, and run again without stop_writes."
                )
        if not first.read_only:
            raise NotYet(f"{self._wish.source} is not read-only")
        time.sleep(LOOK_TWICE)
        self._insist_on_rest(step, local, first)
        return first

    def _look(self, step: Step, local: Local) -> Outside:
        seen = self._asker.look(step.target, local.version)
        # A source with many tables takes its time, and the target may have ended the session meanwhile.
        self._link(step).client.close()
        if not seen.answers:
            raise NotYet(f"the source {self._wish.source} gave no answer ({seen.silence})")
        return seen

    def _insist_on_rest(self, step: Step, local: Local, before: Outside) -> None:
        after = self._look(step, local)
        if (after.position, after.read_only) != (before.position, True):
            raise Failure(
                f"{self._wish.source} was written to although it is to be read-only: it was at {before.position}, and "
                f"is at {after.position or 'an unknown position'}. Nothing was cut over. On MariaDB accounts with READ "
                "ONLY ADMIN (such as root) and their events write nevertheless, and replication writes on both: stop "
                "these, and run the same again."
            )

    def _make_read_only(self, step: Step, local: Local) -> str:
        """Gives back what the source said to that."""
        variable = "super_read_only" if flavour_name(local.version) == MYSQL else "read_only"
        # Before anybody gives up waiting for it: what goes through later is taken back by nobody.
        statements = f"SET SESSION lock_wait_timeout = {STOPPED_WITHIN};\nSET GLOBAL {variable} = ON;\n"
        self._stopped = True
        return self._asker.run(step.target, local.version, statements).stderr.strip()[-300:]

    def _let_write(self, step: Step, local: Local) -> None:
        with contextlib.suppress(Exception):
            said = self._asker.run(step.target, local.version, "SET GLOBAL read_only = OFF;\n")
            self._stopped = bool(said.rc) or "ERROR" in said.stderr

    def _cut_over(self, step: Step, seen: Seen) -> None:
        link, local = self._link(step), t.cast(Local, seen.local)
        try:
            outside = self._at_rest(step, local)
            self._insist_on_all(step, link, local, outside)
            self._insist_on_rest(step, local, outside)
        except Exception:
            if self._stopped and self._wish.replicate:
                # Its clients go on, and so does the import.
                self._let_write(step, local)
            raise
        self._flavour(link, local).stop(link.client)
        # From here on the target is on its own, whoever goes on with what is left.
        self._write(seen, importing="", imported=self._wish.source)

    def _insist_on_all(self, step: Step, link: Link, local: Local, outside: Outside) -> None:
        client, flavour = link.client, self._flavour(link, local)
        name, source = step.target, self._wish.source
        if self._wish.replicate:
            if not flavour.wait_for(client, outside, CATCH_UP):
                raise NotYet(
                    f"{name} has not applied what {source} wrote last within {CATCH_UP} s, so {source} goes on"
                )
            self._insist_on_nothing_more(name, link, outside)
        elif local.marker and local.marker.position != outside.position:
            raise Failure(
                f"{source} was written to since {name} was loaded: it was at {local.marker.position} then, and is at "
                f"{outside.position}. Nothing was cut over. Give the import up (state: absent), and begin anew while "
                "nobody writes, or with replicate: true."
            )
        differ = self._differences(step, link, local, outside)
        if differ:
            raise Failure(
                f"{name} has not the same as {source}, and nothing was cut over. Source and {name} have: "
                f"{'; '.join(differ)}. Where somebody wrote to {name}, or the source has tables that are not of "
                "InnoDB, begin anew: state: absent, and run it once more."
            )

    def _insist_on_nothing_more(self, name: str, link: Link, outside: Outside) -> None:
        if not outside.gtids:
            return
        said = str(link.client.rows(link.flavour.look)[0]["executed"] or "")
        more = link.flavour.history(said).minus(link.flavour.history(outside.executed))
        if more:
            raise Failure(
                f"{name} has {more.describe()} that {self._wish.source} has not: somebody wrote to it. Nothing was cut "
                "over. Give the import up (state: absent), and begin anew."
            )

    def _differences(self, step: Step, link: Link, local: Local, outside: Outside) -> list[str]:
        client = link.client
        here = ask.tables(client)
        differ = [f"{table} (only the source)" for table in outside.tables if table not in here]
        differ += [f"{table} (only {step.target})" for table in here if table not in outside.tables]
        own = ask.objects(client)
        differ += [
            f"{number} and {own.get(kind, 0)} {kind}"
            for kind, number in outside.objects.items()
            if own.get(kind, 0) != number
        ]
        if differ or not self._wish.compare_rows:
            return differ
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
            outside_counts = pool.submit(self._asker.counts, step.target, local.version, here)
            mine = ask.counted(client, here)
            there = outside_counts.result()
        # The server may have ended the session meanwhile.
        client.close()
        return [f"{there[table]} and {mine[table]} rows of {table}" for table in here if there[table] != mine[table]]

    def _tidy(self, step: Step, seen: Seen) -> None:
        link, local = self._link(step), t.cast(Local, seen.local)
        link.flavour.detach(link.client)
        self._forget_marker(link, local)

    def _forget_marker(self, link: Link, local: Local) -> None:
        client = link.client
        self._flavour(link, local).open(client)
        events = local.marker.events if local.marker else "DISABLED"
        if events in ("ON", "OFF"):
            client.run(f"SET GLOBAL event_scheduler = {events}")
        self._drop_marker(client)

    @staticmethod
    def _drop_marker(client: Client) -> None:
        client.run("SET SESSION sql_log_bin = 0")
        try:
            client.run("DROP TABLE IF EXISTS stateful_kube.imported")
        finally:
            client.run("SET SESSION sql_log_bin = 1")

    # To give it up

    def _drop(self, step: Step, seen: Seen) -> None:
        link, local = self._link(step), t.cast(Local, seen.local)
        if local.loader:
            with contextlib.suppress(SqlError):
                link.client.run(f"KILL {local.loader}")
            raise NotYet("the load is being ended")
        events = local.marker.events if local.marker else ""
        if events in ("ON", "OFF"):
            link.client.run(f"SET GLOBAL event_scheduler = {events}")
        self._empty(link, local, seen)

    def _forget(self, _step: Step, seen: Seen) -> None:
        self._write(seen, importing="")
