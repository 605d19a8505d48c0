# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made to look into a volume: it reads, it has few rights, nobody else gets it, and it ends by itself."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_objects import (
    Run,
    anchor,
    claim,
    pod,
    second_volume,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import Pods

RUN = Run("volume-inspection-1", "shop", 300, Pods("image"))
OWNER = {"metadata": {"name": RUN.name, "uid": "u1"}}
AFFINITY = {"required": {"nodeSelectorTerms": [{"matchExpressions": []}]}}
KINDS: dict[str, dict[str, t.Any]] = {
    "nfs": {"server": "a", "path": "/x"},
    "hostPath": {"path": "/x", "type": "DirectoryOrCreate"},
    "local": {"path": "/x"},
}


def second(kind: str, read_only: bool = True, **spec: t.Any) -> dict[str, t.Any]:
    live = {"metadata": {"name": "pv"}, "spec": {kind: KINDS[kind], "storageClassName": "theirs", **spec}}
    return second_volume(RUN, "look-0", live, kind, read_only)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("read_only", [True, False])
def test_the_second_volume_is_of_the_same_folder_and_for_one_claim(kind: str, read_only: bool) -> None:
    made = second(kind, read_only, nodeAffinity=AFFINITY)
    spec = made["spec"]
    assert spec[kind]["path"] == KINDS[kind]["path"]
    assert spec["nodeAffinity"] == AFFINITY
    assert (spec["claimRef"]["namespace"], spec["claimRef"]["name"]) == ("shop", "look-0")
    # Whatever becomes of the object, nothing deletes what is behind it.
    assert spec["persistentVolumeReclaimPolicy"] == "Retain"
    assert "namespace" not in made["metadata"]
    wanted = claim(RUN, "look-0", OWNER)
    assert wanted["spec"]["volumeName"] == made["metadata"]["name"]
    assert wanted["spec"]["storageClassName"] == spec["storageClassName"] == RUN.name
    assert wanted["metadata"]["ownerReferences"][0]["uid"] == "u1"


def test_it_is_mounted_read_only() -> None:
    assert second("nfs")["spec"]["nfs"]["readOnly"] is True
    assert second("local", mountOptions=["noatime"])["spec"]["mountOptions"] == ["noatime", "ro"]
    assert "mountOptions" not in second("hostPath")["spec"]
    # A folder that is gone is not made anew, empty.
    assert second("hostPath")["spec"]["hostPath"]["type"] == "Directory"
    assert "readOnly" not in second("nfs", read_only=False)["spec"]["nfs"]
    assert "mountOptions" not in second("local", read_only=False)["spec"]


@pytest.mark.parametrize("read_only", [True, False])
def test_a_pod_has_the_rights_of_its_user_and_no_more(read_only: bool) -> None:
    spec = pod(RUN, OWNER, "look-0", "a", (1000, 1001), read_only)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "runAsGroup": 1001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (container,) = spec["containers"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["volumes"][0]["persistentVolumeClaim"].get("readOnly", False) is read_only
    assert container["volumeMounts"][0].get("readOnly", False) is read_only
    assert spec["automountServiceAccountToken"] is False
    assert spec["activeDeadlineSeconds"] == RUN.deadline


def test_root_may_read_what_is_of_others() -> None:
    spec = pod(RUN, OWNER, "look-0", "root", (0, 0), True)["spec"]
    assert spec["securityContext"]["runAsUser"] == 0
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["DAC_OVERRIDE"]}


def test_everything_ends_with_the_anchor() -> None:
    job = anchor(RUN)
    assert (job["spec"]["parallelism"], job["spec"]["activeDeadlineSeconds"]) == (0, RUN.deadline)
    assert job["spec"]["ttlSecondsAfterFinished"] == 0
    made = pod(RUN, OWNER, "look-0", "a", (999, 999), True)
    assert made["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert made["metadata"]["labels"] == job["metadata"]["labels"]
