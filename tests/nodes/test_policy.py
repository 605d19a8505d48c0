# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who reaches whom, pod to pod, with the policy that the workload role makes.

Clients stand on the node of the member that they call and on another one: the two ways that packets can take.
"""

from __future__ import annotations

import functools
import typing as t

import pytest
import three

LABEL = "client.stateful.kube/web"
CLIENT_PORT, INTERNAL_PORT = 8080, 8081

pytestmark = pytest.mark.usefixtures("_web")


def client(name: str, node: str, labels: dict[str, str]) -> dict[str, t.Any]:
    # A node is named outright: where clients stand is what the test is about, not what the scheduler thinks.
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": three.NAMESPACE, "labels": {"app": "client", **labels}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "client",
                    "image": "docker.io/library/busybox:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "3600"],
                }
            ],
        },
    }


def start(name: str, node: str, labels: dict[str, str]) -> None:
    # The one before it may be on its way out still.
    three.kubectl("delete", "pod", name, "--ignore-not-found")
    three.apply(client(name, node, labels))
    three.wait_for(f"{name} to be ready", lambda: three.is_ready(three.get("pod", name)))


@pytest.fixture(scope="module")
def member() -> dict[str, t.Any]:
    """The member on node2, as the API server knows it once it is ready."""
    [name] = [name for name, node in three.placement("app.kubernetes.io/instance=web").items() if node == "node2"]
    return three.get("pod", name)


@pytest.fixture
def node() -> str:
    """Where a stranger stands unless a test says otherwise: not on the node of the member."""
    return "node3"


@pytest.fixture
def stranger(node: str) -> t.Iterator[str]:
    """A pod that nobody has named a client."""
    name = f"stranger-{node}"
    start(name, node, {})
    yield name
    three.kubectl("delete", "pod", name, "--wait=false")


def reaches(pod: str, address: str, port: int) -> bool:
    """Whether a pod gets a connection. A packet that is dropped shows as silence only."""
    return answered(three.kubectl("exec", pod, "--", *wget(address, port), check=False))


def wget(address: str, port: int) -> list[str]:
    return ["wget", "--tries=1", "--timeout=2", "--output-document=-", f"http://{address}:{port}/"]


def at_console(pod: str, address: str) -> three.Result:
    words = wget(address, CLIENT_PORT)
    return three.run(*three.LAB, "console", f"{three.NAMESPACE}/{pod}", *words, check=False)


def answered(done: three.Result) -> bool:
    """The exit codes of wget: 8 is an answer too, one that says 404. Any other failure is one of this test."""
    assert done.returncode in (0, 8, 4), done.stdout + done.stderr
    return done.returncode != 4


@pytest.mark.parametrize("node", ["node2", "node3"], ids=["same-node", "other-node"])
def test_only_named_clients_are_let_in(member: dict[str, t.Any], stranger: str) -> None:
    address = member["status"]["podIP"]
    three.wait_for("the policy to hold", lambda: not reaches(stranger, address, CLIENT_PORT))

    three.kubectl("label", "pod", stranger, f"{LABEL}=true")
    three.wait_for("the named client to be let in", lambda: reaches(stranger, address, CLIENT_PORT))
    assert not reaches(stranger, address, INTERNAL_PORT), "a client reached the port that members have among themselves"

    three.kubectl("label", "pod", stranger, f"{LABEL}=false", "--overwrite")
    three.wait_for("another value of the label to shut it out", lambda: not reaches(stranger, address, CLIENT_PORT))


def test_members_reach_each_other_on_every_port(member: dict[str, t.Any]) -> None:
    others = [pod for pod in three.placement("app.kubernetes.io/instance=web") if pod != member["metadata"]["name"]]
    assert len(others) == 2
    for pod in others:
        for port in (CLIENT_PORT, INTERNAL_PORT):
            peer = functools.partial(reaches, pod, member["status"]["podIP"], port)
            three.wait_for(f"{pod} to reach port {port} of its peer", peer)


def test_what_a_guarded_member_asks_is_answered(member: dict[str, t.Any]) -> None:
    """Cluster DNS by its Service: nothing lets it in by name, its answers belong to what the member began."""
    asked = three.kubectl(
        "exec", member["metadata"]["name"], "--", "nslookup", f"web.{three.NAMESPACE}.svc.cluster.local", check=False
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert member["status"]["podIP"] in asked.stdout


def test_a_client_is_let_in_at_its_new_address(member: dict[str, t.Any]) -> None:
    address = member["status"]["podIP"]
    seen = set()
    for name in ("first", "second"):
        start(name, "node3", {LABEL: "true"})
        seen.add(three.get("pod", name)["status"]["podIP"])
        three.wait_for(f"{name} to be let in", functools.partial(reaches, name, address, CLIENT_PORT))
        three.kubectl("delete", "pod", name)
    assert len(seen) == 2


def test_a_service_leads_named_clients_to_the_members(stranger: str) -> None:
    service = f"web-client.{three.NAMESPACE}.svc.cluster.local"
    three.wait_for("the policy to hold", lambda: not reaches(stranger, service, CLIENT_PORT))
    three.kubectl("label", "pod", stranger, f"{LABEL}=true")
    three.wait_for("the named client to be let in", lambda: reaches(stranger, service, CLIENT_PORT))


def test_namespaces_ports_and_addresses(member: dict[str, t.Any], stranger: str) -> None:
    """What users add themselves: peers by namespace, a range of ports, blocks of addresses with exceptions."""
    address, source = member["status"]["podIP"], three.get("pod", stranger)["status"]["podIP"]
    assert not reaches(stranger, address, CLIENT_PORT)

    def grant(*peers: dict[str, t.Any]) -> None:
        three.apply(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {"name": "more", "namespace": three.NAMESPACE},
                "spec": {
                    "podSelector": {"matchExpressions": [{"key": "app.kubernetes.io/instance", "operator": "Exists"}]},
                    "ingress": [{"from": list(peers), "ports": [{"port": 8080, "endPort": 8080}]}],
                },
            }
        )

    try:
        name = {"kubernetes.io/metadata.name": three.NAMESPACE}
        grant({"namespaceSelector": {"matchLabels": name}, "podSelector": {"matchLabels": {"app": "client"}}})
        three.wait_for("the namespace to be let in", lambda: reaches(stranger, address, CLIENT_PORT))
        assert not reaches(stranger, address, INTERNAL_PORT)
        grant({"namespaceSelector": {"matchLabels": {"no": "such"}}})
        three.wait_for("another namespace to shut it out", lambda: not reaches(stranger, address, CLIENT_PORT))
        grant({"ipBlock": {"cidr": "10.244.0.0/16"}})
        three.wait_for("the block to be let in", lambda: reaches(stranger, address, CLIENT_PORT))
        grant({"ipBlock": {"cidr": "10.244.0.0/16", "except": [f"{source}/32"]}})
        three.wait_for("the exception to hold", lambda: not reaches(stranger, address, CLIENT_PORT))
    finally:
        three.kubectl("delete", "networkpolicy", "more", "--ignore-not-found")


def test_rules_outlive_their_enforcer(member: dict[str, t.Any], stranger: str) -> None:
    """A node whose control plane is out of reach goes on guarding; what changed meanwhile holds as soon as it is back.

    The node is kept away from the one with the API server only, so that pods still reach each other.
    """
    address = member["status"]["podIP"]
    assert not reaches(stranger, address, CLIENT_PORT)
    [peer] = [name for name, node in three.placement("app.kubernetes.io/instance=web").items() if node == "node3"]
    three.lab("node", "cut", "node2", "--from", "node1")
    try:
        three.kubectl("label", "pod", stranger, f"{LABEL}=true")
        # In vain where the cut keeps pods away from each other as well.
        three.wait_for("a peer to be answered", lambda: answered(at_console(peer, address)))
        assert not answered(at_console(stranger, address)), "a node that heard of no change let a stranger in"
    finally:
        three.lab("node", "heal", "node2")
    three.wait_for("the change to arrive", lambda: reaches(stranger, address, CLIENT_PORT))
