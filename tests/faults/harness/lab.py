# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a scenario does to the lab itself: its NFS server and its nodes."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import typing as t

import cluster

from harness.verdict import Failed


class Lab:
    def __init__(self, environment: t.Mapping[str, str], variables: t.Mapping[str, t.Any]) -> None:
        self._environment = {key: value for key, value in environment.items() if key != "LAB_NODES"}
        self._variables = variables

    @property
    def nfs_server(self) -> str:
        return str(self._variables["stateful_lab_nfs_server"])

    @property
    def nfs_folder(self) -> pathlib.Path:
        """The exports, as they lie on the disk of this machine."""
        return pathlib.Path(self._variables["stateful_lab_nfs_folder"])

    def image(self, variable: str) -> str:
        return str(self._variables[variable])

    def run(self, *words: str) -> str:
        """One command of the lab; what it says."""
        done = subprocess.run(
            [*cluster.LAB, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed(f"lab {' '.join(words)} failed: {done.stdout.strip()[-500:]}")
        return done.stdout

    @contextlib.contextmanager
    def nfs(self, action: str, undo: str) -> t.Iterator[None]:
        """Without its NFS server, or with a frozen one; at the end it is there again in any case."""
        self.run("nfs", action)
        try:
            yield
        finally:
            self.run("nfs", undo)
