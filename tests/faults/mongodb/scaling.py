# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set that grows and shrinks while it is written to, with members that hang."""

from __future__ import annotations

import itertools
import time
import typing as t

from harness.hang import hung
from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import Skipped, check
from harness.writer import Writer
from mongodb.replica_set import NAME, ReplicaSet, pod_of

PROGRAM = "mongod"
# Seconds.
HANGS = 25
SHORT = 60
# A member that is to leave is moved out of the way of elections in that time.
GAP = 15


def grows(trial: Trial) -> None:
    """1, 3, 5, 7, 9: one voter a step, and a member that hangs while it joins."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True, members=1)
        trial.play(application, proxy).expect_success("The deployment")
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            for members in (3,) if trial.options.short else (3, 5, 7, 9):
                _grow(trial, application, proxy, writer, members)
        if not trial.options.short:
            _all_the_way_down(trial, application, proxy)


def _grow(trial: Trial, application: ReplicaSet, proxy: Proxy, writer: Writer, members: int) -> None:
    before, mark = application.members, writer.acknowledged
    application.members = members
    proxy.watch()
    if members == 5 and trial.lab:
        run = trial.start(application, proxy)
        _until_running(trial, application, members - 1)
        with hung(trial.api, application.namespace, [pod_of(members - 1)], PROGRAM):
            time.sleep(HANGS)
            check(run.running, "The run ended although a member that is to join hangs.")
            writer.wait_for(100, 30)
        run.wait(RUN_MAY_TAKE)
    else:
        run = trial.play(application, proxy)
    run.expect_success(f"From {before} to {members} members")
    config = application.config()["members"]
    votes = sum(member["votes"] for member in config)
    check(len(config) == members, f"{len(config)} members are in the configuration, and {members} are declared.")
    check(votes <= 7 and votes % 2, f"{votes} members vote.")
    added = proxy.made("replSetReconfig")
    gap = max(writer.gaps(mark), default=0.0)
    trial.note(f"{before} to {members} members: {added} reconfigurations, {votes} votes, longest gap {gap:.2f} s")
    trial.play(application, proxy).expect_success(f"The run after {members} members", changed=0)


def _all_the_way_down(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    for members in (3, 1):
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            before, application.members = application.members, members
            trial.play(application, proxy).expect_success(f"From {before} to {members} members")
            writer.wait_for(20, 60)
            trial.note(f"{before} to {members} members: longest gap {max(writer.gaps(mark)):.2f} s")


def shrinks(trial: Trial) -> None:
    """5 to 3 with the primary on ordinal 4: another primary, then the members, then the pods."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        favourite = {"mongodb_member_options": [{"ordinal": 4, "priority": 10}]}
        application = ReplicaSet(trial.api, namespace, persistent=True, members=5)
        trial.play(application, proxy, **favourite).expect_success("The deployment")
        application.make_primary(4)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            application.members = 3
            proxy.watch()
            trial.play(application, proxy).expect_success("From 5 to 3 members")
            writer.wait_for(20, 60)
            gap = max(writer.gaps(mark))
        made = [change.what for change in proxy.changes if "leases" not in change.what]
        order = [what for what in made if what.startswith(("replSet", f"PATCH statefulsets/{NAME}"))]
        # A command that the new primary does not take yet is sent again.
        order = [what for what, _same in itertools.groupby(order)]
        wanted = ["replSetStepDown", "replSetReconfig", f"PATCH statefulsets/{NAME}"]
        check(order == wanted, f"The order was {', '.join(order)}.")
        check(gap < GAP, f"Nothing was acknowledged for {gap:.1f} s.")
        left = {claim["metadata"]["name"] for claim in trial.api.list("v1", "PersistentVolumeClaim", namespace)}
        check(left == {f"data-{pod_of(o)}" for o in range(5)}, f"The claims are {', '.join(sorted(left))}.")
        trial.note(f"5 to 3, the primary on ordinal 4: {', '.join(order)}; claims kept, longest gap {gap:.2f} s")
        trial.play(application, proxy).expect_success("The run after it", changed=0)


def loses_members(trial: Trial) -> None:
    """3 to 1 while one member hangs, which works, and while two hang, which must not."""
    if trial.lab is None:
        raise Skipped("it stops processes in pods, which only the lab's nodes let it; unset KUBECONFIG to run it there")
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            application.members = 1
            with hung(trial.api, namespace, [pod_of(2)], PROGRAM):
                trial.play(application, proxy).expect_success("From 3 members to 1 while one hangs")
                writer.wait_for(20, 60)
            trial.note(f"3 to 1 while shop-2 hangs: longest gap {max(writer.gaps(mark)):.2f} s")
        application.members = 3
        trial.play(application, proxy).expect_success("From 1 member to 3")
        application.make_primary(0)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            config = application.config()
            proxy.watch()
            application.members = 1
            with hung(trial.api, namespace, [pod_of(1), pod_of(2)], PROGRAM):
                run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
                check(run.status, "The run takes members out although two of three do not answer.")
                check("mongodb_repair" in run.message, f"The message does not name a way out: {run.message}")
                check("Nothing was changed" in run.message, f"The message does not say what was done: {run.message}")
            application.members = 3
            after = application.config()
            check(after["version"] == config["version"], "The configuration was changed by a run that refused.")
            changed = [change.what for change in proxy.changes if "leases" not in change.what]
            check(not changed, f"The run that refused made {', '.join(changed)}.")
            trial.note(f"3 to 1 while shop-1 and shop-2 hang: {run.message[:300]}")
            writer.wait_for(20, 60)


def _until_running(trial: Trial, application: ReplicaSet, ordinal: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        pod: t.Any = trial.api.get("v1", "Pod", pod_of(ordinal), application.namespace) or {"status": {}}
        if any("running" in status["state"] for status in pod["status"].get("containerStatuses") or ()):
            return
        time.sleep(0.2)
    check(False, f"{pod_of(ordinal)} does not start.")
