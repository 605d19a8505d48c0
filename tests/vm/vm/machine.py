# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""Bringing a machine up, taking it away, and what there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from lab import files, processes, progress, shell
from lab.errors import LabError

from vm import image, qemu
from vm.settings import BOOT_TIMEOUT, SNAPSHOT, WAKE_TIMEOUT, Machine, Settings

SSH = 22
NFS = 2049
#: ports of the virtual machine that this one leads to
FORWARDED = (SSH, NFS)


def is_up(settings: Settings, machine: Machine) -> bool:
    return machine.name in processes.running(settings.home)


def names(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.machines.glob("*")) if settings.machines.is_dir() else []


def ports(machine: Machine) -> dict[int, int]:
    return {int(inside): outside for inside, outside in json.loads(machine.ports.read_text()).items()}


def up(settings: Settings, machine: Machine) -> bool:
    """Bring it up, new, unless it is up; whether there was anything to do."""
    base = image.ensure(settings)
    # The last thing that is written once a machine can be used.
    if is_up(settings, machine) and machine.key.exists():
        return False
    down(settings, machine)
    saved = ensure_saved(settings, base)
    with progress.work(f"starting the virtual machine {machine.name}"):
        machine.folder.mkdir(parents=True)
        shutil.copyfile(saved, machine.disk)
        # The copy lies elsewhere than what it was copied from.
        shell.run(["qemu-img", "rebase", "-u", "-b", base / "root.qcow2", "-F", "qcow2", machine.disk])
        start(settings, machine, base, resume=True)
        wait_for_ssh(settings, machine, base / image.BOOTSTRAP, WAKE_TIMEOUT)
        take_over(machine, base)
    return True


def ensure_saved(settings: Settings, base: Path) -> Path:
    """A disk with the state of a machine that has just booted. It is good for one version of QEMU only."""
    saved = base / f"booted-{qemu.version()}.qcow2"
    if saved.exists():
        return saved
    machine = Machine("booting", settings.home / ".booting")
    down(settings, machine)
    with progress.work("booting the virtual machine, once"):
        machine.folder.mkdir()
        shell.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base / "root.qcow2", "-F", "qcow2", machine.disk],
        )
        start(settings, machine, base, resume=False)
        try:
            wait_for_ssh(settings, machine, base / image.BOOTSTRAP, BOOT_TIMEOUT)
            # Whatever the boot still does would else be done again in every machine.
            run_inside(machine, base / image.BOOTSTRAP, ["systemctl", "is-system-running", "--wait"], check=False)
            # The image's own packages are known then, as on a machine that is in use.
            run_inside(machine, base / image.BOOTSTRAP, ["apt-get -qq update && sync"])
            qemu.monitor(machine, f"savevm {SNAPSHOT}")
            processes.stop([processes.running(settings.home)[machine.name].pid])
            machine.disk.rename(saved)
        finally:
            down(settings, machine)
    return saved


def start(settings: Settings, machine: Machine, base: Path, *, resume: bool) -> None:
    chosen = dict(zip(FORWARDED, qemu.free_ports(len(FORWARDED)), strict=True))
    files.write(machine.ports, json.dumps(chosen))
    public = (base / f"{image.HOST_KEY}.pub").read_text().split()
    files.write(machine.known_hosts, f"[127.0.0.1]:{chosen[SSH]} {public[0]} {public[1]}\n")
    processes.start(qemu.process(machine, base, chosen, resume=resume), settings.home)


def take_over(machine: Machine, base: Path) -> None:
    """Give it the right time and a key of its own in place of the image's."""
    new = machine.folder / ".key"
    image.make_key(new)
    public = new.with_name(".key.pub").read_text().strip()
    script = f"date -s @{time.time():.3f} >/dev/null && echo '{public}' >/root/.ssh/authorized_keys"
    run_inside(machine, base / image.BOOTSTRAP, [script])
    if os.environ.get("SUDO_UID", "").isdigit():
        # Whoever asked for the machine by sudo is who will use it.
        for path in (machine.folder, new):
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "-1")))
    new.rename(machine.key)


def ssh_command(machine: Machine, key: Path) -> list[str]:
    options = (
        "BatchMode=yes",
        "ConnectTimeout=10",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={machine.known_hosts}",
        "LogLevel=ERROR",
    )
    flags = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", "none", "-i", str(key), *flags, "-p", str(ports(machine)[SSH]), "root@127.0.0.1"]


def run_inside(
    machine: Machine, key: Path, words: Sequence[str], *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    return shell.run([*ssh_command(machine, key), *words], check=check, timeout=120)


def wait_for_ssh(settings: Settings, machine: Machine, key: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        asked = run_inside(machine, key, ["true"], check=False)
        if asked.returncode == 0:
            return
        if not is_up(settings, machine):
            raise LabError(f"The virtual machine {machine.name} has ended:\n{tail(machine.log)}")
        if time.monotonic() > deadline:
            raise LabError(
                f"The virtual machine {machine.name} did not answer by SSH within {timeout:.0f} s: "
                f"{asked.stderr.strip()}. The last lines of its console:\n{tail(machine.console)}"
            )
        time.sleep(0.2)


def tail(path: Path) -> str:
    return shell.last_lines(path.read_text(errors="replace")) if path.exists() else "    (nothing)"


def down(settings: Settings, machine: Machine) -> bool:
    """End it and throw its disk away; whether there was one."""
    alive = processes.running(settings.home)
    if machine.name in alive:
        # Nobody needs what it might still write.
        processes.kill([alive[machine.name].pid])
    there = machine.folder.exists()
    files.remove(machine.folder)
    return there


def forward(machine: Machine, inside: int, address: str, outside: int) -> None:
    """Lead one more port of this machine to the virtual one, for example on the lab's bridge for pods."""
    qemu.monitor(machine, f"hostfwd_remove net tcp:{address}:{outside}")
    answer = qemu.monitor(machine, f"hostfwd_add net tcp:{address}:{outside}-:{inside}")
    if answer.strip():
        raise LabError(f"QEMU could not forward {address}:{outside} to port {inside} of {machine.name}: {answer}")
