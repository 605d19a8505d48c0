#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_rollout
short_description: Restart, pause, resume or undo the rollout of a StatefulSet, Deployment or DaemonSet
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Does what C(kubectl rollout) does, for StatefulSets too where kubectl cannot, and knows what the controllers of
    Kubernetes leave undone.
  - Every change is tied to the very version of the workload that it was planned on, so that two runs at once do not
    mix. The annotations and fields of others are left alone. The API server records the changes under the name
    C(stateful.kube-rollout), and as soon as an action is through, the manager that had applied the template is
    recorded as its manager again. So the next apply of the same declaration is in no conflict, and restarts no pod.
  - An action changes what is there now, and no declaration. The next apply of a declaration with another template
    changes it back, also after V(undo). Correct the declaration as well.
  - The account needs the rights to get and patch the workload, to list pods, and controllerrevisions or (for a
    Deployment) replicasets, and for V(undo) to delete pods. With the right to watch the workload and pods it waits
    less, and with the right to list events and get logs it says better what blocks.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
attributes:
  idempotent:
    support: partial
    details:
      - Each run with O(action=restart) restarts, unless O(restarted_at) is given. All other actions are idempotent.
options:
  action:
    description:
      - What to do, by the verbs of C(kubectl rollout).
      - V(restart) has every pod replaced by a new one of the same template, by the strategy of the workload. A run that
        waits, was killed in the middle and is started again goes on with the restart that it had begun. It is refused
        with C(updateStrategy) C(OnDelete), which databases have, because it is the application that has to be asked
        before each pod goes; and while the workload is paused.
      - V(pause) holds back every further replacement of pods. A StatefulSet has no pause of its own, so its partition
        is moved beyond every ordinal, and the one it had is written into the annotation C(stateful.kube/paused).
        Pods that are on their way already are not stopped. It is refused for a DaemonSet, which has no such means.
      - V(resume) takes the pause back, with the former partition.
      - V(undo) goes back to the template of an earlier revision. Run again, it changes nothing more. Where the
        StatefulSet replaces its pods in order, pods of the revision that was undone that are not ready are deleted,
        because the controller would wait for them to become ready for ever. With C(OnDelete), pods in which nothing
        runs are replaced, and the others stay.
      - V(status) changes nothing and waits until the rollout is complete.
    type: str
    choices: [restart, pause, resume, undo, status]
    required: true
  kind:
    description: The kind of the workload.
    type: str
    choices: [StatefulSet, Deployment, DaemonSet]
    default: StatefulSet
  name:
    description: Name of the workload.
    type: str
    required: true
  namespace:
    description: Namespace of the workload. The default is the namespace of the context.
    type: str
  to_revision:
    description:
      - The number of the revision to go back to with O(action=undo). The default is the last one before the newest
        that differs from it in more than the time of a restart.
      - M(stateful.kube.workload_info) lists those that are kept. A revision that comes back gets a new number.
    type: int
  restarted_at:
    description:
      - A point in time with its zone, such as V(2026-01-31T12:00:00Z), for O(action=restart). The workload is restarted
        only if it was not told to restart at that time or later. This makes a restart idempotent, however often and
        from however many runs it is asked for.
    type: str
  wait:
    description:
      - Wait until the rollout is complete. What is held back on purpose is not waited for, such as pods below the
        partition, pods of a paused workload, and pods of an older revision with C(OnDelete). V(pause) never waits.
    type: bool
    default: true
  wait_timeout:
    description: Seconds that this wait may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.workload_info
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: Restart all pods, one after the other
  stateful.kube.workload_rollout:
    action: restart
    name: web
    namespace: shop

- name: Restart them unless they have been told to since the certificate changed
  stateful.kube.workload_rollout:
    action: restart
    name: web
    namespace: shop
    restarted_at: "2026-01-31T12:00:00Z"

- name: Hold back the rollout while the first new pod is looked at
  stateful.kube.workload_rollout:
    action: pause
    name: web
    namespace: shop

- name: Go on
  stateful.kube.workload_rollout:
    action: resume
    name: web
    namespace: shop

- name: Show what going back to the revision before would do
  stateful.kube.workload_rollout:
    action: undo
    name: web
    namespace: shop
  check_mode: true
  diff: true

- name: Wait for a Deployment
  stateful.kube.workload_rollout:
    action: status
    kind: Deployment
    name: front
    namespace: shop
    wait_timeout: 120
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: undo
      target: StatefulSet shop/web
      step: set the template of StatefulSet shop/web back from revision 2 (nginx:1.99) to revision 1 (nginx:1.27)
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The workload at the end, with the fields that M(stateful.kube.workload_info) returns first.
  returned: always
  type: dict
  contains:
    replicas:
      description: How many pods are C(wanted), and how many are there (C(current)), C(ready), C(updated), C(available).
      type: dict
      returned: always
    revision:
      description: The revision that the rollout comes from (C(current)) and goes to (C(newest)).
      type: dict
      returned: always
    paused:
      description: Whether no pod gets a new revision for now.
      type: bool
      returned: always
    restarted_at:
      description: When it was last told to restart, or null.
      type: str
      returned: always
    waits_for:
      description: What the rollout waits for, or null.
      type: str
      returned: always
refusal:
  description: Why the action is not possible, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
blocked:
  description: What held the pods back, one phrase a pod.
  returned: when the wait took too long
  type: list
  elements: str
"""

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module
from ansible_collections.stateful.kube.plugins.module_utils._workload._history import KINDS
from ansible_collections.stateful.kube.plugins.module_utils._workload._plan import ACTIONS, wish_of
from ansible_collections.stateful.kube.plugins.module_utils._workload._rollout import Rollout

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(300),
        "action": {"type": "str", "choices": list(ACTIONS), "required": True},
        "kind": {"type": "str", "choices": list(KINDS), "default": KINDS[0]},
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "to_revision": {"type": "int"},
        "restarted_at": {"type": "str"},
        "wait": {"type": "bool", "default": True},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wish = wish_of(params, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    with connect(params, task.warn) as cluster:
        namespace = params["namespace"] or cluster.namespace
        operation = Rollout(cluster, params["kind"], namespace, params["name"], wish, params["wait_timeout"])
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
