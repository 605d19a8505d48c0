# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that name one replica set."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the StatefulSet whose pods are the members.
    type: str
    required: true
  namespace:
    description: Namespace of the StatefulSet. The default is the namespace of the context.
    type: str
  replica_set:
    description: Name of the replica set, the same as in C(--replSet). The default is O(name).
    type: str
  service:
    description:
      - The headless Service that gives the pods their stable names. The default is the StatefulSet's C(serviceName),
        else O(name).
    type: str
  cluster_domain:
    description: The DNS domain of the cluster.
    type: str
    default: cluster.local
  port:
    description: The port that mongod listens on in every pod.
    type: int
    default: 27017
  root_secret:
    description:
      - Name of the Secret whose keys C(username) and C(password) are the root user's. The default is O(name) with
        C(-root) added. Its values never appear in results, logs or diffs.
    type: str
requirements:
  - pymongo >= 4.6
"""
