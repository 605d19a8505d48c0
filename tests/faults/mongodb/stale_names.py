# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All pods come back at other addresses; then no member finds itself in its configuration any more."""

from __future__ import annotations

import contextlib
import time
import typing as t

from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Failed, check
from mongodb.replica_set import MEMBERS, NAME, Problem, ReplicaSet, pod_of

TEST_COMMANDS = ["--setParameter", "enableTestCommands=1"]
# Seconds that a run waits which cannot succeed.
SHORT = 20
REMOVED = 93
# Beyond the numbers of any writer.
MORE = 90_000_000


def stale_names(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True, mongodb_extra_args=TEST_COMMANDS)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        with trial.writing(application) as writer:
            writer.wait_for(50, 60)
            trial.delete_pods(namespace, ())
            trial.play(application, proxy).expect_success("The run after all pods came back elsewhere", changed=0)
            writer.wait_for(50, 90)
            trial.note("all pods came back at other addresses: nothing to change, the names are the same")
        # One is behind when it happens: who starts from that one loses what the others have acknowledged.
        application.make_primary(0)
        application.failpoint(2, "rsSyncApplyStop", "alwaysOn")
        _write_more(application)
        written, set_id = application.present(), application.recorded()
        _forget_themselves(application)
        application.failpoint(2, "rsSyncApplyStop", "off")
        _nothing_without_a_word(trial, application, proxy)
        run = trial.play_playbook("mongodb_repair", {**_named(application), "mongodb_repair_accept": set_id}, proxy)
        run.expect_success("The repair")
        trial.play(application, proxy).expect_success("The run after the repair")
        with trial.writing(application) as writer:
            writer.wait_for(50, 60)
        missing = written - application.present()
        check(not missing, f"{len(missing)} of {len(written)} writes are gone after the repair.")
        trial.note(
            f"every member REMOVED, one of them behind: repaired from the newest, {len(written)} writes are there"
        )


def _write_more(application: ReplicaSet) -> None:
    session = application.connect()
    try:
        for number in range(MORE, MORE + 100):
            session.write(number)
    finally:
        session.close()


def _forget_themselves(application: ReplicaSet) -> None:
    """Each member gets a configuration of its own making, with names that lead to nobody."""
    config = application.config()
    for member in config["members"]:
        member["host"] = member["host"].replace(f".{NAME}.", ".was.")
    for ordinal in range(MEMBERS):
        # It may close the connection before it answers.
        with contextlib.suppress(*Problem), application.member(ordinal) as client:
            client.admin.command("replSetReconfig", config, force=True)
    until = time.monotonic() + 60
    while not all(_is_removed(application, ordinal) for ordinal in range(MEMBERS)):
        if time.monotonic() > until:
            raise Failed("Not every member says that it is in no configuration.")
        time.sleep(0.5)


def _is_removed(application: ReplicaSet, ordinal: int) -> bool:
    try:
        with application.member(ordinal) as client:
            client.admin.command("replSetGetStatus")
    except Problem as problem:
        return getattr(problem, "code", None) == REMOVED
    return False


def _nothing_without_a_word(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    proxy.watch()
    run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
    check(run.status, "The run ends well although no member finds itself in its configuration.")
    check("mongodb_repair" in run.message, f"The message does not name the way out: {run.message}")
    told = trial.play_playbook("mongodb_repair", _named(application), proxy)
    told.expect_success("The repair that was told nothing", changed=0)
    check(pod_of(0) in told.output, "The repair does not show the members.")
    changed = [change.what for change in proxy.changes if "leases" not in change.what]
    check(not changed, f"Changes were made: {', '.join(changed)}.")


def _named(application: ReplicaSet) -> dict[str, t.Any]:
    return {"mongodb_name": NAME, "mongodb_namespace": application.namespace}
