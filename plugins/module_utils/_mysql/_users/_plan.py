# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Decides, from one look at the primary and at the Secrets, what is left to do until users are as declared. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._users import _priv as priv
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import (
    ON_CREATE,
    RESERVED,
    RESERVED_PREFIX,
    Name,
    User,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import (
    Keeping,
    delete_steps,
    foreign,
    secret_steps,
    unknown_password,
)

WAIT = "wait"
CREATE = "create"
CHANGE = "change"
DROP = "drop"
# What is shown in the place of a password.
DECLARED, ANOTHER, UNCHANGED = "the declared one", "another one", "the one it has"


@dataclasses.dataclass(frozen=True)
class Around:
    """Whether the primary can be asked and told, and as whom."""

    #: the pod of the primary by the record; empty where none is recorded
    primary: str = ""
    #: why nobody could be asked
    waits: str = ""
    #: what no waiting brings
    missing: str = ""
    #: why the login is refused
    refused: t.Optional[Refusal] = None
    #: there was a primary once: what cannot be asked is not known, and not nothing
    formed: bool = True
    login: str = ""
    namespace: str = ""


@dataclasses.dataclass(frozen=True)
class SeenUser:
    exists: bool = False
    #: it is a role, which has no password
    role: bool = False
    plugin: str = ""
    locked: bool = False
    limits: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    grants: priv.Grants = dataclasses.field(default_factory=dict)
    #: of its global privileges some were revoked again for a database
    partly_revoked: bool = False
    #: whether the declared password is the user's
    fits: bool = False
    #: whether that can be told of its plugin at all
    comparable: bool = True
    keeping: Keeping = Keeping.ABSENT
    #: the rotation that the Secret records
    rotation: str = ""


@dataclasses.dataclass(frozen=True)
class SeenUsers:
    around: Around
    users: t.Mapping[Name, SeenUser] = dataclasses.field(default_factory=dict)
    mariadb: bool = False


def plan_users(users: t.Sequence[User], seen: SeenUsers) -> t.Union[Plan, Refusal]:
    around = seen.around
    refusal = around.refused or next((found for user in users if (found := _refused(user, seen))), None)
    if refusal:
        return refusal
    steps: list[Step] = []
    for user in users:
        known = seen.users.get(user.name, SeenUser())
        steps += _present(user, known, seen) if user.present else _absent(user, known, around)
    # The Secrets of new users come first, all at once: nobody waits for them yet.
    steps.sort(key=lambda step: step.batch is None)
    if not around.waits:
        return Plan(tuple(steps))
    wait = Step(WAIT, around.primary or "primary", f"wait until {around.waits}", change=False)
    return Plan((wait,) if around.formed else (wait, *steps))


def _refused(user: User, all_seen: SeenUsers) -> t.Optional[Refusal]:
    around, seen = all_seen.around, all_seen.users.get(user.name, SeenUser())
    lower = user.name.user.lower()
    if user.name.user == around.login:
        return Refusal(
            f"users: {user.name} is the user that this task itself logs in with (root_secret), and is neither changed "
            "nor dropped here.",
            (),
            ("leave it out of users", "change its password with mysql_root_password"),
        )
    if lower in RESERVED or lower.startswith(RESERVED_PREFIX):
        return Refusal(
            f"users: {user.name} is an account of the server or of its pods, which cannot do without it, and is "
            "neither changed nor dropped here.",
            (),
            (
                "give your user another name, which does not begin with stateful_",
                "change the password of stateful_replication with mysql_replication_password",
            ),
        )
    if seen.role:
        return Refusal(
            f"users: {user.name}: the server has a role of that name, which is no user.",
            (),
            ("give your user another name",),
        )
    if user.secret and user.present and seen.keeping is Keeping.FOREIGN:
        return foreign(user, around.namespace)
    if not (user.present and seen.exists):
        return None
    if user.priv is not None and not user.append and seen.partly_revoked:
        return Refusal(
            f"users: {user.name} has global privileges that were revoked again for some databases (partial revokes), "
            "which priv has no words for.",
            (),
            ("leave priv out", "let append_privs be true", "grant those privileges again by hand"),
        )
    if user.update_password == ON_CREATE:
        if user.secret and seen.keeping in (Keeping.ABSENT, Keeping.EMPTY):
            return unknown_password(user, around.namespace)
        return None
    if not seen.comparable and user.plugin in ("", seen.plugin):
        return _untold(user, seen)
    return None


def _untold(user: User, seen: SeenUser) -> Refusal:
    return Refusal(
        f"users: {user.name} logs in by {seen.plugin or 'a plugin of its own'}, of which nobody here can tell whether "
        "a password fits.",
        (),
        (
            "let update_password be on_create, which leaves that alone",
            "give it another plugin with plugin, which also gives it the password",
        ),
    )


def _present(user: User, seen: SeenUser, all_seen: SeenUsers) -> list[Step]:
    rest = "the name, the address or the connection string"
    namespace = all_seen.around.namespace
    steps, new_password = secret_steps(user, seen.keeping, seen.rotation, seen.exists, namespace, rest)
    wanted = priv.of_flavour(user.priv or {}, all_seen.mariadb)
    after = SeenUser(
        plugin=user.plugin or seen.plugin,
        locked=seen.locked if user.locked is None else user.locked,
        limits={**seen.limits, **user.limits},
        grants=_after(user, wanted, seen.grants),
    )
    if not seen.exists:
        with_grants = f" with {'; '.join(priv.lines(wanted))}" if wanted else " without privileges"
        data = {"user": user, "wanted": wanted, "before": "", "after": _text(user.name, after, DECLARED)}
        return [*steps, Step(CREATE, str(user.name), f"create user {user.name}{with_grants}", data=data)]
    changes = _changes(user, seen, after, new_password)
    if changes:
        data = {
            "user": user,
            "fields": frozenset(changes),
            "seen": seen,
            "wanted": wanted,
            "before": _text(user.name, seen, UNCHANGED),
            "after": _text(user.name, after, ANOTHER if "password" in changes else UNCHANGED),
        }
        sentence = f"change user {user.name}: {'; '.join(changes.values())}"
        steps.append(Step(CHANGE, str(user.name), sentence, data=data))
    return steps


def _after(user: User, wanted: priv.Grants, has: priv.Grants) -> priv.Grants:
    if user.priv is None:
        return has
    if not user.append:
        return wanted
    more = priv.missing(wanted, has)
    return {level: has.get(level, priv.NONE) | more.get(level, priv.NONE) for level in {*has, *more}}


def _changes(user: User, seen: SeenUser, after: SeenUser, new_password: bool) -> dict[str, str]:
    """What is to be changed of a user that is there: the field, and the words for it."""
    changes: dict[str, str] = {}
    another = user.plugin not in ("", seen.plugin)
    if user.update_password != ON_CREATE and (new_password or another or not seen.fits):
        changes["password"] = "another password" if new_password or not seen.fits else "the same password once more"
        if another:
            changes["password"] += f", kept by {user.plugin}"
    if user.priv is not None:
        more, less = priv.difference(after.grants, seen.grants)
        words = [f"grant {line}" for line in priv.lines(more)] + [f"revoke {line}" for line in priv.lines(less)]
        if words:
            changes["priv"] = ", ".join(words)
    if after.locked != seen.locked:
        changes["locked"] = "lock it" if after.locked else "unlock it"
    other = {key: value for key, value in user.limits.items() if seen.limits.get(key, 0) != value}
    if other:
        changes["limits"] = ", ".join(f"{key} {value}" for key, value in sorted(other.items()))
    return changes


def _absent(user: User, seen: SeenUser, around: Around) -> list[Step]:
    steps: list[Step] = []
    if seen.exists:
        data = {"user": user, "before": _text(user.name, seen, UNCHANGED), "after": ""}
        steps.append(Step(DROP, str(user.name), f"drop user {user.name}", data=data))
    return steps + delete_steps(user, seen.keeping, around.namespace)


def _text(name: Name, seen: SeenUser, password: str) -> str:
    """A user as --diff shows it."""
    lines = [f"user: {name}", f"password: ({password})"]
    lines += [f"plugin: {seen.plugin}"] if seen.plugin else []
    lines += ["locked: true"] if seen.locked else []
    lines += [f"{key}: {value}" for key, value in sorted(seen.limits.items()) if value]
    lines += [f"grant: {line}" for line in priv.lines(seen.grants)]
    return "".join(f"{line}\n" for line in lines)
