# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""A pod's network namespace, and the packet rules in it."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path

NETWORK = "ns/net"


def pod_folder(node_group: Path, uid: str) -> Path | None:
    """A pod's control group, whatever class of service it is in."""
    for place in ("burstable", "besteffort", "."):
        folder = node_group / "kubepods" / place / f"pod{uid}"
        if folder.is_dir():
            return folder
    return None


def process_ids(folder: Path) -> list[int]:
    found = []
    for path, _folders, _files in os.walk(folder):
        with suppress(OSError):  # a container that ends meanwhile
            found += [int(word) for word in Path(path, "cgroup.procs").read_text().split()]
    return found


def identity(path: str | int) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


class Namespaces:
    """The pods' network namespaces on this node, found by the processes in the pods' control groups."""

    def __init__(self, node_group: Path) -> None:
        self.node_group = node_group
        # A container that is being made is for a moment still in the node's network, where this process is too: no
        # rule may ever go there.
        self.nodes_own = identity(f"/proc/self/{NETWORK}")

    def open(self, uid: str) -> int | None:
        """A descriptor of a pod's namespace: it stays that pod's even when the process that led to it is gone."""
        folder = pod_folder(self.node_group, uid)
        for pid in process_ids(folder) if folder else []:
            try:
                descriptor = os.open(f"/proc/{pid}/{NETWORK}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            if identity(descriptor) != self.nodes_own:
                return descriptor
            os.close(descriptor)
        return None


def program(descriptor: int, rules: str) -> None:
    """Put a table in place, all of it in one step or not at all."""
    done = subprocess.run(
        ["nsenter", f"--net=/proc/self/fd/{descriptor}", "nft", "-f", "-"],
        input=rules,
        capture_output=True,
        text=True,
        errors="replace",
        pass_fds=[descriptor],
        timeout=20,
        check=False,
    )
    if done.returncode:
        raise OSError(f"nft ended with {done.returncode}: {done.stderr.strip()[:500]}")
