# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop that every operation uses: look, take one step, look again."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._operation import (
    Operation,
    Plan,
    Refusal,
    Step,
    carry_out,
)


class Counting(Operation[int]):
    """Counts up to a goal, one step at a time."""

    title = "counter"
    wait_timeout = 5.0

    def __init__(self, goal: int, *, wait_first: int = 0, not_yet: int = 0) -> None:
        self.value = 0
        self.goal = goal
        self.wait_first = wait_first
        self.not_yet = not_yet
        self.acted: list[str] = []
        self.paused = 0
        self.refuse_at: t.Optional[int] = None
        self.lost = False

    def observe(self) -> int:
        return self.value

    def plan(self, observed: int) -> t.Union[Plan, Refusal]:
        if observed == self.refuse_at:
            return Refusal("No further.", ("the counter is full",), ("use a bigger one",))
        steps = [
            Step("count", str(n), f"count {n}", batch="pair" if n > 10 else None)
            for n in range(observed + 1, self.goal + 1)
        ]
        if self.wait_first:
            steps.insert(0, Step("wait", "wait", "wait for the start", change=False))
        return Plan(tuple(steps))

    def act(self, steps: t.Sequence[Step], observed: int) -> None:
        if self.not_yet:
            self.not_yet -= 1
            raise NotYet("the counter is stuck")
        self.acted += [step.target for step in steps]
        self.value += len(steps)

    def facts(self, observed: int) -> dict[str, t.Any]:
        return {"value": observed}

    def blocked_by(self, observed: int) -> t.Sequence[str]:
        return ["a grain of sand"]

    def hopeless(self, observed: int) -> t.Optional[str]:
        return "the counter is broken." if self.lost else None

    def pause(self, seconds: float) -> None:
        self.paused += 1
        self.wait_first = max(0, self.wait_first - 1)


class FakeTask:
    def __init__(self, check_mode: bool = False, diff_mode: bool = False) -> None:
        self.params: dict[str, t.Any] = {}
        self.check_mode = check_mode
        self.diff_mode = diff_mode
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.orphan_after: t.Optional[int] = None

    def progress(self, line: str) -> None:
        self.lines.append(line)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        raise AssertionError("the loop has no secrets")

    def abandoned(self) -> bool:
        if self.orphan_after is None:
            return False
        self.orphan_after -= 1
        return self.orphan_after < 0


def test_takes_every_step_in_order_and_reports_them() -> None:
    operation = Counting(3)
    result = carry_out(operation, FakeTask())
    assert operation.acted == ["1", "2", "3"]
    assert result["changed"] is True
    assert [step["step"] for step in result["plan"]] == ["count 1", "count 2", "count 3"]
    assert [step["target"] for step in result["done"]] == ["1", "2", "3"]
    assert all(step["seconds"] >= 0 for step in result["done"])
    assert result["state"] == {"value": 3}


def test_nothing_to_do_changes_nothing_and_says_nothing() -> None:
    task = FakeTask()
    result = carry_out(Counting(0), task)
    assert result["changed"] is False
    assert (result["plan"], result["done"], result["diff"], task.lines) == ([], [], {}, [])


@pytest.mark.parametrize("diff", [True, False])
def test_check_mode_shows_the_whole_plan_and_acts_on_none_of_it(diff: bool) -> None:
    operation, task = Counting(2), FakeTask(check_mode=True, diff_mode=diff)
    result = carry_out(operation, task)
    assert operation.acted == []
    assert result["changed"] is True
    assert result["diff"] == {"prepared": "1. count 1\n2. count 2\n"}
    assert task.lines == ([] if diff else ["counter: would 1. count 1", "counter: would 2. count 2"])


def test_a_wait_is_no_change() -> None:
    operation = Counting(0, wait_first=3)
    result = carry_out(operation, FakeTask())
    assert (result["changed"], operation.paused, result["done"]) == (False, 3, [])


def test_not_yet_is_waited_for_and_tried_again() -> None:
    operation, task = Counting(1, not_yet=2), FakeTask()
    result = carry_out(operation, task)
    assert operation.acted == ["1"]
    assert operation.paused == 2
    assert "counter: the counter is stuck" in task.lines
    assert len(result["done"]) == 1


def test_neighbours_of_one_batch_are_taken_together_and_no_others() -> None:
    operation = Counting(13)
    operation.value = 9
    seen: list[int] = []
    act = operation.act
    operation.act = lambda steps, observed: (seen.append(len(steps)), act(steps, observed))[1]  # type: ignore[method-assign, func-returns-value]
    carry_out(operation, FakeTask())
    assert seen == [1, 3]


def test_when_the_time_is_up_the_message_says_what_blocks() -> None:
    operation = Counting(1, wait_first=10**9)
    operation.wait_timeout = 0.0
    with pytest.raises(Failure) as failure:
        carry_out(operation, FakeTask())
    assert "wait for the start" in failure.value.message
    assert "a grain of sand" in failure.value.message
    assert "wait_timeout is 0 s" in failure.value.message
    assert failure.value.facts["blocked"] == ["a grain of sand"]
    assert operation.acted == []


def test_a_hopeless_state_ends_the_wait_at_once() -> None:
    operation = Counting(1, wait_first=10**9)
    operation.lost = True
    with pytest.raises(Failure, match="the counter is broken"):
        carry_out(operation, FakeTask())
    assert operation.paused == 0


class Retreating(Counting):
    """Counts back to zero before it fails."""

    back = False
    asked = 0

    def retreat(self, observed: int) -> bool:
        self.asked += 1
        before, self.back = self.back, True
        return not before

    def plan(self, observed: int) -> t.Union[Plan, Refusal]:
        if not self.back:
            return super().plan(observed)
        steps = [Step("count-back", str(observed), f"count back from {observed}")] if observed else []
        return Plan((*steps, Step("wait", "end", "wait for nothing", change=False)))

    def act(self, steps: t.Sequence[Step], observed: int) -> None:
        if self.back:
            self.value -= 1
            return
        super().act(steps, observed)
        self.wait_first = 10**9

    def hopeless(self, observed: int) -> t.Optional[str]:
        return "it was counted back." if self.back else None


def test_when_the_time_is_up_what_was_done_may_be_taken_back_before_the_failure() -> None:
    operation = Retreating(2)
    operation.wait_timeout = -1
    with pytest.raises(Failure, match="it was counted back") as failure:
        carry_out(operation, FakeTask())
    assert [one["action"] for one in failure.value.facts["done"]] == ["count", "count-back"]
    assert (operation.value, operation.asked) == (0, 2)


def test_a_refusal_in_the_middle_reports_what_was_done() -> None:
    operation = Counting(3)
    operation.refuse_at = 2
    with pytest.raises(Failure) as failure:
        carry_out(operation, FakeTask())
    assert "No further. Seen: the counter is full. What you can do: use a bigger one." in failure.value.message
    assert failure.value.facts["changed"] is True
    assert len(failure.value.facts["done"]) == 2
    assert failure.value.facts["refusal"]["reason"] == "No further."


def test_an_error_in_the_middle_reports_what_was_done() -> None:
    operation = Counting(3)
    act = operation.act

    def failing(steps: t.Sequence[Step], observed: int) -> None:
        if observed == 1:
            raise Failure("the disk is full", status=507)
        act(steps, observed)

    operation.act = failing  # type: ignore[method-assign]
    with pytest.raises(Failure) as failure:
        carry_out(operation, FakeTask())
    assert failure.value.facts["changed"] is True
    assert len(failure.value.facts["done"]) == 1
    assert failure.value.facts["status"] == 507


def test_an_orphan_takes_no_further_step() -> None:
    operation, task = Counting(5), FakeTask()
    task.orphan_after = 2
    with pytest.raises(Failure, match="is gone"):
        carry_out(operation, task)
    assert operation.acted == ["1", "2"]


def test_an_api_server_that_goes_away_in_the_middle_is_waited_for() -> None:
    operation, task = Counting(2), FakeTask()
    observe, away = operation.observe, [False, True, True, False, False]

    def flickering() -> int:
        if away.pop(0):
            raise Unreachable("nobody answers")
        return observe()

    operation.observe = flickering  # type: ignore[method-assign]
    carry_out(operation, task)
    assert operation.acted == ["1", "2"]
    assert any("waiting for the API server (nobody answers)" in line for line in task.lines)


def test_an_api_server_that_never_answered_ends_the_task_at_once() -> None:
    operation = Counting(1)

    def gone() -> int:
        raise Unreachable("nobody answers")

    operation.observe = gone  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        carry_out(operation, FakeTask())


class Recorder:
    """A lock that writes down what happens to it, in the list that the steps are written down in too."""

    def __init__(self, operation: Counting) -> None:
        self.operation = operation
        self.held = False
        self.lost = False
        self.on_acquire: t.Callable[[], None] = lambda: None

    def acquire(self, task: t.Any, title: str, timeout: float) -> None:
        assert not self.held
        self.operation.acted.append("acquire")
        self.held = True
        self.on_acquire()

    def check(self) -> None:
        if self.lost:
            raise Failure("lost")

    def release(self) -> None:
        if self.held:
            self.operation.acted.append("release")
        self.held = False


def locked(goal: int, **more: t.Any) -> tuple[Counting, Recorder]:
    operation = Counting(goal, **more)
    lock = Recorder(operation)
    operation.lock = lock
    return operation, lock


def test_the_lock_is_held_from_the_first_change_to_the_end() -> None:
    operation, _lock = locked(3)
    carry_out(operation, FakeTask())
    assert operation.acted == ["acquire", "1", "2", "3", "release"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_to_do_needs_no_lock(check_mode: bool) -> None:
    operation, _lock = locked(5 if check_mode else 0)
    carry_out(operation, FakeTask(check_mode=check_mode))
    assert operation.acted == []


def test_a_run_that_only_waits_needs_no_lock() -> None:
    operation, _lock = locked(0, wait_first=2)
    carry_out(operation, FakeTask())
    assert operation.acted == []


def test_what_another_run_did_meanwhile_is_not_done_again() -> None:
    operation, lock = locked(3)

    def other_run() -> None:
        operation.value = 2

    lock.on_acquire = other_run
    result = carry_out(operation, FakeTask())
    assert operation.acted == ["acquire", "3", "release"]
    assert [step["target"] for step in result["done"]] == ["3"]


def test_when_another_run_did_all_of_it_nothing_has_changed() -> None:
    operation, lock = locked(3)

    def other_run() -> None:
        operation.value = 3

    lock.on_acquire = other_run
    assert carry_out(operation, FakeTask())["changed"] is False
    assert operation.acted == ["acquire", "release"]


def test_a_lost_lock_stops_before_the_next_step() -> None:
    operation, lock = locked(3)
    act = operation.act

    def act_and_lose(steps: t.Sequence[Step], observed: int) -> None:
        act(steps, observed)
        lock.lost = True

    operation.act = act_and_lose  # type: ignore[method-assign]
    with pytest.raises(Failure, match="lost") as caught:
        carry_out(operation, FakeTask())
    assert operation.acted == ["acquire", "1", "release"]
    assert caught.value.facts["changed"] is True


def test_the_lock_is_given_back_after_a_failure() -> None:
    operation, _lock = locked(3)
    operation.refuse_at = 1
    with pytest.raises(Failure):
        carry_out(operation, FakeTask())
    assert operation.acted == ["acquire", "1", "release"]


def test_an_unguarded_step_comes_before_the_lock() -> None:
    operation, _lock = locked(3)
    plan = operation.plan

    def with_unguarded_first(observed: int) -> t.Union[Plan, Refusal]:
        planned = plan(observed)
        assert isinstance(planned, Plan)
        return Plan(tuple(dataclasses.replace(step, guarded=step.target != "1") for step in planned.steps))

    operation.plan = with_unguarded_first  # type: ignore[method-assign]
    carry_out(operation, FakeTask())
    assert operation.acted == ["1", "acquire", "2", "3", "release"]
