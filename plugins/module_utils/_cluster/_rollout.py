# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What blocks the pods of an application: asked of the cluster when somebody has waited too long."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names, unbound
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._mounts import unanswered
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import pod_obstacle

LOG_LINES = 3
LOG_WIDTH = 300

#: events that announce an attempt, and say nothing of how it goes
_PROVISIONING = ("Provisioning", "ExternalProvisioning")
_ANNOUNCED = (*_PROVISIONING, "ExternalExpanding")


def diagnose(
    cluster: Cluster,
    namespace: str,
    selector: str,
    owners: t.Sequence[str] = (),
    names: t.Optional[t.Collection[str]] = None,
    ask_volumes: bool = False,
) -> list[str]:
    """One phrase for each pod under the label selector that is not ready, from status, events, claims and logs.

    Pods that run and are not ready are asked whether their volumes answer; with ``ask_volumes`` all that run are.

    ``owners`` are names of workloads whose own warnings count too (a quota or an admission rule that lets no pod
    be made). With ``names`` only pods of these names count, where the selector takes others too.
    Never raises: what cannot be read is left out.
    """
    found_pods = _read(lambda: cluster.list("v1", "Pod", namespace, labels=selector))
    pods = [pod for pod in found_pods if names is None or pod["metadata"]["name"] in names]
    events = _read(lambda: cluster.list("v1", "Event", namespace, fields="type=Warning"))
    if any((pod.get("status") or {}).get("phase") == "Pending" for pod in pods):
        # That a claim waits for its provisioner is told by an event of type Normal.
        about_claims = "involvedObject.kind=PersistentVolumeClaim,type=Normal"
        events += _read(lambda: cluster.list("v1", "Event", namespace, fields=about_claims))
    by_object: dict[tuple[str, str], list[Object]] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        by_object.setdefault((about.get("kind", ""), about.get("name", "")), []).append(event)
    claims = _unbound_claims(cluster, namespace, pods, by_object)
    phrases = {
        pod["metadata"]["name"]: pod_obstacle(pod, by_object.get(("Pod", pod["metadata"]["name"]), ())) for pod in pods
    }
    silent = unanswered(
        cluster, namespace, [pod for pod in pods if ask_volumes or phrases[pod["metadata"]["name"]] is not None]
    )
    # Pods of one template mostly wait for the same thing, and its sentence may be long.
    waiting: dict[str, list[str]] = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        name = pod["metadata"]["name"]
        phrase = phrases[name] or ("is ready, and cannot work" if name in silent else None)
        if phrase:
            pending = (pod.get("status") or {}).get("phase") == "Pending"
            extra = [claims.get(claim, "") for claim in claim_names(pod)] if pending else []
            extra += [silent.get(name, ""), _crash_log(cluster, namespace, pod)]
            waiting.setdefault(" — ".join([phrase, *(text for text in extra if text)]), []).append(name)
    found = [f"{', '.join(names)}{':' if len(names) > 1 else ''} {phrase}" for phrase, names in waiting.items()]
    youngest = max((str(pod["metadata"].get("creationTimestamp") or "") for pod in pods), default="")
    for owner in owners:
        told = [
            event
            for (kind, name), many in by_object.items()
            if name == owner and kind != "Pod"
            for event in many
            # A denial that pods came after has passed, also one of the same second.
            if not pods or (event.get("reason") == "FailedCreate" and _when(event) > youngest)
        ]
        if told:
            found.append(f"{owner}: {_last_message(told)}")
    return found


def newest_pods(cluster: Cluster, deployment: Object, selector: str) -> tuple[str, list[str]]:
    """A label selector for the pods of the newest revision of a Deployment, and the names of what makes them.

    Pods of an older one are on their way out and block nothing.
    """
    metadata = deployment["metadata"]
    sets = [
        one
        for one in _read(lambda: cluster.list("apps/v1", "ReplicaSet", metadata.get("namespace"), labels=selector))
        if any(owner.get("uid") == metadata.get("uid") for owner in one["metadata"].get("ownerReferences") or ())
    ]
    if not sets:
        return selector, [metadata["name"]]
    newest = max(sets, key=_revision)["metadata"]
    label = (newest.get("labels") or {}).get("pod-template-hash")
    return f"{selector},pod-template-hash={label}" if label else selector, [metadata["name"], newest["name"]]


def last_word(cluster: Cluster, namespace: str, kind: str, name: str) -> str:
    """The newest event about one object; empty where there is none, or none may be read."""
    about = f"involvedObject.kind={kind},involvedObject.name={name}"
    events = _read(lambda: cluster.list("v1", "Event", namespace, fields=about))
    return _last_message(events)


def unbound_claim(cluster: Cluster, claim: Object) -> str:
    """One sentence on a claim without volume, whether a pod waits for it or not; nothing for one that is bound."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    about = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
    events = _read(lambda: cluster.list("v1", "Event", namespace, fields=about))
    return _in_words(cluster, [claim], {("PersistentVolumeClaim", name): events})[name]


def _revision(replica_set: Object) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", "0")
    return int(text) if text.isdigit() else 0


def _when(event: Object) -> str:
    # Seconds are enough, and creationTimestamp has no more: an eventTime has microseconds.
    return f"{str(event.get('lastTimestamp') or event.get('eventTime') or '')[:19]}Z"


def _read(call: t.Callable[[], list[Object]]) -> list[Object]:
    try:
        return call()
    except (ApiError, Unreachable):
        return []


def _unbound_claims(
    cluster: Cluster, namespace: str, pods: t.Sequence[Object], events: t.Mapping[tuple[str, str], t.Sequence[Object]]
) -> dict[str, str]:
    """A sentence for each claim without volume that one of these pods waits for."""
    pending = [pod for pod in pods if (pod.get("status") or {}).get("phase") == "Pending"]
    mounted = {claim for pod in pending for claim in claim_names(pod)}
    every = _read(lambda: cluster.list("v1", "PersistentVolumeClaim", namespace)) if mounted else []
    waiting = [one for one in every if one["metadata"]["name"] in mounted and one["status"].get("phase") != "Bound"]
    return _in_words(cluster, waiting, events) if waiting else {}


def _in_words(
    cluster: Cluster, waiting: t.Sequence[Object], events: t.Mapping[tuple[str, str], t.Sequence[Object]]
) -> dict[str, str]:
    classes: t.Optional[list[Object]]
    try:
        classes = cluster.list("storage.k8s.io/v1", "StorageClass")
    except (ApiError, Unreachable):
        classes = None
    volumes = _read(lambda: cluster.list("v1", "PersistentVolume"))
    told = {}
    for claim in waiting:
        name = claim["metadata"]["name"]
        about = events.get(("PersistentVolumeClaim", name), ())
        told[name] = unbound(claim, _newest(about), classes, volumes)
    return told


def _newest(events: t.Sequence[Object]) -> str:
    if not events:
        return ""
    last = max(events, key=lambda event: (_when(event), event.get("reason") not in _ANNOUNCED))
    if last.get("reason") == "ProvisioningSucceeded":
        return ""  # it waited once, and waits no longer
    if last.get("reason") in _PROVISIONING:
        # A provisioner announces every attempt, and the one before it failed. A claim is provisioned only once.
        last = max((event for event in events if event.get("type") == "Warning"), key=_when, default=last)
    return str(last.get("message", "")).strip()


def _last_message(events: t.Sequence[Object]) -> str:
    if not events:
        return ""
    about = events[0].get("involvedObject") or {}
    return f"{about.get('kind')} {about.get('name')}: {_newest(events)}"


def _crash_log(cluster: Cluster, namespace: str, pod: Object) -> str:
    status = pod.get("status") or {}
    for container in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        if container.get("restartCount", 0) == 0 and not container.get("state", {}).get("terminated", {}).get(
            "exitCode"
        ):
            continue
        for previous in (False, True):
            lines = cluster.log_tail(namespace, pod["metadata"]["name"], container["name"], previous, LOG_LINES)
            if lines:
                return "last log lines: " + " / ".join(line[:LOG_WIDTH] for line in lines)
    return ""
