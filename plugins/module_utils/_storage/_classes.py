# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From a wish and all StorageClasses to ordered steps. Pure: nothing here asks or changes a cluster.

Which class is the default is decided by two annotations, on each class by itself, so switching takes several requests.
The order is: mark the new one first, then take the mark off the others. In between there are two defaults, and the API
server (from 1.26 on) takes the newer class of the two; whichever it is, one of them was wanted a moment ago or is
wanted now. The other order leaves a moment without any: a claim made then has no class, may be bound to a class-less
volume for good, and before 1.28 would stay so. The same holds for a run that is killed half-way: two defaults are
mended by the next run, and hurt nobody until then.

Each mark is written with the resourceVersion that it was planned on. That makes each step safe, but not two runs at
once that make different classes the default: each could take the other's mark. They differ in the object that they
change, so no compare-and-set can see it. Therefore the steps that touch the default, and the recreation of a class, are
taken under a Lease (see _class_operation.py); creating and changing a class needs none.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import visible
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

Object = t.Mapping[str, t.Any]

DEFAULT = "storageclass.kubernetes.io/is-default-class"
LEGACY_DEFAULT = "storageclass.beta.kubernetes.io/is-default-class"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# What the API server does not change in place.
FIXED = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the user asked for. ``fields`` are those of the object that were given, in the words of the API."""

    name: str
    state: str = "present"
    fields: Object = dataclasses.field(default_factory=dict)
    labels: t.Optional[t.Mapping[str, str]] = None
    annotations: t.Optional[t.Mapping[str, str]] = None
    #: None: whatever it is, it stays so
    default: t.Optional[bool] = None
    recreate: bool = False
    allow_pending: bool = False
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Seen:
    """One snapshot: all classes, and of the wished one what applying it would do and who uses it."""

    classes: tuple[Object, ...] = ()
    #: what the server would make of the wished class, where it differs
    after: t.Optional[Object] = None
    #: claims and volumes of the class, where they matter
    claims: tuple[Object, ...] = ()
    volumes: tuple[Object, ...] = ()

    def find(self, name: str) -> t.Optional[Object]:
        return next((one for one in self.classes if one["metadata"]["name"] == name), None)


def annotations_of(obj: Object) -> t.Mapping[str, str]:
    return t.cast("t.Mapping[str, str]", obj["metadata"].get("annotations") or {})


def is_default(one: Object) -> bool:
    """As the API server sees it: either annotation, and no other word than true."""
    notes = annotations_of(one)
    return notes.get(DEFAULT) == "true" or notes.get(LEGACY_DEFAULT) == "true"


def defaults(classes: t.Iterable[Object]) -> list[str]:
    return sorted(one["metadata"]["name"] for one in classes if is_default(one))


def fixed_differences(fields: Object, live: Object) -> list[tuple[str, t.Any, t.Any]]:
    """Declared fields that are otherwise now and cannot be changed in place: field, as it is, as declared."""
    found = []
    for field in FIXED:
        if field in fields:
            there = live.get(field)
            if field == "parameters":
                there = there or {}
            if there != fields[field]:
                found.append((field, there, fields[field]))
    return found


def class_of(obj: Object) -> t.Optional[str]:
    """The class that a claim or a volume names; the old annotation still counts."""
    legacy = annotations_of(obj).get("volume.beta.kubernetes.io/storage-class")
    return legacy or t.cast("t.Optional[str]", obj["spec"].get("storageClassName"))


def foreign_metadata(live: Object, wish: Wish) -> dict[str, dict[str, str]]:
    """Labels and annotations that others put on a class: they are put on the one made in its place as well."""
    notes = {key: value for key, value in annotations_of(live).items() if key != _LAST_APPLIED}
    kept = {"labels": dict(live["metadata"].get("labels") or {}), "annotations": notes}
    for key in wish.labels or {}:
        kept["labels"].pop(key, None)
    for key in wish.annotations or {}:
        kept["annotations"].pop(key, None)
    return {part: values for part, values in kept.items() if values}


def plan(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    """What is left to do for this wish."""
    planned = _absent(wish, seen) if wish.state == "absent" else _present(wish, seen)
    if isinstance(planned, Refusal):
        return planned
    return Plan(planned.steps, (*wish.warnings, *planned.warnings))


def _present(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    live = seen.find(wish.name)
    steps: list[Step] = []
    warnings: list[str] = []
    fixed = fixed_differences(wish.fields, live) if live else []
    if live and fixed:
        refusal = _cannot_change(wish, seen, live, fixed)
        if refusal:
            return refusal
        steps.append(_recreate_step(wish, live, seen, fixed))
        using = _using(seen)
        if using:
            warnings.append(
                f"StorageClass {wish.name} is made again while it is in use: volumes that exist stay as they are, and "
                f"only new ones get the new fields ({using})."
            )
    elif seen.after is not None or live is None:
        verb = "change" if live else "create"
        before, after = visible(live), visible(seen.after)
        steps.append(
            Step(
                "apply",
                f"StorageClass {wish.name}",
                f"{verb} StorageClass {wish.name}{_what_changes(before, after) if live else ''}",
                guarded=False,
                data={"before": before, "after": after},
            )
        )
    steps += _default_steps(wish, seen)
    return Plan(tuple(steps), (*warnings, *_lint(wish, seen)))


def _default_steps(wish: Wish, seen: Seen) -> list[Step]:
    """Mark first, then unmark: the head of this file says why."""
    if wish.default is None:
        return []
    if wish.default is False:
        own = seen.find(wish.name)
        return [_unmark(own)] if own and is_default(own) else []
    steps = []
    own = seen.find(wish.name)
    notes = annotations_of(own) if own else {}
    if notes.get(DEFAULT) != "true" or LEGACY_DEFAULT in notes:
        patch: dict[str, t.Optional[str]] = {DEFAULT: "true"}
        legacy = ""
        if LEGACY_DEFAULT in notes:
            patch[LEGACY_DEFAULT] = None
            legacy = ", by today's annotation in place of the beta one"
        steps.append(_mark_step("mark", wish.name, own, f"make StorageClass {wish.name} the default{legacy}", patch))
    steps += [_unmark(one) for one in seen.classes if one["metadata"]["name"] != wish.name and is_default(one)]
    return steps


def _unmark(one: Object) -> Step:
    name, notes = one["metadata"]["name"], annotations_of(one)
    patch: dict[str, t.Optional[str]] = {}
    if DEFAULT in notes:
        # Not removed: an add-on manager that finds no annotation puts its own back.
        patch[DEFAULT] = "false"
    if LEGACY_DEFAULT in notes:
        patch[LEGACY_DEFAULT] = None
    return _mark_step("unmark", name, one, f"take the mark of the default off StorageClass {name}", patch)


def _mark_step(
    action: str, name: str, live: t.Optional[Object], sentence: str, patch: t.Mapping[str, t.Optional[str]]
) -> Step:
    there = annotations_of(live) if live else {}
    before = {key: there[key] for key in (DEFAULT, LEGACY_DEFAULT) if key in there}
    after = {key: value for key, value in {**before, **patch}.items() if value is not None}
    data: dict[str, t.Any] = {"name": name, "patch": dict(patch), "live": live}
    data["before"], data["after"] = ({"metadata": {"name": name, "annotations": notes}} for notes in (before, after))
    return Step(action, f"StorageClass {name}", sentence, data=data)


def _lint(wish: Wish, seen: Seen) -> t.Iterator[str]:
    """What a user should hear of the default, although nothing was asked about it."""
    now = defaults(seen.classes)
    if wish.default is None and len(now) > 1:
        yield (
            f"{len(now)} StorageClasses are the default at once ({', '.join(now)}): claims without a class get the "
            "newest of them, whichever that is. Say default: true for the one that is meant."
        )
    if wish.default is False and now == [wish.name]:
        yield (
            f"StorageClass {wish.name} was the only default: a claim without a class now waits until there is one. Say "
            "default: true for another class."
        )


def _cannot_change(
    wish: Wish, seen: Seen, live: Object, fixed: t.Sequence[tuple[str, t.Any, t.Any]]
) -> t.Optional[Refusal]:
    evidence = [f"{field} is {_short(there)}, declared is {_short(wanted)}" for field, there, wanted in fixed]
    using = _using(seen)
    evidence.append(using or "no claim and no volume uses it")
    names = ", ".join(field for field, _there, _wanted in fixed)
    if not wish.recreate:
        return Refusal(
            f"StorageClass {wish.name}: {names} cannot be changed once the class exists. Nothing was changed.",
            tuple(evidence),
            (
                "declare it as it is",
                "declare the new one under another name, and name that in new claims",
                "set recreate to true: the class is deleted and made again, volumes that exist stay as they are",
            ),
        )
    if wish.default is None and is_default(live):
        return Refusal(
            f"StorageClass {wish.name} is the default and is to be made again: whether it is the default afterwards "
            "must be said, or a run that is killed in between would lose it. Nothing was changed.",
            tuple(evidence),
            ("set default to true", "set default to false"),
        )
    return None


def _recreate_step(wish: Wish, live: Object, seen: Seen, fixed: t.Sequence[tuple[str, t.Any, t.Any]]) -> Step:
    names = ", ".join(field for field, _there, _wanted in fixed)
    return Step(
        "recreate",
        f"StorageClass {wish.name}",
        f"delete StorageClass {wish.name} and make it again, with another {names}",
        data={"live": live, "before": visible(live), "after": visible(seen.after)},
    )


def _absent(wish: Wish, seen: Seen) -> t.Union[Plan, Refusal]:
    live = seen.find(wish.name)
    if live is None:
        return Plan()
    waiting = [one for one in seen.claims if (one.get("status") or {}).get("phase", "Pending") == "Pending"]
    if waiting and not wish.allow_pending:
        return Refusal(
            f"StorageClass {wish.name} is still waited for: without it these claims get no volume. Nothing was "
            "changed.",
            (_named("claim", [_claim(one) for one in waiting]),),
            (
                "wait until they have their volumes",
                "delete these claims, or make them anew with another class",
                "set allow_pending_claims to true, and let them wait",
            ),
        )
    warnings = []
    if waiting:
        warnings.append(f"StorageClass {wish.name}: {_named('claim', [_claim(one) for one in waiting])} will wait on.")
    if seen.volumes:
        names = [one["metadata"]["name"] for one in seen.volumes]
        warnings.append(
            f"StorageClass {wish.name} is removed, and {_named('volume', names)} of it stay with their data. They "
            "cannot grow without it, and a provisioner that reads the class when it deletes a volume leaves them there."
        )
    if defaults(seen.classes) == [wish.name]:
        warnings.append(
            f"StorageClass {wish.name} was the only default: a claim without a class now waits until there is one. Say "
            "default: true for another class."
        )
    data = {"live": live, "before": visible(live), "after": {}}
    return Plan(
        (
            Step(
                "delete",
                f"StorageClass {wish.name}",
                f"delete StorageClass {wish.name}",
                data=data,
                guarded=is_default(live),
            ),
        ),
        tuple(warnings),
    )


# Words


def _using(seen: Seen) -> str:
    """Who uses the class, in words, or nothing."""
    parts = []
    if seen.claims:
        parts.append(f"used by {_named('claim', [_claim(one) for one in seen.claims])}")
    if seen.volumes:
        parts.append(f"by {_named('volume', [one['metadata']['name'] for one in seen.volumes])}")
    return " and ".join(parts)


def _named(kind: str, names: t.Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{len(names)} {kind}{'' if len(names) == 1 else 's'} ({shown})"


def _claim(one: Object) -> str:
    phase = (one.get("status") or {}).get("phase", "Pending")
    return f"{one['metadata']['namespace']}/{one['metadata']['name']} {phase}"


def _short(value: t.Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {value[key]}" for key in sorted(value)) + "}"
    return str(value)


def _what_changes(before: Object, after: Object) -> str:
    parts = [field for field in sorted({*before, *after} - {"metadata"}) if before.get(field) != after.get(field)]
    notes = (before.get("metadata") or {}), (after.get("metadata") or {})
    parts += [part for part in ("labels", "annotations") if (notes[0].get(part) or {}) != (notes[1].get(part) or {})]
    return f" ({', '.join(parts)})" if parts else ""
