#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_replication_info
short_description: Tell who is primary and who replicates of MySQL or MariaDB, and what is wrong
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Asks every server in the pods of a StatefulSet, by a tunnel to each pod, and compares what they say with what is
    recorded. Nothing is changed.
  - The account needs the rights to get the StatefulSet, the Secret, the ConfigMap and the Service, to list pods and
    persistentvolumeclaims, and to get and create C(pods/portforward).
extends_documentation_fragment:
  - stateful.kube._attributes.info_module
  - stateful.kube._connection
  - stateful.kube._mysql
seealso:
  - module: stateful.kube.mysql_replication
"""

EXAMPLES = r"""
- name: Ask the servers
  stateful.kube.mysql_replication_info:
    name: shop
    namespace: shop
  register: shop

- name: Insist that all is well
  ansible.builtin.assert:
    that: shop.problems | length == 0
"""

RETURN = r"""
state:
  description: The servers.
  returned: always
  type: dict
  contains:
    primary:
      description: The pod that is recorded as primary, or null where no data has been made yet.
      type: str
      returned: always
    epoch:
      description: How many primaries there have been. It grows with every switchover and failover.
      type: int
      returned: always
    writes_lead_to:
      description: The pod that the Service for those who write leads to, or null.
      type: str
      returned: always
    members:
      description:
        - One entry for each pod, in the order of the ordinals, with C(pod), C(role) (primary, replica or null),
          C(version), C(read_only), C(source), C(receiver), C(applier), C(lag_seconds), C(error), C(executed) (the
          transactions that it has), C(errant) (those that the primary has not), C(semi_sync), C(claim), C(node),
          C(ready), and C(blocked), which says why it cannot be asked or is null.
      type: list
      elements: dict
      returned: always
problems:
  description: What a person on call should know, one sentence each. Empty where all is well.
  returned: always
  type: list
  elements: str
  sample:
    - shop-2 is 90 s behind
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._facts import facts, problems
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
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
            return {"changed": False, "state": facts(target, seen), "problems": problems(target, seen)}


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
