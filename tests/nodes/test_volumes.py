# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes of the lab's storage driver: each is on the node of its first pod, and so is what is made from it."""

from __future__ import annotations

import typing as t

import three

HOST = "kubernetes.io/hostname"
TOPOLOGY = "loop.stateful-lab.local/node"


def test_a_volume_stays_on_its_node_and_so_does_what_is_made_from_it() -> None:
    three.apply(_claim("source"), _pod("first", "source", {HOST: "node2"}))
    three.wait_for("the first pod", lambda: _runs("first"))
    three.kubectl("exec", "first", "--", "sh", "-c", "echo kept >/data/file; sync")
    volume = three.get("pv", three.get("pvc", "source")["spec"]["volumeName"])
    [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": TOPOLOGY, "operator": "In", "values": ["node2"]}]

    three.kubectl("delete", "pod", "first")
    three.apply(_pod("anywhere", "source", {}), _pod("elsewhere", "source", {HOST: "node3"}))
    three.wait_for("the pod that may go anywhere", lambda: _runs("anywhere"))
    assert three.get("pod", "anywhere")["spec"]["nodeName"] == "node2"
    assert "node affinity" in three.wait_for("the other one to be refused", lambda: _refused("elsewhere"))

    snapshot = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": "then"},
        "spec": {"volumeSnapshotClassName": "lab-loop", "source": {"persistentVolumeClaimName": "source"}},
    }
    three.apply(snapshot)
    three.wait_for("the snapshot", lambda: three.get("volumesnapshot", "then").get("status", {}).get("readyToUse"))
    source = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "then"}
    three.apply(
        _claim("near", source),
        _pod("near", "near", {HOST: "node2"}),
        _claim("far", source),
        _pod("far", "far", {HOST: "node3"}),
    )
    three.wait_for("the pod on a volume of the snapshot", lambda: _runs("near"))
    assert three.kubectl("exec", "near", "--", "cat", "/data/file").stdout == "kept\n"
    three.wait_for("the other claim to be refused", lambda: "volumes are made where their source is" in _events("far"))
    assert three.get("pvc", "far")["status"]["phase"] == "Pending"
    three.kubectl("delete", "pod", "near", "far", "anywhere", "elsewhere")
    # A snapshot stays while a claim waits to be made from it.
    three.kubectl("delete", "pvc", "source", "near", "far")
    three.kubectl("delete", "volumesnapshot", "then")


def _claim(name: str, source: dict[str, str] | None = None) -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "lab-loop",
        "resources": {"requests": {"storage": "16Mi"}},
    }
    if source:
        spec["dataSource"] = source
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _pod(name: str, claim: str, nodes: dict[str, str]) -> dict[str, t.Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "tolerations": [three.TOLERATION],
            "nodeSelector": nodes,
            "containers": [
                {
                    "name": "main",
                    "image": "docker.io/library/busybox:1",
                    "command": ["sleep", "600"],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }


def _runs(pod: str) -> bool:
    return three.is_ready(three.get("pod", pod))


def _refused(pod: str) -> str:
    conditions = three.get("pod", pod)["status"].get("conditions", [])
    return "".join(each.get("message", "") for each in conditions if each.get("reason") == "Unschedulable")


def _events(claim: str) -> str:
    return three.kubectl(
        "get", "events", f"--field-selector=involvedObject.name={claim}", "--output=jsonpath={..message}"
    ).stdout
