# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Declared users of MySQL and MariaDB, read and checked. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users import _priv as priv

ALWAYS, ON_CREATE = "always", "on_create"
# The servers' own accounts, and those that the pods log in with.
RESERVED = ("mariadb.sys", "mysql", "mysql.infoschema", "mysql.session", "mysql.sys", "public")
RESERVED_PREFIX = "stateful_"
# As the option names them, and as a statement does.
LIMITS = ("MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS")

_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclasses.dataclass(frozen=True, order=True)
class Name:
    """Names one account: the same user from another host is another one."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}"


@dataclasses.dataclass(frozen=True)
class User:
    """One declared user. What is None is not declared, and left as it is."""

    name: Name
    priv: t.Optional[priv.Grants] = None
    #: privileges that are not declared stay
    append: bool = False
    plugin: str = ""
    locked: t.Optional[bool] = None
    limits: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    present: bool = True
    update_password: str = ALWAYS
    #: the password that the task gives
    password: t.Optional[str] = dataclasses.field(default=None, repr=False, compare=False)
    #: name and key of an existing Secret that holds the password
    source: t.Optional[tuple[str, str]] = None
    #: the Secret that is made with a random password
    secret: str = ""
    #: another value than the one that the made Secret records: another password
    rotation: str = ""


def users_of(entries: t.Sequence[t.Mapping[str, t.Any]], application: str) -> tuple[User, ...]:
    """The declared users of the servers in the StatefulSet ``application``. Raises Failure."""
    users = tuple(_user(entry, application) for entry in entries)
    names = [user.name for user in users]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise Failure(f"users: {', '.join(twice)}: declared twice. Put it into one entry.")
    for place, user in enumerate(users):
        for other in users[:place]:
            if user.secret and user.secret == other.secret:
                raise Failure(
                    f"users: {other.name} and {user.name} would both be kept in the Secret {user.secret}. Name another "
                    "one for either of them in secret."
                )
    return users


def _user(entry: t.Mapping[str, t.Any], application: str) -> User:
    # Servers keep the names of hosts in lower case.
    name = Name(entry["name"], (entry.get("host") or "%").lower())
    if not name.user:
        raise Failure("users: expected a name in each entry, found an empty one.")
    source, plugin = entry.get("password_secret"), entry.get("plugin") or ""
    generated = not (entry.get("password") or source)
    secret = (entry.get("secret") or f"{application}-{name.user.lower().replace('_', '-')}") if generated else ""
    if secret and not _SECRET_NAME.fullmatch(secret):
        raise Failure(
            f"users: {name}: {secret} can be no name of a Secret, which has lower case letters, digits, '-' and '.' "
            "only. Name another one in secret, or give the password."
        )
    update, rotation = entry.get("update_password") or ALWAYS, str(entry.get("rotation") or "")
    if rotation and not generated:
        raise Failure(f"users: {name}: rotation is for passwords that are made here. Give another password instead.")
    if rotation and update == ON_CREATE:
        raise Failure(
            f"users: {name}: rotation changes a password, and update_password on_create says never to. Leave one out."
        )
    given = entry.get("priv")
    return User(
        name=name,
        priv=priv.declared(given, str(name)) if given is not None else None,
        append=bool(entry.get("append_privs")),
        plugin=plugin,
        locked=entry.get("locked"),
        limits=_limits(name, entry.get("resource_limits") or {}),
        present=entry.get("state", "present") != "absent",
        update_password=update,
        password=entry.get("password") or None,
        source=(source["name"], source.get("key") or "password") if source else None,
        secret=secret,
        rotation=rotation,
    )


def _limits(name: Name, given: t.Mapping[str, t.Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, value in given.items():
        if str(key).upper() not in LIMITS or not re.fullmatch(r"[0-9]+", str(value)):
            raise Failure(
                f"users: {name}: expected resource_limits to have {', '.join(LIMITS)} with whole numbers, found "
                f"{key}: {value}. Correct it."
            )
        found[str(key).upper()] = int(value)
    return found
