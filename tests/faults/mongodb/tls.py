# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set that is written to gets TLS, by a run that is killed again and again, and then other certificates."""

from __future__ import annotations

from harness.interruptions import AFTER, BEFORE, Kill, Point
from harness.playbook import BOTH, PLAYBOOK, WORKER
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from mongodb.replica_set import NAME, ReplicaSet, pod_of

REQUIRED = {"mongodb_tls_mode": "requireTLS"}
# One run after the other, each killed at a change that is left then.
KILLS = (
    (Point("POST secrets", 1), AFTER, WORKER),
    (Point("POST secrets", 1), BEFORE, BOTH),
    (Point("APPLY statefulsets/shop", 1), AFTER, PLAYBOOK),
    (Point(f"DELETE pods/{NAME}-2", 1), AFTER, BOTH),
    (Point(f"PATCH secrets/{NAME}-tls", 1), BEFORE, WORKER),
    (Point(f"PATCH secrets/{NAME}-tls", 1), AFTER, BOTH),
    (Point(f"PATCH secrets/{NAME}-tls", 1), AFTER, PLAYBOOK),
)
# Seconds.
ENDS_WHEN_KILLED = 60


def tls_raised(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            for point, moment, whom in KILLS:
                _killed(trial, application, proxy, point, moment, whom)
            trial.play(application, proxy, **REQUIRED).expect_success("The run that nobody killed")
            _required(application)
            writer.wait_for(20, 60)
            gap = max(writer.gaps(mark))
            trial.note(f"raised from disabled to requireTLS, killed {len(KILLS)} times: gap {gap:.2f} s")
            mark = writer.acknowledged
            _other_certificates(trial, application, proxy)
            writer.wait_for(20, 60)
            trial.note(f"another certificate and another authority: gap {max(writer.gaps(mark)):.2f} s")
            trial.play(application, proxy, **REQUIRED, mongodb_tls_extra_names=["db.example.com"]).expect_success(
                "The last run", changed=0
            )


def _killed(trial: Trial, application: ReplicaSet, proxy: Proxy, point: Point, moment: str, whom: str) -> None:
    gate = Kill(point.what, moment, whom, point.nth)
    proxy.watch(gate)
    run = trial.start(application, proxy, **REQUIRED)
    gate.attach(run)
    gate.wait()
    run.wait(ENDS_WHEN_KILLED)
    run.wait_for_orphans(gate.workers)
    check(run.status, f"killed {whom} {moment} {point}: the run ended well all the same.")
    proxy.watch()
    trial.say(f"killed {whom} {moment} {point}")


def _required(application: ReplicaSet) -> None:
    for ordinal in range(application.members):
        with application.member(ordinal) as client:
            mode = client.admin.command({"getParameter": 1, "tlsMode": 1})["tlsMode"]
        check(mode == "requireTLS", f"{pod_of(ordinal)} has tlsMode {mode}.")
        check(not application.answers_plainly(ordinal), f"{pod_of(ordinal)} takes a connection without TLS.")


def _other_certificates(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    pods = application.restarts()
    before = application.certificates()
    names = {"mongodb_tls_extra_names": ["db.example.com"]}
    trial.play(application, proxy, **REQUIRED, **names).expect_success("The run with another name", changed=1)
    after = application.certificates()
    check(not set(before) & set(after), "A member shows the former certificate.")
    trial.api.delete("v1", "Secret", f"{NAME}-ca", application.namespace)
    trial.play(application, proxy, **REQUIRED, **names).expect_success("The run without its authority")
    check(not set(after) & set(application.certificates()), "A member shows the certificate of the former authority.")
    check(application.restarts() == pods, "A pod was replaced or restarted for a certificate.")
