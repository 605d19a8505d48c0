# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Bridges, addresses and packet rules."""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Sequence
from pathlib import Path

from lab import files, shell
from lab.errors import LabError
from lab.settings import CNI_NETWORK, NEIGHBOUR, NFT_TABLE, NODE_BRIDGE, NODE_NETWORK, POD_NETWORK, Node, Settings

NETNS_FOLDER = Path("/run/netns")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# The tables of kube-proxy in nftables mode.
KUBE_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
CNI_RESULTS = Path("/var/lib/cni/results")
# In the network namespace of a node that is cut off, see faults.py.
CUT_TABLE = "stateful-lab-cut"
EVERYBODY = "everybody"
CUT_COMMENT = re.compile(r'drop comment "([^"]+)"')
POD_NUMBER = re.compile(r"[0-9a-f]{64}")


def ip(*words: str, node: Node | None = None, check: bool = True) -> str:
    inside = ["-n", node.network_namespace] if node and node.network_namespace else []
    return shell.run([shell.program("ip"), *inside, *words], check=check).stdout


def links() -> list[str]:
    """The devices of this network namespace; /sys may have been mounted in another one."""
    return [name for _index, name in socket.if_nameindex()]


def links_of_bridge(node: Node) -> list[str]:
    listed = ip("-o", "link", "show", "master", node.pod_bridge, node=node, check=False)
    return [line.split(": ")[1].split("@")[0] for line in listed.splitlines()]


def ensure_bridge(name: str, address: str) -> None:
    if name not in links():
        ip("link", "add", name, "type", "bridge")
    ip("address", "replace", address, "dev", name)
    ip("link", "set", name, "up")


def inside(node: Node) -> list[str | Path]:
    """What to put before a command that is to run in a node's network.

    Not `ip netns exec`, which mounts /sys anew and takes the control groups with it.
    """
    if node.network_namespace is None:
        return []
    return [shell.program("nsenter"), f"--net={NETNS_FOLDER / node.network_namespace}"]


def ensure(settings: Settings) -> None:
    """Make the network that nodes and pods need; what is already there stays."""
    if FORWARDING.read_text().strip() != "1":
        FORWARDING.write_text("1\n")
    ensure_bridge(NODE_BRIDGE, f"{settings.nodes[0].address}/{NODE_NETWORK.prefixlen}")
    ip("address", "replace", f"{NEIGHBOUR}/32", "dev", NODE_BRIDGE)
    for node in settings.nodes:
        if node.network_namespace:
            connect(node, settings)
    ensure_rules()
    ensure_forwarding()


def connect(node: Node, settings: Settings) -> None:
    """Give a node in a network namespace of its own a cable into the bridge, and routes both ways."""
    assert node.network_namespace
    first = settings.nodes[0]
    if not (NETNS_FOLDER / node.network_namespace).exists():
        ip("netns", "add", node.network_namespace)
    if cable(node) not in links():
        ip("link", "add", cable(node), "type", "veth", "peer", "name", "eth0", "netns", node.network_namespace)
    ip("link", "set", cable(node), "master", NODE_BRIDGE, "up")
    ip("link", "set", "lo", "up", node=node)
    ip("address", "replace", f"{node.address}/{NODE_NETWORK.prefixlen}", "dev", "eth0", node=node)
    ip("link", "set", "eth0", "up", node=node)
    ip("route", "replace", "default", "via", str(first.address), node=node)
    ip("route", "replace", str(node.pod_subnet), "via", str(node.address))
    shell.run([*inside(node), "sysctl", "-qw", "net.ipv4.ip_forward=1"])


def cable(node: Node) -> str:
    """The end of a node's cable that is in the bridge."""
    return f"slab-v-{node.name}"


def is_connected(node: Node) -> bool:
    return bool(node.network_namespace) and (NETNS_FOLDER / str(node.network_namespace)).exists()


def disconnect(node: Node) -> None:
    ip("route", "delete", str(node.pod_subnet), check=False)
    if node.network_namespace:
        # By itself it goes a moment after the namespace, and would vanish under a node that is made anew.
        ip("link", "delete", cable(node), check=False)
        ip("netns", "delete", node.network_namespace, check=False)


def plug(node: Node, on: bool) -> None:
    """Pull the cable of a node that is switched off, or put it back; the machine's own network stays as it is."""
    if node.network_namespace:
        ip("link", "set", cable(node), "up" if on else "down")


def cut_rules(node: Node, peers: Sequence[Node]) -> str:
    """Packet rules that drop what comes from some nodes and their pods and what goes there; no peers means all.

    The comment of a rule tells whom it keeps away.
    """
    groups = [(peer.name, f"{{ {peer.address}, {peer.pod_subnet} }}") for peer in peers] or [(EVERYBODY, "")]
    chains: list[str] = []
    for hook, priority, device, side in (("prerouting", "raw", "iifname", "s"), ("postrouting", "300", "oifname", "d")):
        rules = [
            f'{device} "eth0" {f"ip {side}addr {addresses} " if addresses else ""}drop comment "{name}"'
            for name, addresses in groups
        ]
        head = f"type filter hook {hook} priority {priority}; policy accept;"
        chains += [f"chain {hook} {{", head, *rules, "}"]
    return "\n".join([f"table inet {CUT_TABLE} {{", *chains, "}", ""])


def cut(node: Node, peers: Sequence[Node]) -> None:
    """Cut a node off, from some more nodes perhaps than it was already."""
    if not node.network_namespace:
        raise LabError(f"{node.name} shares the machine's own network, which is not cut.")
    before = cut_from(node)
    lacking = [peer for peer in peers if peer.name not in before]
    if EVERYBODY not in before and (lacking or not peers):
        shell.run([*inside(node), shell.program("nft"), "-f", "-"], text=cut_rules(node, lacking))


def cut_from(node: Node) -> list[str]:
    """Whom a node is kept away from."""
    if not is_connected(node):
        return []
    command = [*inside(node), shell.program("nft"), "list", "table", "inet", CUT_TABLE]
    return sorted(set(CUT_COMMENT.findall(shell.run(command, check=False).stdout)))


def heal(node: Node) -> None:
    if cut_from(node):
        shell.run([*inside(node), shell.program("nft"), "delete", "table", "inet", CUT_TABLE])


def ensure_rules() -> None:
    """Let pods out of the machine under the machine's address.

    The lab's own table, not the CNI plugin's iptables rules: it goes away with one command.
    """
    inner = f"{{ {POD_NETWORK}, {NODE_NETWORK} }}"
    rules = f"""
        table ip {NFT_TABLE}
        delete table ip {NFT_TABLE}
        table ip {NFT_TABLE} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat; policy accept;
                ip saddr {POD_NETWORK} ip daddr != {inner} masquerade
            }}
        }}
    """
    shell.run([shell.program("nft"), "-f", "-"], text=rules)


def forward_rules() -> list[list[str]]:
    comment = ["-m", "comment", "--comment", NFT_TABLE]
    return [["-i", "slab-+", *comment, "-j", "ACCEPT"], ["-o", "slab-+", *comment, "-j", "ACCEPT"]]


def ensure_forwarding() -> None:
    """Let pods' packets through on machines that drop what they forward by default, as Docker makes them do.

    No table of ours can permit what another one drops, so this goes where the dropping is done.
    """
    iptables = shell.program("iptables")
    listed = shell.run([iptables, "-w", "-S", "FORWARD"], check=False).stdout
    if "-P FORWARD DROP" not in listed:
        return
    for rule in forward_rules():
        if shell.run([iptables, "-w", "-C", "FORWARD", *rule], check=False).returncode:
            shell.run([iptables, "-w", "-I", "FORWARD", *rule])


def remove_forwarding() -> None:
    if iptables := shell.find("iptables"):
        for rule in forward_rules():
            if not shell.run([iptables, "-w", "-C", "FORWARD", *rule], check=False).returncode:
                shell.run([iptables, "-w", "-D", "FORWARD", *rule], check=False)


def remove(settings: Settings) -> None:
    """Take everything back that this module, the CNI plugins and kube-proxy made on the machine."""
    for table_family, table in (("ip", NFT_TABLE), *KUBE_PROXY_TABLES):
        if shell.find("nft"):
            shell.run([shell.program("nft"), "delete", "table", table_family, table], check=False)
    for namespace in NETNS_FOLDER.glob("slab-*"):
        ip("netns", "delete", namespace.name, check=False)
    for link in [name for name in links() if name.startswith("slab-")]:
        ip("link", "delete", link, check=False)
    remove_host_ports()
    remove_forwarding()
    remove_blank_tables()
    remove_cni_results()


def remove_cni_results() -> None:
    """Remove the CNI library's notes on pods that are gone; it keeps them where no setting moves them.

    A pod has two, one of the lab's network and one of its loopback device, under the same long number.
    """
    pods = {name.group() for path in CNI_RESULTS.glob(f"{CNI_NETWORK}-*") if (name := POD_NUMBER.search(path.name))}
    for pod in pods:
        for result in CNI_RESULTS.glob(f"*-{pod}-*"):
            result.unlink(missing_ok=True)
    files.remove_if_empty(CNI_RESULTS, CNI_RESULTS.parent)


def is_blank(listing: str) -> bool:
    """Whether a table in nft's words has neither rules nor chains but the built-in ones with their usual policy."""
    lines = [line.strip() for line in listing.splitlines()]
    built_in = ("type ", "chain PREROUTING", "chain INPUT", "chain FORWARD", "chain OUTPUT", "chain POSTROUTING")
    return all(
        line in ("", "}") or (line.startswith(("table ", *built_in)) and "policy drop" not in line) for line in lines
    )


def remove_blank_tables() -> None:
    """The iptables command makes tables as soon as it is asked anything; those without content go again."""
    if not shell.find("nft"):
        return
    for table in ("filter", "nat"):
        listed = shell.run([shell.program("nft"), "list", "table", "ip", table], check=False)
        if listed.returncode == 0 and is_blank(listed.stdout):
            shell.run([shell.program("nft"), "delete", "table", "ip", table], check=False)


def remove_host_ports() -> None:
    """Remove what the CNI plugin for host ports left: a chain for each pod, and three that they share."""
    if not (shell.find("iptables") and shell.find("iptables-save")):
        return
    iptables = [shell.program("iptables"), "-t", "nat"]
    saved = shell.run([shell.program("iptables-save"), "-t", "nat"], check=False).stdout.splitlines()
    ours = [line for line in saved if f'"{CNI_NETWORK}-' in line and line.startswith("-A ")]
    for line in ours:
        shell.run([*iptables, "-D", *shlex.split(line)[1:]], check=False)
    chains = {word for line in ours for word in line.split() if word.startswith(("CNI-DN-", "CNI-SN-"))}
    for chain in chains:
        shell.run([*iptables, "-F", chain], check=False)
        shell.run([*iptables, "-X", chain], check=False)
    left = shell.run([shell.program("iptables-save"), "-t", "nat"], check=False).stdout
    shared = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")
    if any(f":{chain} " in left for chain in shared) and ":CNI-DN-" not in left:
        for line in left.splitlines():
            if line.startswith("-A ") and any(f"-j {chain}" in line for chain in shared):
                shell.run([*iptables, "-D", *shlex.split(line)[1:]], check=False)
        for chain in shared:
            shell.run([*iptables, "-F", chain], check=False)
            shell.run([*iptables, "-X", chain], check=False)
