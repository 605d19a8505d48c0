# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The Secrets that users' passwords are kept in: read, made, and written without losing what stands there."""

from __future__ import annotations

import typing as t
from urllib.parse import quote

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, encoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import GeneratedSecret, Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import generate
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import SeenSecret
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._root_secret import PASSWORD, ROTATION
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import User
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._plan import Keeping

# On a Secret that was made here: whose it is.
OWNER = "stateful.kube/mongodb-user"


def connection_string(user: User, password: str, address: str, replica_set: str) -> str:
    """What an application connects with. The Service answers with every member, and the driver finds the primary."""
    # The database that a user is in is mostly the one it works in; admin never is.
    database = "" if user.name.database == "admin" else quote(user.name.database, safe="")
    return (
        f"mongodb://{quote(user.name.name, safe='')}:{quote(password, safe='')}@{address}/{database}"
        f"?replicaSet={quote(replica_set, safe='')}&authSource={quote(user.name.database, safe='')}"
    )


def content(user: User, password: str, address: str, replica_set: str) -> dict[str, str]:
    """What the Secret of a made password holds."""
    return {
        "username": user.name.name,
        PASSWORD: password,
        "database": user.name.database,
        "uri": connection_string(user, password, address, replica_set),
    }


def kept(user: User, secret: t.Optional[Object], address: str, replica_set: str) -> tuple[Keeping, t.Optional[str]]:
    """What this Secret is for this user, and the password in it."""
    if secret is None:
        return Keeping.ABSENT, None
    if annotation(secret, OWNER) != str(user.name):
        return Keeping.FOREIGN, None
    try:
        password = decoded(secret, PASSWORD)
        if not password:
            return Keeping.EMPTY, None
        found = {key: decoded(secret, key) for key in secret["data"]}
    except ValueError:
        return Keeping.EMPTY, None
    wanted = content(user, password, address, replica_set)
    fits = all(found.get(key) == value for key, value in wanted.items())
    return (Keeping.FITS if fits else Keeping.WRONG), password


def given(user: User, cluster: Cluster, namespace: str) -> str:
    """The password in an existing Secret. Raises Failure."""
    if user.source is None:
        raise AssertionError(user.name)
    name, key = user.source
    secret = cluster.get("v1", "Secret", name, namespace)
    if secret is None:
        raise Failure(
            f"users: {user.name}: there is no Secret {namespace}/{name} to take the password from (password_secret). "
            "Create it, or name another one."
        )
    try:
        password = decoded(secret, key)
    except ValueError as exc:
        raise Failure(
            f"users: {user.name}: {key} in the Secret {namespace}/{name} is not text in UTF-8 (password_secret). "
            "Correct the Secret."
        ) from exc
    if not password:
        raise Failure(
            f"users: {user.name}: the Secret {namespace}/{name} has nothing under the key {key} (password_secret). "
            "Correct the Secret, or name another key."
        )
    return password


def make(cluster: Cluster, target: Target, user: User, data: t.Mapping[str, str]) -> None:
    """Make the Secret. Where somebody was quicker, theirs is as good: the next look tells."""
    annotations = {OWNER: str(user.name), **({ROTATION: user.rotation} if user.rotation else {})}
    rules = GeneratedSecret(
        user.secret,
        keys={key: {"value": value} for key, value in data.items()},
        labels={
            "app.kubernetes.io/name": "mongodb",
            "app.kubernetes.io/instance": target.name,
            "app.kubernetes.io/managed-by": "stateful.kube",
        },
        annotations=annotations,
    )
    key = Key("v1", "Secret", target.namespace, user.secret)
    generate(cluster, SeenSecret(key, exists=False, missing=tuple(data)), rules)


def write(cluster: Cluster, secret: Object, data: t.Mapping[str, str], rotation: str) -> None:
    """Put these values into this very version of the Secret. Raises NotYet."""
    metadata = secret["metadata"]
    patch: Object = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "data": {key: encoded(value) for key, value in data.items()},
    }
    if rotation:
        patch["metadata"]["annotations"] = {ROTATION: rotation}
    merge(cluster, secret, patch)
