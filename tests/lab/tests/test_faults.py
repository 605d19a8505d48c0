# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Faults of a node: what is refused, and what stands still."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from lab import cli, faults, network, processes
from lab.errors import LabError
from lab.processes import Process
from lab.settings import Settings

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def three(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    # Networks are the machine's: nodes of a real lab have the same names, and one of them may be cut off just now.
    monkeypatch.setattr(network, "cut_from", lambda _node: [])
    yield replace(settings, node_count=3)
    for pid in processes.inherited(settings.home):
        os.kill(pid, signal.SIGKILL)


def start(settings: Settings, name: str) -> int:
    pid = processes.start(Process(name, [sys.executable, "-c", SLEEP], settings.logs / f"{name}.log"), settings.home)
    deadline = time.monotonic() + 10
    while name not in processes.running(settings.home):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return pid


def test_the_first_nodes_network_is_left_alone(three: Settings) -> None:
    first, second, _third = three.nodes
    for action in (lambda: faults.cut(three, first, []), lambda: faults.kill(three, first)):
        with pytest.raises(LabError, match=r"node1 cannot be .* its network is the machine's own"):
            action()
    with pytest.raises(LabError, match="cannot be cut from itself"):
        faults.cut(three, second, [second])


def test_an_unknown_node_is_named_with_those_that_there_are(three: Settings) -> None:
    with pytest.raises(LabError, match="no node node4; the lab has node1, node2, node3"):
        faults.find(three, "node4")


def test_only_the_nodes_own_processes_are_frozen(three: Settings) -> None:
    mine = [start(three, f"{name}-node2") for name in ("kubelet", "containerd", "enforcer")]
    other = start(three, "kubelet-node3")
    node = three.nodes[1]
    for _twice in range(2):
        faults.freeze(three, node)
        assert all(faults.stopped_by_signal(pid) for pid in mine)
        assert not faults.stopped_by_signal(other)
        assert faults.states(three, node) == ["frozen"]
    with pytest.raises(LabError, match="frozen, not stopped"):
        faults.start(three, node)
    assert faults.thaw(three, node)
    assert not faults.thaw(three, node)
    assert faults.states(three, node) == []


def test_up_lets_go_on_what_a_dead_test_froze(three: Settings) -> None:
    start(three, "kubelet-node2")
    pid = start(three, "containerd-node2")
    faults.freeze(three, three.nodes[1])
    assert faults.mend(three) == ["node2 was frozen and goes on"]
    assert not faults.stopped_by_signal(pid)
    assert faults.mend(three) == []


def test_nothing_that_is_stopped_can_be_frozen(three: Settings) -> None:
    assert faults.states(three, three.nodes[1]) == ["stopped"]
    with pytest.raises(LabError, match="node2 is stopped"):
        faults.freeze(three, three.nodes[1])


def test_a_cut_says_whom_it_keeps_away(three: Settings) -> None:
    _first, second, third = three.nodes
    everybody = network.cut_rules(second, [])
    assert network.CUT_COMMENT.findall(everybody) == ["everybody", "everybody"]
    assert "addr" not in everybody
    some = network.cut_rules(second, [third])
    assert network.CUT_COMMENT.findall(some) == ["node3", "node3"]
    assert 'iifname "eth0" ip saddr { 10.200.0.3, 10.244.2.0/24 } drop' in some
    assert 'oifname "eth0" ip daddr { 10.200.0.3, 10.244.2.0/24 } drop' in some


def test_the_number_of_nodes_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_NODES", raising=False)
    assert cli.asked_by_environment() is None
    monkeypatch.setenv("LAB_NODES", "3")
    assert cli.asked_by_environment() == 3
    for wrong in ("0", "10", "three", "-1"):
        monkeypatch.setenv("LAB_NODES", wrong)
        with pytest.raises(LabError, match=f"LAB_NODES is '{wrong}'.*between 1 and 9"):
            cli.asked_by_environment()


def test_from_goes_with_cut_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.parse(["node", "stop", "node2", "--from", "node1"])
    assert "--from goes with `node cut` only" in capsys.readouterr().err
