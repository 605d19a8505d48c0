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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import (
    MECHANISMS,
    Name,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._primary import OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._scram import matches
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import PASSWORD_LENGTH
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import (
    CHANGE,
    WRITE_NEXT,
    SeenPassword,
    Wish,
    plan_password,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import (
    NEXT,
    PASSWORD,
    ROTATION,
    moved,
    owner,
    with_next,
)

MODULE = "mongodb_root_password"


class RootPassword(OnPrimary[SeenPassword]):
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

    def observe(self) -> SeenPassword:
        around = self.find()
        target = self._target
        where = f"{target.namespace}/{target.root_secret}"
        secret = self._secret = self._observer.cluster.get("v1", "Secret", target.root_secret, target.namespace)
        if secret is None:
            return SeenPassword(around, MODULE, secret=where)
        current, following = self._text(secret, PASSWORD), self._text(secret, NEXT)
        self._conceal(password for password in (current, following) if password)
        user = around.login.name or self._text(secret, "username") or ""
        taken = False
        if not (around.waits or around.refused):
            try:
                taken = self._takes(user, following)
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        return SeenPassword(
            around,
            MODULE,
            user=user,
            secret=where,
            pending=bool(following),
            given=bool(following) and following == self._given,
            taken=taken,
            wanted=self._wish.new_password in (None, current),
            rotation=annotation(secret, ROTATION),
            owner=owner(secret),
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

    def plan(self, observed: SeenPassword) -> t.Union[Plan, Refusal]:
        return plan_password(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: SeenPassword) -> None:
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

    def around(self, observed: SeenPassword) -> Around:
        return t.cast(Around, observed.around)

    def facts(self, observed: SeenPassword) -> dict[str, t.Any]:
        return {
            "primary": observed.around.primary or None,
            "username": observed.user or None,
            "secret": self._target.root_secret,
            "rotation": observed.rotation or None,
            "pending": observed.pending,
        }
