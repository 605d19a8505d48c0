# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Stopping the lab, and removing every trace of it."""

from __future__ import annotations

from dataclasses import replace

from lab import faults, files, lock, loops, mounts, network, nfs, node, processes, progress
from lab.settings import Node, Settings

# Made by `build` and `images`, and the same for every clone of the project.
BUILT = ("bin", "images")
MADE = (
    "etcd",
    "kubeconfig",
    "lab-vars.yml",
    "log",
    "nfs",
    "nodes",
    "pki",
    "run",
    "settings.json",
    "tools",
    ".pki.new",
    ".pki.old",
)


def existing_nodes(settings: Settings) -> list[Node]:
    """The nodes of this lab, with those that an earlier `up` had beyond what is wanted now."""
    folder = settings.home / "nodes"
    count = max([int(path.name[4:]) for path in folder.glob("node*") if path.name[4:].isdigit()], default=1)
    return replace(settings, node_count=max(count, settings.node_count)).nodes


def retire_nodes(settings: Settings) -> list[str]:
    """Stop the nodes beyond those that are wanted. Their volumes stay, for when they are wanted again."""
    alive = processes.running(settings.home)
    surplus = [each for each in existing_nodes(settings) if each not in settings.nodes]
    retired = []
    for each in surplus:
        found = [alive[name].pid for name in node.process_names(each) if name in alive]
        if found or network.is_connected(each):
            faults.thaw(settings, each)
            processes.stop(found)
            node.clear_remains(each)
            network.disconnect(each)
            retired.append(each.name)
    return retired


def stop(settings: Settings) -> bool:
    """End every process and give back mounts and network; data, binaries and images stay. Whether anything ran."""
    alive = processes.running(settings.home)
    nodes = existing_nodes(settings)
    busy = (
        bool(alive)
        or any(node.pod_processes(each) for each in nodes)
        or bool(mounts.below(settings.home) or loops.below(settings.home))
    )
    if busy:
        with progress.work("stopping the lab", quiet=True):
            # What stands still does not hear that it is to end.
            for each in nodes:
                faults.thaw(settings, each)
            nfs.thaw(settings)
            # First whoever would start things anew, then the pods, and last what the pods' end is written to.
            last = ("etcd", "kube-apiserver", nfs.NAME)
            processes.stop([process.pid for name, process in alive.items() if name not in last])
            for each in nodes:
                node.clear_remains(each)
            for name in reversed(last):
                if name in alive:
                    processes.stop([alive[name].pid])
            # Helpers of the kubelet and of containerd that nobody waits for any more.
            processes.stop(processes.inherited(settings.home), patience=2)
            mounts.unmount(settings.home)
    # There are no clients any more that could want their locks again.
    files.remove(nfs.recovery(settings))
    network.remove(settings)
    lock.release(settings.home)
    return busy


def everything(settings: Settings, *, keep_built: bool) -> None:
    """Remove all that the lab ever made, outside its folder too."""
    stop(settings)
    with progress.work("removing the lab's files", quiet=True):
        names = MADE if keep_built else (*MADE, *BUILT)
        for name in names:
            files.remove(settings.home / name)
        node.remove_foreign_remains(settings)
        if settings.home.is_dir() and not any(settings.home.iterdir()):
            settings.home.rmdir()
    lock.forget()
