# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the molecule scenarios on a cluster, two at a time: ``scenarios.py [SCENARIO…]``."""

from __future__ import annotations

import sys

import cluster
import several
import tree

# It freezes the lab's NFS server, and cuts short who waits for it: nothing else runs beside it.
ALONE = frozenset(("nfs",))
# What takes longest begins first, so that two at a time end together.
LONG = frozenset(("mysql", "storage", "mysql_single"))


def _place(name: str) -> tuple[bool, str]:
    return name not in LONG, name


def main(wanted: list[str]) -> int:
    known = sorted(path.parent.name for path in (tree.ROOT / "molecule").glob("*/molecule.yml"))
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"There is no scenario {', '.join(unknown)}. There are: {', '.join(known)}.")
    chosen = wanted or known
    if not chosen:
        sys.exit("There is no scenario in molecule/.")
    target = cluster.choose()
    print(f"Cluster: {target.title}", flush=True)
    environment = {**target.environment, "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1"}
    environment.setdefault("COLUMNS", "160")
    environment.setdefault("ANSIBLE_INVENTORY", "localhost,")
    jobs = []
    for name in sorted(chosen, key=_place):
        # Molecule's own state stays in the clone, so that two clones do not share it.
        state = tree.ROOT / "build" / "molecule" / name
        state.mkdir(parents=True, exist_ok=True)
        command = [str(cluster.BIN / "molecule"), "test", "--scenario-name", name]
        jobs.append(several.Job(name, command, tree.ROOT, {**environment, "MOLECULE_EPHEMERAL_DIRECTORY": str(state)}))
    failed = several.run("molecule scenario", jobs, ALONE, 2)
    print(f"molecule scenarios: {len(chosen) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make molecule: {problem}")
