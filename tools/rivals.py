# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collections that this one is compared with, in a virtual environment of their own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import typing as t

import tree

VENV = tree.ROOT / "build" / "bench-venv"


class NotInstalled(Exception):
    """They could not be had."""


def install(say: t.Callable[[str], None]) -> None:
    """Make it, or leave it where it is as it should be. Takes a minute the first time. Raises NotInstalled."""
    wanted = (tree.ROOT / "requirements" / "bench.txt").read_bytes()
    wanted += (tree.ROOT / "requirements" / "runtime.txt").read_bytes()
    stamp = VENV / ".stamp"
    digest = f"{sys.version_info[:2]} {hashlib.sha256(wanted).hexdigest()}"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    say("Making build/bench-venv with the package ansible (a minute, 700 MB).")
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
    pip: list[t.Any] = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, "-r", tree.ROOT / "requirements" / "bench.txt"], check=True, stdin=subprocess.DEVNULL)
    except subprocess.CalledProcessError as exc:
        raise NotInstalled(
            "The packages of requirements/bench.txt could not be installed: pip says why, above."
        ) from exc
    stamp.write_text(digest, encoding="utf-8")
