# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The planner of users and custom roles: what is left to do, in order, from one snapshot alone. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import (
    ON_CREATE,
    Grants,
    Name,
    Privileges,
    Restrictions,
    Role,
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

NOBODY = Name("admin", "")
# What is shown in the place of a password.
DECLARED, ANOTHER, UNCHANGED = "the declared one", "another one", "the one it has"


@dataclasses.dataclass(frozen=True)
class Around:
    """Whether the set can be asked and told, and as whom."""

    #: the pod of the primary that was asked; empty where there is none to ask
    primary: str = ""
    #: why nobody could be asked, or what was done and is not yet with a majority
    waits: str = ""
    #: what no waiting brings
    missing: str = ""
    #: why the login is refused
    refused: t.Optional[Refusal] = None
    #: a replica set was formed here: what cannot be asked is not known, and not nothing
    formed: bool = True
    login: Name = NOBODY
    namespace: str = ""


@dataclasses.dataclass(frozen=True)
class SeenUser:
    exists: bool = False
    roles: Grants = frozenset()
    mechanisms: frozenset[str] = frozenset()
    restrictions: Restrictions = frozenset()
    #: whether the declared password is the user's; None where there is none to try
    fits: t.Optional[bool] = None
    keeping: Keeping = Keeping.ABSENT
    #: the rotation that the Secret records
    rotation: str = ""


@dataclasses.dataclass(frozen=True)
class SeenRole:
    exists: bool = False
    builtin: bool = False
    privileges: Privileges = frozenset()
    roles: Grants = frozenset()
    restrictions: Restrictions = frozenset()


def plan_users(users: t.Sequence[User], seen: t.Mapping[Name, SeenUser], around: Around) -> t.Union[Plan, Refusal]:
    refusal = around.refused or next((found for user in users if (found := _refused(user, seen, around))), None)
    if refusal:
        return refusal
    steps: list[Step] = []
    for user in users:
        known = seen.get(user.name, SeenUser())
        steps += _present(user, known, around) if user.present else _absent(user, known, around)
    # The Secrets of new users come first, all at once: nobody waits for them yet.
    return _in_turn(sorted(steps, key=lambda step: step.batch is None), around)


def plan_roles(roles: t.Sequence[Role], seen: t.Mapping[Name, SeenRole], around: Around) -> t.Union[Plan, Refusal]:
    builtin = [str(role.name) for role in roles if seen.get(role.name, SeenRole()).builtin]
    if around.refused:
        return around.refused
    if builtin:
        return Refusal(
            f"roles: {', '.join(builtin)}: MongoDB itself has a role of that name, which can be neither changed nor "
            "dropped.",
            (),
            ("give your role another name",),
        )
    steps: list[Step] = []
    for role in roles:
        steps += _role_steps(role, seen.get(role.name, SeenRole()))
    return _in_turn(steps, around)


def _in_turn(steps: list[Step], around: Around) -> Plan:
    """Whatever waits comes first; of a set that cannot be asked nothing more is known than that."""
    if not around.waits:
        return Plan(tuple(steps))
    wait = Step(WAIT, around.primary or "primary", f"wait until {around.waits}", change=False)
    return Plan((wait,) if around.formed else (wait, *steps))


def _refused(user: User, all_seen: t.Mapping[Name, SeenUser], around: Around) -> t.Optional[Refusal]:
    seen = all_seen.get(user.name, SeenUser())
    if user.name == around.login:
        return Refusal(
            f"users: {user.name} is the user that this task itself logs in with (root_secret), and is neither changed "
            "nor dropped here.",
            (),
            ("leave it out of users", "change its password with mongodb_root_password"),
        )
    if user.secret and user.present and seen.keeping is Keeping.FOREIGN:
        return foreign(user, around.namespace)
    if not (user.present and seen.exists and user.update_password == ON_CREATE):
        return None
    if user.secret and seen.keeping in (Keeping.ABSENT, Keeping.EMPTY):
        return unknown_password(user, around.namespace)
    if user.mechanisms is not None and user.mechanisms - seen.mechanisms:
        return Refusal(
            f"users: {user.name}: {_listed(user.mechanisms - seen.mechanisms)} can only be added along with the "
            "password, and update_password on_create forbids to set that.",
            (),
            ("let update_password be always", f"declare mechanisms as they are: {_listed(seen.mechanisms)}"),
        )
    return None


def _present(user: User, seen: SeenUser, around: Around) -> list[Step]:
    steps, new_password = secret_steps(
        user,
        seen.keeping,
        seen.rotation,
        seen.exists,
        around.namespace,
        "the name, the database or the connection string",
    )
    if not seen.exists:
        with_roles = f" with the roles {_listed(user.roles)}" if user.roles else " without roles"
        sentence = f"create user {user.name}{with_roles}"
        data = {"user": user, "before": "", "after": _user_text(user, SeenUser(), DECLARED)}
        return [*steps, Step(CREATE, str(user.name), sentence, data=data)]
    changes = _changes(user, seen, new_password)
    if changes:
        after = _user_text(user, seen, ANOTHER if "password" in changes else UNCHANGED)
        data = {
            "user": user,
            "fields": frozenset(changes),
            "seen": seen,
            "before": _user_text(User(user.name), seen, UNCHANGED),
            "after": after,
        }
        told = "; ".join(changes.values())
        steps.append(Step(CHANGE, str(user.name), f"change user {user.name}: {told}", data=data))
    return steps


def _changes(user: User, seen: SeenUser, new_password: bool) -> dict[str, str]:
    """What is to be changed of a user that is there: the field, and the words for it."""
    changes: dict[str, str] = {}
    if user.mechanisms is not None and user.mechanisms != seen.mechanisms:
        changes["mechanisms"] = f"mechanisms from {_listed(seen.mechanisms)} to {_listed(user.mechanisms)}"
    # Which mechanism a key is made for is chosen with the password.
    adds = bool(user.mechanisms is not None and user.mechanisms - seen.mechanisms)
    if not user.external and user.update_password != ON_CREATE and (new_password or not seen.fits or adds):
        changes["password"] = "another password" if new_password or not seen.fits else "the same password once more"
    if user.roles is not None and user.roles != seen.roles:
        changes["roles"] = f"roles from {_listed(seen.roles)} to {_listed(user.roles)}"
    if user.restrictions is not None and user.restrictions != seen.restrictions:
        changes["restrictions"] = "other authentication restrictions"
    return changes


def _absent(user: User, seen: SeenUser, around: Around) -> list[Step]:
    steps: list[Step] = []
    if seen.exists:
        data = {"user": user, "before": _user_text(User(user.name), seen, UNCHANGED), "after": ""}
        steps.append(Step(DROP, str(user.name), f"drop user {user.name}", data=data))
    return steps + delete_steps(user, seen.keeping, around.namespace)


def _role_steps(role: Role, seen: SeenRole) -> list[Step]:
    before, after = _role_text(role.name, seen) if seen.exists else "", ""
    if not role.present:
        data = {"role": role, "before": before, "after": after}
        return [Step(DROP, str(role.name), f"drop role {role.name}", data=data)] if seen.exists else []
    restrictions = seen.restrictions if role.restrictions is None else role.restrictions
    after = _role_text(role.name, SeenRole(True, False, role.privileges, role.roles, restrictions))
    data = {"role": role, "before": before, "after": after}
    if not seen.exists:
        return [Step(CREATE, str(role.name), f"create role {role.name}", data=data)]
    other = [
        field
        for field, same in (
            ("privileges", role.privileges == seen.privileges),
            ("roles", role.roles == seen.roles),
            ("authentication restrictions", restrictions == seen.restrictions),
        )
        if not same
    ]
    sentence = f"change role {role.name}: other {' and '.join(other)}"
    return [Step(CHANGE, str(role.name), sentence, data=data)] if other else []


# What people see.


def _listed(names: t.Iterable[t.Any]) -> str:
    return ", ".join(sorted(str(name) for name in names)) or "none"


def _user_text(user: User, seen: SeenUser, password: str) -> str:
    """A user as --diff shows it: what is declared, and else what is there."""
    roles = seen.roles if user.roles is None else user.roles
    mechanisms = seen.mechanisms if user.mechanisms is None else user.mechanisms
    restrictions = seen.restrictions if user.restrictions is None else user.restrictions
    lines = [f"user: {user.name}"]
    if not user.external:
        lines.append(f"password: ({password})")
    lines += [f"role: {role}" for role in sorted(roles)]
    lines += [f"mechanism: {mechanism}" for mechanism in sorted(mechanisms)]
    return "".join(f"{line}\n" for line in [*lines, *_restriction_lines(restrictions)])


def _role_text(name: Name, seen: SeenRole) -> str:
    lines = [f"role: {name}"]
    lines += [
        f"privilege: {', '.join(sorted(actions))} on {resource}" for resource, actions in _sorted(seen.privileges)
    ]
    lines += [f"inherits: {role}" for role in sorted(seen.roles)]
    return "".join(f"{line}\n" for line in [*lines, *_restriction_lines(seen.restrictions)])


def _sorted(privileges: Privileges) -> list[tuple[t.Any, frozenset[str]]]:
    return sorted(privileges, key=lambda privilege: str(privilege[0]))


def _restriction_lines(restrictions: Restrictions) -> list[str]:
    return [
        f"restriction: from {', '.join(one.client_source) or 'anywhere'} "
        f"to {', '.join(one.server_address) or 'any address'}"
        for one in sorted(restrictions)
    ]
