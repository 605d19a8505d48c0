# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The lab's own long-running processes.

A process is recognised by a mark in its environment, never by a number in a file: numbers are given away again, and a
command killed between starting a process and noting its number would lose it. The mark names the lab's folder, the
process, and a digest of what it was started with, so that a process with outdated settings is noticed too.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab import files, progress
from lab.errors import LabError
from lab.shell import last_lines, search_path

MARK = "STATEFUL_LAB_PROCESS"
LOG_LIMIT = 32 << 20


@dataclass(frozen=True)
class Process:
    """A process that the lab wants to run."""

    name: str
    command: Sequence[str | Path]
    log: Path
    # Files whose content decides how the process behaves; a change restarts it.
    configuration: Sequence[Path] = ()
    # A port it must be able to listen on.
    port: int | None = None
    # Where it listens on that port: nowhere but there, or on every address.
    address: str = ""
    # What it needs in its environment beyond what all have.
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        return [str(word) for word in self.command]

    @property
    def program(self) -> str:
        """The name the process goes by once a wrapper such as nsenter has replaced itself."""
        after_options = [word for word in self.words[1:] if not word.startswith("-")]
        return Path(after_options[0] if Path(self.words[0]).name == "nsenter" else self.words[0]).name

    @property
    def digest(self) -> str:
        own = [f"{name}={value}" for name, value in sorted(self.environment.items())]
        return files.digest("\0".join([*self.words, *own]), *self.configuration)


@dataclass(frozen=True)
class Running:
    """A process of the lab that is alive."""

    pid: int
    name: str
    digest: str


def mark(home: Path, process: Process) -> str:
    return f"{home}|{process.name}|{process.program}|{process.digest}"


def read_environment(pid: int, proc: Path = Path("/proc")) -> dict[str, str]:
    try:
        raw = (proc / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}


def state_and_session(pid: int, proc: Path = Path("/proc")) -> tuple[str, int]:
    """Read the stat file of a process."""
    text = (proc / str(pid) / "stat").read_text()
    # The command's name stands in brackets and may hold blanks and brackets itself.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[3])


def owned(pid: int, home: Path, proc: Path = Path("/proc")) -> Running | None:
    """The lab's process with this number, or None where it is not a process that the lab itself started.

    Children inherit the mark; the process that was started is the one that leads its session and bears the name.
    """
    marked = read_environment(pid, proc).get(MARK, "").split("|")
    if len(marked) != 4 or marked[0] != str(home):
        return None
    try:
        state, session = state_and_session(pid, proc)
        command = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    if session != pid or state in "ZX" or Path(command[0].decode(errors="replace")).name != marked[2]:
        return None
    return Running(pid, marked[1], marked[3])


def started_at(pid: int) -> float:
    """When a process was started, in seconds since the epoch."""
    text = Path("/proc", str(pid), "stat").read_text()
    ticks = int(text[text.rindex(")") + 2 :].split()[19])
    [boot] = [line.split()[1] for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")]
    return int(boot) + ticks / os.sysconf("SC_CLK_TCK")


def pids(proc: Path = Path("/proc")) -> list[int]:
    return [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]


def running(home: Path) -> dict[str, Running]:
    found = (owned(pid, home) for pid in pids())
    return {process.name: process for process in found if process}


def inherited(home: Path) -> list[int]:
    """Everything alive that descends from the lab's processes, shims and helpers included."""
    prefix = f"{home}|"
    return [pid for pid in pids() if pid != os.getpid() and read_environment(pid).get(MARK, "").startswith(prefix)]


def is_alive(pid: int) -> bool:
    try:
        # A process whose first thread is gone may have others that still hold its ports and locks.
        return state_and_session(pid)[0] not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (OSError, ValueError):
        return False


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def kill(targets: Iterable[int]) -> None:
    stop(targets, patience=0)


def stop(targets: Iterable[int], *, patience: float = 10.0) -> None:
    """Ask processes to end, and end those that do not."""
    left = [pid for pid in targets if is_alive(pid)]
    for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0))[0 if patience else 1 :]:
        for pid in left:
            send(pid, number)
        deadline = time.monotonic() + wait
        while left and time.monotonic() < deadline:
            left = [pid for pid in left if is_alive(pid)]
            if left:
                time.sleep(0.02)
    if left:
        raise LabError(f"Processes that do not end even when killed: {', '.join(map(str, left))}.")


def shorten_log(path: Path) -> None:
    """Keep one older log. Whoever still writes appends, so the file is cut in place."""
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        with path.open("rb") as file:
            file.seek(-LOG_LIMIT // 2, os.SEEK_END)
            files.write(path.with_suffix(".log.old"), file.read(), 0o640)
        os.truncate(path, 0)


def port_holder(port: int, address: str = "") -> str | None:
    """Why a port cannot be listened on, if it cannot."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.strerror
    return None


def wait_for_port(port: int, address: str = "") -> str | None:
    """Give a predecessor that has just ended a moment to let go of the port."""
    deadline = time.monotonic() + 3
    while (reason := port_holder(port, address)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return reason


def base_environment() -> dict[str, str]:
    """What a process gets of this command's environment: no more than it needs, for it stays for long."""
    kept = ("HOME", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": search_path(),
        "LC_ALL": "C.UTF-8",
    }


def start(process: Process, home: Path) -> int:
    """Start a process in a session of its own, with its output in its log."""
    if process.port and (reason := wait_for_port(process.port, process.address)):
        raise LabError(
            f"{process.name} listens on port {process.port}, which another program holds ({reason}). "
            f"Find it with `ss -ltnp sport = :{process.port}`, stop it, and run `up` again."
        )
    process.log.parent.mkdir(parents=True, exist_ok=True)
    shorten_log(process.log)
    with process.log.open("ab") as log:
        log.write(f"--- {time.strftime('%F %T')} start of {' '.join(process.words)}\n".encode())
        log.flush()
        # A session of its own: an interrupt on the terminal, or the end of a login, is not for it.
        started = subprocess.Popen(
            process.words,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
            env={**base_environment(), **process.environment, MARK: mark(home, process)},
        )
    # It outlives this command, which therefore must not complain that it did not wait for it.
    started.returncode = 0
    return started.pid


def ensure(wanted: Sequence[Process], home: Path) -> list[str]:
    """Start what does not run, restart what runs with other settings; the names of those started."""
    alive = running(home)
    outdated = [alive[p.name].pid for p in wanted if p.name in alive and alive[p.name].digest != p.digest]
    stop(outdated)
    missing = [p for p in wanted if p.name not in alive or alive[p.name].pid in outdated]
    for process in missing:
        start(process, home)
    return [process.name for process in missing]


# Set when a command gives up, so that waits in its other threads end, too.
given_up = threading.Event()


def explain(process: Process) -> str:
    text = process.log.read_text(errors="replace") if process.log.exists() else ""
    text = text[text.rfind("--- ") :]
    telling = [line for line in text.splitlines() if line[:1] in "EF" or "error" in line.lower() or "panic" in line]
    shown = last_lines("\n".join(telling)) or last_lines(text) or "    (it wrote nothing)"
    return f"Its log is {process.log}; the last lines that tell something:\n{shown}"


def wait_until(
    what: str,
    ready: Callable[[], bool],
    *,
    timeout: float,
    needs: Sequence[Process] = (),
    home: Path | None = None,
    detail: Callable[[], str] | None = None,
) -> None:
    """Ask every tenth of a second; fail early when a process that it takes is gone."""
    deadline = time.monotonic() + timeout
    asked = 0
    with progress.work(f"waiting for {what}", quiet=True) as current:
        while not ready():
            asked += 1
            if given_up.is_set():
                raise LabError(f"Gave up waiting for {what}.")
            if needs and home and asked % 10 == 0:
                alive = running(home)
                for gone in (process for process in needs if process.name not in alive):
                    raise LabError(f"Waiting for {what}, but {gone.name} has ended. {explain(gone)}")
            if time.monotonic() > deadline:
                reason = detail() if detail else "\n".join(map(explain, needs[-1:]))
                raise LabError(f"Waited {timeout:.0f} s for {what}, in vain. {reason}")
            if detail and asked % 20 == 0:
                current.detail = detail()
            time.sleep(0.1)
