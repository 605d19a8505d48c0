# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""An NFS server for the cluster's volumes, and the client that the kubelets mount them with: ../nfs/mount.

The server is nfs-ganesha, which needs nothing of the kernel; the client needs FUSE.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from lab import build, files, processes, shell
from lab.errors import LabError
from lab.processes import Process
from lab.settings import CONTROL_PLANE_ADDRESS, NEIGHBOUR, NFS_PORT, NFS_SERVER, POD_NETWORK, Settings

PART = "nfs"
NAME = "nfs-server"
# What clients mount, what they may do there, and what becomes of the users that they name.
EXPORTS = {
    "volumes": ("RW", "No_Root_Squash"),
    "root-squash": ("RW", "Root_Squash"),
    "all-squash": ("RW", "All_Squash"),
    "read-only": ("RO", "No_Root_Squash"),
    "closed": ("None", "No_Root_Squash"),
}


def folder(settings: Settings) -> Path:
    """What the exports hold."""
    return settings.home / "nfs"


def recovery(settings: Settings) -> Path:
    """Where the server notes its clients, to give them their locks again after it was killed."""
    return settings.run / "nfs-recovery"


def plugins() -> Path:
    found = sorted(Path("/usr/lib").glob("**/ganesha/libfsalvfs.so"))
    if not found:
        raise LabError("nfs-ganesha has no plugin for folders: install the package nfs-ganesha-vfs.")
    return found[0].parent


def configuration(settings: Settings) -> str:
    exports = "".join(
        f"""
EXPORT {{
    Export_Id = {number};
    Path = {folder(settings) / name};
    Pseudo = /{name};
    Access_Type = None;
    Anonymous_Uid = 65534;
    Anonymous_Gid = 65534;
    SecType = sys;
    Protocols = 4;
    Transports = TCP;
    FSAL {{ Name = VFS; }}
    CLIENT {{ Clients = {POD_NETWORK}, {CONTROL_PLANE_ADDRESS}/24; Access_Type = {access}; Squash = {squash}; }}
}}
"""
        for number, (name, (access, squash)) in enumerate(EXPORTS.items(), 1)
    )
    return f"""\
NFS_CORE_PARAM {{
    Bind_addr = {NFS_SERVER};
    NFS_Port = {NFS_PORT};
    Protocols = 4;
    Plugins_Dir = "{plugins()}";
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
}}
NFSV4 {{
    # Short, so that the locks of a client that is gone are soon free and a restart is soon over.
    Lease_Lifetime = 10;
    Grace_Period = 10;
    # Users are numbers here; names would need a common list of them.
    Only_Numeric_Owners = true;
    RecoveryBackend = fs;
    RecoveryRoot = "{recovery(settings)}";
}}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; }}
{exports}"""


def server(settings: Settings) -> Process:
    file = settings.run / "nfs-ganesha.conf"
    files.write(file, configuration(settings))
    return Process(
        NAME,
        [shell.program("ganesha.nfsd"), "-F", "-f", file, "-L", "STDOUT", "-p", settings.run / "nfs-ganesha.pid"],
        settings.logs / f"{NAME}.log",
        configuration=[file],
        port=NFS_PORT,
        address=str(NFS_SERVER),
    )


def answers() -> bool:
    try:
        with socket.create_connection((str(NFS_SERVER), NFS_PORT), timeout=1):
            return True
    except OSError:
        return False


def ensure(settings: Settings) -> bool:
    """Start the server if it is not running; whether it had to be started. A test may have left it frozen."""
    for name in EXPORTS:
        path = folder(settings) / name
        if not path.is_dir():
            path.mkdir(parents=True)
            path.chmod(0o777)
    recovery(settings).mkdir(parents=True, exist_ok=True)
    thaw(settings)
    wanted = server(settings)
    started = processes.ensure([wanted], settings.home)
    processes.wait_until("the NFS server to answer", answers, timeout=30, needs=[wanted], home=settings.home)
    return bool(started)


def client_environment(settings: Settings) -> dict[str, str]:
    """What makes a kubelet mount NFS volumes by the lab's client: it comes first on its PATH, under the name `mount`.

    So no file of the system is replaced, and nobody else on the machine notices.
    """
    return {
        "PATH": f"{build.part_folder(settings, PART) / 'path'}:{shell.search_path()}",
        "STATEFUL_LAB_NFS_LOG": str(settings.logs / "nfs-mounts.log"),
    }


def variables(settings: Settings) -> dict[str, str]:
    """For playbooks: where the exports are, on the network and on this machine's disk."""
    return {
        "stateful_lab_nfs_server": str(NFS_SERVER),
        "stateful_lab_nfs_folder": str(folder(settings)),
        "stateful_lab_neighbour": str(NEIGHBOUR),
    }


def thaw(settings: Settings) -> None:
    if running := processes.running(settings.home).get(NAME):
        processes.send(running.pid, signal.SIGCONT)


def act(settings: Settings, action: str) -> str:
    """Do something to the server, for tests of what its clients make of it."""
    running = processes.running(settings.home).get(NAME)
    if action == "start":
        return "started" if ensure(settings) else "runs already"
    if running is None:
        raise LabError("The NFS server does not run: `nfs start` starts it.")
    if action == "stop":
        processes.kill([running.pid])
        return "stopped, without a goodbye"
    processes.send(running.pid, signal.SIGSTOP if action == "freeze" else signal.SIGCONT)
    deadline = time.monotonic() + 5
    while action == "freeze" and processes.state_and_session(running.pid)[0] != "T" and time.monotonic() < deadline:
        time.sleep(0.02)
    return "frozen" if action == "freeze" else "thawed"
