#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: external_service
short_description: Give a server outside of the cluster the name of a Service
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Makes one Service in one namespace lead to a DNS name (C(ExternalName)), or to addresses by EndpointSlices that this
    module keeps. Clients use the name of the Service, so that what stands behind it may differ from namespace to
    namespace and change without them.
  - Addresses can be asked by a pod in the namespace of the Service, where the clients are. Those that do not serve get
    no clients until they do.
  - What would send clients elsewhere is cleaned up once the declared addresses are there. That is an Endpoints object
    of the same name, which Kubernetes would mirror for ever, and slices that the controllers of Kubernetes left.
  - The account needs the rights to get, list, create, patch and delete Services and EndpointSlices, to get and delete
    Endpoints, and those for a Lease. With O(config_map), O(probe) and C(probe.schedule) the same for ConfigMaps, for
    Jobs and to list Pods, and for CronJobs, ServiceAccounts, Roles and RoleBindings. With the right to list
    ServiceCIDRs (or Services) it finds addresses that belong to other Services.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
options:
  name:
    description: Name of the Service, which is also the name that clients use.
    type: str
    required: true
  namespace:
    description: Namespace of the Service. The default is the namespace of the context.
    type: str
  create_namespace:
    description: Create the namespace where it does not exist. It is never deleted.
    type: bool
    default: false
  state:
    description:
      - V(absent) takes away the Service and all that this module made with it. A Service that it did not make is left
        alone, and the task fails.
    type: str
    choices: [present, absent]
    default: present
  external_name:
    description:
      - The DNS name of the server. The cluster's DNS answers with a CNAME to it.
      - Nothing is translated. Clients connect to the ports of the server itself, and with TLS they have to expect the
        certificate of that name. Exactly one of O(external_name) and O(addresses) is needed.
    type: str
  addresses:
    description:
      - The IPv4 and IPv6 addresses of the servers, at most 100. Their order does not matter. Each family has an
        EndpointSlice of its own.
      - Refused are loopback, link-local, multicast and unspecified addresses, and the virtual addresses of Services.
    type: list
    elements: str
  ports:
    description:
      - The ports of the Service. At least one is needed for O(addresses) unless O(headless) is set. With several, each
        needs a name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the port, up to 63 lower-case letters, digits and C(-).
        type: str
      port:
        description: The port that clients use.
        type: int
        required: true
      target_port:
        description: The port of the servers. The default is the same as C(port).
        type: int
      protocol:
        description: The protocol.
        type: str
        choices: [TCP, UDP, SCTP]
        default: TCP
      app_protocol:
        description: The protocol above it, such as V(kubernetes.io/h2c), for those who look at it.
        type: str
  headless:
    description:
      - Give the Service no virtual address, so that its name resolves to the O(addresses) themselves. It cannot be
        changed in place.
    type: bool
    default: false
  labels:
    description: More labels of the Service.
    type: dict
    default: {}
  annotations:
    description: Annotations of the Service.
    type: dict
    default: {}
  config_map:
    description:
      - A ConfigMap in the same namespace that holds the O(addresses), separated by commas, or the O(external_name), for
        clients that want a list in a variable. All addresses are in it, also those that do not serve.
    type: dict
    suboptions:
      name:
        description: Name of the ConfigMap.
        type: str
        required: true
      key:
        description: Key of the text.
        type: str
        required: true
  probe:
    description:
      - Ask each address, in each run, from a short-lived pod in the namespace of the Service. It meets the restricted
        Pod Security Standard and has no token. Not in check mode, in which no pod is started.
      - An address that does not serve gets the condition C(ready=false) in its EndpointSlice, and a warning says why.
        It stays in the list, so that the slices show what is declared. The next run puts it back once it serves.
      - Where none of them serves, all stay in, and a warning says so. With O(external_name) there is nothing to take
        out, and the warning is all.
    type: dict
    suboptions:
      type:
        description:
          - V(tcp) connects. V(mysql) reads the greeting of a MySQL or MariaDB server. V(mongodb) sends C(hello) and
            reads the answer. V(http) asks for C(path) and takes any status below 500.
          - None of them logs in or speaks TLS. A server that wants TLS from the first byte is asked with V(tcp).
        type: str
        choices: [tcp, mysql, mongodb, http]
        default: tcp
      port:
        description: The port to ask. The default is the C(target_port) of the first TCP port.
        type: int
      path:
        description: The path for V(http). The default is V(/).
        type: str
      timeout:
        description: Seconds that an address may take to connect, and again to answer, from 1 to 30.
        type: int
        default: 3
      image:
        description:
          - The image of the pod, which needs busybox's sh, nc, head, od and timeout. With C(schedule) it needs curl or
            GNU wget as well.
        type: str
        default: docker.io/library/busybox:1.36.1
      schedule:
        description:
          - Have a CronJob do the same between the runs, at these times, such as V(* * * * *). Its account may read and
            patch the EndpointSlices of this Service, and nothing else. Its Job fails while no address serves.
          - Runs of this module then leave the conditions to it, and ask only when an address is new.
        type: str
  force_conflicts:
    description:
      - Take over fields that another manager has with another value, the selector of a Service that led to pods, and
        its place from EndpointSlices that somebody else keeps, which are deleted. Without it the task ends before
        anything is changed, and says what it found.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that any one wait may take, for the pod of a probe or for another run.
    type: int
    default: 120
seealso:
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: A database at a cloud provider
  stateful.kube.external_service:
    name: my-database
    namespace: prod
    external_name: my-database.databases.example.com

- name: Two MySQL servers outside of the cluster, of which the one that does not greet gets no clients
  stateful.kube.external_service:
    name: my-database
    namespace: test
    addresses: [192.0.2.10, 192.0.2.11]
    ports:
      - {name: mysql, port: 3306}
    probe:
      type: mysql

- name: The same, looked after every minute
  stateful.kube.external_service:
    name: my-database
    namespace: test
    addresses: [192.0.2.10, 192.0.2.11]
    ports:
      - {name: mysql, port: 3306}
    probe:
      type: mysql
      image: docker.io/curlimages/curl:8.10.1
      schedule: "* * * * *"

- name: A list of addresses for clients that read it from a variable
  stateful.kube.external_service:
    name: store
    namespace: shop
    addresses: [192.0.2.20, "2001:db8::20"]
    headless: true
    config_map:
      name: db-config
      key: db-ip-addresses

- name: Take it away
  stateful.kube.external_service:
    name: my-database
    namespace: test
    state: absent
"""

RETURN = r"""
plan:
  description: What was left to do when the task began, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: apply
      target: EndpointSlice test/my-database-ipv4
      step: create EndpointSlice test/my-database-ipv4
done:
  description: What was done, with the seconds it took.
  returned: always
  type: list
  elements: dict
state:
  description: The service at the end.
  returned: always
  type: dict
  contains:
    dns:
      description: The name for clients in other namespaces. In the same namespace the name of the Service is enough.
      type: str
      returned: with O(state=present)
    external_name:
      description: The DNS name that it leads to, or null.
      type: str
      returned: with O(state=present)
    cluster_ip:
      description: Its virtual address, V(None) where it is headless, or null.
      type: str
      returned: with O(state=present)
    addresses:
      description: Each C(address), whether it gets clients (C(ready)), and what it said to the probe of this run
        (C(probe), V(up) or what was wrong, null where it was not asked).
      type: list
      elements: dict
      returned: with O(state=present)
    probe:
      description: What the O(external_name) said to the probe of this run, or null.
      type: str
      returned: with O(state=present)
    objects:
      description: One entry for each object that was declared (not its content).
      type: list
      elements: dict
      returned: always
refusal:
  description: Why it is not possible, with C(reason), C(evidence) and C(choices).
  returned: when it was refused
  type: dict
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import (
    connection_arguments,
    wait_timeout_argument,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._external._operate import ExternalService, removal
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import (
    PROBES,
    PROTOCOLS,
    checked_name,
    wish_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **wait_timeout_argument(120),
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "create_namespace": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "external_name": {"type": "str"},
        "addresses": {"type": "list", "elements": "str"},
        "ports": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str"},
                "port": {"type": "int", "required": True},
                "target_port": {"type": "int"},
                "protocol": {"type": "str", "choices": list(PROTOCOLS), "default": "TCP"},
                "app_protocol": {"type": "str"},
            },
        },
        "headless": {"type": "bool", "default": False},
        "labels": {"type": "dict", "default": {}},
        "annotations": {"type": "dict", "default": {}},
        "config_map": {
            "type": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "key": {"type": "str", "required": True, "no_log": False},
            },
        },
        "probe": {
            "type": "dict",
            "options": {
                "type": {"type": "str", "choices": list(PROBES), "default": "tcp"},
                "port": {"type": "int"},
                "path": {"type": "str"},
                "timeout": {"type": "int", "default": 3},
                "image": {"type": "str", "default": "docker.io/library/busybox:1.36.1"},
                "schedule": {"type": "str"},
            },
        },
        "force_conflicts": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    name, timeout = checked_name(params["name"]), params["wait_timeout"]
    with connect(params, task.warn) as cluster:
        namespace = params["namespace"] or cluster.namespace
        if params["state"] == "absent":
            return carry_out(removal(cluster, name, namespace, timeout), task)
        operation = ExternalService(
            cluster,
            wish_of(params, namespace),
            create_namespace=params["create_namespace"],
            force=params["force_conflicts"],
            asks=not task.check_mode,
            wait_timeout=timeout,
        )
        return carry_out(operation, task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
