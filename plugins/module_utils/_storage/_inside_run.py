# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Has short-lived pods look into volumes that were used, or empty one. Everything that they need goes again."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._storage import _inside_script as script
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import Inside, judge, next_user
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_objects import (
    APPLICATION,
    Run,
    anchor,
    claim,
    pod,
    second_volume,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_script import read, shell
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import (
    SCRATCH,
    VOLUME,
    Object,
    Pods,
    selector,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_pods import (
    PATIENCE,
    ProbePods,
    remove,
    remove_all,
)

VOLUMES = ("v1", "PersistentVolume")
# Who looks first. Most images of databases have this number, and it is told whose the files are in any case.
FIRST_USER = (999, 999)
# Volumes that are looked into at once.
AT_ONCE = 8
# Seconds after which pods and claims end by themselves, on top of what the waits may take.
_MARGIN = 120
# Seconds between looks at a claim, which gets its volume within a moment.
_BINDS = 0.1


@dataclasses.dataclass(frozen=True)
class Where:
    """In which namespace the pods run, and as what."""

    namespace: str
    pods: Pods
    wait_timeout: float


class Inspector:
    """Looks into volumes, and empties them, under a Lease that the caller may hold already."""

    def __init__(self, cluster: Cluster, task: Task, where: Where) -> None:
        self.cluster = cluster
        self.task = task
        self.where = where
        self.title = f"inside volumes, from namespace {where.namespace}"
        self.lock = Lease(cluster, where.namespace, APPLICATION)

    def look(self, volumes: t.Sequence[tuple[Object, str]]) -> dict[str, Inside]:
        """What is inside each of these volumes, given with their kinds, by their names."""
        found: dict[str, Inside] = {}
        with self._alone():
            for start in range(0, len(volumes), AT_ONCE):
                some = volumes[start : start + AT_ONCE]
                with self._session(3 * len(some)) as session:
                    found.update(session.look(some))
        return found

    def wipe(self, live: Object, kind: str, users: t.Sequence[tuple[int, int]]) -> None:
        """Remove all that is in a volume. The caller holds the lock. Raises Failure where something is left."""
        with self._session(len(users) + 1) as session:
            session.wipe(live, kind, users, self.lock.check)

    @contextlib.contextmanager
    def _alone(self) -> t.Iterator[None]:
        if self.lock.held:
            yield
            return
        self._require_namespace()
        self.lock.acquire(self.task, self.title, self.where.wait_timeout)
        try:
            yield
        finally:
            self.lock.release()

    @contextlib.contextmanager
    def _session(self, waits: int) -> t.Iterator[_Session]:
        """A run of its own; whoever begins one clears away what killed runs left. Needs the lock."""
        namespace, timeout = self.where.namespace, self.where.wait_timeout
        ours = selector(APPLICATION)
        for one in self.cluster.list(*VOLUMES, labels=ours):
            # With the lock held, nobody else of this namespace is at work.
            if one["spec"]["claimRef"]["namespace"] == namespace:
                self.cluster.delete(*VOLUMES, one["metadata"]["name"])
        for one in self.cluster.list("batch/v1", "Job", namespace, labels=ours):
            name = one["metadata"]["name"]
            self.task.warn(f"{self.title}: removed what a run that was killed left: {name}.")
            remove(self.cluster, namespace, APPLICATION, name, timeout)
        run = Run(
            f"{APPLICATION}-{secrets.token_hex(3)}", namespace, int((waits + 1) * timeout) + _MARGIN, self.where.pods
        )
        pods = ProbePods(self.cluster, self.task, self.title, namespace, run.selector, self.where.pods.image, timeout)
        session = _Session(pods, run, self.where)
        try:
            session.owner = self.cluster.create(anchor(run))
            yield session
        finally:
            pods.close()
            session.close()

    def _require_namespace(self) -> None:
        with contextlib.suppress(ApiError):  # an account confined to its namespace may not read it
            if self.cluster.get("v1", "Namespace", self.where.namespace) is None:
                raise Failure(
                    f"namespace: {self.where.namespace} does not exist in the cluster, and the pods that look inside "
                    "volumes run there. Correct the name, or create it first."
                )


class _Session:
    """The volumes, claims and pods of one run."""

    owner: Object

    def __init__(self, pods: ProbePods, run: Run, where: Where) -> None:
        self.pods = pods
        self.cluster = pods.cluster
        self.run = run
        self.where = where
        self._volumes: list[str] = []

    def look(self, volumes: t.Sequence[tuple[Object, str]]) -> t.Iterator[tuple[str, Inside]]:
        names = [one["metadata"]["name"] for one, _kind in volumes]
        self.pods.say(f"look inside {', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}")
        claims = [self._claim(number, *volume, read_only=True) for number, volume in enumerate(volumes)]
        for of in claims:
            self._await_bound(of)
        started = [self.pods.start(pod(self.run, self.owner, of, "a", FIRST_USER, True)) for of in claims]
        for index, name in enumerate(names):
            yield name, self._look(claims[index], started[index])

    def _look(self, of: str, first: str) -> Inside:
        problem = self.pods.await_ready(first)
        if problem:
            return Inside(problem=problem)
        looked = self._run(first, script.LOOK, VOLUME)
        reader, name = next_user(read(looked)), first
        tried = {FIRST_USER[0]}
        refused = ""
        # The owner of the top folder, then the one of a folder or file inside.
        while reader and reader[0] not in tried:
            tried.add(reader[0])
            other, refused = self.pods.start_if_admitted(pod(self.run, self.owner, of, f"u{reader[0]}", reader, True))
            if refused or self.pods.await_ready(other):
                break
            looked, name = self._run(other, script.LOOK, VOLUME), other
            reader = next_user(read(looked))
        found = judge(looked, self._run(name, script.COUNT, VOLUME, SCRATCH))
        if refused and found.problem:
            why = f"{found.problem}, and admission lets no pod run as root in {self.run.namespace} ({refused})"
            found = dataclasses.replace(found, problem=why)
        return found

    def wipe(self, live: Object, kind: str, users: t.Sequence[tuple[int, int]], check: t.Callable[[], None]) -> None:
        name = live["metadata"]["name"]
        of = self._claim(0, live, kind, read_only=False)
        self._await_bound(of)
        said: dict[str, str] = {}
        refused = ""
        # Whoever has the folder may empty it, but not folders of others below it; root may, where it is root.
        for who in dict.fromkeys((*users, (0, 0))):
            worker, refused = self.pods.start_if_admitted(pod(self.run, self.owner, of, f"w{who[0]}", who, False))
            if refused or self.pods.await_ready(worker):
                continue
            # Another run may hold the lock by now, if this one stood still; it may have given the volume away.
            check()
            self.pods.say(f"remove everything in {name}")
            said = read(self._run(worker, script.WIPE, VOLUME))
            if said.get("left") == "0":
                return
        left = said.get("left")
        why = f"{left} of its files and folders are left ({said.get('said')})" if left else "no pod was done in time"
        root = f"; admission lets no pod run as root in {self.run.namespace} ({refused})" if refused else ""
        raise Failure(
            f"wipe: PersistentVolume {name} is not empty yet: {why}{root}. It stays Released. The same command goes "
            "on from here: raise wait_timeout where it was only slow, or choose a namespace that lets root in."
        )

    def _claim(self, number: int, live: Object, kind: str, *, read_only: bool) -> str:
        """The name of a claim on a second volume of this one's folder."""
        name = f"{self.run.name}-{number}"
        self._volumes.append(name)
        self.cluster.create(second_volume(self.run, name, live, kind, read_only))
        self.cluster.create(claim(self.run, name, self.owner))
        return name

    def _await_bound(self, of: str) -> None:
        """Wait until a claim has its volume: the scheduler would look again late at a pod that comes earlier."""
        deadline = time.monotonic() + self.where.wait_timeout
        while True:
            self.pods.require_parent()
            found = self.cluster.get("v1", "PersistentVolumeClaim", of, self.run.namespace)
            if found is None:
                raise self.pods.deleted(f"claim {of}")
            if (found.get("status") or {}).get("phase") == "Bound":
                break
            if time.monotonic() > deadline:
                raise Failure(
                    f"{self.pods.title}: claim {of} did not get its volume within {self.where.wait_timeout:.0f} s. "
                    "Look whether the controllers of the cluster run, and run it again."
                )
            time.sleep(_BINDS)
        # From here on the volume goes with its claim, also when this run is killed.
        self.cluster.delete(*VOLUMES, of)

    def _run(self, name: str, program: str, *arguments: object) -> str:
        return self.pods.execute(name, shell(program, *arguments), max(PATIENCE, self.where.wait_timeout))

    def close(self) -> None:
        with contextlib.suppress(Failure):
            for name in self._volumes:
                self.cluster.delete(*VOLUMES, name)
        remove_all(self.pods, self.run.name, self.run.deadline, self.where.wait_timeout, APPLICATION)
