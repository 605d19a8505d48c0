# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Who manages the number of pods, before and after a move of claims has stopped them. Pure.

To stop the pods is a change of a field that somebody else has declared, and the API server makes whoever changes it its
manager. Were it left so, the next apply of the same declaration would be a change, or a conflict.
"""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Object
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_objects import Mark

#: the name under which the API server records what a move changes
MANAGER = "stateful.kube-migrate"


def managers(live: Object) -> list[tuple[str, str, str]]:
    """Who manages the number of pods: manager, operation, subresource."""
    return [
        _who(entry)
        for entry in live["metadata"].get("managedFields") or ()
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {}) and entry.get("manager") != MANAGER
    ]


def restored(live: Object, mark: Mark) -> list[Object]:
    """The managedFields as if nothing had been stopped."""
    found: list[t.Any] = []
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") == MANAGER:
            continue
        one = copy.deepcopy(entry)
        if _who(one) in mark.managers:
            one.setdefault("fieldsV1", {}).setdefault("f:spec", {})["f:replicas"] = {}
        found.append(one)
    return found


def _who(entry: Object) -> tuple[str, str, str]:
    return (str(entry.get("manager", "")), str(entry.get("operation", "")), str(entry.get("subresource", "")))
