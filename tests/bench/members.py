# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the members of a replica set answered, were initiated and served, seen from outside.

Every member is asked `hello`, which needs no login, each 50 ms over one connection through the API server: the same for
whoever forms the set. The answer of a member about itself is all that counts.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
import typing as t

import bson

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel

PERIOD = 0.05
PORT = 27017
_BODY = bson.encode({"hello": 1, "$db": "admin"})
HELLO = struct.pack("<iiiiIB", 21 + len(_BODY), 1, 0, 2013, 0, 0) + _BODY


class Member:
    """What one member said, and since when (seconds of the monotonic clock; None: not yet)."""

    def __init__(self) -> None:
        self.answered: t.Optional[float] = None
        self.in_set: t.Optional[float] = None
        self.serves: t.Optional[float] = None
        self.primary: t.Optional[float] = None

    def hear(self, hello: t.Mapping[str, t.Any]) -> None:
        now = time.monotonic()
        self.answered = self.answered or now
        self.in_set = (self.in_set or now) if hello.get("setName") else None
        self.primary = (self.primary or now) if hello.get("isWritablePrimary") else None
        self.serves = (self.serves or now) if self.primary or hello.get("secondary") else None

    def lost(self) -> None:
        self.answered = self.in_set = self.serves = self.primary = None


class Watcher:
    """Asks until it is closed. Use it as a context manager."""

    def __init__(self, cluster: Cluster, namespace: str, pods: t.Sequence[str]) -> None:
        self.members = [Member() for _pod in pods]
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(cluster, namespace, pod, member), daemon=True)
            for pod, member in zip(pods, self.members, strict=True)
        ]

    def __enter__(self) -> Watcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(10)

    def all_answer(self) -> bool:
        return all(member.answered for member in self.members)

    def formed(self) -> t.Optional[float]:
        """Since when every member serves and one of them is primary."""
        serving = [member.serves for member in self.members if member.serves]
        primaries = [member.primary for member in self.members if member.primary]
        return max(serving + primaries) if len(serving) == len(self.members) and len(primaries) == 1 else None

    def first_in_set(self) -> t.Optional[float]:
        return min((member.in_set for member in self.members if member.in_set), default=None)

    def wait(self, condition: t.Callable[[], t.Any], seconds: float, what: str) -> None:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
            time.sleep(PERIOD)

    def _ask(self, cluster: Cluster, namespace: str, pod: str, member: Member) -> None:
        with Tunnel(cluster, namespace, pod, PORT) as tunnel:
            while not self._closed.is_set():
                with contextlib.suppress(OSError, ValueError, bson.errors.BSONError), _dial(tunnel.path) as link:
                    while not self._closed.wait(PERIOD):
                        member.hear(_hello(link))
                    return
                member.lost()
                self._closed.wait(2 * PERIOD)


def _dial(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(5)
    link.connect(path)
    return link


def _hello(link: socket.socket) -> dict[str, t.Any]:
    link.sendall(HELLO)
    length = struct.unpack("<i", _exactly(link, 4))[0]
    return bson.decode(_exactly(link, length - 4)[17:])


def _exactly(link: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = link.recv(length - len(data))
        if not more:
            raise ConnectionError("the member hung up")
        data += more
    return data
