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
    pods and claims.
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
    voting_members:
      description: How many votes count now. A joining voter's does not until it has caught up.
      type: int
      returned: always
    members:
      description:
        - One entry for each member, in the order of the ordinals, with C(pod), C(host), C(state), C(health),
          C(lag_seconds), C(priority), C(votes), C(hidden), C(tags), C(secondary_delay_secs), C(claim), C(node),
          C(age_seconds), C(ready), C(certificate_days_left), which is null without TLS, and C(blocked), which says what
          keeps it from serving or is null.
      type: list
      elements: dict
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
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import facts, problems
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
    now = time.time()
    found = problems(target, seen, now)
    return {"changed": False, "state": facts(target, seen, now), "problems": found}


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
