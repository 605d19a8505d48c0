# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New replicas, and old ones that cannot go on: copies that break off, donors that are away, logs that are gone."""

from __future__ import annotations

import os
import signal

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from harness.hang import hung, processes
from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import Failed, check
from harness.waiting import until
from mysql.primaries import SERVER
from mysql.servers import MARIADB, NAME, Servers, pod_of

# Rows of this many bytes, so that a copy takes a while.
ROWS, BYTES = 300, 200_000


def cut_off(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """11: a copy breaks off in the middle."""
    _fill(application)
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        application.members = 2
        run = trial.start(application, proxy)
        _break_off(trial, application, flavour)
        run.wait(RUN_MAY_TAKE).expect_success("The run whose copy broke off")
        writer.wait_for(20, 60)
    rows = {
        str(application.ask(ordinal, "CHECKSUM TABLE faults.filler", seconds=60)[0]["Checksum"]) for ordinal in range(2)
    }
    check(len(rows) == 1, "The copy does not have the same rows.")
    trial.note(f"{flavour}: the copy broke off, was begun anew, and is whole")


def _fill(application: Servers) -> None:
    application.ask(0, "CREATE TABLE faults.filler (number INT PRIMARY KEY, text LONGTEXT) ENGINE=InnoDB")
    for number in range(ROWS):
        application.ask(0, f"INSERT INTO faults.filler VALUES ({number}, REPEAT(UUID(), {BYTES // 36}))")  # noqa: S608


def _break_off(trial: Trial, application: Servers, flavour: str) -> None:
    """Kill what takes the copy, while it does."""
    program = "mbstream" if flavour == MARIADB else "mysqld"
    pids = until(
        lambda: processes(trial.api, application.namespace, pod_of(1), program),
        120,
        f"No {program} takes a copy in {pod_of(1)}.",
        (Failed, Failure),
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def without_donor(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """12: the donor that would be asked first is away."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        application.members = 4
        with hung(trial.api, application.namespace, [pod_of(2)], SERVER.get(flavour, "mysqld")):
            run = trial.start(application, proxy)
            until(
                lambda: application.ask(3, "SELECT COUNT(*) AS found FROM faults.numbers"),
                240,
                f"{pod_of(3)} got no copy while {pod_of(2)} hangs.",
                (Exception,),
            )
        run.wait(RUN_MAY_TAKE).expect_success("The run")
    check(len(application.checksums()) == 1, "The servers do not have the same rows.")
    trial.note(f"{flavour}: a fourth one got its copy from another donor while {pod_of(2)} hung")


def purged(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """14: a replica was away for longer than the binary logs are kept."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        stop = "STOP SLAVE" if flavour == MARIADB else "STOP REPLICA"
        application.ask(2, stop)
        writer.wait_for(20, 60)
        application.ask(0, "FLUSH BINARY LOGS")
        writer.wait_for(5, 60)
        application.ask(0, "FLUSH BINARY LOGS")
        show = "SHOW BINARY LOGS"
        newest = application.ask(0, show)[-1]["Log_name"]
        application.ask(0, f"PURGE BINARY LOGS TO '{newest}'")
        until(
            lambda: len(application.ask(0, show)) == 1 or application.ask(0, f"PURGE BINARY LOGS TO '{newest}'"),
            30,
            "The binary logs are not purged.",
        )
        run = trial.play(application, proxy, mysql_wait_timeout=60)
        check(run.status, f"A run ends well although {pod_of(2)} can never catch up.")
        check(pod_of(2) in run.message, f"The message does not say who cannot: {run.message}")
        trial.play(application, proxy, mysql_copy=[pod_of(2)]).expect_success("The run with mysql_copy")
        trial.play(application, proxy).expect_success("The run after it", changed=0)
    check(len(application.checksums()) == 1, "The servers do not have the same rows.")
    trial.note(f"{flavour}: {NAME}-2 was away for longer than the logs are kept: named, and copied anew on request")
