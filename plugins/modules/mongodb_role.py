#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_role
short_description: Declare custom roles of a MongoDB replica set
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes custom roles of a MongoDB replica set be as declared, and drops those that are declared absent. Roles that
    nobody declares are left alone, and so are those that MongoDB itself has.
  - Privileges and inherited roles are compared whatever the order they are written in. Roles that inherit from each
    other may be declared in any order.
  - It works on the primary, through a tunnel of the Kubernetes API, as M(stateful.kube.mongodb_user) does.
  - The account needs the rights to get the StatefulSet and the Secret, to list pods and persistentvolumeclaims, to get
    and create C(pods/portforward), and to get, create, update and delete leases.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  roles:
    description: The roles.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the role.
        type: str
        required: true
      database:
        description:
          - The database that the role is in. A role of V(admin) may have privileges on every database and on the
            cluster, one of another database on that database only.
        type: str
        default: admin
        aliases: [db]
      privileges:
        description: What the role allows by itself.
        type: list
        elements: dict
        default: []
        suboptions:
          resource:
            description: What the actions are allowed on.
            type: dict
            required: true
            suboptions:
              db:
                description: A database; empty for any.
                type: str
              collection:
                description: A collection of it; empty, or not given, for any.
                type: str
              cluster:
                description: The cluster as such.
                type: bool
              any_resource:
                description: Everything, what MongoDB keeps for itself included.
                type: bool
          actions:
            description: The actions, by the names that MongoDB has for them.
            type: list
            elements: str
            required: true
      roles:
        description:
          - The roles that it inherits from. Each is a name, which is a role of O(roles[].database), or has C(role) and
            C(db).
        type: list
        elements: raw
        default: []
      authentication_restrictions:
        description:
          - From which and to which addresses a login is allowed. An empty list takes all restrictions away. Where it is
            not given, restrictions are left as they are.
        type: list
        elements: dict
        suboptions:
          client_source:
            description: Addresses, or ranges such as V(10.0.0.0/8), that a client may come from.
            type: list
            elements: str
          server_address:
            description: Addresses, or ranges, of the server that a client may connect to.
            type: list
            elements: str
      state:
        description: V(present) makes the role be as declared. V(absent) drops it, also from the users that have it.
        type: str
        choices: [present, absent]
        default: present
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.mongodb_user
"""

EXAMPLES = r"""
- name: A role that may read the stock and write orders
  stateful.kube.mongodb_role:
    name: shop
    namespace: shop
    roles:
      - name: seller
        privileges:
          - resource: {db: cart, collection: orders}
            actions: [find, insert, update]
        roles:
          - {role: read, db: stock}
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      target: seller@admin
      step: create role seller@admin
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The declared roles at the end.
  returned: always
  type: dict
  contains:
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    roles:
      description: One entry for each declared role.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the role.
          type: str
          returned: always
        database:
          description: The database that it is in.
          type: str
          returned: always
        state:
          description: V(present) or V(absent).
          type: str
          returned: always
        privileges:
          description: What it allows by itself, with C(resource) and C(actions) as MongoDB tells them.
          type: list
          elements: dict
          returned: always
        roles:
          description: The roles that it inherits from, with C(role) and C(db).
          type: list
          elements: dict
          returned: always
        authentication_restrictions:
          description: Its restrictions, with C(client_source) and C(server_address).
          type: list
          elements: dict
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import (
    restrictions_argument,
    target_arguments,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import roles_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._operate import Roles
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

RESOURCE_OPTIONS = {
    "db": {"type": "str"},
    "collection": {"type": "str"},
    "cluster": {"type": "bool"},
    "any_resource": {"type": "bool"},
}

ROLE_OPTIONS = {
    "name": {"type": "str", "required": True},
    "database": {"type": "str", "default": "admin", "aliases": ["db"]},
    "privileges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "resource": {"type": "dict", "required": True, "options": RESOURCE_OPTIONS},
            "actions": {"type": "list", "elements": "str", "required": True},
        },
    },
    "roles": {"type": "list", "elements": "raw", "default": []},
    "authentication_restrictions": restrictions_argument(),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(120),
        "roles": {"type": "list", "elements": "dict", "required": True, "options": ROLE_OPTIONS},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    roles = roles_of(task.params["roles"])
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            return carry_out(Roles(observer, roles, task.params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
