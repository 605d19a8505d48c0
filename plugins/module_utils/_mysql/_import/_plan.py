# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is left to do of an import, in order, from one look alone. Pure.

How far it has come stands in three places. The record says that there is one, so that nobody else lets the target take
writes. A row in the target's own data says whether all was loaded. And the server says from whom it replicates. The
cut-over is over for good once the record says so.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _check as check
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import Local, Outside, Seen, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Record, Source
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import FENCE, PROMOTE
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

BEGIN = "begin_import"
LOAD = "load"
FOLLOW = "follow"
RESUME = "resume"
CUT_OVER = "cut_over"
TIDY = "tidy"
DROP = "drop"
FORGET = "forget_import"


def plan_import(target: Target, wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    record, found = seen.target.record, seen.target.stateful_set
    if found is None:
        return Refusal(
            f"There is no StatefulSet {target.name} in namespace {target.namespace}. Nothing was changed.",
            choices=("check name and namespace",),
        )
    view = View(target, as_it_is(seen.target, wish.lag_limit), seen.target)
    if record is None or record.epoch == 0:
        return Refusal(
            f"Nobody has been primary of {target.name} yet. Nothing was changed.",
            view.evidence() if record else (),
            ("run the playbook stateful.kube.mysql first",),
        )
    other = record.importing not in ("", wish.source)
    if other:
        return Refusal(
            f"{target.name} imports from {record.importing}, and not from {wish.source}. Nothing was changed.",
            choices=(
                f"go on with source_host and source_port of {record.importing}",
                "give that import up: state: absent, with the same source",
            ),
        )
    planner = _Planner(view, wish, seen, record)
    return planner.present() if wish.present else planner.absent()


class _Planner:
    def __init__(self, view: View, wish: Wish, seen: Seen, record: Record) -> None:
        self.view = view
        self.target = view.target
        self.wish = wish
        self.seen = seen
        self.record = record
        self.name = record.primary

    @property
    def answer(self) -> Answer:
        return self.view.primary_answer

    # To have the data

    def present(self) -> t.Union[Plan, Refusal]:
        if not self.record.importing and self.record.imported == self.wish.source:
            return self._done()
        local, outside = self.seen.local, self.seen.outside
        if not self.answer.serves or local is None or outside is None:
            why = self.answer.detail or self.view.pod(self.view.primary).obstacle or "no reason known"
            return Plan((self.view.wait(f"wait until {self.name} answers: {why}"), *self._all(BEGIN)))
        begun = bool(self.record.importing)
        refusal = None if begun else self._may_begin(local, outside)
        if refusal:
            return refusal
        steps = self._from(local, outside)
        if isinstance(steps, Refusal):
            return steps
        return Plan(tuple(steps), tuple(check.warnings(self.wish, local, outside)))

    def _may_begin(self, local: Local, outside: Outside) -> t.Optional[Refusal]:
        if not self.view.promoted:
            return Refusal(
                f"{self.name} is the primary by the record, and takes no writes. Nothing was changed.",
                self.view.evidence(),
                ("run the playbook stateful.kube.mysql first",),
            )
        return (
            check.fresh(self.target, self.seen, local)
            or check.source(self.target, self.wish, local, outside)
            or (self._still_written(outside) if not self.wish.replicate else None)
        )

    def _still_written(self, outside: Outside) -> t.Optional[Refusal]:
        if outside.read_only:
            return None
        if self.wish.stop_writes:
            return check.lacking(self.wish, outside)
        return Refusal(
            f"{self.wish.source} takes writes still: those that come now would be lost.",
            ("its read_only is OFF",),
            (
                "end its clients, and make it read-only there (SET GLOBAL read_only = ON; of MySQL super_read_only)",
                "let this run do that: stop_writes: true, for which the user needs SYSTEM_VARIABLES_ADMIN (MariaDB: "
                "READ ONLY ADMIN)",
            ),
        )

    def _from(self, local: Local, outside: Outside) -> t.Union[Refusal, list[Step]]:
        if not self.record.importing:
            # A marker of an earlier import would let its load take what clients write now for its own.
            return [*((self._tidy(),) if local.marker else ()), *self._all(BEGIN)]
        refusal = check.strange(self.target, self.wish, local)
        if refusal:
            return refusal
        if not self.answer.read_only or self.answer.own is not None:
            return self._all(FENCE)
        marker = local.marker
        if marker is None or not marker.loaded or marker.source != self.wish.source:
            return self._loading(local, outside)
        if not self.wish.replicate or self.answer.source is None:
            if not self.wish.replicate:
                return self._still_written(outside) or self._all(CUT_OVER)
            return self._all(FOLLOW)
        return self._following(self.answer.source, outside)

    def _loading(self, local: Local, outside: Outside) -> t.Union[Refusal, list[Step]]:
        if local.loader:
            of = f" of {len(outside.tables)}" if outside.answers else ""
            return [
                self.view.wait(f"wait until the data is loaded: {local.tables}{of} tables are there or being filled"),
                *self._all(FOLLOW),
            ]
        if self.seen.load_error:
            return Refusal(
                f"The data of {self.wish.source} could not be loaded into {self.target.name}, which takes no writes.",
                (self.seen.load_error,),
                (
                    "mend that, and run the same again: what was loaded is dropped, and the load begins anew",
                    "give the import up: state: absent",
                ),
            )
        refusal = check.source(self.target, self.wish, local, outside)
        return refusal or self._all(LOAD)

    def _following(self, source: Source, outside: Outside) -> t.Union[Refusal, list[Step]]:
        stopped = source.receiver == "No" or source.applier != "Yes"
        if (stopped or (source.error and source.receiver != "Yes")) and not self.seen.resumed:
            return self._all(RESUME)
        if source.apply_error:
            return Refusal(
                f"{self.name} cannot apply what it has received from {self.wish.source}, and takes no writes.",
                (f"its error is: {source.apply_error}",),
                (
                    "mend what it stumbles over, and run the same again",
                    "begin anew: give the import up with state: absent, and run it once more",
                ),
            )
        if stopped and source.error:
            return Refusal(
                f"{self.name} does not replicate from {self.wish.source} any more, and takes no writes.",
                (f"its error is: {source.error}",),
                (
                    "mend that, and run the same again",
                    "where the source has no binary logs of then any more, begin anew: state: absent, and once more",
                ),
            )
        if stopped or source.receiver != "Yes" or source.lag is None:
            why = f": {source.error}" if source.error else ""
            return [self._connected(why), *self._all(CUT_OVER)]
        if not self.wish.cut_over:
            return []
        if not outside.answers:
            return [self.view.wait(f"wait until {self.wish.source} answers: {outside.silence}"), *self._all(CUT_OVER)]
        refusal = self._still_written(outside)
        if refusal:
            return refusal
        if source.lag > self.wish.lag_limit:
            return [
                self.view.wait(
                    f"wait until {self.name} is at most {self.wish.lag_limit:g} s behind {self.wish.source}: "
                    f"{source.lag:.0f} s"
                ),
                *self._all(CUT_OVER),
            ]
        return self._all(CUT_OVER)

    def _all(self, action: str) -> list[Step]:
        """This step and those that come behind it."""
        name, source = self.name, self.wish.source
        ordinal = {"ordinal": self.view.primary}
        steps = [
            Step(BEGIN, self.target.record, f"record that the data of {source} is imported into {self.target.name}"),
            Step(FENCE, name, f"let {name} take no writes while the data is imported", data=ordinal),
            Step(
                LOAD,
                name,
                f"load the data of {source} into {name}"
                + (", which is read-only meanwhile" if not self.wish.replicate else ""),
                data=ordinal,
            ),
            self.view.wait("wait until the data is loaded"),
        ]
        if self.wish.replicate:
            steps += [
                Step(FOLLOW, name, f"let {name} replicate from {source}", data=ordinal),
                self._connected(),
            ]
        if self.wish.cut_over:
            if self.wish.replicate:
                steps.append(self.view.wait(f"wait until {name} is at most {self.wish.lag_limit:g} s behind {source}"))
            stop = f"{source} is made read-only, " if self.wish.stop_writes else ""
            compare = ", rows are counted on both," if self.wish.compare_rows else ""
            steps += [
                Step(
                    CUT_OVER,
                    name,
                    f"cut over from {source}: {stop}{name} applies what is left{compare} and {name} is on its own",
                    data=ordinal,
                ),
                self._tidy(),
                Step(PROMOTE, name, f"let {name} take writes", data=ordinal),
            ]
        if action == RESUME:
            return [Step(RESUME, name, f"let {name} go on replicating from {source}", data=ordinal), self._connected()]
        order = [step.action for step in steps]
        return steps[order.index(action) :] if action in order else []

    def _connected(self, why: str = "") -> Step:
        return self.view.wait(f"wait until {self.name} receives and applies what {self.wish.source} writes{why}")

    def _done(self) -> t.Union[Plan, Refusal]:
        """What a cut-over leaves to do, which another run of any operation does as well."""
        steps: list[Step] = []
        if self.answer.serves and self.seen.local and self.seen.local.marker:
            steps = [self._tidy()]
        rest = plan(self.target, self.view.desired, self.seen.target)
        if isinstance(rest, Refusal):
            return rest
        return Plan((*steps, *rest.steps), rest.warnings)

    def _tidy(self) -> Step:
        return Step(
            TIDY,
            self.name,
            f"let {self.name} replicate from nobody, and forget what was noted of the import",
            data={"ordinal": self.view.primary},
        )

    # To have it no more

    def absent(self) -> t.Union[Plan, Refusal]:
        ordinal = {"ordinal": self.view.primary}
        promote = Step(PROMOTE, self.name, f"let {self.name} take writes", data=ordinal)
        if not self.record.importing:
            # What was imported stays: an import that was cut over is none any more.
            return Plan() if self.view.promoted else plan(self.target, self.view.desired, self.seen.target)
        steps = [
            Step(
                DROP,
                self.name,
                f"drop on {self.name} what was loaded of {self.wish.source}, and replicate from nobody",
                data=ordinal,
            ),
            Step(FORGET, self.target.record, "record that nothing is imported any more"),
            promote,
        ]
        if not self.answer.serves or self.seen.local is None:
            why = self.answer.detail or self.view.pod(self.view.primary).obstacle or "no reason known"
            return Plan((self.view.wait(f"wait until {self.name} answers: {why}"), *steps))
        local = self.seen.local
        dropped = not local.databases and not local.marker and self.answer.source is None
        if dropped or local.strange:
            return Plan(tuple(steps[1:]))
        return Plan(tuple(steps))
