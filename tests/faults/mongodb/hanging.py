# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that hangs is started again, one that does not serve gets no clients, and one that serves is left alone."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness.hang import hung
from harness.trial import Trial
from harness.verdict import Skipped, check
from harness.waiting import until
from mongodb.replica_set import PODS, ReplicaSet

# Seconds. The probe that ends a server is patient: a minute, and half of one to end.
MAY_TAKE = 240


def hangs(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("it stops processes in pods, which only the lab's nodes let it; unset KUBECONFIG to run it there")
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        before = application.restarts()
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            begun = time.monotonic()
            with hung(trial.api, namespace, [PODS[1]], "mongod"):
                until(lambda: PODS[1] not in _ready(trial.api, namespace), MAY_TAKE, f"{PODS[1]} hangs, and is ready.")
                until(
                    lambda: application.restarts()[PODS[1]][1] > before[PODS[1]][1],
                    MAY_TAKE,
                    f"{PODS[1]} is not started again.",
                )
                trial.note(f"{PODS[1]} hung, and was started again after {time.monotonic() - begun:.0f} s")
            until(lambda: _ready(trial.api, namespace) == set(PODS), MAY_TAKE, f"{PODS[1]} does not come back.")
            writer.wait_for(20, 60)
            trial.note(f"longest gap meanwhile {max(writer.gaps(mark)):.2f} s")
            with application.member(2) as client:
                client.admin.command("replSetMaintenance", True)
                until(
                    lambda: PODS[2] not in _ready(trial.api, namespace),
                    MAY_TAKE,
                    f"{PODS[2]} is RECOVERING, and is ready.",
                )
                client.admin.command("replSetMaintenance", False)
            until(lambda: _ready(trial.api, namespace) == set(PODS), MAY_TAKE, f"{PODS[2]} does not get ready again.")
        after = application.restarts()
        check(
            after[PODS[1]] == (before[PODS[1]][0], before[PODS[1]][1] + 1), f"{PODS[1]} was {before}, and is {after}."
        )
        for pod in (PODS[0], PODS[2]):
            check(after[pod] == before[pod], f"{pod} was restarted, and did not hang.")
        trial.play(application, proxy).expect_success("The run after it", changed=0)


def _ready(api: Cluster, namespace: str) -> set[str]:
    found = set()
    for pod in api.list("v1", "Pod", namespace):
        conditions: list[t.Any] = pod["status"].get("conditions") or []
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            found.add(pod["metadata"]["name"])
    return found
