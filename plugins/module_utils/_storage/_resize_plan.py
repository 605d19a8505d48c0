# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From the claims as they are to the steps that make them larger, or take back what failed. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import Growth, quota_shortage
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_state import Claim, Seen


@dataclasses.dataclass(frozen=True)
class Retreat:
    """What a run has given up: nothing grows any more, and these claims are to ask for less again."""

    #: the claims whose growth failed, and what each asked for before this run, where that is known
    claims: t.Mapping[str, str]
    #: those for which the API server takes no smaller request, and what it says
    refused: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def plan_resize(seen: Seen, retreat: t.Optional[Retreat] = None) -> t.Union[Plan, Refusal]:
    if retreat is not None:
        return Plan(tuple(_take_back(seen, retreat)))
    begun = _recreation(seen)
    if begun:
        return Plan((begun,))
    refusal = (
        _shrinks(seen)
        or _class_refuses(seen)
        or _driver_refuses(seen)
        or quota_shortage(seen.key, [_growth(seen, one) for one in _to_grow(seen)], seen.around.quotas)
    )
    if refusal:
        return refusal
    return Plan(tuple(_steps(seen)), tuple(_warnings(seen)))


def _steps(seen: Seen) -> t.Iterator[Step]:
    size = seen.size
    for claim in seen.claims:
        if claim.failing and quantity(claim.asked) > quantity(lowered(claim, size)):
            yield _lower(seen, claim, size, "which failed")
    asked = _to_grow(seen)
    proven = any(claim.volume_has(size) for claim in seen.claims)
    waiting = [claim for claim in seen.claims if _grows(claim, size)]
    if len(asked) > 1 and not proven and not waiting:
        # One claim shows whether its class and its driver can do it, before the others are asked.
        first = asked.pop(0)
        yield _grow(seen, first)
        yield _wait(seen, f"claim {first.name} has {first.has} of {size}, and shows whether the others can grow")
    elif waiting and not proven:
        yield _wait(seen, "; ".join(claim.progress(size) for claim in waiting))
        waiting = []
    for claim in asked:
        yield _grow(seen, claim)
    if waiting or asked:
        texts = [claim.progress(size) for claim in waiting] or [claim.name for claim in asked]
        yield _wait(seen, "; ".join(texts))
    if seen.live is not None and quantity(size) > quantity(seen.template_size):
        sentence = f"claim template {seen.template} grows from {seen.template_size} to {size}"
        yield Step("recreate", str(seen.key), f"recreate {seen.key} without touching its pods: {sentence}")
    pending = [claim for claim in seen.claims if _file_system_grows(claim, size)]
    if pending:
        names = "; ".join(f"{claim.name} in {', '.join(claim.pods)} ({claim.progress(size)})" for claim in pending)
        yield Step("wait", str(seen.key), f"wait until the file systems have grown: {names}", change=False)
    elif asked:
        yield Step("wait", str(seen.key), "wait until their file systems have grown", change=False)


def _recreation(seen: Seen) -> t.Optional[Step]:
    """The next step of a StatefulSet that an earlier run began to make again."""
    name, begun = str(seen.key), seen.recreation
    if begun is None:
        return None
    if begun.stage == "gone":
        sentence = f"make {seen.key} again as it was saved, because its recreation was interrupted"
        return Step("restore", name, sentence)
    if begun.stage == "finishing":
        return Step("finish", name, f"finish the recreation of {seen.key}, which was interrupted")
    pods = ", ".join(begun.pods)
    what = f"has taken its pods over ({pods})" if begun.stage == "adopting" else "is gone, and is made again"
    return Step("wait", name, f"wait until {seen.key} {what}", change=False)


def _take_back(seen: Seen, retreat: Retreat) -> t.Iterator[Step]:
    for claim in seen.claims:
        if claim.name not in retreat.claims or claim.name in retreat.refused or not claim.growing:
            continue
        least = lowered(claim, retreat.claims[claim.name] or "0")
        if quantity(claim.asked) > quantity(least):
            yield _lower(seen, claim, retreat.claims[claim.name] or "0", "because its growth failed")
    yield Step("wait", str(seen.key), "wait for nothing: the growth was given up", change=False)


def lowered(claim: Claim, size: str) -> str:
    """The request nearest to ``size`` that the API server takes from a claim that asks for more than it has."""
    return size if quantity(size) >= quantity(claim.least_request) else claim.least_request


def _lower(seen: Seen, claim: Claim, size: str, why: str) -> Step:
    to = lowered(claim, size)
    sentence = f"take the request of claim {claim.name} back from {claim.asked} to {to}, {why}"
    return Step("roll-back", _target(seen, claim), sentence, data={"claim": claim, "to": to})


def _grow(seen: Seen, claim: Claim) -> Step:
    sentence = f"grow claim {claim.name} from {claim.asked} to {seen.size}"
    return Step("grow", _target(seen, claim), sentence, batch="grow", data={"growth": _growth(seen, claim)})


def _wait(seen: Seen, text: str) -> Step:
    return Step("wait", str(seen.key), f"wait until the volumes have grown: {text}", change=False)


def _target(seen: Seen, claim: Claim) -> str:
    return f"PersistentVolumeClaim {seen.key.namespace}/{claim.name}"


def _growth(seen: Seen, claim: Claim) -> Growth:
    namespace = seen.key.namespace
    return Growth(namespace, claim.name, claim.uid, claim.version, claim.storage_class, claim.asked, seen.size)


def _to_grow(seen: Seen) -> list[Claim]:
    """The claims that ask for too little. Only a claim with a volume can grow."""
    return [one for one in seen.claims if one.bound and quantity(one.asked) < quantity(seen.size)]


def _grows(claim: Claim, size: str) -> bool:
    """Whether a claim asks for enough, and its volume is still too small."""
    return claim.bound and quantity(claim.asked) >= quantity(size) and not claim.volume_has(size)


def _file_system_grows(claim: Claim, size: str) -> bool:
    """Whether only the file system is left, and there is a pod in which it can grow."""
    return claim.volume_has(size) and not claim.has_at_least(size) and bool(claim.pods)


# Refusals


def _shrinks(seen: Seen) -> t.Optional[Refusal]:
    if seen.live is not None and quantity(seen.size) < quantity(seen.template_size):
        what = f"claim template {seen.template} has {seen.template_size}"
    else:
        large = [] if seen.live is not None else [one for one in seen.claims if _too_large(one, seen.size)]
        if not large:
            return None
        what = ", ".join(f"claim {claim.name} has {claim.asked}" for claim in large)
    return Refusal(
        f"{seen.key}: size is {seen.size}, and {what}: a volume never shrinks. Nothing was changed.",
        tuple(f"claim {one.name} (class {one.storage_class or '-'}) has {one.has or one.asked}" for one in seen.claims),
        ("give the present size or more", "move the data to new, smaller claims"),
    )


def _too_large(claim: Claim, size: str) -> bool:
    # A request that has not come true can be taken back; what is there cannot.
    return not claim.growing and quantity(claim.asked) > quantity(size)


def _class_refuses(seen: Seen) -> t.Optional[Refusal]:
    classes = seen.around.classes
    if classes is None:
        return None
    fixed = [claim for claim in _to_grow(seen) if not classes.get(claim.storage_class, False)]
    if not fixed:
        return None
    evidence = []
    for name in sorted({claim.storage_class for claim in fixed}):
        if name in classes:
            evidence.append(f"StorageClass {name} has no allowVolumeExpansion")
        else:
            evidence.append(f"there is no StorageClass {name}" if name else "claims without a class have no driver")
    names = ", ".join(f"{claim.name} ({claim.asked}, class {claim.storage_class or '-'})" for claim in fixed)
    return Refusal(
        f"{seen.key}: size is {seen.size}, and the class of these claims does not let claims grow: {names}. Nothing "
        "was changed.",
        tuple(evidence),
        (
            "set allowVolumeExpansion of the class to true, if its driver can grow volumes",
            "move the data to new claims of a class that can",
        ),
    )


def _driver_refuses(seen: Seen) -> t.Optional[Refusal]:
    """A claim that nobody can grow would wait for ever, and could not ask for less again."""
    for claim in _to_grow(seen):
        volume = seen.around.volumes.get(claim.name)
        if volume is None or not volume.source:
            continue
        if volume.source != "csi":
            return Refusal(
                f"{seen.key}: claim {claim.name} cannot grow: its volume {claim.volume} is of the kind "
                f"{volume.source}, which nobody makes larger. Nothing was changed.",
                (f"PersistentVolume {claim.volume} has spec.{volume.source}",),
                ("make the storage itself larger, if it is too small", "move the data to a class with a CSI driver"),
            )
        if seen.around.drivers is not None and volume.driver not in seen.around.drivers:
            return Refusal(
                f"{seen.key}: claim {claim.name} cannot grow: its volume {claim.volume} is of the CSI driver "
                f"{volume.driver}, which is not installed in the cluster. Nothing was changed.",
                (f"CSI drivers in the cluster: {', '.join(sorted(seen.around.drivers)) or 'none'}",),
                ("install the driver again",),
            )
    return None


def _warnings(seen: Seen) -> t.Iterator[str]:
    for claim in seen.claims:
        if not claim.bound:
            yield (
                f"claim {claim.name} has no volume yet and keeps the size {claim.asked}, because only a claim with a "
                "volume can grow; where nothing uses it, delete it and it is made anew"
            )
        elif claim.volume_has(seen.size) and not claim.has_at_least(seen.size) and not claim.pods:
            yield f"the file system of claim {claim.name} grows when a pod mounts it: its volume has grown"
    smaller = [one for one in seen.retained if quantity(one.asked) < quantity(seen.size)]
    if smaller:
        names = ", ".join(f"{claim.name} ({claim.asked})" for claim in smaller)
        yield f"these claims belong to no pod and were left as they are: {names}; name them in claims to grow them"
