# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another storage variant in a claim template: its class, access modes, volume mode or selector. Pure.

Kubernetes reads a claim template when it makes a claim, and never again. So a declaration with another variant reaches
no claim that exists: the application would look as if it had moved, and its data would be where it was.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal

#: on a StatefulSet: its claims are being moved to other storage, and its pods are away meanwhile
MIGRATION = "stateful.kube/migration"
#: what a claim has from its template for good, and what stands where nothing is said
FIELDS: t.Mapping[str, t.Any] = {
    "storageClassName": None,
    "accessModes": None,
    "volumeMode": "Filesystem",
    "selector": None,
}


def changed(wanted: Object, found: Object) -> list[str]:
    """The fields of the variant in which two claim templates differ."""
    return [field for field in FIELDS if _value(wanted, field) != _value(found, field)]


def reason(name: str, wanted: Object, found: Object, fields: t.Sequence[str], claims: bool, stay: bool) -> str:
    """Why a StatefulSet is made again, in words for the plan. ``stay``: some of its claims are of the old variant."""
    what = ", ".join(f"{_words(field, wanted)} in place of {_words(field, found)}" for field in fields)
    if stay:
        return f"new claims of template {name} get {what}, and existing claims stay where they are"
    return f"claim template {name} gets {what}" + (", which its claims have already" if claims else "")


def elsewhere(
    wanted: Object, fields: t.Sequence[str], claims: t.Sequence[Object], default_class: t.Optional[str]
) -> list[Object]:
    """The claims that are not of the variant which is declared."""
    aims = {field: _value(wanted, field) for field in fields}
    if "storageClassName" in aims and aims["storageClassName"] is None:
        aims["storageClassName"] = default_class  # what a new claim would get
    return [claim for claim in claims if any(_value(claim, field) != aim for field, aim in aims.items())]


def refusal(
    key: Key, name: str, wanted: Object, found: Object, fields: t.Sequence[str], claims: t.Sequence[Object]
) -> Refusal:
    """Claims stay where they are whatever is declared: that is not done in silence."""
    what = ", ".join(f"from {_words(field, found)} to {_words(field, wanted)}" for field in fields)
    names = ", ".join(claim["metadata"]["name"] for claim in claims)
    choices = []
    if set(fields) <= {"storageClassName", "accessModes"}:
        choices.append(
            f"move these claims, with their data or without it: stateful.kube.claim_migrate with name {key.name}, "
            "which shows beforehand what it would do; then apply this again"
        )
    if "volumeMode" not in fields:
        choices.append("set storage_change to new_claims, so that only claims which are yet to be made are of it")
    choices.append(f"declare {', '.join(_words(field, found) for field in fields)}, as it was")
    return Refusal(
        f"{key}: claim template {name} changes {what}, and claims that exist never follow their template: {names} "
        "would stay where they are, with the data. Nothing was changed.",
        tuple(
            f"claim {claim['metadata']['name']} has {', '.join(_words(field, claim) for field in fields)}"
            for claim in claims
        ),
        tuple(choices),
    )


def interrupted(key: Key, live: t.Optional[Object]) -> t.Optional[Refusal]:
    """An apply in the middle of a move would start the pods on claims of which some are empty, or gone."""
    text = ((live or {}).get("metadata", {}).get("annotations") or {}).get(MIGRATION)
    if not text:
        return None
    return Refusal(
        f"{key}: its claims are being moved to other storage, and its pods are stopped until that is done: applying "
        "now could start them on volumes that are not complete. Nothing was changed.",
        (f"annotation {MIGRATION} is {text}",),
        (
            "run stateful.kube.claim_migrate again with the same options, which goes on where it was stopped",
            "run it with the class that the claims are of, which gives the move up",
        ),
    )


def with_variant(template: Object, wanted: Object) -> dict[str, t.Any]:
    """The spec of a claim template with the variant of another."""
    spec = {name: value for name, value in template["spec"].items() if name not in FIELDS or name == "volumeMode"}
    spec.update({name: wanted["spec"][name] for name in FIELDS if wanted["spec"].get(name) is not None})
    return spec


def class_words(claim: Object) -> str:
    name = _value(claim, "storageClassName")
    return "the default class" if name is None else f"class {name}" if name else "no class"


def text(value: t.Any) -> str:
    if value in (None, "", {}, []):
        return "not set"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _value(claim: Object, field: str) -> t.Any:
    value = (claim.get("spec") or {}).get(field)
    return FIELDS[field] if value is None else value


def _words(field: str, claim: Object) -> str:
    if field == "storageClassName":
        return class_words(claim)
    return f"{field} {text(_value(claim, field))}"
