# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Members that come, change and leave: at most one voting member in one step. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import MOST_VOTERS, MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config, Kind, MemberConfig, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import (
    ADD,
    CHANGE,
    DELETE_CLAIM,
    HAND_BACK,
    HORIZONS,
    REMOVE,
    SCALE,
    SETTINGS,
    in_words,
    planned_on,
    value_in_words,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step


class Members:
    """What is left to do from these members on. ``config`` is None where it cannot be read yet."""

    def __init__(self, view: View, current: t.Mapping[int, MemberOptions], config: t.Optional[Config] = None) -> None:
        self.view = view
        self.target = view.target
        self.desired = view.desired
        self.seen = view.seen
        self.config = config
        self.current = dict(current)

    @classmethod
    def of(cls, view: View, config: Config) -> Members:
        return cls(view, options_in(config, view.target, view.seen), config)

    def steps(self, settings: t.Optional[tuple[tuple[str, t.Any], ...]]) -> list[Step]:
        """``settings``: those in force, or None where they are not known."""
        steps: list[Step] = []
        current = dict(self.current)
        pending = [ordinal for ordinal in self.desired.ordinals if current.get(ordinal) != self.desired.member(ordinal)]
        leaving = self._leaving()
        while pending or leaving:
            ordinal = self._next(current, pending, leaving)
            if ordinal in leaving:
                leaving.remove(ordinal)
                # What holds for one that leaves holds for the next one too.
                steps += [step for step in self._before_leaving(ordinal, current) if step not in steps]
                steps.append(self._remove(ordinal))
                del current[ordinal]
                continue
            pending.remove(ordinal)
            before, after = current.get(ordinal), self.desired.member(ordinal)
            steps += self._before(ordinal, before, after)
            steps.append(self._add(ordinal) if before is None else self._change(ordinal, before))
            current[ordinal] = after
        steps += self._horizons()
        if settings is not None:
            live = dict(settings)
            wrong = {key: value for key, value in self.desired.settings if live.get(key) != value}
            if wrong:
                sentence = f"apply the settings {in_words(wrong)}"
                data = {"settings": wrong, **planned_on(self.config)}
                steps.append(Step(SETTINGS, self.target.replica_set, sentence, data=data))
        return steps + self._pods_leave(bool(steps))

    # Which member comes next

    def _leaving(self) -> list[int]:
        """First who does not serve, because nothing is lost with it; then who would soonest be primary again."""

        def rank(ordinal: int) -> tuple[bool, bool, float, int]:
            needed = ordinal == self.seen.primary and not self._heirs()
            return (needed, self.view.serves(ordinal), -self.current[ordinal].priority, -ordinal)

        return sorted((ordinal for ordinal in self.current if ordinal not in self.desired.ordinals), key=rank)

    def _next(self, current: t.Mapping[int, MemberOptions], pending: t.Sequence[int], leaving: t.Sequence[int]) -> int:
        """First what adds votes and candidates, last what takes them away."""
        voters = sum(options.votes for options in current.values())

        def gains(ordinal: int) -> int:
            before = current.get(ordinal)
            return self.desired.member(ordinal).votes - (before.votes if before else 0)

        room = [ordinal for ordinal in pending if gains(ordinal) <= 0 or voters < MOST_VOTERS]
        helps = [o for o in room if o in current and self.desired.member(o).electable and gains(o) >= 0]
        adds = [ordinal for ordinal in room if ordinal not in current]
        same = [o for o in room if o in current and gains(o) >= 0 and self._leaves_candidate(current, o)]
        loses = [o for o in room if o in current and gains(o) < 0 and self._leaves_candidate(current, o)]
        for choice in (helps, adds, same, leaving, loses):
            if choice:
                return choice[0]
        return (room or pending)[0]

    def _leaves_candidate(self, current: t.Mapping[int, MemberOptions], ordinal: int) -> bool:
        """Whether one that stays can be primary afterwards: one that leaves is none to hand over to."""
        after = {**current, ordinal: self.desired.member(ordinal)}
        return any(options.electable for other, options in after.items() if other in self.desired.ordinals)

    # What must be true before, as far as it is not yet

    def _before(self, ordinal: int, before: t.Optional[MemberOptions], after: MemberOptions) -> list[Step]:
        config = self.config
        if config is None:
            return []
        steps: list[Step] = []
        if (before.votes if before else 0) != after.votes and not self._alone():
            steps += self._voters_serve(config)
        if before is None:
            steps += self._may_join(ordinal, config)
        if before and before.electable and not after.electable and self.seen.primary == ordinal:
            # A server does not accept a configuration in which it, the primary, could not be elected.
            steps.append(self.view.move_primary(config, self._staying()))
        return steps

    def _alone(self) -> bool:
        """Whether only the primary's own vote counts so far: joining voters have none yet, so none can be lost.

        A new set is in that state until its first joining member has caught up; adding the others meanwhile saves
        the heartbeats that each one would otherwise be waited for.
        """
        primary = self.seen.primary
        return primary is not None and self.seen.answers[primary].voting == 1

    def _voters_serve(self, config: Config) -> list[Step]:
        voters = [o for o in self._staying() if (member := self.view.member(config, o)) and member.votes]
        missing = self.view.not_serving(config, voters) or self.view.votes_missing(config)
        return [self.view.wait(f"wait until all voting members serve and vote: {missing}")] if missing else []

    def _may_join(self, ordinal: int, config: Config) -> list[Step]:
        """A member joins only when its own answer says that it has no other data to lose."""
        answer, name = self.seen.answer(ordinal), self.target.pod(ordinal)
        if answer.kind is Kind.UNINITIALISED and answer.settled:
            return []
        if answer.kind in (Kind.MEMBER, Kind.REMOVED) and answer.set_id == config.set_id:
            return []
        if answer.kind is Kind.REMOVED and self.desired.member(ordinal).arbiter_only:
            # Without users nobody may read its set id. It has no data to lose, and a server does not let itself be
            # taken into another set than its own.
            return []
        waits = self.view.pods_answer((ordinal,))
        return waits or [self.view.wait(f"wait until {name} can join: it is {answer.kind.value}")]

    def _before_leaving(self, ordinal: int, current: t.Mapping[int, MemberOptions]) -> list[Step]:
        """The primary is one that stays, and those that stay can vote without the one that leaves."""
        config = self.config
        if config is None:
            return []
        primary = self.seen.primary
        if primary is not None and primary not in self.desired.ordinals and (primary == ordinal or self._heirs()):
            return [self.view.move_primary(config, self._staying())]
        if not current[ordinal].votes:
            return []
        status = self.view.status(ordinal)
        if status and status.serves:
            # Whether or not we reach it: to the set it is there.
            missing = self.view.not_serving(config, self._staying())
            what = "wait until all members that stay serve"
        else:
            # Its vote is lost already. What counts is that the others are a majority without it.
            left = [o for o, options in current.items() if options.votes and o != ordinal]
            serving = [o for o in left if self.view.serves(o)]
            missing = "" if len(serving) * 2 > len(left) else self.view.not_serving(config, left)
            what = f"wait until a majority serves without {self.target.pod(ordinal)}"
        return [self.view.wait(f"{what}: {missing}")] if missing else []

    def _heirs(self) -> list[int]:
        """Members that stay and can be elected. While there are seven voters, one may have to leave before there is."""
        return [ordinal for ordinal in self._staying() if self.current[ordinal].electable]

    def _staying(self) -> list[int]:
        return [ordinal for ordinal in self.current if ordinal in self.desired.ordinals]

    # Steps

    def _add(self, ordinal: int) -> Step:
        host, options = self.target.host(ordinal, self.seen), self.desired.member(ordinal)
        role = "a voting member" if options.votes else "a non-voting member"
        special = in_words({name: getattr(options, name) for name in options.differs_from(MemberConfig(0, ""))})
        if options.arbiter_only:
            role, special = "an arbiter (the default write concern becomes majority, unless one is set)", ""
        return Step(
            ADD,
            self.target.pod(ordinal),
            f"add {self.target.pod(ordinal)} ({host}) as {role}{f' with {special}' if special else ''}",
            data={
                "ordinal": ordinal,
                "host": host,
                "options": options,
                "horizons": dict(self._horizons_at_once(ordinal)),
                **planned_on(self.config),
            },
        )

    def _horizons_at_once(self, ordinal: int) -> tuple[tuple[str, str], ...]:
        """A member that comes must have the horizons that the others have, and may have none where they have none."""
        wanted = (self.desired.horizons or {}).get(ordinal, ())
        names = {name for member in self.config.members for name, _at in member.horizons} if self.config else set()
        return wanted if names == {name for name, _at in wanted} else ()

    def _horizons(self) -> list[Step]:
        """All at once, because the server takes a horizon for all members or for none."""
        if self.desired.horizons is None:
            return []
        found = {}
        for ordinal in self.desired.ordinals:
            member = self.view.member(self.config, ordinal) if self.config else None
            found[ordinal] = member.horizons if member else self._horizons_at_once(ordinal)
        wanted = {ordinal: self.desired.horizons.get(ordinal, ()) for ordinal in self.desired.ordinals}
        if found == wanted:
            return []
        told = "; ".join(
            f"{self.target.pod(ordinal)} {value_in_words(horizons) if horizons else 'none'}"
            for ordinal, horizons in wanted.items()
            if found[ordinal] != horizons
        )
        hosts = {self.target.host(ordinal, self.seen): dict(horizons) for ordinal, horizons in wanted.items()}
        data = {"horizons": hosts, **planned_on(self.config)}
        return [Step(HORIZONS, self.target.replica_set, f"apply the horizons {told}", data=data)]

    def _change(self, ordinal: int, before: MemberOptions) -> Step:
        after, name = self.desired.member(ordinal), self.target.pod(ordinal)
        changed = [f.name for f in dataclasses.fields(after) if getattr(after, f.name) != getattr(before, f.name)]
        what = ", ".join(
            f"{field} from {value_in_words(getattr(before, field))} to {value_in_words(getattr(after, field))}"
            for field in changed
        )
        data = {"ordinal": ordinal, "host": self.target.host(ordinal, self.seen), "options": after}
        return Step(CHANGE, name, f"change {name}: {what}", data={**data, **planned_on(self.config)})

    def _remove(self, ordinal: int) -> Step:
        name, host = self.target.pod(ordinal), self.target.host(ordinal, self.seen)
        vote = "" if self.current[ordinal].votes else ", which does not vote"
        return Step(
            REMOVE,
            name,
            f"take {name} ({host}){vote} out of the configuration",
            data={"ordinal": ordinal, "host": host, **planned_on(self.config)},
        )

    # Pods follow their members

    def _pods_leave(self, more: bool) -> list[Step]:
        """Fewer replicas once no member is left on them, by the word of a majority; then their claims, if asked."""
        found = self.seen.stateful_set
        if found is None or self.config is None:
            return []
        steps: list[Step] = []
        gone = range(self.desired.members, found.replicas)
        if gone:
            names = ", ".join(self.target.pod(ordinal) for ordinal in gone)
            if not more:
                steps += self._majority_knows(self.config)
            keep = "deleted afterwards" if self.desired.delete_claims else "kept"
            steps.append(
                Step(
                    SCALE,
                    self.target.name,
                    f"lower the StatefulSet {self.target.name} from {found.replicas} to {self.desired.members} "
                    f"replicas: {names} {'goes' if len(gone) == 1 else 'go'}, and their claims are {keep}",
                    data={"replicas": self.desired.members},
                )
            )
        if gone or found.owed:
            sentence = f"hand the number of replicas back to whoever declared it for the StatefulSet {self.target.name}"
            steps.append(Step(HAND_BACK, self.target.name, sentence))
        there = [self.target.pod(ordinal) for ordinal in self.seen.pods if ordinal >= self.desired.members]
        if there:
            steps.append(self.view.wait(f"wait until these pods are gone: {', '.join(there)}"))
        left = self._claims_left()
        steps += [self._delete_claim(claim) for claim in left if claim not in self.seen.going]
        going = [claim for claim in left if claim in self.seen.going]
        return [*steps, self.view.wait(f"wait until these claims are gone: {', '.join(going)}")] if going else steps

    def _majority_knows(self, config: Config) -> list[Step]:
        """The primary's word that a change is committed is confirmed by each member's own configuration.

        An arbiter shows its own to nobody, so of it the primary's word counts.
        """
        voters = [o for o in self._staying() if self.current[o].votes]
        known = []
        for ordinal in voters:
            its, status = self.seen.answer(ordinal).config, self.view.status(ordinal)
            told = (its.version, its.term) if its else (0, 0)
            if self.current[ordinal].arbiter_only and status:
                told = status.config
            if told == (config.version, config.term):
                known.append(ordinal)
        if len(known) * 2 > len(voters):
            return []
        missing = ", ".join(self.target.pod(ordinal) for ordinal in voters if ordinal not in known)
        return [
            self.view.wait(
                f"wait until a majority has version {config.version} of the configuration: not yet {missing}"
            )
        ]

    def _claims_left(self) -> list[str]:
        if not self.desired.delete_claims:
            return []
        return [
            claim for ordinal, claims in self.seen.claims.items() if ordinal >= self.desired.members for claim in claims
        ]

    def _delete_claim(self, claim: str) -> Step:
        return Step(
            DELETE_CLAIM, claim, f"delete claim {claim}, with the data of a member that left", data={"claim": claim}
        )


def options_in(config: Config, target: Target, seen: Snapshot) -> dict[int, MemberOptions]:
    """What the members with a stable name are, by ordinal."""
    ordinals = ((target.ordinal(member.host, seen), member) for member in config.members)
    return {ordinal: options_of(member) for ordinal, member in ordinals if ordinal is not None}


def options_of(member: MemberConfig) -> MemberOptions:
    return MemberOptions(**{field.name: getattr(member, field.name) for field in dataclasses.fields(MemberOptions)})
