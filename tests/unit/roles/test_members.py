# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many members a role runs, by Ansible's own templating."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

ROLES = pathlib.Path(__file__).resolve().parents[3] / "roles"


def members(app: str, **given: t.Any) -> int:
    command = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "ansible.builtin.debug"]
    files = [f"@{ROLES / app}/{folder}/main.yml" for folder in ("defaults", "vars")]
    done = subprocess.run(
        [*command, "-a", f"var=__{app}_members", "-e", files[0], "-e", files[1], "-e", json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
        env={"ANSIBLE_NOCOLOR": "1"},
    )
    return int(json.loads(done.stdout.partition("=>")[2])[f"__{app}_members"])


@pytest.mark.parametrize(("app", "new"), [("mysql", 1), ("mongodb", 3)])
def test_no_member_goes_because_a_run_was_told_no_number(app: str, new: int) -> None:
    there = {f"__{app}_standing": {"resources": [{"spec": {"replicas": 5}}]}}
    assert members(app, **there) == 5
    assert members(app, **there, **{f"{app}_members": 2}) == 2
    assert members(app, **{f"__{app}_standing": {"resources": []}}) == new
    assert members(app) == new


@pytest.mark.parametrize("standing", [[], [{"spec": {"replicas": 0}}]])
def test_a_stateful_set_that_is_away_or_runs_nobody_takes_no_member_out(standing: list[t.Any]) -> None:
    """Somebody scaled it to 0, or deleted it without its pods to make it anew: the record knows how many there are."""
    recorded = {"__mysql_recorded": {"resources": [{"data": {"epoch": "4", "members": "3"}}]}}
    assert members("mysql", __mysql_standing={"resources": standing}, **recorded) == 3
    assert members("mysql", __mysql_standing={"resources": standing}, __mysql_recorded={"skipped": True}) == 1
    assert members("mysql", __mysql_standing={"resources": standing}, __mysql_recorded={"resources": []}) == 1
    # One member of three would have no majority.
    assert members("mongodb", __mongodb_standing={"resources": standing}) == 3


def test_what_runs_counts_more_than_the_record() -> None:
    recorded = {"__mysql_recorded": {"resources": [{"data": {"members": "3"}}]}}
    assert members("mysql", __mysql_standing={"resources": [{"spec": {"replicas": 5}}]}, **recorded) == 5


@pytest.mark.parametrize("app", ["mysql", "mongodb"])
def test_what_is_there_is_asked_before_anything_else(app: str) -> None:
    tasks = ROLES / app / "tasks"
    before = yaml.safe_load((tasks / "main.yml").read_text("utf-8"))[0]
    assert before["ansible.builtin.include_tasks"] == "before.yml"
    assert f"or {app}_members is not defined" in before["when"]
    first = yaml.safe_load((tasks / "before.yml").read_text("utf-8"))[0]
    assert first["register"] == f"__{app}_standing"
    assert first["when"] == f"{app}_members is not defined and {app}_state == 'present'"
    if app == "mysql":
        record = yaml.safe_load((tasks / "before.yml").read_text("utf-8"))[1]
        assert (record["stateful.kube.objects_info"]["kind"], record["register"]) == ("ConfigMap", "__mysql_recorded")
        assert record["stateful.kube.objects_info"]["name"] == "{{ mysql_name }}-record"
        assert record["when"][0] == first["when"]
    spec = yaml.safe_load((ROLES / app / "meta" / "argument_specs.yml").read_text("utf-8"))
    assert "default" not in spec["argument_specs"]["main"]["options"][f"{app}_members"]
