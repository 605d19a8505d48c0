# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A tunnel through the API server to one port of a pod."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import ssl
import tempfile
import threading
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import BUILT_IN
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tls import Certificate, Layer, ServerTls
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

PROTOCOL = "v4.channel.k8s.io"
LONGEST_FOLDER = 70
# The channel that carries a port's bytes, how much is read at once, and how much may wait for a slow side.
DATA = 0
CHUNK = 64 * 1024
BUFFER = 1024 * 1024
# A socket that can be written to takes this much at once without blocking, whatever its buffers.
PIECE = 4 * 1024


_PODS = BUILT_IN[("v1", "Pod")]


class Tunnel:
    """A private unix socket; each connection to it is carried to a port of a pod.

    It ends inside the pod's own network namespace: the program there sees a connection from localhost. Use it as a
    context manager; ``path`` is the socket's address. With ``tls``, which is asked anew for each connection, the
    tunnel speaks TLS to the pod and checks the certificate; whoever uses the socket speaks plainly.
    """

    def __init__(
        self, cluster: Cluster, namespace: str, pod: str, port: int, tls: t.Optional[t.Callable[[], ServerTls]] = None
    ) -> None:
        self._cluster = cluster
        self._request = f"{_PODS.path(namespace, pod)}/portforward"
        self._port = port
        self._tls = tls
        # The address of a unix socket holds 107 characters at most, which a long TMPDIR would use up.
        short = None if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"  # noqa: S108
        self._folder = tempfile.mkdtemp(prefix="stateful-kube-", dir=short)
        self.path = os.path.join(self._folder, "tunnel.sock")
        #: why the last connection could not be carried, if so
        self.error: t.Optional[str] = None
        #: the same as it was raised: a missing right, for example, will not come by waiting
        self.failure: t.Optional[Failure] = None
        #: what the server showed at the last connection with TLS
        self.certificate: t.Optional[Certificate] = None
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            # A blocked accept() does not notice a mere close.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in list(self._open):
            _hang_up(end)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            tls = self._tls() if self._tls else None
            channel = self._cluster.connection.websocket(self._request, [("ports", self._port)], [PROTOCOL])
        except Failure as failure:
            self.error, self.failure = failure.message, failure
            near.close()
            return
        self.error = self.failure = None
        self._open.add(near)
        if self._closed:
            _hang_up(near)
        try:
            self.error = _Carrier(near, channel, self._layer(tls)).run()
        finally:
            # Whoever uses the socket has to see that it ended, and looks again.
            self._open.discard(near)
            near.close()
            with contextlib.suppress(Exception):
                channel.shutdown()

    def _layer(self, tls: t.Optional[ServerTls]) -> t.Optional[Layer]:
        return Layer(tls, self._shown) if tls else None

    def _shown(self, certificate: Certificate) -> None:
        self.certificate = certificate


class _Carrier:
    """Carries bytes between a socket and a forwarded port, both ways, until either side ends.

    One thread does both ways, because a TLS connection must not be read and written at the same moment. Neither
    buffer grows much beyond BUFFER: a side that does not read stops the other one from sending.
    """

    def __init__(self, near: socket.socket, channel: t.Any, layer: t.Optional[Layer] = None) -> None:
        import websocket

        self._codes = websocket.ABNF
        self._broken = (OSError, ValueError, websocket.WebSocketException)
        self._near = near
        self._channel = channel
        self._layer = layer
        self._far = channel.sock
        self._out = bytearray()
        self._back = bytearray()
        # Channels whose first frame is through: it only repeats the number of the port.
        self._greeted: set[int] = set()
        self._error: t.Optional[str] = None

    def run(self) -> t.Optional[str]:
        """Returns what the pod's side reports as an error, if anything."""
        with contextlib.suppress(*self._broken):  # the pod, the API server or the client went away in the middle
            if self._layer:
                self._send(self._layer.take())
            # What came in one piece with the answer to the upgrade, as a server's greeting may.
            going = self._receive() if self._decrypted() else True
            while going:
                going = self._turn()
            if self._out:
                self._far.sendall(self._out)
            if self._back:
                self._near.sendall(self._back)
        return self._error

    def _turn(self) -> bool:
        """Wait until something can be moved, and move it; False when a side has ended."""
        near, far = self._near, self._far
        readers = [*([near] if len(self._out) < BUFFER else []), *([far] if len(self._back) < BUFFER else [])]
        writers = [*([far] if self._out else []), *([near] if self._back else [])]
        readable, writable = ready(readers, writers)
        going = True
        if far in readable:
            going = self._receive()
        if near in readable:
            data = near.recv(CHUNK)
            going = going and bool(data)
            if data and self._layer:
                self._layer.put(data)
                data = self._layer.take()
            self._send(data)
        if far in writable:
            del self._out[: far.send(self._out[:PIECE])]
        if near in writable:
            del self._back[: near.send(self._back[:PIECE])]
        return going

    def _send(self, data: bytes) -> None:
        if data:
            frame = self._codes.create_frame(bytes([DATA]) + data, self._codes.OPCODE_BINARY)
            self._out += frame.format()

    def _receive(self) -> bool:
        """Take what came through the web socket; False when that side has ended."""
        while True:
            # Pings are answered in there, and must not make it wait for the next frame.
            opcode, frame = self._channel.recv_data_frame(True)
            if opcode == self._codes.OPCODE_CLOSE:
                return False
            if opcode == self._codes.OPCODE_BINARY and not self._take(frame.data[0], frame.data[1:]):
                return False
            if not self._decrypted():
                return True

    def _decrypted(self) -> bool:
        """Whether there are bytes that TLS has decrypted already: they do not show in poll()."""
        return isinstance(self._far, ssl.SSLSocket) and self._far.pending() > 0

    def _take(self, channel: int, data: bytes) -> bool:
        if channel not in self._greeted:
            self._greeted.add(channel)
        elif channel == DATA:
            return self._arrived(data)
        else:
            self._error = _plainly(data.decode("utf-8", "replace").strip())
            return False
        return True

    def _arrived(self, data: bytes) -> bool:
        """Bytes of the server, for the near side."""
        if self._layer is None:
            self._back += data
            return True
        try:
            self._back += self._layer.receive(data)
            self._send(self._layer.take())
        except ssl.SSLError as error:
            self._error = _distrust(error)
            return False
        return True


def ready(
    readers: t.Collection[socket.socket], writers: t.Collection[socket.socket], seconds: t.Optional[float] = None
) -> tuple[set[socket.socket], set[socket.socket]]:
    """Wait for any of them, at most so long. Not by select(), which knows descriptors below 1024 only."""
    asked = select.poll()
    ends = {end.fileno(): end for end in (*readers, *writers)}
    for number, end in ends.items():
        asked.register(number, (select.POLLIN if end in readers else 0) | (select.POLLOUT if end in writers else 0))
    # An end that broke counts as both: reading from it or writing to it tells how.
    broken = select.POLLERR | select.POLLHUP | select.POLLNVAL
    told = [(ends[number], event) for number, event in asked.poll(None if seconds is None else seconds * 1000)]
    return (
        {end for end, event in told if event & (select.POLLIN | broken) and end in readers},
        {end for end, event in told if event & (select.POLLOUT | broken) and end in writers},
    )


def _hang_up(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _distrust(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return f"TLS: {error.reason or error}"


def _plainly(error: str) -> str:
    """What a container runtime says of a port on which nobody listens is half a page of its own paths."""
    return "nothing listens on that port in the pod" if "connection refused" in error else error
