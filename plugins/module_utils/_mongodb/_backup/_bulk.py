# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.
"""A connection to one member for work that takes long: documents stay the bytes that they are."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import Optime
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Credentials, answered, direct

# Seconds that a member may be silent in the middle of a command. Building an index has no limit.
SILENCE = 120.0
# Documents of one batch; the server ends it earlier at 16 MB.
BATCH = 5000

Document = t.Mapping[str, t.Any]


class Bulk:
    """Use it as a context manager. Raises NoAnswer and CommandError."""

    def __init__(
        self,
        tunnel: Tunnel,
        pod: str,
        credentials: t.Optional[Credentials],
        silence: t.Optional[float] = SILENCE,
    ) -> None:
        from bson.codec_options import CodecOptions
        from bson.raw_bson import RawBSONDocument

        self.pod = pod
        self._raw: t.Any = CodecOptions(RawBSONDocument)
        self._tunnel = tunnel
        self._client = direct(
            self._tunnel.path,
            credentials,
            socketTimeoutMS=None if silence is None else int(silence * 1000),
            # What is done twice is seen here, and not hidden by the driver.
            retryReads=False,
            retryWrites=False,
        )
        # One session: cursors live in it, and it knows the position that each answer was of.
        self._session: t.Any = None

    def __enter__(self) -> Bulk:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(Exception):
            if self._session:
                self._session.end_session()
            self._client.close()
        self._tunnel.close()

    def command(self, database: str, document: Document) -> dict[str, t.Any]:
        return dict(self._send(database, document, None))

    def batches(self, database: str, document: Document) -> t.Iterator[list[t.Any]]:
        """What a command with a cursor gives, as undecoded documents (``raw`` is their bytes), batch by batch."""
        answer = self._send(database, document, self._raw)
        cursor = answer["cursor"]
        yield cursor["firstBatch"]
        while cursor["id"]:
            name = cursor["ns"].partition(".")[2]
            more = {"getMore": cursor["id"], "collection": name, "batchSize": BATCH}
            cursor = self._send(database, more, self._raw)["cursor"]
            yield cursor["nextBatch"]

    def all(self, database: str, document: Document) -> list[dict[str, t.Any]]:
        """The same, decoded, for what is small."""
        from bson import decode

        return [decode(one.raw) for batch in self.batches(database, document) for one in batch]

    def reached(self) -> t.Optional[Optime]:
        """The newest position that any answer so far was of."""
        stamp = self._session.operation_time if self._session else None
        return Optime.of(stamp) if stamp else None

    def majority(self) -> Optime:
        """What this member knows to be on a majority."""
        found = self.command("admin", {"replSetGetStatus": 1})["optimes"]["readConcernMajorityOpTime"]
        return Optime.of(found["ts"], int(found["t"]))

    def _send(self, database: str, document: Document, codec: t.Any) -> t.Any:
        with answered():
            if self._session is None:
                self._session = self._client.start_session(causal_consistency=False)
            more = {"codec_options": codec} if codec else {}
            return self._client[database].command(document, session=self._session, **more)
