# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the steps of a replica set are called, and how their values are put into words. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config
from ansible_collections.stateful.kube.plugins.module_utils._workload import _rolling

WAIT = "wait"
INITIATE = "initiate"
CREATE_USER = "create_user"
RECORD = "record"
ADD = "add"
CHANGE = "change"
REMOVE = "remove"
SETTINGS = "settings"
HORIZONS = "horizons"
RENAME = "rename"
FEATURE_VERSION = "feature_version"
STEP_DOWN = "step_down"
REPLACE = _rolling.REPLACE
SCALE = "scale"
HAND_BACK = "hand_back"
DELETE_CLAIM = "delete_claim"


def planned_on(config: t.Optional[Config]) -> dict[str, t.Any]:
    """What a step was planned on: it is not taken on another configuration."""
    return {"version": config.version, "term": config.term} if config else {}


def in_words(pairs: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{key}={value_in_words(value)}" for key, value in pairs.items())


def value_in_words(value: t.Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{key}: {item}" for key, item in value) + "}"
    return str(value)
