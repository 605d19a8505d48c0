# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a claim has no volume."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import unbound

WAITS = "waiting for first consumer to be created before binding"
MANUAL = {"metadata": {"name": "manual"}, "provisioner": "kubernetes.io/no-provisioner"}
FAST = {"metadata": {"name": "fast"}, "provisioner": "example.com/fast"}


def claim(phase: str = "Pending", **spec: t.Any) -> dict[str, t.Any]:
    resources = {"requests": {"storage": "5Gi"}}
    return {"metadata": {"name": "data-web-1"}, "spec": {"resources": resources, **spec}, "status": {"phase": phase}}


def volume(name: str, phase: str, owner: str = "", **spec: t.Any) -> dict[str, t.Any]:
    if owner:
        spec["claimRef"] = {"namespace": "web", "name": owner}
    return {"metadata": {"name": name}, "spec": {"capacity": {"storage": "1Gi"}, **spec}, "status": {"phase": phase}}


def test_a_bound_claim_is_no_obstacle() -> None:
    assert unbound(claim("Bound", storageClassName="manual"), WAITS, [MANUAL], []) == ""


def test_a_class_without_provisioner_wants_one_more_volume() -> None:
    volumes = [
        volume("pv-0", "Bound", "data-web-0", storageClassName="manual"),
        volume("pv-1", "Released", "data-web-1", storageClassName="manual"),
        volume("pv-2", "Available", storageClassName="manual"),
        volume("other", "Available", storageClassName="fast"),
    ]
    assert unbound(claim(storageClassName="manual"), WAITS, [FAST, MANUAL], volumes) == (
        f"claim data-web-1 (5Gi of class manual) is Pending: {WAITS}. StorageClass manual has no provisioner, so its "
        "volumes are made by hand: there are pv-0 (1Gi, Bound to web/data-web-0), pv-1 (1Gi, Released from "
        "web/data-web-1), pv-2 (1Gi, Available, smaller than 5Gi), and this claim needs one more that fits its size, "
        "access modes and node"
    )


@pytest.mark.parametrize(
    ("spec", "classes", "says"),
    [
        ({"storageClassName": "fast"}, [FAST], f"claim data-web-1 (5Gi of class fast) is Pending: {WAITS}"),
        (
            {"storageClassName": "gone"},
            [FAST],
            "There is no StorageClass gone, so its volumes are made by hand: there is",
        ),
        ({"storageClassName": ""}, [FAST], "(5Gi without class) is Pending"),
        ({"storageClassName": ""}, None, "Volumes without class are made by hand: there is none, and"),
        ({}, [FAST], f"(5Gi of no class, as there is no default) is Pending: {WAITS}"),
        ({"storageClassName": "manual"}, None, f"of class manual) is Pending: {WAITS}"),
    ],
)
def test_what_each_class_needs(spec: dict[str, t.Any], classes: t.Any, says: str) -> None:
    told = unbound(claim(**spec), WAITS, classes, [])
    assert says in told
    assert ("one more" in told) == ("made by hand" in told)


def test_a_long_list_of_volumes_is_cut() -> None:
    told = unbound(claim(storageClassName=""), "", [], [volume(f"pv-{number}", "Bound") for number in range(8)])
    assert "pv-4 (1Gi, Bound), and 3 more" in told
    assert "pv-5" not in told


def test_without_an_event_the_phase_has_to_do() -> None:
    assert unbound(claim(storageClassName="fast"), "", [FAST], []) == "claim data-web-1 (5Gi of class fast) is Pending"


@pytest.mark.parametrize(
    ("wanted", "there", "says"),
    [
        ({}, {"capacity": {"storage": "5119Mi"}}, "pv-0 (5119Mi, Available, smaller than 5Gi)"),
        ({}, {"capacity": {"storage": "5Gi"}}, "pv-0 (5Gi, Available)"),
        ({}, {"capacity": {"storage": "10Gi"}}, "pv-0 (10Gi, Available)"),
        (
            {"accessModes": ["ReadWriteMany", "ReadWriteOnce"]},
            {"capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOnce"]},
            "(5Gi, Available, without ReadWriteMany)",
        ),
        ({"volumeMode": "Block"}, {"capacity": {"storage": "5Gi"}}, "(5Gi, Available, of mode Filesystem)"),
        (
            {"selector": {"matchExpressions": [{"key": "size", "operator": "In", "values": ["5Gi"]}]}},
            {"capacity": {"storage": "5Gi"}},
            "(5Gi, Available, its labels are not those of the selector)",
        ),
        (
            {},
            {"capacity": {"storage": "1Gi"}, "claimRef": {"namespace": "web", "name": "other"}},
            "(1Gi, Available kept for web/other, smaller than 5Gi)",
        ),
    ],
)
def test_it_is_said_why_a_volume_does_not_fit(wanted: t.Any, there: t.Any, says: str) -> None:
    volumes = [{**volume("pv-0", "Available"), "spec": {"storageClassName": "manual", **there}}]
    assert says in unbound(claim(storageClassName="manual", **wanted), "", [MANUAL], volumes)


def test_a_claim_with_a_selector_gets_no_new_volume() -> None:
    told = unbound(claim(storageClassName="fast", selector={"matchLabels": {"a": "b"}}), "", [FAST], [])
    assert "No volume is ever made for a claim with a selector" in told
