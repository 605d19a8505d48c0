# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Why claims are not moved: everything that would only show after the pods were stopped. Pure."""

from __future__ import annotations

import fractions
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Object
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_objects import Mark
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import (
    Moving,
    Seen,
    has_data,
    is_there,
    new_size,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import preset_of

_NONE = "Nothing was changed."
_OF_CLASS = ".storageclass.storage.k8s.io/"


def refusal(seen: Seen) -> t.Optional[Refusal]:
    if seen.mark is not None:
        return (_other_move(seen) if differs(seen.mark, seen) else None) or _broken(seen)
    todo = [one for one in seen.claims if not is_there(one, seen.wish)]
    if not todo:
        return None
    return (
        _rights(seen)
        or _class(seen, todo)
        or _modes(seen, todo)
        or _owned(seen)
        or _confirmation(seen, todo)
        or _old_volumes(seen, todo)
        or _kept_by_whom(seen)
        or _smaller(seen, todo)
        or _raw(seen, todo)
        or _autoscaled(seen)
        or _used_by_others(seen, todo)
        or (_quota(seen, todo) if seen.wish.data == "copy" else None)
    )


def differs(mark: Mark, seen: Seen) -> bool:
    """Whether the options ask for something else than the move that is under way."""
    wish = seen.wish
    return (mark.class_name, mark.data, mark.size, mark.access_modes) != (
        wish.class_name,
        wish.data,
        wish.size,
        wish.access_modes,
    ) or (bool(wish.templates) and set(wish.templates) != set(mark.templates))


def _other_move(seen: Seen) -> Refusal:
    mark = seen.mark or Mark("", (), 0)
    options = [f"storage_class {mark.class_name}", f"data {mark.data}"]
    options += [f"size {mark.size}"] if mark.size else []
    options += [f"access_modes {', '.join(mark.access_modes)}"] if mark.access_modes else []
    return Refusal(
        f"{seen.key}: a move of its claims with other options is under way, and its pods are stopped meanwhile.",
        (f"it was begun with {', '.join(options)}, template {', '.join(mark.templates)}",),
        ("run it again with these options, which goes on where it was stopped; after that, move them again",),
    )


def _broken(seen: Seen) -> t.Optional[Refusal]:
    """A claim is gone, and the volume that has its copy is too: somebody deleted it, and this can only be told."""
    lost = [one for one in seen.claims if one.claim is None and one.old_held and not one.fresh and seen.copies]
    if lost:
        names = ", ".join(f"{one.name} ({one.old['metadata']['name']})" for one in lost if one.old)
        return Refusal(
            f"{seen.key}: the new volumes of these claims are gone, and so are the claims: {names}. Their old volumes "
            "are named beside them, and hold the data. Its pods are stopped.",
            ("somebody deleted a volume in the middle of the move",),
            ("take claimRef away from such an old volume and make a claim of that name with its volumeName",),
        )
    for one in seen.claims:
        volume = (one.claim or {}).get("spec", {}).get("volumeName")
        if one.fresh_held and one.old_held and one.claim and one.fresh and one.old:
            known = (one.fresh["metadata"]["name"], one.old["metadata"]["name"])
            if volume not in known:
                return Refusal(
                    f"{seen.key}: claim {one.name} was made by somebody else in the middle of the move, and has "
                    "neither its old nor its new volume. Its pods are stopped, or run on that claim.",
                    (f"its volume is {volume or 'none'}, and {' and '.join(known)} hold the old data and its copy",),
                    (f"stop the pods, delete claim {one.name} if nothing in it is needed, and run this again",),
                )
    return None


def _rights(seen: Seen) -> t.Optional[Refusal]:
    if not seen.around.lacking:
        return None
    return Refusal(
        f"{seen.key}: the account lacks rights that a move of claims needs, and would stop half-way: "
        f"{', '.join(seen.around.lacking)}. {_NONE}",
        (),
        ("give it these rights", "run this with another account"),
    )


def _class(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    around, name = seen.around, seen.wish.class_name
    if not around.known:
        return None
    if around.target is None:
        return Refusal(
            f"{seen.key}: storage_class is {name}, and there is no such StorageClass. {_NONE}",
            (f"the classes of the cluster are {', '.join(around.classes) or 'none'}",),
            ("correct the name", "make the class first"),
        )
    provisioner = str(around.target.get("provisioner", ""))
    preset = preset_of(None, provisioner)
    if preset and preset.csi and around.drivers is not None and provisioner not in around.drivers:
        return Refusal(
            f"{seen.key}: class {name} needs the CSI driver {provisioner}, which is not installed in the cluster. "
            f"{_NONE}",
            (f"its drivers are {', '.join(sorted(around.drivers)) or 'none'}",),
            (f"install {preset.install}", "choose another class"),
        )
    return None


def _modes(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    preset = preset_of(None, str((seen.around.target or {}).get("provisioner", "")))
    if preset is None:
        return None
    for one in todo:
        spec = (one.claim or {}).get("spec", {})
        modes = seen.wish.access_modes or spec.get("accessModes") or ()
        able = preset.modes(spec.get("volumeMode") or "Filesystem")
        lacks = [mode for mode in modes if mode not in able]
        if lacks:
            return Refusal(
                f"{seen.key}: claim {one.name} asks for {', '.join(lacks)}, which volumes of class "
                f"{seen.wish.class_name} ({preset.title}) cannot do. {_NONE}",
                (f"they can do {', '.join(able) or 'nothing of this volume mode'}",),
                ("set access_modes", "choose another class"),
            )
    return None


def _owned(seen: Seen) -> t.Optional[Refusal]:
    for owner in (seen.live or {}).get("metadata", {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return Refusal(
                f"{seen.key} belongs to {owner.get('kind')} {owner.get('name')}, whose controller would start its pods "
                f"again, or undo the change. {_NONE}",
                (),
                ("move the storage by means of that controller", "stop the controller first"),
            )
    return None


def _confirmation(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    wish = seen.wish
    if wish.data != "leave" or wish.confirm == wish.name:
        return None
    names = ", ".join(one.name for one in todo if has_data(one))
    if not names:
        return None
    fate = "deleted" if wish.old_volumes == "delete" else "kept, without a claim"
    return Refusal(
        f"{seen.key}: with data leave the application starts empty on class {wish.class_name}, and the volumes of "
        f"{names} are {fate}. {_NONE}",
        (f"leave_data_of is {wish.confirm or 'not set'}",),
        (f"set leave_data_of to {wish.name}, if that is what you want", "copy the data, with data copy"),
    )


def _old_volumes(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    if seen.wish.old_volumes != "delete":
        return None
    made = "pv.kubernetes.io/provisioned-by"
    by_hand = [
        f"{one.old['metadata']['name']} of {one.name}"
        for one in todo
        if one.old and made not in (one.old["metadata"].get("annotations") or {})
    ]
    if not by_hand:
        return None
    return Refusal(
        f"{seen.key}: old_volumes is delete, and nobody deletes volumes that were made by hand: {', '.join(by_hand)}. "
        f"{_NONE}",
        (f"they have no annotation {made}",),
        ("set old_volumes to retain, and remove them by hand afterwards",),
    )


def _kept_by_whom(seen: Seen) -> t.Optional[Refusal]:
    policy = (seen.live or {}).get("spec", {}).get("persistentVolumeClaimRetentionPolicy") or {}
    if policy.get("whenScaled") != "Delete":
        return None
    return Refusal(
        f"{seen.key}: its claims would be deleted as soon as its pods are stopped. {_NONE}",
        ("spec.persistentVolumeClaimRetentionPolicy.whenScaled is Delete",),
        ("set it to Retain, at least until the claims are moved",),
    )


def _smaller(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    size = seen.wish.size
    if not size:
        return None
    sizes = [
        str(one["spec"]["resources"]["requests"]["storage"])
        for one in (seen.live or {})["spec"].get("volumeClaimTemplates") or ()
        if one["metadata"]["name"] in seen.templates
    ]
    larger = [text for text in sizes if quantity(text) > quantity(size)]
    if not larger:
        return None
    return Refusal(
        f"{seen.key}: size is {size}, and its claim template has {larger[0]}: new claims would be too small for a "
        f"declaration that has not changed. {_NONE}",
        tuple(f"claim {one.name} has {one.size}" for one in todo),
        (f"set size to {larger[0]} or more", "leave size out, and each claim gets what it has"),
    )


def _raw(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    raw = [one.name for one in todo if (one.claim or {}).get("spec", {}).get("volumeMode") == "Block"]
    if not raw or seen.wish.data != "copy":
        return None
    return Refusal(
        f"{seen.key}: {', '.join(raw)} are raw volumes (volumeMode Block), and only file systems are copied. {_NONE}",
        (),
        ("copy them by means of the application", "leave the data behind, with data leave"),
    )


def _autoscaled(seen: Seen) -> t.Optional[Refusal]:
    if not seen.around.autoscalers:
        return None
    return Refusal(
        f"{seen.key}: HorizontalPodAutoscaler {', '.join(seen.around.autoscalers)} decides how many pods it has, and "
        f"could start some in the middle of the move. {_NONE}",
        (),
        ("delete the autoscaler, and make it again afterwards",),
    )


def _used_by_others(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    used = [f"{one.name} by {', '.join(one.others)}" for one in todo if one.others]
    if not used:
        return None
    return Refusal(
        f"{seen.key}: pods that are not of it use its claims, and would go on writing: {'; '.join(used)}. {_NONE}",
        (),
        ("stop these pods first",),
    )


def _quota(seen: Seen, todo: t.Sequence[Moving]) -> t.Optional[Refusal]:
    """While both exist, a claim and its copy count twice."""
    new = [one for one in todo if has_data(one) and one.temporary is None]
    more = sum((quantity(new_size(one, seen.wish)) for one in new), fractions.Fraction(0))
    name = seen.wish.class_name
    wanted: t.Mapping[str, fractions.Fraction] = {
        "requests.storage": more,
        f"{name}{_OF_CLASS}requests.storage": more,
        "persistentvolumeclaims": fractions.Fraction(len(new)),
        "count/persistentvolumeclaims": fractions.Fraction(len(new)),
        f"{name}{_OF_CLASS}persistentvolumeclaims": fractions.Fraction(len(new)),
    }
    for quota in seen.around.quotas:
        status: Object = quota.get("status") or {}
        for resource, limit in (status.get("hard") or {}).items():
            used = (status.get("used") or {}).get(resource, "0")
            if wanted.get(resource) and quantity(used) + wanted[resource] > quantity(limit):
                return Refusal(
                    f"{seen.key}: ResourceQuota {quota['metadata']['name']} has no room for the copies of "
                    f"{', '.join(one.name for one in new)}, which exist beside the originals until all are complete. "
                    f"{_NONE}",
                    (f"{resource}: {used} of {limit} is used",),
                    ("raise the quota", "leave the data behind, with data leave"),
                )
    return None
