# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""For how long the primary has given no answer to one who would have heard it. Pure, but for what it remembers."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot

# Seconds between two looks: whoever looked away for longer has not seen what was there meanwhile.
GAP = 20.0


class Silence:
    """Begins anew with any answer of the primary, with anything that a replica has got since the last look, with
    another primary, where fewer than half of the servers answer, and where nobody has looked for a while."""

    def __init__(self) -> None:
        self._since: t.Optional[float] = None
        self._last = 0.0
        self._of = ("", 0)
        #: when the primary was there for certain; nothing that makes the count begin anew changes it
        self._there: t.Optional[float] = None
        self._has: dict[int, t.Optional[History]] = {}

    def look(self, target: Target, seen: Snapshot, now: float) -> float:
        """Seconds of silence up to now."""
        of = (seen.record.primary, seen.record.epoch) if seen.record else ("", 0)
        has = {ordinal: answer.has for ordinal, answer in seen.answers.items() if answer.serves}
        another = of != self._of
        there = self._answers(target, seen) or self._got_more(has)
        if another:
            self._there = None
        if there:
            # At some time after the look before.
            self._there = max(self._last, now - GAP)
        if another or there or self._sees_too_little(target, seen) or now - self._last > GAP:
            self._since = None
        elif self._since is None:
            self._since = now
        self._of, self._last, self._has = of, now, has
        return 0.0 if self._since is None else now - self._since

    def begin_anew(self) -> None:
        """Whoever looked saw too little for a while."""
        self._since = None
        self._has = {}

    def unheard(self, now: float) -> float:
        """Seconds since the primary was there for certain; without end where this process never heard it."""
        return float("inf") if self._there is None else now - self._there

    def _answers(self, target: Target, seen: Snapshot) -> bool:
        ordinal = target.ordinal(seen.record.primary) if seen.record else None
        answer = seen.answers.get(ordinal) if ordinal is not None else None
        return answer is not None and answer.kind is not Kind.UNREACHABLE

    def _sees_too_little(self, target: Target, seen: Snapshot) -> bool:
        if seen.record is None or target.ordinal(seen.record.primary) is None or seen.stateful_set is None:
            return True
        answering = [answer for answer in seen.answers.values() if answer.kind is not Kind.UNREACHABLE]
        return 2 * len(answering) <= seen.stateful_set.replicas

    def _got_more(self, has: t.Mapping[int, t.Optional[History]]) -> bool:
        """What is applied was received before, so only somebody else can have sent more."""
        for ordinal, now in has.items():
            before = self._has.get(ordinal)
            if before is not None and now is not None and not before.contains(now):
                return True
        return False
