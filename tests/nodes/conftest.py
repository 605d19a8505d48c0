# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster of these tests: the lab with three nodes. tools/nodes.py brings it up, and back to what it was."""

from __future__ import annotations

import os
import pathlib
import sys
import typing as t

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import three

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect

FAULTY = ("node2", "node3")


@pytest.fixture(scope="session", autouse=True)
def _stage() -> t.Iterator[None]:
    """A namespace that begins empty, on three nodes of which two are kept for these tests."""
    kubectl = three.kubectl
    kubectl("delete", "namespace", three.NAMESPACE, "--ignore-not-found", "--wait")
    kubectl("taint", "node", *FAULTY, f"{three.TAINT}=:NoSchedule", "--overwrite")
    kubectl("uncordon", *FAULTY)
    kubectl("create", "namespace", three.NAMESPACE)
    yield
    mend()
    kubectl("delete", "namespace", three.NAMESPACE, "--wait=false")
    # Their data goes too, so nobody needs to step down in good order.
    kubectl("delete", "pods", "--all", "--grace-period=1")
    kubectl("delete", "namespace", three.NAMESPACE, "--ignore-not-found")
    kubectl("taint", "node", *FAULTY, f"{three.TAINT}-")


def mend() -> None:
    """Undo every fault, also after a test that failed half-way; `up` does, as long as nobody asks for fewer nodes."""
    three.lab("up")
    three.kubectl("uncordon", *FAULTY)


@pytest.fixture(scope="session")
def _web() -> None:
    three.play("web")


@pytest.fixture(scope="session")
def formed() -> t.Iterator[three.ReplicaSet]:
    three.play("mongodb")
    with connect({"kubeconfig": os.environ["KUBECONFIG"]}) as api:
        yield three.ReplicaSet(api)


@pytest.fixture
def trio(formed: three.ReplicaSet) -> t.Iterator[three.ReplicaSet]:
    """The replica set: whole before each test, and mended after it."""
    three.wait_for("the set to be whole", formed.is_whole)
    yield formed
    mend()
