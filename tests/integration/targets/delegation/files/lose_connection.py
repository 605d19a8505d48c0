# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lose the SSH connection while a module works on the other host, and see that the module stops by itself.

``lose_connection.py INVENTORY NAMESPACE PYTHON``, where PYTHON is that host's interpreter and nobody else's.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

ENDS_WITHIN = 25.0
# Far longer than the module may take to notice: it must not end for this reason.
WAITS = 120


def command(inventory: str, namespace: str) -> list[str]:
    values = {
        "stateful_kube_host": "bastion",
        "mongodb_name": "lost",
        "mongodb_namespace": namespace,
        "mongodb_members": "1",
        "mongodb_storage_class": "none",
        # Its pod never starts, so the module waits.
        "mongodb_image": "registry.invalid/mongo:0",
        "mongodb_wait_timeout": str(WAITS),
    }
    playbook = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", inventory, "stateful.kube.mongodb"]
    return [*playbook, *(word for key, value in values.items() for word in ("-e", f"{key}={value}"))]


def running(python: str) -> set[int]:
    """Processes of that Python."""
    found = set()
    for words in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words.read_bytes().split(b"\0")[0] == python.encode():
                found.add(int(words.parent.name))
    return found


def parents() -> dict[int, int]:
    found = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(stat.parent.name)] = int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    return found


def family(pid: int) -> list[int]:
    """A process, its children, and theirs."""
    tree = parents()
    found = [pid]
    for one in found:
        found += [child for child, parent in tree.items() if parent == one]
    return found


def main(inventory: str, namespace: str, python: str) -> None:
    # With a terminal the module would be hung up on; pipelining goes without, and is what busy controllers use.
    environment = {**os.environ, "ANSIBLE_PIPELINING": "1", "PYTHONUNBUFFERED": "1"}
    run = subprocess.Popen(
        command(inventory, namespace), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    for line in run.stdout:
        said.append(line)
        if "Form the replica set" in line:
            break
    else:
        sys.exit(f"The playbook never came to the operation:\n{''.join(said)[-3000:]}")
    end = time.monotonic() + 20
    while not running(python) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(3)  # it has begun to wait for the pod by then
    modules = running(python)
    if not modules:
        sys.exit("The module does not run: there was no connection to lose.")
    for pid in family(run.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    begun = time.monotonic()
    run.stdout.close()
    run.wait()
    while modules & running(python):
        if time.monotonic() - begun > ENDS_WITHIN:
            sys.exit(f"The module goes on without anybody: {sorted(modules & running(python))}.")
        time.sleep(0.1)
    print("The module stopped by itself.")


if __name__ == "__main__":
    main(*sys.argv[1:])
