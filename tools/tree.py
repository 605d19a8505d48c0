# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put the collection where Ansible looks for it: as links for playbooks, as a copy for ansible-test.

Ansible finds a collection only at ``ansible_collections/NAMESPACE/NAME``. Links to its top-level parts keep edits
live; a link to the whole clone would contain itself. ansible-test wants real files, and copies everything it sees.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
COLLECTIONS = ROOT / "build" / "collections"
LINKED = COLLECTIONS / "ansible_collections" / "stateful" / "kube"
COPIED = ROOT / "build" / "ansible_test" / "ansible_collections" / "stateful" / "kube"
# What a play or ansible-doc can reach.
PARTS = ("changelogs", "docs", "galaxy.yml", "meta", "playbooks", "plugins", "README.md", "roles", "tests")


def link() -> pathlib.Path:
    """Make the links, drop those whose part is gone; return the folder for ANSIBLE_COLLECTIONS_PATH."""
    if LINKED.is_symlink():
        LINKED.unlink()  # somebody linked a whole clone, whose files must not be taken for leftovers here
    LINKED.mkdir(parents=True, exist_ok=True)
    for entry in LINKED.iterdir():
        if not entry.exists() or entry.name not in PARTS:
            entry.unlink()
    for part in PARTS:
        place = LINKED / part
        if (ROOT / part).exists() and not place.is_symlink():
            place.symlink_to(os.path.relpath(ROOT / part, LINKED))
    return COLLECTIONS


def copy() -> pathlib.Path:
    """Bring the copy up to date with what git knows or would add; return the copied collection's folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.split("\0")
    wanted = {name for name in listed if name and _in_collection(name) and os.path.lexists(ROOT / name)}
    for name in sorted(wanted):
        _copy_if_newer(ROOT / name, COPIED / name)
    _drop_the_rest(wanted)
    if not (COPIED / ".git").exists():
        # ansible-test asks git which files there are: the copy needs a repository of its own, or the clone around it
        # answers that everything under build is ignored.
        subprocess.run(["git", "init", "--quiet", "--template=", COPIED], check=True)
    return COPIED


def _in_collection(name: str) -> bool:
    # The lab is a program of its own with its own checks, in Go for the greater part; virtual machines are another.
    return not name.startswith(("tests/lab/", "tests/vm/"))


def _drop_the_rest(wanted: set[str]) -> None:
    for folder, folders, files in os.walk(COPIED, topdown=False):
        relative = pathlib.Path(folder).relative_to(COPIED)
        if relative.parts[:1] == (".git",) or relative.parts[:2] == ("tests", "output"):
            continue
        for name in files:
            if str(relative / name) not in wanted:
                pathlib.Path(folder, name).unlink()
        for name in folders:
            inner = pathlib.Path(folder, name)
            if not inner.is_symlink() and not any(inner.iterdir()):
                inner.rmdir()


def _copy_if_newer(source: pathlib.Path, target: pathlib.Path) -> None:
    have = os.lstat(source)
    if os.path.lexists(target):
        old = os.lstat(target)
        if (old.st_mtime_ns, old.st_size, old.st_mode) == (have.st_mtime_ns, have.st_size, have.st_mode):
            return
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


if __name__ == "__main__":
    link()
