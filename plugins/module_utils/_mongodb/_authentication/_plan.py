# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Whether members may be given another kind of authentication next, from what was seen alone. Pure.

A mongod cannot change it while it runs, so pods are replaced, and for a while members of two kinds are in one set.
disabled and required do not let each other in; transition understands both. So a template may be at most one away from
every mongod that runs, and nobody is asked for a login before every member knows the root user.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    AUTHENTICATION,
    DISABLED,
    REQUIRED,
    TRANSITION,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

WAIT = "wait"


@dataclasses.dataclass(frozen=True)
class Member:
    """One pod in which a container runs."""

    pod: str
    #: what its mongod runs with; empty where it did not answer
    mode: str = ""
    #: whether it lets the root user of the Secret in; an arbiter has no users and counts as one that does
    root: bool = False
    #: clients that are connected to it, in words, and whether they have logged in
    clients: t.Mapping[str, bool] = dataclasses.field(default_factory=dict)
    #: why it cannot be asked
    silence: str = ""


@dataclasses.dataclass(frozen=True)
class Seen:
    name: str
    namespace: str
    root_secret: str
    #: what pods are made with now: None where there is no StatefulSet, empty where it cannot be read from its arguments
    template: t.Optional[str] = None
    #: whether the Secret with the root user is there
    secret: bool = False
    members: tuple[Member, ...] = ()

    @property
    def unsecured(self) -> bool:
        """Pods run, and none has a key file: new Secrets lock nothing up."""
        return bool(self.members) and all(member.mode == DISABLED for member in self.members)


def rank(mode: str) -> int:
    return AUTHENTICATION.index(mode)


def decided(wish: str, template: t.Optional[str]) -> bool:
    """Whether nobody need be asked: there is nothing yet, or the template is as declared already."""
    return template is None or template == wish


def plan(wish: str, seen: Seen) -> t.Union[Plan, Refusal]:
    """An empty plan means that the members may be declared so."""
    if decided(wish, seen.template):
        return Plan()
    far = [member for member in seen.members if member.mode and abs(rank(member.mode) - rank(wish)) > 1]
    if far:
        return _too_far(wish, seen, far)
    silent = [f"{member.pod} ({member.silence})" for member in seen.members if not member.mode]
    if silent:
        return Plan((_wait(seen, f"every member answers: {'; '.join(silent)}"),))
    if wish == REQUIRED and not seen.members:
        return Plan((_wait(seen, "a member runs that can tell whether the root user is there"),))
    if wish != REQUIRED or all(member.mode == REQUIRED for member in seen.members):
        return Plan()
    unknown = [member.pod for member in seen.members if not member.root]
    if unknown:
        return _nobody_could_log_in(seen, unknown)
    # A client that has a connection to each member logs in where it writes or reads, and elsewhere only watches.
    known = {who for member in seen.members for who, logged_in in member.clients.items() if logged_in}
    told = sorted({who for member in seen.members for who in member.clients} - known)
    return Plan((), (_strangers(told),) if told else ())


def _too_far(wish: str, seen: Seen, far: t.Sequence[Member]) -> Refusal:
    names = ", ".join(member.pod for member in far)
    return Refusal(
        f"authentication is to be {wish}, and these members of {seen.namespace}/{seen.name} run with "
        f"{far[0].mode}: {names}. The two do not let each other in, so a pod that is replaced would be lost to the "
        "set. Nothing was changed.",
        tuple(f"{member.pod} runs with {member.mode or 'nobody knows what'}" for member in seen.members),
        (
            f"declare {TRANSITION} first, which understands both, and {wish} in a later run, when clients have changed "
            "over",
            f"keep {far[0].mode}",
        ),
    )


def _nobody_could_log_in(seen: Seen, unknown: t.Sequence[str]) -> Refusal:
    secret = f"{seen.namespace}/{seen.root_secret}"
    why = (
        f"do not let in the user of Secret {secret} with the role root"
        if seen.secret
        else f"and there is no Secret {secret}"
    )
    return Refusal(
        f"authentication is to be required, and these members {why}: {', '.join(unknown)}. Nobody could log in "
        "afterwards. Nothing was changed.",
        tuple(f"{member.pod} runs with {member.mode}" for member in seen.members),
        (
            f"run once more with {TRANSITION}, which makes the root user, and wait until every member has it",
            "put the right password into the Secret, where the user is there with another one",
        ),
    )


def _strangers(told: t.Sequence[str]) -> str:
    return (
        f"These clients are connected and have not logged in, and are let in no more once authentication is required: "
        f"{'; '.join(told)}."
    )


def _wait(seen: Seen, what: str) -> Step:
    return Step(WAIT, seen.name, f"wait until {what}", change=False)
