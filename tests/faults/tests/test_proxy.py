# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The API server that can be cut off: what counts as a change, and what happens at one. Real sockets, no cluster."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import pathlib
import re
import socket
import threading
import time
import typing as t
from urllib.parse import urlsplit

import pytest
import yaml

from harness.interruptions import AFTER, BEFORE, At, Meet
from harness.proxy import Change, Gate, Proxy, Upstream

COMMANDS = re.compile(rb"\x03(replSetInitiate)\x00")
APPLY = "/apis/apps/v1/namespaces/shop/statefulsets/shop?fieldManager=stateful.kube"


class Reached(t.NamedTuple):
    method: str
    body: bytes
    authorization: str = ""


class Server(http.server.ThreadingHTTPServer):
    """Stands for the API server: notes what reaches it, and echoes what comes through a web socket."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reached: list[Reached] = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.reached.append(Reached(self.command, body, self.headers.get("Authorization", "")))
        if self.headers.get("Upgrade"):
            self.send_response(101)
            self.end_headers()
            self.wfile.flush()
            while data := self.connection.recv(65536):
                self.server.reached.append(Reached("FRAME", data))
                self.connection.sendall(b"echo")
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def __getattr__(self, name: str) -> t.Any:
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def server() -> t.Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy(server: Server, tmp_path: pathlib.Path) -> t.Iterator[Proxy]:
    upstream = Upstream("127.0.0.1", server.server_port, None, ("Host: real", "authorization: Bearer real"))
    with Proxy(upstream, tmp_path, COMMANDS) as proxy:
        yield proxy


class Client:
    """What a run knows: the kubeconfig."""

    def __init__(self, proxy: Proxy) -> None:
        content = yaml.safe_load(proxy.kubeconfig.read_text(encoding="utf-8"))
        self.address = urlsplit(content["clusters"][0]["cluster"]["server"])
        self.token = content["users"][0]["user"]["token"]

    def send(self, method: str, path: str, body: bytes = b"", token: t.Optional[str] = None) -> int:
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Authorization": f"Bearer {token or self.token}"})
            response = connection.getresponse()
            response.read()
            return response.status

    def tunnel(self) -> socket.socket:
        near = socket.create_connection((str(self.address.hostname), self.address.port or 0), timeout=10)
        near.sendall(
            b"GET /api/v1/namespaces/shop/pods/shop-0/portforward?ports=27017 HTTP/1.1\r\nHost: x\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer " + self.token.encode() + b"\r\n\r\n"
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += near.recv(4096)
        assert b"101" in head
        return near


def frame(message: bytes) -> bytes:
    """A masked frame of a web socket client."""
    mask = os.urandom(4)
    length = bytes([0x80 | len(message)]) if len(message) < 126 else b"\xfe" + len(message).to_bytes(2, "big")
    masked = bytes(byte ^ mask[position % 4] for position, byte in enumerate(message))
    return b"\x82" + length + mask + masked


def test_changes_are_counted_and_reads_are_not(proxy: Proxy, server: Server) -> None:
    client = Client(proxy)
    client.send("GET", APPLY)
    client.send("PATCH", f"{APPLY}&dryRun=All", b"{}")
    client.send("PATCH", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/shop", b"{}")
    assert proxy.changes == []
    client.send("PATCH", APPLY, b'{"a": 1}')
    client.send("POST", "/api/v1/namespaces/shop/secrets", b"x" * 200_000)
    client.send("POST", "/api/v1/namespaces", b"{}")
    assert [change.what for change in proxy.changes] == [
        "PATCH statefulsets/shop",
        "POST secrets",
        "POST namespaces",
    ]
    assert [change.number for change in proxy.changes] == [1, 2, 3]
    assert server.reached[-2].body == b"x" * 200_000
    assert {each.authorization for each in server.reached} == {"Bearer real"}


def test_nobody_else_on_the_machine_gets_in(proxy: Proxy, server: Server) -> None:
    client = Client(proxy)
    assert client.send("GET", APPLY, token=client.token[1:]) == 401
    assert server.reached == []
    assert proxy.kubeconfig.stat().st_mode & 0o077 == 0


def test_before_a_change_nothing_reaches_the_server(proxy: Proxy, server: Server) -> None:
    proxy.watch(At("PATCH statefulsets/shop", BEFORE, lambda: False, nth=2))
    client = Client(proxy)
    assert client.send("PATCH", APPLY, b"1") == 200
    with pytest.raises((http.client.HTTPException, OSError)):
        client.send("PATCH", APPLY, b"2")
    assert client.send("PATCH", APPLY, b"3") == 200
    assert [each.body for each in server.reached] == [b"1", b"3"]


def test_after_a_change_it_is_made_and_nobody_learns(proxy: Proxy, server: Server) -> None:
    gate = At("PATCH statefulsets/shop", AFTER, lambda: False)
    proxy.watch(gate)
    client = Client(proxy)
    with pytest.raises((http.client.HTTPException, OSError)):
        client.send("PATCH", APPLY, b"1")
    assert gate.wait() == Change(1, "PATCH statefulsets/shop")
    assert client.send("PATCH", APPLY, b"2") == 200
    assert [each.body for each in server.reached] == [b"1", b"2"]


@pytest.mark.parametrize("length", [0, 200])
def test_a_command_inside_a_tunnel_is_a_change(proxy: Proxy, server: Server, length: int) -> None:
    with contextlib.closing(Client(proxy).tunnel()) as tunnel:
        for message in (b"\0\x03hello\0", b"\0....\x03replSetInitiate\0" + b"." * length):
            tunnel.sendall(frame(message))
            assert tunnel.recv(10) == b"echo"
    assert [change.what for change in proxy.changes] == ["replSetInitiate"]


@pytest.mark.parametrize(("moment", "arrives"), [(BEFORE, 0), (AFTER, 1)])
def test_a_tunnel_breaks_before_a_command_or_after_it(proxy: Proxy, server: Server, moment: str, arrives: int) -> None:
    proxy.watch(At("replSetInitiate", moment, lambda: False))
    with contextlib.closing(Client(proxy).tunnel()) as tunnel:
        tunnel.sendall(frame(b"\0\x03replSetInitiate\0"))
        with contextlib.suppress(ConnectionResetError):
            assert tunnel.recv(10) == b""
    assert sum(each.method == "FRAME" for each in server.reached) == arrives


def test_a_server_that_goes_away_refuses_and_comes_back(proxy: Proxy) -> None:
    client = Client(proxy)
    with contextlib.closing(client.tunnel()) as tunnel:
        # Until it was asked, however long that takes.
        proxy.go_away(60)
        with contextlib.suppress(ConnectionResetError):
            assert tunnel.recv(10) == b""
    with pytest.raises(OSError, match=r".*"):
        client.send("GET", APPLY)
    proxy.go_away(0)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            assert client.send("GET", APPLY) == 200
            return
        time.sleep(0.05)
    pytest.fail("It did not come back.")


def test_what_was_meant_to_happen_and_failed_is_not_swallowed(proxy: Proxy) -> None:
    def broken() -> bool:
        raise ValueError("cannot be done")

    gate = At("PATCH statefulsets/shop", BEFORE, broken)
    proxy.watch(gate)
    with pytest.raises((http.client.HTTPException, OSError)):
        Client(proxy).send("PATCH", APPLY)
    with pytest.raises(ValueError, match="cannot be done"):
        gate.wait()


def test_two_runs_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Meet("initiate")
    passed: list[float] = []

    def arrive(after: float) -> None:
        time.sleep(after)
        gate.before(Change(1, "initiate"))
        passed.append(time.monotonic())

    threads = [threading.Thread(target=arrive, args=(after,)) for after in (0.0, 0.3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.met
    assert max(passed) - min(passed) < 0.2

    monkeypatch.setattr("harness.interruptions.MEET_WITHIN", 0.1)
    alone = Meet("initiate")
    assert alone.before(Change(1, "initiate"))
    assert not alone.met


def test_a_gate_by_itself_holds_nothing() -> None:
    assert Gate().before(Change(1, "x"))
    assert Gate().after(Change(1, "x"))
