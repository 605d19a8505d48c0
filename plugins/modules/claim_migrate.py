#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: claim_migrate
short_description: Move the claims of a StatefulSet to another storage class
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Moves the claims of a StatefulSet to another class, with their data, or explicitly without. The claims have the
    same names afterwards, and the StatefulSet has the new class in its claim templates. Claims of ordinals that have
    no pod at the moment move too.
  - The pods are stopped meanwhile. Before that it asks what would only show later (the class and its driver, access
    modes, quotas for claims and copies side by side, rights, autoscalers, pods of others that use a claim), has the API
    server try what it will make, and has the image of the copying pods run once.
  - A pod for each claim copies everything with owner, mode, times, links and holes, and then compares names, owners,
    modes, times and the content (sha256) of both volumes. Only when all copies are complete is the first claim
    touched. The old volume is kept by its reclaim policy before its claim is deleted.
  - A copy that fails (no room, a file that cannot be read, a pod that never comes) brings the StatefulSet back on its
    old claims with as many pods as it had, and the task fails and says why.
  - Run again, it goes on where an earlier run has stopped or was killed, and changes nothing where all is there. All
    that this takes is on the objects (the annotation C(stateful.kube/migration)). Until it is done
    M(stateful.kube.manifests) refuses to apply the StatefulSet.
  - Run with the class on which the claims still are, it gives an interrupted move up.
  - The next apply of a declaration with the old class is refused. Correct the declaration as well.
  - Extended attributes and access control lists are copied as far as the cp of the image does, and are not compared.
    The folder C(lost+found) at the root of a volume is left out. Raw volumes (C(volumeMode=Block)) are not copied.
  - The account needs the rights to get, list and patch persistentvolumes; to list, create, patch and delete
    persistentvolumeclaims; to list, create and delete pods and to get pods/log; to get, create, patch and delete
    statefulsets and secrets; and those on leases. It is refused before anything changes where one is missing. With the
    right to list storageclasses, csidrivers, resourcequotas and horizontalpodautoscalers it can tell more beforehand.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
options:
  name:
    description: Name of the StatefulSet whose claims move.
    type: str
    required: true
  namespace:
    description: Namespace of the StatefulSet. The default is the namespace of the context.
    type: str
  storage_class:
    description: The class to move to.
    type: str
    required: true
  templates:
    description: The claim templates whose claims move. The default is all.
    type: list
    elements: str
    default: []
  size:
    description:
      - The size of each new claim at least, as a quantity of Kubernetes, and that of the claim template afterwards.
        The default is what each claim has. A claim that has more keeps as much.
    type: str
  access_modes:
    description: Access modes of the new claims and of the claim template. The default is what each claim has.
    type: list
    elements: str
    choices: [ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod]
    default: []
  data:
    description:
      - V(copy) copies the data and compares it.
      - V(leave) starts the application empty on new claims. It needs O(leave_data_of).
    type: str
    choices: [copy, leave]
    default: copy
  leave_data_of:
    description: The name of the StatefulSet once more, as confirmation that it starts without its data.
    type: str
  old_volumes:
    description:
      - What becomes of the old volumes in the end. V(retain) keeps them as PersistentVolumes of phase Released, with
        the label C(stateful.kube/migration=left) and an annotation that says whose they were.
      - V(delete) has their driver delete them, after the StatefulSet has been made again on the new claims, and with
        O(wait) after it was ready on them.
    type: str
    choices: [retain, delete]
    default: retain
  image:
    description:
      - The image of the pods that copy. It needs sh, find, cp, stat, sort, sha256sum, diff, du and awk, of coreutils or
        of busybox. Holes in files are kept with coreutils alone.
      - The image of the application itself is often a good choice, because the nodes have it.
    type: str
    default: docker.io/library/debian:12-slim
  image_pull_policy:
    description: When the image is pulled.
    type: str
    choices: [Always, IfNotPresent, Never]
    default: IfNotPresent
  run_as_user:
    description:
      - Number of the user that copies. The default is the user of the StatefulSet's container, or V(0) where it names
        none.
      - With V(0) the pod is root with the capabilities to read, own and link everything, which namespaces with the pod
        security standard restricted do not allow. Anybody else can only copy what is theirs.
    type: int
  wait:
    description: Wait until the StatefulSet is ready on its new claims.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds that the wait for any one step may take. While data is copied they count from the last progress.
    type: int
    default: 600
seealso:
  - module: stateful.kube.claim_resize
  - module: stateful.kube.manifests
  - module: stateful.kube.storage_preflight
"""

EXAMPLES = r"""
- name: Show what moving the claims of a database would do
  stateful.kube.claim_migrate:
    name: shop
    namespace: shop
    storage_class: fast
  check_mode: true

- name: Move them, with their data
  stateful.kube.claim_migrate:
    name: shop
    namespace: shop
    storage_class: fast
    image: docker.io/library/mongo:6.0.5
  register: moved

- name: Show the claims, and what was left
  ansible.builtin.debug:
    var: moved.state

- name: Start a cache anew on other storage, and delete what it had
  stateful.kube.claim_migrate:
    name: cache
    namespace: shop
    storage_class: fast
    data: leave
    leave_data_of: cache
    old_volumes: delete
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: copy
      target: PersistentVolumeClaim shop/data-shop-0
      step: copy claim data-shop-0 (10Gi) to data-shop-0-migration
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
    storage_class:
      description: The class that they move to.
      type: str
      returned: always
    templates:
      description: The claim templates.
      type: list
      elements: str
      returned: always
    replicas:
      description: How many pods the StatefulSet has, or had before it was stopped.
      type: int
      returned: always
    stopped:
      description: Whether its pods are stopped, and a move is under way.
      type: bool
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
        template:
          description: The claim template that it is of.
          type: str
          returned: always
        storage_class:
          description: Its class, or null.
          type: str
          returned: always
        size:
          description: What it asks for or has, whichever is more; null where there is no claim.
          type: str
          returned: always
        volume:
          description: Its volume, or null.
          type: str
          returned: always
        state:
          description:
            - V(present) is on the class, V(elsewhere) on another one, V(no-volume) too, but has nothing to copy.
            - V(copying), V(failed) and V(copied) tell of its copy, V(between) has been deleted and is made again.
          type: str
          returned: always
        copied:
          description:
            - What this run copied, with C(files), C(bytes) and C(sha256) over all names, owners, modes, times and
              contents, which was the same on both volumes; else null.
          type: dict
          returned: always
    left_volumes:
      description: Old volumes of this StatefulSet that this and earlier moves have left.
      type: list
      elements: str
      returned: always
refusal:
  description: Why the claims cannot move, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
blocked:
  description: What held the move up.
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
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate import Migrate
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import Wish
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import ACCESS_MODES
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(600),
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "storage_class": {"type": "str", "required": True},
        "templates": {"type": "list", "elements": "str", "default": []},
        "size": {"type": "str"},
        "access_modes": {"type": "list", "elements": "str", "choices": list(ACCESS_MODES), "default": []},
        "data": {"type": "str", "choices": ["copy", "leave"], "default": "copy"},
        "leave_data_of": {"type": "str"},
        "old_volumes": {"type": "str", "choices": ["retain", "delete"], "default": "retain"},
        "image": {"type": "str", "default": "docker.io/library/debian:12-slim"},
        "image_pull_policy": {
            "type": "str",
            "choices": ["Always", "IfNotPresent", "Never"],
            "default": "IfNotPresent",
        },
        "run_as_user": {"type": "int"},
        "wait": {"type": "bool", "default": True},
    },
    "supports_check_mode": True,
}


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """The options, checked. Raises Failure."""
    size = str(params["size"] or "").strip()
    try:
        fits = not size or quantity(size) > 0
    except ValueError:
        fits = False
    if not fits:
        raise Failure(f"size: expected a quantity of bytes such as 20Gi, found {size!r}.")
    if not params["storage_class"]:
        raise Failure("storage_class: expected the name of a StorageClass, found nothing.")
    if params["run_as_user"] is not None and params["run_as_user"] < 0:
        raise Failure(f"run_as_user: expected the number of a user, 0 or more, found {params['run_as_user']}.")
    confirmed = params["leave_data_of"] or ""
    if confirmed and params["data"] != "leave":
        raise Failure("leave_data_of: it is for data leave, and data is copy. Leave it out, or set data to leave.")
    return Wish(
        params["name"],
        params["storage_class"],
        tuple(dict.fromkeys(params["templates"])),
        size,
        tuple(dict.fromkeys(params["access_modes"])),
        params["data"],
        params["old_volumes"],
        confirmed,
        params["wait"],
    )


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wish = wish_of(params)
    with connect(params, task.warn) as cluster:
        operation = Migrate(
            cluster,
            params["namespace"] or cluster.namespace,
            wish,
            params["wait_timeout"],
            params["image"],
            params["image_pull_policy"],
            params["run_as_user"],
            task.progress,
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
