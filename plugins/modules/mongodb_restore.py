#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_restore
short_description: Restore a MongoDB replica set from a backup, also to a point in time
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Brings what M(stateful.kube.mongodb_backup) has saved into a replica set that is there. The set may be the one that
    was saved, or another one, with any number of members.
  - Before anything is touched, every file of the backup is compared with its SHA-256.
  - From a bucket (O(s3)) it is read as it is restored, and needs no room on this host. Each file is read twice, once to
    compare it; a connection that breaks off is taken up again where it was.
  - A set that holds data is refused, unless its name is typed again (O(overwrite_data_of)). Then all its databases are
    replaced, also those that the backup does not have.
  - Collections come with their options, and at the end with their indexes and views. The oplog of the backup is
    replayed, up to its end or up to O(until). Users and roles are added where O(users) says so; users who are there
    already keep their passwords, so the root user of the set stays who he is.
  - As long as a restore is not complete, the set holds a database C(stateful_kube_restore) that says so. A run that was
    killed is continued by the same command - collections that were complete are not loaded again - or begins anew where
    the oplog was being replayed. The name need not be typed again for that.
  - Writes of others during a restore are not kept from it. Stop the applications that use the set.
  - The account needs the rights to get the StatefulSet and the Secret, to list pods and persistentvolumeclaims, to get
    and create C(pods/portforward), and to get, create, update and delete leases. The root user is logged in as.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
  - stateful.kube._s3
attributes:
  idempotent:
    support: none
    details: A restore that is asked for is done. Without O(overwrite_data_of) the second run is refused.
options:
  src:
    description:
      - The folder that the backups are in, O(stateful.kube.mongodb_backup#module:dest) of the backup. Either this or
        O(s3) is required.
    type: path
  backup:
    description:
      - Name of the full backup, as its folder is called, or V(latest), the newest one, with O(until) the newest one
        before that time.
    type: str
    default: latest
  backup_of:
    description: Name of the set that was backed up, where it is another one than O(name).
    type: str
  backup_of_namespace:
    description: Namespace of the set that was backed up, where it is another one than O(namespace).
    type: str
  until:
    description:
      - Restore what was before this time, given in UTC as C(2026-03-01T14:05:00Z), or before this position in the
        oplog, given as C(SECONDS:ORDINAL). It has to be after the end of the full backup's reading and no later than
        the last slice (C(restorable_from) and C(restorable_until) in the result of M(stateful.kube.mongodb_backup)).
      - V(latest) replays all slices there are. By default the backup is restored as it is, without later slices.
    type: str
  users:
    description: Whether to add the users and roles of the backup.
    type: bool
    default: false
  overwrite_data_of:
    description: The name of the set, typed again, to lose the data that it holds.
    type: str
  wait_timeout:
    description: Seconds that the wait for a primary may take. The restore itself may take as long as it takes.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_backup
"""

EXAMPLES = r"""
- name: The newest backup, into the empty set of the same name
  stateful.kube.mongodb_restore:
    name: shop
    namespace: shop
    src: /var/backups/shop
    users: true

- name: The state at five past two, into another set, to look something up
  stateful.kube.mongodb_restore:
    name: shop-then
    namespace: shop
    backup_of: shop
    src: /var/backups/shop
    until: "2026-03-01T14:05:00Z"

- name: Show what would be done, and check every file of the backup
  stateful.kube.mongodb_restore:
    name: shop
    namespace: shop
    src: /var/backups/shop
    overwrite_data_of: shop
  check_mode: true
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
  description: What was restored.
  returned: always
  type: dict
  contains:
    backup:
      description: The full backup, with the fields that M(stateful.kube.mongodb_backup) returns.
      type: dict
      returned: always
    slices:
      description: The oplog slices that were replayed after it, in order.
      type: list
      elements: dict
      returned: always
    until:
      description: The C(position) and C(time) up to which there is data, and whether it is C(excluded) itself.
      type: dict
      returned: always
    complete:
      description: Whether this run came to the end.
      type: bool
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
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import s3_argument
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._restore import Restore, source_of, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import require_driver
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "src": {"type": "path"},
        "s3": s3_argument(),
        "backup": {"type": "str", "default": "latest"},
        "backup_of": {"type": "str"},
        "backup_of_namespace": {"type": "str"},
        "until": {"type": "str"},
        "users": {"type": "bool", "default": False},
        "overwrite_data_of": {"type": "str"},
    },
    "required_one_of": [("src", "s3")],
    "mutually_exclusive": [("src", "s3")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    require_driver()
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        source = source_of(task.params, cluster, target.namespace, task)
        with Observer(cluster, target) as observer:
            wish = wish_of(task.params, source)
            return carry_out(Restore(observer, source, wish, task, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
