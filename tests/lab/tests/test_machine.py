# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What kind of machine this is, read from samples of several."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import machine, node, prerequisites
from lab.errors import LabError, PrerequisiteError
from lab.settings import Settings

UNIFIED = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime 0 0\n"
LEGACY = """\
tmpfs /sys/fs/cgroup tmpfs ro,mode=755 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
"""
HYBRID = (
    LEGACY
    + """\
cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""
)
# What systemd mounts beside version 2 on some machines.
NAMED_ONLY = UNIFIED + "cgroup /run/named cgroup rw,name=elogind 0 0\n"


@pytest.mark.parametrize(
    ("table", "version", "count"), [(UNIFIED, 2, 1), (LEGACY, 1, 2), (HYBRID, 1, 4), (NAMED_ONLY, 2, 2), ("", 2, 0)]
)
def test_cgroup_version(table: str, version: int, count: int) -> None:
    groups = machine.Cgroups.of(machine.parse_mounts(table))
    assert (groups.version, len(groups.hierarchies), groups.available) == (version, count, count > 0)


def test_blanks_in_mount_points() -> None:
    [mount] = machine.parse_mounts("none /mnt/a\\040b\\134c tmpfs rw,size=1k 0 0\n")
    assert mount.target == Path("/mnt/a b\\c")
    assert mount.options == ("rw", "size=1k")


@pytest.mark.parametrize(("mask", "held"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0", False)])
def test_capability_to_lower_oom_scores(mask: str, held: bool) -> None:
    assert machine.has_capability(machine.CAP_SYS_RESOURCE, f"Name:\tx\nCapEff:\t{mask}\n") is held


def test_name_servers_that_a_pod_cannot_reach_are_left_out() -> None:
    text = "search x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 192.0.2.7\n#nameserver 192.0.2.8\n"
    assert machine.name_servers(text) == ["192.0.2.7"]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("go version go1.19.8 linux/amd64", (1, 19)),
        ("go version devel go1.25-abcdef", (1, 25)),
        ("gccgo", None),
    ],
)
def test_go_version(text: str, version: tuple[int, int] | None) -> None:
    assert prerequisites.go_version(text) == version


def test_a_go_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(PrerequisiteError, match=r"expected Go 1\.24 or newer, and found go version go1\.19\.8"):
        prerequisites.check_go()


def test_a_folder_too_deep_for_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="too long a name"):
        node.check(Settings(tmp_path / ("x" * 90)))
    node.check(Settings(Path("/var/lib/stateful-lab"), node_count=9))
