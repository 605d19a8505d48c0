#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_snapshot
short_description: Back up a MongoDB replica set by a snapshot of one member's volume
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Has the driver of a member's volume take a snapshot (C(VolumeSnapshot) of C(snapshot.storage.k8s.io/v1)) and waits
    until it is ready. It takes a storage class whose driver offers snapshots, and the snapshot controller.
  - The volume of a secondary that has caught up is taken, of a hidden one before others, and that of the primary only
    where no other member holds data.
  - The member is not locked (C(fsyncLock)), so no run that is killed can leave one locked. A snapshot holds the volume
    as it was at one moment, as after a power failure, and mongod recovers from that by its journal. This takes data and
    journal on one volume, so a member with several claims is refused.
  - What is in it is noted on the VolumeSnapshot, as C(stateful.kube/mongodb-snapshot).
  - A snapshot mostly lives where its volume lives, and goes with it. It replaces no backup in another place.
  - Where the snapshot does not become ready in time, it is deleted again. One that a run which was killed has begun
    becomes ready by itself, and counts. Where it has an error and is older than a day, it is deleted once another one
    is ready.
  - The newest one is noted on the StatefulSet, where M(stateful.kube.mongodb_replica_set_info) finds it.
  - The account needs the rights to get and patch the StatefulSet, to get the Secret, to list pods and
    persistentvolumeclaims, to get and create C(pods/portforward), and to list, create, patch and delete
    C(volumesnapshots). Without the right to list C(volumesnapshotclasses) O(snapshot_class) has to be given.
  - Every run takes a snapshot, so a task always reports a change.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
attributes:
  idempotent:
    support: none
    details: Every run takes a snapshot.
options:
  snapshot_class:
    description:
      - The C(VolumeSnapshotClass). By default the one of the volume's driver that is marked as the default, or the only
        one of that driver.
    type: str
    default: ""
  keep:
    description:
      - How many snapshots of this replica set to keep, the new one included. Older ones are deleted after the new one
        is ready, and with O(verify) proven. Those that turned out to be wrong do not count.
      - V(0) keeps all.
    type: int
    default: 0
  read_from:
    description: Name of the pod whose volume to take.
    type: str
    default: ""
  verify:
    description:
      - Whether to prove the snapshot before older ones are deleted. A volume is made of it, a mongod of its own starts
        on that, applies the oplog in it and validates every collection. It has to be of this very set, and to reach as
        far as the member had written before. Volume and pod live as long as that takes.
      - The account needs the rights to get persistentvolumeclaims, and to create and delete jobs, pods and
        persistentvolumeclaims for it.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for a member that can be taken, and for the snapshot to be ready.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_backup
"""

EXAMPLES = r"""
- name: A snapshot that is proven, the last three of which are kept
  stateful.kube.mongodb_snapshot:
    name: shop
    namespace: shop
    keep: 3
    verify: true
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken, in order.
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
    snapshot:
      description: The one that was taken, as in C(snapshots); null in check mode.
      type: dict
      returned: always
    verification:
      description:
        - With O(verify), how many C(collections) were validated, and C(reaches), the last position in the oplog.
          Otherwise null.
      type: dict
      returned: always
    snapshots:
      description:
        - All VolumeSnapshots of this set, the newest last, with C(snapshot) (the name), C(ready), C(error), C(size),
          C(set_id), C(replica_set), C(member), C(claim), C(taken), C(until) (C(position), C(time) and C(term) of what
          the member had in its journal before), C(database_version), C(feature_compatibility_version) and C(verified).
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
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot import Snapshots
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "snapshot_class": {"type": "str", "default": ""},
        "keep": {"type": "int", "default": 0},
        "read_from": {"type": "str", "default": ""},
        "verify": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    if params["keep"] < 0:
        raise Failure(f"keep: expected a number of snapshots, or 0 to keep all, found {params['keep']}.")
    wish = Wish(params["snapshot_class"], params["keep"], params["read_from"], params["verify"])
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        with Observer(cluster, target) as observer:
            operation = Snapshots(observer, wish, task, params["wait_timeout"])
            result = carry_out(operation, task)
            operation.record()
            return result


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
