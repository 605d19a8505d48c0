# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users and roles become as declared, whatever happens at any write, and a second run changes nothing."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import roles_of, users_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._operate import Roles, Users
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._scram import matches
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out

from .users_in_memory import (
    FAULTS,
    KILLED_AFTER,
    KILLED_BEFORE,
    LATE,
    ROLLED_BACK,
    STEPPED_DOWN,
    UNHEARD,
    UNTOLD,
    Api,
    FreeLock,
    Killed,
    Server,
    Task,
    Watcher,
    kept_of,
)

CART = {"name": "cart", "database": "cart", "roles": ["readWrite"]}
URI = "mongodb://cart:{}@shop.ns.svc.cluster.local:27017/cart?replicaSet=shop&authSource=cart"
Entries = t.Sequence[t.Mapping[str, t.Any]]


class Set:
    """A replica set in memory, and runs on it."""

    def __init__(self) -> None:
        self.server, self.api = Server(), Api()

    def run(self, *entries: t.Mapping[str, t.Any], check: bool = False, watcher: t.Any = None) -> dict[str, t.Any]:
        task = Task(check)
        watcher = watcher or Watcher(self.server, self.api)
        operation = Users(watcher, users_of(entries, "shop"), 30, task.conceal)
        operation.lock = t.cast("t.Any", FreeLock())
        result = carry_out(operation, task)
        # Every password is masked besides, and still none is in what is shown.
        shown = str((result, task.lines))
        for user in self.server.users.values():
            assert user.get("pwd", "-no-") not in shown
        result["concealed"] = task.concealed
        return result

    def run_roles(self, *entries: t.Mapping[str, t.Any], check: bool = False) -> dict[str, t.Any]:
        operation = Roles(t.cast("t.Any", Watcher(self.server, self.api)), roles_of(entries), 30)
        operation.lock = t.cast("t.Any", FreeLock())
        return carry_out(operation, Task(check))

    def password(self, database: str = "cart", name: str = "cart") -> t.Any:
        return self.server.users[database, name]["pwd"]


def actions(result: t.Mapping[str, t.Any], field: str = "done") -> list[str]:
    return [step["action"] for step in result[field]]


# Passwords


def test_a_password_is_made_and_kept() -> None:
    some = Set()
    result = some.run(CART)
    kept = some.api.texts("shop-cart")
    assert actions(result) == ["make_secret", "create"]
    assert kept == {
        "username": "cart",
        "password": some.password(),
        "database": "cart",
        "uri": URI.format(some.password()),
    }
    assert {kept["password"], kept["uri"]} <= result["concealed"]
    assert some.run(CART)["changed"] is False
    assert some.api.texts("shop-cart") == kept


def test_a_user_of_admin_connects_to_no_database() -> None:
    some = Set()
    some.run({"name": "näme", "secret": "own", "roles": []})
    uri = some.api.texts("own")["uri"]
    assert uri.startswith("mongodb://n%C3%A4me:")
    assert uri.endswith("@shop.ns.svc.cluster.local:27017/?replicaSet=shop&authSource=admin")


def test_a_given_password_is_tried_and_another_one_is_set() -> None:
    some = Set()
    user = {**CART, "password": "pw-one"}
    assert actions(some.run(user)) == ["create"]
    assert some.run(user)["changed"] is False
    result = some.run({**user, "password": "pw-two"})
    assert (actions(result), some.password()) == (["change"], "pw-two")
    assert result["diff"][0]["after"].count("(another one)") == 1
    assert list(some.api.secrets) == ["shop-root"]


def test_on_create_leaves_the_password_alone() -> None:
    some = Set()
    user = {**CART, "password": "pw-one", "update_password": "on_create"}
    some.run(user)
    assert some.run({**user, "password": "pw-two"})["changed"] is False
    assert actions(some.run({**user, "password": "pw-two", "roles": ["read"]})) == ["change"]
    assert some.password() == "pw-one"


def test_a_password_from_a_secret() -> None:
    some = Set()
    user = {**CART, "password_secret": {"name": "own", "key": "pass"}}
    with pytest.raises(Failure, match="there is no Secret ns/own"):
        some.run(user)
    some.api.put("own", {"other": "x"})
    with pytest.raises(Failure, match="has nothing under the key pass"):
        some.run(user)
    some.api.put("own", {"pass": "pw-one"})
    some.run(user)
    some.api.put("own", {"pass": "pw-two"})
    assert (actions(some.run(user)), some.password()) == (["change"], "pw-two")
    assert some.run(user)["changed"] is False


def test_a_rotation_is_made_once_for_each_text() -> None:
    some = Set()
    some.run({**CART, "rotation": "a"})
    first = some.password()
    assert some.run({**CART, "rotation": "a"})["changed"] is False
    result = some.run({**CART, "rotation": "b"})
    assert actions(result, "plan") == actions(result) == ["rotate", "change"]
    assert first != some.password() == some.api.texts("shop-cart")["password"]
    assert some.run({**CART, "rotation": "b"})["changed"] is False
    assert some.run(CART)["changed"] is False


def test_a_secret_that_was_lost_is_made_with_a_new_password() -> None:
    some = Set()
    some.run(CART)
    del some.api.secrets["shop-cart"]
    on_create = {**CART, "update_password": "on_create"}
    with pytest.raises(Failure, match="its password is not in the Secret ns/shop-cart"):
        some.run(on_create)
    assert actions(some.run(CART)) == ["make_secret", "change"]
    assert some.api.texts("shop-cart")["password"] == some.password()


def test_what_else_is_in_the_secret_is_corrected_without_another_password() -> None:
    some = Set()
    some.run(CART)
    before = some.password()
    some.api.secrets["shop-cart"]["data"]["uri"] = ""
    some.api.secrets["shop-cart"]["data"]["mine"] = "bWluZQ=="
    assert actions(some.run(CART)) == ["correct_secret"]
    kept = some.api.texts("shop-cart")
    assert (kept["uri"], kept["mine"], some.password()) == (URI.format(before), "mine", before)


def test_a_password_that_was_changed_by_hand_is_set_back() -> None:
    some = Set()
    some.run(CART)
    some.server.users["cart", "cart"]["pwd"] = "by-hand"  # noqa: S105
    assert actions(some.run(CART)) == ["change"]
    assert some.api.texts("shop-cart")["password"] == some.password()


def test_a_secret_of_somebody_else_is_not_overwritten() -> None:
    some = Set()
    some.api.put("shop-cart", {"password": "theirs"})
    with pytest.raises(Failure, match="was not made for this user"):
        some.run(CART)
    # The same name in another database is another user, and a Secret can be of one only.
    some.run({**CART, "secret": "own"})
    with pytest.raises(Failure, match="was not made for this user"):
        some.run({**CART, "database": "other", "secret": "own"})
    assert some.api.texts("shop-cart") == {"password": "theirs"}
    gone = some.run({**CART, "state": "absent"})
    assert (actions(gone), "shop-cart" in some.api.secrets) == (["drop"], True)


# Everything else of a user


def test_only_what_is_declared_is_compared() -> None:
    some = Set()
    some.run({**CART, "password": "pw-one", "mechanisms": ["SCRAM-SHA-256"]})
    result = some.run({"name": "cart", "database": "cart", "password": "pw-two"})
    found = some.server.users["cart", "cart"]
    assert result["done"][0]["step"] == "change user cart@cart: another password"
    assert (found["roles"], found["mechanisms"]) == ([{"role": "readWrite", "db": "cart"}], ["SCRAM-SHA-256"])
    assert some.run({**CART, "password": "pw-two", "roles": []})["changed"] is True
    assert found["roles"] == []


def test_a_mechanism_is_added_along_with_the_password() -> None:
    some = Set()
    user = {**CART, "password": "pw-one"}
    some.run({**user, "mechanisms": ["SCRAM-SHA-1"]})
    both = {**user, "mechanisms": ["SCRAM-SHA-1", "SCRAM-SHA-256"]}
    with pytest.raises(Failure, match="can only be added along with the password"):
        some.run({**both, "update_password": "on_create"})
    assert actions(some.run(both)) == ["change"]
    assert some.run(both)["changed"] is False
    # Fewer take no password.
    some.run({**user, "mechanisms": ["SCRAM-SHA-256"], "update_password": "on_create"})
    assert some.server.users["cart", "cart"]["mechanisms"] == ["SCRAM-SHA-256"]


def test_restrictions_are_compared_in_any_order() -> None:
    some = Set()
    one, two = {"client_source": ["10.0.0.2", "10.0.0.1"]}, {"server_address": ["10.0.0.3"]}
    user = {**CART, "password": "pw-one"}
    some.run({**user, "authentication_restrictions": [one, two]})
    assert some.run({**user, "authentication_restrictions": [two, one]})["changed"] is False
    assert some.run(user)["changed"] is False
    assert some.run({**user, "authentication_restrictions": []})["changed"] is True
    assert some.server.users["cart", "cart"]["restrictions"] == []


def test_a_user_of_another_system_has_no_password() -> None:
    some = Set()
    user = {"name": "CN=x", "database": "$external", "roles": [{"role": "read", "db": "cart"}]}
    assert actions(some.run(user)) == ["create"]
    assert "pwd" not in some.server.users["$external", "CN=x"]
    assert some.run(user)["changed"] is False
    assert list(some.api.secrets) == ["shop-root"]


def test_an_absent_user_goes_with_its_secret_and_others_stay() -> None:
    some = Set()
    some.run(CART, {**CART, "name": "other"})
    gone = {**CART, "state": "absent"}
    result = some.run(gone)
    assert actions(result) == ["drop", "delete_secret"]
    assert set(some.server.users) == {("admin", "root"), ("cart", "other")}
    assert set(some.api.secrets) == {"shop-root", "shop-other"}
    assert some.run(gone)["changed"] is False


def test_the_user_that_logs_in_is_refused() -> None:
    some = Set()
    for entry in ({"name": "root", "password": "pw-one"}, {"name": "root", "state": "absent", "secret": "x"}):
        with pytest.raises(Failure, match="the user that this task itself logs in with"):
            some.run(entry)


# The set


def test_check_mode_plans_a_set_that_does_not_exist_yet() -> None:
    some = Set()
    result = some.run(CART, check=True, watcher=Watcher(some.server, some.api, formed=False))
    assert (actions(result, "plan"), result["changed"]) == (["wait", "make_secret", "create"], True)
    assert (some.server.written, some.api.written) == ([], [])


def test_of_a_set_that_gives_no_answer_nothing_is_planned() -> None:
    some = Set()
    some.run(CART)
    silent = Watcher(some.server, some.api)
    silent.silent = {0, 1, 2}
    result = some.run({**CART, "state": "absent"}, check=True, watcher=silent)
    assert (actions(result, "plan"), result["changed"]) == (["wait"], False)


def test_a_primary_without_a_majority_is_not_believed() -> None:
    some = Set()
    alone = Watcher(some.server, some.api)
    alone.silent = {1, 2}
    alone.turns = [alone.silent.clear]
    written: list[int] = []
    pause = alone.pause
    alone.pause = lambda seconds: (written.append(len(some.server.written)), pause(seconds))[1]  # type: ignore[method-assign]
    assert some.run(CART, watcher=alone)["changed"] is True
    assert written == [0]


def test_what_no_majority_has_is_waited_for() -> None:
    some = Set()
    some.server.faults = [LATE]
    result = some.run({**CART, "password": "pw-one"})
    assert some.server.written == ["createUser"]
    assert some.server.settled
    assert (result["changed"], actions(result)) == (True, ["create"])


def test_a_user_is_not_made_twice_when_the_answer_is_lost() -> None:
    some = Set()
    some.server.faults = [UNTOLD]
    result = some.run({**CART, "password": "pw-one"})
    assert some.server.written == ["createUser"]
    assert (result["changed"], actions(result)) == (True, ["create"])


def test_a_user_that_somebody_else_makes_in_this_moment_is_no_failure() -> None:
    some = Set()
    do = some.server._do

    def quicker(name: str, value: t.Any, database: str, more: dict[str, t.Any]) -> None:
        if name == "createUser" and ("cart", "cart") not in some.server.users:
            do(name, value, database, {**more, "roles": []})
        do(name, value, database, more)

    some.server._do = quicker  # type: ignore[method-assign]
    result = some.run({**CART, "password": "pw-one"})
    assert actions(result) == ["change"]
    assert some.server.users["cart", "cart"]["roles"] == [{"role": "readWrite", "db": "cart"}]


def test_mongodb_that_tells_something_else_than_it_took_ends_the_run() -> None:
    some = Set()
    user = {**CART, "password": "pw-one"}
    some.run(user)
    do = some.server._do

    def stubborn(name: str, value: t.Any, database: str, more: dict[str, t.Any]) -> None:
        do(name, value, database, {**more, "roles": [{"role": "other", "db": "cart"}]})

    some.server._do = stubborn  # type: ignore[method-assign]
    with pytest.raises(Failure, match="MongoDB took this change, and tells the same as before"):
        some.run({**user, "roles": ["read"]})


names = st.sampled_from(["cart", "stock", "reports"])
entries = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "database": st.just("cart"),
            "state": st.sampled_from(["present", "present", "absent"]),
            "roles": st.sampled_from([None, [], ["read"], ["read", {"role": "readWrite", "db": "stock"}]]),
            "rotation": st.sampled_from(["", "a", "b"]),
        }
    ),
    max_size=3,
    unique_by=lambda entry: entry["name"],
)
faults = st.lists(st.sampled_from([None, *FAULTS]), max_size=10)
deaths = st.lists(st.sampled_from([None, KILLED_BEFORE, KILLED_AFTER]), max_size=5)


def until_done(some: Set, *declared: t.Mapping[str, t.Any]) -> None:
    for _try in range(30):
        try:
            some.run(*declared)
        except Killed:
            continue
        return
    raise AssertionError("it does not end")


@given(entries, entries, faults, deaths)
def test_whatever_happens_users_become_as_declared(
    before: list[dict[str, t.Any]],
    after: list[dict[str, t.Any]],
    database: list[t.Optional[str]],
    secrets: list[t.Optional[str]],
) -> None:
    some = Set()
    some.run(*before)
    some.server.create("cart", "nobody", "pw")
    some.server.faults, some.api.faults = list(database), list(secrets)
    until_done(some, *after)
    some.server.faults, some.api.faults = [], []
    assert some.server.settled
    assert some.password("cart", "nobody") == "pw"
    for entry in after:
        key, secret = ("cart", entry["name"]), f"shop-{entry['name']}"
        assert (key in some.server.users) is (secret in some.api.secrets) is (entry["state"] == "present")
        if entry["state"] == "present":
            assert some.password(*key) == some.api.texts(secret)["password"]
            if entry["roles"] is not None:
                assert len(some.server.users[key]["roles"]) == len(entry["roles"])
    kept = copy.deepcopy(some.api.secrets)
    assert some.run(*after)["changed"] is False
    assert some.api.secrets == kept


# Roles

SELLER = {
    "name": "seller",
    "privileges": [
        {"resource": {"db": "cart", "collection": "orders"}, "actions": ["find", "insert"]},
        {"resource": {"cluster": True}, "actions": ["replSetGetStatus"]},
    ],
    "roles": [{"role": "read", "db": "stock"}],
}
SAME_SELLER = {
    "name": "seller",
    "privileges": [
        {"resource": {"cluster": True}, "actions": ["replSetGetStatus"]},
        {"resource": {"db": "cart", "collection": "orders"}, "actions": ["find"]},
        {"resource": {"db": "cart", "collection": "orders"}, "actions": ["insert", "insert"]},
    ],
    "roles": [{"role": "read", "db": "stock"}, {"role": "read", "db": "stock"}],
}


def test_roles_are_compared_whatever_their_order() -> None:
    some = Set()
    assert actions(some.run_roles(SELLER)) == ["create"]
    assert some.run_roles(SAME_SELLER)["changed"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"privileges": []}, "other privileges"),
        ({"roles": []}, "other roles"),
        ({"authentication_restrictions": [{"client_source": ["10.0.0.1"]}]}, "other authentication restrictions"),
    ],
)
def test_what_is_another_role_is_changed(change: dict[str, t.Any], words: str) -> None:
    some = Set()
    some.run_roles(SELLER)
    result = some.run_roles({**SELLER, **change})
    assert result["done"][0]["step"] == f"change role seller@admin: {words}"
    assert some.run_roles({**SELLER, **change})["changed"] is False
    assert result["diff"][0]["before"] != result["diff"][0]["after"]


def test_roles_that_inherit_from_each_other_are_made_in_order() -> None:
    some = Set()
    chief, boss = {"name": "chief", "roles": ["boss"]}, {"name": "boss", "roles": ["seller"]}
    assert [step["target"] for step in some.run_roles(chief, boss, SELLER)["done"]] == [
        "seller@admin",
        "boss@admin",
        "chief@admin",
    ]
    with pytest.raises(Failure, match="inherit from each other"):
        roles_of([{"name": "a", "roles": ["b"]}, {"name": "b", "roles": ["a"]}])
    gone = [{**role, "state": "absent"} for role in (chief, boss, SELLER)]
    assert actions(some.run_roles(*gone)) == ["drop"] * 3
    assert some.run_roles(*gone)["changed"] is False


def test_a_role_that_is_built_in_is_refused() -> None:
    some = Set()
    some.server.roles["admin", "read"] = {"roles": [], "privileges": [], "restrictions": []}
    told = some.server._role
    some.server._role = lambda key: {**told(key), "isBuiltin": True}  # type: ignore[method-assign]
    with pytest.raises(Failure, match="MongoDB itself has a role of that name"):
        some.run_roles({"name": "read"})


def test_a_role_that_is_not_there_cannot_be_inherited() -> None:
    some = Set()
    with pytest.raises(Failure, match=r"MongoDB refused to create role a@admin: Could not find role: nope@admin"):
        some.run_roles({"name": "a", "roles": ["nope"]})


@given(st.lists(st.sampled_from([None, UNHEARD, UNTOLD, LATE, STEPPED_DOWN, ROLLED_BACK]), max_size=8))
def test_whatever_happens_roles_become_as_declared(database: list[t.Optional[str]]) -> None:
    some = Set()
    some.run_roles({**SELLER, "privileges": []}, {"name": "old"})
    some.server.faults = list(database)
    declared = ({"name": "boss", "roles": ["seller"]}, SELLER, {"name": "old", "state": "absent"})
    some.run_roles(*declared)
    some.server.faults = []
    assert some.server.settled
    assert set(some.server.roles) == {("admin", "seller"), ("admin", "boss")}
    assert some.run_roles(*declared)["changed"] is False


# What is declared


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": ""}, "expected a name in each entry"),
        ({"name": "a", "database": "local"}, "is no database that MongoDB keeps users or roles in"),
        ({"name": "a", "database": "a.b"}, "is no database that MongoDB keeps users or roles in"),
        ({"name": "A_b"}, "can be no name of a Secret"),
        ({"name": "a", "database": "$external", "password": "x"}, "password cannot be given for a user of"),
        ({"name": "a", "database": "$external", "roles": ["read"]}, "with its database, found 'read' alone"),
        ({"name": "a", "password": "x", "rotation": "1"}, "rotation is for passwords that are made here"),
        ({"name": "a", "rotation": "1", "update_password": "on_create"}, "says never to"),
        ({"name": "a", "roles": [{"role": "read"}]}, "to have role and db"),
        ({"name": "a", "authentication_restrictions": [{}]}, "expected client_source or server_address"),
    ],
)
def test_users_that_cannot_be(entry: dict[str, t.Any], words: str) -> None:
    with pytest.raises(Failure, match="users: ") as failure:
        users_of([entry], "shop")
    assert words in failure.value.message


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a", "database": "$external"}, "a role cannot be in $external"),
        ({"name": "a", "privileges": [{"resource": {}, "actions": ["find"]}]}, "expected each resource to have either"),
        (
            {"name": "a", "privileges": [{"resource": {"db": "x", "cluster": True}, "actions": ["find"]}]},
            "expected each resource to have either",
        ),
    ],
)
def test_roles_that_cannot_be(entry: dict[str, t.Any], words: str) -> None:
    with pytest.raises(Failure, match="roles: ") as failure:
        roles_of([entry])
    assert words in failure.value.message


def test_what_is_declared_twice() -> None:
    with pytest.raises(Failure, match="cart@cart: declared twice"):
        users_of([CART, CART], "shop")
    with pytest.raises(Failure, match="would both be kept in the Secret shop-cart"):
        users_of([CART, {**CART, "database": "other"}], "shop")


# Keys of passwords


def test_the_key_of_the_standards_example() -> None:
    # RFC 7677, 3: the salt, and a server key and a stored key that belong to the password "pencil".
    kept = {
        "iterationCount": 4096,
        "salt": "W22ZaJ0SNY7soEsUEjb6gQ==",
        "storedKey": "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=",
    }
    assert matches({"SCRAM-SHA-256": kept}, "user", "pencil")
    assert not matches({"SCRAM-SHA-256": kept}, "user", "pencils")
    assert not matches({"SCRAM-SHA-256": kept}, "user", "\u0007")
    assert not matches({}, "user", "pencil")
    assert not matches({"external": True}, "user", "pencil")


def test_the_older_mechanism_has_a_key_of_its_own() -> None:
    # It is derived from the name as well.
    kept = kept_of("cart", "pencil", ["SCRAM-SHA-1"])
    assert matches(kept, "cart", "pencil")
    assert not matches(kept, "other", "pencil")


def test_a_password_is_prepared_as_the_standard_says() -> None:
    # A soft hyphen is left out, and a character of compatibility becomes the one that it is compatible with.
    kept = kept_of("cart", "IX pencil", ["SCRAM-SHA-256"])
    assert matches(kept, "cart", "\u2168\u00ad pencil")
