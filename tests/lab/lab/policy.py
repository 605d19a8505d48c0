# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The enforcer of NetworkPolicies, one for each node: ../enforcer."""

from __future__ import annotations

import sys

from lab import files, machine, network, processes
from lab.processes import Process
from lab.settings import Node, Settings


def enforcer(settings: Settings, node: Node) -> Process:
    pki = settings.pki
    folder = settings.sources / "enforcer"
    # Pods are found by their control groups, which are the same in every hierarchy that the kubelet knows.
    group = machine.cgroups().hierarchies[0] / node.cgroup.strip("/")
    return Process(
        f"enforcer-{node.name}",
        [
            *network.inside(node),
            sys.executable,
            folder,
            f"--server={settings.node_api_url}",
            f"--authority={pki}/ca.crt",
            # It does on a node what belongs to kube-proxy elsewhere, and has its name: see ../addons/enforcer.yml.
            f"--certificate={pki}/kube-proxy.crt",
            f"--key={pki}/kube-proxy.key",
            f"--node={node.name}",
            f"--own-address={node.address}",
            f"--own-address={node.pod_gateway}",
            f"--control-group={group}",
        ],
        settings.logs / f"enforcer-{node.name}.log",
        configuration=[path for path in files.tree(folder) if path.suffix == ".py"] + [pki / "kube-proxy.crt"],
    )


def ensure(settings: Settings, node: Node) -> list[str]:
    return processes.ensure([enforcer(settings, node)], settings.home)
