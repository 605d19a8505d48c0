# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs in the pods of a scheduled backup, and of an autopilot, is there."""

from __future__ import annotations

import base64
import io
import pathlib
import subprocess
import sys
import zipfile

import pytest

from ansible_collections.stateful.kube.plugins.filter.packed_program import needed, packed_program

PROGRAM = "_mongodb._backup._inside"
AUTOPILOT = "_mysql._autopilot._inside"
# A ConfigMap holds a mebibyte.
ROOM = 768 * 1024


@pytest.mark.parametrize(("program", "asks_for"), [(PROGRAM, "BACKUP_DEST"), (AUTOPILOT, "AUTOPILOT_OF")])
def test_it_starts_without_the_collection(tmp_path: pathlib.Path, program: str, asks_for: str) -> None:
    archive = tmp_path / "program.pyz"
    archive.write_bytes(base64.b64decode(packed_program(program)))
    # Without any package of others: it gets as far as its options.
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(archive)], env={}, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 1
    assert f"KeyError: '{asks_for}'" in ended.stderr


@pytest.mark.parametrize("program", [PROGRAM, AUTOPILOT])
def test_it_is_the_same_each_time_and_fits(program: str) -> None:
    first = packed_program(program)
    packed_program.cache_clear()
    assert packed_program(program) == first
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(first))) as zipped:
        # Another zlib would give other bytes.
        assert {one.compress_type for one in zipped.infolist()} == {zipfile.ZIP_STORED}
    assert len(first) < ROOM


def test_it_holds_what_is_imported_and_no_more() -> None:
    found = needed(PROGRAM)
    assert {PROGRAM, "_mongodb._backup._operate", "_mongodb._link", "_failure"} <= found
    assert not {"_mongodb._users._operate", "_mongodb._act", "_manifests"} & found
    assert not {name for name in needed(AUTOPILOT) if name.startswith(("_mongodb", "_manifests", "_storage"))}
