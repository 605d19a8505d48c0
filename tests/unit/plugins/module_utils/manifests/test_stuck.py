# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods of a StatefulSet are replaced because they hold its rollout up, and which never are."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import stuck_pods

SET = Key("apps/v1", "StatefulSet", "shop", "shop")
WAITING: dict[str, t.Any] = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
RUNNING: dict[str, t.Any] = {"running": {"startedAt": "2026-01-01T00:00:01Z"}}


def live(strategy: str = "RollingUpdate", policy: str = "OrderedReady", partition: int = 0) -> dict[str, t.Any]:
    update: dict[str, t.Any] = {"type": strategy}
    if partition:
        update["rollingUpdate"] = {"partition": partition}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "shop"},
        "spec": {"replicas": 3, "podManagementPolicy": policy, "updateStrategy": update},
        "status": {"currentRevision": "good", "updateRevision": "good"},
    }


def pod(
    ordinal: int,
    *states: dict[str, t.Any],
    revision: str = "broken",
    ready: bool = False,
    changed: str = "2026-01-01T00:00:01Z",
    **metadata: t.Any,
) -> dict[str, t.Any]:
    containers = [
        {"name": f"c{n}", "image": "i", "state": {}, "ready": False, **state} for n, state in enumerate(states)
    ]
    return {
        "metadata": {
            "name": f"shop-{ordinal}",
            "uid": f"uid-{ordinal}",
            "resourceVersion": "7",
            "labels": {"controller-revision-hash": revision},
            **metadata,
        },
        "status": {
            "phase": "Pending",
            "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": changed}],
            "containerStatuses": containers,
        },
    }


def names(there: dict[str, t.Any], *pods: dict[str, t.Any], long: t.Container[str] = ()) -> list[str]:
    return [one.key.name for one in stuck_pods(SET, there, pods, long)]


def test_a_pod_of_a_broken_revision_in_which_nothing_runs_is_replaced() -> None:
    (one,) = stuck_pods(SET, live(), [pod(1, {"state": WAITING})], ())
    assert (one.key.name, one.uid, one.version, one.holds_up) == ("shop-1", "uid-1", "7", True)
    assert "no such image" in one.why
    assert names(live(), pod(10, {"state": WAITING}), pod(2, {"state": WAITING})) == ["shop-2", "shop-10"]


@pytest.mark.parametrize(
    "other",
    [
        pod(1, {"state": WAITING}, revision="good"),
        pod(1, {"state": RUNNING, "ready": True}, ready=True),
        pod(1, {"state": WAITING}, {"state": RUNNING, "ready": True}),
        pod(1, {"state": WAITING}, deletionTimestamp="now"),
        pod(1, {"state": WAITING}, name="other-1"),
        pod(1, {"state": WAITING}, name="shop-old"),
    ],
)
def test_no_other_pod_is(other: dict[str, t.Any]) -> None:
    assert names(live(), other, long={"uid-1"}) == []
    assert names(live("OnDelete"), other, long={"uid-1"}) == []


def test_a_pod_that_runs_is_replaced_only_after_long_and_where_it_never_was_ready() -> None:
    starting = pod(1, {"state": RUNNING})
    assert names(live(), starting) == []
    assert names(live(), starting, long={"uid-1"}) == ["shop-1"]
    assert names(live("OnDelete"), starting, long={"uid-1"}) == []
    ailing = pod(1, {"state": RUNNING}, changed="2026-01-01T00:07:00Z")
    assert names(live(), ailing, long={"uid-1"}) == []


def test_a_set_that_starts_all_at_once_heals_by_itself_and_a_database_does_not() -> None:
    broken = pod(1, {"state": WAITING})
    assert names(live(policy="Parallel"), broken) == []
    assert names(live("OnDelete", "Parallel"), broken) == ["shop-1"]
    (one,) = stuck_pods(SET, live("OnDelete"), [broken], ())
    assert not one.holds_up


def test_below_the_partition_a_pod_would_be_made_as_it_is() -> None:
    there = {**live(partition=2), "status": {"currentRevision": "broken", "updateRevision": "good"}}
    assert names(there, pod(1, {"state": WAITING}), pod(2, {"state": WAITING})) == ["shop-2"]
    third = pod(1, {"state": WAITING}, revision="third")
    assert names(there, third) == ["shop-1"]


def test_without_a_newest_revision_nothing_is_decided() -> None:
    assert names({**live(), "status": {}}, pod(1, {"state": WAITING})) == []


@given(
    strategy=st.sampled_from(["RollingUpdate", "OnDelete"]),
    policy=st.sampled_from(["OrderedReady", "Parallel"]),
    states=st.lists(
        st.sampled_from([{"state": WAITING}, {"state": RUNNING}, {"state": RUNNING, "ready": True}]), max_size=3
    ),
    revision=st.sampled_from(["good", "broken"]),
    ready=st.booleans(),
    long=st.booleans(),
)
def test_nothing_that_serves_or_is_new_is_ever_replaced(
    strategy: str, policy: str, states: list[dict[str, t.Any]], revision: str, ready: bool, long: bool
) -> None:
    one = pod(0, *states, revision=revision, ready=ready)
    if names(live(strategy, policy), one, long={"uid-0"} if long else ()):
        assert revision == "broken"
        assert not ready
        assert not any(state.get("ready") for state in states)
        assert long or not any("running" in state["state"] for state in states)
        assert strategy != "OnDelete" or not any("running" in state["state"] for state in states)
