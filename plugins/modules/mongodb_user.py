#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_user
short_description: Declare users of a MongoDB replica set, with their passwords and roles
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes users of a MongoDB replica set be as declared, and drops those that are declared absent. Users that nobody
    declares are left alone.
  - One task serves any number of users. It logs in once as the root user, on the primary, through a tunnel of the
    Kubernetes API. A primary that cannot show that a majority of the voting members takes it for theirs is not
    believed, and one that steps down meanwhile is waited for. Every write is acknowledged by a majority.
  - Whether a password is the one that a user has is told from the key that MongoDB keeps of it, without a login. So a
    second run changes nothing, no failed login stands in the log, and restrictions on addresses do not disturb.
  - A password that is neither given nor in a Secret is made once, at random, and kept in a Secret with all that an
    application needs to connect, the keys C(username), C(password), C(database) and C(uri).
  - A new password is in the Secret before it is in the database. A run that was killed goes on from where it stopped
    when it is started again.
  - The account needs the rights to get the StatefulSet, to list pods and persistentvolumeclaims, to get, create, patch
    and delete secrets and leases, and to get and create C(pods/portforward).
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  users:
    description: The users.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      database:
        description:
          - The database that the user is in, which clients give as C(authSource). The same name in another database is
            another user.
          - Users of V($external) are known by a certificate or another system, and have no password here.
        type: str
        default: admin
        aliases: [db]
      password:
        description: The password. Where neither this nor O(users[].password_secret) is given, one is made.
        type: str
      password_secret:
        description:
          - An existing Secret in O(namespace) that holds the password. Another value in it is another password.
        type: dict
        suboptions:
          name:
            description: Name of the Secret.
            type: str
            required: true
          key:
            description: The key in it.
            type: str
            default: password
      secret:
        description:
          - Name of the Secret that a made password is kept in. The default is O(name), a dash, and O(users[].name). A
            Secret of that name which was not made for this user is never overwritten.
        type: str
      rotation:
        description:
          - Any text, such as a date. A made password is replaced by a new one when the Secret records another text
            than this, and the Secret records it then. So each text makes one new password, however often it is run.
          - Connections that are open stay open. A client that connects anew needs the new password from the Secret.
        type: str
      update_password:
        description:
          - V(always) gives the user the declared password whenever it has another one.
          - V(on_create) sets it for a new user only.
        type: str
        choices: [always, on_create]
        default: always
      roles:
        description:
          - The roles of the user. Each is a name, which is a role of O(users[].database), or has C(role) and C(db).
          - Where it is not given, the roles of a user that is there are left as they are. An empty list takes all away.
        type: list
        elements: raw
      mechanisms:
        description:
          - The mechanisms that the user may log in with. Where it is not given, they are left as they are, and a new
            user has those of the server. Adding one sets the password once more.
        type: list
        elements: str
        choices: [SCRAM-SHA-1, SCRAM-SHA-256]
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
        description:
          - V(present) makes the user be as declared. V(absent) drops it, and deletes the Secret that was made for it.
        type: str
        choices: [present, absent]
        default: present
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 120
seealso:
  - module: stateful.kube.mongodb_role
  - module: stateful.kube.mongodb_root_password
  - module: stateful.kube.mongodb_replica_set
"""

EXAMPLES = r"""
- name: A user with a password that is made once and kept in the Secret shop-cart
  stateful.kube.mongodb_user:
    name: shop
    namespace: shop
    users:
      - name: cart
        database: cart
        roles: [readWrite]

- name: Several users
  stateful.kube.mongodb_user:
    name: shop
    namespace: shop
    users:
      - name: reports
        password_secret:
          name: reports-login
        roles:
          - {role: read, db: cart}
          - {role: read, db: stock}
      - name: exporter
        password: "{{ exporter_password }}"
        update_password: on_create
        roles: [clusterMonitor]
        authentication_restrictions:
          - client_source: [10.0.0.0/8]
      - name: intern
        state: absent

- name: A new password for a user, once
  stateful.kube.mongodb_user:
    name: shop
    namespace: shop
    users:
      - name: cart
        database: cart
        roles: [readWrite]
        rotation: "2026-11"
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: create
      target: cart@cart
      step: create user cart@cart with the roles readWrite@cart
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The declared users at the end.
  returned: always
  type: dict
  contains:
    primary:
      description: The pod of the primary, or null.
      type: str
      returned: always
    users:
      description: One entry for each declared user. Passwords are never among it.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: Name of the user.
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
        roles:
          description: Its roles, with C(role) and C(db).
          type: list
          elements: dict
          returned: always
        mechanisms:
          description: The mechanisms that it may log in with.
          type: list
          elements: str
          returned: always
        authentication_restrictions:
          description: Its restrictions, with C(client_source) and C(server_address).
          type: list
          elements: dict
          returned: always
        secret:
          description: The Secret that holds its password, or null.
          type: str
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
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import MECHANISMS, users_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._operate import Users
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

USER_OPTIONS = {
    "name": {"type": "str", "required": True},
    "database": {"type": "str", "default": "admin", "aliases": ["db"]},
    "password": {"type": "str", "no_log": True},
    # Names of Secrets, not their content.
    "password_secret": {
        "type": "dict",
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "key": {"type": "str", "default": "password", "no_log": False},
        },
    },
    "secret": {"type": "str", "no_log": False},
    "rotation": {"type": "str"},
    "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
    "roles": {"type": "list", "elements": "raw"},
    "mechanisms": {"type": "list", "elements": "str", "choices": list(MECHANISMS)},
    "authentication_restrictions": restrictions_argument(),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(120),
        "users": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": USER_OPTIONS,
            "mutually_exclusive": [("password", "password_secret", "secret")],
        },
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    users = users_of(task.params["users"], task.params["name"])
    with connect(task.params, task.warn) as cluster:
        target = Target.of(task.params, cluster.namespace)
        with Observer(cluster, target) as observer:
            return carry_out(Users(observer, users, task.params["wait_timeout"], task.conceal), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
