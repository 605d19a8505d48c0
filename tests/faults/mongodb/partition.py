# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The primary reaches nobody, and can still be asked: two members may say that they are primary."""

from __future__ import annotations

import time
import typing as t

from harness.cut import cut_off
from harness.playbook import Run
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from mongodb.replica_set import ReplicaSet, pod_of

# Seconds that a run waits which cannot succeed.
SHORT = 20
# Seconds for which the two sides are apart at least.
APART = 60


def partition(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        before = application.config()
        with trial.writing(application) as writer:
            writer.wait_for(50, 60)
            mark = writer.acknowledged
            since = time.monotonic()
            with cut_off(trial.api, namespace, pod_of(0), "mongod"):
                # At first the one that is cut off does not know it yet, and all may look well.
                _changes_nothing(trial, application, proxy)
                writer.wait_for(50, 90)
                run = _changes_nothing(trial, application, proxy)
                check(run.status, "The run ends well although a member is cut off.")
                check(pod_of(0) in run.message, f"The message does not name who is cut off: {run.message}")
                check(application.primary() != 0, "The one that is cut off is still primary.")
                time.sleep(max(0.0, APART - (time.monotonic() - since)))
            gap = max(writer.gaps(mark))
            trial.play(application, proxy).expect_success("The run after they met again", changed=0)
            writer.wait_for(50, 60)
        after = application.config()
        check(_members(after) == _members(before), "The members are others than before.")
        check(
            after["version"] == before["version"], f"The configuration changed: {before['version']}, {after['version']}"
        )
        trial.note(f"the primary was cut off for {APART} s: two runs changed nothing, longest gap {gap:.2f} s")


def _changes_nothing(trial: Trial, application: ReplicaSet, proxy: Proxy) -> Run:
    proxy.watch()
    run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
    changed = [change.what for change in proxy.changes if "leases" not in change.what]
    check(not changed, f"The run made changes: {', '.join(changed)}.")
    return run


def _members(config: t.Mapping[str, t.Any]) -> list[tuple[str, int]]:
    return [(member["host"], member["votes"]) for member in config["members"]]
