#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_backup_fetch
short_description: Copy backups of a MongoDB replica set from their claim, or from S3, to this host
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Brings the backups that the cluster makes by itself, on a claim or in a bucket of S3 (O(s3)), to a folder of the
    host where the task runs. Those that are there already are left alone. From there
    M(stateful.kube.mongodb_restore) restores them.
  - For a claim a pod of the namespace hands out the files on its own loopback, for as long as that takes; it mounts the
    claim read-only. The files come through a tunnel of the Kubernetes API.
  - Every file is compared with its size and hash. A backup that is complete here has its right name; what a run that
    was killed left behind is removed by the next one.
  - The account needs the rights to get cronjobs and persistentvolumeclaims, to create, list and delete jobs and pods,
    and to get and create C(pods/portforward).
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._s3
options:
  name:
    description: Name of the replica set's StatefulSet.
    type: str
    required: true
  namespace:
    description: Its namespace. The default is the namespace of the context.
    type: str
  dest:
    description: The folder to copy to, as an absolute path. It is made where it does not exist.
    type: path
    required: true
  claim:
    description: The claim that the backups are on. The default is that of the CronJob C(NAME-backup).
    type: str
  image:
    description: An image with C(python3) for the pod. The default is that of the CronJob C(NAME-backup).
    type: str
  wait_timeout:
    description: Seconds to wait for the pod. The copying itself may take as long as it takes.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_restore
"""

EXAMPLES = r"""
- name: Bring the backups here
  stateful.kube.mongodb_backup_fetch:
    name: shop
    namespace: shop
    dest: /var/backups/shop

- name: Bring them from a bucket
  stateful.kube.mongodb_backup_fetch:
    name: shop
    namespace: shop
    dest: /var/backups/shop
    s3:
      endpoint: https://minio.example.com:9000
      bucket: backups
      secret: backups-s3
"""

RETURN = r"""
plan:
  description:
    - The steps that were, or in check mode would be, taken, in order. Check mode starts no pod, so it does not know
      what is on the claim.
  returned: always
  type: list
  elements: dict
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: What there is at the end.
  returned: always
  type: dict
  contains:
    path:
      description: The folder that the backups are in.
      type: str
      returned: always
    backups:
      description: All complete backups of this name in the folder, as M(stateful.kube.mongodb_backup) returns them.
      type: list
      elements: dict
      returned: always
refusal:
  description: Why the operation does not go on, as C(reason), C(evidence) and C(choices).
  returned: when the operation refuses
  type: dict
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._bucket import place_of
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import absolute, s3_argument
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._fetch import (
    Fetch,
    FetchFromPlace,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import LAYOUT
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(300),
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "dest": {"type": "path", "required": True},
        "claim": {"type": "str"},
        "image": {"type": "str"},
        "s3": s3_argument(),
    },
    "mutually_exclusive": [("s3", "claim"), ("s3", "image")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    dest = absolute(params["dest"])
    with connect(params, task.warn) as cluster:
        wish = Wish(
            name=params["name"],
            namespace=params["namespace"] or cluster.namespace,
            dest=dest,
            claim=params["claim"] or "",
            image=params["image"] or "",
        )
        if params["s3"]:
            place = place_of(params, "", cluster, wish.namespace, wish.namespace, wish.name, LAYOUT)
            return carry_out(FetchFromPlace(place, wish, task, params["wait_timeout"]), task)
        return carry_out(Fetch(cluster, wish, task, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
