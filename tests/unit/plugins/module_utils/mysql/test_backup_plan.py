# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup and a restore of MySQL or MariaDB are planned to do, and what they refuse."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _accounts as accounts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _logs as logs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _restore_plan as restoring
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import BINLOG, FULL, Manifest
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import Around, Wish, plan, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Log, Server, history
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import GtidSet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from three_servers import HEALTHY, SILENT, TARGET, UUIDS, primary, replica, snapshot

ALONE = snapshot([primary()])
PARAMS: dict[str, t.Any] = {"dest": "/b", "mode": FULL, "keep": 0, "read_from": "", "verify": False}


def made(kind: str = FULL, end: str = f"{UUIDS[0]}:1-5", minute: int = 1, **more: t.Any) -> Manifest:
    at = f"2026-11-22T10:{minute:02}:00Z"
    fields = {"backup": f"shop-{minute}", "kind": kind, "namespace": "shop", "name": "shop", "set_id": "life"}
    fields |= {"flavour": "mysql", "version": "9.7.4-2", "member": "shop-1", "started": at, "ended": at, "start": ""}
    return Manifest(**{**fields, "end": end, "until": at, "files": (), **more})  # type: ignore[arg-type]


def planned(seen: Snapshot, wish: Wish = Wish("/b"), **more: t.Any) -> Plan:  # noqa: B008
    found = plan(TARGET, wish, Around(seen, "life", **more))
    assert isinstance(found, Plan), found
    return found


def refused(seen: Snapshot, wish: Wish = Wish("/b"), **more: t.Any) -> str:  # noqa: B008
    found = plan(TARGET, wish, Around(seen, "life", **more))
    assert isinstance(found, Refusal), found
    return found.sentence()


def steps(found: Plan) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in found.steps]


def test_a_replica_that_is_close_behind_is_read_and_the_primary_where_it_is_alone() -> None:
    assert steps(planned(HEALTHY)) == [("dump", "shop-2")]
    assert steps(planned(snapshot([primary(), replica(1), replica(2, lag=99.0)]))) == [("dump", "shop-1")]
    assert steps(planned(ALONE)) == [("dump", "shop-0")]
    assert planned(ALONE).warnings
    assert not planned(HEALTHY).warnings


def test_nobody_is_read_who_is_behind_but_who_is_named() -> None:
    behind = snapshot([primary(), replica(1, lag=99.0), SILENT])
    waiting = planned(behind)
    assert steps(waiting) == [("wait", "shop")]
    assert "shop-1 is 99 s behind" in waiting.steps[0].sentence
    assert not waiting.changes
    assert steps(planned(behind, Wish("/b", read_from="shop-0"))) == [("dump", "shop-0")]
    assert steps(planned(behind, Wish("/b", read_from="shop-2"))) == [("wait", "shop")]
    assert "read_from: shop-7 is no pod of shop" in refused(behind, Wish("/b", read_from="shop-7"))


def test_binary_logs_are_those_of_the_primary_and_need_a_full_backup() -> None:
    wish = Wish("/b", BINLOG)
    older = made(end=f"{UUIDS[0]}:1-4")
    assert "Binary logs continue a full backup" in refused(HEALTHY, wish)
    assert "is of other data (another)" in refused(HEALTHY, wish, manifests=(made(set_id="another"),))
    assert steps(planned(HEALTHY, wish, manifests=(older,))) == [("dump", "shop-0")]
    silent = snapshot([SILENT, replica(1), replica(2)])
    assert steps(planned(silent, wish, manifests=(older,))) == [("wait", "shop")]


def test_where_nothing_is_new_there_is_nothing_to_do() -> None:
    assert planned(HEALTHY, Wish("/b", BINLOG), manifests=(made(),)).steps == ()
    assert steps(planned(HEALTHY, manifests=(made(),))) == [("dump", "shop-2")]


def test_what_is_old_is_removed_after_the_new_one_is_proven() -> None:
    wish = Wish("/b", keep=1, verify=True)
    old, others = made(), made(minute=2, set_id="another")
    expected = [("dump", "shop-2"), ("verify", "shop"), ("remove", "shop-1")]
    assert steps(planned(HEALTHY, wish, manifests=(old, others))) == expected
    assert steps(planned(HEALTHY, wish, manifests=(old, others), leftovers=("x",)))[0] == ("remove", "x")
    new = made(minute=9)
    assert steps(planned(HEALTHY, wish, manifests=(old, new), made=True)) == [("verify", "shop"), ("remove", "shop-1")]
    done = planned(HEALTHY, wish, manifests=(old, new), made=True, verified=True)
    assert steps(done) == [("remove", "shop-1")]
    assert planned(HEALTHY, wish, manifests=(new,), made=True, verified=True).steps == ()


assert HEALTHY.record
IMPORTING = dataclasses.replace(HEALTHY.record, importing="old:3306")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stateful_set": None}, "There is no StatefulSet shop in namespace shop"),
        ({"secret": False}, "There is no Secret "),
        ({"record": None}, "Nobody has been primary of shop yet"),
        ({"record": IMPORTING}, "Data of old:3306 is being imported into"),
    ],
)
def test_what_is_not_there_is_refused(change: dict[str, t.Any], says: str) -> None:
    seen = dataclasses.replace(HEALTHY, **change)
    assert says in refused(seen)
    found = restoring.plan(TARGET, restoring.Wish(made()), restoring.Around(seen, ()))
    assert isinstance(found, Refusal)
    assert says in found.sentence()


def test_what_is_half_restored_is_not_backed_up() -> None:
    assert "A restore of shop-1 into shop has not come to its end" in refused(HEALTHY, restoring="shop-1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dest": "b"}, "dest: expected an absolute path"),
        ({"keep": -1}, "keep: expected a number"),
        ({"mode": BINLOG, "verify": True}, "verify: not with mode binlog"),
        ({"mode": BINLOG, "read_from": "shop-1"}, "read_from: not with mode binlog"),
    ],
)
def test_wrong_options_are_named(change: dict[str, t.Any], says: str) -> None:
    wish_of(PARAMS)
    with pytest.raises(Failure, match=says):
        wish_of({**PARAMS, **change})


def restored(
    seen: Snapshot = HEALTHY,
    databases: t.Optional[tuple[str, ...]] = (),
    mark: t.Optional[dict[str, t.Any]] = None,
    done: tuple[str, ...] = (),
    **wish: t.Any,
) -> t.Union[list[str], str]:
    wanted = restoring.Wish(**{"base": made(), **wish})
    found = restoring.plan(TARGET, wanted, restoring.Around(seen, databases, mark or {}, done))
    return found.sentence() if isinstance(found, Refusal) else [step.action for step in found.steps]


def test_an_empty_application_is_restored_into() -> None:
    assert restored() == ["clear", "load", "finish"]
    assert restored(slices=(made(BINLOG, minute=2),)) == ["clear", "load", "replay", "finish"]
    assert restored(done=("clear", "load")) == ["finish"]
    assert restored(done=("clear", "load", "finish")) == []
    assert restored(seen=snapshot([SILENT, replica(1)]), databases=None) == ["wait"]


def test_databases_are_lost_only_where_the_name_is_typed() -> None:
    assert "holds databases, and a restore replaces all of them. Seen: its databases are a" in restored(
        databases=("a",)
    )
    assert restored(databases=("a",), overwrite_data_of="shop") == ["clear", "load", "finish"]
    for databases in ((), ("a",)):
        assert "found shop-1." in restored(databases=databases, overwrite_data_of="shop-1")


def test_a_restore_that_was_killed_is_begun_anew_without_the_name_but_no_other() -> None:
    mark = {**restoring.Wish(made()).identity, "scheduler": True}
    assert restored(databases=("a",), mark=mark) == ["clear", "load", "finish"]
    assert "a restore of shop-1 into it has not come to its end" in restored(mark=mark, until="2026-11-22T10:02:00Z")
    assert "a restore of shop-1 into it" in restored(databases=(), mark=mark, base=made(minute=2))


def test_what_the_server_may_not_understand_is_refused() -> None:
    assert "neither reads all that the other writes" in restored(base=made(flavour="mariadb", end="0-100-5"))
    assert "an older server may not understand" in restored(base=made(version="10.0.0"))
    assert restored(base=made(version="9.7.99")) == ["clear", "load", "finish"]


def test_histories_are_read_from_a_binary_log() -> None:
    one = f"SET @@SESSION.GTID_NEXT= '{UUIDS[0]}:7'"
    tagged = f"SET @@SESSION.GTID_NEXT= '{UUIDS[0]}:tag:1'"
    assert history("mysql", f"{UUIDS[0]}:1-6,\n{UUIDS[1]}:1", [one, tagged]) == f"{UUIDS[0]}:1-7:tag:1,{UUIDS[1]}:1"
    assert history("mysql", "", []) == ""
    assert history("mariadb", "[0-100-5,0-101-6]", ["BEGIN GTID 0-100-7", "GTID 0-100-8 cid=3"]) == "0-100-8,0-101-6"
    assert history("mariadb", "[]", []) == ""


class Binlog:
    """A server with files of a binary log: name, and the last transaction before it."""

    flavour = "mysql"

    def __init__(self, *files: tuple[str, int], encrypted: bool = False) -> None:
        self.files = list(files)
        self.encrypted = encrypted

    def ask(self, statement: str) -> None:
        assert statement == "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS"

    def now(self) -> str:
        return "2026-11-22T11:00:00Z"

    def logs(self) -> list[Log]:
        return [Log(name, 9, self.encrypted) for name, _last in self.files]

    def history_at(self, name: str) -> str:
        last = dict(self.files)[name]
        return f"{UUIDS[0]}:1-{last}" if last else ""


def new_logs(server: Binlog, ends: t.Sequence[Manifest], last: int = 20) -> tuple[logs.Logs, list[str]]:
    said: list[str] = []
    executed = GtidSet.parse(f"{UUIDS[0]}:1-{last}")
    return logs.new_logs(t.cast(Server, server), ends, executed, "shop/shop", said.append), said


FILES = (("b.1", 0), ("b.2", 5), ("b.3", 10), ("b.4", 20))


def test_as_few_files_are_copied_as_continue_the_last_backup() -> None:
    found, said = new_logs(Binlog(*FILES), [made(end=f"{UUIDS[0]}:1-7")])
    assert [log.name for log in found.copied] == ["b.2", "b.3"]
    assert (found.start, found.end) == (f"{UUIDS[0]}:1-5", f"{UUIDS[0]}:1-20")
    assert found.until == "2026-11-22T11:00:00Z"
    assert not said


def test_a_gap_is_told_and_what_can_be_continued_is() -> None:
    with pytest.raises(Failure, match=rf"begins after {UUIDS[0]}:1-10, and the last backup ends with {UUIDS[0]}:1-7:"):
        new_logs(Binlog(*FILES[2:]), [made(end=f"{UUIDS[0]}:1-7")])
    newer = made(end=f"{UUIDS[0]}:1-12", minute=9)
    old = [made(end=f"{UUIDS[0]}:1-3"), made(BINLOG, end=f"{UUIDS[0]}:1-7", minute=2)]
    found, said = new_logs(Binlog(*FILES[2:]), [*old, newer])
    assert [log.name for log in found.copied] == ["b.3"]
    assert "older ones cannot be restored beyond the gap" in said[0]


def test_a_history_that_has_parted_continues_nothing() -> None:
    with pytest.raises(Failure, match=r"the primary lacks some of that"):
        new_logs(Binlog(*FILES), [made(end=f"{UUIDS[0]}:1-5,{UUIDS[1]}:1")])


def test_encrypted_files_are_not_copied() -> None:
    with pytest.raises(Failure, match=r"the binary log is encrypted"):
        new_logs(Binlog(*FILES, encrypted=True), [made()])


def test_accounts_are_added_with_their_roles_last_and_without_the_password_in_a_grant() -> None:
    statement = "CREATE USER `a`@`%` IDENTIFIED WITH 'x' AS 0x24 DEFAULT ROLE `r`@`%`,`s`@`%` REQUIRE NONE"
    assert accounts.created(statement) == (
        "CREATE USER IF NOT EXISTS `a`@`%` IDENTIFIED WITH 'x' AS 0x24 REQUIRE NONE",
        "`r`@`%`,`s`@`%`",
    )
    for before, after in (
        ("GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*1'", "GRANT USAGE ON *.* TO `a`@`%`"),
        (
            "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED VIA ed25519 USING 'x' REQUIRE SSL WITH GRANT OPTION",
            "GRANT USAGE ON *.* TO `a`@`%` REQUIRE SSL WITH GRANT OPTION",
        ),
        ("GRANT SELECT ON `shop`.* TO `a`@`%`", "GRANT SELECT ON `shop`.* TO `a`@`%`"),
    ):
        assert accounts.without_password(before) == after


def test_of_a_statement_about_an_account_no_password_is_shown() -> None:
    assert accounts.whose("CREATE USER IF NOT EXISTS `a`@`%` IDENTIFIED BY PASSWORD '*1'") == "CREATE … `a`@`%`"
    assert accounts.load(accounts.dump(["a", "b;\tc"])) == ["a", "b;\tc"]


class Accounts:
    """A server that knows accounts."""

    def __init__(self, flavour: str, answers: t.Mapping[str, list[dict[str, t.Any]]]) -> None:
        self.flavour = flavour
        self.answers = answers

    def ask(self, statement: str) -> list[dict[str, t.Any]]:
        return self.answers.get(statement, [])


def test_neither_root_nor_accounts_of_the_role_are_saved() -> None:
    own = [{"u": name, "h": "%"} for name in ("root", "boss", "stateful_health", "stateful_replication", "mysql.sys")]
    answers = {
        "SELECT user AS u, host AS h FROM mysql.user": [*own, {"u": "a'b", "h": "%"}],
        "SHOW CREATE USER 'a''b'@'%'": [{"x": "CREATE USER `a'b`@`%` DEFAULT ROLE `r`@`%`"}],
        "SHOW GRANTS FOR 'a''b'@'%'": [{"x": "GRANT `r`@`%` TO `a'b`@`%`"}],
    }
    assert accounts.read(t.cast(Server, Accounts("mysql", answers)), "boss") == [
        "CREATE USER IF NOT EXISTS `a'b`@`%`",
        "GRANT `r`@`%` TO `a'b`@`%`",
        "ALTER USER 'a''b'@'%' DEFAULT ROLE `r`@`%`",
    ]


def test_roles_of_mariadb_come_before_users() -> None:
    rows = [{"u": "u", "h": "%", "r": "N"}, {"u": "r", "h": "", "r": "Y"}, {"u": "PUBLIC", "h": "", "r": "Y"}]
    answers = {
        "SELECT user AS u, host AS h, is_role AS r FROM mysql.user": rows,
        "SHOW CREATE USER 'u'@'%'": [{"x": "CREATE USER `u`@`%`"}],
        "SHOW GRANTS FOR 'u'@'%'": [{"x": "GRANT `r` TO `u`@`%`"}, {"x": "SET DEFAULT ROLE `r` FOR `u`@`%`"}],
        "SHOW GRANTS FOR 'r'": [{"x": "GRANT SELECT ON *.* TO `r`"}],
        "SHOW GRANTS FOR PUBLIC": [{"x": "GRANT USAGE ON *.* TO PUBLIC"}],
    }
    assert accounts.read(t.cast(Server, Accounts("mariadb", answers)), "root") == [
        "CREATE ROLE IF NOT EXISTS 'r'",
        "CREATE USER IF NOT EXISTS `u`@`%`",
        "GRANT USAGE ON *.* TO PUBLIC",
        "GRANT SELECT ON *.* TO `r`",
        "GRANT `r` TO `u`@`%`",
        "SET DEFAULT ROLE `r` FOR `u`@`%`",
    ]
