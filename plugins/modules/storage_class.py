#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_class
short_description: Make, change or remove a StorageClass, and switch the default
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes a StorageClass from a preset or from its own fields, and checks beforehand what would otherwise be found out
    by the first claim that hangs. The CSI driver has to be there, and the storage has to be able to do what is asked.
  - Switches the default so that there is exactly one afterwards. The new class is marked first, and then the others
    lose their mark, the legacy beta annotation included. So there is never a moment without a default. Runs that
    switch it at the same time take turns by a Lease in the namespace C(default).
  - What a user left out stays as it is. With O(name) alone, the module changes nothing, and fails unless the class and
    its driver are there.
  - The account needs the rights to list storageclasses and csidrivers, and to patch, create and delete storageclasses.
    To switch the default, to make a class again, or to remove a default, it needs get, create, update and delete on
    leases in the namespace C(default). To make a class again or remove it, it needs to list persistentvolumeclaims and
    persistentvolumes in the whole cluster.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
attributes:
  idempotent:
    support: full
options:
  name:
    description: Name of the StorageClass.
    type: str
    required: true
  state:
    description:
      - V(present) makes the class or changes it.
      - V(absent) removes it. Volumes and claims stay with their data. It is refused while claims still wait for a
        volume of the class, unless O(allow_pending_claims) is set.
    type: str
    choices: [present, absent]
    default: present
  preset:
    description:
      - The kind of storage. It fills in the provisioner, the parameters that are needed, and a sensible binding mode
        and expansion, wherever these are not given. Each option that is given wins.
      - Without it, the preset that belongs to O(provisioner) is still used to check the options.
      - The guide C(docs/guides/storage-classes.md) has a table of them.
    type: str
    choices:
      - aws_ebs
      - aws_efs
      - gce_pd
      - azure_disk
      - azure_file
      - vsphere
      - cinder
      - ceph_rbd
      - ceph_fs
      - rook_ceph_block
      - rook_ceph_fs
      - nfs_csi
      - nfs_subdir
      - local
      - local_path
      - portworx
      - directpv
  provisioner:
    description:
      - Name of the provisioner, most often that of a CSI driver. A new class needs this or O(preset).
      - A name from the time when Kubernetes had the code built in, such as V(kubernetes.io/aws-ebs), is written as the
        CSI driver that took its place, and O(parameters) and zones with it. Where nothing took its place, the task
        fails and says what to use.
    type: str
  parameters:
    description:
      - Parameters for the provisioner, as texts. It cannot be changed once the class exists.
      - No password or key belongs here, because everybody who may list classes reads it.
    type: dict
  reclaim_policy:
    description:
      - What becomes of a volume when its claim is deleted. It cannot be changed once the class exists. The API server
        takes V(Delete) where nothing is said.
    type: str
    choices: [Delete, Retain]
  volume_binding_mode:
    description:
      - Whether a volume is made at once, or when the first pod that uses the claim is placed. It cannot be changed once
        the class exists. The API server takes V(Immediate) where nothing is said.
    type: str
    choices: [Immediate, WaitForFirstConsumer]
  allow_volume_expansion:
    description: Whether claims of the class may grow. It is refused for a storage that cannot.
    type: bool
  mount_options:
    description: Mount options for volumes of the class. They are not checked before a volume is mounted.
    type: list
    elements: str
  allowed_topologies:
    description:
      - Where volumes may be made, as the API has it. Each entry has C(matchLabelExpressions), with C(key) and
        C(values).
    type: list
    elements: dict
  labels:
    description: Labels of the class. Labels that others put there stay.
    type: dict
  annotations:
    description: Annotations of the class. Those that make a class the default are refused, in favour of O(default).
    type: dict
  default:
    description:
      - With V(true) this class becomes the default, and every other class loses that mark.
      - With V(false) this class loses the mark.
      - Where it is left out, nothing about the default changes.
    type: bool
  volume_mode:
    description:
      - The volume mode that claims of the class will have. It is no part of a class, and is checked against what the
        storage can do.
    type: str
    choices: [Filesystem, Block]
    default: Filesystem
  access_modes:
    description:
      - The access modes that claims of the class will have. They are no part of a class, and are checked against what
        the storage can do.
    type: list
    elements: str
    choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
  require_driver:
    description:
      - Fail where the CSI driver of the class is not registered in the cluster, and say what to install. Set it to
        V(false) where the driver comes later.
      - Provisioners that are no CSI drivers leave no trace in the cluster, and are not checked.
    type: bool
    default: true
  recreate:
    description:
      - Allow that the class is deleted and made again where a field changes that cannot be changed in place. Volumes
        and claims that exist stay as they are. Labels and annotations of others are put on the new class.
    type: bool
    default: false
  allow_pending_claims:
    description: Remove the class although claims still wait for a volume of it.
    type: bool
    default: false
  force_conflicts:
    description: Take fields over that another manager declares with another value.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for another run that switches the default.
    type: int
    default: 120
seealso:
  - module: stateful.kube.persistent_volumes
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: The default is gp3 disks of AWS, made in the zone of the first pod
  stateful.kube.storage_class:
    name: fast
    preset: aws_ebs
    parameters:
      type: gp3
      encrypted: true
    default: true

- name: A class for local disks, whose volumes are made by hand
  stateful.kube.storage_class:
    name: local-storage
    preset: local

- name: Shared folders on an NFS server
  stateful.kube.storage_class:
    name: shared
    preset: nfs_csi
    parameters:
      server: nfs.example.com
      share: /exports
    reclaim_policy: Retain
    mount_options:
      - nfsvers=4.1
      - hard
    access_modes:
      - ReadWriteMany

- name: A class that exists becomes the one default
  stateful.kube.storage_class:
    name: standard
    default: true

- name: Fail unless the class and its driver are there
  stateful.kube.storage_class:
    name: fast

- name: Make the class again with another type of disk
  stateful.kube.storage_class:
    name: fast
    preset: aws_ebs
    parameters:
      type: io2
      iops: 4000
    default: true
    recreate: true

- name: Remove a class
  stateful.kube.storage_class:
    name: old
    state: absent
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: mark
      target: StorageClass fast
      step: make StorageClass fast the default
    - action: unmark
      target: StorageClass standard
      step: take the mark of the default off StorageClass standard
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The class at the end.
  returned: always
  type: dict
  contains:
    storage_class:
      description: The class as the API has it, without what the server manages, or null.
      type: dict
      returned: always
    default:
      description: Whether it is a default class.
      type: bool
      returned: always
    default_classes:
      description: The names of all default classes.
      type: list
      elements: str
      returned: always
    claims:
      description: Claims of the class, where the task had to know them, with C(namespace), C(name) and C(phase).
      type: list
      elements: dict
      returned: always
    volumes:
      description: Names of the volumes of the class, where the task had to know them.
      type: list
      elements: str
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
from ansible_collections.stateful.kube.plugins.module_utils._storage._class_operation import StorageClass
from ansible_collections.stateful.kube.plugins.module_utils._storage._class_options import asked
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import (
    ACCESS_MODES,
    IMMEDIATE,
    LATE,
    PRESETS,
)
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(120),
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "preset": {"type": "str", "choices": [preset.name for preset in PRESETS]},
        "provisioner": {"type": "str"},
        "parameters": {"type": "dict"},
        "reclaim_policy": {"type": "str", "choices": ["Delete", "Retain"]},
        "volume_binding_mode": {"type": "str", "choices": [IMMEDIATE, LATE]},
        "allow_volume_expansion": {"type": "bool"},
        "mount_options": {"type": "list", "elements": "str"},
        "allowed_topologies": {"type": "list", "elements": "dict"},
        "labels": {"type": "dict"},
        "annotations": {"type": "dict"},
        "default": {"type": "bool"},
        "volume_mode": {"type": "str", "choices": ["Filesystem", "Block"], "default": "Filesystem"},
        "access_modes": {"type": "list", "elements": "str", "choices": list(ACCESS_MODES)},
        "require_driver": {"type": "bool", "default": True},
        "recreate": {"type": "bool", "default": False},
        "allow_pending_claims": {"type": "bool", "default": False},
        "force_conflicts": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wanted = asked(params)
    with connect(params, task.warn) as cluster:
        operation = StorageClass(
            cluster,
            wanted,
            require_driver=params["require_driver"],
            force=params["force_conflicts"],
            wait_timeout=params["wait_timeout"],
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
