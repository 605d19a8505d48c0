# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that name one application of MySQL or MariaDB."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the StatefulSet whose pods are the servers.
    type: str
    required: true
  namespace:
    description: Namespace of the StatefulSet. The default is the namespace of the context.
    type: str
  service:
    description: The headless Service that gives the pods their stable names. The default is O(name).
    type: str
  cluster_domain:
    description: The DNS domain of the cluster.
    type: str
    default: cluster.local
  port:
    description: The port that the server listens on in every pod.
    type: int
    default: 3306
  root_secret:
    description:
      - Name of the Secret whose key C(password) is the root user's (and whose key C(username) is the name of that user,
        where it is another one). The default is O(name) with C(-root) added. Its values never appear in results, logs
        or diffs.
    type: str
  replication_secret:
    description:
      - Name of the Secret whose key C(password) is that of the user C(stateful_replication). The default is O(name)
        with C(-replication) added.
    type: str
requirements:
  - PyMySQL >= 1.1
"""
