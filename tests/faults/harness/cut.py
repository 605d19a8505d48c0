# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pod that is cut off from all others, where the cluster's nodes are this machine.

What comes through the API server's tunnel still arrives: it enters inside the pod. Such a pod can be asked, and reaches
nobody.
"""

from __future__ import annotations

import contextlib
import subprocess
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from harness.hang import processes
from harness.verdict import Failed

TABLE = "inet faults"
RULES = f"""
table {TABLE} {{
  chain arriving {{ type filter hook input priority 0; policy accept; iifname != "lo" drop; }}
  chain leaving {{ type filter hook output priority 0; policy accept; oifname != "lo" drop; }}
}}
"""


@contextlib.contextmanager
def cut_off(api: Cluster, namespace: str, pod: str, program: str) -> t.Iterator[None]:
    """Meanwhile nothing reaches this pod from outside, and nothing leaves it; open connections hang."""
    network = f"--net=/proc/{processes(api, namespace, pod, program)[0]}/ns/net"
    _nft(network, "-f", "-", rules=RULES)
    try:
        yield
    finally:
        _nft(network, "delete", "table", *TABLE.split())


def _nft(network: str, *words: str, rules: str = "") -> None:
    done = subprocess.run(["nsenter", network, "nft", *words], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"The pod's network could not be changed: {done.stderr.strip()}")
