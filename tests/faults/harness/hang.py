# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that hangs: its processes stand still, where the cluster's nodes are this machine."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness.verdict import Failed

PROC = pathlib.Path("/proc")


@contextlib.contextmanager
def hung(api: Cluster, namespace: str, pods: t.Collection[str], program: str) -> t.Iterator[None]:
    """Meanwhile this program stands still in these pods; in the end it goes on, where it is still there."""
    pids = [pid for pod in pods for pid in processes(api, namespace, pod, program)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def processes(api: Cluster, namespace: str, pod: str, program: str) -> list[int]:
    found = api.get("v1", "Pod", pod, namespace)
    uid = found["metadata"]["uid"] if found else "none"
    pids = [
        int(folder.name)
        for folder in PROC.iterdir()
        if folder.name.isdigit() and _read(folder / "comm") == program and _is_of(_read(folder / "cgroup"), uid)
    ]
    if not pids:
        raise Failed(f"{pod} has no {program} that runs on this machine.")
    return pids


def _is_of(cgroups: str, uid: str) -> bool:
    # The systemd driver writes underscores.
    return uid in cgroups or uid.replace("-", "_") in cgroups


def _read(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
