# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import Name, users_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import (
    Around,
    SeenUser,
    SeenUsers,
    plan_users,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.plugins.module_utils._workload._made_secrets import Keeping

AROUND = Around(primary="shop-0", login="root", namespace="ns")
CART = {"name": "cart", "priv": "cart.*:ALL"}
GIVEN = {**CART, "password": "pw-one"}
THERE = SeenUser(
    exists=True,
    plugin="caching_sha2_password",
    grants={"`cart`.*": frozenset(("ALL PRIVILEGES",))},
    fits=True,
    keeping=Keeping.FITS,
)


def planned(entry: t.Mapping[str, t.Any], seen: SeenUser = THERE, mariadb: bool = False, **around: t.Any) -> t.Any:
    user = users_of([entry], "shop")[0]
    return plan_users([user], SeenUsers(dataclasses.replace(AROUND, **around), {user.name: seen}, mariadb))


def steps(entry: t.Mapping[str, t.Any], seen: SeenUser = THERE, **more: t.Any) -> list[tuple[str, str]]:
    found = planned(entry, seen, **more)
    assert isinstance(found, Plan)
    return [(step.action, step.sentence) for step in found.steps]


def refused(entry: t.Mapping[str, t.Any], seen: SeenUser = THERE) -> str:
    found = planned(entry, seen)
    assert isinstance(found, Refusal)
    return found.sentence()


def test_what_is_as_declared_is_left_alone() -> None:
    assert steps(CART) == []
    assert steps(GIVEN) == []


def test_a_new_user_has_its_password_in_a_secret_first() -> None:
    found = steps(CART, SeenUser())
    assert [action for action, _sentence in found] == ["make_secret", "create"]
    assert found[1][1] == "create user cart@% with ALL PRIVILEGES on `cart`.*"
    assert steps(GIVEN, SeenUser())[0][0] == "create"


def test_a_killed_run_is_gone_on_with() -> None:
    kept = SeenUser(keeping=Keeping.FITS)
    assert [action for action, _sentence in steps(CART, kept)] == ["create"]
    other = dataclasses.replace(THERE, fits=False, rotation="1")
    assert steps({**CART, "rotation": "1"}, other) == [("change", "change user cart@%: another password")]


def test_a_rotation_is_done_once() -> None:
    rotated = {**CART, "rotation": "1"}
    assert [action for action, _sentence in steps(rotated)] == ["rotate", "change"]
    assert steps(rotated, dataclasses.replace(THERE, rotation="1")) == []


def test_another_password_and_another_plugin() -> None:
    assert steps(GIVEN, dataclasses.replace(THERE, fits=False)) == [("change", "change user cart@%: another password")]
    assert steps({**GIVEN, "update_password": "on_create"}, dataclasses.replace(THERE, fits=False)) == []
    assert steps({**GIVEN, "plugin": "sha256_password"}) == [
        ("change", "change user cart@%: the same password once more, kept by sha256_password")
    ]


def test_locks_limits_and_privileges() -> None:
    entry = {**GIVEN, "locked": True, "resource_limits": {"max_user_connections": 3}, "priv": "cart.*:SELECT"}
    assert steps(entry) == [
        (
            "change",
            "change user cart@%: grant SELECT on `cart`.*, revoke ALL PRIVILEGES on `cart`.*; lock it; "
            "MAX_USER_CONNECTIONS 3",
        )
    ]
    assert steps({**GIVEN, "priv": "cart.*:SELECT", "append_privs": True}) == []
    assert steps({**GIVEN, "priv": {}})[0][1] == "change user cart@%: revoke ALL PRIVILEGES on `cart`.*"
    assert steps({"name": "cart", "password": "pw"}) == []


def test_mariadb_is_compared_by_its_own_names() -> None:
    has = dataclasses.replace(THERE, grants={"*.*": frozenset(("BINLOG MONITOR",))})
    entry = {**GIVEN, "priv": "*.*:REPLICATION CLIENT"}
    assert steps(entry, has, mariadb=True) == []
    assert steps(entry, has, mariadb=False) != []


def test_who_is_not_wanted_goes_with_the_secret() -> None:
    gone = {**CART, "state": "absent"}
    assert [action for action, _sentence in steps(gone)] == ["drop", "delete_secret"]
    assert steps(gone, SeenUser()) == []
    # One of somebody else stays.
    assert [action for action, _s in steps(gone, dataclasses.replace(THERE, keeping=Keeping.FOREIGN))] == ["drop"]


@pytest.mark.parametrize("name", ["root", "stateful_health", "stateful_anything", "MySQL.sys", "mariadb.sys", "PUBLIC"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_the_servers_need_is_refused(name: str, state: str) -> None:
    assert "neither changed nor dropped here" in refused({"name": name, "host": "10.%", "secret": "s", "state": state})


@pytest.mark.parametrize(
    ("entry", "seen", "words"),
    [
        (CART, dataclasses.replace(THERE, role=True), "the server has a role of that name"),
        (CART, SeenUser(keeping=Keeping.FOREIGN), "was not made for this user"),
        (CART, dataclasses.replace(THERE, partly_revoked=True), "partial revokes"),
        (GIVEN, dataclasses.replace(THERE, comparable=False), "nobody here can tell whether a password fits"),
        (
            {**CART, "update_password": "on_create"},
            dataclasses.replace(THERE, keeping=Keeping.ABSENT),
            "update_password on_create forbids to give it another one",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(entry: t.Any, seen: SeenUser, words: str) -> None:
    assert words in refused(entry, seen)


def test_what_nobody_can_tell_does_not_matter_where_another_plugin_is_wanted() -> None:
    entry = {**GIVEN, "plugin": "caching_sha2_password"}
    has = dataclasses.replace(THERE, comparable=False, plugin="auth_socket", fits=False)
    assert [action for action, _sentence in steps(entry, has)] == ["change"]


def test_a_primary_that_cannot_be_told_is_waited_for() -> None:
    assert steps(CART, SeenUser(), waits="it answers") == [("wait", "wait until it answers")]
    assert [action for action, _s in steps(CART, SeenUser(), waits="it is there", formed=False)] == [
        "wait",
        "make_secret",
        "create",
    ]
    refusal = Refusal("no")
    assert planned(CART, refused=refusal) is refusal


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([{"name": ""}], "expected a name in each entry"),
        ([CART, CART], "declared twice"),
        ([CART, {**CART, "host": "10.%"}], "would both be kept in the Secret shop-cart"),
        ([{"name": "o'brien"}], "can be no name of a Secret"),
        ([{**GIVEN, "rotation": "1"}], "rotation is for passwords that are made here"),
        ([{**CART, "rotation": "1", "update_password": "on_create"}], "says never to"),
        ([{**GIVEN, "resource_limits": {"MAX": 1}}], "expected resource_limits to have MAX_QUERIES_PER_HOUR"),
        ([{**GIVEN, "resource_limits": {"MAX_USER_CONNECTIONS": -1}}], "found MAX_USER_CONNECTIONS: -1"),
    ],
)
def test_wrong_options(entries: t.Any, words: str) -> None:
    with pytest.raises(Failure, match=words):
        users_of(entries, "shop")


def test_a_host_is_compared_as_servers_keep_it() -> None:
    user = users_of([{"name": "App_User", "host": "DB.Example"}], "shop")[0]
    assert (user.name, user.secret) == (Name("App_User", "db.example"), "shop-app-user")
