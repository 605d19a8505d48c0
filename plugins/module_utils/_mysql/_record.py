# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The ConfigMap that says who may write, which servers read when they start: read, and changed by compare-and-set."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import BinlogState, History
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record

Object = dict[str, t.Any]

ANNOTATION = "stateful.kube/mysql-primary"
# Annotations of the ConfigMap itself: writing the record leaves them as they are.
#: a restore that has not come to its end
RESTORING = "stateful.kube/mysql-restore"
#: which life of the data this is, since the numbers of transactions began anew
LIFE = "stateful.kube/life"


def parse(found: t.Optional[Object], target: Target) -> t.Optional[Record]:
    """Raises Failure where it is none that this collection has written."""
    if found is None:
        return None
    data = found.get("data") or {}
    primary = str(data.get("primary", ""))
    numbers = [str(data.get(key, "")) for key in ("epoch", "members")]
    if not all(number.isdigit() for number in numbers) or target.ordinal(primary) is None:
        raise Failure(
            f"The ConfigMap {target.namespace}/{target.record} must have the keys epoch and members with numbers, and "
            f"primary with a pod of {target.name}; found {sorted(data)} with primary={primary or 'nothing'}. It says "
            "who may write, and nobody but this collection changes it: restore it, or delete it, and the next run "
            "writes it anew from what the servers say."
        )
    epoch = int(numbers[0])
    copies = dict(line.split(" ", 1) for line in str(data.get("copy", "")).splitlines() if " " in line)

    def of(key: str) -> list[str]:
        """Lines that name their epoch, of this one: whoever does not know the key leaves it as it was."""
        lines = (line.partition(" ") for line in str(data.get(key, "")).splitlines())
        return [rest for number, _blank, rest in lines if number == str(epoch)]

    return Record(
        epoch=epoch,
        primary=primary,
        members=int(numbers[1]),
        primaries=tuple(str(data.get("primaries", "")).split()),
        copies=copies,
        dismissed=str(data.get("dismissed", "")),
        dismissed_uid=str(data.get("dismissed_uid", "")),
        without=tuple(str(data.get("without", "")).split()),
        had={pod: _history(text, target) for pod, _blank, text in (line.partition(" ") for line in of("had"))},
        turn=int(str(data.get("turn", "")) or 0),
        waits="".join(of("waits")),
        cut_off=bool(of("cut_off")),
        importing=str(data.get("importing", "")),
        imported=str(data.get("imported", "")),
        restoring=str(restoring(found).get("backup", "")),
        swap=str(data.get("swap", "")),
        swap_uid=str(data.get("swap_uid", "")),
        swap_before=str(data.get("swap_before", "")),
        resource_version=str(found["metadata"].get("resourceVersion", "")),
    )


def _history(text: str, target: Target) -> History:
    try:
        return BinlogState.recall(text)
    except ValueError as exc:
        raise Failure(
            f"The ConfigMap {target.namespace}/{target.record} must have under had, for each pod, its transactions as "
            f"a failover has written them; found {text!r}. Restore it, or, where no failover goes on, take that key "
            "from it."
        ) from exc


def write(
    cluster: Cluster, target: Target, record: Record, annotations: t.Optional[t.Mapping[str, t.Optional[str]]] = None
) -> Record:
    """Put this in place of the version that the record names; without one there must be none. Raises NotYet.

    Gives it back as it stands there now.
    """
    epoch = record.epoch
    data = {
        "epoch": str(record.epoch),
        "primary": record.primary,
        "members": str(record.members),
        "primaries": " ".join(sorted({record.primary, *record.primaries})),
        "copy": "".join(f"{pod} {token}\n" for pod, token in sorted(record.copies.items())),
        "dismissed": record.dismissed,
        "dismissed_uid": record.dismissed_uid,
        "without": " ".join(record.without),
        "turn": str(record.turn),
        "had": "".join(f"{epoch} {pod} {history.noted()}\n" for pod, history in sorted(record.had.items())),
        "waits": f"{epoch} {record.waits}" if record.waits else "",
        "cut_off": f"{epoch} true" if record.cut_off else "",
        "importing": record.importing,
        "imported": record.imported,
        "swap": record.swap,
        "swap_uid": record.swap_uid,
        "swap_before": record.swap_before,
    }
    metadata: Object = {"name": target.record, "namespace": target.namespace}
    with _as_seen(target):
        if record.resource_version:
            about: Object = {"resourceVersion": record.resource_version}
            if annotations:
                about["annotations"] = dict(annotations)
            patch = {"metadata": about, "data": data}
            written = cluster.merge("v1", "ConfigMap", target.record, target.namespace, patch)
        else:
            labels = {
                "app.kubernetes.io/name": "mysql",
                "app.kubernetes.io/instance": target.name,
                "app.kubernetes.io/managed-by": "stateful.kube",
            }
            written = cluster.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, "labels": labels}, "data": data}
            )
    return dataclasses.replace(record, resource_version=str(written["metadata"]["resourceVersion"]))


def begin_life(cluster: Cluster, target: Target, record: Record) -> None:
    """Before the numbers of transactions begin anew: what was backed up before is of other data. Raises NotYet."""
    metadata = {"resourceVersion": record.resource_version, "annotations": another_life()}
    with _as_seen(target):
        cluster.merge("v1", "ConfigMap", target.record, target.namespace, {"metadata": metadata})


def another_life() -> dict[str, t.Optional[str]]:
    return {LIFE: secrets.token_hex(8)}


def life(found: Object) -> str:
    """Which life of the data this is: the ConfigMap is kept and removed with the data."""
    metadata = found["metadata"]
    uid, begun = str(metadata.get("uid", "")), (metadata.get("annotations") or {}).get(LIFE)
    return f"{uid}.{begun}" if begun else uid


def restoring(found: Object) -> dict[str, t.Any]:
    """The note of a restore that has not come to its end; empty where there is none."""
    noted = (found["metadata"].get("annotations") or {}).get(RESTORING)
    with contextlib.suppress(ValueError):
        mark = json.loads(noted or "{}")
        if isinstance(mark, dict):
            return mark
    return {"backup": "something that cannot be read"}


@contextlib.contextmanager
def _as_seen(target: Target) -> t.Iterator[None]:
    try:
        yield
    except ApiError as error:
        if not (error.conflict or error.not_found):
            raise
        raise NotYet(f"the ConfigMap {target.namespace}/{target.record} has changed meanwhile") from error


def noted(stateful_set: Object) -> t.Optional[tuple[int, str]]:
    """Epoch and primary as they stand on the StatefulSet."""
    text = (stateful_set["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    epoch, _blank, primary = str(text).partition(" ")
    return (int(epoch), primary) if epoch.isdigit() and primary else None
