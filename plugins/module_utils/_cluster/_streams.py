# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A command in a container whose input and output flow: neither is ever held as a whole."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import BUILT_IN
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import (
    EXEC_PROTOCOLS,
    STATUS,
    STDERR,
    STDIN,
    STDIN_CHUNK,
    STDOUT,
    default_container,
    exit_code,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import BUFFER, PIECE, ready

# Seconds between two calls of ``alive`` at most, where nothing flows.
LOOK_UP = 1.0
# Bytes of the last complaints that are kept.
KEPT = 16 * 1024

_PODS = BUILT_IN[("v1", "Pod")]


class Broken(Exception):
    """The connection ended before the command did."""


class Stream:
    """Use it as a context manager. Whoever leaves it early ends the command's input, and nobody reads its output."""

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, command: t.Sequence[str], alive: t.Callable[[], None]
    ) -> None:
        #: known at the end
        self.rc: t.Optional[int] = None
        self._title = f"{namespace}/{pod}: {command[0]}"
        self._alive = alive
        self._stderr = bytearray()
        self._deaf = False
        query = [("command", word) for word in command]
        query += [("container", default_container(cluster, namespace, pod))]
        query += [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        self._channel = cluster.connection.websocket(f"{_PODS.path(namespace, pod)}/exec", query, EXEC_PROTOCOLS)
        # Nothing may flow for as long as a statement takes: a node that is gone is to be noticed all the same.
        with contextlib.suppress(OSError, AttributeError):  # not every system has all of these
            self._channel.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._channel.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
            self._channel.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            self._channel.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *unused: object) -> None:
        self._channel.close(timeout=0)

    @property
    def complaints(self) -> str:
        """The end of what it wrote to standard error."""
        return self._stderr.decode("utf-8", "replace")

    def run(self, given: t.Iterable[bytes]) -> t.Iterator[bytes]:
        """Its output, while it is given this as input, until it ends. Its input is not closed. Raises Broken."""
        import websocket

        codes, out, source, going = websocket.ABNF, bytearray(), _pieces(given), True
        while self.rc is None:
            while going and len(out) < BUFFER and not self._deaf:
                piece = next(source, None)
                going = piece is not None
                out += codes.create_frame(bytes([STDIN]) + piece, codes.OPCODE_BINARY).format() if piece else b""
            self._alive()
            try:
                yield from self._turn(out)
            except (OSError, websocket.WebSocketException) as exc:
                raise Broken(f"{self._title}: the connection to the container broke ({exc})") from exc

    def _turn(self, out: bytearray) -> t.Iterator[bytes]:
        """Move what can be moved."""
        far = self._channel.sock
        readable, writable = ready([far], [far] if out else [], LOOK_UP)
        if writable:
            try:
                del out[: far.send(out[:PIECE])]
            except OSError:
                # How the command has ended may still be there to be read.
                self._deaf = True
                out.clear()
        if readable:
            yield from self._received()

    def _received(self) -> t.Iterator[bytes]:
        import websocket

        while self.rc is None:
            opcode, frame = self._channel.recv_data_frame(True)
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                raise Broken(f"{self._title}: the connection to the container ended before the command did")
            if opcode == websocket.ABNF.OPCODE_BINARY and frame.data:
                channel, data = frame.data[0], frame.data[1:]
                if channel == STDOUT and data:
                    yield data
                elif channel == STDERR:
                    self._stderr += data
                    del self._stderr[:-KEPT]
                elif channel == STATUS and data:
                    self.rc = exit_code(json.loads(data), self._title)
            # Bytes that TLS has decrypted already do not show in poll().
            if not (isinstance(self._channel.sock, ssl.SSLSocket) and self._channel.sock.pending()):
                return


def _pieces(given: t.Iterable[bytes]) -> t.Iterator[bytes]:
    for chunk in given:
        for start in range(0, len(chunk), STDIN_CHUNK):
            yield chunk[start : start + STDIN_CHUNK]
