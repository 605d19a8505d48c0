# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds the Lease, and whether that process still lives. The Lease itself is tested on a real API server."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Process

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def sleeper() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(SLEEPER) as process:
        yield process
        process.kill()


def _of(process: subprocess.Popen[bytes]) -> Process:
    return dataclasses.replace(Process.this(), pid=process.pid, started=_lease._started(process.pid))


def _lease_of(process: Process, version: str = "1", duration: int = 30) -> dict[str, t.Any]:
    return {
        "metadata": {"resourceVersion": version, "annotations": {_lease.PROCESS: process.dump()}},
        "spec": {"holderIdentity": "ann@ops pid 7 00000000", "leaseDurationSeconds": duration},
    }


def test_a_process_that_runs_is_not_dead(sleeper: subprocess.Popen[bytes]) -> None:
    assert Process.this().started
    assert not Process.this().surely_dead()
    assert not _of(sleeper).surely_dead()


def test_a_process_that_was_killed_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    seen = _of(sleeper)
    sleeper.kill()
    # Its parent has not asked for its end yet: such a remainder does nothing any more.
    while _lease._started(sleeper.pid):
        pass
    assert seen.surely_dead()
    sleeper.wait()
    assert seen.surely_dead()


def test_the_same_number_with_another_start_is_another_process(sleeper: subprocess.Popen[bytes]) -> None:
    assert dataclasses.replace(_of(sleeper), started="1").surely_dead()


@pytest.mark.parametrize(
    "elsewhere", [{"boot": "another"}, {"namespace": "pid:[1]"}, {"boot": ""}, {"namespace": ""}, {"started": ""}]
)
def test_of_processes_elsewhere_nothing_is_known(sleeper: subprocess.Popen[bytes], elsewhere: dict[str, str]) -> None:
    seen = _of(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert seen.surely_dead()
    assert not dataclasses.replace(seen, **elsewhere).surely_dead()


def test_a_process_that_is_hidden_from_us_is_not_dead(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _of(sleeper)
    monkeypatch.setattr(_lease, "_started", lambda pid: "")
    monkeypatch.setattr(_lease, "_read", lambda path: "boot" if "boot_id" in path else "")
    monkeypatch.setattr(_lease, "stat", lambda pid: [])
    here = dataclasses.replace(seen, boot="boot")
    # As it is under hidepid: nothing to read, and a signal is either allowed or refused.
    assert not here.surely_dead()

    def refused(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(_lease.os, "kill", refused)
    assert not here.surely_dead()
    monkeypatch.undo()
    sleeper.kill()
    sleeper.wait()
    assert seen.surely_dead()


def test_a_name_with_spaces_and_parentheses_does_not_confuse(tmp_path: t.Any) -> None:
    program = tmp_path / "a (b) 1 2"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "600"]) as process:
        assert not _of(process).surely_dead()
        process.kill()


def test_process_survives_being_written_down() -> None:
    assert Process.parse(Process.this().dump()) == Process.this()
    for text in ("", "{}", "[]", '{"pid": "x"}', "null"):
        assert Process.parse(text) is None


def test_a_living_holder_keeps_its_lease_for_its_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 129.0, 131.0])
    monkeypatch.setattr(_lease, "_clock", lambda: next(clock))
    watch = _lease._Watched()
    held = _lease_of(Process.this())
    assert watch.free(held, "me") == ""
    assert watch.free(held, "me") == ""
    assert "not renewed for 30 s" in watch.free(held, "me")
    assert watch.by_force


def test_every_renewal_starts_the_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 129.0, 140.0, 160.0])
    monkeypatch.setattr(_lease, "_clock", lambda: next(clock))
    watch = _lease._Watched()
    process = Process.this()
    assert watch.free(_lease_of(process, "1"), "me") == ""
    assert watch.free(_lease_of(process, "2"), "me") == ""
    assert watch.free(_lease_of(process, "2"), "me") == ""
    assert "not renewed" in watch.free(_lease_of(process, "2"), "me")


def test_a_short_wait_is_long_enough_to_tell_a_dead_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 110.0, 131.0])
    monkeypatch.setattr(_lease, "_clock", lambda: next(clock))
    watch = _lease._Watched()
    held = _lease_of(dataclasses.replace(Process.this(), boot="elsewhere"))
    assert watch.free(held, "me") == ""
    assert watch.free_after == 132.0
    assert watch.free(held, "me") == ""
    assert "not renewed" in watch.free(held, "me")
    assert watch.free_after == 132.0


def test_a_dead_holder_on_this_host_is_replaced_at_once(sleeper: subprocess.Popen[bytes]) -> None:
    held = _lease_of(_of(sleeper))
    assert _lease._Watched().free(held, "me") == ""
    sleeper.kill()
    sleeper.wait()
    watch = _lease._Watched()
    assert "ended" in watch.free(held, "me")
    assert watch.by_force


def test_a_lease_that_was_given_back_or_is_ours_is_free() -> None:
    watch = _lease._Watched()
    held = _lease_of(Process.this())
    assert watch.free(held, "ann@ops pid 7 00000000")
    assert not watch.by_force
    held["spec"]["holderIdentity"] = ""
    assert watch.free(held, "me")
    assert not watch.by_force
