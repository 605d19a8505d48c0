# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which undeclared objects are deleted, and what is on record when a run is killed."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Observed, Seen, plan_present
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import (
    LABEL,
    NAME,
    SWEPT,
    Record,
    Undeclared,
    anchor,
    judge,
    read,
    refuse,
    wider,
    written,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

SERVICE = Key("v1", "Service", "shop", "shop")
CONFIG = Key("v1", "ConfigMap", "shop", "shop")
OLD = Key("v1", "ConfigMap", "shop", "old")
SET = Key("apps/v1", "StatefulSet", "shop", "shop")
ROLE = Key("rbac.authorization.k8s.io/v1", "ClusterRole", "", "shop")


def applied(*managers: str, **metadata: t.Any) -> dict[str, t.Any]:
    record = [{"manager": manager, "operation": "Apply", "fieldsV1": {}} for manager in managers]
    record.append({"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {}})
    record.append({"manager": "controller", "operation": "Apply", "subresource": "status", "fieldsV1": {}})
    return {"metadata": {"labels": {LABEL: "shop"}, "managedFields": record, "uid": "u", **metadata}, "spec": {}}


def test_what_we_applied_and_nobody_else_is_deleted() -> None:
    live = applied("us")
    assert judge(OLD, live, "shop", "us", ()) == Undeclared(OLD, live)


@pytest.mark.parametrize(
    "live",
    [
        applied("them"),
        applied(),
        applied("us", labels={LABEL: "other"}),
        applied("us", labels=None),
        applied("us", ownerReferences=[{"kind": "Deployment"}]),
        applied("us", deletionTimestamp="now"),
    ],
)
def test_what_is_not_ours_is_no_business_of_ours(live: dict[str, t.Any]) -> None:
    assert judge(OLD, live, "shop", "us", ()) is None


@pytest.mark.parametrize(
    "kind",
    ["PersistentVolumeClaim", "PersistentVolume", "Namespace", "CustomResourceDefinition", "StorageClass"],
)
def test_data_and_what_others_stand_on_is_never_deleted(kind: str) -> None:
    assert judge(Key("v1", kind, "shop", "old"), applied("us"), "shop", "us", ()) is None
    assert kind not in {name for _version, name in SWEPT}
    assert read(f"v1/{kind} v1/{kind}:old") == (set(), set())
    assert written([Key("v1", kind, "shop", "old")]) == ""


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (ROLE, "outside of namespaces"),
        (Key("snapshot.storage.k8s.io/v1", "VolumeSnapshot", "shop", "old"), "goes with a VolumeSnapshot"),
    ],
)
def test_what_may_serve_others_or_hold_data_is_kept_and_told(key: Key, why: str) -> None:
    found = judge(key, applied("us"), "shop", "us", ())
    assert found
    assert why in found.kept


def test_another_kind_of_application_of_the_same_name_is_none_of_ours() -> None:
    live = applied("us", labels={LABEL: "shop", NAME: "mongodb"})
    assert judge(OLD, live, "shop", "us", {"nginx"}) is None
    assert judge(OLD, live, "shop", "us", {"nginx", "mongodb"}) == Undeclared(OLD, live)
    assert judge(OLD, live, "shop", "us", ()) == Undeclared(OLD, live)


def test_another_version_of_its_api_makes_no_other_object() -> None:
    assert Key("autoscaling/v1", "H", "shop", "a").identity == Key("autoscaling/v2", "H", "shop", "a").identity
    assert Key("autoscaling/v1", "H", "shop", "a").identity != Key("other/v1", "H", "shop", "a").identity


def test_what_another_manager_applies_too_is_kept_and_told() -> None:
    found = judge(OLD, applied("us", "them"), "shop", "us", ())
    assert found
    assert found.kept == "them applies it too"
    plan = plan_present(Observed(undeclared=(found,)), wait=False)
    assert isinstance(plan, Plan)
    assert plan.steps == ()
    assert "ConfigMap shop/old is no longer declared and is kept: them applies it too." in plan.warnings


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"updateStrategy": {"type": "OnDelete"}, "replicas": 3}, True),
        ({"updateStrategy": {"type": "RollingUpdate"}, "replicas": 3}, False),
        ({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}}, True),
        ({"updateStrategy": {"type": "OnDelete"}, "replicas": 0}, False),
    ],
)
def test_a_database_is_not_pruned(spec: dict[str, t.Any], refused: bool) -> None:
    one = Undeclared(SET, {**applied("us"), "spec": spec})
    refusal = refuse(one)
    assert bool(refusal) == refused
    outcome = plan_present(Observed(undeclared=(one,)), wait=False)
    assert isinstance(outcome, Refusal) == refused


def test_data_of_a_set_without_pods_is_guarded_as_well() -> None:
    spec = {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete"}, "replicas": 0}
    assert refuse(Undeclared(SET, {**applied("us"), "spec": spec}))


def test_the_record_lies_on_what_changes_least() -> None:
    labelled = {"metadata": {"labels": {LABEL: "shop"}}}
    declared = {SET: labelled, CONFIG: labelled, SERVICE: labelled, ROLE: labelled}
    assert anchor(declared, "shop", "shop") == SERVICE
    del declared[SERVICE]
    assert anchor(declared, "shop", "shop") == CONFIG
    del declared[CONFIG]
    assert anchor(declared, "shop", "shop") == SET
    assert anchor({ROLE: labelled}, "shop", "shop") is None
    assert anchor({SERVICE: {"metadata": {}}}, "shop", "shop") is None
    assert anchor({SERVICE: labelled}, "shop", "other") is None


def test_a_record_says_what_was_written() -> None:
    text = written([SET, SERVICE, CONFIG, OLD, ROLE])
    assert text == "apps/v1/StatefulSet rbac.authorization.k8s.io/v1/ClusterRole:shop v1/ConfigMap v1/Service"
    assert read(text) == ({("apps/v1", "StatefulSet"), ("v1", "ConfigMap"), ("v1", "Service")}, {ROLE})
    assert read("nonsense / v1/") == (set(), set())
    assert wider(None, "b a", "a c") == "a b c"


def actions(observed: Observed) -> list[tuple[str, str]]:
    plan = plan_present(observed, wait=False)
    assert isinstance(plan, Plan)
    return [(step.action, step.target) for step in plan.steps]


def test_the_kinds_are_on_record_before_anything_but_the_carrier_is_made() -> None:
    objects = (Seen(CONFIG, changes=True), Seen(SERVICE, changes=True), Seen(SET, changes=True))
    kinds = written([CONFIG, SERVICE, SET])
    assert actions(Observed(objects, record=Record(SERVICE, None, kinds, kinds))) == [
        ("apply", str(SERVICE)),
        ("record", str(SERVICE)),
        ("apply", str(CONFIG)),
        ("apply", str(SET)),
    ]


def test_the_record_is_widened_before_and_narrowed_after() -> None:
    there = {"metadata": {}}
    objects = (Seen(SERVICE, there), Seen(SET, changes=True))
    before, after = written([SERVICE, SET, OLD]), written([SERVICE, SET])
    gone = (Undeclared(OLD, applied("us")),)
    observed = Observed(objects, undeclared=gone, record=Record(SERVICE, written([SERVICE, OLD]), before, after))
    assert actions(observed) == [
        ("record", str(SERVICE)),
        ("apply", str(SET)),
        ("prune", str(OLD)),
        ("record", str(SERVICE)),
    ]
    done = Observed((Seen(SERVICE, there),), record=Record(SERVICE, after, after, after))
    assert actions(done) == []


def test_workloads_go_first() -> None:
    observed = Observed(undeclared=tuple(Undeclared(key, applied("us")) for key in (ROLE, OLD)))
    pod = Key("v1", "Pod", "shop", "p")
    observed = Observed(undeclared=(*observed.undeclared, Undeclared(pod, applied("us"))))
    assert actions(observed)[0] == ("prune", "Pod shop/p")


@given(
    recorded=st.sets(st.sampled_from([SERVICE, CONFIG, SET, ROLE])),
    declared=st.sets(st.sampled_from([CONFIG, SET, ROLE])),
    killed_after=st.integers(0, 6),
)
def test_a_run_killed_anywhere_leaves_every_existing_kind_on_record(
    recorded: set[Key], declared: set[Key], killed_after: int
) -> None:
    """The carrier always exists here; whatever else exists has to be on the record, or it would never be found."""
    declared, there = {*declared, SERVICE}, {*recorded, SERVICE}
    says: t.Optional[str] = written(there)
    for _step in range(killed_after):
        gone = tuple(Undeclared(key, applied("us")) for key in sorted(there - declared, key=str))
        now = written(declared)
        observed = Observed(
            tuple(
                Seen(key, {"metadata": {}, "spec": {}} if key in there else None, changes=key not in there)
                for key in declared
            ),
            undeclared=gone,
            record=Record(SERVICE, says, wider(now, says, written(one.key for one in gone)), now),
        )
        plan = plan_present(observed, wait=False)
        assert isinstance(plan, Plan)
        if not plan.steps:
            assert (there, says) == (declared, now)
            return
        step = plan.steps[0]
        if step.action == "record":
            says = step.data["text"]
        elif step.action == "prune":
            there = there - {step.data["seen"].key}
        else:
            there = there | {step.data["seen"].key}
        assert wider(says, written(there)) == says
