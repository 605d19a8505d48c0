# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""While a password changes, a server has one of several, and whoever logs in finds out which. And what is noted in a
table that may not be there yet."""

from __future__ import annotations

import typing as t

import pymysql
import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    Client,
    Credentials,
    NoAnswer,
    SqlError,
    noted,
)


class Connection:
    def cursor(self, _kind: t.Any) -> t.Any:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *unused: object) -> None:
        pass

    def execute(self, *_statement: t.Any) -> None:
        pass

    def fetchall(self) -> list[t.Any]:
        return []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """Which password it has, and which were tried."""
    state: dict[str, t.Any] = {"has": "", "tried": [], "error": 1045}

    def connect(**options: t.Any) -> t.Any:
        class Opened(Connection):
            def connect(self, _end: t.Any) -> None:
                state["tried"].append(options["password"])
                if options["password"] != state["has"]:
                    raise pymysql.err.OperationalError(state["error"], "no")

        return Opened()

    class End:
        def __init__(self, *_arguments: t.Any) -> None:
            pass

        def settimeout(self, _seconds: float) -> None:
            pass

        connect = settimeout

    monkeypatch.setattr(pymysql, "connect", connect)
    monkeypatch.setattr("socket.socket", End)
    return state


CHANGING = Credentials("root", "old", ("new", "older"))


@pytest.mark.parametrize(
    ("has", "tried"), [("old", ["old"]), ("new", ["old", "new"]), ("older", ["old", "new", "older"])]
)
def test_every_password_of_the_secret_is_tried(server: dict[str, t.Any], has: str, tried: list[str]) -> None:
    server["has"] = has
    client = Client("path", CHANGING)
    client.rows("SELECT 1")
    assert server["tried"] == tried
    # The next time it begins with that one.
    client._connection = None
    client.rows("SELECT 1")
    assert server["tried"] == [*tried, has]


def test_where_none_is_right_the_server_says_so(server: dict[str, t.Any]) -> None:
    with pytest.raises(SqlError) as told:
        Client("path", CHANGING).rows("SELECT 1")
    assert told.value.code == 1045
    assert server["tried"] == ["old", "new", "older"]


def test_no_other_one_is_tried_where_nobody_answers(server: dict[str, t.Any]) -> None:
    server["error"] = 2013
    with pytest.raises(NoAnswer):
        Client("path", CHANGING).rows("SELECT 1")
    assert server["tried"] == ["old"]


def test_passwords_are_not_shown() -> None:
    assert "old" not in repr(CHANGING)


@pytest.mark.parametrize("code", [1049, 1146])
def test_where_the_table_or_its_database_is_not_there_nothing_is_noted(code: int) -> None:
    def ask(_statement: str) -> list[dict[str, t.Any]]:
        raise SqlError(code, "no such thing")

    assert noted(ask, "SELECT 1") is None


def test_what_is_noted_is_the_first_row() -> None:
    assert noted(lambda statement: [{"said": statement}, {}], "SELECT 1") == {"said": "SELECT 1"}
    assert noted(lambda _statement: [], "SELECT 1") is None


@pytest.mark.parametrize("error", [SqlError(1142, "denied"), NoAnswer("gone")])
def test_not_to_know_is_not_that_nothing_is_noted(error: Exception) -> None:
    def ask(_statement: str) -> list[dict[str, t.Any]]:
        raise error

    with pytest.raises(type(error)):
        noted(ask, "SELECT 1")
