# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Proves a backup: restores it into a server of its own, which lives as long as that takes, dumps that, and compares.

That server runs in a pod of the application's namespace, from its image, on an emptyDir. It listens on a socket in the
pod alone, so nobody reaches it but who may run commands there, and it has no password.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import parts
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._scratch import Container, ScratchPod
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _files as files
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._census import Census
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import DUMP, Manifest
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import Alive, Pods, unpacked
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import OWN_DATABASES
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB, BinlogState

DATA = "/var/lib/mysql"
# Room for indexes and logs, in times of what the dump has uncompressed.
ROOM = 3
_INITIALISE = {
    MARIADB: 'mariadb-install-db "$@" --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve '
    "--skip-log-bin --force >&2 && exec mariadbd",
}
_SERVE = """set -- --defaults-file=/etc/stateful/initialise.cnf --datadir=/var/lib/mysql/data
{initialise} "$@" --socket={socket} --pid-file=/run/mysqld/mysqld.pid --skip-networking \\
    --event-scheduler=OFF --performance-schema=OFF --log-bin=binlog --server-id=1
"""


def serve(flavour: str) -> list[str]:
    """Makes a data directory and runs a server on it, for whoever is in the pod."""
    initialise = _INITIALISE.get(flavour, 'mysqld "$@" --initialize-insecure && exec mysqld')
    return ["sh", "-c", _SERVE.replace("{initialise}", initialise).replace("{socket}", programs.SOCKET)]


class Scratch(ScratchPod):
    """Use it as a context manager."""

    def __init__(self, cluster: Cluster, target: Target, alive: Alive, timeout: float) -> None:
        super().__init__(cluster, target.namespace, alive.say, alive.title, timeout)
        self._port = target.port
        self._progress = alive

    def check(self, place: Place[Manifest], made: Manifest, live: t.Mapping[str, t.Any]) -> None:
        """Restore and compare. Raises Differs, Ended and Gone."""
        size = next(file.size for file in made.files if file.path == DUMP)
        with place.open(made.backup, DUMP) as opened:
            room = ROOM * sum(len(part) for part in parts(opened, DUMP)) + (1 << 30)
        config = [one for one in live["spec"].get("volumes") or () if one["name"] == "config"]
        self.start(
            live,
            self._port,
            Container(
                command=serve(made.flavour),
                folders=(DATA, "/run/mysqld", "/tmp"),  # noqa: S108
                volumes=tuple((one, "/etc/stateful") for one in config),
                size=room,
            ),
        )
        self._until_serving(made.flavour)
        pods = Pods(self.cluster, self.namespace, "", self._progress)
        with place.open(made.backup, DUMP) as opened:
            self._progress.say("restoring it into a server of its own")
            pods.feed(self.name, programs.load(made.flavour, "root", size), iter(lambda: opened.read(1 << 20), b""))
        self._compare(pods, made)

    def check_files(self, place: Place[Manifest], made: Manifest, live: t.Mapping[str, t.Any]) -> None:
        """Start a server on them and read every table. Raises Differs, Ended and Gone."""
        path, flavour = files.path(made.flavour), made.flavour
        config = [one for one in live["spec"].get("volumes") or () if one["name"] == "config"]
        self.start(
            live,
            self._port,
            Container(
                command=files.serve(flavour),
                folders=(DATA, "/run/mysqld", "/tmp"),  # noqa: S108
                volumes=tuple((one, "/etc/stateful") for one in config),
                size=made.room + made.room // 4 + (1 << 30),
            ),
        )
        pods = Pods(self.cluster, self.namespace, "", self._progress)
        size = next(file.size for file in made.files if file.path == path)
        with place.open(made.backup, path) as opened:
            self._progress.say("unpacking it for a server of its own")
            given = iter(lambda: opened.read(1 << 20), b"")
            noted = b"".join(pods.run(self.name, files.prove(flavour, size, made.room), given)).decode().strip()
        self._until_serving(flavour)
        self._progress.say("reading every table")
        said = b"".join(pods.run(self.name, files.check(flavour))).decode("utf-8", "replace")
        different = [line.replace("\t", " ") for line in said.splitlines() if files.is_bad(line)]
        databases = tuple(name for name in self._databases(pods, flavour) if name not in OWN_DATABASES)
        if not different and databases != made.databases:
            different = [f"its databases are {', '.join(databases)} and were {', '.join(made.databases)}"]
        if not different and not said.strip():
            different = ["no table was read"]
        leads = BinlogState.position(noted) if flavour == MARIADB else None
        if not different and leads is not None and not leads.contains(made.history(made.end)):
            different = [f"it leads to {noted}, and was made after {made.end}"]
        if not different and flavour == MARIADB:
            why = b"".join(pods.run(self.name, files.continues())).decode("utf-8", "replace").strip()
            different = [why] if why else []
        if different:
            raise Differs("; ".join(different[:5]))

    def _databases(self, pods: Pods, flavour: str) -> list[str]:
        said = b"".join(pods.run(self.name, files.ask(flavour, "SHOW DATABASES")))
        return sorted(said.decode("utf-8", "replace").splitlines())

    def _compare(self, pods: Pods, made: Manifest) -> None:
        self._progress.say("dumping that server, to compare")
        census = Census()
        for data in unpacked(pods.run(self.name, programs.dump(made.flavour, "root", made.databases))):
            census.feed(data)
        census.close()
        found, wanted = ({table.title: table for table in tables} for tables in (census.tables, made.tables))
        different = [
            f"{title} has {found[title].rows if title in found else 'no'} rows and had {table.rows}"
            if title not in found or found[title].rows != table.rows
            else f"{title} has other content"
            for title, table in sorted(wanted.items())
            if found.get(title) != table
        ]
        if not different and census.structure != made.structure:
            different = ["a definition of a table, view, trigger, routine or event is another one"]
        if different:
            raise Differs("; ".join(different[:5]))

    def _until_serving(self, flavour: str) -> None:
        until, why = time.monotonic() + self.timeout, ""
        ask = [
            programs.client(flavour),
            "--no-defaults",
            f"--socket={programs.SOCKET}",
            "--user=root",
            "--execute=DO 0",
        ]
        while time.monotonic() < until:
            with contextlib.suppress(Failure):
                found = execute(self.cluster, self.namespace, self.name, ask, timeout=10.0)
                if found.rc == 0:
                    return
                why = found.stderr.strip().splitlines()[-1] if found.stderr.strip() else ""
            self._progress.say(f"waiting for the server in {self.name}")
            self.require_running()
            time.sleep(0.5)
        raise self.not_started(f"does not serve ({why})")


class Differs(Exception):
    """What was restored is not what was backed up."""
