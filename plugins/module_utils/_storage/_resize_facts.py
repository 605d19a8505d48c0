# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is told of a resize: a table of the claims, the quotas beside them, and why it was given up. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_plan import Retreat
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_state import Claim, Seen


def summary(seen: Seen) -> dict[str, t.Any]:
    return {
        "size": seen.size,
        "template": {"name": seen.template, "size": seen.template_size} if seen.template else None,
        "claims": [
            *(_row(claim, _state(claim, seen.size)) for claim in seen.claims),
            *(_row(claim, "retained") for claim in seen.retained),
        ],
    }


def _row(claim: Claim, state: str) -> dict[str, t.Any]:
    return {
        "name": claim.name,
        "storage_class": claim.storage_class or None,
        "request": claim.asked,
        "capacity": claim.has or None,
        "state": state,
        "message": "; ".join(claim.failures) or None,
        "pods": list(claim.pods),
    }


def _state(claim: Claim, size: str) -> str:
    if not claim.bound:
        return "no-volume"
    if claim.has_at_least(size):
        return "present"
    if claim.volume_has(size):
        return "file-system-pending"
    return "failing" if claim.failing else "growing" if claim.growing else "small"


def quota_facts(seen: Seen) -> list[dict[str, t.Any]]:
    """Each limit on storage in the namespace, and how much of it is used."""
    found = []
    for quota in seen.around.quotas:
        status = quota.get("status") or {}
        for resource, limit in sorted((status.get("hard") or {}).items()):
            if resource.rpartition("/")[2] == "requests.storage":
                used = (status.get("used") or {}).get(resource, "0")
                found.append({"name": quota["metadata"]["name"], "resource": resource, "hard": limit, "used": used})
    return found


def given_up(seen: Seen, retreat: Retreat, why: t.Mapping[str, str]) -> str:
    """What became of each claim when the growth of some failed."""
    told = [_failed(claim, seen, retreat, why) for claim in seen.claims if claim.name in retreat.claims]
    others = [claim for claim in seen.claims if claim.name not in retreat.claims]
    for state, words in (
        ("present", "have grown, and stay so because a volume never shrinks"),
        ("file-system-pending", "have grown but for their file systems"),
        ("growing", "go on growing"),
        ("failing", "fail, and ask for it still"),
        ("small", "were not asked to grow"),
    ):
        names = [claim.name for claim in others if _state(claim, seen.size) == state]
        if names:
            told.append(f"These {words}: {', '.join(names)}.")
    if seen.live is not None:
        told.append(f"The claim template still has {seen.template_size}, and no pod was touched.")
    return " ".join(told)


def _failed(claim: Claim, seen: Seen, retreat: Retreat, why: t.Mapping[str, str]) -> str:
    text = f"claim {claim.name} did not grow to {seen.size}: {why[claim.name].rstrip('.')}."
    if not claim.growing:
        return f"{text} It has {claim.has} all the same by now."
    if claim.name in retreat.refused:
        return f"{text} It still asks for {claim.asked}: {retreat.refused[claim.name]}."
    text = (
        f"{text} Its request was taken back to {claim.asked}, because the API server takes none of {claim.has} or less"
    )
    if claim.infeasible:
        return f"{text}."
    return f"{text}; its driver may all the same finish what it began, and then it has {claim.target or seen.size}."
