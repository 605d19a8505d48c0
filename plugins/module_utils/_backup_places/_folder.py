# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The folder that backups are kept in: what is there, writing into a new one, and reading what was written."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import socket
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import (
    MANIFEST,
    MARK,
    PARTIAL,
    File,
    Layout,
    M,
    Record,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

# Bytes.
CHUNK = 1024 * 1024
# Seconds after which a folder that holds nothing is taken for what a killed run left.
UNMARKED_FOR = 60
# Level 3 costs a third of the time of the usual 6, and about a tenth more room.
LEVEL = 3


class Folder(t.Generic[M]):
    """Backups of one set in one folder."""

    def __init__(self, path: str, namespace: str, name: str, layout: Layout[M]) -> None:
        self.path = pathlib.Path(path)
        self.title = path
        self.where = f"{socket.gethostname()}:{path}"
        self.namespace = namespace
        self.name = name
        self._layout = layout

    def manifests(self) -> list[M]:
        """Complete backups of the set, whatever else is in the folder."""
        found = []
        for folder in self._named():
            if folder.name.endswith(PARTIAL):
                continue
            with contextlib.suppress(OSError, ValueError):
                record = (folder / MANIFEST).read_text("utf-8")
                found.append(self._layout.read(record, self.namespace, self.name, folder.name))
        return found

    def leftovers(self) -> list[str]:
        """Folders of runs of this set that were killed: marked, not complete, and locked by nobody."""
        found = []
        for folder in self._named():
            if not folder.name.endswith(PARTIAL):
                continue
            with contextlib.suppress(OSError, ValueError):
                mark = json.loads((folder / MARK).read_text("utf-8"))
                if mark == self._mark() and not _locked(folder / MARK):
                    found.append(folder.name)
        return sorted({*found, *self._unmarked()})

    def _unmarked(self) -> t.Iterator[str]:
        """Folders of runs that were killed before anything was in them."""
        for folder in self._named():
            with contextlib.suppress(OSError):
                aged = time.time() - folder.stat().st_mtime > UNMARKED_FOR
                if folder.name.endswith(PARTIAL) and aged and not any(_size(entry) for entry in folder.iterdir()):
                    yield folder.name

    def remove(self, name: str) -> None:
        """Only ever called with what manifests() or leftovers() gave. Another run may be at it too, and be first."""
        with contextlib.suppress(FileNotFoundError):
            self._remove(self.path / name, name)

    def _remove(self, folder: pathlib.Path, name: str) -> None:
        if not name.endswith(PARTIAL):
            # From here on it is no backup any more, also when this is killed in the middle.
            partial = folder.with_name(name + PARTIAL)
            folder.rename(partial)
            folder = partial
        # The mark goes last: by it the next run knows what this one did not finish.
        for entry in sorted(folder.iterdir()):
            if entry.name == MARK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        (folder / MARK).unlink(missing_ok=True)
        folder.rmdir()

    def begin(self, kind: str) -> Writer[M]:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        seconds = time.time()
        while True:
            name = self._layout.folder(self.name, kind, seconds)
            partial = self.path / (name + PARTIAL)
            if not (self.path / name).exists():
                try:
                    partial.mkdir(mode=0o700)
                except FileExistsError:
                    pass  # another run of the same second
                else:
                    return Writer(partial, name, self.mark())
            seconds += 1

    def open(self, backup: str, path: str) -> t.BinaryIO:
        return (self.path / backup / path).open("rb")

    def rewrite(self, manifest: M) -> None:
        folder = self.path / manifest.backup
        _write_manifest(folder, manifest)
        _sync_folder(folder)

    def mark(self) -> str:
        """What says whose a folder is that is not complete."""
        return json.dumps(self._mark())

    def _mark(self) -> dict[str, t.Any]:
        return {"namespace": self.namespace, "name": self.name}

    def _named(self) -> list[pathlib.Path]:
        try:
            entries = sorted(self.path.iterdir())
        except FileNotFoundError:
            return []
        return [
            entry
            for entry in entries
            if self._layout.is_folder(self.name, entry.name) and entry.is_dir() and not entry.is_symlink()
        ]


def _size(entry: pathlib.Path) -> int:
    return 1 if entry.is_dir() else entry.stat().st_size


def _locked(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


class Writer(t.Generic[M]):
    """A backup that is being written. It counts only after complete(); a killed run leaves a folder that says so."""

    def __init__(self, folder: pathlib.Path, name: str, mark: str) -> None:
        self.folder = folder
        self.name = name
        self.files: list[File] = []
        # The lock goes with this process, however it ends. It is taken before the mark can be read.
        descriptor = os.open(folder / MARK, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._lock = os.fdopen(descriptor, "w", encoding="utf-8")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._lock.write(mark)
        self._lock.flush()

    def require_room(self, needed: int, dest: str) -> None:
        require_room(self.folder, needed, dest)

    def open(self, path: str, packed: bool = False) -> OutFile:
        """A new file in here; one of the same path that was begun before is written anew.

        With ``packed``, what is written to it is compressed already.
        """
        target = self.folder / path
        target.parent.mkdir(mode=0o700, exist_ok=True)
        return OutFile(_OnDisk(target), path, packed)

    def put_before(self, written: File, head: t.Iterable[bytes]) -> None:
        """Write a file anew that begins with this."""
        path = self.folder / written.path
        body = path.with_name(f"body-{path.name}")
        path.rename(body)
        whole = self.open(written.path)
        with body.open("rb") as opened:
            for part in itertools.chain(head, parts(opened, written.path)):
                whole.write(part)
        self.add(whole)
        body.unlink()

    def add(self, written: OutFile) -> File:
        found = written.close()
        self.files = [*(one for one in self.files if one.path != found.path), found]
        return found

    def text(self, path: str, content: bytes) -> File:
        file = self.open(path)
        file.write(content)
        return self.add(file)

    def complete(self, manifest: M) -> None:
        _write_manifest(self.folder, manifest)
        for folder in [self.folder, *(entry for entry in self.folder.iterdir() if entry.is_dir())]:
            _sync_folder(folder)
        self.folder.rename(self.folder.with_name(self.name))
        _sync_folder(self.folder.parent)
        self._lock.close()

    def abandon(self) -> None:
        """Take everything back: there will be no such backup."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def require_room(folder: pathlib.Path, needed: int, dest: str) -> None:
    """Raises Failure where the folder's disk has less room than this many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(
            f"dest: {dest} has {free >> 20} MiB of free room, and this backup needs {needed >> 20} MiB at least. "
            "Nothing was written. Make room, or keep fewer backups."
        )


def _write_manifest(folder: pathlib.Path, manifest: Record) -> None:
    temporary = folder / f"{MANIFEST}.new"
    descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(manifest.dump())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(folder / MANIFEST)


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Target(t.Protocol):
    """What the bytes of a file go to."""

    def write(self, data: bytes) -> int: ...

    def finish(self) -> t.Any: ...

    def discard(self) -> None: ...


class OutFile:
    """A file that is hashed while it is written, and compressed where its name says so."""

    def __init__(self, target: Target, path: str, packed: bool = False) -> None:
        self.path = path
        self._target = target
        self._hash = hashlib.sha256()
        self._size = 0
        # Without a name and a time in its head, the same content gives the same file.
        self._gzip = (
            gzip.GzipFile(
                filename="", mode="wb", compresslevel=LEVEL, fileobj=t.cast("t.Any", _Sink(self._raw)), mtime=0
            )
            if path.endswith(".gz") and not packed
            else None
        )

    def write(self, data: bytes) -> None:
        if self._gzip:
            self._gzip.write(data)
        else:
            self._raw(data)

    def _raw(self, data: bytes) -> int:
        self._hash.update(data)
        self._size += len(data)
        return self._target.write(data)

    def close(self) -> File:
        if self._gzip:
            self._gzip.close()
        self._target.finish()
        return File(self.path, self._size, self._hash.hexdigest())

    def discard(self) -> None:
        """Let go of it; its content does not count."""
        self._target.discard()


class _OnDisk:
    def __init__(self, path: pathlib.Path) -> None:
        descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        self._file = os.fdopen(descriptor, "wb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()


class _Sink:
    """As much of a file as GzipFile needs."""

    def __init__(self, write: t.Callable[[bytes], int]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:
        return self._write(bytes(data))

    def flush(self) -> None:
        """Nothing is held back here."""


def verify_files(place: Place[M], manifest: M, alive: t.Callable[[int], None]) -> None:
    """Compare every file with its size and hash. ``alive`` is told how many bytes were read. Raises Failure."""
    for file in manifest.files:
        problem = _problem(place, manifest.backup, file, alive)
        if problem:
            raise Failure(
                f"backup: {place.title}/{manifest.backup}/{file.path} is not as it was written: "
                f"{problem}. Nothing was changed. Restore from another backup, or from another copy of this one."
            )


def _problem(place: Place[M], backup: str, file: File, alive: t.Callable[[int], None]) -> str:
    found, size = hashlib.sha256(), 0
    try:
        with place.open(backup, file.path) as opened:
            while part := opened.read(CHUNK):
                found.update(part)
                size += len(part)
                alive(len(part))
    except OSError as exc:
        return f"it cannot be read ({exc.strerror or exc})"
    if size != file.size:
        return f"its size is {size} bytes and was {file.size}"
    if found.hexdigest() != file.sha256:
        return f"its SHA-256 is {found.hexdigest()} and was {file.sha256}"
    return ""


def parts(raw: t.BinaryIO, name: str) -> t.Iterator[bytes]:
    """The content of a file of that name, uncompressed."""
    with gzip.open(raw) if name.endswith(".gz") else contextlib.nullcontext(raw) as file:
        while part := file.read(CHUNK):
            yield part


def content(raw: t.BinaryIO, name: str) -> bytes:
    """A whole small file, uncompressed."""
    return b"".join(parts(raw, name))
