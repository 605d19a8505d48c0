# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the evidence comes to for one set id: who is the newest, who is missing, and who could elect. Pure.

A forced configuration ends the vote of everybody who is not in it, so whatever is not known counts against it: a pod
that does not answer may have the newest data, whether the configuration names it or not.
"""

from __future__ import annotations

import functools
import ipaddress
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Evidence, Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
    PRIMARY,
    SECONDARY,
    Answer,
    Config,
    Kind,
    MemberConfig,
    newest_config,
)


class Case:
    """One set in these pods."""

    def __init__(self, target: Target, evidence: Evidence, set_id: str) -> None:
        self.target = target
        self.evidence = evidence
        self.seen = evidence.seen
        self.set_id = set_id
        self.holders = evidence.holders(set_id)

    def _answer(self, ordinal: int) -> Answer:
        return self.seen.answer(ordinal)

    # Who leads, or could.

    @property
    def primary(self) -> t.Optional[int]:
        found = [o for o in self.holders if self._answer(o).kind is Kind.MEMBER and self._answer(o).state == PRIMARY]
        return max(found, key=lambda ordinal: self._answer(ordinal).term, default=None)

    @property
    def heard_primary(self) -> str:
        """A primary that cannot be asked here, and that a member hears all the same."""
        for ordinal in self.holders:
            for status in self._answer(ordinal).statuses:
                if status.state == PRIMARY and status.healthy:
                    return f"{self.target.pod(ordinal)} hears the primary {status.host}"
        return ""

    @property
    def can_elect(self) -> str:
        """A member that hears a majority, somebody electable among it: an election will come without anybody's help."""
        for ordinal in self.holders:
            answer = self._answer(ordinal)
            if answer.kind is not Kind.MEMBER or answer.config is None:
                continue
            heard = {status.host for status in answer.statuses if status.healthy}
            members = [member for member in answer.config.members if member.host in heard]
            if _majority(members, answer.config) and any(member.electable for member in members):
                return f"{self.target.pod(ordinal)} hears a majority of its configuration"
        return ""

    # The configuration, and which pod is which of its members.

    @functools.cached_property
    def config(self) -> t.Optional[Config]:
        """The primary's configuration, or the newest that a holder of the set has."""
        if self.primary is not None:
            return self._answer(self.primary).config
        return newest_config(self._answer(ordinal).config for ordinal in self.holders)

    @property
    def members(self) -> tuple[MemberConfig, ...]:
        """Members that have data."""
        return tuple(m for m in self.config.members if not m.arbiter_only) if self.config else ()

    @functools.cached_property
    def ordinals(self) -> tuple[int, ...]:
        """Every pod that is, should be, or was: its claim may be there still."""
        known = {*self.seen.pods, *self.seen.claims, *self.seen.answers}
        return tuple(sorted(known | set(range(self.seen.stateful_set.replicas if self.seen.stateful_set else 0))))

    def ordinal_of(self, member: MemberConfig) -> t.Optional[int]:
        """The pod that a member is by its name, be it an old one: the first label is the pod's."""
        for ordinal in self.holders:
            if self.evidence.statement(ordinal).me == member.host:
                return ordinal
        label = member.host.rpartition(":")[0].partition(".")[0]
        prefix, _dash, number = label.rpartition("-")
        return int(number) if prefix == self.target.name and number.isdigit() else None

    @property
    def by_name(self) -> dict[int, MemberConfig]:
        return {ordinal: m for m in self.members if (ordinal := self.ordinal_of(m)) is not None}

    @property
    def arbiters(self) -> frozenset[int]:
        """Pods that have no data, and never had: by their own word, or by their names in the configuration."""
        told = {o for o, answer in self.seen.answers.items() if answer.state == ARBITER}
        named = self.config.members if self.config else ()
        return frozenset(told | {o for m in named if m.arbiter_only and (o := self.ordinal_of(m)) is not None})

    @property
    def unnamed(self) -> tuple[MemberConfig, ...]:
        """Members whose names do not tell which pod they are."""
        return tuple(member for member in self.members if self.ordinal_of(member) is None)

    def _counted(self, member: MemberConfig) -> bool:
        """Whether any pod with data of the set may be taken for it: by its number, as its name says nothing."""
        return not self.by_name or _is_address(member.host)

    # Whose data is known.

    def known(self, ordinal: int) -> bool:
        """Whether this pod has data of the set, all of it, and its newest write is known."""
        said = self.evidence.statement(ordinal)
        return ordinal in self.holders and said.newest is not None and said.complete

    def newest_of(self, ordinal: int) -> Optime:
        """Its newest write; of a pod that is known."""
        return self.evidence.statement(ordinal).newest or Optime(0, 0)

    def can_lead(self, ordinal: int) -> bool:
        """Whether its data is in a state to be started from."""
        answer = self._answer(ordinal)
        steady = answer.kind is Kind.REMOVED or (answer.kind is Kind.MEMBER and answer.state in (PRIMARY, SECONDARY))
        member = self.by_name.get(ordinal)
        return self.known(ordinal) and steady and (member is None or member.build_indexes)

    def newest(self, lost: t.Collection[str] = ()) -> t.Optional[int]:
        """The pod with the newest write of all that are known and not given up.

        Among equals it is one that can lead, and the first.
        """
        choice = [o for o in self.holders if self.known(o) and self.target.pod(o) not in lost]
        if not choice:
            return None
        best = max(self.newest_of(ordinal) for ordinal in choice)
        equal = [ordinal for ordinal in choice if self.newest_of(ordinal) == best]
        return next((ordinal for ordinal in equal if self.can_lead(ordinal)), equal[0])

    @functools.cached_property
    def missing(self) -> dict[str, str]:
        """Who may have newer data and does not tell: pod, or name in the configuration, and why."""
        found = {
            self.target.pod(ordinal): why
            for ordinal in self.ordinals
            if not self.known(ordinal) and ordinal not in self.arbiters and (why := self._silent(ordinal))
        }
        # Beyond the pods that there are.
        for ordinal, member in sorted(self.by_name.items()):
            if ordinal not in self.ordinals:
                found[self.target.pod(ordinal)] = f"in the configuration as {member.host}, without a pod"
        counted = [member for member in self.unnamed if self._counted(member)]
        for member in self.unnamed:
            if member not in counted:
                found[member.host] = "in the configuration, and no pod here is it"
        free = [ordinal for ordinal in self.ordinals if ordinal not in self.by_name and ordinal not in self.arbiters]
        left = len(counted) - sum(self.known(o) or self.target.pod(o) in found for o in free)
        ordinal = 0
        while left > 0:
            name = self.target.pod(ordinal)
            spoken_for = ordinal in self.by_name or ordinal in self.arbiters or name in found
            if not spoken_for and not self.known(ordinal):
                own = self._own_words(ordinal)
                found[name] = f"the configuration has a member more than pods tell of it ({own})"
                left -= 1
            ordinal += 1
        return found

    def _silent(self, ordinal: int) -> str:
        """Why this pod may have had newer data than it shows; empty where it surely had none."""
        answer, kind = self._answer(ordinal), self._answer(ordinal).kind
        claims = ", ".join(self.seen.claims.get(ordinal, ()))
        if kind is Kind.UNREACHABLE and ordinal not in self.seen.pods:
            if claims:
                return f"its pod does not exist, and its claim is there ({claims})"
            return "its pod does not exist, nor does a claim" if ordinal in self.by_name else ""
        if kind in (Kind.UNREACHABLE, Kind.REFUSED, Kind.STANDALONE):
            return answer.detail or kind.value
        if ordinal in self.holders:
            return self.evidence.statement(ordinal).problem or "its data is not complete"
        if kind is Kind.UNINITIALISED and not answer.settled:
            return "it says that it has no configuration, and may still be reading it"
        if kind is Kind.REMOVED and not answer.set_id:
            return "its configuration cannot be read"
        return self._own_words(ordinal) if ordinal in self.by_name else ""

    def _own_words(self, ordinal: int) -> str:
        answer = self._answer(ordinal)
        if answer.kind is Kind.UNINITIALISED:
            return "its disk is empty"
        if answer.kind is Kind.NO_USER:
            return "its disk holds a set that has no user yet"
        if answer.set_id:
            return f"its disk holds another set, {answer.set_id}"
        return answer.detail or answer.kind.value

    # What the votes say.

    @property
    def safe(self) -> bool:
        """Whether whatever a majority acknowledged is on some member whose data is known."""
        if self.config is None:
            return False
        named = sum(member.votes for ordinal, member in self.by_name.items() if self.known(ordinal))
        counted = [member.votes for member in self.unnamed if self._counted(member)]
        free = sum(self.known(ordinal) for ordinal in self.ordinals if ordinal not in self.by_name)
        gone = self.config.voters - named - sum(sorted(counted)[:free])
        return gone < self.config.voters // 2 + 1

    @property
    def rightly_named(self) -> tuple[int, ...]:
        """Pods that hold the set, and that the configuration names as they are named now."""
        return tuple(
            ordinal
            for ordinal in self.holders
            if self.config and self.config.member(self.target.host(ordinal, self.seen))
        )

    @property
    def majority_named_rightly(self) -> bool:
        if self.config is None:
            return False
        found = [self.config.member(self.target.host(ordinal, self.seen)) for ordinal in self.rightly_named]
        members = [member for member in found if member]
        return _majority(members, self.config) and any(member.electable for member in members)

    @property
    def wrongly_named(self) -> dict[str, str]:
        """Names in the configuration that are not those of the pods now, and what they should be."""
        found = {}
        for member in self.members:
            ordinal = self.ordinal_of(member)
            if ordinal is None:
                found[member.host] = ""
            elif member.host != self.target.host(ordinal, self.seen):
                found[member.host] = self.target.host(ordinal, self.seen)
        return found

    @property
    def others(self) -> tuple[int, ...]:
        """Pods whose disks hold another set."""
        return tuple(
            ordinal
            for ordinal, answer in self.seen.answers.items()
            if ordinal not in self.holders
            and ordinal not in self.arbiters
            and (answer.set_id or answer.kind is Kind.NO_USER)
        )


def _majority(members: t.Sequence[MemberConfig], config: Config) -> bool:
    return sum(member.votes for member in members) * 2 > config.voters


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True
