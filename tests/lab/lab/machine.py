# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What kind of machine this is: the settings that depend on it are found out here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab import shell

CAP_SYS_RESOURCE = 24
# Controllers without which the kubelet cannot run pods.
MOUNT_TABLE = Path("/proc/self/mounts")


@dataclass(frozen=True)
class Mount:
    source: str
    target: Path
    type: str
    options: tuple[str, ...]


def parse_mounts(table: str) -> list[Mount]:
    """Read a mount table in the form of /proc/self/mounts, in the order in which things were mounted."""
    mounts = []
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 4:
            source, target, kind, options = (unescape(word) for word in fields[:4])
            mounts.append(Mount(source, Path(target), kind, tuple(options.split(","))))
    return mounts


def unescape(word: str) -> str:
    """Blanks are written as three octal digits in a mount table."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        word = word.replace(code, character)
    return word


def mounts() -> list[Mount]:
    return parse_mounts(MOUNT_TABLE.read_text())


@dataclass(frozen=True)
class Cgroups:
    """Where control groups are mounted. Version 1 has a hierarchy for each controller, version 2 has one for all."""

    version: int
    hierarchies: tuple[Path, ...]

    @classmethod
    def of(cls, table: list[Mount]) -> Cgroups:
        first = [mount for mount in table if mount.type == "cgroup"]
        second = [mount for mount in table if mount.type == "cgroup2"]
        # A hybrid machine has both, with the controllers in version 1.
        controllers = [mount for mount in first if not any(option.startswith("name=") for option in mount.options)]
        version = 1 if controllers else 2
        targets = dict.fromkeys(mount.target for mount in [*first, *second])
        return cls(version, tuple(targets))

    @property
    def available(self) -> bool:
        return bool(self.hierarchies)


def cgroups() -> Cgroups:
    return Cgroups.of(mounts())


def has_capability(number: int, status: str | None = None) -> bool:
    """Whether this process has a capability, from the text of /proc/self/status."""
    for line in (status or Path("/proc/self/status").read_text()).splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def may_raise_priority() -> bool:
    """Without this capability nobody may lower an OOM score, which containerd and the kubelet do by default."""
    return has_capability(CAP_SYS_RESOURCE)


def name_servers(text: str | None = None) -> list[str]:
    """The machine's DNS servers that a pod can reach too: one on loopback is another one inside a pod."""
    if text is None:
        text = Path("/etc/resolv.conf").read_text() if Path("/etc/resolv.conf").exists() else ""
    found = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver") and len(line.split()) > 1]
    return [address for address in found if not address.startswith("127.") and address != "::1"][:3]


def mirror(codename: str) -> str | None:
    """Where this machine has the packages of a release from, as its own package manager knows it."""
    found = shell.run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"], check=False).stdout
    places = (line.partition(" ") for line in found.splitlines())
    return next((place for release, _, place in places if release == codename), None)


def distribution() -> dict[str, str]:
    path = Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines) if value}
