# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which files of a server's binary log are in no backup yet."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Manifest, continuing
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Log, Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History, parse


class Logs(t.NamedTuple):
    """Files to copy, and what they continue and lead to."""

    copied: tuple[Log, ...]
    start: str
    end: str
    until: str


def new_logs(
    server: Server,
    known: t.Iterable[Manifest],
    executed: t.Optional[History],
    title: str,
    warn: t.Callable[[str], None],
) -> Logs:
    """Closed files that continue what there is. Raises Failure where there is a gap."""
    ends = continuing(known)
    # After a failover that lost them nobody has the last transactions of a backup.
    shared = [end for end in ends if executed is None or executed.contains(parse(server.flavour, end))]
    if ends[-1] not in shared:
        raise Failure(
            f"{title}: the last backup leads to {ends[-1] or 'nothing'}, and the primary lacks some of that. A "
            "failover may have lost it, and its binary log does not continue that backup. Take a full backup (mode "
            "full)."
        )
    # What is committed from now on may be in them, or in the next file.
    until = server.now()
    server.ask("FLUSH NO_WRITE_TO_BINLOG BINARY LOGS")
    every = server.logs()
    if any(log.encrypted for log in every):
        raise Failure(
            f"{title}: the binary log is encrypted, and nobody could read its files without the keys of this server. "
            "Take full backups, or switch encryption off (binlog_encryption, encrypt_binlog)."
        )
    after = server.history_at(every[-1].name)
    for wanted in shared:
        found = _since(server, every[:-1], parse(server.flavour, wanted))
        if found:
            if wanted != ends[0]:
                warn(
                    f"{title}: the binary log no longer continues the last backup. The newest full backup is continued "
                    "from its own end; older ones cannot be restored beyond the gap."
                )
            return Logs(found, server.history_at(found[0].name), after, until)
    raise Failure(
        f"{title}: the binary log of the primary begins after {server.history_at(every[0].name) or 'nothing'}, and the "
        f"last backup ends with {ends[0] or 'nothing'}: what was in between is gone. Take a full backup (mode full); "
        "keep binary logs for longer than the time between two backups (binlog_expire_logs_seconds)."
    )


def _since(server: Server, closed: t.Sequence[Log], end: History) -> tuple[Log, ...]:
    """The fewest closed files that continue this history; none where there is a gap."""
    for first in range(len(closed) - 1, -1, -1):
        if end.contains(parse(server.flavour, server.history_at(closed[first].name))):
            return tuple(closed[first:])
    return ()
