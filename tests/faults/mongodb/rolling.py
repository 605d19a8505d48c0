# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that are replaced one by one while the set is written to, a switchover, and the loss of the primary."""

from __future__ import annotations

import statistics
import time
import typing as t

from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from harness.writer import Writer
from mongodb.replica_set import NAME, PODS, ReplicaSet, pod_of

TEST_COMMANDS = ["--setParameter", "enableTestCommands=1"]
# Seconds.
LAGS = 30
SHORT = 60
# What the server takes to notice that its primary is gone, and what the election may take after that.
ELECTION_TIMEOUT = 10
ELECTION = 2
# Between two writes nothing is unavailable yet.
NOTICED = 0.25


def changes(trial: Trial) -> None:
    """A rolling change beside a member that lags, and one that can never work."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True, mongodb_extra_args=TEST_COMMANDS)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        if not trial.options.short:
            _with_a_member_that_lags(trial, application, proxy)
        _that_never_works(trial, application, proxy)


def _with_a_member_that_lags(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        uids = _uids(trial, application)
        application.failpoint(1, "rsSyncApplyStop", "alwaysOn")
        try:
            # Before that it is no lag to speak of.
            writer.wait_for(20, 60)
            time.sleep(LAGS)
            proxy.watch()
            run = trial.start(application, proxy, mongodb_extra_args=[*TEST_COMMANDS, "--slowms", "300"])
            time.sleep(LAGS)
            check(run.running, f"The run ended although shop-1 lags: {run.message}")
            check(_uids(trial, application) == uids, "A pod was replaced while another member was behind.")
            check(not proxy.made("replSetStepDown"), "The primary stepped down while a member was behind.")
        finally:
            application.failpoint(1, "rsSyncApplyStop", "off")
        run.wait(RUN_MAY_TAKE).expect_success("The run that waited for shop-1")
        new = _uids(trial, application)
        check(not set(new.values()) & set(uids.values()), f"Not every pod was replaced: {uids}, {new}.")
        check(proxy.made("replSetStepDown") == 1, f"The primary stepped down {proxy.made('replSetStepDown')} times.")
        trial.note(f"shop-1 is behind for {LAGS} s and more: nothing is touched; then all three are replaced")


def _that_never_works(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        before = application.variables()["mongodb_extra_args"]
        trial.play(application, proxy).expect_success("The run with the flags of before")
        uids = _uids(trial, application)
        run = trial.play(application, proxy, mongodb_extra_args=[*before, "--nonsense"], mongodb_wait_timeout=SHORT)
        check(run.status, "The run ends well with a flag that mongod does not know.")
        check("nonsense" in run.message, f"The message does not say what is wrong: {run.message}")
        broken = [pod for pod, uid in _uids(trial, application).items() if uid != uids[pod]]
        check(len(broken) == 1, f"The flag that cannot work was tried on {', '.join(broken)}.")
        writer.wait_for(50, 60)
        proxy.watch()
        trial.play(application, proxy).expect_success("The run that takes the flag back")
        replaced = [change.what for change in proxy.changes if change.what.startswith("DELETE pods/")]
        check(replaced == [f"DELETE pods/{broken[0]}"], f"Taking it back replaced {', '.join(replaced)}.")
        check(not proxy.made("replSetStepDown"), "Taking it back moved the primary.")
        trial.note(f"a flag that cannot work stops at {broken[0]}, and taking it back replaces that pod alone")


def switchover(trial: Trial) -> None:
    """Planned: how long nobody can write."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        gaps = []
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            for ordinal in (1, 2, 0) if trial.options.short else (1, 2, 0) * 3:
                gaps.append(_switched(trial, application, proxy, writer, ordinal))
        each = ", ".join(f"{gap:.2f}" for gap in gaps)
        trial.note(f"{len(gaps)} switchovers: median gap {statistics.median(gaps):.2f} s ({each})")


def _switched(trial: Trial, application: ReplicaSet, proxy: Proxy, writer: Writer, ordinal: int) -> float:
    mark = writer.acknowledged
    given = {"app": NAME, "app_namespace": application.namespace, "to": pod_of(ordinal)}
    trial.play_playbook("switchover", given, proxy).expect_success(f"The switchover to {pod_of(ordinal)}")
    found = application.primary()
    check(found == ordinal, f"The primary is {pod_of(found) if found is not None else 'nobody'} then.")
    writer.wait_for(20, 60)
    return max(writer.gaps(mark))


def restart(trial: Trial) -> None:
    """Every pod is replaced: how long nobody can write, all in all."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark, uids = writer.acknowledged, _uids(trial, application)
            trial.play(application, proxy, mongodb_extra_args=["--slowms", "300"]).expect_success("The rolling change")
            writer.wait_for(20, 60)
            new = _uids(trial, application)
            check(not set(new.values()) & set(uids.values()), f"Not every pod was replaced: {uids}, {new}.")
            gaps = writer.gaps(mark, longer_than=NOTICED)
        each = ", ".join(f"{gap:.2f}" for gap in gaps)
        trial.note(f"three pods replaced: nobody could write for {sum(gaps):.2f} s in all ({each})")


def primary_lost(trial: Trial) -> None:
    """Unplanned: the primary's pod is gone from one moment to the next."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        gaps = []
        with trial.writing(application) as writer:
            for _again in range(1 if trial.options.short else 3):
                writer.wait_for(20, 60)
                mark = writer.acknowledged
                found: t.Any = application.primary()
                trial.delete_pods(namespace, [pod_of(found)])
                writer.wait_for(20, 60)
                gaps.append(max(writer.gaps(mark)))
                trial.play(application, proxy).expect_success("The run after the loss", changed=0)
        limit = ELECTION_TIMEOUT + ELECTION
        check(max(gaps) <= limit, f"Nobody could write for {max(gaps):.1f} s, and {limit} s were expected at most.")
        trial.note(f"the primary lost {len(gaps)} times: gaps {', '.join(f'{gap:.2f}' for gap in gaps)} s")


def _uids(trial: Trial, application: ReplicaSet) -> dict[str, str]:
    pods = trial.api.list("v1", "Pod", application.namespace)
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if pod["metadata"]["name"] in PODS}
