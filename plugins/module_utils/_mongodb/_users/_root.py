# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another password for the root user, in steps after each of which every valid password stands in the Secret."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import random_text
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._root_secret import (
    NEXT,
    PASSWORD,
    ROTATION,
    moved,
    with_next,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import (
    MECHANISMS,
    PASSWORD_LENGTH,
    Name,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._plan import WAIT, Around
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._primary import OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._scram import matches
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

WRITE_NEXT = "write_next"
CHANGE = "change"
MOVE = "move"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is wanted: another value than the Secret records, or a certain password, or only that nothing is pending."""

    rotation: str = ""
    new_password: t.Optional[str] = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class SeenRoot:
    around: Around
    user: str = ""
    secret: str = ""
    #: a next password stands beside the one in use
    pending: bool = False
    #: this run has given the next password to the database, and a majority has it
    given: bool = False
    #: the database has the next password, as far as the primary tells
    taken: bool = False
    #: the password in use is the wanted one
    wanted: bool = True
    #: the rotation that the Secret records
    rotation: str = ""
    #: who writes this Secret, and would take back what is written here
    owner: str = ""


def plan_root(wish: Wish, seen: SeenRoot) -> t.Union[Plan, Refusal]:
    """What is left to do. Pure."""
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
        why = f" (rotation {wish.rotation})" if wish.rotation else ""
        sentence = f"write the next password of user {seen.user} into Secret {seen.secret}, beside the one in use{why}"
        steps.append(Step(WRITE_NEXT, seen.secret, sentence))
    if not seen.given:
        steps.append(_change(seen))
    sentence = f"put the next password in Secret {seen.secret} in the place of the former one, and keep that beside it"
    return Plan((*steps, Step(MOVE, seen.secret, sentence)))


def _change(seen: SeenRoot) -> Step:
    return Step(CHANGE, seen.user, f"give user {seen.user} the next password of Secret {seen.secret}")


def _of_another(seen: SeenRoot, change: bool) -> t.Union[Plan, Refusal]:
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
        f"The Secret {seen.secret} (root_secret) belongs to {seen.owner}, which would take back what is written there, "
        "and nobody would know the password any more.",
        (),
        (
            f"let {seen.owner} write the new password under the key {NEXT}, beside the one under {PASSWORD}, run "
            f"mongodb_root_password without options, and then let it write the new one under {PASSWORD}",
        ),
    )


class RootPassword(OnPrimary[SeenRoot]):
    def __init__(
        self,
        observer: Observer,
        wish: Wish,
        wait_timeout: float,
        conceal: t.Callable[[t.Iterable[str]], None],
    ) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish
        self._conceal = conceal
        self._secret: t.Optional[Object] = None
        self._given: t.Optional[str] = None
        self._mechanisms: list[str] = []

    def observe(self) -> SeenRoot:
        around = self.find()
        target = self._target
        where = f"{target.namespace}/{target.root_secret}"
        secret = self._secret = self._observer.cluster.get("v1", "Secret", target.root_secret, target.namespace)
        if secret is None:
            return SeenRoot(around, secret=where)
        current, following = self._text(secret, PASSWORD), self._text(secret, NEXT)
        self._conceal(password for password in (current, following) if password)
        user = around.login.name or self._text(secret, "username") or ""
        taken = False
        if not (around.waits or around.refused):
            try:
                taken = self._takes(user, following)
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        return SeenRoot(
            around,
            user=user,
            secret=where,
            pending=bool(following),
            given=bool(following) and following == self._given,
            taken=taken,
            wanted=self._wish.new_password in (None, current),
            rotation=annotation(secret, ROTATION),
            owner=_owner(secret),
        )

    def _text(self, secret: Object, key: str) -> t.Optional[str]:
        try:
            return decoded(secret, key)
        except ValueError as exc:
            raise Failure(
                f"root_secret: {key} in the Secret {self._target.namespace}/{self._target.root_secret} is not text in "
                "UTF-8. Correct the Secret."
            ) from exc

    def _takes(self, user: str, password: t.Optional[str]) -> bool:
        """Whether the database has this password, and which mechanisms its user has."""
        if not password:
            return False
        answer = self.ask_primary("usersInfo", Name("admin", user).user, showCredentials=True)
        for document in answer["users"]:
            self._mechanisms = sorted(set(document.get("mechanisms") or ()) & set(MECHANISMS))
            return matches(document.get("credentials") or {}, user, password)
        return False

    def plan(self, observed: SeenRoot) -> t.Union[Plan, Refusal]:
        return plan_root(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: SeenRoot) -> None:
        secret = self._secret
        if secret is None:
            raise NotYet(f"the Secret {observed.secret} is gone")
        for step in steps:
            if step.action == WRITE_NEXT:
                password = self._wish.new_password or random_text(PASSWORD_LENGTH)
                self._conceal((password,))
                merge(self._observer.cluster, secret, with_next(secret, password, self._wish.rotation))
            elif step.action == CHANGE:
                following = self._text(secret, NEXT)
                if not following:
                    raise NotYet(f"the Secret {observed.secret} has no next password any more")
                fields = {"mechanisms": self._mechanisms} if self._mechanisms else {}
                if self.tell_primary(step, "updateUser", observed.user, "admin", pwd=following, **fields):
                    self._given = following
            else:
                merge(self._observer.cluster, secret, moved(secret))
                self.may_repeat()
        self.acted()

    def around(self, observed: SeenRoot) -> Around:
        return observed.around

    def facts(self, observed: SeenRoot) -> dict[str, t.Any]:
        return {
            "primary": observed.around.primary or None,
            "username": observed.user or None,
            "secret": self._target.root_secret,
            "rotation": observed.rotation or None,
            "pending": observed.pending,
        }


def _owner(secret: Object) -> str:
    """What writes this Secret, by its owner reference; empty where nothing does."""
    owners = secret["metadata"].get("ownerReferences") or ()
    return ", ".join(f"{owner['kind']} {owner['name']}" for owner in owners if owner.get("controller"))
