# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Backups of a set in a bucket: the same files as in a folder, each an object, and the manifest last."""

from __future__ import annotations

import contextlib
import itertools
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import Folder, OutFile, parts
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import bucket_of
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._s3 import Bucket
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._s3_units import Making, Names, Units
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import (
    MANIFEST,
    MARK,
    PARTIAL,
    File,
    Layout,
    M,
)

NAMES = Names(record=MANIFEST, mark=MARK)


class InBucket(t.Generic[M]):
    """Backups of one set in one bucket."""

    def __init__(self, bucket: Bucket, namespace: str, name: str, layout: Layout[M]) -> None:
        self.namespace = namespace
        self.name = name
        self.title = bucket.address.title
        self.where = f"{bucket.address.title} ({bucket.address.endpoint})"
        self._bucket = bucket
        self._layout = layout
        owner = {"namespace": namespace, "name": name}
        self._units = Units(bucket, NAMES, owner, self._is_name)

    def manifests(self) -> list[M]:
        """Complete backups of the set, whatever else is in the bucket."""
        found = []
        for name, record in self._units.records(f"{self.name}-").items():
            with contextlib.suppress(ValueError):
                found.append(self._layout.read(record.decode("utf-8", "replace"), self.namespace, self.name, name))
        return found

    def leftovers(self) -> list[str]:
        """Those of runs of this set that were killed."""
        return self._units.abandoned(f"{self.name}-")

    def remove(self, name: str) -> None:
        self._units.remove(name)

    def begin(self, kind: str) -> BucketWriter[M]:
        seconds = time.time()
        while True:
            name = self._layout.folder(self.name, kind, seconds)
            making = self._units.begin(name)
            if making is not None:
                return BucketWriter(making)
            seconds += 1  # another run of the same second

    def rewrite(self, manifest: M) -> None:
        self._units.replace_record(manifest.backup, manifest.dump().encode())

    def open(self, backup: str, path: str) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self._bucket.open(f"{backup}/{path}"))

    def _is_name(self, name: str) -> bool:
        return self._layout.is_folder(self.name, name) and not name.endswith(PARTIAL)


class BucketWriter(t.Generic[M]):
    """A backup that is being written. It counts only after complete()."""

    def __init__(self, making: Making) -> None:
        self.name = making.name
        self.files: list[File] = []
        self._making = making

    def require_room(self, needed: int, dest: str) -> None:
        """Nobody tells how much a bucket takes."""

    def open(self, path: str, packed: bool = False) -> OutFile:
        return OutFile(_Object(self._making, path), path, packed)

    def add(self, written: OutFile) -> File:
        found = written.close()
        self.files = [*(one for one in self.files if one.path != found.path), found]
        return found

    def text(self, path: str, content: bytes) -> File:
        file = self.open(path)
        file.write(content)
        return self.add(file)

    def put_before(self, written: File, head: t.Iterable[bytes]) -> None:
        """The object is replaced as a whole at the end, so it can be read while its successor is written."""
        whole = self.open(written.path)
        with self._making.open(written.path) as opened:
            for part in itertools.chain(head, parts(opened, written.path)):
                whole.write(part)
        self.add(whole)

    def complete(self, manifest: M) -> None:
        self._making.complete(manifest.dump().encode())

    def abandon(self) -> None:
        self._making.abandon()


class _Object:
    def __init__(self, making: Making, path: str) -> None:
        self._making = making
        self._upload = making.upload(path)

    def write(self, data: bytes) -> int:
        return self._upload.write(data)

    def finish(self) -> None:
        self._making.add(self._upload.finish())

    def discard(self) -> None:
        self._upload.discard()


def place_of(
    params: t.Mapping[str, t.Any],
    option: str,
    cluster: t.Any,
    where: str,
    namespace: str,
    name: str,
    layout: Layout[M],
) -> Place[M]:
    """The folder that this option names, or the bucket. ``where`` is the namespace of the Secret with its keys."""
    if params.get("s3"):
        return InBucket(bucket_of(params["s3"], cluster, where), namespace, name, layout)
    return Folder(params[option], namespace, name, layout)
