# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Several requests at once."""

from __future__ import annotations

import concurrent.futures
import typing as t

# Requests in flight at once. The API server's own fairness allows one client far more.
AT_ONCE = 8

T = t.TypeVar("T")
U = t.TypeVar("U")


def in_parallel(function: t.Callable[[T], U], items: t.Iterable[T]) -> list[U]:
    """Results in order. All calls end before the first error is raised, so nothing goes on behind it."""
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with concurrent.futures.ThreadPoolExecutor(min(AT_ONCE, len(todo))) as pool:
        return [future.result() for future in [pool.submit(function, item) for item in todo]]
