# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Play the resizer of a storage driver: no volume grows, but the status of claims that ask for more says that it has.

Usage: resizer.py KUBECONFIG NAMESPACE SIZE NUMBER. Ends when so many claims have the size.
"""

from __future__ import annotations

import sys
import time

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader()

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import MERGE, connect  # noqa: E402


def main():
    kubeconfig, namespace, size, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    grown = set()
    with connect({"kubeconfig": kubeconfig}) as cluster:
        until = time.monotonic() + 120
        while len(grown) < number and time.monotonic() < until:
            for claim in cluster.list("v1", "PersistentVolumeClaim", namespace):
                name = claim["metadata"]["name"]
                if claim["spec"]["resources"]["requests"]["storage"] != size or name in grown:
                    continue
                path = cluster.resource("v1", "PersistentVolumeClaim").path(namespace, name)
                patch = {"status": {"capacity": {"storage": size}}}
                cluster.connection.request("PATCH", f"{path}/status", (), patch, MERGE)
                grown.add(name)
            time.sleep(0.2)
    print(*sorted(grown))


if __name__ == "__main__":
    main()
