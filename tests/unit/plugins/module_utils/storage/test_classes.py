# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps lead from any set of StorageClasses to the wished one, and what holds between any two of them."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._classes import (
    DEFAULT,
    LEGACY_DEFAULT,
    Seen,
    Wish,
    defaults,
    foreign_metadata,
    is_default,
    plan,
)

FAST = {"provisioner": "example.com/fast", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}


def storage_class(name: str, annotations: t.Optional[dict[str, str]] = None, **fields: t.Any) -> dict[str, t.Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": "1"}
    if annotations:
        metadata["annotations"] = dict(annotations)  # type: ignore[assignment]
    return {"metadata": metadata, **FAST, **fields}


def claim(name: str, phase: str = "Bound", class_name: str = "fast") -> dict[str, t.Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"storageClassName": class_name},
        "status": {"phase": phase},
    }


def volume(name: str) -> dict[str, t.Any]:
    return {"metadata": {"name": name}, "spec": {"storageClassName": "fast"}}


class World:
    """All classes, and what a step makes of them, as the API server would."""

    def __init__(self, classes: t.Iterable[dict[str, t.Any]]) -> None:
        self.classes = {one["metadata"]["name"]: copy.deepcopy(one) for one in classes}

    def seen(self, wish: Wish) -> Seen:
        live = self.classes.get(wish.name)
        differs = live is None or any(live.get(key) != value for key, value in wish.fields.items())
        after = {**storage_class(wish.name), **wish.fields} if differs else None
        return Seen(tuple(copy.deepcopy(one) for one in self.classes.values()), after)

    def take(self, step: Step, wish: Wish) -> None:
        if step.action == "apply":
            self.classes.setdefault(wish.name, storage_class(wish.name)).update(wish.fields)
        elif step.action == "recreate":
            kept = foreign_metadata(step.data["live"], wish)
            self.classes[wish.name] = storage_class(wish.name, kept.get("annotations"), **wish.fields)
        elif step.action == "delete":
            del self.classes[wish.name]
        else:
            metadata = self.classes[step.data["name"]]["metadata"]
            notes = metadata.setdefault("annotations", {})
            for key, value in step.data["patch"].items():
                notes.pop(key, None)
                if value is not None:
                    notes[key] = value

    def defaults(self) -> list[str]:
        return defaults(self.classes.values())


def steps_of(wish: Wish, seen: Seen) -> tuple[Step, ...]:
    planned = plan(wish, seen)
    assert isinstance(planned, Plan), planned
    return planned.steps


names = st.sampled_from(["a", "b", "c", "d"])
words = st.sampled_from(["true", "false", "True", "yes", ""])
notes = st.dictionaries(st.sampled_from([DEFAULT, LEGACY_DEFAULT, "other"]), words)
fields = st.fixed_dictionaries(
    {},
    optional={
        "reclaimPolicy": st.sampled_from(["Delete", "Retain"]),
        "allowVolumeExpansion": st.booleans(),
    },
)
worlds = st.dictionaries(names, st.tuples(notes, fields)).map(
    lambda drawn: [storage_class(name, found, **more) for name, (found, more) in drawn.items()]
)


@given(worlds, names, fields, st.booleans())
def test_switching_ends_with_exactly_one_default_and_never_has_none_between(
    classes: list[dict[str, t.Any]], name: str, wanted: dict[str, t.Any], as_planned: bool
) -> None:
    """Whether the plan is taken as it was made, or made anew before each step as the loop does."""
    world = World(classes)
    wish = Wish(name, fields={**FAST, **wanted}, default=True, recreate=True)
    had_one = bool(world.defaults())
    planned = list(steps_of(wish, world.seen(wish)))
    for _count in range(20):
        if not planned:
            break
        world.take(planned.pop(0), wish)
        assert world.defaults() or not had_one
        had_one = had_one or bool(world.defaults())
        if not as_planned:
            planned = list(steps_of(wish, world.seen(wish)))
    assert world.defaults() == [name]
    assert steps_of(wish, world.seen(wish)) == ()
    assert LEGACY_DEFAULT not in world.classes[name]["metadata"]["annotations"]


@given(worlds, names, st.integers(0, 8))
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next(
    classes: list[dict[str, t.Any]], name: str, lives: int
) -> None:
    world = World(classes)
    wish = Wish(name, fields=FAST, default=True, recreate=True)
    for step in steps_of(wish, world.seen(wish))[:lives]:
        world.take(step, wish)
    for step in steps_of(wish, world.seen(wish)):
        world.take(step, wish)
    assert world.defaults() == [name]


@given(worlds, names)
def test_what_others_wrote_is_left_alone(classes: list[dict[str, t.Any]], name: str) -> None:
    world = World(classes)
    wish = Wish(name, fields=FAST, default=True, recreate=True)
    for step in steps_of(wish, world.seen(wish)):
        world.take(step, wish)
    for one in classes:
        before = {k: v for k, v in one["metadata"].get("annotations", {}).items() if k == "other"}
        after = world.classes[one["metadata"]["name"]]["metadata"].get("annotations", {})
        assert {k: v for k, v in after.items() if k == "other"} == before


@given(worlds, names)
def test_without_a_word_on_the_default_none_is_touched(classes: list[dict[str, t.Any]], name: str) -> None:
    world = World(classes)
    before = world.defaults()
    planned = plan(Wish(name, fields={"allowVolumeExpansion": True}), world.seen(Wish(name)))
    assert isinstance(planned, Plan)
    assert not [step for step in planned.steps if step.action in ("mark", "unmark")]
    assert any("are the default at once" in warning for warning in planned.warnings) == (len(before) > 1)


@given(worlds, names)
def test_a_class_that_is_to_be_no_default_loses_both_marks(classes: list[dict[str, t.Any]], name: str) -> None:
    world = World([*classes, storage_class("z")])
    wish = Wish(name, default=False)
    if name not in world.classes:
        return
    others = [one for one in world.defaults() if one != name]
    for step in steps_of(wish, Seen(tuple(world.classes.values()))):
        world.take(step, wish)
    assert world.defaults() == others


@pytest.mark.parametrize(
    ("annotations", "default"),
    [
        ({DEFAULT: "true"}, True),
        ({LEGACY_DEFAULT: "true"}, True),
        ({DEFAULT: "false", LEGACY_DEFAULT: "true"}, True),
        ({DEFAULT: "True"}, False),
        ({DEFAULT: "yes", LEGACY_DEFAULT: "1"}, False),
        ({}, False),
    ],
)
def test_a_default_is_what_the_api_server_takes_for_one(annotations: dict[str, str], default: bool) -> None:
    assert is_default(storage_class("a", annotations)) is default


def test_the_new_default_is_marked_before_the_old_one_is_unmarked() -> None:
    seen = Seen((storage_class("old", {LEGACY_DEFAULT: "true"}), storage_class("new")))
    steps = steps_of(Wish("new", default=True), seen)
    assert [(step.action, step.data["name"], step.data["patch"]) for step in steps] == [
        ("mark", "new", {DEFAULT: "true"}),
        ("unmark", "old", {LEGACY_DEFAULT: None}),
    ]
    (unmarked,) = [
        step
        for step in steps_of(
            Wish("new", default=True),
            Seen((storage_class("x", {DEFAULT: "true"}), storage_class("new", {DEFAULT: "true"}))),
        )
        if step.action == "unmark"
    ]
    assert unmarked.data["patch"] == {DEFAULT: "false"}
    # Under the Lease, each of them.
    assert all(step.guarded for step in steps)


def test_a_class_is_made_without_the_lease() -> None:
    wish = Wish("fast", fields=FAST)
    (step,) = steps_of(wish, World([]).seen(wish))
    assert (step.action, step.guarded) == ("apply", False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("provisioner", "example.com/other"),
        ("parameters", {"type": "gp3"}),
        ("reclaimPolicy", "Retain"),
        ("volumeBindingMode", "WaitForFirstConsumer"),
    ],
)
def test_a_fixed_field_is_refused_with_who_uses_the_class(field: str, value: t.Any) -> None:
    seen = Seen(
        (storage_class("fast", parameters={"type": "gp2"}),),
        claims=tuple(claim(f"data-{number}") for number in range(7)),
        volumes=(volume("pv-1"),),
    )
    refusal = plan(Wish("fast", fields={field: value}), seen)
    assert isinstance(refusal, Refusal)
    assert field in refusal.reason
    assert refusal.evidence[-1] == (
        "used by 7 claims (shop/data-0 Bound, shop/data-1 Bound, shop/data-2 Bound, shop/data-3 Bound, shop/data-4 "
        "Bound and 2 more) and by 1 volume (pv-1)"
    )
    allowed = plan(Wish("fast", fields={field: value}, recreate=True), seen)
    assert isinstance(allowed, Plan)
    assert [step.action for step in allowed.steps] == ["recreate"]
    assert "is made again while it is in use" in allowed.warnings[0]


def test_no_parameters_and_empty_parameters_are_the_same() -> None:
    seen = Seen((storage_class("fast"),))
    assert steps_of(Wish("fast", fields={"parameters": {}}), seen) == ()


def test_the_default_is_not_made_again_without_a_word_on_the_default() -> None:
    seen = Seen((storage_class("fast", {DEFAULT: "true"}),))
    refusal = plan(Wish("fast", fields={"reclaimPolicy": "Retain"}, recreate=True), seen)
    assert isinstance(refusal, Refusal)
    assert "is the default and is to be made again" in refusal.reason


def test_a_class_that_is_waited_for_is_not_removed() -> None:
    seen = Seen((storage_class("fast"),), claims=(claim("a"), claim("b", "Pending")))
    refusal = plan(Wish("fast", "absent"), seen)
    assert isinstance(refusal, Refusal)
    assert refusal.evidence == ("1 claim (shop/b Pending)",)
    allowed = plan(Wish("fast", "absent", allow_pending=True), seen)
    assert isinstance(allowed, Plan)
    assert [step.action for step in allowed.steps] == ["delete"]
    assert "will wait on" in allowed.warnings[0]


def test_removing_a_class_tells_of_its_volumes_and_of_the_lost_default() -> None:
    seen = Seen((storage_class("fast", {DEFAULT: "true"}),), claims=(claim("a"),), volumes=(volume("pv-1"),))
    planned = plan(Wish("fast", "absent"), seen)
    assert isinstance(planned, Plan)
    assert ["stay with their data" in planned.warnings[0], "was the only default" in planned.warnings[1]] == [
        True,
        True,
    ]


def test_a_class_that_is_not_there_needs_no_removal() -> None:
    assert steps_of(Wish("fast", "absent"), Seen()) == ()
