# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the machine must have, and getting what it lacks."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from lab import machine, node, progress, shell
from lab.errors import LabError, PrerequisiteError
from lab.settings import HOME_VARIABLE, MINIMUM_GO, NODES_VARIABLE, Settings

POLICY = Path("/usr/sbin/policy-rc.d")
FUSE = Path("/dev/fuse")
POLICY_TEXT = """\
#!/bin/sh
# Written by the stateful.kube lab while it installs packages, and removed right after: the lab starts what it needs
# by itself, and wants no service of the distribution in its way.
exit 101
"""


def is_dynamic_busybox() -> bool:
    found = shell.find("busybox")
    return bool(found) and "=>" in shell.run(["ldd", str(found)], check=False).stdout


# Debian's and Ubuntu's packages, each with how to see that it is there, whoever installed it.
PACKAGES: dict[str, Callable[[], bool]] = {
    "etcd-server": lambda: bool(shell.find("etcd")),
    "containerd": lambda: all(map(shell.find, ("containerd", "ctr", "containerd-shim-runc-v2"))),
    "runc": lambda: bool(shell.find("runc")),
    "containernetworking-plugins": lambda: node.cni_folder() is not None,
    "nftables": lambda: bool(shell.find("nft")),
    "iptables": lambda: bool(shell.find("iptables")),
    "iproute2": lambda: bool(shell.find("ip")),
    "busybox": is_dynamic_busybox,
    "nfs-ganesha": lambda: bool(shell.find("ganesha.nfsd")),
    "nfs-ganesha-vfs": lambda: bool(list(Path("/usr/lib").glob("**/ganesha/libfsalvfs.so"))),
    # For the storage driver for tests.
    "xfsprogs": lambda: all(map(shell.find, ("mkfs.xfs", "xfs_growfs"))),
    "mount": lambda: all(map(shell.find, ("mount", "umount", "losetup"))),
    "wget": lambda: Path("/usr/bin/wget").exists(),
    # For the tests that work on another host; the lab itself does not use it.
    "openssh-server": lambda: bool(shell.find("sshd")),
    "mmdebstrap": lambda: bool(shell.find("mmdebstrap")),
}
# Services that those packages bring; the lab runs its own instances. Some releases start SSH by its socket.
SERVICES = {"etcd-server": ["etcd.service"], "containerd": ["containerd.service"]}
SERVICES["nfs-ganesha"] = ["nfs-ganesha.service", "nfs-ganesha-lock.service", "rpcbind.service", "rpcbind.socket"]
SERVICES["openssh-server"] = ["ssh.service", "ssh.socket"]


def check_python() -> None:
    """Name the two libraries that the lab uses, should they be missing."""
    for module, package, minimum in (("yaml", "PyYAML", 5), ("cryptography", "cryptography", 42)):
        try:
            version = str(import_module(module).__version__)
        except ImportError:
            version = ""
        if not version or int(version.split(".")[0]) < minimum:
            raise PrerequisiteError(
                f"the Python package {package} {minimum} or newer",
                f"{version or 'none'} with {sys.executable}",
                "Run the lab with the Python of the project's virtual environment (`make setup` makes it).",
            )


def check_system() -> None:
    if platform.system() != "Linux":
        raise PrerequisiteError(
            "Linux", platform.system(), "Use a Linux machine or virtual machine, or set KUBECONFIG to another cluster."
        )
    if not machine.cgroups().available:
        raise PrerequisiteError(
            "control groups mounted in /sys/fs/cgroup", "none", "Mount them, as every init system does."
        )
    filesystems = Path("/proc/filesystems").read_text().split()
    if "overlay" not in filesystems and shell.run(["modprobe", "overlay"], check=False).returncode:
        raise PrerequisiteError(
            "the overlay file system", "a kernel without it", "Load it (modprobe overlay), or use another kernel."
        )
    if not FUSE.exists() and (shell.run(["modprobe", "fuse"], check=False).returncode or not FUSE.exists()):
        raise PrerequisiteError(
            f"the device {FUSE}, by which NFS volumes are mounted",
            "none",
            "Load it (modprobe fuse), give it to the container that this runs in, or use another kernel.",
        )


def become_root(arguments: list[str]) -> None:
    """Go on as root; without sudo that is the end."""
    if os.geteuid() == 0:
        return
    sudo = shell.find("sudo")
    allowed = bool(sudo) and (sys.stdin.isatty() or shell.run([str(sudo), "-n", "true"], check=False).returncode == 0)
    if not sudo or not allowed:
        found = "neither" if not sudo else "a sudo that wants a password, with no terminal to type it"
        raise PrerequisiteError(
            "root, or a sudo that gives it",
            f"user {os.environ.get('USER', os.geteuid())} with {found}",
            "The lab mounts file systems and makes network devices. Run it as root, or allow sudo.",
        )
    kept = [
        f"{name}={os.environ[name]}"
        for name in (HOME_VARIABLE, NODES_VARIABLE, "GOPROXY", "GOFLAGS")
        if name in os.environ
    ]
    sys.stdout.flush()
    program = [sudo, "env", *kept, f"PATH={shell.search_path()}", sys.executable, *arguments]
    leave(program)


def leave(program: list[str]) -> NoReturn:
    os.execv(program[0], program)


def go_version(text: str) -> tuple[int, int] | None:
    match = re.search(r"go version (?:devel )?go(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def check_go() -> str:
    """The Go command, if it is new enough."""
    wanted = ".".join(map(str, MINIMUM_GO))
    todo = f"Install Go {wanted} or newer and put it on PATH; the lab builds Kubernetes with it, once."
    places = [shell.find("go"), "/usr/local/go/bin/go"]
    command = next((place for place in places if place and Path(place).exists()), None)
    if command is None:
        raise PrerequisiteError(f"Go {wanted} or newer", "no go command on PATH", todo)
    said = shell.run([command, "version"], check=False, cwd=Path("/")).stdout.strip()
    version = go_version(said)
    if version is None or version < MINIMUM_GO:
        raise PrerequisiteError(f"Go {wanted} or newer", said or f"a {command} that tells no version", todo)
    return command


def missing_packages(wanted: Mapping[str, Callable[[], bool]]) -> list[str]:
    return [package for package, is_there in wanted.items() if not is_there()]


@contextmanager
def no_services() -> Iterator[None]:
    """Keep packages from starting what they bring. A machine that has such a rule already keeps its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def ensure_packages(wanted: Mapping[str, Callable[[], bool]] = PACKAGES) -> None:
    """Install what is missing, by apt."""
    if POLICY.exists() and POLICY.read_text() == POLICY_TEXT:
        POLICY.unlink()  # of a run that was killed while apt was at work
    missing = missing_packages(wanted)
    if not missing:
        return
    names = " ".join(missing)
    apt = shell.find("apt-get")
    if not apt:
        name = machine.distribution().get("PRETTY_NAME", "a system without apt")
        raise PrerequisiteError(
            f"the programs of the packages {names}",
            f"{name}, without them and without apt-get",
            "Install them by the system's own means, or use Debian or Ubuntu.",
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # Another apt may be at work, as on a machine that has just been started.
    patient = [apt, "-qq", "-o", "DPkg::Lock::Timeout=300"]
    with progress.work(f"installing {names}"), no_services():
        shell.run([*patient, "update"], env=quiet, check=False, timeout=600)
        shell.run([*patient, "install", "--yes", "--no-install-recommends", *missing], env=quiet, timeout=1200)
    disable_services(missing)
    still = missing_packages(wanted)
    if still:
        raise LabError(f"apt-get installed {' '.join(still)}, but the programs are still not to be found.")


def disable_services(installed: list[str]) -> None:
    """What the lab brought in must not start by itself at the next boot either.

    Packages enable their services also where systemd does not run, as in a container whose disk is booted later.
    """
    if not shell.find("systemctl"):
        return
    stop = ["--now"] if Path("/run/systemd/system").is_dir() else []
    for package in installed:
        for service in SERVICES.get(package, []):
            shell.run(["systemctl", "disable", *stop, service], check=False)


def ensure(settings: Settings) -> None:
    check_system()
    node.check(settings)
    ensure_packages()
