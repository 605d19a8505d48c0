#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mysql_adopt
short_description: Take over a replicated MySQL that somebody else has made, without a restart
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - For a primary with replicas in the pods of a StatefulSet that was made by hand, such as that of the example in the
    Kubernetes documentation. StatefulSet, Services, claims and data stay. No pod is restarted, and the primary takes
    writes all the time.
  - Without O(accept) it changes nothing. It asks every server, and tells who takes writes, what is otherwise than the
    role C(stateful.kube.mysql) declares it, what becomes of each difference, and with which variables the role declares
    what there is.
  - With O(accept) it labels claims, Services and StatefulSet, has the StatefulSet leave its pods alone when the
    template changes (C(OnDelete)), and takes the fields of StatefulSet and Services over from who has declared them.
    Then it makes the Secrets, and the accounts that the role needs, turns GTIDs on while the servers run, lets replicas
    find their place by them, and records the primary. So the next run of the playbook C(stateful.kube.mysql) changes
    what its own check mode shows.
  - Accounts that are there stay as they are, a root without password too. The role gets an account of its own,
    C(stateful_root).
  - It refuses where a server does not answer, where more than one takes writes, or none, where a replica does not
    replicate, for MariaDB and MySQL before 8.4, and where clients send statements that cannot have a GTID. What Helm
    manages is taken over with O(from_helm) alone, and what an operator owns is not.
  - A run that was killed goes on from where it stopped. An adopted set is left alone.
  - The account needs the rights to get and patch the StatefulSet and Services, to create a Service, to list pods and
    persistentvolumeclaims and to patch them, to get and create Secrets and ConfigMaps and to patch these, to get and
    create C(pods/portforward), and to get, create, update and delete leases.
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mysql
options:
  accept:
    description:
      - The server_uuid of the primary, typed as the report shows it. Without it nothing is changed.
    type: str
  login_user:
    description:
      - Who to log in as, as long as the servers do not know the account of O(root_secret).
    type: str
    default: root
  login_password:
    description:
      - The password of O(login_user).
    type: str
    default: ""
  watch:
    description:
      - Seconds for which the servers warn of statements that cannot have a GTID, before they refuse such. Where one
        comes meanwhile the adoption is refused. Where GTIDs are enforced already nothing is watched.
    type: int
    default: 60
  from_helm:
    description:
      - Take over objects that Helm manages. Delete the Secrets C(sh.helm.release.v1.*) of the release afterwards, so
        that Helm knows nothing of it, and never upgrade or uninstall it, which would delete the set with its Secrets.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mysql_replication
  - module: stateful.kube.mysql_replication_info
"""

EXAMPLES = r"""
- name: Show what there is, and what is otherwise
  stateful.kube.mysql_adopt:
    name: mysql
    namespace: shop
  register: found

- name: Take it over, with the server_uuid of the primary that the report shows
  stateful.kube.mysql_adopt:
    name: mysql
    namespace: shop
    accept: 4cdabafa-e67c-11f1-a5e4-aa8f26860190
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: set_gtid_mode
      target: mysql-0
      step: set gtid_mode of mysql-0 to OFF_PERMISSIVE
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
    primary:
      description: The pod of the primary, or null where there are several or none.
      type: str
      returned: always
    primary_uuid:
      description: Its server_uuid.
      type: str
      returned: always
    adopted:
      description: Whether it is recorded who is primary.
      type: bool
      returned: always
    image:
      description: The image of the servers.
      type: str
      returned: always
    members:
      description:
        - One entry for each pod, with C(pod), C(version), C(server_id), C(server_uuid), C(gtid_mode), C(read_only),
          C(source), C(source_user), C(auto_position), C(behind_seconds) and C(error).
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
      description: Variables of the role C(stateful.kube.mysql) that declare what there is.
      type: dict
      returned: always
    would:
      description: What an adoption would do with the server_uuid typed.
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
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._operate import Adoption
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._stranger import Stranger
from ansible_collections.stateful.kube.plugins.module_utils._mysql._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "accept": {"type": "str"},
        "login_user": {"type": "str", "default": "root"},
        "login_password": {"type": "str", "default": "", "no_log": True},
        "watch": {"type": "int", "default": 60},
        "from_helm": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        wish = Wish(params["accept"] or "", params["from_helm"], params["watch"])
        login = Credentials(params["login_user"], params["login_password"])
        with Stranger(cluster, target, login) as observer:
            return carry_out(Adoption(observer, wish, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
