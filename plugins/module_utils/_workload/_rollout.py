# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Takes the steps of a rollout action, each checked again at the moment of acting."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import replace_pod
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import failed, pod_obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._cluster._watching import Watching
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._workload._facts import summary
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import ROLLOUT_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._workload._observe import API_VERSION, observe
from ansible_collections.stateful.kube.plugins.module_utils._workload._plan import Wish, adopt, plan
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import Workload, ready


class Rollout(Watching[Workload]):
    """Restart, pause, resume, undo or await the rollout of one workload."""

    def __init__(self, cluster: Cluster, kind: str, namespace: str, name: str, wish: Wish, wait_timeout: float) -> None:
        self.cluster = cluster
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.wish = wish
        self.title = name
        self.wait_timeout = wait_timeout
        #: a failure that stood before this run changed something tells nothing of what comes
        self._old_failure: t.Optional[str] = None

    def observe(self) -> Workload:
        return observe(self.cluster, self.kind, self.namespace, self.name)

    def plan(self, observed: Workload) -> t.Union[Plan, Refusal]:
        self.wish = adopt(self.wish, observed)
        return plan(self.wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Workload) -> None:
        step = steps[0]  # none of them has a batch
        if step.action == "replace":
            replace_pod(self.cluster, self.namespace, step.data["pod"], step.data["uid"])
            return
        live = t.cast("dict[str, t.Any]", observed.live)
        seen = {key: live["metadata"][key] for key in ("resourceVersion", "uid")}
        patch = {**step.data["patch"], "metadata": {**step.data["patch"].get("metadata", {}), **seen}}
        try:
            self.cluster.merge(API_VERSION, self.kind, self.name, self.namespace, patch, manager=ROLLOUT_MANAGER)
        except ApiError as error:
            if not (error.conflict or error.not_found):
                raise
            raise NotYet(f"{observed} changed meanwhile; next: {step.sentence}") from error
        self._old_failure = _failure_time(observed)

    # Waiting

    def watched(self) -> t.Collection[tuple[str, str, t.Optional[str], str]]:
        return [(API_VERSION, self.kind, self.namespace, ""), ("v1", "Pod", self.namespace, "")]

    def hopeless(self, observed: Workload) -> t.Optional[str]:
        text = failed(observed.live) if observed.live and observed.settled else None
        if text is None or _failure_time(observed) == self._old_failure:
            return None
        return f"{observed} has failed: {text}."

    def blocked_by(self, observed: Workload) -> t.Sequence[str]:
        if observed.live is None:
            return ()
        found = diagnose(self.cluster, self.namespace, query(observed.spec["selector"]), [self.name])
        return [*found, *stuck(observed)]

    def facts(self, observed: Workload) -> dict[str, t.Any]:
        return summary(observed)

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)


def stuck(seen: Workload) -> t.Iterator[str]:
    """Why an ordered StatefulSet does not go on: it waits for pods of a template that is gone."""
    if seen.kind != "StatefulSet" or seen.strategy == "OnDelete" or not seen.settled:
        return
    if seen.spec.get("podManagementPolicy", "OrderedReady") != "OrderedReady":
        return
    newest = seen.status.get("updateRevision")
    for pod in seen.pods:
        if seen.revision_of(pod) != newest and not ready(pod) and pod_obstacle(pod) != "is being deleted":
            yield (
                f"{pod['metadata']['name']} is of {seen.revision_of(pod)}, and its controller replaces it by {newest} "
                "only after it has become ready (kubernetes/kubernetes#67250); if it never will, delete that pod"
            )


def _failure_time(seen: Workload) -> t.Optional[str]:
    """When a Deployment was last said to make progress or none."""
    for condition in seen.status.get("conditions") or ():
        if condition.get("type") == "Progressing":
            return str(condition.get("lastUpdateTime"))
    return None
