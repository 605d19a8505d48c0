#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_keyfile
short_description: Change the key file by which the members of a MongoDB replica set know each other
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Gives the members of a replica set another key, in three rounds in which every pod is replaced, the primary last and
    after it has stepped down. A key file may hold several keys, of which mongod shows the first and takes any. So all
    members first get the next key behind the one in use, then the two the other way round, and then the next one alone.
  - A change that an earlier run has begun is completed, also without O(rotation).
  - mongod reads its key file when it starts, and cannot be told to read it again.
  - The pods are replaced because the template gets another annotation, C(stateful.kube/keyfile). It stays there, and a
    declaration that is applied again does not take it away.
  - The account needs the rights that M(stateful.kube.mongodb_replica_set) needs, and to patch the Secret.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  secret:
    description:
      - The Secret with the key file under C(keyfile). Each pod has to read it when it is made.
      - Without it O(name) and C(-keyfile).
    type: str
    default: ""
  rotation:
    description:
      - Any text, such as a date. The key is replaced by a new, random one when the Secret records another text than
        this, and the Secret records it then. So each text makes one new key, however often it is run.
    type: str
    default: ""
  lag_limit:
    description: Seconds that a member may be behind the primary before another one is taken away.
    type: int
    default: 10
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_replica_set
"""

EXAMPLES = r"""
- name: Another key file this year
  stateful.kube.mongodb_keyfile:
    name: shop
    namespace: shop
    rotation: "2026"
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: begin
      target: shop/shop-keyfile
      step: put a next key into Secret shop/shop-keyfile, behind the one in use
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: What there is at the end. Keys are never among it.
  returned: always
  type: dict
  contains:
    secret:
      description: The Secret.
      type: str
      returned: always
    keys:
      description: How many keys the key file holds.
      type: int
      returned: always
    pending:
      description: Whether a change has begun and is not complete.
      type: bool
      returned: always
    rotation:
      description: The rotation that the Secret records, or null.
      type: str
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._keyfile import Keyfile
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        # The name of a Secret, not its content.
        "secret": {"type": "str", "default": "", "no_log": False},
        "rotation": {"type": "str", "default": ""},
        "lag_limit": {"type": "int", "default": 10},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        secret = params["secret"] or f"{target.name}-keyfile"
        with Observer(cluster, target) as observer:
            return carry_out(
                Keyfile(
                    observer,
                    secret,
                    params["rotation"],
                    float(params["lag_limit"]),
                    params["wait_timeout"],
                    task.conceal,
                ),
                task,
            )


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
