# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What is mounted under the lab's folders."""

from __future__ import annotations

import ctypes
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from lab import machine
from lab.errors import LabError

MNT_DETACH = 2
THAW = 0xC0045878


def below(folder: Path) -> list[Path]:
    """Mount points under a folder, the one mounted last first."""
    return [mount.target for mount in reversed(machine.mounts()) if mount.target.is_relative_to(folder)]


def thaw(folder: Path) -> None:
    """Let XFS under a folder take writes again, should a storage driver have been killed while it took a snapshot.

    Otherwise nobody who writes there could be ended, and the device would stay behind.
    """
    for mount in machine.mounts():
        if mount.type == "xfs" and mount.target.is_relative_to(folder):
            with suppress(OSError):  # what does not stand still says so by an error
                place = os.open(mount.target, os.O_RDONLY)
                try:
                    fcntl.ioctl(place, THAW, 0)
                finally:
                    os.close(place)


def unmount(folder: Path) -> None:
    """Unmount everything under a folder.

    Detached at once: a process that is about to end may still hold a file. A mount point can carry several mounts.
    """
    library = ctypes.CDLL(None, use_errno=True)
    for _round in range(8):
        found = below(folder)
        if not found:
            return
        for target in found:
            library.umount2(os.fsencode(target), MNT_DETACH)
    raise LabError(f"These could not be unmounted: {', '.join(map(str, below(folder)))}.")
