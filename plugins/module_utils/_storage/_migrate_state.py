# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a move of claims sees: each claim, its new one, both volumes, and how far it is. Pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import claims_of
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_objects import (
    COPIED,
    LEFT,
    NEW,
    OLD,
    Held,
    Mark,
    Pods,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_script import Copied, copied, failure


@dataclasses.dataclass(frozen=True)
class Wish:
    """The options of one move."""

    name: str
    class_name: str
    templates: tuple[str, ...] = ()
    size: str = ""
    access_modes: tuple[str, ...] = ()
    #: copy or leave
    data: str = "copy"
    #: retain or delete
    old_volumes: str = "retain"
    confirm: str = ""
    wait: bool = True


@dataclasses.dataclass(frozen=True)
class CopyPod:
    """A pod that copies, or tries the image out."""

    uid: str
    phase: str
    #: the state of the StatefulSet that it copies
    stamp: str = ""
    #: its last words
    words: str = ""
    going: bool = False
    #: why it will never run, where that is certain
    hopeless: str = ""

    @property
    def done(self) -> bool:
        return self.phase == "Succeeded"

    @property
    def failed(self) -> str:
        if self.hopeless:
            return self.hopeless
        return failure(self.words) if self.phase == "Failed" else ""


@dataclasses.dataclass(frozen=True)
class Moving:
    """One claim. Objects are None where there is none; ``old`` and ``fresh`` are volumes."""

    name: str
    template: str
    claim: t.Optional[Object] = None
    temporary: t.Optional[Object] = None
    old: t.Optional[Object] = None
    fresh: t.Optional[Object] = None
    pod: t.Optional[CopyPod] = None
    #: pods of others that have the claim
    others: tuple[str, ...] = ()

    @property
    def old_held(self) -> t.Optional[Held]:
        held = Held.of(self.old)
        return held if held and held.part == OLD else None

    @property
    def fresh_held(self) -> t.Optional[Held]:
        held = Held.of(self.fresh)
        return held if held and held.part == NEW else None

    @property
    def going(self) -> bool:
        return bool(self.claim and self.claim["metadata"].get("deletionTimestamp"))

    @property
    def bound(self) -> bool:
        return phase(self.claim) == "Bound"

    @property
    def class_name(self) -> str:
        return str((self.claim or {}).get("spec", {}).get("storageClassName") or "")

    @property
    def size(self) -> str:
        """The larger of what it asks for and what it has: a copy may need all of it."""
        spec, status = (self.claim or {}).get("spec", {}), (self.claim or {}).get("status") or {}
        asked = str((spec.get("resources", {}).get("requests") or {}).get("storage") or "0")
        has = str((status.get("capacity") or {}).get("storage") or "0")
        return has if quantity(has) > quantity(asked) else asked

    def note(self, stamp: str) -> t.Optional[Copied]:
        """What its copy came to, if there is one of this very state of the StatefulSet."""
        text = ((self.temporary or {}).get("metadata", {}).get("annotations") or {}).get(COPIED)
        try:
            found = json.loads(text) if text else {}
            return Copied(found["files"], found["bytes"], found["sha256"]) if found.get("stamp") == stamp else None
        except (ValueError, KeyError):
            return None


@dataclasses.dataclass(frozen=True)
class Around:
    """What has to allow the move. None and empty where the account may not know."""

    #: the target class, None where it is not there; ``known`` tells whether classes could be read
    target: t.Optional[Object] = None
    known: bool = False
    classes: tuple[str, ...] = ()
    #: CSI drivers that the cluster has
    drivers: t.Optional[frozenset[str]] = None
    quotas: tuple[Object, ...] = ()
    autoscalers: tuple[str, ...] = ()
    #: rights that the account lacks
    lacking: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Seen:
    """One snapshot."""

    key: Key
    wish: Wish
    live: t.Optional[Object] = None
    mark: t.Optional[Mark] = None
    templates: tuple[str, ...] = ()
    claims: tuple[Moving, ...] = ()
    #: pods of the StatefulSet that are still there
    pods: tuple[str, ...] = ()
    #: volumes that earlier moves of this StatefulSet left, by name
    left: tuple[str, ...] = ()
    trial: t.Optional[CopyPod] = None
    #: whether this run has seen the image work
    tried: bool = False
    how: t.Optional[Pods] = None
    around: Around = Around()
    recreation: t.Optional[Recreation] = None
    #: what a StatefulSet that is not ready waits for
    waits_for: str = ""

    @property
    def stamp(self) -> str:
        """The state of the StatefulSet that a copy belongs to: whoever starts its pods meanwhile makes it another."""
        metadata = (self.live or {}).get("metadata", {})
        return f"{metadata.get('uid', '')}.{metadata.get('generation', 0)}"

    @property
    def replicas(self) -> int:
        return int((self.live or {}).get("spec", {}).get("replicas", 1))

    @property
    def copies(self) -> bool:
        return (self.mark.data if self.mark else self.wish.data) == "copy"


def is_there(one: Moving, wish: Wish) -> bool:
    """Whether a claim is where it is to be, its volume's notes apart."""
    if one.claim is None or one.going or one.class_name != wish.class_name:
        return False
    if one.fresh_held and (one.claim["spec"].get("volumeName") or "") != one.fresh["metadata"]["name"]:  # type: ignore[index]
        return False
    modes = one.claim["spec"].get("accessModes")
    return not wish.access_modes or sorted(modes or ()) == sorted(wish.access_modes)


def has_data(one: Moving) -> bool:
    """Whether there is anything to copy: a claim that never had a volume has none."""
    return one.claim is not None and bool(one.claim["spec"].get("volumeName"))


def phase(obj: t.Optional[Object]) -> str:
    return str(((obj or {}).get("status") or {}).get("phase") or "")


def new_size(one: Moving, wish: Wish) -> str:
    """At least what the claim has, and what was asked for."""
    return wish.size if wish.size and quantity(wish.size) > quantity(one.size) else one.size


def pod_of(live: t.Optional[Object], hopeless: str = "") -> t.Optional[CopyPod]:
    if live is None:
        return None
    status = live.get("status") or {}
    ended = [
        (one.get("state") or {}).get("terminated") or {}
        for one in status.get("containerStatuses") or ()
        if (one.get("state") or {}).get("terminated")
    ]
    words = str(ended[0].get("message") or "") if ended else str(status.get("message") or status.get("reason") or "")
    metadata = live["metadata"]
    return CopyPod(
        metadata["uid"],
        str(status.get("phase") or "Pending"),
        (metadata.get("annotations") or {}).get(COPIED, ""),
        words,
        bool(metadata.get("deletionTimestamp")),
        hopeless,
    )


def result_of(pod: CopyPod) -> t.Optional[Copied]:
    return copied(pod.words)


def moving(
    key: Key,
    templates: t.Sequence[str],
    claims: t.Sequence[Object],
    held: t.Sequence[Object],
    volumes: t.Mapping[str, Object],
    pods: t.Sequence[Object],
    own: t.Collection[str],
    suffix: str,
) -> tuple[Moving, ...]:
    """The claims of these templates, also those of which only a volume tells at the moment.

    ``held`` are volumes that carry this collection's notes, ``volumes`` others by name, ``own`` the names of pods that
    are no matter of others.
    """
    by_name = {one["metadata"]["name"]: one for one in claims}
    names: dict[str, str] = {}
    for template in templates:
        names.update({one["metadata"]["name"]: template for one in claims_of(key, template, claims)})
    mine = [(note, one) for one in held if (note := Held.of(one)) and note.stateful_set == str(key)]
    names.update({note.claim: note.template for note, _one in mine if note.template in templates})
    found = []
    for name in sorted(names, key=lambda text: (names[text], int(text.rpartition("-")[2]))):
        claim, new = by_name.get(name), by_name.get(f"{name}{suffix}")
        old = next((one for note, one in mine if note.claim == name and note.part == OLD), None)
        fresh = next((one for note, one in mine if note.claim == name and note.part == NEW), None)
        if fresh is None and new is not None:
            fresh = volumes.get(new["spec"].get("volumeName") or "")
        if old is None and claim is not None and not (fresh is not None and _volume(claim) == _name(fresh)):
            old = volumes.get(_volume(claim))
        pod = next((one for one in pods if one["metadata"]["name"] == f"{name}{suffix}"), None)
        others = tuple(
            one["metadata"]["name"]
            for one in pods
            if {name, f"{name}{suffix}"} & set(claim_names(one))
            and one["metadata"]["name"] not in own
            and one is not pod
            and phase(one) not in ("Succeeded", "Failed")
        )
        found.append(Moving(name, names[name], claim, new, old, fresh, pod_of(pod), others))
    return tuple(found)


def left_of(key: Key, held: t.Sequence[Object], left_by: str, label: str) -> tuple[str, ...]:
    """Volumes that earlier moves of this StatefulSet left."""
    return tuple(
        one["metadata"]["name"]
        for one in held
        if (one["metadata"].get("labels") or {}).get(label) == LEFT
        and str((one["metadata"].get("annotations") or {}).get(left_by, "")).startswith(f"{key} ")
    )


def _volume(claim: Object) -> str:
    return str(claim["spec"].get("volumeName") or "")


def _name(volume: Object) -> str:
    return str(volume["metadata"]["name"])
