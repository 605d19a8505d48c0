# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that were used are given away or emptied only as it was meant, also by a run that follows a killed one."""

from __future__ import annotations

import copy
import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import EMPTY, Inside
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_objects import APPLICATION
from ansible_collections.stateful.kube.plugins.module_utils._storage._used_volumes import MARK
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_operation import PersistentVolumes
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import Seen
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_wish import wish_of
from ansible_collections.stateful.kube.plugins.modules.persistent_volumes import SPECIFICATION

ENTRY = t.cast("dict[str, t.Any]", SPECIFICATION["argument_spec"])["volumes"]["options"]
SHOP = Inside("mongodb", identity={"replica_set": "shop"}, bytes=7, files=3, users=((999, 999),))


class Killed(BaseException):
    """What ends a process between two of its requests."""


class InMemory:
    """PersistentVolumes with their resourceVersion, and the folders behind them."""

    def __init__(self, **folders: Inside) -> None:
        self.folders = dict(folders)
        self.volumes: dict[str, t.Any] = {}
        for name in folders:
            self.add(name, f"/{name}")
        #: what happens after each write
        self.then: t.Callable[[], None] = lambda: None

    def add(self, name: str, path: str, phase: str = "Released", **labels: str) -> None:
        self.volumes[name] = {
            "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "1", "labels": labels},
            "spec": {
                "nfs": {"server": "a", "path": path},
                "claimRef": {"namespace": "shop", "name": "data-0", "uid": f"claim-{name}"},
            },
            "status": {"phase": phase},
        }

    def list(self, _api_version: str, kind: str, *_others: t.Any, **_more: t.Any) -> list[t.Any]:
        return copy.deepcopy(list(self.volumes.values())) if kind == "PersistentVolume" else []

    def merge(self, _api: str, _kind: str, name: str, _namespace: None, patch: dict[str, t.Any]) -> t.Any:
        volume = self.volumes[name]
        if patch["metadata"]["resourceVersion"] != volume["metadata"]["resourceVersion"]:
            raise ApiError("the object has been modified", 409, "Conflict")
        volume["metadata"]["resourceVersion"] += "1"
        notes = volume["metadata"].setdefault("annotations", {})
        for key, value in patch["metadata"].get("annotations", {}).items():
            notes.update({key: value}) if value is not None else notes.pop(key, None)
        if "spec" in patch:
            assert patch["spec"] == {"claimRef": None}
            del volume["spec"]["claimRef"]
            volume["status"]["phase"] = "Available"
        self.then()
        return copy.deepcopy(volume)

    def bind(self, name: str) -> None:
        self.volumes[name]["spec"]["claimRef"] = {"namespace": "shop", "name": "next", "uid": "another"}
        self.volumes[name]["status"]["phase"] = "Bound"


class Hand:
    """Looks and empties in memory, as pods do."""

    class Lock:
        held = False

        def acquire(self, *_others: t.Any) -> None:
            self.held = True

        def check(self) -> None:
            assert self.held

        def release(self) -> None:
            self.held = False

    def __init__(self, memory: InMemory) -> None:
        self.memory = memory
        self.lock = self.Lock()
        self.looked: list[str] = []
        self.killed_after = ""

    def look(self, volumes: t.Sequence[tuple[t.Any, str]]) -> dict[str, Inside]:
        names = [one["metadata"]["name"] for one, kind in volumes if kind == "nfs"]
        self.looked += names
        return {name: self.memory.folders[name] for name in names}

    def wipe(self, live: t.Any, _kind: str, _users: t.Any) -> None:
        self.lock.check()
        name = live["metadata"]["name"]
        if self.killed_after == "half":
            self.memory.folders[name] = Inside("unknown", names=("WiredTiger",))
            raise Killed
        self.memory.folders[name] = Inside(EMPTY)


class Task:
    params: t.ClassVar[dict[str, t.Any]] = {}
    check_mode = diff_mode = False

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def progress(self, line: str) -> None:
        pass

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        pass

    def abandoned(self) -> bool:
        return False


def options(**given: t.Any) -> dict[str, t.Any]:
    arguments = t.cast("dict[str, dict[str, t.Any]]", SPECIFICATION["argument_spec"])
    defaults = {name: about.get("default") for name, about in arguments.items()}
    keys = dict.fromkeys(arguments["expect"]["options"])
    expect = [{**keys, **one} for one in given.pop("expect", ())]
    return {**defaults, "volumes": [], "expect": expect, **given}


def run(memory: InMemory, check: bool = False, killed: str = "", **given: t.Any) -> tuple[dict[str, t.Any], Hand, Task]:
    task, hand = Task(), Hand(memory)
    task.check_mode = check
    hand.killed_after = killed
    operation = PersistentVolumes(
        t.cast("t.Any", memory),
        wish_of(options(**given)),
        force=False,
        wait_timeout=5,
        inspector=None if check else t.cast("t.Any", hand),
    )
    return carry_out(operation, t.cast("t.Any", task)), hand, task


def actions(result: dict[str, t.Any]) -> list[str]:
    return [step["action"] for step in result["done"]]


def wipe(name: str = "pv") -> list[dict[str, str]]:
    return [{"volume": name, "confirm": name}]


def expect(name: str = "pv", **what: str) -> list[dict[str, str]]:
    return [{"volume": name, **what}]


# Look


def test_volumes_are_looked_into_only_when_asked() -> None:
    memory = InMemory(pv=SHOP)
    result, hand, _task = run(memory, rebind=["pv"])
    assert (actions(result), hand.looked) == (["rebind"], [])
    assert "claimRef" not in memory.volumes["pv"]["spec"]


def test_what_is_inside_is_told_before_a_volume_is_given_away() -> None:
    result, hand, task = run(InMemory(pv=SHOP), look_inside=True, rebind=["pv"])
    assert hand.looked == ["pv"]
    assert result["plan"][0]["step"].endswith("data-0 (MongoDB, replica set shop), to a new claim")
    assert task.warnings == []


def test_what_is_inside_is_told_of_a_volume_that_is_left_alone() -> None:
    entry = {name: about.get("default") for name, about in ENTRY.items()}
    source = {"nfs": {"server": "a", "path": "/declared"}}
    memory = InMemory(pv=SHOP, broken=Inside(problem="nobody could"))
    for volume in memory.volumes.values():
        volume["spec"]["storageClassName"] = "nfs"
    volumes = [{**entry, "name": "declared", "capacity": "1Gi", "storage_class_name": "nfs", "source": source}]
    operation = PersistentVolumes(
        t.cast("t.Any", memory),
        wish_of(options(volumes=volumes, look_inside=True)),
        force=False,
        wait_timeout=5,
        inspector=t.cast("t.Any", Hand(memory)),
    )
    seen = dataclasses.replace(Seen(tuple(memory.volumes.values())), inside=memory.folders)
    planned = operation.plan(seen)
    assert isinstance(planned, Plan)
    told = "\n".join(planned.warnings)
    assert "Inside is MongoDB, replica set shop; 7 B in 3 files. To give it" in told
    assert "Nobody looked inside: nobody could. To give it" in told
    released = operation.facts(seen)["released"]
    assert [one["inside"]["identity"] for one in released] == [{"replica_set": "shop"}, {}]


def test_the_second_volumes_of_a_look_are_not_reported() -> None:
    memory = InMemory()
    labels = {"app.kubernetes.io/name": APPLICATION, "app.kubernetes.io/managed-by": "stateful.kube"}
    memory.add("volume-inspection-1-0", "/pv", **labels)
    result, hand, _task = run(memory, look_inside=True)
    assert (result["state"]["released"], hand.looked) == ([], [])


def test_check_mode_looks_nowhere_and_says_so() -> None:
    result, hand, task = run(InMemory(pv=SHOP), check=True, rebind=["pv"], expect=expect(replica_set="shop"))
    assert ([step["action"] for step in result["plan"]], hand.looked) == (["rebind"], [])
    assert task.warnings == [
        "Check mode makes no pod, so nobody looked inside pv. A real run does, and may refuse what this one planned."
    ]


# Rebind


def test_the_expected_volume_is_given_away() -> None:
    memory = InMemory(pv=SHOP)
    result, hand, _task = run(memory, rebind=["pv"], expect=expect(engine="mongodb", replica_set="shop"))
    assert (actions(result), hand.looked) == (["rebind"], ["pv"])
    again, hand, _task = run(memory, rebind=["pv"], expect=expect(engine="mongodb", replica_set="shop"))
    assert (again["changed"], hand.looked) == (False, [])


@pytest.mark.parametrize("option", ["rebind", "wipe"])
def test_another_one_than_expected_is_refused_with_both_names(option: str) -> None:
    memory = InMemory(pv=SHOP)
    before = copy.deepcopy(memory.volumes)
    with pytest.raises(Failure) as refused:
        run(memory, **{option: ["pv"] if option == "rebind" else wipe()}, expect=expect(replica_set="other"))
    assert "replica set other" in refused.value.message
    assert "replica set shop" in refused.value.message
    assert memory.volumes == before
    assert memory.folders["pv"] == SHOP


def test_what_cannot_be_looked_into_is_not_what_is_expected() -> None:
    memory = InMemory(pv=SHOP)
    spec = memory.volumes["pv"]["spec"]
    spec["csi"] = {"driver": "d", "volumeHandle": "h"}
    del spec["nfs"]
    with pytest.raises(Failure) as refused:
        run(memory, rebind=["pv"], expect=expect(engine="mongodb"))
    assert "might be attached twice" in refused.value.message


# Wipe


def test_a_volume_is_emptied_and_free() -> None:
    memory = InMemory(pv=SHOP)
    result, hand, _task = run(memory, wipe=wipe(), expect=expect(replica_set="shop"))
    assert (actions(result), hand.looked) == (["wipe", "release"], ["pv"])
    assert memory.folders["pv"].engine == EMPTY
    assert memory.volumes["pv"]["status"]["phase"] == "Available"
    assert memory.volumes["pv"]["metadata"]["annotations"] == {}
    assert not hand.lock.held
    again, hand, _task = run(memory, wipe=wipe(), expect=expect(replica_set="shop"))
    assert (again["changed"], hand.looked) == (False, ["pv"])


def test_an_empty_volume_is_only_released() -> None:
    result, _hand, _task = run(InMemory(pv=Inside(EMPTY)), wipe=wipe())
    assert actions(result) == ["release"]


def test_a_run_that_was_killed_half_way_is_continued() -> None:
    memory = InMemory(pv=SHOP)
    with pytest.raises(Killed):
        run(memory, killed="half", wipe=wipe(), expect=expect(replica_set="shop"))
    assert memory.volumes["pv"]["metadata"]["annotations"] == {MARK: "claim-pv"}
    # What is left is no data, and nobody gets it as such.
    with pytest.raises(Failure, match="emptying PersistentVolume pv has begun"):
        run(memory, rebind=["pv"])
    # It is not what was expected any more, and all the same what was meant.
    result, _hand, _task = run(memory, wipe=wipe(), expect=expect(replica_set="shop"))
    assert actions(result) == ["wipe", "release"]
    assert memory.volumes["pv"]["metadata"]["annotations"] == {}


def test_the_mark_of_another_claim_means_nothing() -> None:
    memory = InMemory(pv=SHOP)
    memory.volumes["pv"]["metadata"]["annotations"] = {MARK: "an older claim"}
    with pytest.raises(Failure, match="is not what is expected"):
        run(memory, wipe=wipe(), expect=expect(replica_set="other"))
    result, _hand, _task = run(memory, rebind=["pv"])
    assert actions(result) == ["rebind"]


def test_a_claim_that_waits_may_have_it_at_once() -> None:
    memory = InMemory(pv=SHOP)

    def bind() -> None:
        if memory.volumes["pv"]["status"]["phase"] == "Available":
            memory.bind("pv")

    memory.then = bind
    result, _hand, _task = run(memory, wipe=wipe())
    assert actions(result) == ["wipe", "release"]


def test_somebody_who_changed_it_meanwhile_is_seen() -> None:
    """Rebound by hand after this run looked: what is on it is not taken."""
    memory = InMemory(pv=SHOP)

    class Meddling(Hand):
        def look(self, volumes: t.Sequence[tuple[t.Any, str]]) -> dict[str, Inside]:
            found = super().look(volumes)
            memory.bind("pv")
            memory.volumes["pv"]["metadata"]["resourceVersion"] = "9"
            return found

    hand = Meddling(memory)
    operation = PersistentVolumes(
        t.cast("t.Any", memory),
        wish_of(options(wipe=wipe())),
        force=False,
        wait_timeout=5,
        inspector=t.cast("t.Any", hand),
    )
    with pytest.raises(Failure, match="pv is Bound: only one whose claim was deleted is emptied"):
        carry_out(operation, t.cast("t.Any", Task()))
    assert memory.folders["pv"] == SHOP


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda memory: memory.bind("pv"), "is Bound"),
        (lambda memory: memory.volumes["pv"]["status"].update(phase="Pending"), "is Pending"),
        (lambda memory: memory.add("twin", "/pv/below", "Bound"), "would take data of the other"),
        (lambda memory: memory.volumes.pop("pv"), "there is no PersistentVolume pv"),
        (lambda memory: memory.volumes["pv"]["spec"].update(volumeMode="Block"), "nobody could look inside"),
        (lambda memory: memory.volumes["pv"]["status"].update(phase="Available"), "and it is not empty"),
    ],
)
def test_what_may_be_in_use_is_not_emptied(change: t.Callable[[InMemory], None], says: str) -> None:
    memory = InMemory(pv=SHOP)
    change(memory)
    before = copy.deepcopy(memory.volumes)
    with pytest.raises(Failure) as refused:
        run(memory, wipe=wipe())
    assert says in refused.value.message
    assert (memory.volumes, memory.folders["pv"]) == (before, SHOP)


# Options


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"wipe": [{"volume": "pv", "confirm": "yes"}]}, "expected confirm to repeat the name"),
        ({"wipe": wipe(), "rebind": ["pv"]}, "is named in rebind as well"),
        ({"wipe": wipe(), "state": "absent"}, "state: absent only removes objects"),
        ({"rebind": ["pv"], "expect": expect("vp", engine="mysql")}, "named neither in rebind nor in wipe"),
        ({"rebind": ["pv"], "expect": expect()}, "say what it has to hold"),
    ],
)
def test_wrong_options_are_refused(given: dict[str, t.Any], says: str) -> None:
    with pytest.raises(Failure) as refused:
        wish_of(options(**given))
    assert says in refused.value.message
