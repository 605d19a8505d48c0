# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A conversation that is opened ahead of its first question."""

from __future__ import annotations

import pathlib
import socket
import threading
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind


class Way:
    """To something that accepts a connection and hangs up, and counts them."""

    failure = None
    error = ""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = str(path)
        self.met = 0
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._end.bind(self.path)
        self._end.listen()
        threading.Thread(target=self._hang_up, daemon=True).start()

    def _hang_up(self) -> None:
        while True:
            try:
                near, _address = self._end.accept()
            except OSError:
                return
            self.met += 1
            near.close()

    def close(self) -> None:
        self._end.close()


@pytest.fixture
def way(tmp_path: pathlib.Path) -> t.Iterator[Way]:
    way = Way(tmp_path / "server")
    yield way
    way.close()


def test_what_was_in_the_way_of_the_connection_is_the_answer(way: Way) -> None:
    """A server that hangs is not waited for twice in one look, and is asked anew in the next."""
    link = Link(t.cast(t.Any, way), "uid", Credentials("root", "secret"))
    link.open()
    assert link.ask().kind is Kind.UNREACHABLE
    assert way.met == 1
    assert link.ask().kind is Kind.UNREACHABLE
    assert way.met == 2
