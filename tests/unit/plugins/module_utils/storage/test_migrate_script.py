# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that copies a volume, run on real folders: what it copies, and what it finds out."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_script import (
    COPY,
    TRY,
    Copied,
    copied,
    failure,
)


@pytest.fixture
def folders(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """An old volume with all sorts of things in it, and a new one with something that an earlier copy left."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new, tmp_path / "scratch"):
        folder.mkdir()
    (old / "a folder" / ".hidden").mkdir(parents=True)
    (old / "a folder" / "with spaces\nand a line").write_text("hello")
    (old / "-rf").write_text("dash")
    (old / ".dot").write_text("x")
    os.link(old / ".dot", old / "a folder" / "hard")
    (old / "link").symlink_to("../nowhere")
    os.mkfifo(old / "pipe")
    (old / "empty").touch()
    with open(old / "sparse", "wb") as file:
        file.truncate(8 << 20)
    (old / "-rf").chmod(0o4750)
    os.utime(old / ".dot", (1_000_000_000, 1_000_000_000))
    (old / "lost+found").mkdir()
    (old / "lost+found" / "piece").write_text("of the file system")
    (new / "lost+found").mkdir()
    (new / "half").mkdir()
    (new / "half" / "a copy").write_text("from before")
    (new / ".half").write_text("from before")
    return old, new


def run(old: pathlib.Path, new: pathlib.Path, path: str = "") -> tuple[int, str]:
    last = old.parent / "last"
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    command = ["sh", "-c", COPY, "copy", str(old), str(new), str(old.parent / "scratch"), str(last)]
    # Not into a pipe: the pause of the one that tells how far it is would hold that open for a second.
    nowhere = subprocess.DEVNULL
    done = subprocess.run(command, stdout=nowhere, stderr=nowhere, check=False, env=environment, timeout=60)
    return done.returncode, last.read_text()


def tool(tmp_path: pathlib.Path, name: str, text: str) -> str:
    """A folder with a program that stands in for another one."""
    folder = tmp_path / "tools"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_everything_is_copied_but_what_belongs_to_the_file_system(
    folders: tuple[pathlib.Path, pathlib.Path],
) -> None:
    old, new = folders
    code, words = run(old, new)
    assert (code, failure(words)) == (0, words.strip())
    names = ["-rf", ".dot", "a folder", "empty", "link", "lost+found", "pipe", "sparse"]
    assert sorted(os.listdir(new)) == names
    assert os.listdir(new / "lost+found") == []
    assert (new / "a folder" / "with spaces\nand a line").read_text() == "hello"
    assert os.readlink(new / "link") == "../nowhere"
    assert (new / "-rf").stat().st_mode & 0o7777 == 0o4750
    assert (new / ".dot").stat().st_mtime == 1_000_000_000
    assert (new / ".dot").stat().st_ino == (new / "a folder" / "hard").stat().st_ino
    assert (new / "pipe").is_fifo()
    assert (new / "sparse").stat().st_size == 8 << 20
    assert (new / "sparse").stat().st_blocks * 512 < 1 << 20
    result = copied(words)
    assert result
    assert (result.files, result.bytes) == (6, 5 + 4 + 1 + 1 + (8 << 20))
    assert len(result.sha256) == 64


def test_a_copy_made_again_says_the_same_and_another_content_something_else(
    folders: tuple[pathlib.Path, pathlib.Path],
) -> None:
    first, again = run(*folders), run(*folders)
    assert first == again
    (folders[0] / "empty").write_text("more")
    assert copied(run(*folders)[1]) != copied(first[1])


def test_an_empty_volume_is_a_copy_too(tmp_path: pathlib.Path) -> None:
    for name in ("old", "new", "scratch"):
        (tmp_path / name).mkdir()
    code, words = run(tmp_path / "old", tmp_path / "new")
    assert code == 0
    result = copied(words)
    assert result
    assert (result.files, result.bytes) == (0, 0)


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        ("printf y >>TO/empty", "differ: < f 644"),
        ("printf y >TO/.dot; touch -d @1000000000 TO/.dot", "differ in content: <"),
        ("chmod 0700 'TO/a folder'", "differ: < d 755"),
        ("rm TO/link; ln -s elsewhere TO/link", "differ: < l"),
        ("/bin/cp TO/.dot TO/x; mv TO/x TO/.dot; touch -d @1000000000 TO/.dot", "differ: < f"),
        ("rm TO/pipe", "differ: < o"),
        ("touch TO/more", "> f"),
        ("echo 'cp: error writing: No space left on device' >&2; exit 1", "copying: cp: error writing: No space left"),
    ],
)
def test_a_copy_that_is_not_the_same_is_found_out(
    folders: tuple[pathlib.Path, pathlib.Path], lie: str, says: str
) -> None:
    old, new = folders
    tools = tool(old.parent, "cp", f'/bin/cp "$@" && {lie.replace("TO", str(new))}')
    code, words = run(old, new, tools)
    assert code == 1
    assert copied(words) is None
    assert says in failure(words)


def test_a_file_that_cannot_be_read_again_is_found_out(folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    old, new = folders
    tools = tool(
        old.parent, "sha256sum", "[ $# = 0 ] && exec /usr/bin/sha256sum; echo 'x: Input/output error' >&2; exit 1"
    )
    code, words = run(old, new, tools)
    assert code == 1
    assert failure(words) == "reading the old volume: x: Input/output error"


def test_setgid_of_the_volume_does_not_spread(folders: tuple[pathlib.Path, pathlib.Path]) -> None:
    old, new = folders
    new.chmod(0o2775)
    assert run(old, new)[0] == 0
    assert (new / "a folder").stat().st_mode & 0o2000 == 0


def test_an_image_without_the_tools_is_found_out(tmp_path: pathlib.Path) -> None:
    last = tmp_path / "last"
    done = subprocess.run(["/bin/sh", "-c", TRY, "try", str(last)], check=False, env={"PATH": "/nowhere"})
    assert done.returncode == 1
    assert failure(last.read_text()) == "the image has no find"
    assert subprocess.run(["sh", "-c", TRY, "try", str(last)], check=False).returncode == 0
    assert last.read_text() == f"uid\t{os.getuid()}\n"


def test_words_that_are_none() -> None:
    assert copied("files\t1\nbytes\t2\nsha256\tabc\n") == Copied(1, 2, "abc")
    assert copied("files\tx\nbytes\t2\nsha256\tabc\n") is None
    assert failure("") == "it said nothing"
    assert failure("OOMKilled") == "OOMKilled"
