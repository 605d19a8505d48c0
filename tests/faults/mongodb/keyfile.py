# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set that is written to gets another key file, by a run that is killed again and again."""

from __future__ import annotations

import base64

from harness.interruptions import AFTER, BEFORE, Kill, Point
from harness.playbook import BOTH, PLAYBOOK, WORKER
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from mongodb.replica_set import NAME, ReplicaSet

ROTATION = {"mongodb_keyfile_rotation": "2026"}
SECRET = f"PATCH secrets/{NAME}-keyfile"
# One run after the other, each killed at a change that is left then: in all three rounds.
KILLS = (
    (Point(SECRET, 1), AFTER, WORKER),
    (Point(f"PATCH statefulsets/{NAME}", 1), AFTER, BOTH),
    (Point(f"DELETE pods/{NAME}-1", 1), AFTER, PLAYBOOK),
    (Point(SECRET, 1), BEFORE, BOTH),
    (Point(SECRET, 1), AFTER, WORKER),
    (Point(SECRET, 1), BEFORE, BOTH),
)
# Seconds.
ENDS_WHEN_KILLED = 60


def keyfile_changed(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        former = _key(trial, namespace)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            for point, moment, whom in KILLS:
                _killed(trial, application, proxy, point, moment, whom)
            trial.play(application, proxy, **ROTATION).expect_success("The run that nobody killed")
            writer.wait_for(20, 60)
            gap = max(writer.gaps(mark))
            trial.note(f"another key file by runs that were killed {len(KILLS)} times: gap {gap:.2f} s")
            following = _key(trial, namespace)
            check(former not in following and following not in former, "The key file has the former key still.")
            trial.play(application, proxy, **ROTATION).expect_success("The last run", changed=0)
            trial.play(application, proxy).expect_success("The run without a rotation", changed=0)


def _key(trial: Trial, namespace: str) -> str:
    found = trial.api.get("v1", "Secret", f"{NAME}-keyfile", namespace) or {"data": {}}
    check(set(found["data"]) == {"keyfile"}, f"The Secret has the keys {', '.join(found['data'])}.")
    return base64.b64decode(found["data"]["keyfile"]).decode()


def _killed(trial: Trial, application: ReplicaSet, proxy: Proxy, point: Point, moment: str, whom: str) -> None:
    gate = Kill(point.what, moment, whom, point.nth)
    proxy.watch(gate)
    run = trial.start(application, proxy, **ROTATION)
    gate.attach(run)
    gate.wait()
    run.wait(ENDS_WHEN_KILLED)
    run.wait_for_orphans(gate.workers)
    check(run.status, f"killed {whom} {moment} {point}: the run ended well all the same.")
    proxy.watch()
    trial.say(f"killed {whom} {moment} {point}")
