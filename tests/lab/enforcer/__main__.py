# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Start of the enforcer on one node: `python tests/lab/enforcer --help`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

# Python puts a folder that it runs itself on the path; the package's parent belongs there.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from enforcer import namespaces, rules  # noqa: E402 (the path comes first)
from enforcer.namespaces import Namespaces  # noqa: E402
from enforcer.rules import Cluster, Pod  # noqa: E402
from enforcer.watch import Server, Store, log  # noqa: E402

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
# How soon a pod whose first process is not there yet is looked for again, and how soon one that was started anew.
SOON, LATER = 0.05, 1.0


class Enforcer:
    """Brings the pods of one node to what the policies say, again and again."""

    def __init__(self, server: Server, node: str, own_addresses: list[str], found: Namespaces) -> None:
        self.node = node
        self.own_addresses = own_addresses
        self.found = found
        self.wake = threading.Event()
        self.pods = Store(server, "/api/v1/pods", self.wake.set)
        self.spaces = Store(server, "/api/v1/namespaces", self.wake.set)
        self.policies = Store(server, POLICIES, self.wake.set)
        # What was put where: namespace and rules, by the uid of the pod.
        self.done: dict[str, tuple[tuple[int, int], str]] = {}
        self.said: set[str] = set()

    def run(self) -> None:
        for store in (self.pods, self.spaces, self.policies):
            store.start()
        pause = LATER
        while True:
            self.wake.wait(pause)
            self.wake.clear()
            pause = SOON if self.bring() else LATER

    def cluster(self) -> Cluster | None:
        """What is known, or None until all of it is."""
        pods, spaces, policies = self.pods.objects, self.spaces.objects, self.policies.objects
        if pods is None or spaces is None or policies is None:
            return None
        return Cluster(
            [pod for each in pods.values() if (pod := Pod.of(each))],
            list(policies.values()),
            {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in spaces.values()},
        )

    def bring(self) -> bool:
        """Look at every pod of this node once; whether one is about to start and is to be looked at again soon."""
        cluster = self.cluster()
        if cluster is None:
            return True
        self.complain(cluster)
        own = [pod for pod in cluster.pods if pod.node == self.node and not pod.ended]
        self.done = {pod.uid: self.done[pod.uid] for pod in own if pod.uid in self.done}
        waiting = [self.treat(pod, rules.table(pod, cluster, self.own_addresses)) for pod in own]
        return any(waiting)

    def treat(self, pod: Pod, wanted: str) -> bool:
        """Give one pod its rules if it has others; whether its namespace is still to come."""
        descriptor = self.found.open(pod.uid)
        if descriptor is None:
            return pod.uid not in self.done
        try:
            state = namespaces.identity(descriptor), wanted
            if self.done.get(pod.uid) != state:
                namespaces.program(descriptor, wanted)
                self.done[pod.uid] = state
                log(f"{pod.namespace}/{pod.name}: {'guarded' if 'policy drop' in wanted else 'open'}")
        except (OSError, subprocess.TimeoutExpired) as error:
            self.say_once(f"{pod.namespace}/{pod.name}: {error}")
        finally:
            os.close(descriptor)
        return False

    def complain(self, cluster: Cluster) -> None:
        for policy in cluster.policies:
            for what in rules.unsupported(policy):
                self.say_once(f"WARNING: NOT ENFORCED: NetworkPolicy {rules.title(policy)}: {what}")

    def say_once(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            log(text)


def main() -> None:
    parser = argparse.ArgumentParser("enforcer", description="Enforces NetworkPolicies on one node.")
    parser.add_argument("--server", required=True, help="URL of the API server")
    for name in ("authority", "certificate", "key"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--node", required=True)
    parser.add_argument("--own-address", required=True, action="append", help="an address of the node, always let in")
    parser.add_argument("--control-group", required=True, type=Path, help="the folder that holds the node's kubepods")
    options = parser.parse_args()
    while True:
        try:
            server = Server(options.server, options.authority, options.certificate, options.key)
            break
        except OSError as error:  # the folder of certificates is being replaced
            log(f"{error!r}; trying again")
            time.sleep(0.5)
    log(f"enforcing on {options.node}")
    Enforcer(server, options.node, options.own_address, Namespaces(options.control_group)).run()


if __name__ == "__main__":
    main()
