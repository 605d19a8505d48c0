# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""One calm line for each thing that takes time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT = 10.0
# What is over sooner than this is not worth a line.
QUIET = 2.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{seconds:.1f}s" if seconds < 10 else f"{rest}s"


class Work:
    """A running piece of work; `detail` says where it stands."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started = time.monotonic()

    def line(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.title} … {elapsed(time.monotonic() - self.started)}{detail}"


# What is being done at this moment, by several threads perhaps; a terminal shows the piece that began last.
current: list[Work] = []


@contextmanager
def work(title: str, *, quiet: bool = False) -> Iterator[Work]:
    """Tell that something is being done: one moving line on a terminal, else a line every ten seconds.

    Quiet work says nothing unless it lasts.
    """
    piece = Work(title)
    over = threading.Event()
    terminal = sys.stderr.isatty()

    def heartbeat() -> None:
        if quiet and over.wait(QUIET):
            return
        if not terminal:
            say(piece.line() if quiet else f"{title} …")
        while not over.wait(0.2 if terminal else HEARTBEAT):
            if not terminal:
                say(piece.line())
            elif current[-1:] == [piece]:
                print(f"\r\x1b[K{piece.line()}", end="", file=sys.stderr, flush=True)

    thread = threading.Thread(target=heartbeat, daemon=True)
    current.append(piece)
    thread.start()
    failed = True
    try:
        yield piece
        failed = False
    finally:
        over.set()
        thread.join()
        current.remove(piece)
        took = time.monotonic() - piece.started
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if not quiet or took > QUIET:
            say(f"{title}: {'failed after' if failed else 'done in'} {elapsed(took)}")
