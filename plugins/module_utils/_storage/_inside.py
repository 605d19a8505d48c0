# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is inside a volume that was used: which may be looked at, what the programs saw, and what was expected. Pure."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import json
import struct
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import size_words

Object = t.Mapping[str, t.Any]

#: kinds of which a second, read-only PersistentVolume does no harm: folders, and no devices that somebody attaches
FOLDERS = ("nfs", "hostPath", "local")
EMPTY, UNKNOWN, SEVERAL = "empty", "unknown", "several"
TITLES: t.Mapping[str, str] = {
    "mongodb": "MongoDB",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "postgresql": "PostgreSQL",
    "cassandra": "Cassandra",
    "rabbitmq": "RabbitMQ",
    "minio": "MinIO",
    "cockroachdb": "CockroachDB",
}
#: what tells one installation of an engine from another, and in which words people read it
IDENTITY: t.Mapping[str, str] = {
    "replica_set": "replica set",
    "replica_set_id": "replica set id",
    "server_uuid": "server uuid",
    "cluster_id": "cluster id",
    "system_identifier": "system identifier",
    "deployment_id": "deployment id",
    "node_name": "node",
}
_SHOWN = 5
# The largest configuration of a replica set that is looked for, and the longest name of one.
_LARGEST, _LONGEST = 1 << 20, 1 << 10


@dataclasses.dataclass(frozen=True)
class Inside:
    """What one volume holds, as far as it could be told."""

    #: a key of TITLES, or empty, unknown or several; nothing where nobody could look
    engine: str = ""
    #: where in the volume, "" for its top
    folder: str = ""
    identity: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: whether the server was shut down as it should be; None where its files do not tell
    clean: t.Optional[bool] = None
    #: None where counting took too long
    bytes: t.Optional[int] = None
    files: t.Optional[int] = None
    newest: str = ""
    #: files and folders that could not be read
    unread: int = 0
    #: the first names in the volume, where no engine was recognised, and the engines where there are several
    names: tuple[str, ...] = ()
    #: users and groups that may be able to empty it, the likeliest first
    users: tuple[tuple[int, int], ...] = ()
    #: why nobody could look, or why it is not known to whom it belongs
    problem: str = ""

    def report(self) -> dict[str, t.Any]:
        return {
            "engine": self.engine or None,
            "folder": self.folder,
            "identity": dict(self.identity),
            "clean_shutdown": self.clean,
            "bytes": self.bytes,
            "files": self.files,
            "newest": self.newest or None,
            "unread": self.unread,
            "names": list(self.names),
            "problem": self.problem or None,
        }

    def what(self) -> str:
        """The engine and to what it belongs, in words."""
        if self.engine == EMPTY:
            return "nothing"
        if self.engine == UNKNOWN:
            return f"files of no engine that is known ({', '.join(self.names)})"
        if self.engine == SEVERAL:
            return f"several engines ({', '.join(self.names)})"
        told = ", ".join(f"{IDENTITY[key]} {value}" for key, value in self.identity.items())
        return TITLES[self.engine] + (f", {told}" if told else "") + (f" in {self.folder}" if self.folder else "")

    def sentence(self) -> str:
        """All of it, for the warning about the volume."""
        if not self.engine:
            return f"Nobody looked inside: {self.problem}."
        parts = [f"Inside is {self.what()}"]
        if self.files is None:
            parts.append("too much to be counted in time")
        elif self.engine != EMPTY:
            changed = f", last changed {self.newest}" if self.newest else ""
            parts.append(f"{size_words(self.bytes or 0)} in {self.files} files{changed}")
        if self.clean is False:
            parts.append("not shut down cleanly, so its server will recover first")
        if self.unread:
            parts.append(f"{self.unread} of its files or folders could not be read")
        if self.problem:
            parts.append(self.problem)
        return "; ".join(parts) + "."


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a volume has to hold before anything is done with it."""

    volume: str
    engine: str = ""
    identity: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def what(self) -> str:
        parts = [TITLES[self.engine]] if self.engine else []
        return ", ".join([*parts, *(f"{IDENTITY[key]} {value}" for key, value in self.identity.items())])


def differs(expected: Expected, inside: Inside) -> str:
    """How a volume is another one than expected, in words, or nothing."""
    if not inside.engine:
        return inside.problem
    wrong = expected.engine and expected.engine != inside.engine
    lost = [key for key, value in expected.identity.items() if inside.identity.get(key) != value]
    if not wrong and not lost:
        return ""
    unknown = [IDENTITY[key] for key in lost if key not in inside.identity]
    told = f"; its {', '.join(unknown)} cannot be told" if unknown and not wrong else ""
    why = f" ({inside.problem})" if told and inside.problem else ""
    return f"it holds {inside.what()}{told}{why}"


def why_not(volume: Object, kind: str, tied: t.Collection[str], hosts: t.Optional[t.Collection[str]]) -> str:
    """Why a volume of this kind is not looked into, or nothing. ``hosts``: the host names of all nodes, if known."""
    spec = volume["spec"]
    if volume["metadata"].get("deletionTimestamp"):
        return "the volume is being deleted"
    if kind not in FOLDERS or spec.get("volumeMode") == "Block" or spec[kind].get("fsType"):
        name = f"{kind} ({spec['csi'].get('driver')})" if kind == "csi" else kind or "this kind"
        return (
            f"{name} is a device or belongs to a driver, and a second volume of it might be attached twice, which can "
            "destroy what is on it. Rebind it to a claim of its own, and look from there"
        )
    if hosts is not None and set(tied) - set(hosts):
        return f"no node has the host name {', '.join(sorted(set(tied) - set(hosts)))}"
    if kind == "hostPath" and not spec.get("nodeAffinity") and (hosts is None or len(hosts) > 1):
        return "a hostPath without node affinity is another folder on each node, and which one was used is not known"
    return ""


def next_user(said: t.Mapping[str, str]) -> t.Optional[tuple[int, int]]:
    """The user and group that could read more than the one who looked, or None."""
    for name in ("unreadable", "blocked"):
        words = said.get(name, "").split()
        if len(words) == 2 and all(word.isdigit() for word in words):
            found = int(words[0]), int(words[1])
            return None if str(found[0]) == said.get("uid") else found
    return None


def every(text: str, name: str) -> list[str]:
    """All that a program said of one thing."""
    return [value for key, tab, value in (line.partition("\t") for line in text.splitlines()) if tab and key == name]


def judge(looked: str, counted: str) -> Inside:
    """What the two programs saw."""
    said = {key: value for key, tab, value in (line.partition("\t") for line in looked.splitlines()) if tab}
    count = {key: value for key, tab, value in (line.partition("\t") for line in counted.splitlines()) if tab}
    if "root" not in said:
        return Inside(problem="the folder gave no answer in time")
    engines = [value.partition(" ") for value in every(looked, "engine")]
    names = tuple(every(looked, "entry"))
    shut = "unreadable" in said or "blocked" in said
    mode, uid, gid = (*said["root"].split(), "", "")[:3]
    problem = f"user {said.get('uid')} may not read all of it (its top folder is {mode} {uid} {gid})" if shut else ""
    newest = int(count.get("newest", "0") or 0)
    whole = Inside(
        bytes=int(count["bytes"]) if "bytes" in count else None,
        files=int(count["files"]) if "files" in count else None,
        newest=_at(newest) if newest else "",
        unread=int(count.get("unread", "0").strip() or 0),
        problem=problem,
        users=_users(said),
    )
    if len(engines) > 1:
        found = tuple(f"{engine} in {folder or '/'}" for engine, _space, folder in engines[:_SHOWN])
        return dataclasses.replace(whole, engine=SEVERAL, names=found)
    if not engines:
        if shut and not names:
            return dataclasses.replace(whole, bytes=None, files=None)
        return dataclasses.replace(whole, engine=UNKNOWN if names else EMPTY, names=names[:_SHOWN])
    engine, _space, folder = engines[0]
    identity, why = _identity(engine, looked, said)
    clean = {"yes": True, "no": False}.get(said.get("clean", ""))
    return dataclasses.replace(
        whole, engine=engine, folder=folder, identity=identity, clean=clean, problem=problem or why
    )


def _users(said: t.Mapping[str, str]) -> tuple[tuple[int, int], ...]:
    """Who read the files, and to whom the top folder belongs."""
    pairs = [(said.get("uid", ""), said.get("gid", "")), (*said["root"].split()[1:], "", "")[:2]]
    return tuple(dict.fromkeys((int(uid), int(gid)) for uid, gid in pairs if uid.isdigit() and gid.isdigit()))


def _identity(engine: str, looked: str, said: t.Mapping[str, str]) -> tuple[dict[str, str], str]:
    """To what the files of an engine belong, and why that is not known."""
    if engine == "mongodb":
        return _mongodb(every(looked, "pages"))
    if engine == "minio":
        try:
            found = json.loads(said.get("format", ""))["id"]
        except (ValueError, KeyError, TypeError):
            return {}, "its format.json cannot be read"
        return {"deployment_id": str(found)}, ""
    if engine == "rabbitmq":
        nodes = every(looked, "node")
        return ({"node_name": nodes[0]}, "") if len(nodes) == 1 else ({}, f"it has the nodes {', '.join(nodes)}")
    keys = [key for key in ("server_uuid", "cluster_id", "system_identifier") if said.get(key)]
    why = "" if keys else "to what it belongs cannot be told from its files without its server"
    return {key: said[key].strip() for key in keys}, why


def _mongodb(pages: t.Sequence[str]) -> tuple[dict[str, str], str]:
    found: set[tuple[str, str]] = set()
    for text in pages:
        try:
            found |= replica_sets(base64.b64decode(text, validate=True))
        except binascii.Error:
            continue
    if len(found) == 1:
        ((name, set_id),) = found
        return {"replica_set": name, "replica_set_id": set_id}, ""
    if found:
        several = ", ".join(f"{name} ({set_id})" for name, set_id in sorted(found))
        return {}, f"its files speak of several replica sets: {several}"
    return {}, (
        "its replica set cannot be told: it has none, or its configuration is in no checkpoint yet, compressed or "
        "encrypted, so that it takes its server to tell"
    )


def replica_sets(data: bytes) -> set[tuple[str, str]]:
    """Name and id of each configuration of a replica set in a WiredTiger file.

    A configuration is a BSON document that begins with its _id (the set's name) and version, and has members, and
    settings with replicaSetId. A document names its own length, so a piece of one is not taken for one.
    """
    found: set[tuple[str, str]] = set()
    sign = b"\x02_id\0"
    at = data.find(sign)
    while at != -1:
        document = _document(data, at - 4)
        if document:
            (length,) = struct.unpack_from("<i", document, 4 + len(sign))
            name, rest = document[13 : 12 + length], document[13 + length :]
            mark = rest.find(b"\x07replicaSetId\0")
            if (
                1 < length <= _LONGEST
                and rest[1:9] == b"version\0"
                and b"\x04members\0" in rest
                and 0 <= mark <= len(rest) - 26
            ):
                found.add((name.decode("utf-8", "replace"), rest[mark + 14 : mark + 26].hex()))
        at = data.find(sign, at + 1)
    return found


def _document(data: bytes, start: int) -> bytes:
    """The BSON document that begins here, or nothing."""
    if start < 0:
        return b""
    (length,) = struct.unpack_from("<i", data, start)
    if not 30 < length <= min(_LARGEST, len(data) - start) or data[start + length - 1] != 0:
        return b""
    return data[start : start + length]


def _at(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
