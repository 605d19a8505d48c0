# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set as people make one by hand: a headless Service, a StatefulSet, and nobody logs in."""

from __future__ import annotations

import functools
import typing as t

from mongodb.replica_set import NAME, Problem, ReplicaSet, pod_of

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness.waiting import until

PORT = 27017
STARTED = 180


class HandMade(ReplicaSet):
    """Its objects are applied here, and its members are the business of whoever is compared."""

    def __init__(self, api: Cluster, namespace: str, members: int) -> None:
        super().__init__(api, namespace, persistent=True, members=members)

    def deploy(self) -> None:
        self.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}, manager=MANAGER)
        for obj in _objects(self.namespace, self.members):
            self.api.apply(obj, manager=MANAGER)
        self.until_running(range(self.members))

    def replicas(self, members: int) -> None:
        """What `kubectl scale` does."""
        self.members = members
        patch = {"spec": {"replicas": members}}
        self.api.merge("apps/v1", "StatefulSet", NAME, self.namespace, patch)

    def until_running(self, ordinals: t.Iterable[int]) -> None:
        for ordinal in ordinals:
            until(functools.partial(self._answers, ordinal), STARTED, f"{pod_of(ordinal)} does not answer.", Problem)

    def _answers(self, ordinal: int) -> bool:
        with self.member(ordinal) as client:
            return bool(client.admin.command("ping")["ok"])

    def initiate(self) -> None:
        members = [{"_id": ordinal, "host": self.host(ordinal)} for ordinal in range(self.members)]
        with self.member(0) as client:
            client.admin.command("replSetInitiate", {"_id": NAME, "members": members})
        self.until_serving()

    def until_serving(self) -> None:
        """Until every pod is a member that serves."""
        until(self._serves, STARTED, "The members do not serve.", Problem)

    def _serves(self) -> bool:
        states = set()
        for ordinal in range(self.members):
            with self.member(ordinal) as client:
                states.add(client.admin.command("replSetGetStatus")["myState"])
        return 1 in states and states <= {1, 2}

    def host(self, ordinal: int) -> str:
        return f"{pod_of(ordinal)}.{NAME}.{self.namespace}.svc.cluster.local:{PORT}"

    def _login(self) -> dict[str, str]:
        return {}


MANAGER = "faults"


def _objects(namespace: str, members: int) -> list[dict[str, t.Any]]:
    metadata = {"name": NAME, "namespace": namespace}
    mongod = ["mongod", "--replSet", NAME, "--bind_ip_all", "--wiredTigerCacheSizeGB", "0.25"]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {"app": NAME},
                "ports": [{"name": "mongodb", "port": PORT}],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": metadata,
            "spec": {
                "serviceName": NAME,
                "replicas": members,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": {
                        "containers": [
                            {
                                "name": "mongod",
                                "image": "docker.io/library/mongo:6.0.5",
                                "command": mongod,
                                "ports": [{"name": "mongodb", "containerPort": PORT}],
                                "volumeMounts": [{"name": "data", "mountPath": "/data/db"}],
                            }
                        ]
                    },
                },
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "data"},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                    }
                ],
            },
        },
    ]
