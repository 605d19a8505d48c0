#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_adopt
short_description: Take over a MongoDB replica set that somebody else has made, without a restart
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - For a replica set in the pods of a StatefulSet that was made by hand, by a chart or by a sidecar. StatefulSet,
    Service and claims keep their names, and the replica set its id and its members. No pod is restarted.
  - Without O(accept) it changes nothing. It asks every pod, and tells who the members are, what they run with, what is
    otherwise than the role C(stateful.kube.mongodb) declares it, what becomes of each difference, and with which
    variables the role declares what there is.
  - With O(accept) it labels claims, Service and StatefulSet, records the set id, has the StatefulSet leave its pods
    alone when the template changes (C(OnDelete)), and takes the fields of both over from who has declared them, as they
    are. So the next run of the playbook changes what its own check mode shows, and meets no conflict.
  - Members that are in the configuration by address or short name get their stable names then, one reconfiguration
    each, while all members serve, the primary last, and none by force. Clients that have learned the former names
    learn the new ones from the set.
  - It refuses where a member does not answer, where pods hold several sets or none, where there is no primary, and
    where an operator owns the StatefulSet. What Helm manages is taken over with O(from_helm) alone.
  - A run that was killed goes on from where it stopped. An adopted set is left alone.
  - The account needs the rights to get and patch the StatefulSet, the Service and persistentvolumeclaims, to list pods
    and persistentvolumeclaims, to get Secrets, to get and create C(pods/portforward), and to get, create, update and
    delete leases.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  accept:
    description:
      - The id of the replica set, typed as the report shows it. Without it nothing is changed.
    type: str
  rename_members:
    description:
      - Give members their stable names. With V(false) they keep those they have, and
        M(stateful.kube.mongodb_replica_set) refuses to touch the set until they have them.
    type: bool
    default: true
  from_helm:
    description:
      - Take over objects that Helm manages. Delete the Secrets C(sh.helm.release.v1.*) of the release afterwards, so
        that Helm knows nothing of it, and never upgrade or uninstall it, which would delete the set with its Secrets.
    type: bool
    default: false
  sidecar_stopped:
    description:
      - Say that a container mongo-k8s-sidecar in the pods does nothing any more. As long as it may list pods it forces
        the names that it knows back, so members are not renamed beside it.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_authentication
  - module: stateful.kube.mongodb_replica_set
  - module: stateful.kube.mongodb_repair
"""

EXAMPLES = r"""
- name: Show what there is, and what is otherwise
  stateful.kube.mongodb_adopt:
    name: mongo
    namespace: shop
  register: found

- name: Take it over, with the set id that the report shows
  stateful.kube.mongodb_adopt:
    name: mongo
    namespace: shop
    accept: 6b02bacf91880ecf3aa151b5
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: rename
      target: mongo-2
      step: >-
        give mongo-2 its stable name: mongo-2.mongo.shop.svc.cluster.local:27017 in place of 10.244.0.69:27017
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: What there is at the end.
  returned: always
  type: dict
  contains:
    replica_set:
      description: The name of the replica set.
      type: str
      returned: always
    set_id:
      description: The id of the replica set, or null where there are several or none.
      type: str
      returned: always
    set_ids:
      description: The set ids that members report.
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
    image:
      description: The image of the first container.
      type: str
      returned: always
    members:
      description:
        - One entry for each pod, with C(pod), C(id), C(host), C(state), C(behind_seconds), C(newest_write) in seconds
          since the epoch, C(authentication), C(tls) (by a Secret of M(stateful.kube.mongodb_tls)), and C(set_id).
      type: list
      elements: dict
      returned: always
    differences:
      description:
        - What is otherwise than the role declares it, as C(what), C(found) and C(how) (what becomes of it).
      type: list
      elements: dict
      returned: always
    variables:
      description: Variables of the role C(stateful.kube.mongodb) that declare what there is.
      type: dict
      returned: always
    would:
      description: What an adoption would do with the set id typed.
      type: list
      elements: str
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._operate import Adoption
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "accept": {"type": "str"},
        "rename_members": {"type": "bool", "default": True},
        "from_helm": {"type": "bool", "default": False},
        "sidecar_stopped": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        wish = Wish(params["accept"] or "", params["rename_members"], params["from_helm"], params["sidecar_stopped"])
        with Observer(cluster, target) as observer:
            return carry_out(Adoption(observer, wish, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
