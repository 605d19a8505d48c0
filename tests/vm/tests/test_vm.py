# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What can be told without starting a machine; the scenario storage starts one."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from lab import shell
from lab.errors import LabError, PrerequisiteError
from vm import cli, image, machine, qemu, recipe
from vm.settings import Machine, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "vm")


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image.machine, "distribution", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "-a", "a" * 33, "a b"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(LabError, match="lower-case"):
        Machine.named(settings, name)


def test_the_ports_are_led_through_and_the_saved_state_taken_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu.shell, "program", lambda name: f"/usr/bin/{name}")
    one = Machine.named(settings, "one")
    words = qemu.process(one, Path("/base"), {22: 4022, 2049: 4049}, resume=True).words
    assert "user,id=net,ipv6=off,hostfwd=tcp:127.0.0.1:4022-:22,hostfwd=tcp:127.0.0.1:4049-:2049" in words
    assert words[words.index("-loadvm") + 1] == "booted"
    assert "-loadvm" not in qemu.process(one, Path("/base"), {}, resume=False).words


def test_ports_are_free_and_differ() -> None:
    first, second = qemu.free_ports(2)
    assert first != second
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", first))


@pytest.mark.usefixtures("debian")
@pytest.mark.parametrize("part", ["PACKAGES", "REPOSITORY", "TEXTS", "MASKED", "DISK_SIZE"])
def test_another_recipe_is_another_image(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    before = image.key()
    monkeypatch.setattr(recipe, part, {"/a": "b"} if part == "TEXTS" else ("other",))
    assert image.key() != before


def test_another_system_is_refused_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image.machine, "distribution", lambda: {"ID": "fedora"})
    with pytest.raises(PrerequisiteError, match="fedora on"):
        image.kernel_package()


def test_a_folder_of_packages_gets_an_index(tmp_path: Path) -> None:
    control = tmp_path / "one" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: one\nVersion: 1.0\nArchitecture: all\nMaintainer: me\nDescription: one\n")
    packages = tmp_path / "packages"
    packages.mkdir()
    subprocess.run(["dpkg-deb", "--build", tmp_path / "one", packages / "one_1.0_all.deb"], check=True)
    image.index_packages(packages)
    index = (packages / "Packages").read_text()
    assert "Package: one\n" in index
    assert "Filename: ./one_1.0_all.deb\n" in index
    said = shell.run(["sha256sum", packages / "one_1.0_all.deb"]).stdout.split()[0]
    assert f"SHA256: {said}\n" in index


def test_what_there_is_none_of_is_told(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert machine.names(settings) == []
    assert cli.status(settings, cli.parse(["status"])) == 0
    assert capsys.readouterr().out == ""
    with pytest.raises(LabError, match="`up one` makes it"):
        cli.existing(settings, "one")
    with pytest.raises(LabError, match="ADDRESS:PORT"):
        cli.forward(settings, cli.parse(["forward", "one", "2049", "2049"]))


def test_clean_leaves_nothing(settings: Settings) -> None:
    (settings.machines / "one").mkdir(parents=True)
    (settings.home / "base-x").mkdir()
    cli.clean(settings, cli.parse(["clean"]))
    assert not settings.home.parent.exists()
