#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_authentication
short_description: Tell whether the members of a MongoDB replica set may be started with another authentication next
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - A running replica set goes from no authentication to a required one without downtime in two rounds, in which every
    pod is replaced. In between its members accept both (C(--transitionToAuth)), and let each other and clients in with
    a login and without.
  - This module changes nothing. The role C(stateful.kube.mongodb) runs it before it declares other arguments of
    mongod, and M(stateful.kube.mongodb_replica_set) replaces the pods afterwards.
  - It asks every running member what it does (its own arguments, or that it shows them to nobody), and refuses where
    a pod with O(mode) would not be let in by one that runs, and where nobody could log in afterwards.
  - Where the StatefulSet is as declared, or there is none, nobody is asked.
  - Before a login is required, clients that are connected and of which no connection has logged in are named in a
    warning.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  mode:
    description:
      - What mongod is to be started with.
      - With V(disabled) there is no key file, and anybody may do anything.
      - With V(transition) there is a key file, and who does not log in may do anything still.
      - With V(required) members know each other by the key file, and clients log in.
    type: str
    required: true
    choices: [disabled, transition, required]
  wait_timeout:
    description: Seconds to wait until every member answers.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_replica_set
  - module: stateful.kube.mongodb_adopt
"""

EXAMPLES = r"""
- name: See whether a login may be required now
  stateful.kube.mongodb_authentication:
    name: shop
    namespace: shop
    mode: required
"""

RETURN = r"""
plan:
  description: What is waited for.
  returned: always
  type: list
  elements: dict
done:
  description: What was waited for, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: What was found.
  returned: always
  type: dict
  contains:
    template:
      description: What pods are made with now; null where there is no StatefulSet, or its arguments do not tell.
      type: str
      returned: always
    members:
      description: What each running member does, as C(pod) and C(authentication); empty where nobody was asked.
      type: list
      elements: dict
      returned: always
    unsecured:
      description: Whether members run, and none of them has a key file.
      type: bool
      returned: always
refusal:
  description: Why it does not go on, as C(reason), C(evidence) and C(choices).
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._authentication._operate import Authentication
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import AUTHENTICATION
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "mode": {"type": "str", "required": True, "choices": list(AUTHENTICATION)},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        with Observer(cluster, target) as observer:
            return carry_out(Authentication(observer, params["mode"], params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
