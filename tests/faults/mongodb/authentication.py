# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set that lets anybody in, and is written to, comes to require a login, by runs that are killed again and again."""

from __future__ import annotations

import typing as t

import pymongo.errors

from harness.interruptions import AFTER, BEFORE, Kill, Point
from harness.playbook import BOTH, PLAYBOOK, WORKER
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from harness.writer import NotWritten
from mongodb.replica_set import NAME, ReplicaSet, Session, pod_of

DISABLED, TRANSITION, REQUIRED = ({"mongodb_authentication": each} for each in ("disabled", "transition", "required"))
# One run after the other, each killed at a change that is left then.
TO_TRANSITION = (
    (Point("POST secrets", 1), AFTER, WORKER),
    (Point(f"APPLY statefulsets/{NAME}", 1), BEFORE, BOTH),
    (Point(f"APPLY statefulsets/{NAME}", 1), AFTER, PLAYBOOK),
    (Point("createUser", 1), AFTER, WORKER),
    (Point(f"DELETE pods/{NAME}-2", 1), AFTER, BOTH),
    (Point("replSetStepDown", 1), AFTER, WORKER),
)
TO_REQUIRED = (
    (Point(f"APPLY statefulsets/{NAME}", 1), AFTER, WORKER),
    (Point(f"DELETE pods/{NAME}-0", 1), AFTER, BOTH),
    (Point("replSetStepDown", 1), BEFORE, PLAYBOOK),
)
# Seconds.
ENDS_WHEN_KILLED = 60
UNAUTHORIZED = 13


class Changing(ReplicaSet):
    """Its writer logs in from the moment that it is told to."""

    logs_in = False

    def connect(self) -> Session:
        session = super().connect()
        session.__class__ = _Changing
        t.cast("_Changing", session).application = self
        t.cast("_Changing", session).logged_in = self.logs_in
        return session

    def _login(self) -> dict[str, str]:
        return super()._login() if self.logs_in else {}


class _Changing(Session):
    application: Changing
    logged_in: bool

    def write(self, number: int) -> None:
        if self.logged_in != self.application.logs_in:
            raise NotWritten("it has to log in from now on")
        super().write(number)


def authenticated(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(Changing) as proxy:
        application = Changing(trial.api, namespace, persistent=True)
        trial.play(application, proxy, **DISABLED).expect_success("The deployment")
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            pods = application.restarts()
            run = trial.play(application, proxy, **REQUIRED)
            check(run.status and "declare transition first" in run.message, "A login was required of all at once.")
            check(application.restarts() == pods, "A pod was replaced by a run that refused.")
            for point, moment, whom in TO_TRANSITION:
                _killed(trial, application, proxy, TRANSITION, (point, moment, whom))
            trial.play(application, proxy, **TRANSITION).expect_success("The run that nobody killed")
            _all_run_with(application, transition=True)
            trial.play(application, proxy, **TRANSITION).expect_success("The next run", changed=0)
            application.logs_in = True
            writer.wait_for(20, 60)
            for point, moment, whom in TO_REQUIRED:
                _killed(trial, application, proxy, REQUIRED, (point, moment, whom))
            trial.play(application, proxy, **REQUIRED).expect_success("The second run that nobody killed")
            _all_run_with(application, transition=False)
            writer.wait_for(20, 60)
            killed = len(TO_TRANSITION) + len(TO_REQUIRED)
            gap = max(writer.gaps(mark))
            trial.note(f"from no authentication to a required one, killed {killed} times: gap {gap:.2f} s")
            trial.play(application, proxy, **REQUIRED).expect_success("The last run", changed=0)


def _killed(
    trial: Trial,
    application: ReplicaSet,
    proxy: Proxy,
    variables: dict[str, str],
    kill: tuple[Point, str, str],
) -> None:
    point, moment, whom = kill
    gate = Kill(point.what, moment, whom, point.nth)
    proxy.watch(gate)
    run = trial.start(application, proxy, **variables)
    gate.attach(run)
    gate.wait()
    run.wait(ENDS_WHEN_KILLED)
    run.wait_for_orphans(gate.workers)
    check(run.status, f"killed {whom} {moment} {point}: the run ended well all the same.")
    proxy.watch()
    trial.say(f"killed {whom} {moment} {point}")


def _all_run_with(application: Changing, transition: bool) -> None:
    for ordinal in range(application.members):
        with application.member(ordinal) as client:
            found = client.admin.command("getCmdLineOpts")["parsed"]["security"]
        check(bool(found.get("transitionToAuth")) == transition, f"{pod_of(ordinal)} runs with {found}.")
        with application.member(ordinal, login=False) as client:
            try:
                client.admin.command("replSetGetConfig")
                let_in = True
            except pymongo.errors.OperationFailure as error:
                check(error.code == UNAUTHORIZED, f"{pod_of(ordinal)}: {error}")
                let_in = False
        check(let_in == transition, f"{pod_of(ordinal)} lets {'anybody' if let_in else 'nobody'} in without a login.")
