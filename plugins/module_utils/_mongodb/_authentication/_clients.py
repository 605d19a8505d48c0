# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Clients that would be let in no more: those of which no connection has logged in."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client

# Of what a client says of itself: its own name, and that of its driver.
OURS = "stateful.kube"


def strangers(client: Client) -> tuple[str, ...]:
    """Who is connected to this member and has not logged in, in words."""
    found = client.command(
        "aggregate",
        1,
        pipeline=[{"$currentOp": {"allUsers": True, "idleConnections": True, "localOps": True}}],
        cursor={"batchSize": 5000},
    )
    return unknown_in(found["cursor"]["firstBatch"])


def unknown_in(operations: t.Iterable[t.Mapping[str, t.Any]]) -> tuple[str, ...]:
    """Drivers watch each server by connections that never log in, so a client counts by all that it has together."""
    logged_in: dict[str, bool] = {}
    for operation in operations:
        address, metadata = str(operation.get("client") or ""), operation.get("clientMetadata") or {}
        driver = str((metadata.get("driver") or {}).get("name") or "")
        # Members show no more than the driver that they are made with, and come in as members do.
        if not address or not driver or driver.startswith(("MongoDB Internal", "NetworkInterface")):
            continue
        application = str((metadata.get("application") or {}).get("name") or "")
        if application == OURS or application.startswith(("OplogFetcher", "mongosh-autopilot")):
            continue
        host = address.rpartition(":")[0]
        who = f"{host} ({application}, {driver})" if application else f"{host} ({driver})"
        logged_in[who] = logged_in.get(who, False) or bool(operation.get("effectiveUsers"))
    return tuple(sorted(who for who, known in logged_in.items() if not known))
