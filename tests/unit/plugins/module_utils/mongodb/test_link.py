# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a member's replies are taken for, and what an act makes of them."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _act, _client, _link
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import (
    CommandError,
    Credentials,
    NoAnswer,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import ADD, STEP_DOWN
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

ROOT = Credentials("root", "secret")
STATUS = {
    "set": "shop",
    "myState": 1,
    "term": 2,
    "votingMembersCount": 1,
    "members": [{"name": "a:1", "stateStr": "PRIMARY", "health": 1.0, "self": True}],
}
CONFIG = {
    "config": {
        "_id": "shop",
        "version": 3,
        "term": 2,
        "members": [{"_id": 0, "host": "a:1", "horizons": {"out": "b:2"}}],
        "settings": {"replicaSetId": "id1", "chainingAllowed": True},
    }
}
Replies = t.Callable[[bool, str, t.Any], t.Any]


class FakeTunnel:
    path = "/nowhere"
    error: t.Optional[str] = None
    failure: t.Optional[Failure] = None
    certificate: t.Any = None

    def close(self) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    """A server that replies as its 'replies' say, by login and command; it remembers the commands."""
    state: dict[str, t.Any] = {"asked": []}

    class FakeClient:
        def __init__(self, _path: str, credentials: t.Optional[Credentials]) -> None:
            self.login = credentials is not None
            self.password = credentials.password if credentials else None

        def command(self, name: str, value: t.Any = 1, **_more: t.Any) -> t.Any:
            state["asked"].append((self.login, name, value))
            state["password"] = self.password
            reply = state["replies"](self.login, name, value)
            if isinstance(reply, Exception):
                raise reply
            # What a server hands over is the client's own: it may edit it.
            return copy.deepcopy(reply)

        def close(self) -> None:
            pass

    monkeypatch.setattr(_link, "Client", FakeClient)
    return state


def link(login_first: bool = False) -> _link.Link:
    return _link.Link(t.cast("t.Any", FakeTunnel()), "uid", login_first)


def formed(login: bool, name: str, _value: t.Any) -> t.Any:
    if not login:
        return CommandError(_client.UNAUTHORIZED, "requires authentication")
    return {
        "replSetGetStatus": STATUS,
        "replSetGetConfig": CONFIG,
        "hello": {"isWritablePrimary": True},
        "buildInfo": {"version": "6.0.5"},
        "getParameter": {"featureCompatibilityVersion": {"version": "5.0"}},
    }[name]


def test_member(server: dict[str, t.Any]) -> None:
    server["replies"] = formed
    answer = link().ask(ROOT, new_disk=False)
    assert (answer.kind, answer.state, answer.set_id, answer.voting, answer.term) == (
        Kind.MEMBER,
        "PRIMARY",
        "id1",
        1,
        2,
    )


def test_the_primary_tells_what_the_data_is_kept_in(server: dict[str, t.Any]) -> None:
    server["replies"] = formed
    answer = link().ask(ROOT, new_disk=False)
    assert (answer.version, Snapshot(answers={0: answer}).feature_version) == ("6.0.5", "5.0")


def test_who_was_elected_and_has_not_caught_up_takes_no_writes(server: dict[str, t.Any]) -> None:
    server["replies"] = lambda login, name, value: {"ok": 1} if name == "hello" else formed(login, name, value)
    answer = link().ask(ROOT, new_disk=False)
    assert (answer.state, answer.writable) == ("PRIMARY", False)
    assert Snapshot(answers={0: answer}).primary is None


def test_a_login_that_worked_is_not_preceded_by_a_try_without(server: dict[str, t.Any]) -> None:
    server["replies"] = formed
    member = link()
    member.ask(ROOT, new_disk=False)
    server["asked"].clear()
    member.ask(ROOT, new_disk=False)
    assert all(login for login, _name, _value in server["asked"])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (_client.NOT_YET_INITIALIZED, Kind.UNINITIALISED),
        (_client.INVALID_CONFIG, Kind.REMOVED),
        (_client.NO_REPLICATION, Kind.STANDALONE),
        (8000, Kind.UNREACHABLE),
    ],
)
def test_errors_are_told_apart(server: dict[str, t.Any], code: int, kind: Kind) -> None:
    server["replies"] = lambda _login, name, _value: CommandError(code, "no") if name != "hello" else {}
    assert link().ask(ROOT, new_disk=True).kind is kind


def test_who_lets_in_a_login_and_is_not_initialised_has_users_and_no_new_disk(server: dict[str, t.Any]) -> None:
    def forgotten(login: bool, name: str, _value: t.Any) -> t.Any:
        if not login:
            return CommandError(_client.UNAUTHORIZED, "requires authentication")
        if name == "hello":
            return {"topologyVersion": {"processId": 1}}
        return CommandError(_client.NOT_YET_INITIALIZED, "no replset config has been received")

    server["replies"] = forgotten
    for member in (link(), link(login_first=True)):
        answer = member.ask(ROOT, new_disk=True)
        assert (answer.kind, answer.users, answer.settled) == (Kind.UNINITIALISED, True, False)

    def empty(login: bool, name: str, _value: t.Any) -> t.Any:
        code = _client.AUTHENTICATION_FAILED if login else _client.NOT_YET_INITIALIZED
        return CommandError(code, "no")

    server["replies"] = empty
    answer = link(login_first=True).ask(ROOT, new_disk=True)
    assert (answer.kind, answer.users, answer.settled) == (Kind.UNINITIALISED, False, True)


def test_silence_is_not_uninitialised(server: dict[str, t.Any]) -> None:
    server["replies"] = lambda *_: NoAnswer("timed out")
    assert link().ask(ROOT, new_disk=True).kind is Kind.UNREACHABLE


def test_a_missing_right_is_not_waited_for(server: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server["replies"] = lambda *_: NoAnswer("closed")
    monkeypatch.setattr(FakeTunnel, "failure", ApiError("forbidden", 403, "Forbidden"))
    with pytest.raises(ApiError):
        link().ask(ROOT, new_disk=True)


def test_no_user_yet(server: dict[str, t.Any]) -> None:
    """The localhost exception shows the status, and not the configuration."""

    def replies(login: bool, name: str, _value: t.Any) -> t.Any:
        if login:
            return CommandError(18, "no such user")
        return CommandError(13, "no") if name == "replSetGetConfig" else STATUS

    server["replies"] = replies
    answer = link(login_first=True).ask(ROOT, new_disk=False)
    assert (answer.kind, answer.open, answer.config) == (Kind.NO_USER, False, None)


@pytest.mark.parametrize("credentials", [None, ROOT])
def test_who_runs_without_authentication_is_a_member_like_any_other(
    server: dict[str, t.Any], credentials: t.Optional[Credentials]
) -> None:
    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        return CommandError(18, "no such user") if login else formed(True, name, value)

    server["replies"] = replies
    member = link()
    for _look in range(2):
        answer = member.ask(credentials, new_disk=False)
        assert (answer.kind, answer.open, answer.set_id, answer.me) == (Kind.MEMBER, True, "id1", "a:1")
        # What is done there is done as nobody, too.
        assert not t.cast("t.Any", member.client(login=True)).login
    assert not member.lets_in()


def test_where_the_root_user_is_there_already_it_is_logged_in_all_the_same(server: dict[str, t.Any]) -> None:
    server["replies"] = lambda _login, name, value: formed(True, name, value)
    member = link()
    answer = member.ask(ROOT, new_disk=False)
    assert (answer.kind, answer.open) == (Kind.MEMBER, False)
    assert t.cast("t.Any", member.client(login=True)).login
    assert member.lets_in()


def test_what_a_member_does_about_logins_is_asked_without_one(server: dict[str, t.Any]) -> None:
    security: dict[str, t.Any] = {}
    server["replies"] = lambda _login, _name, _value: {"parsed": {"security": security}}
    assert link().authentication() == "disabled"
    security.update(keyFile="/k", transitionToAuth=True)
    assert link().authentication() == "transition"
    server["replies"] = lambda _login, _name, _value: CommandError(13, "no")
    assert link().authentication() == "required"
    assert not any(login for login, _name, _value in server["asked"])


@pytest.mark.parametrize("valid", ["old", "next", "previous"])
def test_while_the_password_changes_whichever_is_valid_lets_in(server: dict[str, t.Any], valid: str) -> None:
    def one_is_valid(login: bool, name: str, value: t.Any) -> t.Any:
        if login and server["password"] != valid:
            return CommandError(18, "no")
        return formed(login, name, value)

    server["replies"] = one_is_valid
    some = link(login_first=True)
    both = Credentials("root", "old", ("next", "previous", "old"))
    assert some.ask(both, new_disk=False).kind is Kind.MEMBER
    # It stays with what worked.
    server["asked"].clear()
    assert some.ask(both, new_disk=False).kind is Kind.MEMBER
    assert [name for _login, name, _value in server["asked"]] == [
        "replSetGetStatus",
        "replSetGetConfig",
        "hello",
        "getParameter",
    ]
    # And finds the other one when that is valid.
    valid = "next"
    some._drop(login=True)
    assert some.ask(both, new_disk=False).kind is Kind.MEMBER
    assert server["password"] == "next"  # noqa: S105
    assert link(login_first=True).ask(Credentials("root", "other", ("wrong",)), new_disk=False).kind is Kind.REFUSED


def test_wrong_password(server: dict[str, t.Any]) -> None:
    server["replies"] = lambda login, _name, _value: CommandError(18 if login else 13, "no")
    for login_first in (True, False):
        assert link(login_first).ask(ROOT, new_disk=False).kind is Kind.REFUSED
    assert link().ask(None, new_disk=False).kind is Kind.REFUSED


def test_a_user_made_by_somebody_else_meanwhile_is_no_wrong_password(server: dict[str, t.Any]) -> None:
    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        first = sum(1 for asked in server["asked"] if asked[0]) == 1
        return CommandError(18, "no such user") if login and first else formed(login, name, value)

    server["replies"] = replies
    assert link(login_first=True).ask(ROOT, new_disk=False).kind is Kind.MEMBER


def test_not_initialised_is_believed_in_time(server: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> None:
    process, now = ["p1"], [100.0]

    def replies(_login: bool, name: str, _value: t.Any) -> t.Any:
        return {"topologyVersion": {"processId": process[0]}} if name == "hello" else CommandError(94, "none")

    server["replies"] = replies
    monkeypatch.setattr(_link.time, "monotonic", lambda: now[0])
    member = link()
    assert member.ask(ROOT, new_disk=True).settled
    assert not member.ask(ROOT, new_disk=False).settled
    now[0] += 9
    assert not member.ask(ROOT, new_disk=False).settled
    process[0] = "p2"  # it was restarted: from the beginning
    now[0] += 2
    assert not member.ask(ROOT, new_disk=False).settled
    now[0] += 10
    assert member.ask(ROOT, new_disk=False).settled


class FakeObserver:
    """What an act needs of an observer."""

    def __init__(self, member: _link.Link) -> None:
        self.links = {0: member}
        self.target = Target("shop", "shop", "shop")


def add(server: dict[str, t.Any], version: int = 3, **data: t.Any) -> None:
    """Add a member, planned on this version of the configuration."""
    member = link()
    step = Step(
        ADD,
        "shop-1",
        "add shop-1",
        data={"ordinal": 1, "host": "c:3", "options": MemberOptions(), "version": version, "term": 2, **data},
    )
    seen = Snapshot(answers={0: member.ask(ROOT, new_disk=False)})
    server["asked"].clear()
    _act.act(t.cast(t.Any, FakeObserver(member)), step, seen)


def sent(server: dict[str, t.Any]) -> list[t.Any]:
    return [value for _login, name, value in server["asked"] if name == "replSetReconfig"]


def with_reconfig(reply: t.Any, installs: bool = False) -> Replies:
    config = dict(CONFIG)

    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        if name == "replSetReconfig":
            if installs:
                config["config"] = value
            return reply
        return config if name == "replSetGetConfig" else formed(login, name, value)

    return replies


def test_reconfiguration_keeps_what_is_not_declared(server: dict[str, t.Any]) -> None:
    server["replies"] = with_reconfig({"ok": 1})
    add(server)
    (document,) = sent(server)
    assert document["version"] == 4
    assert document["members"][0]["horizons"] == {"out": "b:2"}
    assert document["members"][1]["_id"] == 1
    assert document["members"][1]["host"] == "c:3"


@pytest.mark.parametrize(("source", "sets"), [("implicit", True), ("global", False)])
def test_an_arbiter_comes_once_a_default_write_concern_is_set(
    server: dict[str, t.Any], source: str, sets: bool
) -> None:
    reconfig = with_reconfig({"ok": 1})

    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        if name.endswith("DefaultRWConcern"):
            return {"defaultWriteConcernSource": source}
        return reconfig(login, name, value)

    server["replies"] = replies
    add(server, options=MemberOptions(priority=0.0, arbiter_only=True), horizons={"out": "c:4"})
    names = [name for _login, name, _value in server["asked"]]
    assert ("setDefaultRWConcern" in names) is sets
    (document,) = sent(server)
    assert document["members"][1]["arbiterOnly"] is True
    assert document["members"][1]["horizons"] == {"out": "c:4"}


def test_reconfiguration_is_a_compare_and_set(server: dict[str, t.Any]) -> None:
    server["replies"] = with_reconfig({"ok": 1})
    with pytest.raises(NotYet, match="moved from version 2 to 3"):
        add(server, version=2)
    assert sent(server) == []


@pytest.mark.parametrize("code", _act.TRANSIENT)
def test_transient_answers_are_waited_for(server: dict[str, t.Any], code: int) -> None:
    server["replies"] = with_reconfig(CommandError(code, "host nowhere.example"))
    with pytest.raises(NotYet, match=r"nowhere\.example"):
        add(server)


def test_other_answers_are_failures(server: dict[str, t.Any]) -> None:
    server["replies"] = with_reconfig(CommandError(_client.INVALID_CONFIG, "bad priority"))
    with pytest.raises(Failure, match="bad priority"):
        add(server)


def test_a_change_that_is_installed_is_done(server: dict[str, t.Any]) -> None:
    server["replies"] = with_reconfig(CommandError(_client.MAX_TIME_EXPIRED, "no majority yet"), installs=True)
    add(server)
    assert len(sent(server)) == 1


def step_down(server: dict[str, t.Any]) -> None:
    """Of three members the first is primary, and is to step down for the third."""
    members = {ordinal: link() for ordinal in range(3)}
    seen = Snapshot(answers={0: members[0].ask(ROOT, new_disk=False)})
    server["asked"].clear()
    observer = FakeObserver(members[0])
    observer.links = members
    step = Step(STEP_DOWN, "shop-0", "let shop-0 step down for shop-2", data={"ordinal": 0, "to": 2})
    _act.act(t.cast(t.Any, observer), step, seen)


def stepping_down(reply: t.Any) -> Replies:
    """Another source is taken when it is told, and gives something once there is something new."""
    source, newest = ["shop-0.shop.shop.svc.cluster.local:27017"], [1]

    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        if name == "replSetStepDown":
            return reply
        if name == "replSetSyncFrom":
            source[0] = value
        if name == "appendOplogNote":
            newest[0] += 1
        if name == "replSetGetStatus":
            return {**STATUS, "syncSourceHost": source[0], "optimes": {"appliedOpTime": {"ts": newest[0]}}}
        return CONFIG if name == "replSetGetConfig" else {"ok": 1, "isWritablePrimary": True}

    return replies


def commands(server: dict[str, t.Any]) -> list[tuple[str, t.Any]]:
    return [(name, value) for _login, name, value in server["asked"] if name not in ("replSetGetStatus", "hello")]


def test_the_one_that_is_to_take_over_is_alone_and_followed(server: dict[str, t.Any]) -> None:
    server["replies"] = stepping_down(NoAnswer("it closed the connection"))
    step_down(server)
    assert commands(server) == [
        ("replSetFreeze", 0),
        ("replSetSyncFrom", "shop-2.shop.shop.svc.cluster.local:27017"),
        # One for each look: told, seen to have another source, seen to have got something from there.
        ("appendOplogNote", 1),
        ("appendOplogNote", 1),
        ("replSetFreeze", _act.STAND_BACK),
        ("replSetStepDown", _act.STAY_OUT),
        ("replSetStepUp", 1),
        ("replSetFreeze", 0),
    ]


def test_a_lost_election_is_tried_again_while_the_others_stand_back(
    server: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_act, "STANDS_AGAIN", 0.0)
    lost = [CommandError(125, "Election failed."), NoAnswer("it is busy")]
    usual = stepping_down({"ok": 1})

    def replies(login: bool, name: str, value: t.Any) -> t.Any:
        if name == "replSetStepUp":
            return lost.pop(0) if lost else {"ok": 1}
        # The old primary is asked first; after that nobody is one.
        stepped_down = ("replSetStepDown", _act.STAY_OUT) in commands(server)
        return {"isWritablePrimary": not stepped_down} if name == "hello" else usual(login, name, value)

    server["replies"] = replies
    step_down(server)
    assert commands(server)[-4:] == [("replSetStepUp", 1)] * 3 + [("replSetFreeze", 0)]


def test_who_is_elected_already_stands_no_more(server: dict[str, t.Any]) -> None:
    usual = stepping_down({"ok": 1})
    server["replies"] = lambda login, name, value: (
        CommandError(125, "Election failed.") if name == "replSetStepUp" else usual(login, name, value)
    )
    step_down(server)
    assert commands(server).count(("replSetStepUp", 1)) == 1


def test_a_source_that_gives_nothing_is_told_again_and_not_waited_for_for_long(
    server: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a member does that finds nothing newer there: it has no source, and looks for one later."""
    monkeypatch.setattr(_act, "FOLLOWS_WITHIN", 0.3)
    monkeypatch.setattr(_act, "FOLLOWS_TOLD_AGAIN", 0.0)
    usual = stepping_down({"ok": 1})
    server["replies"] = lambda login, name, value: (
        {**STATUS, "syncSourceHost": ""} if name == "replSetGetStatus" else usual(login, name, value)
    )
    step_down(server)
    told = commands(server).count(("replSetSyncFrom", "shop-2.shop.shop.svc.cluster.local:27017"))
    assert told > 1
    assert ("replSetStepDown", _act.STAY_OUT) in commands(server)


def test_nobody_is_left_frozen_by_a_primary_that_stays(server: dict[str, t.Any]) -> None:
    server["replies"] = stepping_down(CommandError(_client.EXCEEDED_TIME_LIMIT, "nobody has caught up"))
    with pytest.raises(NotYet, match="nobody has caught up"):
        step_down(server)
    assert ("replSetStepUp", 1) not in commands(server)
    assert commands(server)[-1] == ("replSetFreeze", 0)
