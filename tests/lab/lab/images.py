# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Container images made on this machine, by the recipes in ../images.

No registry of images is needed: what is in them comes from Debian packages, PyPI, npm and Go modules. They bear the
names of the public images that they stand for, so that manifests need no change.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lab import archive, build, files, machine, nfs, node, progress, shell
from lab.archive import Layer
from lab.errors import LabError, NotServed
from lab.settings import Node, Settings

RECIPE_LABEL = "stateful-lab/recipe"
# Raised when the same recipe gives another image because this module changed.
ENGINE = "1"
# What wheels for a Python other than the one that runs here are built for.
WHEELS = "--platform=manylinux2014_x86_64"
# Documentation is the larger half of a small Debian system.
LEAN = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/doc/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
)


@dataclass(frozen=True)
class Recipe:
    """One file in ../images, with the folder of the same name for what belongs to it."""

    path: Path
    binaries: Path
    # Where the programs of the parts with a module of their own are.
    parts: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def folder(self) -> Path:
        return self.path.with_suffix("")

    @cached_property
    def content(self) -> dict[str, Any]:
        content = yaml.safe_load(self.path.read_text())
        if not isinstance(content, dict) or not content.get("names"):
            raise LabError(f"The recipe {self.path} names no image.")
        return content

    @cached_property
    def names(self) -> list[str]:
        names = [str(name) for name in self.content["names"]]
        if version := self.content.get("version"):
            said = shell.run([version["program"]], check=False)
            match = re.search(version["pattern"], said.stdout + said.stderr)
            if not match:
                raise LabError(f"{version['program']} does not tell its version as {self.path} expects.")
            names = [name.format(version=match[1]) for name in names]
        return names

    @cached_property
    def key(self) -> str:
        """Changes with everything that goes into the image and that is not pinned by the recipe itself."""
        own = files.tree(self.folder) if self.folder.is_dir() else []
        go = list(self.go.values())
        system = machine.distribution()
        return files.digest(
            ENGINE,
            self.path,
            own,
            "".join(f"{path.name}:{path.parent.name}" for path in go),
            *(self.host_state() if "programs" in self.content or "debian" in self.content else ()),
            f"{system.get('ID')} {system.get('VERSION_CODENAME')} {os.uname().machine}",
        )

    @property
    def go(self) -> dict[str, Path]:
        """Programs built from Go modules, by their place in the image: `NAME`, or `PART/NAME`."""
        places = {}
        for target, name in self.content.get("go", {}).items():
            part, _, program = name.rpartition("/")
            places[target] = (self.parts[part] if part else self.binaries) / program
        return places

    @property
    def parts_on_demand(self) -> list[str]:
        """Parts to be built before this image is made."""
        named = {name.rpartition("/")[0] for name in self.content.get("go", {}).values()}
        return sorted(named.intersection(build.ON_DEMAND))

    def host_state(self) -> Iterator[str]:
        for source in self.content.get("programs", {}).values():
            path = Path(source)
            if path.exists():
                yield f"{source}:{path.stat().st_size}:{int(path.stat().st_mtime)}"


def recipes(settings: Settings, binaries: Path, on_demand: Sequence[str] = ()) -> list[Recipe]:
    """All that every lab has; and those that are made only on demand, as far as they are named."""
    parts = {name: build.part_folder(settings, name) for name in (*build.PARTS, *build.ON_DEMAND)}
    found = [Recipe(path, binaries, parts) for path in sorted((settings.sources / "images").glob("*.yml"))]
    if unknown := set(on_demand) - {recipe.name for recipe in found}:
        raise LabError(f"There is no recipe {', '.join(sorted(unknown))} in {settings.sources / 'images'}.")
    return [recipe for recipe in found if recipe.name in on_demand or not recipe.content.get("on_demand")]


def place(settings: Settings, recipe: Recipe) -> Path:
    return settings.images / f"{recipe.name}-{recipe.key}"


def image_file(settings: Settings, recipe: Recipe) -> Path:
    return place(settings, recipe) / "image.tar"


@contextmanager
def workshop(settings: Settings, recipe: Recipe) -> Iterator[Path]:
    """A folder to make an image in, which becomes the image's place once all is done."""
    settings.images.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{recipe.name}-", dir=settings.images))
    # mmdebstrap has apt work in here as a user of its own.
    folder.chmod(0o755)
    try:
        yield folder
        files.remove(place(settings, recipe))
        folder.rename(place(settings, recipe))
    finally:
        files.remove(folder)


def ensure(settings: Settings, binaries: Path, on_demand: Sequence[str] = ()) -> list[Recipe]:
    """Make every image that is not there, or whose recipe has changed."""
    for unfinished in settings.images.glob(".*"):
        files.remove(unfinished)
    wanted = recipes(settings, binaries, on_demand)
    for recipe in wanted:
        if not image_file(settings, recipe).exists():
            for part in recipe.parts_on_demand:
                build.ensure_on_demand(settings, part)
            title = f"making the image {recipe.names[0]}"
            with progress.work(title) as current, workshop(settings, recipe) as folder:
                make(recipe, folder, current)
    places = {place(settings, recipe).name for recipe in wanted}
    for old in settings.images.iterdir():
        if old.name not in places and old.name.rpartition("-")[0] in {recipe.name for recipe in wanted}:
            files.remove(old)
    return wanted


def make(recipe: Recipe, folder: Path, work: progress.Work) -> None:
    content = recipe.content
    layers: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="parts-", dir=folder) as scratch:
        parts = Path(scratch)
        parts.chmod(0o755)
        if "debian" in content:
            work.detail = "Debian packages"
            layers.append(parts / "debian.layer")
            make_debian(layers[-1], content["debian"], parts, content.get("suite"))
        layers.append(parts / "own.layer")
        layer = Layer(layers[-1])
        for each in content.get("folders", []):
            layer.folder(each["path"], int(each.get("mode", "0755"), 8), each.get("owner", 0))
        for target, program in recipe.go.items():
            layer.file(target, program, 0o755)
        for target, source in content.get("programs", {}).items():
            add_program(layer, target, Path(source))
        for wheel in content.get("wheels", []):
            work.detail = wheel["package"]
            add_wheel(layer, wheel, parts)
        if "npm" in content:
            work.detail = "npm packages"
            add_npm(layer, content["npm"], recipe.folder, parts)
        for target, text in content.get("texts", {}).items():
            layer.text(target, text)
        for target, text in content.get("scripts", {}).items():
            layer.text(target, text, 0o755)
        for target, source in content.get("links", {}).items():
            layer.link(target, source)
        if "applets" in content:
            multiple = content["applets"]
            for applet in shell.run([content["programs"][multiple], "--list"]).stdout.split():
                layer.link(f"/bin/{applet}", multiple)
        layer.close()
        work.detail = "writing"
        archive.write_image(folder / "image.tar", recipe.names, layers, content.get("config", {}))


def make_debian(target: Path, packages: list[str], parts: Path, suite: str | None = None) -> None:
    """A minimal system of this machine's distribution, or of another suite, from this machine's package sources."""
    own = machine.distribution().get("VERSION_CODENAME", "stable")
    command: list[str | Path] = [
        *shell.end_with_parent(),
        shell.program("mmdebstrap"),
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *[f"--dpkgopt={option}" for option in LEAN],
        # Devices come from the container runtime, and not every root may make them.
        "--skip=output/dev",
        '--customize-hook=rm -rf "$1"/var/cache/debconf/* "$1"/var/log/* "$1"/etc/hostname',
        "--format=tar",
        # A mirror that stands still has an index whose days are over. It is signed none the less.
        *(['--aptopt=Acquire::Check-Valid-Until "false"'] if suite else []),
        suite or own,
        target,
        *([f"deb {mirror_of(suite, own)} {suite} main"] if suite else []),
    ]
    shell.run(command, timeout=900, env={"SOURCE_DATE_EPOCH": "0", "TMPDIR": str(parts)})


def mirror_of(suite: str, own: str) -> str:
    """The mirror of this machine, provided that it has that suite too. Raises NotServed."""
    mirror = machine.mirror(own)
    if not mirror:
        raise NotServed(f"This machine has no package source for {own}, so there is no mirror to ask for {suite}.")
    place = f"{mirror.rstrip('/')}/dists/{suite}/Release"
    try:
        with urllib.request.urlopen(place, timeout=60):  # noqa: S310 - what apt itself takes packages from
            return mirror
    except (OSError, ValueError) as problem:
        raise NotServed(f"The mirror that this machine has its packages from has no {suite}: {problem}") from problem


def libraries(program: Path) -> Iterator[Path]:
    """The shared libraries of a program, by the machine's own loader."""
    printed = shell.run(["ldd", program], check=False).stdout
    if "not found" in printed:
        raise LabError(f"Libraries of {program} are not on this machine:\n{shell.last_lines(printed)}")
    for line in printed.splitlines():
        path = line.split("=>")[-1].split("(")[0].strip()
        if path.startswith("/"):
            yield Path(path)


def add_program(layer: Layer, target: str, source: Path) -> None:
    """A program of this machine with what it needs, name service included."""
    layer.file(target, source.resolve(), 0o755)
    found = list(libraries(source))
    home = next((path.parent for path in found if path.name.startswith("libc.so")), None)
    for service in ("libnss_files.so.2", "libnss_dns.so.2"):
        if home and (home / service).exists():
            found.append(home / service)
    for library in found:
        layer.file(str(library), library.resolve())


def pip_download(package: str, folder: Path, sha256: str | None, python: str | None = None) -> Path:
    """Get one wheel and check it; with `python` the one for this version, whichever runs here."""
    before = set(folder.glob("*.whl"))
    chosen = ["--only-binary=:all:", *((f"--python-version={python}", "--implementation=cp", WHEELS) if python else ())]
    shell.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *chosen, "-d", folder, package],
        timeout=600,
        env={"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    wheel = (set(folder.glob("*.whl")) - before).pop()
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and found != sha256:
        raise LabError(f"The wheel of {package} has the SHA-256 {found}; the recipe says {sha256}.")
    return wheel


def add_wheel(layer: Layer, wheel: dict[str, Any], parts: Path) -> None:
    """What is in a wheel: `files` maps places in the image to a pattern of one program, `folders` of many."""
    path = pip_download(wheel["package"], parts, wheel.get("sha256"), wheel.get("python"))
    with zipfile.ZipFile(path) as zipped:
        for target, pattern in wheel.get("folders", {}).items():
            for name in fnmatch.filter(zipped.namelist(), pattern):
                if not name.endswith("/"):
                    layer.file(f"{target}/{name}", Path(zipped.extract(name, parts / "wheel")))
        for target, pattern in wheel.get("files", {}).items():
            names = fnmatch.filter(zipped.namelist(), pattern)
            if len(names) != 1:
                raise LabError(f"{path.name} holds {len(names)} files {pattern}, and the recipe means one.")
            unpacked = Path(zipped.extract(names[0], parts))
            layer.file(target, unpacked, 0o755)
            unpacked.unlink()
    path.unlink()


def add_npm(layer: Layer, npm: dict[str, Any], folder: Path, parts: Path) -> None:
    """npm packages as their lock file says, installed by the npm of the Node.js that goes into the image.

    That one comes as a wheel, too: the machine needs no Node.js of its own, and every machine gets the same.
    """
    wheel = pip_download(npm["node"]["package"], parts, npm["node"].get("sha256"))
    runtime = parts / "node"
    with zipfile.ZipFile(wheel) as zipped:
        zipped.extractall(runtime)
    wheel.unlink()
    program = next(runtime.glob("*/bin/node"))
    program.chmod(0o755)
    client = next(runtime.glob("*/lib/node_modules/npm/bin/npm-cli.js"))
    project = parts / "npm"
    project.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, project / name)
    shell.run(
        [
            *shell.end_with_parent(),
            program,
            client,
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ],
        cwd=project,
        timeout=900,
        env={"PATH": f"{program.parent}{os.pathsep}{shell.search_path()}", "npm_config_cache": str(parts / "cache")},
    )
    layer.file("/usr/bin/node", program, 0o755)
    layer.tree(npm["target"], project, skip=npm.get("skip", ()))


def imported(on: Node) -> dict[str, str]:
    """The images that a node's containerd has whole, with the recipe of each."""
    found = {}
    for line in node.ctr(on, "images", "ls").splitlines()[1:]:
        match = re.search(rf"{re.escape(RECIPE_LABEL)}=(\S+?)(,|\s|$)", line)
        if match:
            found[line.split()[0]] = match[1]
    return found


def missing(settings: Settings, on: Node, wanted: list[Recipe]) -> list[Recipe]:
    present = imported(on)
    return [recipe for recipe in wanted if any(present.get(name) != recipe.key for name in recipe.names)]


def load(settings: Settings, on: Node, wanted: list[Recipe]) -> None:
    """Hand images to a node. The mark comes last, so an import that was cut short is done again."""
    for recipe in missing(settings, on, wanted):
        with progress.work(f"importing {recipe.names[0]} on {on.name}", quiet=True):
            node.ctr(on, "images", "import", image_file(settings, recipe), timeout=600)
            for name in recipe.names:
                node.ctr(on, "images", "label", name, f"{RECIPE_LABEL}={recipe.key}")


def variables(settings: Settings, wanted: list[Recipe]) -> dict[str, str]:
    """What the images are called as Ansible variables: what a recipe says under `variable`."""
    found = {recipe.content["variable"]: recipe.names[0] for recipe in wanted if "variable" in recipe.content}
    # Claims are tried out with the image of a database, as docs/guides/storage.md says.
    return {**found, **({"storage_claims_image": found["mongodb_image"]} if "mongodb_image" in found else {})}


def write_variables(settings: Settings, wanted: list[Recipe]) -> None:
    head = "---\n# Written by the lab: its images and its NFS server. Pass it to ansible-playbook as `-e @FILE`.\n"
    files.write(settings.variables, head + yaml.safe_dump({**variables(settings, wanted), **nfs.variables(settings)}))
