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
    given = {"mysql_port": 3306, "__mysql_flavour": "mysql", "wanted": wanted, **variables}
    command = [sys.executable, "-m", "ansible", "adhoc", "localhost", "-m", "ansible.builtin.debug", "-a", "var=wanted"]
    done = subprocess.run(
        [*command, "-e", json.dumps(given)], capture_output=True, text=True, check=True, env={"ANSIBLE_NOCOLOR": "1"}
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
