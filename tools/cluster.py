# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster that demo and tests run against: the one KUBECONFIG names, else the lab.

``cluster.py env`` prints what ``eval "$(make -s lab-env)"`` wants.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import typing as t

import tree
import yaml

BIN = tree.ROOT / ".venv" / "bin"
LAB = [str(BIN / "python"), str(tree.ROOT / "tests" / "lab" / "lab")]
# An inventory, because it is the one way to give variables to every playbook run without naming them each time.
INVENTORY = tree.ROOT / "build" / "lab-inventory.yml"


@dataclasses.dataclass(frozen=True)
class Target:
    """A cluster, and the environment in which programs find it and the collection."""

    title: str
    is_lab: bool
    environment: dict[str, str]
    #: image names and the like that playbooks need on this cluster, by variable name
    variables: dict[str, t.Any]


class NoCluster(Exception):
    """There is no cluster to work with; the message says what to do."""


def choose() -> Target:
    """Take the cluster of KUBECONFIG, else bring up the lab; prints what it does."""
    own = os.environ.get("KUBECONFIG", "")
    if own and own != lab_kubeconfig():
        return _own_cluster(own)
    subprocess.run([tree.ROOT / "tools" / "setup", "lab"], check=True, stdin=subprocess.DEVNULL)
    if subprocess.run([*LAB, "up"], check=False, stdin=subprocess.DEVNULL).returncode:
        raise NoCluster(
            "The lab did not come up: its last lines above say why and name the log. Put that right and run this again "
            "(it goes on where it stopped), or set KUBECONFIG to use a cluster of your own."
        )
    environment = _evaluate(exports())
    return Target("the lab on this machine", True, environment, variables(environment))


def lab_kubeconfig() -> str:
    """The lab's kubeconfig if the lab is up, else nothing."""
    asked = subprocess.run([*LAB, "env"], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return _evaluate(asked.stdout).get("KUBECONFIG", "") if asked.returncode == 0 and asked.stdout else ""


def exports() -> str:
    """Shell lines that make the lab and the collection usable from any folder."""
    asked = subprocess.run([*LAB, "env"], check=False, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if asked.returncode:
        raise NoCluster("There is no lab to name: `make lab` brings it up.")
    _write_inventory(variables(_evaluate(asked.stdout)))
    lines = [
        asked.stdout.rstrip(),
        f'export PATH={shlex.quote(str(BIN))}:"$PATH"',
        f"export ANSIBLE_COLLECTIONS_PATH={shlex.quote(str(tree.link()))}",
        f"export ANSIBLE_INVENTORY={shlex.quote(str(INVENTORY))}",
    ]
    return "\n".join(lines) + "\n"


def variables(environment: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The variables that the lab asks playbooks to use: it names a file of them."""
    path = environment.get("STATEFUL_LAB_VARS", "")
    if not path:
        return {}
    loaded = yaml.safe_load(pathlib.Path(path).read_text(encoding="utf-8"))
    return t.cast("dict[str, t.Any]", loaded or {})


def _own_cluster(kubeconfig: str) -> Target:
    return Target(f"{_context(kubeconfig)}, from KUBECONFIG={kubeconfig}", False, _own_environment(), {})


def _own_environment() -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "ANSIBLE_COLLECTIONS_PATH": str(tree.link()),
    }


def _context(kubeconfig: str) -> str:
    """Context and server by name, so that nobody learns afterwards on which cluster this ran."""
    import kubernetes.config  # here, because it is slow to load

    try:
        _contexts, active = kubernetes.config.list_kube_config_contexts(kubeconfig)
        client = kubernetes.config.new_client_from_config(kubeconfig)
    except Exception as exc:
        raise NoCluster(
            f"KUBECONFIG={kubeconfig} could not be used: {exc}. Correct it, or unset it to use the lab."
        ) from exc
    return f"context {active['name']} at {client.configuration.host}"


def _evaluate(lines: str) -> dict[str, str]:
    """The environment after a shell has evaluated the lines."""
    shell = subprocess.run(
        ["bash", "-c", 'eval "$1"; env -0', "bash", lines], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(entry.split("=", 1) for entry in shell.stdout.split("\0") if "=" in entry)


def _write_inventory(lab_variables: dict[str, t.Any]) -> None:
    # A localhost that is named in an inventory loses what Ansible gives to the one that is not.
    host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    content = {"all": {"hosts": {"localhost": host}, "vars": lab_variables}}
    INVENTORY.parent.mkdir(exist_ok=True)
    INVENTORY.write_text("---\n" + yaml.safe_dump(content), encoding="utf-8")


if __name__ == "__main__":
    try:
        sys.stdout.write(exports())
    except NoCluster as problem:
        sys.exit(f"make: {problem}")
