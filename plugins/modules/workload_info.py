#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_info
short_description: Read the state of StatefulSets, Deployments and DaemonSets with all that belongs to them
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Returns for each workload its replicas, revisions, update strategy and pause, its pods with what holds each of them
    back, their claims, the Services that select them, the PodDisruptionBudgets that protect them, and what blocks
    them.
  - Costs seven requests for a healthy workload with claims and Services, and for any number of workloads one for each
    kind of object. Only what is not ready costs more, because events and logs are read then.
  - A workload that does not exist is no error. What the account may not list is left out with a warning.
extends_documentation_fragment:
  - stateful.kube._attributes.info_module
  - stateful.kube._connection
options:
  kind:
    description:
      - The kind of the workload. The default is V(StatefulSet) where O(name) is given, and every kind otherwise.
    type: str
    choices: [StatefulSet, Deployment, DaemonSet]
  name:
    description: Name of one workload. Without it all workloads of the namespace that match are returned.
    type: str
  namespace:
    description: Namespace of the workloads. The default is the namespace of the context.
    type: str
  label_selectors:
    description:
      - Label selectors that all have to match the labels of the workload. The roles of this collection label what
        belongs to an application with C(app.kubernetes.io/instance).
    type: list
    elements: str
    default: []
  ask_volumes:
    description:
      - Ask in each running pod whether its claims and NFS shares answer, also where every pod is ready. A pod stays
        ready while its NFS server is gone, where its readiness probe needs nothing of the volume.
      - Pods that run and are not ready are asked in any case. It takes the right to create C(pods/exec), and an image
        with C(sh) and C(stat); where either is missing nothing is said. A volume that gives no answer costs some
        seconds.
    type: bool
    default: false
    version_added: 0.1.0
seealso:
  - module: stateful.kube.workload_rollout
  - module: stateful.kube.objects_info
"""

EXAMPLES = r"""
- name: One StatefulSet
  stateful.kube.workload_info:
    name: shop
    namespace: shop
  register: shop

- name: Stop here unless every pod is ready
  ansible.builtin.assert:
    that:
      - shop.workloads[0].exists
      - shop.workloads[0].blocked | length == 0
    fail_msg: "{{ shop.workloads[0].blocked | default([]) | join('; ') }}"

- name: All workloads of an application
  stateful.kube.workload_info:
    namespace: shop
    label_selectors:
      - app.kubernetes.io/instance=shop
  register: application
"""

RETURN = r"""
workloads:
  description:
    - The workloads. With O(name) always exactly one, which has no more than kind, namespace, name and C(exists) where
      it does not exist.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: The kind.
      type: str
      returned: always
    namespace:
      description: The namespace.
      type: str
      returned: always
    name:
      description: The name.
      type: str
      returned: always
    exists:
      description: Whether it exists.
      type: bool
      returned: always
    replicas:
      description: How many pods are C(wanted), and how many are there (C(current)), C(ready), C(updated), C(available).
      type: dict
      returned: when it exists
      sample: {"wanted": 3, "current": 3, "ready": 3, "updated": 3, "available": 3}
    revision:
      description:
        - The revision that a rollout comes from (C(current)) and goes to (C(newest)), each with C(name), C(number) and
          C(change_cause). They are the same where no rollout is under way.
      type: dict
      returned: when it exists
    paused:
      description: Whether no pod gets a new revision for now, by C(spec.paused) or by the partition.
      type: bool
      returned: when it exists
    restarted_at:
      description: When it was last told to restart, or null.
      type: str
      returned: when it exists
    waits_for:
      description: What its rollout waits for, or null.
      type: str
      returned: when it exists
      sample: 2/3 pods ready
    strategy:
      description: C(type), C(partition), C(max_unavailable), C(max_surge) and C(pod_management_policy).
      type: dict
      returned: when it exists
    labels:
      description: Its labels.
      type: dict
      returned: when it exists
    pods:
      description:
        - One entry for each pod with C(name), C(ordinal), C(node), C(ip), C(phase), C(ready), C(revision), C(images),
          C(restarts), C(created), C(age_seconds), C(claims), and C(obstacle), which says what holds it back or is
          null.
      type: list
      elements: dict
      returned: when it exists
    claims:
      description:
        - One entry for each claim that a pod uses, or that is left from a pod that is gone, with C(name), C(pod),
          C(phase), C(requested), C(capacity), C(storage_class), C(volume) and C(access_modes).
      type: list
      elements: dict
      returned: when it exists
    services:
      description:
        - One entry for each Service that selects a pod, with C(name), C(type), C(cluster_ip), C(headless), C(ports)
          and C(ready_addresses).
      type: list
      elements: dict
      returned: when it exists
    disruption_budgets:
      description:
        - One entry for each PodDisruptionBudget that selects a pod, with C(name), C(min_available),
          C(max_unavailable), C(disruptions_allowed), C(current_healthy) and C(desired_healthy).
      type: list
      elements: dict
      returned: when it exists
    revisions:
      description:
        - The revisions that can be gone back to, the oldest first, with C(name), C(number), C(change_cause),
          C(created), C(images), the number of C(pods) that run it, and C(newest).
      type: list
      elements: dict
      returned: when it exists
    blocked:
      description:
        - What keeps pods from being ready, one phrase each. Empty where all are, but for volumes that give no answer
          when O(ask_volumes) is set. What is said of such a volume has the word C(storage:) before it.
      type: list
      elements: str
      returned: when it exists
      sample: ["shop-2 is not scheduled: 0/3 nodes are available"]
"""

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import KINDS
from ansible_collections.stateful.kube.plugins.module_utils._workload._info import Reader

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        "kind": {"type": "str", "choices": list(KINDS)},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "ask_volumes": {"type": "bool", "default": False},
    },
    "mutually_exclusive": [("name", "label_selectors")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    kind, name, labels = (task.params[key] for key in ("kind", "name", "label_selectors"))
    with connect(task.params, task.warn) as cluster:
        reader = Reader(cluster, task.params["namespace"] or cluster.namespace, task.warn, task.params["ask_volumes"])
        if name:
            found = reader.one(kind or KINDS[0], name, time.time())
        else:
            found = reader.all([kind] if kind else KINDS, ",".join(labels), time.time())
    return {"changed": False, "workloads": found}


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
