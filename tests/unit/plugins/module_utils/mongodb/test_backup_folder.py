# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups on a real file system: what counts, what is left over, and what is noticed."""

from __future__ import annotations

import fcntl
import os
import pathlib
import stat
import subprocess
import sys

import bson
import pytest

from ansible_collections.stateful.kube.plugins.module_utils._backup_places import _folder as folders
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import Folder
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._documents import Damaged, documents
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    LAYOUT,
    Manifest,
    Optime,
)

DOCUMENTS = [bson.encode({"_id": n, "text": "x" * n}) for n in range(50)]


def made(folder: Folder[Manifest], **changes: str) -> Manifest:
    writer = folder.begin(FULL)
    for path in ("a/b.bson.gz", "oplog.bson"):
        file = writer.open(path)
        for document in DOCUMENTS:
            file.write(document)
        writer.add(file)
    now = Optime(1, 1)
    fields = {"backup": writer.name, "kind": FULL, "namespace": folder.namespace, "name": folder.name, **changes}
    rest = dict.fromkeys(("replica_set", "set_id", "version", "fcv", "member", "started", "ended"), "")
    found = Manifest(**fields, **rest, start=now, consistent=now, end=now, entries=0, files=tuple(writer.files))
    writer.complete(found)
    return found


def read(path: pathlib.Path) -> list[bytes]:
    with path.open("rb") as opened:
        return list(documents(opened, path.name))


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Folder[Manifest]:
    return Folder(str(tmp_path / "new" / "backups"), "prod", "shop", LAYOUT)


def test_what_is_written_is_read(folder: Folder[Manifest]) -> None:
    one = made(folder)
    assert folder.manifests() == [one]
    assert folder.leftovers() == []
    where = folder.path / one.backup
    folders.verify_files(folder, one, lambda size: None)
    for path in ("a/b.bson.gz", "oplog.bson"):
        assert read(where / path) == DOCUMENTS


def test_nobody_else_may_read_it(folder: Folder[Manifest]) -> None:
    before = os.umask(0)
    try:
        made(folder)
    finally:
        os.umask(before)
    for entry in [folder.path, *folder.path.rglob("*")]:
        assert stat.S_IMODE(entry.stat().st_mode) == (0o700 if entry.is_dir() else 0o600), entry


@pytest.mark.parametrize("how", ["byte", "short", "long", "gone"])
@pytest.mark.parametrize("path", ["a/b.bson.gz", "oplog.bson"])
def test_every_change_of_a_file_is_noticed(folder: Folder[Manifest], how: str, path: str) -> None:
    one = made(folder)
    file = folder.path / one.backup / path
    data = bytearray(file.read_bytes())
    if how == "byte":
        data[len(data) // 2] ^= 1
    elif how == "short":
        del data[-1]
    else:
        data += b"\0"
    file.write_bytes(data)
    if how == "gone":
        file.unlink()
    with pytest.raises(Failure, match=path):
        folders.verify_files(folder, one, lambda size: None)


def test_a_backup_counts_only_with_its_manifest(folder: Folder[Manifest]) -> None:
    one = made(folder)
    (folder.path / one.backup / "manifest.json").rename(folder.path / "elsewhere")
    assert folder.manifests() == []


def test_a_backup_that_was_moved_or_is_of_another_set_is_none_of_this_one(folder: Folder[Manifest]) -> None:
    made(folder, namespace="test")
    one = made(folder)
    (folder.path / one.backup).rename(folder.path / "shop-20300101T000000Z")
    assert folder.manifests() == []


def test_two_of_one_second_have_two_names(folder: Folder[Manifest]) -> None:
    first, second = folder.begin(FULL), folder.begin(FULL)
    assert first.name != second.name
    third = made(folder)
    assert third.backup not in (first.name, second.name)
    assert folder.begin(FULL).name != third.backup


KILLED = """
import os, sys
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import Folder
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import LAYOUT
writer = Folder(sys.argv[1], "prod", "shop", LAYOUT).begin("full")
writer.open("a/b.bson").write(b"x" * 100000)
print(writer.name, flush=True)
sys.stdin.read()
os._exit(9)
"""


def test_what_a_killed_run_left_is_known_and_a_living_one_is_left_alone(folder: Folder[Manifest]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    ) as process:
        assert process.stdout
        name = process.stdout.readline().strip()
        assert name
        assert folder.leftovers() == []
        process.communicate()
    assert process.returncode == 9
    assert folder.manifests() == []
    assert folder.leftovers() == [f"{name}.partial"]
    assert Folder(str(folder.path), "test", "shop", LAYOUT).leftovers() == []
    folder.remove(f"{name}.partial")
    assert list(folder.path.iterdir()) == []


def test_a_removal_that_was_killed_is_finished_by_the_next_run(
    folder: Folder[Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = made(folder)

    def killed(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(folders.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.remove(one.backup)
    monkeypatch.undo()
    assert folder.manifests() == []
    assert folder.leftovers() == [f"{one.backup}.partial"]
    folder.remove(f"{one.backup}.partial")
    assert list(folder.path.iterdir()) == []


def test_what_another_run_removed_first_is_no_error(folder: Folder[Manifest]) -> None:
    one = made(folder)
    folder.remove(one.backup)
    folder.remove(one.backup)
    assert list(folder.path.iterdir()) == []


def test_folders_of_others_are_no_leftovers(folder: Folder[Manifest]) -> None:
    for name in ("shop-20260101T000000Z.partial", "shop-20260101T000001Z.partial"):
        (folder.path / name / "mine").mkdir(parents=True)
    os.utime(folder.path / "shop-20260101T000000Z.partial", (0, 0))
    (folder.path / "shop-20260101T000001Z.partial" / folders.MARK).write_text('{"namespace": "prod"}')
    assert folder.leftovers() == []


def test_a_run_that_was_killed_before_it_wrote_anything_leaves_a_leftover(folder: Folder[Manifest]) -> None:
    empty = folder.path / "shop-20260101T000000Z.partial"
    empty.mkdir(parents=True)
    assert folder.leftovers() == []  # another run may be about to write into it
    os.utime(empty, (0, 0))
    assert folder.leftovers() == [empty.name]


def test_a_dump_that_was_given_up_leaves_nothing(folder: Folder[Manifest]) -> None:
    writer = folder.begin(FULL)
    writer.text("a/b.metadata.json", b"{}")
    writer.abandon()
    assert list(folder.path.iterdir()) == []


def test_a_file_that_is_begun_again_is_that_of_the_second_time(folder: Folder[Manifest]) -> None:
    writer = folder.begin(FULL)
    writer.open("a/b.bson").write(DOCUMENTS[40] * 9)
    file = writer.open("a/b.bson")
    file.write(DOCUMENTS[1])
    writer.add(file)
    assert read(writer.folder / "a/b.bson") == [DOCUMENTS[1]]
    assert [one.path for one in writer.files] == ["a/b.bson"]


@pytest.mark.parametrize("data", [b"\x05\0\0", DOCUMENTS[9][:-1], b"\x01\0\0\0\0", b"\xff\xff\xff\x7f" + b"0" * 50])
def test_what_are_no_documents_is_told(tmp_path: pathlib.Path, data: bytes) -> None:
    path = tmp_path / "x.bson"
    path.write_bytes(DOCUMENTS[3] + data)
    with pytest.raises(Damaged):
        read(path)


def test_the_lock_is_held_from_the_beginning(folder: Folder[Manifest]) -> None:
    writer = folder.begin(FULL)
    with (writer.folder / folders.MARK).open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
