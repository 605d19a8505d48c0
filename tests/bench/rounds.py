# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rounds in which every way takes its turn, and what comes out of them."""

from __future__ import annotations

import statistics
import typing as t

Item = t.TypeVar("Item")


def turned(items: t.Sequence[Item], by: int) -> list[Item]:
    by %= len(items)
    return [*items[by:], *items[:by]]


def ratios(above: t.Sequence[float], below: t.Sequence[float]) -> list[float]:
    """Round by round, so that a machine which becomes slower in the meantime does not count."""
    return [high / low for high, low in zip(above, below, strict=True)]


def figure(values: t.Sequence[float], unit: str = "") -> str:
    if not values:
        return "-"
    text = f"{statistics.median(values):.2f}{unit}"
    return f"{text} ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else text


def aligned(cells: t.Sequence[t.Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )
