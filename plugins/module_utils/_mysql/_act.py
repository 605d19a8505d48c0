# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes the steps of a plan for replicated MySQL or MariaDB, each checked again at the moment of acting."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import replace_pod
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _steps as steps
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import LOCK_WAIT_TIMEOUT, NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._hand_over import hand_over
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import BY_NAME, ROLE, Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Record, Snapshot, StatefulSet
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._as_seen import patch_as_seen
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import ROLLOUT_MANAGER, handed_back

Object = dict[str, t.Any]

# Seconds that a primary which does not answer has to stop: nobody can write meanwhile, and InnoDB recovers.
DISMISSED_WITHIN = 10
# Seconds that a Service may take to lead elsewhere.
ROUTED_WITHIN = 0.5


def act(observer: Observer, step: Step, seen: Snapshot) -> None:
    """Take one step. Raises NotYet where waiting may help, Failure where it will not."""
    with answering(step):
        _ACTS[step.action](observer, step, seen)


@contextlib.contextmanager
def answering(step: Step) -> t.Iterator[None]:
    """What servers say to this step. Raises the same."""
    try:
        yield
    except NoAnswer as silence:
        raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
    except SqlError as error:
        if error.code == LOCK_WAIT_TIMEOUT:
            raise NotYet(f"{step.target}: a transaction is in the way ({error.message})") from error
        raise Failure(
            f"The server refused to {step.sentence}: {error.message} (error {error.code}).", code=error.code
        ) from error


def _record_primary(observer: Observer, step: Step, seen: Snapshot) -> None:
    """What is declared of the record; what else stands there stays."""
    data = step.data
    before = seen.record or Record(epoch=0, primary="", members=0)
    record = dataclasses.replace(before, epoch=data["epoch"], primary=data["primary"], members=data["members"])
    if seen.record is None and record.epoch:
        # It was lost, and nobody knows any more.
        record = dataclasses.replace(record, primaries=tuple(pod.name for pod in seen.pods.values()))
    if record.epoch != before.epoch:
        record = dataclasses.replace(
            record,
            dismissed=data.get("dismissed", ""),
            dismissed_uid=data.get("dismissed_uid", ""),
            without=tuple(data.get("without", ())),
            had=data.get("had", {}),
            waits="",
            cut_off=data.get("cut_off", False),
            copies=data.get("copies", before.copies),
        )
    _write(observer, record)


def _write(observer: Observer, record: Record) -> Record:
    try:
        return _record.write(observer.cluster, observer.target, record)
    finally:
        observer.forget_objects()


def _remember(observer: Observer, step: Step, seen: Snapshot) -> None:
    _write(observer, dataclasses.replace(t.cast(Record, seen.record), had=step.data["had"]))


def _settle(observer: Observer, _step: Step, seen: Snapshot) -> None:
    _write(observer, dataclasses.replace(t.cast(Record, seen.record), without=(), had={}))


def _promote(observer: Observer, step: Step, seen: Snapshot) -> None:
    record = t.cast(Record, seen.record)
    link = _link(observer, step.data["ordinal"])
    if seen.answer(step.data["ordinal"]).source is not None:
        link.flavour.detach(link.client)
    _let_write(observer, link, record)


def _let_write(observer: Observer, link: Link, record: Record) -> None:
    """First a mark in the record: a run that froze before it could record another primary cannot do that any more."""
    _write(observer, dataclasses.replace(record, turn=record.turn + 1, waits=""))
    link.flavour.let_write(link.client, record.primary, record.epoch)


def _fence(observer: Observer, step: Step, _seen: Snapshot) -> None:
    link = _link(observer, step.data["ordinal"])
    link.flavour.fence(link.client)
    link.flavour.disconnect(link.client)
    # Whoever came back meanwhile waits for that.
    link.flavour.disconnect(link.client)
    link.flavour.release(link.client)


def _dismiss(observer: Observer, step: Step, seen: Snapshot) -> None:
    """Read after the record was written: a pod that is made later knows that it is not the primary any more."""
    target = observer.target
    pod = observer.cluster.get("v1", "Pod", step.target, target.namespace)
    uid = str(pod["metadata"]["uid"]) if pod else "none"
    record = t.cast(Record, seen.record)
    if record.dismissed_uid != uid:
        _write(observer, dataclasses.replace(record, dismissed_uid=uid))
    if pod:
        replace_pod(observer.cluster, target.namespace, step.target, uid, grace=DISMISSED_WITHIN)
    observer.forget_objects()


def _route(observer: Observer, step: Step, _seen: Snapshot) -> None:
    route(observer, step.data["pod"])


def route(observer: Observer, pod: str) -> None:
    """Lead the Service for those who write to this pod. It is found by its name alone."""
    target, cluster = observer.target, observer.cluster
    labels = {"app.kubernetes.io/name": "mysql", "app.kubernetes.io/instance": target.name}
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": target.primary_service,
            "namespace": target.namespace,
            "labels": {**labels, "app.kubernetes.io/managed-by": "stateful.kube"},
        },
        "spec": {
            "type": "ClusterIP",
            "selector": {BY_NAME: pod},
            "ports": [{"name": "mysql", "port": target.port, "targetPort": target.port, "protocol": "TCP"}],
        },
    }
    # By force: whoever else may have changed the selector, it leads to the primary.
    cluster.apply(service, manager=ROLLOUT_MANAGER, force=True)
    observer.forget_objects()


def _label(observer: Observer, step: Step, seen: Snapshot) -> None:
    pod = seen.pods[step.data["ordinal"]]
    patch = {"metadata": {"uid": pod.uid, "labels": {ROLE: step.data["role"]}}}
    _patch(observer, "v1", "Pod", pod.name, patch, step)


def _note(observer: Observer, step: Step, seen: Snapshot) -> None:
    found, record = t.cast(StatefulSet, seen.stateful_set), t.cast(Record, seen.record)
    annotations = {_record.ANNOTATION: f"{record.epoch} {record.primary}"}
    metadata = {"uid": found.uid, "resourceVersion": found.resource_version, "annotations": annotations}
    _patch(observer, "apps/v1", "StatefulSet", observer.target.name, {"metadata": metadata}, step)


def _attach(observer: Observer, step: Step, seen: Snapshot) -> None:
    link = _link(observer, step.data["ordinal"])
    target = observer.target
    link.flavour.attach(link.client, target.host(step.data["source"]), target.port, observer.replication())


def _apply(observer: Observer, step: Step, _seen: Snapshot) -> None:
    link = _link(observer, step.data["ordinal"])
    link.client.run(link.flavour.start_applying)


def _halt(observer: Observer, step: Step, _seen: Snapshot) -> None:
    link = _link(observer, step.data["ordinal"])
    link.client.run(link.flavour.stop_receiving)


def _detach(observer: Observer, step: Step, _seen: Snapshot) -> None:
    link = _link(observer, step.data["ordinal"])
    link.flavour.detach(link.client)


def _waits(observer: Observer, step: Step, seen: Snapshot) -> None:
    _write(observer, dataclasses.replace(t.cast(Record, seen.record), waits=step.data["by"]))


def _unwait(observer: Observer, step: Step, seen: Snapshot) -> None:
    record = t.cast(Record, seen.record)
    if record.waits:
        _write(observer, dataclasses.replace(record, waits=""))
    link = _link(observer, step.data["ordinal"])
    link.flavour.let_wait(link.client, False)


def _copy(observer: Observer, step: Step, seen: Snapshot) -> None:
    """First the record, then the pod: the next pod is told so when it starts."""
    record = t.cast(Record, seen.record)
    if record.copies.get(step.data["pod"]) != step.data["uid"]:
        _write(observer, dataclasses.replace(record, copies={**record.copies, step.data["pod"]: step.data["uid"]}))
    replace_pod(observer.cluster, observer.target.namespace, step.data["pod"], step.data["uid"])
    observer.forget_objects()


def _forget_copy(observer: Observer, step: Step, seen: Snapshot) -> None:
    record = t.cast(Record, seen.record)
    copies = {pod: token for pod, token in record.copies.items() if pod != step.data["pod"]}
    _write(observer, dataclasses.replace(record, copies=copies))


def _hand_over(observer: Observer, step: Step, seen: Snapshot) -> None:
    former = t.cast(Record, seen.record)
    old = _link(observer, step.data["from"])
    without = step.data["without"]
    if former.without != without:
        # Before nobody takes writes: whoever is to take them after a killed run is not kept from it by these.
        former = _write(observer, dataclasses.replace(former, without=without))
    next_one = dataclasses.replace(
        former,
        epoch=step.data["epoch"],
        primary=step.target,
        dismissed="",
        dismissed_uid="",
        without=without,
        had={},
        turn=former.turn + 1,
        waits="",
        cut_off=False,
    )
    try:
        hand_over(
            old=old,
            new=_link(observer, step.data["to"]),
            former=former.primary,
            following=(next_one.primary, next_one.epoch),
            record=lambda: _write(observer, next_one),
            take_back=lambda: _let_write(observer, old, former),
        )
        route(observer, step.target)
        # Who came back before the Service led elsewhere is sent away once more, before the old one is let go.
        time.sleep(ROUTED_WITHIN)
        old.flavour.disconnect(old.client)
        # A commit may wait for a replica to have it: the nearest one is at hand.
        target = observer.target
        old.flavour.attach(old.client, target.host(step.data["to"]), target.port, observer.replication())
    finally:
        observer.forget_objects()


def _replace(observer: Observer, step: Step, _seen: Snapshot) -> None:
    replace_pod(observer.cluster, observer.target.namespace, step.data["pod"], step.data["uid"])
    observer.forget_objects()


def _scale(observer: Observer, step: Step, seen: Snapshot) -> None:
    found = t.cast(StatefulSet, seen.stateful_set)
    metadata = {"uid": found.uid, "resourceVersion": found.resource_version}
    patch = {"metadata": metadata, "spec": {"replicas": step.data["replicas"]}}
    _patch(observer, "apps/v1", "StatefulSet", observer.target.name, patch, step)


def _hand_back(observer: Observer, step: Step, _seen: Snapshot) -> None:
    """Whoever applies the declaration again must not run into a conflict with this operation."""
    live = observer.cluster.get("apps/v1", "StatefulSet", observer.target.name, observer.target.namespace)
    managed = handed_back(live, holding=False) if live else None
    if live and managed is not None:
        metadata = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        patch = {"metadata": {**metadata, "managedFields": managed}}
        _patch(observer, "apps/v1", "StatefulSet", observer.target.name, patch, step)
    observer.forget_objects()


def _patch(observer: Observer, api_version: str, kind: str, name: str, patch: Object, step: Step) -> None:
    try:
        patch_as_seen(observer.cluster, api_version, kind, name, observer.target.namespace, patch, step)
    finally:
        observer.forget_objects()


def _link(observer: Observer, ordinal: int) -> Link:
    link = observer.links.get(ordinal)
    if link is None:
        raise NotYet(f"{observer.target.pod(ordinal)} is gone")
    return link


_ACTS: t.Mapping[str, t.Callable[[Observer, Step, Snapshot], None]] = {
    steps.RECORD: _record_primary,
    steps.REMEMBER: _remember,
    steps.SETTLE: _settle,
    steps.PROMOTE: _promote,
    steps.FENCE: _fence,
    steps.DISMISS: _dismiss,
    steps.ROUTE: _route,
    steps.LABEL: _label,
    steps.NOTE: _note,
    steps.ATTACH: _attach,
    steps.APPLY: _apply,
    steps.HALT: _halt,
    steps.DETACH: _detach,
    steps.WAITS: _waits,
    steps.UNWAIT: _unwait,
    steps.COPY: _copy,
    steps.FORGET_COPY: _forget_copy,
    steps.HAND_OVER: _hand_over,
    steps.REPLACE: _replace,
    steps.SCALE: _scale,
    steps.HAND_BACK: _hand_back,
}
