# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What is taken back of the machine's network, and what is left alone."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from lab import network, shell
from lab.errors import LabError
from lab.settings import Node

BLANK = """\
table ip nat {
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
	}
}
"""


@pytest.mark.parametrize(
    ("listing", "blank"),
    [
        (BLANK, True),
        ("table ip filter {\n}\n", True),
        (BLANK.replace("policy accept", "policy drop"), False),
        (BLANK.replace("accept;", "accept;\n\t\tcounter packets 1 bytes 2 accept"), False),
        (BLANK.replace("PREROUTING", "DOCKER"), False),
    ],
)
def test_only_tables_without_content_are_removed(listing: str, blank: bool) -> None:
    assert network.is_blank(listing) is blank


def test_notes_on_other_programs_pods_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, foreign = "a" * 64, "b" * 64
    names = [f"stateful-lab-node1-{ours}-eth0", f"cni-loopback-{ours}-lo", f"podman-{foreign}-eth0"]
    for name in [*names, f"cni-loopback-{foreign}-lo"]:
        (tmp_path / name).touch()
    monkeypatch.setattr(network, "CNI_RESULTS", tmp_path)
    network.remove_cni_results()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"cni-loopback-{foreign}-lo", f"podman-{foreign}-eth0"]


def test_the_machines_own_network_is_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node("node1", IPv4Address("192.0.2.1"), IPv4Network("198.51.100.0/24"), tmp_path)
    monkeypatch.setattr(shell, "run", lambda *_words, **_more: pytest.fail("a rule was set"))
    with pytest.raises(LabError, match="own network"):
        network.cut(node, [])
