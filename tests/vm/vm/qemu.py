# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The process of a virtual machine, and its monitor."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from lab import shell
from lab.errors import LabError
from lab.processes import Process

from vm import settings
from vm.settings import Machine

PROGRAM = "qemu-system-x86_64"


def version() -> str:
    return shell.run([shell.program(PROGRAM), "--version"]).stdout.split()[3]


def process(machine: Machine, base: Path, ports: dict[int, int], *, resume: bool) -> Process:
    """``ports`` maps ports of the virtual machine to ports of this one; ``resume`` takes it up where it was saved."""
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}" for inside, outside in ports.items())
    command: list[str | Path] = [
        shell.program(PROGRAM),
        *("-name", machine.name),
        *("-M", "q35"),
        # Software emulation: the same everywhere, also where a machine's own virtualisation is broken or forbidden.
        *("-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"),
        *("-smp", str(settings.PROCESSORS), "-m", str(settings.MEMORY)),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", base / "vmlinuz", "-initrd", base / "initrd"),
        *("-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off quiet"),
        # A disk that is thrown away need not be written to this machine's.
        *("-drive", f"if=none,id=disk,file={machine.disk},format=qcow2,cache=unsafe"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *("-device", "virtio-rng-pci"),
        *("-netdev", f"user,id=net,ipv6=off{forwards}"),
        *("-device", f"virtio-net-pci,netdev=net,mac={settings.MAC},romfile="),
        *("-serial", f"file:{machine.console}"),
        *("-qmp", f"unix:{machine.monitor},server=on,wait=off"),
        *(("-loadvm", settings.SNAPSHOT) if resume else ()),
    ]
    return Process(machine.name, command, machine.log)


def monitor(machine: Machine, command: str) -> str:
    """Have the machine's monitor do something, in its words for people; what it answered."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(60)
        line.connect(str(machine.monitor))
        with line.makefile("rw", encoding="utf-8") as talk:
            talk.readline()
            for order in (
                {"execute": "qmp_capabilities"},
                {"execute": "human-monitor-command", "arguments": {"command-line": command}},
            ):
                talk.write(json.dumps(order) + "\n")
                talk.flush()
                answer: dict[str, object] = {}
                while not answer.keys() & {"return", "error"}:
                    answer = json.loads(talk.readline())
    if "error" in answer or str(answer["return"]).startswith("Error"):
        raise LabError(f"The monitor of {machine.name} answered {command!r} with: {answer}.")
    return str(answer["return"])


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
