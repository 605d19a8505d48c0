# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Order, refusal and waiting of the manifests operation."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import (
    Key,
    parse_definitions,
    parse_generated,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import (
    IDENTITY,
    Observed,
    Seen,
    SeenSecret,
    conflict_sentence,
    held,
    keeping_pods,
    plan_absent,
    plan_present,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import StuckPod
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

SET = Key("apps/v1", "StatefulSet", "shop", "shop")
SERVICE = Key("v1", "Service", "shop", "shop")
SPACE = Key("v1", "Namespace", "", "shop")


def stateful_set(replicas: int, strategy: str = "OnDelete", ready: int = 0, **status: t.Any) -> dict[str, t.Any]:
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "shop", "generation": 1},
        "spec": {"replicas": replicas, "updateStrategy": {"type": strategy}},
        "status": {"observedGeneration": 1, "readyReplicas": ready, "replicas": replicas, **status},
    }


def planned(observed: Observed, wait: bool = False) -> Plan:
    plan = plan_present(observed, wait)
    assert isinstance(plan, Plan)
    return plan


def test_what_others_need_is_made_first() -> None:
    observed = Observed(
        objects=(Seen(SET, changes=True), Seen(SERVICE, changes=True), Seen(SPACE, changes=True)),
        secrets=(SeenSecret(Key("v1", "Secret", "shop", "root"), False, ("password",)),),
        missing_namespaces=("other",),
    )
    assert [(step.action, step.target) for step in planned(observed).steps] == [
        ("create-namespace", "other"),
        ("apply", "Namespace shop"),
        ("generate", "Secret shop/root"),
        ("apply", "Service shop/shop"),
        ("apply", "StatefulSet shop/shop"),
    ]


def test_a_namespace_is_made_before_the_lock_that_lives_in_it() -> None:
    observed = Observed(objects=(Seen(SERVICE, changes=True), Seen(SPACE, changes=True)), missing_namespaces=("other",))
    assert [(step.target, step.guarded) for step in planned(observed).steps] == [
        ("other", False),
        ("Namespace shop", False),
        ("Service shop/shop", True),
    ]
    there = Seen(SPACE, {"kind": "Namespace", "metadata": {"name": "shop"}}, changes=True)
    assert [step.guarded for step in planned(Observed(objects=(there,))).steps] == [True]


def test_deletion_goes_the_other_way_and_skips_what_is_gone_or_going() -> None:
    live: dict[str, t.Any] = {"metadata": {"uid": "1"}}
    going: dict[str, t.Any] = {"metadata": {"uid": "2", "deletionTimestamp": "now"}}
    observed = Observed((Seen(SPACE, live), Seen(SERVICE, going), Seen(SET, live), Seen(Key("v1", "Pod", "shop", "p"))))
    plan = plan_absent(observed, wait=True)
    assert [step.target for step in plan.changes] == ["StatefulSet shop/shop", "Namespace shop"]
    assert plan.steps[-1].change is False
    assert plan_absent(Observed((Seen(SPACE),)), wait=True).steps == ()


def test_nothing_changes_nothing() -> None:
    assert planned(Observed((Seen(SET, stateful_set(3, ready=3), stateful_set(3)),)), wait=True).steps == ()


def test_it_waits_only_if_asked() -> None:
    observed = Observed((Seen(SET, stateful_set(3, ready=1), stateful_set(3)),))
    assert planned(observed).steps == ()
    (step,) = planned(observed, wait=True).steps
    assert (step.change, "1/3 pods ready" in step.sentence) == (False, True)


def test_only_what_is_yet_to_be_made_is_held() -> None:
    new = Seen(SET, changes=True)
    assert held(Observed((new, Seen(SERVICE, changes=True))), ["StatefulSet"]) == ["StatefulSet shop/shop"]
    assert held(Observed((new,)), []) == []
    assert held(Observed((Seen(SET, stateful_set(3), changes=True),)), ["StatefulSet"]) == []
    again = Seen(SET, changes=True, recreation=Recreation("gone"))
    assert held(Observed((again,)), ["StatefulSet"]) == []


def test_a_database_is_never_shrunk_by_manifests() -> None:
    refusal = plan_present(Observed((Seen(SET, stateful_set(3), stateful_set(2), changes=True),)), wait=False)
    assert isinstance(refusal, Refusal)
    assert "3 replicas and 2 are declared" in refusal.reason
    grown = Observed((Seen(SET, stateful_set(3), stateful_set(5), changes=True),))
    assert len(planned(grown).steps) == 1
    plain = Observed((Seen(SET, stateful_set(3, "RollingUpdate"), stateful_set(2, "RollingUpdate"), changes=True),))
    assert len(planned(plain).steps) == 1


def test_a_secret_that_opens_existing_data_is_never_made_anew() -> None:
    key = Key("v1", "Secret", "shop", "root")
    lost = SeenSecret(key, exists=False, missing=("password",), opens=("claim data-shop-0 exists",))
    refusal = plan_present(Observed(secrets=(lost,)), wait=False)
    assert isinstance(refusal, Refusal)
    assert refusal.evidence == ("claim data-shop-0 exists",)
    assert len(planned(Observed(secrets=(SeenSecret(key, False, ("password",)),))).steps) == 1
    assert planned(Observed(secrets=(SeenSecret(key, True, (), ("claim data-shop-0 exists",)),))).steps == ()


def test_what_the_data_was_made_with_never_changes() -> None:
    def identified(text: str) -> dict[str, t.Any]:
        result = stateful_set(3, ready=3)
        result["metadata"]["annotations"] = {IDENTITY: text}
        return result

    changed = Observed((Seen(SET, identified("port 1"), identified("port 2"), changes=True),))
    refusal = plan_present(changed, wait=False)
    assert isinstance(refusal, Refusal)
    assert "port 1" in refusal.reason
    assert "port 2" in refusal.reason
    same = Observed((Seen(SET, identified("port 1"), identified("port 1"), changes=True),))
    assert len(planned(same).steps) == 1
    adopted = Observed((Seen(SET, stateful_set(3), identified("port 1"), changes=True),))
    assert len(planned(adopted).steps) == 1


def test_pods_that_cannot_start_are_replaced_once_the_newest_revision_is_known() -> None:
    live = stateful_set(3, ready=1)
    waiting = Observed((Seen(SET, live, live),), unsettled=(str(SET),))
    (step,) = planned(waiting).steps
    assert step.change is False
    pod = StuckPod(Key("v1", "Pod", "shop", "shop-0"), "uid", "cannot get its image")
    (step,) = planned(Observed((Seen(SET, live, live),), stuck=(pod,))).steps
    assert (step.action, step.change, "cannot get its image" in step.sentence) == ("replace", True, True)


def test_pods_of_an_older_revision_are_warned_of() -> None:
    live = stateful_set(3, ready=3, updatedReplicas=1, currentRevision="a", updateRevision="b")
    (warning,) = planned(Observed((Seen(SET, live, stateful_set(3)),))).warnings
    assert "2 of 3 pods still run an older revision" in warning


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        (5, "object 1: expected a Kubernetes object"),
        ([{"kind": "Pod"}], "object 1: expected a value for apiVersion"),
        ([{"apiVersion": "v1"}], "object 1: expected a value for kind"),
        ([{"apiVersion": "v1", "kind": "Pod", "metadata": {}}], "object 1 (Pod): expected metadata.name"),
        ("a: [", "expected YAML text"),
    ],
)
def test_definitions_that_are_no_objects_are_named(definition: t.Any, says: str) -> None:
    with pytest.raises(Failure) as failure:
        parse_definitions(definition)
    assert says in failure.value.message


def test_definitions_come_in_many_shapes() -> None:
    one = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    assert parse_definitions(one) == [one]
    assert parse_definitions([one, None, {"apiVersion": "v1", "kind": "List", "items": [one]}]) == [one, one]
    assert (
        parse_definitions([[one, [one]], '[{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}]'])
        == [one] * 3
    )
    text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n---\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: b}\n"
    assert [obj["metadata"]["name"] for obj in parse_definitions(text)] == ["a", "b"]


@pytest.mark.parametrize(
    "keys", [{}, {"a": 5}, {"a": {}}, {"a": {"length": 5, "encoding": "rot13"}}, {"a": {"length": 5, "typo": 1}}]
)
def test_generated_secrets_with_unusable_rules_are_named(keys: dict[str, t.Any]) -> None:
    with pytest.raises(Failure, match="generated_secrets: root"):
        parse_generated([{"name": "root", "keys": keys}])


def labelled(application: str, managed_by: str = "stateful.kube") -> dict[str, t.Any]:
    labels = {
        "app.kubernetes.io/name": application,
        "app.kubernetes.io/instance": "shop",
        "app.kubernetes.io/managed-by": managed_by,
    }
    return {"kind": "Service", "metadata": {"name": "shop", "labels": labels}, "spec": {}}


def test_two_applications_of_one_name_do_not_take_each_others_objects() -> None:
    refused = plan_present(Observed((Seen(SERVICE, labelled("mongodb"), labelled("nginx"), changes=True),)), wait=False)
    assert isinstance(refused, Refusal)
    assert "Service shop/shop is part of mongodb shop" in refused.reason
    assert "declared as part of nginx shop" in refused.reason
    same = Observed((Seen(SERVICE, labelled("nginx"), labelled("nginx"), changes=True),))
    assert [step.action for step in planned(same).steps] == ["apply"]


def test_labels_of_somebody_else_are_theirs_to_change() -> None:
    theirs = Seen(SERVICE, labelled("old", "them"), labelled("new", "them"), changes=True)
    assert [step.action for step in planned(Observed((theirs,))).steps] == ["apply"]


def test_all_conflicts_are_one_paragraph() -> None:
    fought = Seen(SERVICE, conflicts=((".spec.a", "helm"), (".spec.b", "kubectl-edit"), (".spec.c", "helm")))
    text = conflict_sentence([fought, Seen(SPACE), Seen(SET, conflicts=((".spec.replicas", "hpa, by scale"),))])
    assert text
    assert "Service shop/shop: .spec.a, .spec.c (managed by helm), .spec.b (managed by kubectl-edit);" in text
    assert "StatefulSet shop/shop: .spec.replicas (managed by hpa, by scale)." in text
    assert "force_conflicts" in text
    assert conflict_sentence([Seen(SPACE)]) is None


def _owned_by(manager: str, replicas: int) -> dict[str, t.Any]:
    live = stateful_set(replicas)
    fields = {"f:spec": {"f:replicas": {}}}
    live["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]
    return live


@pytest.mark.parametrize(
    ("declared", "live", "applied"),
    [
        (3, _owned_by("stateful.kube", 3), 3),
        # Somebody scaled it to the very number: no reason to change anything.
        (3, _owned_by("by-hand", 3), None),
        (5, _owned_by("by-hand", 3), 5),
        # Fewer pods are the business of the operation that comes next.
        (1, _owned_by("by-hand", 3), 3),
        (3, None, 3),
    ],
)
def test_the_number_of_pods_that_is_applied(declared: int, live: t.Any, applied: t.Optional[int]) -> None:
    assert keeping_pods(stateful_set(declared), live, "stateful.kube")["spec"].get("replicas") == applied
