# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Backups in a bucket: each is a folder, which counts as soon as its record is there, and that is written last.

A folder that is being made has a mark, which its process writes anew all the time, with what it is sending. A mark that
stays as it is was left by a run that was killed. It is the first object of a folder to come and the last to go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import threading
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._s3 import Bucket, Entry, Gone, Upload
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Process
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

# Seconds: how often a mark is written anew, and after how long without that its process counts as gone.
RENEWED_EVERY = 20.0
DEAD_AFTER = 180.0


@dataclasses.dataclass(frozen=True)
class Names:
    """What a kind of database calls its record and its mark."""

    record: str
    mark: str


class Units:
    """Folders of one owner. ``owner`` is what the mark says, and ``is_name`` tells which folders may be of it."""

    def __init__(
        self, bucket: Bucket, names: Names, owner: t.Mapping[str, str], is_name: t.Callable[[str], bool]
    ) -> None:
        self.bucket = bucket
        self._names = names
        self._owner = dict(owner)
        self._is_name = is_name
        self._known: dict[Entry, bytes] = {}

    def records(self, beginning: str) -> dict[str, bytes]:
        """The record of every complete folder whose name begins so."""
        found = {}
        for name, entries in self._folders(beginning).items():
            entry = entries.get(self._names.record)
            if entry is None:
                continue
            # Records are never changed without another ETag.
            if entry not in self._known:
                try:
                    self._known[entry] = self.bucket.get(entry.path)
                except Gone:
                    continue  # another run removes it
            found[name] = self._known[entry]
        return found

    def abandoned(self, beginning: str) -> list[str]:
        """Folders without a record whose process is gone."""
        found = []
        for name, entries in self._folders(beginning).items():
            if self._names.record in entries or self._names.mark not in entries:
                continue
            with contextlib.suppress(Gone, ValueError):
                path = entries[self._names.mark].path
                mark = json.loads(self.bucket.get(path))
                if mark["owner"] == self._owner and (self._is_dead(mark) or self.bucket.age(path) > DEAD_AFTER):
                    found.append(name)
        return found

    def _is_dead(self, mark: t.Mapping[str, t.Any]) -> bool:
        process = Process.parse(json.dumps(mark.get("process")))
        return bool(process and process.surely_dead())

    def remove(self, name: str) -> None:
        """The record first: from then on it is no backup any more, also where this is killed in the middle."""
        record, mark = (f"{name}/{one}" for one in (self._names.record, self._names.mark))
        found = [one.path for one in self.bucket.list(f"{name}/")]
        if record in found:
            self.bucket.remove([record])
        with contextlib.suppress(Gone, ValueError, KeyError):
            for path in json.loads(self.bucket.get(mark))["sending"]:
                self.bucket.forget_uploads(path)
        self.bucket.remove([path for path in found if path not in (record, mark)])
        # One that was taken for dead may have completed it meanwhile.
        self.bucket.remove([record])
        self.bucket.remove([mark])

    def begin(self, name: str) -> t.Optional[Making]:
        """A new folder; None where there is one of that name, or another run begins it in the same moment."""
        if self.bucket.list(f"{name}/"):
            return None
        making = Making(self.bucket, self._names, self._owner, name)
        if making.is_mine():
            return making
        making.leave()
        return None

    def replace_record(self, name: str, record: bytes) -> None:
        self.bucket.put(f"{name}/{self._names.record}", record)

    def _folders(self, beginning: str) -> dict[str, dict[str, Entry]]:
        found: dict[str, dict[str, Entry]] = {}
        for one in self.bucket.list(beginning):
            name, _slash, rest = one.path.partition("/")
            if rest and self._is_name(name):
                found.setdefault(name, {})[rest] = one
        return found


class Making:
    """A folder that is being made."""

    def __init__(self, bucket: Bucket, names: Names, owner: t.Mapping[str, str], name: str) -> None:
        self.name = name
        self._bucket = bucket
        self._names = names
        self._owner = dict(owner)
        self._token = secrets.token_hex(8)
        self._sending: set[str] = set()
        self._uploads: list[Upload] = []
        self._there: dict[str, Entry] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._write_mark()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def upload(self, path: str) -> Upload:
        """Known to whoever comes after this run before anything of it is sent."""
        whole = f"{self.name}/{path}"
        if whole not in self._sending:
            self._sending.add(whole)
            self._renew()
        upload = self._bucket.upload(whole)
        self._uploads.append(upload)
        return upload

    def add(self, entry: Entry) -> None:
        self._there[entry.path] = entry

    def open(self, path: str) -> t.BinaryIO:
        return t.cast("t.BinaryIO", self._bucket.open(f"{self.name}/{path}"))

    def complete(self, record: bytes) -> None:
        """From here on it is a backup. Raises Failure where what is there is not what was written."""
        self._require_whole()
        self._bucket.put(f"{self.name}/{self._names.record}", record)
        try:
            # Whoever took this run for dead may have been at it between the look and the record.
            self._require_whole()
        except BaseException:
            self._bucket.remove([f"{self.name}/{self._names.record}"])
            raise
        self._end()

    def abandon(self) -> None:
        """Take everything back, as far as the server can be reached; the rest is for the next run."""
        self._end()
        for upload in self._uploads:
            upload.discard()
        with contextlib.suppress(Failure, OSError):
            if not self.is_mine():
                return  # what is there is another run's
            mark, record = (f"{self.name}/{one}" for one in (self._names.mark, self._names.record))
            self._bucket.remove([record])
            found = [one.path for one in self._bucket.list(f"{self.name}/")]
            self._bucket.remove([path for path in found if path != mark])
            self._bucket.remove([mark])

    def leave(self) -> None:
        """Have no more to do with it."""
        self._end()

    def is_mine(self) -> bool:
        """Whether the mark is still this run's."""
        try:
            mark = json.loads(self._bucket.get(f"{self.name}/{self._names.mark}"))
            return bool(mark["token"] == self._token)
        except (Gone, ValueError, KeyError):
            return False

    def _require_whole(self) -> None:
        found = {one.path: one for one in self._bucket.list(f"{self.name}/")}
        missing = sorted(path for path, one in self._there.items() if found.get(path) != one)
        if missing or not self.is_mine():
            what = ", ".join(missing[:3]) or "its mark"
            raise Failure(
                f"{self._bucket.address.title}: {self.name} is not as it was written ({what} is gone or another one). "
                "Another run of the same second may have written there, or taken this one for dead, which it does "
                f"where nothing is heard of it for {DEAD_AFTER:.0f} s. It is no backup. Run it again."
            )

    def _renew(self) -> None:
        # Another run's mark stays: this one finds out when it completes.
        if self.is_mine():
            self._write_mark()

    def _write_mark(self) -> None:
        with self._lock:
            mark = {
                "owner": self._owner,
                "token": self._token,
                "process": dataclasses.asdict(Process.this()),
                "sending": sorted(self._sending),
            }
            self._bucket.put(f"{self.name}/{self._names.mark}", json.dumps(mark).encode())

    def _keep(self) -> None:
        while not self._ended.wait(RENEWED_EVERY):
            # Where it fails the run itself finds out, and says so.
            with contextlib.suppress(Failure, OSError):
                self._renew()

    def _end(self) -> None:
        self._ended.set()
        with self._lock:
            pass  # what was being written is written
