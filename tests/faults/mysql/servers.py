# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""MySQL or MariaDB with replicas as the harness sees it: everything is asked of the servers, through tunnels."""

from __future__ import annotations

import base64
import contextlib
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    Client,
    Credentials,
    NoAnswer,
    SqlError,
)
from harness import objects
from harness.application import Application
from harness.verdict import Failed, Skipped
from harness.waiting import until
from harness.writer import NotWritten

if t.TYPE_CHECKING:
    from harness.proxy import Proxy
    from harness.trial import Trial

NAME = "shop"
MYSQL, MARIADB = "mysql", "mariadb"
# Seconds. A write that is not acknowledged in this time counts as a gap, and the next one is tried.
WRITE_TIMEOUT = 4.0
Problem = (NoAnswer, SqlError, Failure, OSError)


class Servers(Application):
    kind = "mysql"
    # What goes through the tunnels is encrypted: only what is asked of the API server can be watched.
    commands = re.compile(rb"(?!)")

    def __init__(self, api: Cluster, namespace: str, image: str, members: int = 3, **variables: t.Any) -> None:
        super().__init__(api, namespace)
        self.members = members
        self._image = image
        self._variables = variables
        self._last = 0

    def variables(self) -> dict[str, t.Any]:
        return {
            "mysql_name": NAME,
            "mysql_namespace": self.namespace,
            "mysql_members": self.members,
            "mysql_image": self._image,
            "mysql_storage_size": "1Gi",
            "mysql_access_modes": ["ReadWriteOnce"],
            "mysql_termination_grace_period": 30,
            **self._variables,
        }

    # What the harness asks.

    def connect(self) -> Session:
        said = []
        for ordinal in sorted(range(max(self.members, self._last + 1)), key=lambda ordinal: ordinal != self._last):
            session: t.Optional[Session] = None
            try:
                session = Session(*self._reached(ordinal))
                if session.takes_writes():
                    self._last = ordinal
                    return session
                said.append(f"{pod_of(ordinal)} is read-only")
            except Problem as problem:
                said.append(f"{pod_of(ordinal)}: {str(problem)[:200]}")
            if session:
                session.close()
        raise NotWritten("; ".join(said))

    def present(self) -> set[int]:
        return {int(row["number"]) for row in self.ask(self.primary(), "SELECT number FROM faults.numbers")}

    def counts(self) -> dict[str, int]:
        return {
            pod_of(ordinal): int(self.ask(ordinal, "SELECT COUNT(*) AS found FROM faults.numbers")[0]["found"])
            for ordinal in range(self.members)
        }

    def identities(self) -> dict[str, str]:
        """From whom each replicates, or that it is primary itself, against what is recorded."""
        found = {"recorded": self.record()["primary"]}
        for ordinal in range(self.members):
            rows = [row for row in self.ask(ordinal, "SHOW REPLICA STATUS") if self._source(row)]
            found[pod_of(ordinal)] = self._source(rows[0]).partition(".")[0] if rows else pod_of(ordinal)
        return found

    def end_state(self) -> t.Any:
        return objects.what_is_left(self.api, self.namespace, without_annotations=("stateful.kube/mysql-primary",))

    # What the scenarios ask.

    def create(self) -> None:
        """The table that the writer writes to."""
        self.ask(self.primary(), "CREATE DATABASE faults")
        self.ask(self.primary(), "CREATE TABLE faults.numbers (number BIGINT PRIMARY KEY) ENGINE=InnoDB")

    def record(self) -> dict[str, str]:
        found = self.api.get("v1", "ConfigMap", f"{NAME}-record", self.namespace) or {}
        return dict(found.get("data") or {})

    def primary(self) -> int:
        """Who takes writes by its own word: nobody else may, at any time."""

        def alone() -> tuple[int, ...]:
            found = []
            for ordinal in range(max(self.members, self._last + 1)):
                with contextlib.suppress(*Problem):
                    if not int(self.ask(ordinal, "SELECT @@GLOBAL.read_only AS found")[0]["found"]):
                        found.append(ordinal)
            if len(found) > 1:
                raise Failed(f"{' and '.join(map(pod_of, found))} take writes at the same time.")
            return tuple(found)

        return until(alone, 60, f"Nobody takes writes in {self.namespace}.")[0]

    def checksums(self) -> set[str]:
        """Of all rows, once for each different one."""
        return {
            str(self.ask(ordinal, "CHECKSUM TABLE faults.numbers", seconds=60)[0]["Checksum"])
            for ordinal in range(self.members)
        }

    def ask(self, ordinal: int, statement: str, seconds: float = 10.0) -> list[dict[str, t.Any]]:
        tunnel, client = self._reached(ordinal)
        with tunnel:
            try:
                return client.rows(statement, seconds=seconds)
            finally:
                client.close()

    def run(self, ordinal: int, *statements: str) -> None:
        """In one session."""
        tunnel, client = self._reached(ordinal)
        with tunnel:
            try:
                client.run(*statements)
            finally:
                client.close()

    def _source(self, row: t.Mapping[str, t.Any]) -> str:
        return str(row.get("Source_Host") or row.get("Master_Host") or "")

    def _reached(self, ordinal: int) -> tuple[Tunnel, Client]:
        secret = self.api.get("v1", "Secret", f"{NAME}-root", self.namespace)
        if secret is None:
            raise NoAnswer("there is no Secret to log in with yet")
        login = Credentials("root", base64.b64decode(secret["data"]["password"]).decode())
        tunnel = Tunnel(self.api, self.namespace, pod_of(ordinal), 3306)
        return tunnel, Client(tunnel.path, login)


class Session:
    """One server, through one tunnel."""

    def __init__(self, tunnel: Tunnel, client: Client) -> None:
        self._tunnel = tunnel
        self._client = client

    def takes_writes(self) -> bool:
        return not int(self._client.rows("SELECT @@GLOBAL.read_only AS found")[0]["found"])

    def write(self, number: int) -> None:
        try:
            self._client.rows("INSERT INTO faults.numbers VALUES (%s)", number, seconds=WRITE_TIMEOUT)
        except Problem as problem:
            raise NotWritten(str(problem)[:200]) from problem

    def close(self) -> None:
        self._client.close()
        self._tunnel.close()


def pod_of(ordinal: int) -> str:
    return f"{NAME}-{ordinal}"


def images(trial: Trial) -> dict[str, str]:
    """The images of both flavours, by flavour; those of a cluster of somebody's own are the public ones."""
    if trial.lab is None:
        return {MYSQL: "docker.io/library/mysql:8.4", MARIADB: "docker.io/library/mariadb:10.11"}
    made = {}
    for flavour in (MYSQL, MARIADB):
        try:
            said = trial.lab.run("images", "--load", flavour)
        except Failed as why:
            trial.say(f"{flavour.upper()} IS LEFT OUT: {why}")
            continue
        found = re.search(rf"\s(\S*/{flavour}:\S+)", said)
        if not found:
            raise Failed(f"The lab does not say what its image of {flavour} is called: {said[-300:]}")
        made[flavour] = found[1]
    if not made:
        raise Skipped("the images of MySQL and MariaDB, which this machine's mirrors do not have the packages for")
    return made


Body = t.Callable[["Trial", Servers, "Proxy", str], None]


def with_each(body: Body, members: int = 3, **variables: t.Any) -> t.Callable[[Trial], None]:
    """A scenario that plays for each flavour, on a deployment of its own with the writer's table."""

    def play(trial: Trial) -> None:
        for flavour, image in images(trial).items():
            with trial.namespace() as namespace, trial.proxy(Servers) as proxy:
                application = Servers(trial.api, namespace, image, members, **variables)
                trial.play(application, proxy).expect_success("The deployment")
                application.create()
                body(trial, application, proxy, flavour)

    return play
