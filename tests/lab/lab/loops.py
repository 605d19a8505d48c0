# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Loop devices on files of the lab."""

from __future__ import annotations

from pathlib import Path

from lab import shell

BLOCK_DEVICES = Path("/sys/block")


def below(folder: Path, devices: Path = BLOCK_DEVICES) -> list[str]:
    """The loop devices on files under a folder, of deleted ones too; those made last come first."""
    found = []
    for state in devices.glob("loop*/loop/backing_file"):
        try:
            file = Path(state.read_text().rstrip("\n"))
        except OSError:
            continue  # it went away meanwhile
        if file.is_relative_to(folder):
            found.append(state.parents[1].name)
    # The kubelet holds a raw volume by a loop device on a loop device.
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[4:]), reverse=True)]


def detach(folder: Path) -> None:
    """Give back the loop devices on files under a folder: at once, or with the last mount of each."""
    for device in below(folder):
        shell.run([shell.program("losetup"), "--detach", device], check=False)
