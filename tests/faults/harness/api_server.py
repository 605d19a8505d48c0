# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server of the lab: killed without a word, and started again exactly as it was."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import threading
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from harness.verdict import Failed

# The lab marks its processes in their environment (tests/lab/lab/processes.py).
MARK = b"STATEFUL_LAB_PROCESS="
NAME = b"|kube-apiserver|"
READY_WITHIN = 90


class ApiServer:
    """A process of the lab on this machine. One object restarts it once."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._gone = threading.Event()

    def wait_until_gone(self) -> None:
        """Return once a restart has killed it."""
        self._gone.wait(timeout=10)

    @classmethod
    def find(cls) -> t.Optional[ApiServer]:
        """The lab's API server; None on any other cluster, or where we may not touch it."""
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                marks = [e for e in (entry / "environ").read_bytes().split(b"\0") if e.startswith(MARK)]
                leads = int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == int(entry.name)
                if marks and NAME in marks[0] and leads:
                    return cls(int(entry.name))
        return None

    def restart(self, api: Cluster, away: float) -> None:
        """Kill it, leave it dead for some seconds, start it with the same words, and wait until it is ready."""
        proc = pathlib.Path(f"/proc/{self.pid}")
        words = [os.fsdecode(word) for word in (proc / "cmdline").read_bytes().split(b"\0")[:-1]]
        pairs = (os.fsdecode(entry).partition("=") for entry in (proc / "environ").read_bytes().split(b"\0") if entry)
        environment = {name: value for name, _sign, value in pairs}
        folder, log = (proc / "cwd").readlink(), (proc / "fd" / "1").readlink()
        os.kill(self.pid, signal.SIGKILL)
        self._gone.set()
        try:
            time.sleep(away)
        finally:
            with log.open("ab") as output:
                started = subprocess.Popen(
                    words,
                    env=environment,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.pid = started.pid
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until:
            with contextlib.suppress(Failure):
                if api.connection.text("/readyz") == "ok":
                    return
            time.sleep(0.2)
        raise Failed(f"The API server is not ready {READY_WITHIN} s after it was started again.")
