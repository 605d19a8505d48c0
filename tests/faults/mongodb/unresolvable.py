# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member's name does not resolve when the set is formed: its own, or that of a peer."""

from __future__ import annotations

import time

from harness.interruptions import BEFORE, At
from harness.names import Record
from harness.playbook import Run
from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from mongodb.replica_set import NAME, PODS, ReplicaSet

# Seconds.
TOO_SHORT = 15
WITHHELD = 12


def unresolvable(trial: Trial) -> None:
    for ordinal, whose in ((0, "its own"), (1, "a peer's")):
        with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
            application = ReplicaSet(trial.api, namespace)
            record = Record(trial.api, namespace, NAME, PODS[ordinal])
            with trial.writing(application):
                _gives_up(trial, application, proxy, record, ordinal)
                _sits_it_out(trial, application, proxy, record, ordinal)
                _full_names(application)
                _initiated_once(application)
            trial.play(application, proxy).expect_success("The third run", changed=0)
            trial.note(f"{whose} name withheld: bounded, named, initiated once")


def _gives_up(trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, ordinal: int) -> None:
    """The record stays away for longer than the run may wait."""
    run = _run_without(trial, application, proxy, record, "replSetInitiate", mongodb_wait_timeout=TOO_SHORT)
    run.wait(RUN_MAY_TAKE)
    trial.say(f"{record.name} withheld for good: {run.message[:500]}")
    check(run.status, "The run ends well although a member's name resolves nowhere.")
    check(record.name in run.message, f"The message does not name {record.name}: {run.message}")
    if ordinal == 0:
        check(not application.initialised(0), "The set was initiated although its first member does not find itself.")
    record.publish()


def _sits_it_out(trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, ordinal: int) -> None:
    """The same command, and the record comes while it waits."""
    when = "replSetReconfig" if ordinal else "replSetInitiate"
    run = _run_without(trial, application, proxy, record, when)
    heard = len(run.lines)
    time.sleep(WITHHELD)
    said = [line.strip() for line in run.lines[heard:] if record.name in line]
    check(run.running, f"The run ended while {record.name} was withheld: {run.message}")
    check(said, f"No line of progress names {record.name}: {run.tail()}")
    trial.say(f"withheld for {WITHHELD} s more: {said[-1]}")
    record.publish()
    run.wait(RUN_MAY_TAKE).expect_success("The run after the record was there")


def _run_without(
    trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, when: str, **variables: object
) -> Run:
    """Start a run; the record goes away right before it would use the name."""

    def withhold() -> bool:
        record.withhold("mongodb")
        return True

    gate = At(when, BEFORE, withhold)
    proxy.watch(gate)
    run = trial.start(application, proxy, **variables)
    gate.wait()
    return run


def _full_names(application: ReplicaSet) -> None:
    wanted = [f"{pod}.{NAME}.{application.namespace}.svc.cluster.local:27017" for pod in PODS]
    found = sorted(member["host"] for member in application.config()["members"])
    check(found == wanted, f"The configuration holds {', '.join(found)} where {', '.join(wanted)} were expected.")


def _initiated_once(application: ReplicaSet) -> None:
    with application.member(0) as client:
        found = client["local"]["oplog.rs"].count_documents({"op": "n", "o.msg": "initiating set"})
    check(found == 1, f"Pod 0 was initiated {found} times.")
