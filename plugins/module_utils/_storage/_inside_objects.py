# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The second volume, its claim and the pods by which a volume that was used is looked into. Pure.

The second volume is kept for its claim, and of a class that nobody else names, so no other claim gets it. A
PersistentVolume cannot belong to the anchor, which is in a namespace. It is deleted as soon as it is bound instead:
from then on Kubernetes keeps it for its claim, and lets it go with the claim.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._storage import _probe_objects as probe
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_script import STAY

Object = t.Mapping[str, t.Any]

APPLICATION = "volume-inspection"
# Pods do not ask for much, and nobody enforces the size of such volumes.
_SIZE = "1Mi"
# Root reads and removes what belongs to others by this, where root is root: not behind root_squash.
_ROOT = ("DAC_OVERRIDE",)


@dataclasses.dataclass(frozen=True)
class Run:
    """One inspection: what it makes is named and labelled by it, and ends ``deadline`` seconds after it began."""

    name: str
    namespace: str
    deadline: int
    pods: probe.Pods

    @property
    def selector(self) -> str:
        return probe.selector(APPLICATION, self.name)

    def metadata(self, name: str, owner: t.Optional[Object] = None) -> dict[str, t.Any]:
        owners = {"ownerReferences": [probe.owned_by(owner)]} if owner else {}
        return {"name": name, "namespace": self.namespace, "labels": probe.labels(APPLICATION, self.name), **owners}


def anchor(run: Run) -> dict[str, t.Any]:
    return probe.anchor(run.metadata(run.name), run.deadline, _pod_spec(run, run.name, None, True))


def second_volume(run: Run, name: str, live: Object, kind: str, read_only: bool) -> dict[str, t.Any]:
    """A volume of the same folder as ``live``."""
    fields = dict(live["spec"][kind])
    options = list(live["spec"].get("mountOptions") or ())
    if kind == "nfs" and read_only:
        fields["readOnly"] = True
    if kind == "local" and read_only:
        options.append("ro")
    if kind == "hostPath":
        fields["type"] = "Directory"  # never make a folder that is not there
    spec: dict[str, t.Any] = {
        "capacity": {"storage": _SIZE},
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": run.name,
        "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": run.namespace, "name": name},
        kind: fields,
    }
    if options:
        spec["mountOptions"] = options
    if live["spec"].get("nodeAffinity"):
        spec["nodeAffinity"] = live["spec"]["nodeAffinity"]
    metadata = {key: value for key, value in run.metadata(name).items() if key != "namespace"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}


def claim(run: Run, name: str, owner: Object) -> dict[str, t.Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": _SIZE}},
        "volumeMode": "Filesystem",
        "storageClassName": run.name,
        "volumeName": name,
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": run.metadata(name, owner), "spec": spec}


def pod(
    run: Run, owner: Object, of: str, role: str, user: t.Optional[tuple[int, int]], read_only: bool
) -> dict[str, t.Any]:
    """A pod on the claim ``of``, as this user and group; without one, as the user that the run names."""
    metadata = run.metadata(f"{of}-{role}", owner)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": _pod_spec(run, of, user, read_only)}


def _pod_spec(run: Run, of: str, user: t.Optional[tuple[int, int]], read_only: bool) -> dict[str, t.Any]:
    root = user is not None and user[0] == 0
    pods = dataclasses.replace(run.pods, user=user[0]) if user else run.pods
    body = probe.Body(
        ["sh", "-c", STAY, "probe", str(run.deadline)],
        of,
        run.deadline,
        root=root,
        capabilities=_ROOT if root else (),
        read_only=read_only,
        grace=1,
        group=user[1] if user else None,
    )
    return probe.pod_spec(pods, body)
