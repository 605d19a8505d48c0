# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The primary by the record, and the base of the operations that change accounts on it."""

from __future__ import annotations

import abc
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    ACCESS_DENIED,
    CHANGE_TIMEOUT,
    Client,
    NoAnswer,
    SqlError,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import MariaDB
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import Name
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._hash import KEPT_AS, NATIVE
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._passwords import ChangedSecret
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._priv import Statement
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Observed, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT

# Error codes: what was to be made is there, or what was to be changed is not.
OVERTAKEN = (1396,)
# A server that takes no writes, and a setting that forbids a statement, which may be read_only.
READ_ONLY = (1290, 1836)
NO_OTHER_FORM = 1290
REFUSED_PASSWORD = 1819


class OnPrimary(Conversation[Observed]):
    """What is asked of the primary and done there."""

    def __init__(self, observer: Observer, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer = observer
        self._primary: t.Optional[int] = None
        self._taken: set[tuple[str, str, str]] = set()
        self._uncertain: set[tuple[str, str, str]] = set()

    @property
    def _target(self) -> Target:
        return self._observer.target

    # Looking

    def find(self, seen: Snapshot) -> Around:
        """The primary, or why there is none to tell."""
        self._primary = None
        target, record = self._target, seen.record
        name, namespace = target.name, target.namespace
        formed = bool(record and record.epoch)
        login = self._observer.username
        missing = ""
        if not seen.stateful_set:
            missing = f"there is no StatefulSet {name} in namespace {namespace}"
        elif not seen.secret:
            missing = f"there is no Secret {target.root_secret} in namespace {namespace} (root_secret)"
        if missing:
            return Around("", f"the objects are there: {missing}", missing, None, formed, login, namespace)
        if not (record and record.epoch):
            waits = f"a primary is recorded in ConfigMap {namespace}/{target.record} (mysql_replication does that)"
            return Around("", waits, "", None, False, login, namespace)
        view = View(target, Desired(members=record.members), seen)
        answer, pod = view.primary_answer, record.primary
        if answer.kind is Kind.REFUSED:
            refusal = Refusal(
                f"The primary {pod} cannot be asked with the user of the Secret {namespace}/{target.root_secret} "
                f"(root_secret): {answer.detail}.",
                (),
                ("put the right username and password into the Secret", "name the right Secret"),
            )
            return Around(pod, "", "", refusal, True, login, namespace)
        if not view.promoted:
            detail = "it takes no writes" if answer.serves else answer.detail or view.pod(view.primary).obstacle
            waits = f"the primary {pod} takes writes (the playbook stateful.kube.mysql sees to that): {detail}"
            return Around(pod, waits, "", None, True, login, namespace)
        self._primary = view.primary
        return Around(pod, "", "", None, True, login, namespace)

    @property
    def _link(self) -> Link:
        link = self._observer.links.get(self._primary) if self._primary is not None else None
        if link is None:
            raise NotYet("the primary is gone")
        return link

    @property
    def _mariadb(self) -> bool:
        return isinstance(self._link.flavour, MariaDB)

    def ask_primary(self, statement: str, *values: t.Any) -> list[dict[str, t.Any]]:
        """The rows that a question brings. Raises NotYet where waiting may help, and Failure."""
        try:
            self._plain(self._link.client)
            return self._link.client.rows(statement, *values)
        except NoAnswer as silence:
            raise NotYet(f"the primary answers: it did not ({silence})") from silence
        except SqlError as error:
            raise Failure(
                f"The primary refused to tell its users: {error.message} (error {error.code}). The user in root_secret "
                "needs the right to read the database mysql.",
                code=error.code,
            ) from error

    def _plain(self, client: Client) -> None:
        """Whatever is set for others: quotes around text, backticks around names, and no user made by a GRANT."""
        mode = "NO_AUTO_CREATE_USER" if self._mariadb else ""
        client.run(f"SET SESSION sql_mode = '{mode}', sql_quote_show_create = 1")

    # Doing

    def tell_primary(self, step: Step, *statements: Statement) -> None:
        """One change. Raises NotYet where waiting may help, and Failure."""
        mark = (step.action, step.target, step.sentence)
        if mark in self._taken:
            raise Failure(
                f"The primary took this change, and tells the same as before: {step.sentence}. Either somebody else "
                "changes it back, or the server keeps it in another form: declare it as SHOW GRANTS tells it."
            )
        done = 0
        try:
            client = self._link.client
            self._plain(client)
            for statement, values in statements:
                client.rows(statement, *values, seconds=CHANGE_TIMEOUT)
                done += 1
        except NoAnswer as silence:
            # It may be done: the next look tells. It counts as done once, and is waited for after that.
            if mark in self._uncertain:
                raise NotYet(f"the primary did not answer ({silence}); next: {step.sentence}") from silence
            self._uncertain.add(mark)
            return
        except SqlError as error:
            raise self._outcome(step, error, changed=done > 0) from error
        self._taken.add(mark)

    def _outcome(self, step: Step, error: SqlError, changed: bool) -> Exception:
        if error.code in OVERTAKEN:
            cause = self._cause()
            if not cause:
                return NotYet(f"somebody else did something of the kind just now ({error.message})")
            error = cause
        if error.code in READ_ONLY and "read" in error.message.lower():
            return NotYet(f"the primary takes no changes now ({error.message}); next: {step.sentence}")
        return Failure(f"The server refused to {step.sentence}: {error.message} (error {error.code}).", code=error.code)

    def _cause(self) -> t.Optional[SqlError]:
        """MariaDB says of every change of a user that it failed, and why in a warning alone."""
        try:
            rows = self._link.client.rows("SHOW WARNINGS")
        except (NoAnswer, SqlError):
            return None
        told = [row for row in rows if row["Level"] == "Error" and row["Code"] not in OVERTAKEN]
        return SqlError(int(told[0]["Code"]), str(told[0]["Message"])) if told else None

    def tell_password(self, step: Step, name: Name, secret: ChangedSecret, password: str, other: str = "") -> None:
        """Give an account this password, and let the other one, which it has, be good as well."""
        account = (name.user, name.host)
        try:
            if not self._mariadb:
                retain = " RETAIN CURRENT PASSWORD" if other else ""
                self.tell_primary(step, (f"ALTER USER %s@%s IDENTIFIED BY %s{retain}", (*account, password)))
                return
            rows = self.ask_primary("SELECT Priv FROM mysql.global_priv WHERE User = %s AND Host = %s", *account)
            plugin = str(json.loads(rows[0]["Priv"]).get("plugin", "")) if rows else ""
            plugin = plugin if plugin in KEPT_AS else NATIVE
            passwords = [each for each in (password, other) if each]
            told = " OR ".join([f"{plugin} USING %s"] * len(passwords))
            kept = [KEPT_AS[plugin](each) for each in passwords]
            try:
                self.tell_primary(step, (f"ALTER USER %s@%s IDENTIFIED VIA {told}", (*account, *kept)))
            except Failure as failure:
                if failure.facts.get("code") != NO_OTHER_FORM:
                    raise
                # It checks passwords, and takes nothing but those themselves.
                told = told.replace("USING %s", "USING PASSWORD(%s)")
                self.tell_primary(step, (f"ALTER USER %s@%s IDENTIFIED VIA {told}", (*account, *passwords)))
        except Failure as failure:
            if failure.facts.get("code") != REFUSED_PASSWORD:
                raise
            raise Failure(
                f"The server does not take the next password of {name.user}, because it is set up to check passwords: "
                f"{failure.message} Take the key {NEXT} out of Secret {secret.where}, and name a password that it "
                "takes in new_password.",
                code=REFUSED_PASSWORD,
            ) from failure

    def lets_in(self, username: str, password: str) -> bool:
        """Whether the primary lets this user in with this password. Raises NotYet where it does not say."""
        client = self._link.another(username, password)
        try:
            client.rows("SELECT 1")
        except NoAnswer as silence:
            raise NotYet(f"the primary answers: it did not ({silence})") from silence
        except SqlError as error:
            if error.code in ACCESS_DENIED:
                return False
            raise NotYet(f"the primary answers: it did not ({error.message}, when {username} logged in)") from error
        else:
            return True
        finally:
            client.close()

    def may_repeat(self) -> None:
        """What was done before is no measure of what follows."""
        self._taken.clear()
        self._uncertain.clear()

    @abc.abstractmethod
    def around(self, observed: Observed) -> Around:
        """The part of the snapshot that find made."""

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        missing = self.around(observed).missing
        return f"{missing[0].upper()}{missing[1:]}." if missing else None
