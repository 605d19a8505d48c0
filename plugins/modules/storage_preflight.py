#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_preflight
short_description: Try storage out before a database lands on it
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Looks at a StorageClass, then has short-lived pods try out a volume of it (by a throw-away claim), or the volume
    of a claim that exists. The result is a table of what was seen, and a verdict for each kind of database.
  - Class first, without any pod, whether it exists, whether there is no or more than one default class, whether its
    driver is installed, and what it says of growth, binding and deletion.
  - Then on the volume, as the user of the database, writing, owner of new files (C(all_squash)), the cost of fsync,
    replacing, linking and exclusive creation of files, and free space. With a second pod, on another node where the
    volume can be there, whether both see the same files and whether a lock of one is seen by the other. With a pod
    that runs as root, where admission allows one, chown and C(root_squash).
  - What the image has no tool for is reported as not proven, and never as passed.
  - Nothing is left behind. Pods, claim and volume are removed also when the task fails. What a run that was killed
    leaves ends by itself after a while, and the next run in that namespace removes it at once.
  - A volume that is fit today can still be slow, full or gone tomorrow, and a server that answers an fsync before the
    data is safe cannot be found out.
  - The account needs to create, get, list and delete jobs, pods and claims, to create C(pods/exec), and the right to
    Leases in O(namespace). It should be able to list storageclasses and csidrivers and to get persistentvolumes. What
    it may not read is reported as not proven.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
attributes:
  diff_mode:
    support: none
    description: What is made is gone again when the task ends.
  idempotent:
    support: full
    details:
      - What is made is gone at the end, so the task reports no change, unless it made the namespace.
options:
  namespace:
    description: Namespace of the pods and of the claim. The default is the namespace of the context.
    type: str
  create_namespace:
    description: Make the namespace where it does not exist. It stays, and the task reports a change.
    type: bool
    default: false
  claim:
    description:
      - An existing claim to try out, in place of a throw-away one. All work is done in a folder of its own, which is
        removed again. A claim that waits for its first pod gets its volume by this.
      - It must be empty unless O(allow_data) is set.
    type: str
  allow_data:
    description: Work on O(claim) also where it holds files already. They are not touched.
    type: bool
    default: false
  storage_class:
    description:
      - The class that the throw-away claim is to have. Empty or left out, it is the default class of the cluster.
    type: str
  access_modes:
    description: Access modes of the throw-away claim.
    type: list
    elements: str
    choices: [ReadWriteOnce, ReadWriteMany, ReadWriteOncePod]
    default: [ReadWriteOnce]
  size:
    description:
      - Size of the throw-away claim, and the space that each claim of the application will need.
      - For O(claim) it is the size that the claim asks for.
    type: str
    default: 1Gi
  count:
    description:
      - Number of such claims that the application will have. They all need their space where volumes share one file
        system, such as folders of an NFS server.
    type: int
    default: 1
  run_as_user:
    description:
      - Number of the user that the database runs as. V(999) is that of the official images of MongoDB, MySQL,
        MariaDB, PostgreSQL, Cassandra and RabbitMQ. Empty leaves it to the platform, as OpenShift wants it.
    type: str
    default: "999"
  fs_group:
    description: The C(fsGroup) of its pods. Empty for none.
    type: str
    default: ""
  image:
    description:
      - The image of the pods. Any image with C(sh) will do. With perl or python3 in it, fcntl locks are tried too, with
        python3 mmap, and with the dd of coreutils or of the busybox image fsync is timed.
      - The image of the database itself is a good choice, because it is needed anyway.
    type: str
    default: docker.io/library/debian:12-slim
  image_pull_policy:
    description: When the image is pulled.
    type: str
    choices: [Always, IfNotPresent, Never]
    default: IfNotPresent
  image_pull_secrets:
    description: Names of Secrets with the credentials of the registry.
    type: list
    elements: str
    default: []
  node_selector:
    description: Labels of the nodes on which the database will run.
    type: dict
    default: {}
  tolerations:
    description: Tolerations of the database's pods.
    type: list
    elements: dict
    default: []
  fsyncs:
    description: Number of writes of 4 KiB that are timed, each with its fsync, 1 to 1000.
    type: int
    default: 50
  max_fsync_ms:
    description:
      - A median in milliseconds above which the storage counts as unfit for everything. Without it a slow fsync
        earns a remark, by a rule of thumb for each kind.
    type: float
  require:
    description: Kinds of application that the storage must be fit for, or the task fails. Otherwise it only reports.
    type: list
    elements: str
    choices: [mongodb, mysql, postgresql, cassandra, rabbitmq, minio, files]
    default: []
  only_nfs:
    description:
      - Do nothing unless the provisioner of the class is known for volumes on NFS, by its name.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that the wait for each pod, for the Lease and for the removal may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: Is the class fit for MongoDB?
  stateful.kube.storage_preflight:
    namespace: shop
    storage_class: nfs-client
    size: 50Gi
    count: 3
    fs_group: "999"
    require: [mongodb]

- name: Look at the default class, and show what was seen
  stateful.kube.storage_preflight:
    namespace: shop
  register: storage

- name: Show the table
  ansible.builtin.debug:
    var: storage.lines

- name: Try a claim that was bound to a volume made by hand, on which commits must take less than 5 ms
  stateful.kube.storage_preflight:
    namespace: shop
    claim: data-shop-0
    image: docker.io/library/mongo:6.0.5
    max_fsync_ms: 5
    require: [mongodb]
"""

RETURN = r"""
plan:
  description: What is done, or would be done in check mode.
  returned: always
  type: list
  elements: dict
findings:
  description:
    - What was seen, one entry a check, with C(check), C(result) (C(passed), C(noted), C(not proven) or C(failed)),
      C(detail) and C(figures).
  returned: always
  type: list
  elements: dict
  sample:
    - check: fsync
      result: passed
      detail: median 0.52 ms, worst 2.1 ms of 50 writes of 4 KiB
      figures: {"writes": 50, "median_ms": 0.52, "worst_ms": 2.1}
verdicts:
  description:
    - For each kind of application C(verdict) (V(fit), V(fit with remarks) or V(unfit)), C(reasons), and C(sources),
      where it is written what it needs. Empty where nothing was tried.
  returned: always
  type: dict
  sample: {"mongodb": {"verdict": "fit", "reasons": [], "sources": []}}
lines:
  description: The same as a table to read.
  returned: always
  type: list
  elements: str
skipped_because:
  description: Why nothing was done.
  returned: with O(only_nfs), where the class is not one of NFS
  type: str
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_needs import KINDS
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_run import preflight
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_wish import MODES, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(120),
        "namespace": {"type": "str"},
        "create_namespace": {"type": "bool", "default": False},
        "claim": {"type": "str"},
        "allow_data": {"type": "bool", "default": False},
        "storage_class": {"type": "str"},
        "access_modes": {"type": "list", "elements": "str", "choices": list(MODES), "default": [MODES[0]]},
        "size": {"type": "str", "default": "1Gi"},
        "count": {"type": "int", "default": 1},
        "run_as_user": {"type": "str", "default": "999"},
        "fs_group": {"type": "str", "default": ""},
        "image": {"type": "str", "default": "docker.io/library/debian:12-slim"},
        "image_pull_policy": {
            "type": "str",
            "choices": ["Always", "IfNotPresent", "Never"],
            "default": "IfNotPresent",
        },
        "image_pull_secrets": {"type": "list", "elements": "str", "default": [], "no_log": False},
        "node_selector": {"type": "dict", "default": {}},
        "tolerations": {"type": "list", "elements": "dict", "default": []},
        "fsyncs": {"type": "int", "default": 50},
        "max_fsync_ms": {"type": "float"},
        "require": {"type": "list", "elements": "str", "choices": list(KINDS), "default": []},
        "only_nfs": {"type": "bool", "default": False},
    },
    "mutually_exclusive": [("claim", "storage_class")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    with connect(task.params, task.warn) as cluster:
        return preflight(cluster, task, wish_of(task.params, task.params["namespace"] or cluster.namespace))


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
