# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The lab's programs, built from ../go.mod."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import files, prerequisites, progress, shell
from lab.errors import LabError
from lab.settings import KUBERNETES_VERSION, LOCAL_PATH_VERSION, Settings

# One program that is all of these, by the name it is called with: see ../cmd/kubernetes.
KUBERNETES_COMMANDS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
# Built one after the other: local-path-provisioner imports a module under a name that differs from Kubernetes' only in
# its capitals, which Go refuses within one build.
TARGETS = ("./cmd/...", "github.com/rancher/local-path-provisioner")


# Programs with a go.mod of their own, in the folder of their name: a change of one builds nothing else anew.
PARTS = {"csi": "the storage driver for tests", "nfs": "the NFS client and the NFS provisioner"}
# The same, built only when an image that is asked for holds them; with the package that is built.
ON_DEMAND = {"minio": ("MinIO", "github.com/minio/minio")}
# Names under which programs of a part are looked for on a PATH that holds its folder `path`.
LINKS = {"nfs": {"mount": "mount", "mount.nfs": "mount"}}
# Files that a part takes from a module it is built with, into its folder `manifests`: the module's folder, and them.
SNAPSHOTS = "snapshot.storage.k8s.io_volumesnapshot"
MANIFESTS = {
    "csi": (
        "github.com/kubernetes-csi/external-snapshotter/client/v8",
        [f"config/crd/{SNAPSHOTS}{kind}.yaml" for kind in ("classes", "contents", "s")],
    )
}


# The module says which Go it needs; another must not be fetched behind the user's back.
GO = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def sources(settings: Settings) -> list[Path]:
    folder = settings.sources
    return [folder / "go.mod", folder / "go.sum", *files.tree(folder / "cmd")]


def folder(settings: Settings) -> Path:
    """Where the binaries of exactly these sources are, or will be."""
    return settings.binaries / files.digest(flags(), sources(settings))


def part_folder(settings: Settings, part: str) -> Path:
    """Where the program of a part is, or will be."""
    taken = f"{LINKS.get(part)}{MANIFESTS.get(part, '')}"
    return settings.binaries / f"{part}-{files.digest(taken, sources_of(settings, part))}"


def sources_of(settings: Settings, part: str) -> list[Path]:
    """The files of a part, without its tests."""
    return [path for path in files.tree(settings.sources / part) if not path.name.endswith("_test.go")]


def flags() -> str:
    version = "k8s.io/component-base/version"
    major, minor = KUBERNETES_VERSION[1:].split(".")[:2]
    values = {
        f"{version}.gitVersion": KUBERNETES_VERSION,
        f"{version}.gitMajor": major,
        f"{version}.gitMinor": minor,
        f"{version}.gitTreeState": "clean",
        "main.VERSION": LOCAL_PATH_VERSION,
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def ensure(settings: Settings) -> Path:
    """Build what is not built, and say where it is. Nothing half-built is ever taken for whole."""
    target = folder(settings)
    if not target.is_dir():
        title = f"Kubernetes {KUBERNETES_VERSION[1:]}, CoreDNS and the volume provisioner"
        with workshop(settings, target) as output:
            build(settings.sources, TARGETS, flags(), output, title)
            for command in KUBERNETES_COMMANDS:
                (output / command).symlink_to("kubernetes")
    for part, title in PARTS.items():
        ready = part_folder(settings, part)
        if not ready.is_dir():
            with workshop(settings, ready) as output:
                build(settings.sources / part, ["./..."], "-s -w", output, title)
                for name, program in LINKS.get(part, {}).items():
                    (output / "path").mkdir(exist_ok=True)
                    (output / "path" / name).symlink_to(Path("..", program))
                if part in MANIFESTS:
                    copy_manifests(settings.sources / part, *MANIFESTS[part], output / "manifests")
    return target


def ensure_on_demand(settings: Settings, part: str) -> None:
    """Build a part that not every lab has."""
    title, package = ON_DEMAND[part]
    ready = part_folder(settings, part)
    if not ready.is_dir():
        with workshop(settings, ready) as output:
            build(settings.sources / part, [package], "-s -w", output, title)


@contextmanager
def workshop(settings: Settings, target: Path) -> Iterator[Path]:
    """A folder to build in, which becomes the target once all is done."""
    settings.binaries.mkdir(parents=True, exist_ok=True)
    for unfinished in settings.binaries.glob(".*"):
        files.remove(unfinished)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=settings.binaries) as name:
        output = Path(name) / "bin"
        output.mkdir(mode=0o755)
        yield output
        output.rename(target)


def build(folder: Path, packages: Sequence[str], linker_flags: str, output: Path, title: str) -> None:
    """Build packages of the module in a folder, one after the other."""
    go = prerequisites.check_go()
    with progress.work(f"building {title}") as work:
        for package in packages:
            compile_package(go, folder, package, linker_flags, output, work)


def copy_manifests(folder: Path, module: str, names: Sequence[str], target: Path) -> None:
    """Copy files of a module, in just the version that go.mod names and go.sum vouches for."""
    command = [prerequisites.check_go(), "list", "-m", "-f", "{{.Dir}}", module]
    found = Path(shell.run(command, cwd=folder, env=GO).stdout.strip())
    target.mkdir()
    for name in names:
        shutil.copyfile(found / name, target / Path(name).name)


def manifests(settings: Settings) -> list[Path]:
    """The files that were taken from modules."""
    return [path for part in MANIFESTS for path in files.tree(part_folder(settings, part) / "manifests")]


def compile_package(go: str, folder: Path, package: str, linker_flags: str, output: Path, work: progress.Work) -> None:
    command = [
        *shell.end_with_parent(),
        go,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-v",
        "-ldflags",
        linker_flags,
        "-o",
        f"{output}/",
        package,
    ]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=shell.environment(GO),
    )
    assert process.stderr
    said: list[str] = []
    packages = 0
    try:
        for line in process.stderr:
            # With -v the compiler names each package that it turns to.
            packages += 1
            work.detail = f"{packages} packages compiled, now {os.path.basename(line.strip())}"
            said.append(line)
        code = process.wait()
    finally:
        if process.poll() is None:
            process.kill()
    if code:
        raise LabError(f"`go build {package}` ended with {code}:\n{shell.last_lines(''.join(said))}")


def remove_outdated(settings: Settings) -> None:
    """Throw away what other versions of the sources built, once nothing runs from it any more."""
    used = {folder(settings), *(part_folder(settings, part) for part in (*PARTS, *ON_DEMAND))}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                used.add((process / "exe").resolve(strict=False).parent)
            except OSError:
                continue
    for old in settings.binaries.iterdir() if settings.binaries.is_dir() else ():
        if old not in used:
            shutil.rmtree(old, ignore_errors=True)
