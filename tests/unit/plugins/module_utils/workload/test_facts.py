# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of a workload, and with how many requests it is found out."""

from __future__ import annotations

import copy
import typing as t
from urllib.parse import parse_qs, urlencode

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import matches, query
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import newest, pod_revision, revisions
from ansible_collections.stateful.kube.plugins.module_utils._workload._info import Reader
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import Workload, unfinished
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.workload.workloads import BROKEN, World, template

NOW = 1767225600.0  # 2026-01-01T00:00:00Z


class Requests:
    """A Connection that serves objects by their path and remembers what was asked."""

    namespace = "shop"

    def __init__(self, objects: dict[str, list[dict[str, t.Any]]], forbidden: t.Collection[str] = ()) -> None:
        self.objects = objects
        self.forbidden = forbidden
        self.asked: list[str] = []

    def request(self, method: str, path: str, query: t.Any = (), **_options: t.Any) -> dict[str, t.Any]:
        assert method == "GET"
        self.asked.append(f"{path}?{urlencode(query)}")
        plural, _slash, name = path.partition("/namespaces/shop/")[2].partition("/")
        if plural in self.forbidden:
            raise ApiError(f"you may not list {plural}", 403, "Forbidden")
        found = copy.deepcopy(self.objects.get(plural, []))
        if not name:
            return {"items": found}
        one = [item for item in found if item["metadata"]["name"] == name]
        if not one:
            raise ApiError("not found", 404, "NotFound")
        return one[0]

    def text(self, *_args: t.Any) -> str:
        return ""


def shop(world: World) -> dict[str, list[dict[str, t.Any]]]:
    """The world's StatefulSet with a claim for each pod, Services, slices and budgets, some of them of others."""
    pods = list(world.pods.values())
    for number, pod in enumerate(pods):
        pod["metadata"]["creationTimestamp"] = "2025-12-31T23:59:00Z"
        pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = pod["metadata"]["name"]
        pod["spec"].update(
            nodeName="node1", volumes=[{"persistentVolumeClaim": {"claimName": f"data-web-{number}"}}, {"emptyDir": {}}]
        )
        pod["status"]["podIP"] = f"10.0.0.{number}"
    world.live["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    stranger = {"metadata": {"name": "web-77", "uid": "x", "labels": {"app": "web"}}, "spec": {"containers": []}}
    return {
        "statefulsets": [world.live],
        "controllerrevisions": world.revisions,
        "pods": [*pods, stranger],
        "persistentvolumeclaims": [claim(name) for name in ("data-web-0", "data-web-10", "data-web-1", "data-web-old")],
        "services": [
            service("web", {"app": "web"}, "None"),
            service("first", {"statefulset.kubernetes.io/pod-name": "web-0"}, "10.1.0.1"),
            service("other", {"app": "other"}, "10.1.0.2"),
            service("by-hand", {}, "10.1.0.3"),
        ],
        "endpointslices": [
            endpoints("web", ("10.0.0.0", True), ("10.0.0.1", False)),
            endpoints("web", ("10.0.0.2", None)),
            endpoints("other", ("10.9.9.9", True)),
        ],
        "poddisruptionbudgets": [
            budget("web", {"matchLabels": {"app": "web"}}),
            budget("no", {"matchLabels": {"b": "c"}}),
        ],
    }


def claim(name: str) -> dict[str, t.Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": f"pv-{name}"}
    status = {"phase": "Bound", "capacity": {"storage": "2Gi"}}
    return {"metadata": {"name": name}, "spec": {**spec, "storageClassName": "fast"}, "status": status}


def service(name: str, selector: dict[str, str], address: str) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name},
        "spec": {"type": "ClusterIP", "clusterIP": address, "selector": selector, "ports": [{"port": 80}]},
    }


def endpoints(name: str, *found: tuple[str, t.Optional[bool]]) -> dict[str, t.Any]:
    ready = [{"addresses": [address], "conditions": {} if ok is None else {"ready": ok}} for address, ok in found]
    return {"metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}, "endpoints": ready}


def budget(name: str, selector: dict[str, t.Any]) -> dict[str, t.Any]:
    return {
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": selector},
        "status": {"disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2},
    }


def reader(connection: Requests, warnings: t.Optional[list[str]] = None) -> Reader:
    return Reader(Cluster(t.cast("t.Any", connection)), "shop", (warnings if warnings is not None else []).append)


def test_a_healthy_workload_costs_seven_requests() -> None:
    connection = Requests(shop(World(3)))
    (found,) = reader(connection).one("StatefulSet", "web", NOW)
    assert len(connection.asked) == 7
    assert [pod["name"] for pod in found["pods"]] == ["web-0", "web-1", "web-2"]
    assert found["pods"][2] == {
        "name": "web-2",
        "ordinal": 2,
        "node": "node1",
        "ip": "10.0.0.2",
        "phase": "Running",
        "ready": True,
        "revision": {"name": "web-1", "number": 1},
        "images": ["good"],
        "restarts": 0,
        "created": "2025-12-31T23:59:00Z",
        "age_seconds": 60,
        "claims": ["data-web-2"],
        "obstacle": None,
    }
    assert [(one["name"], one["pod"]) for one in found["claims"]] == [
        ("data-web-0", "web-0"),
        ("data-web-1", "web-1"),
        ("data-web-10", None),
    ]
    assert found["claims"][0]["requested"] == "1Gi"
    assert found["claims"][0]["capacity"] == "2Gi"
    assert [(one["name"], one["headless"], one["ready_addresses"]) for one in found["services"]] == [
        ("web", True, ["10.0.0.0", "10.0.0.2"]),
        ("first", False, []),
    ]
    slices = parse_qs(connection.asked[-1].partition("?")[2])
    assert slices == {"labelSelector": ["kubernetes.io/service-name in (first,web)"]}
    assert [one["name"] for one in found["disruption_budgets"]] == ["web"]
    assert found["disruption_budgets"][0]["disruptions_allowed"] == 1
    assert (found["exists"], found["blocked"], found["waits_for"], found["paused"]) == (True, [], None, False)


@pytest.mark.parametrize("count", [1, 5])
def test_any_number_of_workloads_costs_one_list_a_kind(count: int) -> None:
    objects = shop(World(2))
    for number in range(count):
        live = copy.deepcopy(objects["statefulsets"][0])
        live["metadata"].update(name=f"web{number}", uid=f"u{number}")
        live["spec"]["replicas"] = 0
        objects["statefulsets"].append(live)
    connection = Requests(objects)
    assert len(reader(connection).all(("StatefulSet", "Deployment", "DaemonSet"), "", NOW)) == count + 1
    assert len(connection.asked) == 9


def test_without_services_and_claims_nobody_asks_for_addresses_and_claims() -> None:
    world = World(2)
    connection = Requests({"statefulsets": [world.live], "pods": list(world.pods.values())})
    (found,) = reader(connection).one("StatefulSet", "web", NOW)
    assert (found["services"], found["claims"], len(connection.asked)) == ([], [], 5)


def test_nothing_there_costs_one_request() -> None:
    connection = Requests({})
    named = {"kind": "StatefulSet", "namespace": "shop", "name": "web"}
    assert reader(connection).one("StatefulSet", "web", NOW) == [{**named, "exists": False}]
    assert len(connection.asked) == 1
    assert reader(connection).all(("StatefulSet",), "a=b", NOW) == []


def test_what_may_not_be_listed_is_left_out_with_a_warning() -> None:
    warnings: list[str] = []
    connection = Requests(shop(World(2)), forbidden=("poddisruptionbudgets", "endpointslices"))
    (found,) = reader(connection, warnings).one("StatefulSet", "web", NOW)
    assert found["disruption_budgets"] is None
    assert found["services"][0]["ready_addresses"] is None
    assert [text.partition(":")[0] for text in warnings] == ["PodDisruptionBudget", "EndpointSlice"]
    connection = Requests(shop(World(2)), forbidden=("statefulsets",))
    with pytest.raises(ApiError):
        reader(connection).one("StatefulSet", "web", NOW)


def test_what_blocks_is_told_of_its_own_pods() -> None:
    world = World(2)
    world.edit({"spec": {"template": template(BROKEN)}})
    world.settle()
    connection = Requests(shop(world))
    (found,) = reader(connection).one("StatefulSet", "web", NOW)
    assert len(found["blocked"]) == 1
    assert found["blocked"][0].startswith("web-1 cannot get the image")
    assert found["revision"]["current"]["number"] == 1
    assert found["revision"]["newest"]["number"] == 2
    assert [(one["number"], one["images"], one["pods"], one["newest"]) for one in found["revisions"]] == [
        (1, ["good"], 1, False),
        (2, [BROKEN], 1, True),
    ]


def replica_set(number: int, image: str) -> dict[str, t.Any]:
    content = template(image)
    content["metadata"] = {"creationTimestamp": None, "labels": {"app": "web", "pod-template-hash": f"h{number}"}}
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"front-{number}",
            "uid": f"rs{number}",
            "annotations": {"deployment.kubernetes.io/revision": str(number), "kubernetes.io/change-cause": "because"},
        },
        "spec": {"template": content},
    }


def test_the_revision_of_a_deployment_is_told_by_its_template() -> None:
    kept = revisions([replica_set(3, "new"), replica_set(2, "old")])
    assert [(one.number, one.cause, one.images) for one in kept] == [(2, "because", ("old",)), (3, "because", ("new",))]
    live: dict[str, t.Any] = {
        "kind": "Deployment",
        "metadata": {"name": "front"},
        "spec": {"template": template("old")},
    }
    assert newest(live, kept) == kept[0]
    live["spec"]["template"] = template("newer")
    assert newest(live, kept) == kept[1]
    live["spec"]["paused"] = True
    assert newest(live, kept) is None
    owner = {"controller": True, "name": "front-3", "uid": "rs3"}
    assert pod_revision(live, {"metadata": {"ownerReferences": [owner]}}) == "front-3"
    daemon = {"kind": "DaemonSet", "metadata": {"name": "agent"}}
    assert pod_revision(daemon, {"metadata": {"labels": {"controller-revision-hash": "abc"}}}) == "agent-abc"


def deployment(paused: bool, available: int, updated: int) -> Workload:
    status = {"replicas": 2, "readyReplicas": available, "availableReplicas": available, "updatedReplicas": updated}
    live = {"kind": "Deployment", "metadata": {"name": "front"}, "spec": {"replicas": 2, "paused": paused}}
    return Workload("Deployment", "shop", "front", {**live, "status": status})


def test_what_is_held_back_is_not_waited_for() -> None:
    assert unfinished(deployment(paused=False, available=2, updated=1)) == "1/2 pods updated"
    assert unfinished(deployment(paused=True, available=2, updated=1)) is None
    assert unfinished(deployment(paused=True, available=1, updated=1)) == "1/2 pods ready"
    spec = {"updateStrategy": {"type": "OnDelete"}}
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 0, "numberAvailable": 3}
    live = {"kind": "DaemonSet", "metadata": {"name": "agent", "generation": 2}, "spec": spec, "status": status}
    seen = Workload("DaemonSet", "shop", "agent", live)
    assert unfinished(seen) == "its controller has not seen the newest version yet"
    status["observedGeneration"] = 2
    assert unfinished(seen) is None
    spec["updateStrategy"]["type"] = "RollingUpdate"
    assert unfinished(seen) == "0/3 pods updated"


EXPRESSIONS = {
    "matchLabels": {"app": "web"},
    "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
        {"key": "keep", "operator": "Exists"},
        {"key": "drop", "operator": "DoesNotExist"},
    ],
}


@pytest.mark.parametrize(
    ("labels", "taken"),
    [
        ({"app": "web", "tier": "a", "keep": ""}, True),
        ({"app": "web", "tier": "a", "keep": "", "zone": "d"}, True),
        ({"app": "web", "tier": "a", "keep": "", "zone": "c"}, False),
        ({"app": "web", "tier": "c", "keep": ""}, False),
        ({"app": "web", "tier": "a"}, False),
        ({"app": "web", "tier": "a", "keep": "", "drop": "x"}, False),
        ({"tier": "a", "keep": ""}, False),
    ],
)
def test_selectors_with_expressions(labels: dict[str, str], taken: bool) -> None:
    assert matches(EXPRESSIONS, labels) is taken


def test_selectors_as_queries_and_the_empty_ones() -> None:
    assert query(EXPRESSIONS) == "app=web,tier in (a,b),zone notin (c),keep,!drop"
    assert matches({}, {"app": "web"})
    assert not matches(None, {"app": "web"})
