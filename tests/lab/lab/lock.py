# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""One command at a time, and one lab on a machine."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from lab import processes, progress
from lab.errors import LabError

# Not in the lab's folder: the bridge and the ports are the machine's, whatever folder is used.
FOLDER = Path("/run/stateful-lab")


@contextmanager
def exclusive(home: Path, command: str) -> Iterator[None]:
    """Hold the machine's lock while a command runs; a second one waits and says for whom."""
    file = acquire()
    with file:
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "command": command, "home": str(home), "since": time.time()}))
        file.flush()
        yield
        # The kernel lets go of the lock even when this process is killed; the note only serves to name the holder.
        file.truncate(0)


def acquire() -> TextIO:
    path = FOLDER / "lock"
    while True:
        FOLDER.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.work(f"waiting for {holder(path)}"):
                fcntl.flock(file, fcntl.LOCK_EX)
        # `clean` removes the file while it holds it: whoever waited for that one starts over with the new one.
        if same(path, file):
            return file
        file.close()


def same(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def holder(path: Path) -> str:
    try:
        note = json.loads(path.read_text())
        since = time.strftime("%H:%M:%S", time.localtime(note["since"]))
        return f"`lab {note['command']}` of process {note['pid']} in {note['home']}, running since {since}"
    except (OSError, ValueError, KeyError):
        return "another lab command"


def claim(home: Path) -> None:
    """Refuse to bring a lab up beside one in another folder."""
    note = FOLDER / "home"
    other = Path(note.read_text().strip()) if note.exists() else home
    if other != home and processes.running(other):
        raise LabError(
            f"A lab in {other} is up, and a machine has room for one: they share the bridge and the ports. "
            f"Use that one, or stop it with `STATEFUL_LAB_HOME={other} {sys.argv[0]} down`."
        )
    note.write_text(f"{home}\n")


def release(home: Path) -> None:
    note = FOLDER / "home"
    if note.exists() and note.read_text().strip() == str(home):
        note.unlink()


def forget() -> None:
    """Remove the folder; only for the holder of the lock."""
    for name in ("home", "lock"):
        (FOLDER / name).unlink(missing_ok=True)
    with suppress(OSError):
        FOLDER.rmdir()
