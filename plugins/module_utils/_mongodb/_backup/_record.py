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


def recorded(annotation: str, set_id: str, now: float) -> dict[str, t.Any]:
    """For results: the newest backup of each kind, or null. ``now`` is seconds since the epoch."""
    known = _parse(annotation)
    if not set_id or known.get("set_id") != set_id:
        known = {}
    return {kind: _aged(known.get(kind), now) for kind in (FULL, OPLOG)}


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


def schedules(cron_jobs: t.Iterable[Object]) -> list[dict[str, t.Any]]:
    """For results: what the cluster does by itself, and when that began and succeeded last."""
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
            }
        )
    return found


def problems(found: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """What a person on call should know of them, one sentence each."""
    told = []
    for one in found:
        begun, done = (seconds(one[key] or "") for key in ("last_begun", "last_success"))
        if one["suspended"]:
            told.append(f"CronJob {one['name']} is suspended: no backup is made")
        elif begun and not one["running"] and done < begun:
            since = f"the last one that did is of {one['last_success']}" if done else "none ever did"
            told.append(f"CronJob {one['name']}: the backup of {one['last_begun']} did not succeed; {since}")
    return told


def seconds(stamp: str) -> float:
    """An RFC 3339 time of whole seconds as seconds since the epoch; 0 where there is none."""
    try:
        return float(calendar.timegm(time.strptime(stamp, _ISO)))
    except ValueError:
        return 0.0
