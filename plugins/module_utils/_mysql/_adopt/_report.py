# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What an adoption tells: servers, what is otherwise, and what to declare. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._plan import plan, primary_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import Found, Server, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption


def facts(target: Target, found: Found, wish: Wish) -> dict[str, t.Any]:
    seen, primary = found.snapshot, primary_of(target, found)
    identity = seen.answer(primary).identity if primary is not None else ""
    would = plan(target, dataclasses.replace(wish, accept=wish.accept or identity), found)
    return {
        "primary": target.pod(primary) if primary is not None else None,
        "primary_uuid": identity or None,
        "adopted": bool(seen.record and seen.record.epoch),
        "image": found.variables.get("mysql_image") or None,
        "members": [_member(target, found, ordinal) for ordinal in sorted({*seen.pods, *seen.answers})],
        "differences": [dataclasses.asdict(one) for one in found.differences],
        "variables": dict(found.variables),
        "would": [step.sentence for step in would.steps] if isinstance(would, Plan) else [],
        "table": table(target, found),
    }


def _member(target: Target, found: Found, ordinal: int) -> dict[str, t.Any]:
    answer = found.snapshot.answer(ordinal)
    server = found.servers.get(ordinal) or Server(answer.version)
    source = answer.source
    return {
        "pod": target.pod(ordinal),
        "version": server.version or None,
        "server_id": server.server_id or None,
        "server_uuid": answer.identity or None,
        "gtid_mode": server.gtid_mode if answer.serves else None,
        "read_only": answer.read_only if answer.serves else None,
        "source": source.host if source else None,
        "source_user": server.source_user or None,
        "auto_position": server.auto_position if source else None,
        "behind_seconds": source.lag if source else None,
        "error": (source.error if source else "") or (None if answer.serves else answer.detail or None),
    }


def table(target: Target, found: Found) -> list[str]:
    rows = [("POD", "ID", "SERVER_UUID", "VERSION", "GTID", "WRITES", "BEHIND", "SOURCE")]
    for one in (_member(target, found, ordinal) for ordinal in sorted(found.snapshot.answers)):
        behind = "-" if one["behind_seconds"] is None else f"{one['behind_seconds']:.0f}s"
        writes = "-" if one["read_only"] is None else "no" if one["read_only"] else "yes"
        told = (str(one["server_id"] or "-"), one["server_uuid"] or "-", one["version"] or "-", one["gtid_mode"] or "-")
        rows.append((one["pod"], *told, writes, behind, one["source"] or "-"))
    return [*adoption.table(rows), *adoption.told(found.differences, found.variables)]
