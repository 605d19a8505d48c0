# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for something that is asked again and again."""

from __future__ import annotations

import time
import typing as t

from harness.verdict import Failed

Value = t.TypeVar("Value")


# Seconds between two looks.
AGAIN = 0.3


def until(find: t.Callable[[], Value], seconds: float, otherwise: str, but: tuple[type[Exception], ...] = ()) -> Value:
    """What is found as soon as it is true. These exceptions count as no. Raises Failed with what is the matter."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = find()
            if found:
                return found
            why = ""
        except but as problem:
            why = f" ({str(problem)[:200]})"
        if time.monotonic() > end:
            raise Failed(f"{otherwise}{why}")
        time.sleep(AGAIN)
