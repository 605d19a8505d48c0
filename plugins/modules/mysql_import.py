#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_import
short_description: Bring in the data of a MySQL or MariaDB server outside of the application
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Loads a dump of a running server into the one server of an application of the role C(mysql), and lets
    it replicate from there, until a run with O(cut_over) ends that with nothing lost.
  - Nobody writes to the application meanwhile, also after another start of its pod. Other operations on it do nothing,
    and say why.
  - The dump is made and loaded by the clients of the application's image, in its pod. It goes on without the run that
    has started it. A load that was ended half-way, such as by a pod that was deleted, is dropped by the next run, and
    begun anew.
  - All databases of the source are brought in, but for those of the server itself. Accounts are not. The result and a
    warning name those that are missing here.
  - A cut-over wants a source that is read-only, and that two looks find unchanged. The application has to have applied
    everything, and to have the same tables with as many rows. Only then it takes writes.
  - The source is of the flavour of the application, and not newer. It needs a binary log with C(binlog_format=ROW), and
    a C(server_id) that no server of the application has. With MySQL, where C(gtid_mode) is V(ON), replication goes by
    GTIDs, else by file and position.
  - The user of O(source_secret) needs on C(*.*) the rights C(SELECT), C(SHOW VIEW), C(TRIGGER), C(EVENT), C(RELOAD),
    C(REPLICATION SLAVE), and C(REPLICATION CLIENT) (MariaDB C(BINLOG MONITOR)). For O(stop_writes) it needs
    C(SYSTEM_VARIABLES_ADMIN) too (MariaDB C(READ ONLY ADMIN)).
  - The account in the cluster needs the rights that M(stateful.kube.mysql_replication) needs, to get the Secret of the
    source, and to create C(pods/exec), with an API server of Kubernetes 1.30 or newer.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  state:
    description:
      - V(absent) gives up an import that is not cut over. What was loaded is dropped, and the application takes writes
        again, without any database of users. Databases that clients made before anything was loaded are kept. What was
        cut over is left alone.
    type: str
    choices: [present, absent]
    default: present
  source_host:
    description:
      - The server whose data is wanted, as the pod of the application finds it. The name of a Service
        (M(stateful.kube.external_service)), a DNS name, or an address.
    type: str
    required: true
  source_port:
    description: Its port.
    type: int
    default: 3306
  source_secret:
    description:
      - Name of a Secret in the namespace of the application with the keys C(username) and C(password) of a user of the
        source. Its values never appear in results, logs, diffs, or on a command line.
      - Needed with O(state=present).
    type: str
  require_tls:
    description:
      - Talk to the source by TLS or not at all. Its certificate is not verified. Without this option MySQL uses TLS
        where the source offers it, and MariaDB does what its client does by default.
    type: bool
    default: false
  cut_over:
    description: End the import. The application goes on without the source, and takes writes.
    type: bool
    default: false
  stop_writes:
    description:
      - Make the source read-only at the cut-over. Where that fails, the source is made writable again, unless
        O(replicate=false), because its data would be another one by then than what was loaded. Without this option you
        make it read-only yourself, and the cut-over is refused before.
    type: bool
    default: false
  compare_rows:
    description:
      - Count the rows of every table on both at the cut-over, while nobody writes. Without it only the names of tables
        and the numbers of views, routines, triggers and events are compared.
    type: bool
    default: true
  replicate:
    description:
      - With V(false) the source is read-only from before the load to the cut-over, which is the same run (or the next
        one, where that is killed). For a source that cannot give its binary log to anybody.
    type: bool
    default: true
  lock_tables:
    description:
      - Lock all tables of the source while they are dumped, so that tables that are not of InnoDB are read as of one
        moment. Clients of the source cannot write meanwhile. Without it such tables are refused.
    type: bool
    default: false
  lag_limit:
    description: Seconds that the application may be behind the source when the cut-over begins.
    type: int
    default: 10
  wait_timeout:
    description:
      - Seconds that the wait for any one step may take, also for the load. A load that takes longer goes on, and the
        same task waits for it again.
    type: int
    default: 300
seealso:
  - module: stateful.kube.external_service
  - module: stateful.kube.mysql_replication
"""

EXAMPLES = r"""
- name: Give the server outside of the cluster a name
  stateful.kube.external_service:
    name: old-shop
    namespace: shop
    addresses: [192.0.2.10]
    ports:
      - {name: mysql, port: 3306}

- name: Load its data, and replicate from it
  stateful.kube.mysql_import:
    name: shop
    namespace: shop
    source_host: old-shop
    source_secret: old-shop-login

- name: Cut over, some days later
  stateful.kube.mysql_import:
    name: shop
    namespace: shop
    source_host: old-shop
    source_secret: old-shop-login
    cut_over: true
    stop_writes: true
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: follow
      target: shop-0
      step: "let shop-0 replicate from old-shop:3306"
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: The servers at the end, as M(stateful.kube.mysql_replication) returns them, and the import.
  returned: always
  type: dict
  contains:
    import:
      description:
        - The import, or null where there was none. C(source) is host and port. C(loaded) and C(cut_over) say how far it
          is, and C(seconds_behind) how far behind the source.
        - C(accounts_not_imported) names the accounts of the source that are not here, and is null where the source was
          not asked.
      type: dict
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._operate import Importing
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "source_host": {"type": "str", "required": True},
        "source_port": {"type": "int", "default": 3306},
        # The name of a Secret, not its content.
        "source_secret": {"type": "str", "no_log": False},
        "require_tls": {"type": "bool", "default": False},
        "cut_over": {"type": "bool", "default": False},
        "stop_writes": {"type": "bool", "default": False},
        "compare_rows": {"type": "bool", "default": True},
        "replicate": {"type": "bool", "default": True},
        "lock_tables": {"type": "bool", "default": False},
        "lag_limit": {"type": "int", "default": 10},
    },
    "supports_check_mode": True,
    "required_if": [("state", "present", ("source_secret",))],
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    wish = Wish.of(params)
    with connect(params, task.warn) as cluster, Observer(cluster, Target.of(params, cluster.namespace)) as observer:
        return carry_out(Importing(observer, wish, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
