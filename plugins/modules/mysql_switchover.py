#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_switchover
short_description: Make a replica of MySQL or MariaDB the primary
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Lets the primary take no more writes, waits until a replica has applied everything, and lets that one take writes.
    No transaction is lost. Clients are disconnected from the old primary, which replicates from the new one then.
  - Nothing is done while no replica is close behind. Where the replica does not apply what is left within ten seconds,
    the old primary takes writes again.
  - A run that was killed in the middle leaves at most one server that takes writes, and perhaps none. The same run, or
    M(stateful.kube.mysql_replication), ends that.
  - The account needs the rights that M(stateful.kube.mysql_replication) needs, but none to delete.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  to:
    description:
      - The pod that is to be primary, such as V(shop-1). Nothing is done where it is primary already.
      - Without it the replica that is least behind takes over. Every run moves the primary then.
    type: str
    default: ""
  lag_limit:
    description: Seconds that the replica may be behind the primary.
    type: int
    default: 10
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.mysql_replication
  - module: stateful.kube.mysql_failover
"""

EXAMPLES = r"""
- name: Move the primary before the node of shop-0 is taken down
  stateful.kube.mysql_switchover:
    name: shop
    namespace: shop
    to: shop-1
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: hand_over
      target: shop-1
      step: "hand over from shop-0 to shop-1: ..."
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The servers at the end, as M(stateful.kube.mysql_replication) returns them.
  returned: always
  type: dict
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._operate import SwitchingOver
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(120),
        "to": {"type": "str", "default": ""},
        "lag_limit": {"type": "int", "default": 10},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster, Observer(cluster, Target.of(params, cluster.namespace)) as observer:
        operation = SwitchingOver(observer, params["to"], float(params["lag_limit"]), params["wait_timeout"])
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
