# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One snapshot beside what is declared: who may write, who follows, who cannot, and why. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History, Transactions
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind, Record, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

WAIT = "wait"
#: what a source says of transactions that it cannot hand on any more
PURGED = "1236"


class View:
    def __init__(self, target: Target, desired: Desired, seen: Snapshot) -> None:
        self.target = target
        self.desired = desired
        self.seen = seen

    @property
    def record(self) -> Record:
        return t.cast(Record, self.seen.record)

    @property
    def primary(self) -> int:
        """By the record."""
        return t.cast(int, self.target.ordinal(self.record.primary))

    @property
    def primary_answer(self) -> Answer:
        return self.seen.answer(self.primary)

    @property
    def promoted(self) -> bool:
        """Whether the recorded primary is one, by its own data too."""
        answer = self.primary_answer
        mine = (self.record.primary, self.record.epoch)
        return answer.serves and answer.own == mine and not answer.read_only and answer.source is None

    @property
    def swap_pending(self) -> bool:
        """Whether the recorded primary has yet to put restored files in the place of its data."""
        return self.record.swapping and self.primary_answer.own != (self.record.primary, self.record.epoch)

    @property
    def present(self) -> list[int]:
        """Ordinals that are declared or still there."""
        replicas = self.seen.stateful_set.replicas if self.seen.stateful_set else 0
        return sorted({*self.desired.ordinals, *self.seen.pods, *range(replicas)})

    @property
    def replicas(self) -> list[int]:
        return [ordinal for ordinal in self.present if ordinal != self.primary]

    def pod(self, ordinal: int) -> Pod:
        return self.seen.pods.get(ordinal) or Pod(self.target.pod(ordinal), running=False, obstacle="is not there yet")

    def attached(self, ordinal: int) -> bool:
        """Whether it is to replicate from the primary, whatever comes of it."""
        source = self.seen.answer(ordinal).source
        return bool(source and source.host == self.target.host(self.primary))

    def follows(self, ordinal: int) -> bool:
        answer = self.seen.answer(ordinal)
        return bool(answer.serves and self.attached(ordinal) and answer.source and answer.source.runs)

    def fit(self, ordinal: int) -> bool:
        """Whether it follows closely, so that another one may be taken away."""
        return not self.unfit(ordinal)

    def unfit(self, ordinal: int) -> str:
        """Why it cannot stand in for another one; empty where it can."""
        answer, pod = self.seen.answer(ordinal), self.pod(ordinal)
        name = self.target.pod(ordinal)
        if pod.deleting:
            return f"{name} is about to end"
        if not answer.serves:
            return f"{name} does not answer: {answer.detail or pod.obstacle or answer.kind.value}"
        if not self.follows(ordinal) or answer.source is None:
            return f"{name} does not replicate from {self.record.primary}"
        if answer.source.receiver != "Yes":
            why = f": {answer.source.error}" if answer.source.denied else ""
            return f"{name} has no connection to {self.record.primary}{why}"
        if answer.source.lag is None or answer.source.lag > self.desired.lag_limit:
            behind = "an unknown time" if answer.source.lag is None else f"{answer.source.lag:.0f} s"
            return f"{name} is {behind} behind"
        return ""

    def errant(self, ordinal: int) -> t.Optional[Transactions]:
        """What a server has and the primary has not, where both answered; None where it has nothing of that kind.

        A replica may have a transaction before the primary says that it is committed: those of a primary that it
        follows are no surprise.
        """
        answer, primary = self.seen.answer(ordinal), self.primary_answer
        if answer.has is None or primary.has is None:
            return None
        more: Transactions = answer.has.minus(primary.has)
        if self.follows(ordinal):
            more = more.of_others(primary.identity)
        return more or None

    def lost_source(self, ordinal: int) -> bool:
        """Whether it lacks transactions that the primary cannot hand on any more."""
        answer, primary = self.seen.answer(ordinal), self.primary_answer
        if answer.has is not None and primary.purged is not None and not answer.has.contains(primary.purged):
            return True
        source = answer.source
        return bool(source and self.attached(ordinal) and source.receiver == "No" and PURGED in source.error)

    def broken(self, ordinal: int) -> str:
        """Why a server cannot go on with the data that it has; empty where it can."""
        answer = self.seen.answer(ordinal)
        if ordinal == self.primary or not answer.serves or not self.primary_answer.serves:
            return ""
        name, primary = self.target.pod(ordinal), self.record.primary
        errant = self.errant(ordinal)
        if errant:
            return f"{name} has {errant.describe()} that {primary} has not"
        if self.lost_source(ordinal):
            return f"{name} lacks transactions that {primary} has no binary logs of any more"
        source = answer.source
        if source and source.applier == "No" and source.apply_error:
            return f"{name} cannot apply what it has received: {source.apply_error}"
        if source and self.attached(ordinal) and source.error and not source.runs:
            return f"{name} stopped replicating: {source.error}"
        return ""

    @property
    def pending(self) -> bool:
        """Whether a primary that was given up is yet to be seen gone."""
        record = self.record
        ordinal = self.target.ordinal(record.dismissed) if record.dismissed else None
        if ordinal is None:
            return False
        pod = self.seen.pods.get(ordinal)
        return not record.dismissed_uid or (pod is not None and pod.uid == record.dismissed_uid)

    @property
    def going(self) -> t.Optional[int]:
        """The one that was given up and is yet to be seen gone, if there is such a one."""
        return self.target.ordinal(self.record.dismissed) if self.pending else None

    def may_hold_data(self, ordinal: int) -> bool:
        """Of one that does not answer nobody knows: it may have acknowledged something, and have it alone."""
        return ordinal in self.seen.pods or bool(self.seen.claims.get(ordinal))

    @property
    def servers_asked(self) -> list[int]:
        return [ordinal for ordinal in self.present if self.seen.answer(ordinal).executed is not None]

    def most(self, ordinals: t.Sequence[int]) -> t.Optional[int]:
        """One that stays and has everything that any of these has, the recorded primary before others; or None."""
        has = {ordinal: t.cast(History, self.seen.answer(ordinal).has) for ordinal in ordinals}
        best = [o for o in ordinals if self.stays(o) and all(has[o].contains(has[other]) for other in ordinals)]
        return self.primary if self.primary in best else next(iter(best), None)

    def stays(self, ordinal: int) -> bool:
        replicas = self.seen.stateful_set.replicas if self.seen.stateful_set else 0
        return ordinal < replicas and not self.pod(ordinal).deleting

    def receives(self, ordinal: int) -> bool:
        """Whether it takes transactions from another one, or tries to."""
        source = self.seen.answer(ordinal).source
        return bool(source and source.receiver != "No")

    def said(self, ordinal: int) -> str:
        """One line of evidence."""
        answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
        if answer.kind is Kind.REFUSED:
            return f"{name} answers, and cannot be asked ({answer.detail or 'it refuses the login'})"
        if not answer.serves:
            return f"{name} does not answer ({answer.detail or self.pod(ordinal).obstacle or 'no reason known'})"
        has = f"has {answer.has}" if answer.has else "has no transaction"
        how = "read-only" if answer.read_only else "writable"
        return f"{name} is {how} and {has}"

    def evidence(self) -> tuple[str, ...]:
        record = self.seen.record
        recorded = (f"recorded is primary {record.primary} in epoch {record.epoch}",) if record else ()
        return (*(self.said(ordinal) for ordinal in self.present), *recorded)

    def wait(self, sentence: str) -> Step:
        return Step(WAIT, self.target.name, sentence, change=False)
