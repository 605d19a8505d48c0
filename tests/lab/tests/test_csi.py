# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The storage driver for tests: how it is built and started, and that no loop device of it is left."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lab import build, csi, loops, prerequisites, processes, shell
from lab.errors import LabError
from lab.settings import SOURCES, Settings


def device(folder: Path, name: str, file: Path | str) -> None:
    state = folder / name / "loop" / "backing_file"
    state.parent.mkdir(parents=True)
    state.write_text(f"{file}\n")


def test_loop_devices_below_a_folder_are_found_the_newest_first(tmp_path: Path) -> None:
    home = tmp_path / "home"
    device(tmp_path / "block", "loop2", home / "volumes" / "a.img")
    device(tmp_path / "block", "loop10", f"{home}/volumes/b.img (deleted)")
    device(tmp_path / "block", "loop3", tmp_path / "homely" / "c.img")
    assert loops.below(home, tmp_path / "block") == ["/dev/loop10", "/dev/loop2"]


def test_a_change_of_the_driver_builds_the_driver_alone(settings: Settings, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources, ignore=shutil.ignore_patterns("__pycache__"))
    ours = dataclasses.replace(settings, sources=sources)
    kubernetes, driver = build.folder(ours), build.part_folder(ours, "csi")
    with (sources / "csi" / "store.go").open("a") as file:
        file.write("// changed\n")
    assert build.folder(ours) == kubernetes
    assert build.part_folder(ours, "csi") != driver


def test_a_build_that_fails_leaves_nothing(settings: Settings) -> None:
    target = settings.binaries / "part"

    def fail() -> None:
        with build.workshop(settings, target) as output:
            (output / "half").touch()
            raise LabError("no")

    with pytest.raises(LabError):
        fail()
    assert list(settings.binaries.iterdir()) == []


def test_programs_in_use_and_wanted_ones_are_kept(settings: Settings) -> None:
    names = [build.folder(settings).name, build.part_folder(settings, "csi").name, "csi-of-before", "running"]
    for name in names:
        (settings.binaries / name).mkdir(parents=True)
    shutil.copy(Path(sys.executable).resolve(), settings.binaries / "running" / "python")
    with subprocess.Popen(
        [settings.binaries / "running" / "python", "-S", "-c", "input()"],
        stdin=subprocess.PIPE,
        env={"PYTHONHOME": sys.base_prefix},
    ) as busy:
        build.remove_outdated(settings)
        busy.communicate(b"\n")
    assert {path.name for path in settings.binaries.iterdir()} == {*names} - {"csi-of-before"}


def test_every_node_has_its_own_driver_and_one_serves_claims_for_no_node(settings: Settings) -> None:
    ours = dataclasses.replace(settings, node_count=2)
    ours.pki.mkdir(parents=True)
    (ours.pki / "csi.conf").touch()
    first, second = (csi.driver(ours, node) for node in ours.nodes)
    for duty in ("--immediate", "--snapshot-controller"):
        assert duty in first.words
        assert duty not in second.words
    assert second.program == "csi"
    assert f"--volumes={settings.home}/nodes/node2/loop-volumes" in second.words
    assert processes.mark(settings.home, first) != processes.mark(settings.home, second)


def test_files_of_a_module_are_taken_in_the_version_of_go_mod(tmp_path: Path) -> None:
    (tmp_path / "module" / "config").mkdir(parents=True)
    (tmp_path / "module" / "go.mod").write_text("module example.org/module\n")
    (tmp_path / "module" / "config" / "kinds.yaml").write_text("kind: Kind\n")
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "go.mod").write_text(
        "module user\n\ngo 1.24.0\n\nrequire example.org/module v1.0.0\n\nreplace example.org/module => ../module\n"
    )
    build.copy_manifests(tmp_path / "user", "example.org/module", ["config/kinds.yaml"], tmp_path / "taken")
    assert [path.read_text() for path in (tmp_path / "taken").iterdir()] == ["kind: Kind\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="the storage driver makes and mounts loop devices, which takes root")
@pytest.mark.skipif(not shell.find("mkfs.xfs"), reason="the storage driver needs xfsprogs, which `lab up` installs")
def test_snapshots_and_clones() -> None:
    """On real loop devices: what is in them, what is refused, a second time, and a driver that is killed."""
    folder = SOURCES / "csi"
    names = ("controller", "copies", "names", "node", "store", "driver_test")
    done = subprocess.run(
        [prerequisites.check_go(), "test", "-count=1", "-timeout=120s", *[f"{name}.go" for name in names]],
        cwd=folder,
        env=shell.environment(build.GO),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
