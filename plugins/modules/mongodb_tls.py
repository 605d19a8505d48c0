#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mongodb_tls
short_description: Certificates and TLS mode of a MongoDB replica set
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Keeps what the members of a replica set need for TLS in the Secret NAME-tls, which their pods have mounted, raises
    their C(tlsMode) step by step while they run, and has them load a certificate that was renewed. Nothing is
    restarted.
  - The certificate is issued by an authority that is made once and kept in the Secret NAME-ca, or is taken from
    O(secret), or is asked of cert-manager for O(issuer). One of our own is renewed when less than a third of its life
    is left.
  - Another authority is first added to those that every member trusts, then the certificate changes, and then the
    former authority goes.
  - A set that runs without TLS begins with C(allowTLS), for which its pods are replaced once, by
    M(stateful.kube.mongodb_replica_set). From then on C(tlsMode) is raised at run time. No member is ever two modes
    away from another one, nor from what a member would read that starts at that moment.
  - The role P(stateful.kube.mongodb#role) uses it, with a template that reads the Secret. Pods that do not have it
    mounted as the volume C(mongodb-tls) count as pods without TLS.
  - The account needs the rights that M(stateful.kube.mongodb_replica_set) needs, and to get, create and patch secrets
    and to get and create C(pods/exec). The right to patch pods makes a kubelet look at a changed Secret at once, and
    not within a minute.
requirements:
  - The Python package C(cryptography)
extends_documentation_fragment:
  - stateful.kube._attributes
  - stateful.kube._connection
  - stateful.kube._mongodb
options:
  mode:
    description:
      - The C(tlsMode) of every member. With V(allowTLS) members take connections with and without TLS, and speak to
        each other without. With V(preferTLS) they speak to each other with TLS. With V(requireTLS) they take no
        connection without.
      - It is never lowered.
    type: str
    choices: [allowTLS, preferTLS, requireTLS]
    required: true
  secret:
    description:
      - A Secret with the keys C(tls.crt), C(tls.key) and C(ca.crt), such as cert-manager makes for a Certificate. Its
        content is copied, in this and every later run.
      - Its certificate needs the stable names of all members, mostly as a wildcard, and must be for servers and
        clients.
    type: str
    default: ""
  issuer:
    description:
      - Whom cert-manager is to have the certificate from. The Certificate C(NAME-issued) is declared, with the names
        that one of our own would have, and what cert-manager keeps in the Secret of the same name is copied, in this
        and every later run.
      - cert-manager renews it at half of O(days), and any run brings what was renewed to the members. The issuer has to
        tell its authority (C(ca.crt) in the Secret), as those of the kinds CA and Vault do.
      - The account needs the right to get, create and patch certificates of C(cert-manager.io); where it may list
        certificaterequests too, a wait tells what those say.
    type: dict
    suboptions:
      name:
        description: The name of the issuer.
        type: str
        required: true
      kind:
        description: V(Issuer) for one in the same namespace, V(ClusterIssuer), or a kind of another group.
        type: str
        default: Issuer
      group:
        description: The API group of that kind.
        type: str
        default: cert-manager.io
  days:
    description: Days that a certificate of our own holds, or that O(issuer) is asked for.
    type: int
    default: 365
  extra_names:
    description: More names and addresses that a certificate of our own, or of O(issuer), is for.
    type: list
    elements: str
    default: []
  prepare:
    description: Make only what has to be there before the pods are.
    type: bool
    default: false
  create_namespace:
    description: Make the namespace where there is none.
    type: bool
    default: false
  wait_timeout:
    description: Seconds that the wait for any one step may take.
    type: int
    default: 300
seealso:
  - module: stateful.kube.mongodb_replica_set
"""

EXAMPLES = r"""
- name: TLS for everybody, on a set whose pods have the Secret shop-tls mounted
  stateful.kube.mongodb_tls:
    name: shop
    namespace: shop
    mode: requireTLS

- name: The same with certificates that cert-manager keeps renewed
  stateful.kube.mongodb_tls:
    name: shop
    namespace: shop
    mode: requireTLS
    issuer:
      name: corporate
      kind: ClusterIssuer
    days: 90
"""

RETURN = r"""
plan:
  description: The steps that were, or in check mode would be, taken from the state at the start, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - action: raise
      target: shop-1
      step: raise tlsMode of shop-1 from allowTLS to preferTLS
done:
  description: The steps that were taken, with the seconds that each took.
  returned: always
  type: list
  elements: dict
state:
  description: What there is at the end. Keys are never among it.
  returned: always
  type: dict
  contains:
    mode:
      description: The mode that members begin with when they start, or null.
      type: str
      returned: always
    secret:
      description: The Secret of the members.
      type: str
      returned: always
    certificate_expires:
      description: Until when the certificate in it holds, or null.
      type: str
      returned: always
    certificate_days_left:
      description: The same in whole days from now, or null.
      type: int
      returned: always
    members:
      description:
        - One entry for each pod, with C(pod), C(mode), and C(loaded), whether it shows the certificate of the Secret.
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
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._arguments import target_arguments
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._issued import issuer_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._operate import Tls
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task, carry_out
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        **target_arguments(),
        **wait_timeout_argument(300),
        "mode": {"type": "str", "choices": ["allowTLS", "preferTLS", "requireTLS"], "required": True},
        # The name of a Secret, not its content.
        "secret": {"type": "str", "default": "", "no_log": False},
        "issuer": {
            "type": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "kind": {"type": "str", "default": "Issuer"},
                "group": {"type": "str", "default": "cert-manager.io"},
            },
        },
        "days": {"type": "int", "default": 365},
        "extra_names": {"type": "list", "elements": "str", "default": []},
        "prepare": {"type": "bool", "default": False},
        "create_namespace": {"type": "bool", "default": False},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    if not 1 <= params["days"] <= 3650:
        raise Failure(f"days: expected 1 to 3650, found {params['days']}.")
    issuer = issuer_of(params["issuer"])
    if issuer and params["secret"]:
        raise Failure(
            f"secret and issuer: found the Secret {params['secret']} and {issuer.title}, and a set has its certificate "
            "from one source. Leave one of them out."
        )
    wish = Wish(
        params["mode"],
        params["secret"],
        params["days"],
        tuple(params["extra_names"]),
        params["prepare"],
        params["create_namespace"],
        issuer,
    )
    with connect(params, task.warn) as cluster:
        target = Target.of(params, cluster.namespace)
        with Observer(cluster, target) as observer:
            return carry_out(Tls(observer, wish, params["wait_timeout"]), task)


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
