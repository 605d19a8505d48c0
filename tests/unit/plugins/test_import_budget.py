# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is imported when an action or a module is loaded, held to a list.

An action's imports are paid once by every run of ansible-playbook, a module's by every task that runs outside of it.
An entry that is not in this table is a decision to be made, not an accident: say in the change why it is worth it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
ALL_MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
# They change the host that they run on: no action in ansible-playbook, and nothing of Kubernetes.
HOST_MODULES = ["nfs_export"]
MODULES = [module for module in ALL_MODULES if module not in HOST_MODULES]
NAMES = {"action": MODULES, "modules": ALL_MODULES}

# The package kubernetes, used narrowly, and what it brings by itself.
KUBERNETES = """
    certifi charset_normalizer dateutil durationpy idna kubernetes oauthlib requests requests_oauthlib urllib3 websocket
    annotated_types pydantic pydantic_core typing_inspection
"""
# The driver, and what it brings by itself.
PYMONGO = "bson cryptography pymongo"

# Enough where a login is plain: a server and a token or certificate that stand in one kubeconfig, or in the options.
PLAIN = "urllib3 websocket"

# name: (packages of others beside ansible-core, packages of the standard library from HEAVY below)
ACTIONS = {
    "external_service": (PLAIN, "concurrent http ssl"),
    "claim_migrate": (PLAIN, "concurrent http ssl"),
    "claim_resize": (PLAIN, "concurrent http ssl"),
    "manifests": (PLAIN, "concurrent http ssl"),
    # No driver: a repair is rare.
    "mongodb_repair": (PLAIN, "concurrent http ssl"),
    "mongodb_adopt": (PLAIN, "concurrent http ssl"),
    "mongodb_backup": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_backup_fetch": (PLAIN, "concurrent email http ssl"),
    "mongodb_restore": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    # No driver: a run that has nothing to do gets along without.
    "mongodb_replica_set": (PLAIN, "concurrent http ssl"),
    "mongodb_replica_set_info": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_snapshot": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_switchover": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_role": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_root_password": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_keyfile": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_authentication": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_tls": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mongodb_user": (f"{PLAIN} {PYMONGO}", "asyncio concurrent difflib http ssl"),
    "mysql_adopt": (PLAIN, "concurrent http ssl"),
    "mysql_backup": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_failover": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_import": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_replication": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_replication_info": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_replication_password": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_root_password": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_restore": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_switchover": (f"{PLAIN} pymysql", "concurrent http ssl"),
    "mysql_user": (f"{PLAIN} pymysql", "concurrent difflib http ssl"),
    "objects_info": (PLAIN, "http ssl"),
    "persistent_volumes": (PLAIN, "concurrent http ssl"),
    "pod_exec": (PLAIN, "http ssl"),
    "storage_class": (PLAIN, "concurrent http ssl"),
    "storage_preflight": (PLAIN, "http ssl"),
    "workload_info": (PLAIN, "concurrent http ssl"),
    "workload_rollout": (PLAIN, "concurrent http ssl"),
}
# What an action may load besides where the login is not plain: here, because it is the account of a pod.
NOT_PLAIN = (KUBERNETES, "http multiprocessing pydoc")
# Third-party packages are imported by what needs them, when it runs: ansible-core asks for the module's documentation
# and argument specification where they may be missing.
IMPORTED_MODULES = {
    "external_service": ("", "concurrent ssl"),
    "claim_migrate": ("", "concurrent ssl"),
    "claim_resize": ("", "concurrent ssl"),
    "manifests": ("", "concurrent ssl"),
    "mongodb_repair": ("", "concurrent ssl"),
    "mongodb_backup": ("", "concurrent email ssl"),
    "mongodb_backup_fetch": ("", "concurrent email http ssl"),
    "mongodb_restore": ("", "concurrent email ssl"),
    "mongodb_replica_set": ("", "concurrent ssl"),
    "mongodb_replica_set_info": ("", "concurrent ssl"),
    "mongodb_snapshot": ("", "concurrent email ssl"),
    "mongodb_switchover": ("", "concurrent ssl"),
    "mongodb_role": ("", "concurrent ssl"),
    "mongodb_root_password": ("", "concurrent ssl"),
    "mongodb_keyfile": ("", "concurrent ssl"),
    "mongodb_authentication": ("", "concurrent ssl"),
    "mongodb_adopt": ("", "concurrent ssl"),
    "mongodb_tls": ("", "concurrent ssl"),
    "mongodb_user": ("", "concurrent ssl"),
    "mysql_adopt": ("", "concurrent ssl"),
    "mysql_backup": ("", "concurrent email ssl"),
    "mysql_failover": ("", "concurrent ssl"),
    "mysql_import": ("", "concurrent ssl"),
    "mysql_replication": ("", "concurrent ssl"),
    "mysql_replication_info": ("", "concurrent ssl"),
    "mysql_replication_password": ("", "concurrent ssl"),
    "mysql_root_password": ("", "concurrent ssl"),
    "mysql_restore": ("", "concurrent email ssl"),
    "mysql_switchover": ("", "concurrent ssl"),
    "mysql_user": ("", "concurrent ssl"),
    "objects_info": ("", "ssl"),
    "persistent_volumes": ("", "ssl"),
    "pod_exec": ("", "ssl"),
    "storage_class": ("", "concurrent ssl"),
    "storage_preflight": ("", "ssl"),
    "workload_info": ("", "concurrent ssl"),
    "workload_rollout": ("", "concurrent ssl"),
    "nfs_export": ("", ""),
}
# Each costs milliseconds.
HEAVY = """
    asyncio concurrent ctypes curses dbm difflib doctest email ftplib http imaplib inspect logging multiprocessing pdb
    pydoc smtplib sqlite3 ssl tkinter unittest venv wsgiref xml xmlrpc
"""
# Modules of the package kubernetes: 36 with version 37.0.2. One class of the typed API is hundreds.
KUBERNETES_MODULES = 40

# What is loaded before: by ansible-playbook when it comes to load an action, by any module when it starts.
BEFORE = {
    "action": "ansible.cli.playbook, ansible.executor.task_queue_manager, ansible.plugins.action",
    "modules": "ansible.module_utils.basic",
}
# Each name is imported in a process of its own, forked when all of that is loaded: loading it takes half a second.
SCRIPT = """
import importlib, json, os, sys
import {before}
before = set(sys.modules)
for name in sys.argv[1:]:
    if child := os.fork():
        if os.waitpid(child, 0)[1]:
            sys.exit("That was " + name + ".")
        continue
    importlib.import_module("ansible_collections.stateful.kube.plugins.{kind}." + name)
    print(json.dumps([name, sorted(set(sys.modules) - before)]), flush=True)
    os._exit(0)
"""


@functools.cache
def installed() -> frozenset[str]:
    """The packages of others."""
    return frozenset(importlib.metadata.packages_distributions()) - {"ansible", "ansible_collections"}


@functools.cache
def loaded(kind: str, plain: bool) -> dict[str, list[str]]:
    """For each action or module what is imported for it, where the environment names no cluster or is that of a pod."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(before=BEFORE[kind], kind=kind), *NAMES[kind]],
        check=False,
        capture_output=True,
        text=True,
        env={
            "PYTHONPATH": str(ROOT / "build" / "collections"),
            "HOME": str(ROOT / "build"),
            **({} if plain else {"KUBERNETES_SERVICE_HOST": "192.0.2.1"}),
        },
    )
    assert done.returncode == 0, done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@functools.cache
def imports(kind: str, name: str, plain: bool = True) -> dict[str, list[str]]:
    new = loaded(kind, plain)[name]
    assert f"ansible_collections.stateful.kube.plugins.{kind}.{name}" in new
    packages = {module.partition(".")[0] for module in new}
    return {
        "others": sorted(packages & installed()),
        "standard": sorted(packages & sys.stdlib_module_names),
        "kubernetes": [module for module in new if module.partition(".")[0] == "kubernetes"],
        "own": [module for module in new if module.startswith("ansible_collections.stateful.kube.plugins.")],
    }


def heavy(found: dict[str, list[str]]) -> set[str]:
    return set(found["standard"]) & set(HEAVY.split())


@pytest.mark.parametrize(("table", "names"), [(ACTIONS, MODULES), (IMPORTED_MODULES, ALL_MODULES)])
def test_the_table_names_every_module(table: dict[str, tuple[str, str]], names: list[str]) -> None:
    assert sorted(table) == names


@pytest.mark.parametrize("name", MODULES)
def test_an_action_loads_no_more_than_its_list(name: str) -> None:
    others, standard = ACTIONS[name]
    found = imports("action", name)
    assert set(found["others"]) <= set(others.split())
    assert heavy(found) <= set(standard.split())


@pytest.mark.parametrize("name", MODULES)
def test_an_action_loads_before_the_fork_what_a_login_takes(name: str) -> None:
    others, standard = ACTIONS[name]
    assert set(PLAIN.split()) <= set(imports("action", name)["others"])
    found = imports("action", name, plain=False)
    assert {"kubernetes", *PLAIN.split()} <= set(found["others"]) <= {*others.split(), *NOT_PLAIN[0].split()}
    assert heavy(found) <= {*standard.split(), *NOT_PLAIN[1].split()}


@pytest.mark.parametrize("name", MODULES)
def test_an_action_leaves_the_typed_api_alone(name: str) -> None:
    found = imports("action", name, plain=False)["kubernetes"]
    assert len(found) <= KUBERNETES_MODULES
    assert not [module for module in found if module.startswith(("kubernetes.client.api.", "kubernetes.client.apis"))]


@pytest.mark.parametrize("name", ALL_MODULES)
def test_a_module_loads_no_more_than_its_list(name: str) -> None:
    others, standard = IMPORTED_MODULES[name]
    found = imports("modules", name)
    assert set(found["others"]) <= set(others.split())
    assert heavy(found) <= set(standard.split())


@pytest.mark.parametrize("name", HOST_MODULES)
def test_a_module_for_hosts_loads_nothing_of_the_cluster(name: str) -> None:
    assert not [module for module in imports("modules", name)["own"] if "._cluster" in module or "._workload" in module]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("mongodb")])
def test_only_what_speaks_to_mongodb_loads_code_for_it(name: str) -> None:
    for kind in BEFORE:
        assert not [module for module in imports(kind, name)["own"] if "._mongodb" in module]
