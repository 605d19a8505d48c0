# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The commands."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import files, prerequisites, progress, shell
from lab.errors import LabError

from vm import image, machine
from vm.settings import Machine, Settings

DESCRIPTION = """\
Small virtual machines with a kernel of their own, to run roles for hosts on. Everything is in
${STATEFUL_LAB_HOME:-/var/lib/stateful-lab}/vm.
"""
# Debian's and Ubuntu's packages, each with how to see that it is there.
PACKAGES: dict[str, Callable[[], bool]] = {
    "qemu-system-x86": lambda: bool(shell.find("qemu-system-x86_64")),
    "qemu-utils": lambda: bool(shell.find("qemu-img")),
    "mmdebstrap": lambda: bool(shell.find("mmdebstrap")),
    "e2fsprogs": lambda: bool(shell.find("mke2fs")),
    "openssh-client": lambda: all(map(shell.find, ("ssh", "ssh-keygen"))),
    # The outside client of the tests.
    "libnfs-utils": lambda: bool(shell.find("nfs-ls")),
}


def up(settings: Settings, options: argparse.Namespace) -> int:
    """bring a new machine up, unless it is up"""
    prerequisites.ensure_packages(PACKAGES)
    which = Machine.named(settings, options.name)
    changed = machine.up(settings, which)
    progress.say(f"The virtual machine {which.name} is up{'' if changed else ' already'}.")
    print(json.dumps({"changed": changed, **facts(which)}))
    return 0


def facts(which: Machine) -> dict[str, object]:
    """What Ansible or a client needs to reach it."""
    ports = machine.ports(which)
    return {
        "address": "127.0.0.1",
        "ssh_port": ports[machine.SSH],
        "nfs_port": ports[machine.NFS],
        "key": str(which.key),
        "known_hosts": str(which.known_hosts),
    }


def down(settings: Settings, options: argparse.Namespace) -> int:
    """end a machine and throw its disk away; without a name all of them"""
    for name in [options.name] if options.name else machine.names(settings):
        there = machine.down(settings, Machine.named(settings, name))
        progress.say(f"The virtual machine {name} is {'gone' if there else 'not there'}.")
    return 0


def ssh(settings: Settings, options: argparse.Namespace) -> int:
    """run a command in a machine, or log in"""
    which = existing(settings, options.name)
    command = machine.ssh_command(which, which.key)
    os.execvp(command[0], [*command, *options.words])


def existing(settings: Settings, name: str) -> Machine:
    which = Machine.named(settings, name)
    if not which.key.exists():
        raise LabError(f"There is no virtual machine {name}. `up {name}` makes it.")
    return which


def forward(settings: Settings, options: argparse.Namespace) -> int:
    """lead a port of this machine to one of the virtual machine, until it ends"""
    address, _, port = options.outside.rpartition(":")
    if not address or not port.isdecimal():
        raise LabError(f"The outer end is written ADDRESS:PORT, such as 10.200.0.254:2049; found {options.outside!r}.")
    machine.forward(existing(settings, options.name), options.inside, address, int(port))
    progress.say(f"{options.outside} leads to port {options.inside} of {options.name}.")
    return 0


def status(settings: Settings, options: argparse.Namespace) -> int:
    """tell which machines there are and how to reach them"""
    for name in machine.names(settings):
        which = Machine.named(settings, name)
        state = "up" if machine.is_up(settings, which) else "not running"
        ports = ", ".join(f"{inside} is 127.0.0.1:{outside}" for inside, outside in machine.ports(which).items())
        print(f"{name:24} {state:12} {ports}")
    return 0


def make_image(settings: Settings, options: argparse.Namespace) -> int:
    """make the base image, which `up` does too where it is missing"""
    prerequisites.ensure_packages(PACKAGES)
    print(image.ensure(settings))
    return 0


def clean(settings: Settings, options: argparse.Namespace) -> int:
    """end every machine and remove every trace, the base image included"""
    for path in settings.machines.glob("*") if settings.machines.is_dir() else ():
        machine.down(settings, Machine(path.name, path))
    machine.down(settings, Machine("booting", settings.home / ".booting"))
    files.remove(settings.home)
    files.remove_if_empty(settings.home.parent)
    progress.say("The virtual machines and their image are removed.")
    return 0


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], int]] = {
    "up": up,
    "down": down,
    "ssh": ssh,
    "forward": forward,
    "status": status,
    "image": make_image,
    "clean": clean,
}
# One at a time, and as root, who alone may install packages and make a system.
CHANGING = {"up", "down", "image", "clean"}
# Not in the folder, which `clean` removes. It is gone with the next boot of this machine.
LOCK = Path("/run/stateful-vm.lock")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("vm", description=DESCRIPTION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if name in ("up", "ssh", "forward"):
            command.add_argument("name", metavar="NAME")
        if name == "down":
            command.add_argument("name", metavar="NAME", nargs="?")
        if name == "ssh":
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="WORD", help="the command")
        if name == "forward":
            command.add_argument("inside", type=int, metavar="PORT", help="port of the virtual machine, such as 2049")
            command.add_argument("outside", metavar="ADDRESS:PORT", help="where this machine listens for it")
    return parser.parse_args(arguments)


@contextmanager
def exclusive() -> Iterator[None]:
    """One command at a time; the kernel lets go of the lock when this process ends, however it ends."""
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.work("waiting for another vm command"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    settings = Settings.from_environment()
    try:
        if options.command in CHANGING:
            prerequisites.become_root([str(Path(__file__).resolve().parent), *arguments])
            with exclusive():
                return COMMANDS[options.command](settings, options)
        return COMMANDS[options.command](settings, options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on where this one stopped.", file=sys.stderr)
        return 130
