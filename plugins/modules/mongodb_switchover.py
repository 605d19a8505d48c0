#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_switchover
short_description: Make another member of a MongoDB replica set its primary
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Lets the primary of a replica set, whose members are the pods of a StatefulSet, step down for a member that has
    caught up. The primary waits until a majority has its writes, so no acknowledged write is lost, and it takes no part
    in elections for a minute.
  - Other members do not stand for election meanwhile, and the one that is to take over stands at once, so the election
    takes a moment and not the election timeout.
  - Nothing is done while no member is fit. The configuration does not change, so a member with a higher priority takes
    over again when it may.
  - The account needs the rights that M(stateful.kube.mongodb_replica_set) needs, but none to delete.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  to:
    description:
      - The pod of the member that is to be primary, such as V(shop-1). Nothing is done where it is primary already.
      - Without it the best member takes over that is not primary now, the one with the highest priority among those
        that have caught up. Every run moves the primary then.
    type: str
    default: ""
  lag_limit:
    description: Seconds that the member may be behind the primary.
    type: int
    default: 10
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.mongodb_replica_set
  - module: stateful.kube.mongodb_replica_set_info
"""

EXAMPLES = r"""
- name: Move the primary before the node of shop-0 is taken down
  stateful.kube.mongodb_switchover:
    name: shop
    namespace: shop
    to: shop-1

- name: Any other member will do
  stateful.kube.mongodb_switchover:
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
    - action: step_down
      target: shop-0
      step: let shop-0 step down for shop-1, which is 0 s behind
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The replica set at the end, as M(stateful.kube.mongodb_replica_set) returns it.
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._switchover import Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._switchover_plan import Wish
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
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            wish = Wish(task.params["to"], float(task.params["lag_limit"]))
            return carry_out(Switchover(observer, wish, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
