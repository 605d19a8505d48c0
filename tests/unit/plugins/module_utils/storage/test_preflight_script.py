# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs of the pods, run here by this machine's own shell on real folders."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._storage import _preflight_script as script
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import (
    Outcome,
    Wanted,
    solo_findings,
)

WANTED = Wanted(None, 1)
TOOLS = (
    "cat",
    "chmod",
    "cut",
    "dd",
    "df",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "sh",
    "sleep",
    "tail",
    "tr",
)


def run(program: str, *arguments: object, path: str = "") -> str:
    environment = {"PATH": path} if path else None
    done = subprocess.run(
        [shutil.which("sh") or "", *script.shell(program, *arguments)[1:]],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert done.stderr == "", done.stderr
    return done.stdout


def alone(volume: object, target: object, count: int, path: str = "") -> str:
    """All that one pod tries, one program after the other."""
    said = run(script.BEGIN, volume, target, path=path)
    if "write\tok" in said:
        said += run(script.SOLO, target, path=path) + run(script.FSYNC, target, count, path=path)
    return said


def folder(volume: pathlib.Path) -> pathlib.Path:
    return volume / f"{script.FOLDER_PREFIX}here"


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> str:
    """A PATH with the tools of POSIX alone, as in a small image."""
    tools = tmp_path / "bare"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(t.cast("str", shutil.which(name)))
    return str(tools)


def test_everything_passes_on_a_real_folder(tmp_path: pathlib.Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    said = script.read(alone(volume, folder(volume), 5))
    found = {finding.check: finding for finding in solo_findings(said, WANTED)}
    assert {check for check, finding in found.items() if finding.outcome is not Outcome.PASSED} <= {"mmap"}
    assert found["mmap"].outcome is (Outcome.PASSED if shutil.which("python3") else Outcome.UNPROVEN)
    assert found["fsync"].figures["writes"] == 5
    assert found["fsync"].figures["worst_ms"] >= found["fsync"].figures["median_ms"] > 0
    assert [entry.name for entry in volume.iterdir()] == [folder(volume).name]


def test_an_image_with_less_proves_less_and_claims_no_more(tmp_path: pathlib.Path, bare: str) -> None:
    said = script.read(alone(tmp_path, folder(tmp_path), 2, path=bare))
    assert (said["write"], said["rename"], said["mmap"]) == ("ok", "ok", "none")
    for check in ("fcntl_lock", "flock"):
        held = script.read(run(script.TRY, check, tmp_path / "lock", path=bare))
        assert held == {"lock": "none"}


def test_a_folder_that_cannot_be_written_to(tmp_path: pathlib.Path) -> None:
    gone = tmp_path / "gone"
    said = script.read(alone(tmp_path, gone / "folder", 2))
    assert said["mkdir"].startswith("failed ")
    assert "write" not in said
    write = solo_findings(said, WANTED)[0]
    assert write.outcome is Outcome.FAILED
    assert "No such file or directory" in write.detail
    assert list(tmp_path.iterdir()) == []


def test_a_chown_that_changes_nothing_is_told(tmp_path: pathlib.Path) -> None:
    # As behind all_squash, where the server takes the request and leaves the file as it is.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(t.cast("str", shutil.which(name)))
    (tools / "chown").symlink_to(t.cast("str", shutil.which("true")))
    said = script.read(run(script.ROOT, tmp_path, 4711, path=str(tools)))
    owner = (tmp_path / "root").stat().st_uid
    assert said["chown"] == f"failed chown told no error, and the file belongs to {owner} all the same"


def test_a_disk_that_is_full(tmp_path: pathlib.Path) -> None:
    # Every write to this device fails as on a full disk.
    target = folder(tmp_path)
    target.mkdir()
    (target / "block").symlink_to("/dev/full")
    said = script.read(run(script.BEGIN.replace('tried mkdir mkdir "$folder"', "say mkdir ok"), tmp_path, target))
    assert "No space left on device" in said["write"]
    assert "No space left on device" in solo_findings(said, WANTED)[0].detail


@pytest.mark.parametrize(
    ("instead", "says"),
    [
        # What a rename must never look like to a reader: the file gone for a moment, or half written.
        ('rm "$folder/file" && sleep 0.01 && mv "$folder/next" "$folder/file"', "failed "),
        (
            'echo who >"$folder/half" && mv "$folder/half" "$folder/file" && sleep 0.01 && '
            'mv "$folder/next" "$folder/file"',
            "failed a reader found 'who'",
        ),
    ],
    ids=["gone", "half written"],
)
def test_a_rename_that_a_reader_can_see_is_told(tmp_path: pathlib.Path, instead: str, says: str) -> None:
    torn = script.SOLO.replace('mv -f "$folder/next" "$folder/file"', instead)
    assert torn != script.SOLO
    run(script.BEGIN, tmp_path, folder(tmp_path))
    said = script.read(run(torn, folder(tmp_path)))["rename"]
    assert said.startswith(says)


def test_what_hangs_has_failed(tmp_path: pathlib.Path) -> None:
    said = script.read(run(script.BEGIN, tmp_path, folder(tmp_path)))
    said.update(script.answered({"exclusive": "ok"}, script.ALONE))
    said.update(script.answered({}, ("fsync",)))
    found = {finding.check: finding for finding in solo_findings(said, WANTED)}
    assert found["exclusive"].outcome is Outcome.PASSED
    for check in ("rename", "hard_link", "mmap", "fsync"):
        assert (found[check].outcome, found[check].detail) == (Outcome.FAILED, "no answer in time")


def test_what_is_on_a_volume(tmp_path: pathlib.Path) -> None:
    assert script.entries(run(script.LOOK, tmp_path)) == []
    for name in ("data", ".hidden", "..odd", "two words", f"{script.FOLDER_PREFIX}old"):
        (tmp_path / name).mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    found = script.entries(run(script.LOOK, tmp_path))
    assert sorted(found) == sorted(entry.name for entry in tmp_path.iterdir())


@pytest.mark.parametrize("check", ["fcntl_lock", "flock"])
def test_a_lock_is_held_refused_and_given_back(tmp_path: pathlib.Path, check: str) -> None:
    def tried() -> dict[str, str]:
        return script.read(run(script.TRY, check, tmp_path / "lock"))

    assert tried() == {"lock": "held"}
    assert script.read(run(script.HOLD, check, tmp_path / "lock", tmp_path)) == {"lock": "held"}
    try:
        assert tried() == {"lock": "refused"}
    finally:
        run(script.RELEASE, tmp_path)
    assert tried() == {"lock": "held"}


@pytest.mark.parametrize("tool", ["perl", "python3"])
def test_either_language_takes_a_posix_lock_that_the_other_sees(tmp_path: pathlib.Path, bare: str, tool: str) -> None:
    # The python3 on PATH may be a stand-in that needs more than it finds here.
    found = sys.executable if tool == "python3" else shutil.which(tool)
    assert found, f"the tests need {tool}"
    (pathlib.Path(bare) / tool).symlink_to(found)
    assert script.read(run(script.HOLD, "fcntl_lock", tmp_path / "lock", tmp_path, path=bare)) == {"lock": "held"}
    try:
        # With the whole PATH the first language that there is tries.
        assert script.read(run(script.TRY, "fcntl_lock", tmp_path / "lock")) == {"lock": "refused"}
        # flock is another kind of lock on a local file system: it says nothing about fcntl.
        assert script.read(run(script.TRY, "flock", tmp_path / "lock")) == {"lock": "held"}
    finally:
        run(script.RELEASE, tmp_path)


def test_a_lock_that_cannot_be_taken_says_why(tmp_path: pathlib.Path) -> None:
    said = script.read(run(script.TRY, "fcntl_lock", tmp_path / "gone" / "lock"))
    assert said["lock"].startswith("failed ")


def test_both_see_the_files_of_the_other(tmp_path: pathlib.Path) -> None:
    assert script.read(run(script.WRITE, tmp_path, "first")) == {"wrote": "ok"}
    assert script.read(run(script.SEE, tmp_path, "first")) == {"saw": "ok"}
    impatient = script.SEE.replace("sleep 0.1", "sleep 0")
    assert script.read(run(impatient, tmp_path, "second"))["saw"].startswith("failed ")


def test_clean_takes_our_folders_and_nothing_else(tmp_path: pathlib.Path) -> None:
    for name in ("data", f"{script.FOLDER_PREFIX}old", f"{script.FOLDER_PREFIX}new"):
        (tmp_path / name / "inside").mkdir(parents=True)
    run(script.CLEAN, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(("name", "stays"), [(f"{script.FOLDER_PREFIX}x", False), ("data", True)])
def test_a_pod_that_ends_takes_its_folder_along_and_never_another(
    tmp_path: pathlib.Path, name: str, stays: bool
) -> None:
    (tmp_path / name / "inside").mkdir(parents=True)
    run(script.STAY, tmp_path, tmp_path / name, 0)
    assert (tmp_path / name).exists() is stays


def test_a_pod_that_is_told_to_go_takes_its_folder_along(tmp_path: pathlib.Path) -> None:
    folder(tmp_path).mkdir()
    with subprocess.Popen(script.shell(script.STAY, tmp_path, folder(tmp_path), 600)) as pod:
        try:
            # The shell is ready for the signal once its child runs.
            while not pathlib.Path(f"/proc/{pod.pid}/task/{pod.pid}/children").read_text(encoding="utf-8"):
                assert pod.poll() is None
            pod.terminate()
            assert pod.wait(timeout=30) == 0
        finally:
            pod.kill()
    assert not folder(tmp_path).exists()


def test_words_without_a_tab_are_no_answer() -> None:
    assert script.read("warning: something\nwrite\tok\nwrite\tfailed x \n") == {"write": "failed x"}
