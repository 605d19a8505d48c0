# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What my.cnf says of the settings that were declared."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "mysql"


def rendered(template: str, **variables: t.Any) -> list[str]:
    """By Ansible's own templating, which gives filters and the lookup."""
    wanted = f"{{{{ lookup('ansible.builtin.template', '{ROLE / 'templates' / template}') }}}}"
    given = {"mysql_port": 3306, "mysql_members": 1, "mysql_semi_sync": False, "__mysql_flavour": "mysql"}
    given["mysql_data_folder"] = "data"
    given.update(wanted=wanted, **variables)
    command = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "ansible.builtin.debug", "-a", "var=wanted"]
    done = subprocess.run(
        [*command, "-e", f"@{ROLE}/vars/main.yml", "-e", json.dumps(given)],
        capture_output=True,
        text=True,
        check=True,
        env={"ANSIBLE_NOCOLOR": "1"},
    )
    return t.cast("str", json.loads(done.stdout.partition("=>")[2])["wanted"]).splitlines()


LINES: tuple[tuple[t.Any, str], ...] = (
    ("", ' = ""'),
    (None, ""),
    (True, " = ON"),
    (False, " = OFF"),
    ("512M", " = 512M"),
    (0, " = 0"),
    ("a # b", ' = "a # b"'),
    ("C:\\new", ' = "C:\\\\new"'),
    ('SET a = "b"', ' = "SET a = \\"b\\""'),
    (" padded ", ' = " padded "'),
)


def test_the_server_reads_what_was_written_in_the_order_of_the_names() -> None:
    settings = {f"x{number}": setting for number, (setting, _line) in enumerate(LINES)}
    backwards = dict(reversed(settings.items()))
    lines = rendered("my.cnf.j2", __mysql_config={"mysqld": {**backwards, "y": ["2", "1"]}})
    assert lines[-12:] == [*(f"x{number}{line}" for number, (_setting, line) in enumerate(LINES)), "y = 2", "y = 1"]


CREATION = {"innodb_page_size": "8k", "innodb-use-native-aio": False, "lower_case_table_names": 1}


def test_settings_of_the_user_wait_until_the_data_is_made_but_for_those_of_its_files() -> None:
    config = {
        "mysqld": {**CREATION, "max_connections": 7},
        "server": {"innodb_undo_tablespaces": 3},
        "client": {"x": 1},
    }
    lines = rendered("initialise.cnf.j2", __mysql_config=config)
    assert lines[0] == "[mysqld]"
    assert [line for line in lines[1:] if line.startswith(("innodb", "lower", "max", "x", "read"))] == [
        "innodb-use-native-aio = OFF",
        "innodb_page_size = 8k",
        "lower_case_table_names = 1",
        "innodb_undo_tablespaces = 3",
    ]
    assert "datadir" not in "".join(lines)


def test_every_server_starts_read_only_and_may_become_primary_or_replica() -> None:
    lines = rendered("my.cnf.j2", __mysql_config={})
    assert {"read_only = ON", "super_read_only = ON", "gtid_mode = ON", "log_bin = binlog"} <= set(lines)
    assert not any("semi_sync" in line for line in lines)
    lines = rendered("my.cnf.j2", __mysql_config={}, __mysql_flavour="mariadb")
    assert {"read_only = ON", "gtid_strict_mode = ON", "log_slave_updates = ON"} <= set(lines)
    assert not any("super" in line for line in lines)


def test_a_commit_waits_for_replicas_where_there_are_some() -> None:
    variables = {"__mysql_config": {}, "mysql_semi_sync": True, "mysql_members": 3}
    lines = rendered("my.cnf.j2", **variables)
    assert {"plugin_load_add = semisync_source.so", "rpl_semi_sync_source_wait_point = AFTER_SYNC"} <= set(lines)
    lines = rendered("my.cnf.j2", **variables, __mysql_flavour="mariadb")
    assert "rpl_semi_sync_slave_enabled = ON" in lines
    # That is for the primary alone, from its start on.
    assert not any("master_enabled" in line for line in lines)
    assert not any("semi_sync" in line for line in rendered("my.cnf.j2", **{**variables, "mysql_members": 1}))


def test_the_data_is_in_the_folder_that_is_declared() -> None:
    assert "datadir = /var/lib/mysql/data" in rendered("my.cnf.j2", __mysql_config={})
    assert "datadir = /var/lib/mysql/mysql" in rendered("my.cnf.j2", __mysql_config={}, mysql_data_folder="mysql")
