# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a scenario lets happen at a change: the run is killed, the API server goes away, two runs meet."""

from __future__ import annotations

import concurrent.futures
import threading
import typing as t

from harness.playbook import BOTH, PLAYBOOK, WORKER, Run
from harness.proxy import Change, Gate
from harness.verdict import Failed

BEFORE, AFTER = "before", "after"
# Seconds in which a run has to reach the change at which something is to happen.
REACHED_WITHIN = 120
# Seconds that a change waits for the same one of another run.
MEET_WITHIN = 3.0
# The ways to be killed, in an order in which each point meets another one.
WAYS = ((BEFORE, BOTH), (AFTER, WORKER), (BEFORE, PLAYBOOK), (AFTER, BOTH), (BEFORE, WORKER), (AFTER, PLAYBOOK))


class Point(t.NamedTuple):
    """The nth change of a kind."""

    what: str
    nth: int

    def __str__(self) -> str:
        return self.what if self.nth == 1 else f"{self.what} (number {self.nth})"


class At(Gate):
    """Does something once: right before a certain change is made, or after it and before the run learns of it."""

    def __init__(self, what: str, moment: str, happen: t.Callable[[], bool], nth: int = 1) -> None:
        """``what``: the nth change of this kind. ``happen`` tells whether it may go on."""
        self._what = what
        self._left = nth
        self._lock = threading.Lock()
        self._moment = moment
        self._happen = happen
        self._done: concurrent.futures.Future[Change] = concurrent.futures.Future()

    def before(self, change: Change) -> bool:
        return self._moment != BEFORE or self._pass(change)

    def after(self, change: Change) -> bool:
        return self._moment != AFTER or self._pass(change)

    def _pass(self, change: Change) -> bool:
        with self._lock:
            self._left -= self._what == change.what
            if self._what != change.what or self._left != 0:
                return True
        try:
            goes_on = self._happen()
        except BaseException as problem:
            self._done.set_exception(problem)
            return False
        self._done.set_result(change)
        return goes_on

    def wait(self) -> Change:
        """Wait until it happened, and return the change at which it did."""
        try:
            return self._done.result(timeout=REACHED_WITHIN)
        except concurrent.futures.TimeoutError:
            raise Failed(f"The run did not come to {self._what}.") from None


class Kill(At):
    """Kills the run; ``attach`` names it once it was started."""

    def __init__(self, what: str, moment: str, whom: str, nth: int = 1) -> None:
        super().__init__(what, moment, self._kill, nth)
        self._title = f"killed {whom} {moment} {Point(what, nth)}"
        self._whom = whom
        self._run: concurrent.futures.Future[Run] = concurrent.futures.Future()
        self.workers: list[int] = []

    def __str__(self) -> str:
        return self._title

    def attach(self, run: Run) -> None:
        self._run.set_result(run)

    def _kill(self) -> bool:
        self.workers = self._run.result(timeout=10).kill(self._whom)
        return False


class Meet(Gate):
    """Holds a change until another run is about to make the same, so that both are sent in the same moment."""

    def __init__(self, what: str, runs: int = 2) -> None:
        self._what = what
        self._barrier = threading.Barrier(runs)
        self.met = False

    def before(self, change: Change) -> bool:
        if change.what == self._what and not self._barrier.broken:
            try:
                self._barrier.wait(timeout=MEET_WITHIN)
                self.met = True
            except threading.BrokenBarrierError:
                # The other run does not come, because it found the work done: then there is nothing to meet.
                return True
        return True
