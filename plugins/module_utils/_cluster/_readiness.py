# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Is this object ready, has it failed, and what holds a pod back: read from the object alone, without any I/O."""

from __future__ import annotations

import datetime
import re
import typing as t

Object = t.Mapping[str, t.Any]

# Seconds within which a kubelet first says that a pod is not ready.
_FIRST_WORD = 3.0
# Reasons of a waiting container that pass by themselves in a healthy start.
_ON_ITS_WAY = ("ContainerCreating", "PodInitializing")
# What no waiting heals: a user that the image does not allow, a program that the image does not have.
CANNOT_START = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
# What the kubelet and containerd put before the reason for which an image cannot be had. The kubelet's part comes and
# goes with each try, and both name the image again.
_PULL_PREFIX = re.compile(
    r'^(Back-off pulling image "[^"]*":? ?)?(ErrImagePull: )?(rpc error: code = \w+ desc = )?'
    r'(failed to pull and unpack image "[^"]*": )?(failed to resolve (reference|image) "[^"]*": )?'
)
# The scheduler's note on a claim: a pod uses it, and its volume is made for this node.
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


def obstacle(obj: Object) -> t.Optional[str]:
    """What this object still waits for, or None when it is ready. Kinds without a notion of ready are ready."""
    check = _CHECKS.get(obj.get("kind", ""))
    return check(obj) if check else None


def failed(obj: Object) -> t.Optional[str]:
    """Why this object will not become ready by waiting, or None."""
    kind = obj.get("kind")
    status = obj.get("status") or {}
    if kind == "Job":
        return _condition_text(obj, "Failed", "True")
    if kind == "Deployment" and settled(obj):
        text = _condition_text(obj, "Progressing", "False")
        return text if text and "ProgressDeadlineExceeded" in text else None
    if kind == "Pod" and status.get("phase") == "Failed":
        return f"the pod failed ({status.get('reason') or _last_exit(obj) or 'no reason given'})"
    if kind == "PersistentVolumeClaim" and status.get("phase") == "Lost":
        return "the volume of this claim is gone (phase Lost)"
    return None


def pod_obstacle(pod: Object, events: t.Sequence[Object] = ()) -> t.Optional[str]:
    """One phrase on what holds a pod back, or None when it is ready.

    ``events`` are the events of this pod; they are asked only where the pod's own status says nothing.
    """
    status = pod.get("status") or {}
    if pod.get("metadata", {}).get("deletionTimestamp"):
        return "is being deleted"
    if status.get("phase") == "Succeeded" or condition(pod, "Ready") == "True":
        return None
    if condition(pod, "PodScheduled") == "False":
        told = str(_condition(pod, "PodScheduled").get("message", "no reason given"))
        # What follows is the scheduler's account of pods it might have put out instead.
        return f"is not scheduled: {told.partition(' no new claims')[0].partition(' preemption:')[0]}"
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in _ON_ITS_WAY:
            return _waiting_phrase(container, waiting)
        ended = container.get("state", {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"container {container['name']} has crashed ({_exit_phrase(container, ended)})"
    warnings = [event for event in events if event.get("type") == "Warning"]
    running = any("running" in container.get("state", {}) for container in status.get("containerStatuses", ()))
    if warnings:
        last = max(warnings, key=_event_time)
        return f"{'is not ready' if running else 'is not started yet'}: {last.get('message', '').strip()}"
    if running:
        return "is running, and its readiness probe has not succeeded yet"
    return f"is starting (phase {status.get('phase', 'Pending')})"


def idle(pod: Object) -> t.Optional[str]:
    """Why nothing runs in this pod, or None where something does: such a pod has nothing to lose by being replaced."""
    status = pod.get("status") or {}
    containers = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    if pod.get("metadata", {}).get("deletionTimestamp") or condition(pod, "Ready") == "True":
        return None
    if any("running" in container.get("state", {}) for container in containers):
        return None
    return pod_obstacle(pod)


def ready_since_start(pod: Object) -> bool:
    """Whether a pod has been ready at some time: its condition has changed since the kubelet first wrote it."""
    started = _seconds((pod.get("status") or {}).get("startTime"))
    changed = _seconds(_condition(pod, "Ready").get("lastTransitionTime"))
    return started is None or changed is None or changed - started > _FIRST_WORD


def no_image_name(pod: Object) -> t.Optional[str]:
    """The image of a container of which the kubelet says that no image can have this name. No waiting heals that."""
    status = pod.get("status") or {}
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") == "InvalidImageName":
            return str(container.get("image"))
    return None


def _seconds(time: t.Optional[str]) -> t.Optional[float]:
    if not time:
        return None
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp()


def settled(obj: Object) -> bool:
    """Whether the object's controller has seen its newest version, so that its status speaks of that one."""
    observed = (obj.get("status") or {}).get("observedGeneration", 0)
    return bool(observed >= obj.get("metadata", {}).get("generation", 0))


def revision_hash(pod: Object) -> str:
    """By which template of its StatefulSet or DaemonSet a pod was made, as their controllers say it; else empty."""
    return str((pod["metadata"].get("labels") or {}).get("controller-revision-hash", ""))


def condition(obj: Object, name: str) -> t.Optional[str]:
    """The status of a condition (``True``, ``False``, ``Unknown``), or None where it is not set."""
    return _condition(obj, name).get("status")


def _condition(obj: Object, name: str) -> t.Mapping[str, t.Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((entry for entry in conditions if entry.get("type") == name), {})


def _condition_text(obj: Object, name: str, status: str) -> t.Optional[str]:
    found = _condition(obj, name)
    if found.get("status") != status:
        return None
    return f"{found.get('reason', name)}: {found.get('message', 'no message')}"


def _event_time(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp", ""))


def _last_exit(pod: Object) -> t.Optional[str]:
    for container in (pod.get("status") or {}).get("containerStatuses", ()):
        ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
        if ended:
            return f"container {container['name']} ended with exit code {ended.get('exitCode')}"
    return None


def _waiting_phrase(container: Object, waiting: t.Mapping[str, t.Any]) -> str:
    reason = waiting.get("reason", "Waiting")
    name = container["name"]
    if reason in ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"):
        why = _PULL_PREFIX.sub("", waiting.get("message") or "") or f"{reason}: {waiting.get('message')}"
        return f"cannot get the image {container.get('image')} of container {name} ({why})"
    ended = container.get("lastState", {}).get("terminated")
    if reason == "CrashLoopBackOff" and ended:
        return f"container {name} keeps crashing ({_exit_phrase(container, ended)})"
    return f"container {name} waits ({reason}: {waiting.get('message', 'no message')})"


def _exit_phrase(container: Object, ended: t.Mapping[str, t.Any]) -> str:
    restarts = container.get("restartCount", 0)
    return f"exit code {ended.get('exitCode')}, {ended.get('reason', 'Error')}, {restarts} restarts"


def _stateful_set(obj: Object) -> t.Optional[str]:
    spec, status = obj["spec"], obj.get("status") or {}
    wanted = spec.get("replicas", 1)
    if not settled(obj):
        return "its controller has not seen the newest version yet"
    if status.get("readyReplicas", 0) < wanted:
        return f"{status.get('readyReplicas', 0)}/{wanted} pods ready"
    if spec.get("minReadySeconds") and status.get("availableReplicas", 0) < wanted:
        return f"{status.get('availableReplicas', 0)}/{wanted} pods ready for {spec['minReadySeconds']} s"
    if status.get("replicas", 0) > wanted:
        return f"{status['replicas'] - wanted} pods too many still there"
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return None  # pods of an older revision stay until somebody who knows the application replaces them
    to_update = max(0, wanted - (strategy.get("rollingUpdate") or {}).get("partition", 0))
    if status.get("currentRevision") != status.get("updateRevision") and status.get("updatedReplicas", 0) < to_update:
        return f"{status.get('updatedReplicas', 0)}/{to_update} pods updated"
    return None


def _deployment(obj: Object) -> t.Optional[str]:
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    if not settled(obj):
        return "its controller has not seen the newest version yet"
    if obj["spec"].get("paused"):
        return None  # it stays as it is until somebody resumes it
    if status.get("updatedReplicas", 0) < wanted:
        return f"{status.get('updatedReplicas', 0)}/{wanted} pods updated"
    if status.get("replicas", 0) > wanted:
        return f"{status['replicas'] - wanted} old pods still there"
    if status.get("availableReplicas", 0) < wanted:
        return f"{status.get('availableReplicas', 0)}/{wanted} pods available"
    return None


def _daemon_set(obj: Object) -> t.Optional[str]:
    status = obj.get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    if not settled(obj):
        return "its controller has not seen the newest version yet"
    on_delete = (obj["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    if not on_delete and status.get("updatedNumberScheduled", 0) < wanted:
        return f"{status.get('updatedNumberScheduled', 0)}/{wanted} pods updated"
    if status.get("numberAvailable", 0) < wanted:
        return f"{status.get('numberAvailable', 0)}/{wanted} pods available"
    return None


def _job(obj: Object) -> t.Optional[str]:
    if condition(obj, "Complete") == "True" or obj["spec"].get("suspend"):
        return None  # a suspended Job stays as it is until somebody resumes it
    status = obj.get("status") or {}
    return f"{status.get('succeeded', 0)}/{obj['spec'].get('completions', 1)} completions"


def _namespace(obj: Object) -> t.Optional[str]:
    phase = (obj.get("status") or {}).get("phase", "Active")
    return None if phase == "Active" else f"phase {phase}"


def _definition(obj: Object) -> t.Optional[str]:
    return None if condition(obj, "Established") == "True" else "not established yet"


def _claim(obj: Object) -> t.Optional[str]:
    phase = (obj.get("status") or {}).get("phase", "Pending")
    return None if phase == "Bound" else f"no volume yet (phase {phase})"


def needs_no_volume_yet(claim: Object, late: t.Collection[str]) -> bool:
    """Whether a claim has no volume because no pod uses it: ``late`` are the classes that wait for the first one."""
    return (
        claim.get("kind") == "PersistentVolumeClaim"
        and (claim.get("status") or {}).get("phase", "Pending") == "Pending"
        and claim["spec"].get("storageClassName") in late
        and _SELECTED_NODE not in (claim["metadata"].get("annotations") or {})
    )


def _volume(obj: Object) -> t.Optional[str]:
    status = obj.get("status") or {}
    phase = status.get("phase", "Pending")
    return f"phase {phase} {status.get('message', '')}".strip() if phase in ("Pending", "Failed") else None


_CHECKS: t.Mapping[str, t.Callable[[Object], t.Optional[str]]] = {
    "StatefulSet": _stateful_set,
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "Job": _job,
    "Pod": pod_obstacle,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "Namespace": _namespace,
    "CustomResourceDefinition": _definition,
}
