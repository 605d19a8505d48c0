# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims that move: what is refused before anything is stopped, and how the pods that copy run."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_objects import (
    Mark,
    copy_pod,
    pods_of,
    with_variant,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_plan import plan_migrate
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import (
    Around,
    Moving,
    Seen,
    Wish,
    new_size,
)
from ansible_collections.stateful.kube.plugins.modules.claim_migrate import wish_of

SET = Key("apps/v1", "StatefulSet", "shop", "web")
TARGET = {"metadata": {"name": "fast"}, "provisioner": "ebs.csi.aws.com"}
KNOWN = Around(TARGET, True, ("fast", "slow"), frozenset(["ebs.csi.aws.com"]))
Object = dict[str, t.Any]


def stateful_set(**spec: t.Any) -> Object:
    requests = {"requests": {"storage": "1Gi"}}
    template = {"metadata": {"name": "data"}, "spec": {"storageClassName": "slow", "resources": requests}}
    base = {"replicas": 2, "template": {"spec": {"containers": []}}, "volumeClaimTemplates": [template]}
    return {"metadata": {"name": "web", "uid": "u", "generation": 3}, "spec": {**base, **spec}}


def claim(number: int = 0, capacity: str = "1Gi", **spec: t.Any) -> Object:
    base = {
        "storageClassName": "slow",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "volumeName": f"pv-{number}",
    }
    status = {"phase": "Bound", "capacity": {"storage": capacity}}
    return {"metadata": {"name": f"data-web-{number}", "namespace": "shop"}, "spec": {**base, **spec}, "status": status}


def seen(*claims: Object, around: Around = KNOWN, live: t.Optional[Object] = None, **wish: t.Any) -> Seen:
    made = {"metadata": {"name": "pv-0", "annotations": {"pv.kubernetes.io/provisioned-by": "x"}}}
    found = tuple(Moving(one["metadata"]["name"], "data", one, old=made) for one in claims or (claim(),))
    return Seen(
        SET,
        Wish("web", **{"class_name": "fast", **wish}),
        live or stateful_set(),
        templates=("data",),
        claims=found,
        around=around,
    )


def refused(state: Seen) -> str:
    result = plan_migrate(state)
    assert isinstance(result, Refusal), result
    assert "Nothing was changed" in result.reason or state.mark
    return result.sentence()


def quota(resource: str, hard: str, used: str) -> Object:
    return {"metadata": {"name": "room"}, "status": {"hard": {resource: hard}, "used": {resource: used}}}


def around(**fields: t.Any) -> Around:
    return dataclasses.replace(KNOWN, **fields)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (seen(around=around(target=None)), "storage_class is fast, and there is no such StorageClass"),
        (seen(around=around(drivers=frozenset())), "needs the CSI driver ebs.csi.aws.com, which is not installed"),
        (seen(claim(accessModes=["ReadWriteMany"])), "asks for ReadWriteMany, which volumes of class fast (AWS EBS)"),
        (seen(access_modes=("ReadWriteMany",)), "asks for ReadWriteMany"),
        (seen(around=around(lacking=("patch persistentvolumes",))), "lacks rights"),
        (seen(around=around(autoscalers=("web",))), "HorizontalPodAutoscaler web decides how many pods"),
        (seen(data="leave"), "the application starts empty on class fast, and the volumes of data-web-0 are kept"),
        (seen(data="leave", confirm="wed", old_volumes="delete"), "the volumes of data-web-0 are deleted"),
        (seen(size="500Mi"), "size is 500Mi, and its claim template has 1Gi"),
        (seen(claim(volumeMode="Block")), "data-web-0 are raw volumes"),
        (
            seen(live=stateful_set(persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete"})),
            "would be deleted as soon as its pods are stopped",
        ),
        (
            seen(claim(0), claim(1), around=around(quotas=(quota("requests.storage", "3Gi", "2Gi"),))),
            "ResourceQuota room has no room for the copies of data-web-0, data-web-1",
        ),
        (
            seen(around=around(quotas=(quota("fast.storageclass.storage.k8s.io/requests.storage", "1Mi", "0"),))),
            "no room for the copies",
        ),
        (seen(around=around(quotas=(quota("persistentvolumeclaims", "1", "1"),))), "persistentvolumeclaims: 1 of 1"),
    ],
)
def test_what_would_only_show_later_is_refused(state: Seen, says: str) -> None:
    assert says in refused(state)


def test_pods_of_others_volumes_made_by_hand_and_owners_are_refused() -> None:
    state = seen()
    one = dataclasses.replace(state.claims[0], others=("backup",))
    assert "data-web-0 by backup" in refused(dataclasses.replace(state, claims=(one,)))
    by_hand = dataclasses.replace(state.claims[0], old={"metadata": {"name": "pv-0"}})
    wish = dataclasses.replace(state.wish, old_volumes="delete")
    assert "made by hand: pv-0 of data-web-0" in refused(dataclasses.replace(state, claims=(by_hand,), wish=wish))
    owned = stateful_set()
    owned["metadata"]["ownerReferences"] = [{"kind": "Shop", "name": "web", "controller": True}]
    assert "belongs to Shop web" in refused(seen(live=owned))


def test_what_nobody_may_know_is_no_reason() -> None:
    assert isinstance(plan_migrate(seen(around=Around())), Plan)
    assert isinstance(plan_migrate(seen()), Plan)


def test_claims_that_are_there_are_left_and_only_the_template_follows() -> None:
    plan = plan_migrate(seen(claim(storageClassName="fast")))
    assert isinstance(plan, Plan)
    assert [step.action for step in plan.steps] == ["recreate"]
    there = seen(claim(storageClassName="fast"), live=with_variant(stateful_set(), ("data",), "fast", "", ()))
    plan = plan_migrate(there)
    assert isinstance(plan, Plan)
    assert plan.steps == ()


def test_a_new_claim_is_never_smaller_than_what_the_old_one_has() -> None:
    grown = seen(claim(capacity="3Gi")).claims[0]
    assert new_size(grown, Wish("web", "fast")) == "3Gi"
    assert new_size(grown, Wish("web", "fast", size="2Gi")) == "3Gi"
    assert new_size(grown, Wish("web", "fast", size="5Gi")) == "5Gi"


def test_a_mark_says_all_of_it_and_a_strange_one_nothing() -> None:
    mark = Mark("fast", ("data",), 3, "copy", "2Gi", ("ReadWriteOnce",), (("a", "Apply", ""),))
    assert Mark.of({"metadata": {"annotations": {"stateful.kube/migration": mark.dump()}}}) == mark
    assert Mark.of({"metadata": {"annotations": {"stateful.kube/migration": "{"}}}) is None
    assert Mark.of(None) is None


def test_pods_run_as_the_application_does_and_as_root_only_where_nobody_says() -> None:
    spec: Object = {
        "securityContext": {"runAsUser": 1, "fsGroup": 5, "supplementalGroups": [6]},
        "nodeSelector": {"disk": "old"},
        "affinity": {"nodeAffinity": {"x": 1}, "podAntiAffinity": {"y": 1}},
        "containers": [
            {"name": "side"},
            {"name": "main", "volumeMounts": [{"name": "data"}], "securityContext": {"runAsUser": 2, "runAsGroup": 3}},
        ],
    }
    pods = pods_of(stateful_set(template={"spec": spec}), ("data",), "image", "Never", None)
    made = copy_pod(SET, "data-web-0", {"metadata": {"name": "new", "uid": "n"}}, "stamp", pods)["spec"]
    assert made["securityContext"]["runAsUser"] == 2
    assert made["securityContext"]["runAsGroup"] == 3
    assert made["securityContext"]["fsGroup"] == 5
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["affinity"] == {"nodeAffinity": {"x": 1}}
    assert made["nodeSelector"] == {"disk": "old"}
    assert made["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data-web-0", "readOnly": True}
    assert made["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    root = pods_of(stateful_set(), ("data",), "image", "Never", None)
    made = copy_pod(SET, "data-web-0", {"metadata": {"name": "new", "uid": "n"}}, "stamp", root)["spec"]
    assert made["securityContext"]["runAsUser"] == 0
    assert "CHOWN" in made["containers"][0]["securityContext"]["capabilities"]["add"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"size": "10GB"}, "size: expected a quantity"),
        ({"storage_class": ""}, "storage_class: expected the name"),
        ({"run_as_user": -1}, "run_as_user: expected the number"),
        ({"leave_data_of": "web"}, "leave_data_of: it is for data leave"),
    ],
)
def test_options_that_are_wrong_are_refused(given: dict[str, t.Any], says: str) -> None:
    params: dict[str, t.Any] = {
        "name": "web",
        "storage_class": "fast",
        "templates": [],
        "size": None,
        "access_modes": [],
        "data": "copy",
        "leave_data_of": None,
        "old_volumes": "retain",
        "run_as_user": None,
        "wait": True,
    }
    assert wish_of(params) == Wish("web", "fast")
    with pytest.raises(Failure, match=says):
        wish_of({**params, **given})
