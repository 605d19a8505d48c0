# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is known in the cluster of a set's backups, for ``status``: the newest ones, noted on the StatefulSet, and when
those that the cluster makes by itself have succeeded last. Pure."""

from __future__ import annotations

import calendar
import contextlib
import json
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import FULL, OPLOG, Manifest

Object = dict[str, t.Any]

SNAPSHOT = "snapshot"
ANNOTATION = "stateful.kube/mongodb-backup"
#: on the CronJobs that back up a set: its name
LABEL = "stateful.kube/backup-of"

_ISO = "%Y-%m-%dT%H:%M:%SZ"


def noted(annotation: str, made: Manifest, where: str) -> str:
    """The note, with this backup instead of the last one of its kind. One of another set is forgotten."""
    known = _parse(annotation)
    if known.get("set_id") != made.set_id:
        known = {"set_id": made.set_id}
    known[made.kind] = {
        "backup": made.backup,
        "where": where,
        "until": made.end.time,
        "bytes": made.size,
        "verified": made.verified or None,
    }
    return json.dumps(known, sort_keys=True)


def noted_snapshot(annotation: str, set_id: str, facts: t.Mapping[str, t.Any], namespace: str) -> str:
    """The same with the newest VolumeSnapshot."""
    known = _parse(annotation)
    if known.get("set_id") != set_id:
        known = {"set_id": set_id}
    known[SNAPSHOT] = {
        "backup": facts["snapshot"],
        "where": f"VolumeSnapshots of namespace {namespace}",
        "until": facts["until"]["time"],
        "bytes": None,
        "verified": facts["verified"],
    }
    return json.dumps(known, sort_keys=True)


def recorded(annotation: str, set_id: str, now: float) -> dict[str, t.Any]:
    """For results: the newest backup of each kind, or null. ``now`` is seconds since the epoch."""
    known = _parse(annotation)
    if not set_id or known.get("set_id") != set_id:
        known = {}
    return {kind: _aged(known.get(kind), now) for kind in (FULL, OPLOG, SNAPSHOT)}


def _aged(entry: t.Any, now: float) -> t.Optional[dict[str, t.Any]]:
    if not isinstance(entry, dict) or not (until := seconds(str(entry.get("until", "")))):
        return None
    return {**entry, "age_seconds": max(0, int(now - until))}


def _parse(annotation: str) -> dict[str, t.Any]:
    # Anybody who may write on the StatefulSet may have written this.
    with contextlib.suppress(ValueError):
        found = json.loads(annotation or "{}")
        if isinstance(found, dict):
            return found
    return {}


def ended(job: t.Mapping[str, t.Any]) -> str:
    """How a Job has ended: Complete, Failed, or not at all."""
    for one in (job.get("status") or {}).get("conditions") or ():
        if one["type"] in ("Complete", "Failed") and one["status"] == "True":
            return str(one["type"])
    return ""


def _last_failure(jobs: t.Iterable[Object], cron_job: Object) -> t.Optional[str]:
    """When the newest of its Jobs that failed had begun."""
    uid = cron_job["metadata"].get("uid")
    begun = [
        str((one.get("status") or {}).get("startTime") or one["metadata"].get("creationTimestamp") or "")
        for one in jobs
        if ended(one) == "Failed" and any(by.get("uid") == uid for by in one["metadata"].get("ownerReferences") or ())
    ]
    return max(begun, default=None)


def schedules(cron_jobs: t.Iterable[Object], jobs: t.Sequence[Object] = ()) -> list[dict[str, t.Any]]:
    """For results: what the cluster does by itself, and when that began, succeeded and failed last."""
    found = []
    for one in sorted(cron_jobs, key=lambda one: str(one["metadata"]["name"])):
        status = one.get("status") or {}
        found.append(
            {
                "name": one["metadata"]["name"],
                "schedule": one["spec"]["schedule"],
                "suspended": bool(one["spec"].get("suspend")),
                "running": bool(status.get("active")),
                "last_begun": status.get("lastScheduleTime"),
                "last_success": status.get("lastSuccessfulTime"),
                "last_failure": _last_failure(jobs, one),
            }
        )
    return found


def problems(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """What a person on call should know of them, one sentence each."""
    told = []
    for one in found:
        failed = one.get("last_failure")
        # While one runs, the one before it may have failed: only its Job tells.
        last = failed if one["running"] else one["last_begun"]
        begun, done = seconds(last or ""), seconds(one["last_success"] or "")
        if one["suspended"]:
            told.append(f"CronJob {one['name']} is suspended: no backup is made")
        elif begun and done < begun:
            since = f"the last one that did is of {one['last_success']}" if done else "none ever did"
            told.append(f"CronJob {one['name']}: the backup of {last} did not succeed; {since}")
    return told


def seconds(stamp: str) -> float:
    """An RFC 3339 time of whole seconds as seconds since the epoch; 0 where there is none."""
    try:
        return float(calendar.timegm(time.strptime(stamp, _ISO)))
    except ValueError:
        return 0.0
