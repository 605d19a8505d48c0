# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration of addresses, as sidecars make it, and every pod comes back with another one."""

from __future__ import annotations

import functools
import re
import time
import typing as t

from harness.hang import hung
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Failed, Skipped, check
from harness.waiting import until
from mongodb.replica_set import NAME, PODS, Problem, ReplicaSet

# Seconds that a run waits which cannot succeed.
SHORT = 20
# Seconds until every pod is back.
BACK = 180
# The one that is behind: whoever begins with the first pod loses what the others have.
BEHIND = 0


def stale_addresses(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("it stops processes in pods, which only the lab's nodes let it; unset KUBECONFIG to run it there")
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(1)
        set_id = application.recorded()
        with trial.writing(application) as writer:
            writer.wait_for(50, 60)
            addresses = _name_by_address(trial, application)
            with hung(trial.api, namespace, [PODS[BEHIND]], "mongod"):
                writer.wait_for(100, 60)
                lost = _uids(trial, namespace)
                trial.delete_pods(namespace, ())
                # It must not go on before it is killed: it would still learn what it has missed.
                back = _all_back(trial, namespace, lost)
            check(not set(back) & set(addresses), f"The addresses were {addresses}, and {back} are the ones now.")
            trial.say(f"every pod was lost; the configuration has {', '.join(addresses)}, they have {', '.join(back)}")
            _refuses(trial, application, proxy)
            _only_looks(trial, application, proxy, set_id)
            run = trial.play_playbook("mongodb_repair", {**_named(namespace), "mongodb_repair_accept": set_id}, proxy)
            run.expect_success("The repair")
            check(proxy.made("replSetReconfig") == 1, "Not one configuration was forced.")
            leads = re.findall(r"force on (\S+), which has the newest write \(([^)]*)\)", run.output)
            check(bool(leads), "The repair does not say on which member it forces a configuration.")
            check(PODS[BEHIND] not in dict(leads), f"{PODS[BEHIND]}, which is behind, leads.")
            trial.play(application, proxy).expect_success("The run after the repair")
            writer.wait_for(20, 60)
        hosts = [member["host"] for member in application.config()["members"]]
        wanted = [f"{pod}.{NAME}.{namespace}.svc.cluster.local:27017" for pod in PODS]
        check(sorted(hosts) == wanted, f"The members are {', '.join(hosts)}.")
        found = set(application.identities().values())
        check(found == {set_id}, f"The set id was {set_id}, and now {', '.join(sorted(found))} is found.")
        trial.play(application, proxy).expect_success("The run after it", changed=0)
        trial.note(
            f"the run refused, the report changed nothing; repaired from {leads[0][0]}, newest write {leads[0][1]}"
        )


def _name_by_address(trial: Trial, application: ReplicaSet) -> list[str]:
    """Let the configuration name each member by its pod's address, one after the other."""
    addresses = []
    for number, pod in enumerate(PODS):
        found = trial.api.get("v1", "Pod", pod, application.namespace)
        if found is None:
            raise Failed(f"{pod} is gone.")
        addresses.append(found["status"]["podIP"])
        config = application.config()
        config["members"][number]["host"] = f"{addresses[-1]}:27017"
        config["version"] += 1
        primary = application.primary()
        check(primary is not None, "No member is primary.")
        with application.member(t.cast("int", primary)) as client:
            client.admin.command("replSetReconfig", config)
    return addresses


def _uids(trial: Trial, namespace: str) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in trial.api.list("v1", "Pod", namespace)}


def _all_back(trial: Trial, namespace: str, lost: t.Mapping[str, str]) -> list[str]:
    """The addresses of the pods that came instead of those."""

    def addresses() -> list[str]:
        found = {}
        for pod in trial.api.list("v1", "Pod", namespace):
            status = (pod["status"].get("containerStatuses") or [{}])[0]
            if pod["metadata"]["uid"] not in lost.values() and "running" in status.get("state", {}):
                found[pod["metadata"]["name"]] = pod["status"]["podIP"]
        return [found[pod] for pod in PODS] if set(found) == set(PODS) else []

    return until(addresses, BACK, "The pods do not come back.")


def _refuses(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    proxy.watch()
    run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
    check(run.status, "The run ends well although no member knows itself in the configuration.")
    check("mongodb_repair" in run.message, f"The message does not name a way out: {run.message}")
    changed = [change.what for change in proxy.changes if "leases" not in change.what]
    check(not changed, f"The run that could not succeed made {', '.join(changed)}.")


def _only_looks(trial: Trial, application: ReplicaSet, proxy: Proxy, set_id: str) -> None:
    """The report without an opt-in, once every member has told what it has."""
    before = _versions(application)
    proxy.watch()
    until = time.monotonic() + SHORT * 3
    while True:
        run = trial.play_playbook("mongodb_repair", _named(application.namespace), proxy)
        run.expect_success("The report", changed=0)
        if f"mongodb_repair_accept={set_id}" in run.output or time.monotonic() > until:
            break
    check("stale names" in run.output, f"The report does not tell of names that are stale: {run.tail(40)}")
    check(f"mongodb_repair_accept={set_id}" in run.output, "The report does not say what is to be typed.")
    check(not proxy.changes, f"The report changed {', '.join(change.what for change in proxy.changes)}.")
    check(_versions(application) == before, "The configuration of a member is another one after the report.")
    proxy.watch()


def _versions(application: ReplicaSet) -> list[int]:
    """The version of the configuration that each member has by its own word."""

    def version(ordinal: int) -> int:
        with application.member(ordinal) as client:
            return int((client["local"]["system.replset"].find_one({}) or {"version": -1})["version"])

    return [
        until(functools.partial(version, o), 60, f"{pod} does not tell its configuration.", Problem)
        for o, pod in enumerate(PODS)
    ]


def _named(namespace: str) -> dict[str, t.Any]:
    return {"mongodb_name": NAME, "mongodb_namespace": namespace}
