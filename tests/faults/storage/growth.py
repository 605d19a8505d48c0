# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The claims of a StatefulSet grow: where they cannot, where one of them fails, and killed at every change."""

from __future__ import annotations

import collections
import itertools
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from harness.interruptions import AFTER, WAYS, Kill, Point
from harness.playbook import Run
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Skipped, check
from storage.export import BUSYBOX, wait_until

NAME = "web"
MEMBERS = 3
CLAIMS = tuple(f"data-{NAME}-{ordinal}" for ordinal in range(MEMBERS))
DRIVER = "loop.stateful-lab.local"
FAULT = f"{DRIVER}/fault"
FIXED = "fixed"
ENDS_WHEN_KILLED = 60
MEBI = 1 << 20
# What would follow another one where the StatefulSet is away.
ORPHANING = Point(f"DELETE statefulsets/{NAME}", 1)


class Untouched(t.NamedTuple):
    """What no growth may change."""

    pods: dict[str, str]
    restarts: int
    claims: dict[str, str]
    selector: t.Any
    revision: str


def growth(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("it needs the lab's storage driver, which fails when it is told to; unset KUBECONFIG")
    with trial.namespace() as namespace, trial.proxy() as proxy:
        resize = Resize(trial, namespace, proxy, trial.lab.image(BUSYBOX))
        resize.deploy()
        if not trial.options.short:
            resize.refused()
            resize.one_fails()
            resize.units()
        resize.killed()


class Resize:
    def __init__(self, trial: Trial, namespace: str, proxy: Proxy, image: str) -> None:
        self.trial = trial
        self.api: Cluster = trial.api
        self.namespace = namespace
        self.proxy = proxy
        self.image = image
        self.size = 20
        self.before = Untouched({}, 0, {}, None, "")

    def deploy(self) -> None:
        given = {"namespace": self.namespace, "create_namespace": True, "definition": objects(self.image), "wait": True}
        succeeds(self.trial.task("manifests", given), "The deployment")
        self.before = self.look()

    def look(self) -> Untouched:
        """Also fails where the StatefulSet is not there."""
        found = self.api.get("apps/v1", "StatefulSet", NAME, self.namespace)
        check(found, "There is no StatefulSet any more.")
        assert found is not None
        pods = self.api.list("v1", "Pod", self.namespace)
        claims = self.api.list("v1", "PersistentVolumeClaim", self.namespace)
        return Untouched(
            {one["metadata"]["name"]: one["metadata"]["uid"] for one in pods},
            sum(each["restartCount"] for one in pods for each in one["status"].get("containerStatuses") or ()),
            {one["metadata"]["name"]: one["metadata"]["uid"] for one in claims},
            found["spec"]["selector"],
            str(found["status"].get("currentRevision")),
        )

    def untouched(self, title: str) -> None:
        # A StatefulSet that was made again has its status a moment later.
        wait_until(lambda: self.look().revision == self.before.revision, 20, f"{title}: the revision is as before")
        after = self.look()
        for name, was, now in zip(Untouched._fields, self.before, after, strict=True):
            check(was == now, f"{title}: {name} were {was}, and are {now}.")

    def has(self, title: str, mebibytes: int) -> None:
        """All claims, and the template, have this size; nothing is left of the way there."""
        found = self.api.get("apps/v1", "StatefulSet", NAME, self.namespace) or {}
        template = found["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
        check(quantity(template) == mebibytes * MEBI, f"{title}: the template says {template}, not {mebibytes}Mi.")
        marks = [key for key in found["metadata"].get("annotations") or {} if "recreation" in key]
        secrets = [one["metadata"]["name"] for one in self.api.list("v1", "Secret", self.namespace)]
        check(not marks and not secrets, f"{title}: left behind: {marks} {secrets}.")
        for claim in CLAIMS:
            one = self.api.get("v1", "PersistentVolumeClaim", claim, self.namespace) or {}
            has = one["status"]["capacity"]["storage"]
            check(quantity(has) >= mebibytes * MEBI, f"{title}: {claim} has {has}, not {mebibytes}Mi.")

    def options(self, size: str, **more: t.Any) -> dict[str, t.Any]:
        whose = {} if "claims" in more else {"name": NAME}
        return {"namespace": self.namespace, "size": size, "wait_timeout": 60, **whose, **more}

    def run(self, size: str, **more: t.Any) -> Run:
        self.proxy.watch()
        return self.trial.task("claim_resize", self.options(size, **more), self.proxy)

    # A class that cannot, a quota that is full.

    def refused(self) -> None:
        run = self.run("64Mi", claims=[FIXED])
        self.refusal(run, "a class that cannot expand", "has no allowVolumeExpansion")
        room = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "room", "namespace": self.namespace},
            "spec": {"hard": {"requests.storage": "128Mi"}},
        }
        self.api.apply(room, manager="faults")
        wait_until(
            lambda: (self.api.get("v1", "ResourceQuota", "room", self.namespace) or {}).get("status", {}).get("used"),
            30,
            "the quota is counted",
        )
        self.refusal(self.run("64Mi"), "a quota that is full", "ResourceQuota room has no room")
        self.api.delete("v1", "ResourceQuota", "room", self.namespace)

    def refusal(self, run: Run, title: str, says: str) -> None:
        message = str(run.result.get("msg", ""))
        made = [change.what for change in self.proxy.changes]
        check(run.status and says in message, f"{title}: not refused with `{says}`, but: {message or run.tail()}")
        check(not made, f"{title}: refused, after {', '.join(made)}.")
        self.untouched(title)
        self.trial.note(f"{title}: refused before any change: {message[:160]}")

    # One of three.

    def one_fails(self) -> None:
        self.break_claim(CLAIMS[1], "expand-infeasible: the pool is full")
        run = self.run("32Mi", wait_timeout=15)
        message = str(run.result.get("msg", ""))
        check(run.status, "One of three claims cannot grow, and the task ends well.")
        missing = [word for word in (CLAIMS[1], "the pool is full", "was taken back") if word not in message]
        check(not missing, f"One of three fails, and {', '.join(missing)} is not in the message: {message}")
        self.untouched("one of three fails")
        requests = {
            claim: (self.api.get("v1", "PersistentVolumeClaim", claim, self.namespace) or {})["spec"]["resources"][
                "requests"
            ]["storage"]
            for claim in CLAIMS
        }
        check(quantity(requests[CLAIMS[1]]) < 32 * MEBI, f"The request that failed stays: {requests}")
        self.break_claim(CLAIMS[1], None)
        succeeds(self.run("32Mi"), "The same command, once the driver can")
        self.size = 32
        self.has("one of three failed", self.size)
        self.untouched("one of three failed, and was mended")
        self.trial.note(f"one of three fails: request taken back, the same command goes on later: {message[:200]}")

    def break_claim(self, claim: str, fault: t.Optional[str]) -> None:
        patch = {"metadata": {"annotations": {FAULT: fault}}}
        self.api.merge("v1", "PersistentVolumeClaim", claim, self.namespace, patch)

    # G versus Gi.

    def units(self) -> None:
        """33M are less than 32Mi; 0.03125Gi and 32768Ki are the same."""
        self.refusal(self.run("33M"), "33M where there are 32Mi", "a volume never shrinks")
        for same in ("32768Ki", "33554432"):
            result = succeeds(self.run(same), f"{same} where there are 32Mi")
            made = [change.what for change in self.proxy.changes]
            check(not result["changed"] and not made, f"{same} are 32Mi, and the run made {', '.join(made)}.")
        succeeds(self.run("34M"), "34M where there are 32Mi")
        self.size = 33  # whole mebibytes
        self.untouched("34M")
        self.trial.note("33M (less than 32Mi) refused, 32768Ki and 33554432 are no change, 34M grow")

    # Killed.

    def killed(self) -> None:
        points = self.undisturbed()
        ways = list(zip(points, itertools.cycle(WAYS)))
        if self.trial.options.short:
            ways = [(ORPHANING, (AFTER, WAYS[0][1]))]
        elif self.trial.options.thorough:
            ways = list(itertools.product(points, WAYS))
        check(ORPHANING in points, f"No StatefulSet was made again: {', '.join(map(str, points))}")
        for point, (moment, whom) in ways:
            self.killed_at(point, moment, whom)
        self.trial.note(
            f"killed {len(ways)} times, at {len({point for point, _way in ways})} of {len(points)} changes of a growth "
            f"({', '.join(map(str, points))}): the next run ended it each time, the third changed nothing; pods, "
            "restarts, claims, selector and revision stayed the same"
        )

    def undisturbed(self) -> list[Point]:
        self.size += 2
        succeeds(self.run(f"{self.size}Mi"), "The growth that nobody disturbed")
        self.has("undisturbed", self.size)
        self.untouched("undisturbed")
        seen: collections.Counter[str] = collections.Counter()
        points = []
        for change in self.proxy.changes:
            seen[change.what] += 1
            points.append(Point(change.what, seen[change.what]))
        return points

    def killed_at(self, point: Point, moment: str, whom: str) -> None:
        self.size += 2
        title = f"killed {whom} {moment} {point}"
        gate = Kill(point.what, moment, whom, point.nth)
        self.proxy.watch(gate)
        run = self.trial.start_task("claim_resize", self.options(f"{self.size}Mi"), self.proxy)
        gate.attach(run)
        gate.wait()
        run.wait(ENDS_WHEN_KILLED)
        run.wait_for_orphans(gate.workers)
        check(run.status, f"{title}: the run ended well all the same.")
        succeeds(self.run(f"{self.size}Mi"), f"{title}: the run after it")
        again = len(self.proxy.changes)
        result = succeeds(self.run(f"{self.size}Mi"), f"{title}: the third run")
        extra = [change.what for change in self.proxy.changes]
        check(not extra and not result["changed"], f"{title}: the third run had nothing to do, and made {extra}.")
        self.has(title, self.size)
        self.untouched(title)
        self.trial.say(f"{title}: the next run made {again} changes, the third none")


def succeeds(run: Run, what: str) -> dict[str, t.Any]:
    result = run.result
    check(not run.status, f"{what} failed ({run.log.name}): {result.get('msg', run.tail())}")
    return result


def objects(image: str) -> list[Object]:
    pod = {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "securityContext": {"runAsUser": 999, "fsGroup": 999},
        "containers": [
            {
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "3600"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
    }
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Mi"}}}
    labels = {"app": NAME}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": NAME},
            "spec": {
                "replicas": MEMBERS,
                "serviceName": NAME,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
                "volumeClaimTemplates": [
                    {"metadata": {"name": "data"}, "spec": {**claim, "storageClassName": "lab-loop"}}
                ],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": FIXED},
            "spec": {**claim, "storageClassName": "lab-loop-fixed"},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "other"},
            "spec": {**pod, "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": FIXED}}]},
        },
    ]
