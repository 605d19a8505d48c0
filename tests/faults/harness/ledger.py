# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was acknowledged, and when: on disk before the next write is sent, so that no crash of the test loses it."""

from __future__ import annotations

import itertools
import os
import pathlib
import time
import typing as t


class Entry(t.NamedTuple):
    number: int
    #: seconds since the epoch
    at: float


class Ledger:
    """One line for each acknowledged write. Use it as a context manager."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8")
        # A clock that is set in the middle must not look like a gap.
        self._epoch = time.time() - time.monotonic()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *unused: object) -> None:
        self._file.close()

    def now(self) -> float:
        return self._epoch + time.monotonic()

    def acknowledge(self, number: int) -> None:
        self._file.write(f"{number} {self.now():.6f}\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def read(path: pathlib.Path) -> list[Entry]:
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        number, at = line.split()
        entries.append(Entry(int(number), float(at)))
    return entries


def lost(entries: t.Iterable[Entry], present: t.Collection[int]) -> list[int]:
    """The acknowledged numbers that are not there."""
    return sorted({entry.number for entry in entries} - set(present))


def longest_gap(entries: t.Sequence[Entry], end: float) -> float:
    """The longest time in seconds without an acknowledgement, from the first one to the end of writing."""
    times = [*sorted(entry.at for entry in entries), end]
    return max((after - before for before, after in itertools.pairwise(times)), default=0.0)
