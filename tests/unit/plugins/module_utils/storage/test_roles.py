# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The storage roles take what their modules take, by the same names."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.modules.persistent_volumes import SPECIFICATION as VOLUMES
from ansible_collections.stateful.kube.plugins.modules.storage_class import SPECIFICATION

ROOT = pathlib.Path(__file__).resolve().parents[5]
# What belongs to a whole task, and is a variable of the role or of none.
OF_THE_TASK = {*connection_arguments(), "state", "wait_timeout", "require_driver", "allow_pending_claims"}


def role(name: str, part: str) -> t.Any:
    return yaml.safe_load((ROOT / "roles" / name / part).read_text(encoding="utf-8"))


def test_an_entry_of_storage_classes_takes_every_option_of_the_module() -> None:
    specification = t.cast("dict[str, t.Any]", SPECIFICATION["argument_spec"])
    options = role("storage_classes", "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    entry = options["storage_classes_classes"]["options"]
    assert set(entry) == set(specification) - OF_THE_TASK
    for name, option in entry.items():
        assert option["type"] == specification[name]["type"], name
        assert option.get("default") == specification[name].get("default"), name
        assert name == "preset" or option.get("choices") == specification[name].get("choices"), name
    (handed_on,) = [task for task in role("storage_classes", "tasks/main.yml") if task["name"] == "Make the classes"]
    assert set(handed_on["stateful.kube.storage_class"]) == {*entry, "require_driver"}


def test_an_entry_of_static_volumes_is_one_of_the_module() -> None:
    specification = t.cast("dict[str, t.Any]", VOLUMES["argument_spec"])["volumes"]["options"]
    options = role("static_volumes", "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    entry = options["static_volumes_volumes"]["options"]
    assert _plain(entry) == _plain(specification)


def _plain(options: dict[str, t.Any]) -> dict[str, t.Any]:
    """What an argument specification says beside its descriptions."""
    return {
        name: {
            key: _plain(value) if key == "options" else value for key, value in option.items() if key != "description"
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("name", ["storage_classes", "static_volumes"])
def test_each_variable_has_its_default(name: str) -> None:
    options = role(name, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {variable: option["default"] for variable, option in options.items()} == role(name, "defaults/main.yml")


def test_static_volumes_hands_every_option_of_the_module_on() -> None:
    specification = t.cast("dict[str, t.Any]", VOLUMES["argument_spec"])
    options = role("static_volumes", "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    (task,) = role("static_volumes", "tasks/main.yml")
    of_the_module = set(specification) - set(connection_arguments()) - {"wait_timeout", "force_conflicts"}
    assert set(task["stateful.kube.persistent_volumes"]) == of_the_module
    assert set(options) == {f"static_volumes_{name}" for name in of_the_module}
    handed_on = {f"static_volumes_{name}": specification[name] for name in of_the_module - {"volumes", "state"}}
    found = _plain({name: options[name] for name in handed_on})
    assert found == _plain({name: {"default": "", **option} for name, option in handed_on.items()})
