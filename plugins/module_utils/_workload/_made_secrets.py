# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Secrets that keep the passwords of users of a database, and those that such passwords are taken from."""

from __future__ import annotations

import enum
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, encoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import GeneratedSecret, Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import generate
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import SeenSecret
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import PASSWORD, ROTATION

MAKE_SECRET = "make_secret"  # noqa: S105 (the name of a step)
CORRECT_SECRET = "correct_secret"  # noqa: S105
ROTATE = "rotate"
DELETE_SECRET = "delete_secret"  # noqa: S105

# The Secrets of new users, which are made all at once.
MAKE_SECRETS = "secrets"
PASSWORD_LENGTH = 32


class Keeping(enum.Enum):
    """What the Secret of a made password is."""

    ABSENT = "absent"
    #: somebody else made it
    FOREIGN = "foreign"
    #: it has no password
    EMPTY = "empty"
    #: it has a password, and something else in it is not as declared
    WRONG = "wrong"
    FITS = "fits"


class Kept(t.Protocol):
    """A declared user, as far as its Secret is concerned."""

    @property
    def name(self) -> t.Any:
        """Its name, which says as text whose the Secret is."""

    @property
    def source(self) -> t.Optional[tuple[str, str]]:
        """Name and key of an existing Secret that holds the password."""

    @property
    def secret(self) -> str:
        """The Secret that is made with a random password; empty where none is."""

    @property
    def rotation(self) -> str:
        """Another value than the one that the made Secret records: another password."""


# What there is to do. Pure.


def secret_steps(
    user: Kept, keeping: Keeping, recorded: str, exists: bool, namespace: str, rest: str
) -> tuple[list[Step], bool]:
    """What there is to do for the Secret of a made password, and whether that makes a new one.

    ``exists`` says whether the database has the user, ``rest`` what the Secret holds besides the password.
    """
    if not user.secret:
        return [], False
    where = f"Secret {namespace}/{user.secret}"
    data = {"user": user}
    if keeping is Keeping.ABSENT:
        sentence = f"make {where} with a new password for user {user.name}"
        return [Step(MAKE_SECRET, user.secret, sentence, batch=None if exists else MAKE_SECRETS, data=data)], True
    if keeping is Keeping.EMPTY or (user.rotation and user.rotation != recorded):
        why = f" (rotation {user.rotation})" if user.rotation else ""
        sentence = f"put a new password for user {user.name} into {where}{why}"
        return [Step(ROTATE, user.secret, sentence, data=data)], True
    if keeping is Keeping.WRONG:
        return [Step(CORRECT_SECRET, user.secret, f"correct {rest} in {where}", data=data)], False
    return [], False


def delete_steps(user: Kept, keeping: Keeping, namespace: str) -> list[Step]:
    if not user.secret or keeping in (Keeping.ABSENT, Keeping.FOREIGN):
        return []
    sentence = f"delete Secret {namespace}/{user.secret}, which was made for user {user.name}"
    return [Step(DELETE_SECRET, user.secret, sentence, data={"user": user})]


def foreign(user: Kept, namespace: str) -> Refusal:
    return Refusal(
        f"users: {user.name}: the Secret {namespace}/{user.secret} is there already, and was not made for "
        "this user: it is not overwritten.",
        (),
        (
            "name another Secret in secret",
            f"to use the password in it, give password_secret with name {user.secret} and its key",
        ),
    )


def unknown_password(user: Kept, namespace: str) -> Refusal:
    """Of a user that is there, whose password nobody has and may not be another one."""
    return Refusal(
        f"users: {user.name} is there, its password is not in the Secret {namespace}/{user.secret}, and "
        "update_password on_create forbids to give it another one.",
        (),
        ("give its password, or the Secret that has it", "let update_password be always"),
    )


# What is there, and what is done.


def kept(
    secret: t.Optional[Object], owner: tuple[str, str], content: t.Callable[[str], t.Mapping[str, str]]
) -> tuple[Keeping, t.Optional[str]]:
    """What this Secret is for this user, and the password in it.

    ``owner`` is the annotation that says whose it is, and ``content`` all that it holds with this password.
    """
    if secret is None:
        return Keeping.ABSENT, None
    if annotation(secret, owner[0]) != owner[1]:
        return Keeping.FOREIGN, None
    try:
        password = decoded(secret, PASSWORD)
        if not password:
            return Keeping.EMPTY, None
        found = {key: decoded(secret, key) for key in secret["data"]}
    except ValueError:
        return Keeping.EMPTY, None
    fits = all(found.get(key) == value for key, value in content(password).items())
    return (Keeping.FITS if fits else Keeping.WRONG), password


def given(user: Kept, cluster: Cluster, namespace: str) -> str:
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


def make(
    cluster: Cluster,
    key: Key,
    owner: tuple[str, str],
    labels: t.Mapping[str, str],
    rotation: str,
    data: t.Mapping[str, str],
) -> None:
    """Make the Secret. Where somebody was quicker, theirs is as good: the next look tells."""
    rules = GeneratedSecret(
        key.name,
        keys={each: {"value": value} for each, value in data.items()},
        labels=dict(labels),
        annotations={owner[0]: owner[1], **({ROTATION: rotation} if rotation else {})},
    )
    generate(cluster, SeenSecret(key, exists=False, missing=tuple(data)), rules)


def write(cluster: Cluster, secret: Object, data: t.Mapping[str, str], rotation: str) -> None:
    """Put these values into this very version of the Secret. Raises NotYet."""
    metadata = secret["metadata"]
    patch: Object = {
        "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        "data": {each: encoded(value) for each, value in data.items()},
    }
    if rotation:
        patch["metadata"]["annotations"] = {ROTATION: rotation}
    merge(cluster, secret, patch)
