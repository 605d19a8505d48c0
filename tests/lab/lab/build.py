# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The lab's programs, built from ../go.mod."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
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


# Modules of their own beside ../go.mod, built each into a folder of its own: a change of one builds no other anew. For
# each the names of its programs, and the names under which they are looked for on a PATH.
MODULES = {"nfs": {"mount": ("mount", "mount.nfs"), "provisioner": ()}}


def sources(settings: Settings) -> list[Path]:
    folder = settings.sources
    return [folder / "go.mod", folder / "go.sum", *files.tree(folder / "cmd")]


def folder(settings: Settings) -> Path:
    """Where the binaries of exactly these sources are, or will be."""
    return settings.binaries / files.digest(flags(), sources(settings))


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
    if target.is_dir():
        return target
    go = prerequisites.check_go()
    settings.binaries.mkdir(parents=True, exist_ok=True)
    for unfinished in settings.binaries.glob(".*"):
        files.remove(unfinished)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=settings.binaries) as name:
        output = Path(name) / "bin"
        output.mkdir(mode=0o755)
        with progress.work(f"building Kubernetes {KUBERNETES_VERSION[1:]}, CoreDNS and the volume provisioner") as work:
            for package in TARGETS:
                build(go, settings.sources, package, output, work)
        for command in KUBERNETES_COMMANDS:
            (output / command).symlink_to("kubernetes")
        output.rename(target)
    return target


def module_folder(settings: Settings, name: str) -> Path:
    """Where the programs of exactly these sources of a module are, or will be."""
    places = [path for path in files.tree(settings.sources / name) if not path.name.endswith("_test.go")]
    return settings.binaries / f"{name}-{files.digest(str(MODULES[name]), places)}"


def ensure_module(settings: Settings, name: str) -> Path:
    """Build a module that is not built, and say where its programs are."""
    target = module_folder(settings, name)
    if target.is_dir():
        return target
    go = prerequisites.check_go()
    settings.binaries.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".build-", dir=settings.binaries) as temporary:
        output = Path(temporary) / "bin"
        (output / "path").mkdir(parents=True)
        output.chmod(0o755)
        with progress.work(f"building the programs of {name}") as work:
            build(go, settings.sources / name, "./...", output, work)
        for program, links in MODULES[name].items():
            for link in links:
                (output / "path" / link).symlink_to(Path("..", program))
        output.rename(target)
    return target


def build(go: str, folder: Path, package: str, output: Path, work: progress.Work) -> None:
    command = [
        *shell.end_with_parent(),
        go,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-v",
        "-ldflags",
        flags(),
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
        # The module says which Go it needs; another must not be fetched behind the user's back.
        env=shell.environment({"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}),
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


def remove_outdated(settings: Settings, kubernetes: Path) -> None:
    """Throw away what other versions of the sources built, once nothing runs from it any more."""
    used = {kubernetes, *(module_folder(settings, name) for name in MODULES)}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                used.add((process / "exe").resolve(strict=False).parent)
            except OSError:
                continue
    for old in settings.binaries.iterdir() if settings.binaries.is_dir() else ():
        if old not in used:
            shutil.rmtree(old, ignore_errors=True)
