#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_restore
short_description: Restore MySQL or MariaDB from a backup, also to a point in time
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Brings what M(stateful.kube.mysql_backup) has saved into an application that is there. It may be the one that was
    saved, or another one, with any number of members. The primary is written to, and replicas follow.
  - Before anything is touched, every file of the backup is compared with its SHA-256, and a backup of the other product
    (MySQL, MariaDB), or of a newer version than the servers have, is refused.
  - An application that holds databases is refused, unless its name is typed again (O(overwrite_data_of)). Then all its
    databases are replaced, also those that the backup does not have. Its accounts stay.
  - With O(until) the binary logs that continue the backup are applied, up to that time. Statements about accounts in
    them are left out. What is restored gets new GTIDs.
  - Where no binary log was applied, the number of rows of every table is compared with that of the backup at the end.
  - As long as a restore is not complete, an annotation of the ConfigMap C(NAME-record) says so, and backups are
    refused. A run that was killed is begun anew by the same command. The name need not be typed again for that.
  - Of a backup with O(stateful.kube.mysql_backup#module:method=physical) the files are unpacked beside the data of the
    primary, on the same volume, which needs the room, and a server is started on them there. Only when that has gone
    well does the pod of the primary start anew with them, and every other member takes a copy of it in place of its
    data. Accounts are those of the backup, but those of root and of the role have the passwords of this application's
    Secrets. Servers of the same series are required. The data of before is removed at the very end.
  - A restore of files that was killed goes on where it was, with the same command; where it was killed while binary
    logs were applied, it begins anew. Until it has come to its end, nobody else is made primary.
  - Meanwhile C(event_scheduler) is off on the primary. Writes of others are not kept from it. Stop the applications
    that use the databases.
  - The account needs the rights to get the StatefulSet, the Secret and the Service, to get and patch the ConfigMap
    C(NAME-record), to list pods and persistentvolumeclaims, to get pods, to get and create C(pods/portforward) and
    C(pods/exec), and to get, create, update and delete leases; of files
    besides what M(stateful.kube.mysql_replication) needs to replace pods.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
  - stateful.kube._s3
attributes:
  idempotent:
    support: none
    details: A restore that is asked for is done. Without O(overwrite_data_of) the second run is refused.
options:
  src:
    description:
      - The folder that the backups are in, O(stateful.kube.mysql_backup#module:dest) of the backup. Either this or
        O(s3) is required.
    type: path
  backup:
    description:
      - Name of the full backup, as its folder is called, or V(latest), the newest one, with O(until) the newest one
        before that time.
    type: str
    default: latest
  backup_of:
    description: Name of the application that was backed up, where it is another one than O(name).
    type: str
  backup_of_namespace:
    description: Namespace of the application that was backed up, where it is another one than O(namespace).
    type: str
  until:
    description:
      - Restore what was committed before this time, given in UTC as C(2026-03-01T14:05:00Z). There has to be a full
        backup that ended before, and binary logs up to that time (C(until) in the result of
        M(stateful.kube.mysql_backup)).
      - V(latest) applies all binary logs there are. By default the backup is restored as it is.
    type: str
  users:
    description:
      - Whether to add the accounts of the full backup, with their passwords, roles and what they may do. Accounts that
        are there already keep their passwords, and may do more where the backup says so.
      - A backup with O(stateful.kube.mysql_backup#module:method=physical) brings all of its accounts in any case.
    type: bool
    default: false
  overwrite_data_of:
    description: The name of the application, typed again, to lose the databases that it holds.
    type: str
  wait_timeout:
    description: Seconds that the wait for a primary may take. The restore itself may take as long as it takes.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mysql_backup
"""

EXAMPLES = r"""
- name: The newest backup, into the empty application of the same name
  stateful.kube.mysql_restore:
    name: shop
    namespace: shop
    src: /var/backups/shop
    users: true

- name: The state at five past two, into another application, to look something up
  stateful.kube.mysql_restore:
    name: shop-then
    namespace: shop
    backup_of: shop
    src: /var/backups/shop
    until: "2026-03-01T14:05:00Z"

- name: Show what would be done, and check every file of the backup
  stateful.kube.mysql_restore:
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
      description: The full backup, with the fields that M(stateful.kube.mysql_backup) returns.
      type: dict
      returned: always
    slices:
      description: The backups of binary logs that were applied after it, in order.
      type: list
      elements: dict
      returned: always
    until:
      description: The time up to which there is data.
      type: str
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import PHYSICAL
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._restore import Restore, source_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._swap import FilesRestore
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import require_driver
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
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
            restore = FilesRestore if source.wish.base.method == PHYSICAL else Restore
            return carry_out(restore(observer, source, task, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
