# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three who look after a replica set: this collection, a sidecar in each pod, and a module of another collection."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import socket
import subprocess
import time
import typing as t

import rivals
import yaml
from mongodb.replica_set import NAME, ReplicaSet, pod_of

from harness.playbook import Run
from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import Failed
from side_by_side.hand_made import PORT, HandMade
from side_by_side.sidecar import Sidecars

# What is told of the last words of each.
WORDS = 200


class Way(abc.ABC):
    name: t.ClassVar[str]

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    @abc.abstractmethod
    def set_up(self, members: int) -> contextlib.AbstractContextManager[ReplicaSet]:
        """A set with so many members, which takes writes; it is looked after until the end."""

    @abc.abstractmethod
    def declare(self, members: int, seconds: int) -> None:
        """Have it looked after, with so many members. Whoever waits waits no longer than that."""

    def first(self) -> int:
        """The ordinal of the member that is asked first."""
        return 0

    @abc.abstractmethod
    def words(self) -> str:
        """The last that it said, where it did not do what it was told."""


class Ours(Way):
    name = "stateful.kube"

    @contextlib.contextmanager
    def set_up(self, members: int) -> t.Iterator[ReplicaSet]:
        with self.trial.namespace() as namespace, self.trial.proxy(ReplicaSet) as self._proxy:
            self._application = ReplicaSet(self.trial.api, namespace, persistent=True, members=members)
            self._play(RUN_MAY_TAKE).expect_success("The deployment")
            yield self._application

    def declare(self, members: int, seconds: int) -> None:
        self._application.members = members
        self._last = self._play(seconds)

    def _play(self, seconds: float) -> Run:
        return self.trial.play(self._application, self._proxy, mongodb_wait_timeout=int(seconds))

    def words(self) -> str:
        return self._last.message if self._last.status else ""

    _proxy: Proxy
    _application: ReplicaSet
    _last: Run


class Sidecar(Way):
    name = "mongo-k8s-sidecar's decisions"

    @contextlib.contextmanager
    def set_up(self, members: int) -> t.Iterator[ReplicaSet]:
        with self.trial.namespace() as namespace:
            self._application = HandMade(self.trial.api, namespace, members)
            self._application.deploy()
            # For as many as will ever be there.
            with Sidecars(self._application, members + 2) as self._sidecars:
                self._application.until_serving()
                yield self._application

    def declare(self, members: int, seconds: int) -> None:
        if members != self._application.members:
            self._application.replicas(members)
        time.sleep(seconds)

    def first(self) -> int:
        """The lowest address decides where there is no primary."""
        return self._sidecars.elected()

    def words(self) -> str:
        return "; ".join(dict.fromkeys(self._sidecars.said[-3:]))

    _application: HandMade
    _sidecars: Sidecars


class Community(Way):
    name = "community.mongodb.mongodb_replicaset"

    @contextlib.contextmanager
    def set_up(self, members: int) -> t.Iterator[ReplicaSet]:
        rivals.install(self.trial.say)
        with self.trial.namespace() as namespace:
            self._application = HandMade(self.trial.api, namespace, members)
            self._application.deploy()
            run = self._run()
            run.expect_success("The deployment")
            self._application.until_serving()
            yield self._application

    def declare(self, members: int, seconds: int) -> None:
        if members != self._application.members:
            added = range(self._application.members, members)
            self._application.replicas(members)
            self._application.until_running(added)
        self._last = self._run()
        if not self._last.status:
            # It makes one change a call, and people run their playbooks again.
            time.sleep(seconds / 4)
            self._last = self._run()

    def _run(self) -> Run:
        with self._forward() as port:
            options = {
                "login_host": "127.0.0.1",
                "login_port": port,
                "replica_set": NAME,
                "members": [self._application.host(ordinal) for ordinal in range(self._application.members)],
            }
            # It reconfigures nothing that is new, and forms nothing where it is to reconfigure.
            tasks = [
                {"name": name, "community.mongodb.mongodb_replicaset": {**options, "reconfigure": again}}
                for name, again in (("Form the replica set", False), ("Give it its members", True))
            ]
            play = [{"name": "Side by side", "hosts": "localhost", "gather_facts": False, "tasks": tasks}]
            path = self.trial.folder / "community.yml"
            path.write_text("---\n" + yaml.safe_dump(play), encoding="utf-8")
            python = rivals.VENV / "bin" / "python"
            own = dataclasses.replace(self.trial, ansible_playbook=python.with_name("ansible-playbook"))
            return own.play_playbook(str(path), {"ansible_python_interpreter": str(python)})

    @contextlib.contextmanager
    def _forward(self) -> t.Iterator[int]:
        """`kubectl port-forward` to the first member, as a user would have it in a second terminal."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = ["kubectl", "port-forward", "-n", self._application.namespace, f"pod/{pod_of(0)}", f"{port}:{PORT}"]
        quiet = subprocess.DEVNULL
        with subprocess.Popen(command, env=self.trial.environment, stdin=quiet, stdout=quiet, stderr=quiet) as process:
            try:
                until = time.monotonic() + 30
                while True:
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    if time.monotonic() > until:
                        raise Failed(f"`kubectl port-forward` to {pod_of(0)} does not open.")
                    time.sleep(0.1)
                yield port
            finally:
                process.terminate()

    def words(self) -> str:
        return self._last.message if self._last.status else ""

    _application: HandMade
    _last: Run


ALL: tuple[type[Way], ...] = (Ours, Sidecar, Community)
