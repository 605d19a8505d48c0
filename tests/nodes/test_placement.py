# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where pods land, and what taking a node out of service does to them."""

from __future__ import annotations

import typing as t

import pytest
import three

WEB = "app.kubernetes.io/instance=web"
TRIO = f"app.kubernetes.io/instance={three.SET}"


def drain(node: str, selector: str, *, patience: str = "60s") -> three.Result:
    # The selector keeps what others run in the lab out of it.
    options = ["--ignore-daemonsets", "--delete-emptydir-data", f"--pod-selector={selector}", f"--timeout={patience}"]
    return three.kubectl("drain", node, *options, check=False)


@pytest.mark.usefixtures("_web")
def test_members_without_a_disk_are_spread_and_move() -> None:
    before = three.placement(WEB)
    assert sorted(before.values()) == ["node1", "node2", "node3"], before
    [moving] = [pod for pod, node in before.items() if node == "node2"]
    try:
        done = drain("node2", WEB)
        assert done.returncode == 0, done.stderr
        after = three.wait_for(f"{moving} elsewhere", lambda: _all_of(3, three.placement(WEB)))
        assert after[moving] in ("node1", "node3")
        assert {pod: node for pod, node in after.items() if pod != moving} == {
            pod: node for pod, node in before.items() if pod != moving
        }
    finally:
        three.kubectl("uncordon", "node2")
        # For the tests that want a member on every node.
        three.kubectl("delete", "pod", moving)
        three.wait_for("a member on every node", lambda: len(set(three.placement(WEB).values())) == 3)


@pytest.mark.usefixtures("_web")
def test_a_node_that_was_stopped_comes_back_with_its_pods() -> None:
    by_node = {node: pod for pod, node in three.placement(WEB).items()}
    pod = by_node["node3"]
    before = three.get("pod", pod)
    call = ["exec", by_node["node2"], "--", "wget", "--tries=1", "--timeout=2", "--spider"]
    url = f"http://{before['status']['podIP']}:8080/"
    three.wait_for(
        "a peer to be reached before its node is stopped",
        lambda: three.kubectl(*call, url, check=False).returncode == 8,
    )
    three.lab("node", "stop", "node3")
    assert three.run(*three.LAB, "status", check=False).returncode == 1
    assert three.kubectl(*call, url, check=False).returncode == 4

    three.lab("node", "start", "node3")
    three.wait_for("the pod to run again", lambda: _restarted(pod, before))
    assert three.placement(WEB)[pod] == "node3"
    assert three.kubectl("exec", pod, "--", "true").returncode == 0


def test_members_of_a_replica_set_are_spread(trio: three.ReplicaSet) -> None:
    nodes = three.placement(TRIO)
    assert sorted(nodes.values()) == ["node1", "node2", "node3"], nodes


def test_a_drained_member_waits_for_its_disk(trio: three.ReplicaSet) -> None:
    """The disks are folders of a node, so a member can be nowhere else: it waits, and the budget guards the others."""
    before = three.placement(TRIO)
    by_node = {node: pod for pod, node in before.items()}
    waiting = by_node["node2"]
    claim = _claim(waiting)

    done = drain("node2", TRIO)
    assert done.returncode == 0, done.stderr
    pod = three.wait_for(f"{waiting} to be unschedulable", lambda: _unschedulable(waiting))
    assert "had volume node affinity conflict" in pod or "didn't match PersistentVolume's node affinity" in pod, pod

    primary = three.wait_for("a primary", lambda: trio.primary([pod for pod in three.MEMBERS if pod != waiting]))
    trio.write(primary, "while one member waits")

    refused = drain("node3", TRIO, patience="8s")
    assert refused.returncode != 0
    assert "disruption budget" in refused.stderr, refused.stderr
    assert by_node["node3"] in three.placement(TRIO), "the budget was not honoured"

    three.kubectl("uncordon", "node2", "node3")
    three.wait_for("the set to be whole", trio.is_whole)
    assert three.placement(TRIO) == before
    assert _claim(waiting) == claim
    three.wait_for(
        "the member that waited to catch up", lambda: trio.has(waiting, "while one member waits"), seconds=30
    )


def _all_of(count: int, found: dict[str, str]) -> dict[str, str] | None:
    return found if len(found) == count else None


def _restarted(pod: str, before: dict[str, t.Any]) -> bool:
    """Whether the very same pod is ready in another container than before."""
    now = three.get("pod", pod)
    assert now["metadata"]["uid"] == before["metadata"]["uid"]
    return three.is_ready(now) and _container(now) != _container(before)


def _container(pod: dict[str, t.Any]) -> str:
    return str(pod["status"]["containerStatuses"][0]["containerID"])


def _claim(pod: str) -> tuple[str, str]:
    claim = three.get("pvc", f"data-{pod}")
    return claim["metadata"]["uid"], claim["spec"]["volumeName"]


def _unschedulable(pod: str) -> str:
    """Why a pod finds no node, in the scheduler's words."""
    found = three.kubectl("get", "pod", pod, "--output=json", check=False)
    if found.returncode:
        return ""  # between the two pods of this name
    content: dict[str, t.Any] = three.get("pod", pod)
    conditions = content["status"].get("conditions", [])
    return "".join(each.get("message", "") for each in conditions if each.get("reason") == "Unschedulable")
