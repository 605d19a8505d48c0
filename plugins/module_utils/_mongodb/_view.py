# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""One snapshot beside what is declared: who serves, who is behind, who may take over, and why not. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import STEP_DOWN, WAIT
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

# Seconds that an answer to a heartbeat may be late.
PATIENCE = 1.5


class View:
    def __init__(self, target: Target, desired: Desired, seen: Snapshot) -> None:
        self.target = target
        self.desired = desired
        self.seen = seen
        primary = seen.primary
        self.statuses: tuple[MemberStatus, ...] = seen.answers[primary].statuses if primary is not None else ()

    # Members

    def member(self, config: Config, ordinal: int) -> t.Optional[MemberConfig]:
        return config.member(self.target.host(ordinal, self.seen))

    def status(self, ordinal: int) -> t.Optional[MemberStatus]:
        """The member as the primary sees it."""
        host = self.target.host(ordinal, self.seen)
        return next((status for status in self.statuses if status.host == host), None)

    def serves(self, ordinal: int) -> bool:
        """By the primary's word and its own: of a member that was just lost, the primary's is an old one.

        One whose pod was told to end answers for a while yet, and is as good as gone.
        """
        status = self.status(ordinal)
        return bool(status and status.serves and self.seen.answer(ordinal).serves and not self.pod(ordinal).deleting)

    def behind(self, ordinal: int) -> t.Optional[float]:
        """Seconds behind the primary, less the delay that is asked of it; None where that is not known."""
        config, primary = self.seen.config, self.seen.primary
        status = self.status(ordinal)
        if config is None or primary is None or status is None or not status.optime:
            return None
        member, newest = config.member(status.host), self.status(primary)
        own = self.seen.answer(ordinal).status(status.host)
        # What the primary knows came by the last heartbeat.
        written = max(status.optime, own.optime if own else 0.0)
        return max(0.0, (newest.optime if newest else 0.0) - written - (member.secondary_delay_secs if member else 0))

    def lags(self, ordinal: int) -> bool:
        behind = self.behind(ordinal)
        return behind is None or behind > self.desired.lag_limit

    # Words

    def wait(self, sentence: str) -> Step:
        return Step(WAIT, self.target.name, sentence, change=False)

    def states(self) -> str:
        """What each declared member says of itself."""
        said = []
        for ordinal in self.desired.ordinals:
            answer = self.seen.answer(ordinal)
            said.append(f"{self.target.pod(ordinal)} {answer.state or answer.detail or answer.kind.value}")
        return "; ".join(said)

    def not_serving(self, config: Config, ordinals: t.Iterable[int]) -> str:
        """Which of these members do not serve, and why; empty where all do."""
        return "; ".join(
            self._why(ordinal) for ordinal in ordinals if self.member(config, ordinal) and not self.serves(ordinal)
        )

    def votes_missing(self, config: Config) -> str:
        """How many votes do not count yet: a joining member's does not, until it has caught up."""
        primary = self.seen.primary
        if primary is None or self.seen.answers[primary].voting == config.voters:
            return ""
        return f"{self.seen.answers[primary].voting} of {config.voters} votes count so far"

    def pods_answer(self, ordinals: t.Iterable[int]) -> list[Step]:
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
        return [self.wait(f"wait until these pods answer: {told}")]

    def _why(self, ordinal: int) -> str:
        name, answer, status = self.target.pod(ordinal), self.seen.answer(ordinal), self.status(ordinal)
        state = status.state if status else "not seen by the primary"
        if self.pod(ordinal).deleting:
            return f"{name} is going, to be made again"
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

    # Who may take over

    def move_primary(self, config: Config, candidates: t.Iterable[int]) -> Step:
        """Let the primary step down for the best of these members, or wait until one of them is fit."""
        primary = t.cast(int, self.seen.primary)
        name = self.target.pod(primary)
        fit = self.successors(config, candidates)
        if not fit:
            return self.wait(
                f"wait until another member can take over from the primary {name}: {self.why_no_successor(config)}"
            )
        to = fit[0]
        return Step(
            STEP_DOWN,
            name,
            f"let {name} step down for {self.target.pod(to)}, which is {self.behind(to) or 0:.0f} s behind",
            data={"ordinal": primary, "to": to},
        )

    def successors(self, config: Config, candidates: t.Iterable[int]) -> list[int]:
        """Members that can be elected and have caught up: the most wanted first."""
        fit = []
        for ordinal in candidates:
            member = self.member(config, ordinal)
            if ordinal == self.seen.primary or member is None or not member.electable:
                continue
            if self.serves(ordinal) and not self.lags(ordinal) and not self.unseen_by(ordinal):
                fit.append((-member.priority, self.behind(ordinal) or 0.0, ordinal))
        return [ordinal for _priority, _behind, ordinal in sorted(fit)]

    def unseen_by(self, ordinal: int) -> list[int]:
        """Members that serve and that this one does not reach: as a primary it would lack them for a while.

        Every member finds out for itself that a pod was made again, and at another address.
        """
        told = self.seen.answer(ordinal).statuses
        own = {status.host for status in told if status.healthy and status.silent <= self._heartbeat()}
        others = [other for other in self.seen.answers if other != ordinal and self.serves(other)]
        return [other for other in others if self.target.host(other, self.seen) not in own]

    def does_not_reach(self, ordinal: t.Optional[int], unseen: t.Collection[int]) -> str:
        if ordinal is None or not unseen:
            return ""
        return f"{self.target.pod(ordinal)} does not reach {', '.join(self.target.pod(each) for each in unseen)} yet"

    def _heartbeat(self) -> float:
        """Seconds in which a member that is there has answered, with some patience for a busy machine."""
        config = self.seen.config
        settings = dict(config.settings) if config else {}
        return float(settings.get("heartbeatIntervalMillis", 2000)) / 1000 + PATIENCE

    def why_no_successor(self, config: Config) -> str:
        late = [
            f"{self.target.pod(ordinal)} is {behind:.0f} s behind"
            for ordinal in self.desired.ordinals
            if self.serves(ordinal) and (behind := self.behind(ordinal)) and behind > self.desired.lag_limit
        ]
        late += [
            self.does_not_reach(ordinal, unseen)
            for ordinal in self.desired.ordinals
            if ordinal != self.seen.primary and self.serves(ordinal) and (unseen := self.unseen_by(ordinal))
        ]
        return "; ".join(late) or self.not_serving(config, self.desired.ordinals) or self.states()

    def pod(self, ordinal: int) -> Pod:
        return self.seen.pods.get(ordinal) or Pod(self.target.pod(ordinal), running=False)
