# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One claim on an NFS server, and pods of several nodes on it at once."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
import three

FOLDER = "slab-nodes"


def pod(name: str, node: str, script: str, volume: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [three.TOLERATION],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main",
                    "image": os.environ["STATEFUL_LAB_BUSYBOX_IMAGE"],
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "volumeMounts": [{"name": "data", "mountPath": "/mnt"}],
                }
            ],
            "volumes": [{"name": "data", **volume}],
        },
    }


def phase(name: str) -> str:
    return str(three.get("pod", name)["status"].get("phase"))


def run_to_its_end(name: str, node: str, script: str, volume: dict[str, t.Any]) -> None:
    three.apply(pod(name, node, script, volume))
    three.wait_for(f"{name} to end", lambda: phase(name) in ("Succeeded", "Failed"))
    assert phase(name) == "Succeeded", three.kubectl("logs", name).stdout


@pytest.fixture
def shared() -> t.Iterator[dict[str, t.Any]]:
    """A claim that a preflight with pods on two nodes has found fit. Its folder is made by a client of the server."""
    export = {"nfs": {"server": os.environ["STATEFUL_LAB_NFS_SERVER"], "path": "/volumes"}}
    clear = f"umask 0; rm -rf /mnt/{FOLDER} && mkdir /mnt/{FOLDER}"
    try:
        run_to_its_end("maker", "node1", clear, export)
        three.play("storage")
        yield {"persistentVolumeClaim": {"claimName": "shared"}}
    finally:
        three.kubectl("delete", "pods", "maker", "reader", "writer", "--ignore-not-found")
        three.kubectl("delete", "pvc", "shared", "--ignore-not-found")
        three.kubectl("delete", "pv", "slab-nodes-shared", "--ignore-not-found")
        run_to_its_end("remover", "node1", f"rm -rf /mnt/{FOLDER}", export)


def test_pods_on_two_nodes_share_a_claim_on_nfs(shared: dict[str, t.Any]) -> None:
    """One of them writes, the other one has it mounted before and sees it, and so does the server."""
    look = "until test -f /mnt/SUCCESS; do sleep 0.2; done; cat /mnt/SUCCESS"
    three.apply(pod("reader", "node3", look, shared))
    three.wait_for("the reader to look", lambda: phase("reader") == "Running")
    run_to_its_end("writer", "node2", "echo from $(hostname) >/mnt/SUCCESS", shared)
    three.wait_for("the reader to see it", lambda: phase("reader") == "Succeeded")

    assert three.kubectl("logs", "reader").stdout == "from writer\n"
    disk = pathlib.Path(os.environ["STATEFUL_LAB_NFS_FOLDER"]) / "volumes" / FOLDER
    assert [(path.name, path.read_text(encoding="utf-8")) for path in disk.iterdir()] == [("SUCCESS", "from writer\n")]
