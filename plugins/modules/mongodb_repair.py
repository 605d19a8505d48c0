#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_repair
short_description: Show what every member of a broken MongoDB replica set has, and repair it from the newest
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - For a replica set that has no primary and gets none by itself, because its configuration has names or addresses that
    are no more, or because a majority of its members is gone; and for pods that hold several sets.
  - Without O(accept) it changes nothing. It asks every pod, and tells what each one holds (set, configuration, newest
    write, whom it hears), what the matter is, what a repair would do, and what would be lost or is not known.
  - With O(accept) it saves the configuration of every member in a ConfigMap, and forces one with a single member, on
    the pod whose newest write is the newest of all. It does so once, right after all evidence was gathered anew and was
    still the same. M(stateful.kube.mongodb_replica_set) then adds the other members, one at a time.
  - Nothing is forced while any pod, or any member of the configuration, may have newer data and is not named in
    O(lost); while a majority could elect a primary; or while a majority answers under names that are right, since
    then something else is wrong, such as the network.
  - Disks that hold another set are emptied only for the pods named in O(empty), and only when the set to keep has a
    primary.
  - Run again, it goes on where an earlier run has stopped or was killed. A set that has a primary is left alone.
  - Members that are named in O(lost) must not come back on their own. As long as they cannot be reached, they may still
    elect a primary among themselves.
  - The account needs the rights to get and patch the StatefulSet, to list pods and persistentvolumeclaims, to get the
    Secret, to get and create C(pods/portforward), to list and create configmaps, and to get, create, update and delete
    leases. For O(empty) it needs to get and delete pods and persistentvolumeclaims, and should be able to get
    persistentvolumes.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  accept:
    description:
      - The id of the set to keep, typed as the report shows it. Without it nothing is changed.
    type: str
  lost:
    description:
      - Members that are gone for good, as the report names them. Writes that they alone have are lost.
      - A pod that answers with data of the set is not lost, and naming it is refused.
    type: list
    elements: str
    default: []
  empty:
    description:
      - Pods whose disks hold another set than O(accept), and whose disks may be emptied. The pod and its claims are
        deleted, and Kubernetes makes both anew. What becomes of a volume is up to its reclaim policy.
    type: list
    elements: str
    default: []
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_replica_set
  - module: stateful.kube.mongodb_replica_set_info
"""

EXAMPLES = r"""
- name: Show what every member has, and what is wrong
  stateful.kube.mongodb_repair:
    name: shop
    namespace: shop
  register: found

- name: Repair it, with the set id that the report shows
  stateful.kube.mongodb_repair:
    name: shop
    namespace: shop
    accept: 6b025177b74754d0c827a30b

- name: Start from what is left, when two members are gone for good
  stateful.kube.mongodb_repair:
    name: shop
    namespace: shop
    accept: 6b025177b74754d0c827a30b
    lost: [shop-1, shop-2]

- name: Keep one of two sets, and empty the pod that holds the other
  stateful.kube.mongodb_repair:
    name: shop
    namespace: shop
    accept: 6b025177b74754d0c827a30b
    empty: [shop-2]
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: back_up
      target: shop-replica-set-config-v5-t1-27a30b
      step: >-
        save the configuration of every member that has one (version 5, term 1) in the ConfigMap
        shop-replica-set-config-v5-t1-27a30b
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The evidence at the end, and what it comes to.
  returned: always
  type: dict
  contains:
    situation:
      description:
        - V(healthy), V(no_repair_needed) (there is a primary), V(election_pending), V(members_apart) (the names are
          right, and the members do not hear each other), V(stale_names), V(lost_majority), V(several_sets), V(no_set),
          or V(no_answer).
      type: str
      returned: always
    diagnosis:
      description: What the matter is, in sentences.
      type: list
      elements: str
      returned: always
    risk:
      description: What would be lost by a repair, or is not known; null where none is to be done.
      type: str
      returned: always
    needed:
      description: What has to be typed for a repair, as O(accept), O(lost) and O(empty); empty where none is possible.
      type: dict
      returned: always
    would:
      description: What a repair would do with all of that typed.
      type: list
      elements: str
      returned: always
    set_ids:
      description: The set ids that members report, the recorded one first.
      type: list
      elements: str
      returned: always
    recorded_set_id:
      description: The set id that is recorded on the StatefulSet, or null.
      type: str
      returned: always
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    backups:
      description: ConfigMaps with configurations that were saved by a repair.
      type: list
      elements: str
      returned: always
    members:
      description:
        - One entry for each pod, in the order of the ordinals, with C(pod), C(exists), C(answer), C(detail), C(state),
          C(replica_set), C(set_id), C(config_version), C(config_term) (null for a forced one), C(config_hosts),
          C(newest_write) (C(term), C(seconds) since the epoch, C(increment)), C(data_complete), C(problem),
          C(new_disk) (this pod is the first user of its disk), C(claims), and C(hears) (whom this member hears, and
          when it last did).
      type: list
      elements: dict
      returned: always
    table:
      description: The same for eyes, as lines.
      type: list
      elements: str
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._operate import Repair
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import Choice
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "accept": {"type": "str"},
        "lost": {"type": "list", "elements": "str", "default": []},
        "empty": {"type": "list", "elements": "str", "default": []},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        choice = Choice.of(task.params, target)
        with Observer(cluster, target) as observer:
            return carry_out(Repair(observer, choice, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
