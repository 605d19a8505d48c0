# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is done with volumes that had a claim: told, given to a new claim, or emptied. Pure.

The next pod sees what the last one left, so a volume is given away only by its name, and not where another content was
expected. Emptying is begun by a mark on the volume, which names the claim that it had: a run that was killed in the
middle leaves a volume that nobody recognises any more, and the mark says that this is how it should be.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import EMPTY, Inside, differs
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import (
    LEFT,
    Object,
    Seen,
    Wish,
    claim,
    names,
    phase,
    place,
    shared,
    was_claimed,
)

# On a volume that is being emptied: the uid of the claim that it had.
MARK = "stateful.kube/wipe"


def marked(volume: Object) -> bool:
    """Whether emptying this volume has begun, and it had no claim since."""
    mark = (volume["metadata"].get("annotations") or {}).get(MARK)
    return bool(mark) and mark == (volume["spec"].get("claimRef") or {}).get("uid")


def left_behind(wish: Wish, seen: Seen) -> list[Object]:
    """Volumes that had a claim: those declared, and others of the same classes."""
    wanted = {one["metadata"]["name"] for one in wish.volumes} | {*wish.rebind, *wish.wipe}
    classes = {one["spec"].get("storageClassName") or "" for one in wish.volumes if "spec" in one}
    return [
        one
        for one in seen.volumes
        if was_claimed(one)
        and (one["metadata"]["name"] in wanted or (one["spec"].get("storageClassName") or "") in classes)
    ]


def to_look_into(wish: Wish, seen: Seen) -> list[Object]:
    """The volumes whose content has to be known."""
    found = {one["metadata"]["name"]: one for one in left_behind(wish, seen) if wish.look}
    for name in (*wish.wipe, *wish.expect):
        live = seen.find(name)
        # One that is free may have been emptied by this very wish; whether it was, its folder tells.
        if live and (was_claimed(live) or (name in wish.wipe and phase(live) == "Available")):
            found[name] = live
    return list(found.values())


def refuse_used(wish: Wish, seen: Seen) -> t.Optional[Refusal]:
    """Why volumes that were used are not given away, or not emptied."""
    for option, wanted in (("rebind", wish.rebind), ("wipe", wish.wipe)):
        unknown = [name for name in wanted if seen.find(name) is None]
        if unknown:
            return Refusal(
                f"{option}: there is no PersistentVolume {', '.join(unknown)}. Nothing was changed.",
                (f"Released are {names(one['metadata']['name'] for one in seen.volumes if phase(one) in LEFT)}",),
                ("correct the name",),
            )
    for name in wish.rebind:
        live = t.cast(Object, seen.find(name))
        if was_claimed(live) and marked(live):
            return Refusal(
                f"rebind: emptying PersistentVolume {name} has begun, so what is left on it is no data to go on with. "
                "Nothing was changed.",
                (f"annotation {MARK} names claim {claim(live)}, which it had",),
                ("name it in wipe, which goes on with it",),
            )
        refusal = _another("rebind", wish, live, seen.inside.get(name)) if was_claimed(live) else None
        if refusal:
            return refusal
    for name in wish.wipe:
        refusal = _refuse_wipe(wish, seen, t.cast(Object, seen.find(name)), seen.inside.get(name))
        if refusal:
            return refusal
    return None


def _another(option: str, wish: Wish, live: Object, inside: t.Optional[Inside]) -> t.Optional[Refusal]:
    """Refuse a volume that holds something else than what was expected. Nobody looks in check mode."""
    name = live["metadata"]["name"]
    expected = wish.expect.get(name)
    how = differs(expected, inside) if expected and inside else ""
    if not expected or not how:
        return None
    return Refusal(
        f"{option}: PersistentVolume {name} is not what is expected: expect names {expected.what()}, and of it is "
        f"known: {how}. Nothing was changed.",
        (f"it is {place(live)}, and had claim {claim(live)}",),
        ("look for the volume that holds what is expected", "correct expect"),
    )


def _refuse_wipe(wish: Wish, seen: Seen, live: Object, inside: t.Optional[Inside]) -> t.Optional[Refusal]:
    name = live["metadata"]["name"]
    free = phase(live) == "Available"
    if not was_claimed(live) and not free:
        return Refusal(
            f"wipe: PersistentVolume {name} is {phase(live)}: only one whose claim was deleted is emptied. Nothing was "
            "changed.",
            (f"it is {place(live)}{', with claim ' + claim(live) if claim(live) else ''}",),
            ("remove its pods and its claim first", "leave it out"),
        )
    if inside and not inside.engine:
        return Refusal(
            f"wipe: nobody could look inside PersistentVolume {name}, so it is not emptied. Nothing was changed.",
            (inside.problem,),
            ("remove what hinders it", "empty it by hand, and name it in rebind"),
        )
    if free:
        if not inside or inside.engine == EMPTY:
            return None
        return Refusal(
            f"wipe: PersistentVolume {name} is Available, so a claim may get it at any moment, and it is not empty. "
            "Nothing was changed.",
            (inside.sentence(),),
            ("leave it out", "bind it to a claim, delete that claim, and run it again"),
        )
    for other in seen.volumes:
        how = shared(live, other) if other["metadata"]["name"] != name else ""
        if how:
            return Refusal(
                f"wipe: PersistentVolumes {name} and {other['metadata']['name']} {how}, so emptying the one would take "
                "data of the other. Nothing was changed.",
                (f"they are {place(live)} and {place(other)}, {phase(other)}",),
                ("remove the volume that should not be (state absent keeps the data)",),
            )
    return None if marked(live) else _another("wipe", wish, live, inside)


def used_steps(wish: Wish, seen: Seen) -> t.Iterator[Step]:
    for name in wish.rebind:
        live = t.cast(Object, seen.find(name))
        if was_claimed(live):
            inside = seen.inside.get(name)
            told = f" ({inside.what()})" if inside and inside.engine else ""
            sentence = f"give PersistentVolume {name}, with the data of claim {claim(live)}{told}, to a new claim"
            yield _release("rebind", wish, live, sentence)
    for name in wish.wipe:
        live = t.cast(Object, seen.find(name))
        if not was_claimed(live):
            continue
        inside = seen.inside.get(name)
        if not inside or inside.engine != EMPTY:
            what = f"{inside.what()}, " if inside else ""
            sentence = (
                f"remove everything in PersistentVolume {name} ({what}{place(live)}, left by claim {claim(live)})"
            )
            yield Step(
                "wipe",
                f"PersistentVolume {name}",
                sentence,
                data={"live": live, "users": inside.users if inside else ()},
            )
        yield _release("release", wish, live, f"give PersistentVolume {name}, which is empty, to a new claim")


def _release(action: str, wish: Wish, live: Object, sentence: str) -> Step:
    name = live["metadata"]["name"]
    declared = next((one for one in wish.volumes if one["metadata"]["name"] == name), None)
    reserved = bool(declared and declared["spec"].get("claimRef"))
    # A volume that is kept for a claim by name stays so; what goes is which very claim it was.
    patch: dict[str, t.Any] = {"spec": {"claimRef": {"uid": None, "resourceVersion": None} if reserved else None}}
    if MARK in (live["metadata"].get("annotations") or {}):
        patch["metadata"] = {"annotations": {MARK: None}}
    before = {"metadata": {"name": name}, "spec": {"claimRef": dict(live["spec"]["claimRef"])}}
    kept = {key: value for key, value in live["spec"]["claimRef"].items() if key not in ("uid", "resourceVersion")}
    after = {"metadata": {"name": name}, "spec": {"claimRef": kept} if reserved else {}}
    data = {"live": live, "patch": patch, "before": before, "after": after}
    return Step(action, f"PersistentVolume {name}", sentence, data=data)


def used_warnings(wish: Wish, seen: Seen) -> t.Iterator[str]:
    """A sentence for each volume that had a claim, and is not dealt with."""
    for one in left_behind(wish, seen):
        name = one["metadata"]["name"]
        inside = seen.inside.get(name)
        told = f" {inside.sentence()}" if inside else ""
        if name in wish.rebind or name in wish.wipe:
            continue
        yield (
            f"PersistentVolume {name} ({(one['spec'].get('capacity') or {}).get('storage')}, {place(one)}) is "
            f"{phase(one)}{_since(one)}: it holds what claim {claim(one)} left, and no claim gets it.{told} To give it "
            "to a new claim, with that data, name it in rebind."
        )


def not_looked(wish: Wish, seen: Seen) -> t.Iterator[str]:
    """What check mode leaves open."""
    wanted = (one["metadata"]["name"] for one in to_look_into(wish, seen))
    unknown = [name for name in wanted if name not in seen.inside]
    if unknown:
        yield (
            f"Check mode makes no pod, so nobody looked inside {names(unknown)}. A real run does, and may refuse what "
            "this one planned."
        )


def _since(volume: Object) -> str:
    at = (volume.get("status") or {}).get("lastPhaseTransitionTime")
    return f" since {at}" if at else ""
