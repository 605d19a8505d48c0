# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From the options of a task to a wish, checked against what is known of the storage. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._classes import DEFAULT, LEGACY_DEFAULT, Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import (
    RWOP,
    Preset,
    check_secrets,
    filled,
    preset_of,
    translate,
    unknown_parameters,
)

Params = t.Mapping[str, t.Any]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Asked:
    """A wish, and what is known of the storage behind it."""

    wish: Wish
    preset: t.Optional[Preset] = None


def asked(params: Params) -> Asked:
    """What the options of a task ask for. Raises Failure."""
    name = params["name"]
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise Failure(
            f'name: "{name}": expected at most 253 lower-case letters, digits, "-" and ".", with a letter or digit at '
            "both ends."
        )
    for note in (DEFAULT, LEGACY_DEFAULT):
        if note in (params["annotations"] or {}):
            raise Failure(
                f"annotations: {note} makes a class the default without taking that from another one. Leave it out, "
                "and say default: true or default: false."
            )
    if params["state"] == "absent":
        return Asked(Wish(name, "absent", allow_pending=params["allow_pending_claims"]))
    parameters = {str(key): _text(key, value) for key, value in (params["parameters"] or {}).items()}
    check_secrets(parameters)
    legacy = translate(
        params["provisioner"], parameters if params["parameters"] is not None else None, params["allowed_topologies"]
    )
    preset = preset_of(params["preset"], legacy.provisioner)
    told = [legacy.told] if legacy.told else []
    fields: dict[str, t.Any] = {}
    if params["preset"]:
        preset = t.cast(Preset, preset)
        fields = _of_preset(preset, legacy.provisioner, legacy.parameters or {})
    else:
        if legacy.provisioner:
            fields["provisioner"] = legacy.provisioner
        if legacy.parameters is not None:
            fields["parameters"] = legacy.parameters
    for option, field in (
        ("reclaim_policy", "reclaimPolicy"),
        ("volume_binding_mode", "volumeBindingMode"),
        ("allow_volume_expansion", "allowVolumeExpansion"),
        ("mount_options", "mountOptions"),
    ):
        if params[option] is not None:
            fields[field] = params[option]
    if legacy.topologies is not None:
        fields["allowedTopologies"] = legacy.topologies
    if preset:
        told += _check(preset, params, fields, legacy.parameters)
    wish = Wish(
        name,
        params["state"],
        fields,
        params["labels"],
        params["annotations"],
        params["default"],
        params["recreate"],
        params["allow_pending_claims"],
        tuple(told),
    )
    return Asked(wish, preset)


def _text(key: t.Any, value: t.Any) -> str:
    """YAML reads yes and 3 where the API wants texts."""
    if value is None or isinstance(value, (dict, list)):
        raise Failure(f"parameters: expected a text for {key}, found {type(value).__name__}. Put one, or leave it out.")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_preset(preset: Preset, provisioner: t.Optional[str], parameters: dict[str, str]) -> dict[str, t.Any]:
    if provisioner and provisioner != preset.provisioner and not preset.renamable:
        raise Failure(
            f"provisioner: preset {preset.name} is {preset.provisioner}, found {provisioner}. Leave provisioner out, "
            "or leave preset out."
        )
    fields: dict[str, t.Any] = {"provisioner": provisioner or preset.provisioner}
    fields["parameters"] = filled(preset, parameters)
    fields["volumeBindingMode"] = preset.binding
    fields["allowVolumeExpansion"] = preset.expands
    return fields


def _check(
    preset: Preset, params: Params, fields: t.Mapping[str, t.Any], parameters: t.Optional[t.Mapping[str, str]]
) -> list[str]:
    """What this storage cannot do is said now, not by the first claim that hangs. Returns warnings."""
    mode = fields.get("volumeBindingMode")
    if mode and mode not in preset.bindings:
        raise Failure(
            f"volume_binding_mode: {preset.title} works with {' or '.join(preset.bindings)} only, found {mode}: a "
            "volume on a node must not be chosen before the node of its pod is."
        )
    if fields.get("allowVolumeExpansion") and not preset.expands:
        raise Failure(
            f"allow_volume_expansion: {preset.title} cannot make a volume larger: a claim that grows would wait for "
            "ever, or be told a size that nobody enforces. Leave it out."
        )
    if fields.get("mountOptions") and not preset.mount_options:
        raise Failure(f"mount_options: {preset.title} takes none, and its volumes would not be made. Leave them out.")
    _check_topologies(preset, fields.get("allowedTopologies"))
    volume_mode = params["volume_mode"]
    can = preset.modes(volume_mode)
    if not can:
        raise Failure(
            f"volume_mode: {preset.title} has no volumes of mode {volume_mode}. Use Filesystem, or another storage."
        )
    lost = [mode for mode in params["access_modes"] or () if mode not in can]
    if lost:
        raise Failure(
            f"access_modes: {preset.title} with volume mode {volume_mode} can do {', '.join(can)}, and not "
            f"{', '.join(lost)}. {_instead(preset, lost, volume_mode)}"
        )
    if volume_mode == "Block" and fields.get("mountOptions"):
        raise Failure(
            "mount_options: a volume of mode Block is not mounted, so mount options mean nothing to it. Leave them "
            "out, or use Filesystem."
        )
    unknown = unknown_parameters(preset, parameters or {})
    if unknown:
        return [
            f"parameters: {preset.title} is not known to take {', '.join(unknown)}. A driver refuses what it does not "
            "know only when the first claim comes: check the spelling, or the driver's own documentation."
        ]
    return []


def _instead(preset: Preset, lost: t.Sequence[str], volume_mode: str) -> str:
    if volume_mode == "Filesystem" and all(mode in preset.block for mode in lost):
        return "With volume mode Block it could."
    if RWOP in lost and len(lost) == 1:
        return "That mode needs a CSI driver: use ReadWriteOnce."
    return "Use another storage, such as NFS or CephFS, for volumes that several nodes share."


def _check_topologies(preset: Preset, terms: t.Optional[t.Sequence[t.Mapping[str, t.Any]]]) -> None:
    used = {str(rule.get("key")) for term in terms or () for rule in term.get("matchLabelExpressions") or ()}
    if not terms:
        return
    if not preset.topology:
        raise Failure(
            f"allowed_topologies: {preset.title} makes no difference between zones or nodes, and its provisioner would "
            "refuse each claim. Leave them out."
        )
    lost = sorted(used - set(preset.topology))
    if lost or not used:
        raise Failure(
            f"allowed_topologies: {preset.title} knows the keys {', '.join(preset.topology)} in matchLabelExpressions, "
            f"found {', '.join(lost) or 'none'}."
        )
