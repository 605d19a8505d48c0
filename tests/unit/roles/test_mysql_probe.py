# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which answers of a client the readiness probe takes; that it asks real servers is in the scenarios mysql_single and
mysql."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[3] / "roles" / "mysql" / "files" / "ready.sh"
TAKEN = "ERROR 1040 (08004): Too many connections"
NOBODY = "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)"
DENIED = "ERROR 1045 (28000): Access denied for user 'stateful_health'@'localhost' (using password: NO)"
ROW = "*************************** 1. row ***************************\n"


def answer(
    read_only: str, receiver: str = "", applier: str = "Yes", lag: str = "0", names: str = "Replica Source"
) -> str:
    """As both servers' clients write it."""
    said = f"{ROW}read_only: {read_only}\n"
    if receiver:
        here, there = names.split()
        said += (
            f"{ROW}             {here}_IO_State: Waiting\n            {here}_IO_Running: {receiver}\n"
            f"           {here}_SQL_Running: {applier}\n              Seconds_Behind_{there}: {lag}\n"
            f"                Last_IO_Errno: 2003\n               Last_SQL_Errno: 1062\n"
            f"               Last_SQL_Error: Duplicate entry 'of somebody'\n      {here}_SQL_Running_State: Yes\n"
        )
    return said


def asked(tmp_path: pathlib.Path, said: str, ended: int = 0, **record: str) -> tuple[int, str]:
    (tmp_path / "record").mkdir()
    for name, value in record.items():
        (tmp_path / "record" / name).write_text(value)
    script = tmp_path / "ready.sh"
    text = SCRIPT.read_text(encoding="utf-8")
    for path in ("/run/record/", "/var/lib/mysql/"):
        assert path in text
    script.write_text(text.replace("/run/record/", f"{tmp_path}/record/").replace("/var/lib/mysql/", f"{tmp_path}/"))
    (tmp_path / "said").write_text(said)
    client = tmp_path / "client"
    client.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&{'12'[ended > 0]}\nexit {ended}\n")
    client.chmod(0o755)
    done = subprocess.run(
        ["sh", str(script), "client", "30"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "POD_NAME": "shop-1"},
    )
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize(
    ("said", "ended", "expected"),
    [(answer("0"), 0, 0), (answer("OFF"), 0, 0), (TAKEN, 1, 0), (NOBODY, 1, 1), (DENIED, 1, 1), ("", 124, 1)],
)
def test_a_server_that_takes_writes_is_ready_and_one_whose_connections_are_taken_too(
    tmp_path: pathlib.Path, said: str, ended: int, expected: int
) -> None:
    assert asked(tmp_path, said, ended) == (expected, said if expected else "")


@pytest.mark.parametrize(
    ("copy", "primary", "copied", "ready"),
    [
        ("shop-1 2.abc\nshop-2 other\n", "shop-0", "", False),
        ("shop-1 2.abc\n", "shop-0", "2.old", False),
        ("shop-1 2.abc\n", "shop-0", "2.abc", True),
        ("shop-10 2.abc\n", "shop-0", "", True),
        ("", "shop-0", "", True),
        # The primary keeps its data.
        ("shop-1 2.abc\n", "shop-1", "", True),
    ],
)
def test_nobody_reads_data_that_is_to_be_replaced(
    tmp_path: pathlib.Path, copy: str, primary: str, copied: str, ready: bool
) -> None:
    (tmp_path / f"copied.{copied}").touch()
    rc, said = asked(tmp_path, answer("1", "Yes"), copy=copy, primary=primary)
    assert (rc == 0, "is to take a copy" in said) == (ready, not ready)


@pytest.mark.parametrize("names", ["Replica Source", "Slave Master"])
@pytest.mark.parametrize(
    ("receiver", "applier", "lag", "why"),
    [
        ("Yes", "Yes", "0", ""),
        ("Yes", "Yes", "30", ""),
        ("Yes", "Yes", "31", "is 31 s behind, and 30 s are allowed"),
        # Nobody knows how far behind it is while the primary is away, and reads go on.
        ("Connecting", "Yes", "NULL", ""),
        ("No", "Yes", "NULL", "receives nothing (error 2003)"),
        ("Yes", "No", "NULL", "does not apply what it receives (error 1062)"),
        ("", "", "", "is read-only, and replicates from nobody"),
    ],
)
def test_a_replica_is_ready_while_it_follows_closely(
    tmp_path: pathlib.Path, names: str, receiver: str, applier: str, lag: str, why: str
) -> None:
    said = f"This server {why}." if why else ""
    assert asked(tmp_path, answer("1", receiver, applier, lag, names)) == (1 if why else 0, said)
