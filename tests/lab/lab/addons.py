# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the cluster needs beyond the control plane: cluster DNS, a default StorageClass, and a few rights."""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import Any

from lab import build, control_plane, files, machine, node, processes, shell
from lab.images import Recipe
from lab.settings import API_PORT, CLUSTER_DOMAIN, CONTROL_PLANE_ADDRESS, DNS_SERVICE, Settings

# Notes in the cluster which manifests it has, so that an unchanged cluster is left alone.
RECORD = "/api/v1/namespaces/kube-system/configmaps/stateful-lab"
# Namespace, Deployment and the label of its pods.
DEPLOYMENTS = (
    ("kube-system", "coredns", "k8s-app=kube-dns"),
    ("local-path-storage", "local-path-provisioner", "app=local-path-provisioner"),
)


def upstream() -> str:
    """Names outside the cluster: to the machine's DNS servers, or to nobody."""
    if servers := machine.name_servers():
        return f"forward . {' '.join(servers)} {{\n            max_concurrent 1000\n        }}"
    return "template ANY ANY . {\n            rcode NXDOMAIN\n        }"


def manifests(settings: Settings, recipes: list[Recipe]) -> str:
    names = {recipe.name: recipe.names[0] for recipe in recipes}
    # All nodes that could be, so that one more does not restart the provisioner under those who wait for a volume.
    paths = [{"node": each.name, "paths": [str(each.volumes)]} for each in settings.possible_nodes]
    values = {
        "api_address": str(CONTROL_PLANE_ADDRESS),
        "api_port": str(API_PORT),
        "dns_service": str(DNS_SERVICE),
        "cluster_domain": CLUSTER_DOMAIN,
        "upstream": upstream(),
        "coredns_image": names["coredns"],
        "local_path_image": names["local-path-provisioner"],
        "busybox_image": names["busybox"],
        "first_node": settings.nodes[0].name,
        "volume_paths": json.dumps({"nodePathMap": paths}),
        "volume_paths_digest": files.digest(json.dumps(paths)),
    }
    texts = [Template(path.read_text()).substitute(values) for path in files.tree(settings.sources / "addons")]
    return "\n---\n".join(texts)


def record(key: str) -> str:
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: stateful-lab
  namespace: kube-system
data:
  manifests: "{key}"
"""


def ensure(settings: Settings, kubernetes: Path, recipes: list[Recipe]) -> bool:
    """Apply the manifests unless the cluster has them already; whether it had to be done."""
    kinds = "\n---\n".join(path.read_text() for path in build.manifests(settings))
    objects = manifests(settings, recipes)
    key = files.digest(kinds, objects)
    present = control_plane.get_object(settings, RECORD)
    if present and present.get("data", {}).get("manifests") == key:
        return False
    kubectl: list[str | Path] = [kubernetes / "kubectl", f"--kubeconfig={settings.pki / 'admin.conf'}"]
    apply = [*kubectl, "apply", "--server-side", "--force-conflicts", "--field-manager=stateful-lab", "--filename=-"]
    shell.run(apply, text=kinds, timeout=120)
    # Among the objects are some of these kinds.
    shell.run([*kubectl, "wait", "--for=condition=Established", "--timeout=60s", "--filename=-"], text=kinds)
    # The record comes last: half-applied manifests are applied again.
    for part in (objects, record(key)):
        shell.run(apply, text=part, timeout=120)
    return True


def forget_nodes(settings: Settings, kubernetes: Path) -> None:
    """Take nodes that the lab had before off the cluster's list, so that nothing waits for their pods."""
    listed = control_plane.get_object(settings, "/api/v1/nodes") or {}
    known = {path.name for path in (settings.home / "nodes").glob("node*")} - {each.name for each in settings.nodes}
    names = [item["metadata"]["name"] for item in listed.get("items", []) if item["metadata"]["name"] in known]
    kubectl: list[str | Path] = [kubernetes / "kubectl", f"--kubeconfig={settings.pki / 'admin.conf'}"]
    if names:
        shell.run([*kubectl, "delete", "node", *names], timeout=60)
    for name in names:
        # Nobody is left there to report their end, and the garbage collector would think it over for a minute.
        chosen = ["--all-namespaces", f"--field-selector=spec.nodeName={name}"]
        shell.run([*kubectl, "delete", "pods", *chosen, "--grace-period=0", "--force"], timeout=60)


def is_rolled_out(deployment: dict[str, Any]) -> bool:
    wanted = deployment["spec"].get("replicas", 1)
    seen = deployment.get("status", {})
    current: bool = seen.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return current and min(seen.get("updatedReplicas", 0), seen.get("readyReplicas", 0)) >= int(wanted)


def is_running(settings: Settings, pod: dict[str, Any]) -> bool:
    """Whether a pod's containers are ready, and of the present time: after a stop the API server still has old news."""
    since = node.epoch(settings, pod["spec"].get("nodeName", ""))
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return bool(statuses) and all(
        status["ready"] and node.seconds(status["state"].get("running", {}).get("startedAt")) >= since
        for status in statuses
    )


def unready(settings: Settings) -> list[str]:
    """The addons that do not work yet."""
    found = []
    for namespace, name, label in DEPLOYMENTS:
        deployment = control_plane.get_object(settings, f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        pods = control_plane.get_object(settings, f"/api/v1/namespaces/{namespace}/pods?labelSelector={label}") or {}
        running = any(is_running(settings, pod) for pod in pods.get("items", []))
        if not deployment or not is_rolled_out(deployment) or not running:
            found.append(name)
    return found


def wait_ready(settings: Settings) -> None:
    def waiting() -> str:
        return f"still waiting for {' and '.join(unready(settings))}; see `kubectl get pods --all-namespaces`."

    processes.wait_until("the addons to be ready", lambda: not unready(settings), timeout=120, detail=waiting)


def classes(settings: Settings) -> str:
    """The default StorageClass, for the closing words of `up`."""
    found = control_plane.get_object(settings, "/apis/storage.k8s.io/v1/storageclasses") or {}
    mark = "storageclass.kubernetes.io/is-default-class"
    names = [
        item["metadata"]["name"]
        for item in found.get("items", [])
        if item["metadata"].get("annotations", {}).get(mark) == "true"
    ]
    return ", ".join(names) or "none"
