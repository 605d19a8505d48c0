#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_replication
short_description: Form, scale and update a primary with replicas of MySQL or MariaDB in the pods of a StatefulSet
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes one pod of a StatefulSet the primary, which takes writes, and lets the others replicate from it by GTID. The
    pods are those of the role P(stateful.kube.mysql#role), which makes their data and lets new replicas take a copy.
  - Who may write is recorded in a ConfigMap (O(name) followed by C(-record)) with an epoch, and in the primary's own
    data. Every server starts read-only, and takes writes by itself only where both say so. So a primary that restarts
    goes on without any help, and one that was replaced stays read-only.
  - The Service O(name) followed by C(-primary) is made, and leads to the primary alone. The label
    C(stateful.kube/role) of its pod keeps those away that only read, where there are replicas.
  - Members that are declared no more leave after the primary was moved to one that stays. Pods of an older revision of
    the StatefulSet, which must have C(updateStrategy) C(OnDelete), are replaced one by one, replicas first and each
    close behind again before the next, the primary last and after it has handed over to a replica.
  - A server whose data has transactions that the primary has not (errant ones), or that lacks some that the primary
    has no binary logs of any more, stays read-only and replicates from nobody. It is named with these transactions, and
    its data is replaced by a new copy only where O(copy) names it.
  - A primary that is lost is never replaced by this module. See M(stateful.kube.mysql_failover).
  - Before each step the cluster and every server are looked at again. A run that was killed goes on from where it
    stopped when it is started again.
  - The account needs the rights to get and patch the StatefulSet, to get, list, patch and delete pods, to list
    persistentvolumeclaims, to get the Secrets, to get, create and patch the ConfigMap and the Service, to get, create,
    update and delete leases, and to get and create C(pods/portforward). With the right to watch StatefulSets and
    pods it waits less.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  members:
    description:
      - Number of servers, one primary and its replicas. A lower number than before takes members out, and then their
        pods. Their claims stay, and a member that comes back goes on with its data.
    type: int
    required: true
  copy:
    description:
      - Pods that may take a new copy of the data in place of their own, such as V(shop-1), where they cannot go on
        with it. What only they have is lost then. Nothing is done to others, nor to one of these that can go on.
    type: list
    elements: str
    default: []
  replace_pods:
    description:
      - Replace pods of an older revision of the StatefulSet. With V(false) they stay as they are, with a warning.
    type: bool
    default: true
  template_changes:
    description:
      - Say that the template of the StatefulSet is about to change, which check mode cannot see on it, so that the plan
        has the replacement of every pod. Without effect otherwise.
    type: bool
    default: false
  lag_limit:
    description:
      - Seconds that a replica may be behind. As long as one is further behind, no other pod is replaced and no primary
        hands over.
    type: int
    default: 10
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mysql_switchover
  - module: stateful.kube.mysql_failover
"""

EXAMPLES = r"""
- name: A primary with two replicas
  stateful.kube.mysql_replication:
    name: shop
    namespace: shop
    members: 3

- name: Let a server that has transactions of its own take a new copy
  stateful.kube.mysql_replication:
    name: shop
    namespace: shop
    members: 3
    copy: [shop-0]
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: attach
      target: shop-1
      step: let shop-1 replicate from shop-0
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The servers at the end.
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target, desired_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._operate import Replication
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "members": {"type": "int", "required": True},
        "copy": {"type": "list", "elements": "str", "default": []},
        "replace_pods": {"type": "bool", "default": True},
        "template_changes": {"type": "bool", "default": False},
        "lag_limit": {"type": "int", "default": 10},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        desired = desired_of({**params, "template_changes": params["template_changes"] and task.check_mode}, target)
        with Observer(cluster, target) as observer:
            return carry_out(Replication(observer, desired, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
