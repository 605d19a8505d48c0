# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declared against live: when is it sure that nothing would change, and what does a diff show."""

from __future__ import annotations

import base64
import copy
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import (
    normalised,
    same_outcome,
    unchanged,
    visible,
    visible_pair,
)

MANAGER = "stateful.kube"
DECLARED: dict[str, t.Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "shop", "labels": {"app": "shop"}, "finalizers": ["a/b"]},
    "spec": {
        "clusterIP": "None",
        "ports": [{"name": "db", "port": 27017}],
        "selector": {"app": "shop"},
    },
}
LIVE: dict[str, t.Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "shop",
        "namespace": "shop",
        "uid": "1",
        "resourceVersion": "5",
        "labels": {"app": "shop", "added-by": "another"},
        "finalizers": ["a/b", "c/d"],
        "managedFields": [
            {
                "manager": MANAGER,
                "operation": "Apply",
                "apiVersion": "v1",
                "time": "2026-01-01T00:00:00Z",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {'v:"a/b"': {}}},
                    "f:spec": {
                        "f:clusterIP": {},
                        "f:ports": {
                            'k:{"port":27017,"protocol":"TCP"}': {".": {}, "f:name": {}, "f:port": {}},
                        },
                        "f:selector": {},
                    },
                },
            },
            {"manager": "other", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:spec": {"f:type": {}}}},
        ],
    },
    "spec": {
        "clusterIP": "None",
        "clusterIPs": ["None"],
        "ports": [{"name": "db", "port": 27017, "protocol": "TCP", "targetPort": 27017}],
        "selector": {"app": "shop"},
        "type": "ClusterIP",
    },
    "status": {"loadBalancer": {}},
}


def changed_copy(path: t.Sequence[t.Union[str, int]], value: t.Any) -> dict[str, t.Any]:
    result = copy.deepcopy(DECLARED)
    target: t.Any = result
    for part in path[:-1]:
        target = target[part]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return result


def test_what_we_applied_before_is_unchanged_whatever_others_added() -> None:
    assert unchanged(DECLARED, LIVE, MANAGER)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["metadata", "labels", "app"], "other"),
        (["metadata", "labels", "new"], "x"),
        (["metadata", "labels"], None),
        (["metadata", "finalizers"], ["a/b", "c/d"]),
        (["metadata", "finalizers"], ["x/y"]),
        (["spec", "clusterIP"], None),
        (["spec", "ports", 0, "name"], "web"),
        (["spec", "ports", 0, "name"], None),
        (["spec", "ports", 0, "port"], 27018),
        (["spec", "ports", 0, "protocol"], "UDP"),
        (["spec", "ports"], [{"name": "db", "port": 27017}, {"name": "x", "port": 1}]),
        (["spec", "ports"], []),
        (["spec", "selector"], {"app": "shop", "tier": "db"}),
        (["spec", "selector"], {}),
        (["spec", "type"], "ClusterIP"),
    ],
)
def test_every_difference_in_what_is_declared_is_doubtful(path: list[t.Union[str, int]], value: t.Any) -> None:
    assert not unchanged(changed_copy(path, value), LIVE, MANAGER)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "clusterIP"], "10.0.0.1"),
        (["spec", "ports", 0, "name"], "hacked"),
        (["spec", "ports"], []),
        (["metadata", "labels"], {}),
        (["metadata", "finalizers"], []),
    ],
)
def test_a_live_value_that_differs_is_doubtful(path: list[t.Union[str, int]], value: t.Any) -> None:
    live = copy.deepcopy(LIVE)
    target: t.Any = live
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    assert not unchanged(DECLARED, live, MANAGER)


def test_a_changed_order_is_doubtful() -> None:
    declared, live = copy.deepcopy(DECLARED), copy.deepcopy(LIVE)
    second = {"name": "web", "port": 80, "protocol": "TCP"}
    declared["spec"]["ports"].append(dict(second))
    live["spec"]["ports"].append({**second, "targetPort": 80})
    fields = {"f:name": {}, "f:port": {}, "f:protocol": {}}
    live["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:ports"]['k:{"port":80,"protocol":"TCP"}'] = fields
    assert unchanged(declared, live, MANAGER)
    declared["spec"]["ports"].reverse()
    assert not unchanged(declared, live, MANAGER)


def test_another_managers_object_is_doubtful() -> None:
    assert not unchanged(DECLARED, LIVE, "kubectl")
    live = copy.deepcopy(LIVE)
    live["metadata"]["managedFields"][0]["operation"] = "Update"
    assert not unchanged(DECLARED, live, MANAGER)
    live["metadata"].pop("managedFields")
    assert not unchanged(DECLARED, live, MANAGER)


def test_a_dry_run_that_changes_only_bookkeeping_is_the_same_outcome() -> None:
    after = copy.deepcopy(LIVE)
    after["metadata"]["resourceVersion"] = "6"
    after["metadata"]["managedFields"][0]["time"] = "2026-02-02T00:00:00Z"
    assert same_outcome(LIVE, after)
    after["metadata"]["managedFields"][1]["manager"] = "third"
    assert not same_outcome(LIVE, after)
    after = copy.deepcopy(LIVE)
    after["spec"]["type"] = "NodePort"
    assert not same_outcome(LIVE, after)


def test_normalised_drops_nulls_and_writes_string_data_as_the_server_stores_it() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": None}, "stringData": {"a": "x"}}
    assert normalised(secret) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"a": base64.b64encode(b"x").decode()},
    }


def test_visible_keeps_what_people_declare() -> None:
    shown = visible(LIVE)
    assert set(shown["metadata"]) == {"name", "namespace", "labels", "finalizers"}
    assert "status" not in shown
    assert "uid" in LIVE["metadata"], "the original is left alone"


def test_values_of_secrets_never_show_in_a_diff() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "b2xk"}
    before = {
        "kind": "Secret",
        "metadata": {"name": "s", "annotations": applied},
        "data": {"same": "c2FtZQ==", "other": "b2xk"},
    }
    after = {
        "kind": "Secret",
        "metadata": {"name": "s"},
        "data": {"same": "c2FtZQ==", "other": "bmV3", "more": "bW9yZQ=="},
    }
    left, right = visible_pair(before, after)
    assert left["data"] == {"same": "(hidden)", "other": "(hidden)"}
    assert right["data"] == {"same": "(hidden)", "other": "(hidden, changed)", "more": "(hidden, changed)"}
    for text in ("c2FtZQ", "b2xk", "bmV3", "bW9yZQ"):
        assert text not in repr((left, right))
    _nothing, created = visible_pair(None, after)
    assert set(created["data"].values()) == {"(hidden)"}
    gone, _nothing = visible_pair(after, None)
    assert set(gone["data"].values()) == {"(hidden)"}


def test_an_object_declared_by_its_name_alone_is_as_declared_once_it_exists() -> None:
    declared = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    live = {**declared, "metadata": {"name": "shop", "uid": "1", "labels": {"kubernetes.io/metadata.name": "shop"}}}
    assert unchanged(declared, live, "stateful.kube")
    assert not unchanged({**declared, "metadata": {"name": "shop", "labels": {"a": "b"}}}, live, "stateful.kube")
    # A label that was declared before has to go.
    record = {"f:metadata": {"f:labels": {"f:a": {}}}}
    before = {"manager": "stateful.kube", "operation": "Apply", "apiVersion": "v1", "fieldsV1": record}
    labelled = {**live, "metadata": {**live["metadata"], "labels": {"a": "b"}, "managedFields": [before]}}
    assert not unchanged(declared, labelled, "stateful.kube")
