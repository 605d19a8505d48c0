# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Passwords by chance, and the Secret of one that changes."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import random_text
from ansible_collections.stateful.kube.plugins.module_utils._workload import _two_passwords as two
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import PASSWORD_LENGTH
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import Wish


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """The options of a change. A line break at the end is no part of a password, as nobody who logs in reads it."""
    return Wish(params["rotation"] or "", (params["new_password"] or "").rstrip("\n") or None)


def made_password() -> str:
    """Letters of both kinds, digits, and a dash: servers that check passwords ask for all of them."""
    while True:
        letters = random_text(PASSWORD_LENGTH - 1)
        if any(map(str.isdigit, letters)) and any(map(str.isupper, letters)) and any(map(str.islower, letters)):
            return f"{letters[:15]}-{letters[15:]}"


class ChangedSecret:
    """A Secret with the password in use, and while that changes the next one and the former one."""

    def __init__(
        self, cluster: Cluster, namespace: str, name: str, conceal: t.Callable[[t.Iterable[str]], None]
    ) -> None:
        self.where = f"{namespace}/{name}"
        self.current: t.Optional[str] = None
        self.following: t.Optional[str] = None
        self.previous: t.Optional[str] = None
        self.rotation = ""
        self.owner = ""
        self._cluster, self._namespace, self._name, self._conceal = cluster, namespace, name, conceal
        self._secret: t.Optional[Object] = None

    def read(self, option: str) -> bool:
        """Whether it is there. Raises Failure."""
        secret = self._secret = self._cluster.get("v1", "Secret", self._name, self._namespace)
        if secret is None:
            return False
        try:
            # Without a line break at the end, as everybody who logs in reads them.
            self.current, self.following, self.previous = (
                (decoded(secret, key) or "").rstrip("\n") or None for key in (two.PASSWORD, two.NEXT, two.PREVIOUS)
            )
        except ValueError as exc:
            raise Failure(
                f"{option}: the passwords in the Secret {self.where} must be text in UTF-8. Correct the Secret."
            ) from exc
        if not self.current:
            raise Failure(
                f"{option}: the Secret {self.where} has nothing under the key password. Correct the Secret, or name "
                "another one."
            )
        self.rotation, self.owner = annotation(secret, two.ROTATION), two.owner(secret)
        self._conceal(password for password in (self.current, self.following, self.previous) if password)
        return True

    def write_next(self, password: str, rotation: str) -> None:
        self._conceal((password,))
        merge(self._cluster, self._there, two.with_next(self._there, password, rotation))

    def move(self) -> None:
        merge(self._cluster, self._there, two.moved(self._there))

    @property
    def _there(self) -> Object:
        if self._secret is None:
            raise NotYet(f"the Secret {self.where} is gone")
        return self._secret
