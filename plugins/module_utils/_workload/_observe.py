# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks the cluster for workloads, and for what belongs to them, by lists."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import (
    REVISION_KINDS,
    controlled_by,
    revisions,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._state import Workload

API_VERSION = "apps/v1"


def observe(cluster: Cluster, kind: str, namespace: str, name: str) -> Workload:
    """One workload with its pods and revisions: three requests."""
    live = cluster.get(API_VERSION, kind, name, namespace)
    if live is None:
        return Workload(kind, namespace, name)
    labels = query(live["spec"]["selector"])
    kept = cluster.list(API_VERSION, REVISION_KINDS[kind], namespace, labels)
    return assemble(kind, namespace, live, cluster.list("v1", "Pod", namespace, labels), kept)


def assemble(
    kind: str, namespace: str, live: Object, pods: t.Sequence[Object], kept: t.Optional[t.Sequence[Object]]
) -> Workload:
    """Pick out of these pods and revisions what this workload controls."""
    uid = live["metadata"]["uid"]
    own = controlled_by(kept or (), (uid,))
    # The pods of a Deployment belong to its ReplicaSets.
    controllers = [one["metadata"]["uid"] for one in own] if kind == "Deployment" else [uid]
    mine = sorted(controlled_by(pods, controllers), key=_pod_order)
    return Workload(kind, namespace, live["metadata"]["name"], {**live, "kind": kind}, tuple(mine), revisions(own))


def _pod_order(pod: Object) -> tuple[int, str]:
    name = pod["metadata"]["name"]
    number = name.rpartition("-")[2]
    return (int(number) if number.isdigit() else 0, name)
