# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The planner: what is left to do for a replica set, in order, from one snapshot alone. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._members import Members
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import HAS_CONFIG, refuse
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._rolling import Rolling
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config, Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import (
    CREATE_USER,
    INITIATE,
    RECORD,
    in_words,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._versions import feature_steps, refuse_versions
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


def plan(target: Target, desired: Desired, seen: Snapshot) -> t.Union[Plan, Refusal]:
    """The whole ordered list of steps. The first one is safe now; the others follow when their turn comes."""
    refusal = refuse(target, desired, seen)
    if refusal:
        return refusal
    planner = _Planner(View(target, desired, seen))
    refusal = refuse_versions(planner.view, planner.rolling.replaces)
    if refusal:
        return refusal
    return Plan(tuple(planner.steps()), (*desired.warnings, *planner.rolling.warnings()))


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
    if desired.root and not seen.secret:
        return f"there is no Secret {target.root_secret} in namespace {target.namespace} (root_secret)"
    return None


class _Planner:
    def __init__(self, view: View) -> None:
        self.view = view
        self.target = view.target
        self.desired = view.desired
        self.seen = view.seen
        self.rolling = Rolling(view)

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        missing = waiting_for(self.target, self.desired, self.seen)
        if missing:
            steps.append(self.view.wait(f"wait until the objects are there: {missing}"))
        steps += self.rolling.stuck()
        if self.seen.recorded or self.seen.of_kind(*HAS_CONFIG):
            return steps + self._formed(steps)
        return steps + self._unformed()

    # A set that nobody has formed yet.

    def _unformed(self) -> list[Step]:
        steps = self.view.pods_answer(self._witnesses())
        first = self._first_member()
        settings = dict(self.desired.settings)
        with_settings = f" and {in_words(settings)}" if settings else ""
        host = self.target.host(0, self.seen)
        steps.append(
            Step(
                INITIATE,
                self.target.pod(0),
                f"initiate the replica set {self.target.replica_set} with {self.target.pod(0)} ({host}) as its only "
                f"member{with_settings}",
                data={"ordinal": 0, "host": host, "options": first, "settings": settings},
            )
        )
        steps += [self._create_user(0)] if self.desired.root else []
        steps.append(self._record(self.target.pod(0), ""))
        return steps + Members(self.view, {0: first}).steps(self.desired.settings) + self._end()

    def _witnesses(self) -> t.Sequence[int]:
        """Whose word is needed before a set is initiated.

        With OrderedReady the other pods do not exist until pod 0 is ready: it alone decides, if none ever existed.
        """
        found = self.seen.stateful_set
        others = {*self.seen.pods, *self.seen.claims} - {0}
        if found and not found.parallel and not others:
            return (0,)
        return self.desired.ordinals

    def _first_member(self) -> MemberOptions:
        """The only member of a new set must be able to become primary, whatever it is to be later."""
        declared = self.desired.member(0)
        return declared if declared.electable else MemberOptions(tags=declared.tags)

    # A set that exists, whoever formed it.

    def _formed(self, before: list[Step]) -> list[Step]:
        primary = self.seen.primary
        config = self.seen.config
        if primary is None:
            return [
                self.view.wait(
                    f"wait until a member is primary (where none comes, mongodb_repair tells why): {self.view.states()}"
                ),
                *self._later(config, before),
            ]
        answer = self.seen.answers[primary]
        if answer.kind is Kind.NO_USER:
            # Its set id cannot be read before somebody can log in.
            if self.seen.recorded:
                return [self.view.wait(f"wait for the members that have the root user: {self.view.states()}")]
            begun = {
                ordinal: self.desired.member(ordinal) if ordinal else self._first_member()
                for ordinal in self.desired.ordinals
                if answer.status(self.target.host(ordinal, self.seen))
            }
            name = self.target.pod(primary)
            steps = [self._create_user(primary), self._record(name, "")]
            return [*steps, *Members(self.view, begun).steps(None), *self._end()]
        if config is None:
            return [self.view.wait(f"wait until {self.target.pod(primary)} reports its configuration")]
        steps = []
        if answer.open and self.desired.root:
            # Before any pod is replaced by one that could ask for a login.
            steps.append(self._create_user(primary))
        if not self.seen.recorded:
            steps.append(self._record(self.target.pod(primary), config.set_id))
        return steps + self._later(config, before)

    def _later(self, config: t.Optional[Config], before: t.Sequence[Step]) -> list[Step]:
        """What follows for a set with this configuration."""
        if config is None:
            return []
        steps = Members.of(self.view, config).steps(config.settings)
        steps += self.rolling.steps(config)
        if not self.rolling.replaces:
            steps += feature_steps(self.view, config)
        if any(step.change for step in (*before, *steps)):
            return steps + self._end()
        lagging = self._not_serving(config)
        if lagging and not steps:
            steps.append(self.view.wait(f"wait until all members are PRIMARY or SECONDARY and vote: {lagging}"))
        return steps

    def _not_serving(self, config: Config) -> str:
        return self.view.not_serving(config, self.desired.ordinals) or self.view.votes_missing(config)

    # Single steps.

    def _create_user(self, ordinal: int) -> Step:
        secret = f"{self.target.namespace}/{self.target.root_secret}"
        return Step(
            CREATE_USER,
            self.target.pod(ordinal),
            f"create the root user of Secret {secret} on {self.target.pod(ordinal)}",
            data={"ordinal": ordinal},
        )

    def _record(self, pod: str, set_id: str) -> Step:
        which = f" {set_id}" if set_id else ""
        return Step(
            RECORD,
            self.target.name,
            f"record the set id{which} of {pod} on the StatefulSet {self.target.name}",
            data={"set_id": set_id},
        )

    def _end(self) -> list[Step]:
        return [self.view.wait(f"wait until all {self.desired.members} members are PRIMARY or SECONDARY")]
