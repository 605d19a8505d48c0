# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which claims a pod has, why one has no volume, and what would give it one: from the objects alone. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import matches

Object = t.Mapping[str, t.Any]

# What a StorageClass names that only orders volumes that people make.
NO_PROVISIONER = "kubernetes.io/no-provisioner"
_SHOWN = 5


def claim_names(pod: Object) -> tuple[str, ...]:
    """The claims that a pod mounts, in the order of its volumes."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return tuple(
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume
    )


def unbound(claim: Object, event: str, classes: t.Optional[t.Sequence[Object]], volumes: t.Sequence[Object]) -> str:
    """One sentence on a claim without volume, or nothing for one that is bound.

    ``event`` is the last thing that Kubernetes told about it, ``classes`` are all StorageClasses (None where they
    cannot be read), and ``volumes`` all PersistentVolumes.
    """
    spec, status = claim["spec"], claim.get("status") or {}
    if status.get("phase") == "Bound":
        return ""
    name = spec.get("storageClassName")
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "?")
    of_class = f"of class {name}" if name else "without class" if name == "" else "of no class, as there is no default"
    text = f"claim {claim['metadata']['name']} ({size} {of_class}) is {status.get('phase', 'Pending')}"
    if event:
        text += f": {event}"
    why = _made_by_hand(name, classes, bool(spec.get("selector")))
    if why:
        there = _those_there(claim, volumes)
        wanted = "this claim needs one more that fits its size, access modes and node"
        text = f"{text.rstrip('.')}. {why}: {there}, and {wanted}"
    return text


def _made_by_hand(name: t.Optional[str], classes: t.Optional[t.Sequence[Object]], selects: bool) -> str:
    """Why nobody will make a volume for this class, or nothing where somebody may."""
    if name == "":
        return "Volumes without class are made by hand"
    if name is None or classes is None:
        return ""
    found = [one for one in classes if one["metadata"]["name"] == name]
    if not found:
        return f"There is no StorageClass {name}, so its volumes are made by hand"
    if found[0].get("provisioner") == NO_PROVISIONER:
        return f"StorageClass {name} has no provisioner, so its volumes are made by hand"
    if selects:
        return "No volume is ever made for a claim with a selector, so it waits for one that is made by hand"
    return ""


def _those_there(claim: Object, volumes: t.Sequence[Object]) -> str:
    name = claim["spec"].get("storageClassName") or ""
    there = [one for one in volumes if (one["spec"].get("storageClassName") or "") == name]
    if not there:
        return "there is none"
    shown = [_volume(one, claim) for one in there[:_SHOWN]]
    more = [f"and {len(there) - _SHOWN} more"] if len(there) > _SHOWN else []
    return f"there {'is' if len(there) == 1 else 'are'} {', '.join(shown + more)}"


def _volume(volume: Object, claim: Object) -> str:
    """A volume, and why this claim does not get it."""
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    phase = (volume.get("status") or {}).get("phase", "Pending")
    text = f"{volume['metadata']['name']} ({(spec.get('capacity') or {}).get('storage', '?')}, {phase}"
    if reference:
        how = {"Bound": "to", "Available": "kept for"}.get(phase, "from")
        text += f" {how} {reference.get('namespace')}/{reference.get('name')}"
    # One that is taken, or was used, is none to choose from, whatever its size.
    return ", ".join([text, *(_unfit(volume, claim) if phase == "Available" else ())]) + ")"


def _unfit(volume: Object, claim: Object) -> t.Iterator[str]:
    """What of a volume is not as the claim wants it. Where a pod can run is known to the scheduler alone."""
    spec, wanted = volume["spec"], claim["spec"]
    size = (spec.get("capacity") or {}).get("storage")
    asked = ((wanted.get("resources") or {}).get("requests") or {}).get("storage")
    if size and asked and quantity(size) < quantity(asked):
        yield f"smaller than {asked}"
    lacks = [mode for mode in wanted.get("accessModes") or () if mode not in (spec.get("accessModes") or (mode,))]
    if lacks:
        yield f"without {', '.join(lacks)}"
    mode = spec.get("volumeMode") or "Filesystem"
    if mode != (wanted.get("volumeMode") or "Filesystem"):
        yield f"of mode {mode}"
    selector = wanted.get("selector")
    if selector and not matches(selector, volume["metadata"].get("labels") or {}):
        yield "its labels are not those of the selector"
