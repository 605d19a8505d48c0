# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set that shrinks while all its pods are replaced, killed at every one of the changes that this takes."""

from __future__ import annotations

import collections
import itertools
import typing as t

from harness.interruptions import WAYS, Kill, Point
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from mongodb.replica_set import NAME, ReplicaSet, pod_of

# A server that is told to end ends at once, and does not serve for the 15 s that clients may need to turn to others.
AT_ONCE = ["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"]
NEW = ["--slowms", "300"]
BEFORE, AFTER = 4, 3
# Seconds.
ENDS_WHEN_KILLED = 60


def killed_operations(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        points = _undisturbed(trial, application, proxy)
        for point, (moment, whom) in zip(points, itertools.cycle(WAYS), strict=False):
            _from_the_start(trial, application, proxy)
            with trial.writing(application) as writer:
                writer.wait_for(20, 60)
                gate = Kill(point.what, moment, whom, point.nth)
                proxy.watch(gate)
                run = _change(trial, application, proxy, wait=False)
                gate.attach(run)
                gate.wait()
                run.wait(ENDS_WHEN_KILLED)
                run.wait_for_orphans(gate.workers)
                title = f"killed {whom} {moment} {point}"
                check(run.status, f"{title}: the run ended well all the same.")
                proxy.watch()
                _change(trial, application, proxy).expect_success(f"{title}: the run after it")
                again = len(proxy.changes)
                _change(trial, application, proxy).expect_success(f"{title}: the third run", changed=0)
                _as_declared(trial, application, title)
                writer.wait_for(20, 60)
            trial.say(f"{title}: the next run made {again} changes, the third none")
        trial.note(f"killed {len(points)} times, at {len(points)} changes of a set that shrinks and gets other pods")


def _from_the_start(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    """All members with the old flags, and a primary that stays."""
    application.members = BEFORE
    trial.play(application, proxy, mongodb_extra_args=AT_ONCE).expect_success("All members with the old flags")
    application.make_primary(1)


def _change(trial: Trial, application: ReplicaSet, proxy: Proxy, wait: bool = True) -> t.Any:
    given = {"mongodb_extra_args": [*AT_ONCE, *NEW], "mongodb_members": AFTER}
    return trial.play(application, proxy, **given) if wait else trial.start(application, proxy, **given)


def _undisturbed(trial: Trial, application: ReplicaSet, proxy: Proxy) -> list[Point]:
    _from_the_start(trial, application, proxy)
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        proxy.watch()
        _change(trial, application, proxy).expect_success("The change that nobody disturbed")
        changes = [change.what for change in proxy.changes if "leases" not in change.what]
        _as_declared(trial, application, "undisturbed")
    trial.say(f"undisturbed it makes {len(changes)} changes: {', '.join(changes)}")
    seen: collections.Counter[str] = collections.Counter()
    points = []
    for what, same in itertools.groupby(changes):
        # A command that is not taken yet is sent again, and in another run more or less often.
        count = 1 if what.startswith("replSet") else len(list(same))
        for _one in range(count):
            seen[what] += 1
            if not what.startswith("replSet") or seen[what] == 1:
                points.append(Point(what, seen[what]))
    return points


def _as_declared(trial: Trial, application: ReplicaSet, title: str) -> None:
    application.members = AFTER
    hosts = [member["host"].partition(".")[0] for member in application.config()["members"]]
    expected = [pod_of(ordinal) for ordinal in range(AFTER)]
    check(sorted(hosts) == expected, f"{title}: the members are {', '.join(hosts)}.")
    found = trial.api.get("apps/v1", "StatefulSet", NAME, application.namespace) or {"spec": {}, "status": {}}
    replicas = found["spec"].get("replicas")
    check(replicas == AFTER, f"{title}: the StatefulSet has {replicas} replicas.")
    pods = trial.api.list("v1", "Pod", application.namespace)
    revisions = {pod["metadata"]["name"]: pod["metadata"]["labels"]["controller-revision-hash"] for pod in pods}
    newest = found["status"].get("updateRevision")
    check(revisions == dict.fromkeys(expected, newest), f"{title}: the newest is {newest}, and pods are {revisions}.")
    claims = trial.api.list("v1", "PersistentVolumeClaim", application.namespace)
    check(len(claims) == BEFORE, f"{title}: {len(claims)} claims are left of {BEFORE}.")
