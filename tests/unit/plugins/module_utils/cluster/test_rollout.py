# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of a workload that waits: a cluster that answers from a table stands in for the real one."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _rollout
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import (
    diagnose,
    last_word,
    newest_pods,
    unbound_claim,
)


class Table:
    def __init__(self, **objects: list[dict[str, t.Any]]) -> None:
        self.objects = objects

    def list(self, _version: str, kind: str, _namespace: str = "", labels: str = "", fields: str = "") -> t.Any:
        if kind not in self.objects:
            raise ApiError("forbidden", 403)
        return self.objects[kind] if "type=Normal" not in fields else []

    def log_tail(self, *_args: t.Any) -> list[str]:
        return []


def denied(time: str) -> dict[str, t.Any]:
    return {
        "involvedObject": {"kind": "StatefulSet", "name": "shop"},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "exceeded quota",
        "lastTimestamp": time,
    }


def pod(created: str) -> dict[str, t.Any]:
    ready = {"type": "Ready", "status": "True"}
    return {"metadata": {"name": "shop-0", "creationTimestamp": created}, "status": {"conditions": [ready]}}


def told(*pods: dict[str, t.Any]) -> list[str]:
    cluster: t.Any = Table(Pod=list(pods), Event=[denied("2026-01-01T00:05:00Z")])
    return diagnose(cluster, "shop", "app=shop", ["shop"])


def test_a_denial_is_told_until_pods_have_come_after_it() -> None:
    assert told() == ["shop: StatefulSet shop: exceeded quota"]
    assert told(pod("2026-01-01T00:04:00Z")) == ["shop: StatefulSet shop: exceeded quota"]
    assert told(pod("2026-01-01T00:06:00Z")) == []


def test_a_claim_that_no_pod_waits_for_is_explained_as_well() -> None:
    claim = {
        "metadata": {"name": "data", "namespace": "shop"},
        "spec": {"storageClassName": "big", "resources": {"requests": {"storage": "300Gi"}}},
        "status": {"phase": "Pending"},
    }
    volume = {
        "metadata": {"name": "pv-200"},
        "spec": {"storageClassName": "big", "capacity": {"storage": "200Gi"}},
        "status": {"phase": "Available"},
    }
    event = {"message": "no volume yet", "lastTimestamp": "2026-01-01T00:05:00Z"}
    cluster: t.Any = Table(Event=[event], StorageClass=[], PersistentVolume=[volume])
    text = unbound_claim(cluster, claim)
    assert text.startswith("claim data (300Gi of class big) is Pending: no volume yet. There is no StorageClass big")
    assert "pv-200 (200Gi, Available, smaller than 300Gi)" in text
    assert unbound_claim(cluster, {**claim, "status": {"phase": "Bound"}}) == ""


def test_an_object_of_which_nothing_is_told_is_no_defect() -> None:
    quiet: t.Any = Table(Event=[])
    mute: t.Any = Table()
    told_of: t.Any = Table(Event=[denied("2026-01-01T00:05:00Z")])
    assert last_word(quiet, "shop", "PersistentVolumeClaim", "data") == ""
    assert last_word(mute, "shop", "PersistentVolumeClaim", "data") == ""
    assert last_word(told_of, "shop", "StatefulSet", "shop") == "StatefulSet shop: exceeded quota"


def _claim_event(kind: str, reason: str, second: int) -> dict[str, t.Any]:
    return {
        "involvedObject": {"kind": "PersistentVolumeClaim", "name": "data"},
        "type": kind,
        "reason": reason,
        "message": f"{reason} of {second}",
        "lastTimestamp": f"2026-01-01T00:05:{second:02}Z",
    }


def test_an_attempt_that_is_announced_does_not_hide_how_the_last_one_ended() -> None:
    def word(*events: tuple[str, str, int]) -> str:
        cluster: t.Any = Table(Event=[_claim_event(*event) for event in events])
        return last_word(cluster, "shop", "PersistentVolumeClaim", "data").partition(": ")[2]

    failed, tried = ("Warning", "ProvisioningFailed", 7), ("Normal", "Provisioning", 9)
    assert word(failed, tried) == "ProvisioningFailed of 7"
    assert word(tried, failed, ("Warning", "ProvisioningFailed", 5)) == "ProvisioningFailed of 7"
    assert word(tried) == "Provisioning of 9"
    assert word(("Normal", "WaitForFirstConsumer", 3), ("Normal", "ExternalProvisioning", 4)).startswith("External")
    assert word(failed, ("Normal", "ProvisioningSucceeded", 9)) == ""
    # Of one second: what says more. A failure of a growth that is long mended is no news.
    assert word(("Normal", "ExternalExpanding", 8), ("Normal", "Resizing", 8)) == "Resizing of 8"
    assert word(("Warning", "VolumeResizeFailed", 3), ("Normal", "Resizing", 8)) == "Resizing of 8"


def test_pods_that_wait_for_the_same_thing_share_one_phrase() -> None:
    def waiting(name: str, image: str) -> dict[str, t.Any]:
        state = {"waiting": {"reason": "ErrImagePull", "message": f"no {image} here"}}
        container = {"name": "c", "image": image, "restartCount": 0, "state": state}
        return {"metadata": {"name": name}, "status": {"phase": "Running", "containerStatuses": [container]}}

    pods = [waiting("shop-2", "other"), waiting("shop-1", "one"), waiting("shop-0", "one")]
    cluster: t.Any = Table(Pod=pods, Event=[])
    found = diagnose(cluster, "shop", "app=shop", ["shop"])
    assert [phrase.partition("cannot")[0] for phrase in found] == ["shop-0, shop-1: ", "shop-2 "]
    assert "no one here" in found[0]
    some = diagnose(cluster, "shop", "app=shop", ["shop"], {"shop-0", "shop-2"})
    assert [phrase.partition("cannot")[0] for phrase in some] == ["shop-0 ", "shop-2 "]


def test_only_pods_of_the_newest_revision_of_a_deployment_count() -> None:
    def replica_set(name: str, revision: str, owner: str = "u") -> dict[str, t.Any]:
        return {
            "metadata": {
                "name": name,
                "labels": {"pod-template-hash": name},
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [{"uid": owner}],
            }
        }

    deployment = {"metadata": {"name": "web", "namespace": "shop", "uid": "u"}}
    sets = [replica_set("b", "10"), replica_set("a", "9"), replica_set("c", "11", owner="other")]
    cluster: t.Any = Table(ReplicaSet=sets)
    assert newest_pods(cluster, deployment, "app=web") == ("app=web,pod-template-hash=b", ["web", "b"])
    silent: t.Any = Table()
    assert newest_pods(silent, deployment, "app=web") == ("app=web", ["web"])


def test_a_pod_that_is_ready_is_told_of_when_its_volume_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def unanswered(_cluster: t.Any, _namespace: str, pods: list[dict[str, t.Any]]) -> dict[str, str]:
        asked.append([each["metadata"]["name"] for each in pods])
        return {"shop-0": "storage: claim data-shop-0 gives no answer"}

    monkeypatch.setattr(_rollout, "unanswered", unanswered)
    cluster: t.Any = Table(Pod=[pod("2026-01-01T00:04:00Z")], Event=[])
    assert diagnose(cluster, "shop", "app=shop", ask_volumes=True) == [
        "shop-0 is ready, and cannot work — storage: claim data-shop-0 gives no answer"
    ]
    # Where nobody asks for it, only pods that are not ready are asked.
    diagnose(cluster, "shop", "app=shop")
    assert asked == [["shop-0"], []]
