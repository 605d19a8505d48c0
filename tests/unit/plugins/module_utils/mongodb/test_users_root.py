# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another password for the root user: whatever happens at any write, a valid password stands in the Secret."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._root import RootPassword
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, PREVIOUS

from .users_in_memory import (
    FAULTS,
    KILLED_AFTER,
    KILLED_BEFORE,
    LATE,
    ROOT,
    Api,
    FreeLock,
    Killed,
    Server,
    Task,
    Watcher,
)

CHOSEN = "a chosen one"
OWNED = [{"kind": "ExternalSecret", "name": "root", "controller": True}]


def run(server: Server, api: Api, check: bool = False, **wish: t.Any) -> dict[str, t.Any]:
    watcher, task = Watcher(server, api), Task(check)
    operation = RootPassword(t.cast("t.Any", watcher), Wish(**wish), 30, task.conceal)
    operation.lock = t.cast("t.Any", FreeLock())
    result = carry_out(operation, task)
    assert api.texts("shop-root")["password"] in task.concealed
    shown = str((result, task.lines))
    assert not [password for password in api.texts("shop-root").values() if password != "root" and password in shown]  # noqa: S105
    result["warnings"] = task.warnings
    return result


def nobody_is_locked_out(server: Server, api: Api) -> None:
    stands = api.texts("shop-root")
    assert server.users[ROOT]["pwd"] in [stands.get(key) for key in ("password", NEXT, PREVIOUS)]


def complete(server: Server, api: Api) -> None:
    stands = api.texts("shop-root")
    assert stands["password"] == server.users[ROOT]["pwd"]
    assert NEXT not in stands
    assert server.settled


def test_a_rotation_is_done_once() -> None:
    server, api = Server(), Api()
    result = run(server, api, rotation="2026-11")
    assert [step["action"] for step in result["done"]] == ["write_next", "change", "move"]
    complete(server, api)
    stands = api.texts("shop-root")
    assert (stands[PREVIOUS], result["state"]["rotation"]) == ("first", "2026-11")
    assert len(stands["password"]) == 32
    again = run(server, api, rotation="2026-11")
    assert (again["changed"], again["plan"]) == (False, [])
    assert run(server, api)["changed"] is False
    assert run(server, api, rotation="2026-12")["changed"] is True


def test_a_chosen_password() -> None:
    server, api = Server(), Api()
    assert run(server, api, new_password=CHOSEN)["changed"] is True
    assert api.texts("shop-root")["password"] == CHOSEN
    complete(server, api)
    assert run(server, api, new_password=CHOSEN)["changed"] is False


def test_check_mode_shows_the_plan_and_changes_nothing() -> None:
    server, api = Server(), Api()
    result = run(server, api, check=True, rotation="1")
    assert [step["action"] for step in result["plan"]] == ["write_next", "change", "move"]
    assert (result["changed"], api.written, server.written) == (True, [], [])


@pytest.mark.parametrize("fault", [KILLED_BEFORE, KILLED_AFTER])
@pytest.mark.parametrize("write", range(3))
def test_killed_at_any_write_it_is_completed_without_being_told_what(write: int, fault: str) -> None:
    server, api = Server(), Api()
    # The writes in their order: the Secret, the database, the Secret.
    place, faults = [(api, [fault]), (server, [fault]), (api, [None, fault])][write]
    place.faults = t.cast("t.Any", list(faults))
    with pytest.raises(Killed):
        run(server, api, rotation="1")
    nobody_is_locked_out(server, api)
    begun = NEXT in api.texts("shop-root")
    assert begun is ((write, fault) in [(0, KILLED_AFTER), (1, KILLED_BEFORE), (1, KILLED_AFTER), (2, KILLED_BEFORE)])
    # Whoever comes next completes what has begun, and nothing else.
    assert run(server, api)["changed"] is begun
    if begun:
        complete(server, api)
    assert run(server, api, rotation="1")["changed"] is ((write, fault) == (0, KILLED_BEFORE))
    complete(server, api)


def test_another_password_is_wanted_after_a_kill() -> None:
    server, api = Server(), Api()
    server.faults = [KILLED_AFTER]
    with pytest.raises(Killed):
        run(server, api, new_password="pw-one")  # noqa: S106
    result = run(server, api, new_password=CHOSEN)
    # The database may have the one already: it is completed, and not written over.
    assert [step["action"] for step in result["done"]] == ["change", "move", "write_next", "change", "move"]
    assert api.texts("shop-root")["password"] == CHOSEN
    complete(server, api)


def test_what_no_majority_has_is_not_moved() -> None:
    server, api = Server(), Api()
    server.faults = [LATE, LATE, LATE]
    watcher, task = Watcher(server, api), Task()
    operation = RootPassword(t.cast("t.Any", watcher), Wish("1"), 30, task.conceal)
    operation.lock = t.cast("t.Any", FreeLock())
    moves: list[bool] = []
    merge = api.merge

    def watched(*arguments: t.Any) -> None:
        if NEXT not in arguments[4]["data"] or arguments[4]["data"][NEXT] is None:
            moves.append(server.settled)
        merge(*arguments)

    api.merge = watched  # type: ignore[method-assign]
    carry_out(operation, task)
    assert moves == [True]
    complete(server, api)


@given(
    st.lists(st.sampled_from([None, *FAULTS]), max_size=8),
    st.lists(st.sampled_from([None, KILLED_BEFORE, KILLED_AFTER]), max_size=4),
)
def test_whatever_happens_somebody_can_log_in(database: list[t.Optional[str]], secrets: list[t.Optional[str]]) -> None:
    server, api = Server(), Api()
    server.faults, api.faults = list(database), list(secrets)
    for _try in range(20):
        try:
            run(server, api, rotation="1")
        except Killed:
            nobody_is_locked_out(server, api)
            continue
        break
    complete(server, api)
    assert api.secrets["shop-root"]["metadata"]["annotations"] == {"stateful.kube/rotation": "1"}


def test_a_secret_that_somebody_else_writes_is_left_to_them() -> None:
    server, api = Server(), Api()
    api.put("shop-root", {"username": "root", "password": "first"}, ownerReferences=OWNED)
    with pytest.raises(Failure, match="belongs to ExternalSecret root"):
        run(server, api, rotation="1")
    api.put("shop-root", {"username": "root", "password": "first", NEXT: "pw-second"}, ownerReferences=OWNED)
    result = run(server, api)
    assert ([step["action"] for step in result["done"]], server.users[ROOT]["pwd"]) == (["change"], "pw-second")
    again = run(server, api)
    assert again["changed"] is False
    assert "put it under password now" in again["warnings"][0]
    assert api.written == []
    api.put("shop-root", {"username": "root", "password": "pw-second"}, ownerReferences=OWNED)
    assert run(server, api)["warnings"] == []


def test_a_wrong_password_is_refused() -> None:
    server, api = Server(), Api()
    api.put("shop-root", {"username": "root", "password": "wrong"})
    with pytest.raises(Failure, match="does not let in the user of the Secret ns/shop-root"):
        run(server, api, rotation="1")
    assert api.written == []


def test_a_set_that_cannot_be_asked_is_not_touched() -> None:
    server, api = Server(), Api()
    watcher, task = Watcher(server, api), Task(check_mode=True)
    watcher.silent = {1, 2}
    operation = RootPassword(t.cast("t.Any", watcher), Wish("1"), 0, task.conceal)
    result = carry_out(operation, task)
    assert [step["action"] for step in result["plan"]] == ["wait"]
    assert "1 of 3 voting members do so far" in result["plan"][0]["step"]
