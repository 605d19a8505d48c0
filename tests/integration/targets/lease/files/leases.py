# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holders of one Lease on a real API server, each a process of its own: ``leases.py KUBECONFIG NAMESPACE``.

Prints what was seen of every scene as one JSON object.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease, Process
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, connect
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

APPLICATION = "shop"
SHORT = 8  # seconds: the duration of the Leases here, and so the longest wait for a dead holder elsewhere


class Task:
    params: t.ClassVar[dict[str, t.Any]] = {}
    check_mode = diff_mode = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def progress(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.lines.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        pass

    def abandoned(self) -> bool:
        return False


def lease(cluster: Cluster) -> Lease:
    return Lease(cluster, NAMESPACE, APPLICATION, duration=SHORT)


def there(cluster: Cluster) -> t.Optional[dict[str, t.Any]]:
    return cluster.get(*_lease.KIND, _lease.lease_name(APPLICATION), NAMESPACE)


@contextlib.contextmanager
def holder() -> t.Iterator[subprocess.Popen[str]]:
    """A process that holds the Lease and renews it until it gets a line, or dies."""
    command = [sys.executable, __file__, KUBECONFIG, NAMESPACE, "hold"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


def acquire(cluster: Cluster, timeout: float = 60) -> tuple[str, float, list[str]]:
    """Try to get it; returns how that ended, the seconds it took, and what was said meanwhile."""
    mine, task, begun = lease(cluster), Task(), time.monotonic()
    try:
        mine.acquire(task, "shop/shop", timeout)
    except Failure as failure:
        return failure.message, time.monotonic() - begun, task.lines
    took = time.monotonic() - begun
    mine.release()
    return "acquired", took, task.lines


def in_turn(cluster: Cluster) -> dict[str, t.Any]:
    """A free one is taken, is there meanwhile, and leaves nothing behind."""
    mine, before = lease(cluster), there(cluster)
    mine.acquire(Task(), "shop/shop", 5)
    meanwhile = there(cluster)
    mine.check()
    mine.release()
    mine.release()
    return {
        "before": before,
        "holder": meanwhile and meanwhile["spec"]["holderIdentity"],
        "expected_holder": f"pid {os.getpid()} ",
        "after": there(cluster),
    }


def held_by_another(cluster: Cluster) -> dict[str, t.Any]:
    """A holder that lives and renews is waited for, however long; and the wait ends when it gives the Lease back."""
    with holder() as process:
        refused = acquire(cluster, timeout=1.5 * SHORT)
        waiting = subprocess.Popen(
            [sys.executable, __file__, KUBECONFIG, NAMESPACE, "once"], stdout=subprocess.PIPE, text=True
        )
        time.sleep(1)
        still_waiting = waiting.poll() is None
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        after = waiting.communicate(timeout=60)[0]
        return {"refused": refused, "pid": process.pid, "still_waiting": still_waiting, "after": json.loads(after)}


def killed_here(cluster: Cluster) -> dict[str, t.Any]:
    """A holder that was killed on this host is replaced at once: the Lease was good for a long time still."""
    with holder() as process:
        process.kill()
        process.wait()
        left = there(cluster)
        return {"left": left is not None, "outcome": acquire(cluster)}


def dead_elsewhere(cluster: Cluster) -> dict[str, t.Any]:
    """Nothing is known of a process on another host: its Lease is free once nobody renewed it for its duration."""
    with holder() as process:
        process.send_signal(signal.SIGSTOP)
        left = there(cluster)
        assert left is not None
        elsewhere = json.dumps({**json.loads(Process.this().dump()), "boot": "another host"})
        cluster.merge(
            *_lease.KIND,
            left["metadata"]["name"],
            NAMESPACE,
            {"metadata": {"annotations": {_lease.PROCESS: elsewhere}}},
        )
        outcome = acquire(cluster)
        # It wakes up, and finds out before it changes anything.
        process.send_signal(signal.SIGCONT)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("check\n")
        process.stdin.flush()
        return {"outcome": outcome, "woken": process.stdout.readline().strip()}


def taken_away(cluster: Cluster) -> dict[str, t.Any]:
    """A Lease that somebody deletes is lost, and that of another is not given back."""
    mine = lease(cluster)
    mine.acquire(Task(), "shop/shop", 5)
    cluster.delete(*_lease.KIND, mine.name, NAMESPACE)
    other = lease(cluster)
    other.acquire(Task(), "shop/shop", 5)
    time.sleep(SHORT)  # it renews every third of that
    try:
        mine.check()
        lost = ""
    except Failure as failure:
        lost = failure.message
    mine.release()
    found = there(cluster)
    other.check()
    other.release()
    return {"lost": lost, "other_is_there": found is not None, "after": there(cluster)}


def no_rights(cluster: Cluster) -> dict[str, t.Any]:
    with connect({"kubeconfig": KUBECONFIG, "impersonate_user": "nobody-in-particular"}) as powerless:
        return {"outcome": acquire(powerless)}


def main() -> None:
    with connect({"kubeconfig": KUBECONFIG}) as cluster:
        scenes = (in_turn, held_by_another, killed_here, dead_elsewhere, taken_away, no_rights)
        print(json.dumps({scene.__name__: scene(cluster) for scene in scenes}))


def once() -> None:
    with connect({"kubeconfig": KUBECONFIG}) as cluster:
        print(json.dumps(acquire(cluster)))


def hold() -> None:
    with connect({"kubeconfig": KUBECONFIG}) as cluster:
        mine = lease(cluster)
        mine.acquire(Task(), "shop/shop", 60)
        print("held", flush=True)
        if sys.stdin.readline() == "check\n":
            try:
                mine.check()
                print("still mine", flush=True)
            except Failure as failure:
                print(failure.message, flush=True)
        mine.release()


if __name__ == "__main__":
    KUBECONFIG, NAMESPACE = sys.argv[1:3]
    {"hold": hold, "once": once, "": main}["".join(sys.argv[3:])]()
