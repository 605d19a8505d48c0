# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The operations on users and custom roles: the planner, what it is told, and the acts in one shape."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import random_text
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users import _plan as plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users import _secrets as secrets
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import (
    MECHANISMS,
    Grants,
    Name,
    Privileges,
    Resource,
    Restriction,
    Restrictions,
    Role,
    User,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._plan import Around, SeenRole, SeenUser
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._primary import OnPrimary
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._scram import matches
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._workload import _made_secrets as made
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import PASSWORD_LENGTH, Keeping
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import ROTATION

Document = t.Mapping[str, t.Any]


@dataclasses.dataclass(frozen=True)
class SeenUsers:
    around: Around
    users: t.Mapping[Name, SeenUser] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SeenRoles:
    around: Around
    roles: t.Mapping[Name, SeenRole] = dataclasses.field(default_factory=dict)


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

    # What is there

    def observe(self) -> SeenUsers:
        around = self.find()
        keepings = dict(zip((user.name for user in self._users), in_parallel(self._keep, self._users), strict=True))
        known: dict[Name, Document] = {}
        if not (around.waits or around.refused):
            try:
                known = self._known()
            except NotYet as not_yet:
                around = dataclasses.replace(around, waits=str(not_yet))
        seen = {user.name: self._seen(user, known.get(user.name), keepings[user.name]) for user in self._users}
        return SeenUsers(around, seen)

    def _known(self) -> dict[Name, Document]:
        asked = [user.name.user for user in self._users]
        if not asked:
            return {}
        answer = self.ask_primary("usersInfo", asked, showCredentials=True, showAuthenticationRestrictions=True)
        return {Name(document["db"], document["user"]): document for document in answer["users"]}

    def _keep(self, user: User) -> Keeping:
        """Learn the password of this user, and what its Secret is."""
        keeping = Keeping.ABSENT
        password = user.password
        if user.source and user.present:
            password = made.given(user, self._observer.cluster, self._target.namespace)
        elif user.secret:
            secret = self._observer.cluster.get("v1", "Secret", user.secret, self._target.namespace)
            keeping, password = made.kept(secret, secrets.owner(user), lambda known: self._content(user, known))
            self._kept[user.name] = secret
        self._learn(user, password)
        return keeping

    def _learn(self, user: User, password: t.Optional[str]) -> None:
        self._passwords[user.name] = password
        if password:
            uri = secrets.connection_string(user, password, self._address, self._target.replica_set)
            self._conceal((password, uri))

    def _content(self, user: User, password: str) -> dict[str, str]:
        return secrets.content(user, password, self._address, self._target.replica_set)

    @property
    def _address(self) -> str:
        return self._target.address(self._observer.objects())

    @property
    def _labels(self) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": "mongodb",
            "app.kubernetes.io/instance": self._target.name,
            "app.kubernetes.io/managed-by": "stateful.kube",
        }

    def _seen(self, user: User, document: t.Optional[Document], keeping: Keeping) -> SeenUser:
        secret = self._kept.get(user.name)
        rotation = annotation(secret, ROTATION) if secret else ""
        if document is None:
            return SeenUser(keeping=keeping, rotation=rotation)
        password = self._passwords[user.name]
        return SeenUser(
            exists=True,
            roles=_grants(document["roles"]),
            mechanisms=frozenset(document.get("mechanisms") or ()),
            restrictions=_restrictions(document.get("authenticationRestrictions")),
            fits=matches(document.get("credentials") or {}, user.name.name, password) if password else None,
            keeping=keeping,
            rotation=rotation,
        )

    # What to do

    def plan(self, observed: SeenUsers) -> t.Union[Plan, Refusal]:
        return plan.plan_users(self._users, observed.users, observed.around)

    def act(self, steps: t.Sequence[Step], observed: SeenUsers) -> None:
        if steps[0].action == made.MAKE_SECRET:
            in_parallel(lambda step: self._act_on_secret(step.action, step.data["user"]), steps)
            return
        for step in steps:
            user: User = step.data["user"]
            if step.action in (made.ROTATE, made.CORRECT_SECRET, made.DELETE_SECRET):
                self._act_on_secret(step.action, user)
            elif step.action == plan.CREATE:
                self.tell_primary(step, "createUser", user.name.name, user.name.database, **self._new(user))
            elif step.action == plan.CHANGE:
                fields = self._changed(user, step.data["fields"], step.data["seen"])
                self.tell_primary(step, "updateUser", user.name.name, user.name.database, **fields)
            else:
                self.tell_primary(step, "dropUser", user.name.name, user.name.database)
        self.acted()

    def _act_on_secret(self, action: str, user: User) -> None:
        cluster, secret = self._observer.cluster, self._kept.get(user.name)
        if action == made.DELETE_SECRET:
            if secret:
                cluster.delete("v1", "Secret", user.secret, self._target.namespace, uid=secret["metadata"]["uid"])
            return
        password = self._passwords[user.name]
        if action != made.CORRECT_SECRET or not password:
            password = random_text(PASSWORD_LENGTH)
            self._learn(user, password)
        data = self._content(user, password)
        if secret is None:
            key = Key("v1", "Secret", self._target.namespace, user.secret)
            made.make(cluster, key, secrets.owner(user), self._labels, user.rotation, data)
        else:
            made.write(cluster, secret, data, "" if action == made.CORRECT_SECRET else user.rotation)

    def _new(self, user: User) -> dict[str, t.Any]:
        fields: dict[str, t.Any] = {"roles": [role.role for role in sorted(user.roles or ())]}
        if not user.external:
            fields["pwd"] = self._password(user)
        if user.mechanisms:
            fields["mechanisms"] = sorted(user.mechanisms)
        if user.restrictions:
            fields["authenticationRestrictions"] = [one.document() for one in sorted(user.restrictions)]
        return fields

    def _changed(self, user: User, changes: t.Collection[str], seen: SeenUser) -> dict[str, t.Any]:
        fields: dict[str, t.Any] = {}
        if "password" in changes:
            fields["pwd"] = self._password(user)
        if "password" in changes or "mechanisms" in changes:
            # A new password is otherwise good for every mechanism, whatever the user had.
            wanted = user.mechanisms if user.mechanisms is not None else seen.mechanisms & set(MECHANISMS)
            fields["mechanisms"] = sorted(wanted)
        if "roles" in changes:
            fields["roles"] = [role.role for role in sorted(user.roles or ())]
        if "restrictions" in changes:
            fields["authenticationRestrictions"] = [one.document() for one in sorted(user.restrictions or ())]
        return fields

    def _password(self, user: User) -> str:
        password = self._passwords[user.name]
        if not password:
            raise NotYet(f"the password of {user.name} is not in its Secret any more")
        return password

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
            "name": user.name.name,
            "database": user.name.database,
            "state": "present" if seen.exists else "absent",
            "roles": [role.role for role in sorted(seen.roles)],
            "mechanisms": sorted(seen.mechanisms),
            "authentication_restrictions": _shown(seen.restrictions),
            "secret": kept or (user.source[0] if user.source else None),
        }


class Roles(OnPrimary[SeenRoles]):
    def __init__(self, observer: Observer, roles: t.Sequence[Role], wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._roles = roles

    def observe(self) -> SeenRoles:
        around = self.find()
        if around.waits or around.refused or not self._roles:
            return SeenRoles(around)
        asked = [role.name.role for role in self._roles]
        try:
            answer = self.ask_primary("rolesInfo", asked, showPrivileges=True, showAuthenticationRestrictions=True)
        except NotYet as not_yet:
            return SeenRoles(dataclasses.replace(around, waits=str(not_yet)))
        known = {Name(document["db"], document["role"]): _seen_role(document) for document in answer["roles"]}
        return SeenRoles(around, known)

    def plan(self, observed: SeenRoles) -> t.Union[Plan, Refusal]:
        return plan.plan_roles(self._roles, observed.roles, observed.around)

    def act(self, steps: t.Sequence[Step], observed: SeenRoles) -> None:
        for step in steps:
            role: Role = step.data["role"]
            name, database = role.name.name, role.name.database
            if step.action == plan.DROP:
                self.tell_primary(step, "dropRole", name, database)
                continue
            command = "createRole" if step.action == plan.CREATE else "updateRole"
            self.tell_primary(step, command, name, database, **_role_fields(role))
        self.acted()

    def around(self, observed: SeenRoles) -> Around:
        return observed.around

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)

    def facts(self, observed: SeenRoles) -> dict[str, t.Any]:
        def of(role: Role) -> dict[str, t.Any]:
            seen = observed.roles.get(role.name, SeenRole())
            return {
                "name": role.name.name,
                "database": role.name.database,
                "state": "present" if seen.exists else "absent",
                "privileges": _privileges(seen.privileges),
                "roles": [inherited.role for inherited in sorted(seen.roles)],
                "authentication_restrictions": _shown(seen.restrictions),
            }

        return {"primary": observed.around.primary or None, "roles": [of(role) for role in self._roles]}


# Documents of the server, in both directions.


def _grants(documents: t.Iterable[Document]) -> Grants:
    return frozenset(Name(document["db"], document["role"]) for document in documents)


def _restrictions(documents: t.Any) -> Restrictions:
    """Of a role the server tells them in a list more, and of one without it may tell an empty document."""
    found: set[Restriction] = set()
    for document in documents or ():
        found |= _restrictions(document) if isinstance(document, list) else {Restriction.of_document(document)}
    return frozenset(found - {Restriction()})


def _seen_role(document: Document) -> SeenRole:
    merged: dict[Resource, frozenset[str]] = {}
    for privilege in document.get("privileges") or ():
        resource = Resource.of_document(privilege["resource"])
        merged[resource] = merged.get(resource, frozenset()) | frozenset(privilege["actions"])
    return SeenRole(
        exists=True,
        builtin=bool(document.get("isBuiltin")),
        privileges=frozenset(merged.items()),
        roles=_grants(document["roles"]),
        restrictions=_restrictions(document.get("authenticationRestrictions")),
    )


def _role_fields(role: Role) -> dict[str, t.Any]:
    fields: dict[str, t.Any] = {
        "privileges": _privileges(role.privileges),
        "roles": [inherited.role for inherited in sorted(role.roles)],
    }
    if role.restrictions is not None:
        fields["authenticationRestrictions"] = [one.document() for one in sorted(role.restrictions)]
    return fields


def _privileges(privileges: Privileges) -> list[dict[str, t.Any]]:
    return [
        {"resource": resource.document(), "actions": sorted(actions)}
        for resource, actions in sorted(privileges, key=lambda privilege: str(privilege[0]))
    ]


def _shown(restrictions: Restrictions) -> list[dict[str, list[str]]]:
    return [
        {"client_source": list(one.client_source), "server_address": list(one.server_address)}
        for one in sorted(restrictions)
    ]
