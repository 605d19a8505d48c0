# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Withholds the DNS record of one pod, and of no other, without touching anything outside its namespace.

The headless Service gets one label more in its selector, and every pod but one gets that label. The kubelet writes a
pod's own name into its /etc/hosts besides: a helper container in the pod takes that line out, for not every runtime
puts it there.
"""

from __future__ import annotations

import time

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from harness.verdict import Failed

LABEL = "faults.stateful.kube/published"
HELPER = "faults"
# Seconds: the record has to come from the Service to the endpoints, to the name server, and out of its cache.
GONE_WITHIN = 60
STRATEGIC = "application/strategic-merge-patch+json"


class Record:
    """``pod.service.namespace.svc.…`` of one pod."""

    def __init__(self, api: Cluster, namespace: str, service: str, pod: str, everywhere: bool) -> None:
        """``everywhere``: in its own pod too, and not only in the others."""
        self.name = f"{pod}.{service}.{namespace}.svc.cluster.local"
        self._api = api
        self._namespace = namespace
        self._service = service
        self._pod = pod
        self._everywhere = everywhere

    def withhold(self, container: str) -> None:
        """Return once the name does not resolve any more. ``container`` has a `getent`."""
        pods = self._pods()
        for pod in pods:
            self._label(pod, pod != self._pod)
        self._select(LABEL, "true")
        if self._everywhere:
            self._forget_hosts(container)
        else:
            pods.remove(self._pod)
        until = time.monotonic() + GONE_WITHIN
        while found := [pod for pod in pods if self._resolves(pod, container)]:
            if time.monotonic() > until:
                raise Failed(f"{self.name} still resolves in {', '.join(found)}: the fault could not be made.")
            time.sleep(0.3)

    def publish(self) -> None:
        self._label(self._pod, True)
        self._select(LABEL, None)

    def _pods(self) -> list[str]:
        service = self._api.get("v1", "Service", self._service, self._namespace)
        if service is None:
            raise Failed(f"There is no Service {self._namespace}/{self._service}.")
        labels = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items() if key != LABEL)
        return [pod["metadata"]["name"] for pod in self._api.list("v1", "Pod", self._namespace, labels=labels)]

    def _label(self, pod: str, published: bool) -> None:
        patch = {"metadata": {"labels": {LABEL: "true" if published else None}}}
        self._api.merge("v1", "Pod", pod, self._namespace, patch)

    def _select(self, label: str, value: str | None) -> None:
        patch = {"spec": {"selector": {label: value}}}
        self._api.merge("v1", "Service", self._service, self._namespace, patch)

    def _resolves(self, pod: str, container: str) -> bool:
        return execute(self._api, self._namespace, pod, ["getent", "hosts", self.name], container).rc == 0

    def _forget_hosts(self, container: str) -> None:
        pod = self._api.get("v1", "Pod", self._pod, self._namespace)
        if pod is None or any(each["name"] == HELPER for each in pod["spec"].get("ephemeralContainers", ())):
            return
        [image] = [each["image"] for each in pod["spec"]["containers"] if each["name"] == container]
        helper = {
            "name": HELPER,
            "image": image,
            # In place: the file is mounted, and another one under its name would not be seen.
            "command": ["sh", "-c", 'kept=$(grep -v "$1" /etc/hosts); echo "$kept" > /etc/hosts', "sh", self.name],
            "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        }
        path = f"/api/v1/namespaces/{self._namespace}/pods/{self._pod}"
        self._api.connection.request(
            "PATCH", f"{path}/ephemeralcontainers", (), {"spec": {"ephemeralContainers": [helper]}}, STRATEGIC
        )
        until = time.monotonic() + GONE_WITHIN
        while time.monotonic() < until:
            status = self._api.connection.request("GET", path)["status"].get("ephemeralContainerStatuses") or [{}]
            if "terminated" in status[0].get("state", {}):
                return
            time.sleep(0.2)
        raise Failed(f"The helper container in {self._pod} does not end: {status[0].get('state')}.")
