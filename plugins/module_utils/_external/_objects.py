# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The Kubernetes objects of an external service. Pure."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._external._ask import ALWAYS, ONCE, PRIVATE, variables
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Probe, Wish, family

Object = dict[str, t.Any]

SLICES = "discovery.k8s.io/v1"
RBAC = "rbac.authorization.k8s.io/v1"
#: says of an EndpointSlice to which Service it belongs
SERVICE_NAME = "kubernetes.io/service-name"
#: says of an EndpointSlice who keeps it
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
#: what kind of application these objects are: the value of the label app.kubernetes.io/name
APPLICATION = "external-service"
# On a slice: what is declared, so that a probe which began before does not write older addresses back.
_DECLARED = "stateful.kube/declared"
# Nobody: a number that owns no files.
_USER = 65534

#: every kind that may come of this, with what may be forbidden to who has made none: (apiVersion, kind)
KINDS: tuple[tuple[str, str], ...] = (
    ("v1", "Service"),
    (SLICES, "EndpointSlice"),
    ("v1", "ConfigMap"),
    ("batch/v1", "CronJob"),
    ("v1", "ServiceAccount"),
    (RBAC, "Role"),
    (RBAC, "RoleBinding"),
)


def labels_of(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": APPLICATION,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
    }


def objects_of(wish: Wish, out: t.Collection[str]) -> list[Object]:
    """What is declared; ``out`` are the addresses that get no clients for now."""
    objects = [_service(wish), *_slices(wish, {address: address not in out for address in wish.addresses})]
    if wish.config_map:
        name, key = wish.config_map
        text = wish.external_name or ",".join(wish.addresses)
        objects.append({**_head(wish, "v1", "ConfigMap", name), "data": {key: text}})
    if wish.probe and wish.probe.schedule:
        objects += _keeper(wish, wish.probe)
    return objects


def slice_name(wish: Wish, address_type: str) -> str:
    return f"{wish.name}-{address_type.lower()}"


def _head(wish: Wish, api_version: str, kind: str, name: str, **metadata: t.Any) -> Object:
    labels = {**labels_of(wish.name), **metadata.pop("labels", {})}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": wish.namespace, "labels": labels, **metadata},
    }


def _service(wish: Wish) -> Object:
    metadata: Object = {"labels": {**wish.labels, **labels_of(wish.name)}}
    if wish.annotations:
        metadata["annotations"] = dict(wish.annotations)
    ports = []
    for port in wish.ports:
        entry: Object = {"port": port.port, "protocol": port.protocol, "targetPort": port.target}
        entry.update({"name": port.name} if port.name else {})
        entry.update({"appProtocol": port.app_protocol} if port.app_protocol else {})
        ports.append(entry)
    spec: Object = {"type": "ExternalName", "externalName": wish.external_name} if wish.external_name else {}
    if not spec:
        spec["type"] = "ClusterIP"
        if wish.headless:
            spec["clusterIP"] = "None"
        elif len(wish.families) > 1:
            spec["ipFamilyPolicy"] = "PreferDualStack"
        else:
            spec["ipFamilies"] = list(wish.families)
    if ports:
        spec["ports"] = ports
    return {**_head(wish, "v1", "Service", wish.name, **metadata), "spec": spec}


def _slices(wish: Wish, ready: t.Mapping[str, t.Any]) -> list[Object]:
    """One EndpointSlice for each family; ``ready`` holds the condition of each address."""
    slices = []
    for address_type in wish.families:
        here = [address for address in wish.addresses if family(address) == address_type]
        ports = []
        for port in wish.ports:
            entry = {"name": port.name, "port": port.target, "protocol": port.protocol}
            ports.append({**entry, **({"appProtocol": port.app_protocol} if port.app_protocol else {})})
        head = _head(
            wish,
            SLICES,
            "EndpointSlice",
            slice_name(wish, address_type),
            labels={SERVICE_NAME: wish.name, MANAGED_BY: FIELD_MANAGER},
            annotations={_DECLARED: _digest(wish)},
        )
        endpoints = [{"addresses": [address], "conditions": {"ready": ready[address]}} for address in here]
        slices.append({**head, "addressType": address_type, "endpoints": endpoints, "ports": ports})
    return slices


def _digest(wish: Wish) -> str:
    text = json.dumps([wish.addresses, [(port.name, port.target, port.protocol) for port in wish.ports]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def probe_job(wish: Wish, probe: Probe, name: str, seconds: int) -> Object:
    """A Job that asks every address once. Whatever becomes of this run, it is gone a minute after its end."""
    targets = wish.addresses or (wish.external_name,)
    spec = {
        **_job(seconds),
        "ttlSecondsAfterFinished": 60,
        "template": {
            "metadata": {"labels": labels_of(wish.name)},
            "spec": _pod(probe, ONCE, variables(probe, targets)),
        },
    }
    return {**_head(wish, "batch/v1", "Job", name), "spec": spec}


def _job(seconds: int) -> Object:
    return {"backoffLimit": 0, "activeDeadlineSeconds": seconds}


def _pod(probe: Probe, script: str, environment: t.Mapping[str, str], account: str = "") -> Object:
    """A pod that meets the restricted Pod Security Standard and has a token only where it has an account."""
    container: Object = {
        "name": "probe",
        "image": probe.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod: Object = {}
    if account:
        container["volumeMounts"] = [{"name": "private", "mountPath": PRIVATE}]
        pod = {
            "serviceAccountName": account,
            "volumes": [{"name": "private", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        }
    return {
        **pod,
        "automountServiceAccountToken": bool(account),
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }


def _keeper(wish: Wish, probe: Probe) -> list[Object]:
    """The CronJob that asks between the runs, with an account that may do no more than write these slices."""
    name = f"{wish.name}-probe"
    slices = _slices(wish, {address: f"@{number}@" for number, address in enumerate(wish.addresses)})
    environment = {**variables(probe, wish.addresses), "DECLARED": _digest(wish), "SLICES": " ".join(wish.families)}
    for one in slices:
        family_name, metadata = one["addressType"], one["metadata"]
        body = {**one, "metadata": {**metadata, "resourceVersion": "@version@"}}
        environment[f"BODY_{family_name}"] = json.dumps(body, separators=(",", ":"))
        environment[f"PATH_{family_name}"] = (
            f"/apis/{SLICES}/namespaces/{wish.namespace}/endpointslices/{metadata['name']}"
        )
    job = _job(60 + 2 * probe.timeout)
    template = {"metadata": {"labels": labels_of(wish.name)}, "spec": _pod(probe, ALWAYS, environment, name)}
    return [
        {**_head(wish, "v1", "ServiceAccount", name), "automountServiceAccountToken": False},
        {
            **_head(wish, RBAC, "Role", name),
            "rules": [
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "resourceNames": [one["metadata"]["name"] for one in slices],
                    "verbs": ["get", "patch"],
                }
            ],
        },
        {
            **_head(wish, RBAC, "RoleBinding", name),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": wish.namespace}],
        },
        {
            **_head(wish, "batch/v1", "CronJob", name),
            "spec": {
                "schedule": probe.schedule,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": 30,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 1,
                "jobTemplate": {"spec": {**job, "template": template}},
            },
        },
    ]
