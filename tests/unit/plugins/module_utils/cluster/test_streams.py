# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands whose input and output flow, run on this machine."""

from __future__ import annotations

import itertools
import pathlib
import sys
import time
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._streams import Broken, Stream

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from local_pod import LocalPod


def stream(pod: LocalPod, script: str, alive: t.Callable[[], None] = lambda: None) -> Stream:
    return Stream(pod.cluster, "shop", "shop-0", ["sh", "-c", script], alive)


def test_what_is_given_comes_back_and_the_exit_code_is_known() -> None:
    given = [bytes([n % 256]) * 100_000 for n in range(50)]
    with stream(LocalPod(), "head -c 5000000; echo no more >&2; exit 7") as running:
        assert b"".join(running.run(given)) == b"".join(given)
        assert running.rc == 7
        assert running.complaints == "no more\n"


def test_a_command_that_takes_no_more_ends_all_the_same() -> None:
    with stream(LocalPod(), "head -c 10 >/dev/null; exit 3") as running:
        assert list(running.run(itertools.repeat(b"x" * 100_000))) == []
        assert running.rc == 3


def test_a_connection_that_breaks_is_no_end() -> None:
    pod = LocalPod()
    pod.breaks_after = 10_000
    with stream(pod, "head -c 1000000 /dev/zero") as running, pytest.raises(Broken):
        list(running.run([]))
    assert running.rc is None


def test_input_ends_with_whoever_gave_it() -> None:
    def gone() -> None:
        raise RuntimeError("the process that started this run is gone")

    pod = LocalPod()
    with stream(pod, "cat >/dev/null; exit 4", gone) as running, pytest.raises(RuntimeError):
        list(running.run([b"x"]))
    assert pod.processes[0].wait(timeout=20) == 4


def test_whoever_waits_is_asked_now_and_then() -> None:
    asked: list[float] = []
    with stream(LocalPod(), "sleep 2", lambda: asked.append(time.monotonic())) as running:
        assert list(running.run([])) == []
    assert len(asked) > 1
