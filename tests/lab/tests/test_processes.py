# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Whose a process is: the lab must never end one that it did not start, nor lose one that it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import processes
from lab.errors import LabError
from lab.processes import Process
from lab.settings import Settings

SLEEP = "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def nothing_left(settings: Settings) -> Iterator[None]:
    yield
    for pid in processes.inherited(settings.home):
        os.kill(pid, signal.SIGKILL)


def sleeper(settings: Settings, name: str = "sleeper", argument: str = "") -> Process:
    return Process(name, [sys.executable, "-c", SLEEP, argument], settings.logs / f"{name}.log")


def wait_for(settings: Settings, name: str) -> processes.Running:
    deadline = time.monotonic() + 10
    while name not in processes.running(settings.home):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return processes.running(settings.home)[name]


def test_a_started_process_is_known_by_its_mark_alone(settings: Settings) -> None:
    pid = processes.start(sleeper(settings), settings.home)
    assert wait_for(settings, "sleeper").pid == pid
    assert processes.running(settings.home.with_name("other")) == {}


def test_a_foreign_process_is_not_ours(settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True) as foreign:
        assert processes.owned(foreign.pid, settings.home) is None
        foreign.kill()


@pytest.mark.parametrize("session", [True, False])
def test_a_child_that_inherited_the_mark_is_not_the_process(settings: Settings, session: bool) -> None:
    # The kubelet's helpers carry its mark; some even lead a session of their own.
    wanted = sleeper(settings)
    environment = {**os.environ, processes.MARK: processes.mark(settings.home, wanted)}
    command = ["sleep", "60"]
    with subprocess.Popen(command, env=environment, start_new_session=session) as child:
        time.sleep(0.1)
        assert processes.owned(child.pid, settings.home) is None
        assert child.pid in processes.inherited(settings.home)
        child.kill()


def test_ensure_starts_once(settings: Settings) -> None:
    assert processes.ensure([sleeper(settings)], settings.home) == ["sleeper"]
    first = wait_for(settings, "sleeper")
    assert processes.ensure([sleeper(settings)], settings.home) == []
    assert wait_for(settings, "sleeper") == first


def test_ensure_restarts_what_runs_with_other_settings(settings: Settings) -> None:
    processes.ensure([sleeper(settings)], settings.home)
    first = wait_for(settings, "sleeper")
    assert processes.ensure([sleeper(settings, argument="new")], settings.home) == ["sleeper"]
    assert wait_for(settings, "sleeper").pid != first.pid
    assert not processes.is_alive(first.pid)


def test_a_changed_configuration_file_is_another_setting(settings: Settings, tmp_path: Path) -> None:
    configuration = tmp_path / "configuration"
    configuration.write_text("one")
    process = Process("p", ["true"], settings.logs / "p.log", configuration=[configuration])
    before = process.digest
    configuration.write_text("two")
    assert process.digest != before


def test_a_process_behind_nsenter_goes_by_its_own_name(settings: Settings) -> None:
    command = ["/usr/bin/nsenter", "--net=/run/netns/slab-node2", "/opt/kubelet", "--config=x"]
    assert Process("kubelet-node2", command, settings.logs / "x.log").program == "kubelet"


def test_stop_ends_what_does_not_listen(settings: Settings) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        processes.stop([child.pid], patience=0.2)
        assert child.wait(5) == -signal.SIGKILL


def test_a_process_that_ends_early_is_reported_with_its_words(settings: Settings) -> None:
    words = "import sys; print('E1121 the disk is full', file=sys.stderr); sys.exit(1)"
    failing = Process("failing", [sys.executable, "-c", words], settings.logs / "failing.log")
    processes.start(failing, settings.home)
    with pytest.raises(LabError, match=r"(?s)failing has ended.*failing\.log.*the disk is full"):
        processes.wait_until("nothing", lambda: False, timeout=20, needs=[failing], home=settings.home)


def test_a_port_that_is_taken_is_named(settings: Settings) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        wanted = Process("server", ["true"], settings.logs / "server.log", port=port)
        with pytest.raises(LabError, match=f"port {port}, which another program holds"):
            processes.start(wanted, settings.home)


def test_a_long_log_is_cut_and_its_end_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT", 1000)
    settings.logs.mkdir(parents=True)
    log = settings.logs / "x.log"
    log.write_text("a" * 1000 + "the end")
    processes.shorten_log(log)
    assert log.read_text() == ""
    assert log.with_suffix(".log.old").read_text().endswith("the end")
