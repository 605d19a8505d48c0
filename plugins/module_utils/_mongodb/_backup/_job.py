# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A backup by the cluster itself, now: a Job made from the CronJob, and followed until it has ended."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import OPLOG
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import ended
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, Task

Object = t.Mapping[str, t.Any]

SAY_EVERY = 5.0
LOOK_EVERY = 1.0
LINES = 20
# Characters of what one pod left.
LONGEST = 1000
CONTAINER = "backup"


@dataclasses.dataclass(frozen=True)
class Wish:
    name: str
    namespace: str
    kind: str

    @property
    def cron_job(self) -> str:
        return f"{self.name}-backup" + ("-oplog" if self.kind == OPLOG else "")


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """Read and check the options. Raises Failure that names the one."""
    others = [name for name in ("dest", "s3", "keep", "read_from", "verify") if params[name]]
    if others:
        raise Failure(
            f"in_cluster: expected no {', '.join(others)} beside it, because the CronJob says where to and how (role "
            "variables mongodb_backup_*). Leave them out."
        )
    return Wish(params["name"], params["namespace"] or "", params["mode"])


@dataclasses.dataclass(frozen=True)
class Around:
    cron_job: t.Optional[Object]
    #: names of its Jobs that have not ended
    going: tuple[str, ...] = ()
    #: whether this run has seen one through
    finished: bool = False


def place_of(cron_job: Object) -> str:
    """Where it writes, for people."""
    spec = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    claims = [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one]
    return f"the claim {claims[0]}" if claims else "a bucket of S3"


def plan(wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    if around.finished:
        return Plan()
    if around.cron_job is None:
        return Refusal(
            f"There is no CronJob {wish.cron_job} in namespace {wish.namespace}, so the cluster does not know how to "
            f"back {wish.name} up.",
            choices=(
                "let the role make one (mongodb_backup_schedule, mongodb_backup_oplog_schedule)",
                "back up to this host (dest) or from it to a bucket (s3)",
            ),
        )
    where = place_of(around.cron_job)
    steps = []
    if around.going:
        # It may have read its last entry already, and what was written since would be in no backup.
        job = around.going[0]
        steps.append(Step("follow", job, f"wait for Job {job}, which is backing up to {where} already"))
    steps.append(Step("start", wish.cron_job, f"start a Job of CronJob {wish.cron_job}, which backs up to {where}"))
    return Plan(tuple(steps))


def job_of(cron_job: Object, name: str) -> dict[str, t.Any]:
    """As ``kubectl create job --from`` makes it. Pure."""
    template, metadata = cron_job["spec"]["jobTemplate"], cron_job["metadata"]
    told = template.get("metadata") or {}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": told.get("labels") or {},
            "annotations": {**(told.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
            # The CronJob counts it, notes its success, and removes it in time.
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


class InCluster(Operation[Around]):
    """Takes no Lease: it changes nothing in the set."""

    def __init__(self, cluster: Cluster, wish: Wish, task: Task, wait_timeout: float) -> None:
        self.title = f"{wish.namespace}/{wish.name}"
        self.wait_timeout = wait_timeout
        self._cluster = cluster
        self._wish = wish
        self._task = task
        self._job = ""
        self._said: list[str] = []
        self._finished = False

    def observe(self) -> Around:
        wish = self._wish
        cron_job = self._cluster.get("batch/v1", "CronJob", wish.cron_job, wish.namespace)
        if cron_job is None or self._finished:
            return Around(cron_job, finished=self._finished)
        going = [
            str(one["metadata"]["name"])
            for one in self._cluster.list("batch/v1", "Job", wish.namespace)
            if not ended(one)
            and any(
                owner["uid"] == cron_job["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences") or ()
            )
        ]
        return Around(cron_job, tuple(sorted(going)))

    def plan(self, observed: Around) -> t.Union[Plan, Refusal]:
        return plan(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Around) -> None:
        for step in steps:
            if observed.cron_job is None:
                raise AssertionError("a step has its CronJob")
            if step.action == "start":
                # Names of Jobs have 63 characters; that of a CronJob leaves eleven for this.
                name = f"{observed.cron_job['metadata']['name']}-{int(time.time())}"
                self._cluster.create(job_of(observed.cron_job, name))
                self._follow(name)
                self._finished = True
            else:
                self._follow(step.target)

    def _follow(self, name: str) -> None:
        self._job = name
        selector, namespace = f"job-name={name}", self._wish.namespace
        begun = said = time.monotonic()
        while True:
            job = self._cluster.get("batch/v1", "Job", name, namespace)
            if job is None:
                raise Failure(f"{self.title}: Job {name} was deleted while it backed up. Run it again.")
            pods = self._cluster.list("v1", "Pod", namespace, labels=selector)
            pods.sort(key=lambda one: str(one["metadata"]["creationTimestamp"]))
            lines = (
                self._cluster.log_tail(namespace, pods[-1]["metadata"]["name"], CONTAINER, lines=LINES) if pods else []
            )
            new, self._said = lines[-1:] != self._said[-1:], lines or self._said
            how = ended(job)
            if new and lines and not how:
                self._task.progress(f"{self.title}: {lines[-1]}")
                said = time.monotonic()
            if how == "Complete":
                return
            if how:
                told = "; ".join(filter(None, (_told(pod) for pod in pods))) or "its pods left no word"
                raise Failure(
                    f"{self.title}: Job {name} failed, and the cluster has made no backup: {told}. Correct that and "
                    "run it again."
                )
            if not lines:
                self._require_hope(name, selector, time.monotonic() - begun)
            if self._task.abandoned():
                raise Failure(
                    f"{self.title}: stopped, because the process that started this run is gone. Job {name} goes on in "
                    "the cluster, and the same command follows it."
                )
            if time.monotonic() - said > SAY_EVERY:
                said = time.monotonic()
                self._task.progress(f"{self.title}: Job {name} goes on")
            time.sleep(LOOK_EVERY)

    def _require_hope(self, name: str, selector: str, waited: float) -> None:
        if waited > self.wait_timeout:
            blocked = diagnose(self._cluster, self._wish.namespace, selector, owners=(name,))
            raise Failure(
                f"{self.title}: Job {name} has not begun to back up after {waited:.0f} s (wait_timeout is "
                f"{self.wait_timeout:.0f} s): {'; '.join(blocked) or 'it has no pod'}. It is left as it is, and the "
                "same command follows it."
            )

    def facts(self, observed: Around) -> dict[str, t.Any]:
        where = place_of(observed.cron_job) if observed.cron_job else ""
        return {
            "path": where,
            "backup": None,
            "verification": None,
            "backups": [],
            "job": self._job,
            "said": self._said,
        }


def _told(pod: Object) -> str:
    """What the program left as the reason why it ended."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        found = ((one.get("state") or {}).get("terminated") or {}).get("message")
        if found:
            # Of a program that broke off it is the end of its log.
            return f"{pod['metadata']['name']}: {' '.join(str(found).split()).rstrip('.')[-LONGEST:]}"
    return ""
