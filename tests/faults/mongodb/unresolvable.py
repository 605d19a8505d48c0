# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A member's name does not resolve when the set is formed: its own, or that of a peer."""

from __future__ import annotations

import time
import typing as t

from harness.interruptions import BEFORE, At, Kill
from harness.names import Record
from harness.playbook import BOTH, Run
from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from mongodb.replica_set import NAME, PODS, ReplicaSet

# Seconds.
TOO_SHORT = 15
WITHHELD = 12
ENDS_WHEN_KILLED = 60


class Case(t.NamedTuple):
    """Whose name is withheld right before the set is initiated, from whom, and for how long."""

    title: str
    ordinal: int
    #: in its own pod too: the kubelet's line in /etc/hosts makes it resolve there otherwise
    everywhere: bool
    #: for longer than the run may wait
    too_long: bool


CASES = (
    Case("a peer's name, for too long", 1, True, True),
    Case("a peer's name, for a while", 1, True, False),
    Case("the first member's name, for too long", 0, True, True),
    Case("the first member's name, for a while", 0, True, False),
    Case("the first member's name, from its peers only, for a while", 0, False, False),
)


def unresolvable(trial: Trial) -> None:
    for case in CASES[:1] if trial.options.short else CASES:
        trial.say(f"withheld: {case.title}")
        with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
            application = ReplicaSet(trial.api, namespace)
            record = Record(trial.api, namespace, NAME, PODS[case.ordinal], case.everywhere)
            with trial.writing(application):
                (_gives_up if case.too_long else _sits_it_out)(trial, application, proxy, record, case)
                _full_names(application)
                check(application.initiations() == 1, f"Pod 0 was initiated {application.initiations()} times.")
            proxy.watch()
            trial.play(application, proxy).expect_success("The last run")
            made = {change.what for change in proxy.changes}
            # The Service was changed by this scenario, and is put right if no run has done it yet.
            check(made <= {f"APPLY services/{NAME}"}, f"The last run had nothing to do, and sent {', '.join(made)}.")
            trial.note(f"{case.title}: named, initiated once, full names only")


def _gives_up(trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, case: Case) -> None:
    _start_pods(trial, application, proxy)
    run = _run_without(trial, application, proxy, record, mongodb_wait_timeout=TOO_SHORT)
    run.wait(RUN_MAY_TAKE)
    trial.say(f"the run says: {run.message[:700]}")
    check(run.status, "The run ends well although a member's name does not resolve.")
    check(record.name in run.message, f"The message does not name {record.name}: {run.message}")
    initiated = application.initialised(0)
    check(initiated == (case.ordinal > 0), "Pod 0 was initiated without its name, or was not with it.")
    record.publish()
    trial.play(application, proxy).expect_success("The same command, once the record is there,")


def _sits_it_out(trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, _case: Case) -> None:
    run = _run_without(trial, application, proxy, record)
    heard = len(run.lines)
    time.sleep(WITHHELD)
    said = [line.strip() for line in run.lines[heard:] if record.name in line]
    check(run.running, f"The run ended while {record.name} was withheld: {run.message}")
    check(said, f"No line of progress names {record.name}: {run.tail()}")
    trial.say(f"the run says: {said[-1][:500]}")
    record.publish()
    run.wait(RUN_MAY_TAKE).expect_success("The run that waited for the record")


def _start_pods(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    """All that comes before the set is initiated: a run of little patience is not to wait for pods that start."""
    gate = Kill("replSetInitiate", BEFORE, BOTH)
    proxy.watch(gate)
    run = trial.start(application, proxy)
    gate.attach(run)
    gate.wait()
    run.wait(ENDS_WHEN_KILLED)
    run.wait_for_orphans(gate.workers)


def _run_without(trial: Trial, application: ReplicaSet, proxy: Proxy, record: Record, **variables: object) -> Run:
    """Start a run; the record goes away right before the set is initiated."""

    def withhold() -> bool:
        record.withhold("mongodb")
        return True

    gate = At("replSetInitiate", BEFORE, withhold)
    proxy.watch(gate)
    run = trial.start(application, proxy, **variables)
    gate.wait()
    return run


def _full_names(application: ReplicaSet) -> None:
    wanted = [f"{pod}.{NAME}.{application.namespace}.svc.cluster.local:27017" for pod in PODS]
    found = sorted(member["host"] for member in application.config()["members"])
    check(found == wanted, f"The configuration holds {', '.join(found)} where {', '.join(wanted)} were expected.")
