# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import BinlogState
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record

TARGET = Target("shop", "shop")
HAD = BinlogState.parse("0-100-50,0-101-60").union(BinlogState.position("0-100-70"))
RECORD = Record(
    3,
    "shop-1",
    3,
    primaries=("shop-0", "shop-1"),
    copies={"shop-2": "uid-2"},
    dismissed="shop-0",
    dismissed_uid="uid-0",
    without=("shop-2",),
    had={"shop-1": HAD},
    turn=4,
    waits="pilot",
    cut_off=True,
    resource_version="1",
)


class Cluster:
    """Keeps one ConfigMap."""

    def __init__(self) -> None:
        self.found: dict[str, t.Any] = {"metadata": {"resourceVersion": "1"}, "data": {}}

    def merge(self, _api: str, _kind: str, _name: str, _namespace: str, patch: dict[str, t.Any]) -> dict[str, t.Any]:
        assert patch["metadata"]["resourceVersion"] == self.found["metadata"]["resourceVersion"]
        self.found = {"metadata": {"resourceVersion": "2"}, "data": {**self.found["data"], **patch["data"]}}
        return self.found


def test_what_is_written_is_read_again() -> None:
    cluster = Cluster()
    written = _record.write(t.cast("t.Any", cluster), TARGET, RECORD)
    assert written.resource_version == "2"
    read = _record.parse(cluster.found, TARGET)
    assert read == written
    assert read
    # What a position stands for is not a state: with it forgotten, a server would lack what it has.
    assert BinlogState.parse("0-100-70,0-101-65").contains(read.had["shop-1"])


def test_what_somebody_left_who_does_not_know_a_key_is_of_another_epoch() -> None:
    """An older version of the collection writes the keys that it knows, and another epoch."""
    cluster = Cluster()
    _record.write(t.cast("t.Any", cluster), TARGET, RECORD)
    cluster.found["data"]["epoch"] = "4"
    read = _record.parse(cluster.found, TARGET)
    assert read
    assert (read.epoch, read.waits, read.cut_off, read.had) == (4, "", False, {})


def test_a_word_that_names_no_epoch_is_not_believed() -> None:
    cluster = Cluster()
    _record.write(t.cast("t.Any", cluster), TARGET, RECORD)
    cluster.found["data"].update(waits="3b1c", cut_off="true")
    read = _record.parse(cluster.found, TARGET)
    assert read
    assert (read.waits, read.cut_off) == ("", False)


@pytest.mark.parametrize("text", ["3 shop-1 0-100\n", "3 shop-1\n", "3 shop-1 0-100-5 0:many\n"])
def test_what_somebody_had_is_read_or_nothing_is_done(text: str) -> None:
    cluster = Cluster()
    _record.write(t.cast("t.Any", cluster), TARGET, RECORD)
    cluster.found["data"]["had"] = text
    with pytest.raises(Failure, match="must have under had"):
        _record.parse(cluster.found, TARGET)
