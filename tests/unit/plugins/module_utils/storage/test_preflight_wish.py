# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options, and the objects that a preflight makes."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import Volume
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_objects import (
    Run,
    anchor,
    claim,
    pod,
    volume_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_wish import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._storage._probe_objects import Pods
from ansible_collections.stateful.kube.plugins.modules.storage_preflight import SPECIFICATION

OWNER = {"metadata": {"name": "run", "uid": "u1"}}
RUN = Run("run", "shop", "data", 600, Pods("image", user=999, fs_group=998))


def options(**given: t.Any) -> dict[str, t.Any]:
    arguments = t.cast("dict[str, dict[str, t.Any]]", SPECIFICATION["argument_spec"])
    return {**{name: about.get("default") for name, about in arguments.items()}, **given}


def test_the_defaults_are_a_wish() -> None:
    wish = wish_of(options(), "shop")
    assert (wish.namespace, wish.pods.user, wish.pods.fs_group, wish.size) == ("shop", 999, None, "1Gi")


def test_the_platform_may_choose_the_user() -> None:
    assert wish_of(options(run_as_user=""), "shop").pods.user is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"size": "much"}, "size: expected an amount above zero"),
        ({"size": "0Gi"}, "size: expected an amount above zero"),
        ({"count": 0}, "count: expected a whole number, 1 or more, found 0"),
        ({"fsyncs": 1001}, "fsyncs: expected a whole number, 1 to 1000, found 1001"),
        ({"wait_timeout": 0}, "wait_timeout: expected a whole number"),
        ({"max_fsync_ms": 0.0}, "max_fsync_ms: expected milliseconds above zero"),
        ({"run_as_user": "0"}, "run_as_user: expected a number, 1 or more"),
        ({"run_as_user": "mongodb"}, "run_as_user: expected a number"),
        ({"fs_group": "-1"}, "fs_group: expected a number, 0 or more"),
        ({"storage_class": "-"}, "volumes without class"),
    ],
)
def test_wrong_options(given: dict[str, t.Any], says: str) -> None:
    with pytest.raises(Failure, match=r"^storage_class: |^[a-z_]+: expected") as failure:
        wish_of(options(**given), "shop")
    assert says in failure.value.message


def test_everything_belongs_to_the_anchor_which_ends_by_itself() -> None:
    made = anchor(RUN)["spec"]
    assert (made["parallelism"], made["activeDeadlineSeconds"], made["ttlSecondsAfterFinished"]) == (0, 600, 0)
    for one in (pod(RUN, OWNER, "first"), claim(RUN, OWNER, "1Gi", ["ReadWriteOnce"], "fast")):
        assert [(owner["kind"], owner["uid"]) for owner in one["metadata"]["ownerReferences"]] == [("Job", "u1")]
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "run"
    assert pod(RUN, OWNER, "first")["spec"]["activeDeadlineSeconds"] == 600


def test_pods_run_as_the_database_does_and_only_one_as_root() -> None:
    spec = pod(RUN, OWNER, "first")["spec"]
    assert spec["securityContext"]["runAsUser"] == 999
    assert spec["securityContext"]["fsGroup"] == 998
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    root = pod(RUN, OWNER, "root", root=True)["spec"]
    assert root["securityContext"]["runAsUser"] == 0
    assert root["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN"]}
    nobody = pod(Run("run", "shop", "data", 600, Pods("image")), OWNER, "first")["spec"]["securityContext"]
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(nobody)


def test_a_claim_without_class_gets_the_default_one() -> None:
    assert "storageClassName" not in claim(RUN, OWNER, "1Gi", ["ReadWriteOnce"], "")["spec"]


def affine(key: str) -> dict[str, t.Any]:
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": ["x"]}]}]
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}


@pytest.mark.parametrize(
    ("spec", "volume"),
    [
        ({"nfs": {"server": "s", "path": "/"}}, Volume(("ReadWriteOnce",), "nfs", attached=False)),
        ({"csi": {"driver": "nfs.csi.k8s.io"}}, Volume(("ReadWriteOnce",), "csi", attached=False)),
        ({"csi": {"driver": "ebs.csi.aws.com"}}, Volume(("ReadWriteOnce",), "csi")),
        (
            {"csi": {"driver": "ebs.csi.aws.com"}, **affine("topology.kubernetes.io/zone")},
            Volume(("ReadWriteOnce",), "csi"),
        ),
        (
            {"local": {"path": "/d"}, **affine("kubernetes.io/hostname")},
            Volume(("ReadWriteOnce",), "local", True, False),
        ),
        ({"rbd": {}}, Volume(("ReadWriteOnce",), "rbd")),
    ],
)
def test_what_a_volume_says_of_itself(spec: dict[str, t.Any], volume: Volume) -> None:
    found = {"spec": {"capacity": {}, "accessModes": ["x"], "claimRef": {}, "storageClassName": "c", **spec}}
    asked = {"spec": {"accessModes": ["ReadWriteOnce"]}}
    assert volume_of(asked, found, {"nfs.csi.k8s.io": False}) == volume


def test_a_volume_that_may_not_be_read() -> None:
    assert volume_of({"spec": {"accessModes": ["ReadWriteMany"]}}, None, {}) == Volume(("ReadWriteMany",))
