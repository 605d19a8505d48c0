# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is told of a move of claims: a table of the claims, and the volumes that were left. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_script import Copied
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import (
    Moving,
    Seen,
    has_data,
    is_there,
)


def summary(seen: Seen, results: t.Mapping[str, Copied]) -> dict[str, t.Any]:
    return {
        "storage_class": seen.mark.class_name if seen.mark else seen.wish.class_name,
        "templates": list(seen.templates),
        "replicas": seen.mark.replicas if seen.mark else seen.replicas,
        "stopped": seen.mark is not None,
        "claims": [_row(one, seen, results) for one in seen.claims],
        "left_volumes": list(seen.left),
    }


def _row(one: Moving, seen: Seen, results: t.Mapping[str, Copied]) -> dict[str, t.Any]:
    volume = (one.claim or {}).get("spec", {}).get("volumeName")
    known = results.get(one.name) or one.note(seen.stamp)
    return {
        "name": one.name,
        "template": one.template,
        "storage_class": one.class_name or None,
        "size": one.size if one.claim else None,
        "volume": volume or None,
        "state": _state(one, seen),
        "copied": dataclasses.asdict(known) if known else None,
    }


def _state(one: Moving, seen: Seen) -> str:
    if is_there(one, seen.wish):
        return "present"
    if one.claim is None or one.going:
        return "between"
    if one.note(seen.stamp):
        return "copied"
    if one.pod is not None:
        return "failed" if one.pod.failed else "copying"
    return "elsewhere" if has_data(one) else "no-volume"
