# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From the state of each object to ordered steps. Pure: nothing here asks or changes a cluster."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import owns, visible
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import needs_no_volume_yet, obstacle
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import Change, in_place
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import (
    LABEL,
    NAME,
    Record,
    Undeclared,
    refuse,
    wider,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import StuckPod
from ansible_collections.stateful.kube.plugins.module_utils._manifests._variant import interrupted
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

# On a StatefulSet: what its data was made with, in words.
IDENTITY = "stateful.kube/identity"
# On objects of this collection's roles.
MANAGED_BY = "app.kubernetes.io/managed-by"


@dataclasses.dataclass(frozen=True)
class Seen:
    """One declared object beside the live one.

    ``after`` is what the server would make of it (from a dry run), and None where nothing would change or the server
    could not be asked yet (``validated`` false: its namespace does not exist).
    """

    key: Key
    live: t.Optional[Object] = None
    declared: t.Optional[Object] = None
    after: t.Optional[Object] = None
    changes: bool = False
    validated: bool = True
    #: how it becomes as declared where it cannot be changed in place
    change: t.Optional[Change] = None
    #: what the live object is between: the new fields that need a new object, and otherwise as it was
    between: t.Optional[Object] = None
    recreation: t.Optional[Recreation] = None
    #: declared fields that another manager has, each with that manager
    conflicts: tuple[tuple[str, str], ...] = ()

    @property
    def going(self) -> bool:
        return bool(self.live and self.live["metadata"].get("deletionTimestamp"))


@dataclasses.dataclass(frozen=True)
class SeenSecret:
    """A generated Secret: whether it is there, and which of its keys are missing."""

    key: Key
    exists: bool
    missing: tuple[str, ...]
    #: what there is already that this Secret opens: a StatefulSet, claims
    opens: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observed:
    """One snapshot of everything that is declared."""

    objects: tuple[Seen, ...] = ()
    secrets: tuple[SeenSecret, ...] = ()
    stuck: tuple[StuckPod, ...] = ()
    #: StatefulSets with idle pods whose controller has not seen the newest version yet
    unsettled: tuple[str, ...] = ()
    #: namespaces that do not exist and will be made
    missing_namespaces: tuple[str, ...] = ()
    #: storage classes that make a volume only when the first pod asks for it
    late_classes: frozenset[str] = frozenset()
    #: objects of the application that are not declared any more
    undeclared: tuple[Undeclared, ...] = ()
    record: t.Optional[Record] = None
    #: copies that recreations left which were killed, of objects that are to be deleted
    copies: tuple[Key, ...] = ()


def plan_present(observed: Observed, wait: bool, application_follows: bool = False) -> t.Union[Plan, Refusal]:
    """Make and change what differs, in order; then wait until everything is ready, if asked.

    Where an operation of the application follows, pods of older revisions are its business, and nothing to warn of.
    """
    refusals = [
        _is_anothers(seen)
        or (interrupted(seen.key, seen.live) if seen.declared else None)
        or _shrinks(seen)
        or _changes_identity(seen)
        or (seen.change.refusal if seen.change else None)
        for seen in observed.objects
    ]
    refusals += [_locks_up(secret) for secret in observed.secrets]
    refusals += [refuse(one) for one in observed.undeclared]
    for refusal in refusals:
        if refusal:
            return refusal
    steps = [
        Step("create-namespace", name, f"create Namespace {name}", guarded=False, data={"namespace": name})
        for name in observed.missing_namespaces
    ]
    spaces = [seen for seen in observed.objects if seen.key.kind == "Namespace" and seen.changes and not seen.live]
    # Everything else lives in one, the application's lock included.
    steps += [dataclasses.replace(_apply_step(seen, 0), guarded=False, batch="apply-namespace") for seen in spaces]
    for secret in observed.secrets:
        verb = "add the missing keys of" if secret.exists else "create"
        if secret.missing:
            what = f"{verb} {secret.key} ({', '.join(secret.missing)}: made once and kept)"
            steps.append(Step("generate", str(secret.key), what, batch="generate", data={"secret": secret}))
    steps += _record_steps(observed)
    noted = {step.target for step in steps if step.action == "apply"}  # those among these steps come once
    for rank in (0, 1, 2):
        here = [seen for seen in observed.objects if seen.key.rank == rank]
        steps += [
            _apply_step(seen, rank)
            for seen in here
            if seen.changes and not _special(seen) and str(seen.key) not in noted
        ]
        steps += [step for seen in here if _special(seen) for step in _special_steps(seen, rank)]
    steps += _prune_steps(observed)
    steps += [
        Step(
            "replace",
            str(pod.key),
            f"replace {pod.key}, which is of an older revision and {pod.why.rstrip('.')}"
            + (", and for which the controller waits before it goes on" if pod.holds_up else ""),
            data={"pod": pod},
        )
        for pod in observed.stuck
    ]
    if observed.unsettled and not steps:
        names = ", ".join(observed.unsettled)
        steps.append(
            Step("wait", names, f"wait until the controller of {names} has seen the newest version", change=False)
        )
    if wait:
        steps += _wait_steps(observed, bool(steps))
    told = [text for seen in observed.objects if seen.change for text in seen.change.warnings]
    told += [f"{one.key} is no longer declared and is kept: {one.kept}." for one in observed.undeclared if one.kept]
    return Plan(tuple(steps), (*told, *(() if application_follows else _old_revisions(observed))))


def plan_absent(observed: Observed, wait: bool) -> Plan:
    """Delete what is there, workloads first; then wait until it is gone, if asked."""
    there = [seen for seen in observed.objects if seen.live]
    doomed = [seen for seen in there if not seen.live["metadata"].get("deletionTimestamp")]  # type: ignore[index]
    steps = [
        Step("delete", str(seen.key), f"delete {seen.key}", batch=f"delete-{rank}", data={"seen": seen})
        for rank in (2, 1, 0)
        for seen in doomed
        if seen.key.rank == rank
    ]
    steps += [
        Step("remove-copy", str(key), f"delete {key}, which an interrupted recreation left", data={"key": key})
        for key in observed.copies
    ]
    if wait and there:
        names = ", ".join(str(seen.key) for seen in there)
        steps.append(Step("wait", names, f"wait until gone: {names}", change=False))
    return Plan(tuple(steps))


def _record_steps(observed: Observed) -> list[Step]:
    """What has to be on record before anything else is made, and the object that carries it."""
    record = observed.record
    if not record or (record.says is not None and wider(record.says, record.before) == record.says):
        return []
    steps = []
    carrier = next(seen for seen in observed.objects if seen.key == record.anchor)
    if carrier.live is None and not _special(carrier):
        steps.append(dataclasses.replace(_apply_step(carrier, carrier.key.rank), batch=None))
    return [*steps, _record_step(record, wider(record.says, record.before))]


def _prune_steps(observed: Observed) -> list[Step]:
    doomed = [one for one in observed.undeclared if not one.kept]
    steps = [
        Step(
            "prune",
            str(one.key),
            f"delete {one.key}, which is no longer declared",
            batch=f"prune-{rank}",
            data={"seen": Seen(one.key, one.live)},
        )
        for rank in (2, 1, 0)
        for one in doomed
        if one.key.rank == rank
    ]
    record = observed.record
    if record and record.after != wider(record.says, record.before):
        steps.append(_record_step(record, record.after))
    return steps


def _record_step(record: Record, text: str) -> Step:
    kinds = ", ".join(sorted({entry.partition(":")[0].rpartition("/")[2] for entry in text.split()}))
    sentence = f"note on {record.anchor} which kinds the application has ({kinds})"
    return Step("record", str(record.anchor), sentence, data={"anchor": record.anchor, "text": text})


def conflict_sentence(objects: t.Sequence[Seen]) -> t.Optional[str]:
    """One paragraph on every declared field that somebody else manages, or None."""
    fights = []
    for seen in objects:
        by_manager: dict[str, list[str]] = {}
        for field, manager in seen.conflicts:
            by_manager.setdefault(manager, []).append(field)
        if by_manager:
            held = ", ".join(f"{', '.join(fields)} (managed by {manager})" for manager, fields in by_manager.items())
            fights.append(f"{seen.key}: {held}")
    if not fights:
        return None
    return (
        f"Somebody else manages fields that are declared here with another value: {'; '.join(fights)}. Nothing was "
        "changed. Leave these fields out of the definition, or let the other manager give them up, or set "
        "force_conflicts to true to take them over."
    )


def _special(seen: Seen) -> bool:
    """Whether one apply is not enough to make this object be as declared."""
    return bool(seen.recreation or seen.change or (seen.going and seen.changes))


def _special_steps(seen: Seen, rank: int) -> t.Iterator[Step]:
    """What makes a StatefulSet again without its pods, and what waits for an object that is being deleted."""
    name, data = str(seen.key), {"seen": seen}
    if seen.going:
        yield Step("wait", name, f"wait until {seen.key}, which is being deleted, is gone", change=False)
        yield Step("apply", name, f"create {seen.key}", batch=f"apply-{rank}", data=data)
    elif seen.recreation and seen.recreation.stage == "gone":
        sentence = f"make {seen.key} again as it was saved, because its recreation was interrupted"
        yield Step("restore", name, sentence, data=data)
    elif seen.recreation and seen.recreation.stage == "adopting":
        pods = ", ".join(seen.recreation.pods)
        yield Step("wait", name, f"wait until {seen.key} has taken its pods over ({pods})", change=False)
    elif seen.recreation:
        yield Step("finish", name, f"finish the recreation of {seen.key}, which was interrupted", data=data)
    elif seen.change:
        change = seen.change
        for growth in change.growth:
            sentence = f"grow claim {growth.claim} from {growth.before} to {growth.after}"
            yield Step("grow", f"PersistentVolumeClaim {growth.namespace}/{growth.claim}", sentence, data={"g": growth})
        if change.growing or change.growth:
            text = "; ".join(change.growing) or ", ".join(growth.claim for growth in change.growth)
            yield Step("wait", name, f"wait until the volumes have grown: {text}", change=False)
        sentence = f"recreate {seen.key} without touching its pods: {'; '.join(change.recreate)}"
        yield Step("recreate", name, sentence, data={**data, "after": seen.between})
        if visible(seen.between) != visible(seen.after):
            step = _apply_step(seen, rank)
            yield dataclasses.replace(step, data={**data, "before": seen.between})


def _apply_step(seen: Seen, rank: int) -> Step:
    if seen.live:
        sentence = f"change {seen.key}{in_place(seen.live, seen.after or seen.live)}"
    elif seen.validated:
        sentence = f"create {seen.key}"
    else:
        sentence = f"create {seen.key} (not validated by the server: its namespace does not exist yet)"
    return Step("apply", str(seen.key), sentence, batch=f"apply-{rank}", data={"seen": seen})


def held(observed: Observed, kinds: t.Collection[str]) -> list[str]:
    """The objects of these kinds that are yet to be made. One that is made again is not new."""
    return [
        str(seen.key)
        for seen in observed.objects
        if seen.key.kind in kinds and seen.changes and seen.live is None and seen.recreation is None
    ]


def held_by(seen: Seen, observed: Observed) -> t.Optional[str]:
    """What an object still waits for, or None when it is ready or does not exist."""
    if seen.live is None or needs_no_volume_yet(seen.live, observed.late_classes):
        return None
    return obstacle(seen.live)


def _wait_steps(observed: Observed, work_to_do: bool) -> list[Step]:
    waiting = []
    for seen in observed.objects:
        held = None if seen.changes else held_by(seen, observed)
        if held:
            waiting.append(f"{seen.key}: {held}")
    if waiting:
        text = "; ".join(waiting)
        return [Step("wait", text, f"wait until ready: {text}", change=False)]
    return [Step("wait", "all", "wait until everything is ready", change=False)] if work_to_do else []


def changes_template(seen: Seen) -> bool:
    """Whether a workload that exists gets another template, and its pods are to be replaced by and by."""
    before, after = seen.live, seen.after
    if not before or not after or before.get("kind") not in ("StatefulSet", "Deployment", "DaemonSet"):
        return False
    return bool(before["spec"].get("template") != after["spec"].get("template"))


def keeping_pods(declared: Object, live: t.Optional[Object], manager: str) -> Object:
    """The declared object, with the live number of pods where fewer of a database's are declared.

    Without a number where somebody else has set the very same one: that is no reason to change anything.
    """
    more = _more_pods(declared, live)
    if more:
        return {**declared, "spec": {**declared["spec"], "replicas": more}}
    same = live and _of_database(declared, live) and declared["spec"].get("replicas") == live["spec"].get("replicas")
    if live and same and not owns(live, manager, "spec", "replicas"):
        return {**declared, "spec": {key: value for key, value in declared["spec"].items() if key != "replicas"}}
    return declared


def _more_pods(declared: t.Optional[Object], live: t.Optional[Object]) -> int:
    """How many pods a StatefulSet with updateStrategy OnDelete has, where fewer are declared; else 0."""
    if not live or not declared or not _of_database(declared, live):
        return 0
    wanted, there = (declared.get("spec") or {}).get("replicas"), live["spec"].get("replicas", 1)
    return 0 if wanted is None or wanted >= there else int(there)


def _of_database(declared: Object, live: Object) -> bool:
    strategy = (live["spec"].get("updateStrategy") or {}).get("type") if declared.get("kind") == "StatefulSet" else None
    return strategy == "OnDelete"


def _shrinks(seen: Seen) -> t.Optional[Refusal]:
    """A database's pods are removed only by the operation that knows the database."""
    there = _more_pods(seen.declared, seen.live)
    if not there or not seen.declared:
        return None
    wanted = seen.declared["spec"]["replicas"]
    return Refusal(
        f"{seen.key} has {there} replicas and {wanted} are declared: applying manifests never removes pods of a "
        "StatefulSet with updateStrategy OnDelete, because its members must leave the application first.",
        (f"spec.replicas is {there}", "spec.updateStrategy.type is OnDelete"),
        (f"declare {there} members", "remove members by an operation of the application, where there is one"),
    )


def _is_anothers(seen: Seen) -> t.Optional[Refusal]:
    """Two applications of one name in a namespace would take each other's Services, and each other's pods."""
    if not seen.live or not seen.declared:
        return None
    there, wanted = (one["metadata"].get("labels") or {} for one in (seen.live, seen.declared))
    ours = FIELD_MANAGER in (there.get(MANAGED_BY), wanted.get(MANAGED_BY))
    if not ours or not there.get(NAME) or not wanted.get(NAME) or there[NAME] == wanted[NAME]:
        return None
    whose = f"{there[NAME]} {there.get(LABEL, '')}".strip()
    mine = f"{wanted[NAME]} {wanted.get(LABEL, '')}".strip()
    return Refusal(
        f"{seen.key} is part of {whose}, and is declared as part of {mine}: one object cannot serve two applications. "
        "Nothing was changed.",
        (f"label {NAME} is {there[NAME]}",),
        ("choose another name for one of the two", "run one of them in another namespace", f"remove {whose} first"),
    )


def _changes_identity(seen: Seen) -> t.Optional[Refusal]:
    """What the data itself was made with (the name of a set, a port in its configuration) never changes."""
    if not seen.live or not seen.declared:
        return None
    there = (seen.live["metadata"].get("annotations") or {}).get(IDENTITY)
    wanted = (seen.declared["metadata"].get("annotations") or {}).get(IDENTITY)
    # Something may be added to it, which an application has looked at first, and nothing is taken away.
    if not there or not wanted or there == wanted or wanted.startswith(f"{there}, "):
        return None
    return Refusal(
        f"{seen.key} was made with {there}, and {wanted} is declared: this is part of the application's own "
        "configuration and cannot change afterwards. Nothing was changed.",
        (f"annotation {IDENTITY} is {there}",),
        ("declare it as it was", "remove the application, which keeps its data, and deploy it anew"),
    )


def _locks_up(secret: SeenSecret) -> t.Optional[Refusal]:
    """A new random value in place of a lost one would look like success, and lock the data up."""
    if not secret.missing or not secret.opens:
        return None
    what = f"lacks {', '.join(secret.missing)}" if secret.exists else "is gone"
    return Refusal(
        f"{secret.key} {what}, and the data that it opens exists: a new one would not fit. Nothing was changed.",
        secret.opens,
        ("restore the Secret from your backup, or from what a running pod still has of it", "delete the data as well"),
    )


def _old_revisions(observed: Observed) -> t.Iterator[str]:
    for seen in observed.objects:
        if seen.key.kind != "StatefulSet" or not seen.live or seen.changes:
            continue
        spec, status = seen.live["spec"], seen.live.get("status") or {}
        behind = status.get("replicas", 0) - status.get("updatedReplicas", 0)
        on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete"
        if on_delete and behind > 0 and status.get("currentRevision") != status.get("updateRevision"):
            yield (
                f"{seen.key}: {behind} of {status.get('replicas')} pods still run an older revision. With "
                "updateStrategy OnDelete each gets the new one when it is replaced; delete them one by one, "
                "each after the one before is healthy again, the primary last."
            )
