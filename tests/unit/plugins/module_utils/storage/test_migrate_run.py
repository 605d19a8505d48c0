# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole moves of claims against a cluster in memory: killed before every request, failing, and disturbed."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import types
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils import _operation
from ansible_collections.stateful.kube.plugins.module_utils._cluster import _parallel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate import Migrate
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import Wish

from .claims_in_memory import NAMESPACE, InMemory, Killed

NAMES = ["data-web-0", "data-web-1", "data-web-2"]
CONTENT = {"content 0", "content 1", "content 2"}
MOVE = Wish("web", "fast")
LEAVE = Wish("web", "fast", data="leave", confirm="web")


class FreeLock:
    held = True

    def check(self) -> None:
        pass

    release = check


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


class InTurn(concurrent.futures.Executor):
    """Calls one after the other: to start threads takes longer than all that the cluster in memory does."""

    def __init__(self, _workers: int) -> None:
        pass

    def submit(self, function: t.Callable[..., t.Any], /, *args: t.Any, **kwargs: t.Any) -> t.Any:
        future: concurrent.futures.Future[t.Any] = concurrent.futures.Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as exc:
            future.set_exception(exc)
        return future


@pytest.fixture(autouse=True, scope="module")
def in_turn() -> t.Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            _parallel, "concurrent", types.SimpleNamespace(futures=types.SimpleNamespace(ThreadPoolExecutor=InTurn))
        )
        yield


class Run(Migrate):
    """A move whose waits let the controllers work, which is what wakes them."""

    def pause(self, seconds: float) -> None:
        t.cast("InMemory", self.cluster).tick()
        self._follow()


def run(memory: InMemory, wish: Wish = MOVE, timeout: float = 2) -> dict[str, t.Any]:
    operation = Run(t.cast("t.Any", memory), NAMESPACE, wish, timeout, "image", "Never", None, lambda line: None)
    operation.lock = t.cast("t.Any", FreeLock())
    return carry_out(operation, Task())


def killed(memory: InMemory, before: int, wish: Wish = MOVE) -> bool:
    """Run, and die before a request; whether it died."""
    memory.writes.clear()
    memory.kill_before = before
    try:
        run(memory, wish)
    except Killed:
        return True
    finally:
        memory.kill_before = 0
    return False


def unchanged(memory: InMemory) -> None:
    """As it was before any of this."""
    live = memory.objects["StatefulSet", "web"]
    assert live["spec"]["replicas"] == 2
    assert "stateful.kube/migration" not in (live["metadata"].get("annotations") or {})
    assert live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:replicas"] == {}
    assert len(live["metadata"]["managedFields"]) == 1
    assert memory.names("PersistentVolumeClaim") == NAMES
    assert {memory.content_of(name) for name in NAMES} == CONTENT
    memory.tick()
    assert memory.names("PersistentVolume") == sorted(memory.volume_of(name) for name in NAMES)
    for name in memory.names("PersistentVolume"):
        volume = memory.objects["PersistentVolume", name]
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        assert not volume["metadata"].get("labels")
    assert memory.names("Pod") == ["web-0", "web-1"]


def moved(memory: InMemory, old_volumes: int = 3) -> None:
    memory.tick()
    live = memory.objects["StatefulSet", "web"]
    assert live["spec"]["replicas"] == 2
    assert live["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert not live["metadata"].get("annotations")
    assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["stateful.kube"]
    assert live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"] == {"f:replicas": {}, "f:template": {}}
    assert memory.names("PersistentVolumeClaim") == NAMES
    for number, name in enumerate(NAMES):
        claim = memory.objects["PersistentVolumeClaim", name]
        assert claim["spec"]["storageClassName"] == "fast"
        assert claim["metadata"]["labels"] == {"number": str(number)}
        assert memory.content_of(name) == f"content {number}"
        volume = memory.objects["PersistentVolume", memory.volume_of(name)]
        assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        assert not volume["metadata"].get("labels")
    left = [one for one in memory.list("v1", "PersistentVolume") if one["spec"]["storageClassName"] == "slow"]
    assert len(left) == old_volumes
    for volume in left:
        assert volume["status"]["phase"] == "Released"
        assert volume["metadata"]["labels"] == {"stateful.kube/migration": "left"}
        name = volume["spec"]["claimRef"]["name"]
        assert volume["metadata"]["annotations"]["stateful.kube/left-by"] == f"StatefulSet shop/web claim {name}"
        assert memory.data[volume["metadata"]["name"]] == f"content {name[-1]}"
    assert memory.names("Pod") == ["web-0", "web-1"]
    assert memory.names("Secret") == []


@pytest.mark.parametrize("eager", [False, True])
def test_claims_move_with_their_data_and_a_second_run_has_nothing_to_do(eager: bool) -> None:
    memory = InMemory(eager=eager)
    result = run(memory)
    moved(memory)
    assert result["changed"]
    assert [one["copied"]["sha256"] for one in result["state"]["claims"]] == ["abc"] * 3
    assert len(result["state"]["left_volumes"]) == 0 or len(result["state"]["left_volumes"]) == 3
    again = run(memory)
    assert not again["changed"]
    assert again["plan"] == []
    assert len(again["state"]["left_volumes"]) == 3


def test_old_volumes_are_deleted_last_of_all_where_that_is_asked_for() -> None:
    memory = InMemory()
    result = run(memory, dataclasses.replace(MOVE, old_volumes="delete"))
    moved(memory, old_volumes=0)
    actions = [one["action"] for one in result["done"]]
    assert actions[-3:] == ["settle-old"] * 3
    assert actions.index("recreate") == len(actions) - 4


def requests_of(wish: Wish, eager: bool) -> int:
    memory = InMemory(eager=eager)
    run(memory, wish)
    return len(memory.writes)


@pytest.mark.parametrize("eager", [False, True])
def test_killed_before_any_request_the_same_command_goes_on_and_nothing_is_lost(eager: bool) -> None:
    total = requests_of(MOVE, eager)
    assert total > 40
    for number in range(1, total + 1):
        memory = InMemory(eager=eager)
        assert killed(memory, number)
        assert set(memory.data.values()) >= CONTENT
        memory.tick()
        assert set(memory.data.values()) >= CONTENT
        run(memory)
        moved(memory)
        assert not run(memory)["changed"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 14), st.booleans()), max_size=12),
    st.booleans(),
    st.sampled_from(["retain", "delete"]),
)
def test_killed_again_and_again_it_still_ends(kills: list[tuple[int, bool]], eager: bool, fate: str) -> None:
    memory = InMemory(eager=eager)
    wish = dataclasses.replace(MOVE, old_volumes=fate)
    for number, look in kills:
        killed(memory, number, wish)
        assert {memory.content_of(name) for name in NAMES if memory.has_volume(name)} <= CONTENT
        if look:
            memory.tick()
    run(memory, wish)
    moved(memory, old_volumes=3 if fate == "retain" else 0)


@pytest.mark.parametrize("number", range(1, 36))
def test_data_that_is_left_is_kept_whatever_happens(number: int) -> None:
    memory = InMemory()
    killed(memory, number, LEAVE)
    memory.tick()
    run(memory, LEAVE)
    memory.tick()
    assert set(memory.data.values()) >= CONTENT
    assert memory.names("PersistentVolumeClaim") == NAMES[:2]
    assert {memory.content_of(name) for name in NAMES[:2]} == {""}
    assert memory.objects["StatefulSet", "web"]["spec"]["replicas"] == 2
    assert not run(memory, LEAVE)["changed"]
    left = [one for one in memory.list("v1", "PersistentVolume") if one["spec"]["storageClassName"] == "slow"]
    assert [one["metadata"]["labels"] for one in left] == [{"stateful.kube/migration": "left"}] * 3


def test_data_is_left_only_where_the_name_is_typed_again() -> None:
    memory = InMemory()
    with pytest.raises(Failure, match="the application starts empty on class fast"):
        run(memory, dataclasses.replace(LEAVE, confirm="wed"))
    assert memory.writes == []


def test_a_copy_that_fails_brings_everything_back() -> None:
    memory = InMemory()
    memory.fails["data-web-1"] = "copying: No space left on device"
    with pytest.raises(Failure, match="copying claim data-web-1 failed: copying: No space left on device") as failure:
        run(memory)
    assert "is on its old claims again, with 2 pods, and no data was lost" in failure.value.message
    unchanged(memory)
    memory.fails.clear()
    run(memory)
    moved(memory)


def test_killed_on_the_way_back_the_next_run_goes_all_the_way_back_or_makes_a_new_copy() -> None:
    number, again = 0, 0
    while True:
        number += 1
        memory = InMemory()
        memory.fails["data-web-1"] = "no room"
        try:
            killed(memory, number)
        except Failure:
            break
        memory.fails.clear()
        memory.tick()
        started = bool(memory.objects["StatefulSet", "web"]["spec"]["replicas"])
        if started:  # the pods run on their old claims, and write
            memory.data[memory.volume_of("data-web-0")] += ", and more"
        try:
            run(memory)
        except Failure:
            # The pod that failed was still there: it is gone now, and the next run has nothing of all this.
            again += 1
            assert not started
            unchanged(memory)
            run(memory)
        if started:
            assert memory.content_of("data-web-0") == "content 0, and more"
        else:
            moved(memory)
    assert number > 15
    assert again


def test_a_copy_is_thrown_away_when_somebody_has_started_the_pods_meanwhile() -> None:
    total = requests_of(MOVE, False)
    late = 0
    for number in range(1, total + 1):
        memory = InMemory()
        killed(memory, number)
        if "StatefulSet" not in {kind for kind, _name in memory.objects} or set(NAMES) - set(
            memory.names("PersistentVolumeClaim")
        ):
            break  # from the first claim that is gone on there is no way for the pods to write into old volumes
        memory.scale(2)
        memory.tick()
        volume = memory.volume_of("data-web-0")
        memory.data[volume] += ", and more"
        late += 1
        run(memory)
        assert memory.content_of("data-web-0") == "content 0, and more", number
    assert late > 15


def test_asked_for_the_old_class_an_interrupted_move_is_given_up() -> None:
    memory = InMemory()
    assert killed(memory, 14)
    assert memory.objects["StatefulSet", "web"]["spec"]["replicas"] == 0
    memory.tick()
    with pytest.raises(Failure, match="a move of its claims with other options is under way"):
        run(memory, dataclasses.replace(MOVE, size="2Gi"))
    run(memory, Wish("web", "slow"))
    unchanged(memory)


def test_a_pod_that_never_comes_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = InMemory()
    original = memory._run
    now = 0.0

    def never(pod: dict[str, t.Any]) -> None:
        nonlocal now
        if pod["metadata"]["name"] == "data-web-0-migration":
            now += 1
        else:
            original(pod)

    monkeypatch.setattr(_operation, "time", types.SimpleNamespace(monotonic=lambda: now))
    memory._run = never  # type: ignore[method-assign]
    with pytest.raises(Failure, match="the move did not go on within 2 s"):
        run(memory)
    memory._run = original  # type: ignore[method-assign]
    unchanged(memory)


def test_an_image_that_cannot_run_stops_nothing() -> None:
    memory = InMemory()
    memory.fails["web"] = "the image has no sha256sum"
    with pytest.raises(Failure, match="the pod that tried the image failed: the image has no sha256sum"):
        run(memory)
    assert [one for one in memory.writes if "StatefulSet" in one] == []
    unchanged(memory)


def test_a_claim_that_somebody_made_in_between_is_not_touched() -> None:
    memory = InMemory()
    total = requests_of(MOVE, False)
    for number in range(1, total):
        memory = InMemory()
        killed(memory, number)
        if "data-web-0" not in memory.names("PersistentVolumeClaim"):
            break
    spec = {"storageClassName": "slow", "resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"]}
    memory.put("PersistentVolumeClaim", "data-web-0", {"spec": spec})
    memory.tick()
    with pytest.raises(Failure, match="claim data-web-0 was made by somebody else in the middle of the move"):
        run(memory)
    assert set(memory.data.values()) >= CONTENT


def test_a_new_volume_that_somebody_deleted_in_between_is_told_with_the_old_one() -> None:
    memory = InMemory()
    for number in range(1, requests_of(MOVE, False)):
        memory = InMemory()
        killed(memory, number)
        if not set(memory.names("PersistentVolumeClaim")) & {"data-web-0", "data-web-0-migration"}:
            break
    for volume in memory.list("v1", "PersistentVolume"):
        if volume["spec"]["storageClassName"] == "fast":
            del memory.objects["PersistentVolume", volume["metadata"]["name"]]
    with pytest.raises(Failure, match="the new volumes of these claims are gone, and so are the claims"):
        run(memory)
