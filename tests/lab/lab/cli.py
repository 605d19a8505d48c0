# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The lab's commands."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lab import prerequisites, processes, progress
from lab.errors import LabError, NotServed
from lab.settings import API_PORT, KUBERNETES_VERSION, MOST_NODES, NFS_SERVER, NODES_VARIABLE, Settings

if TYPE_CHECKING:
    from lab.images import Recipe

DESCRIPTION = """\
A real Kubernetes on this machine, made from package registries alone. Everything it makes is in
${STATEFUL_LAB_HOME:-/var/lib/stateful-lab}.
"""


def build(settings: Settings, options: argparse.Namespace) -> int:
    """build the lab's programs from tests/lab/go.mod"""
    from lab import build

    print(build.ensure(settings))
    return 0


def images(settings: Settings, options: argparse.Namespace) -> int:
    """make the container images by the recipes in tests/lab/images"""
    from lab import build, images, processes

    prerequisites.ensure(settings)
    wanted = images.ensure(settings, build.ensure(settings), options.load)
    alive = processes.running(settings.home)
    for each in settings.nodes:
        if options.load and f"containerd-{each.name}" in alive:
            images.load(settings, each, [recipe for recipe in wanted if recipe.name in options.load])
    for recipe in wanted:
        print(f"{images.image_file(settings, recipe)} {' '.join(recipe.names)}")
    return 0


def up(settings: Settings, options: argparse.Namespace) -> int:
    """bring the cluster up, or whatever of it is not up"""
    from lab import build, clean, images, lock, pki

    started = time.monotonic()
    lock.claim(settings.home)
    prerequisites.ensure(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    settings = replace(
        settings,
        node_count=options.nodes or asked_by_environment() or settings.node_count,
        audit=options.audit == "on" if options.audit else settings.audit,
    )
    settings.remember()
    kubernetes = build.ensure(settings)
    recipes = images.ensure(settings, kubernetes)
    images.write_variables(settings, recipes)
    retired = clean.retire_nodes(settings)
    pki.ensure(settings)
    link_tools(settings, kubernetes)
    changed = start_cluster(settings, kubernetes, recipes) or bool(retired)
    build.remove_outdated(settings)
    took = progress.elapsed(time.monotonic() - started)
    print_summary(settings, recipes, f"up after {took}" if changed else f"up already (checked in {took})")
    return 0


def link_tools(settings: Settings, kubernetes: Path) -> None:
    """A folder for PATH with kubectl alone, whose name stays when the programs are built anew."""
    tools = settings.home / "tools"
    tools.mkdir(exist_ok=True)
    link = tools / "kubectl"
    target = kubernetes / "kubernetes"
    if not link.is_symlink() or link.readlink() != target:
        new = tools / ".kubectl"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.rename(link)


def start_cluster(settings: Settings, kubernetes: Path, recipes: list[Recipe]) -> bool:
    """Start all that does not run, side by side where nothing depends on it; whether there was anything to do."""
    from lab import addons, control_plane, csi, faults, images, network, nfs, node, policy

    network.ensure(settings)
    changed: list[object] = []
    for mended in faults.mend(settings):
        changed.append(mended)
        progress.say(f"{mended}.")
    names = {recipe.name: recipe.names[0] for recipe in recipes}
    # Small images first: the addons' pods need no more, and start while the large ones are still on their way.
    ordered = sorted(recipes, key=lambda recipe: images.image_file(settings, recipe).stat().st_size)
    with ThreadPoolExecutor() as pool, giving_up_together():
        planes = pool.submit(control_plane.ensure, settings, kubernetes)
        volumes = pool.submit(nfs.ensure, settings)
        loads: list[Future[None]] = []
        runtimes = [pool.submit(node.ensure_containerd, settings, each, names["pause"]) for each in settings.nodes]
        for each, runtime in zip(settings.nodes, runtimes, strict=True):
            changed.append(runtime.result())
            lacking = images.missing(settings, each, ordered)
            changed.append(lacking)
            loads.append(pool.submit(images.load, settings, each, lacking))
        changed.append(planes.result())
        # Before any kubelet, which would have to wait for it to mount what its pods had.
        changed.append(volumes.result())
        addons.forget_nodes(settings, kubernetes)
        applied = pool.submit(addons.ensure, settings, kubernetes, recipes)
        for each in settings.nodes:
            changed.append(node.ensure_kubelet(settings, each, kubernetes))
            changed.append(policy.ensure(settings, each))
        changed.append(applied.result())
        for each in settings.nodes:
            # With its rights in place.
            changed.append(csi.ensure(settings, each))
            node.wait_ready(settings, each, kubernetes)
            csi.wait_ready(settings, each)
        addons.wait_ready(settings)
        for load in loads:
            load.result()
    return any(changed)


@contextmanager
def giving_up_together() -> Iterator[None]:
    """When one part fails, or the user interrupts, the others must not wait on for minutes."""
    try:
        yield
    except BaseException:
        processes.given_up.set()
        raise


def print_summary(settings: Settings, recipes: list[Recipe], state: str) -> None:
    from lab import addons

    shown = ", ".join(recipe.names[0] for recipe in recipes if "variable" in recipe.content)
    nodes = ", ".join(node.name for node in settings.nodes)
    say = progress.say
    say(f"The lab is {state}: Kubernetes {KUBERNETES_VERSION[1:]}, {nodes} Ready at https://127.0.0.1:{API_PORT}")
    say(f"  StorageClass  {addons.classes(settings)} (default)")
    say(f"  NFS           {NFS_SERVER}:/volumes")
    say(f"  images        {shown}")
    say(f"  KUBECONFIG    {settings.kubeconfig}")
    say(f'  next          eval "$({command_line()} env)" && kubectl get nodes')


def command_line() -> str:
    """How the lab was called, for words that tell what to type."""

    def shortened(path: Path) -> str:
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    return f"{shortened(Path(sys.executable))} {shortened(Path(__file__).resolve().parent)}"


def down(settings: Settings, options: argparse.Namespace) -> int:
    """stop everything; the cluster's data, binaries and images stay"""
    from lab import clean

    stopped = clean.stop(settings)
    progress.say("The lab is down; its data stays." if stopped else "The lab was not up.")
    return 0


def clean(settings: Settings, options: argparse.Namespace) -> int:
    """stop everything and remove every trace"""
    from lab import clean

    clean.everything(settings, keep_built=options.keep_built)
    kept = " Built programs and images stay." if options.keep_built else ""
    progress.say(f"The lab and its data are removed.{kept}")
    return 0


def env(settings: Settings, options: argparse.Namespace) -> int:
    """print the shell commands that point kubectl and Ansible to the lab"""
    prerequisites.check_python()
    import yaml

    if not settings.kubeconfig.exists() or not settings.variables.exists():
        raise LabError(f"There is no lab in {settings.home} yet: run `{command_line()} up` first.")
    variables = yaml.safe_load(settings.variables.read_text())
    print(environment_commands(settings, variables), end="")
    return 0


def environment_commands(settings: Settings, variables: dict[str, str]) -> str:
    values = {
        "KUBECONFIG": str(settings.kubeconfig),
        "STATEFUL_LAB_VARS": str(settings.variables),
        **{f"STATEFUL_LAB_{name.upper().removeprefix('STATEFUL_LAB_')}": value for name, value in variables.items()},
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    lines.append(f'export PATH={shlex.quote(str(settings.home / "tools"))}:"$PATH"')
    return "\n".join(lines) + "\n"


def status(settings: Settings, options: argparse.Namespace) -> int:
    """tell what runs; the exit code is 0 only when the cluster is up"""
    from lab import control_plane, faults, nfs, node

    alive = processes.running(settings.home)
    names = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", nfs.NAME]
    for each in settings.nodes:
        names += reversed(node.process_names(each))
    for name in names:
        print(f"{name:26} {f'process {alive[name].pid}' if name in alive else 'not running'}")
    ready = (settings.pki / "admin.crt").exists() and control_plane.is_ready(settings)
    print(f"{'API server':26} {'ready' if ready else 'not ready'}")
    fine = ready and all(name in alive for name in names)
    for each in settings.nodes:
        wrong = faults.states(settings, each)
        node_ready = ready and node.is_ready(settings, each)
        fine = fine and node_ready and not wrong
        print(f"{each.name:26} {', '.join(wrong) or ('Ready' if node_ready else 'not Ready')}")
    return 0 if fine else 1


def node(settings: Settings, options: argparse.Namespace) -> int:
    """do something to one node: stop, kill, freeze or cut it, and the way back"""
    from lab import faults

    each = faults.find(settings, options.name)
    if options.action == "cut":
        faults.cut(settings, each, [faults.find(settings, name) for name in options.peers])
    else:
        faults.ACTIONS[options.action](settings, each)
    progress.say(f"{each.name}: {', '.join(faults.states(settings, each)) or 'running'}")
    return 0


def nfs(settings: Settings, options: argparse.Namespace) -> int:
    """do something to the NFS server: stop or freeze it, and the way back"""
    from lab import nfs

    progress.say(f"{nfs.NAME}: {nfs.act(settings, options.action)}")
    return 0


def console(settings: Settings, options: argparse.Namespace) -> int:
    """run a command in a pod, past the API server, as at the console of its node; for a node that is cut off"""
    from lab import console

    return console.run(settings, options.pod, options.words)


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "up": up,
    "down": down,
    "clean": clean,
    "env": env,
    "status": status,
    "node": node,
    "nfs": nfs,
    "console": console,
    "build": build,
    "images": images,
}
# In the order of faults.py, which is imported only when it is needed.
NODE_ACTIONS = ("stop", "start", "kill", "freeze", "freeze-kubelet", "thaw", "cut", "heal")
# As in nfs.py, in the same way.
NFS_ACTIONS = ("stop", "start", "freeze", "thaw")
# These change something, so only one of them runs at a time, and as root.
CHANGING = {"up", "down", "clean", "node", "nfs", "build", "images"}


def node_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"the lab has between 1 and {MOST_NODES} nodes, not {text!r}")
    return int(text)


def asked_by_environment() -> int | None:
    """How many nodes LAB_NODES asks for, as in `LAB_NODES=3 make lab`."""
    text = os.environ.get(NODES_VARIABLE)
    if not text:
        return None
    try:
        return node_count(text)
    except argparse.ArgumentTypeError as error:
        raise LabError(f"{NODES_VARIABLE} is {text!r}: {error}. Set it to such a number, or unset it.") from error


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("lab", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if name == "up":
            command.add_argument("--nodes", type=node_count, metavar="N", help="number of nodes (remembered; first 1)")
            command.add_argument("--audit", choices=["on", "off"], help="log requests to the API server (remembered)")
        if name == "node":
            command.add_argument("action", choices=NODE_ACTIONS, metavar="ACTION", help=", ".join(NODE_ACTIONS))
            command.add_argument("name", metavar="NODE")
            command.add_argument(
                "--from",
                action="append",
                default=[],
                dest="peers",
                metavar="NODE",
                help="with cut: keep it away from this node only; may be repeated",
            )
        if name == "images":
            command.add_argument(
                "--load",
                action="append",
                default=[],
                metavar="RECIPE",
                help="make this one too, which is made only on demand, and hand it to the nodes; may be repeated",
            )
        if name == "nfs":
            command.add_argument("action", choices=NFS_ACTIONS, metavar="ACTION", help=", ".join(NFS_ACTIONS))
        if name == "console":
            command.add_argument("pod", metavar="NAMESPACE/POD")
            command.add_argument(
                "words", nargs=argparse.REMAINDER, metavar="WORD", help="the command and its arguments"
            )
        if name == "clean":
            command.add_argument("--keep-built", action="store_true", help="keep built programs and images")
    options = parser.parse_args(arguments)
    if getattr(options, "peers", None) and options.action != "cut":
        parser.error("--from goes with `node cut` only")
    return options


def main(arguments: list[str]) -> int:
    try:
        code = carry_out(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough, as in `status | head`. Python must not try to write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def carry_out(arguments: list[str]) -> int:
    options = parse(arguments)
    settings = Settings.from_environment()
    try:
        if options.command in CHANGING or options.command in ("status", "console"):
            prerequisites.become_root([str(Path(__file__).resolve().parent), *arguments])
        if options.command in CHANGING:
            prerequisites.check_python()
            from lab import lock

            with lock.exclusive(settings.home, options.command):
                return COMMANDS[options.command](settings, options)
        return COMMANDS[options.command](settings, options)
    except NotServed as error:
        print(error, file=sys.stderr)
        return NotServed.CODE
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on where this one stopped.", file=sys.stderr)
        return 130
