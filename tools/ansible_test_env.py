# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-test needs around it to run without containers and without downloads outside package registries."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

# ansible-test fetches a script that installs pip into the environments it makes. Python carries a pip along: this
# installs that one, so that nothing but a package index is needed.
_BOOTSTRAP = "import ensurepip\n\nensurepip.bootstrap(upgrade=True, default_pip=True)\n"


def place_bootstrap() -> None:
    """Write pip's bootstrap to the place that ansible-test names in its own error message, unless there is one."""
    version = _bootstrap_pip_version()
    target = pathlib.Path("~/.ansible/test/cache").expanduser() / f"get_pip_{version.replace('.', '_')}.py"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_BOOTSTRAP, encoding="utf-8")


def _bootstrap_pip_version() -> str:
    from ansible_test._internal import python_requirements

    source = pathlib.Path(python_requirements.__file__).read_text(encoding="utf-8")
    found = re.search(r"""pip=['"]([0-9.]+)['"]""", source)
    if found is None:
        raise SystemExit("This ansible-core does not say which pip it bootstraps: see tools/ansible_test_env.py.")
    return found[1]


def environment() -> dict[str, str]:
    """The environment with a PATH on which every ``python3.N`` answers.

    ansible-test tests with each Python it finds by name. Version managers put stand-ins on PATH that only say that
    the version is not selected; a folder with such a stand-in is left out.
    """
    folders = [str(pathlib.Path(sys.executable).parent), str(pathlib.Path(sys.base_prefix, "bin"))]
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder and folder not in folders and _pythons_answer(pathlib.Path(folder)):
            folders.append(folder)
    return {**os.environ, "PATH": os.pathsep.join(folders)}


def _pythons_answer(folder: pathlib.Path) -> bool:
    for python in folder.glob("python3.*"):
        if re.fullmatch(r"python3\.\d+", python.name):
            answer = subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL, check=False)
            if answer.returncode:
                return False
    return True
