# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a look at three servers of MySQL may have seen, for tests of planners."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import GtidSet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import (
    Answer,
    Kind,
    Record,
    Snapshot,
    Source,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

TARGET = Target("shop", "shop")
THREE = Desired(3)
# The server_uuid of each ordinal.
UUIDS = [f"0000000{ordinal}-0000-0000-0000-000000000000" for ordinal in range(9)]


def gtids(**numbers: str) -> GtidSet:
    """``of_0="1-5"``: transactions 1 to 5 of the server of ordinal 0."""
    return GtidSet.parse(",".join(f"{UUIDS[int(name[3:])]}:{text}" for name, text in numbers.items()))


FIVE = gtids(of_0="1-5")


def primary(ordinal: int = 0, epoch: int = 1, **more: t.Any) -> Answer:
    fields = {"executed": FIVE, "purged": gtids(), "read_only": False, "own": (f"shop-{ordinal}", epoch), **more}
    return Answer(Kind.SERVER, version="9.7.0", identity=UUIDS[ordinal], **fields)


def replica(ordinal: int, of: t.Optional[int] = 0, lag: t.Optional[float] = 0.0, **more: t.Any) -> Answer:
    source = None if of is None else Source(TARGET.host(of), lag=lag)
    fields = {"executed": FIVE, "received": FIVE if source else None, "purged": gtids(), "source": source, **more}
    return Answer(Kind.SERVER, version="9.7.0", identity=UUIDS[ordinal], **fields)


SILENT = Answer(Kind.UNREACHABLE, "nothing listens on that port in the pod")


def snapshot(answers: t.Sequence[Answer], **more: t.Any) -> Snapshot:
    """As many pods as there are answers, all ready and of the newest revision; everything noted for primary shop-0."""
    pods = {ordinal: Pod(f"shop-{ordinal}", uid=f"uid-{ordinal}", revision="new") for ordinal in range(len(answers))}
    fields: dict[str, t.Any] = {
        "stateful_set": StatefulSet("uid", "1", len(answers), "shop", recorded=(1, "shop-0"), revision="new"),
        "record": Record(1, "shop-0", len(answers), resource_version="1"),
        "pods": pods,
        "claims": {ordinal: (f"data-shop-{ordinal}",) for ordinal in pods},
        "roles": {ordinal: "replica" if ordinal or len(answers) == 1 else "primary" for ordinal in pods},
        "routed": "shop-0",
        "answers": dict(enumerate(answers)),
    }
    return Snapshot(**{**fields, **more})


HEALTHY = snapshot([primary(), replica(1), replica(2)])


def with_pod(seen: Snapshot, ordinal: int, **more: t.Any) -> Snapshot:
    return dataclasses.replace(seen, pods={**seen.pods, ordinal: dataclasses.replace(seen.pods[ordinal], **more)})
