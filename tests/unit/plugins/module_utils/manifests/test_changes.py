# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an existing object becomes as declared where it cannot simply be changed."""

from __future__ import annotations

import copy
import dataclasses
import fractions
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import (
    Change,
    Growth,
    as_it_is,
    in_place,
    other_change,
    quota_shortage,
    stateful_set_change,
    to_be,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Observed, Seen, plan_present
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

SET = Key("apps/v1", "StatefulSet", "shop", "shop")
GROWS = {"fast": True, "fixed": False}


def template(name: str = "data", size: str = "1Gi", storage_class: t.Optional[str] = "fast") -> dict[str, t.Any]:
    spec: dict[str, t.Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {"metadata": {"name": name}, "spec": spec}


def declared(*templates: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    base = {"serviceName": "shop", "selector": {"matchLabels": {"app": "shop"}}, "template": {"spec": {}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {**base, **({"volumeClaimTemplates": list(templates)} if templates else {}), **spec},
    }


def live(*templates: dict[str, t.Any], owned: t.Sequence[str] = (), **spec: t.Any) -> dict[str, t.Any]:
    result = copy.deepcopy(declared(*templates, **{"podManagementPolicy": "OrderedReady", "replicas": 3, **spec}))
    for one in result["spec"].get("volumeClaimTemplates", ()):
        one["spec"]["volumeMode"] = "Filesystem"
        one["status"] = {"phase": "Pending"}
    record = {"f:spec": {f"f:{name}": {} for name in owned}}
    result["metadata"]["managedFields"] = [{"manager": "us", "operation": "Apply", "fieldsV1": record}]
    return result


def claim(ordinal: int, size: str = "1Gi", storage_class: str = "fast", **status: t.Any) -> dict[str, t.Any]:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"data-shop-{ordinal}", "namespace": "shop", "uid": "u", "resourceVersion": "1"},
        "spec": {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}},
        "status": {"phase": "Bound", "capacity": {"storage": size}, **status},
    }


def change(
    wanted: dict[str, t.Any],
    there: dict[str, t.Any],
    claims: t.Sequence[dict[str, t.Any]] = (),
    classes: t.Optional[t.Mapping[str, bool]] = None,
) -> t.Optional[Change]:
    return stateful_set_change(SET, wanted, there, claims, GROWS if classes is None else classes, "us")


def refused(*args: t.Any) -> str:
    found = change(*args)
    assert found
    assert found.refusal
    assert found.refusal.evidence
    assert found.refusal.choices
    return found.refusal.sentence()


def test_what_can_change_in_place_is_no_matter_of_this() -> None:
    assert change(declared(template()), live(template())) is None
    assert change(declared(template(size="1024Mi"), replicas=5), live(template())) is None
    assert change(declared(template(), podManagementPolicy="OrderedReady"), live(template())) is None


def test_another_order_of_starting_needs_a_new_object_and_nothing_else() -> None:
    found = change(declared(template(), podManagementPolicy="Parallel"), live(template()), [claim(0)])
    assert found == Change(recreate=("podManagementPolicy changes from OrderedReady to Parallel",))


def test_a_field_that_was_ours_goes_back_to_its_default_and_one_that_was_not_stays() -> None:
    there = live(template(), podManagementPolicy="Parallel")
    assert change(declared(template()), there) is None
    ours = live(template(), podManagementPolicy="Parallel", owned=["podManagementPolicy"])
    found = change(declared(template()), ours)
    assert found == Change(recreate=("podManagementPolicy changes from Parallel to OrderedReady",))
    assert "data taken away" in refused(declared(), live(template(), owned=["volumeClaimTemplates"]))
    assert change(declared(), live(template())) is None


def test_claims_grow_and_then_the_template() -> None:
    there, wanted = live(template()), declared(template(size="2Gi"))
    strange = {**claim(0), "metadata": {"name": "data-other-0"}}
    claims = [claim(10), claim(2), claim(1, "2Gi"), claim(3, "10Gi"), strange]
    found = change(wanted, there, claims)
    assert found
    assert [(one.claim, one.before, one.after) for one in found.growth] == [
        ("data-shop-2", "1Gi", "2Gi"),
        ("data-shop-10", "1Gi", "2Gi"),
    ]
    assert found.growing == ()
    assert found.recreate == ("claim template data grows from 1Gi to 2Gi",)


def test_growth_is_waited_for_until_only_the_file_system_is_left() -> None:
    there, wanted = live(template()), declared(template(size="2Gi"))
    asked = claim(0, "2Gi", capacity={"storage": "1Gi"})
    found = change(wanted, there, [asked])
    assert found
    assert found.growing == ("claim data-shop-0 has 1Gi of 2Gi",)
    error = {"type": "ControllerResizeError", "status": "True", "message": "no room"}
    found = change(wanted, there, [claim(0, "2Gi", capacity={"storage": "1Gi"}, conditions=[error])])
    assert found
    assert "no room" in found.growing[0]
    pending = {"type": "FileSystemResizePending", "status": "True"}
    found = change(wanted, there, [claim(0, "2Gi", capacity={"storage": "1Gi"}, conditions=[pending])])
    assert found
    assert found.growing == ()
    assert "when its pod is replaced" in found.warnings[0]


def test_a_claim_without_a_volume_is_told_of_and_left() -> None:
    found = change(declared(template(size="2Gi")), live(template()), [claim(0, phase="Pending")])
    assert found
    assert found.growth == ()
    assert "has no volume yet" in found.warnings[0]


def test_a_class_that_cannot_grow_and_a_smaller_size_are_refused() -> None:
    text = refused(declared(template(size="2Gi")), live(template()), [claim(0), claim(1, storage_class="fixed")])
    assert "claim data-shop-1 has 1Gi, and 2Gi is declared, but its class fixed" in text
    text = refused(declared(template(size="1G")), live(template()), [claim(0)])
    assert "claim template data has 1Gi, and 1G is declared: a volume never shrinks" in text
    assert "claim data-shop-0 (class fast) asks for 1Gi" in text
    unknown = stateful_set_change(SET, declared(template(size="2Gi")), live(template()), [claim(0)], None, "us")
    assert unknown
    assert unknown.growth  # who may not read classes lets the API server say it


def test_another_class_is_refused_while_claims_are_elsewhere() -> None:
    wanted, there = declared(template(storage_class="fixed")), live(template())
    text = refused(wanted, there, [claim(0), claim(1, storage_class="fixed"), claim(2)])
    assert "claim template data changes from class fast to class fixed" in text
    assert "data-shop-0, data-shop-2 would stay where they are" in text
    assert "Seen: claim data-shop-0 has class fast; claim data-shop-2 has class fast." in text
    for way in ("stateful.kube.claim_migrate with name shop", "storage_change to new_claims", "declare class fast"):
        assert way in text


def test_another_class_is_no_matter_where_no_claim_is_elsewhere() -> None:
    wanted, there = declared(template(storage_class="fixed")), live(template())
    found = change(wanted, there)
    assert found == Change(recreate=("claim template data gets class fixed in place of class fast",))
    found = change(wanted, there, [claim(0, storage_class="fixed")])
    assert found
    assert found.refusal is None
    assert found.recreate[0].endswith("in place of class fast, which its claims have already")


def test_another_class_may_be_for_new_claims_alone() -> None:
    wanted, there = declared(template(size="2Gi", storage_class="fixed")), live(template())
    found = stateful_set_change(SET, wanted, there, [claim(0)], GROWS, "us", new_claims=True)
    assert found
    assert found.refusal is None
    assert [one.claim for one in found.growth] == ["data-shop-0"]
    assert "new claims of template data get class fixed in place of class fast" in found.recreate[0]
    assert to_be(wanted, there, there, "us")["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fixed"


def test_no_class_means_the_default_class() -> None:
    wanted, there = declared(template(storage_class=None)), live(template())
    found = stateful_set_change(SET, wanted, there, [claim(0)], GROWS, "us", default_class="fast")
    assert found
    assert found.refusal is None
    assert "gets the default class" in found.recreate[0]
    assert "storageClassName" not in to_be(wanted, there, there, "us")["spec"]["volumeClaimTemplates"][0]["spec"]
    assert "data-shop-0 would stay" in refused(wanted, there, [claim(0)])


def test_access_modes_and_selectors_are_of_the_variant_and_a_volume_mode_never_changes_for_some() -> None:
    there = live(template())
    shared = template()
    shared["spec"]["accessModes"] = ["ReadWriteMany"]
    one = claim(0)
    one["spec"]["accessModes"] = ["ReadWriteOnce"]
    text = refused(declared(shared), there, [one])
    assert 'from accessModes ["ReadWriteOnce"] to accessModes ["ReadWriteMany"]' in text
    assert "claim_migrate" in text
    chosen = template()
    chosen["spec"]["selector"] = {"matchLabels": {"disk": "new"}}
    assert "claim_migrate" not in refused(declared(chosen), there, [one])
    found = stateful_set_change(SET, declared(chosen), there, [one], GROWS, "us", new_claims=True)
    assert found
    assert "new claims of template data get selector" in found.recreate[0]
    made = to_be(declared(chosen), there, there, "us")["spec"]["volumeClaimTemplates"][0]["spec"]
    assert made["selector"] == {"matchLabels": {"disk": "new"}}
    raw = template()
    raw["spec"]["volumeMode"] = "Block"
    found = stateful_set_change(SET, declared(raw), there, [one], GROWS, "us", new_claims=True)
    assert found
    assert found.refusal
    assert "new_claims" not in found.refusal.sentence()
    found = change(declared(raw), there)
    assert found
    assert found.refusal is None


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (declared(template(), template("more")), "more added"),
        (declared(template("disk")), "disk added and data taken away"),
        (declared(template(), serviceName="other"), "spec.serviceName is shop, and other is declared"),
        (declared(template(), selector={"matchLabels": {"app": "x"}}), "spec.selector cannot change"),
        (declared({**template(), "metadata": {"name": "data", "labels": {"a": "b"}}}), "changes in metadata.labels"),
    ],
)
def test_what_running_pods_cannot_follow_is_refused(wanted: dict[str, t.Any], says: str) -> None:
    assert says in refused(wanted, live(template()))


def test_another_order_of_claim_templates_is_refused() -> None:
    one, two = template("a"), template("b")
    assert "in another order" in refused(declared(two, one), live(one, two))


def test_only_what_needs_a_new_object_differs_between_the_steps() -> None:
    there = live(template(), template("logs"))
    wanted = declared(template(size="2Gi"), template("logs"), podManagementPolicy="Parallel", minReadySeconds=5)
    tried = as_it_is(wanted, there)
    assert tried["spec"]["minReadySeconds"] == 5
    assert tried["spec"]["volumeClaimTemplates"] == there["spec"]["volumeClaimTemplates"]
    between = to_be(wanted, there, there, "us")
    assert "minReadySeconds" not in between["spec"]
    assert between["spec"]["replicas"] == 3
    assert between["spec"]["podManagementPolicy"] == "Parallel"
    data, logs = between["spec"]["volumeClaimTemplates"]
    assert data["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert data["spec"]["volumeMode"] == "Filesystem"
    assert logs == there["spec"]["volumeClaimTemplates"][1]


def test_a_quota_without_room_is_told_before_the_first_claim_grows() -> None:
    growth = [Growth("shop", f"data-shop-{n}", "u", "1", "fast", "1Gi", "2Gi") for n in range(3)]

    def quota(resource: str, used: str, hard: str) -> dict[str, t.Any]:
        return {"metadata": {"name": "q"}, "status": {"hard": {resource: hard}, "used": {resource: used}}}

    assert quota_shortage(SET, growth, [quota("requests.storage", "3Gi", "6Gi")]) is None
    shortage = quota_shortage(SET, growth, [quota("requests.storage", "3Gi", "6G")])
    assert shortage
    assert "3Gi of 6G is used" in shortage.sentence()
    by_class = "{}.storageclass.storage.k8s.io/requests.storage"
    assert quota_shortage(SET, growth, [quota(by_class.format("fast"), "3Gi", "5Gi")])
    assert quota_shortage(SET, growth, [quota(by_class.format("other"), "3Gi", "3Gi")]) is None
    assert quota_shortage(SET, growth, [quota("limits.memory", "3Gi", "3Gi")]) is None


def plan_of(*seen: Seen, wait: bool = False) -> Plan:
    plan = plan_present(Observed(tuple(seen)), wait)
    assert isinstance(plan, Plan)
    return plan


def test_claims_grow_then_it_waits_then_the_object_is_made_again_then_the_rest_changes() -> None:
    there, wanted = live(template()), declared(template(size="2Gi"), minReadySeconds=5)
    found = change(wanted, there, [claim(0), claim(1)])
    between = to_be(wanted, there, there, "us")
    after = {**between, "spec": {**between["spec"], "minReadySeconds": 5}}
    seen = Seen(SET, there, wanted, after, True, change=found, between=between)
    plan = plan_of(seen)
    assert [step.action for step in plan.steps] == ["grow", "grow", "wait", "recreate", "apply"]
    assert plan.steps[0].sentence == "grow claim data-shop-0 from 1Gi to 2Gi"
    assert "without touching its pods: claim template data grows from 1Gi to 2Gi" in plan.steps[3].sentence
    assert [step.action for step in plan_of(dataclasses.replace(seen, after=between)).steps] == [
        "grow",
        "grow",
        "wait",
        "recreate",
    ]


@pytest.mark.parametrize(
    ("stage", "action", "changes"),
    [("gone", "restore", True), ("adopting", "wait", False), ("finishing", "finish", True)],
)
def test_an_interrupted_recreation_is_finished_first(stage: str, action: str, changes: bool) -> None:
    there = None if stage == "gone" else live(template())
    (step,) = plan_of(Seen(SET, there, declared(), changes=True, recreation=Recreation(stage))).steps
    assert (step.action, step.change) == (action, changes)


def test_what_is_being_deleted_is_waited_for_and_then_made() -> None:
    going = live(template())
    going["metadata"]["deletionTimestamp"] = "now"
    steps = plan_of(Seen(SET, going, declared(), changes=True)).steps
    assert [(step.action, step.change) for step in steps] == [("wait", False), ("apply", True)]


@pytest.mark.parametrize(
    ("kind", "strategy", "words"),
    [
        ("StatefulSet", {"type": "RollingUpdate"}, " (pods are replaced one by one)"),
        (
            "StatefulSet",
            {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}},
            " (pods from ordinal 2 on are replaced one by one)",
        ),
        ("StatefulSet", {"type": "OnDelete"}, " (each pod becomes new when it is replaced)"),
        ("Deployment", {"type": "Recreate"}, " (all pods are stopped, then replaced)"),
        ("DaemonSet", {"type": "RollingUpdate"}, " (pods are replaced step by step)"),
    ],
)
def test_the_plan_says_what_becomes_of_the_pods(kind: str, strategy: dict[str, t.Any], words: str) -> None:
    field = "strategy" if kind == "Deployment" else "updateStrategy"
    was = {"kind": kind, "spec": {field: strategy, "replicas": 2, "template": {"a": 1}}}
    assert in_place(was, {"kind": kind, "spec": {**was["spec"], "template": {"a": 2}}}) == words  # type: ignore[dict-item]
    assert in_place(was, {**was, "metadata": {"labels": {}}}) == " in place"
    more = {"kind": kind, "spec": {**was["spec"], "replicas": 3}}  # type: ignore[dict-item]
    assert in_place(was, more) == " in place (from 2 to 3 pods)"
    assert in_place({"kind": "Service"}, {"kind": "Service"}) == ""


def test_values_of_an_immutable_secret_stay_hidden() -> None:
    key = Key("v1", "Secret", "shop", "root")
    refusal = other_change(key, {"data": {"a": "new!"}}, {"immutable": True, "data": {"a": "old!", "b": "x"}}, None)
    assert refusal
    assert "differs in a, b" in refusal.sentence()
    assert "new!" not in refusal.sentence()
    assert "old!" not in refusal.sentence()


def test_a_claim_of_its_own_grows_shrinks_and_cannot() -> None:
    key = Key("v1", "PersistentVolumeClaim", "shop", "data-shop-0")
    bigger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert other_change(key, bigger, claim(0), GROWS) is None
    refusal = other_change(key, bigger, claim(0, storage_class="fixed"), GROWS)
    assert refusal
    assert "does not let claims grow" in refusal.reason
    refusal = other_change(key, {"spec": {"resources": {"requests": {"storage": "1G"}}}}, claim(0), GROWS)
    assert refusal
    assert "never shrinks" in refusal.reason


def test_an_error_of_another_cause_is_left_to_the_api_server() -> None:
    key = Key("v1", "Service", "shop", "shop")
    assert other_change(key, {"spec": {"type": "Nonsense"}}, {"spec": {"type": "ClusterIP"}}, None) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("1Gi", 2**30), ("1G", 10**9), ("1.5k", 1500), ("100m", fractions.Fraction(1, 10)), ("1e3", 1000), ("1E", 10**18)],
)
def test_quantities(text: str, number: t.Any) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["", "much", "1GiB", "1 Gi", None])
def test_what_is_no_quantity(text: t.Any) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


@given(st.integers(0, 10**6), st.sampled_from(["Ki", "Mi", "Gi", "Ti"]))
def test_a_binary_unit_is_1024_of_the_one_before_and_more_than_the_decimal_one(number: int, unit: str) -> None:
    before = {"Ki": "", "Mi": "Ki", "Gi": "Mi", "Ti": "Gi"}[unit]
    assert quantity(f"{number}{unit}") == quantity(f"{number * 1024}{before}")
    assert quantity(f"{number}{unit}") >= quantity(f"{number}{unit[0].replace('K', 'k')}")


def test_nothing_is_applied_in_the_middle_of_a_move() -> None:
    there = live(template())
    there["metadata"]["annotations"] = {"stateful.kube/migration": '{"class": "fixed"}'}
    plan = plan_present(Observed((Seen(SET, there, declared(template()), changes=True),)), False)
    assert isinstance(plan, Refusal)
    assert "its claims are being moved" in plan.reason
    assert "claim_migrate again" in plan.choices[0]
