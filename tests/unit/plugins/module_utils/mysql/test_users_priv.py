# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Privileges: as declared, as SHOW GRANTS tells them (lines of real servers), and from the one to the other."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users import _priv as priv

ALL, GRANT = priv.ALL, priv.GRANT_OPTION


@pytest.mark.parametrize(
    ("given_as", "found"),
    [
        ("*.*:ALL", {"*.*": {ALL}}),
        ("shop.*:SELECT, insert/*.*:PROCESS", {"`shop`.*": {"SELECT", "INSERT"}, "*.*": {"PROCESS"}}),
        ("shop.*:ALL,SELECT,GRANT", {"`shop`.*": {ALL, GRANT}}),
        ("shop.*:USAGE", {"`shop`.*": set()}),
        ({"shop.*": "SELECT", "`odd/na.me`.t:x": "UPDATE"}, {"`shop`.*": {"SELECT"}, "`odd/na.me`.`t:x`": {"UPDATE"}}),
        (["shop.*:SELECT", "shop.*:DELETE"], {"`shop`.*": {"SELECT", "DELETE"}}),
        ({"shop.*": ["SELECT", "SHOW VIEW"]}, {"`shop`.*": {"SELECT", "SHOW VIEW"}}),
        ("shop.t:SELECT(a, `b c`)", {"`shop`.`t`": {"SELECT (`a`)", "SELECT (`b c`)"}}),
        ("PROCEDURE shop.p:EXECUTE", {"PROCEDURE `shop`.`p`": {"EXECUTE"}}),
        ("my`tick.*:SELECT".replace("my`tick", "`my``tick`"), {"`my``tick`.*": {"SELECT"}}),
        ({}, {}),
    ],
)
def test_what_is_declared(given_as: t.Any, found: t.Any) -> None:
    assert priv.declared(given_as, "u@%") == found


@pytest.mark.parametrize(
    "given_as", ["ALL", "shop:ALL", "shop.*:", "shop.*:SEL ECT;DROP", "shop.t:SELECT(a", "a.b.c:ALL"]
)
def test_what_is_no_privilege_is_refused(given_as: str) -> None:
    with pytest.raises(Failure, match=r"users: u@%: expected priv to be DATABASE\.TABLE:PRIVILEGE"):
        priv.declared(given_as, "u@%")


def test_what_mysql_tells() -> None:
    lines = [
        "GRANT PROCESS ON *.* TO `u`@`%` WITH GRANT OPTION",
        "GRANT BACKUP_ADMIN,CLONE_ADMIN ON *.* TO `u`@`%`",
        "GRANT ALL PRIVILEGES ON `d ON x`.* TO `u`@`%`",
        "GRANT SELECT (`a`, `b`), INSERT ON `d`.`t` TO `u`@`%`",
        "GRANT EXECUTE ON PROCEDURE `d`.`p` TO `u`@`%`",
        "GRANT `r`@`%`,`s ON t`@`%` TO `u`@`%`",
        "GRANT PROXY ON ``@`` TO `u`@`%` WITH GRANT OPTION",
    ]
    grants, partly = priv.told(lines, "u", "%")
    assert grants == {
        "*.*": {"PROCESS", "BACKUP_ADMIN", "CLONE_ADMIN", GRANT},
        "`d ON x`.*": {ALL},
        "`d`.`t`": {"SELECT (`a`)", "SELECT (`b`)", "INSERT"},
        "PROCEDURE `d`.`p`": {"EXECUTE"},
    }
    assert not partly


def test_what_mariadb_tells() -> None:
    lines = [
        "GRANT `r` TO `u`@`%`",
        "GRANT BINLOG MONITOR ON *.* TO `u`@`%` IDENTIFIED VIA mysql_native_password USING '*3A' OR ed25519 USING 'x' "
        "WITH MAX_USER_CONNECTIONS 3",
        "GRANT ALL PRIVILEGES ON `d`.* TO `u`@`%` WITH GRANT OPTION",
        # Of a role that it has, and of everybody.
        "GRANT SELECT ON `mysql`.* TO `r`",
        "GRANT INSERT ON `d`.* TO PUBLIC",
    ]
    assert priv.told(lines, "u", "%")[0] == {"*.*": {"BINLOG MONITOR"}, "`d`.*": {ALL, GRANT}}


def test_partial_revokes_are_seen() -> None:
    lines = ["GRANT SELECT ON *.* TO `u`@`%`", "REVOKE SELECT ON `mysql`.* FROM `u`@`%`"]
    assert priv.told(lines, "u", "%") == ({"*.*": {"SELECT"}}, True)


def test_nothing_is_no_level() -> None:
    assert priv.told(["GRANT USAGE ON *.* TO `u`@`%` REQUIRE SSL"], "u", "%") == ({}, False)


def test_all_that_mysql_has_is_told_one_by_one() -> None:
    every = {"SELECT", "PROCESS", "BACKUP_ADMIN"}
    assert priv.named({"*.*": frozenset((*every, GRANT))}, every) == {"*.*": {ALL, GRANT}}
    assert priv.named({"*.*": frozenset(("SELECT",))}, every) == {"*.*": {"SELECT"}}


def test_names_that_mariadb_has_others_for() -> None:
    declared = priv.declared("*.*:REPLICATION CLIENT,READ ONLY ADMIN", "u@%")
    assert priv.of_flavour(declared, True) == {"*.*": {"BINLOG MONITOR", "READ_ONLY ADMIN"}}
    assert priv.of_flavour(declared, False) == declared


def texts(wanted: t.Any, has: t.Any, append: bool = False) -> list[str]:
    def frozen(grants: t.Any) -> priv.Grants:
        return {level: frozenset(privileges) for level, privileges in grants.items()}

    return [text for text, _values in priv.statements(frozen(wanted), frozen(has), "u", "%", append)]


def test_what_stays_is_never_missing() -> None:
    assert texts({"`d`.*": {"SELECT", "UPDATE"}}, {"`d`.*": {"SELECT", "DELETE"}, "`e`.*": {"SELECT"}}) == [
        "GRANT UPDATE ON `d`.* TO %s@%s",
        "REVOKE DELETE ON `d`.* FROM %s@%s",
        "REVOKE SELECT ON `e`.* FROM %s@%s",
    ]


def test_of_all_nothing_can_be_taken() -> None:
    assert texts({"`d`.*": {"SELECT"}}, {"`d`.*": {ALL, GRANT}}) == [
        "REVOKE ALL PRIVILEGES ON `d`.* FROM %s@%s",
        "GRANT SELECT ON `d`.* TO %s@%s",
        "REVOKE GRANT OPTION ON `d`.* FROM %s@%s",
    ]


def test_appended_privileges_take_nothing_away() -> None:
    assert texts({"`d`.*": {"SELECT"}}, {"`e`.*": {ALL}, "`d`.*": {"INSERT"}}, append=True) == [
        "GRANT SELECT ON `d`.* TO %s@%s"
    ]
    assert texts({"`d`.*": {"SELECT"}}, {"`d`.*": {ALL}}, append=True) == []


def test_the_grant_option_alone() -> None:
    assert texts({"*.*": {GRANT}}, {}) == ["GRANT USAGE ON *.* TO %s@%s WITH GRANT OPTION"]


def test_a_per_cent_sign_is_not_taken_for_a_value() -> None:
    assert texts({"`d%`.*": {"SELECT"}}, {}) == ["GRANT SELECT ON `d%%`.* TO %s@%s"]


LEVELS = st.sampled_from(["*.*", "`d`.*", "`d`.`t`"])
NAMES = st.frozensets(st.sampled_from(["SELECT", "INSERT", "UPDATE (`a`)", GRANT, ALL]), min_size=1)


def applied(has: priv.Grants, statements: t.Iterable[str]) -> dict[str, frozenset[str]]:
    """What a server makes of it."""
    found = dict(has)
    for text in statements:
        action, rest = text.replace("%%", "%").split(" ", 1)
        names, _on, level = rest.split(" TO " if action == "GRANT" else " FROM ")[0].partition(" ON ")
        privileges = frozenset(names.split(", ")) - {priv.USAGE}
        there = found.get(level, priv.NONE)
        if action == "GRANT":
            there |= privileges | ({GRANT} if rest.endswith("WITH GRANT OPTION") else priv.NONE)
        else:
            there = there & {GRANT} if ALL in privileges else there - privileges
        found[level] = there & {ALL, GRANT} if ALL in there else there
    return {level: privileges for level, privileges in found.items() if privileges}


@given(st.dictionaries(LEVELS, NAMES), st.dictionaries(LEVELS, NAMES))
def test_whatever_there_is_becomes_what_is_wanted(wanted: t.Any, has: t.Any) -> None:
    wanted, has = (
        {level: one & {ALL, GRANT} if ALL in one else one for level, one in grants.items()} for grants in (wanted, has)
    )
    assert applied(has, texts(wanted, has)) == wanted
    assert texts(wanted, wanted) == []
    assert priv.missing(wanted, applied(has, texts(wanted, has, append=True))) == {}
