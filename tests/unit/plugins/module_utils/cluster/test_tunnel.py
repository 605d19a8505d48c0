# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes between a socket and a forwarded port, over real web socket frames."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import os
import pathlib
import resource
import socket
import ssl
import threading
import typing as t

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import BUFFER, _Carrier

websocket = pytest.importorskip("websocket")

# select() knows descriptors below this number only.
SELECTABLE = 1024
PORT = (27017).to_bytes(2, "little")


class Ends(t.NamedTuple):
    client: socket.socket
    server: t.Any  # a web socket, as the API server would hold it
    outcome: list[t.Optional[str]]
    thread: threading.Thread


def _websocket_on(end: socket.socket) -> t.Any:
    channel = websocket.WebSocket(enable_multithread=True)
    channel.sock = end
    channel.connected = True
    return channel


@pytest.fixture
def ends() -> t.Iterator[Ends]:
    yield from _ends(lowest=0)


@pytest.fixture
def high_ends() -> t.Iterator[Ends]:
    """Descriptors as a process has them that keeps very many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SELECTABLE + 100), hard))
    yield from _ends(lowest=SELECTABLE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _moved(end: socket.socket, lowest: int) -> socket.socket:
    """The same socket under a descriptor of at least this number."""
    with end:
        return socket.socket(fileno=fcntl.fcntl(end.fileno(), fcntl.F_DUPFD_CLOEXEC, lowest))


def _ends(lowest: int) -> t.Iterator[Ends]:
    client, near = socket.socketpair()
    far, there = socket.socketpair()
    near, far = _moved(near, lowest), _moved(far, lowest)
    for end in (client, there):
        end.settimeout(30)
    outcome: list[t.Optional[str]] = []

    def carry() -> None:
        outcome.append(_Carrier(near, _websocket_on(far)).run())
        near.close()
        far.close()

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    server = _websocket_on(there)
    for channel in (0, 1):
        server.send_binary(bytes([channel]) + PORT)
    yield Ends(client, server, outcome, thread)
    client.close()
    there.close()
    thread.join(30)
    assert not thread.is_alive()


def test_the_first_frame_of_a_channel_is_no_data(ends: Ends) -> None:
    ends.server.send_binary(b"\x00hello")
    assert ends.client.recv(100) == b"hello"
    ends.client.sendall(b"who is there")
    assert ends.server.recv() == b"\x00who is there"


def test_descriptors_may_have_any_number(high_ends: Ends) -> None:
    test_the_first_frame_of_a_channel_is_no_data(high_ends)


def _certificate(folder: pathlib.Path) -> pathlib.Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(
        name,
        name,
        key.public_key(),
        x509.random_serial_number(),
        now - datetime.timedelta(hours=1),
        now + datetime.timedelta(hours=1),
    ).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def test_a_greeting_that_comes_in_one_piece_with_the_upgrade_is_not_left_lying(tmp_path: pathlib.Path) -> None:
    """A database that speaks first says nothing more until it is answered."""
    certificate = _certificate(tmp_path)
    client, near = socket.socketpair()
    far, there = socket.socketpair()
    frames = b"".join(
        websocket.ABNF.create_frame(data, websocket.ABNF.OPCODE_BINARY).format()
        for data in (b"\x00" + PORT, b"\x01" + PORT, b"\x00I am here")
    )
    told = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    told.load_cert_chain(certificate)
    asks = ssl.create_default_context(cafile=str(certificate))

    def greet() -> None:
        with told.wrap_socket(there, server_side=True) as server:
            server.sendall(b"answer to the upgrade" + frames)
            server.recv(1)

    threading.Thread(target=greet, daemon=True).start()
    with client, near, asks.wrap_socket(far, server_hostname="localhost") as secured:
        assert secured.recv(len(b"answer to the upgrade")) == b"answer to the upgrade"
        threading.Thread(target=_Carrier(near, _websocket_on(secured)).run, daemon=True).start()
        client.settimeout(10)
        assert client.recv(100) == b"I am here"


def test_much_data_both_ways_at_once_arrives_whole(ends: Ends) -> None:
    data = os.urandom(8 * BUFFER)

    def echo() -> None:
        with contextlib.suppress(OSError, websocket.WebSocketException):
            while frame := ends.server.recv():
                ends.server.send_binary(frame)

    threading.Thread(target=echo, daemon=True).start()
    threading.Thread(target=ends.client.sendall, args=(data,), daemon=True).start()
    found = bytearray()
    while len(found) < len(data):
        found += ends.client.recv(65536)
    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()


def test_a_reader_that_does_not_read_stops_the_sender(ends: Ends) -> None:
    sent = threading.Event()

    def flood() -> None:
        for _turn in range(64):
            ends.server.send_binary(b"\x00" + bytes(BUFFER // 4))
        sent.set()

    threading.Thread(target=flood, daemon=True).start()
    assert not sent.wait(0.5)
    left = 64 * (BUFFER // 4)
    while left:
        left -= len(ends.client.recv(65536))
    assert sent.wait(30)


def test_a_ping_is_answered_and_stops_nothing(ends: Ends) -> None:
    ends.server.ping("are you there")
    ends.client.sendall(b"data")
    kinds = {ends.server.recv_data_frame(True)[0] for _frame in range(2)}
    assert kinds == {websocket.ABNF.OPCODE_PONG, websocket.ABNF.OPCODE_BINARY}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"no such container\n", "no such container"),
        (b"dial tcp4 127.0.0.1:27017: connect: connection refused", "nothing listens on that port in the pod"),
    ],
)
def test_what_the_other_side_reports_is_passed_on(ends: Ends, said: bytes, told: str) -> None:
    ends.server.send_binary(b"\x00last words")
    ends.server.send_binary(b"\x01" + said)
    assert ends.client.recv(100) == b"last words"
    assert ends.client.recv(100) == b""
    ends.thread.join(30)
    assert ends.outcome == [told]


def test_the_end_of_either_side_ends_it(ends: Ends) -> None:
    ends.server.send_close()
    assert ends.client.recv(100) == b""
    ends.thread.join(30)
    assert ends.outcome == [None]


def test_what_the_client_sent_before_it_hung_up_still_arrives(ends: Ends) -> None:
    ends.client.sendall(b"goodbye")
    ends.client.close()
    assert ends.server.recv() == b"\x00goodbye"
    ends.thread.join(30)
    assert ends.outcome == [None]
