# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the files of a server are copied and put in place: what is planned, and the shell around the programs."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import File
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _plan as ordinary
from ansible_collections.stateful.kube.plugins.module_utils._mysql._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import Wish as Watch
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import plan_autopilot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _files as files
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _operate as operate
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _programs as programs
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _restore_plan as dumps
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _swap as swapping
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup import _swap_plan as swaps
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import (
    BINLOG,
    FULL,
    PHYSICAL,
    Manifest,
    base_for,
    chain,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import Backup as Copy
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._pipe import (
    Alive,
    Ended,
    Gone,
    Pods,
    unpacked,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import Around as Look
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import Wish as Backup
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import plan as plan_backup
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore import Restore
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_plan import Around, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore_work import Source, Work
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._scratch import Differs, Scratch
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._server import Server
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._facts import problems
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cluster"))
from local_pod import LocalPod
from three_servers import HEALTHY, SILENT, TARGET, THREE, UUIDS, gtids, primary, replica, snapshot, with_pod

SWAP = "2.abc"


def made(kind: str = FULL, minute: int = 1, **more: t.Any) -> Manifest:
    at = f"2026-11-22T10:{minute:02}:00Z"
    fields = {"backup": f"shop-{minute}", "kind": kind, "namespace": "shop", "name": "shop", "set_id": "life"}
    fields |= {"flavour": "mysql", "version": "9.7.4-2", "member": "shop-1", "started": at, "ended": at, "start": ""}
    fields |= {"end": f"{UUIDS[0]}:1-5", "until": at, "files": (), "method": PHYSICAL}
    return Manifest(**{**fields, "databases": ("shop",), **more})


LOG = made(BINLOG, 2, start=f"{UUIDS[0]}:1-3", end=f"{UUIDS[0]}:1-9", method="dump")
WISH = Wish(made())
REPLAYED = Wish(made(), (LOG,), LOG.until)
TYPED = dataclasses.replace(WISH, overwrite_data_of="shop")


def mark(wish: Wish, step: str = swaps.SWAP) -> dict[str, t.Any]:
    return {**wish.identity, "step": step, "swap": SWAP, "end": f"{UUIDS[0]}:1-6"}


def begun(seen: Snapshot = HEALTHY) -> Snapshot:
    """The record was written a moment ago."""
    assert seen.record
    record = dataclasses.replace(swaps.swapped(TARGET, seen.record, seen, SWAP), restoring="shop-1")
    return dataclasses.replace(seen, record=record)


def in_place() -> Snapshot:
    """The primary has the files, and the others are where they were."""
    seen = begun(snapshot([primary(epoch=2), replica(1), replica(2)], routed="shop-0"))
    return with_pod(seen, 0, uid="new")


def followed() -> Snapshot:
    seen = in_place()
    assert seen.stateful_set
    assert seen.record
    noted = dataclasses.replace(seen.stateful_set, recorded=(2, "shop-0"))
    return dataclasses.replace(seen, stateful_set=noted, record=dataclasses.replace(seen.record, copies={}))


def planned(seen: Snapshot, wish: Wish, **more: t.Any) -> list[str]:
    found = swaps.plan(TARGET, wish, Around(seen, **{"databases": ("old",), **more}))
    assert isinstance(found, Plan), found.sentence()
    return [f"{step.action} {step.target}" for step in found.steps]


def refused(seen: Snapshot, wish: Wish, **more: t.Any) -> str:
    found = swaps.plan(TARGET, wish, Around(seen, **{"databases": ("old",), **more}))
    assert isinstance(found, Refusal), found
    return found.sentence()


def test_nothing_of_what_is_there_is_touched_before_the_files_are_ready() -> None:
    assert planned(HEALTHY, TYPED) == ["unpack shop-0", "swap shop", "finish shop"]
    assert planned(HEALTHY, TYPED, done=("unpack",)) == ["swap shop", "finish shop"]
    logs = dataclasses.replace(REPLAYED, overwrite_data_of="shop")
    assert planned(HEALTHY, logs)[2:] == ["replay shop", "finish shop"]
    # Who is broken is restored too, and who does not answer is waited for.
    fenced = snapshot([primary(read_only=True), replica(1), replica(2)])
    assert planned(fenced, TYPED)[0] == "unpack shop-0"
    assert planned(snapshot([SILENT, replica(1), replica(2)]), TYPED) == ["wait shop"]
    # It is empty.
    assert planned(HEALTHY, WISH, databases=()) == ["unpack shop-0", "swap shop", "finish shop"]


def test_one_write_of_the_record_begins_another_epoch_and_condemns_the_data_of_every_other_member() -> None:
    record = begun().record
    assert record
    assert (record.epoch, record.primary, record.swap, record.swap_uid) == (2, "shop-0", SWAP, "uid-0")
    assert record.copies == {"shop-1": "uid-1", "shop-2": "uid-2"}
    away = dataclasses.replace(HEALTHY, pods={o: HEALTHY.pods[o] for o in (0, 1)})
    missing = begun(away).record
    assert missing
    assert missing.copies == {"shop-1": "uid-1", "shop-2": SWAP}
    assert record.swapping
    assert not dataclasses.replace(record, epoch=3).swapping
    assert not Record(1, "shop-0", 3).swapping


def test_who_goes_on_after_a_kill_lets_the_primary_take_the_files_and_the_others_a_copy() -> None:
    for wish in (WISH, TYPED):
        assert planned(begun(), wish, mark=mark(wish))[0] == "replace shop-0"
        found = planned(in_place(), wish, mark=mark(wish))
        assert [one for one in found if one.startswith("copy")] == ["copy shop-1", "copy shop-2"]
        assert found[-1] == "finish shop"
        assert planned(followed(), wish, mark=mark(wish)) == ["finish shop"]
    assert planned(followed(), REPLAYED, mark=mark(REPLAYED)) == ["replay shop", "finish shop"]
    assert planned(followed(), REPLAYED, mark=mark(REPLAYED, "finish")) == ["finish shop"]
    away = begun(snapshot([SILENT, replica(1), replica(2)]))
    assert planned(with_pod(away, 0, uid="new"), WISH, mark=mark(WISH))[0] == "wait shop"


def test_binary_logs_that_were_applied_in_part_are_not_applied_on_top() -> None:
    assert "replaces all of it" in refused(followed(), REPLAYED, mark=mark(REPLAYED, "replay"))
    typed = dataclasses.replace(REPLAYED, overwrite_data_of="shop")
    assert planned(followed(), typed, mark=mark(typed, "replay"))[:2] == ["unpack shop-0", "swap shop"]
    assert planned(followed(), typed, mark=mark(typed, "replay"), done=("replay",)) == ["finish shop"]


def test_whoever_looks_lets_the_files_be_taken_and_never_the_old_data_be_written_to() -> None:
    found = ordinary.plan(TARGET, THREE, begun())
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps if step.change] == ["replace"]
    # One that was started with an older record takes writes, and what is said of it is true a moment later.
    writable = with_pod(begun(), 0, uid="new")
    fenced = ordinary.plan(TARGET, THREE, writable)
    assert isinstance(fenced, Plan)
    assert [(step.action, step.data) for step in fenced.steps if step.change] == [("fence", {"ordinal": 0})]
    old = with_pod(begun(snapshot([primary(read_only=True), replica(1), replica(2)])), 0, uid="new")
    lost = ordinary.plan(TARGET, THREE, old)
    assert isinstance(lost, Refusal)
    assert "they are not on its volume" in lost.sentence()
    going = planned(with_pod(begun(), 0, deleting=True), WISH, mark=mark(WISH), done=("unpack", "swap"))
    assert going[0] == "wait shop"
    assert "not on its volume" in refused(old, TYPED, mark=mark(TYPED), done=("swap",))
    # The restore itself brings them there again.
    assert planned(writable, TYPED, mark=mark(TYPED))[:2] == ["fence shop-0", "wait shop"]
    assert planned(old, TYPED, mark=mark(TYPED))[0] == "unpack shop-0"


def test_nobody_else_is_made_primary_meanwhile() -> None:
    away = with_pod(begun(snapshot([SILENT, replica(1), replica(2)])), 0, uid="new")
    assert isinstance(plan_failover(TARGET, Failover(), away), Refusal)
    by = plan_failover(TARGET, Failover(by="me"), away)
    assert isinstance(by, Plan)
    assert not by.changes
    back = plan_failover(TARGET, Failover(), in_place())
    assert isinstance(back, Plan)
    assert not [step for step in back.steps if step.action == "record"]
    assert not plan_autopilot(TARGET, Watch("me", silence=999.0), away).plan.steps
    switched = plan_switchover(TARGET, Switchover(to="shop-1"), followed())
    assert isinstance(switched, Refusal)
    assert "has not come to its end" in switched.sentence()
    # Nor is a pod replaced, before which another one would take over.
    older = with_pod(followed(), 0, revision="old")
    found = ordinary.plan(TARGET, THREE, older)
    assert isinstance(found, Plan)
    assert not found.changes


def lost(*copied: str) -> Snapshot:
    """The primary is gone in the middle, and these have their copies."""
    seen = begun(snapshot([SILENT, replica(1), replica(2)]))
    assert seen.record
    copies = {pod: token for pod, token in seen.record.copies.items() if pod not in copied}
    return dataclasses.replace(seen, record=dataclasses.replace(seen.record, copies=copies))


def recorded(seen: Snapshot, wish: Failover) -> dict[str, t.Any]:
    found = plan_failover(TARGET, wish, seen)
    assert isinstance(found, Plan), found.sentence()
    return t.cast("dict[str, t.Any]", next(step.data for step in found.steps if step.action == "record"))


def test_where_the_primary_is_lost_in_the_middle_a_replica_goes_on_that_has_its_copy() -> None:
    found = recorded(lost("shop-2"), Failover())
    assert (found["primary"], found["epoch"]) == ("shop-2", 3)
    assert found["copies"] == {"shop-0": SWAP, "shop-1": "uid-1"}
    # What is about to be replaced keeps nobody from writing.
    assert found["without"] == ("shop-1",)
    refusal = plan_failover(TARGET, Failover(to="shop-1"), lost("shop-2"))
    assert isinstance(refusal, Refusal)
    # The old data of the other one is of another history, and goes.
    seen = lost("shop-2")
    assert seen.record
    more = {key: found[key] for key in ("epoch", "primary", "dismissed", "without", "copies")}
    after = dataclasses.replace(seen.record, dismissed_uid="uid-0", **more)
    answers = {1: replica(1, of=None), 2: replica(2, of=None, executed=gtids(of_0="1-3"))}
    pods = {ordinal: pod for ordinal, pod in seen.pods.items() if ordinal}
    planned_then = ordinary.plan(TARGET, THREE, dataclasses.replace(seen, record=after, answers=answers, pods=pods))
    assert isinstance(planned_then, Plan), planned_then.sentence()
    changes = [f"{step.action} {step.target}" for step in planned_then.steps if step.action in ("promote", "copy")]
    assert changes == ["promote shop-2", "copy shop-1"]


def test_where_nobody_has_a_copy_it_is_said_how_to_go_on_with_the_data_of_before() -> None:
    silent = lost("shop-2")
    silent = dataclasses.replace(silent, answers={**silent.answers, 2: SILENT})
    for seen in (lost(), silent):
        refusal = plan_failover(TARGET, Failover(), seen)
        assert isinstance(refusal, Refusal)
        assert "no replica that answers has its copy" in refusal.sentence()
        assert "without=shop-0" in refusal.sentence()
        assert isinstance(plan_failover(TARGET, Failover(to="shop-1"), seen), Refusal)
    found = recorded(lost(), Failover(to="shop-1", without=("shop-0",)))
    assert (found["primary"], found["epoch"], found["copies"]) == ("shop-1", 3, {"shop-0": SWAP})


def test_the_tokens_of_a_failover_are_written_and_others_leave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    data = {"epoch": 3, "primary": "shop-2", "members": 3}
    act(t.cast("t.Any", run), Step("record", "shop", "", data={**data, "copies": {"shop-0": SWAP}}), lost("shop-2"))
    act(t.cast("t.Any", run), Step("record", "shop", "", data=data), lost("shop-2"))
    assert [one["data"]["copy"] for one in run.written] == [f"shop-0 {SWAP}\n", "shop-1 uid-1\n"]


def test_who_is_on_call_is_told() -> None:
    assert "a restore of shop-1 has not come to its end: run it again" in problems(TARGET, begun())
    assert not problems(TARGET, HEALTHY)


def test_a_dump_is_not_restored_beside_it() -> None:
    found = dumps.plan(TARGET, dataclasses.replace(TYPED, base=made(method="dump")), Around(in_place(), ("old",)))
    assert isinstance(found, Refusal)
    assert "members take copies of them still" in found.sentence()


@pytest.mark.parametrize(
    ("seen", "wish", "says"),
    [
        (HEALTHY, WISH, "type its name again to lose what it holds"),
        (HEALTHY, Wish(made(), overwrite_data_of="other"), "overwrite_data_of: expected the name"),
        (
            HEALTHY,
            Wish(made(version="9.6.0"), overwrite_data_of="shop"),
            "those of its own series alone",
        ),
        (HEALTHY, Wish(made(version="11.8.3-MariaDB", flavour="mariadb"), overwrite_data_of="shop"), "series alone"),
        (dataclasses.replace(HEALTHY, claims={}), TYPED, "for as long as its pod lives"),
        (
            dataclasses.replace(HEALTHY, stateful_set=dataclasses.replace(HEALTHY.stateful_set, asks=False)),  # type: ignore[type-var]
            TYPED,
            "is not that of the role yet",
        ),
    ],
)
def test_what_is_refused(seen: Snapshot, wish: Wish, says: str) -> None:
    assert says in refused(seen, wish)


def test_binary_logs_continue_what_a_copy_holds_at_least() -> None:
    base = made(end=f"{UUIDS[0]}:1-4")
    assert chain(base, [base, LOG]) == [LOG]
    assert base_for([base], "latest", "") == base
    assert base.facts()["method"] == PHYSICAL
    assert LOG.facts()["method"] is None
    old = base.dump().replace('"method"', '"unknown"')
    with pytest.raises(ValueError, match="no manifest"):
        Manifest.parse(old)


def test_a_copy_is_planned_of_whom_a_dump_would_be() -> None:
    params = {"dest": "/b", "mode": FULL, "keep": 0, "read_from": "", "verify": True, "method": PHYSICAL}
    found = plan_backup(TARGET, wish_of(params), Look(HEALTHY, "life"))
    assert isinstance(found, Plan)
    assert found.steps[0].sentence == "copy the files of shop-2 (replica) into /b"
    assert found.steps[1].sentence == "verify it: start a server of its own on it, and read every table"
    with pytest.raises(Failure, match="method: physical is for mode full"):
        wish_of({**params, "mode": BINLOG, "verify": False})
    known = Look(HEALTHY, "life", manifests=(made(end=str(gtids(of_0="1-4"))),))
    logs = plan_backup(TARGET, Backup("/b", BINLOG), known)
    assert isinstance(logs, Plan)
    assert logs.steps[0].target == "shop-0"


def test_passwords_are_told_as_they_are() -> None:
    said = files.own("mysql", "shop-0", 2, ("root", "a'b\\c"), ("stateful_replication", "r")).decode()
    assert "ALTER USER 'root'@'%' IDENTIFIED BY 'a''b\\\\c' PASSWORD" in said
    assert "ALTER USER 'stateful_replication'@'%' IDENTIFIED BY 'r' REQUIRE SSL PASSWORD" in said
    assert "INSERT INTO stateful_kube.own VALUES (1, 'shop-0', 2);" in said
    assert "stateful_donor" in files.own("mariadb", "shop-0", 2, ("root", "a"), ("r", "r")).decode()


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("shop.orders\tcheck\tstatus\tOK", False),
        ("mysql.slow_log\tcheck\tnote\tThe storage engine for the table doesn't support check", False),
        ("shop.orders\tcheck\tError\tTable 'shop.orders' doesn't exist", True),
        ("shop.orders\tcheck\twarning\tInnoDB: The B-tree of index PRIMARY is corrupted.", True),
        ("shop.orders\tcheck\tstatus\tOperation failed", True),
        ("", True),
    ],
)
def test_what_a_check_says(line: str, bad: bool) -> None:
    assert files.is_bad(line) is bad


class Run:
    """A restore without a cluster, which notes what it writes to the record."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, there: bool = True) -> None:
        self.written: list[dict[str, t.Any]] = []
        self.restore = swapping.FilesRestore.__new__(swapping.FilesRestore)
        self.restore._observer = t.cast("t.Any", self)
        self.of(TYPED)
        self.restore._swap, self.restore._end = SWAP, f"{UUIDS[0]}:1-6"
        self.restore._done, self.restore._of = ("unpack",), ("shop-0", 1)
        self.restore._scheduler = False
        self.run: list[t.Sequence[str]] = []
        self.cluster, self.target = self, TARGET

        def execute(_cluster: t.Any, _namespace: str, _pod: str, command: t.Sequence[str], **_more: t.Any) -> t.Any:
            self.run.append(command)
            return types.SimpleNamespace(rc=0 if there else 1, stderr="Read-only file system")

        monkeypatch.setattr(swapping, "execute", execute)
        self.asked: list[str] = []
        self.answers: dict[str, list[dict[str, t.Any]]] = {"SHOW DATABASES": [{"Database": "shop"}]}
        self.links = {0: types.SimpleNamespace(client=self)}

    def of(self, wish: Wish) -> None:
        place = t.cast("t.Any", types.SimpleNamespace(open=lambda *_all: io.BytesIO()))
        alive = t.cast("t.Any", types.SimpleNamespace(say=str))
        self.restore._wish = wish
        self.restore._work = Work(self.restore._observer, Source(place, wish), alive)

    def rows(self, statement: str, *_values: t.Any, seconds: float = 5.0) -> list[dict[str, t.Any]]:
        self.asked.append(statement)
        if "`late`" in statement:
            raise SqlError(1539, "no")
        return self.answers.get(statement.partition(" AS ")[0], [])

    def merge(
        self, _version: str, _kind: str, _name: str, _namespace: str, patch: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        self.written.append(patch)
        return patch

    credentials = types.SimpleNamespace(username="root", password="")

    def replication(self) -> t.Any:
        return self.credentials

    uid = "uid-0"

    def get(self, _version: str, kind: str, name: str, _namespace: str) -> dict[str, t.Any] | None:
        assert (kind, name) == ("Pod", "shop-0")
        return {"metadata": {"uid": self.uid}} if self.uid else None

    def forget_objects(self) -> None:
        """Nothing is remembered."""

    def act(self, action: str, seen: Snapshot, **noted: t.Any) -> None:
        self.restore.title = "shop/shop"
        self.restore._pause = 0.0
        self.restore.act([Step(action, "shop", "do it")], Around(seen, ("shop",), {**mark(WISH), **noted}))


def test_all_that_begins_it_is_one_write_as_of_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.act("swap", HEALTHY)
    (written,) = run.written
    assert (written["data"]["swap"], written["data"]["swap_uid"], written["data"]["epoch"]) == (SWAP, "uid-0", "2")
    assert written["data"]["copy"] == "shop-1 uid-1\nshop-2 uid-2\n"
    assert written["metadata"]["resourceVersion"] == "1"
    notes = written["metadata"]["annotations"]
    assert notes["stateful.kube/life"]
    noted = json.loads(notes["stateful.kube/mysql-restore"])
    assert (noted["backup"], noted["step"], noted["swap"]) == ("shop-1", "swap", SWAP)
    assert noted["end"] == f"{UUIDS[0]}:1-6"
    other = Run(monkeypatch)
    other.uid = "other"
    other.act("swap", HEALTHY)
    assert other.written[0]["data"]["swap_uid"] == "other"
    away = Run(monkeypatch)
    away.uid = ""
    with pytest.raises(NotYet):
        away.act("swap", HEALTHY)
    assert away.written == []
    gone = Run(monkeypatch, there=False)
    with pytest.raises(NotYet):
        gone.act("swap", HEALTHY)
    assert gone.written == []
    assert gone.restore._done == ()


def test_its_end_is_one_write_too_and_comes_after_the_data_of_before_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.act("finish", followed())
    (written,) = run.written
    assert (written["data"]["swap"], written["data"]["epoch"]) == ("", "2")
    assert written["metadata"]["annotations"] == {"stateful.kube/mysql-restore": None}
    assert run.run == [files.forget()]
    kept = Run(monkeypatch, there=False)
    with pytest.raises(Failure, match="stays on the volume of shop-0: Read-only file system"):
        kept.act("finish", followed())
    assert kept.written == []


def test_what_the_first_of_several_restores_replaced_is_known_until_one_comes_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = begun()
    assert first.record
    assert not first.record.swap_before
    second = swaps.swapped(TARGET, first.record, first, "3.def")
    third = swaps.swapped(TARGET, second, first, "4.ghi")
    assert (second.swap_before, third.swap_before) == (SWAP, f"{SWAP} 3.def")
    # Another one was made primary meanwhile: that one replaced nothing.
    assert not swaps.swapped(TARGET, dataclasses.replace(third, epoch=5), first, "6.jkl").swap_before
    run = Run(monkeypatch)
    seen = followed()
    assert seen.record
    run.act("finish", dataclasses.replace(seen, record=dataclasses.replace(seen.record, swap_before="1.old")))
    assert run.written[0]["data"]["swap_before"] == ""
    begin = Run(monkeypatch)
    begin.act("swap", first)
    assert begin.written[0]["data"]["swap_before"] == SWAP


def test_events_that_a_replica_knew_as_asleep_run_on_the_primary_before_anything_that_is_said_of_them_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    awake = ["ALTER EVENT `shop`.`late` ENABLE", "ALTER EVENT `shop`.`sold` ENABLE"]
    base = made(events=(("shop", "late"), ("shop", "sold")))
    run = Run(monkeypatch)
    run.of(Wish(base))
    run.act("finish", followed(), scheduler=True)
    on = "SET GLOBAL event_scheduler = ON"
    assert [one for one in run.asked if one != "SHOW DATABASES"] == [*awake, on]
    logs = Run(monkeypatch)
    logs.of(Wish(base, (LOG,), LOG.until))
    logs.answers["SELECT @@GLOBAL.event_scheduler"] = [{"s": "ON"}]
    monkeypatch.setattr(logs.restore._work, "replay", lambda *_all: logs.asked.append("replay"))
    logs.act("replay", followed())
    assert logs.asked[1:] == ["SET GLOBAL event_scheduler = OFF", *awake, "replay"]
    # One of them may have been put to sleep by the logs.
    logs.asked.clear()
    logs.act("finish", followed(), scheduler=True)
    assert logs.asked == [on]


def test_whether_events_are_to_run_in_the_end_is_what_the_server_of_before_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def noted(now: str, before: dict[str, t.Any]) -> bool:
        run = Run(monkeypatch)
        run.answers["SELECT @@GLOBAL.event_scheduler"] = [{"s": now}]
        monkeypatch.setattr(swapping, "require_programs", lambda *_all: None)
        run.of(dataclasses.replace(TYPED, base=made(files=(File("data.files.gz", 1, ""),))))
        monkeypatch.setattr(run.restore._work, "pods", lambda: types.SimpleNamespace(run=lambda *_all: [b"\n"]))
        run.act("unpack", HEALTHY)
        run.act("swap", HEALTHY, **before)
        return bool(json.loads(run.written[-1]["metadata"]["annotations"]["stateful.kube/mysql-restore"])["scheduler"])

    assert noted("ON", {})
    assert not noted("OFF", {})
    # The server of a restore that was begun before runs none.
    assert noted("OFF", {"scheduler": True})
    logs = Run(monkeypatch)
    logs.answers["SELECT @@GLOBAL.event_scheduler"] = [{"s": "OFF"}]
    monkeypatch.setattr(logs.restore._work, "replay", lambda *_all: None)
    logs.act("replay", followed(), scheduler=True)
    notes = [one["metadata"]["annotations"]["stateful.kube/mysql-restore"] for one in logs.written]
    assert [json.loads(one)["scheduler"] for one in notes] == [True, True]


class Copying:
    """A backup of the files of a replica, without a cluster."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, flavour: str, answers: t.Mapping[str, list[t.Any]]) -> None:
        self.flavour = flavour
        self.answers = {one: list(all_of_them) for one, all_of_them in answers.items()}
        self.backup = Copy.__new__(Copy)
        self.backup._observer = t.cast("t.Any", self)
        self.backup.title = "shop/shop"
        self.backup._wish = Backup("/b", FULL, method=PHYSICAL)
        self.cluster = self.links = None
        self.credentials = types.SimpleNamespace(username="root", password="")
        self.target = TARGET
        monkeypatch.setattr(operate, "require_programs", lambda *_all: None)
        monkeypatch.setattr(self.backup, "_pods", lambda: types.SimpleNamespace(run=lambda *_all: ()))
        monkeypatch.setattr(self.backup, "_stored", lambda *_all: iter([b"end 1\n"]))
        self.server = Server(t.cast("t.Any", self), flavour)
        monkeypatch.setattr(self.backup, "_primary", lambda *_all: self.server)

    def rows(self, statement: str, *_values: t.Any, seconds: float = 5.0) -> list[dict[str, t.Any]]:
        found = self.answers.get(statement.partition(" AS ")[0], [[]])
        return t.cast("list[dict[str, t.Any]]", found.pop(0) if len(found) > 1 else found[0])

    def made(self) -> Manifest:
        writer = t.cast("t.Any", types.SimpleNamespace(require_room=lambda *_all: None))
        return self.backup._files("shop-1", self.server, writer, made(flavour=self.flavour), Look(HEALTHY, "life"))


USUAL = {
    "SHOW DATABASES": [[{"Database": "shop"}]],
    "SELECT SUM(data_length)": [[{"bytes": 1}]],
    "SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')": [[{"now": "2026-11-22T10:00:00Z"}]],
    "SELECT event_schema": [[{"d": "shop", "n": "sold"}, {"d": "gone", "n": "old"}]],
}


def test_a_copy_of_a_replica_says_which_events_only_the_primary_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {**USUAL, "SELECT @@GLOBAL.gtid_executed": [[{"executed": f"{UUIDS[0]}:1-5"}]]}
    assert Copying(monkeypatch, "mysql", told).made().events == (("shop", "sold"),)


def test_a_copy_of_mariadb_during_which_another_server_began_to_write_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def states(*told: str) -> dict[str, list[t.Any]]:
        return {**USUAL, "SELECT @@GLOBAL.gtid_binlog_state": [[{"executed": one}] for one in told]}

    for after in ("0-100-9", "0-100-9,1-101-3"):
        found = Copying(monkeypatch, "mariadb", states("0-101-2,0-100-5", f"0-101-2,{after}")).made()
        assert found.end == "0-101-2,0-100-5"
    with pytest.raises(Gone, match="another server became the primary"):
        Copying(monkeypatch, "mariadb", states("0-101-2,0-100-5", "0-101-7,0-100-6")).made()


def verified(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """A copy of MariaDB that is right but for what is said of where it continues."""

    def run(_self: Pods, _pod: str, command: t.Sequence[str], _given: t.Iterable[bytes] = ()) -> t.Iterator[bytes]:
        if command == files.continues():
            yield said.encode()
        elif command == files.check("mariadb"):
            yield b"shop.orders\tcheck\tstatus\tOK\n"
        elif command == files.ask("mariadb", "SHOW DATABASES"):
            yield b"mysql\nshop\n"
        else:
            yield b"0-100-9\n"

    monkeypatch.setattr(Pods, "run", run)
    scratch = Scratch.__new__(Scratch)
    scratch.name, scratch.namespace, scratch.cluster = "proof", "shop", t.cast("t.Any", None)
    scratch._port, scratch._progress = 3306, t.cast("t.Any", types.SimpleNamespace(say=str))
    monkeypatch.setattr(scratch, "start", lambda *_all: None)
    monkeypatch.setattr(scratch, "_until_serving", lambda _flavour: None)
    place = t.cast("t.Any", types.SimpleNamespace(open=lambda *_all: io.BytesIO()))
    copied = made(flavour="mariadb", end="0-100-5", files=(File("data.mbstream.gz", 1, ""),))
    scratch.check_files(place, copied, {"spec": {}})


def test_what_is_verified_can_be_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    verified(monkeypatch, "")
    with pytest.raises(Differs, match="Another server became the primary"):
        verified(monkeypatch, "Another server became the primary while the copy was made.\n")


class Idle:
    def abandoned(self) -> bool:
        return False

    def progress(self, line: str) -> None:
        raise AssertionError(line)


# Makes the folder that it is told to.
CLONE = r"""IFS= read -r line
copy=${line#*\'} copy=${copy%\'}
mkdir -p "$copy/shop@0020" "$copy/empty" "$copy/a b"
head -c 300000 /dev/zero >"$copy/ibdata1"; printf 'end 9\nfile 1 x\n' >"$copy/shop@0020/t.ibd"; : >"$copy/a b/nothing"
"""


class Machine:
    """A home of data, and programs by name."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.bin, self.home = folder / "bin", folder / "home"
        self.bin.mkdir()
        (self.home / "data").mkdir(parents=True)
        self.pod = LocalPod({"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"})
        self.pods = Pods(self.pod.cluster, "shop", "pw", Alive(t.cast("t.Any", Idle()), "shop/shop"))
        self.program("mysql", CLONE)

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def copy(self) -> bytes:
        return b"".join(unpacked(self.pods.run("shop-0", files.copy("mysql", "root"))))

    def take(self, copied: bytes, cut: int = 0) -> pathlib.Path:
        shutil.rmtree(self.home / "there", ignore_errors=True)
        (self.home / "there").mkdir()
        packed = gzip.compress(copied)
        given = packed[: len(packed) - cut]
        command = [str(self.home / "there") if word == files.HOME else word for word in self.taken(len(given))]
        self.pods.feed("shop-0", command, [given])
        return self.home / "there"

    def taken(self, size: int) -> list[str]:
        return files.prove("mysql", size, 0)


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(tmp_path)
    monkeypatch.setattr(files, "HOME", str(found.home))
    monkeypatch.setattr(files, "BESIDE", 0)
    return found


def test_what_is_copied_is_what_is_unpacked(machine: Machine) -> None:
    copied = machine.copy()
    assert files.whole("mysql", copied[-100:])
    assert [one.name for one in machine.home.iterdir()] == ["data"]
    there = machine.take(copied)
    assert (there / "data/ibdata1").read_bytes() == bytes(300000)
    assert (there / "data/shop@0020/t.ibd").read_text() == "end 9\nfile 1 x\n"
    assert (there / "data/a b/nothing").read_bytes() == b""
    assert (there / "data/empty").is_dir()
    assert (there / "whole").exists()


@pytest.mark.parametrize("cut", [12, 3000, 299_000])
def test_half_a_copy_is_none(machine: Machine, cut: int) -> None:
    copied = machine.copy()[:-cut]
    assert not files.whole("mysql", copied[-100:])
    with pytest.raises(Ended, match="unpacking with"):
        machine.take(copied)
    assert not (machine.home / "there/whole").exists()


# The last of it is what tells gzip that the rest is right.
@pytest.mark.parametrize("cut", [4, 40])
def test_a_stream_that_breaks_off_makes_nothing_whole(machine: Machine, cut: int) -> None:
    with pytest.raises((Ended, Gone)):
        machine.take(machine.copy(), cut=cut)
    assert not (machine.home / "there/whole").exists()


def test_what_the_volume_has_no_room_for_is_not_begun(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = machine.copy()
    monkeypatch.setattr(files, "BESIDE", 1 << 50)
    with pytest.raises(Ended, match=r"they need \d+ MiB, and the volume has \d+ MiB free: enlarge the claim"):
        machine.take(copied)
    assert not (machine.home / "there/data").exists()
    (machine.home / "replaced.2.abc").mkdir()
    command = files.unpack("mysql", 1, b"own", SWAP, 0, 0)
    scripts = pathlib.Path(__file__).parents[5] / "roles/mysql/files"
    with pytest.raises(Ended, match=r"the volume, which keeps the data from before .* too, has \d+ MiB free"):
        machine.pods.feed("shop-0", [word.replace("/etc/stateful", str(scripts)) for word in command], [b"own", b"x"])


@pytest.mark.parametrize("cut", [4, 40])
def test_an_upload_that_breaks_off_leaves_nothing_on_the_volume(machine: Machine, cut: int) -> None:
    packed = gzip.compress(machine.copy())[:-cut]
    scripts = pathlib.Path(__file__).parents[5] / "roles/mysql/files"
    command = files.unpack("mysql", len(packed), b"own", SWAP, 0, 0)
    with pytest.raises((Ended, Gone)):
        machine.pods.feed("shop-0", [word.replace("/etc/stateful", str(scripts)) for word in command], [b"own", packed])
    assert [one.name for one in machine.home.iterdir()] == ["data"]


def test_a_copy_that_lacks_a_file_or_leads_elsewhere_is_none(machine: Machine) -> None:
    with pytest.raises(Ended):
        machine.take(b"file 1 x\nyend 2\n")
    with pytest.raises(Ended):
        machine.take(b"file 1 ../x\nyend 1\n")
    assert not (machine.home / "there/x").exists()


def test_what_a_killed_run_left_goes_and_what_another_one_is_at_stays(machine: Machine) -> None:
    (machine.home / "cloning.backup.999999999").mkdir()
    (machine.home / f"cloning.backup.{os.getpid()}").mkdir()
    (machine.home / "cloning.uid").mkdir()
    machine.copy()
    assert sorted(one.name for one in machine.home.iterdir()) == ["cloning.uid", "data"]


def test_a_clone_that_fails_is_said_and_nothing_counts(machine: Machine) -> None:
    machine.program("mysql", "echo 'ERROR 3862 (HY000) at line 1: Clone Donor Error' >&2; exit 1")
    with pytest.raises(Ended, match="clone with 1: ERROR 3862"):
        machine.copy()
    # While another one is copied, this one waits for its turn.
    machine.program("mysql", "echo 'ERROR 3634 (HY000): Too many concurrent clone operations.' >&2; exit 1")
    with pytest.raises(Gone):
        machine.copy()


def test_a_server_that_fails_to_copy_itself_by_mariadb_backup_gives_nothing(machine: Machine) -> None:
    machine.program("mariadb", "echo 0-100-5")
    machine.program("mbstream", "echo facts")
    machine.program("mariadb-backup", "echo files; echo '[00] error: no lock' >&2; exit 1")
    with pytest.raises(Ended, match=r"mariadb-backup with 1: ERROR \[00\] error: no lock"):
        b"".join(unpacked(machine.pods.run("shop-0", files.copy("mariadb", "root"))))
    machine.program("mariadb-backup", "echo files")
    assert b"".join(unpacked(machine.pods.run("shop-0", files.copy("mariadb", "root")))) == b"facts\nfiles\n"


@pytest.mark.parametrize(
    ("before", "noted", "applied", "says"),
    [
        ("0-100-5,0-101-2", "0-100-9", "0-101-2", ""),
        ("0-100-5,0-101-2", "0-101-9", "0-100-5", "Another server became the primary while the copy was made"),
        ("0-100-5", "0-100-4", "", "The binary log of the donor began anew"),
        ("0-100-5", None, "", "it does not say where it continues"),
    ],
)
def test_where_a_copy_continues_is_asked_as_the_restore_does(
    machine: Machine, before: str, noted: str | None, applied: str, says: str
) -> None:
    machine.program("mariadb", f"echo {applied}")
    (machine.home / "data.gtid_binlog_state").write_text(f"{before}\n")
    if noted is not None:
        (machine.home / "data.gtid").write_text(f"{noted}\n")
    scripts = pathlib.Path(__file__).parents[5] / "roles/mysql/files"
    command = [word.replace("/etc/stateful", str(scripts)) for word in files.continues()]
    said = b"".join(machine.pods.run("shop-0", command)).decode()
    assert said.startswith(says)
    assert bool(said) is bool(says)
    machine.program("mariadb", "exit 1")
    with pytest.raises((Ended, Gone)):
        b"".join(machine.pods.run("shop-0", command))


def test_what_an_image_lacks_is_named(machine: Machine) -> None:
    machine.program("mbstream", "")
    machine.program("gzip", "")
    shell = shutil.which("sh")
    assert shell
    command = [shell, *programs.lacking(files.PROGRAMS["mariadb"])[1:]]
    found = subprocess.run(command, env={"PATH": str(machine.bin)}, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["mariadb-backup", "mariadb"]


def test_what_reads_binary_logs_is_missed_before_anything_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    run, noted = Run(monkeypatch), {"backup_of": "shop"}
    said = types.SimpleNamespace(rc=0, stdout="mysqlbinlog ")
    looked: list[t.Sequence[str]] = []
    dropped: list[Wish] = []
    monkeypatch.setattr(Restore, "_clear", lambda self, *_all: dropped.append(self._wish))
    monkeypatch.setattr(operate, "execute", lambda *all_: looked.append(all_[3]) or said)
    restore = Restore.__new__(Restore)
    restore.title, restore._pause, restore._done, restore._began = "shop/shop", 0.0, (), False
    restore._observer = t.cast("t.Any", run)
    place = t.cast("t.Any", types.SimpleNamespace())
    for wish in (REPLAYED, WISH):
        restore._wish = wish
        restore._work = Work(restore._observer, Source(place, wish), t.cast("t.Any", place))
        if wish is REPLAYED:
            with pytest.raises(Failure, match="shop-0 lacks mysqlbinlog, which this needs"):
                restore.act([Step(dumps.CLEAR, "shop", "drop")], Around(HEALTHY, ("shop",), noted))
    # Who restores no binary logs misses nothing.
    restore.act([Step(dumps.CLEAR, "shop", "drop")], Around(HEALTHY, ("shop",), noted))
    assert dropped == [WISH]
    assert len(looked) == 1

    # A copy of files is taken by other programs, which are looked for too.
    monkeypatch.setattr(swapping, "require_programs", lambda *_all: None)
    files_run = Run(monkeypatch)
    files_run.of(REPLAYED)
    with pytest.raises(Failure, match="shop-0 lacks mysqlbinlog, which this needs"):
        files_run.act("unpack", HEALTHY)
    assert files_run.run == []


def test_a_pod_that_goes_while_it_is_looked_at_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_all: t.Any) -> t.Any:
        raise ApiError("no such pod", 404)

    monkeypatch.setattr(operate, "execute", gone)
    with pytest.raises(Gone, match="takes no commands"):
        operate.require_reader(t.cast("t.Any", Run(monkeypatch)), "shop-0", "mysql")
