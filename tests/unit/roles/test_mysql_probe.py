# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which answers of a client the readiness probe takes; that it asks a real server is the scenario mysql_single."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
import yaml

VARIABLES = pathlib.Path(__file__).parents[3] / "roles" / "mysql" / "vars" / "main.yml"
TAKEN = "ERROR 1040 (08004): Too many connections"
NOBODY = "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (2)"
DENIED = "ERROR 1045 (28000): Access denied for user 'stateful_health'@'localhost' (using password: NO)"


@pytest.mark.parametrize(
    ("said", "ended", "expected"), [("1", 0, 0), (TAKEN, 1, 0), (NOBODY, 1, 1), (DENIED, 1, 1), ("", 124, 1)]
)
def test_a_server_that_answers_is_ready_and_one_whose_connections_are_taken_too(
    said: str, ended: int, expected: int
) -> None:
    script = yaml.safe_load(VARIABLES.read_text(encoding="utf-8"))["__mysql_ready"]
    client = ["sh", "-c", 'echo "$1" >&2; exit "$2"', "client", said, str(ended)]
    done = subprocess.run(
        ["sh", "-c", script, "ready", *client], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == expected
    assert done.stderr.strip() == (said if expected else "")
