# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The NFS server's settings, who finds the lab's client, and what the provisioner does with folders."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from lab import build, nfs, prerequisites, processes
from lab.processes import Process
from lab.settings import NFS_PORT, Settings

SOURCES = Path(__file__).resolve().parents[1] / "nfs"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfs, "plugins", lambda: Path("/usr/lib/ganesha"))


def test_only_the_cluster_may_mount(settings: Settings) -> None:
    text = nfs.configuration(settings)
    exports = re.findall(r"EXPORT \{(.*?)\n\}", text, flags=re.DOTALL)
    assert len(exports) == len(nfs.EXPORTS)
    for export, (name, (access, squash)) in zip(exports, nfs.EXPORTS.items(), strict=True):
        outside, _, inside = export.partition("CLIENT")
        assert f"Path = {settings.home}/nfs/{name};" in outside
        assert "Access_Type = None;" in outside
        assert "Clients = 10.244.0.0/16, 10.200.0.1/24;" in inside
        assert f"Access_Type = {access}; Squash = {squash};" in inside


def test_the_server_listens_where_every_node_reaches_it_and_nowhere_else(settings: Settings) -> None:
    assert f"Bind_addr = {settings.possible_nodes[0].address};" in nfs.configuration(settings)


def test_kubelets_find_the_lab_s_mount_first_and_the_others_after_it(settings: Settings) -> None:
    path = nfs.client_environment(settings)["PATH"].split(":")
    assert path[0] == str(build.part_folder(settings, "nfs") / "path")
    assert "/usr/bin" in path[1:]


def test_another_client_starts_kubelets_anew_and_no_process_without_environment(tmp_path: Path) -> None:
    def digest(environment: dict[str, str]) -> str:
        return Process("p", ["/bin/p"], tmp_path / "log", environment=environment).digest

    assert digest({"PATH": "/a"}) != digest({"PATH": "/b"})
    assert digest({}) == Process("p", ["/bin/p"], tmp_path / "log").digest


def test_a_process_gets_its_environment(settings: Settings, tmp_path: Path) -> None:
    told = Process("told", ["/bin/sh", "-c", 'echo "[$TOLD]"'], tmp_path / "log", environment={"TOLD": "so"})
    processes.start(told, settings.home)
    processes.wait_until("the word", lambda: "[so]" in (tmp_path / "log").read_text(), timeout=10)


def test_the_tests_of_a_module_are_no_part_of_its_programs(settings: Settings, tmp_path: Path) -> None:
    def key() -> str:
        return build.part_folder(Settings(settings.home, sources=tmp_path), "nfs").name

    (tmp_path / "nfs").mkdir()
    (tmp_path / "nfs" / "main.go").write_text("package main")
    first = key()
    (tmp_path / "nfs" / "main_test.go").write_text("package main")
    assert key() == first
    (tmp_path / "nfs" / "main.go").write_text("package other")
    assert key() != first


def test_the_client_s_port_is_the_one_that_volumes_have_no_word_for() -> None:
    assert f'port: "{NFS_PORT}"' in (SOURCES / "mount" / "main.go").read_text()


def test_what_becomes_of_folders() -> None:
    """Two claims on one path, an empty annotation, nested folders, a taken archive name: on a real tree of files."""
    go = prerequisites.check_go()
    files = [SOURCES / "provisioner" / name for name in ("folders.go", "folders_test.go")]
    done = subprocess.run([go, "test", "-count=1", *files], cwd=SOURCES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
