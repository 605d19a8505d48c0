# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nobody hears of a database on NFS any more, its pod is deleted by force, and a second server starts on its data."""

from __future__ import annotations

import contextlib
import time
import typing as t

from harness.lab import Lab
from harness.trial import Trial
from harness.verdict import Skipped, check
from harness.writer import Writer
from storage.export import export, pod, wait_until
from storage.mariadb import CLAIM, NAME, POD, MariaDB

NODES = 3
#: those that may be lost: the control plane and the NFS server are on the first
OTHERS = ("node2", "node3")
# As in tests/nodes: keeps pods of whoever uses the lab meanwhile off them.
TAINT = "stateful-lab/faults"
LABEL = "faults.stateful.kube/database"
# What a server says that does not get the lock (EAGAIN), of InnoDB's files or of Aria's.
LOCKED = ("Unable to lock ./ibdata1 error: 11", "Can't lock aria control file", "error: 11")
# Seconds.
REFUSED_WITHIN = 120
# Longer than the lease of the NFS server and the pauses between the attempts.
STAYS_OUT = 45
WOKEN = 20
BACK_WITHIN = 180


def fencing(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("it takes nodes away, which only the lab can do; unset KUBECONFIG to run it there")
    with _nodes(trial, trial.lab), trial.namespace() as namespace, export(trial, namespace) as found:
        trial.lab.run("images", "--load", "mariadb")
        found.provisioner()
        application = MariaDB(trial.api, namespace, found.name, {LABEL: "true"})
        with trial.proxy(MariaDB) as proxy:
            trial.play(application, proxy).expect_success("The deployment")
            application.create()
            node = _node(trial, namespace)
            with trial.writing(application) as writer:
                writer.wait_for(20, 60)
                _only_one_pod(trial, namespace)
                # The first server goes on, and nobody hears of it any more.
                trial.lab.run("node", "freeze-kubelet", node)
                _replaced_by_force(trial, namespace, node)
                written = writer.acknowledged
                _refused(trial, application, node)
                check(writer.acknowledged == written, "A write was acknowledged while the first server had the lock.")
                _taken_over(trial, trial.lab, namespace, writer, "freeze", node)
                # Now it wakes, and its lock is another's.
                trial.lab.run("node", "thaw", node)
                _uncordon(trial, node)
                writer.wait_for(20, BACK_WITHIN)
                time.sleep(WOKEN)
                _clean(trial, application)
                trial.note(f"{node} goes on, with a server that has lost its lock: it harmed nothing")
                second = _node(trial, namespace)
                check(second != node, f"The database is back on {node}, though nobody asked for it.")
                trial.lab.run("node", "kill", second)
                _replaced_by_force(trial, namespace, second)
                _taken_over(trial, trial.lab, namespace, writer, "", second)
                trial.lab.run("node", "start", second)
                _uncordon(trial, second)
                writer.wait_for(20, 60)
            trial.play(application, proxy).expect_success("The run after it all", changed=0)
            _clean(trial, application)


@contextlib.contextmanager
def _nodes(trial: Trial, lab: Lab) -> t.Iterator[None]:
    """Three nodes, of which two are kept for this; in the end as many as there were."""
    before = len(trial.api.list("v1", "Node"))
    lab.run("up", "--nodes", str(max(NODES, before)))
    try:
        for node in OTHERS:
            taint = {"spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}], "unschedulable": None}}
            trial.api.merge("v1", "Node", node, None, {**taint, "metadata": {"labels": {LABEL: "true"}}})
        yield
    finally:
        # It mends the nodes that are frozen or killed, too.
        lab.run("up", "--nodes", str(max(NODES, before)))
        for node in OTHERS:
            clear = {"spec": {"taints": None, "unschedulable": None}, "metadata": {"labels": {LABEL: None}}}
            trial.api.merge("v1", "Node", node, None, clear)
        lab.run("up", "--nodes", str(before))


def _node(trial: Trial, namespace: str) -> str:
    found = trial.api.get("v1", "Pod", POD, namespace) or {"spec": {}}
    return str(found["spec"].get("nodeName"))


def _uncordon(trial: Trial, node: str) -> None:
    trial.api.merge("v1", "Node", node, None, {"spec": {"unschedulable": None}})


def _only_one_pod(trial: Trial, namespace: str) -> None:
    """A second pod on the claim, by hand: ReadWriteOncePod keeps it away."""
    wanted = pod(namespace, "second", "docker.io/library/mariadb:distribution", ())
    wanted["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}]
    wanted["spec"]["tolerations"] = [{"key": TAINT, "operator": "Exists"}]
    trial.api.apply(wanted, manager="faults")

    def told() -> str:
        found = trial.api.get("v1", "Pod", "second", namespace) or {}
        conditions = (found.get("status") or {}).get("conditions") or [{}]
        return str(conditions[0].get("message", "")) if not found["spec"].get("nodeName") else ""

    wait_until(lambda: "ReadWriteOncePod" in told(), 30, "the second pod is refused because of ReadWriteOncePod")
    trial.note(f"a second pod on the claim: {told()[:150]}")
    trial.delete_pods(namespace, ["second"])


def _replaced_by_force(trial: Trial, namespace: str, node: str) -> None:
    """What an administrator does too early: the pod's object goes, and its server is still there."""
    trial.api.merge("v1", "Node", node, None, {"spec": {"unschedulable": True}})
    trial.delete_pods(namespace, [POD])
    wait_until(lambda: _node(trial, namespace) not in (node, "None"), 60, f"{POD} is made again on another node")


def _taken_over(trial: Trial, lab: Lab, namespace: str, writer: Writer, action: str, node: str) -> None:
    """Without its node the first server does not renew its lease: the lock is free after that, and not before."""
    if action:
        lab.run("node", action, node)
    begun = time.monotonic()
    writer.wait_for(20, BACK_WITHIN)
    what = f"{node} hangs" if action else f"{node} is dead, and its pod was deleted by force"
    trial.note(f"{what}: {POD} on {_node(trial, namespace)} takes writes after {time.monotonic() - begun:.0f} s")


def _refused(trial: Trial, application: MariaDB, node: str) -> None:
    said: list[str] = []

    def refused() -> bool:
        said[:] = [line for line in application.log().splitlines() if any(word in line for word in LOCKED)]
        return bool(said)

    wait_until(refused, REFUSED_WITHIN, "the second server says that it does not get the lock")
    until = time.monotonic() + STAYS_OUT
    while time.monotonic() < until:
        found = trial.api.get("v1", "Pod", POD, application.namespace) or {}
        ready = [each for each in found["status"].get("containerStatuses") or () if each["ready"]]
        check(not ready, f"The second server is ready while the first on {node} has the data.")
        time.sleep(1)
    told = trial.task("workload_info", {"namespace": application.namespace, "name": NAME}).result
    blocked = "; ".join(told["workloads"][0]["blocked"])
    check(POD in blocked, f"workload_info does not tell of the second server: {blocked or 'nothing'}")
    trial.note(
        f"the kubelet of {node} hangs, its server goes on, the pod is deleted by force: the second server is refused "
        f"for {STAYS_OUT} s ({said[0].strip()[:120]})"
    )
    trial.note(f"workload_info says: {' '.join(blocked.split())[:250]}")


def _clean(trial: Trial, application: MariaDB) -> None:
    damage = application.damage()
    check(not damage, f"InnoDB is damaged: {'; '.join(damage)}")
    log = application.log().lower()
    wrong = [word for word in ("corrupt", "assertion failure", "checksum mismatch") if word in log]
    check(not wrong, f"The server's log tells of {', '.join(wrong)}.")
    trial.note("the tables are whole by the server's own check, and its log tells of no damage")
