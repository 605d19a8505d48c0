# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what is touched on an export is noticed, and what a single task gave back is read."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

import cluster
import pytest
import run
from storage.export import differences, tree

from harness.playbook import Run
from harness.trial import Scenario
from harness.verdict import Failed, Skipped


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("precious/ledger", "precious/notes"):
        path = tmp_path / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "export"


def test_nothing_touched_is_no_difference(folder: pathlib.Path) -> None:
    before = tree(folder)
    assert sorted(before) == ["precious", "precious/ledger", "precious/notes"]
    os.utime(folder / "precious/ledger")
    assert differences(before, tree(folder)) == []


def test_every_kind_of_touch_is_a_difference(folder: pathlib.Path) -> None:
    before = tree(folder)
    ledger = folder / "precious/ledger"
    ledger.write_text("PRECIOUS/ledger")  # as long as it was
    (folder / "precious/notes").unlink()
    (folder / "precious").chmod(0o700)
    (folder / "new").mkdir()
    assert differences(before, tree(folder)) == [
        "new is new",
        "precious has changed",
        "precious/ledger has changed",
        "precious/notes is gone",
    ]


def ran(tmp_path: pathlib.Path, text: str) -> Run:
    return Run([sys.executable, "-c", f"print({text!r})"], dict(os.environ), tmp_path / "log").wait(30)


def test_a_task_s_result_is_read_from_among_its_other_words(tmp_path: pathlib.Path) -> None:
    words = (
        '[WARNING]: so\n  step | SUCCESS => {"changed": 7}\nlocalhost | CHANGED => {"changed": true, "msg": "a\\nb"}'
    )
    assert ran(tmp_path, words).result == {"changed": True, "msg": "a\nb"}
    assert ran(tmp_path, 'localhost | FAILED! => {"msg": "no"}').result == {"msg": "no"}
    with pytest.raises(Failed, match="gave no result"):
        print(ran(tmp_path, "nothing").result)


def test_a_scenario_that_cannot_be_played_here_has_not_passed(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def skip(_trial: object) -> None:
        raise Skipped("it needs a lab")

    def lose(_trial: object) -> None:
        raise Failed("lost")

    monkeypatch.setattr(run, "LOGS", tmp_path)
    monkeypatch.setattr(run, "_shown", str)
    monkeypatch.setattr(run, "APPLICATIONS", {"made-up": {1: Scenario("a", skip), 2: Scenario("b", lose)}})
    config = tmp_path / "kubeconfig"
    config.write_text(
        '{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],'
        ' "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],'
        ' "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}'
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    target = cluster.Target("none", False, {}, {})
    options = argparse.Namespace(seed=1)
    results = [run.examine("made-up", number, options, target) for number in (1, 2)]
    assert [(one["passed"], one["skipped"]) for one in results] == [(False, "it needs a lab"), (False, "")]
    assert run.close(results) == 1
    assert run.close(results[:1]) == 0
    assert "0 passed, 1 failed, 1 skipped" in capsys.readouterr().out
