# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for an external service.

Its own objects are applied, pruned and deleted by the operation of manifests; here is what lies around them.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER, Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import appliers
from ansible_collections.stateful.kube.plugins.module_utils._external._ask import Answer
from ansible_collections.stateful.kube.plugins.module_utils._external._objects import (
    APPLICATION,
    KINDS,
    SERVICE_NAME,
    SLICES,
    labels_of,
    objects_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._plan import (
    Around,
    Snapshot,
    known,
    plan,
    taken_out,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._probe import ask
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Wish
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._operate import Manifests
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import NAME
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step


class ExternalService(Operation[Snapshot]):
    """Make one Service lead to a DNS name or to addresses outside."""

    def __init__(
        self, cluster: Cluster, wish: Wish, *, create_namespace: bool, force: bool, asks: bool, wait_timeout: float
    ) -> None:
        """With ``asks`` false (check mode) no pod is started: the addresses stay in or out as they are."""
        self.cluster = cluster
        self.wish = wish
        self.create_namespace = create_namespace
        self.force = force
        self.asks = asks
        self.wait_timeout = wait_timeout
        self.title = f"{wish.namespace}/{wish.name}"
        self.lock = Lease(cluster, wish.namespace, wish.name)
        self._answers: t.Optional[tuple[Answer, ...]] = None
        self._checked = False
        self._manifests: t.Optional[Manifests] = None
        self._out: t.Optional[frozenset[str]] = None

    def observe(self) -> Snapshot:
        around = look_around(self.cluster, self.wish.namespace, self.wish.name)
        self._check_addresses(around)
        unasked = self._ask(around)
        out = taken_out(self.wish, around, self._answers)
        if self._manifests is None or out != self._out:
            self._manifests, self._out = self._declare(out), out
        return Snapshot(around, self._manifests.observe(), self._answers, out, unasked)

    def _declare(self, out: frozenset[str]) -> Manifests:
        return Manifests(
            self.cluster,
            objects_of(self.wish, out),
            namespace=self.wish.namespace,
            create_namespace=self.create_namespace,
            force=self.force,
            application=self.wish.name,
            prune=True,
            wait_timeout=self.wait_timeout,
        )

    def _ask(self, around: Around) -> str:
        """Ask the addresses once in this run, or say why not."""
        probe = self.wish.probe
        if probe is None or self._answers is not None:
            return ""
        if probe.schedule and set(self.wish.addresses) <= set(known(around)):
            return ""  # the CronJob asks them
        if not self.asks:
            return f"{self.title}: check mode starts no pod, so the addresses were not asked: they stay as they are."
        if around.service is None and self.cluster.get("v1", "Namespace", self.wish.namespace) is None:
            return ""  # it is made first, and then there is another look
        self._answers = ask(self.cluster, self.wish, probe, self.wait_timeout)
        return ""

    def _check_addresses(self, around: Around) -> None:
        """No new address may be one that Kubernetes gives to Services: it would lead in a circle, or nowhere."""
        new = sorted(set(self.wish.addresses) - set(known(around)))
        if self._checked or not new:
            return
        self._checked = True
        for network, what in _service_networks(self.cluster, self.wish.namespace):
            for address in new:
                if ipaddress.ip_address(address) in network:
                    raise Failure(
                        f"addresses: {address} is {what}: a Service cannot lead to a Service. Name the address of "
                        "the server itself, or in external_name the DNS name of that other Service."
                    )

    def plan(self, observed: Snapshot) -> t.Union[Plan, Refusal]:
        return plan(self.wish, observed, self.force)

    def act(self, steps: t.Sequence[Step], observed: Snapshot) -> None:
        if steps[0].action == "drop-selector":
            self._drop_selector(steps[0].data["service"])
        elif self._manifests:
            self._manifests.act(steps, observed.objects)

    def _drop_selector(self, service: Object) -> None:
        metadata = service["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"selector": None}}
        try:
            self.cluster.merge("v1", "Service", metadata["name"], metadata["namespace"], patch)
        except ApiError as error:
            if not error.conflict:
                raise
            raise NotYet(f"Service {metadata['name']} has changed meanwhile") from error

    def facts(self, observed: Snapshot) -> dict[str, t.Any]:
        spec = (observed.around.service or {}).get("spec") or {}
        answers = {answer.address: answer.text or "up" for answer in observed.answers or ()}
        inner = self._manifests.facts(observed.objects) if self._manifests else {}
        return {
            **inner,
            "dns": f"{self.wish.name}.{self.wish.namespace}.svc",
            "external_name": self.wish.external_name or None,
            "cluster_ip": spec.get("clusterIP") or None,
            "addresses": [
                {"address": address, "ready": address not in observed.out, "probe": answers.get(address)}
                for address in self.wish.addresses
            ],
            "probe": answers.get(self.wish.external_name),
        }

    def diff(self, plan: Plan) -> t.Any:
        return self._manifests.diff(plan) if self._manifests else super().diff(plan)

    def close(self) -> None:
        if self._manifests:
            self._manifests.close()


def look_around(cluster: Cluster, namespace: str, name: str) -> Around:
    return Around(
        cluster.get("v1", "Service", name, namespace),
        tuple(cluster.list(SLICES, "EndpointSlice", namespace, labels=f"{SERVICE_NAME}={name}")),
        cluster.get("v1", "Endpoints", name, namespace),
    )


def removal(cluster: Cluster, name: str, namespace: str, wait_timeout: float) -> Manifests:
    """The operation that takes an external service away, with everything that came with it. Raises Failure."""
    service = cluster.get("v1", "Service", name, namespace)
    if service and not _ours(service):
        raise Failure(
            f"Service {namespace}/{name} was not made by this module, so it was left alone. Delete it by a task of its "
            "own, if it is to go."
        )
    selector = ",".join(f"{key}={value}" for key, value in labels_of(name).items())
    doomed: list[Object] = []
    for api_version, kind in KINDS:
        try:
            found = cluster.list(api_version, kind, namespace, labels=selector)
        except ApiError as error:
            # Who may not read what belongs to a probe has made none.
            if not error.forbidden or kind in ("Service", "EndpointSlice"):
                raise
            continue
        doomed += [{**one, "metadata": {"name": one["metadata"]["name"]}} for one in found if _ours(one)]
    stripped = [{key: one[key] for key in ("apiVersion", "kind", "metadata")} for one in doomed]
    return Manifests(
        cluster, stripped, state="absent", namespace=namespace, application=name, wait=True, wait_timeout=wait_timeout
    )


def _ours(live: Object) -> bool:
    labels = live["metadata"].get("labels") or {}
    return labels.get(NAME) == APPLICATION and FIELD_MANAGER in appliers(live)


Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def _service_networks(cluster: Cluster, namespace: str) -> list[tuple[Network, str]]:
    """The ranges of virtual addresses, or as many of the addresses themselves as this account may see."""
    try:
        ranges = cluster.list("networking.k8s.io/v1", "ServiceCIDR")
    except ApiError as error:
        if not (error.forbidden or error.not_found):  # not served before Kubernetes 1.33
            raise
    else:
        return [
            (ipaddress.ip_network(cidr), f"in {cidr}, the range of virtual addresses of Services")
            for one in ranges
            for cidr in one["spec"].get("cidrs") or ()
        ]
    try:
        services = cluster.list("v1", "Service")
    except ApiError as error:
        if not error.forbidden:
            raise
        services = cluster.list("v1", "Service", namespace)
    return [
        (ipaddress.ip_network(address), f"the virtual address of Service {meta['namespace']}/{meta['name']}")
        for service in services
        for meta in (service["metadata"],)
        for address in service["spec"].get("clusterIPs") or ()
        if address != "None"
    ]
