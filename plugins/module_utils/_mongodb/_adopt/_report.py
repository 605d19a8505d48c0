# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What an adoption tells: members, objects, what is otherwise, and what to declare. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import Found, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption


def facts(target: Target, found: Found, wish: Wish) -> dict[str, t.Any]:
    seen = found.snapshot
    config, would = seen.config, plan(target, dataclasses.replace(wish, accept=wish.accept or _only(found)), found)
    return {
        "replica_set": config.set_name if config else None,
        "set_id": _only(found) or None,
        "set_ids": list(found.set_ids),
        "recorded_set_id": seen.recorded or None,
        "primary": target.pod(seen.primary) if seen.primary is not None else None,
        "image": seen.stateful_set.image if seen.stateful_set else None,
        "members": [_member(target, found, ordinal) for ordinal in sorted({*seen.pods, *seen.answers})],
        "differences": [dataclasses.asdict(one) for one in found.differences],
        "variables": dict(found.variables),
        "would": [step.sentence for step in would.steps] if isinstance(would, Plan) else [],
        "table": table(target, found),
    }


def _only(found: Found) -> str:
    return found.set_ids[0] if len(found.set_ids) == 1 else ""


def _member(target: Target, found: Found, ordinal: int) -> dict[str, t.Any]:
    seen = found.snapshot
    pod, answer = seen.pods.get(ordinal), seen.answer(ordinal)
    status = answer.status(answer.me)
    number = next((one.id for one in (answer.config.members if answer.config else ()) if one.host == answer.me), None)
    return {
        "pod": target.pod(ordinal),
        "id": number,
        "host": answer.me or None,
        "state": answer.state or answer.kind.value,
        "behind_seconds": _behind(found, status.optime) if status and status.optime else None,
        "newest_write": status.optime if status and status.optime else None,
        "authentication": found.authentication.get(ordinal) or None,
        "tls": bool(pod and pod.tls_secret),
        "set_id": answer.set_id or None,
    }


def _behind(found: Found, optime: float) -> float:
    newest = max((status.optime for answer in found.snapshot.answers.values() for status in answer.statuses), default=0)
    return max(0.0, newest - optime)


def table(target: Target, found: Found) -> list[str]:
    head = ("POD", "ID", "STATE", "BEHIND", "LOGIN", "HOST")
    rows = [head]
    for one in (_member(target, found, ordinal) for ordinal in sorted(found.snapshot.answers)):
        behind = "-" if one["behind_seconds"] is None else f"{one['behind_seconds']:.0f}s"
        number = "-" if one["id"] is None else str(one["id"])
        rows.append((one["pod"], number, one["state"], behind, one["authentication"] or "-", one["host"] or "-"))
    return [*adoption.table(rows), *adoption.told(found.differences, found.variables)]
