# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a backup in any place is: a folder with files and a record of them, which is written last. Pure."""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t

#: the record of a backup
MANIFEST = "manifest.json"
#: written first of all into a folder that is being made: whose it is
MARK = ".stateful-kube-backup"
#: what the name of a folder ends with until it is complete
PARTIAL = ".partial"
#: what ``verified`` begins with where the backup turned out to be wrong
FAILED = "FAILED"

_STAMP = "%Y%m%dT%H%M%SZ"
_ISO = "%Y-%m-%dT%H:%M:%SZ"


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a backup, relative to its folder. ``size`` and ``sha256`` are of the bytes on disk."""

    path: str
    size: int
    sha256: str


class Record(t.Protocol):
    """What places need to know of a record."""

    @property
    def backup(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def files(self) -> tuple[File, ...]: ...

    def dump(self) -> str: ...


M = t.TypeVar("M", bound=Record)


@dataclasses.dataclass(frozen=True)
class Layout(t.Generic[M]):
    """What a kind of database calls its backups, and how it reads their records."""

    #: raises ValueError where the text is no record
    parse: t.Callable[[str], M]
    #: what the name of a folder ends with, by kind of backup
    suffixes: t.Mapping[str, str]

    def folder(self, name: str, kind: str, seconds: float) -> str:
        return f"{name}-{time.strftime(_STAMP, time.gmtime(seconds))}{self.suffixes.get(kind, '')}"

    def is_folder(self, name: str, folder: str) -> bool:
        """Whether this is how a backup of that set, complete or not, is called."""
        ends = "|".join(re.escape(one) for one in self.suffixes.values() if one)
        return bool(re.fullmatch(rf"{re.escape(name)}-\d{{8}}T\d{{6}}Z({ends})?({re.escape(PARTIAL)})?", folder))

    def read(self, text: str, namespace: str, name: str, folder: str) -> M:
        """The record of this very backup. Raises ValueError."""
        found = self.parse(text)
        if (found.namespace, found.name, found.backup) != (namespace, name, folder):
            raise ValueError("it is of another set, or was moved")
        return found


def iso(seconds: float) -> str:
    return time.strftime(_ISO, time.gmtime(seconds))


def require_inside(files: t.Iterable[File]) -> None:
    """Raises ValueError where one of them would be outside of its folder."""
    for one in files:
        if one.path.startswith("/") or ".." in one.path.split("/"):
            raise ValueError(f"it names a file outside of its folder ({one.path})")
