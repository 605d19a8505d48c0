# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""How an existing object becomes as declared, where the API server may refuse to change it in place. Pure.

Nearly every field of an object can be changed in place. The few that cannot are told apart here: those of a
StatefulSet for which it can be deleted without its pods and made again, claims that can grow, and all others, for
which there is a refusal with reasons and choices.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import owns
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition
from ansible_collections.stateful.kube.plugins.module_utils._manifests import _variant as variant
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._manifests._variant import text as _text
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal

#: may claims of this class grow? None where nobody could tell
Classes = t.Optional[t.Mapping[str, bool]]


@dataclasses.dataclass(frozen=True)
class Growth:
    """One claim that asks for less than its template will."""

    namespace: str
    claim: str
    uid: str
    version: str
    storage_class: str
    before: str
    after: str


@dataclasses.dataclass(frozen=True)
class Change:
    """How an object becomes as declared that cannot be changed in place: by refusal, or by these steps in order."""

    refusal: t.Optional[Refusal] = None
    growth: tuple[Growth, ...] = ()
    #: claims that have been asked to grow and have not yet, and what is seen of it
    growing: tuple[str, ...] = ()
    #: why the object is deleted without its pods and made again; empty where it is not
    recreate: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def in_place(live: Object, after: Object) -> str:
    """What a change in place does to the pods, in words for the plan; empty where there is nothing to say."""
    kind, spec, was = after.get("kind"), after.get("spec") or {}, live.get("spec") or {}
    if kind not in ("StatefulSet", "Deployment", "DaemonSet"):
        return ""
    strategy = spec.get("updateStrategy") or spec.get("strategy") or {}
    if spec.get("template") == was.get("template"):
        if spec.get("replicas") != was.get("replicas"):
            return f" in place (from {was.get('replicas')} to {spec.get('replicas')} pods)"
        return " in place"
    if strategy.get("type") == "OnDelete":
        return " (each pod becomes new when it is replaced)"
    if strategy.get("type") == "Recreate":
        return " (all pods are stopped, then replaced)"
    if kind != "StatefulSet":
        return " (pods are replaced step by step)"
    partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
    return f" (pods {f'from ordinal {partition} on ' if partition else ''}are replaced one by one)"


# StatefulSets


def stateful_set_change(
    key: Key,
    declared: Object,
    live: Object,
    claims: t.Sequence[Object],
    classes: Classes,
    manager: str,
    new_claims: bool = False,
    default_class: t.Optional[str] = None,
) -> t.Optional[Change]:
    """How a StatefulSet becomes as declared, or None where none of its unchangeable fields differs.

    ``new_claims``: another storage variant may be for claims that are yet to be made, while others stay where they are.
    ``default_class``: the class of a claim that names none, where that is known.
    """
    spec, there = _effective(declared, live, manager), live["spec"]
    wanted = {template["metadata"]["name"]: template for template in spec["volumeClaimTemplates"]}
    found = {template["metadata"]["name"]: template for template in there.get("volumeClaimTemplates") or ()}
    refusal = _fixed(key, spec, there) or _templates_differ(key, wanted, found)
    if refusal:
        return Change(refusal)
    reasons: list[str] = []
    policy, policy_there = spec["podManagementPolicy"], there.get("podManagementPolicy", "OrderedReady")
    if policy != policy_there:
        reasons.append(f"podManagementPolicy changes from {policy_there} to {policy}")
    growth: list[Growth] = []
    growing: list[str] = []
    warnings: list[str] = []
    for name, template in wanted.items():
        before, after = _size(found[name]), _size(template)
        own = claims_of(key, name, claims)
        if quantity(after) < quantity(before):
            return Change(_shrinks(key, name, before, after, own))
        fields = variant.changed(template, found[name])
        if fields:
            stay = variant.elsewhere(template, fields, own, default_class)
            if stay and (not new_claims or "volumeMode" in fields):
                return Change(variant.refusal(key, name, template, found[name], fields, stay))
            reasons.append(variant.reason(name, template, found[name], fields, bool(own), bool(stay)))
        if quantity(after) > quantity(before):
            reasons.append(f"claim template {name} grows from {before} to {after}")
            for claim in own:
                outcome = _grow(key, claim, after, classes)
                if isinstance(outcome, Refusal):
                    return Change(outcome)
                if isinstance(outcome, Growth):
                    growth.append(outcome)
                elif outcome:
                    waits, text = outcome
                    (growing if waits else warnings).append(text)
    if not reasons:
        return None
    return Change(None, tuple(growth), tuple(growing), tuple(reasons), tuple(warnings))


def claims_of(key: Key, template: str, claims: t.Sequence[Object]) -> list[Object]:
    """The claims that the controller made, or would take, for a claim template, in the order of their ordinals."""
    form = re.compile(rf"{re.escape(template)}-{re.escape(key.name)}-(\d+)")
    matched = [(form.fullmatch(claim["metadata"]["name"]), claim) for claim in claims]
    return [claim for match, claim in sorted(((m, c) for m, c in matched if m), key=lambda pair: int(pair[0][1]))]


def as_it_is(declared: Object, live: Object) -> Object:
    """The declared StatefulSet with the unchangeable fields of the live one: what can be tried in place."""
    spec = {key: value for key, value in declared["spec"].items() if key not in _RECREATED}
    spec.update({key: live["spec"][key] for key in _RECREATED if key in live["spec"]})
    return {**declared, "spec": spec}


def to_be(declared: Object, other: Object, live: Object, manager: str) -> Object:
    """``other`` (the live object, or what a dry run made of it) with the declared fields that need a new object."""
    spec = {**other["spec"]}
    effective = _effective(declared, live, manager)
    if effective["volumeClaimTemplates"]:
        wanted = {template["metadata"]["name"]: template for template in effective["volumeClaimTemplates"]}
        spec["volumeClaimTemplates"] = [
            _resized(template, wanted[template["metadata"]["name"]])
            for template in live["spec"]["volumeClaimTemplates"]
        ]
    spec["podManagementPolicy"] = effective["podManagementPolicy"]
    return {**other, "spec": spec}


def _resized(template: Object, wanted: Object) -> Object:
    """A claim template with another's size and storage variant, which is all that may differ."""
    spec = variant.with_variant(template, wanted)
    requests = {**spec["resources"]["requests"], "storage": _size(wanted)}
    spec["resources"] = {**spec["resources"], "requests": requests}
    return {**template, "spec": spec}


_RECREATED = ("podManagementPolicy", "volumeClaimTemplates")


def _effective(declared: Object, live: Object, manager: str) -> dict[str, t.Any]:
    """What the unchangeable fields would be: a field that is left out goes if it was ours, and stays if not."""
    spec, there = declared.get("spec") or {}, live["spec"]
    defaults: dict[str, t.Any] = {
        "selector": {},
        "serviceName": "",
        "podManagementPolicy": "OrderedReady",
        "volumeClaimTemplates": [],
    }
    return {
        field: spec[field]
        if field in spec
        else (default if owns(live, manager, "spec", field) else there.get(field, default))
        for field, default in defaults.items()
    }


def _fixed(key: Key, spec: t.Mapping[str, t.Any], there: t.Mapping[str, t.Any]) -> t.Optional[Refusal]:
    for field, why in (
        ("selector", "it says which pods belong to the StatefulSet, and its present pods would belong to nobody"),
        ("serviceName", "it is part of the DNS name of every pod, which a running pod cannot change"),
    ):
        if spec[field] != there.get(field, type(spec[field])()):
            return Refusal(
                f"{key}: spec.{field} cannot change: {why}. Nothing was changed.",
                (f"spec.{field} is {_text(there.get(field))}, and {_text(spec[field])} is declared",),
                (
                    f"declare spec.{field} as it was",
                    "deploy under another name and move the data",
                    "delete the StatefulSet, which keeps its claims, and apply again",
                ),
            )
    return None


def _templates_differ(key: Key, wanted: t.Mapping[str, Object], found: t.Mapping[str, Object]) -> t.Optional[Refusal]:
    added, removed = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if added or removed:
        phrases = [f"{', '.join(names)} {word}" for names, word in ((added, "added"), (removed, "taken away")) if names]
        return Refusal(
            f"{key}: its claim templates change ({' and '.join(phrases)}), and a running pod can neither get nor "
            "lose a volume: every pod has to be made anew, which is more than applying a manifest. Nothing was "
            "changed.",
            (f"its claim templates are {', '.join(found) or 'none'}, and {', '.join(wanted) or 'none'} are declared",),
            (
                "declare the claim templates with their old names",
                "delete the StatefulSet, which keeps its claims, and apply again",
            ),
        )
    for name, template in wanted.items():
        paths = _other_differences(template, found[name])
        if paths:
            return Refusal(
                f"{key}: claim template {name} changes in {', '.join(paths)}. Only its size, class, access modes, "
                "volume mode and selector can change while the pods go on. Nothing was changed.",
                tuple(f"{path} is {_text(was)}, and {_text(now)} is declared" for path, (was, now) in paths.items()),
                (
                    f"declare {', '.join(paths)} of the claim template as it was",
                    "delete the StatefulSet, which keeps its claims, and apply again",
                ),
            )
    if list(wanted) != list(found):
        return Refusal(
            f"{key}: its claim templates are declared in another order, which the API server takes for a change of a "
            "field that cannot change. Nothing was changed.",
            (f"the order is {', '.join(found)}",),
            ("declare the claim templates in that order",),
        )
    return None


def _other_differences(template: Object, found: Object) -> dict[str, tuple[t.Any, t.Any]]:
    """Fields of a claim template that differ, other than size and storage variant."""

    def flat(one: Object) -> dict[str, t.Any]:
        metadata, spec = one.get("metadata") or {}, one.get("spec") or {}
        fields = {f"metadata.{name}": metadata.get(name) or {} for name in ("labels", "annotations")}
        left_out = (*variant.FIELDS, "resources")
        fields.update({f"spec.{name}": value for name, value in spec.items() if name not in left_out})
        resources = {k: v for k, v in (spec.get("resources") or {}).items() if k != "requests"}
        requests = {k: v for k, v in ((spec.get("resources") or {}).get("requests") or {}).items() if k != "storage"}
        return {**fields, **{f"spec.resources.{k}": v for k, v in {**resources, **requests}.items() if v}}

    was, now = flat(found), flat(template)
    return {path: (was.get(path), now.get(path)) for path in sorted({*was, *now}) if (was.get(path)) != (now.get(path))}


def _grow(key: Key, claim: Object, size: str, classes: Classes) -> t.Union[Refusal, Growth, tuple[bool, str], None]:
    """What to do for one claim: grow it, refuse, or say (does it hold the work up?, in words) how far it has got."""
    metadata, spec, status = claim["metadata"], claim["spec"], claim.get("status") or {}
    name, before = metadata["name"], _size(claim)
    if quantity(before) >= quantity(size):
        return _resizing(claim)
    if status.get("phase") != "Bound":
        return False, (
            f"claim {name} has no volume yet and keeps the size {before}, because only a claim with a volume can "
            "grow; where nothing uses it, delete it and it is made anew"
        )
    class_name = spec.get("storageClassName") or ""
    if classes is not None and not classes.get(class_name, False):
        return Refusal(
            f"{key}: claim {name} has {before}, and {size} is declared, but its class "
            f"{class_name or '(none)'} does not let claims grow. Nothing was changed.",
            (
                f"claim {name} is of class {class_name or '(none)'} and asks for {before}",
                f"StorageClass {class_name} has no allowVolumeExpansion"
                if class_name in classes
                else f"there is no StorageClass {class_name or 'for a claim without a class'}",
            ),
            (
                f"declare {before}",
                "set allowVolumeExpansion of the class to true, if its driver can grow volumes",
                "move the data to new claims of a class that can",
            ),
        )
    return Growth(
        metadata.get("namespace", key.namespace),
        name,
        metadata["uid"],
        metadata["resourceVersion"],
        class_name,
        before,
        size,
    )


def _resizing(claim: Object) -> t.Optional[tuple[bool, str]]:
    name, status, asked = claim["metadata"]["name"], claim.get("status") or {}, _size(claim)
    has = (status.get("capacity") or {}).get("storage")
    if status.get("phase") != "Bound" or has is None or quantity(has) >= quantity(asked):
        return None
    if condition(claim, "FileSystemResizePending") == "True":
        return False, (
            f"the volume of claim {name} has grown to {asked}, its file system not yet: it follows by itself where "
            "the driver can grow a mounted one, else when its pod is replaced"
        )
    doubts = [
        f"{entry.get('reason') or entry['type']}: {entry.get('message', '')}".strip(" :")
        for entry in status.get("conditions") or ()
        if entry.get("type") in ("ControllerResizeError", "NodeResizeError") and entry.get("status") == "True"
    ]
    outcome = (status.get("allocatedResourceStatuses") or {}).get("storage", "")
    if outcome.endswith("Infeasible"):
        doubts.append(outcome)
    return True, f"claim {name} has {has} of {asked}" + (f" ({'; '.join(doubts)})" if doubts else "")


def _shrinks(key: Key, name: str, before: str, after: str, claims: t.Sequence[Object]) -> Refusal:
    return Refusal(
        f"{key}: claim template {name} has {before}, and {after} is declared: a volume never shrinks. Nothing was "
        "changed.",
        tuple(
            f"claim {claim['metadata']['name']} (class {claim['spec'].get('storageClassName') or '-'}) asks for "
            f"{_size(claim)}"
            for claim in claims
        )
        or (f"claim template {name} asks for {before}",),
        (f"declare {before} or more", "move the data to a new application with smaller claims"),
    )


def quota_shortage(key: Key, growth: t.Sequence[Growth], quotas: t.Sequence[Object]) -> t.Optional[Refusal]:
    """Claims grow one after the other: that a quota has no room for the last is told before the first grows."""
    for quota in quotas:
        status = quota.get("status") or {}
        hard = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        for resource, limit in hard.items():
            if resource != "requests.storage" and not resource.endswith(
                ".storageclass.storage.k8s.io/requests.storage"
            ):
                continue
            class_name = (
                resource.partition(".storageclass.storage.k8s.io/")[0] if resource != "requests.storage" else ""
            )
            counted = [one for one in growth if class_name in ("", one.storage_class)]
            more = sum((quantity(one.after) - quantity(one.before) for one in counted), quantity(0))
            used = (status.get("used") or {}).get(resource, "0")
            if counted and quantity(used) + more > quantity(limit):
                claims = ", ".join(f"{one.claim} from {one.before} to {one.after}" for one in counted)
                return Refusal(
                    f"{key}: ResourceQuota {quota['metadata']['name']} has no room for claims that grow ({claims}). "
                    "Nothing was changed.",
                    (f"{resource}: {used} of {limit} is used",),
                    ("choose a smaller size", "raise the quota"),
                )
    return None


# Everything else

_DELETE = "delete the object and apply again"
_AS_IT_WAS = "declare it as it was"
#: kind: (fields that never change, why, choices)
_UNCHANGEABLE: t.Mapping[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "Deployment": (("spec.selector",), "it says which pods belong to it", (_AS_IT_WAS, _DELETE)),
    "DaemonSet": (("spec.selector",), "it says which pods belong to it", (_AS_IT_WAS, _DELETE)),
    "ReplicaSet": (("spec.selector",), "it says which pods belong to it", (_AS_IT_WAS, _DELETE)),
    "Job": (
        ("spec.template", "spec.selector", "spec.completionMode", "spec.completions", "spec.podFailurePolicy"),
        "a Job runs what it was made with",
        (_AS_IT_WAS, "declare a Job of another name", "delete the Job, with its pods and logs, and apply again"),
    ),
    "Service": (
        ("spec.clusterIP", "spec.clusterIPs", "spec.ipFamilies"),
        "clients keep the address that they know",
        (
            _AS_IT_WAS,
            "declare a Service of another name",
            "delete the Service and apply again: its clients fail until they resolve its name anew",
        ),
    ),
    "PersistentVolumeClaim": (
        (
            "spec.storageClassName",
            "spec.volumeName",
            "spec.accessModes",
            "spec.volumeMode",
            "spec.selector",
            "spec.dataSource",
            "spec.dataSourceRef",
        ),
        "its volume was made, or found, for it",
        (_AS_IT_WAS, "declare a claim of another name and copy the data"),
    ),
    "StorageClass": (
        ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
        "volumes exist that were made by it",
        (
            _AS_IT_WAS,
            "declare a class of another name",
            "delete the class, which leaves its volumes alone, and apply again",
        ),
    ),
    "RoleBinding": (("roleRef",), "who was given one role is not silently given another", (_AS_IT_WAS, _DELETE)),
    "ClusterRoleBinding": (("roleRef",), "who was given one role is not silently given another", (_AS_IT_WAS, _DELETE)),
    "PriorityClass": (("value",), "pods exist that were ordered by it", (_AS_IT_WAS, _DELETE)),
    "Secret": (("type",), "the API server holds the keys of a Secret against its type", (_AS_IT_WAS, _DELETE)),
}
#: of a PersistentVolume everything else is its source
_VOLUME_CHANGES = (
    "capacity",
    "accessModes",
    "persistentVolumeReclaimPolicy",
    "mountOptions",
    "claimRef",
    "storageClassName",
    "volumeAttributesClassName",
)


def other_change(key: Key, declared: Object, live: Object, classes: Classes) -> t.Optional[Refusal]:
    """The refusal of a change that the API server does not make to objects of this kind, or None for another cause."""
    if live.get("immutable") and key.kind in ("ConfigMap", "Secret"):
        return _immutable_content(key, declared, live)
    fields, why, choices = _UNCHANGEABLE.get(key.kind, ((), "", ()))
    if key.kind == "PersistentVolume":
        source = sorted({*declared["spec"], *live["spec"]} - {*_VOLUME_CHANGES})
        fields = tuple(f"spec.{name}" for name in source)
        why, choices = "it says where the data is", (_AS_IT_WAS, "declare a volume of another name")
    evidence = []
    for field in fields:
        now, was = _at(declared, field), _at(live, field)
        if now is not None and not _covers(now, was):
            shown = "" if field == "spec.template" else f" is {_text(was)}, and {_text(now)} is declared"
            evidence.append(f"{field}{shown or ' differs'}")
    if evidence:
        names = ", ".join(text.split(" ")[0] for text in evidence)
        return Refusal(f"{key}: {names} cannot change: {why}. Nothing was changed.", tuple(evidence), choices)
    if key.kind == "PersistentVolumeClaim" and _at(declared, "spec.resources.requests.storage"):
        before, after = _size(live), _size(declared)
        if quantity(after) < quantity(before):
            return _claim_shrinks(key, live, before, after)
        outcome = _grow(key, live, after, classes)
        return outcome if isinstance(outcome, Refusal) else None
    return None


def _claim_shrinks(key: Key, live: Object, before: str, after: str) -> Refusal:
    return Refusal(
        f"{key} asks for {before}, and {after} is declared: a volume never shrinks. Nothing was changed.",
        (f"its class is {live['spec'].get('storageClassName') or '-'}",),
        (f"declare {before} or more", "declare a claim of another name and copy the data"),
    )


def _immutable_content(key: Key, declared: Object, live: Object) -> Refusal:
    """Names keys only: values of Secrets are nobody's business."""
    names = sorted(
        {
            name
            for part in ("data", "binaryData")
            for name in {*(declared.get(part) or {}), *(live.get(part) or {})}
            if (declared.get(part) or {}).get(name) != (live.get(part) or {}).get(name)
        }
    )
    return Refusal(
        f"{key} is immutable, and another content is declared. Nothing was changed.",
        ("immutable is true", *([f"differs in {', '.join(names)}"] if names else ["immutable is no longer declared"])),
        ("declare a new name, and that name where it is used", _AS_IT_WAS, _DELETE),
    )


def _covers(declared: t.Any, live: t.Any) -> bool:
    """Whether a live value has everything declared; what the server added to it counts for nothing."""
    if isinstance(declared, dict) and isinstance(live, dict):
        return all(name in live and _covers(value, live[name]) for name, value in declared.items())
    if isinstance(declared, list) and isinstance(live, list):
        return len(declared) == len(live) and all(map(_covers, declared, live))
    if declared == live:
        return True
    try:
        return quantity(declared) == quantity(live)
    except ValueError:
        return False


def _at(obj: Object, path: str) -> t.Any:
    value: t.Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _size(claim: Object) -> str:
    return str(_at(claim, "spec.resources.requests.storage") or "0")
