# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a resize of claims sees: the claims, how far each is, and what they belong to. Pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import claim_names
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import condition
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import Classes, claims_of
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key, Object
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation

#: conditions by which drivers and kubelets tell of failures
_FAILURES = ("ControllerResizeError", "NodeResizeError")


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim. Sizes are quantities as Kubernetes writes them, and empty where there is none."""

    name: str
    uid: str
    version: str
    storage_class: str
    bound: bool
    #: what it asks for
    asked: str
    #: what it has
    has: str
    volume: str
    #: the size that the driver is on its way to, or was last
    target: str = ""
    #: how far the driver is: a word of status.allocatedResourceStatuses
    stage: str = ""
    #: the volume has grown, its file system not yet
    file_system_pending: bool = False
    #: what the driver, or the kubelet, says went wrong
    failures: tuple[str, ...] = ()
    #: pods that have it mounted
    pods: tuple[str, ...] = ()
    #: all that is told of its growth: another one means that it was told since
    told: str = ""

    @property
    def infeasible(self) -> bool:
        return self.stage.endswith("Infeasible")

    @property
    def failing(self) -> bool:
        return self.growing and bool(self.failures or self.infeasible)

    @property
    def growing(self) -> bool:
        """Whether it asks for more than it has."""
        return self.bound and bool(self.has) and quantity(self.has) < quantity(self.asked)

    def has_at_least(self, size: str) -> bool:
        return bool(self.has) and quantity(self.has) >= quantity(size)

    def volume_has(self, size: str) -> bool:
        """Whether its volume has grown to a size, whatever its file system."""
        if self.has_at_least(size):
            return True
        return self.file_system_pending and quantity(self.target or self.asked) >= quantity(size)

    @property
    def least_request(self) -> str:
        """The smallest size that the API server lets it ask for again: strictly more than it has."""
        return str(math.floor(quantity(self.has)) + 1)

    def progress(self, size: str) -> str:
        doubts = "; ".join(self.failures) or (self.stage if self.infeasible else "")
        return f"claim {self.name} has {self.has or 'nothing'} of {size}" + (f" ({doubts})" if doubts else "")


@dataclasses.dataclass(frozen=True)
class Volume:
    """What a claim is bound to: the kind of its source, and for CSI the driver."""

    source: str
    driver: str = ""


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What has to allow growth. None and empty where the account may not know."""

    classes: Classes = None
    quotas: tuple[Object, ...] = ()
    #: by the name of the claim
    volumes: t.Mapping[str, Volume] = dataclasses.field(default_factory=dict)
    #: CSI drivers that the cluster knows
    drivers: t.Optional[frozenset[str]] = None


@dataclasses.dataclass(frozen=True)
class Seen:
    """One snapshot. ``key`` is the StatefulSet, or stands for the claims that were named."""

    key: Key
    size: str
    claims: tuple[Claim, ...]
    live: t.Optional[Object] = None
    template: str = ""
    #: what the claim template asks for
    template_size: str = ""
    #: claims of ordinals that have no pod: kept from before, and left alone
    retained: tuple[Claim, ...] = ()
    around: Surroundings = Surroundings()
    recreation: t.Optional[Recreation] = None


def claim_of(live: Object, pods: t.Sequence[Object] = ()) -> Claim:
    metadata, spec, status = live["metadata"], live["spec"], live.get("status") or {}
    failures = [
        str(entry.get("message") or entry["type"])
        for entry in status.get("conditions") or ()
        if entry.get("type") in _FAILURES and entry.get("status") == "True"
    ]
    told = (status.get("conditions"), status.get("allocatedResources"), status.get("allocatedResourceStatuses"))
    mounting = [
        pod["metadata"]["name"]
        for pod in pods
        if metadata["name"] in claim_names(pod) and (pod.get("status") or {}).get("phase") == "Running"
    ]
    return Claim(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        storage_class=spec.get("storageClassName") or "",
        bound=status.get("phase") == "Bound",
        asked=_storage(spec.get("resources", {}).get("requests")) or "0",
        has=_storage(status.get("capacity")),
        volume=spec.get("volumeName") or "",
        target=_storage(status.get("allocatedResources")),
        stage=_storage(status.get("allocatedResourceStatuses")),
        file_system_pending=condition(live, "FileSystemResizePending") == "True",
        failures=tuple(failures),
        pods=tuple(mounting),
        told=repr(told),
    )


def claims_with_pods(key: Key, live: Object, template: str, claims: t.Sequence[Object]) -> tuple[list[Object], ...]:
    """The claims of a template whose ordinals have pods, and those of other ordinals."""
    spec = live["spec"]
    first = (spec.get("ordinals") or {}).get("start", 0)
    ordinals = range(first, first + spec.get("replicas", 1))
    served: list[Object] = []
    retained: list[Object] = []
    for claim in claims_of(key, template, claims):
        has_pod = int(claim["metadata"]["name"].rpartition("-")[2]) in ordinals
        (served if has_pod else retained).append(claim)
    return served, retained


def volume_of(live: Object) -> Volume:
    spec = live["spec"]
    if "csi" in spec:
        return Volume("csi", spec["csi"].get("driver", ""))
    return Volume(next((name for name in _NEVER_GROW if name in spec), ""))


#: sources of volumes for which nobody serves a request to grow
_NEVER_GROW = ("hostPath", "local", "nfs", "iscsi", "fc")


def template_size(live: Object, template: str) -> str:
    for one in live["spec"].get("volumeClaimTemplates") or ():
        if one["metadata"]["name"] == template:
            return _storage(one["spec"]["resources"]["requests"])
    return ""


def with_template_size(live: Object, template: str, size: str) -> Object:
    """The StatefulSet with another size in one claim template, and otherwise as it is."""

    def resized(one: Object) -> Object:
        if one["metadata"]["name"] != template:
            return one
        resources = one["spec"]["resources"]
        requests = {**resources["requests"], "storage": size}
        return {**one, "spec": {**one["spec"], "resources": {**resources, "requests": requests}}}

    templates = [resized(one) for one in live["spec"]["volumeClaimTemplates"]]
    return {**live, "spec": {**live["spec"], "volumeClaimTemplates": templates}}


def _storage(values: t.Optional[t.Mapping[str, t.Any]]) -> str:
    return str((values or {}).get("storage") or "")
