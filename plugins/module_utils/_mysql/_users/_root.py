# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another password for the root user, in steps after each of which every valid password stands in the Secret."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import Name
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._passwords import (
    ChangedSecret,
    made_password,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._primary import OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import (
    CHANGE,
    WRITE_NEXT,
    SeenPassword,
    Wish,
    plan_password,
)

MODULE = "mysql_root_password"


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
        self._secret = ChangedSecret(observer.cluster, self._target.namespace, self._target.root_secret, conceal)

    def observe(self) -> SeenPassword:
        around = self.find(self._observer.observe(primary_alone=True))
        secret = self._secret
        if not secret.read("root_secret"):
            return SeenPassword(around, MODULE, secret=secret.where)
        taken = False
        if secret.following and not (around.waits or around.refused):
            try:
                taken = self.lets_in(around.login, secret.following)
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        return SeenPassword(
            around,
            MODULE,
            user=around.login or "root",
            secret=secret.where,
            pending=bool(secret.following),
            # It was let in with it, so it has it for good.
            given=taken,
            taken=taken,
            wanted=self._wish.new_password in (None, secret.current),
            rotation=secret.rotation,
            owner=secret.owner,
        )

    def plan(self, observed: SeenPassword) -> t.Union[Plan, Refusal]:
        return plan_password(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: SeenPassword) -> None:
        for step in steps:
            if step.action == WRITE_NEXT:
                self._secret.write_next(self._wish.new_password or made_password(), self._wish.rotation)
            elif step.action == CHANGE:
                self._change(step)
            else:
                self._secret.move()
                self.may_repeat()
        self.acted()

    def _change(self, step: Step) -> None:
        following = self._secret.following
        if not following:
            raise NotYet(f"the Secret {self._secret.where} has no next password any more")
        # The account that this is, whatever host it is for.
        user, _at, host = str(self.ask_primary("SELECT CURRENT_USER() AS account")[0]["account"]).rpartition("@")
        self.tell_password(step, Name(user, host), self._secret, following)

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
