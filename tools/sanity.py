# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run ``ansible-test sanity`` in a copy of the collection; arguments are passed on.

It runs with the Python of .venv. Each sanity test has an environment of its own, which ansible-test makes once, with
requirements it pins itself, in its cache in the home folder: only the first run on a machine is slow.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

import ansible_test_env
import tree

# Tests that need more than package registries give are left to ansible-test itself, which says what it skips.
if __name__ == "__main__":
    ansible_test_env.place_bootstrap()
    command = [str(pathlib.Path(sys.executable).parent / "ansible-test"), "sanity", "--color", "no", *sys.argv[1:]]
    sys.exit(subprocess.run(command, cwd=tree.copy(), env=ansible_test_env.environment(), check=False).returncode)
