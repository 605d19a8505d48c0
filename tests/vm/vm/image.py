# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""The base image: a minimal system of this machine's distribution, from this machine's package sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import files, machine, progress, shell
from lab.errors import PrerequisiteError

from vm import recipe
from vm.settings import Settings

BOOTSTRAP = "bootstrap"
HOST_KEY = "ssh_host_ed25519_key"
# Raised when the same recipe gives another image because this module changed.
ENGINE = "1"
# Run by mmdebstrap with the new system's folder as $1, while its package lists are still there.
FETCH = (
    'env APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq install --yes --no-install-recommends --download-only {names}'
    ' && mkdir -p "$1/var/lib/packages" && mv "$1"/var/cache/apt/archives/*.deb "$1/var/lib/packages/"'
)


def kernel_package() -> str:
    found = machine.distribution().get("ID", "")
    if os.uname().machine != "x86_64" or found not in recipe.KERNELS:
        raise PrerequisiteError(
            "Debian or Ubuntu on x86_64 to make a virtual machine from",
            f"{found or 'another system'} on {os.uname().machine}",
            "Run what needs the virtual machine there.",
        )
    return recipe.KERNELS[found]


def key() -> str:
    system = machine.distribution()
    made_of = (recipe.PACKAGES, recipe.KERNELS, recipe.REPOSITORY, recipe.DISK_SIZE, recipe.TEXTS)
    return files.digest(
        ENGINE,
        repr((*made_of, recipe.ENABLED, recipe.MASKED)),
        f"{system.get('ID')} {system.get('VERSION_CODENAME')} {kernel_package()}",
    )


def folder(settings: Settings) -> Path:
    return settings.home / f"base-{key()}"


def ensure(settings: Settings) -> Path:
    """The folder of the base image, which is made when it is not there."""
    target = folder(settings)
    if not target.exists():
        settings.home.mkdir(parents=True, exist_ok=True)
        for unfinished in settings.home.glob(".base-*"):
            files.remove(unfinished)
        with progress.work("making the base image of the virtual machine") as work, workshop(settings) as place:
            make(place, work)
            place.rename(target)
    for old in settings.home.glob("base-*"):
        if old != target:
            files.remove(old)
    return target


@contextmanager
def workshop(settings: Settings) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix=".base-", dir=settings.home))
    # mmdebstrap has apt work in here as a user of its own.
    place.chmod(0o755)
    try:
        yield place
    finally:
        files.remove(place)


def make(place: Path, work: progress.Work) -> None:
    root = place / "root"
    work.detail = "packages"
    install(root, place)
    work.detail = "configuration"
    index_packages(root / "var/lib/packages")
    configure(root, place)
    for name, link in (("vmlinuz", "boot/vmlinuz-*"), ("initrd", "boot/initrd.img-*")):
        shutil.copy(next(root.glob(link)), place / name)
    work.detail = "disk"
    raw = place / "root.raw"
    shell.run(["mke2fs", "-q", "-t", "ext4", "-d", root, raw, recipe.DISK_SIZE], timeout=300)
    shell.run(["qemu-img", "convert", "-O", "qcow2", raw, place / "root.qcow2"], timeout=300)
    raw.unlink()
    files.remove(root)


def install(root: Path, scratch: Path) -> None:
    command: list[str | Path] = [
        *shell.end_with_parent(),
        shell.program("mmdebstrap"),
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join((*recipe.PACKAGES, kernel_package()))}",
        # Its own apt does not read this machine's settings; a mirror may be a frozen one.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *[f"--dpkgopt={line}" for line in recipe.TEXTS["/etc/dpkg/dpkg.cfg.d/lean"].split()],
        f"--customize-hook={FETCH.format(names=' '.join(recipe.REPOSITORY))}",
        "--format=directory",
        machine.distribution().get("VERSION_CODENAME", "stable"),
        root,
    ]
    shell.run(command, timeout=1200, env={"TMPDIR": str(scratch)})


def index_packages(packages: Path) -> None:
    """What apt wants of a folder to take packages from it."""
    entries = []
    for package in sorted(packages.glob("*.deb")):
        data = package.read_bytes()
        fields = shell.run(["dpkg-deb", "--field", package]).stdout.rstrip("\n")
        place = f"Filename: ./{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}"
        entries.append(f"{fields}\n{place}\n")
    (packages / "Packages").write_text("\n".join(entries))


def configure(root: Path, place: Path) -> None:
    files.remove(root / "etc/apt/sources.list.d")
    files.remove(root / "etc/resolv.conf")
    for path, text in recipe.TEXTS.items():
        files.write(root / path.lstrip("/"), text)
    for unit in recipe.ENABLED:
        shell.run(["chroot", root, "systemctl", "enable", unit])
    for unit in recipe.MASKED:
        shell.run(["chroot", root, "systemctl", "mask", unit])
    for name in (root / "etc/ssh").glob("ssh_host_*"):
        name.unlink()
    # The machine is recognised by the image's host key, and let in once by a key that goes with the image.
    make_key(root / "etc/ssh" / HOST_KEY)
    shutil.copy(root / "etc/ssh" / f"{HOST_KEY}.pub", place / f"{HOST_KEY}.pub")
    make_key(place / BOOTSTRAP)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    files.write(root / "root/.ssh/authorized_keys", (place / f"{BOOTSTRAP}.pub").read_text(), 0o600)


def make_key(path: Path) -> None:
    shell.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "stateful-vm", "-f", path])
