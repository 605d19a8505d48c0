# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""From policies to packet rules: who is let in, and on which port."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from enforcer import rules
from enforcer.rules import Cluster, Pod
from lab import shell

NODE = ["10.200.0.2", "10.244.1.1"]
PORTS = {("http", "TCP"): 8080, ("dns", "UDP"): 53}


def pod(name: str, address: str, *, namespace: str = "shop", **labels: str) -> Pod:
    return Pod(namespace, name, f"uid-{name}", "node2", labels, address, ports=PORTS)


SERVER = pod("server", "10.244.1.2", app="server")
PEER = pod("peer", "10.244.2.2", app="server")
CLIENT = pod("client", "10.244.1.3", client="true", tier="web")
STRANGER = pod("stranger", "10.244.1.4")
ABROAD = pod("abroad", "10.244.2.9", namespace="ops", client="true")
STARTING = pod("starting", "", client="true")
PODS = [SERVER, PEER, CLIENT, STRANGER, ABROAD, STARTING]
NAMESPACES = {"shop": {"kubernetes.io/metadata.name": "shop"}, "ops": {"team": "ops"}}


def policy(name: str = "p", /, selector: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    chosen = {"matchLabels": {"app": "server"}} if selector is None else selector
    return {"metadata": {"namespace": "shop", "name": name}, "spec": {"podSelector": chosen, **spec}}


def allow(*peers: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"from": list(peers)} if peers else {}
    return policy(ingress=[rule | ({"ports": ports} if ports else {})])


def accepted(*policies: dict[str, Any], to: Pod = SERVER) -> list[str]:
    """The rules that the policies themselves gave."""
    cluster = Cluster(PODS, policies, NAMESPACES)
    return [line for each in rules.policies_of(to, cluster) for line in rules.allowed(each, to, cluster)]


def table(*policies: dict[str, Any], to: Pod = SERVER) -> str:
    return rules.table(to, Cluster(PODS, policies, NAMESPACES), NODE)


def test_who_is_not_selected_is_open() -> None:
    assert "policy accept" in table(policy(), to=STRANGER)
    assert "policy accept" in table()
    assert "policy accept" in table(policy(policyTypes=["Egress"]))


def test_who_is_selected_is_shut_but_for_its_node_and_for_answers() -> None:
    text = table(policy())
    assert "policy drop" in text
    assert "ct state established,related accept" in text
    assert "ip saddr { 10.200.0.2, 10.244.1.1 } accept" in text
    assert accepted(policy()) == []


def test_an_empty_selector_means_every_pod_of_its_namespace_only() -> None:
    everywhere = policy(selector={})
    assert "policy drop" in table(everywhere, to=STRANGER)
    assert "policy drop" not in table(everywhere, to=ABROAD)


LABELLED = {"matchLabels": {"client": "true"}}


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        # Own namespace; a pod without an address is nobody yet.
        ({"podSelector": LABELLED}, "ip saddr { 10.244.1.3 } accept"),
        ({"podSelector": {}}, "ip saddr { 10.244.1.2, 10.244.1.3, 10.244.1.4, 10.244.2.2 } accept"),
        ({"namespaceSelector": {"matchLabels": {"team": "ops"}}}, "ip saddr { 10.244.2.9 } accept"),
        ({"namespaceSelector": {}, "podSelector": LABELLED}, "ip saddr { 10.244.1.3, 10.244.2.9 } accept"),
        ({"ipBlock": {"cidr": "10.0.0.0/8"}}, "ip saddr 10.0.0.0/8 accept"),
        (
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16", "10.1.0.0/16"]}},
            "ip saddr 10.0.0.0/8 ip saddr != 10.1.0.0/16 ip saddr != 10.2.0.0/16 accept",
        ),
    ],
)
def test_peers(peer: dict[str, Any], expected: str) -> None:
    assert accepted(allow(peer)) == [expected]


@pytest.mark.parametrize(
    "peer",
    [
        {"podSelector": {"matchLabels": {"client": "false"}}},
        {"namespaceSelector": {"matchLabels": {"team": "none"}}},
        # Both in one peer: a pod that is labelled so in a namespace that is labelled so.
        {"namespaceSelector": {"matchLabels": {"team": "ops"}}, "podSelector": {"matchLabels": {"tier": "web"}}},
        {"ipBlock": {"cidr": "fd00::/8"}},
    ],
)
def test_peers_that_are_nobody_let_nobody_in(peer: dict[str, Any]) -> None:
    assert accepted(allow(peer)) == []


def test_no_peers_means_everybody_and_no_ports_means_every_port() -> None:
    assert accepted(allow()) == ["accept"]
    assert accepted(policy(ingress=[{"from": [], "ports": []}])) == ["accept"]
    assert accepted(policy(ingress=[])) == []


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"port": 27017}, "tcp dport 27017 accept"),
        ({"port": 53, "protocol": "UDP"}, "udp dport 53 accept"),
        ({"port": "http"}, "tcp dport 8080 accept"),
        ({"port": "dns", "protocol": "UDP"}, "udp dport 53 accept"),
        ({"port": 8000, "endPort": 8010}, "tcp dport 8000-8010 accept"),
        ({"protocol": "SCTP"}, "meta l4proto sctp accept"),
        # A name is of one protocol; a name that the pod does not have opens nothing.
        ({"port": "dns"}, None),
        ({"port": "metrics"}, None),
    ],
)
def test_ports(port: dict[str, Any], expected: str | None) -> None:
    assert accepted(allow(ports=[port])) == ([expected] if expected else [])


def test_every_peer_goes_with_every_port() -> None:
    wanted = allow({"podSelector": LABELLED}, {"ipBlock": {"cidr": "192.0.2.0/24"}}, ports=[{"port": 1}, {"port": 2}])
    assert accepted(wanted) == [
        "ip saddr { 10.244.1.3 } tcp dport 1 accept",
        "ip saddr { 10.244.1.3 } tcp dport 2 accept",
        "ip saddr 192.0.2.0/24 tcp dport 1 accept",
        "ip saddr 192.0.2.0/24 tcp dport 2 accept",
    ]


def test_policies_add_up() -> None:
    first = policy("a", ingress=[{"from": [{"podSelector": LABELLED}]}])
    second = policy("b", ingress=[{"ports": [{"port": 1}]}])
    assert accepted(second, first) == ["ip saddr { 10.244.1.3 } accept", "tcp dport 1 accept"]


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ["a", "b"], {"k": "a"}, True),
        ("In", ["a", "b"], {"k": "c"}, False),
        ("In", ["a"], {}, False),
        ("NotIn", ["a"], {"k": "b"}, True),
        ("NotIn", ["a"], {"k": "a"}, False),
        ("NotIn", ["a"], {}, True),
        ("Exists", None, {"k": ""}, True),
        ("Exists", None, {}, False),
        ("DoesNotExist", None, {}, True),
        ("DoesNotExist", None, {"k": ""}, False),
    ],
)
def test_expressions(operator: str, values: list[str] | None, labels: dict[str, str], expected: bool) -> None:
    expression = {"key": "k", "operator": operator, **({"values": values} if values else {})}
    assert rules.selects({"matchExpressions": [expression]}, labels) is expected
    # Labels and expressions hold together.
    assert not rules.selects({"matchLabels": {"other": "x"}, "matchExpressions": [expression]}, labels)


def content(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": "server", "uid": "u", "labels": {"app": "server"}},
        "spec": {
            "nodeName": "node2",
            "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 1}]}],
            "initContainers": [{"name": "s", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}],
        },
        "status": {"podIP": "10.244.1.2", **status},
    }


def test_a_pod_is_read() -> None:
    assert Pod.of(content(phase="Running")) == Pod(
        "shop", "server", "u", "node2", {"app": "server"}, "10.244.1.2", ports=PORTS
    )


def test_an_ended_pod_has_no_address_any_more() -> None:
    ended = Pod.of(content(phase="Succeeded"))
    assert ended
    assert ended.ended
    assert not ended.address


def test_a_pod_in_its_nodes_network_is_no_policys_business() -> None:
    hosted = content(phase="Running")
    hosted["spec"]["hostNetwork"] = True
    assert Pod.of(hosted) is None


def test_what_is_not_enforced_is_said() -> None:
    assert rules.unsupported(allow({"podSelector": LABELLED})) == []
    assert "egress" in rules.unsupported(policy(policyTypes=["Ingress", "Egress"]))[0]
    assert "egress" in rules.unsupported(policy(egress=[{}]))[0]
    assert "fd00::/8" in rules.unsupported(allow({"ipBlock": {"cidr": "fd00::/8"}}))[0]


def test_nft_understands_every_kind_of_rule() -> None:
    nft = shell.find("nft")
    if not nft:
        pytest.skip("nft is not installed; `lab up` installs it")
    peers = [{"podSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]
    ports = [{"port": 1}, {"port": 1, "endPort": 9}, {"port": "dns", "protocol": "UDP"}, {"protocol": "SCTP"}]
    text = table(allow(*peers, ports=ports), allow())
    done = subprocess.run(
        [nft, "--check", "--file", "-"],
        input=text,
        capture_output=True,
        text=True,
        env=shell.environment(),
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft checks rules for root only")
    assert done.returncode == 0, done.stderr + text
