# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said to a server. What real servers make of it is in the integration targets."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    LOCK_WAIT_TIMEOUT,
    NoAnswer,
    SqlError,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import MySQL


class BackedUp:
    """A MySQL while somebody holds LOCK INSTANCE FOR BACKUP: nobody changes what objects and users there are."""

    def __init__(self) -> None:
        self.variables = {"lock_wait_timeout": "DEFAULT", "read_only": "1"}

    def run(self, *statements: str) -> None:
        for statement in statements:
            words = statement.split()
            if words[0] in ("CREATE", "GRANT"):
                if self.variables["lock_wait_timeout"] == "DEFAULT":
                    raise NoAnswer("timed out")
                raise SqlError(LOCK_WAIT_TIMEOUT, "Lock wait timeout exceeded; try restarting transaction")
            if words[0] == "SET":
                self.variables[words[2]] = words[4]

    def rows(self, *_statement: object) -> list[dict[str, t.Any]]:
        return []


def test_a_backup_that_goes_on_keeps_nobody_from_becoming_primary() -> None:
    server = BackedUp()
    MySQL().let_write(t.cast("t.Any", server), "shop-1", 2)
    assert server.variables["read_only"] == "0"
    assert server.variables["lock_wait_timeout"] == "DEFAULT"
