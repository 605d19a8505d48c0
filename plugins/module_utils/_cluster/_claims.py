# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which claims a pod has, why one has no volume, and what would give it one: from the objects alone. Pure."""

from __future__ import annotations

import typing as t

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
    why = _made_by_hand(name, classes)
    if why:
        there = _those_there(name, volumes)
        wanted = "this claim needs one more that fits its size, access modes and node"
        text = f"{text.rstrip('.')}. {why}: {there}, and {wanted}"
    return text


def _made_by_hand(name: t.Optional[str], classes: t.Optional[t.Sequence[Object]]) -> str:
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
    return ""


def _those_there(name: t.Optional[str], volumes: t.Sequence[Object]) -> str:
    there = [one for one in volumes if (one["spec"].get("storageClassName") or "") == (name or "")]
    if not there:
        return "there is none"
    shown = [_volume(one) for one in there[:_SHOWN]]
    more = [f"and {len(there) - _SHOWN} more"] if len(there) > _SHOWN else []
    return f"there {'is' if len(there) == 1 else 'are'} {', '.join(shown + more)}"


def _volume(volume: Object) -> str:
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    phase = (volume.get("status") or {}).get("phase", "Pending")
    text = f"{volume['metadata']['name']} ({(spec.get('capacity') or {}).get('storage', '?')}, {phase}"
    if reference:
        text += f" {'to' if phase == 'Bound' else 'from'} {reference.get('namespace')}/{reference.get('name')}"
    return f"{text})"
