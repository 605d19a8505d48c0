# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Every name, number and path."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.settings import DEFAULT_HOME, HOME_VARIABLE

SNAPSHOT = "booted"
MEMORY = 1024
PROCESSORS = 2
MAC = "52:54:00:5a:4e:01"
# Seconds. A boot in software emulation takes 15 to 30 on a quiet machine of two processors, and minutes on a busy one.
BOOT_TIMEOUT = 600
WAKE_TIMEOUT = 120


@dataclass(frozen=True)
class Settings:
    """All machines of all clones are in one folder, with the images that they share."""

    home: Path

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).resolve() / "vm")

    @property
    def machines(self) -> Path:
        return self.home / "machines"


@dataclass(frozen=True)
class Machine:
    """One machine's files."""

    name: str
    folder: Path

    @classmethod
    def named(cls, settings: Settings, name: str) -> Machine:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", name):
            raise LabError(
                f"The name of a machine is made of at most 32 lower-case letters, digits and hyphens; found {name!r}."
            )
        return cls(name, settings.machines / name)

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def ports(self) -> Path:
        """Which ports of this machine lead to which of the virtual one, as JSON."""
        return self.folder / "ports.json"

    @property
    def monitor(self) -> Path:
        return self.folder / "monitor"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def log(self) -> Path:
        return self.folder / "qemu.log"
