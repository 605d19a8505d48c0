# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The planner: what is left to do for replicated MySQL or MariaDB, in order, from one snapshot alone. Pure.

Who may write is decided by the record, a ConfigMap that only compare-and-set changes, and by a row in the primary's own
data. Each server reads both when it starts, so a killed run leaves at most one that takes writes, and often none until
the next run.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql import _memory as memory
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import Transactions
from ansible_collections.stateful.kube.plugins.module_utils._mysql._importing import leave_alone
from ansible_collections.stateful.kube.plugins.module_utils._mysql._rolling import Rolling
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import (
    APPLY,
    ATTACH,
    COPY,
    DETACH,
    DISMISS,
    FENCE,
    FORGET_COPY,
    HALT,
    HAND_BACK,
    LABEL,
    NOTE,
    PROMOTE,
    RECORD,
    REPLACE,
    ROUTE,
    SCALE,
    SETTLE,
    UNWAIT,
    WAITS,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


def plan(target: Target, desired: Desired, seen: Snapshot) -> t.Union[Plan, Refusal]:
    """The whole ordered list of steps. The first one is safe now; the others follow when their turn comes."""
    view = View(target, desired, seen)
    if seen.record and seen.record.importing:
        return leave_alone(view)
    planner = _Planner(view)
    try:
        steps = planner.steps()
        planner.insist(steps)
    except _Refused as refused:
        return refused.refusal
    return Plan(tuple(steps), tuple(planner.warnings()))


def waiting_for(target: Target, desired: Desired, seen: Snapshot) -> t.Optional[str]:
    """What must be in the cluster before anything can be done, or None."""
    found = seen.stateful_set
    if not found:
        return f"there is no StatefulSet {target.name} in namespace {target.namespace}"
    if found.replicas < desired.members:
        return (
            f"the StatefulSet {target.name} has {found.replicas} replicas and members is {desired.members}: give it "
            "the replicas first"
        )
    if not seen.secret:
        return f"there is no Secret {target.root_secret} in namespace {target.namespace} (root_secret)"
    return None


def halt(view: View, ordinals: t.Iterable[int]) -> list[Step]:
    """Nobody takes anything from a primary that is given up, nor acknowledges anything for it."""
    name = view.target.pod
    return [
        Step(HALT, name(o), f"let {name(o)} receive nothing more from its source", batch="halt", data={"ordinal": o})
        for o in ordinals
    ]


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class _Planner:
    def __init__(self, view: View) -> None:
        self.view = view
        self.target = view.target
        self.desired = view.desired
        self.seen = view.seen
        self.rolling = Rolling(view)

    def warnings(self) -> list[str]:
        return [*self.rolling.warnings()]

    def steps(self) -> list[Step]:
        missing = waiting_for(self.target, self.desired, self.seen)
        if missing:
            wait = self.view.wait(f"wait until the objects are there: {missing}")
            return [wait, *self._known()]
        return self._known()

    def _known(self) -> list[Step]:
        if self.seen.record is None:
            return self._unrecorded()
        steps = self.rolling.stuck()
        if self.view.record.epoch == 0:
            return steps + self._unformed()
        return steps + self._formed()

    def insist(self, steps: t.Sequence[Step]) -> None:
        """A server that cannot go on is no reason to leave the rest undone; in the end it is one to fail."""
        if self.seen.record is None or not self.view.promoted:
            return
        broken = {o: why for o in self.view.replicas if o != self.view.going and (why := self.view.broken(o))}
        all_answer = all(self.seen.answer(ordinal).serves for ordinal in self.desired.ordinals)
        if not broken or (steps and steps[0].change) or (any(step.change for step in steps) and not all_answer):
            return
        names = ",".join(self.target.pod(ordinal) for ordinal in broken)
        raise _Refused(
            Refusal(
                f"{'; '.join(broken.values())}. Such a server stays read-only, and is no replica of anybody.",
                self.view.evidence(),
                (
                    "see what the transactions are (mysqlbinlog --include-gtids in that pod), and repeat on the "
                    "primary what is to be kept",
                    f"then say that its data may be replaced by a new copy, which discards them: copy (in the role "
                    f"mysql_copy) with {names}",
                ),
            )
        )

    # Nobody has recorded who may write.

    def _unrecorded(self) -> list[Step]:
        noted = self._noted()
        if noted is None:
            return self._first()
        epoch, primary = noted
        step = self._record(epoch, primary, f"record again that {primary} is primary (epoch {epoch})")
        return [step, *self._end()]

    def _noted(self) -> t.Optional[tuple[int, str]]:
        """The newest that the StatefulSet and the servers' own data say of who is primary."""
        told = [found.recorded] if (found := self.seen.stateful_set) and found.recorded else []
        for ordinal in self.seen.servers:
            own = self.seen.answers[ordinal].own
            if own and own[0] == self.target.pod(ordinal):
                told.append((own[1], own[0]))
        return max(told, default=None)

    def _first(self) -> list[Step]:
        """Nobody has been primary: somebody who replicates already does so because others have made this set."""
        known = [self.target.pod(ordinal) for ordinal in self.seen.servers if self.seen.answers[ordinal].source]
        if known:
            raise _Refused(
                Refusal(
                    f"Nobody has recorded who is primary of {self.target.name}, and {', '.join(known)} replicates "
                    "already. Nothing was changed.",
                    self.view.evidence() if self.seen.record else (),
                    ("where somebody else has made it: run the playbook stateful.kube.mysql_adopt to its end",),
                )
            )
        first = self.target.pod(0)
        steps = [self._record(0, first, f"record that {first} makes the first data")]
        steps += [
            self.view.wait(f"wait until {first} has made its data and answers"),
            self._record(1, first, f"record that {first} is primary"),
            self._promote(0),
            *self._route(first),
        ]
        steps += [self._attach(ordinal) for ordinal in self.desired.ordinals if ordinal]
        return steps + self._end()

    # Data is being made for the first time.

    def _unformed(self) -> list[Step]:
        first = self.view.primary
        answer = self.seen.answer(first)
        later = [
            self._record(1, self.view.record.primary, f"record that {self.view.record.primary} is primary"),
            self._promote(first),
            *self._route(self.view.record.primary),
            *(self._attach(ordinal) for ordinal in self.desired.ordinals if ordinal != first),
            *self._end(),
        ]
        if not answer.serves:
            why = answer.detail or self.view.pod(first).obstacle or "no reason known"
            return [self.view.wait(f"wait until {self.target.pod(first)} has made its data and answers: {why}"), *later]
        # One that does not answer may hold what somebody wrote before, unless its disk is as new as its pod.
        silent = [
            ordinal
            for ordinal in self.view.replicas
            if not self.seen.answer(ordinal).serves and ordinal not in self.seen.new_disks and self._exists(ordinal)
        ]
        if silent:
            said = "; ".join(self.view.said(ordinal) for ordinal in silent)
            return [self.view.wait(f"wait until all answer whose volumes may hold data already: {said}"), *later]
        self._insist_on_newest()
        return later

    def _exists(self, ordinal: int) -> bool:
        return ordinal in self.seen.pods or bool(self.seen.claims.get(ordinal))

    def _insist_on_newest(self) -> None:
        """Nobody has a transaction that the one lacks that is about to take writes."""
        record = self.view.record
        # What only such a one has was never acknowledged: a replica would have it.
        unheard = (record.dismissed,) if record.cut_off else ()
        # A hand-over found what these alone have, or a failover was asked to lose it.
        left_out = {*unheard, *record.without}
        ahead = [o for o in self.view.replicas if self.target.pod(o) not in left_out and self.view.errant(o)]
        if not ahead:
            return
        primary = record.primary
        names = ", ".join(self.target.pod(ordinal) for ordinal in ahead)
        raise _Refused(
            Refusal(
                f"{primary} is to take writes, and {names} has transactions that it lacks: they would be lost. "
                "Nothing was changed.",
                self.view.evidence(),
                (
                    f"bring back the volume of {primary} that has them",
                    f"where they are not wanted, delete the claim and the pod of {names}: a new copy is taken",
                ),
            )
        )

    # Somebody is recorded as primary.

    def _formed(self) -> list[Step]:
        steps = [self._fence(ordinal) for ordinal in self._intruders()]
        steps += self._dismiss()
        if self.view.swap_pending:
            return steps + self._swap() + self._end()
        if not self.view.promoted:
            steps += self._unpromoted()
            if not self.view.primary_answer.serves:
                return [*steps, *self._end()]
        name = self.view.record.primary
        if self.view.record.waits and self.view.promoted and not self.view.primary_answer.waits:
            sentence = f"record that commits of {name} do not wait for a replica"
            steps.append(Step(WAITS, self.target.record, sentence, data={"by": ""}))
        steps += self._unwait()
        if self.seen.routed != name:
            steps += self._route(name)
        if self.view.promoted and (self.view.record.without or self.view.record.had):
            sentence = f"record that {name} has taken over, and leave nobody out any more"
            steps.append(Step(SETTLE, self.target.record, sentence))
        steps += self._labels()
        found = self.seen.stateful_set
        if found and found.recorded != (self.view.record.epoch, name):
            steps.append(Step(NOTE, self.target.name, f"note on the StatefulSet {self.target.name} that {name} is "
                              f"primary (epoch {self.view.record.epoch})"))  # fmt: skip
        if self.desired.scale and self.view.record.members != self.desired.members:
            sentence = f"record that there are {self.desired.members} members"
            steps.append(self._record(self.view.record.epoch, name, sentence))
        for ordinal in self.view.replicas:
            steps += self._follow(ordinal)
        new = [self.target.pod(ordinal) for ordinal in self.desired.ordinals if not self._exists(ordinal)]
        if new and self.view.primary_answer.serves:
            steps.append(self.view.wait(f"wait until {', '.join(new)} has taken a copy of the data and answers"))
            steps += [self._attach(ordinal) for ordinal in self.desired.ordinals if not self._exists(ordinal)]
        if not self.view.record.swapping:
            steps += self._leave()
            steps += self.rolling.steps()
        if any(step.change for step in steps):
            return steps + self._end()
        return steps + self._not_yet()

    def _intruders(self) -> list[int]:
        """Servers that take writes and must not."""
        # One that is about to go need not be asked first: a commit that waits for a replica would not let it answer.
        writable = [o for o in self.seen.servers if o not in (self.view.primary, self.view.going)]
        return [o for o in writable if not self.seen.answer(o).read_only or self._claims_to_be_primary(o)]

    def _claims_to_be_primary(self, ordinal: int) -> bool:
        """Whether it would take writes by its own data after another start with an old record."""
        own = self.seen.answer(ordinal).own
        return bool(own and own[0] == self.target.pod(ordinal))

    def _dismiss(self) -> list[Step]:
        record = self.view.record
        if not self.view.pending:
            return []
        pod = self.seen.pods.get(t.cast(int, self.target.ordinal(record.dismissed)))
        if record.dismissed_uid and pod and pod.deleting:
            if self.view.promoted:
                # By the way of a moment ago: it can acknowledge nothing.
                return []
            if self.desired.cut_off and record.cut_off:
                return self._cut_off()
            return [
                self.view.wait(
                    f"wait until the pod of {record.dismissed} is gone (on node {pod.node or 'none'}): nobody may "
                    "write before"
                )
            ]
        return [
            Step(
                DISMISS,
                record.dismissed,
                f"delete the pod of {record.dismissed}, which was primary, and see it gone before anybody writes",
            )
        ]

    def _cut_off(self) -> list[Step]:
        """What is left until nobody can acknowledge anything for the old primary, whatever starts anew.

        Its commits wait for a replica for ever, and every server says that it replicates from another one, or from
        nobody. One that was only told to receive nothing more would receive again after its next start.
        """
        old = t.cast(int, self.target.ordinal(self.view.record.dismissed))
        others = [ordinal for ordinal in self.view.present if ordinal != old]
        silent = [o for o in others if not self.seen.answer(o).serves and self.view.may_hold_data(o)]
        if silent:
            said = "; ".join(self.view.said(ordinal) for ordinal in silent)
            return [
                self.view.wait(
                    f"wait until every other server answers, or the pod of {self.view.record.dismissed} is gone: {said}"
                )
            ]
        bound = [o for o in others if (source := self.seen.answer(o).source) and source.host == self.target.host(old)]
        still = [ordinal for ordinal in bound if self.view.receives(ordinal)]
        if still:
            return halt(self.view, still)
        # The new one is freed when it is let take writes, in one conversation.
        for ordinal in [o for o in bound if o != self.view.primary]:
            answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
            if not answer.applied:
                return self._apply(ordinal)
            sentence = f"let {name} replicate from nobody, so that it acknowledges nothing for {self.target.pod(old)}"
            return [Step(DETACH, name, sentence, data={"ordinal": ordinal})]
        return []

    def _swap(self) -> list[Step]:
        """The primary puts the files of a backup in the place of its data when its pod starts anew."""
        record, pod = self.view.record, self.view.pod(self.view.primary)
        name, answer = record.primary, self.view.primary_answer
        if pod.uid == record.swap_uid and not pod.deleting:
            sentence = f"replace {name} by a new pod, which puts the restored files in the place of its data"
            return [Step(REPLACE, name, sentence, data={"pod": name, "uid": pod.uid})]
        if not answer.serves or pod.deleting:
            why = answer.detail or pod.obstacle or "it is about to end"
            return [self.view.wait(f"wait until {name} has put the restored files in place and answers: {why}")]
        if not answer.read_only:
            # It was started with an older record.
            sentence = f"let {name} take no writes, because it has the data of before"
            return [Step(FENCE, name, sentence, data={"ordinal": self.view.primary})]
        raise _Refused(
            Refusal(
                f"{name} was started anew to put the files of {record.restoring or 'a backup'} in the place of its "
                "data, and has not: they are not on its volume. It takes no writes, and nobody else does.",
                self.view.evidence(),
                ("run the same restore again", f"bring back the volume of {name} that has them"),
            )
        )

    def _unpromoted(self) -> list[Step]:
        ordinal, answer = self.view.primary, self.view.primary_answer
        name = self.view.record.primary
        if not answer.serves:
            return [
                self.view.wait(
                    f"wait until the primary {name} answers (where it does not come back: playbook "
                    f"stateful.kube.failover): {answer.detail or self.view.pod(ordinal).obstacle or 'no reason known'}"
                )
            ]
        steps = self._after_failover()
        if steps:
            return steps
        self._insist_on_newest()
        if answer.source and answer.source.apply_error and not answer.applied:
            raise _Refused(
                Refusal(
                    f"{name} is to take writes, and cannot apply what it has received. Nothing was changed.",
                    (*self.view.evidence(), f"its error is: {answer.source.apply_error}"),
                    ("mend what it stumbles over, and let it go on (START REPLICA SQL_THREAD)",),
                )
            )
        if not answer.applied:
            steps += self._apply(ordinal)
        return [*steps, self._promote(ordinal)]

    def _after_failover(self) -> list[Step]:
        """The old primary may have gone on for a while after its successor was chosen: everybody is asked once more."""
        record = self.view.record
        if not record.dismissed:
            return []
        # It comes back with what it alone has, and those that were started again since ask it for that.
        still = [o for o in self.seen.servers if self.view.receives(o)]
        if still:
            return halt(self.view, still)
        silent = [
            ordinal
            for ordinal in self.view.replicas
            if self.target.pod(ordinal) not in (record.dismissed, *record.without)
            and not self.seen.answer(ordinal).serves
            and self.view.may_hold_data(ordinal)
        ]
        if silent:
            said = "; ".join(self.view.said(ordinal) for ordinal in silent)
            return [
                self.view.wait(f"wait until every replica answers once more, now that the old primary is gone: {said}")
            ]
        lost = memory.forgotten(self.view, self.view.primary, record.without)
        if not lost and not any(self.view.errant(ordinal) for ordinal in self.view.replicas):
            return []
        others = [o for o in self.view.servers_asked if self.target.pod(o) not in (record.dismissed, *record.without)]
        best = self.view.most(others)
        back = False
        if lost and (best is None or memory.forgotten(self.view, best, record.without)):
            if self._dismiss():
                # A refusal would keep it from being told to go, and from coming back.
                return [
                    self.view.wait(f"wait until {record.dismissed} is gone, or back with what {', '.join(lost)} had")
                ]
            best = self._back(lost)
            back = True
        if best is None or best == self.view.primary:
            return []
        name = self.target.pod(best)
        data = {
            "epoch": record.epoch + 1,
            "primary": name,
            "members": record.members,
            "dismissed": "" if back else record.dismissed,
            "dismissed_uid": "" if back else record.dismissed_uid,
            "without": record.without,
            "had": memory.had(self.view, record.without),
            "cut_off": record.cut_off and not back,
        }
        sentence = f"record that {name} is primary, which has got more meanwhile than {record.primary}"
        if back:
            sentence = f"record that {name} is primary again, which is back and has what {', '.join(lost)} forgot"
        return [Step(RECORD, self.target.record, sentence, data=data)]

    def _back(self, lost: t.Mapping[str, Transactions]) -> int:
        """The old primary, where it is back with all that anybody has, and had."""
        record = self.view.record
        old = self.target.ordinal(record.dismissed)
        asked = [o for o in self.view.servers_asked if self.target.pod(o) not in record.without]
        best = None if self.view.pending or old not in asked else self.view.most(asked)
        if best is None or best != old or memory.forgotten(self.view, best, record.without):
            raise _Refused(memory.refused(self.view, lost, record.dismissed, record.without))
        return best

    def _unwait(self) -> list[Step]:
        """Where semi-synchronous replication is switched off the primary's pod is the last that hears of it."""
        replicas = [self.seen.answer(ordinal) for ordinal in self.view.replicas]
        waits = self.view.promoted and self.view.primary_answer.waits
        if not waits or not replicas or any(not each.serves or each.semi_sync for each in replicas):
            return []
        name = self.view.record.primary
        sentence = f"let commits of {name} wait for no replica: none of them tells that it has something any more"
        return [Step(UNWAIT, name, sentence, data={"ordinal": self.view.primary})]

    def _labels(self) -> list[Step]:
        """Replicas are found by a label that every pod begins with, so the primary has to lose it."""
        wanted = {
            o: "primary" if o == self.view.primary and self.desired.members > 1 else "replica" for o in self.seen.pods
        }
        return [
            Step(
                LABEL,
                self.target.pod(ordinal),
                f"let clients that read {'find' if role == 'replica' else 'pass by'} {self.target.pod(ordinal)}",
                batch="labels",
                data={"ordinal": ordinal, "role": role},
            )
            for ordinal, role in wanted.items()
            if self.seen.roles.get(ordinal) != role and not self.view.pod(ordinal).deleting
        ]

    # Replicas

    def _follow(self, ordinal: int) -> list[Step]:
        answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
        asked = self.view.record.copies.get(name)
        if asked and asked == self.view.pod(ordinal).uid:
            return [self._copy(ordinal)]
        if not answer.serves or ordinal == self.view.going:
            return []
        leaves = self.desired.scale and ordinal >= self.desired.members > self.view.primary
        if leaves and self.view.attached(ordinal) and not self.view.receives(ordinal):
            # It was told to receive nothing more.
            return []
        if asked:
            return [Step(FORGET_COPY, name, f"record that {name} has its copy", data={"pod": name})]
        broken = self.view.broken(ordinal)
        if broken and name in self.desired.copies:
            return [self._copy(ordinal, broken)]
        steps: list[Step] = []
        if broken:
            return steps
        # One that is not let in may have been away while the password changed: it gets the one of the Secret, once.
        denied = bool(answer.source and answer.source.denied) and ordinal not in self.desired.attached
        if self.view.follows(ordinal) and not denied:
            return steps
        if not answer.applied:
            return [*steps, *self._apply(ordinal)]
        return [*steps, self._attach(ordinal)]

    def _apply(self, ordinal: int) -> list[Step]:
        """What was received from a former source is applied before it is told another one, which forgets it."""
        answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
        if answer.source and answer.source.applier == "Yes":
            return [self.view.wait(f"wait until {name} has applied what it has received")]
        return [Step(APPLY, name, f"let {name} apply what it has received", data={"ordinal": ordinal})]

    def _leave(self) -> list[Step]:
        found = self.seen.stateful_set
        leaving = [ordinal for ordinal in self.view.present if ordinal >= self.desired.members]
        if found is None or found.replicas <= self.desired.members:
            return [self._hand_back()] if found and found.owed else []
        steps: list[Step] = []
        if self.view.primary in leaving:
            steps += self.rolling.hand_over(list(self.desired.ordinals))
        kept = self._kept(leaving)
        if not steps and not kept:
            # What one of them acknowledges from now on would be on it alone, so they are compared once more after it.
            steps += halt(self.view, [o for o in leaving if self.seen.answer(o).serves and self.view.receives(o)])
        steps += kept
        names = ", ".join(self.target.pod(ordinal) for ordinal in leaving)
        steps.append(
            Step(
                SCALE,
                self.target.name,
                f"let {names} go (StatefulSet {self.target.name} from {found.replicas} to {self.desired.members} "
                "replicas); the claims stay",
                data={"replicas": self.desired.members},
            )
        )
        return [*steps, self._hand_back()]

    def _kept(self, leaving: t.Sequence[int]) -> list[Step]:
        """One that leaves may be the only replica that has acknowledged something."""
        staying = [o for o in self.desired.ordinals if o not in (self.view.primary, *leaving)]
        told = [has for o in leaving if o != self.view.primary and (has := self.seen.answer(o).has)]
        for ordinal in staying:
            has = self.seen.answer(ordinal).has
            if has is not None and all(has.contains(each) for each in told):
                return []
        if not staying or not told:
            return []
        return [self.view.wait("wait until a replica that stays has all that those have that leave")]

    def _not_yet(self) -> list[Step]:
        """What is still missing where nothing is left to do."""
        why = [
            why
            for ordinal in self.desired.ordinals
            if ordinal != self.view.primary and not self.view.broken(ordinal) and (why := self.view.unfit(ordinal))
        ]
        why += [
            f"{self.target.pod(o)} {self.view.pod(o).obstacle}"
            for o in self.desired.ordinals
            if not self.view.pod(o).ready and not self.view.broken(o) and (o == self.view.primary or self.view.fit(o))
        ]
        return [self.view.wait(f"wait until every replica follows closely: {'; '.join(why)}")] if why else []

    def _end(self) -> list[Step]:
        if self.desired.members == 1:
            return [self.view.wait(f"wait until {self.target.name} takes connections")]
        return [self.view.wait(f"wait until all {self.desired.members - 1} replicas follow closely")]

    # Single steps

    def _hand_back(self) -> Step:
        sentence = f"leave the number of replicas of StatefulSet {self.target.name} to its declaration again"
        return Step(HAND_BACK, self.target.name, sentence)

    def _record(self, epoch: int, primary: str, sentence: str) -> Step:
        data = {"epoch": epoch, "primary": primary, "members": self.desired.members}
        return Step(RECORD, self.target.record, sentence, data=data)

    def _promote(self, ordinal: int) -> Step:
        name = self.target.pod(ordinal)
        return Step(PROMOTE, name, f"let {name} take writes", data={"ordinal": ordinal})

    def _fence(self, ordinal: int) -> Step:
        name = self.target.pod(ordinal)
        return Step(FENCE, name, f"let {name} take no writes, because it is not the primary", data={"ordinal": ordinal})

    def _route(self, name: str) -> list[Step]:
        service = self.target.primary_service
        return [Step(ROUTE, service, f"lead the Service {service} to {name}", data={"pod": name})]

    def _attach(self, ordinal: int) -> Step:
        name, primary = self.target.pod(ordinal), self.view.record.primary if self.seen.record else self.target.pod(0)
        source = self.target.ordinal(primary)
        return Step(
            ATTACH,
            name,
            f"let {name} replicate from {primary}",
            data={"ordinal": ordinal, "source": source},
        )

    def _copy(self, ordinal: int, why: str = "") -> Step:
        name = self.target.pod(ordinal)
        because = f": {why}" if why else ""
        return Step(
            COPY,
            name,
            f"replace {name} by a new pod that takes a copy in place of its data{because}",
            data={"ordinal": ordinal, "pod": name, "uid": self.view.pod(ordinal).uid},
        )
