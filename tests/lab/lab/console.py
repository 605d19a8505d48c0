# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""A command in a container by its node's own containerd: the way in when the API server cannot reach the node."""

from __future__ import annotations

import os
import subprocess

from lab import faults, node, shell
from lab.errors import LabError
from lab.settings import Node, Settings


def containers(on: Node, namespace: str, pod: str) -> list[str]:
    """The running containers of a pod that are no sandbox; the last one is the one that was started last."""
    wanted = {
        "io.kubernetes.pod.namespace": namespace,
        "io.kubernetes.pod.name": pod,
        "io.cri-containerd.kind": "container",
    }
    chosen = ",".join(f'labels."{key}"=={value}' for key, value in wanted.items())
    named = node.ctr(on, "containers", "ls", "--quiet", chosen, timeout=10).split()
    running = [line.split()[0] for line in node.ctr(on, "tasks", "ls", timeout=10).splitlines() if "RUNNING" in line]
    return [name for name in running if name in named]


def run(settings: Settings, title: str, words: list[str]) -> int:
    """Run a command with this one's input and output; its exit code."""
    namespace, _slash, pod = title.partition("/")
    if not pod or not words:
        raise LabError("`console` wants the pod as NAMESPACE/POD, and then a command with its arguments.")
    skipped = []
    for each in settings.nodes:
        if wrong := {"stopped", "frozen"} & set(faults.states(settings, each)):
            skipped.append(f"{each.name} is {' and '.join(sorted(wrong))}")
            continue
        if found := containers(each, namespace, pod):
            identifier = f"console-{os.getpid()}"
            place = [f"--address={each.containerd_socket}", f"--namespace={node.NAMESPACE}"]
            inside = ["tasks", "exec", f"--exec-id={identifier}", found[-1], *words]
            return subprocess.run([shell.program("ctr"), *place, *inside], check=False).returncode
    asked = f" that could be asked ({', '.join(skipped)})" if skipped else ""
    raise LabError(f"No container of the pod {title} runs on any node of the lab{asked}.")
