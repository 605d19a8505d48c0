# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The backup operation: the planner, the place and the reading in one shape."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import verify_files
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import writing_to
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place, Writing
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._scratch import living
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import FAILED, iso
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _accounts as accounts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _files as files
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._census import Census
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import (
    ACCOUNTS,
    BINLOG,
    DUMP,
    DUMPED,
    PHYSICAL,
    Manifest,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._logs import new_logs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import (
    Alive,
    Ended,
    Gone,
    Pods,
    taking_commands,
    unpacked,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import Around, Wish, plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._scratch import Differs, Scratch
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Log, Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB, MYSQL, BinlogState
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, Task
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Watched

#: on the ConfigMap that says who may write: a restore that has not come to its end
RESTORING = _record.RESTORING
# How much smaller a dump becomes at least, as a rule: what lacks room for that need not begin.
COMPRESSED = 10


def life(cluster: Cluster, target: Target) -> tuple[str, dict[str, t.Any]]:
    """Which life of the data this is, and the note of a restore that has not come to its end."""
    found = cluster.get("v1", "ConfigMap", target.record, target.namespace) or {"metadata": {}}
    return _record.life(found), _record.restoring(found)


def require_programs(observer: Observer, pod: str, wanted: t.Iterable[str], instead: str) -> None:
    """Before anything begins that needs them. Raises Failure where the image lacks one, and Gone."""
    target = observer.target
    with taking_commands(target.namespace, pod):
        found = execute(observer.cluster, target.namespace, pod, programs.lacking(wanted))
    if found.rc == 0 and found.stdout.strip():
        raise Failure(
            f"{target.namespace}/{target.name}: the image of {pod} lacks {', '.join(found.stdout.split())}, which this "
            f"needs. Use an image of the same version that has it, or {instead}."
        )


def require_reader(observer: Observer, pod: str, flavour: str) -> None:
    """The same of what reads binary logs."""
    require_programs(observer, pod, [programs.reader(flavour)], "restore the backup as it is (leave until out)")


class Backup(Watched[Around]):
    """Takes no Lease: it changes nothing in the data, and nothing has to wait for it."""

    def __init__(self, observer: Observer, place: Place[Manifest], wish: Wish, task: Task, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._wish = wish
        self._task = task
        self._place = place
        self._alive = Alive(task, self.title)
        self._done = False
        self._made: t.Optional[Manifest] = None
        self._verified = False

    def observe(self) -> Around:
        seen = self._observer.observe()
        set_id, mark = life(self._observer.cluster, self._observer.target)
        return Around(
            seen=seen,
            set_id=set_id,
            restoring=str(mark.get("backup", "")),
            manifests=tuple(self._place.manifests()),
            leftovers=tuple(self._place.leftovers()),
            made=self._done,
            verified=self._verified,
        )

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            try:
                with writing_to(self._wish.dest):
                    self._act(step, observed)
            except (Gone, NoAnswer) as exc:
                raise NotYet(f"{step.target} went away in the middle, and nothing of it counts ({exc})") from exc
            except (Ended, SqlError) as exc:
                raise Failure(
                    f"{self.title}: the backup of {step.target} broke off, and nothing of it counts: {exc}. Correct "
                    "that, and run it again."
                ) from exc

    def _act(self, step: Step, observed: Around) -> None:
        if step.action == "dump":
            self._dump(step, observed)
        elif step.action == "verify":
            self._verify()
        elif step.action == "remove":
            self._place.remove(step.target)
        else:
            raise AssertionError(step.action)

    def _dump(self, step: Step, observed: Around) -> None:
        version = observed.seen.answer(step.data["ordinal"]).version
        flavour = MARIADB if "mariadb" in version.lower() else MYSQL
        server = Server(self._observer.links[step.data["ordinal"]].client, flavour)
        target, started = self._observer.target, iso(time.time())
        logs = None
        if self._wish.kind == BINLOG:
            answer = observed.seen.answer(step.data["ordinal"])
            logs = new_logs(server, observed.own, answer.executed, self.title, self._task.warn)
        writer = self._place.begin(self._wish.kind)
        manifest = Manifest(
            backup=writer.name,
            kind=self._wish.kind,
            namespace=target.namespace,
            name=target.name,
            set_id=observed.set_id,
            flavour=flavour,
            version=version,
            member=step.target,
            started=started,
            ended="",
            start=logs.start if logs else "",
            end=logs.end if logs else "",
            until=logs.until if logs else "",
            files=(),
            method=self._wish.method if logs is None else DUMPED,
        )
        try:
            if logs:
                self._copy(step.target, server, writer, logs.copied)
            elif self._wish.method == PHYSICAL:
                manifest = self._files(step.target, server, writer, manifest, observed)
            else:
                manifest = self._all(step.target, server, writer, manifest, observed)
            manifest = dataclasses.replace(manifest, ended=iso(time.time()), files=tuple(writer.files))
            writer.complete(manifest)
        except BaseException:
            writer.abandon()
            raise
        self._done, self._made = True, manifest

    def _pods(self) -> Pods:
        credentials = self._observer.credentials
        return Pods(self._observer.cluster, self._observer.target.namespace, credentials.password, self._alive)

    def _primary(self, server: Server, observed: Around) -> Server:
        """The primary, where it answers, and else this server."""
        record = observed.seen.record
        ordinal = self._observer.target.ordinal(record.primary) if record else None
        if ordinal is None or not observed.seen.answer(ordinal).serves:
            return server
        return Server(self._observer.links[ordinal].client, server.flavour)

    def _begin_logs(self, server: Server, observed: Around) -> None:
        """Binary logs begin new files, on the primary too.

        What comes before the place of a backup is quickly read then, and of the primary's no more is to be saved later
        than what comes now.
        """
        for one in (server, self._primary(server, observed)):
            one.ask("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")

    def _all(
        self, pod: str, server: Server, writer: Writing[Manifest], manifest: Manifest, observed: Around
    ) -> Manifest:
        databases = server.databases()
        unsafe = server.without_transactions(databases)
        if unsafe:
            self._task.warn(
                f"{self.title}: {_some(unsafe)} cannot be read as of one "
                "moment, because their engine knows no transactions: what is written to them meanwhile may be in the "
                "backup or not."
            )
        writer.require_room(server.size() // COMPRESSED, self._wish.dest)
        self._begin_logs(server, observed)
        census, until = Census(), ""
        root = self._observer.credentials.username
        command = programs.dump(server.flavour, root, databases)
        for data in self._stored(writer, DUMP, self._pods().run(pod, command), "dumped"):
            census.feed(data)
            if census.position and not until:
                until = server.now()
        census.close()
        if not census.complete or census.position is None:
            raise Ended("the dump has no end, although the program that wrote it says that it is complete")
        _require_same(server, databases)
        statements = accounts.read(server, root)
        writer.text(ACCOUNTS, accounts.dump(statements))
        return dataclasses.replace(
            manifest,
            end=server.history_at(*census.position),
            until=until,
            databases=databases,
            tables=tuple(census.tables),
            structure=census.structure,
            events=server.sleeping_events(databases),
            accounts=sum(one.startswith("CREATE ") for one in statements),
        )

    def _files(
        self, pod: str, server: Server, writer: Writing[Manifest], manifest: Manifest, observed: Around
    ) -> Manifest:
        observer, flavour = self._observer, server.flavour
        require_programs(observer, pod, files.PROGRAMS[flavour], "make a dump (method dump)")
        databases = server.databases()
        unsafe = server.without_transactions(databases) if flavour != MARIADB else []
        if unsafe:
            raise Failure(
                f"{self.title}: {_some(unsafe)} cannot be copied, because "
                "the clone plugin of MySQL copies tables of InnoDB alone. Give them that engine, or make a dump "
                "(method dump)."
            )
        writer.require_room(server.size() // COMPRESSED, self._wish.dest)
        self._begin_logs(server, observed)
        # All of this is in the copy, which is of a later moment.
        end, size, tail = server.executed(), 0, b""
        command = files.copy(flavour, observer.credentials.username)
        for data in self._stored(writer, files.path(flavour), self._pods().run(pod, command), "copied"):
            size, tail = size + len(data), (tail + data)[-100:]
        if not files.whole(flavour, tail):
            raise Ended("the copy has no end, although the program that wrote it says that it is complete")
        _require_same(server, databases)
        if flavour == MARIADB:
            before, after = (BinlogState.parse(one).writers for one in (end, server.executed()))
            if any(after.get(domain) != writer for domain, writer in before.items()):
                # Of such a copy nobody can tell where it continues.
                raise Gone("another server became the primary meanwhile")
        return dataclasses.replace(
            manifest,
            end=end,
            until=server.now(),
            databases=databases,
            room=size,
            events=server.sleeping_events(databases),
        )

    def _stored(self, writer: Writing[Manifest], path: str, packed: t.Iterable[bytes], what: str) -> t.Iterator[bytes]:
        """Write what is compressed already to a file of the backup, and hand it on uncompressed."""
        file, size = writer.open(path, packed=True), 0
        try:
            for data in unpacked(packed, file.write):
                size += len(data)
                self._alive.say(f"{what} {size >> 20} MiB")
                yield data
        except BaseException:
            file.discard()
            raise
        writer.add(file)

    def _copy(self, pod: str, server: Server, writer: Writing[Manifest], logs: t.Sequence[Log]) -> None:
        folder = server.log_folder()
        for log in logs:
            size = 0
            command = programs.fetch(f"{folder}/{log.name}")
            for data in self._stored(writer, f"{log.name}.gz", self._pods().run(pod, command), f"{log.name}:"):
                size += len(data)
            if size != log.size:
                raise Ended(f"{log.name} has {size} bytes, and the server says {log.size}")

    def _verify(self) -> None:
        made, observer = self._made, self._observer
        if made is None:
            raise AssertionError("only a backup of this run is verified")
        pods = observer.observe().pods.values()
        live = living(observer.cluster, observer.target.namespace, [pod.name for pod in pods])
        if live is None:
            raise Failure(
                f"{self.title}: the backup is complete, and could not be verified, because no pod is left to take the "
                "image from. Run it again when one is back."
            )
        verify_files(self._place, made, lambda _size: self._alive.say("reading the files again"))
        try:
            with Scratch(observer.cluster, observer.target, self._alive, self.wait_timeout) as scratch:
                if made.method == PHYSICAL:
                    scratch.check_files(self._place, made, live)
                else:
                    scratch.check(self._place, made, live)
        except Differs as exc:
            self._note(f"{FAILED} {iso(time.time())}: {exc}")
            raise Failure(
                f"{self.title}: {made.backup} does not restore to what was there: {exc}. It is marked as such, and "
                "not used. Take another one, and look at the disks of this host and of the server that was read."
            ) from exc
        except (Ended, Gone) as exc:
            raise Failure(
                f"{self.title}: the backup is complete, and could not be verified: the server that it was restored "
                f"into broke off ({exc}). It may have been short of memory or disk, or lack a setting. Run it again."
            ) from exc
        self._note(iso(time.time()))
        self._verified = True

    def _note(self, verified: str) -> None:
        if self._made:
            self._made = dataclasses.replace(self._made, verified=verified)
            self._place.rewrite(self._made)

    def facts(self, observed: Around) -> dict[str, t.Any]:
        return {
            "path": self._wish.dest,
            "backup": self._made.facts() if self._made else None,
            "backups": [one.facts() for one in sorted(observed.manifests, key=lambda one: (one.until, one.backup))],
        }


def _some(tables: t.Sequence[str]) -> str:
    return f"{', '.join(tables[:5])}{' and others' if tables[5:] else ''}"


def _require_same(server: Server, databases: t.Sequence[str]) -> None:
    """Raises Gone."""
    if server.databases() != databases:
        raise Gone("databases came or went meanwhile, and the list of them was made before")
