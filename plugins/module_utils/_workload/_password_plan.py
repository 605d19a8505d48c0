# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is left to do until a Secret and a database have the same new password. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, PASSWORD

WAIT = "wait"
WRITE_NEXT = "write_next"
CHANGE = "change"
MOVE = "move"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is wanted: another value than the Secret records, or a certain password, or only that nothing is pending."""

    rotation: str = ""
    new_password: t.Optional[str] = dataclasses.field(default=None, repr=False)


class Around(t.Protocol):
    """Whether the database can be asked and told."""

    @property
    def primary(self) -> str:
        """The pod that was asked, or nothing."""

    @property
    def waits(self) -> str:
        """What has to be there first."""

    @property
    def refused(self) -> t.Optional[Refusal]:
        """Why the login is refused."""

    @property
    def formed(self) -> bool:
        """What cannot be asked is not known, and not nothing."""


@dataclasses.dataclass(frozen=True)
class SeenPassword:
    around: Around
    #: the module that changes this password
    module: str
    user: str = ""
    secret: str = ""
    #: a next password stands beside the one in use
    pending: bool = False
    #: the next password has been given to the database, for good
    given: bool = False
    #: the database has the next password, as far as the primary tells
    taken: bool = False
    #: the password in use is the wanted one
    wanted: bool = True
    #: the rotation that the Secret records
    rotation: str = ""
    #: who writes this Secret, and would take back what is written here
    owner: str = ""
    #: the option that names the Secret
    option: str = "root_secret"


def plan_password(wish: Wish, seen: SeenPassword) -> t.Union[Plan, Refusal]:
    """What is left to do."""
    around = seen.around
    if around.refused:
        return around.refused
    change = not seen.wanted or bool(wish.rotation and wish.rotation != seen.rotation)
    if seen.owner:
        return _of_another(seen, change)
    steps: list[Step] = []
    if around.waits:
        steps.append(Step(WAIT, around.primary or "primary", f"wait until {around.waits}", change=False))
        if around.formed:
            return Plan(tuple(steps))
    if not (seen.pending or change):
        return Plan()
    if not seen.pending:
        steps.append(write_next(seen, wish.rotation))
    if not seen.given:
        steps.append(_change(seen))
    return Plan((*steps, move(seen)))


def write_next(seen: SeenPassword, rotation: str) -> Step:
    why = f" (rotation {rotation})" if rotation else ""
    sentence = f"write the next password of user {seen.user} into Secret {seen.secret}, beside the one in use{why}"
    return Step(WRITE_NEXT, seen.secret, sentence)


def move(seen: SeenPassword) -> Step:
    sentence = f"put the next password in Secret {seen.secret} in the place of the former one, and keep that beside it"
    return Step(MOVE, seen.secret, sentence)


def _change(seen: SeenPassword) -> Step:
    return Step(CHANGE, seen.user, f"give user {seen.user} the next password of Secret {seen.secret}")


def _of_another(seen: SeenPassword, change: bool) -> t.Union[Plan, Refusal]:
    """A Secret that somebody else writes: the database follows it, and never the other way round."""
    if seen.around.waits:
        return Plan((Step(WAIT, "primary", f"wait until {seen.around.waits}", change=False),))
    if seen.pending:
        warning = (
            f"The database has the password under {NEXT} in Secret {seen.secret}. Let {seen.owner}, which writes that "
            f"Secret, put it under {PASSWORD} now."
        )
        return Plan((), (warning,)) if seen.taken else Plan((_change(seen),), (warning,))
    if not change:
        return Plan()
    return Refusal(
        f"The Secret {seen.secret} ({seen.option}) belongs to {seen.owner}, which would take back what is written "
        "there, and nobody would know the password any more.",
        (),
        (
            f"let {seen.owner} write the new password under the key {NEXT}, beside the one under {PASSWORD}, run "
            f"{seen.module} without options, and then let it write the new one under {PASSWORD}",
        ),
    )
