#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: persistent_volumes
short_description: Make families of PersistentVolumes by hand, and deal with those that were used
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
  - With O(look_inside) it is also reported what is inside such a volume, how much, how old, which engine left it
    there, and to what it belongs. O(expect) makes that a condition.
  - No folder is made, and no data is deleted but by O(wipe). A volume that a claim has is not removed.
  - The account needs the rights to list, patch, create and delete persistentvolumes, and to list nodes where volumes
    are tied to some (without it a wrong host name is not told). To look inside it also needs, in O(namespace), to
    create, get, list, watch and delete pods, jobs, persistentvolumeclaims and leases, to patch leases, and to create
    pods/exec.
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
  look_inside:
    description:
      - Look inside volumes that had a claim and have none now, and report what is there. Each is looked into by a pod
        that lives for some seconds, on a second PersistentVolume that mounts the same folder read-only. All this goes
        again.
      - Volumes of type nfs, hostPath and local with a folder are looked into. Of others it is said why not, because a
        second volume of a device could be attached twice.
      - Check mode makes no pod, so it does not look, and warns that it did not.
    type: bool
    default: false
  expect:
    description:
      - What volumes have to hold before they are rebound or wiped. They are looked into for that, and where one holds
        something else, or it cannot be told, the task is refused before anything is changed.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: Name of a volume in O(rebind) or O(wipe).
        type: str
        required: true
      engine:
        description: Which engine left its files there.
        type: str
        choices: [mongodb, mysql, mariadb, postgresql, cassandra, rabbitmq, minio, cockroachdb]
      replica_set:
        description: MongoDB, the name of the replica set.
        type: str
      replica_set_id:
        description: MongoDB, the id of the replica set (C(settings.replicaSetId)), 24 hexadecimal digits.
        type: str
      server_uuid:
        description: MySQL, the C(server_uuid).
        type: str
      cluster_id:
        description: MySQL and MariaDB with Galera, the id of the cluster (C(wsrep_cluster_state_uuid)).
        type: str
      system_identifier:
        description: PostgreSQL, the system identifier that a primary and its standbys share.
        type: str
      deployment_id:
        description: MinIO, the id of the deployment.
        type: str
      node_name:
        description: RabbitMQ, the name of the node, such as V(rabbit@shop-0).
        type: str
  wipe:
    description:
      - Volumes that are Released, are to be emptied, and then to be free for any claim. Everything in their folder is
        removed, but for C(lost+found).
      - It is refused for a volume that a claim has, that shares its folder with another volume, that nobody could look
        into, or that does not hold what O(expect) says. A run that was killed in the middle is continued by the same
        task.
    type: list
    elements: dict
    default: []
    suboptions:
      volume:
        description: Name of the volume.
        type: str
        required: true
      confirm:
        description: The same name again.
        type: str
        required: true
  namespace:
    description:
      - Where the pods run that look inside volumes, or empty one. They keep to the I(restricted) Pod Security Standard,
        as the user to whom the files belong. Only files of root need a namespace that lets a pod run as root.
    type: str
    default: default
  image:
    description: Image of these pods. It needs a shell, and the tools of Debian or of busybox.
    type: str
    default: docker.io/library/debian:12-slim
  image_pull_policy:
    description: When the image is pulled.
    type: str
    choices: [IfNotPresent, Always, Never]
    default: IfNotPresent
  image_pull_secrets:
    description: Names of Secrets in O(namespace) with credentials for the registry.
    type: list
    elements: str
    default: []
  tolerations:
    description: Taints that these pods tolerate, as the API has them, for disks of nodes that are kept for a database.
    type: list
    elements: dict
    default: []
  force_conflicts:
    description: Take fields over that another manager declares with another value.
    type: bool
    default: false
  wait_timeout:
    description:
      - Seconds to try again where somebody else changes a volume at the same time, to wait for a pod, and to let it
        count or remove files.
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

- name: See what volumes that were used hold
  stateful.kube.persistent_volumes:
    volumes:
      - name: nfs-pv{n:03}
        count: 2
        start: 1
        capacity: 1Gi
        storage_class_name: nfs
        source:
          nfs:
            server: nfs.example.com
            path: /nfs/data/pv{n:03}
    look_inside: true

- name: Give a volume to a new claim only if it is of this replica set
  stateful.kube.persistent_volumes:
    volumes: []
    rebind: [nfs-pv002]
    expect:
      - volume: nfs-pv002
        engine: mongodb
        replica_set: shop
        replica_set_id: 6b021cb61517b3dd1959bfa0

- name: Empty a volume that nobody needs any more
  stateful.kube.persistent_volumes:
    volumes: []
    wipe:
      - volume: nfs-pv002
        confirm: nfs-pv002
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
          same classes, and those of O(rebind) and O(wipe).
        - C(inside) is what is in the volume, or null where nobody was to look. It has C(engine) (as in
          O(expect[].engine), or V(empty), V(unknown) or V(several), or null where nobody could look), C(folder) (where
          in the volume), C(identity) (by the names of O(expect)), C(clean_shutdown) (null where the files do not tell),
          C(bytes) (sum of the sizes of all files), C(files), C(newest) (time of the last change of a file, in UTC),
          C(unread) (how many could not be read), C(names) (the first names in the volume) and C(problem).
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
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import TITLES
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_run import Inspector, Where
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import ACCESS_MODES, RWO
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_operation import PersistentVolumes
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_wish import pods_of, wish_of
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
        "look_inside": {"type": "bool", "default": False},
        "expect": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "volume": {"type": "str", "required": True},
                "engine": {"type": "str", "choices": list(TITLES)},
                "replica_set": {"type": "str"},
                "replica_set_id": {"type": "str"},
                "server_uuid": {"type": "str"},
                "cluster_id": {"type": "str"},
                "system_identifier": {"type": "str"},
                "deployment_id": {"type": "str"},
                "node_name": {"type": "str"},
            },
        },
        "wipe": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "volume": {"type": "str", "required": True},
                "confirm": {"type": "str", "required": True},
            },
        },
        "namespace": {"type": "str", "default": "default"},
        "image": {"type": "str", "default": "docker.io/library/debian:12-slim"},
        "image_pull_policy": {"type": "str", "choices": ["IfNotPresent", "Always", "Never"], "default": "IfNotPresent"},
        "image_pull_secrets": {"type": "list", "elements": "str", "default": []},
        "tolerations": {"type": "list", "elements": "dict", "default": []},
        "force_conflicts": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wish = wish_of(params)
    with connect(params, task.warn) as cluster:
        where = Where(params["namespace"], pods_of(params), params["wait_timeout"])
        operation = PersistentVolumes(
            cluster,
            wish,
            force=params["force_conflicts"],
            wait_timeout=params["wait_timeout"],
            inspector=None if task.check_mode else Inspector(cluster, task, where),
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
