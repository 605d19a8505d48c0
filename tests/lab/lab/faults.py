# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Faults of a node, by command: stop, kill, freeze, cut, and the way back.

Nothing is noted down: what state a node is in shows in its processes, its cable and its packet rules, so that a command
that was killed half-way leaves nothing that another one would not see.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from lab import build, csi, images, network, node, policy, processes
from lab.errors import LabError
from lab.settings import Node, Settings

# How many times to look for processes that were started while the others were being stopped.
ROUNDS = 50


def find(settings: Settings, name: str) -> Node:
    for each in settings.nodes:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in settings.nodes)
    raise LabError(f"There is no node {name}; the lab has {known}. `up --nodes N` gives it more.")


def need_own_network(node: Node, action: str) -> None:
    if node.network_namespace is None:
        raise LabError(
            f"{node.name} cannot be {action}: its network is the machine's own, and the control plane is in it too. "
            "Take another node, or keep another node away from this one: "
            f"`node cut node2 --from {node.name}`. {node.name} can be stopped and frozen."
        )


def own_processes(settings: Settings, each: Node) -> list[int]:
    """Everything of a node that runs: the lab's processes for it with their helpers, shims, containers."""
    names = node.process_names(each)
    found = set(node.shims(each)) | set(node.pod_processes(each))
    for pid in processes.pids():
        marked = processes.read_environment(pid).get(processes.MARK, "").split("|")
        if len(marked) == 4 and marked[0] == str(settings.home) and marked[1] in names:
            found.add(pid)
    return sorted(found)


def is_running(settings: Settings, each: Node) -> bool:
    alive = processes.running(settings.home)
    return f"kubelet-{each.name}" in alive and f"containerd-{each.name}" in alive


def stopped_by_signal(pid: int) -> bool:
    try:
        return processes.state_and_session(pid)[0] in "tT"
    except (OSError, ValueError):
        return False


def is_frozen(settings: Settings, each: Node) -> bool:
    """Whether anything of a node stands still: half a freeze is one as well, and has to be thawed."""
    return any(stopped_by_signal(pid) for pid in own_processes(settings, each))


def states(settings: Settings, each: Node) -> list[str]:
    """What is wrong with a node on purpose, in words."""
    found = []
    if not is_running(settings, each):
        found.append("stopped")
    if is_frozen(settings, each):
        found.append("frozen")
    if peers := network.cut_from(each):
        found.append("cut off" if network.EVERYBODY in peers else f"cut from {', '.join(peers)}")
    return found


def freeze(settings: Settings, each: Node) -> None:
    """Stop every process of a node where it stands, as on a machine that hangs: its kernel still answers."""
    if not is_running(settings, each):
        raise LabError(f"{each.name} is stopped: nothing is left to freeze. `node start {each.name}` starts it.")
    for _round in range(ROUNDS):
        moving = [
            pid for pid in own_processes(settings, each) if processes.is_alive(pid) and not stopped_by_signal(pid)
        ]
        if not moving:
            return
        for pid in moving:
            processes.send(pid, signal.SIGSTOP)
        time.sleep(0.02)
    raise LabError(f"Processes of {each.name} that do not stand still: {', '.join(map(str, moving))}.")


def freeze_kubelet(settings: Settings, each: Node) -> None:
    """Stop a node's kubelet where it stands, and nothing else: its pods go on, and nobody hears of them any more."""
    kubelet = processes.running(settings.home).get(f"kubelet-{each.name}")
    if kubelet is None:
        raise LabError(f"{each.name} has no kubelet that runs. `node start {each.name}` starts it.")
    processes.send(kubelet.pid, signal.SIGSTOP)


def thaw(settings: Settings, each: Node) -> bool:
    """Let a node's processes go on; whether any stood still. The pods first, the kubelet that looks at them last."""
    still = [pid for pid in own_processes(settings, each) if stopped_by_signal(pid)]
    pods = set(node.pod_processes(each))
    for pid in sorted(still, key=lambda pid: pid not in pods):
        processes.send(pid, signal.SIGCONT)
    return bool(still)


def stop(settings: Settings, each: Node) -> None:
    """Shut a node down in order: the kubelet, then the pods, which are asked to end; last the cable goes dead."""
    thaw(settings, each)
    alive = processes.running(settings.home)
    processes.stop([alive[name].pid for name in node.process_names(each) if name in alive])
    node.clear_remains(each)
    network.plug(each, False)


def kill(settings: Settings, each: Node) -> None:
    """Take a node's power: the cable goes dead first, so that nobody hears from the processes that end."""
    need_own_network(each, "killed")
    network.plug(each, False)
    processes.kill(own_processes(settings, each))
    node.clear_remains(each)


def start(settings: Settings, each: Node) -> None:
    """Start a node that was stopped or killed, and wait until it is Ready; one that is cut off cannot tell."""
    if is_frozen(settings, each):
        raise LabError(f"{each.name} is frozen, not stopped: `node thaw {each.name}`.")
    network.plug(each, True)
    kubernetes = build.folder(settings)
    pause = next(recipe for recipe in images.recipes(settings, kubernetes) if recipe.name == "pause")
    node.ensure_containerd(settings, each, pause.names[0])
    node.ensure_kubelet(settings, each, kubernetes)
    policy.ensure(settings, each)
    csi.ensure(settings, each)
    if not network.cut_from(each):
        node.wait_ready(settings, each, kubernetes)


def cut(settings: Settings, each: Node, peers: Sequence[Node]) -> None:
    """Drop every packet between a node and others, without a word to either side."""
    need_own_network(each, "cut off")
    if each in peers:
        raise LabError(f"{each.name} cannot be cut from itself.")
    network.cut(each, peers)


def heal(settings: Settings, each: Node) -> bool:
    """Let packets through again; whether there was anything in their way."""
    was_cut = bool(network.cut_from(each))
    network.heal(each)
    return was_cut


def mend(settings: Settings) -> list[str]:
    """Undo what a test that was killed left, and say what; for `up`, which then starts what is stopped."""
    found = []
    for each in settings.nodes:
        if thaw(settings, each):
            found.append(f"{each.name} was frozen and goes on")
        if heal(settings, each):
            found.append(f"{each.name} was cut off and is back in the network")
    return found


ACTIONS: dict[str, Callable[[Settings, Node], object]] = {
    "stop": stop,
    "start": start,
    "kill": kill,
    "freeze": freeze,
    "freeze-kubelet": freeze_kubelet,
    "thaw": thaw,
    "heal": heal,
}
