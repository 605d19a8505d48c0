# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The conversation with one server: a tunnel to its pod, kept from look to look, and what the server says of itself."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    ACCESS_DENIED,
    READ_TIMEOUT,
    SILENT_TIMEOUT,
    Client,
    Credentials,
    NoAnswer,
    SqlError,
    noted,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import Flavour, flavour_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind


class Link:
    """Close it when done. A link belongs to one pod by its uid, and is not used by two threads at once."""

    def __init__(self, tunnel: Tunnel, uid: str, credentials: Credentials) -> None:
        self.uid = uid
        self._tunnel = tunnel
        self.client = Client(tunnel.path, credentials)
        self._flavour: t.Optional[Flavour] = None
        self._unopened: t.Optional[Exception] = None

    def close(self) -> None:
        self.client.close()
        self._tunnel.close()

    def another(self, username: str, password: str) -> Client:
        """A connection of its own to the same server, as somebody else. Close it when done."""
        return Client(self._tunnel.path, Credentials(username, password))

    @property
    def flavour(self) -> Flavour:
        """Raises NoAnswer and SqlError."""
        if self._flavour is None:
            self._flavour = flavour_of(str(self.client.rows("SELECT VERSION() AS version")[0]["version"]))
        return self._flavour

    def open(self) -> None:
        """Open the connection, ahead of the question. What is in the way of that is the answer then."""
        try:
            self.client.open()
        except (NoAnswer, SqlError) as error:
            self._unopened = error

    def ask(self) -> Answer:
        """What the server says; silence is an answer too. Raises Failure where the API server forbids to ask."""
        try:
            answer = self._asked_anew() if self.client.connected else self._asked()
        except NoAnswer as silence:
            self.client.patience = SILENT_TIMEOUT
            failure = self._tunnel.failure
            if isinstance(failure, ApiError) and failure.forbidden:
                raise failure from silence
            return Answer(Kind.UNREACHABLE, self._tunnel.error or f"no answer ({silence})")
        except SqlError as error:
            # Whoever says no is there: such a primary is not to be replaced as one that is lost.
            denied = error.code in ACCESS_DENIED
            why = "it does not let in the user of the Secret" if denied else "it answers with an error"
            return Answer(Kind.REFUSED, f"{why} ({error.message}, error {error.code})")
        except ValueError as error:
            return Answer(Kind.REFUSED, f"its answer makes no sense here ({error})")
        else:
            self.client.patience = READ_TIMEOUT
            return answer

    def _asked_anew(self) -> Answer:
        """Once more where the session of before is gone: that is no silence of the server."""
        try:
            return self._asked()
        except NoAnswer:
            return self._asked()

    def _asked(self) -> Answer:
        unopened, self._unopened = self._unopened, None
        if unopened:
            raise unopened
        flavour, client = self.flavour, self.client
        # The replica status first: what was received by then is executed a moment later, and never the other way round.
        rows = client.rows("SHOW REPLICA STATUS")
        own = self._own()
        said = client.rows(flavour.look)[0]
        configured = [row for row in rows if flavour.source(row).host]
        return Answer(
            Kind.SERVER,
            version=str(said["version"]),
            identity=str(said["identity"]),
            executed=flavour.history(str(said["executed"] or "")),
            received=flavour.received(configured[0]) if configured else None,
            purged=flavour.history(str(said["purged"] or "")) if "purged" in said else None,
            # MariaDB says OFF from 12.0 on.
            read_only=str(said["read_only"]).upper() not in ("0", "OFF"),
            own=own,
            source=flavour.source(configured[0]) if configured else None,
            semi_sync=(semi_sync := flavour.is_semi_sync(client)),
            waits=semi_sync and flavour.commits_wait(client),
            uptime=float(said["uptime"]) if "uptime" in said else None,
        )

    def _own(self) -> t.Optional[tuple[str, int]]:
        row = noted(self.client.rows, "SELECT pod, epoch FROM stateful_kube.own")
        return (str(row["pod"]), int(row["epoch"])) if row else None
