# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook that can be watched, and killed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import typing as t

from harness.verdict import Failed

# Seconds that a worker without its playbook may go on: it ends the step that it is in, and takes no other.
ORPHAN = 20
# Seconds that its output is waited for after its end: an orphan may hold it open.
LAST_WORDS = 10
WORKER, PLAYBOOK, BOTH = "worker", "playbook", "both"


class Run:
    """One run of a playbook of the collection. Its output is read while it works."""

    def __init__(self, command: t.Sequence[str], environment: t.Mapping[str, str], log: pathlib.Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.lines: list[str] = []
        self._begun = time.monotonic()
        self.seconds = 0.0
        # A session of its own, so that its process group can be killed without killing this program.
        self._process = subprocess.Popen(
            command,
            env={**environment, "PYTHONUNBUFFERED": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("w", encoding="utf-8") as kept:
            for line in self._process.stdout:
                self.lines.append(line)
                kept.write(line)
                kept.flush()

    @property
    def output(self) -> str:
        return "".join(self.lines)

    @property
    def status(self) -> t.Optional[int]:
        return self._process.returncode

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> Run:
        """Wait for its end. Raises Failed, and ends it, when that does not come."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill(BOTH)
            self._process.wait()
            raise Failed(f"The run did not end within {seconds:.0f} s; its last words: {self.tail()}") from None
        self._reader.join(timeout=LAST_WORDS)
        self.seconds = time.monotonic() - self._begun
        return self

    def tail(self, count: int = 3) -> str:
        return " / ".join(line.strip() for line in self.lines[-count:])

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    @property
    def message(self) -> str:
        """What the failed task said, in one line."""
        found = re.findall(r"\[ERROR\]: (.*)", self.output) or re.findall(r'"msg": "((?:[^"\\]|\\.)*)"', self.output)
        return str(found[-1]) if found else self.tail()

    def recap(self, word: str) -> int:
        found = re.search(rf"\b{word}=(\d+)", self.output)
        return int(found.group(1)) if found else -1

    @property
    def result(self) -> dict[str, t.Any]:
        """What a single task gave back: only of runs of `ansible`."""
        found = re.findall(r"^localhost \| [A-Z]+!? => (\{.*\})$", self.output, flags=re.MULTILINE)
        if not found:
            raise Failed(f"The task gave no result ({self.log.name}): {self.tail()}")
        return t.cast("dict[str, t.Any]", json.loads(found[-1]))

    def expect_success(self, what: str, changed: t.Optional[int] = None) -> None:
        if self.status or self.recap("failed"):
            raise Failed(f"{what} failed ({self.log.name}): {self.message}")
        if changed is not None and self.recap("changed") != changed:
            raise Failed(f"{what} says changed={self.recap('changed')} where {changed} was expected ({self.log.name}).")

    def kill(self, whom: str) -> list[int]:
        """Kill the worker that does the task, the playbook that started it, or both; return the workers."""
        workers = _children(self._process.pid)
        targets = workers if whom in (WORKER, BOTH) else []
        if whom == BOTH:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif whom == PLAYBOOK:
            targets = [self._process.pid]
        for pid in targets:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return workers

    def wait_for_orphans(self, workers: t.Iterable[int]) -> None:
        until = time.monotonic() + ORPHAN
        while left := [pid for pid in workers if _alive(pid)]:
            if time.monotonic() > until:
                raise Failed(f"A worker goes on {ORPHAN} s after its playbook was killed (process {left[0]}).")
            time.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(_fields(stat)[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return _fields(pathlib.Path(f"/proc/{pid}/stat"))[0] != "Z"
    except OSError:
        return False


def _fields(stat: pathlib.Path) -> list[str]:
    """State, parent, ... of a process; the name before them may hold blanks and brackets."""
    return stat.read_text(encoding="utf-8").rpartition(")")[2].split()
