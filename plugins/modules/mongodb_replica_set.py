#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_replica_set
short_description: Form, scale, configure and update a MongoDB replica set in the pods of a StatefulSet
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes the pods of a StatefulSet one MongoDB replica set. The set is initiated with one member, gets its root user
    through the localhost exception, and grows by one voting member at a time.
  - Members that are declared no more leave one by one. The primary is moved to one that stays and has caught up, a
    member is taken out of the configuration before its pod goes, a majority has to know of it, and the claims stay
    (see O(claims_when_scaled)).
  - Pods of an older revision of the StatefulSet, which must have C(updateStrategy) C(OnDelete), are replaced one by
    one, secondaries first and each back and caught up before the next, the primary last and after it has stepped down.
  - The members are reached through the Kubernetes API alone, by a tunnel to each pod. Nothing is exposed, and no
    client program is needed where the task runs.
  - Before each step the cluster and every member are looked at again, and a step is taken only on what they said
    themselves. A member that does not answer is never taken for a member without data. The set id is recorded on
    the StatefulSet when the set is formed; where one is recorded, no set is ever initiated again.
  - A run that was killed goes on from where it stopped when it is started again. No reconfiguration is ever forced.
  - The account needs the rights to get and patch the StatefulSet, to list pods and persistentvolumeclaims, to get the
    Secret, and to get and create C(pods/portforward), and to delete pods (and claims, if so declared) where it is to
    replace them. With the right to watch StatefulSets and pods it waits less.
  - In check mode the steps are shown that would be taken, in order, also where the application does not exist yet.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  members:
    description:
      - Number of members, from 1 to 50. Of more than 7 members only 7 vote, and of an even number one does not, so that
        an odd number of votes is left. These are the members with the highest ordinals for which O(member_options) says
        neither C(votes) nor C(priority).
      - A lower number than before takes members out, and then their pods.
    type: int
    required: true
  claims_when_scaled:
    description:
      - What becomes of the claims of members that have left. With V(retain) they stay, and a member that comes back
        finds its data. With V(delete) they are deleted once their pods are gone, and so is what an earlier run has left
        of members beyond O(members).
    type: str
    choices: [retain, delete]
    default: retain
  authentication:
    description:
      - What the members are started with. With V(disabled) no root user is made, and O(root_secret) need not exist.
        With V(transition) and V(required) a set that has none gets it, before any pod is replaced.
      - M(stateful.kube.mongodb_authentication) tells from which of them one comes to which.
    type: str
    choices: [disabled, transition, required]
    default: required
  replace_pods:
    description:
      - Replace pods of an older revision of the StatefulSet. With V(false) they stay as they are, with a warning.
    type: bool
    default: true
  template_changes:
    description:
      - Say that the template of the StatefulSet is about to change, which check mode cannot see on it, so that the plan
        has the replacement of every pod. Without effect otherwise.
    type: bool
    default: false
  lag_limit:
    description:
      - Seconds that a member may be behind the primary. As long as one is further behind, no pod is replaced and no
        primary steps down for it. The delay of a member that is behind on purpose does not count.
    type: int
    default: 10
  feature_compatibility_version:
    description:
      - The feature compatibility version that the data is to be kept in, such as V(6.0). It is raised (or lowered) once
        every member runs a server that knows it. Without it, it stays as it is, so that the way back to the series
        before stays open after an upgrade.
      - An image whose tag names a series that cannot read the data is refused before any pod is replaced. MongoDB goes
        from one series to the next only.
    type: str
  member_options:
    description:
      - What is declared of single members. A member without an entry has the defaults of MongoDB.
    type: list
    elements: dict
    default: []
    suboptions:
      ordinal:
        description: The ordinal of the member's pod, from 0.
        type: int
        required: true
      priority:
        description:
          - How much this member is preferred as primary, from 0 (never) to 1000. It must be 0 for a member that is
            hidden or delayed, has no vote, or builds no indexes.
          - Without it 1, and 0 for a member without a vote.
        type: float
      votes:
        description:
          - Whether the member votes (1) or not (0). Without it, it votes, unless there are too many votes (see
            O(members)).
        type: int
        choices: [0, 1]
      hidden:
        description: Hide the member from clients.
        type: bool
        default: false
      tags:
        description: Tags of the member, for read preferences and write concerns.
        type: dict
        default: {}
      secondary_delay_secs:
        description: Seconds that the member stays behind the primary on purpose.
        type: int
        default: 0
      build_indexes:
        description: Whether the member builds indexes. It can never be changed once the member is in the set.
        type: bool
        default: true
      arbiter_only:
        description:
          - Let this member vote and hold no data. One member can be an arbiter, and never ordinal 0; it has one vote
            and priority 0, and nothing else can be declared of it. A member never becomes an arbiter later, nor the
            reverse.
          - MongoDB takes an arbiter only where a default write concern is set. Where none is, it becomes C(majority),
            so that no acknowledged write is lost. With two members that hold data such writes then wait while one of
            them is away.
        type: bool
        default: false
      horizons:
        description:
          - What clients elsewhere call this member, as a dictionary from the name of the horizon to C(HOST:PORT).
            Every member has the same horizons, or none has any. Without it for any member they are left as they are,
            and V({}) takes them away. MongoDB tells clients apart by the name in their TLS
            handshake.
        type: dict
  settings:
    description: Settings of the replica set. What is not declared is left alone.
    type: dict
    default: {}
    suboptions:
      chaining_allowed:
        description: Whether secondaries may replicate from secondaries.
        type: bool
      heartbeat_interval_millis:
        description: Milliseconds between two heartbeats.
        type: int
      heartbeat_timeout_secs:
        description: Seconds after which a member that sends no heartbeat counts as unreachable.
        type: int
      election_timeout_millis:
        description: Milliseconds without a primary after which a secondary calls an election.
        type: int
      catch_up_timeout_millis:
        description: Milliseconds that a new primary may take to catch up. V(-1) is without limit.
        type: int
      catch_up_takeover_delay_millis:
        description: Milliseconds after which a member that is ahead of a new primary may take over.
        type: int
  state:
    description: V(present) makes the replica set be as declared.
    type: str
    choices: [present]
    default: present
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_replica_set_info
"""

EXAMPLES = r"""
- name: Three members that can all become primary
  stateful.kube.mongodb_replica_set:
    name: shop
    namespace: shop
    members: 3

- name: Five members, the last one hidden and without a vote for reports, the fourth one without a vote
  stateful.kube.mongodb_replica_set:
    name: shop
    namespace: shop
    members: 5
    member_options:
      - ordinal: 0
        priority: 2
      - ordinal: 3
        votes: 0
        priority: 0
      - ordinal: 4
        votes: 0
        priority: 0
        hidden: true
        tags:
          use: reports
    settings:
      election_timeout_millis: 5000

- name: Show what would be done
  stateful.kube.mongodb_replica_set:
    name: shop
    namespace: shop
    members: 5
  check_mode: true
  diff: true
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: add
      target: shop-3
      step: add shop-3 (shop-3.shop.shop.svc.cluster.local:27017) as a voting member
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The replica set at the end.
  returned: always
  type: dict
  contains:
    set_id:
      description: The set id that the members report, or null where nobody could be asked.
      type: str
      returned: always
    recorded_set_id:
      description: The set id that is recorded on the StatefulSet, or null.
      type: str
      returned: always
    replica_set:
      description: The name of the replica set.
      type: str
      returned: always
    config_version:
      description: Version of the configuration.
      type: int
      returned: always
    term:
      description: Term of the configuration.
      type: int
      returned: always
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    feature_compatibility_version:
      description: The feature compatibility version of the data, where a primary told it.
      type: str
      returned: always
    voting_members:
      description: How many votes count now. A joining voter's does not until it has caught up.
      type: int
      returned: always
    members:
      description:
        - One entry for each member, in the order of the ordinals, with C(pod), C(host), C(state), C(health),
          C(lag_seconds), C(priority), C(votes), C(hidden), C(tags), C(secondary_delay_secs), C(arbiter_only),
          C(horizons), C(claim), C(node), C(age_seconds), C(ready),
          C(certificate_days_left), which is null without TLS, and C(blocked), which says what keeps it from serving or
          is null.
      type: list
      elements: dict
      returned: always
    left_claims:
      description: Claims of members that have left.
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import SETTINGS, Target, desired_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._replica_set import ReplicaSet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import AUTHENTICATION, REQUIRED
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

MEMBER_OPTIONS = {
    "ordinal": {"type": "int", "required": True},
    "priority": {"type": "float"},
    "votes": {"type": "int", "choices": [0, 1]},
    "hidden": {"type": "bool", "default": False},
    "tags": {"type": "dict", "default": {}},
    "secondary_delay_secs": {"type": "int", "default": 0},
    "build_indexes": {"type": "bool", "default": True},
    "arbiter_only": {"type": "bool", "default": False},
    "horizons": {"type": "dict"},
}

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "members": {"type": "int", "required": True},
        "feature_compatibility_version": {"type": "str"},
        "member_options": {"type": "list", "elements": "dict", "default": [], "options": MEMBER_OPTIONS},
        "settings": {
            "type": "dict",
            "default": {},
            "options": {name: {"type": "bool" if name == "chaining_allowed" else "int"} for name in SETTINGS},
        },
        "claims_when_scaled": {"type": "str", "choices": ["retain", "delete"], "default": "retain"},
        "authentication": {"type": "str", "choices": list(AUTHENTICATION), "default": REQUIRED},
        "replace_pods": {"type": "bool", "default": True},
        "template_changes": {"type": "bool", "default": False},
        "lag_limit": {"type": "int", "default": 10},
        "state": {"type": "str", "choices": ["present"], "default": "present"},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    desired = desired_of({**params, "template_changes": params["template_changes"] and task.check_mode})
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            operation = ReplicaSet(observer, desired, task.params["wait_timeout"])
            result = carry_out(operation, task)
            if not task.check_mode:
                operation.remember()
            return result


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
