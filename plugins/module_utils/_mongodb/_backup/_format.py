# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a backup on disk is: its names, its manifest, and how backups belong together. Pure.

A full backup has the layout of mongodump (DATABASE/COLLECTION.bson, DATABASE/COLLECTION.metadata.json beside it, and
oplog.bson), so that the tools of the database can read it. manifest.json is ours. A folder without it is no backup.
"""

from __future__ import annotations

import base64
import calendar
import dataclasses
import hashlib
import json
import re
import time
import typing as t
import urllib.parse

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import (
    FAILED,
    File,
    Layout,
    require_inside,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

FORMAT = 1
FULL = "full"
OPLOG = "oplog"
#: where a restore keeps its own notes in the target; gone when it is complete
SCRATCH = "stateful_kube_restore"

# Names of files hold 255 bytes. Longer names of collections are cut as mongodump cuts them; the real name is in
# the metadata.
_LONGEST = 238
_CUT = 208
_ISO = "%Y-%m-%dT%H:%M:%SZ"


@dataclasses.dataclass(frozen=True, order=True)
class Optime:
    """A position in the oplog: seconds since the epoch, and the ordinal within that second."""

    seconds: int
    ordinal: int
    term: int = dataclasses.field(default=-1, compare=False)

    @classmethod
    def of(cls, stamp: t.Any, term: int = -1) -> Optime:
        """From the driver's Timestamp."""
        return cls(int(stamp.time), int(stamp.inc), term)

    @classmethod
    def parse(cls, text: str) -> Optime:
        """What people write: an ISO 8601 time in UTC of whole seconds, or SECONDS:ORDINAL."""
        found = re.fullmatch(r"(\d{1,10}):(\d{1,10})", text)
        if found:
            return cls(int(found.group(1)), int(found.group(2)))
        try:
            return cls(calendar.timegm(time.strptime(text, _ISO)), 0)
        except ValueError:
            raise Failure(
                f"until: expected a time in UTC such as 2026-03-01T14:05:00Z, or a position in the oplog such as "
                f"1772373900:1 (seconds:ordinal), found {text!r}."
            ) from None

    @property
    def text(self) -> str:
        return f"{self.seconds}:{self.ordinal}"

    @property
    def time(self) -> str:
        return time.strftime(_ISO, time.gmtime(self.seconds))

    def dump(self) -> dict[str, t.Any]:
        return {"position": self.text, "time": self.time, "term": self.term}

    @classmethod
    def load(cls, found: t.Mapping[str, t.Any]) -> Optime:
        seconds, ordinal = str(found["position"]).split(":")
        return cls(int(seconds), int(ordinal), int(found["term"]))


@dataclasses.dataclass(frozen=True)
class Collection:
    """A collection or view of a full backup. ``content`` is the hash of its documents, in any order."""

    database: str
    name: str
    type: str
    metadata: str
    data: str = ""
    documents: int = 0
    bytes: int = 0
    content: str = ""
    uuid: str = ""

    @property
    def ns(self) -> str:
        return f"{self.database}.{self.name}"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a backup says of itself."""

    backup: str
    kind: str
    namespace: str
    name: str
    replica_set: str
    set_id: str
    version: str
    fcv: str
    member: str
    started: str
    ended: str
    #: operations after this one, up to ``end``, are in the oplog slice
    start: Optime
    #: the earliest position that can be restored to; for a slice the same as ``start``
    consistent: Optime
    end: Optime
    entries: int
    files: tuple[File, ...]
    collections: tuple[Collection, ...] = ()
    verified: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def oplog_file(self) -> str:
        return next((file.path for file in self.files if file.path in ("oplog.bson", "oplog.bson.gz")), "")

    def dump(self) -> str:
        plain = dataclasses.asdict(self)
        for position in ("start", "consistent", "end"):
            plain[position] = getattr(self, position).dump()
        return json.dumps({"format": FORMAT, **plain}, indent=2) + "\n"

    @classmethod
    def parse(cls, text: str) -> Manifest:
        """Raises ValueError where it is none, or one of a later format."""
        try:
            plain = json.loads(text)
            if plain.pop("format") != FORMAT:
                raise ValueError("it is of a format that this version does not know")
            for position in ("start", "consistent", "end"):
                plain[position] = Optime.load(plain[position])
            plain["files"] = tuple(File(**one) for one in plain["files"])
            plain["collections"] = tuple(Collection(**one) for one in plain["collections"])
            found = cls(**plain)
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"it is no manifest of a backup ({exc})") from exc
        require_inside(found.files)
        return found

    def facts(self) -> dict[str, t.Any]:
        """For results: what a person asks first."""
        return {
            "backup": self.backup,
            "kind": self.kind,
            "set_id": self.set_id,
            "started": self.started,
            "ended": self.ended,
            "restorable_from": self.consistent.dump(),
            "restorable_until": self.end.dump(),
            "collections": sum(1 for one in self.collections if one.data),
            "documents": sum(one.documents for one in self.collections),
            "oplog_entries": self.entries,
            "bytes": self.size,
            "verified": self.verified or None,
        }


def escaped(name: str) -> str:
    """The name of a file for this collection or database."""
    found = urllib.parse.quote(name, safe="$&+=:@~-_.")
    if len(found) <= _LONGEST:
        return found
    digest = base64.urlsafe_b64encode(hashlib.sha1(name.encode(), usedforsecurity=False).digest()).decode().rstrip("=")
    return f"{found[:_CUT]}%24{digest}"


def add_content(total: int, document: bytes) -> int:
    """One more document for the hash of a collection's content, in which their order does not matter."""
    return (total + int.from_bytes(hashlib.sha256(document).digest(), "big")) % (1 << 256)


def content_text(total: int) -> str:
    return f"{total:064x}"


LAYOUT = Layout(Manifest.parse, {OPLOG: "-oplog"})


def fulls(found: t.Iterable[Manifest]) -> list[Manifest]:
    """Full backups that can be relied on, the newest last."""
    good = (one for one in found if one.kind == FULL and not one.verified.startswith(FAILED))
    return sorted(good, key=lambda one: (one.end, one.backup))


def slices(found: t.Iterable[Manifest]) -> list[Manifest]:
    return sorted((one for one in found if one.kind == OPLOG), key=lambda one: (one.start, one.end))


def outdated(found: t.Iterable[Manifest], keep: int) -> list[Manifest]:
    """What retention removes: all but the newest full backups, and slices that none of these needs."""
    known = list(found)
    kept = fulls(known)[-keep:] if keep else fulls(known)
    if not kept:
        return []
    old = [one for one in known if one not in kept and one.end <= kept[0].end]
    return sorted(old, key=lambda one: (one.end, one.backup))


def chain(base: Manifest, found: t.Iterable[Manifest]) -> list[Manifest]:
    """The slices that continue a full backup without a gap, in order. They may overlap."""
    linked: list[Manifest] = []
    end = base.end
    for one in slices(found):
        if one.set_id == base.set_id and one.start <= end < one.end:
            linked.append(one)
            end = one.end
    return linked


def reaches(base: Manifest, found: t.Iterable[Manifest]) -> Optime:
    """The last position that this full backup, with its slices, can be restored to."""
    linked = chain(base, found)
    return linked[-1].end if linked else base.end


def continuing(found: t.Iterable[Manifest]) -> list[Optime]:
    """Positions from which a new slice may go on, the best first.

    The newest slice's end leaves no gap for any older backup. Where the oplog no longer reaches back to it, the end of
    the newest full backup still continues that one.
    """
    known = list(found)
    ends = [one[-1].end for one in (slices(known), fulls(known)) if one]
    newest_full = fulls(known)[-1:]
    # A slice that ends before the newest full backup began to be whole is behind it, and still the better one.
    return list(dict.fromkeys(ends)) if newest_full else []


def base_for(found: t.Iterable[Manifest], wanted: str, until: t.Optional[Optime]) -> Manifest:
    """The full backup to restore from. Raises Failure."""
    known = fulls(found)
    if not known:
        raise Failure(
            "src, s3: there is no complete full backup of such a set there. Name another place, or the set (backup_of)."
        )
    if wanted != "latest":
        named = next((one for one in known if one.backup == wanted), None)
        if named is None:
            raise Failure(
                f"backup: there is no complete full backup {wanted} in src; there are "
                f"{', '.join(one.backup for one in known)}. Name one of these, or latest."
            )
        return named
    if until is None:
        return known[-1]
    early = [one for one in known if one.consistent < until]
    if not early:
        raise Failure(
            f"until: the oldest full backup, {known[0].backup}, can be restored to what was after "
            f"{known[0].consistent.time} ({known[0].consistent.text}) and no earlier; found {until.time} "
            f"({until.text}). Choose a later time."
        )
    return early[-1]


def require_covered(base: Manifest, found: t.Iterable[Manifest], until: t.Optional[Optime]) -> None:
    """Whether this backup and its slices hold all that happened before ``until``. Raises Failure."""
    if until is None:
        return
    end = reaches(base, found)
    if not base.consistent < until or until > Optime(end.seconds, end.ordinal + 1):
        raise Failure(
            f"until: {base.backup} and the oplog slices that continue it can be restored to any position after "
            f"{base.consistent.time} ({base.consistent.text}) and up to {end.time} ({end.text}); found {until.time} "
            f"({until.text}). Choose a time in between, or another backup."
        )
