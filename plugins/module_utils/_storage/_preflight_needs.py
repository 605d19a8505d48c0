# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What each kind of application needs of its storage, why, and where that is written: one table, no code. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

# How much a need weighs where it is not met: the application must not run there, or people should know.
MUST, SHOULD = "must", "should"


@dataclasses.dataclass(frozen=True)
class Need:
    """One check that matters to a kind of application. ``why`` completes "it matters because …"."""

    check: str
    weight: str
    why: str


@dataclasses.dataclass(frozen=True)
class Kind:
    """What one kind of application needs.

    ``fsync_ms`` is a rule of thumb and no limit of the application: a median above it earns a remark, nothing more.
    """

    needs: tuple[Need, ...]
    fsync_ms: t.Optional[float]
    sources: tuple[str, ...]


# Whatever keeps data needs these.
_EVERYBODY = (
    Need("class", MUST, "without a class that works there is no volume"),
    Need("volume", MUST, "the pods start only once their volume is there and mounted"),
    Need("write", MUST, "it writes as this user"),
    Need("space", MUST, "the size that is asked for has to be there"),
    Need("access", MUST, "the access mode has to be true"),
    Need("chown", SHOULD, "an image that starts as root and gives its folder to its own user first cannot do so"),
)
_DATABASE = (
    *_EVERYBODY,
    Need("fsync", MUST, "a commit is on disk only once fsync has returned"),
    Need("rename", MUST, "it replaces files that must never be missing or half written"),
    Need("reclaim", SHOULD, "the data goes as soon as somebody deletes the claim"),
    Need("expansion", SHOULD, "its claims cannot grow"),
)

KINDS: t.Mapping[str, Kind] = {
    "mongodb": Kind(
        (
            *_DATABASE,
            Need("flock", MUST, "mongod keeps a second one out of its folder by flock on mongod.lock"),
            Need("fcntl_lock", MUST, "WiredTiger locks WiredTiger.lock by fcntl, and does not start where that fails"),
        ),
        10.0,
        (
            "https://www.mongodb.com/docs/manual/administration/production-notes/",
            "https://source.wiredtiger.com/mongodb-6.0/filesystems.html",
            "mongo: src/mongo/db/storage/storage_engine_lock_file_posix.cpp",
        ),
    ),
    "mysql": Kind(
        (
            *_DATABASE,
            Need("fcntl_lock", MUST, "InnoDB locks its files by fcntl, which keeps a second server out"),
        ),
        10.0,
        (
            "https://dev.mysql.com/doc/refman/8.4/en/multiple-data-directories.html",
            "mysql-server and MariaDB server: storage/innobase/os/os0file.cc (os_file_lock)",
        ),
    ),
    "postgresql": Kind(
        (
            *_DATABASE,
            Need("owner", MUST, "the server does not start on a folder that another user owns"),
            Need("exclusive", MUST, "postmaster.pid is created by O_EXCL, which keeps a second server out"),
        ),
        10.0,
        ("https://www.postgresql.org/docs/current/creating-cluster.html#CREATING-CLUSTER-NFS",),
    ),
    "cassandra": Kind(
        (
            *_DATABASE,
            Need("hard_link", MUST, "snapshots and incremental backups are hard links"),
            Need("mmap", SHOULD, "it reads indexes, and older versions tables too, through mmap (disk_access_mode)"),
        ),
        50.0,
        (
            "https://cassandra.apache.org/doc/latest/cassandra/managing/operating/backups.html",
            "cassandra: conf/cassandra.yaml (disk_access_mode)",
        ),
    ),
    "rabbitmq": Kind(
        _DATABASE,
        10.0,
        (
            "https://www.rabbitmq.com/docs/persistence-conf",
            "rabbitmq/ra: docs/internals/LOG.md (write-ahead log: fsync; compaction: rename)",
        ),
    ),
    "minio": Kind(
        (
            *_DATABASE,
            Need("owner", SHOULD, "it cannot repair the rights of files that belong to somebody else"),
            Need("network", SHOULD, "it promises no consistency on NFS and other network file systems"),
        ),
        50.0,
        ("minio/docs: source/operations/checklists/hardware.rst (local drives; no consistency on NFS)",),
    ),
    # What is written rarely and read often: web servers, shared folders.
    "files": Kind(
        (*_EVERYBODY, Need("rename", SHOULD, "a file that is replaced may be missing or half written for a moment")),
        None,
        (),
    ),
}
