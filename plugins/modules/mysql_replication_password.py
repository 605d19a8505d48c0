#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_replication_password
short_description: Change the password that replicas of MySQL or MariaDB log in with
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Gives C(stateful_replication) another password, the user that replicas log in with and that copies are taken with,
    in the Secret, in the server, and on every replica. Writes and reads go on meanwhile.
  - The new password is first written beside the one in use, under the key C(password-next) of the Secret. Then the
    primary takes both (dual passwords of MySQL, two alternatives of MariaDB). One replica after the other logs in with
    the new one, which then takes the place of the former one in the Secret. At last the former one ends.
  - Every replica has to answer before that. One that does not is waited for.
  - Wherever a run is killed, a password that is good stands in the Secret under C(password), and the same command goes
    on. So does a run that is given neither O(rotation) nor O(new_password).
  - A pod that takes a copy reads the Secret from a file, which the kubelet brings up to date within two minutes or so,
    and tries again until then.
  - The account needs the rights to get the StatefulSet, the Service and the ConfigMap of the record, to list pods and
    persistentvolumeclaims, to get both Secrets and to patch this one, to get and create C(pods/portforward), and to
    get, create, update and delete leases.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  rotation:
    description:
      - Any text, such as a date. The password is replaced by a new, random one when the Secret records another text
        than this, and the Secret records it then. So each text makes one new password, however often it is run.
    type: str
  new_password:
    description: The password that replicas are to log in with, for those who must choose it.
    type: str
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.mysql_user
"""

EXAMPLES = r"""
- name: Another password for replicas this month
  stateful.kube.mysql_replication_password:
    name: shop
    namespace: shop
    rotation: "2026-11"

- name: Complete a change that has begun
  stateful.kube.mysql_replication_password:
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
    - action: change
      target: stateful_replication
      step: give user stateful_replication the next password of Secret shop/shop-replication
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The user and its Secret at the end. Passwords are never among it.
  returned: always
  type: dict
  contains:
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    username:
      description: Name of the user.
      type: str
      returned: always
    secret:
      description: The Secret.
      type: str
      returned: always
    rotation:
      description: The rotation that the Secret records, or null.
      type: str
      returned: always
    pending:
      description: Whether a change has begun and is not complete.
      type: bool
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._passwords import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._replication import ReplicationPassword
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(120),
        "rotation": {"type": "str"},
        "new_password": {"type": "str", "no_log": True},
    },
    "mutually_exclusive": [("rotation", "new_password")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    wish = wish_of(task.params)
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            return carry_out(ReplicationPassword(observer, wish, task.params["wait_timeout"], task.conceal), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
