# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing files of exports in a folder of the test, with a program that notes what exportfs would have read.

The real exportfs of a real server is in the molecule scenario storage; here a run is killed at every point, and
exportfs says what it seldom says.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage import _exporting
from ansible_collections.stateful.kube.plugins.module_utils._storage._export_plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._exporting import Exporting, Host, complaints_in
from ansible_collections.stateful.kube.plugins.module_utils._storage._exports import Client

# Notes what is in place, and says for each file what the test has written beside it.
EXPORTFS = """#!/bin/sh
[ "$*" = -ra ] || exit 9
cat "{folder}"/*.exports > "{root}/exported" 2>/dev/null
echo run >> "{root}/runs"
code=0
for bad in $(cat "{root}/bad" 2>/dev/null); do
    if grep -qs "$bad" "{folder}"/*.exports; then echo "exportfs: $bad is bad" >&2; code=1; fi
done
echo "exportfs: a.exports [1]: Neither 'subtree_check' or 'no_subtree_check' specified" >&2
exit $code
"""


@dataclasses.dataclass
class FakeTask:
    params: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    check_mode: bool = False
    diff_mode: bool = True
    warnings: list[str] = dataclasses.field(default_factory=list)

    def progress(self, line: str) -> None:
        pass

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def conceal(self, values: t.Iterable[str]) -> None:
        pass

    def abandoned(self) -> bool:
        return False


@dataclasses.dataclass
class Place:
    root: pathlib.Path

    @property
    def folder(self) -> pathlib.Path:
        return self.root / "exports.d"

    @property
    def file(self) -> pathlib.Path:
        return self.folder / "a.exports"

    @property
    def line(self) -> str:
        return f"{self.root / 'data'} h(rw)\n"

    @property
    def exported(self) -> str:
        return (self.root / "exported").read_text()

    @property
    def runs(self) -> int:
        return len((self.root / "runs").read_text().split()) if (self.root / "runs").exists() else 0

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def run(self, *, task: t.Optional[FakeTask] = None, **wish: t.Any) -> dict[str, t.Any]:
        task = task or FakeTask()
        defaults = {"path": str(self.root / "data"), "file": "a.exports", "clients": (Client("h", ("rw",)),)}
        wanted = Wish(**{**defaults, "trial": task.check_mode, **wish})
        host = Host(str(self.root / "exports"), str(self.folder), str(self.root / "exportfs"))
        return carry_out(Exporting(wanted, host, task.warn), task)


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    here = Place(tmp_path)
    (tmp_path / "data").mkdir()
    program = tmp_path / "exportfs"
    program.write_text(EXPORTFS.format(folder=here.folder, root=tmp_path))
    program.chmod(0o755)
    return here


def test_the_folder_is_made_and_the_line_exported_once(place: Place) -> None:
    result = place.run()
    assert result["changed"]
    assert [step["action"] for step in result["done"]] == ["write", "export"]
    assert place.exported.endswith(place.line)
    assert place.names() == ["a.exports"]
    assert place.file.stat().st_mode & 0o777 == 0o644
    assert result["diff"]["after"].endswith(place.line)
    assert result["state"]["lines"] == [place.line.strip()]
    assert not place.run()["changed"]
    assert place.runs == 1


def test_a_trial_writes_nothing(place: Place) -> None:
    result = place.run(task=FakeTask(check_mode=True))
    assert result["changed"]
    assert result["diff"]["after"].endswith(place.line)
    assert not place.folder.exists()
    assert place.runs == 0


def test_taking_the_last_line_out_deletes_the_file(place: Place) -> None:
    place.run()
    result = place.run(present=False, clients=())
    assert result["changed"]
    assert result["state"]["lines"] == []
    assert (place.names(), place.exported) == ([], "")
    assert not place.run(present=False, clients=())["changed"]


@pytest.mark.parametrize("before", [None, "/elsewhere g(ro)\n"])
def test_what_exportfs_does_not_accept_is_taken_back(place: Place, before: t.Optional[str]) -> None:
    if before:
        place.folder.mkdir()
        place.file.write_text(before)
    (place.root / "bad").write_text("data")
    with pytest.raises(Failure, match=r"is as it was before\. It said: data is bad") as caught:
        place.run()
    assert caught.value.facts["changed"] is False
    assert place.names() == (["a.exports"] if before else [])
    assert place.exported == (before or "")
    assert not before or place.file.read_text() == before


def test_after_a_broken_off_run_it_goes_back_to_what_was_accepted_last(place: Place) -> None:
    place.folder.mkdir()
    # A run was killed before exportfs had read what it wrote, and now something else is declared.
    (place.folder / ".a.exports.before").write_text("/elsewhere g(ro)\n")
    place.file.write_text(f"/elsewhere g(ro)\n{place.root / 'data'} never-read(rw)\n")
    (place.root / "bad").write_text("data")
    with pytest.raises(Failure, match="does not accept"):
        place.run()
    assert place.file.read_text() == "/elsewhere g(ro)\n"
    assert place.names() == ["a.exports"]


def test_complaints_of_other_lines_are_told_and_do_not_stand_in_the_way(place: Place) -> None:
    place.folder.mkdir()
    (place.folder / "other.exports").write_text("/gone g(ro)\n")
    (place.root / "bad").write_text("gone")
    task = FakeTask()
    assert place.run(task=task)["changed"]
    assert task.warnings == ["exportfs complains of what other lines export: gone is bad"]
    assert place.line in place.exported
    assert place.names() == ["a.exports", "other.exports"]


class Killed(BaseException):
    """What ends a process at once."""


@pytest.mark.parametrize("before", [None, "/elsewhere g(ro)\n"])
@pytest.mark.parametrize("removing", [False, True])
@pytest.mark.parametrize("point", range(8))
def test_killed_anywhere_the_next_run_completes_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, before: t.Optional[str], removing: bool, point: int
) -> None:
    if before or removing:
        place.folder.mkdir()
        place.file.write_text((before or "") + (place.line if removing else ""))
    wish: dict[str, t.Any] = {"present": False, "clients": ()} if removing else {}
    calls = 0

    def deadly(function: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def call(*arguments: t.Any, **named: t.Any) -> t.Any:
            nonlocal calls
            calls += 1
            if calls == point + 1:
                raise Killed
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "makedirs", "fsync"):
            patch.setattr(_exporting.os, name, deadly(getattr(_exporting.os, name)))
        patch.setattr(_exporting.subprocess, "run", deadly(_exporting.subprocess.run))
        try:
            place.run(**wish)
        except Killed:
            pass
        else:
            assert calls <= point
    # Whatever was killed: one more run, and what is exported is what is wanted.
    place.run(**wish)
    assert (place.line in place.exported) is not removing
    assert (before or "") in place.exported
    assert [name for name in place.names() if not name.endswith(".new")] == (
        ["a.exports"] if before or not removing else []
    )
    assert not place.run(**wish)["changed"]


def test_a_folder_that_cannot_be_written_is_told(place: Place) -> None:
    place.folder.write_text("")  # also root cannot make a folder of it
    with pytest.raises(Failure, match="cannot be written"):
        place.run()


def test_an_exportfs_that_does_not_start_is_told_and_made_up_for(place: Place) -> None:
    (place.root / "exportfs").chmod(0o644)
    with pytest.raises(Failure, match="could not be run to its end"):
        place.run()
    (place.root / "exportfs").chmod(0o755)
    assert place.run()["changed"]
    assert place.line in place.exported


@pytest.mark.parametrize(
    ("output", "code", "expected"),
    [
        ("", 0, []),
        ("exportfs: x [1]: Neither 'subtree_check' or 'no_subtree_check' specified\n  NOTE: …\n", 0, []),
        ("exportfs: Failed to resolve h\nexportfs: Failed to resolve h\n", 0, ["Failed to resolve h"]),
        ("exportfs: No host name given with /a (rw), suggest *(rw) to avoid warning\n", 0, []),
        ('exportfs: /etc/exports.d/t.exports:1: unknown keyword "x"\n\n', 1,
         ['/etc/exports.d/t.exports:1: unknown keyword "x"']),
        ("", 1, ["nothing, and ended with code 1"]),
    ],
)  # fmt: skip
def test_what_counts_as_a_complaint(output: str, code: int, expected: list[str]) -> None:
    assert complaints_in(output, code) == expected
