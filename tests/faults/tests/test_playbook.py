# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs are killed as asked, and workers that go on are noticed."""

from __future__ import annotations

import os
import pathlib
import sys
import time

import pytest

from harness import playbook
from harness.objects import differences
from harness.playbook import BOTH, PLAYBOOK, WORKER, Run
from harness.verdict import Failed

# Stands for ansible-playbook: a child in a session of its own, as its workers are, that goes on as an orphan.
PARENT = """
import os, sys, time
child = os.fork()
if not child:
    os.setsid()
    time.sleep(60)
print("ready", flush=True)
os.waitpid(child, 0)
sys.exit(3)
"""


def start(tmp_path: pathlib.Path, program: str) -> Run:
    return Run([sys.executable, "-c", program], os.environ, tmp_path / "run.log")


def wait_until_ready(run: Run) -> None:
    until = time.monotonic() + 20
    while not run.said("ready"):
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(("whom", "status"), [(WORKER, 3), (PLAYBOOK, -9), (BOTH, -9)])
def test_who_is_killed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, whom: str, status: int) -> None:
    monkeypatch.setattr(playbook, "ORPHAN", 0.5)
    monkeypatch.setattr(playbook, "LAST_WORDS", 0.5)
    run = start(tmp_path, PARENT)
    wait_until_ready(run)
    workers = run.kill(whom)
    assert len(workers) == 1
    assert run.wait(20).status == status
    if whom == PLAYBOOK:
        with pytest.raises(Failed, match="A worker goes on"):
            run.wait_for_orphans(workers)
        os.kill(workers[0], 9)
    run.wait_for_orphans(workers)


def test_a_run_that_does_not_end_is_ended(tmp_path: pathlib.Path) -> None:
    run = start(tmp_path, "import time; print('ready', flush=True); time.sleep(60)")
    wait_until_ready(run)
    with pytest.raises(Failed, match="did not end within 0 s; its last words: ready"):
        run.wait(0.1)
    assert not run.running


RECAP = (
    "print('localhost : ok=2 changed={changed} unreachable=0 failed={failed} skipped=0'); raise SystemExit({failed})"
)


def test_what_a_run_says(tmp_path: pathlib.Path) -> None:
    run = start(tmp_path, RECAP.format(changed=2, failed=0)).wait(20)
    run.expect_success("It", changed=2)
    with pytest.raises(Failed, match="It says changed=2 where 0 was expected"):
        run.expect_success("It", changed=0)
    failed = start(tmp_path, "print('[ERROR]: Task failed: no such thing')" + RECAP.format(changed=0, failed=1))
    with pytest.raises(Failed, match=r"It failed .*no such thing"):
        failed.wait(20).expect_success("It")


def test_differences_of_what_is_left() -> None:
    wanted = {"Service shop": {"spec": {"ports": [1]}}, "Secret shop": {"data": {"key": 8}}}
    found = {"Service shop": {"spec": {"ports": [2]}}, "ConfigMap shop": {}}
    assert differences(wanted, wanted) == []
    assert differences(wanted, found) == ["/ConfigMap shop", "/Secret shop", "/Service shop/spec/ports"]
