# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Images: their keys, their archives, and the recipes of the project."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
import yaml
from lab import archive, cli, images, machine
from lab.archive import Layer
from lab.errors import LabError, NotServed
from lab.settings import Settings

RECIPES = Path(__file__).resolve().parents[1] / "images"


def recipe(folder: Path, **content: object) -> images.Recipe:
    path = folder / "thing.yml"
    path.write_text(yaml.safe_dump({"names": ["example.invalid/thing:1"], **content}))
    return images.Recipe(path, folder / "bin" / "0123")


def test_the_key_follows_the_recipe(tmp_path: Path) -> None:
    first = recipe(tmp_path, texts={"/a": "1"}).key
    assert recipe(tmp_path, texts={"/a": "1"}).key == first
    assert recipe(tmp_path, texts={"/a": "2"}).key != first


def test_the_key_follows_the_files_beside_the_recipe(tmp_path: Path) -> None:
    first = recipe(tmp_path).key
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "package.json").write_text("{}")
    assert recipe(tmp_path).key != first


def test_the_key_follows_the_binaries(tmp_path: Path) -> None:
    path = recipe(tmp_path, go={"/a": "a"}).path
    assert images.Recipe(path, tmp_path / "bin" / "1").key != images.Recipe(path, tmp_path / "bin" / "2").key


def test_the_key_follows_the_machines_programs(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("one")
    first = recipe(tmp_path, programs={"/a": str(program)}).key
    program.write_text("other")
    assert recipe(tmp_path, programs={"/a": str(program)}).key != first


def test_a_killed_making_leaves_nothing_that_counts(settings: Settings) -> None:
    made = recipe(settings.home.parent)

    def make_half() -> None:
        with images.workshop(settings, made) as folder:
            (folder / "image.tar").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_half()
    assert not images.image_file(settings, made).exists()
    assert list(settings.images.iterdir()) == []


def test_an_archive_is_the_same_every_time(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("content")
    archives = []
    for number in range(2):
        os.utime(source, (number, number))
        layer = Layer(tmp_path / f"layer{number}")
        layer.folder("/data/db", owner=999)
        layer.file("/usr/bin/thing", source, 0o755)
        layer.link("/bin/thing", "/usr/bin/thing")
        layer.close()
        target = tmp_path / f"image{number}.tar"
        archive.write_image(target, ["example.invalid/a:1", "example.invalid/a:2"], [layer.path], {"Cmd": ["thing"]})
        archives.append(target.read_bytes())
    assert archives[0] == archives[1]


def test_an_archive_is_what_containerd_reads(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer")
    layer.folder("/data/db", mode=0o700, owner=999)
    layer.text("/etc/passwd", "root:x:0:0:::\n")
    layer.close()
    archive.write_image(tmp_path / "image.tar", ["example.invalid/a:1"], [layer.path], {"User": "999"})
    with tarfile.open(tmp_path / "image.tar") as image:
        [entry] = json.load(image.extractfile("manifest.json") or pytest.fail("no manifest"))
        assert entry["RepoTags"] == ["example.invalid/a:1"]
        config = json.load(image.extractfile(entry["Config"]) or pytest.fail("no configuration"))
        assert config["rootfs"]["diff_ids"] == [f"sha256:{archive.digest(layer.path)}"]
        with tarfile.open(fileobj=image.extractfile(entry["Layers"][0])) as content:
            found = {info.name: (info.mode, info.uid, info.mtime) for info in content}
    assert found == {
        "data": (0o755, 0, 0),
        "data/db": (0o700, 999, 0),
        "etc": (0o755, 0, 0),
        "etc/passwd": (0o644, 0, 0),
    }


def test_a_program_brings_its_libraries(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer")
    images.add_program(layer, "/bin/ls", Path("/bin/ls"))
    layer.close()
    with tarfile.open(tmp_path / "layer") as content:
        names = content.getnames()
    assert any(name.endswith("/libc.so.6") for name in names)
    assert "bin/ls" in names


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yml")), ids=lambda path: path.stem)
def test_recipes_pin_what_they_take(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    wheels = [*content.get("wheels", []), *([content["npm"]["node"]] if "npm" in content else [])]
    for wheel in wheels:
        assert "==" in wheel["package"]
        assert len(wheel["sha256"]) == 64
    if "suite" in content:
        # What another suite has is not what this machine's distribution has: the tag says which version it is.
        tags = {name.rpartition(":")[2] for name in content["names"]}
        pins = {package.partition("=")[2] for package in content["debian"] if "=" in package}
        assert pins == {f"{tag}.*" for tag in tags}
    if "npm" in content:
        lock = json.loads((path.with_suffix("") / "package-lock.json").read_text())
        packages = {name: entry for name, entry in lock["packages"].items() if name}
        assert packages
        assert all("resolved" not in entry for entry in packages.values())
        assert all("integrity" in entry for entry in packages.values() if not entry.get("inBundle"))


def test_a_tag_never_claims_another_version_of_the_server() -> None:
    content = yaml.safe_load((RECIPES / "mongo.yml").read_text())
    assert content["names"] == ["docker.io/library/mongo:6.0.5", "docker.io/library/mongo:6.0"]
    assert "MONGO_VERSION=6.0.5" in content["config"]["Env"]


def test_an_image_on_demand_is_made_for_nobody_who_does_not_name_it(settings: Settings, tmp_path: Path) -> None:
    always = {each.name for each in images.recipes(settings, tmp_path)}
    assert "mongo" in always
    assert "mariadb" not in always
    assert {each.name for each in images.recipes(settings, tmp_path, ["mariadb"])} == {*always, "mariadb"}
    with pytest.raises(LabError, match="no recipe nothing"):
        images.recipes(settings, tmp_path, ["nothing"])


@pytest.mark.parametrize("mirror", [None, "http://127.0.0.1:9/debian"])
def test_a_suite_that_no_mirror_has_ends_with_a_code_of_its_own(
    mirror: str | None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "mirror", lambda codename: mirror)
    with pytest.raises(NotServed, match="sid"):
        images.mirror_of("sid", "bookworm")

    def refuse(*_: object) -> int:
        return len(images.mirror_of("sid", "bookworm"))

    monkeypatch.setitem(cli.COMMANDS, "status", refuse)
    monkeypatch.setattr(cli.prerequisites, "become_root", lambda _: None)
    assert cli.main(["status"]) == NotServed.CODE == 4
