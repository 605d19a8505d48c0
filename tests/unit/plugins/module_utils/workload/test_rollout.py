# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What rollout actions do to a StatefulSet with its controller, killed anywhere and started again."""

from __future__ import annotations

import copy
import itertools
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._workload._plan import Wish, instant
from ansible_collections.stateful.kube.plugins.module_utils._workload._rollout import Rollout
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import unfinished
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.workload.workloads import (
    BROKEN,
    CONTAINERS,
    NAME,
    PARTITION,
    Killed,
    World,
    image,
    merged,
    running,
    template,
    waiting,
)

CLOCK = itertools.count()

replicas = st.integers(1, 4)
deaths = st.none() | st.tuples(st.integers(0, 4), st.booleans())


class FakeTask:
    def __init__(self, check_mode: bool = False) -> None:
        self.params: dict[str, t.Any] = {}
        self.check_mode = check_mode
        self.diff_mode = False
        self.warnings: list[str] = []

    def progress(self, line: str) -> None:
        pass

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        raise AssertionError("there are no secrets here")

    def abandoned(self) -> bool:
        return False


def run(world: World, action: str, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
    task = FakeTask(check)
    operation = begin(world, action, 5, **options)
    return {**carry_out(operation, task), "warnings": task.warnings}


def begin(world: World, action: str, wait_timeout: float, **options: t.Any) -> Rollout:
    hours, seconds = divmod(next(CLOCK), 3600)
    now = f"2026-01-01T{hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}Z"
    cluster = t.cast("t.Any", world)
    operation = Rollout(cluster, "StatefulSet", "shop", "web", Wish(action, now, **options), wait_timeout)
    operation.pause = lambda seconds: None  # type: ignore[method-assign]
    return operation


def run_until_done(world: World, action: str, death: t.Optional[tuple[int, bool]], **options: t.Any) -> None:
    """Run, be killed at the n-th change, before or after it is done, and run again."""
    world.die_at, world.die_after = death or (None, False)
    try:
        run(world, action, **options)
    except Killed:
        run(world, action, **options)
    world.die_at = None


def seen(world: World) -> t.Any:
    return begin(world, "status", 5).observe()


def images(world: World) -> list[str]:
    return [image(world.pods[ordinal]) for ordinal in sorted(world.pods)]


def roll_out(world: World, name: str) -> None:
    world.edit({"spec": {"template": template(name)}})
    world.settle()


def kept_notes(world: World) -> bool:
    annotations = world.live["metadata"]["annotations"]
    return bool(annotations.get("stateful.kube/mongodb-set-id") == "65f0")


@settings(max_examples=60, deadline=None)
@given(replicas, st.integers(0, 3), deaths)
def test_a_restart_that_was_killed_restarts_nothing_twice(count: int, partition: int, death: t.Any) -> None:
    partition = min(partition, count - 1)
    world = World(count, partition)
    run_until_done(world, "restart", death)
    # Its second change is the note that it is complete: whoever starts it again after that wants another one.
    times = 2 if death is not None and death[0] == 1 else 1
    assert sorted(world.gone) == sorted([(n, "good", "controller") for n in range(partition, count)] * times)
    assert unfinished(seen(world)) is None
    assert set(world.live["metadata"]["annotations"]) == {"stateful.kube/mongodb-set-id"}


def test_each_new_restart_restarts() -> None:
    world = World(2)
    first, second = run(world, "restart"), run(world, "restart")
    assert [len(world.gone), first["changed"], second["changed"]] == [4, True, True]
    assert [step["action"] for step in first["done"]] == ["restart", "finish"]


def test_a_restart_of_a_set_with_a_pod_that_is_not_ready_is_no_old_one_gone_on_with() -> None:
    world = World(2)
    run(world, "restart", wait=False)
    world.settle()
    world.gone.clear()
    run(world, "restart")
    assert len(world.gone) == 2


def test_two_restarts_at_once_are_one() -> None:
    world = World(3)
    merge = world.merge

    def overtaken(*args: t.Any, **more: t.Any) -> None:
        world.merge = merge  # type: ignore[method-assign]
        with pytest.raises(Failure, match="Gave up"):
            carry_out(begin(world, "restart", 0), FakeTask())
        merge(*args, **more)

    world.merge = overtaken  # type: ignore[method-assign]
    result = run(world, "restart")
    assert [step["action"] for step in result["done"]] == ["finish"]
    assert sorted(ordinal for ordinal, _image, _who in world.gone) == [0, 1, 2]


def test_a_restart_with_a_time_happens_once() -> None:
    world = World(2)
    at = "2026-03-01T00:00:00Z"
    changed = [run(world, "restart", restarted_at=each)["changed"] for each in (at, at, "2026-02-01T00:00:00Z")]
    assert changed == [True, False, False]
    assert run(world, "restart", restarted_at="2026-03-01T00:00:01Z")["changed"]
    assert len(world.gone) == 4


@settings(max_examples=80, deadline=None)
@given(replicas, deaths, st.sampled_from(["", "Parallel"]), st.booleans())
def test_an_undo_deletes_the_broken_pods_and_nothing_else(count: int, death: t.Any, policy: str, wait: bool) -> None:
    world = World(count, policy=policy)
    roll_out(world, BROKEN)
    uids = {n: pod["metadata"]["uid"] for n, pod in world.pods.items() if image(pod) == "good"}
    assert BROKEN in images(world)
    assert len(uids) == count - 1
    run_until_done(world, "undo", death, wait=wait)
    world.settle()
    assert images(world) == ["good"] * count
    assert {n: world.pods[n]["metadata"]["uid"] for n in uids} == uids
    assert {name for _ordinal, name, who in world.gone if who == "operation"} <= {BROKEN}
    assert world.live["spec"]["template"] == template("good")
    assert kept_notes(world)
    assert world.fields_of("stateful.kube-rollout") == {}
    assert world.fields_of("shop") == merged(NAME, CONTAINERS)
    again = run(world, "undo")
    assert (again["changed"], again["plan"]) == (False, [])


def test_only_pods_that_are_not_ready_and_of_the_undone_revision_are_deleted() -> None:
    world = World(4)
    roll_out(world, BROKEN)
    world.pods[3]["status"] = running("True")
    world.settle()
    assert images(world) == ["good", "good", BROKEN, BROKEN]
    moment = copy.deepcopy(world)
    moment.pods[0]["status"] = running("False")
    moment.tick = lambda: None  # type: ignore[method-assign]
    steps = run(moment, "undo", check=True)["plan"]
    assert [step["action"] for step in steps] == ["undo", "hand-back", "wait", "replace", "wait"]
    assert "one is replaced at a time" in steps[2]["step"]
    assert steps[3]["target"] == "Pod shop/web-2"
    run(world, "undo")
    assert images(world) == ["good"] * 4
    assert world.gone[-2:] == [(2, BROKEN, "operation"), (3, BROKEN, "controller")]


def test_with_on_delete_an_idle_pod_of_the_revision_gone_back_to_stays() -> None:
    world = World(2, strategy="OnDelete")
    roll_out(world, BROKEN)
    world.pods[1]["status"] = waiting()
    world.tick = lambda: None  # type: ignore[method-assign]
    assert [step["action"] for step in run(world, "undo", check=True)["plan"]] == ["undo", "hand-back", "wait"]


def test_without_the_deletion_the_pod_would_stay_for_ever() -> None:
    world = World(3)
    roll_out(world, BROKEN)
    world.edit({"spec": {"template": template("good")}})
    world.settle()
    assert images(world) == ["good", "good", BROKEN]


@settings(max_examples=40, deadline=None)
@given(replicas, st.lists(st.sampled_from(["good", "better", "best", BROKEN]), min_size=1, max_size=4), st.data())
def test_an_undo_to_any_revision_ends_at_its_template(count: int, rolled: list[str], data: t.Any) -> None:
    world = World(count)
    for name in rolled:
        roll_out(world, name)
    kept = {one["revision"]: one["data"]["spec"]["template"] for one in world.revisions}
    number = data.draw(st.sampled_from(sorted(kept)))
    wanted = {key: value for key, value in kept[number].items() if key != "$patch"}
    if image(wanted) == BROKEN:
        return
    was = max(kept) == number
    # A set that was left behind stuck by others' reverts is not for undo to judge.
    stuck_elsewhere = {image(pod) for pod in world.pods.values()} - {
        image(world.live["spec"]["template"]),
        image(wanted),
    }
    if BROKEN in stuck_elsewhere or (was and BROKEN in images(world)):
        return
    result = run(world, "undo", to_revision=number)
    assert result["changed"] is not was
    assert world.live["spec"]["template"] == wanted
    assert set(images(world)) == {image(wanted)}
    assert run(world, "undo", to_revision=number)["changed"] is False


def test_the_numbers_of_the_status_alone_do_not_tell_that_a_rollout_is_complete() -> None:
    world = World(3)
    world.tick = lambda: None  # type: ignore[method-assign]
    assert unfinished(seen(world)) is None
    world.pods[2]["status"] = running("False")
    assert unfinished(seen(world)) == "2/3 pods ready"
    world.pods[2]["metadata"]["labels"]["controller-revision-hash"] = "web-2"
    assert unfinished(seen(world)) == "2/3 pods updated"


def test_an_undo_is_not_undone_after_a_restart_either() -> None:
    world = World(2)
    roll_out(world, BROKEN)
    run(world, "undo")
    run(world, "restart")
    assert run(world, "undo")["plan"] == []
    roll_out(world, BROKEN)
    run(world, "undo")
    assert images(world) == ["good", "good"]


@pytest.mark.parametrize("note", ["", "[]", "x", '{"held": "a"}', '{"held": 1, "partition": "x"}'])
def test_a_note_that_somebody_spoilt_is_none(note: str) -> None:
    world = World(2)
    world.edit({"metadata": {"annotations": {"stateful.kube/paused": note, "stateful.kube/restart": note}}})
    assert run(world, "resume")["changed"] is False
    assert run(world, "restart")["changed"] is True


def test_an_undo_takes_back_no_mere_restart() -> None:
    world = World(2)
    roll_out(world, "wrong")
    run(world, "restart")
    run(world, "undo")
    assert images(world) == ["good", "good"]
    only = World(1)
    run(only, "restart")
    with pytest.raises(Failure, match="differs in more than a restart"):
        run(only, "undo")


def test_check_mode_shows_the_plan_and_changes_nothing() -> None:
    world = World(3)
    roll_out(world, BROKEN)
    before = copy.deepcopy((world.live, world.pods))
    result = run(world, "undo", check=True)
    assert [step["action"] for step in result["plan"]] == ["undo", "hand-back", "replace", "wait"]
    assert result["plan"][2]["target"] == "Pod shop/web-2"
    assert result["changed"]
    assert (world.live, world.pods) == before


def test_with_on_delete_only_idle_pods_are_replaced() -> None:
    world = World(3, strategy="OnDelete")
    roll_out(world, BROKEN)
    world._remove(1, "somebody")
    world.settle()
    assert images(world) == ["good", BROKEN, "good"]
    result = run(world, "undo")
    assert [step["action"] for step in result["done"]] == ["undo", "hand-back", "replace"]
    assert images(world) == ["good"] * 3
    assert [who for _ordinal, _image, who in world.gone] == ["somebody", "operation"]
    roll_out(world, "better")
    world._remove(1, "somebody")
    world.settle()
    result = run(world, "undo")
    assert images(world) == ["good", "better", "good"]
    assert "web-1 run another revision" in result["warnings"][0]


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 4),
    st.lists(st.tuples(st.sampled_from(["pause", "resume", "grow"]), deaths), max_size=5),
)
def test_a_pause_holds_and_its_end_restores_the_partition(partition: int, acts: list[t.Any]) -> None:
    world = World(3, partition)
    held = False
    for action, death in acts:
        if action == "grow":
            world.edit({"spec": {"replicas": min(6, world.live["spec"]["replicas"] + 1)}})
            world.settle()
            continue
        run_until_done(world, action, death)
        held = action == "pause"
        there = world.live["spec"]["updateStrategy"]["rollingUpdate"]["partition"]
        assert there >= world.live["spec"]["replicas"] if held else there == partition
    if held:
        roll_out(world, "better")
        assert "better" not in images(world)
        assert run(world, "status")["changed"] is False
    run(world, "resume")
    assert world.live["spec"]["updateStrategy"]["rollingUpdate"]["partition"] == partition
    assert set(world.live["metadata"]["annotations"]) == {"stateful.kube/mongodb-set-id"}
    assert world.fields_of("stateful.kube-rollout") == {}
    assert world.fields_of("shop") == (merged(NAME, PARTITION) if partition else NAME)
    roll_out(world, "best")
    assert images(world).count("best") == max(0, world.live["spec"]["replicas"] - partition)


def test_a_partition_that_somebody_moved_during_the_pause_stays() -> None:
    world = World(3, 1)
    run(world, "pause")
    world.edit({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}})
    result = run(world, "resume")
    assert world.live["spec"]["updateStrategy"]["rollingUpdate"]["partition"] == 2
    assert "somebody else has moved the partition to 2" in result["warnings"][0]


def test_a_partition_of_others_that_holds_everything_is_left_alone() -> None:
    world = World(3, 5)
    with pytest.raises(Failure, match="is held back"):
        run(world, "restart")
    result = run(world, "resume")
    assert (result["changed"], len(result["warnings"])) == (False, 1)


def test_an_undo_while_paused_takes_hold_of_the_template_at_once() -> None:
    world = World(2)
    run(world, "pause")
    roll_out(world, BROKEN)
    assert images(world) == ["good", "good"]
    run(world, "undo")
    run(world, "resume")
    world.settle()
    assert (images(world), world.gone) == (["good", "good"], [])


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T13:30:00+01:30", "2026-01-31T12:00:00Z"),
        ("2026-01-31 12:00:00+00:00", "2026-01-31T12:00:00Z"),  # what YAML makes of one without quotes
        ("2026-01-31T12:00:00", None),
        ("noon", None),
    ],
)
def test_points_in_time(text: str, at: t.Optional[str]) -> None:
    if at:
        assert instant(text) == at
        return
    with pytest.raises(Failure, match="restarted_at: expected a point in time with its zone"):
        instant(text)


@pytest.mark.parametrize(
    ("action", "options", "strategy", "says"),
    [
        ("restart", {}, "OnDelete", "a restart would write a new revision that no pod ever gets"),
        ("pause", {}, "OnDelete", "nothing to pause or resume"),
        ("resume", {}, "OnDelete", "nothing to pause or resume"),
        ("undo", {}, "RollingUpdate", "has no revision before its newest"),
        ("undo", {"to_revision": 7}, "RollingUpdate", "has no revision 7"),
    ],
)
def test_what_is_refused_changes_nothing(action: str, options: t.Any, strategy: str, says: str) -> None:
    world = World(2, strategy=strategy)
    before = copy.deepcopy(world.live)
    with pytest.raises(Failure) as failure:
        run(world, action, **options)
    assert says in failure.value.message
    assert "Nothing was changed." in failure.value.message
    assert world.live == before


def test_a_time_out_says_what_blocks() -> None:
    world = World(2)
    roll_out(world, BROKEN)
    world.edit({"spec": {"template": template("good")}})
    world.settle()
    with pytest.raises(Failure) as failure:
        carry_out(begin(world, "status", 0), FakeTask())
    assert "web-1 is of web-2, and its controller replaces it by web-1 only after" in failure.value.message
