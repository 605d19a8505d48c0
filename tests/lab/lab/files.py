# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Files that are either whole or not there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lab import mounts


def write(path: Path, content: str | bytes, mode: int = 0o644) -> bool:
    """Write a file atomically; say whether that changed it."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data and path.stat().st_mode & 0o7777 == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    unfinished.rename(path)
    return True


def remove(path: Path) -> None:
    """Remove a file or a whole folder, if it is there.

    What is mounted below it is unmounted before, lest the removal goes on in there: a killed mmdebstrap leaves the
    machine's /dev in such a place.
    """
    if path.is_dir() and not path.is_symlink():
        mounts.unmount(path)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_if_empty(*folders: Path) -> None:
    """Remove folders outside the lab's own that it, perhaps alone, had something in."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def tree(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def digest(*parts: str | bytes | Path | Iterable[Path]) -> str:
    """A short key of texts, files and sets of files; where a file lies does not matter, its name does."""
    total = hashlib.sha256()

    def add(data: bytes) -> None:
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)

    for part in parts:
        if isinstance(part, str):
            add(part.encode())
        elif isinstance(part, bytes):
            add(part)
        else:
            for path in [part] if isinstance(part, Path) else part:
                add(path.name.encode())
                add(path.read_bytes())
    return total.hexdigest()[:16]
