# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs of a resize against an API server and a driver in memory: what is believed, and what is taken back."""

from __future__ import annotations

import copy
import types
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils import _operation
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize import Resize, Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_state import Seen

NAMES = ("a", "b", "c")
INFEASIBLE = "ControllerResizeInfeasible"


class InMemory:
    """Three claims of 10Gi. ``fails`` has the claims that do not grow, with the stage that the driver then writes."""

    def __init__(self, fails: t.Optional[dict[str, str]] = None, takes_back: bool = True) -> None:
        self.fails = fails or {}
        self.takes_back = takes_back
        self.writes: list[tuple[str, str]] = []
        self.claims = {
            name: {
                "metadata": {"name": name, "uid": name, "resourceVersion": "1", "namespace": "shop"},
                "spec": {
                    "storageClassName": "fast",
                    "volumeName": f"pv-{name}",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
                "status": {"phase": "Bound", "capacity": {"storage": "10Gi"}},
            }
            for name in NAMES
        }

    def get(self, _api_version: str, kind: str, name: str, _namespace: t.Optional[str] = None) -> t.Any:
        if kind == "PersistentVolume":
            return {"spec": {"csi": {"driver": "d"}}}
        return copy.deepcopy(self.claims.get(name))

    def list(self, _api_version: str, kind: str, *_others: t.Any, **_more: t.Any) -> list[t.Any]:
        return {
            "StorageClass": [{"metadata": {"name": "fast"}, "allowVolumeExpansion": True}],
            "CSIDriver": [{"metadata": {"name": "d"}}],
        }.get(kind, [])

    def merge(
        self, _api: str, _kind: str, name: str, _namespace: str, patch: dict[str, t.Any], dry_run: bool = False
    ) -> None:
        claim: t.Any = self.claims[name]
        after = patch["spec"]["resources"]["requests"]["storage"]
        before, has = claim["spec"]["resources"]["requests"]["storage"], claim["status"]["capacity"]["storage"]
        if quantity(after) < quantity(before) and (not self.takes_back or quantity(after) <= quantity(has)):
            raise ApiError("field can not be less", 422, "Invalid")
        if not dry_run:
            claim["spec"]["resources"]["requests"]["storage"] = after
            self.writes.append((name, after))

    def drive(self) -> None:
        for name, claim in self.claims.items():
            some: t.Any = claim
            asked, status = some["spec"]["resources"]["requests"]["storage"], some["status"]
            if quantity(asked) <= quantity(status["capacity"]["storage"]):
                continue
            if name in self.fails:
                status["allocatedResourceStatuses"] = {"storage": self.fails[name]}
                said = {"type": "ControllerResizeError", "status": "True", "message": f"no room for {asked}"}
                status["conditions"] = [said]
            else:
                some["status"] = {"phase": "Bound", "capacity": {"storage": asked}}


class FreeLock:
    held = True

    def check(self) -> None:
        pass

    release = check


class Run(Resize):
    """A resize whose waits let the driver work, which is what wakes them."""

    memory: InMemory
    #: what happens at each wait, from the first on; the driver's work when there is nothing more
    turns: list[t.Callable[[], None]]

    def pause(self, seconds: float) -> None:
        self.turns.pop(0)() if self.turns else self.memory.drive()


class Task:
    params: t.ClassVar[dict[str, t.Any]] = {}
    check_mode = diff_mode = False

    def progress(self, line: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def conceal(self, values: t.Iterable[str]) -> None:
        pass

    def abandoned(self) -> bool:
        return False


def run(memory: InMemory, roll_back: bool = True, timeout: float = 30, turns: t.Any = ()) -> dict[str, t.Any]:
    operation = Run(t.cast("t.Any", memory), "shop", Wish("20Gi", claims=NAMES, roll_back=roll_back), timeout)
    operation.lock = t.cast("t.Any", FreeLock())
    operation.memory, operation.turns = memory, list(turns)
    return carry_out(operation, Task())


def test_all_grow() -> None:
    memory = InMemory()
    result = run(memory)
    assert [one["state"] for one in result["state"]["claims"]] == ["present"] * 3
    assert memory.writes == [("a", "20Gi"), ("b", "20Gi"), ("c", "20Gi")]
    assert run(memory)["changed"] is False


def test_a_failure_of_the_first_asks_no_other() -> None:
    memory = InMemory({"a": INFEASIBLE})
    with pytest.raises(Failure, match="These were not asked to grow: b, c") as failure:
        run(memory)
    assert memory.writes == [("a", "20Gi"), ("a", "10737418241")]
    assert "no room for 20Gi. Its request was taken back to 10737418241" in failure.value.message
    assert [one["action"] for one in failure.value.facts["done"]] == ["grow", "roll-back"]


def test_a_failure_of_another_one_leaves_those_that_grew() -> None:
    memory = InMemory({"b": INFEASIBLE})
    with pytest.raises(Failure, match="These have grown, and stay so because a volume never shrinks: a, c"):
        run(memory)
    assert memory.writes[-1] == ("b", "10737418241")


def test_after_the_fault_is_gone_the_same_run_grows_them() -> None:
    memory = InMemory({"b": INFEASIBLE})
    with pytest.raises(Failure):
        run(memory)
    memory.drive()
    memory.fails = {}
    assert run(memory)["changed"] is True
    assert run(memory)["changed"] is False


def test_what_was_told_before_this_run_asked_is_not_believed() -> None:
    memory = InMemory({"b": INFEASIBLE})
    with pytest.raises(Failure):
        run(memory, roll_back=False)
    assert memory.writes[-1] == ("c", "20Gi")
    # Mended, and the driver has not looked again yet: its old word still stands at the first two waits.
    memory.fails = {}
    result = run(memory, turns=[lambda: None, lambda: None])
    assert [one["state"] for one in result["state"]["claims"]] == ["present"] * 3


def test_a_passing_trouble_is_waited_for_and_taken_back_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = InMemory({"b": "ControllerResizeInProgress"})
    now = 0.0

    def time_is_up() -> None:
        nonlocal now
        now = 60.0

    monkeypatch.setattr(_operation, "time", types.SimpleNamespace(monotonic=lambda: now))
    with pytest.raises(Failure, match="its driver may all the same finish what it began"):
        run(memory, turns=[memory.drive, memory.drive, time_is_up])
    assert memory.writes[-1] == ("b", "10737418241")
    mended = InMemory({"b": "ControllerResizeInProgress"})
    result = run(mended, turns=[mended.drive, mended.drive, mended.fails.clear])
    assert result["state"]["claims"][1]["state"] == "present"


def test_without_a_way_back_requests_stay() -> None:
    memory = InMemory({"a": INFEASIBLE})
    with pytest.raises(Failure, match="its driver says that it never will"):
        run(memory, roll_back=False)
    assert memory.writes == [("a", "20Gi")]


def test_what_is_only_slow_is_left_to_come() -> None:
    memory = InMemory()
    with pytest.raises(Failure, match="Gave up after"):
        run(memory, timeout=-1, turns=[lambda: None])
    assert memory.writes == [("a", "20Gi")]


def test_a_server_that_takes_nothing_back_is_quoted() -> None:
    memory = InMemory({"b": INFEASIBLE, "c": INFEASIBLE}, takes_back=False)
    with pytest.raises(Failure) as failure:
        run(memory)
    assert failure.value.message.count("It still asks for 20Gi: field can not be less.") == 2
    assert [one["action"] for one in failure.value.facts["done"]] == ["grow"] * 3


def test_one_that_fails_while_another_is_taken_back_is_taken_back_too() -> None:
    memory = InMemory({"b": INFEASIBLE})

    class Late(Run):
        def observe(self) -> Seen:
            if ("b", "10737418241") in memory.writes and "c" not in memory.fails:
                memory.claims["c"]["status"] = {"phase": "Bound", "capacity": {"storage": "10Gi"}}
                memory.fails["c"] = INFEASIBLE
                memory.drive()
            return super().observe()

    operation = Late(t.cast("t.Any", memory), "shop", Wish("20Gi", claims=NAMES), 30)
    operation.lock = t.cast("t.Any", FreeLock())
    operation.memory, operation.turns = memory, []
    with pytest.raises(Failure, match="claim c did not grow to 20Gi: no room for 20Gi"):
        carry_out(operation, Task())
    assert memory.writes[-2:] == [("b", "10737418241"), ("c", "10737418241")]
