# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup and a restore of MySQL or MariaDB are planned to do, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import sys
import types
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import File
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _accounts as accounts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _logs as logs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _restore_plan as restoring
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import BINLOG, FULL, Manifest
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import Ended
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import Around, Wish, plan, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore import Restore
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Log, Server, history
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    Client,
    Credentials,
    NoAnswer,
    SqlError,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import GtidSet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from three_servers import HEALTHY, SILENT, TARGET, UUIDS, primary, replica, snapshot

ALONE = snapshot([primary()])
PARAMS: dict[str, t.Any] = {"dest": "/b", "mode": FULL, "method": "dump", "keep": 0, "read_from": "", "verify": False}


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


def test_a_new_full_backup_outdates_only_logs_of_what_its_server_has_already() -> None:
    old = made(end=f"{UUIDS[0]}:1-2")
    had = made(BINLOG, end=f"{UUIDS[0]}:1-5", minute=2)
    ahead = made(BINLOG, start=had.end, end=f"{UUIDS[0]}:1-7", minute=3)
    found = planned(HEALTHY, Wish("/b", keep=1), manifests=(old, had, ahead))
    assert steps(found) == [("dump", "shop-2"), ("remove", "shop-1"), ("remove", "shop-2")]
    waiting = planned(snapshot([SILENT, SILENT]), Wish("/b", keep=1), manifests=(old, had))
    assert steps(waiting) == [("wait", "shop"), ("remove", "shop-1")]


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
    began: bool = False,
    far: t.Optional[tuple[str, str]] = None,
    loading: t.Optional[int] = None,
    **wish: t.Any,
) -> t.Union[list[str], str]:
    wanted = restoring.Wish(**{"base": made(), **wish})
    found = restoring.plan(TARGET, wanted, restoring.Around(seen, databases, mark or {}, done, began, loading, far))
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
        said = "overwrite_data_of: expected the name of what is restored into, shop, found shop-1."
        assert said in restored(databases=databases, overwrite_data_of="shop-1")


def test_a_restore_that_was_killed_is_begun_anew_without_the_name_but_no_other() -> None:
    mark = noted("load")
    assert restored(databases=("a",), mark=mark) == ["clear", "load", "finish"]
    assert "a restore of shop-1 into it has not come to its end" in restored(mark=mark, until="2026-11-22T10:02:00Z")
    assert "a restore of shop-1 into it" in restored(databases=(), mark=mark, base=made(minute=2))


def noted(action: str, last: int = 5, **wish: t.Any) -> dict[str, t.Any]:
    """What a restore of the database a notes before a step, when its primary has so many transactions."""
    wanted = restoring.Wish(**{"base": made(databases=("a",)), **wish})
    around = restoring.Around(HEALTHY, ("a",))
    return {**restoring.noted_of(wanted, around, action, f"{UUIDS[0]}:1-{last}", "this"), "scheduler": True}


def far(last: int, begun: str = "this") -> tuple[str, str]:
    """What the pod has noted at the end of a load."""
    return begun, f"{UUIDS[0]}:1-{last}"


def test_what_was_written_after_a_restore_was_killed_is_lost_only_where_the_name_is_typed() -> None:
    anew = ["clear", "load", "finish"]
    since = "something else has been written to it since"
    for mark, said, databases, says in (
        (noted("finish", 4), None, ("a",), since),
        (noted("load", 3), far(4), ("a",), since),
        (noted("clear", 4), None, ("a",), since),
        # Of two transactions one dropped the database that is gone.
        ({**noted("clear", 3), "databases": ["a", "b"]}, None, ("a",), since),
        (noted("load", 4), None, ("a",), "how far that had come when it broke off is not known"),
        (noted("load", 4), far(5, "another"), ("a",), "how far that had come when it broke off is not known"),
        (noted("load", 4), far(5), ("a", "b"), "b came since, and is not of that restore"),
        ({**noted("load"), "epoch": 0}, far(5), ("a",), "another server was made primary since"),
        ({**noted("load"), "imported": "old:3306"}, far(5), ("a",), "or data were imported"),
        ({**noted("load"), "executed": "?"}, far(5), ("a",), "is not known"),
    ):
        found = restored(databases=databases, mark=mark, far=said)
        assert "holds databases" in found
        assert says in found
        assert "with the same options" not in found
        assert restored(databases=databases, mark=mark, far=said, overwrite_data_of="shop") == anew
        assert restored(databases=databases, mark=mark, far=said, began=True) == anew
        assert restored(databases=(), mark=mark, far=said) == anew


def test_a_restore_that_was_killed_and_after_which_nobody_wrote_needs_no_name_however_late() -> None:
    anew = ["clear", "load", "finish"]
    for action in ("clear", "load", "finish"):
        assert restored(databases=("a",), mark=noted(action)) == anew
    assert restored(databases=("a",), mark=noted("load", 3), far=far(5)) == anew
    half = {**noted("clear", 4), "databases": ["a", "b"]}
    assert restored(databases=("a",), mark=half) == anew
    # What a killed run has left is ended first, and tells then how far it came.
    assert restored(databases=("a",), mark=noted("load", 3), loading=7) == ["end", *anew]
    assert restored(databases=("a",), mark=noted("load", 3), loading=7, began=True) == anew
    logs = (made(BINLOG, minute=2),)
    replaying = noted("replay", 4, slices=logs)
    assert restored(databases=("a", "b"), mark=replaying, slices=logs, far=far(5)) == [
        "clear",
        "load",
        "replay",
        "finish",
    ]


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
        self.time = "2026-11-22T11:00:00Z"

    def ask(self, statement: str) -> None:
        assert statement == "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS"
        self.time = "2026-11-22T11:00:01Z"

    def now(self) -> str:
        return self.time

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
    # What was committed behind it may be in the next file.
    assert found.until == "2026-11-22T11:00:00Z"
    assert not said


class Session:
    """A connection to a server: what it was asked, and answers by the beginning of the statement."""

    def __init__(self, answers: t.Mapping[str, list[dict[str, t.Any]]], breaks: int = 0) -> None:
        self.answers = answers
        self.breaks = breaks
        self.asked: list[str] = []

    def rows(self, statement: str, *_values: t.Any, seconds: float = 5.0) -> list[dict[str, t.Any]]:
        assert seconds
        self.asked.append(statement)
        if self.breaks and statement.startswith("DROP"):
            self.breaks -= 1
            raise NoAnswer("gone")
        return next((rows for begin, rows in self.answers.items() if statement.startswith(begin)), [])

    def run(self, *statements: str, seconds: float = 5.0) -> None:
        for statement in statements:
            self.rows(statement, seconds=seconds)


def server_of(session: Session, flavour: str = "mysql") -> Server:
    return Server(t.cast(Client, session), flavour)


def event(kind: str, info: str, end: int) -> dict[str, t.Any]:
    return {"Event_type": kind, "Info": info, "Pos": end - 100, "End_log_pos": end}


def test_what_a_server_was_cloned_with_is_in_its_histories() -> None:
    events = [
        event("Format_desc", "Server ver: 9.7.0", 104),
        event("Previous_gtids", f"{UUIDS[0]}:501-600", 204),
        event("Gtid", f"SET @@SESSION.GTID_NEXT= '{UUIDS[0]}:601'", 304),
        event("Gtid", f"SET @@SESSION.GTID_NEXT= '{UUIDS[0]}:602'", 404),
    ]
    purged = [{"purged": f"{UUIDS[0]}:1-500,\n{UUIDS[1]}:1-2"}]
    server = server_of(Session({"SELECT @@GLOBAL.gtid_purged": purged, "SHOW BINLOG EVENTS": events}))
    assert server.history_at("b.1") == f"{UUIDS[0]}:1-600,{UUIDS[1]}:1-2"
    assert server.history_at("b.1", 304) == f"{UUIDS[0]}:1-601,{UUIDS[1]}:1-2"
    listed = [event("Gtid_list", "[0-100-5]", 204)]
    maria = Session({"SHOW BINLOG EVENTS": listed})
    assert server_of(maria, "mariadb").history_at("b.1") == "0-100-5"
    assert not any("purged" in statement for statement in maria.asked)


def test_databases_whose_tables_refer_to_each_other_are_dropped() -> None:
    off, on = (f"SET SESSION foreign_key_checks = {value}" for value in (0, 1))
    drop = "DROP DATABASE IF EXISTS `a`"
    session = Session({})
    server_of(session).drop("a")
    assert session.asked == [off, drop, on]
    session = Session({}, breaks=1)
    server_of(session).drop("a")
    assert session.asked == [off, drop, on] * 2
    with pytest.raises(NoAnswer):
        server_of(Session({}, breaks=2)).drop("a")
    session = Session(
        {
            "SELECT @@GLOBAL.gtid_executed": [{"executed": ""}],
            "SELECT @@GLOBAL.event_scheduler": [{"s": "OFF"}],
            "SELECT IS_USED_LOCK": [{"id": None}],
            "SHOW DATABASES": [{"Database": "a"}, {"Database": "mysql"}],
        }
    )
    Restoring(made(), session).act("clear")
    assert session.asked[-3:] == [off, drop, on]


class Restoring:
    """A restore without a cluster: what it writes goes nowhere but into a session."""

    def __init__(self, base: Manifest, session: Session) -> None:
        self.run = Restore.__new__(Restore)
        self.run._wish = restoring.Wish(base)
        self.run._observer = t.cast("t.Any", self)
        self.run._alive = t.cast("t.Any", types.SimpleNamespace(say=str))
        self.run._work = Work(self.run._observer, Source(t.cast("t.Any", None), self.run._wish), self.run._alive)
        self.run._work.feed = lambda *_all: None  # type: ignore[method-assign]
        self.run._done = ()
        self.run._began = False
        self.links = {0: types.SimpleNamespace(client=session)}
        self.cluster = self
        self.noted: list[t.Any] = []

    credentials = Credentials("root", "")
    target = TARGET

    def merge(self, _version: str, _kind: str, _name: str, _namespace: str, patch: dict[str, t.Any]) -> None:
        note = patch["metadata"]["annotations"]["stateful.kube/mysql-restore"]
        self.noted.append(note and json.loads(note))

    def forget_objects(self) -> None:
        """Nothing is remembered."""

    def act(self, action: str) -> None:
        around = restoring.Around(HEALTHY, ("a",), {"scheduler": True})
        self.run._act(Step(action, "shop", ""), around, 0)


class Refusing(Session):
    def __init__(self, code: int) -> None:
        super().__init__({"SELECT @@GLOBAL.gtid_executed": [{"executed": ""}]})
        self.code = code

    def rows(self, statement: str, *_values: t.Any, seconds: float = 5.0) -> list[dict[str, t.Any]]:
        super().rows(statement, seconds=seconds)
        if "`late`" in statement:
            raise SqlError(self.code, "no")
        return self.answers.get(statement.partition(" AS ")[0], [])


def test_an_event_that_was_made_during_the_dump_keeps_no_restore() -> None:
    base = made(events=(("a", "late"), ("a", "sold")))
    session = Refusing(1539)
    Restoring(base, session).act("load")
    assert [one for one in session.asked if one.startswith("ALTER")] == [
        "ALTER EVENT `a`.`late` ENABLE",
        "ALTER EVENT `a`.`sold` ENABLE",
    ]
    # What they have written is the restore's own.
    assert session.asked[-2].startswith("REPLACE INTO stateful_kube.restored")
    with pytest.raises(SqlError):
        Restoring(base, Refusing(1044)).act("load")


def test_before_each_step_of_a_restore_it_is_noted_how_far_the_server_had_come() -> None:
    executed = f"{UUIDS[0]}:1-5"
    for action, databases in (("clear", ["a"]), ("load", ["a"]), ("replay", None), ("finish", None)):
        answers = {
            "SELECT @@GLOBAL.gtid_executed": [{"executed": executed}],
            "SELECT @@GLOBAL.event_scheduler": [{"s": "OFF"}],
            "SELECT IS_USED_LOCK": [{"id": None}],
        }
        run = Restoring(made(databases=("a",)), Session(answers))
        run.act(action)
        note = run.noted[0]
        assert (note["step"], note["executed"], note["databases"]) == (action, executed, databases)
        assert (note["epoch"], note["imported"], note["scheduler"]) == (1, "", True)
        assert run.noted[1:] == ([None] if action == "finish" else [])
        assert run.run._began


def test_binary_logs_that_end_before_what_is_there_are_passed_over() -> None:
    files = (File("b.1.gz", 1, ""), File("b.2.gz", 1, ""))
    log = made(BINLOG, flavour="mariadb", end="0-100-9", minute=2, files=files)
    work = Restoring(made(flavour="mariadb", end="0-100-3"), Session({})).run._work
    work.wish = dataclasses.replace(work.wish, slices=(log,))
    fed: list[tuple[str, str]] = []
    says = "mariadb-binlog with 1: ERROR: Binary logs never reached expected GTID state of 0-100-5"

    def feed(_pod: str, _manifest: Manifest, path: str, command: t.Callable[[int], list[str]]) -> None:
        fed.append((path, command(1)[-1]))
        if path == "b.1.gz":
            raise Ended(says)

    work.feed = feed  # type: ignore[method-assign]
    # A copy of files may lead further than its record says.
    work.replay("shop-0", "0-100-5")
    assert fed == [("b.1.gz", "--start-position=0-100-5"), ("b.2.gz", "--start-position=0-100-5")]
    says = "mariadb-binlog with 1: ERROR: Error in Log_event::read_log_event()"
    with pytest.raises(Ended):
        work.replay("shop-0", "0-100-5")


def test_what_a_replay_has_come_to_is_noted_by_what_its_step_is_known_by() -> None:
    log = made(BINLOG, end=f"{UUIDS[0]}:1-9", minute=2, files=(File("b.1.gz", 1, ""),))
    fed: list[str] = []
    restore = Restoring(made(), Session({"SELECT @@GLOBAL.gtid_executed": [{"executed": ""}]}))
    restore.run._work.wish = dataclasses.replace(restore.run._work.wish, slices=(log,))
    restore.run._work.feed = (  # type: ignore[method-assign]
        lambda _pod, _manifest, _path, command: fed.append(" ".join(command(1)))
    )
    restore.act("replay")
    begun = restore.noted[0]["begun"]
    assert begun
    assert begun in fed[0]
    # Files that are put in place are replayed anew from the beginning, so nothing is noted.
    restore.run._work.replay("shop-0", f"{UUIDS[0]}:1-5")
    assert "restored" not in fed[1]


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
    # A failover lost what the binary logs have, or the newest full backup: none that is taken now would continue it.
    lost = made(BINLOG, start=f"{UUIDS[0]}:1-3", end=f"{UUIDS[0]}:1-5,{UUIDS[1]}:1", minute=2)
    with pytest.raises(Failure, match=r"the primary lacks some of that"):
        new_logs(Binlog(*FILES), [made(end=f"{UUIDS[0]}:1-3"), lost])
    newest = made(end=f"{UUIDS[0]}:1-9,{UUIDS[1]}:1", minute=3)
    before = made(BINLOG, start=f"{UUIDS[0]}:1-3", end=f"{UUIDS[0]}:1-5", minute=2)
    with pytest.raises(Failure, match=r"the primary lacks some of that"):
        new_logs(Binlog(*FILES), [made(end=f"{UUIDS[0]}:1-3"), before, newest])


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
