# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a restore of whatever database refuses before it overwrites anything. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal


def mistyped(typed: str, name: str, what: str = "what") -> t.Optional[Refusal]:
    """Refuses another name than that of what is restored into, also where nothing would be lost.

    ``what`` is how the message begins to speak of that: ``the set that`` is restored into.
    """
    if not typed or typed == name:
        return None
    return Refusal(
        f"overwrite_data_of: expected the name of {what} is restored into, {name}, found {typed}.",
        choices=(f"type {name} to overwrite its data", "correct name"),
    )
