# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The planner: what is left to do for a replica set, in order, from one snapshot alone. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import (
    MOST_VOTERS,
    Desired,
    MemberOptions,
    Target,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import HAS_CONFIG, refuse
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Snapshot,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

WAIT = "wait"
INITIATE = "initiate"
CREATE_USER = "create_user"
RECORD = "record"
ADD = "add"
CHANGE = "change"
STEP_DOWN = "step_down"
SETTINGS = "settings"


def plan(target: Target, desired: Desired, seen: Snapshot) -> t.Union[Plan, Refusal]:
    """The whole ordered list of steps. The first one is safe now; the others follow when their turn comes."""
    refusal = refuse(target, desired, seen)
    if refusal:
        return refusal
    return Plan(tuple(_Planner(target, desired, seen).steps()), desired.warnings)


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


class _Planner:
    def __init__(self, target: Target, desired: Desired, seen: Snapshot) -> None:
        self.target = target
        self.desired = desired
        self.seen = seen

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        missing = waiting_for(self.target, self.desired, self.seen)
        if missing:
            steps.append(self._wait(f"wait until the objects are there: {missing}"))
        if self.seen.recorded or self.seen.of_kind(*HAS_CONFIG):
            return steps + self._formed()
        return steps + self._unformed()

    # A set that nobody has formed yet.

    def _unformed(self) -> list[Step]:
        steps = self._pods_answer(self._witnesses())
        first = self._first_member()
        settings = dict(self.desired.settings)
        with_settings = f" and {_pairs(settings)}" if settings else ""
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
        steps += [self._create_user(0), self._record(self.target.pod(0), "")]
        return steps + self._grow({0: first}, self.desired.settings) + self._end()

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

    def _formed(self) -> list[Step]:
        primary = self.seen.primary
        config = self.seen.config
        if primary is None:
            return [self._wait(f"wait until a member is primary: {self._states()}"), *self._later(config)]
        answer = self.seen.answers[primary]
        if answer.kind is Kind.NO_USER:
            # Its set id cannot be read before somebody can log in.
            if self.seen.recorded:
                return [self._wait(f"wait for the members that have the root user: {self._states()}")]
            begun = {
                ordinal: self.desired.member(ordinal) if ordinal else self._first_member()
                for ordinal in self.desired.ordinals
                if answer.status(self.target.host(ordinal, self.seen))
            }
            name = self.target.pod(primary)
            return [self._create_user(primary), self._record(name, ""), *self._grow(begun, None), *self._end()]
        if config is None:
            return [self._wait(f"wait until {self.target.pod(primary)} reports its configuration")]
        steps: list[Step] = []
        if not self.seen.recorded:
            steps.append(self._record(self.target.pod(primary), config.set_id))
        return steps + self._later(config)

    def _later(self, config: t.Optional[Config]) -> list[Step]:
        """What follows for a set with this configuration."""
        if config is None:
            return []
        current = {
            ordinal: _options_of(member)
            for ordinal in self.desired.ordinals
            if (member := config.member(self.target.host(ordinal, self.seen)))
        }
        steps = self._grow(current, config.settings, config)
        lagging = self._not_serving(config)
        if any(step.change for step in steps):
            return steps + self._end()
        return [self._wait(f"wait until all members are PRIMARY or SECONDARY and vote: {lagging}")] if lagging else []

    # Growing, and changing what is there: at most one voting member changes in one step.

    def _grow(
        self,
        current: dict[int, MemberOptions],
        settings: t.Optional[tuple[tuple[str, t.Any], ...]],
        config: t.Optional[Config] = None,
    ) -> list[Step]:
        steps: list[Step] = []
        current = dict(current)
        pending = [ordinal for ordinal in self.desired.ordinals if current.get(ordinal) != self.desired.member(ordinal)]
        while pending:
            ordinal = self._next(current, pending)
            pending.remove(ordinal)
            before, after = current.get(ordinal), self.desired.member(ordinal)
            steps += self._before(ordinal, before, after, config)
            steps.append(self._add(ordinal, config) if before is None else self._change(ordinal, before, config))
            current[ordinal] = after
        if settings is not None:
            live = dict(settings)
            wrong = {key: value for key, value in self.desired.settings if live.get(key) != value}
            if wrong:
                steps.append(
                    Step(
                        SETTINGS,
                        self.target.replica_set,
                        f"apply the settings {_pairs(wrong)}",
                        data={"settings": wrong, **_seen_config(config)},
                    )
                )
        return steps

    def _next(self, current: t.Mapping[int, MemberOptions], pending: t.Sequence[int]) -> int:
        """Which member comes next: first what adds votes and candidates, last what takes them away."""
        voters = sum(options.votes for options in current.values())

        def gains(ordinal: int) -> int:
            before = current.get(ordinal)
            return self.desired.member(ordinal).votes - (before.votes if before else 0)

        room = [ordinal for ordinal in pending if gains(ordinal) <= 0 or voters < MOST_VOTERS]
        adds = [ordinal for ordinal in room if ordinal not in current]
        helps = [o for o in room if o in current and self.desired.member(o).electable and gains(o) >= 0]
        same = [o for o in room if o in current and gains(o) >= 0 and self._leaves_candidate(current, o)]
        loses = [o for o in room if o in current and gains(o) < 0 and self._leaves_candidate(current, o)]
        for choice in (helps, adds, same, loses):
            if choice:
                return choice[0]
        return room[0]

    def _leaves_candidate(self, current: t.Mapping[int, MemberOptions], ordinal: int) -> bool:
        after = {**current, ordinal: self.desired.member(ordinal)}
        return any(options.electable for options in after.values())

    def _before(
        self, ordinal: int, before: t.Optional[MemberOptions], after: MemberOptions, config: t.Optional[Config]
    ) -> list[Step]:
        """What must be true before a member is added or changed, as far as it is not yet."""
        steps: list[Step] = []
        if config and (before.votes if before else 0) != after.votes and not self._alone():
            lagging = self._not_serving(config, voters_only=True)
            if lagging:
                steps.append(self._wait(f"wait until all voting members serve and vote: {lagging}"))
        if config and before is None:
            steps += self._may_join(ordinal, config)
        if before and before.electable and not after.electable and self.seen.primary == ordinal:
            steps += self._move_primary(ordinal, config)
        return steps

    def _alone(self) -> bool:
        """Whether only the primary's own vote counts so far: joining voters have none yet, so none can be lost.

        A new set is in that state until its first joining member has caught up; adding the others meanwhile saves
        the heartbeats that each one would otherwise be waited for.
        """
        primary = self.seen.primary
        return primary is not None and self.seen.answers[primary].voting == 1

    def _may_join(self, ordinal: int, config: Config) -> list[Step]:
        """A member joins only when its own answer says that it has no other data to lose."""
        answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
        if answer.kind is Kind.UNINITIALISED and answer.settled:
            return []
        if answer.kind in (Kind.MEMBER, Kind.REMOVED) and answer.set_id == config.set_id:
            return []
        return self._pods_answer((ordinal,)) or [self._wait(f"wait until {name} can join: it is {answer.kind.value}")]

    def _move_primary(self, ordinal: int, config: t.Optional[Config]) -> list[Step]:
        """A server does not accept a configuration in which it, the primary, could not be elected."""
        name = self.target.pod(ordinal)
        if config is None:
            return []
        others = [m.host for m in config.members if m.electable and m.host != self.target.host(ordinal, self.seen)]
        if not any(status.serves and status.host in others for status in self._view()):
            return [self._wait(f"wait until another member can take over from the primary {name}: {self._states()}")]
        step_down = Step(
            STEP_DOWN, name, f"let {name} step down, so that another member becomes primary", data={"ordinal": ordinal}
        )
        return [step_down]

    def _add(self, ordinal: int, config: t.Optional[Config]) -> Step:
        host, options = self.target.host(ordinal, self.seen), self.desired.member(ordinal)
        role = "a voting member" if options.votes else "a non-voting member"
        special = _fields(options.differs_from(MemberConfig(0, "")), options)
        return Step(
            ADD,
            self.target.pod(ordinal),
            f"add {self.target.pod(ordinal)} ({host}) as {role}{f' with {special}' if special else ''}",
            data={"ordinal": ordinal, "host": host, "options": options, **_seen_config(config)},
        )

    def _change(self, ordinal: int, before: MemberOptions, config: t.Optional[Config]) -> Step:
        after, name = self.desired.member(ordinal), self.target.pod(ordinal)
        changed = [f.name for f in dataclasses.fields(after) if getattr(after, f.name) != getattr(before, f.name)]
        what = ", ".join(
            f"{field} from {_value(getattr(before, field))} to {_value(getattr(after, field))}" for field in changed
        )
        data = {"ordinal": ordinal, "host": self.target.host(ordinal, self.seen), "options": after}
        return Step(CHANGE, name, f"change {name}: {what}", data={**data, **_seen_config(config)})

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

    def _wait(self, sentence: str) -> Step:
        return Step(WAIT, self.target.name, sentence, change=False)

    def _end(self) -> list[Step]:
        return [self._wait(f"wait until all {self.desired.members} members are PRIMARY or SECONDARY")]

    # What is not so yet.

    def _pods_answer(self, ordinals: t.Iterable[int]) -> list[Step]:
        """One wait for all pods whose own 'not initialised' is still missing."""
        silent: dict[str, list[str]] = {}
        for ordinal in ordinals:
            answer = self.seen.answer(ordinal)
            if answer.kind is Kind.UNINITIALISED and not answer.settled:
                why = "it may still be reading its configuration"
            elif answer.kind is not Kind.UNINITIALISED:
                why = answer.detail or answer.kind.value
            else:
                continue
            silent.setdefault(why, []).append(self.target.pod(ordinal))
        if not silent:
            return []
        told = "; ".join(f"{', '.join(names)} ({why})" for why, names in silent.items())
        return [self._wait(f"wait until these pods answer: {told}")]

    def _view(self) -> tuple[MemberStatus, ...]:
        primary = self.seen.primary
        return self.seen.answers[primary].statuses if primary is not None else ()

    def _not_serving(self, config: Config, voters_only: bool = False) -> str:
        """Which members are not PRIMARY or SECONDARY, or do not vote yet; empty where all do."""
        view = {status.host: status for status in self._view()}
        lagging = []
        for ordinal in self.desired.ordinals:
            member = config.member(self.target.host(ordinal, self.seen))
            if member is None or (voters_only and not member.votes):
                continue
            status = view.get(member.host)
            # The primary's word comes from its last heartbeat: of a member that was just lost, it is an old one.
            if status is None or not status.serves or not self.seen.answer(ordinal).serves:
                lagging.append(self._lag(ordinal, status))
        primary = self.seen.primary
        if not lagging and primary is not None and self.seen.answers[primary].voting != config.voters:
            lagging.append(f"{self.seen.answers[primary].voting} of {config.voters} votes count so far")
        return "; ".join(lagging)

    def _lag(self, ordinal: int, status: t.Optional[MemberStatus]) -> str:
        name, answer = self.target.pod(ordinal), self.seen.answer(ordinal)
        state = status.state if status else "not seen by the primary"
        if status and status.serves:
            state = f"{state} by the primary's last heartbeat only"
        reasons = ["its disk is empty"] if answer.kind is Kind.UNINITIALISED else []
        if answer.kind is Kind.UNREACHABLE:
            reasons.append(answer.detail)
        elif status and not status.healthy:
            # It answers here, through its pod. The server's own words name the name at first, and later do not.
            reasons.append(
                f"the primary gets no answer under the name {status.host}, which must resolve and lead to it"
            )
        elif answer.kind is Kind.UNINITIALISED:
            primary = self.seen.primary
            source = self.target.host(primary, self.seen) if primary is not None else "the primary"
            reasons.append(f"it waits for the configuration from {source}, a name that must resolve in its pod")
        elif not answer.state:
            reasons.append(answer.detail or answer.kind.value)
        elif answer.state != state:
            reasons.append(f"{answer.state} by its own word")
        if status and status.message:
            reasons.append(status.message)
        return f"{name} is {state} ({'; '.join(reasons)})" if reasons else f"{name} is {state}"

    def _states(self) -> str:
        said = []
        for ordinal in self.desired.ordinals:
            answer = self.seen.answer(ordinal)
            said.append(f"{self.target.pod(ordinal)} {answer.state or answer.detail or answer.kind.value}")
        return "; ".join(said)


def _options_of(member: MemberConfig) -> MemberOptions:
    return MemberOptions(**{field.name: getattr(member, field.name) for field in dataclasses.fields(MemberOptions)})


def _seen_config(config: t.Optional[Config]) -> dict[str, t.Any]:
    """What a step was planned on: it is not taken on another configuration."""
    return {"version": config.version, "term": config.term} if config else {}


def _pairs(settings: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in settings.items())


def _fields(names: t.Iterable[str], options: MemberOptions) -> str:
    return ", ".join(f"{name}={_value(getattr(options, name))}" for name in names)


def _value(value: t.Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{key}: {item}" for key, item in value) + "}"
    return str(value)
