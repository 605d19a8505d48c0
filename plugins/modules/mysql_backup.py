#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_backup
short_description: Back up MySQL or MariaDB
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Dumps all databases and accounts into a folder of the host where the task runs, or into a bucket of S3, through the
    Kubernetes API alone. C(mysqldump) or C(mariadb-dump) runs in the pod, from the image of the server, and what it
    writes is compressed there.
  - The dump is of one moment (C(--single-transaction)), with routines, events and triggers, and with the place in the
    history of transactions (GTIDs). Tables without transactions, such as those of MyISAM, are not held still, and a
    warning names them. Statements that change definitions (C(ALTER TABLE) and others) should wait until it is over;
    mostly the dump breaks off where they do not, and nothing of it counts.
  - A replica that is close behind is read, and the primary only where there is no replica. MySQL keeps others from
    writing to that server for the moment in which the dump begins.
  - Accounts are those of the user - neither root, nor those of the server or of the role. They are saved with what they
    may do, and with the hashes of their passwords.
  - A dump counts where the program ended well, wrote its last line, and what came is whole. What a run that was killed
    left never counts, and is removed by the next one.
  - Folders are made with mode 0700 and files with 0600. They hold all that the databases hold, and are not encrypted.
  - The account needs the rights to get the StatefulSet, the Secret, the Service and the ConfigMap C(NAME-record), to
    list pods and persistentvolumeclaims, to get pods, and to get and create C(pods/portforward) and C(pods/exec).
  - Every run makes a backup, so a task with O(mode=full) always reports a change.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
  - stateful.kube._s3
attributes:
  idempotent:
    support: none
    details: Every run makes a backup.
options:
  dest:
    description:
      - The folder that backups are kept in. It is made where it does not exist. Each backup is a folder in it, called
        after the application and the time in UTC.
      - Several applications may share one folder. Whatever else is in it is left alone.
      - Either this or O(s3) is required.
    type: path
  mode:
    description:
      - V(full) dumps everything.
      - V(binlog) copies what is new in the primary's binary log since the last backup. With such backups, taken often,
        any time in between can be restored. A run after which nothing is new leaves nothing and reports no change.
    type: str
    choices: [full, binlog]
    default: full
  method:
    description:
      - How a full backup is made. V(dump) is what C(mysqldump) or C(mariadb-dump) writes - every version reads it.
      - V(physical) is a copy of the server's files - faster to make and by far faster to restore where there is much
        data, and only for servers of the same series. C(mariadb-backup) makes it of MariaDB. Of MySQL the clone plugin
        does, into a folder of the server's volume first, which needs as much free room there as the data takes, and
        copies tables of InnoDB alone.
      - Backups of both kinds are kept, removed and continued by binary logs alike.
    type: str
    choices: [dump, physical]
    default: dump
  keep:
    description:
      - How many full backups of this very data to keep, the new one included. Older ones are removed after the new one
        is complete, with the binary logs that no other one needs. V(0) keeps all.
    type: int
    default: 0
  read_from:
    description:
      - Name of the pod to read. By default it is a replica that is at most 10 seconds behind.
      - Not with O(mode=binlog).
    type: str
  verify:
    description:
      - Whether to prove the backup before older ones are removed. It is restored into a server of its own, in a pod of
        the application's namespace that lives as long as that takes. That server is dumped in the same way, and every
        table and definition is compared. With O(method=physical) a server of its own is started on the files, and
        reads every table (C(CHECK TABLE)).
      - The pod has an emptyDir, and asks for three times the size of the dump on its node's disk. The account needs the
        rights to create and delete jobs and pods for it.
      - Not with O(mode=binlog).
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait for a server that can be read. The reading itself may take as long as it takes.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mysql_restore
"""

EXAMPLES = r"""
- name: A full backup every night, the last seven of which are kept
  stateful.kube.mysql_backup:
    name: shop
    namespace: shop
    dest: /var/backups/shop
    keep: 7
    verify: true

- name: Every five minutes what happened since, so that any time can be restored
  stateful.kube.mysql_backup:
    name: shop
    namespace: shop
    dest: /var/backups/shop
    mode: binlog

- name: Into a bucket
  stateful.kube.mysql_backup:
    name: shop
    namespace: shop
    s3:
      endpoint: https://minio.example.com:9000
      bucket: backups
      secret: backups-s3
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
    backups:
      description:
        - All complete backups of this name there, the newest last, with C(backup) (the name of its folder), C(kind),
          C(method) (of a full one), C(set_id) (which life of the data it is of), C(flavour), C(version), C(member) (the
          pod that was read), C(started), C(ended), C(until) (of a full backup the time from which on it can be restored
          to, of binary logs the time that they reach to), C(gtid) (what is in it, of O(method=physical) at least),
          C(databases), C(tables), C(rows) (both of a dump alone), C(accounts), C(logs), C(bytes) and C(verified).
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
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import s3_argument
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import LAYOUT
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import Backup
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "dest": {"type": "path"},
        "s3": s3_argument(),
        "mode": {"type": "str", "choices": ["full", "binlog"], "default": "full"},
        "method": {"type": "str", "choices": ["dump", "physical"], "default": "dump"},
        "keep": {"type": "int", "default": 0},
        "read_from": {"type": "str"},
        "verify": {"type": "bool", "default": False},
    },
    "required_one_of": [("dest", "s3")],
    "mutually_exclusive": [("dest", "s3")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    wish = wish_of(task.params)
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        place = place_of(task.params, "dest", cluster, target.namespace, target.namespace, target.name, LAYOUT)
        with Observer(cluster, target) as observer:
            return carry_out(Backup(observer, place, wish, task, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
