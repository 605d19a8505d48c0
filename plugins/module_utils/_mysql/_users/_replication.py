# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another password for those who replicate and take copies, while they do."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials, NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import Name
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._passwords import (
    ChangedSecret,
    made_password,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._primary import OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._replication_plan import (
    FORGET,
    TELL,
    Replica,
    SeenReplication,
    plan_replication,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import (
    CHANGE,
    WRITE_NEXT,
    SeenPassword,
    Wish,
)

MODULE = "mysql_replication_password"
# The account that files/initialise.sh makes.
ACCOUNT = Name(REPLICATION_USER, "%")


class ReplicationPassword(OnPrimary[SeenReplication]):
    def __init__(
        self,
        observer: Observer,
        wish: Wish,
        wait_timeout: float,
        conceal: t.Callable[[t.Iterable[str]], None],
    ) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish
        self._secret = ChangedSecret(observer.cluster, self._target.namespace, self._target.replication_secret, conceal)
        # Which pod was told which password: nobody can ask a MariaDB that.
        self._told: dict[int, tuple[str, str]] = {}

    # Looking

    def observe(self) -> SeenReplication:
        seen = self._observer.observe()
        around, secret = self.find(seen), self._secret
        if not secret.read("replication_secret"):
            missing = f"there is no Secret {secret.where} (replication_secret)"
            around = dataclasses.replace(around, waits=f"the objects are there: {missing}", missing=missing)
        takes: dict[str, bool] = {}
        if not (around.waits or around.refused):
            try:
                takes = self._takes()
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        taken = takes.get(secret.following or "", False)
        password = SeenPassword(
            around,
            MODULE,
            user=REPLICATION_USER,
            secret=secret.where,
            pending=bool(secret.following),
            given=taken,
            taken=taken,
            wanted=self._wish.new_password in (None, secret.current),
            rotation=secret.rotation,
            owner=secret.owner,
            option="replication_secret",
        )
        former = secret.previous if secret.previous != secret.current else None
        return SeenReplication(
            password,
            takes_current=takes.get(secret.current or "", True),
            takes_former=takes.get(former or "", False),
            replicas=self._replicas(seen),
        )

    def _takes(self) -> dict[str, bool]:
        """Which of the passwords the primary lets in with."""
        secret = self._secret
        known = {password for password in (secret.current, secret.following, secret.previous) if password}
        takes = {password: self.lets_in(REPLICATION_USER, password) for password in sorted(known)}
        if not any(takes.values()):
            rows = self.ask_primary("SELECT User FROM mysql.user WHERE User = %s AND Host = %s", *_account())
            if not rows:
                raise Failure(
                    f"The primary has no user {ACCOUNT}, with which replicas log in. Bring it back as the section "
                    "Connecting of docs/applications/mysql.md has it, and run this again."
                )
        return takes

    def _replicas(self, seen: Snapshot) -> tuple[Replica, ...]:
        record, found = seen.record, seen.stateful_set
        if not record:
            return ()
        declared = range(max(record.members, found.replicas if found else 0))
        ordinals = sorted({*declared, *seen.pods} - {self._target.ordinal(record.primary)})
        return tuple(self._replica(t.cast(int, ordinal), seen) for ordinal in ordinals)

    def _replica(self, ordinal: int, seen: Snapshot) -> Replica:
        answer, source = seen.answer(ordinal), seen.answer(ordinal).source
        pod = seen.pods.get(ordinal)
        return Replica(
            ordinal,
            self._target.pod(ordinal),
            silent="" if answer.serves else answer.detail or "it does not answer",
            attached=source is not None,
            denied=bool(source and source.denied),
            connected=bool(source and source.receiver == "Yes"),
            told=bool(pod) and self._told.get(ordinal) == (pod.uid if pod else "", self._new),
        )

    @property
    def _new(self) -> str:
        """What replicas are to log in with in the end."""
        return self._secret.following or self._secret.current or ""

    def plan(self, observed: SeenReplication) -> t.Union[Plan, Refusal]:
        return plan_replication(self._wish, observed)

    # Doing

    def act(self, steps: t.Sequence[Step], observed: SeenReplication) -> None:
        secret = self._secret
        for step in steps:
            if step.action == WRITE_NEXT:
                secret.write_next(self._wish.new_password or made_password(), self._wish.rotation)
            elif step.action == CHANGE:
                # The former one stays good for those who have not heard of the new one yet.
                stays = bool(secret.following) and observed.takes_current
                self.tell_password(step, ACCOUNT, secret, self._new, secret.current or "" if stays else "")
            elif step.action == TELL:
                self._tell(step)
            elif step.action == FORGET:
                self._forget(step)
            else:
                secret.move()
                self.may_repeat()
        self.acted()

    def _tell(self, step: Step) -> None:
        ordinal = step.data["ordinal"]
        link = self._observer.links.get(ordinal)
        if link is None:
            raise NotYet(f"{step.target} is gone")
        try:
            done = link.flavour.log_in_with(link.client, Credentials(REPLICATION_USER, self._new))
        except NoAnswer as silence:
            raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
        except SqlError as error:
            raise Failure(
                f"The server refused to {step.sentence}: {error.message} (error {error.code}).", code=error.code
            ) from error
        if not done:
            raise NotYet(f"{step.target} has not applied yet what it has received; next: {step.sentence}")
        self._told[ordinal] = (link.uid, self._new)

    def _forget(self, step: Step) -> None:
        if self._mariadb:
            self.tell_password(step, ACCOUNT, self._secret, self._new)
        else:
            self.tell_primary(step, ("ALTER USER %s@%s DISCARD OLD PASSWORD", _account()))

    # What is said of it

    def around(self, observed: SeenReplication) -> Around:
        return t.cast(Around, observed.password.around)

    def facts(self, observed: SeenReplication) -> dict[str, t.Any]:
        password = observed.password
        return {
            "primary": password.around.primary or None,
            "username": REPLICATION_USER,
            "secret": self._target.replication_secret,
            "rotation": password.rotation or None,
            "pending": password.pending or observed.takes_former,
        }


def _account() -> tuple[str, str]:
    return ACCOUNT.user, ACCOUNT.host
