# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ``ansible-test integration`` on a cluster, one target after the other: ``integration.py [TARGET…]``.

Every folder of tests/integration/targets is a target, but those whose aliases say ``hidden``, which others use.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import ansible_test_env
import cluster
import tree
import yaml

TARGETS = pathlib.Path("tests") / "integration" / "targets"


def targets() -> list[str]:
    found = []
    for folder in sorted((tree.ROOT / TARGETS).iterdir()):
        aliases = folder / "aliases"
        if not aliases.exists() or "hidden" not in aliases.read_text(encoding="utf-8").split():
            found.append(folder.name)
    return found


def write_configuration(copy: pathlib.Path, target: cluster.Target) -> None:
    """ansible-test cleans the environment: what a target may know of the cluster goes into this file of variables."""
    content = {"integration_kubeconfig": target.environment["KUBECONFIG"], **target.variables}
    path = copy / "tests" / "integration" / "integration_config.yml"
    path.write_text("---\n" + yaml.safe_dump(content), encoding="utf-8")


def main(wanted: list[str]) -> int:
    known = targets()
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"There is no target {', '.join(unknown)}. There are: {', '.join(known)}.")
    chosen = wanted or known
    if not chosen:
        sys.exit(f"There is no target in {TARGETS}.")
    target = cluster.choose()
    print(f"Cluster: {target.title}", flush=True)
    copy = tree.copy()
    write_configuration(copy, target)
    environment = {**target.environment, **ansible_test_env.environment()}
    # These would reach ansible-playbook past the file above, and hide that a target names its cluster itself.
    for name in ("KUBECONFIG", "ANSIBLE_INVENTORY", "ANSIBLE_COLLECTIONS_PATH"):
        environment.pop(name, None)
    command = [str(cluster.BIN / "ansible-test"), "integration", "--color", "no"]
    failed = []
    for number, name in enumerate(chosen, 1):
        print(f"\n--- integration target {name} ({number} of {len(chosen)})", flush=True)
        begun = time.monotonic()
        done = subprocess.run([*command, name], cwd=copy, env=environment, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            failed.append(name)
        print(f"--- {name}: {'FAILED' if name in failed else 'ok'} after {time.monotonic() - begun:.0f} s", flush=True)
    if failed:
        print(f"\nFailed: {', '.join(failed)}. One alone runs with: make integration ARGS={failed[0]}")
    print(f"integration targets: {len(chosen) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make integration: {problem}")
