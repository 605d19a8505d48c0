#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: persistent_volumes
short_description: Make families of PersistentVolumes by hand, and give those that were used to new claims
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes PersistentVolumes of type nfs, hostPath, local, iscsi, fc and csi from a short list. One entry is one volume,
    or a family of volumes that differ in their number and node.
  - Checks each entry against what its type can do, and warns when two volumes have their data in one place, in the list
    or in the cluster.
  - A volume whose claim was deleted is Released, and no claim gets it. It is reported with its size, age and former
    claim, and given to a new claim only when O(rebind) names it.
  - No data is ever deleted, and no folder is made. A volume that a claim has is not removed.
  - The account needs the rights to list, patch, create and delete persistentvolumes, and to list nodes where volumes
    are tied to some (without it a wrong host name is not told).
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
attributes:
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) makes the volumes or changes them. What a volume is of, its volume mode and its node are fixed once
        it exists.
      - V(absent) removes the objects. What is on the volumes stays. It is refused for volumes that a claim has, and for
        those whose reclaim policy is not V(Retain). Only the names of the entries matter then.
    type: str
    choices: [present, absent]
    default: present
  volumes:
    description: The volumes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the volume. In it, and in every text of O(volumes[].source), O(volumes[].labels),
            O(volumes[].annotations), O(volumes[].claim_ref) and O(volumes[].node_affinity), C({n}) stands for the
            number of the volume, C({n:03}) for the same with three digits, and C({node}) for its node.
        type: str
        required: true
      count:
        description: How many volumes to make, on each node where O(volumes[].nodes) is given.
        type: int
        default: 1
      start:
        description: The number of the first one. Pods of a StatefulSet count from 0.
        type: int
        default: 0
      nodes:
        description:
          - Host names of nodes (label C(kubernetes.io/hostname)). Each gets volumes of its own, tied to it.
        type: list
        elements: str
        default: []
      node_affinity:
        description: From which nodes the volume can be reached, as the API has it, in place of O(volumes[].nodes).
        type: dict
      capacity:
        description: The size that claims are compared with, such as V(10Gi). It is needed with O(state=present).
        type: str
      access_modes:
        description: What claims may ask for, as far as the type of the volume can do it.
        type: list
        elements: str
        choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
        default: [ReadWriteOnce]
      volume_mode:
        description: A file system, or a bare block device.
        type: str
        choices: [Filesystem, Block]
        default: Filesystem
      reclaim_policy:
        description:
          - What becomes of the volume when its claim is deleted. V(Recycle), which wiped volumes, is deprecated in
            Kubernetes and refused with what to use.
        type: str
        choices: [Retain, Delete, Recycle]
        default: Retain
      storage_class_name:
        description:
          - The class that claims have to name. There need not be a StorageClass of that name. Empty means that claims
            have to say C(storageClassName) empty as well.
        type: str
        default: ''
      mount_options:
        description: Mount options.
        type: list
        elements: str
        default: []
      labels:
        description: Labels, for claims with a selector.
        type: dict
        default: {}
      annotations:
        description: Annotations.
        type: dict
        default: {}
      claim_ref:
        description: The one claim that the volume is kept for.
        type: dict
        suboptions:
          namespace:
            description: Its namespace.
            type: str
            required: true
          name:
            description: Its name, such as C(data-web-{n}) for the pods of a StatefulSet.
            type: str
            required: true
      source:
        description:
          - Exactly one volume source as a PersistentVolume has it, C(nfs), C(hostPath), C(local), C(iscsi), C(fc) or
            C(csi), with the fields of the API. It is needed with O(state=present).
          - Types that Kubernetes once had built in are written as C(csi) where that is possible, and refused otherwise.
        type: dict
  rebind:
    description:
      - Names of volumes that are Released and are to be given to a new claim, with what is on them. Volumes that are
        not Released are left alone.
    type: list
    elements: str
    default: []
  force_conflicts:
    description: Take fields over that another manager declares with another value.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to try again where somebody else changes a volume at the same time.
    type: int
    default: 60
seealso:
  - module: stateful.kube.storage_class
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: Two volumes on an NFS server, for a StatefulSet of two pods
  stateful.kube.persistent_volumes:
    volumes:
      - name: nfs-pv{n:03}
        count: 2
        start: 1
        capacity: 1Gi
        access_modes: [ReadWriteOnce, ReadWriteMany]
        storage_class_name: nfs
        labels:
          pv: nfs-pv{n:03}
        source:
          nfs:
            server: nfs.example.com
            path: /nfs/data/pv{n:03}

- name: Two disks on each of three nodes
  stateful.kube.persistent_volumes:
    volumes:
      - name: "{node}-disk-{n}"
        count: 2
        nodes: [node1, node2, node3]
        capacity: 100Gi
        storage_class_name: local-storage
        source:
          local:
            path: /mnt/disks/disk-{n}

- name: A block device behind Fibre Channel
  stateful.kube.persistent_volumes:
    volumes:
      - name: block-pv
        capacity: 10Gi
        volume_mode: Block
        source:
          fc:
            targetWWNs: ["50060e801049cfd1"]
            lun: 0

- name: Logical units of one iSCSI target, one for each pod
  stateful.kube.persistent_volumes:
    volumes:
      - name: shop-{n}
        count: 3
        capacity: 50Gi
        claim_ref:
          namespace: shop
          name: data-shop-{n}
        source:
          iscsi:
            targetPortal: 10.0.2.34:3260
            iqn: iqn.2001-04.com.example:storage
            lun: "{n}"
            fsType: ext4

- name: Give a volume that was used to a new claim, with its data
  stateful.kube.persistent_volumes:
    volumes: []
    rebind: [nfs-pv002]
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: apply
      target: PersistentVolume nfs-pv001
      step: create PersistentVolume nfs-pv001 (nfs nfs.example.com:/nfs/data/pv001)
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The volumes at the end.
  returned: always
  type: dict
  contains:
    volumes:
      description:
        - The declared volumes that exist, with C(name), C(phase), C(capacity), C(claim), C(storage_class_name),
          C(reclaim_policy), C(place), C(since) (when it came into this phase) and C(age) (seconds since then).
      type: list
      elements: dict
      returned: always
    released:
      description:
        - Volumes that had a claim and have none now, with the same fields. These are the declared ones, those of the
          same classes, and those of O(rebind).
      type: list
      elements: dict
      returned: always
refusal:
  description: Why it is not possible, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._families import family
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import ACCESS_MODES, RWO
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_operation import PersistentVolumes
from ansible_collections.stateful.kube.plugins.module_utils._storage._volumes import Wish
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(60),
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "volumes": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "count": {"type": "int", "default": 1},
                "start": {"type": "int", "default": 0},
                "nodes": {"type": "list", "elements": "str", "default": []},
                "node_affinity": {"type": "dict"},
                "capacity": {"type": "str"},
                "access_modes": {
                    "type": "list",
                    "elements": "str",
                    "choices": list(ACCESS_MODES),
                    "default": [RWO],
                },
                "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"], "default": "Filesystem"},
                "reclaim_policy": {"type": "str", "choices": ["Retain", "Delete", "Recycle"], "default": "Retain"},
                "storage_class_name": {"type": "str", "default": ""},
                "mount_options": {"type": "list", "elements": "str", "default": []},
                "labels": {"type": "dict", "default": {}},
                "annotations": {"type": "dict", "default": {}},
                "claim_ref": {
                    "type": "dict",
                    "options": {
                        "namespace": {"type": "str", "required": True},
                        "name": {"type": "str", "required": True},
                    },
                },
                "source": {"type": "dict"},
            },
        },
        "rebind": {"type": "list", "elements": "str", "default": []},
        "force_conflicts": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wanted = family(params["volumes"], params["state"])
    wish = Wish(params["state"], wanted.volumes, tuple(params["rebind"]), wanted.warnings)
    with connect(params, task.warn) as cluster:
        operation = PersistentVolumes(
            cluster, wish, force=params["force_conflicts"], wait_timeout=params["wait_timeout"]
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
