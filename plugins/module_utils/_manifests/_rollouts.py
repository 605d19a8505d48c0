# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the applied objects come to: pods that hold a rollout up, waits without hope, and what blocks them."""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    failed,
    idle,
    no_image_name,
    settled,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import (
    diagnose,
    last_word,
    newest_pods,
    unbound_claim,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Observed, Seen, held_by
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import StuckPod, never_served, stuck_pods

# Seconds that a pod of an older revision may run without becoming ready before it is taken for broken.
PATIENCE = 30.0


class Rollouts:
    """Follows the workloads among the applied objects for one run."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._unready_since: dict[str, float] = {}
        #: pods of workloads as the last look found them
        self._pods: dict[Key, t.Sequence[Object]] = {}
        #: Deployments that had missed their deadline already when this run began: their pods may yet come
        self._late: t.Optional[set[Key]] = None

    def look(self, objects: t.Sequence[Seen]) -> tuple[tuple[StuckPod, ...], tuple[str, ...]]:
        """Pods that hold a StatefulSet up, and those of which the controller has yet to name the newest revision."""
        late = {seen.key for seen in objects if seen.key.kind == "Deployment" and seen.live and failed(seen.live)}
        # One that is in time again and misses its deadline once more has done so in this run.
        self._late = late if self._late is None else self._late & late
        self._pods = {}
        stuck: list[StuckPod] = []
        unsettled: list[str] = []
        for seen in objects:
            live = seen.live
            if seen.key.kind != "StatefulSet" or seen.changes or live is None:
                continue
            spec, status = live["spec"], live.get("status") or {}
            if status.get("readyReplicas", 0) >= spec.get("replicas", 1):
                continue
            pods = self._pods_of(seen.key, live)
            if not settled(live):
                if any(idle(pod) for pod in pods):
                    unsettled.append(str(seen.key))
                continue
            stuck += stuck_pods(seen.key, live, pods, self._unready_long(pods))
        return tuple(stuck), tuple(unsettled)

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        """Why no waiting will help, or None."""
        for seen in observed.objects:
            if not seen.live or seen.changes:
                continue
            text = failed(seen.live)
            if text and seen.key not in (self._late or ()):
                return f"{seen.key} has failed: {text.rstrip('.')}."
            text = self._no_image_name(seen) if held_by(seen, observed) else None
            if text:
                return f"{seen.key} can never become ready: {text}."
        return None

    def blocked_by(self, seen: Seen, observed: Observed) -> t.Sequence[str]:
        """What keeps one object from being as declared."""
        live = seen.live or {}
        if not held_by(seen, observed):
            return ()
        if seen.key.kind == "PersistentVolumeClaim":
            told = unbound_claim(self._cluster, live)
            told = told or last_word(self._cluster, seen.key.namespace, seen.key.kind, seen.key.name)
            return [told] if told else []
        if not isinstance(live.get("spec", {}).get("selector"), dict):
            return ()
        selector, owners = query(live["spec"]["selector"]), [seen.key.name]
        if seen.key.kind == "Deployment":
            selector, owners = newest_pods(self._cluster, live, selector)
        return diagnose(self._cluster, seen.key.namespace, selector, owners)

    def _unready_long(self, pods: t.Sequence[Object]) -> set[str]:
        """Pods that this run has seen unready for so long, by its own clock, that they are not merely starting."""
        now = time.monotonic()
        unready = [pod["metadata"]["uid"] for pod in pods if never_served(pod)]
        for uid in unready:
            self._unready_since.setdefault(uid, now)
        return {uid for uid in unready if now - self._unready_since[uid] > PATIENCE}

    def _no_image_name(self, seen: Seen) -> t.Optional[str]:
        live = seen.live or {}
        template = (live.get("spec") or {}).get("template")
        if seen.key.kind == "CronJob" or not template or "selector" not in live["spec"]:
            return None
        # Pods of an older revision are replaced.
        images = {
            one.get("image") for part in ("initContainers", "containers") for one in template["spec"].get(part, ())
        }
        for pod in self._pods_of(seen.key, live):
            image = no_image_name(pod)
            if image in images:
                return f"no image can have the name '{image}', which {pod['metadata']['name']} asks for"
        return None

    def _pods_of(self, key: Key, live: Object) -> t.Sequence[Object]:
        if key not in self._pods:
            selector = query(live["spec"]["selector"])
            self._pods[key] = self._cluster.list("v1", "Pod", key.namespace, labels=selector)
        return self._pods[key]


def finalizers(seen: Seen) -> list[str]:
    """What an object that is being deleted waits for."""
    found = ((seen.live or {}).get("metadata") or {}).get("finalizers")
    return [f"{seen.key} has finalizers {json.dumps(found)}"] if found else []
