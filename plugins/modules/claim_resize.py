#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: claim_resize
short_description: Make the claims of a StatefulSet larger while its pods go on
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Grows the claims of a StatefulSet, or claims by name, without the declaration of the whole application. Pods are
    neither restarted nor replaced.
  - Before anything changes it asks whether the class of each claim lets claims grow, whether the storage driver is
    there, and whether the quotas of the namespace have room for all of it; and it has the API server try each change.
  - Where nothing has shown yet that growing works, one claim grows first, and the others after it. The module waits
    until the new size is really there, file systems included. Then the StatefulSet is deleted without its pods and made
    again with the new size in its claim template, because Kubernetes does not change a template in place.
  - A volume never shrinks. A request that failed can be taken back, though, and with O(roll_back) it is. Kubernetes
    accepts only a request that is larger than what the claim has, so the request is taken back to one byte more
    than that. Drivers round it up to their own unit. A driver that takes its failure for a passing one goes on with the
    size that it has begun.
  - Run again, it goes on where an earlier run has stopped or was killed, and changes nothing where all is there.
  - The next apply of a declaration with the old size is refused. Correct the declaration as well.
  - The account needs the rights to get, list and patch persistentvolumeclaims, to list pods, and for a StatefulSet to
    get, create, patch and delete it and to get, create, patch and delete secrets and leases. With the right to read
    storageclasses, persistentvolumes, csidrivers, csinodes and resourcequotas it can tell beforehand what would fail.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
options:
  name:
    description:
      - Name of the StatefulSet whose claims grow. Claims of ordinals that have no pod, left by a StatefulSet that was
        larger once, are not touched.
      - Exactly one of O(name) and O(claims) is required.
    type: str
  claims:
    description: Names of the claims to grow, where they are not those of a StatefulSet.
    type: list
    elements: str
  namespace:
    description: Namespace of the claims. The default is the namespace of the context.
    type: str
  template:
    description: The claim template of the StatefulSet to grow. It is required where there are several.
    type: str
  size:
    description:
      - The size that each claim is to have at least, as a quantity of Kubernetes. V(20Gi) is more than V(20G).
      - Claims that have more keep it.
    type: str
    required: true
  roll_back:
    description:
      - Take the request of a claim back when the driver says that it cannot grow, or has failed until
        O(wait_timeout) was over. What is merely slow is left to come.
    type: bool
    default: true
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 600
seealso:
  - module: stateful.kube.manifests
  - module: stateful.kube.workload_info
"""

EXAMPLES = r"""
- name: Show what growing the claims of a database would do
  stateful.kube.claim_resize:
    name: shop
    namespace: shop
    size: 20Gi
  check_mode: true

- name: Grow them
  stateful.kube.claim_resize:
    name: shop
    namespace: shop
    size: 20Gi
  register: grown

- name: Show the claims
  ansible.builtin.debug:
    var: grown.state.claims

- name: Grow one of two claim templates
  stateful.kube.claim_resize:
    name: shop
    namespace: shop
    template: log
    size: 5Gi

- name: Grow a claim that no StatefulSet made
  stateful.kube.claim_resize:
    claims: [uploads]
    namespace: shop
    size: 50Gi
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: grow
      target: PersistentVolumeClaim shop/data-shop-0
      step: grow claim data-shop-0 from 10Gi to 20Gi
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The claims at the end.
  returned: always
  type: dict
  contains:
    size:
      description: The size that was asked for.
      type: str
      returned: always
    template:
      description: Name and size of the claim template, or null where claims were named.
      type: dict
      returned: always
    claims:
      description: One entry a claim.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The claim.
          type: str
          returned: always
        storage_class:
          description: Its class, or null.
          type: str
          returned: always
        request:
          description: What it asks for.
          type: str
          returned: always
        capacity:
          description: What it has, or null.
          type: str
          returned: always
        state:
          description:
            - V(present) has the size, V(growing) is on its way, V(failing) too, but the driver tells of failures.
            - V(file-system-pending) has a volume of the size, and a file system that grows in a pod.
            - V(small) was not asked to grow yet, V(no-volume) has no volume, V(retained) belongs to no pod.
          type: str
          returned: always
        message:
          description: What the driver tells of failures, or null.
          type: str
          returned: always
        pods:
          description: The running pods that have it mounted.
          type: list
          elements: str
          returned: always
    quotas:
      description: Each limit on storage in the namespace, with C(name), C(resource), C(hard) and C(used).
      type: list
      elements: dict
      returned: always
refusal:
  description: Why the claims cannot grow, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
blocked:
  description: What held the claims back, one phrase a claim.
  returned: when the wait took too long
  type: list
  elements: str
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize import Resize, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(600),
        "name": {"type": "str"},
        "claims": {"type": "list", "elements": "str"},
        "namespace": {"type": "str"},
        "template": {"type": "str"},
        "size": {"type": "str", "required": True},
        "roll_back": {"type": "bool", "default": True},
    },
    "mutually_exclusive": [("name", "claims")],
    "required_one_of": [("name", "claims")],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    wish = wish_of(task.params)
    with connect(task.params, task.warn) as cluster:
        operation = Resize(cluster, task.params["namespace"] or cluster.namespace, wish, task.params["wait_timeout"])
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
