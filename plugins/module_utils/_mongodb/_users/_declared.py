# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is declared of users and custom roles: read from the task's options and checked before any I/O. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

# Users of this database are known by another system (x.509, LDAP, Kerberos) and have no password here.
EXTERNAL = "$external"
# What MongoDB keeps no users and roles in.
NO_DATABASE = ("", "local")
MECHANISMS = ("SCRAM-SHA-1", "SCRAM-SHA-256")
ALWAYS, ON_CREATE = "always", "on_create"

_SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclasses.dataclass(frozen=True, order=True)
class Name:
    """Names one user, or one role: both are known by a database and a name in it."""

    database: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}@{self.database}"

    @property
    def role(self) -> dict[str, str]:
        """The document that names this role."""
        return {"role": self.name, "db": self.database}

    @property
    def user(self) -> dict[str, str]:
        """The document that names this user."""
        return {"user": self.name, "db": self.database}


@dataclasses.dataclass(frozen=True, order=True)
class Restriction:
    """From and to which addresses a login is allowed; empty: any."""

    client_source: tuple[str, ...] = ()
    server_address: tuple[str, ...] = ()

    def document(self) -> dict[str, list[str]]:
        both = (("clientSource", self.client_source), ("serverAddress", self.server_address))
        return {field: list(addresses) for field, addresses in both if addresses}

    @classmethod
    def of_document(cls, document: t.Mapping[str, t.Any]) -> Restriction:
        return cls(_addresses(document.get("clientSource")), _addresses(document.get("serverAddress")))


@dataclasses.dataclass(frozen=True, order=True)
class Resource:
    """What a privilege is for: a collection (an empty name stands for any), the cluster, or everything."""

    db: t.Optional[str] = None
    collection: t.Optional[str] = None
    #: the field of a resource that is no collection, such as cluster or anyResource
    special: str = ""

    def document(self) -> dict[str, t.Any]:
        return {self.special: True} if self.special else {"db": self.db, "collection": self.collection}

    @classmethod
    def of_document(cls, document: t.Mapping[str, t.Any]) -> Resource:
        if "db" in document and "collection" in document and len(document) == 2:
            return cls(str(document["db"]), str(document["collection"]))
        # Also those that nobody can declare here: they are to be seen as a difference.
        return cls(special=" ".join(sorted(f"{k}" if v is True else f"{k}={v}" for k, v in document.items())))

    def __str__(self) -> str:
        return self.special or f"{self.db or '(any database)'}.{self.collection or '(any collection)'}"


Privileges = frozenset[tuple[Resource, frozenset[str]]]
Grants = frozenset[Name]
Restrictions = frozenset[Restriction]


@dataclasses.dataclass(frozen=True)
class User:
    """One declared user. What is None is not declared, and left as it is."""

    name: Name
    roles: t.Optional[Grants] = None
    mechanisms: t.Optional[frozenset[str]] = None
    restrictions: t.Optional[Restrictions] = None
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

    @property
    def external(self) -> bool:
        return self.name.database == EXTERNAL


@dataclasses.dataclass(frozen=True)
class Role:
    """One declared custom role."""

    name: Name
    privileges: Privileges = frozenset()
    roles: Grants = frozenset()
    restrictions: t.Optional[Restrictions] = None
    present: bool = True


def users_of(entries: t.Sequence[t.Mapping[str, t.Any]], application: str) -> tuple[User, ...]:
    """The declared users of the replica set in the StatefulSet ``application``. Raises Failure."""
    users = tuple(_user(entry, application) for entry in entries)
    _no_doubles("users", users)
    for place, user in enumerate(users):
        for other in users[:place]:
            if user.secret and user.secret == other.secret:
                raise Failure(
                    f"users: {other.name} and {user.name} would both be kept in the Secret {user.secret}. Name another "
                    "one for either of them in secret."
                )
    return users


def roles_of(entries: t.Sequence[t.Mapping[str, t.Any]]) -> tuple[Role, ...]:
    """The declared roles, each after those that it inherits from. Raises Failure."""
    roles = tuple(_role(entry) for entry in entries)
    _no_doubles("roles", roles)
    return _ordered(roles)


def _user(entry: t.Mapping[str, t.Any], application: str) -> User:
    name = _name("users", entry)
    external = name.database == EXTERNAL
    source = entry.get("password_secret")
    if external:
        given = [key for key in ("password", "password_secret", "secret", "rotation", "mechanisms") if entry.get(key)]
        if given:
            raise Failure(
                f"users: {name}: {' and '.join(given)} cannot be given for a user of {EXTERNAL}, whom another system "
                "knows by a certificate or a password of its own. Leave it out, or name another database."
            )
    generated = not (external or entry.get("password") or source)
    secret = (entry.get("secret") or f"{application}-{name.name}") if generated else ""
    if secret and not _SECRET_NAME.fullmatch(secret):
        raise Failure(
            f"users: {name}: {secret} can be no name of a Secret, which has lower case letters, digits, '-' and '.' "
            "only. Name another one in secret, or give the password."
        )
    update = entry.get("update_password") or ALWAYS
    rotation = str(entry.get("rotation") or "")
    if rotation and not generated:
        raise Failure(f"users: {name}: rotation is for passwords that are made here. Give another password instead.")
    if rotation and update == ON_CREATE:
        raise Failure(
            f"users: {name}: rotation changes a password, and update_password on_create says never to. Leave one out."
        )
    mechanisms = entry.get("mechanisms")
    return User(
        name=name,
        roles=_grants("users", name, entry["roles"]) if entry.get("roles") is not None else None,
        mechanisms=frozenset(mechanisms) if mechanisms else None,
        restrictions=_restrictions("users", name, entry.get("authentication_restrictions")),
        present=entry.get("state", "present") != "absent",
        update_password=update,
        password=entry.get("password") or None,
        source=(source["name"], source.get("key") or "password") if source else None,
        secret=secret,
        rotation=rotation,
    )


def _role(entry: t.Mapping[str, t.Any]) -> Role:
    name = _name("roles", entry)
    if name.database == EXTERNAL:
        raise Failure(f"roles: {name}: a role cannot be in {EXTERNAL}. Name another database, such as admin.")
    merged: dict[Resource, frozenset[str]] = {}
    for privilege in entry.get("privileges") or ():
        resource = _resource(name, privilege["resource"])
        merged[resource] = merged.get(resource, frozenset()) | frozenset(privilege["actions"])
    return Role(
        name=name,
        privileges=frozenset(merged.items()),
        roles=_grants("roles", name, entry.get("roles") or ()),
        restrictions=_restrictions("roles", name, entry.get("authentication_restrictions")),
        present=entry.get("state", "present") != "absent",
    )


def _name(option: str, entry: t.Mapping[str, t.Any]) -> Name:
    name = Name(entry.get("database") or "admin", entry["name"])
    if not name.name:
        raise Failure(f"{option}: expected a name in each entry, found an empty one.")
    if name.database in NO_DATABASE or re.search(r'[/\\. "\x00]', name.database):
        raise Failure(
            f"{option}: {name.name}: {name.database!r} is no database that MongoDB keeps users or roles in. Name "
            "another one in database, such as admin."
        )
    return name


def _no_doubles(option: str, declared: t.Sequence[t.Union[User, Role]]) -> None:
    names = [one.name for one in declared]
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise Failure(f"{option}: {', '.join(twice)}: declared twice. Put it into one entry.")


def _grants(option: str, owner: Name, entries: t.Iterable[t.Any]) -> Grants:
    return frozenset(_grant(option, owner, entry) for entry in entries)


def _grant(option: str, owner: Name, entry: t.Any) -> Name:
    if isinstance(entry, str) and entry:
        if owner.database == EXTERNAL:
            raise Failure(
                f"{option}: {owner}: expected a role of a user of {EXTERNAL} with its database, found {entry!r} alone. "
                f"Write it as role: {entry} and db: DATABASE."
            )
        return Name(owner.database, entry)
    if isinstance(entry, dict) and set(entry) == {"role", "db"} and all(entry[key] for key in ("role", "db")):
        return Name(str(entry["db"]), str(entry["role"]))
    raise Failure(
        f"{option}: {owner}: expected each of its roles to be a name, or to have role and db, found "
        f"{sorted(entry) if isinstance(entry, dict) else entry!r}."
    )


def _resource(owner: Name, entry: t.Mapping[str, t.Any]) -> Resource:
    special = [field for key, field in SPECIAL_RESOURCES.items() if entry.get(key)]
    collection = entry.get("db") is not None or entry.get("collection") is not None
    if len(special) + collection != 1:
        raise Failure(
            f"roles: {owner}: expected each resource to have either db with collection, or cluster, or any_resource, "
            f"found {sorted(key for key, value in entry.items() if value is not None)}."
        )
    if special:
        return Resource(special=special[0])
    return Resource(entry.get("db") or "", entry.get("collection") or "")


SPECIAL_RESOURCES = {"cluster": "cluster", "any_resource": "anyResource"}


def _restrictions(
    option: str, owner: Name, entries: t.Optional[t.Iterable[t.Mapping[str, t.Any]]]
) -> t.Optional[Restrictions]:
    if entries is None:
        return None
    found = frozenset(
        Restriction(_addresses(entry.get("client_source")), _addresses(entry.get("server_address")))
        for entry in entries
    )
    if Restriction() in found:
        raise Failure(
            f"{option}: {owner}: expected client_source or server_address in each of its authentication_restrictions, "
            "found neither. Without any restriction, give an empty list."
        )
    return found


def _addresses(value: t.Any) -> tuple[str, ...]:
    return tuple(sorted({str(address) for address in value or ()}))


def _ordered(roles: t.Sequence[Role]) -> tuple[Role, ...]:
    """Each role after those that it inherits from. Raises Failure where they inherit from each other."""
    waiting = {role.name: role for role in roles if role.present}
    ordered: list[Role] = []
    while waiting:
        ready = [role for role in waiting.values() if not (role.roles & waiting.keys())]
        if not ready:
            raise Failure(
                f"roles: {', '.join(str(name) for name in waiting)} inherit from each other, and MongoDB allows no "
                "circle. Leave one of these roles out of the other's."
            )
        for role in ready:
            del waiting[role.name]
        ordered += ready
    return (*ordered, *(role for role in roles if not role.present))
