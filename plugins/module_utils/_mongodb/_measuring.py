# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks the members what runs out on them. Only ``status`` does."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._measures import Disk, Measures, Oplog
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import PRIMARY, SECONDARY, Kind, Snapshot


def measure(observer: Observer, seen: Snapshot) -> dict[int, Measures]:
    """Ask every member that holds data, all at once, over the connections that are there."""
    asked = {
        ordinal: observer.links[ordinal].client(login=True)
        for ordinal, answer in seen.answers.items()
        if answer.kind is Kind.MEMBER and answer.state in (PRIMARY, SECONDARY) and ordinal in observer.links
    }
    if not asked:
        return {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(asked)) as pool:
        waiting = {ordinal: pool.submit(_of_member, client) for ordinal, client in asked.items()}
        return {ordinal: future.result() for ordinal, future in waiting.items()}


def _of_member(client: Client) -> Measures:
    disk = oplog = None
    try:
        disk = _disk(client.command("dbStats"))
        sizes = client.command("collStats", "oplog.rs", database="local")
        oplog = Oplog(_entry(client, 1), _entry(client, -1), int(sizes.get("size", 0)), int(sizes.get("maxSize", 0)))
    except (NoAnswer, CommandError, LookupError):
        pass
    return Measures(disk, oplog)


def _disk(stats: t.Mapping[str, t.Any]) -> t.Optional[Disk]:
    # A storage engine without files has no such numbers.
    return Disk(int(stats["fsUsedSize"]), int(stats["fsTotalSize"])) if stats.get("fsTotalSize") else None


def _entry(client: Client, direction: int) -> int:
    """The time of the first entry (1) or the newest (-1). Raises LookupError where there is none."""
    found = client.command(
        "find",
        "oplog.rs",
        database="local",
        sort={"$natural": direction},
        limit=1,
        singleBatch=True,
        projection={"ts": 1},
    )
    return int(found["cursor"]["firstBatch"][0]["ts"].time)
