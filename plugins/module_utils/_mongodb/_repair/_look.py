# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Gathers the evidence: what every member answers, and beside that its newest write and whom it hears."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import (
    Evidence,
    Heard,
    Optime,
    Statement,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Answer, Kind, Snapshot

#: on every ConfigMap with a saved configuration; its value is the name of the StatefulSet
BACKUP_LABEL = "stateful.kube/replica-set-config-of"


def gather(observer: Observer) -> Evidence:
    seen = observer.observe()
    asked = [o for o, answer in seen.answers.items() if answer.kind in (Kind.MEMBER, Kind.REMOVED) and answer.config]
    statements: dict[int, Statement] = {}
    if asked:
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(asked)) as pool:
            waiting = [(ordinal, pool.submit(_ask, observer, ordinal, seen.answers[ordinal])) for ordinal in asked]
            statements = {ordinal: future.result() for ordinal, future in waiting}
    return Evidence(
        seen,
        statements,
        frozenset(ordinal for ordinal in seen.pods if observer.new_disk(ordinal)),
        _backups(observer),
        _volumes(observer, seen),
    )


def _ask(observer: Observer, ordinal: int, answer: Answer) -> Statement:
    link = observer.links.get(ordinal)
    if link is None:
        return Statement(problem="its pod is gone")
    try:
        return statement(link.client(login=True), answer)
    except NoAnswer as silence:
        return Statement(problem=f"no answer ({silence})")
    except CommandError as error:
        return Statement(problem=_unreadable(error))


def statement(client: Client, answer: Answer) -> Statement:
    """What one member that lets us in says. Raises NoAnswer and CommandError."""
    from bson import json_util

    # A member that is not in its configuration reports no status.
    status = client.command("replSetGetStatus") if answer.kind is Kind.MEMBER else {}
    known = Statement(
        me=str(client.command("hello").get("me", "")),
        heard=tuple(_heard(member) for member in status.get("members", ()) if not member.get("self")),
        document=json_util.dumps(
            client.command("replSetGetConfig")["config"], json_options=json_util.CANONICAL_JSON_OPTIONS
        ),
    )
    try:
        newest = _first(client, "oplog.rs", sort={"$natural": -1}, projection={"ts": 1, "t": 1})
        minimum = _first(client, "replset.minvalid")
    except CommandError as error:
        return dataclasses.replace(known, problem=_unreadable(error))
    if not newest:
        return dataclasses.replace(known, complete=False, problem="it has no oplog: its first copy has not begun")
    at = Optime(int(newest.get("t", 0)), newest["ts"].time, newest["ts"].inc)
    return dataclasses.replace(known, newest=at, complete=_complete(minimum, at))


def _unreadable(error: CommandError) -> str:
    return f"its newest write cannot be read ({error.message})"


def _first(client: Client, collection: str, **more: t.Any) -> dict[str, t.Any]:
    found = client.command("find", collection, database="local", limit=1, **more)["cursor"]["firstBatch"]
    return dict(found[0]) if found else {}


def _complete(minimum: t.Mapping[str, t.Any], newest: Optime) -> bool:
    """mongod keeps on its disk whether a first copy is under way, and up to where it must have applied its oplog."""
    if minimum.get("doingInitialSync"):
        return False
    needed = minimum.get("ts")
    return needed is None or (needed.time, needed.inc) <= (newest.seconds, newest.increment)


def _heard(member: t.Mapping[str, t.Any]) -> Heard:
    # When it called. The time of lastHeartbeat moves on with every call that gets no answer.
    last = member.get("lastHeartbeatRecv")
    stamp = ""
    if isinstance(last, datetime.datetime) and last.year > 1970:
        stamp = last.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Heard(
        host=str(member["name"]),
        state=str(member.get("stateStr", "UNKNOWN")),
        healthy=bool(member.get("health")),
        last=stamp,
        message=str(member.get("lastHeartbeatMessage") or ""),
    )


def _backups(observer: Observer) -> frozenset[str]:
    found = observer.cluster.list(
        "v1", "ConfigMap", observer.target.namespace, labels=f"{BACKUP_LABEL}={observer.target.name}"
    )
    return frozenset(item["metadata"]["name"] for item in found)


def _volumes(observer: Observer, seen: Snapshot) -> dict[int, str]:
    """What becomes of volumes whose claim goes: asked only where several sets are told, so a claim may have to."""
    told = {answer.set_id or answer.kind.value for answer in seen.answers.values() if _may_go(answer)}
    if len(told) < 2:
        return {}
    return {
        ordinal: "; ".join(_volume(observer, claim) for claim in seen.claims.get(ordinal, ()))
        for ordinal, answer in seen.answers.items()
        if _may_go(answer)
    }


def _may_go(answer: Answer) -> bool:
    return bool(answer.set_id) or answer.kind in (Kind.NO_USER, Kind.REFUSED)


def _volume(observer: Observer, name: str) -> str:
    claim = observer.cluster.get("v1", "PersistentVolumeClaim", name, observer.target.namespace)
    volume = ((claim or {}).get("spec") or {}).get("volumeName")
    if not volume:
        return "it has no volume"
    try:
        found = observer.cluster.get("v1", "PersistentVolume", volume)
    except ApiError as error:
        if not error.forbidden:
            raise
        return "whether its volume is kept is not known: this account may not read it"
    policy = ((found or {}).get("spec") or {}).get("persistentVolumeReclaimPolicy")
    if policy == "Retain":
        return f"its volume {volume} is kept, with the data"
    return f"its volume {volume} is deleted with it, and the data with that"
