# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From the claims as they are to the steps that move them, or take back what was begun. Pure.

The order is what keeps the data: every copy is complete and compared before the first claim is touched; both volumes of
a claim are kept by their reclaim policy before it is deleted; an old volume is given up last of all.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_objects import (
    Mark,
    temporary,
    with_variant,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_refuse import differs, refusal
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import (
    Moving,
    Seen,
    has_data,
    is_there,
    new_size,
    phase,
    result_of,
)


def plan_migrate(seen: Seen, back: t.Optional[str] = None) -> t.Union[Plan, Refusal]:
    """``back``: why the move was given up; everything is to be as it was then."""
    begun = _recreation(seen)
    if begun:
        return Plan((begun,))
    if back is not None:
        return Plan((*_way_back(seen), _wait(seen, "wait for nothing: the move was given up")))
    if seen.mark and differs(seen.mark, seen) and gives_up(seen):
        return Plan(tuple(_way_back(seen)))
    refused = refusal(seen)
    if refused:
        return refused
    return Plan(tuple(_steps(seen)))


def can_go_back(seen: Seen) -> bool:
    """Whether every claim that had data has its old volume still."""
    if seen.recreation or seen.live is None:
        return False
    return not any(one.claim is None or one.going for one in seen.claims if one.old_held or one.fresh_held) and not any(
        one.fresh_held and one.claim and one.claim["spec"].get("volumeName") == _name(one.fresh) for one in seen.claims
    )


def gives_up(seen: Seen) -> bool:
    """Whether it is asked for the class on which the claims of an interrupted move still are."""
    return can_go_back(seen) and all(
        one.class_name == seen.wish.class_name for one in seen.claims if one.claim is not None
    )


def effective(seen: Seen) -> Seen:
    """The snapshot with what an interrupted move was asked for."""
    mark = seen.mark
    if mark is None:
        return seen
    wish = dataclasses.replace(
        seen.wish, class_name=mark.class_name, size=mark.size, access_modes=mark.access_modes, data=mark.data
    )
    return dataclasses.replace(seen, wish=wish)


def target(seen: Seen) -> t.Mapping[str, t.Any]:
    """What the StatefulSet is to be."""
    wish = seen.wish
    # The size is that of new claims: without a move there are none, and claims that are there do not grow by this.
    return with_variant(
        seen.live or {}, seen.templates, wish.class_name, wish.size if seen.mark else "", wish.access_modes
    )


# Forward


def _steps(given: Seen) -> t.Iterator[Step]:
    seen = effective(given)
    todo = [one for one in seen.claims if not is_there(one, seen.wish) and _to_move(one, seen)]
    arriving = [one for one in seen.claims if is_there(one, seen.wish) and one.fresh_held]
    if seen.mark is None:
        # What a move before this one has left to do comes first: it is the same one, mostly.
        yield from _settle_new(seen, arriving)
        if any(one.old_held for one in seen.claims):
            yield from _ready(seen, False)
            yield from _settle_old(seen, ())
            return
        if not todo:
            if target(seen) != seen.live:
                what = f"its claims are of class {seen.wish.class_name} already" if seen.claims else _new_claims(seen)
                yield Step("recreate", str(seen.key), f"recreate {seen.key} without touching its pods: {what}")
            yield from _ready(seen, False)
            return
        yield from _try(seen)
    yield from _stop(seen)
    if seen.copies:
        yield from _copy(seen, todo)
    yield from _hold(seen, todo)
    yield from _swap(seen, todo, arriving)
    yield Step(
        "recreate",
        str(seen.key),
        f"recreate {seen.key} with class {seen.wish.class_name} in its claim template, and {_number(_replicas(seen))}",
    )
    yield from _ready(seen, _replicas(seen) > 0)
    yield from _settle_old(seen, [one for one in todo if one.old_held is None and has_data(one) and not _is_final(one)])


def _new_claims(seen: Seen) -> str:
    return f"claims that are yet to be made get class {seen.wish.class_name}"


def _to_move(one: Moving, seen: Seen) -> bool:
    """Whether anything is left to do for a claim that is not there."""
    return one.claim is not None or (seen.copies and (one.fresh_held is not None or one.temporary is not None))


def _try(seen: Seen) -> t.Iterator[Step]:
    if not seen.copies or seen.tried or seen.how is None:
        return
    who = f"user {seen.how.user}" if seen.how.user else "root"
    what = f"image {seen.how.image} as {who} in a pod without volumes"
    if seen.trial is None:
        yield Step("try", str(seen.key), f"try {what}, before anything is stopped")
    elif seen.trial.done and not seen.trial.going:
        yield Step("tried", str(seen.key), "remove that pod")
        return
    yield _wait(seen, f"wait until {what} has run")


def _stop(seen: Seen) -> t.Iterator[Step]:
    if seen.mark is None or seen.replicas:
        sentence = f"stop {seen.key} ({_number(seen.replicas)}), and note on it what moves where"
        yield Step("stop", str(seen.key), sentence, data={"before": f"{seen.replicas} pods\n", "after": "0 pods\n"})
        yield _wait(seen, f"wait until its pods are gone{_list(seen.pods)}")
        return
    if seen.pods:
        yield _wait(seen, f"wait until its pods are gone{_list(seen.pods)}")
    others = sorted({pod for one in seen.claims for pod in one.others})
    if others:
        yield _wait(seen, f"wait until the claims are free of other pods{_list(others)}")


def _copy(seen: Seen, todo: t.Sequence[Moving]) -> t.Iterator[Step]:
    """Everything until each claim has a copy that was compared with it. An old claim that is gone is past this."""
    open_ = [one for one in todo if one.claim is not None and not one.going and has_data(one) and not _is_final(one)]
    for one in open_:
        if one.temporary is None or _wrong(one, seen):
            if one.temporary is not None:
                yield _step(seen, "discard", one, f"delete claim {temporary(one.name)}, which is of another move")
                yield _wait(seen, f"wait until claim {temporary(one.name)} is gone")
            size, spec = new_size(one, seen.wish), (one.claim or {})["spec"]
            modes = ", ".join(seen.wish.access_modes or spec["accessModes"])
            sentence = f"make claim {temporary(one.name)} of {size} ({modes}) on class {seen.wish.class_name}"
            yield _step(seen, "prepare", one, sentence, size=size)
    yield from _fill(seen, open_)
    for one in open_:
        if one.pod is not None and not one.pod.going and one.note(seen.stamp) is not None:
            yield _step(seen, "remove-pod", one, f"remove pod {temporary(one.name)}")


def _fill(seen: Seen, open_: t.Sequence[Moving]) -> t.Iterator[Step]:
    waiting, begun = [], False
    for one in open_:
        if one.note(seen.stamp) is not None:
            continue
        if one.pod is not None and (one.pod.stamp != seen.stamp or one.pod.going):
            if not one.pod.going:
                yield _step(seen, "remove-pod", one, f"remove pod {temporary(one.name)}, whose copy is out of date")
            yield _wait(seen, f"wait until pod {temporary(one.name)} is gone")
        if one.pod is None or one.pod.stamp != seen.stamp or one.pod.going:
            begun = True
            yield _step(seen, "copy", one, f"copy claim {one.name} ({one.size}) to {temporary(one.name)}")
        elif result_of(one.pod) is not None and one.pod.done:
            yield _step(seen, "note", one, f"note that the copy of claim {one.name} is complete")
        else:
            waiting.append(one.name)
    if waiting:
        yield _wait(seen, f"wait until the copies are complete and compared with the originals: {', '.join(waiting)}")
    elif begun:
        yield _wait(seen, "wait until the copies are complete and compared with the originals")


def _hold(seen: Seen, todo: t.Sequence[Moving]) -> t.Iterator[Step]:
    for one in todo:
        if one.claim is None or one.going or not has_data(one) or _is_final(one):
            continue
        if one.old_held is None or (seen.copies and one.fresh_held is None):
            volume = _name(one.old) or one.claim["spec"]["volumeName"]
            sentence = f"keep volume {volume} of claim {one.name}" + (", and the new one," if seen.copies else "")
            yield _step(seen, "hold", one, f"{sentence} whatever becomes of their claims (policy Retain)")


def _swap(seen: Seen, todo: t.Sequence[Moving], arriving: t.Sequence[Moving]) -> t.Iterator[Step]:
    old = [one for one in todo if one.claim is not None and not _is_final(one)]
    for one in old:
        if not one.going:
            kept = f", whose volume {_name(one.old)} stays" if has_data(one) else ", which has no volume"
            yield _step(seen, "release", one, f"delete claim {one.name} of class {one.class_name or '-'}{kept}")
    if old:
        yield _wait(seen, f"wait until these claims are gone: {', '.join(one.name for one in old)}")
    later = [one for one in todo if seen.copies and (has_data(one) or one.fresh_held) and not _is_final(one)]
    yield from _hand_over(seen, later)
    unbound = [one.name for one in (*todo, *arriving) if _is_final(one) and not one.bound]
    if unbound or later:
        names = unbound or [one.name for one in later]
        yield _wait(seen, f"wait until each claim has its volume: {', '.join(names)}")
    yield from _settle_new(seen, [one for one in arriving if one.bound])


def _hand_over(seen: Seen, later: t.Sequence[Moving]) -> t.Iterator[Step]:
    """From the new claims' temporary names to the old ones, by way of their volumes."""
    temporaries = [one for one in later if one.temporary is not None or one.claim is not None]
    for one in temporaries:
        if one.temporary is None or not one.temporary["metadata"].get("deletionTimestamp"):
            sentence = f"delete claim {temporary(one.name)}, whose volume{_named(one.fresh)} stays"
            yield _step(seen, "drop", one, sentence)
    if temporaries:
        names = ", ".join(temporary(one.name) for one in temporaries)
        yield _wait(seen, f"wait until these claims are gone: {names}")
    for one in later:
        if not _handed_over(one):
            yield _step(seen, "hand-over", one, f"keep the new volume{_named(one.fresh)} for claim {one.name}")
    # A claim that comes before its volume is seen to be free may be looked at again only after a while.
    taken = [one for one in later if phase(one.fresh) != "Available"]
    if taken:
        names = ", ".join(_name(one.fresh) or f"that of {one.name}" for one in taken)
        yield _wait(seen, f"wait until the new volumes can be had: {names}")
    for one in later:
        yield _step(seen, "make", one, f"make claim {one.name} on class {seen.wish.class_name} with the new volume")


def _settle_new(seen: Seen, arriving: t.Sequence[Moving]) -> t.Iterator[Step]:
    for one in arriving:
        held = one.fresh_held
        if held:
            sentence = f"give volume {_name(one.fresh)} of claim {one.name} its policy {held.policy} back"
            yield _step(seen, "settle-new", one, sentence)


def _ready(seen: Seen, stopped: bool) -> t.Iterator[Step]:
    if seen.wish.wait and (stopped or seen.waits_for):
        told = f": {seen.waits_for}" if seen.waits_for and not stopped else ""
        yield _wait(seen, f"wait until {seen.key} is ready{told}")


def _settle_old(seen: Seen, todo: t.Sequence[Moving]) -> t.Iterator[Step]:
    """Last of all. ``todo`` are claims whose old volumes are yet to be kept."""
    for one in (*(one for one in seen.claims if one.old_held), *todo):
        name = _name(one.old) or (one.claim or {}).get("spec", {}).get("volumeName", "")
        fate = one.old_held.fate if one.old_held else seen.wish.old_volumes
        what = "delete" if fate == "delete" else "leave"
        kept = "" if fate == "delete" else ", which keeps its data and is Released"
        yield _step(seen, "settle-old", one, f"{what} the old volume {name} of claim {one.name}{kept}")


# Back


def _way_back(seen: Seen) -> t.Iterator[Step]:
    """As it was: first every copy goes, because the pods that start again make it out of date."""
    if seen.trial is not None and not seen.trial.going:
        yield Step("remove-trial", str(seen.key), "remove the pod that tried the image")
    for one in seen.claims:
        if one.pod is not None and not one.pod.going:
            yield _step(seen, "remove-pod", one, f"remove pod {temporary(one.name)}")
        if one.temporary is not None and not one.temporary["metadata"].get("deletionTimestamp"):
            yield _step(seen, "discard", one, f"delete claim {temporary(one.name)} with its copy")
        if one.old_held:
            yield _step(seen, "let-go", one, f"give volume {_name(one.old)} its policy {one.old_held.policy} back")
    if any(one.temporary is not None for one in seen.claims):
        yield _wait(seen, "wait until the new claims are gone")
    if seen.mark is not None:
        yield Step("start", str(seen.key), f"start {seen.key} again on its old claims, with {_number(_replicas(seen))}")


# Common


def _recreation(seen: Seen) -> t.Optional[Step]:
    """The next step of a StatefulSet that an earlier run began to make again."""
    name, begun = str(seen.key), seen.recreation
    if begun is None:
        return None
    if begun.stage == "gone":
        return Step("restore", name, f"make {seen.key} again as it was saved, because its recreation was interrupted")
    if begun.stage == "finishing":
        return Step("finish", name, f"finish the recreation of {seen.key}, which was interrupted")
    return Step("wait", name, f"wait until {seen.key} {_being(begun)}", change=False)


def _being(begun: Recreation) -> str:
    return f"has taken its pods over ({', '.join(begun.pods)})" if begun.stage == "adopting" else "is gone"


def _step(seen: Seen, action: str, one: Moving, sentence: str, **data: t.Any) -> Step:
    target_ = f"PersistentVolumeClaim {seen.key.namespace}/{one.name}"
    batch = action if action in ("prepare", "copy", "hold", "release", "drop", "hand-over", "make") else None
    return Step(action, target_, sentence, batch=batch, data={"claim": one.name, **data})


def _wait(seen: Seen, sentence: str) -> Step:
    return Step("wait", str(seen.key), sentence, change=False)


def _wrong(one: Moving, seen: Seen) -> bool:
    """Whether the new claim is not what was asked for: another move made it."""
    return bool((one.temporary or {})["spec"].get("storageClassName") != seen.wish.class_name)


def _is_final(one: Moving) -> bool:
    """Whether the claim is the new one, on the new volume."""
    if one.claim is None or one.fresh_held is None:
        return False
    return str(one.claim["spec"].get("volumeName") or "") == _name(one.fresh)


def _handed_over(one: Moving) -> bool:
    reference = ((one.fresh or {}).get("spec") or {}).get("claimRef") or {}
    return reference.get("name") == one.name


def _name(volume: t.Optional[t.Mapping[str, t.Any]]) -> str:
    return str((volume or {}).get("metadata", {}).get("name", ""))


def _named(volume: t.Optional[t.Mapping[str, t.Any]]) -> str:
    return f" {_name(volume)}" if volume else ""


def _replicas(seen: Seen) -> int:
    return seen.mark.replicas if seen.mark else seen.replicas


def _number(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"


def _list(names: t.Collection[str]) -> str:
    return f": {', '.join(names)}" if names else ""


def mark_of(seen: Seen, managers: t.Sequence[tuple[str, str, str]]) -> Mark:
    wish = seen.wish
    return Mark(
        wish.class_name, seen.templates, seen.replicas, wish.data, wish.size, wish.access_modes, tuple(managers)
    )
