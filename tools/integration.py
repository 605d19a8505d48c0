# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ``ansible-test integration`` on a cluster, three targets at a time: ``integration.py [TARGET…]``.

Every folder of tests/integration/targets is a target, but those whose aliases say ``hidden``, which others use. Targets
work in namespaces of their own.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import subprocess
import sys
import typing as t

import ansible_test_env
import cluster
import several
import tree
import yaml

TARGETS = pathlib.Path("tests") / "integration" / "targets"
# Images that a target wants and that not every lab has: the first time they are made, which takes minutes for MinIO.
IMAGES = {
    "awx_mysql": ("mysql",),
    "mongodb_backup_s3": ("minio", "python-pymongo"),
    "mysql_adopt": ("mysql",),
    "mysql_autopilot": ("mysql", "python-pymysql"),
    "mysql_backup": ("mysql", "mariadb"),
    "mysql_backup_physical": ("mysql", "mariadb"),
    "mysql_import": ("mysql", "mariadb"),
    "mysql_replication": ("mysql",),
    "mysql_user": ("mysql", "mariadb"),
}
# Of two, one or the other waits for pods, and a third of the processors' time is left.
AT_A_TIME = 3
# What these change, or look at, is the whole cluster's or machine's: nothing else runs beside them.
ALONE = frozenset(("connection", "storage_class"))


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


def make_images(target: cluster.Target, chosen: t.Collection[str]) -> None:
    """Beside the first targets: what takes long is to download what is in them."""
    images = sorted({image for name in chosen for image in IMAGES.get(name, ())})
    if target.is_lab and images:
        command = [*cluster.LAB, "images", *(f"--load={image}" for image in images)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


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
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        images = pool.submit(make_images, target, chosen)
        jobs = []
        # Those that want images come last, because these may have to be made first.
        for name in sorted(chosen, key=lambda name: name in IMAGES):
            wait = images.result if name in IMAGES else several.at_once
            jobs.append(several.Job(name, [*command, name], copy, environment, wait))
        failed = several.run("integration target", jobs, ALONE, AT_A_TIME)
    if failed:
        print(f"\nFailed: {', '.join(failed)}. One alone runs with: make integration ARGS={failed[0]}")
    print(f"integration targets: {len(chosen) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cluster.NoCluster as problem:
        sys.exit(f"make integration: {problem}")
