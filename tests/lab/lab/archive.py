# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Container images as files: layers, and the archive that `ctr images import` reads."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """One layer, written file by file. The same content gives the same bytes: no times, no names of owners."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.archive = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 (see close)
        self.known: set[PurePosixPath] = {PurePosixPath("/")}

    def close(self) -> None:
        self.archive.close()

    def entry(self, name: PurePosixPath, mode: int, owner: int) -> tarfile.TarInfo:
        for parent in reversed(name.parents):
            if parent not in self.known:
                self.folder(parent)
        self.known.add(name)
        info = tarfile.TarInfo(str(name).lstrip("/"))
        info.mode = mode
        info.uid = info.gid = owner
        return info

    def folder(self, name: str | PurePosixPath, mode: int = 0o755, owner: int = 0) -> None:
        info = self.entry(PurePosixPath(name), mode, owner)
        info.type = tarfile.DIRTYPE
        self.archive.addfile(info)

    def text(self, name: str | PurePosixPath, content: str, mode: int = 0o644, owner: int = 0) -> None:
        info = self.entry(PurePosixPath(name), mode, owner)
        data = content.encode()
        info.size = len(data)
        self.archive.addfile(info, io.BytesIO(data))

    def file(self, name: str | PurePosixPath, source: Path, mode: int | None = None, owner: int = 0) -> None:
        if PurePosixPath(name) in self.known:
            return
        own_mode = 0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644
        info = self.entry(PurePosixPath(name), mode or own_mode, owner)
        info.size = source.stat().st_size
        with source.open("rb") as file:
            self.archive.addfile(info, file)

    def link(self, name: str | PurePosixPath, target: str) -> None:
        if PurePosixPath(name) in self.known:
            return
        info = self.entry(PurePosixPath(name), 0o777, 0)
        info.type = tarfile.SYMTYPE
        info.linkname = target
        self.archive.addfile(info)

    def tree(self, name: str, source: Path, skip: Sequence[str] = ()) -> None:
        """A whole folder, without the files whose names match."""
        for path in sorted(source.rglob("*")):
            inner = path.relative_to(source)
            if any(inner.match(pattern) for pattern in skip):
                continue
            target = PurePosixPath(name) / PurePosixPath(*inner.parts)
            if path.is_symlink():
                self.link(target, str(path.readlink()))
            elif path.is_file():
                self.file(target, path)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_image(path: Path, names: Sequence[str], layers: Sequence[Path], config: dict[str, Any]) -> None:
    """Put layers together to an archive in Docker's format."""
    digests = [digest(layer) for layer in layers]
    configuration = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in digests]},
            "history": [{"created_by": "stateful.kube lab"} for _ in digests],
        },
        sort_keys=True,
    ).encode()
    identifier = hashlib.sha256(configuration).hexdigest()
    manifest = [
        {"Config": f"{identifier}.json", "RepoTags": list(names), "Layers": [f"{each}.tar" for each in digests]}
    ]
    with tarfile.open(path, "w") as archive:
        for name, data in ((f"{identifier}.json", configuration), ("manifest.json", json.dumps(manifest).encode())):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for layer, name in zip(layers, digests, strict=True):
            if f"{name}.tar" in archive.getnames():
                continue
            info = tarfile.TarInfo(f"{name}.tar")
            info.size = layer.stat().st_size
            with layer.open("rb") as file:
                archive.addfile(info, file)
