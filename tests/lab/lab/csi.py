# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The storage driver for tests, one for each node: ../csi."""

from __future__ import annotations

from lab import build, control_plane, network, processes
from lab.processes import Process
from lab.settings import Node, Settings

NAME = "loop.stateful-lab.local"


def driver(settings: Settings, on: Node) -> Process:
    kubeconfig = settings.pki / "csi.conf"
    command = [
        *network.inside(on),
        build.part_folder(settings, "csi") / "csi",
        f"--kubeconfig={kubeconfig}",
        f"--node={on.name}",
        f"--volumes={on.loop_volumes}",
        f"--endpoint={on.kubelet_root}/csi.sock",
        f"--registry={on.kubelet_root}/plugins_registry",
    ]
    # Somebody has to serve claims that go to no node in particular, and to bind snapshots.
    if on == settings.nodes[0]:
        command += ["--immediate", "--snapshot-controller"]
    return Process(f"csi-{on.name}", command, settings.logs / f"csi-{on.name}.log", configuration=[kubeconfig])


def ensure(settings: Settings, on: Node) -> list[str]:
    return processes.ensure([driver(settings, on)], settings.home)


def is_registered(settings: Settings, on: Node) -> bool:
    """Whether the kubelet knows the driver; pods with its volumes could not start before."""
    found = control_plane.get_object(settings, f"/apis/storage.k8s.io/v1/csinodes/{on.name}") or {}
    return any(each["name"] == NAME for each in found.get("spec", {}).get("drivers") or [])


def wait_ready(settings: Settings, on: Node) -> None:
    processes.wait_until(
        f"the kubelet of {on.name} to register the storage driver",
        lambda: is_registered(settings, on),
        timeout=60,
        needs=[driver(settings, on)],
        home=settings.home,
    )
