# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The one shape of every operation: observe, plan, then take the first step and look again.

A planner is a pure function from what is wanted and what was observed to a Plan or a Refusal. The loop here
is the only place that decides when a step is taken, when it waits, and what is reported.
"""

from __future__ import annotations

import abc
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet, Unreachable

Observed = t.TypeVar("Observed")

# A line of progress is repeated this often (seconds) even if nothing changed, so that nobody stares at silence.
PROGRESS_EVERY = 10.0
# Characters after which a sentence that is said again is cut.
LONG = 160
# Where nothing can wake a wait, it looks again after this long (seconds).
LOOK_AGAIN = 0.5


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do. ``sentence`` says it to people; ``data`` holds what the act needs.

    A step with ``change`` false only waits. Neighbouring steps with the same ``batch`` may be taken together. A step
    with ``guarded`` false is safe beside another run, and is taken before the application's lock is.
    """

    action: str
    target: str
    sentence: str
    change: bool = True
    batch: t.Optional[str] = None
    guarded: bool = True
    data: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def report(self) -> dict[str, t.Any]:
        return {"action": self.action, "target": self.target, "step": self.sentence}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is left to do, in order. An empty plan means that nothing is."""

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.change)


@dataclasses.dataclass(frozen=True)
class Refusal:
    """The operation will not go on: why, what was seen, and what the user can choose."""

    reason: str
    evidence: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    def sentence(self) -> str:
        parts = [self.reason]
        if self.evidence:
            parts.append(f"Seen: {'; '.join(self.evidence)}.")
        if self.choices:
            parts.append(f"What you can do: {'; or '.join(self.choices)}.")
        return " ".join(parts)


class Task(t.Protocol):
    """What an operation sees of Ansible, the same inside a module and inside the ansible-playbook process."""

    params: dict[str, t.Any]
    check_mode: bool
    diff_mode: bool

    def progress(self, line: str) -> None:
        """Show one line to whoever waits, where that is possible."""

    def warn(self, text: str) -> None:
        """Give the task a warning."""

    def conceal(self, values: t.Iterable[str]) -> None:
        """Mask these values wherever Ansible would show them."""

    def abandoned(self) -> bool:
        """Tell whether the process that started this work is gone."""


class Lock(t.Protocol):
    """Keeps others from changing the same application meanwhile."""

    @property
    def held(self) -> bool:
        """Whether it was acquired and not released since."""

    def acquire(self, task: Task, title: str, timeout: float) -> None:
        """Wait until nobody else holds it, and take it. Raises Failure after ``timeout`` seconds."""

    def check(self) -> None:
        """Make sure that it is still ours, just before something is changed. Raises Failure."""

    def release(self) -> None:
        """Give it back. Does nothing where it is not held."""


class Operation(abc.ABC, t.Generic[Observed]):
    """What one operation has to say for itself. Only act changes anything."""

    #: what the progress lines begin with
    title: str
    #: seconds that the wait for any one step may take
    wait_timeout: float
    #: held while something is changed, from the first change to the end; None where nothing needs it
    lock: t.Optional[Lock] = None

    @abc.abstractmethod
    def observe(self) -> Observed:
        """One snapshot of the cluster and of the application."""

    @abc.abstractmethod
    def plan(self, observed: Observed) -> t.Union[Plan, Refusal]:
        """What is left to do, from this snapshot alone."""

    @abc.abstractmethod
    def act(self, steps: t.Sequence[Step], observed: Observed) -> None:
        """Take these steps (one, or one batch). Raises NotYet when waiting may help."""

    @abc.abstractmethod
    def facts(self, observed: Observed) -> dict[str, t.Any]:
        """What the result says of the state at the end."""

    def blocked_by(self, observed: Observed) -> t.Sequence[str]:
        """What stands in the way right now, for the message when the time is up."""
        return ()

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        """Why no waiting will help, or None."""
        return None

    def retreat(self, observed: Observed) -> bool:
        """Turn to taking back what cannot be finished, when there is no hope or no time left; whether there is any.

        From then on the plan is that of the way back, and ends in a wait that is hopeless.
        """
        return False

    def pause(self, seconds: float) -> None:
        """Wait for a change of what was observed, at most this long."""
        time.sleep(seconds)

    def close(self) -> None:
        """Let go of what observing and waiting opened. The loop calls it in the end."""

    def diff(self, plan: Plan) -> t.Any:
        """What ``--diff`` shows."""
        return {"prepared": "".join(f"{line}\n" for line in plan_lines(plan))} if plan.changes else {}


def step_diffs(plan: Plan) -> list[dict[str, t.Any]]:
    """What ``--diff`` shows of steps whose data has ``before`` and ``after``; of others the sentence."""
    return [
        {
            "before_header": step.sentence,
            "after_header": step.sentence,
            "before": step.data["before"],
            "after": step.data["after"],
        }
        if "before" in step.data
        else {"prepared": f"{step.sentence}\n"}
        for step in plan.changes
    ]


def plan_lines(plan: Plan) -> list[str]:
    return [f"{number}. {step.sentence}" for number, step in enumerate(plan.steps, 1)]


def carry_out(operation: Operation[Observed], task: Task) -> dict[str, t.Any]:
    """Run the operation to its end, close it, and return the result of the task. Raises Failure."""
    try:
        return _carried_out(operation, task)
    finally:
        operation.close()


def _carried_out(operation: Operation[Observed], task: Task) -> dict[str, t.Any]:
    loop = _Loop(operation, task)
    observed, plan = loop.look()
    first = plan
    if not task.check_mode:
        try:
            observed = loop.work(observed, plan)
        except Failure as failure:
            failure.facts = {"changed": loop.changed, "done": loop.done, **failure.facts}
            raise
        finally:
            if operation.lock:
                operation.lock.release()
    elif not task.diff_mode:
        for line in plan_lines(first):
            task.progress(f"{operation.title}: would {line}")
    for warning in sorted({*first.warnings, *loop.warnings}):
        task.warn(warning)
    return {
        "changed": bool(first.changes) if task.check_mode else loop.changed,
        "plan": [step.report() for step in first.steps],
        "done": loop.done,
        "state": operation.facts(observed),
        "diff": operation.diff(first),
    }


class _Loop(t.Generic[Observed]):
    def __init__(self, operation: Operation[Observed], task: Task) -> None:
        self.operation = operation
        self.task = task
        self.changed = False
        self.done: list[dict[str, t.Any]] = []
        self.warnings: set[str] = set()
        self._said = ""
        self._said_at = 0.0

    def look(self) -> tuple[Observed, Plan]:
        observed = self.operation.observe()
        plan = self.operation.plan(observed)
        if isinstance(plan, Refusal):
            raise Failure(
                plan.sentence(),
                refusal=dataclasses.asdict(plan),
                state=self.operation.facts(observed),
            )
        self.warnings.update(plan.warnings)
        return observed, plan

    def work(self, observed: Observed, plan: Plan) -> Observed:
        since = time.monotonic()
        announced: tuple[Step, ...] = ()
        while plan.steps:
            if self.task.abandoned():
                raise Failure(
                    f"{self.operation.title}: stopped before '{plan.steps[0].sentence}', because the process that "
                    "started this run is gone. Run the same command again to go on."
                )
            steps = _together(plan.steps)
            if self._needs_lock(steps):
                self._lock()
                # Another run may have changed everything while this one waited.
                observed, plan = self._look_again(since)
                since = time.monotonic()
                continue
            obstacle = ""
            started = time.monotonic()
            if steps[0].change:
                if steps != announced:
                    self._say("; ".join(step.sentence for step in steps) if len(steps) < 3 else _summary(steps))
                    announced = steps
                try:
                    self.operation.act(steps, observed)
                except (NotYet, Unreachable) as not_yet:
                    obstacle = str(not_yet)
                else:
                    took = round(time.monotonic() - started, 3)
                    self.done += [{**step.report(), "seconds": took} for step in steps]
                    self.changed = True
                    since = time.monotonic()
            else:
                obstacle = steps[0].sentence
            if obstacle:
                self._wait(obstacle, observed, since)
            observed, plan = self._look_again(since)
        return observed

    def _needs_lock(self, steps: t.Sequence[Step]) -> bool:
        lock = self.operation.lock
        if lock is None or not (steps[0].change and steps[0].guarded):
            return False
        if lock.held:
            lock.check()
            return False
        return True

    def _lock(self) -> None:
        if self.operation.lock:
            self.operation.lock.acquire(self.task, self.operation.title, self.operation.wait_timeout)

    def _look_again(self, since: float) -> tuple[Observed, Plan]:
        """Look, and sit out an API server that is away: it has answered before."""
        while True:
            try:
                return self.look()
            except Unreachable as unreachable:
                waited = time.monotonic() - since
                if waited > self.operation.wait_timeout or self.task.abandoned():
                    raise
                self._say(f"waiting for the API server ({unreachable.message})", waited)
                time.sleep(LOOK_AGAIN)

    def _wait(self, obstacle: str, observed: Observed, since: float) -> None:
        waited = time.monotonic() - since
        lost = self.operation.hopeless(observed)
        if (lost or waited > self.operation.wait_timeout) and self.operation.retreat(observed):
            return
        if lost or waited > self.operation.wait_timeout:
            blocked = self.operation.blocked_by(observed)
            how = (
                lost
                or f"Gave up after {waited:.0f} s (wait_timeout is {self.operation.wait_timeout:.0f} s) "
                f"while waiting: {obstacle.rstrip('.')}."
            )
            text = f"{self.operation.title}: {how}"
            if blocked:
                text += f" What blocks it: {'; '.join(phrase.rstrip('.') for phrase in blocked)}."
            raise Failure(
                f"{text} What is done stays done; the same command goes on from here.",
                blocked=list(blocked),
                state=self.operation.facts(observed),
            )
        self._say(obstacle, waited)
        self.operation.pause(LOOK_AGAIN)

    def _say(self, text: str, waited: float = 0.0) -> None:
        now = time.monotonic()
        if text != self._said or now - self._said_at > PROGRESS_EVERY:
            # What was said in full once need not fill the screen.
            words = text if text != self._said or len(text) < LONG else f"{text[:LONG].rsplit(' ', 1)[0]} …"
            self.task.progress(f"{self.operation.title}: {words}" + (f" ({waited:.0f} s)" if waited >= 1 else ""))
            self._said, self._said_at = text, now


def _together(steps: t.Sequence[Step]) -> tuple[Step, ...]:
    first = steps[0]
    if first.batch is None:
        return (first,)
    count = next((i for i, step in enumerate(steps) if step.batch != first.batch), len(steps))
    return tuple(steps[:count])


def _summary(steps: t.Sequence[Step]) -> str:
    return f"{steps[0].sentence}, and {len(steps) - 1} more"
