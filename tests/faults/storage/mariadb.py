# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A single MariaDB as the harness sees it: every question is a client in its pod."""

from __future__ import annotations

import pathlib
import re
import typing as t
import uuid

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from harness import objects
from harness.application import Application
from harness.verdict import Failed
from harness.writer import NotWritten

NAME = "db"
POD = f"{NAME}-0"
CLAIM = f"data-{POD}"
# The role names the container after the application.
CONTAINER = "mariadb"
CLIENT = ("mariadb", "--no-defaults", "--socket=/run/mysqld/socket", "--user=root", "--batch", "--skip-column-names")
WRITE_TIMEOUT = 8.0


class MariaDB(Application):
    kind = str(pathlib.Path(__file__).with_name("mariadb.yml"))
    commands = re.compile(rb"(?!)")

    def __init__(self, api: Cluster, namespace: str, storage_class: str, node_selector: t.Mapping[str, str]) -> None:
        super().__init__(api, namespace)
        self._storage_class = storage_class
        self._node_selector = node_selector
        self._identity = str(uuid.uuid4())

    def variables(self) -> dict[str, t.Any]:
        return {
            "mariadb_namespace": self.namespace,
            "mariadb_storage_class": self._storage_class,
            "mariadb_node_selector": dict(self._node_selector),
        }

    def ask(self, statement: str, timeout: float = 30.0) -> list[str]:
        """Lines of an answer. Raises Failure where there is none, and Failed where the server refuses."""
        done = execute(self.api, self.namespace, POD, [*CLIENT, f"--execute={statement}"], CONTAINER, timeout=timeout)
        if done.rc:
            raise Failed(f"`{statement[:80]}` ended with {done.rc}: {done.stderr.strip()}")
        return done.stdout.splitlines()

    def create(self) -> None:
        self.ask("create database faults")
        self.ask("create table faults.numbers (number bigint primary key) engine=InnoDB")
        self.ask("create table faults.identity (identity varchar(40)) engine=InnoDB")
        self.ask(f"insert into faults.identity values ('{self._identity}')")  # noqa: S608

    # What the harness asks.

    def connect(self) -> MariaDB:
        return self

    def write(self, number: int) -> None:
        try:
            self.ask(f"insert into faults.numbers values ({number})", WRITE_TIMEOUT)  # noqa: S608
        except (Failure, Failed) as problem:
            raise NotWritten(str(problem)[:200]) from problem

    def close(self) -> None:
        """Every write is a client of its own."""

    def present(self) -> set[int]:
        return {int(line) for line in self.ask("select number from faults.numbers")}

    def counts(self) -> dict[str, int]:
        return {POD: int(self.ask("select count(*) from faults.numbers")[0])}

    def identities(self) -> dict[str, str]:
        return {POD: self.ask("select identity from faults.identity")[0], "recorded": self._identity}

    def end_state(self) -> t.Any:
        return objects.what_is_left(self.api, self.namespace, ())

    # What the scenario asks.

    def damage(self) -> list[str]:
        """What the server's own check says of the tables, where it is not that all is well."""
        said = self.ask("check table faults.numbers, faults.identity extended")
        return [line for line in said if not line.endswith("\tOK")] if len(said) >= 2 else ["nothing was checked"]

    def log(self) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{POD}/log"
        try:
            return self.api.connection.text(path)
        except Failure:
            return ""
