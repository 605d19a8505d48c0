# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One scenario at work: its namespaces, its writers and what they lost, its runs."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import pathlib
import random
import re
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness import ledger
from harness.application import Application
from harness.lab import Lab
from harness.ledger import Ledger
from harness.playbook import BOTH, Run
from harness.proxy import Proxy, upstream
from harness.verdict import Failed, check
from harness.writer import Writer

# Seconds.
RUN_MAY_TAKE = 400
WRITES_COME_BACK = 90
MEMBERS_AGREE = 60
# More than one writer can use.
NUMBERS = 1_000_000
NO_COMMANDS = re.compile(rb"(?!)")


@dataclasses.dataclass
class Trial:
    api: Cluster
    #: what runs of the playbook find the cluster and the collection by
    environment: dict[str, str]
    ansible_playbook: pathlib.Path
    folder: pathlib.Path
    options: argparse.Namespace
    random: random.Random
    #: the lab, where the cluster is that
    lab: t.Optional[Lab] = None
    acknowledged: int = 0
    lost: int = 0
    longest_gap: float = 0.0
    notes: list[str] = dataclasses.field(default_factory=list)
    _runs: list[Run] = dataclasses.field(default_factory=list)
    _writers: int = 0

    def say(self, text: str) -> None:
        print(f"    {time.strftime('%H:%M:%S')} {text}", flush=True)

    def note(self, text: str) -> None:
        """A fact for the results."""
        self.say(text)
        self.notes.append(text)

    # Where it happens.

    @contextlib.contextmanager
    def namespace(self) -> t.Iterator[str]:
        """A name for a namespace, which the run makes; what is in it goes away at the end."""
        name = f"faults-{self.random.getrandbits(32):08x}"
        try:
            yield name
        finally:
            self._end_runs()
            if not self.options.keep:
                self._remove(name)

    def _remove(self, namespace: str) -> None:
        with contextlib.suppress(ApiError):
            self.delete_pods(namespace, ())
        self.api.delete("v1", "Namespace", namespace)

    def delete_pods(self, namespace: str, names: t.Collection[str]) -> None:
        """Delete these pods (all where none is named) the way a machine is lost: nobody is asked to stop."""
        for pod in self.api.list("v1", "Pod", namespace):
            if not names or pod["metadata"]["name"] in names:
                path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}"
                with contextlib.suppress(ApiError):
                    self.api.connection.request("DELETE", path, body={"gracePeriodSeconds": 0})

    @contextlib.contextmanager
    def proxy(self, application: t.Optional[type[Application]] = None) -> t.Iterator[Proxy]:
        """Without an application no command in a tunnel is a change."""
        commands = application.commands if application else NO_COMMANDS
        with Proxy(upstream(self.environment["KUBECONFIG"]), self.folder, commands) as proxy:
            yield proxy

    # Runs.

    def start(self, application: Application, proxy: Proxy, **variables: t.Any) -> Run:
        """Start the playbook of the application."""
        return self.start_playbook(application.kind, {**application.variables(), **variables}, proxy)

    def start_playbook(self, name: str, variables: t.Mapping[str, t.Any], proxy: t.Optional[Proxy] = None) -> Run:
        """Start a playbook of the collection, or one by its path; without a proxy it meets the API server itself."""
        given = [word for key, value in variables.items() for word in ("-e", json.dumps({key: value}))]
        return self._start(
            [str(self.ansible_playbook), name if "/" in name else f"stateful.kube.{name}", *given], proxy
        )

    def start_task(self, module: str, options: t.Mapping[str, t.Any], proxy: t.Optional[Proxy] = None) -> Run:
        """Start a single module of the collection; its ``result`` is there once it has ended."""
        words = ["localhost", "-o", "-m", f"stateful.kube.{module}", "-a", json.dumps(options)]
        return self._start([str(self.ansible_playbook.with_name("ansible")), *words], proxy)

    def _start(self, command: t.Sequence[str], proxy: t.Optional[Proxy]) -> Run:
        own = {"KUBECONFIG": str(proxy.kubeconfig)} if proxy else {}
        run = Run(command, {**self.environment, **own}, self.folder / f"run-{len(self._runs) + 1:03d}.log")
        self._runs.append(run)
        return run

    def _end_runs(self) -> None:
        """Leave nothing behind that goes on changing the cluster."""
        for run in self._runs:
            if run.running:
                run.kill(BOTH)

    def play(self, application: Application, proxy: Proxy, **variables: t.Any) -> Run:
        """The same, to its end."""
        return self.start(application, proxy, **variables).wait(RUN_MAY_TAKE)

    def play_playbook(self, name: str, variables: t.Mapping[str, t.Any], proxy: t.Optional[Proxy] = None) -> Run:
        return self.start_playbook(name, variables, proxy).wait(RUN_MAY_TAKE)

    def task(self, module: str, options: t.Mapping[str, t.Any], proxy: t.Optional[Proxy] = None) -> Run:
        return self.start_task(module, options, proxy).wait(RUN_MAY_TAKE)

    # Writing and counting.

    @contextlib.contextmanager
    def writing(self, application: Application) -> t.Iterator[Writer]:
        """Write all the while, and count at the end: nothing that was acknowledged may be missing."""
        self._writers += 1
        record = self.folder / f"acknowledged-{self._writers:03d}.txt"
        with Ledger(record) as book:
            # No two writers use the same numbers.
            writer = Writer(application.connect, book, first=self._writers * NUMBERS + 1)
            try:
                with writer:
                    yield writer
                    writer.wait_for(5, WRITES_COME_BACK)
            except BaseException:
                # What was written is counted all the same, as far as anybody answers; the first failure is reported.
                with contextlib.suppress(Exception):
                    self._count(application, writer, record)
                raise
        self._count(application, writer, record)
        self.agree(application, writer.acknowledged)

    def _count(self, application: Application, writer: Writer, record: pathlib.Path) -> None:
        entries = ledger.read(record)
        self.acknowledged += len(entries)
        self.longest_gap = max(self.longest_gap, ledger.longest_gap(entries, writer.ended))
        missing = ledger.lost(entries, application.present())
        self.lost += len(missing)
        check(
            not missing,
            f"{len(missing)} of {len(entries)} acknowledged writes are lost in {application.namespace}, the first "
            f"number {missing[0] if missing else ''} ({record.name}).",
        )

    def agree(self, application: Application, at_least: int) -> None:
        """All members are in one set, and hold the same number of records."""
        until = time.monotonic() + MEMBERS_AGREE
        while True:
            identities, counts = application.identities(), application.counts()
            agreed = len(set(identities.values())) == 1 and len(set(counts.values())) == 1
            if agreed and min(counts.values()) >= at_least:
                return
            if time.monotonic() > until:
                raise Failed(f"The members do not agree: set ids {identities}, numbers of records {counts}.")
            time.sleep(0.3)


class Scenario(t.NamedTuple):
    title: str
    #: raises Failed
    run: t.Callable[[Trial], None]
    #: whether a few points of it are a part of `make test`
    in_short: bool = True
