# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The options of a preflight, and what is wrong with them. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import RWO, RWOP, RWX
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import Pods

# Volumes without class are made by hand; the roles of this collection ask for them by this sign.
NO_CLASS = "-"
MOST_FSYNCS = 1000
# A volume that can only be read cannot be tried out by writing.
MODES = (RWO, RWX, RWOP)


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of one preflight."""

    namespace: str
    create_namespace: bool
    claim: str
    storage_class: str
    access_modes: tuple[str, ...]
    size: str
    count: int
    pods: Pods
    fsyncs: int
    max_fsync_ms: t.Optional[float]
    allow_data: bool
    only_nfs: bool
    require: tuple[str, ...]
    wait_timeout: float

    @property
    def title(self) -> str:
        if self.claim:
            return f"storage preflight of claim {self.namespace}/{self.claim}"
        return f"storage preflight of {f'class {self.storage_class}' if self.storage_class else 'the default class'}"


def wish_of(params: t.Mapping[str, t.Any], namespace: str) -> Wish:
    """The options as one value. Raises Failure where they are wrong."""
    if params["storage_class"] == NO_CLASS:
        raise Failure(
            'storage_class: volumes without class ("-") are made by hand, and a throw-away claim would use one of them '
            "up. Make a claim, and name it with claim."
        )
    try:
        size = quantity(params["size"])
    except ValueError:
        size = quantity(0)
    if size < 1:
        raise Failure(f"size: expected an amount above zero with a unit, such as 10Gi, found {params['size']!r}.")
    for option, most in (("count", None), ("fsyncs", MOST_FSYNCS), ("wait_timeout", None)):
        value = params[option]
        if value < 1 or (most and value > most):
            upper = f" to {most}" if most else " or more"
            raise Failure(f"{option}: expected a whole number, 1{upper}, found {value}.")
    limit = params["max_fsync_ms"]
    if limit is not None and limit <= 0:
        raise Failure(f"max_fsync_ms: expected milliseconds above zero, found {limit:g}.")
    pods = Pods(
        image=params["image"],
        pull_policy=params["image_pull_policy"],
        pull_secrets=tuple(params["image_pull_secrets"]),
        user=_number("run_as_user", params["run_as_user"], 1),
        fs_group=_number("fs_group", params["fs_group"], 0),
        node_selector={str(key): str(value) for key, value in params["node_selector"].items()},
        tolerations=tuple(params["tolerations"]),
    )
    return Wish(
        namespace=namespace,
        create_namespace=params["create_namespace"],
        claim=params["claim"] or "",
        storage_class=params["storage_class"] or "",
        access_modes=tuple(params["access_modes"]),
        size=params["size"],
        count=params["count"],
        pods=pods,
        fsyncs=params["fsyncs"],
        max_fsync_ms=limit,
        allow_data=params["allow_data"],
        only_nfs=params["only_nfs"],
        require=tuple(params["require"]),
        wait_timeout=float(params["wait_timeout"]),
    )


def _number(option: str, text: t.Optional[str], least: int) -> t.Optional[int]:
    """The number of a user or group; None for an empty one, which leaves it to the platform."""
    text = (text or "").strip()
    if not text:
        return None
    if not text.isdigit() or int(text) < least:
        raise Failure(
            f"{option}: expected a number, {least} or more, or nothing to let the platform choose, found {text!r}."
        )
    return int(text)
