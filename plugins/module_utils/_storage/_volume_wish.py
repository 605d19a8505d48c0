# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The options about volumes that were used, and what is wrong with them. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._families import family
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import IDENTITY, Expected
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import Pods
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import Wish


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """The options as one value. Raises Failure where they are wrong."""
    wanted = family(params["volumes"], params["state"])
    rebind = tuple(params["rebind"])
    wipe = tuple(_confirmed(one) for one in params["wipe"])
    both = sorted({*rebind} & {*wipe})
    if both:
        raise Failure(
            f"wipe: {', '.join(both)} is named in rebind as well. With rebind the data stays, with wipe it goes: name "
            "it in one of the two."
        )
    if params["state"] == "absent" and (wipe or rebind):
        raise Failure("state: absent only removes objects. Leave rebind and wipe to a task with state present.")
    return Wish(
        params["state"],
        wanted.volumes,
        rebind,
        wipe,
        {one["volume"]: _expected(one, {*rebind, *wipe}) for one in params["expect"]},
        params["look_inside"],
        wanted.warnings,
    )


def pods_of(params: t.Mapping[str, t.Any]) -> Pods:
    """What the pods that look inside volumes have in common."""
    return Pods(
        image=params["image"],
        pull_policy=params["image_pull_policy"],
        pull_secrets=tuple(params["image_pull_secrets"]),
        tolerations=tuple(params["tolerations"]),
    )


def _confirmed(entry: t.Mapping[str, t.Any]) -> str:
    volume = str(entry["volume"])
    if entry["confirm"] != volume:
        raise Failure(
            f"wipe: expected confirm to repeat the name of the volume that loses its data, {volume}, found "
            f"{entry['confirm']}. Nothing was changed."
        )
    return volume


def _expected(entry: t.Mapping[str, t.Any], wanted: t.Collection[str]) -> Expected:
    volume = entry["volume"]
    if volume not in wanted:
        raise Failure(
            f"expect: {volume} is named neither in rebind nor in wipe, so nothing would depend on it. Correct the "
            "name, or leave it out."
        )
    identity = {key: entry[key] for key in IDENTITY if entry[key]}
    if not entry["engine"] and not identity:
        raise Failure(
            f"expect: {volume}: say what it has to hold: engine, or one of {', '.join(IDENTITY)}, or more of them."
        )
    return Expected(volume, entry["engine"] or "", identity)
