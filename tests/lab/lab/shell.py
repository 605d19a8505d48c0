# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Commands of the machine that the lab runs to their end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import LabError

# An ordinary user's PATH lacks these, and sudo may hand that PATH on.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


def search_path() -> str:
    entries = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join([entry for entry in entries if entry] + [e for e in SYSTEM_FOLDERS if e not in entries])


def find(program: str) -> str | None:
    return shutil.which(program, path=search_path())


def program(name: str) -> str:
    path = find(name)
    if path is None:
        raise LabError(f"The program {name} is not on this machine. `lab up` installs it; run that first.")
    return path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PATH": search_path(), "LC_ALL": "C.UTF-8", **(extra or {})}


def last_lines(text: str, count: int = 12) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join("    " + line[:300] for line in lines[-count:])


def end_with_parent() -> list[str]:
    """What to put before a command that the kernel is to end should this program be killed.

    Otherwise a compiler would go on for minutes beside the one that the next run starts.
    """
    setpriv = find("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def run(
    command: Sequence[str | Path],
    *,
    check: bool = True,
    text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and say what it printed should it fail."""
    try:
        result = subprocess.run(
            [str(word) for word in command],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment(env),
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(map(str, command))} did not end within {timeout:.0f} s.") from error
    if check and result.returncode:
        said = last_lines(result.stderr) or last_lines(result.stdout)
        raise LabError(f"{' '.join(map(str, command))[:300]} ended with {result.returncode}:\n{said}")
    return result
