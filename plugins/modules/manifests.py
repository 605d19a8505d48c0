#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifests
short_description: Apply or delete a list of Kubernetes objects
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Applies a whole application in one task. Objects go in by server-side apply with strict field validation,
    in an order that works, in parallel where the order does not matter.
  - Everything that would change is tried first by a dry run of the API server, so that one wrong object stops the
    task before any is made. Objects that do not change cost one list request for each kind.
  - What the API server does not change in place is told apart in the plan. A StatefulSet of which
    C(podManagementPolicy), or the size of a claim template, changes is deleted without its pods and made
    again, so that it takes its pods and claims over. Its claims grow first, where their class allows it. Killed in the
    middle, the next run goes on; until then a Secret called C(NAME.recreation) holds what the StatefulSet was.
    So is one of which a claim template changes in class or access modes, if O(storage_change) lets it.
    Every other such change is refused, with what was found and what can be done.
  - Values of Secrets are shown neither in the diff nor, with C(-vvv), among the options of the task, nor in messages,
    nor in the system's log. Mind that a playbook which loops over them, or has them in the name of a task, shows them.
  - A pod that holds up the rollout of a StatefulSet although its revision was corrected since is replaced, if no
    container in it is ready; the plan says why. With C(OnDelete) this is done only where no container runs at all.
  - When the time is up while waiting, the message says what blocks the pods, from their status, events, claims and
    last log lines.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
options:
  definition:
    description:
      - The objects, as a list of dictionaries, one dictionary, or YAML text with one or more documents.
    type: raw
    aliases: [resource_definition, inline]
    default: []
  state:
    description:
      - V(present) makes the objects be as declared, V(absent) deletes them.
      - Deleting a StatefulSet leaves its claims alone.
    type: str
    choices: [present, absent]
    default: present
  namespace:
    description:
      - The namespace of objects that name none. The default is the namespace of the context.
    type: str
  create_namespace:
    description:
      - Create the namespace of the objects where it does not exist. It is never deleted by this module unless it is
        itself in O(definition).
    type: bool
    default: false
  generated_secrets:
    description:
      - Secrets that are made once, with random values, and kept. An existing key is never changed or read, a missing
        key is added. Values are never returned.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the Secret in O(namespace).
        type: str
        required: true
      keys:
        description:
          - For each key of the Secret a dictionary with C(length) (characters) and C(encoding) (C(alnum) or
            C(base64), by default C(alnum)) for a random value, or with C(value) for a given one.
        type: dict
        required: true
      labels:
        description: Labels of the Secret when it is made.
        type: dict
        default: {}
      annotations:
        description: Annotations of the Secret when it is made.
        type: dict
        default: {}
      type:
        description: Type of the Secret when it is made.
        type: str
        default: Opaque
      protects_data:
        description:
          - Data that exists cannot be used without this Secret. Where it, or one of its keys, is missing although a
            StatefulSet of O(definition) or its claims exist, the task is refused, because a new random value would
            lock the data up.
        type: bool
        default: false
  field_manager:
    description: The name under which the API server records the fields that are declared here.
    type: str
    default: stateful.kube
  force_conflicts:
    description:
      - Take over fields that another manager has with another value. Without it the task ends before anything is
        changed, with a message that names every such field of every object, and its manager.
    type: bool
    default: false
  application:
    description:
      - The name of the application that O(definition) declares as a whole, which its objects carry as label
        C(app.kubernetes.io/instance).
      - While something is changed, the task holds the Lease of this application in O(namespace), so that no two runs
        change one application at once. A run that has nothing to do takes none.
      - Which kinds it has is noted on one of its objects (annotation C(stateful.kube/kinds)), so that O(prune) knows
        where to look.
    type: str
  prune:
    description:
      - Delete objects of O(application) that are no longer in O(definition), as the last part of the plan.
      - These are objects in O(namespace) with the application's label that O(field_manager) applied earlier and
        nobody else applies. Where the declared objects carry the label C(app.kubernetes.io/name), objects that carry
        another value of it belong to another application.
      - Kept with a warning are objects outside of namespaces, which may serve others, and custom resources, on which
        data may hang.
      - Never deleted are claims, volumes, namespaces, storage and priority classes, CustomResourceDefinitions, Secrets
        of O(generated_secrets), and what a controller made. A StatefulSet whose pods only its own operation replaces
        (C(OnDelete)), or whose claims would go with it, is refused.
      - Declare the whole application in one task. Objects that another task applies under the same label are taken
        for objects that are no longer declared.
    type: bool
    default: false
  hold_new:
    description:
      - Kinds of object that another task has to be done for before the first of them is made, such as V(StatefulSet)
        whose storage is to be tried out. Where the definition has an object of such a kind that does not exist yet,
        everything is looked at, nothing at all is changed, and RV(state.held) names it. Run the task again without
        this option then.
    type: list
    elements: str
    default: []
  storage_change:
    description:
      - What to do where a claim template of a StatefulSet changes in class, access modes or selector, while claims of
        it exist that are otherwise. Kubernetes never moves a claim.
      - With V(refuse) the task is refused. The message names the claims, and the ways to go on, of which
        M(stateful.kube.claim_migrate) is one.
      - With V(new_claims) the StatefulSet is made again without its pods, only claims that are yet to be made are of
        the new kind, and existing ones stay where they are, with their data.
      - Where no claim is otherwise (there are none, or M(stateful.kube.claim_migrate) has moved them) this option
        does not matter.
    type: str
    choices: [refuse, new_claims]
    default: refuse
  application_follows:
    description:
      - Say that a task which knows the application comes next, such as M(stateful.kube.mongodb_replica_set), and looks
        after the pods of a StatefulSet with C(updateStrategy) C(OnDelete).
      - Where fewer pods of it are declared than there are, the number is left as it is, instead of refused, because the
        members have to leave the application first. And no warning is given of pods that run an older revision.
      - A number that somebody set by another way since, such as C(kubectl scale), is no conflict then. What is declared
        counts again.
    type: bool
    default: false
  wait:
    description:
      - Wait until the objects are ready. Workloads are ready when their pods are, and a rollout has gone as far as its
        strategy lets it go by itself (to C(partition); not at all with C(OnDelete) or while paused). A Job has to
        succeed. Claims need a volume, unless their class waits for the first pod.
      - What no waiting heals ends the wait at once (a Job that has failed, a claim whose volume is gone, a name that no
        image can have, a Deployment that misses its C(progressDeadlineSeconds) while this task waits).
      - With O(state=absent) wait until they and the pods of deleted workloads are gone.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that this wait may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.objects_info
  - module: stateful.kube.claim_migrate
"""

EXAMPLES = r"""
- name: An application in one task
  stateful.kube.manifests:
    namespace: shop
    create_namespace: true
    definition: "{{ lookup('ansible.builtin.template', 'shop.yml.j2') }}"
    generated_secrets:
      - name: shop-root
        keys:
          username: {value: root}
          password: {length: 32}
    wait: true

- name: Show what would change, and change nothing
  stateful.kube.manifests:
    namespace: shop
    definition: "{{ objects }}"
  check_mode: true
  diff: true

- name: Delete as well what is no longer in the template
  stateful.kube.manifests:
    namespace: shop
    definition: "{{ lookup('ansible.builtin.template', 'shop.yml.j2') }}"
    application: shop
    prune: true

- name: Delete it again
  stateful.kube.manifests:
    namespace: shop
    definition: "{{ objects }}"
    state: absent
    wait: true
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample: [{"action": "apply", "target": "Service shop/shop", "step": "create Service shop/shop"}]
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The objects at the end (not their content).
  returned: always
  type: dict
  contains:
    held:
      description: The objects because of which nothing was done, by O(hold_new).
      type: list
      elements: str
    objects:
      description:
        - One entry for each declared object, with C(api_version), C(kind), C(namespace), C(name), C(exists),
          C(waits_for), and C(changes_template), which says whether a workload was given another template for its pods,
          or would be in check mode.
      type: list
      elements: dict
blocked:
  description: What held the pods back, one phrase a pod.
  returned: when the wait took too long
  type: list
  elements: str
"""

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import (
    parse_definitions,
    parse_generated,
    secret_values,
    shown,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._operate import Manifests
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(120),
        "definition": {"type": "raw", "aliases": ["resource_definition", "inline"], "default": []},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "namespace": {"type": "str"},
        "create_namespace": {"type": "bool", "default": False},
        "generated_secrets": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "no_log": False,
            "options": {
                "name": {"type": "str", "required": True},
                "keys": {"type": "dict", "required": True, "no_log": False},
                "labels": {"type": "dict", "default": {}},
                "annotations": {"type": "dict", "default": {}},
                "type": {"type": "str", "default": "Opaque"},
                "protects_data": {"type": "bool", "default": False},
            },
        },
        "field_manager": {"type": "str", "default": "stateful.kube"},
        "force_conflicts": {"type": "bool", "default": False},
        "application": {"type": "str"},
        "prune": {"type": "bool", "default": False},
        "hold_new": {"type": "list", "elements": "str", "default": []},
        "storage_change": {"type": "str", "choices": ["refuse", "new_claims"], "default": "refuse"},
        "application_follows": {"type": "bool", "default": False},
        "wait": {"type": "bool", "default": False},
    },
    "required_if": [("prune", True, ["application"])],
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    declared = parse_definitions(params["definition"])
    generated = parse_generated(params["generated_secrets"])
    if params["prune"] and params["state"] == "absent":
        raise Failure(
            "prune: expected state present, found absent: what is to be deleted is what definition names. Leave prune "
            "out."
        )
    if params["prune"] and not declared:
        raise Failure(
            "prune: expected at least one object in definition, found none: that would delete everything that the "
            "application has. To take an application away, name its objects with state absent."
        )
    if params["application"] and not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", params["application"]):
        raise Failure(
            f"application: expected a name as Kubernetes gives it (lower-case letters, digits and '-', with a letter "
            f"or digit at both ends), found {params['application']!r}."
        )
    task.conceal(secret_values(declared, generated))
    with connect(params, task.warn) as cluster:
        operation = Manifests(
            cluster,
            declared,
            state=params["state"],
            namespace=params["namespace"],
            create_namespace=params["create_namespace"],
            generated=generated,
            manager=params["field_manager"],
            force=params["force_conflicts"],
            application=params["application"] or "",
            prune=params["prune"],
            hold_new=params["hold_new"],
            storage_change=params["storage_change"],
            application_follows=params["application_follows"],
            wait=params["wait"],
            wait_timeout=params["wait_timeout"],
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run, shown)


if __name__ == "__main__":
    main()
