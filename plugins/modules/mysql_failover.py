#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_failover
short_description: Make a replica of MySQL or MariaDB the primary, because the primary is lost
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - For a primary that does not answer and is not going to. One that answers is never replaced by this module. See
    M(stateful.kube.mysql_switchover).
  - The replica that has everything that any other one has takes over. Every replica must answer, because any of them
    may be the only one that has a transaction, unless O(without) leaves it out.
  - First it is recorded that another pod is primary. Then the pod of the old primary is deleted, and has to be seen
    gone before anybody writes, which its node has to confirm. Of a node that is lost only you can say that it is off.
    Taint it with C(node.kubernetes.io/out-of-service) then, and the pod goes.
  - With semi-synchronous replication nothing that was acknowledged is lost. Without it, what reached no replica is. The
    old primary comes back read-only, and M(stateful.kube.mysql_replication) names what only it has.
  - A run that was killed is continued by the next one, or by M(stateful.kube.mysql_replication).
  - The account needs the rights that M(stateful.kube.mysql_replication) needs.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  to:
    description:
      - The pod that is to be primary. It must have everything that the other replicas have.
      - Without it the replica that has most.
    type: str
    default: ""
  without:
    description: Replicas that do not answer and are not waited for. What only they have is lost.
    type: list
    elements: str
    default: []
  lag_limit:
    description: Seconds that a replica may be behind the new primary for the run to be done.
    type: int
    default: 10
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mysql_replication
  - module: stateful.kube.mysql_switchover
"""

EXAMPLES = r"""
- name: The node of shop-0 has burnt
  stateful.kube.mysql_failover:
    name: shop
    namespace: shop
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: record
      target: shop-record
      step: record that shop-1 is primary in place of shop-0
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._operate import FailingOver
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "to": {"type": "str", "default": ""},
        "without": {"type": "list", "elements": "str", "default": []},
        "lag_limit": {"type": "int", "default": 10},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster, Observer(cluster, Target.of(params, cluster.namespace)) as observer:
        wish = Wish(to=params["to"], without=tuple(params["without"]), lag_limit=float(params["lag_limit"]))
        return carry_out(FailingOver(observer, wish, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
