# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What operations ask of a place that backups are kept in, whether it is a folder or a bucket."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import File, M, Record

M_contra = t.TypeVar("M_contra", bound=Record, contravariant=True)


class Out(t.Protocol):
    """A file that is being written."""

    path: str

    def write(self, data: bytes) -> None: ...

    def close(self) -> File: ...

    def discard(self) -> None: ...


class Writing(t.Protocol[M_contra]):
    """A backup that is being made."""

    name: str
    files: list[File]

    def require_room(self, needed: int, dest: str) -> None: ...

    def open(self, path: str, packed: bool = False) -> t.Any: ...

    def add(self, written: t.Any) -> File: ...

    def text(self, path: str, content: bytes) -> File: ...

    def put_before(self, written: File, head: t.Iterable[bytes]) -> None: ...

    def complete(self, manifest: M_contra) -> None: ...

    def abandon(self) -> None: ...


class Place(t.Protocol[M]):
    """Backups of one set. ``title`` is its name for people, ``where`` the same for those on other hosts."""

    title: str
    where: str

    def manifests(self) -> list[M]: ...

    def leftovers(self) -> list[str]: ...

    def remove(self, name: str) -> None: ...

    def begin(self, kind: str) -> Writing[M]: ...

    def rewrite(self, manifest: M) -> None: ...

    def open(self, backup: str, path: str) -> t.BinaryIO:
        """Raises FileNotFoundError."""
        raise NotImplementedError
