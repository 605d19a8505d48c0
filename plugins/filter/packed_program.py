# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: packed_program
short_description: A program of this collection with all that it imports, for the C(binaryData) of a ConfigMap
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Packs one of the collection's private Python modules with the modules of the collection that it imports, and nothing
    else, into an archive that C(python3) runs. Libraries such as C(pymongo) have to be where it runs.
  - The same files give the same archive, so that a task that applies it changes nothing.
positional: _input
options:
  _input:
    description: The module below C(module_utils), such as C(_mongodb._backup._inside). It has a function C(main).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: The program that a scheduled backup runs
  ansible.builtin.set_fact:
    program: "{{ '_mongodb._backup._inside' | stateful.kube.packed_program }}"
"""

RETURN = r"""
_value:
  description: The archive, in Base64.
  type: str
"""

import ast
import base64
import functools
import io
import pathlib
import typing as t
import zipfile

HERE = pathlib.Path(__file__).parents[1] / "module_utils"
PREFIX = "ansible_collections.stateful.kube.plugins.module_utils."
# The earliest that the format knows.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def file_of(module: str) -> t.Optional[pathlib.Path]:
    """The file of a module below module_utils, or None where it is a name in one."""
    path = HERE.joinpath(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def imported(path: pathlib.Path) -> t.Iterator[str]:
    """The modules of this collection that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(PREFIX):
            base = str(node.module)[len(PREFIX) :]
            for name in (base, *(".".join(filter(None, (base, alias.name))) for alias in node.names)):
                if name and file_of(name):
                    yield name


def needed(module: str) -> set[str]:
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = file_of(name)
        if path is None or name in found:
            continue
        found.add(name)
        waiting += imported(path)
    return found


@functools.lru_cache
def packed_program(module: str) -> str:
    files = {
        f"{PREFIX}{name}".replace(".", "/") + ".py": t.cast(pathlib.Path, file_of(name)) for name in needed(module)
    }
    content = {
        name.replace(".py", "/__init__.py") if path.name == "__init__.py" else name: path.read_bytes()
        for name, path in files.items()
    }
    for name in list(content):
        for folder in pathlib.PurePosixPath(name).parents[:-1]:
            content.setdefault(f"{folder}/__init__.py", b"")
    run = f"import os, sys\nfrom {PREFIX}{module} import main\nsys.exit(main(os.environ))\n"
    content["__main__.py"] = run.encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, data in sorted(content.items()):
            # Not compressed: what that gives depends on the zlib of the host that packs.
            info = zipfile.ZipInfo(name, NO_TIME)
            info.create_system = 3
            zipped.writestr(info, data, zipfile.ZIP_STORED)
    return base64.b64encode(archive.getvalue()).decode()


class FilterModule:
    def filters(self) -> dict[str, t.Any]:
        return {"packed_program": packed_program}
