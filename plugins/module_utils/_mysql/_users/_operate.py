# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at users of MySQL and MariaDB, and makes them as declared: a list of them over one connection."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from urllib.parse import quote

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users import _hash, _plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users import _priv as priv
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import LIMITS, Name, User
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._passwords import made_password
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import Around, SeenUser, SeenUsers
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._primary import NO_OTHER_FORM, OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._priv import Statement
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._workload import _made_secrets as made
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import Keeping
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import PASSWORD, ROTATION

# On a Secret that was made here: whose it is.
OWNER = "stateful.kube/mysql-user"
# Columns of mysql.user, and what MariaDB writes into mysql.global_priv, in the order of LIMITS.
COLUMNS = ("max_questions", "max_updates", "max_connections", "max_user_connections")


class Users(OnPrimary[SeenUsers]):
    """Passwords stay in here: they are no part of a snapshot, a plan or a result."""

    def __init__(
        self,
        observer: Observer,
        users: t.Sequence[User],
        wait_timeout: float,
        conceal: t.Callable[[t.Iterable[str]], None],
    ) -> None:
        super().__init__(observer, wait_timeout)
        self._users = users
        self._conceal = conceal
        self._passwords: dict[Name, t.Optional[str]] = {}
        self._kept: dict[Name, t.Optional[Object]] = {}
        # What was found out of a password and what is kept of it: that takes a hundredth of a second.
        self._fits: dict[tuple[str, str, str], t.Optional[bool]] = {}

    # What is there

    def observe(self) -> SeenUsers:
        around = self.find(self._observer.observe(primary_alone=True))
        keepings = dict(zip((user.name for user in self._users), in_parallel(self._keep, self._users), strict=True))
        found: dict[Name, SeenUser] = {}
        mariadb = False
        if not (around.waits or around.refused):
            try:
                mariadb = self._mariadb
                found = self._found(mariadb)
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        return SeenUsers(
            around,
            {
                user.name: dataclasses.replace(
                    found.get(user.name, SeenUser()),
                    keeping=keepings[user.name],
                    rotation=self._recorded(user),
                )
                for user in self._users
            },
            mariadb,
        )

    def _found(self, mariadb: bool) -> dict[Name, SeenUser]:
        accounts = self._accounts_of_mariadb() if mariadb else self._accounts_of_mysql()
        every = self._every_privilege() if not mariadb and any(self._all(user) for user in self._users) else ()
        found = {}
        for user in self._users:
            if user.name not in accounts:
                continue
            seen, alternatives = accounts[user.name]
            if seen.role:
                found[user.name] = seen
                continue
            password = self._passwords[user.name]
            told = [self._fit(plugin, kept, password or "-") for plugin, kept in alternatives]
            grants, partly = self._grants(user.name, every)
            found[user.name] = dataclasses.replace(
                seen,
                exists=True,
                grants=grants,
                partly_revoked=partly,
                comparable=all(one is not None for one in told),
                fits=bool(password) and any(told),
            )
        return found

    def _accounts_of_mysql(self) -> dict[Name, tuple[SeenUser, list[tuple[str, str]]]]:
        rows = self.ask_primary(
            "SELECT User, Host, plugin, authentication_string, account_locked, max_questions, max_updates, "
            "max_connections, max_user_connections FROM mysql.user WHERE User IN %s",
            self._asked,
        )
        return {
            Name(row["User"], row["Host"]): (
                SeenUser(
                    plugin=row["plugin"],
                    locked=row["account_locked"] == "Y",
                    limits={limit: int(row[column]) for limit, column in zip(LIMITS, COLUMNS, strict=True)},
                ),
                [(row["plugin"], row["authentication_string"] or "")],
            )
            for row in rows
        }

    def _accounts_of_mariadb(self) -> dict[Name, tuple[SeenUser, list[tuple[str, str]]]]:
        rows = self.ask_primary("SELECT User, Host, Priv FROM mysql.global_priv WHERE User IN %s", self._asked)
        found = {}
        for row in rows:
            told = json.loads(row["Priv"])
            # An account may have several plugins, of which the one without values stands beside.
            several = [one if one else told for one in told.get("auth_or", [told])]
            plugin = str(told.get("plugin", _hash.NATIVE))
            found[Name(row["User"], row["Host"])] = (
                SeenUser(
                    role=bool(told.get("is_role")),
                    plugin=plugin,
                    locked=bool(told.get("account_locked")),
                    limits={limit: int(told.get(column, 0)) for limit, column in zip(LIMITS, COLUMNS, strict=True)},
                ),
                [(str(one.get("plugin", _hash.NATIVE)), str(one.get("authentication_string", ""))) for one in several],
            )
        # A role has no host, and takes the name from users of any.
        for user in self._users:
            if Name(user.name.user, "") in found:
                found.setdefault(user.name, found[Name(user.name.user, "")])
        return found

    @property
    def _asked(self) -> tuple[str, ...]:
        return tuple(user.name.user for user in self._users) or ("",)

    def _grants(self, name: Name, every: t.Collection[str]) -> tuple[dict[str, frozenset[str]], bool]:
        rows = self.ask_primary("SHOW GRANTS FOR %s@%s", name.user, name.host)
        grants, partly = priv.told([str(next(iter(row.values()))) for row in rows], name.user, name.host)
        return priv.named(grants, every), partly

    def _every_privilege(self) -> set[str]:
        names = {str(row["Privilege"]).upper() for row in self.ask_primary("SHOW PRIVILEGES")}
        return names - {priv.GRANT_OPTION, priv.USAGE, "PROXY"}

    @staticmethod
    def _all(user: User) -> bool:
        return priv.ALL in (user.priv or {}).get(priv.EVERYTHING, priv.NONE)

    def _fit(self, plugin: str, kept: str, password: str) -> t.Optional[bool]:
        known = (plugin, kept, password)
        if known not in self._fits:
            self._fits[known] = _hash.fits(plugin, kept, password)
        return self._fits[known]

    def _keep(self, user: User) -> Keeping:
        """Learn the password of this user, and what its Secret is."""
        keeping = Keeping.ABSENT
        password = user.password
        if user.source and user.present:
            password = made.given(user, self._observer.cluster, self._target.namespace)
        elif user.secret:
            secret = self._observer.cluster.get("v1", "Secret", user.secret, self._target.namespace)
            keeping, password = made.kept(secret, self._owner(user), lambda known: self._content(user, known))
            self._kept[user.name] = secret
        self._learn(user, password)
        return keeping

    def _learn(self, user: User, password: t.Optional[str]) -> None:
        self._passwords[user.name] = password
        if password:
            self._conceal((password, self._content(user, password)["uri"]))

    def _recorded(self, user: User) -> str:
        secret = self._kept.get(user.name)
        return annotation(secret, ROTATION) if secret else ""

    @staticmethod
    def _owner(user: User) -> tuple[str, str]:
        return OWNER, str(user.name)

    def _content(self, user: User, password: str) -> dict[str, str]:
        """What the Secret of a made password holds."""
        target = self._target
        host = f"{target.primary_service}.{target.namespace}.svc.{target.cluster_domain}"
        login = f"{quote(user.name.user, safe='')}:{quote(password, safe='')}"
        return {
            "username": user.name.user,
            PASSWORD: password,
            "host": host,
            "port": str(target.port),
            "uri": f"mysql://{login}@{host}:{target.port}/",
        }

    # What to do

    def plan(self, observed: SeenUsers) -> t.Union[Plan, Refusal]:
        return _plan.plan_users(self._users, observed)

    def act(self, steps: t.Sequence[Step], observed: SeenUsers) -> None:
        if steps[0].action == made.MAKE_SECRET:
            in_parallel(lambda step: self._act_on_secret(step.action, step.data["user"]), steps)
            return
        for step in steps:
            user: User = step.data["user"]
            if step.action in (made.ROTATE, made.CORRECT_SECRET, made.DELETE_SECRET, made.MAKE_SECRET):
                self._act_on_secret(step.action, user)
            elif step.action == _plan.DROP:
                self.tell_primary(step, ("DROP USER %s@%s", (user.name.user, user.name.host)))
            else:
                self._make(step, user, observed)
        self.acted()

    def _act_on_secret(self, action: str, user: User) -> None:
        cluster, secret, namespace = self._observer.cluster, self._kept.get(user.name), self._target.namespace
        if action == made.DELETE_SECRET:
            if secret:
                cluster.delete("v1", "Secret", user.secret, namespace, uid=secret["metadata"]["uid"])
            return
        password = self._passwords[user.name]
        if action != made.CORRECT_SECRET or not password:
            password = made_password()
            self._learn(user, password)
        data = self._content(user, password)
        if secret is None:
            labels = {
                "app.kubernetes.io/name": "mysql",
                "app.kubernetes.io/instance": self._target.name,
                "app.kubernetes.io/managed-by": "stateful.kube",
            }
            key = Key("v1", "Secret", namespace, user.secret)
            made.make(cluster, key, self._owner(user), labels, user.rotation, data)
        else:
            made.write(cluster, secret, data, "" if action == made.CORRECT_SECRET else user.rotation)

    def _make(self, step: Step, user: User, observed: SeenUsers) -> None:
        create = step.action == _plan.CREATE
        fields: t.Collection[str] = ("password", "limits", "locked") if create else step.data["fields"]
        has = SeenUser() if create else t.cast(SeenUser, step.data["seen"])
        name, wanted = user.name, t.cast(priv.Grants, step.data["wanted"])
        grants: list[Statement] = []
        if create or "priv" in fields:
            grants = priv.statements(wanted, has.grants, name.user, name.host, user.append)
        plugin = user.plugin or has.plugin
        hidden = self._account(user, create, fields, plugin, observed.mariadb)
        try:
            self.tell_primary(step, *hidden, *grants)
        except Failure as failure:
            # A server of MariaDB that checks passwords takes nothing else.
            plain = self._account(user, create, fields, plugin, False)
            if failure.facts.get("code") != NO_OTHER_FORM or plain == hidden:
                raise
            self.tell_primary(step, *plain, *grants)

    def _account(
        self, user: User, create: bool, fields: t.Collection[str], plugin: str, hashed: bool
    ) -> list[Statement]:
        """The statement that makes or changes the account itself.

        MariaDB writes what it is told into its binary log as it is, so it is told what it keeps of the password.
        """
        text, values = f"{'CREATE' if create else 'ALTER'} USER %s@%s", [user.name.user, user.name.host]
        if "password" in fields:
            by, value = self._identified(user, plugin, hashed)
            text += f" IDENTIFIED {by}"
            values.append(value)
        limits = [f"{key} {value}" for key, value in sorted(user.limits.items())]
        if "limits" in fields and limits:
            text += f" WITH {' '.join(limits)}"
        if "locked" in fields and user.locked is not None:
            text += f" ACCOUNT {'LOCK' if user.locked else 'UNLOCK'}"
        return [(text, tuple(values))] if create or set(fields) - {"priv"} else []

    def _identified(self, user: User, plugin: str, hashed: bool) -> tuple[str, str]:
        password = self._passwords[user.name]
        if not password:
            raise NotYet(f"the password of {user.name} is not in its Secret any more")
        if hashed and (plugin or _hash.NATIVE) in _hash.KEPT_AS:
            plugin = plugin or _hash.NATIVE
            return f"VIA {plugin} USING %s", _hash.KEPT_AS[plugin](password)
        if not plugin:
            return "BY %s", password
        return (f"VIA {plugin} USING PASSWORD(%s)" if self._mariadb else f"WITH {plugin} BY %s"), password

    # What is said of it

    def around(self, observed: SeenUsers) -> Around:
        return observed.around

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)

    def facts(self, observed: SeenUsers) -> dict[str, t.Any]:
        return {
            "primary": observed.around.primary or None,
            "users": [self._facts_of(user, observed.users.get(user.name, SeenUser())) for user in self._users],
        }

    def _facts_of(self, user: User, seen: SeenUser) -> dict[str, t.Any]:
        kept = user.secret if seen.keeping not in (Keeping.ABSENT, Keeping.FOREIGN) else None
        return {
            "name": user.name.user,
            "host": user.name.host,
            "state": "present" if seen.exists else "absent",
            "plugin": seen.plugin or None,
            "locked": seen.locked,
            "priv": {
                level.replace("`", ""): ",".join(sorted(each)).replace("`", "")
                for level, each in sorted(seen.grants.items())
            },
            "resource_limits": {key: value for key, value in seen.limits.items() if value},
            "secret": kept or (user.source[0] if user.source else None),
        }
