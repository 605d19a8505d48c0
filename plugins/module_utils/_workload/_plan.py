# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From a wish and one snapshot of a workload to ordered steps. Pure: nothing here asks or changes a cluster."""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import without_nulls
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import idle, pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import (
    CHANGE_CAUSE,
    Object,
    Revision,
    merge_patch,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import (
    declarer,
    declares_partition,
    handed_back,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import (
    PAUSED,
    RECORD,
    RESTARTED_AT,
    UNDONE,
    Workload,
    ready,
    unfinished,
)

# The partition of a paused StatefulSet. The number of replicas would do until somebody, or an autoscaler, adds some.
HOLD = 2**31 - 1

ACTIONS = ("restart", "pause", "resume", "undo", "status")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What the user asked for. Instants are texts such as 2026-01-31T12:00:00Z."""

    action: str
    #: when this run began: what a restart writes down unless ``restarted_at`` is given
    now: str = ""
    restarted_at: t.Optional[str] = None
    to_revision: t.Optional[int] = None
    wait: bool = True


def wish_of(params: t.Mapping[str, t.Any], now: str) -> Wish:
    """The wish that the options of a task name. Raises Failure."""
    action, revision, at = params["action"], params["to_revision"], params["restarted_at"]
    for option, value, only in (("to_revision", revision, "undo"), ("restarted_at", at, "restart")):
        if value is not None and action != only:
            raise Failure(f"{option}: it belongs to action {only}, and action is {action}. Leave it out.")
    if revision is not None and revision < 1:
        raise Failure(f"to_revision: expected a number from 1 on, found {revision}. Leave it out for the one before.")
    return Wish(action, now, instant(at) if at is not None else None, revision, params["wait"])


def instant(text: str) -> str:
    """A given point in time as RFC 3339 in UTC. Raises Failure."""
    parsed: t.Optional[datetime.datetime]
    try:
        parsed = datetime.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise Failure(
            f"restarted_at: expected a point in time with its zone, such as 2026-01-31T12:00:00Z, found {text!r}."
        )
    return parsed.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def adopt(wish: Wish, seen: Workload) -> Wish:
    """The same wish, or where a restart of this collection is under way, the wish to see that one through.

    A killed run that is started again must not restart what it had restarted, nor two runs at once each other's work.
    """
    record = seen.record
    begun = bool(record) and record.get("restarted_at") == seen.restarted_at
    if wish.action != "restart" or wish.restarted_at or not begun or unfinished(seen) is None:
        return wish
    return dataclasses.replace(wish, now=str(seen.restarted_at))


def plan(wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    """What is left to do for this wish."""
    if seen.live is None:
        return Refusal(
            f"There is no {seen}.",
            choices=("check kind, name and namespace", "see what there is with stateful.kube.workload_info"),
        )
    if seen.live["metadata"].get("deletionTimestamp"):
        return Refusal(f"{seen} is being deleted.", (f"since {seen.live['metadata']['deletionTimestamp']}",))
    planned = _PLANNERS[wish.action](wish, seen)
    if isinstance(planned, Refusal):
        return planned
    steps = list(planned.steps)
    if wish.action != "status":
        steps = _hand_back(seen, steps)
    steps += _wait_and_finish(wish, seen, steps)
    return Plan(tuple(steps), planned.warnings)


# Each action


def _restart(wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    if seen.strategy == "OnDelete":
        return Refusal(
            f"{seen} has updateStrategy OnDelete: a restart would write a new revision that no pod ever gets, because "
            "pods of such a workload are replaced only by who knows the application (a database's primary, for "
            "example, has to step down first). Nothing was changed.",
            ("spec.updateStrategy.type is OnDelete",),
            (
                "use the operation of the application that restarts its members, where there is one",
                "delete its pods one by one, each after the one before is healthy again",
            ),
        )
    if seen.held:
        return Refusal(
            f"{seen} is held back ({_held_by(seen)}), so a restart would restart nothing. Nothing was changed.",
            choices=("resume it first", "restart it later"),
        )
    at = wish.restarted_at or wish.now
    if seen.restarted_at == at or (wish.restarted_at and _same_or_later(seen.restarted_at, at)):
        return Plan()
    annotations: Object = {}
    if wish.wait and not wish.restarted_at:
        # What a killed run had begun is known by this, and gone on with. It is taken away at the end.
        annotations = {RECORD: json.dumps({"restarted_at": at})}
    body = {
        "metadata": {"annotations": annotations},
        "spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: at}}}},
    }
    how = {"DaemonSet": "node by node", "Deployment": "by its strategy " + seen.strategy}.get(seen.kind)
    how = how or "one after the other, the highest ordinal first"
    if seen.partition:
        how += f"; those below the partition {seen.partition} stay as they are"
    sentence = f"restart {seen}: {seen.replicas} {'pod' if seen.replicas == 1 else 'pods'}, {how}"
    return Plan((_change("restart", seen, sentence, body),))


def _pause(_wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    refusal = _cannot_pause(seen)
    if refusal:
        return refusal
    if seen.kind == "Deployment":
        if seen.held:
            return Plan()
        return Plan((_change("pause", seen, f"pause {seen}", {"spec": {"paused": True}}),))
    if seen.pause.get("held") == seen.partition:
        return Plan()
    note: Object = {"partition": seen.partition, "held": HOLD}
    if declares_partition(t.cast("Object", seen.live)):
        note["declared"] = True
    body = {
        "metadata": {"annotations": {PAUSED: json.dumps(note)}},
        "spec": {"updateStrategy": {"rollingUpdate": {"partition": HOLD}}},
    }
    sentence = f"pause {seen}: move its partition from {seen.partition} to {HOLD}, so that no pod is replaced"
    return Plan((_change("pause", seen, sentence, body),))


def _resume(_wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    refusal = _cannot_pause(seen)
    if refusal:
        return refusal
    if seen.kind == "Deployment":
        if not seen.held:
            return Plan()
        return Plan((_change("resume", seen, f"resume {seen}", {"spec": {"paused": None}}),))
    if not seen.pause:
        told = f"{seen} is held back, and not by a pause of this collection ({_held_by(seen)}): it is left so."
        return Plan(warnings=(told,) if seen.held else ())
    body: Object = {"metadata": {"annotations": {PAUSED: None}}}
    if seen.pause.get("held") != seen.partition:
        told = f"{seen}: somebody else has moved the partition to {seen.partition} while it was paused; it stays there."
        return Plan((_change("resume", seen, f"forget the pause of {seen}", body),), (told,))
    former = int(seen.pause.get("partition", 0))
    if seen.pause.get("declared"):
        body["metadata"]["annotations"][PAUSED] = json.dumps({"declared": True})  # until it is handed back
    body["spec"] = {"updateStrategy": {"rollingUpdate": {"partition": former}}}
    sentence = f"resume {seen}: move its partition back from {seen.partition} to {former}"
    return Plan((_change("resume", seen, sentence, body),))


def _undo(wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    if not seen.settled:
        # Which revision is the newest, and which are left, is known only then.
        return Plan((_wait(seen, f"wait until the controller of {seen} has seen its newest version"),))
    newest = seen.newest
    if newest and _undone(wish, seen, newest):
        return Plan(tuple(_replace_stuck(seen, newest.name, str(seen.undone.get("from")))), _left_behind(seen, newest))
    target = _target(wish, seen, newest)
    if isinstance(target, Refusal):
        return target
    if newest and target.name == newest.name:
        return Plan()
    before = without_nulls(seen.spec["template"])
    record = {"from": newest.name if newest else "", "to": target.name, "revision": target.number}
    live_cause = (seen.live or {})["metadata"].get("annotations", {}).get(CHANGE_CAUSE, "")
    annotations: Object = {UNDONE: json.dumps(record)}
    if live_cause != target.cause:
        annotations[CHANGE_CAUSE] = target.cause or None
    body = {"metadata": {"annotations": annotations}, "spec": {"template": merge_patch(before, target.template)}}
    back_from = newest.phrase() if newest else "the template that was not rolled out yet"
    step = _change("undo", seen, f"set the template of {seen} back from {back_from} to {target.phrase()}", body)
    step = dataclasses.replace(step, data={**step.data, "before": before, "after": target.template})
    steps = [step]
    if newest:
        steps += _replace_stuck(seen, target.name, newest.name)
    return Plan(tuple(steps), _left_behind(seen, target))


def _status(_wish: Wish, seen: Workload) -> t.Union[Plan, Refusal]:
    told = f"{seen} is held back ({_held_by(seen)}): no pod gets a new revision until it is resumed."
    return Plan(warnings=(told,) if seen.held else ())


_PLANNERS: t.Mapping[str, t.Callable[[Wish, Workload], t.Union[Plan, Refusal]]] = {
    "restart": _restart,
    "pause": _pause,
    "resume": _resume,
    "undo": _undo,
    "status": _status,
}

# What several of them need


def _change(action: str, seen: Workload, sentence: str, body: Object) -> Step:
    return Step(action, str(seen), sentence, data={"patch": body})


def _wait(seen: Workload, sentence: str) -> Step:
    return Step("wait", str(seen), sentence, change=False)


def _held_by(seen: Workload) -> str:
    if seen.kind == "Deployment":
        return "spec.paused is true"
    return f"the partition is {seen.partition}, with {seen.replicas} replicas"


def _cannot_pause(seen: Workload) -> t.Optional[Refusal]:
    if seen.kind == "DaemonSet":
        return Refusal(
            f"{seen} cannot be paused or resumed: Kubernetes has no way to hold back the rollout of a DaemonSet. "
            "Nothing was changed.",
            choices=("set its updateStrategy to OnDelete, and delete its pods one by one",),
        )
    if seen.strategy == "OnDelete":
        return Refusal(
            f"{seen} has updateStrategy OnDelete: no pod is ever replaced by itself, so there is nothing to pause or "
            "resume. Nothing was changed.",
            ("spec.updateStrategy.type is OnDelete",),
        )
    return None


def _same_or_later(there: t.Optional[str], wanted: str) -> bool:
    if not there:
        return False
    try:
        return instant(there) >= instant(wanted)
    except Failure:
        return False  # somebody wrote something else there


def _undone(wish: Wish, seen: Workload, newest: Revision) -> bool:
    """Whether the template is the outcome of this very wish. Undoing the undo would bring the broken one back."""
    record = seen.undone
    kept = next((one for one in seen.history if one.name == record.get("to")), None)
    # Restarted since is still undone.
    if kept is None or _without_restart(kept.template) != _without_restart(newest.template):
        return False
    return wish.to_revision in (None, record.get("revision"), newest.number)


def _target(wish: Wish, seen: Workload, newest: t.Optional[Revision]) -> t.Union[Revision, Refusal]:
    there = tuple(
        f"{one.phrase()} of {one.created}{', the newest' if newest and one.name == newest.name else ''}"
        for one in seen.history
    )
    if wish.to_revision is not None:
        found = [revision for revision in seen.history if revision.number == wish.to_revision]
        if found:
            return found[0]
        return Refusal(
            f"{seen} has no revision {wish.to_revision} (any more: only so many are kept as revisionHistoryLimit "
            f"says, which is {seen.spec.get('revisionHistoryLimit', 10)}, and a revision that comes back gets a new "
            "number). Nothing was changed.",
            there,
            ("name one of these in to_revision", "apply the older declaration again"),
        )
    # To take back a mere restart would keep what is wrong, and restart every pod once more.
    same = _without_restart(newest.template) if newest else None
    older = [one for one in seen.history if not newest or one.number < newest.number]
    older = [one for one in older if _without_restart(one.template) != same]
    if older:
        return older[-1]
    return Refusal(
        f"{seen} has no revision before its newest that differs in more than a restart, so there is nothing to go "
        "back to. Nothing was changed.",
        there,
        ("apply the older declaration again",),
    )


def _without_restart(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != RESTARTED_AT}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _replace_stuck(seen: Workload, good: str, broken: str) -> t.Iterator[Step]:
    """Pods that the controller would never replace by itself, one after the other.

    A StatefulSet in its default order waits for a pod to become ready before it replaces it, so a pod of a broken
    revision stays although its template is gone (kubernetes/kubernetes#67250). With OnDelete a pod stays in any case;
    those in which nothing runs have nothing to lose.
    """
    if seen.strategy == "OnDelete":
        doomed = [(pod, why) for pod in seen.pods if seen.revision_of(pod) != good and (why := idle(pod))]
    elif seen.kind == "StatefulSet" and seen.spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady":
        doomed = [(pod, str(pod_obstacle(pod))) for pod in _stuck(seen, good, broken)]
        going = any(pod["metadata"].get("deletionTimestamp") for pod in seen.pods)
        if doomed and (going or not all(ready(pod) for pod in seen.pods if seen.revision_of(pod) != broken)):
            yield _wait(seen, f"wait until the other pods of {seen} are ready: one is replaced at a time")
    else:
        doomed = []
    for pod, why in sorted(doomed, key=lambda pair: -(seen.ordinal(pair[0]) or 0)):
        name = f"Pod {seen.namespace}/{pod['metadata']['name']}"
        sentence = f"delete {name}, which is of the revision that was undone and {why}"
        yield Step("replace", name, sentence, data={"pod": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]})


def _stuck(seen: Workload, good: str, broken: str) -> t.Iterator[Object]:
    first = int((seen.spec.get("ordinals") or {}).get("start", 0)) + seen.partition
    for pod in seen.pods:
        # Below the partition a new pod would get the current revision, not the newest.
        replaceable = seen.status.get("currentRevision") == good or (seen.ordinal(pod) or 0) >= first
        going = pod["metadata"].get("deletionTimestamp")
        if replaceable and seen.revision_of(pod) == broken and not ready(pod) and not going:
            yield pod


def _left_behind(seen: Workload, target: Revision) -> tuple[str, ...]:
    if seen.strategy != "OnDelete":
        return ()
    behind = [pod["metadata"]["name"] for pod in seen.pods if seen.revision_of(pod) != target.name and not idle(pod)]
    if not behind:
        return ()
    return (
        f"{seen}: {', '.join(sorted(behind))} run another revision than {target.name}, and with updateStrategy "
        "OnDelete they stay until they are replaced: delete them one by one, each after the one before is healthy "
        "again, the primary last.",
    )


def _hand_back(seen: Workload, steps: t.Sequence[Step]) -> list[Step]:
    """Right behind the change, so that the next apply of the declaration is in no conflict with it."""
    live = t.cast("Object", seen.live)
    holding = seen.held if seen.kind == "Deployment" else bool(seen.pause)
    fields = handed_back(live, holding, seen.returning)
    owner = declarer(live)
    metadata: Object = {"managedFields": fields} if fields is not None else {}
    if seen.returning:
        metadata["annotations"] = {PAUSED: None}
    sentence = f"record {owner or 'nobody'} as the manager of the changed fields of {seen} again"
    step = _change("hand-back", seen, sentence, {"metadata": metadata})
    if metadata:
        return [step, *steps]
    first = steps[0] if steps else step
    # Not yet, but the change that comes first will make it necessary.
    spec = first.data["patch"].get("spec", {}) if first.action in ("undo", "resume") else {}
    if ("template" in spec and owner) or "updateStrategy" in spec:
        return [first, step, *steps[1:]]
    return list(steps)


def _wait_and_finish(wish: Wish, seen: Workload, steps: t.Sequence[Step]) -> list[Step]:
    found: list[Step] = []
    if not wish.wait or wish.action == "pause" or (steps and not any(step.change for step in steps)):
        return found  # nobody waits for a pause, and what comes after a mere wait is not known yet
    held = unfinished(seen)
    if any(step.change for step in steps):
        found.append(_wait(seen, f"wait until the rollout of {seen} is complete"))
    elif held:
        found.append(_wait(seen, f"wait until the rollout of {seen} is complete: {held}"))
    record = seen.record
    noted = bool(record) and record.get("restarted_at") == seen.restarted_at
    noted = noted or any(
        RECORD in step.data.get("patch", {}).get("metadata", {}).get("annotations", {}) for step in steps
    )
    if wish.action == "restart" and not wish.restarted_at and noted:
        body = {"metadata": {"annotations": {RECORD: None}}}
        found.append(_change("finish", seen, f"note that the restart of {seen} is complete", body))
    return found
