# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is killed comes back with the same words, environment, folder and log."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import types
import typing as t

import pytest

from harness.api_server import ApiServer

PROGRAM = "import os, time; print('started', flush=True); time.sleep(60)"


@pytest.fixture
def log(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "server.log"


def ready(_path: str) -> str:
    return "ok"


def test_restart(tmp_path: pathlib.Path, log: pathlib.Path) -> None:
    words = [sys.executable, "-c", PROGRAM, "a word"]
    with log.open("w") as output:
        process = subprocess.Popen(words, env={"MARKED": "yes"}, cwd=tmp_path, stdout=output, start_new_session=True)
    while not log.read_text():
        pass
    api: t.Any = types.SimpleNamespace(connection=types.SimpleNamespace(text=ready))
    server = ApiServer(process.pid)
    server.restart(api, away=0.1)
    assert process.wait(timeout=10) == -signal.SIGKILL
    server.wait_until_gone()
    again = pathlib.Path(f"/proc/{server.pid}")
    try:
        while log.read_text() != "started\nstarted\n":
            pass
        assert (again / "cmdline").read_bytes().split(b"\0")[:-1] == [os.fsencode(word) for word in words]
        assert b"MARKED=yes" in (again / "environ").read_bytes().split(b"\0")
        assert (again / "cwd").readlink() == tmp_path
        assert os.getsid(server.pid) == server.pid
    finally:
        os.kill(server.pid, signal.SIGKILL)
