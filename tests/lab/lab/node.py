# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""A node: containerd, the kubelet and kube-proxy, and the clearing away of what a dead run left."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

from lab import control_plane, files, loops, machine, mounts, network, nfs, processes, shell
from lab.errors import LabError
from lab.processes import Process
from lab.settings import CLUSTER_DOMAIN, CNI_NETWORK, DNS_SERVICE, POD_NETWORK, Node, Settings

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
SHIM_SOCKETS = Path("/run/containerd/s")
CONTAINER_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
NAMESPACE = "k8s.io"


def cni_folder() -> Path | None:
    return next((folder for folder in CNI_FOLDERS if (folder / "bridge").exists()), None)


def containerd(settings: Settings, node: Node, pause_image: str) -> Process:
    folder = node.folder / "containerd"
    configuration = folder / "config.toml"
    cni = cni_folder()
    assert cni is not None
    # Lowering the OOM score of a sandbox needs a capability that root in a container or a small VM may lack.
    restrict = "false" if machine.may_raise_priority() else "true"
    files.write(
        configuration,
        f"""\
version = 2
root = "{node.containerd_root}"
state = "{node.containerd_state}"
# Snapshotters that this lab does not use, and a folder in /opt that it does not want.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{node.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = {restrict}
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{node.cni_configuration}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{node.runc_root}"
        SystemdCgroup = false
""",
    )
    plugins = [
        {
            "type": "bridge",
            "bridge": node.pod_bridge,
            "isGateway": True,
            # The lab's own packet rule does that, see network.py.
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(node.cni_addresses),
                "ranges": [[{"subnet": str(node.pod_subnet)}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    files.write(
        node.cni_configuration / "10-lab.conflist",
        json.dumps({"cniVersion": "0.4.0", "name": f"{CNI_NETWORK}-{node.name}", "plugins": plugins}, indent=2),
    )
    return Process(
        f"containerd-{node.name}",
        [*network.inside(node), shell.program("containerd"), f"--config={configuration}", "--log-level=warn"],
        settings.logs / f"containerd-{node.name}.log",
        configuration=[configuration],
    )


def kubelet(settings: Settings, node: Node, kubernetes: Path) -> Process:
    configuration = node.folder / "kubelet.yaml"
    resolver = node.folder / "resolv.conf"
    servers = machine.name_servers()
    # Without any server the resolver would try loopback, where a pod has none.
    files.write(resolver, "".join(f"nameserver {server}\n" for server in servers) or "nameserver 192.0.2.1\n")
    content: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(node.address),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(settings.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(settings.pki / f"kubelet-{node.name}.crt"),
        "tlsPrivateKeyFile": str(settings.pki / f"kubelet-{node.name}.key"),
        "containerRuntimeEndpoint": f"unix://{node.containerd_socket}",
        "clusterDNS": [str(DNS_SERVICE)],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(resolver),
        "cgroupDriver": "cgroupfs",
        # One parent for all pods: whatever still runs in it after a crash is the lab's.
        "cgroupRoot": node.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        "podLogsDir": str(node.pod_logs),
        "volumePluginDir": str(node.folder / "volume-plugins"),
        "containerLogMaxSize": "10Mi",
        "containerLogMaxFiles": 2,
        # There is no registry to get an image from again, so none is ever thrown away.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        # A lab runs on small and on full disks; what is left counts, not what is used.
        "evictionHard": {
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
            "memory.available": "100Mi",
        },
        # kube-proxy works with nftables here; nobody needs the kubelet's iptables chains.
        "makeIPTablesUtilChains": False,
        "maxPods": 110,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
    }
    if not machine.may_raise_priority():
        content["oomScoreAdj"] = 0
    files.write(configuration, json.dumps(content, indent=2))
    kubeconfig = settings.pki / f"kubelet-{node.name}.conf"
    return Process(
        f"kubelet-{node.name}",
        [
            *network.inside(node),
            kubernetes / "kubelet",
            f"--config={configuration}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={node.kubelet_root}",
            f"--cert-dir={node.kubelet_root}/pki",
            f"--hostname-override={node.name}",
            f"--node-ip={node.address}",
        ],
        settings.logs / f"kubelet-{node.name}.log",
        configuration=[configuration, kubeconfig, resolver],
        environment=nfs.client_environment(settings),
    )


def kube_proxy(settings: Settings, node: Node, kubernetes: Path) -> Process:
    configuration = node.folder / "kube-proxy.yaml"
    kubeconfig = settings.pki / "kube-proxy.conf"
    content = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": str(POD_NETWORK),
        "hostnameOverride": node.name,
        "nodePortAddresses": ["primary"],
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # The machine's own limits stay as they are.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    files.write(configuration, json.dumps(content, indent=2))
    return Process(
        f"kube-proxy-{node.name}",
        [*network.inside(node), kubernetes / "kube-proxy", f"--config={configuration}"],
        settings.logs / f"kube-proxy-{node.name}.log",
        configuration=[configuration, kubeconfig],
    )


def ctr(node: Node, *words: str | Path, check: bool = True, timeout: float | None = None) -> str:
    command = [shell.program("ctr"), f"--address={node.containerd_socket}", f"--namespace={NAMESPACE}", *words]
    return shell.run(command, check=check, timeout=timeout).stdout


def prepare_cgroups(node: Node) -> None:
    """Make the parent of all pods' control groups.

    In version 1 a new cpuset has no processors and no memory until somebody fills it in; in version 2 a group hands
    on only the controllers that it is told to.
    """
    groups = machine.cgroups()
    steps = Path(node.cgroup.strip("/")).parts
    for hierarchy in groups.hierarchies:
        group = hierarchy
        for step in steps:
            parent, group = group, group / step
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if groups.version == 1 and (group / name).exists() and not (group / name).read_text().strip():
                    (group / name).write_text((parent / name).read_text())
            if groups.version == 2:
                offered = (parent / "cgroup.controllers").read_text().split()
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in offered))


def cgroup_folders(node: Node) -> list[Path]:
    """All control groups of a node's pods, inner ones first."""
    found: list[Path] = []
    for hierarchy in machine.cgroups().hierarchies:
        top = hierarchy / node.cgroup.strip("/")
        if top.is_dir():
            found += [Path(folder) for folder, _names, _files in os.walk(top, topdown=False)]
    return found


def pod_processes(node: Node) -> list[int]:
    """The processes of all containers, with or without a shim that still knows them."""
    found: set[int] = set()
    for folder in cgroup_folders(node):
        try:
            found.update(int(word) for word in (folder / "cgroup.procs").read_text().split())
        except OSError:
            continue  # it went away meanwhile
    return sorted(found)


def heeds_terminate(pid: int) -> bool:
    """Whether a process can be asked to end: the first one of a container is deaf to a signal it has no handler for.

    A database under a shell is asked first, and the shell, whose end would be the database's, is killed afterwards.
    """
    try:
        lines = Path("/proc", str(pid), "status").read_text().splitlines()
    except OSError:
        return False
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    first = fields.get("NSpid", "").split()[-1:] == ["1"]
    catches = int(fields.get("SigCgt", "0"), 16) >> (signal.SIGTERM - 1) & 1
    return bool(catches) or not first


def shims(node: Node) -> list[int]:
    """The processes between containerd and the containers; they outlive containerd."""
    found = []
    for pid in processes.pids():
        try:
            words = Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if Path(words[0]).name.startswith("containerd-shim") and str(node.containerd_socket) in words:
            found.append(pid)
    return found


def remove_cgroups(node: Node) -> None:
    for folder in cgroup_folders(node):
        try:
            folder.rmdir()
        except OSError:
            continue
    for hierarchy in machine.cgroups().hierarchies:
        parent = (hierarchy / node.cgroup.strip("/")).parent
        if parent.is_dir() and not any(entry.is_dir() for entry in parent.iterdir()):
            parent.rmdir()


def clear_remains(node: Node) -> None:
    """Bring a node whose containerd is gone into the state of a machine that has just been started.

    What containers, mounts and addresses a dead run left is of no use to the next one, and in its way: a database
    whose shim was killed runs on and holds the lock on its data.
    """
    mounts.thaw(node.kubelet_root)
    processes.stop([pid for pid in pod_processes(node) if heeds_terminate(pid)], patience=10)
    processes.kill(pod_processes(node))
    processes.kill(shims(node))
    # Those that are mounted go with their mounts.
    loops.detach(node.folder)
    mounts.unmount(node.containerd_state)
    mounts.unmount(node.runc_root)
    mounts.unmount(node.kubelet_root)
    for volatile in (node.containerd_state, node.runc_root, node.cni_addresses, node.containerd_socket):
        files.remove(volatile)
    remove_cgroups(node)
    remove_pod_links(node)
    remove_shim_sockets()


def remove_pod_links(node: Node) -> None:
    """Pods' cables vanish with their network namespace, unless somebody still holds that."""
    for link in network.links_of_bridge(node):
        network.ip("link", "delete", link, node=node, check=False)


def remove_shim_sockets() -> None:
    """Remove the shims' sockets on which nobody listens any more; the folder is common to all of containerd."""
    if not SHIM_SOCKETS.is_dir():
        return
    listening = Path("/proc/net/unix").read_text()
    for socket in SHIM_SOCKETS.iterdir():
        if str(socket) not in listening:
            socket.unlink(missing_ok=True)
    files.remove_if_empty(SHIM_SOCKETS, SHIM_SOCKETS.parent)


def process_names(node: Node) -> list[str]:
    """In the order in which to stop them."""
    return [f"{program}-{node.name}" for program in ("kubelet", "csi", "kube-proxy", "enforcer", "containerd")]


def ensure_containerd(settings: Settings, node: Node, pause_image: str) -> bool:
    """Start containerd if it is not running; whether it had to be started."""
    wanted = containerd(settings, node, pause_image)
    alive = processes.running(settings.home)
    if wanted.name not in alive and not shims(node):
        # The kubelet must not look on while its pods' mounts are taken away.
        processes.stop([alive[name].pid for name in process_names(node) if name in alive])
        clear_remains(node)
        files.write(epoch_file(settings, node), str(int(time.time())))
    prepare_cgroups(node)
    started = processes.ensure([wanted], settings.home)
    processes.wait_until(
        f"containerd of {node.name} to answer",
        lambda: node.containerd_socket.exists() and answers(node),
        timeout=60,
        needs=[wanted],
        home=settings.home,
    )
    return bool(started)


def answers(node: Node) -> bool:
    """Whether containerd's plugins are all there: the CRI one is the last to come."""
    result = ctr(node, "plugins", "ls", check=False, timeout=10)
    return bool(re.search(r"\bcri\s+\S+\s+ok", result))


def epoch_file(settings: Settings, node: Node) -> Path:
    return settings.run / f"{node.name}.epoch"


def epoch(settings: Settings, name: str) -> float:
    """Since when a node has containers: what the API server says of earlier ones is what it heard before a stop."""
    try:
        return float((settings.run / f"{name}.epoch").read_text())
    except (OSError, ValueError):
        return 0.0


def seconds(timestamp: str | None) -> float:
    """A time as the API server writes it, in seconds since the epoch."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def ensure_kubelet(settings: Settings, node: Node, kubernetes: Path) -> list[str]:
    for folder in (node.kubelet_root, node.volumes, node.pod_logs):
        folder.mkdir(parents=True, exist_ok=True)
    wanted = [kubelet(settings, node, kubernetes), kube_proxy(settings, node, kubernetes)]
    return processes.ensure(wanted, settings.home)


def is_ready(settings: Settings, node: Node) -> bool:
    status, body = control_plane.get(settings, f"/api/v1/nodes/{node.name}")
    if status != 200:
        return False
    kubelet = processes.running(settings.home).get(f"kubelet-{node.name}")
    if not kubelet:
        return False
    # The word of a kubelet that has been stopped since counts for nothing. The API server knows whole seconds only.
    since = int(processes.started_at(kubelet.pid))
    return any(
        each["type"] == "Ready" and each["status"] == "True" and seconds(each["lastHeartbeatTime"]) >= since
        for each in json.loads(body)["status"].get("conditions", [])
    )


def wait_ready(settings: Settings, node: Node, kubernetes: Path) -> None:
    wanted = kubelet(settings, node, kubernetes)
    processes.wait_until(
        f"{node.name} to be Ready",
        lambda: is_ready(settings, node),
        timeout=90,
        needs=[wanted],
        home=settings.home,
    )


def remove_foreign_remains(settings: Settings) -> None:
    """Remove what is outside the lab's folder, whatever it is told."""
    remove_container_links(settings)
    remove_device_socket()


def remove_container_links(settings: Settings) -> None:
    """The kubelet keeps links to its logs in a folder that no setting moves."""
    for link in CONTAINER_LINKS.glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(str(settings.home)):
            link.unlink()
    files.remove_if_empty(CONTAINER_LINKS)


def remove_device_socket() -> None:
    """The kubelet's socket for device plugins is in a place that no setting moves either."""
    listening = Path("/proc/net/unix").read_text()
    socket = DEVICE_PLUGINS / "kubelet.sock"
    if str(socket) not in listening:
        socket.unlink(missing_ok=True)
    files.remove_if_empty(DEVICE_PLUGINS, DEVICE_PLUGINS.parent)


def check(settings: Settings) -> None:
    """Refuse a folder whose sockets would have names longer than the kernel allows."""
    for node in settings.nodes:
        # The kernel allows 107 bytes; containerd adds the ending of its second socket.
        longest = max(f"{node.containerd_socket}.ttrpc", f"{node.kubelet_root}/plugins_registry/loop.sock", key=len)
        if len(longest) > 107:
            raise LabError(
                f"The folder {settings.home} has too long a name for sockets below it. Set STATEFUL_LAB_HOME to a "
                "folder with a shorter one."
            )
