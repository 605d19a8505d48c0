# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From declared PersistentVolumes and those of the cluster to ordered steps. Pure.

What is deleted here are objects, and only of volumes that nobody uses and whose policy keeps what is behind them. What
becomes of volumes that were used is in _used_volumes.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import visible
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._used_volumes import (
    not_looked,
    refuse_used,
    used_steps,
    used_warnings,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import (
    SHOWN,
    Object,
    Seen,
    Wish,
    claim,
    names,
    nodes,
    phase,
    place,
    shared,
)


def plan(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    """What is left to do for this wish."""
    return _absent(wish, seen) if wish.state == "absent" else _present(wish, seen)


def _present(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    refusal = refuse_used(wish, seen)
    if refusal:
        return refusal
    for change in seen.changes:
        if change.fixed and change.live:
            return _cannot_change(change.live, change.fixed)
    steps = [
        Step(
            "apply",
            f"PersistentVolume {change.declared['metadata']['name']}",
            f"{'change' if change.live else 'create'} PersistentVolume {change.declared['metadata']['name']} "
            f"({place(change.declared)})",
            batch="apply",
            data={"declared": change.declared, "before": visible(change.live), "after": visible(change.after)},
        )
        for change in seen.changes
    ]
    steps += used_steps(wish, seen)
    return Plan(tuple(steps), (*wish.warnings, *_warnings(wish, seen)))


def _cannot_change(live: Object, fixed: str) -> Refusal:
    name = live["metadata"]["name"]
    return Refusal(
        f"PersistentVolume {name}: what it is of, its volume mode and its node are fixed once it exists, because a "
        "claim that has it relies on them. Nothing was changed.",
        (f"it is {place(live)}, {phase(live)}{' to ' + claim(live) if claim(live) else ''}", fixed),
        (
            "declare it as it is",
            "declare the new one under another name",
            "where nobody uses it: remove it with state absent, which keeps the data, and declare it anew",
        ),
    )


def _warnings(wish: Wish, seen: Seen) -> t.Iterator[str]:
    declared = {one["metadata"]["name"]: one for one in wish.volumes}
    others = [one for one in seen.volumes if one["metadata"]["name"] not in declared]
    everything = [*declared.values(), *others]
    for index, one in enumerate(declared.values()):
        for other in everything[index + 1 :]:
            how = shared(one, other)
            if how:
                yield (
                    f"PersistentVolumes {one['metadata']['name']} and {other['metadata']['name']} {how} ({place(one)} "
                    f"and {place(other)}): two claims would write into each other's data."
                )
    if seen.hosts is not None:
        lost = sorted({node for one in declared.values() for node in nodes(one)} - seen.hosts)
        if lost:
            yield (
                f"No node has the host name {', '.join(lost)} (found: {names(sorted(seen.hosts))}): a pod with such a "
                "volume is placed nowhere."
            )
    yield from used_warnings(wish, seen)
    yield from not_looked(wish, seen)


def _absent(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    there = [live for one in wish.volumes if (live := seen.find(one["metadata"]["name"]))]
    there = [live for live in there if not live["metadata"].get("deletionTimestamp")]
    used = [live for live in there if phase(live) == "Bound"]
    if used:
        return Refusal(
            "PersistentVolumes that have a claim are not removed: its pods would lose their data. Nothing was changed.",
            tuple(f"{one['metadata']['name']} is Bound to {claim(one)}" for one in used[:SHOWN]),
            ("remove the pods and the claims first", "leave these volumes out"),
        )
    risky = [live for live in there if live["spec"].get("persistentVolumeReclaimPolicy") != "Retain"]
    if risky:
        return Refusal(
            "PersistentVolumes whose policy is not Retain are not removed: with the object, its data may be deleted. "
            "Nothing was changed.",
            tuple(
                f"{one['metadata']['name']} has {one['spec'].get('persistentVolumeReclaimPolicy')}"
                for one in risky[:SHOWN]
            ),
            ("declare them with reclaim_policy Retain first",),
        )
    steps = tuple(
        Step(
            "delete",
            f"PersistentVolume {one['metadata']['name']}",
            f"delete PersistentVolume {one['metadata']['name']}, and leave what is on {place(one)}",
            batch="delete",
            data={"live": one, "before": visible(one), "after": {}},
        )
        for one in there
    )
    return Plan(steps, wish.warnings)
