#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_user
short_description: Declare users of MySQL or MariaDB, with their passwords and privileges
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes users of a MySQL or MariaDB be as declared, and drops those that are declared absent. Users that nobody
    declares are left alone.
  - One task serves any number of users. It logs in once as the root user, on the primary that the record names, through
    a tunnel of the Kubernetes API. Where the primary takes no writes it waits. Replicas get everything by replication.
  - Whether a password is the one that a user has is told from what the server keeps of it, without a login. So a second
    run changes nothing, no failed login stands in the log, and it does not matter which host the user may come from.
  - A password that is neither given nor in a Secret is made once, at random, and kept in a Secret with all that an
    application needs to connect, the keys C(username), C(password), C(host), C(port) and C(uri).
  - A new password is in the Secret before it is in the server. A run that was killed goes on from where it stopped when
    it is started again.
  - What MariaDB is told, stands in its binary log as it was said. So it is told what it keeps of a password, and the
    password itself only where a plugin checks passwords and takes nothing else.
  - The account needs the rights to get the StatefulSet, the Service and the ConfigMap of the record, to list pods and
    persistentvolumeclaims, to get, create, patch and delete secrets and leases, and to get and create
    C(pods/portforward).
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  users:
    description: The users.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the user. The root user, accounts of the server, and names that begin with C(stateful_) are refused.
        type: str
        required: true
        aliases: [user]
      host:
        description:
          - Where the user may come from, an address or a pattern. The same name from another host is another user.
          - The servers look up no names of clients, so V(localhost) is the socket in the pod alone.
        type: str
        default: "%"
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
          - Name of the Secret that a made password is kept in. The default is O(name), a dash, and O(users[].name), in
            lower case and with dashes for underscores. A Secret of that name which was not made for this user is never
            overwritten.
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
      plugin:
        description:
          - How the password is kept, such as V(ed25519) of MariaDB, where the server has that plugin. Without it a user
            keeps what it has, and a new one has what the server takes by itself.
        type: str
        choices: [caching_sha2_password, ed25519, mysql_native_password, sha256_password]
      priv:
        description:
          - The privileges of the user, as C(DATABASE.TABLE:PRIVILEGE,PRIVILEGE), several of them with C(/) between
            them, or a dictionary of the two. C(ALL) and C(GRANT) stand for all privileges, and for the right to give
            them on. Columns stand in brackets behind a privilege, and C(FUNCTION) or C(PROCEDURE) before a name.
          - The privileges are these and no others then, unless O(users[].append_privs) is true. Roles are left alone.
          - Where it is not given, the privileges of a user that is there are left as they are. An empty dictionary
            takes all away.
        type: raw
      append_privs:
        description: Whether privileges that are not declared stay.
        type: bool
        default: false
      locked:
        description: Whether the user is locked, and cannot log in. Where it is not given, that is left as it is.
        type: bool
      resource_limits:
        description:
          - C(MAX_QUERIES_PER_HOUR), C(MAX_UPDATES_PER_HOUR), C(MAX_CONNECTIONS_PER_HOUR) and C(MAX_USER_CONNECTIONS).
            V(0) is no limit. What is not given is left as it is.
        type: dict
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
  - module: stateful.kube.mysql_root_password
  - module: stateful.kube.mysql_replication_password
  - module: stateful.kube.mysql_replication
"""

EXAMPLES = r"""
- name: A user with a password that is made once and kept in the Secret shop-cart
  stateful.kube.mysql_user:
    name: shop
    namespace: shop
    users:
      - name: cart
        priv: "cart.*:ALL"

- name: Several users
  stateful.kube.mysql_user:
    name: shop
    namespace: shop
    users:
      - name: reports
        host: 10.0.0.0/255.0.0.0
        password_secret:
          name: reports-login
        priv:
          "cart.*": SELECT,SHOW VIEW
          "stock.prices": SELECT(article,price)
        resource_limits: {MAX_USER_CONNECTIONS: 5}
      - name: exporter
        password: "{{ exporter_password }}"
        update_password: on_create
        priv: "*.*:PROCESS,REPLICATION CLIENT/performance_schema.*:SELECT"
      - name: intern
        state: absent

- name: A new password for a user, once
  stateful.kube.mysql_user:
    name: shop
    namespace: shop
    users:
      - name: cart
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
      target: cart@%
      step: create user cart@% with ALL PRIVILEGES on `cart`.*
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
        host:
          description: Where it may come from.
          type: str
          returned: always
        state:
          description: V(present) or V(absent).
          type: str
          returned: always
        plugin:
          description: How its password is kept, or null.
          type: str
          returned: always
        locked:
          description: Whether it is locked.
          type: bool
          returned: always
        priv:
          description: Its privileges, by what they are for.
          type: dict
          returned: always
        resource_limits:
          description: Its limits, without those that are 0.
          type: dict
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._declared import users_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._hash import PLUGINS
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._operate import Users
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

USER_OPTIONS = {
    "name": {"type": "str", "required": True, "aliases": ["user"]},
    "host": {"type": "str", "default": "%"},
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
    "plugin": {"type": "str", "choices": list(PLUGINS)},
    "priv": {"type": "raw"},
    "append_privs": {"type": "bool", "default": False},
    "locked": {"type": "bool"},
    "resource_limits": {"type": "dict"},
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
