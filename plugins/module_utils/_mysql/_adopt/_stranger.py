# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at servers that may not know the account of the Secret yet: as somebody whom they do know."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot

# Seconds after which the account of the Secret is tried again.
TRY_AGAIN = 1.0


class Stranger(Observer):
    """Comes in as the user of the Secret where all servers know it, else with the login that was given."""

    def __init__(self, cluster: Cluster, target: Target, login: Credentials) -> None:
        super().__init__(cluster, target)
        self.user = ""
        #: servers that did not let the user of the Secret in
        self.refused: tuple[int, ...] = ()
        self._login = login
        self._as_stranger = False
        self._tried_at = 0.0

    def __enter__(self) -> Stranger:
        return self

    def observe(self, primary_alone: bool = False) -> Snapshot:
        if self._as_stranger and time.monotonic() - self._tried_at > TRY_AGAIN:
            self._be_stranger(False)
        elif not self.user:
            # The Secret may have been made meanwhile.
            self._other_password()
        seen = super().observe(primary_alone)
        if self._as_stranger:
            return seen
        self.refused = tuple(o for o, answer in seen.answers.items() if answer.kind is Kind.REFUSED)
        if not self.refused or not self.user:
            return seen
        self._tried_at = time.monotonic()
        self._be_stranger(True)
        return super().observe(primary_alone)

    def try_again(self) -> None:
        """At the next look: the account was made."""
        self._tried_at = 0.0

    def root(self) -> Credentials:
        """With what the account of the Secret logs in. Raises Failure."""
        known = super()._read_secret()
        if known is None:
            raise NotYet(f"{self.target.root_secret} is gone")
        return known

    def _be_stranger(self, value: bool) -> None:
        self._as_stranger = value
        self._other_password()

    def _read_secret(self) -> t.Optional[Credentials]:
        secret = self.cluster.get("v1", "Secret", self.target.root_secret, self.target.namespace)
        # One without a password is yet to get one.
        known = super()._read_secret() if secret and (secret.get("data") or {}).get("password") else None
        self.user = known.username if known else ""
        return known if known and not self._as_stranger else self._login
