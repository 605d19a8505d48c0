# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readiness predicates over objects as an API server shows them."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    failed,
    needs_no_volume_yet,
    no_image_name,
    obstacle,
    pod_obstacle,
    ready_since_start,
)


def workload(kind: str, spec: dict[str, t.Any], status: dict[str, t.Any], generation: int = 1) -> dict[str, t.Any]:
    status = {"observedGeneration": 1, **status}
    return {"kind": kind, "metadata": {"name": "x", "generation": generation}, "spec": spec, "status": status}


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
ON_ALL = {"desiredNumberScheduled": 2, "numberAvailable": 2, "updatedNumberScheduled": 1}
NEW = {"currentRevision": "a", "updateRevision": "b"}


@pytest.mark.parametrize(
    ("obj", "waits_for"),
    [
        (workload("StatefulSet", {"replicas": 3}, {"readyReplicas": 3}), None),
        (workload("StatefulSet", {"replicas": 3}, {"readyReplicas": 2}), "2/3 pods ready"),
        (workload("StatefulSet", {"replicas": 3}, {}), "0/3 pods ready"),
        (workload("StatefulSet", {"replicas": 0}, {}), None),
        (
            workload("StatefulSet", {"replicas": 1, "minReadySeconds": 9}, {"readyReplicas": 1}),
            "0/1 pods ready for 9 s",
        ),
        (workload("StatefulSet", {"replicas": 1}, {"readyReplicas": 1, "replicas": 3}), "2 pods too many"),
        (workload("Deployment", {"replicas": 1, "paused": True}, {}), None),
        (workload("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, ON_ALL), None),
        (workload("DaemonSet", {}, ON_ALL), "1/2 pods updated"),
        (workload("Job", {"suspend": True}, {}), None),
        (workload("PersistentVolumeClaim", {}, {"phase": "Pending"}), "no volume yet"),
        (workload("PersistentVolumeClaim", {}, {"phase": "Bound"}), None),
        (workload("PersistentVolume", {}, {"phase": "Failed", "message": "gone"}), "phase Failed gone"),
        (workload("PersistentVolume", {}, {"phase": "Available"}), None),
        (workload("StatefulSet", {"replicas": 3}, {"readyReplicas": 3}, generation=2), "its controller"),
        (
            workload("StatefulSet", {"replicas": 3}, {"readyReplicas": 3, "updatedReplicas": 1, **NEW}),
            "1/3 pods updated",
        ),
        (
            workload(
                "StatefulSet",
                {"replicas": 3, "updateStrategy": ROLLING},
                {"readyReplicas": 3, "updatedReplicas": 1, **NEW},
            ),
            None,
        ),
        (
            workload(
                "StatefulSet",
                {"replicas": 3, "updateStrategy": {"type": "OnDelete"}},
                {"readyReplicas": 3, "updatedReplicas": 0, **NEW},
            ),
            None,
        ),
        (workload("Deployment", {"replicas": 1}, {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}), None),
        (
            workload("Deployment", {"replicas": 1}, {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 2}),
            "1 old",
        ),
        (workload("Deployment", {"replicas": 2}, {"updatedReplicas": 2, "availableReplicas": 1}), "1/2 pods available"),
        (workload("DaemonSet", {}, {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2}), "0/2 pods available"),
        (workload("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}), None),
        (workload("Job", {}, {"conditions": [{"type": "Failed", "status": "True"}]}), "0/1 completions"),
        ({"kind": "Namespace", "status": {"phase": "Terminating"}}, "phase Terminating"),
        ({"kind": "ConfigMap"}, None),
    ],
)
def test_obstacle(obj: dict[str, t.Any], waits_for: t.Optional[str]) -> None:
    found = obstacle(obj)
    assert (found is None) == (waits_for is None)
    assert (waits_for or "") in (found or "")


def test_a_failed_job_is_a_failure_and_no_success() -> None:
    job = workload("Job", {}, {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})
    assert "BackoffLimitExceeded" in (failed(job) or "")
    assert failed(workload("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]})) is None


def pod(status: dict[str, t.Any], deleting: bool = False) -> dict[str, t.Any]:
    metadata = {"name": "shop-0", **({"deletionTimestamp": "now"} if deleting else {})}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def waiting(reason: str, **more: t.Any) -> dict[str, t.Any]:
    state = {"waiting": {"reason": reason, "message": "it says why"}}
    return {"containerStatuses": [{"name": "db", "image": "mongo:9", "state": state, "restartCount": 4, **more}]}


UNPACK = 'failed to pull and unpack image "r.invalid/mongo:9": failed to resolve reference "r.invalid/mongo:9": '
LOOKUP = 'failed to do request: Head "https://r.invalid/v2/mongo/manifests/9": dial tcp: lookup r.invalid: no such host'


@pytest.mark.parametrize(
    ("reason", "message", "why"),
    [
        ("ErrImagePull", UNPACK + LOOKUP, LOOKUP),
        # The same image at the next look: nobody is told twice.
        ("ImagePullBackOff", f'Back-off pulling image "r.invalid/mongo:9": ErrImagePull: {UNPACK}{LOOKUP}', LOOKUP),
        ("ErrImagePull", f"rpc error: code = NotFound desc = {UNPACK}not found", "not found"),
        ("ImagePullBackOff", 'Back-off pulling image "mongo:9"', 'ImagePullBackOff: Back-off pulling image "mongo:9"'),
        ("ErrImageNeverPull", 'Container image "mongo:9" is not present', 'Container image "mongo:9" is not present'),
        ("InvalidImageName", None, "InvalidImageName: None"),
    ],
)
def test_why_an_image_cannot_be_had_is_said_once(reason: str, message: t.Optional[str], why: str) -> None:
    state = {"waiting": {"reason": reason, "message": message}}
    status = {"containerStatuses": [{"name": "db", "image": "mongo:9", "state": state, "restartCount": 0}]}
    assert pod_obstacle(pod(status)) == f"cannot get the image mongo:9 of container db ({why})"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]},
            "not scheduled: 0/1 nodes are available",
        ),
        (waiting("ImagePullBackOff"), "cannot get the image mongo:9 of container db"),
        (
            waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 7, "reason": "Error"}}),
            "container db keeps crashing (exit code 7, Error, 4 restarts)",
        ),
        (waiting("CreateContainerConfigError"), "container db waits (CreateContainerConfigError: it says why)"),
        (waiting("ContainerCreating"), "is starting"),
        ({"containerStatuses": [{"name": "db", "state": {"running": {}}}]}, "readiness probe"),
        ({"phase": "Pending"}, "is starting (phase Pending)"),
    ],
)
def test_what_holds_a_pod_back(status: dict[str, t.Any], says: str) -> None:
    assert says in (pod_obstacle(pod(status)) or "")


def test_a_ready_pod_is_held_back_by_nothing_and_a_deleted_one_is() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert pod_obstacle(pod(ready)) is None
    assert pod_obstacle(pod(ready, deleting=True)) == "is being deleted"


def test_events_speak_where_the_status_is_silent() -> None:
    events = [
        {"type": "Warning", "message": "older", "lastTimestamp": "2026-01-01T00:00:00Z", "metadata": {}},
        {"type": "Warning", "message": "MountVolume failed", "lastTimestamp": "2026-01-02T00:00:00Z", "metadata": {}},
        {"type": "Normal", "message": "Pulled", "lastTimestamp": "2026-01-03T00:00:00Z", "metadata": {}},
    ]
    assert "MountVolume failed" in (pod_obstacle(pod(waiting("ContainerCreating")), events) or "")


def test_a_missed_deadline_counts_only_for_the_newest_version() -> None:
    missed = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert failed(workload("Deployment", {}, {"conditions": [missed]}))
    assert failed(workload("Deployment", {}, {"conditions": [missed]}, generation=2)) is None


def test_a_claim_of_a_late_class_needs_no_volume_until_a_pod_comes() -> None:
    claim = workload("PersistentVolumeClaim", {"storageClassName": "late"}, {"phase": "Pending"})
    assert needs_no_volume_yet(claim, {"late"})
    assert not needs_no_volume_yet(claim, {"other"})
    claim["metadata"]["annotations"] = {"volume.kubernetes.io/selected-node": "node1"}
    assert not needs_no_volume_yet(claim, {"late"})


def test_only_a_name_that_no_image_can_have_is_hopeless() -> None:
    def waiting(reason: str) -> dict[str, t.Any]:
        return {"status": {"containerStatuses": [{"image": "NO", "state": {"waiting": {"reason": reason}}}]}}

    assert no_image_name(waiting("InvalidImageName")) == "NO"
    for reason in ("ImagePullBackOff", "ErrImageNeverPull", "CreateContainerConfigError", "CrashLoopBackOff"):
        assert no_image_name(waiting(reason)) is None


def test_whether_a_pod_has_ever_been_ready() -> None:
    def changed(time: str) -> dict[str, t.Any]:
        ready = {"type": "Ready", "status": "False", "lastTransitionTime": time}
        return {"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": [ready]}}

    assert not ready_since_start(changed("2026-01-01T00:00:01Z"))
    assert ready_since_start(changed("2026-01-01T00:01:00Z"))
    assert ready_since_start({"status": {}})  # where nothing is known, nothing is lost by thinking so
