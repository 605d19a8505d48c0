# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes numbered records without a pause, whatever happens to the application meanwhile."""

from __future__ import annotations

import itertools
import threading
import time
import typing as t

from harness.ledger import Ledger
from harness.verdict import Failed

# Seconds between two writes: enough of them to see a loss, few enough to leave the machine to the application.
PACE = 0.02
# Seconds until the next attempt after one that failed.
AGAIN = 0.1


class NotWritten(Exception):
    """This write was not acknowledged: it may be there or not. The next one may succeed."""


class Session(t.Protocol):
    """A connection to the application that takes writes."""

    def write(self, number: int) -> None:
        """Return when the write is acknowledged by as many members as can never lose it. Raises NotWritten."""

    def close(self) -> None: ...


class Writer:
    """Use it as a context manager: it writes from entering to leaving.

    A number is never sent twice: whether an unacknowledged write arrived does not matter, and nothing is overwritten.
    """

    def __init__(self, connect: t.Callable[[], Session], ledger: Ledger, first: int = 1) -> None:
        self._connect = connect
        self._next = first
        self._ledger = ledger
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._session: t.Optional[Session] = None
        self._broken: t.Optional[BaseException] = None
        self.acknowledged = 0
        #: when each write was acknowledged, by the ledger's clock
        self.times: list[float] = []
        #: when writing ended, by the ledger's clock
        self.ended = 0.0
        #: why the last attempt failed
        self.obstacle = ""

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End, once the write that is under way has ended. May be called again."""
        self._stop.set()
        self._thread.join(timeout=60)
        self.ended = self.ended or self._ledger.now()
        if self._thread.is_alive():
            raise Failed("The writer does not end: a write neither succeeds nor fails.")
        if self._broken:
            raise Failed(f"The writer broke: {self._broken!r}") from self._broken

    def wait_for(self, writes: int, seconds: float) -> None:
        """Wait until so many more writes were acknowledged. Raises Failed."""
        wanted, until = self.acknowledged + writes, time.monotonic() + seconds
        while self.acknowledged < wanted:
            if self._broken:
                raise Failed(f"The writer broke: {self._broken!r}") from self._broken
            if time.monotonic() > until:
                missing = wanted - self.acknowledged
                raise Failed(
                    f"{missing} of {writes} awaited writes were not acknowledged in {seconds:.0f} s: {self.obstacle}"
                )
            time.sleep(0.02)

    def gaps(self, since: int, longer_than: float = 0.0) -> list[float]:
        """Seconds between two acknowledgements, from the one before the ``since``-th write to now."""
        times = self.times[max(0, since - 1) :]
        return [after - before for before, after in itertools.pairwise(times) if after - before > longer_than]

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                number, self._next = self._next, self._next + 1
                try:
                    if self._session is None:
                        self._session = self._connect()
                    self._session.write(number)
                except NotWritten as why:
                    self.obstacle = str(why)
                    self._drop()
                    self._stop.wait(AGAIN)
                else:
                    self._ledger.acknowledge(number)
                    self.times.append(self._ledger.now())
                    self.acknowledged += 1
                    self._stop.wait(PACE)
        except BaseException as problem:
            self._broken = problem
        finally:
            self.ended = self._ledger.now()
            self._drop()

    def _drop(self) -> None:
        if self._session:
            self._session.close()
            self._session = None
