# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the molecule scenarios on a cluster, one after the other: ``scenarios.py [SCENARIO…]``."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import cluster
import tree


def main(wanted: list[str]) -> int:
    known = sorted(path.parent.name for path in (tree.ROOT / "molecule").glob("*/molecule.yml"))
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"There is no scenario {', '.join(unknown)}. There are: {', '.join(known)}.")
    chosen = wanted or known
    if not chosen:
        sys.exit("There is no scenario in molecule/.")
    target = cluster.choose()
    print(f"Cluster: {target.title}", flush=True)
    # Molecule's own state stays in the clone, so that two clones do not share it.
    environment = {**target.environment, "MOLECULE_EPHEMERAL_DIRECTORY": "", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
    environment.setdefault("COLUMNS", "160")
    environment.setdefault("ANSIBLE_INVENTORY", "localhost,")
    failed = []
    for name in chosen:
        print(f"\n--- molecule scenario {name}", flush=True)
        begun = time.monotonic()
        environment["MOLECULE_EPHEMERAL_DIRECTORY"] = str(tree.ROOT / "build" / "molecule" / name)
        os.makedirs(environment["MOLECULE_EPHEMERAL_DIRECTORY"], exist_ok=True)
        command = [str(cluster.BIN / "molecule"), "test", "--scenario-name", name]
        if subprocess.run(command, cwd=tree.ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode:
            failed.append(name)
        print(f"--- {name}: {'FAILED' if name in failed else 'ok'} after {time.monotonic() - begun:.0f} s", flush=True)
    print(f"molecule scenarios: {len(chosen) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make molecule: {problem}")
