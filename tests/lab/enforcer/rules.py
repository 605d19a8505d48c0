# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""From NetworkPolicies to packet rules, without looking at anything but the objects.

A pod gets one table in its own network namespace. Whoever is let in there is known by address: the addresses of the
pods that a policy means are worked out here, and worked out anew whenever a pod, a label or a policy changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_network
from typing import Any

TABLE = "stateful-lab-policy"
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}

Labels = dict[str, str]
Object = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """What a policy can know of a pod."""

    namespace: str
    name: str
    uid: str
    node: str
    labels: Labels
    # Empty until it has one, and once it has ended: its address may be another pod's by then.
    address: str = ""
    ended: bool = False
    # Number by name and protocol.
    ports: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, content: Object) -> Pod | None:
        """Read a pod; none that lives in its node's own network, which no policy is about."""
        metadata, spec, status = content["metadata"], content.get("spec", {}), content.get("status", {})
        if spec.get("hostNetwork"):
            return None
        ended = status.get("phase") in ("Succeeded", "Failed")
        # Init containers with restartPolicy Always run on beside the others, and their ports count as well.
        containers = [*spec.get("containers", []), *spec.get("initContainers", [])]
        return cls(
            metadata["namespace"],
            metadata["name"],
            metadata["uid"],
            spec.get("nodeName", ""),
            metadata.get("labels") or {},
            "" if ended else status.get("podIP", ""),
            ended,
            {
                (port["name"], port.get("protocol", "TCP")): port["containerPort"]
                for container in containers
                for port in container.get("ports") or []
                if port.get("name")
            },
        )


@dataclass(frozen=True)
class Cluster:
    """Everything that decides who may reach whom."""

    pods: Sequence[Pod]
    policies: Sequence[Object]
    # The labels of each namespace.
    namespaces: dict[str, Labels]


def selects(selector: Object, labels: Labels) -> bool:
    """Whether a label selector means these labels; an empty one means all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def holds(expression: Object, labels: Labels) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False  # the API server lets no other one in


def policy_types(policy: Object) -> list[str]:
    spec = policy.get("spec") or {}
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def title(policy: Object) -> str:
    return f"{policy['metadata']['namespace']}/{policy['metadata']['name']}"


def policies_of(pod: Pod, cluster: Cluster) -> list[Object]:
    """The policies that guard what comes into a pod; in an order of their own, so that equal rules look equal."""
    found = [
        policy
        for policy in cluster.policies
        if policy["metadata"]["namespace"] == pod.namespace
        and "Ingress" in policy_types(policy)
        and selects(policy["spec"].get("podSelector") or {}, pod.labels)
    ]
    return sorted(found, key=title)


def unsupported(policy: Object) -> list[str]:
    """What a policy asks for and does not get here."""
    found = []
    if "Egress" in policy_types(policy):
        found.append("egress is not limited: this enforcer knows ingress only")
    for rule in (policy.get("spec") or {}).get("ingress") or []:
        for peer in rule.get("from") or []:
            cidr = (peer.get("ipBlock") or {}).get("cidr", "")
            if ":" in cidr:
                found.append(f"ipBlock {cidr} lets nobody in: the lab has IPv4 only")
    return found


def sources(peer: Object, home: str, cluster: Cluster) -> str:
    """The part of a packet rule that says where packets come from; empty when a peer means nobody."""
    if block := peer.get("ipBlock"):
        return source_block(block)
    spaces = peer.get("namespaceSelector")
    chosen = {name for name, labels in cluster.namespaces.items() if spaces is not None and selects(spaces, labels)}
    if spaces is None:
        chosen = {home}
    wanted = peer.get("podSelector") or {}
    addresses = {
        pod.address
        for pod in cluster.pods
        if pod.address and pod.namespace in chosen and selects(wanted, pod.labels) and ":" not in pod.address
    }
    return f"ip saddr {{ {', '.join(sorted(addresses))} }} " if addresses else ""


def source_block(block: Object) -> str:
    if isinstance(ip_network(block["cidr"], strict=False), IPv6Network):
        return ""
    inside = f"ip saddr {ip_network(block['cidr'], strict=False)} "
    outside = sorted(str(ip_network(each, strict=False)) for each in block.get("except") or [])
    # One test for each, because a set may hold no ranges that overlap.
    return inside + "".join(f"ip saddr != {each} " for each in outside)


def targets(port: Object, pod: Pod) -> str:
    """The part of a packet rule that says which port; empty when the pod has none of this name."""
    protocol = port.get("protocol") or "TCP"
    number = port.get("port")
    if number is None:
        return f"meta l4proto {PROTOCOLS[protocol]} "
    if isinstance(number, str):
        number = pod.ports.get((number, protocol))
        return f"{PROTOCOLS[protocol]} dport {number} " if number else ""
    last = port.get("endPort")
    return f"{PROTOCOLS[protocol]} dport {f'{number}-{last}' if last else number} "


def allowed(policy: Object, pod: Pod, cluster: Cluster) -> Iterator[str]:
    """The packet rules of one policy for one pod. No rule at all lets nobody in; a rule without peers lets in all."""
    for rule in policy["spec"].get("ingress") or []:
        peers = rule.get("from")
        ports = rule.get("ports")
        froms = [sources(peer, pod.namespace, cluster) for peer in peers] if peers else ["all"]
        tos = [targets(port, pod) for port in ports] if ports else ["all"]
        for source in filter(None, froms):
            for target in filter(None, tos):
                yield f"{source if source != 'all' else ''}{target if target != 'all' else ''}accept"


def table(pod: Pod, cluster: Cluster, node_addresses: Sequence[str]) -> str:
    """All packet rules of a pod, in the words of nft, to be put in the place of what was there.

    A pod that no policy means gets a table as well, one that lets everything in: so its connections are known when a
    policy comes later, and go on. Its own node is always let in, because the kubelet asks its probes from there.
    """
    policies = policies_of(pod, cluster)
    lines = ["ct state established,related accept", 'iifname "lo" accept']
    if policies:
        lines.append(f"ip saddr {{ {', '.join(node_addresses)} }} accept")
        for policy in policies:
            # Two policies may say the same; nft does not mind, but the reader of its list does.
            lines += [line for line in allowed(policy, pod, cluster) if line not in lines]
        # Neighbours in the same network must find each other, whatever they may say then.
        lines.append("meta l4proto ipv6-icmp accept")
    body = "\n".join(f"        {line}" for line in lines)
    return f"""\
table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    chain input {{
        type filter hook input priority filter; policy {"drop" if policies else "accept"};
{body}
    }}
}}
"""
