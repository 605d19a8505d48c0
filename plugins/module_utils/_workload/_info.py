# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Everything about workloads in few requests: one list for each kind, however many workloads there are."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._workload import _facts as facts
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import REVISION_KINDS
from ansible_collections.stateful.kube.plugins.module_utils._workload._observe import API_VERSION, assemble
from ansible_collections.stateful.kube.plugins.module_utils._workload._rollout import stuck
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import Workload, ready

Warn = t.Callable[[str], None]
Found = t.Optional[list[Object]]


class Reader:
    """Reads the workloads of one namespace, and what belongs to them."""

    def __init__(self, cluster: Cluster, namespace: str, warn: Warn, ask_volumes: bool = False) -> None:
        """``ask_volumes``: ask each running pod whether its volumes answer, also where all are ready."""
        self.cluster = cluster
        self.namespace = namespace
        self.ask_volumes = ask_volumes
        self._warn = warn

    def one(self, kind: str, name: str, now: float) -> list[dict[str, t.Any]]:
        """The facts of one workload, which may not exist."""
        live = self.cluster.get(API_VERSION, kind, name, self.namespace)
        if live is None:
            return [facts.summary(Workload(kind, self.namespace, name))]
        return self._described([(kind, live)], query(live["spec"]["selector"]), now)

    def all(self, kinds: t.Sequence[str], labels: str, now: float) -> list[dict[str, t.Any]]:
        """The facts of every workload of these kinds whose own labels match."""
        found = [
            (kind, live) for kind in kinds for live in self.cluster.list(API_VERSION, kind, self.namespace, labels)
        ]
        # Nothing says that pods carry the labels of their workload.
        return self._described(found, "", now) if found else []

    def _described(self, found: t.Sequence[tuple[str, Object]], labels: str, now: float) -> list[dict[str, t.Any]]:
        # In this order: a pod is never older than the workload and revision that it is seen beside.
        kept = {
            kind: self._read(API_VERSION, kind, labels)
            for kind in sorted({REVISION_KINDS[kind] for kind, _live in found})
        }
        pods = self._read("v1", "Pod", labels) or []
        seen = [assemble(kind, self.namespace, live, pods, kept[REVISION_KINDS[kind]]) for kind, live in found]
        claims: Found = []
        if any(one.spec.get("volumeClaimTemplates") or any(map(claim_names, one.pods)) for one in seen):
            claims = self._read("v1", "PersistentVolumeClaim")
        services = self._read("v1", "Service")
        budgets = self._read("policy/v1", "PodDisruptionBudget")
        selecting = sorted({s["metadata"]["name"] for one in seen for s in facts.services_of(one, services or ())})
        slices: Found = []
        if selecting:
            slices = self._read(
                "discovery.k8s.io/v1", "EndpointSlice", f"kubernetes.io/service-name in ({','.join(selecting)})"
            )
        return [
            {
                **facts.summary(one),
                "strategy": facts.strategy(one),
                "labels": (one.live or {})["metadata"].get("labels") or {},
                "pods": facts.pods(one, now),
                "claims": None if claims is None else facts.claims(one, claims),
                "services": None
                if services is None
                else [facts.service(each, slices) for each in facts.services_of(one, services)],
                "disruption_budgets": None if budgets is None else facts.budgets(one, budgets),
                "revisions": None if kept[REVISION_KINDS[one.kind]] is None else facts.history(one),
                "blocked": self._blocked(one),
            }
            for one in seen
        ]

    def _blocked(self, seen: Workload) -> list[str]:
        if not self.ask_volumes and len(seen.pods) >= seen.replicas and all(map(ready, seen.pods)):
            return []
        names = {pod["metadata"]["name"] for pod in seen.pods}
        # A selector may take pods of others too.
        mine = diagnose(
            self.cluster, self.namespace, query(seen.spec["selector"]), [seen.name], names, self.ask_volumes
        )
        return [*mine, *stuck(seen)]

    def _read(self, api_version: str, kind: str, labels: str = "") -> Found:
        """One list, or None where this account may not have it: the rest is of use without."""
        try:
            return self.cluster.list(api_version, kind, self.namespace, labels)
        except ApiError as error:
            if not error.forbidden:
                raise
            self._warn(f"{kind}: left out of the result. {error.message}")
            return None
