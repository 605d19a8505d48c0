# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What is in the base image. A change of this file makes a new one.

The packages that roles install are in a small repository inside the image: a run then takes no network, and the same
time everywhere.
"""

from __future__ import annotations

PACKAGES = (
    "dbus",  # systemctl speaks through it
    "initramfs-tools",
    "iproute2",
    "kmod",
    # What mounts NFS, and the greater part of what the server takes: installing is what a run waits for longest.
    "nfs-common",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd-sysv",
    "udev",
)
# By the ID of /etc/os-release. A kernel for virtual machines is small, and has nfsd as a module.
KERNELS = {"debian": "linux-image-cloud-amd64", "ubuntu": "linux-image-virtual"}
# What a role may install in there, with all that it depends on.
REPOSITORY = ("nfs-kernel-server", "ufw")

DISK_SIZE = "3G"
ADDRESS = "10.0.2.15"
GATEWAY = "10.0.2.2"

TEXTS = {
    "/etc/fstab": "/dev/vda / ext4 defaults,noatime 0 1\n",
    "/etc/hostname": "vm\n",
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 vm\n::1 localhost\n",
    "/etc/resolv.conf": "",
    # Filled at the first start.
    "/etc/machine-id": "",
    "/etc/apt/sources.list": "deb [trusted=yes] file:/var/lib/packages ./\n",
    "/etc/systemd/network/eth0.network": (
        f"[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\nGateway={GATEWAY}\nIPv6AcceptRA=no\n"
    ),
    "/etc/ssh/sshd_config.d/vm.conf": "PermitRootLogin prohibit-password\nPasswordAuthentication no\nUseDNS no\n",
    # Documentation is the larger half of a small system, also of what is installed later.
    "/etc/dpkg/dpkg.cfg.d/lean": (
        "path-exclude=/usr/share/man/*\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/locale/*\nforce-unsafe-io\n"
    ),
}
ENABLED = ("systemd-networkd.service", "ssh.service")
# What would start in the middle of a test, or takes long in software emulation.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd-wait-online.service",
    "systemd-timesyncd.service",
)
