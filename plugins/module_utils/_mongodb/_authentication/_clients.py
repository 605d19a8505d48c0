# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which clients are connected to a member, and which of them have logged in."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client

# What this collection's own connections call themselves.
OURS = "stateful.kube"


def is_root(client: Client) -> bool:
    """Whether this connection has logged in as somebody with the role root."""
    roles = client.command("connectionStatus")["authInfo"].get("authenticatedUserRoles") or ()
    return any(role.get("role") == "root" and role.get("db") == "admin" for role in roles)


def clients_of(client: Client) -> dict[str, bool]:
    """Who is connected to this member, in words, and whether any connection of theirs has logged in."""
    found = client.command(
        "aggregate",
        1,
        pipeline=[{"$currentOp": {"allUsers": True, "idleConnections": True, "localOps": True}}],
        cursor={"batchSize": 5000},
    )
    return clients_in(found["cursor"]["firstBatch"])


def clients_in(operations: t.Iterable[t.Mapping[str, t.Any]]) -> dict[str, bool]:
    """Drivers watch each server by connections that never log in, so a client counts by all that it has together."""
    found: dict[str, bool] = {}
    for operation in operations:
        address, metadata = str(operation.get("client") or ""), operation.get("clientMetadata") or {}
        driver = str((metadata.get("driver") or {}).get("name") or "")
        # Members show no more than what they are made with, and come in as members do.
        if not address or not driver or driver.startswith(("MongoDB Internal", "NetworkInterface")):
            continue
        application = str((metadata.get("application") or {}).get("name") or "")
        if application == OURS:
            continue
        host = address.rpartition(":")[0]
        who = f"{host} ({application}, {driver})" if application else f"{host} ({driver})"
        found[who] = found.get(who, False) or bool(operation.get("effectiveUsers"))
    return found
