# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection says about itself is true of its files."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
ALL_MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[!_]*.py"))
# They change the host that they run on and know no Kubernetes: no connection options, and nothing to do in-process.
HOST_MODULES = ["nfs_export"]
MODULES = [module for module in ALL_MODULES if module not in HOST_MODULES]


def source(module: str) -> str:
    return (ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8")


def load(path: str) -> t.Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def test_there_are_modules() -> None:
    assert MODULES
    assert set(HOST_MODULES) < set(ALL_MODULES)


def test_the_action_group_holds_every_module_with_a_connection() -> None:
    assert load("meta/runtime.yml")["action_groups"]["all"] == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_an_action_plugin_of_its_name(module: str) -> None:
    assert (ROOT / "plugins" / "action" / f"{module}.py").is_file()


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_that_it_belongs_to_the_group(module: str) -> None:
    # the fragment that documents the membership
    assert re.search(r"- stateful\.kube\._attributes(\.info_module)?$", source(module), re.MULTILINE)


@pytest.mark.parametrize("module", HOST_MODULES)
def test_a_host_module_says_so_and_takes_no_connection(module: str) -> None:
    assert "- stateful.kube._attributes.host_module\n" in source(module)
    assert "connection_arguments" not in source(module)
    assert not (ROOT / "plugins" / "action" / f"{module}.py").exists()


@pytest.mark.parametrize("module", ALL_MODULES)
def test_every_module_is_named_in_the_readme(module: str) -> None:
    assert f"| `stateful.kube.{module}` |" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("playbook", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_playbook_is_named_in_the_readme(playbook: pathlib.Path) -> None:
    assert f"stateful.kube.{playbook.stem}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_execution_environment_accepts_the_tested_versions() -> None:
    packaging_requirements = pytest.importorskip("packaging.requirements")

    def requirements(path: str) -> dict[str, t.Any]:
        lines = (line.split("#")[0].strip() for line in (ROOT / path).read_text(encoding="utf-8").splitlines())
        return {found.name: found.specifier for found in map(packaging_requirements.Requirement, filter(None, lines))}

    offered = requirements("meta/ee-requirements.txt")
    tested = requirements("requirements/runtime.txt")
    assert offered.keys() == tested.keys()
    for name, pinned in tested.items():
        (version,) = pinned
        assert offered[name].contains(version.version), name
