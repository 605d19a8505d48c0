#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_backup
short_description: Back up a MongoDB replica set, consistent with the oplog
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Copies all databases of a replica set into a folder of the host where the task runs, or into a bucket of S3, through
    the Kubernetes API alone. Nothing runs in the cluster for it, and no database tools are needed.
  - The set may be written to meanwhile. The oplog is copied along from the moment at which the dump begins, and what is
    restored is the set as it was at the end of that slice. Collections may be created, renamed and dropped, indexes
    built and transactions committed meanwhile. Everything is read with read concern V(majority), so that nothing of a
    backup can have been rolled back.
  - It is read from a secondary that has caught up, a hidden one before others. Where that member goes away, the
    collection that was being read is begun anew from another one.
  - The layout is that of C(mongodump --oplog), with a file C(manifest.json) besides, which holds the positions, counts
    and the SHA-256 of each file, and is written last. A folder without it is no backup; what a run that was killed left
    behind is removed by the next one.
  - Folders are made with mode 0700 and files with 0600. They hold everything that the set holds, hashes of passwords
    included, and are not encrypted.
  - Sharded clusters are not supported.
  - The newest backup is noted on the StatefulSet, where M(stateful.kube.mongodb_replica_set_info) finds it. Without the
    right to patch it, it is not, and a warning says so.
  - The account needs the rights to get the StatefulSet and the Secret, to list pods and persistentvolumeclaims, and to
    get and create C(pods/portforward).
  - Every run makes a backup, so a task with O(mode=full) always reports a change.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
  - stateful.kube._s3
attributes:
  idempotent:
    support: none
    details: Every run makes a backup.
options:
  dest:
    description:
      - The folder that backups are kept in. It is made where it does not exist. Each backup is a folder in it, called
        after the set and the time in UTC.
      - Several sets may share one folder. Whatever else is in it is left alone.
      - Either this or O(s3) is required, without O(in_cluster).
    type: path
  in_cluster:
    description:
      - Let the cluster make the backup, now, as the CronJob C(NAME-backup) of the role does when it is due, or with
        O(mode=oplog) C(NAME-backup-oplog). It goes where these write, and they decide how many are kept.
      - A Job is made from the CronJob and followed until it has ended. One that is backing up already is followed
        instead, also one that a run which was killed has started.
      - The account needs the rights to get the CronJob, to list pods, to get, list and create jobs, and to get
        C(pods/log).
      - Neither O(dest) nor O(s3), nor any other option that says what is backed up or how.
    type: bool
    default: false
  mode:
    description:
      - V(full) dumps everything.
      - V(oplog) copies the oplog since the last backup and no more. With such slices, taken often, the set can be
        restored to any time in between. A run after which nothing is new leaves no slice and reports no change.
    type: str
    choices: [full, oplog]
    default: full
  keep:
    description:
      - How many complete full backups of this replica set to keep, the new one included. Older ones are removed after
        the new one is complete, with the slices that no other one needs.
      - V(0) keeps all.
    type: int
    default: 0
  read_from:
    description:
      - Name of the pod to read from. By default the module chooses a secondary that is at most 10 seconds behind and
        not delayed, and reads from the primary only where no other member holds data.
    type: str
  gzip:
    description: Whether to compress the files, as C(mongodump --gzip) does.
    type: bool
    default: true
  verify:
    description:
      - Whether to prove the backup before older ones are removed. It is restored into a mongod of its own, in a pod of
        the set's namespace that lives as long as that takes, and every collection is compared by number and hash of its
        documents. What was not written to during the dump is compared with what was read. The rest is read once more
        from the set, as of the end of the backup, which the server remembers for five minutes
        (C(minSnapshotHistoryWindowInSeconds)); what takes longer is named in C(state.verification.not_compared).
      - The pod has an emptyDir, and asks for twice the size of the data on its node's disk. The account needs the
        rights to create and delete jobs and pods for it.
      - Not with O(mode=oplog).
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for a member that can be read from. The reading itself may take as long as it takes.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_restore
"""

EXAMPLES = r"""
- name: A full backup every night, the last seven of which are kept
  stateful.kube.mongodb_backup:
    name: shop
    namespace: shop
    dest: /var/backups/shop
    keep: 7

- name: Every five minutes what happened since, so that any time can be restored
  stateful.kube.mongodb_backup:
    name: shop
    namespace: shop
    dest: /var/backups/shop
    mode: oplog

- name: The same into a bucket
  stateful.kube.mongodb_backup:
    name: shop
    namespace: shop
    mode: oplog
    s3:
      endpoint: https://minio.example.com:9000
      bucket: backups
      secret: backups-s3

- name: Back up now, in the cluster
  stateful.kube.mongodb_backup:
    name: shop
    namespace: shop
    in_cluster: true
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
    path:
      description: The folder that the backups are in, or the bucket.
      type: str
      returned: always
    backup:
      description: The backup that was made, as in C(backups); null in check mode, and where nothing was new.
      type: dict
      returned: always
    verification:
      description:
        - With O(verify), how many C(collections) and C(documents) were compared, and those C(not_compared), each with
          C(why). Otherwise null.
      type: dict
      returned: always
    backups:
      description:
        - All complete backups of this name in the folder, the newest last, with C(backup) (the name of its folder),
          C(kind), C(set_id), C(started), C(ended), C(restorable_from) and C(restorable_until) (each with C(position),
          C(time) and C(term)), C(collections), C(documents), C(oplog_entries), C(bytes) and C(verified).
      type: list
      elements: dict
      returned: always
    job:
      description: With O(in_cluster), the Job that was followed.
      type: str
      returned: with O(in_cluster)
    said:
      description: With O(in_cluster), the last lines of its log.
      type: list
      elements: str
      returned: with O(in_cluster)
refusal:
  description: Why the operation does not go on, as C(reason), C(evidence) and C(choices).
  returned: when the operation refuses
  type: dict
"""

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._bucket import place_of
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import s3_argument
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import LAYOUT
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._job import InCluster
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._job import wish_of as job_wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._operate import Backup
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "dest": {"type": "path"},
        "s3": s3_argument(),
        "in_cluster": {"type": "bool", "default": False},
        "mode": {"type": "str", "choices": ["full", "oplog"], "default": "full"},
        "keep": {"type": "int", "default": 0},
        "read_from": {"type": "str"},
        "gzip": {"type": "bool", "default": True},
        "verify": {"type": "bool", "default": False},
    },
    "required_if": [("in_cluster", False, ("dest", "s3"), True)],
    "mutually_exclusive": [("dest", "s3")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    if task.params["in_cluster"]:
        return run_in_cluster(task)
    wish = wish_of(task.params)
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        place = place_of(task.params, "dest", cluster, target.namespace, target.namespace, target.name, LAYOUT)
        with Observer(cluster, target) as observer:
            return carry_out(Backup(observer, place, wish, task, task.params["wait_timeout"]), task)


def run_in_cluster(task: Task) -> dict[str, t.Any]:
    wish = job_wish_of(task.params)
    with connect(task.params, task.warn) as cluster:
        wish = dataclasses.replace(wish, namespace=wish.namespace or cluster.namespace)
        return carry_out(InCluster(cluster, wish, task, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
