# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run tests/nodes on the lab with three nodes, and leave it with as many as it had: ``nodes.py [PYTEST-OPTION…]``."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import cluster
import tree

NODES = 3


def lab_up(*options: str) -> None:
    if subprocess.run([*cluster.LAB, "up", *options], check=False, stdin=subprocess.DEVNULL).returncode:
        raise cluster.NoCluster("The lab did not come up: its last lines above say why and name the log.")


def main(options: list[str]) -> int:
    target = cluster.choose()
    if not target.is_lab:
        print(f"Cluster: {target.title}")
        print("SKIPPED: these tests stop, freeze and cut off nodes, which only the lab can do. ", end="")
        print("Unset KUBECONFIG to run them there.")
        print("0 passed, 0 failed, 1 skipped", flush=True)
        return 0
    listed = subprocess.run(
        ["kubectl", "get", "nodes", "--output=json"],
        check=True,
        env=target.environment,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    before = len(json.loads(listed.stdout)["items"])
    lab_up("--nodes", str(max(before, NODES)))
    # The variables are the lab's image names; the playbooks of the tests get them by an inventory.
    cluster.exports()
    environment = {
        **target.environment,
        "ANSIBLE_COLLECTIONS_PATH": str(tree.link()),
        "ANSIBLE_INVENTORY": str(cluster.INVENTORY),
    }
    # The tests bring the lab up after each fault, with the nodes that it has.
    environment.pop("LAB_NODES", None)
    command = [str(cluster.BIN / "pytest"), str(pathlib.Path("tests") / "nodes"), "-v", "--durations=0", *options]
    try:
        return subprocess.run(command, cwd=tree.ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    finally:
        lab_up("--nodes", str(before))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make nodes: {problem}")
