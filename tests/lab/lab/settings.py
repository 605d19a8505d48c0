# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Every name, number and path of the lab."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab import files

SOURCES = Path(__file__).resolve().parent.parent
HOME_VARIABLE = "STATEFUL_LAB_HOME"
NODES_VARIABLE = "LAB_NODES"
DEFAULT_HOME = Path("/var/lib/stateful-lab")

KUBERNETES_VERSION = "v1.34.4"
COREDNS_VERSION = "v1.12.4"
LOCAL_PATH_VERSION = "v0.0.30"
MINIMUM_GO = (1, 24)

CLUSTER_NAME = "stateful-lab"
CLUSTER_DOMAIN = "cluster.local"
SERVICE_NETWORK = IPv4Network("10.96.0.0/16")
KUBERNETES_SERVICE = IPv4Address("10.96.0.1")
DNS_SERVICE = IPv4Address("10.96.0.10")
POD_NETWORK = IPv4Network("10.244.0.0/16")
NODE_NETWORK = IPv4Network("10.200.0.0/24")
CONTROL_PLANE_ADDRESS = IPv4Address("10.200.0.1")
API_PORT = 6443
# Every node and pod reaches the NFS server at this address. The port is the one that volumes have no word for.
NFS_SERVER = CONTROL_PLANE_ADDRESS
NFS_PORT = 2049
# Free for a server that is no part of the cluster, such as a virtual machine's: no node ever gets it.
NEIGHBOUR = IPv4Address("10.200.0.254")
MOST_NODES = 9
# Not etcd's usual ports: a distribution's own etcd service may be running on those.
ETCD_PORT = 12379
ETCD_PEER_PORT = 12380

# This kernel may have no dummy device: a bridge carries the address of the control plane and of the first node.
NODE_BRIDGE = "slab-nodes"
NFT_TABLE = "stateful-lab"
CGROUP_PARENT = "stateful-lab"
CNI_NETWORK = "stateful-lab"


@dataclass(frozen=True)
class Node:
    """One node. Its folders are its own, so that another node is another instance of this class."""

    name: str
    address: IPv4Address
    pod_subnet: IPv4Network
    folder: Path
    # The network namespace in which the node lives; None is the machine's own.
    network_namespace: str | None = None

    @property
    def containerd_root(self) -> Path:
        return self.folder / "containerd" / "root"

    @property
    def containerd_state(self) -> Path:
        """What containerd keeps about running containers: void once they are gone, as after a restart."""
        return self.folder / "containerd" / "state"

    @property
    def containerd_socket(self) -> Path:
        return self.folder / "containerd" / "containerd.sock"

    @property
    def runc_root(self) -> Path:
        return self.folder / "containerd" / "runc"

    @property
    def cni_configuration(self) -> Path:
        return self.folder / "cni"

    @property
    def cni_addresses(self) -> Path:
        return self.folder / "cni-addresses"

    @property
    def kubelet_root(self) -> Path:
        return self.folder / "kubelet"

    @property
    def volumes(self) -> Path:
        """Where the default StorageClass keeps its volumes."""
        return self.folder / "volumes"

    @property
    def loop_volumes(self) -> Path:
        """Where the storage driver for tests keeps its image files."""
        return self.folder / "loop-volumes"

    @property
    def pod_logs(self) -> Path:
        return self.folder / "pod-logs"

    @property
    def pod_gateway(self) -> IPv4Address:
        """The node's address among its pods: the CNI plugin takes the first one."""
        return self.pod_subnet[1]

    @property
    def pod_bridge(self) -> str:
        return f"slab-{self.name}"

    @property
    def cgroup(self) -> str:
        return f"/{CGROUP_PARENT}/{self.name}"


@dataclass(frozen=True)
class Settings:
    home: Path
    node_count: int = 1
    # Whether the API server logs all requests.
    audit: bool = False
    sources: Path = field(default=SOURCES)

    @classmethod
    def from_environment(cls) -> Settings:
        """The folder that the environment names, with what an earlier `up` was told to remember there.

        Without symbolic links, because the kernel's table of mounts has none either.
        """
        home = Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME).resolve()
        try:
            remembered = json.loads((home / "settings.json").read_text())
            return cls(home, node_count=int(remembered["nodes"]), audit=bool(remembered["audit"]))
        except (OSError, ValueError, KeyError):
            return cls(home)

    def remember(self) -> None:
        """So that the next plain `up` changes nothing."""
        files.write(self.home / "settings.json", json.dumps({"nodes": self.node_count, "audit": self.audit}))

    @property
    def binaries(self) -> Path:
        return self.home / "bin"

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def pki(self) -> Path:
        return self.home / "pki"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def etcd(self) -> Path:
        return self.home / "etcd"

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def variables(self) -> Path:
        """The lab's image names as a file of Ansible variables."""
        return self.home / "lab-vars.yml"

    @property
    def possible_nodes(self) -> list[Node]:
        """All nodes that the lab could have: what names them all need not change when there is one more."""
        return replace(self, node_count=MOST_NODES).nodes

    @cached_property
    def nodes(self) -> list[Node]:
        pod_subnets = POD_NETWORK.subnets(new_prefix=24)
        return [
            Node(
                name=f"node{number}",
                address=CONTROL_PLANE_ADDRESS + number - 1,
                pod_subnet=next(pod_subnets),
                folder=self.home / "nodes" / f"node{number}",
                network_namespace=None if number == 1 else f"slab-node{number}",
            )
            for number in range(1, self.node_count + 1)
        ]

    @property
    def api_url(self) -> str:
        return f"https://127.0.0.1:{API_PORT}"

    @property
    def node_api_url(self) -> str:
        """The API server as every node reaches it, from whatever network namespace."""
        return f"https://{CONTROL_PLANE_ADDRESS}:{API_PORT}"
