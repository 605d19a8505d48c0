# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the playbook, kill it when its output shows a text, and see that the same command then finishes the work.

``kill_and_repeat.py KUBECONFIG NAMESPACE IMAGE playbook|worker|both TEXT NAME``
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time


def command(namespace: str, image: str, name: str) -> list[str]:
    playbook = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "stateful.kube.mongodb"]
    values = {
        "mongodb_name": name,
        "mongodb_namespace": namespace,
        "mongodb_image": image,
        "mongodb_storage_size": "1Gi",
        "ansible_python_interpreter": sys.executable,
    }
    return [*playbook, *(word for key, value in values.items() for word in ("-e", f"{key}={value}"))]


def children(pid: int) -> list[int]:
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(run: subprocess.Popen[str], whom: str) -> None:
    workers = children(run.pid)
    if whom in ("worker", "both") and not workers:
        sys.exit("There was no worker to kill.")
    for pid in (workers if whom in ("worker", "both") else []) + ([run.pid] if whom in ("playbook", "both") else []):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    run.stdout.close()
    run.wait()
    # An orphan may end the step it is in, and takes no other.
    end = time.monotonic() + 15
    while any(alive(pid) for pid in workers):
        if time.monotonic() > end:
            sys.exit(f"A worker goes on without its playbook: {workers}.")
        time.sleep(0.1)


def recap(output: str) -> str:
    found = re.search(r"changed=(\d+).*failed=(\d+)", output)
    return found[0] if found else f"no recap in:\n{output[-3000:]}"


def main(kubeconfig: str, namespace: str, image: str, whom: str, text: str, name: str) -> None:
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "PYTHONUNBUFFERED": "1"}
    words = command(namespace, image, name)
    run = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for line in run.stdout:
        seen.append(line)
        if text in line:
            break
    else:
        sys.exit(f"The first run never said '{text}':\n{''.join(seen)[-3000:]}")
    kill(run, whom)
    print(f"Killed the {whom} at: {seen[-1].strip()}")
    for what, changes in (("second", r"failed=0"), ("third", r"changed=0 .*failed=0")):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=240)
        found = recap(done.stdout)
        print(f"The {what} run: {found}")
        if done.returncode or not re.search(changes, found):
            sys.exit(f"The {what} run did not end as it should:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        if f"create Namespace {namespace}" in done.stdout:
            sys.exit("The run made a namespace that was there.")


if __name__ == "__main__":
    main(*sys.argv[1:])
