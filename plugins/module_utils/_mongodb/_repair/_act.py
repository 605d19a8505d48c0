# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes the steps of a repair: saves configurations, forces one, empties disks."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _act, _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._look import BACKUP_LABEL
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._plan import BACK_UP, EMPTY, FORCE
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._report import table
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Evidence
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RECORD
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

Document = dict[str, t.Any]

# Answers to a forced configuration that another try, a little later, may not get.
_NOT_FOUND = (_client.NODE_NOT_FOUND, _client.INVALID_CONFIG)
_BUSY = (
    _client.CONFIGURATION_IN_PROGRESS,
    _client.HOST_UNREACHABLE,
    _client.MAX_TIME_EXPIRED,
    _client.NOT_YET_INITIALIZED,
    *_client.NOT_PRIMARY,
)


def act(observer: Observer, step: Step, found: Evidence, look_again: t.Callable[[], t.Optional[Step]]) -> None:
    """Take one step. ``look_again`` gathers all evidence anew, and gives the change that would come first then."""
    if step.action == BACK_UP:
        _back_up(observer, step, found)
    elif step.action == FORCE:
        _force(observer, step, look_again)
    elif step.action == EMPTY:
        _empty(observer, step)
    elif step.action == RECORD:
        _act.act(observer, step, found.seen)


def _back_up(observer: Observer, step: Step, found: Evidence) -> None:
    target = observer.target
    data = {
        f"{target.pod(ordinal)}.json": said.document
        for ordinal, said in sorted(found.statements.items())
        if said.document and found.seen.answer(ordinal).set_id == step.data["set_id"]
    }
    saved_at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        observer.cluster.create(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": step.data["name"],
                    "namespace": target.namespace,
                    # Not the label of the application: what carries it and is declared nowhere is pruned.
                    "labels": {BACKUP_LABEL: target.name},
                    "annotations": {"stateful.kube/saved-at": saved_at},
                },
                "data": {**data, "evidence.txt": "".join(f"{line}\n" for line in table(target, found))},
            }
        )
    except ApiError as error:
        if not error.conflict:
            raise


def _force(observer: Observer, step: Step, look_again: t.Callable[[], t.Optional[Step]]) -> None:
    again = look_again()
    if again is None or not _same(step, again):
        raise NotYet(f"what the members tell changed meanwhile; next: {step.sentence}")
    link = observer.links.get(step.data["ordinal"])
    if link is None:
        raise NotYet(f"{step.target} is gone")
    client = link.client(login=True)
    try:
        document: Document = client.command("replSetGetConfig")["config"]
        if (document["version"], document.get("term", 0)) != (step.data["version"], step.data["term"]):
            raise NotYet(f"the configuration of {step.target} changed meanwhile; next: {step.sentence}")
        client.command(
            "replSetReconfig",
            alone(document, step.data["member"], step.data["host"]),
            force=True,
            seconds=_client.CHANGE_TIMEOUT,
        )
    except NoAnswer as silence:
        # It may have been taken: the next look tells, and nothing is forced on what is in force already.
        raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
    except CommandError as error:
        if error.code in _NOT_FOUND and "maps to this node" in error.message:
            raise NotYet(
                f"the name {step.data['host']} does not resolve in {step.target}, or not to {step.target} itself"
            ) from error
        if error.code in _BUSY:
            raise NotYet(f"{step.target}: {error.message}; next: {step.sentence}") from error
        raise Failure(
            f"MongoDB refused to {step.sentence}: {error.message} (code {error.code}). Nothing was changed; the "
            "configuration that it has is in the ConfigMap that was written before.",
            code=error.code,
        ) from error


def _same(planned: Step, now: Step) -> bool:
    """Whether all that decided is still so; the newest write may only have become newer."""
    keys = ("ordinal", "host", "member", "version", "term")
    return (
        now.action == FORCE
        and all(planned.data[key] == now.data[key] for key in keys)
        and now.data["newest"] >= planned.data["newest"]
    )


def alone(document: Document, member: str, host: str) -> Document:
    """The configuration with this host as its only member, everything else as it was."""
    known: Document = next((dict(one) for one in document["members"] if one["host"] == member), {})
    if not known:
        # Which member it was is not known, so no member's number is used again.
        known = {"_id": 1 + max(one["_id"] for one in document["members"])}
    for gone in ("slaveDelay", "secondaryDelaySecs", "arbiterOnly"):
        known.pop(gone, None)
    known.update({"host": host, "votes": 1, "hidden": False, "priority": known.get("priority") or 1})
    made = {key: value for key, value in document.items() if key != "term"}
    return {**made, "version": document["version"] + 1, "members": [known]}


def _empty(observer: Observer, step: Step) -> None:
    """Delete the pod that was seen, and its claims. Kubernetes makes both again."""
    cluster, target = observer.cluster, observer.target
    observer.forget_objects()
    pod = cluster.get("v1", "Pod", step.target, target.namespace)
    if pod is None or pod["metadata"]["uid"] != step.data["uid"]:
        raise NotYet(f"the pod {step.target} has just been replaced by another of its name")
    claims = [cluster.get("v1", "PersistentVolumeClaim", name, target.namespace) for name in step.data["claims"]]
    going = [one for one in (*claims, pod) if one and not one["metadata"].get("deletionTimestamp")]
    if not going:
        raise NotYet(f"the pod {step.target} and its claim are being deleted")
    # Claims first: they wait for their pod, and no new pod takes a claim that is going.
    for one in going:
        kind = "Pod" if one is pod else "PersistentVolumeClaim"
        cluster.delete("v1", kind, one["metadata"]["name"], target.namespace, uid=one["metadata"]["uid"])
