#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_replica_set_info
short_description: Read the state of a MongoDB replica set in the pods of a StatefulSet
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Asks every member through a tunnel to its pod, and returns what they say beside what the cluster says of their
    pods and claims, how full their disks are, how far their oplogs reach back, and how old the newest backup is.
  - Members that cannot be reached are reported as such. Nothing is waited for.
extends_documentation_fragment:
  - stateful.kube._attributes.info_module
  - stateful.kube._connection
  - stateful.kube._mongodb
seealso:
  - module: stateful.kube.mongodb_replica_set
"""

EXAMPLES = r"""
- name: How the members are
  stateful.kube.mongodb_replica_set_info:
    name: shop
    namespace: shop
  register: shop

- name: Stop here if something is wrong
  ansible.builtin.assert:
    that: shop.problems | length == 0
"""

RETURN = r"""
state:
  description: The replica set as it is.
  returned: always
  type: dict
  contains:
    set_id:
      description: The set id that the members report, or null where nobody could be asked.
      type: str
      returned: always
    recorded_set_id:
      description: The set id that is recorded on the StatefulSet, or null.
      type: str
      returned: always
    replica_set:
      description: The name of the replica set.
      type: str
      returned: always
    config_version:
      description: Version of the configuration.
      type: int
      returned: always
    term:
      description: Term of the configuration.
      type: int
      returned: always
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    feature_compatibility_version:
      description: The feature compatibility version of the data, where a primary told it.
      type: str
      returned: always
    voting_members:
      description: How many votes count now. A joining voter's does not until it has caught up.
      type: int
      returned: always
    members:
      description:
        - One entry for each member, in the order of the ordinals, with C(pod), C(host), C(state), C(health),
          C(lag_seconds), C(priority), C(votes), C(hidden), C(tags), C(secondary_delay_secs), C(arbiter_only),
          C(horizons), C(claim), C(node), C(age_seconds), C(ready),
          C(certificate_days_left), which is null without TLS, and C(blocked), which says what keeps it from serving or
          is null.
        - C(disk) is the file system that its data is on, with C(used_bytes), C(total_bytes) and C(used_percent).
        - C(oplog) is its oplog, with C(hours) from its first entry to its newest, C(size_bytes), C(max_bytes), and
          C(drops), which says whether it is so full that old entries go. Both are null where it could not be asked.
      type: list
      elements: dict
      returned: always
    oplog_hours:
      description: Hours from the first entry of the primary's oplog to its newest, or null.
      type: float
      returned: always
    backup:
      description:
        - What is known in the cluster of backups of this set.
        - C(full) and C(oplog) are the newest that M(stateful.kube.mongodb_backup), and C(snapshot) the newest that
          M(stateful.kube.mongodb_snapshot) noted on the StatefulSet, with
          C(backup), C(where) (HOST:FOLDER), C(until) (the time that it reaches to), C(age_seconds) since then,
          C(bytes) and C(verified), or null.
        - C(schedules) are the CronJobs with the label C(stateful.kube/backup-of), each with C(name), C(schedule),
          C(suspended), C(running), C(last_begun) and C(last_success).
      type: dict
      returned: always
problems:
  description: What a person on call should know, one sentence each. Empty where all is well.
  returned: always
  type: list
  elements: str
  sample:
    - "shop-2: its pod is not scheduled: 0/3 nodes are available"
"""

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _measures
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _record
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import facts, measured_facts, problems
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._measuring import measure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {**connection_arguments(), **target_arguments()},
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            seen = observer.observe()
            measured = measure(observer, seen)
            cron_jobs = _if_allowed(cluster, target, "CronJob", f"{_record.LABEL}={target.name}")
            backups = f"app.kubernetes.io/name=mongodb-backup,app.kubernetes.io/instance={target.name}"
            jobs = _if_allowed(cluster, target, "Job", backups) if cron_jobs else []
    now = time.time()
    state = facts(target, seen, now)
    measured_facts(state, target, measured)
    note = seen.stateful_set.backup if seen.stateful_set else ""
    state["backup"] = {
        **_record.recorded(note, state["set_id"] or "", now),
        "schedules": _record.schedules(cron_jobs, jobs),
    }
    found = problems(target, seen, now)
    found += _measures.problems({ordinal: target.pod(ordinal) for ordinal in measured}, measured)
    found += _record.problems(state["backup"]["schedules"])
    return {"changed": False, "state": state, "problems": found}


def _if_allowed(cluster: Cluster, target: Target, kind: str, labels: str) -> list[dict[str, t.Any]]:
    try:
        return cluster.list("batch/v1", kind, target.namespace, labels=labels)
    except ApiError as error:
        if error.forbidden:
            return []  # who may not list them is told of the rest
        raise


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
