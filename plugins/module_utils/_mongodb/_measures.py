# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What runs out on a member: the room on its disk, and the time that its oplog reaches back. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

# Per cent of a disk in use, from which on it is a problem: mongod stops where it is full.
DISK_LIMIT = 85
# Hours. A member that is away for longer than the oplog reaches back has to copy everything anew.
SHORTEST_OPLOG = 24
# Of its largest size, from which on an oplog drops old entries. One that is smaller reaches back to the beginning.
FULL_FROM = 0.9


@dataclasses.dataclass(frozen=True)
class Disk:
    """The file system that a member's data is on, in bytes."""

    used: int
    total: int

    @property
    def percent(self) -> int:
        return round(100 * self.used / self.total) if self.total else 0

    def facts(self) -> dict[str, int]:
        return {"used_bytes": self.used, "total_bytes": self.total, "used_percent": self.percent}


@dataclasses.dataclass(frozen=True)
class Oplog:
    """Times in seconds since the epoch, sizes in bytes."""

    first: int
    newest: int
    size: int
    largest: int

    @property
    def hours(self) -> float:
        return round((self.newest - self.first) / 3600, 2)

    @property
    def drops(self) -> bool:
        """Whether it drops old entries by now."""
        return bool(self.largest) and self.size >= FULL_FROM * self.largest

    def facts(self) -> dict[str, t.Any]:
        return {"hours": self.hours, "size_bytes": self.size, "max_bytes": self.largest, "drops": self.drops}


@dataclasses.dataclass(frozen=True)
class Measures:
    """What could be found out; a member may go away in between."""

    disk: t.Optional[Disk] = None
    oplog: t.Optional[Oplog] = None


def problems(pods: t.Mapping[int, str], measured: t.Mapping[int, Measures]) -> list[str]:
    """What a person on call should know of them, one sentence each."""
    found = []
    for ordinal, one in sorted(measured.items()):
        if one.disk and one.disk.percent > DISK_LIMIT:
            found.append(f"{pods[ordinal]}: its disk is {one.disk.percent} % full")
        if one.oplog and one.oplog.drops and one.oplog.hours < SHORTEST_OPLOG:
            found.append(
                f"{pods[ordinal]}: its oplog reaches back {one.oplog.hours} h only; a member that is away for longer "
                "has to copy everything anew"
            )
    return found
