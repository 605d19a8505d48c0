# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The primary is moved, replaced and lost while it is written to, and comes back with what nobody else has."""

from __future__ import annotations

import statistics

from harness.hang import hung
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Skipped, check
from harness.waiting import until
from harness.writer import Writer
from mysql.servers import MARIADB, NAME, Problem, Servers, pod_of, with_each

# Between two writes nothing is unavailable yet (seconds).
NOTICED = 0.25
# More than a replica has to have run when the primary is lost, with a reserve (seconds).
LONG_ENOUGH = 25.0
SERVER = {MARIADB: "mariadbd"}
PYTHON = "localhost/python-pymysql:distribution"
# Another setting replaces every pod.
OTHER = {"mysqld": {"max_connections": 160}}


def switchover(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """Planned: how long nobody can write."""
    gaps = []
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        for ordinal in (1, 2, 0) if trial.options.short else (1, 2, 0) * 3:
            mark = writer.acknowledged
            given = {"app": NAME, "app_namespace": application.namespace, "to": pod_of(ordinal)}
            run = trial.play_playbook("switchover", given, proxy)
            run.expect_success(f"The switchover to {pod_of(ordinal)}")
            check(application.primary() == ordinal, f"The primary is not {pod_of(ordinal)}.")
            writer.wait_for(20, 60)
            gaps.append(max(writer.gaps(mark)))
    each = ", ".join(f"{gap:.2f}" for gap in gaps)
    trial.note(f"{flavour}: {len(gaps)} switchovers: median gap {statistics.median(gaps):.2f} s ({each})")


def restart(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """Every pod is replaced, the primary last."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        mark = writer.acknowledged
        trial.play(application, proxy, mysql_config=OTHER).expect_success("The rolling change")
        writer.wait_for(20, 60)
        gaps = writer.gaps(mark, longer_than=NOTICED)
        trial.play(application, proxy, mysql_config=OTHER).expect_success("The run after it", changed=0)
    replaced = [change.what for change in proxy.changes if change.what.startswith("DELETE pods/")]
    check(len(replaced) == 3, f"Three pods were to be replaced, and these were: {', '.join(replaced)}.")
    check(replaced[-1] == f"DELETE pods/{pod_of(0)}", f"The primary was not the last: {', '.join(replaced)}.")
    each = ", ".join(f"{gap:.2f}" for gap in gaps)
    trial.note(f"{flavour}: three pods replaced: nobody could write for {sum(gaps):.2f} s in all ({each})")


def primary_lost(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """A primary that hangs is replaced by a run. With semi-synchronous replication nothing acknowledged is lost."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        mark = writer.acknowledged
        gap = _failed_over(trial, application, proxy, flavour, writer, mark)
        trial.play(application, proxy).expect_success("The run after it", changed=0)
    check(len(application.checksums()) == 1, "The servers do not have the same rows.")
    trial.note(f"{flavour}: the primary hung and was replaced: longest gap {gap:.2f} s, semi-synchronous")


def automatic(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("an image for the autopilot, which the lab makes")
    trial.lab.run("images", "--load", "python-pymysql")
    with_each(_piloted, mysql_semi_sync=True, mysql_autopilot=True, mysql_autopilot_image=PYTHON)(trial)


def _piloted(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """The primary hangs, and nobody runs anything."""
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        until(lambda: application.record().get("waits"), 60, "The autopilot has not seen that commits wait.")
        # Of replicas that have just started nobody takes over: a MariaDB may have forgotten something.
        until(lambda: _youngest(application) > LONG_ENOUGH, 120, "The servers do not run for long.")
        mark = writer.acknowledged
        with hung(trial.api, application.namespace, [pod_of(0)], SERVER.get(flavour, "mysqld")):
            until(lambda: application.record()["primary"] != pod_of(0), 180, "Nobody took over.")
        writer.wait_for(20, 120)
        gap = max(writer.gaps(mark))
        # It may have written down what waited for a replica when it hung, which nobody was told of.
        trial.play(application, proxy, mysql_copy=[pod_of(0)]).expect_success("The run after it")
        trial.play(application, proxy).expect_success("Another one", changed=0)
    check(len(application.checksums()) == 1, "The servers do not have the same rows.")
    trial.note(f"{flavour}: the primary hung, and nobody ran anything: longest gap {gap:.2f} s, semi-synchronous")


def _youngest(application: Servers) -> float:
    """Seconds."""
    statement = "SHOW GLOBAL STATUS LIKE 'Uptime'"
    return min(float(application.ask(ordinal, statement)[0]["Value"]) for ordinal in range(application.members))


def _failed_over(trial: Trial, application: Servers, proxy: Proxy, flavour: str, writer: Writer, mark: int) -> float:
    given = {"app": NAME, "app_namespace": application.namespace}
    with hung(trial.api, application.namespace, [pod_of(0)], SERVER.get(flavour, "mysqld")):
        run = trial.play_playbook("failover", given, proxy)
        run.expect_success("The failover")
    check(application.primary() != 0, "The primary that hung is primary still.")
    writer.wait_for(20, 60)
    return max(writer.gaps(mark))


def comes_back(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """13: an old primary comes back with transactions that nobody else has."""
    # What it goes on to write reaches nobody, as if it were cut off.
    stop = "STOP REPLICA IO_THREAD" if flavour != MARIADB else "STOP SLAVE IO_THREAD"
    for ordinal in (1, 2):
        application.ask(ordinal, stop)
    application.ask(0, "INSERT INTO faults.numbers VALUES (1), (2)")
    given = {"app": NAME, "app_namespace": application.namespace}
    with hung(trial.api, application.namespace, [pod_of(0)], SERVER.get(flavour, "mysqld")):
        run = trial.play_playbook("failover", given, proxy)
    check(run.status, "The failover ends well although the old primary came back with errant transactions.")
    check(
        "that" in run.message and "has not" in run.message,
        f"It is not said what the old primary has: {run.message}",
    )
    with trial.writing(application) as writer:
        writer.wait_for(20, 60)
        before = application.ask(0, "SELECT COUNT(*) AS found FROM faults.numbers")[0]["found"]
        run = trial.play(application, proxy)
        check(run.status, "A run says nothing of the server that has errant transactions.")
        check(application.primary() != 0, "The old primary takes writes.")
        again = application.ask(0, "SELECT COUNT(*) AS found FROM faults.numbers")[0]["found"]
        check(before == again == 2, f"The data of the old primary was touched: {before} rows, then {again}.")
        trial.play(application, proxy, mysql_copy=[pod_of(0)]).expect_success("The run with mysql_copy")
        trial.play(application, proxy).expect_success("The run after it", changed=0)
    check(len(application.checksums()) == 1, "The servers do not have the same rows.")
    trial.note(f"{flavour}: the old primary came back with an errant transaction: read-only, named, copied anew")


def restarted(trial: Trial, application: Servers, proxy: Proxy, flavour: str) -> None:
    """The primary's server dies, and comes back by itself as primary; then its pod does."""
    gaps = []
    with trial.writing(application) as writer:
        for again in range(2):
            writer.wait_for(20, 60)
            mark = writer.acknowledged
            _end(trial, application, flavour, by_pod=bool(again))
            writer.wait_for(20, 90)
            gaps.append(max(writer.gaps(mark)))
            until(
                lambda: trial.play(application, proxy).recap("changed") == 0,
                60,
                "The next run has something to do.",
                Problem,
            )
    each = ", ".join(f"{gap:.2f}" for gap in gaps)
    trial.note(f"{flavour}: the primary came back by itself after its server died, and its pod: gaps {each} s")


def _end(trial: Trial, application: Servers, flavour: str, by_pod: bool) -> None:
    if by_pod:
        trial.delete_pods(application.namespace, [pod_of(0)])
    else:
        application.ask(0, "SHUTDOWN")
