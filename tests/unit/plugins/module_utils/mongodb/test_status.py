# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What status tells besides the members: room on disks, how far oplogs reach back, and how old backups are."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._unit import File
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _measures as measures
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _record as record
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    OPLOG,
    Manifest,
    Optime,
)

PODS = {0: "shop-0", 1: "shop-1"}
HOUR = 3600
GIB = 1 << 30


def manifest(kind: str, end: int, set_id: str = "id1", verified: str = "") -> Manifest:
    at = Optime(end, 1)
    files = (File("oplog.bson", 10, ""),)
    return Manifest(
        f"b{end}", kind, "n", "shop", "shop", set_id, "", "", "", "", "", at, at, at, 0, files, (), verified
    )


def test_the_newest_of_each_kind_is_known() -> None:
    note = record.noted("", manifest(FULL, 100), "here:/b")
    note = record.noted(note, manifest(OPLOG, 150), "here:/b")
    note = record.noted(note, manifest(FULL, 200, verified="2026-01-01T00:00:00Z"), "there:/b")
    found = record.recorded(note, "id1", 260.0)
    assert [found[kind]["backup"] for kind in (FULL, OPLOG)] == ["b200", "b150"]
    assert [found[kind]["age_seconds"] for kind in (FULL, OPLOG)] == [60, 110]
    assert found[FULL]["where"] == "there:/b"
    assert found[FULL]["verified"] == "2026-01-01T00:00:00Z"
    assert found[OPLOG]["verified"] is None


def test_a_backup_of_another_set_is_none() -> None:
    note = record.noted("", manifest(FULL, 100), "here:/b")
    nothing = {FULL: None, OPLOG: None, record.SNAPSHOT: None}
    assert record.recorded(note, "id2", 200.0) == nothing
    # Nor does what the new set has stand beside what the old one had.
    note = record.noted(note, manifest(OPLOG, 150, "id2"), "here:/b")
    assert record.recorded(note, "id2", 200.0)[FULL] is None
    assert record.recorded(note, "id1", 200.0) == nothing


@pytest.mark.parametrize(
    "note", ["", "no json", "[]", '{"set_id": "id1", "full": 1}', '{"set_id": "id1", "full": {"until": "soon"}}']
)
def test_whatever_stands_there_is_read(note: str) -> None:
    assert record.recorded(note, "id1", 200.0) == {FULL: None, OPLOG: None, record.SNAPSHOT: None}
    assert json.loads(record.noted(note, manifest(FULL, 100), "here:/b"))["full"]["backup"] == "b100"


def cron_job(**status: t.Any) -> dict[str, t.Any]:
    spec = {"schedule": "0 2 * * *", "suspend": status.pop("suspend", False)}
    return {"metadata": {"name": "shop-backup"}, "spec": spec, "status": status}


def test_a_failure_is_told_also_while_the_next_one_runs() -> None:
    running = cron_job(lastScheduleTime="2026-01-03T02:00:00Z", lastSuccessfulTime="2026-01-01T02:03:00Z", active=[{}])
    running["metadata"]["uid"] = "1"
    job = {
        "metadata": {"name": "shop-backup-1", "ownerReferences": [{"uid": "1"}]},
        "status": {"startTime": "2026-01-02T02:00:00Z", "conditions": [{"type": "Failed", "status": "True"}]},
    }
    (told,) = record.problems(record.schedules([running], [job]))
    assert "the backup of 2026-01-02T02:00:00Z did not succeed" in told
    other = {**job, "metadata": {"name": "other", "ownerReferences": [{"uid": "2"}]}}
    succeeded = {**job, "status": {**job["status"], "conditions": [{"type": "Complete", "status": "True"}]}}
    assert record.problems(record.schedules([running], [other, succeeded])) == []
    later = {**running, "status": {**running["status"], "lastSuccessfulTime": "2026-01-02T03:00:00Z"}}
    assert record.problems(record.schedules([later], [job])) == []


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (cron_job(), ""),
        (cron_job(lastScheduleTime="2026-01-02T02:00:00Z", lastSuccessfulTime="2026-01-02T02:03:00Z"), ""),
        (cron_job(lastScheduleTime="2026-01-02T02:00:00Z", active=[{}]), ""),
        (cron_job(lastScheduleTime="2026-01-02T02:00:00Z"), "did not succeed; none ever did"),
        (
            cron_job(lastScheduleTime="2026-01-02T02:00:00Z", lastSuccessfulTime="2026-01-01T02:03:00Z"),
            "the backup of 2026-01-02T02:00:00Z did not succeed; the last one that did is of 2026-01-01T02:03:00Z",
        ),
        (cron_job(suspend=True), "is suspended"),
    ],
)
def test_a_schedule_that_is_not_kept_is_a_problem(job: dict[str, t.Any], says: str) -> None:
    found = record.problems(record.schedules([job]))
    assert len(found) == bool(says)
    assert all(says in one for one in found)


@pytest.mark.parametrize(
    ("disk", "oplog", "says"),
    [
        (measures.Disk(85 * GIB, 100 * GIB), None, []),
        (measures.Disk(86 * GIB, 100 * GIB), None, ["shop-1: its disk is 86 % full"]),
        # One that never dropped an entry reaches back to the beginning of the set.
        (None, measures.Oplog(0, HOUR, GIB // 2, GIB), []),
        (None, measures.Oplog(0, 25 * HOUR, GIB, GIB), []),
        (None, measures.Oplog(0, 5 * HOUR, GIB, GIB), ["shop-1: its oplog reaches back 5.0 h only"]),
    ],
)
def test_what_runs_out(
    disk: t.Optional[measures.Disk], oplog: t.Optional[measures.Oplog], says: t.Sequence[str]
) -> None:
    found = measures.problems(PODS, {0: measures.Measures(), 1: measures.Measures(disk, oplog)})
    assert [one.partition(";")[0] for one in found] == says
