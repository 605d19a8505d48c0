# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands between a run and the API server, and sees every change that the run makes, one by one.

This makes faults exact: a run is killed, or the API server goes away, right before a certain change, or after it and
before the run learns of it. A change is a request that is no read and no dry run; inside the tunnels to pods it is a
message that holds one of the application's own commands.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import secrets
import socket
import ssl
import threading
import time
import typing as t
from urllib.parse import urlsplit

import yaml

READS = ("GET", "HEAD", "OPTIONS")
# A Lease is renewed by the clock: counting that would make the count of a run a matter of its speed.
NOT_COUNTED = re.compile(r"/apis/coordination\.k8s\.io/")
TIMEOUT = 30.0


@dataclasses.dataclass(frozen=True)
class Change:
    """One change of a run, in the order in which they came, from 1."""

    number: int
    what: str


class Gate:
    """What happens at a change. False drops the connection: before, the change is not made; after, nobody learns."""

    def before(self, change: Change) -> bool:
        return True

    def after(self, change: Change) -> bool:
        return True


class Upstream(t.NamedTuple):
    """The real API server, and how to be let in."""

    host: str
    port: int
    tls: t.Optional[ssl.SSLContext]
    headers: tuple[str, ...]


def upstream(kubeconfig: str) -> Upstream:
    import kubernetes.config

    configuration = kubernetes.config.new_client_from_config(kubeconfig).configuration
    address = urlsplit(configuration.host)
    tls = None
    if address.scheme == "https":
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not configuration.verify_ssl:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    headers = [
        f"{setting['key']}: {setting['value']}"
        for setting in configuration.auth_settings().values()
        if setting.get("in") == "header" and setting.get("value")
    ]
    return Upstream(
        address.hostname or "", address.port or (443 if tls else 80), tls, (f"Host: {address.netloc}", *headers)
    )


class Proxy:
    """Use it as a context manager, and give ``kubeconfig`` to the run; several runs are counted together."""

    def __init__(self, server: Upstream, folder: pathlib.Path, commands: re.Pattern[bytes]) -> None:
        self._server = server
        self._commands = commands
        self._token = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._gate = Gate()
        self._listener = self._listen(0)
        self._port = self._listener.getsockname()[1]
        self._closed = False
        self._back_at = 0.0
        #: what passed since watch()
        self.changes: list[Change] = []
        self.kubeconfig = folder / "kubeconfig"
        self._write_kubeconfig()

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._closed = True
        self._hang_up()
        self.kubeconfig.unlink(missing_ok=True)

    def watch(self, gate: t.Optional[Gate] = None) -> None:
        """Count anew from here, with this gate."""
        with self._lock:
            self._gate = gate or Gate()
            self.changes = []

    def made(self, what: str) -> int:
        """How many changes of this kind were tried since watch()."""
        return sum(change.what == what for change in self.changes)

    def go_away(self, seconds: float) -> None:
        """Be an API server that is gone: what is open breaks, and new connections are refused for a while."""
        self._back_at = time.monotonic() + seconds
        self._hang_up()

    def _write_kubeconfig(self) -> None:
        # Whoever else is on this machine could change the cluster through this port, so a token is asked for.
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self._port}"}}],
            "users": [{"name": "proxy", "user": {"token": self._token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
            "current-context": "proxy",
        }
        self.kubeconfig.touch(0o600)
        self.kubeconfig.write_text(yaml.safe_dump(content), encoding="utf-8")

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        return listener

    def _hang_up(self) -> None:
        with self._lock:
            ends = [self._listener, *self._open]
        for end in ends:
            _shut(end)

    def _serve(self) -> None:
        while not self._closed:
            try:
                near, _address = self._listener.accept()
            except OSError:
                self._listener.close()
                while time.monotonic() < self._back_at and not self._closed:
                    time.sleep(0.05)
                if not self._closed:
                    self._listener = self._listen(self._port)
                continue
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        """One request: the answer ends with its connection, so that nothing of it has to be understood."""
        far: t.Optional[socket.socket] = None
        with self._lock:
            self._open.add(near)
        try:
            head, rest = _read_head(near)
            method, path, headers = _parse(head)
            if headers.get("authorization") != f"Bearer {self._token}":
                near.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            while len(rest) < int(headers.get("content-length", 0)):
                rest += _receive(near)
            change = self._change_of_request(method, path, headers.get("content-type", ""))
            if change and not self._gate.before(change):
                return
            far = self._connect()
            with self._lock:
                self._open.add(far)
            far.sendall(self._rewritten(head, "upgrade" in headers) + rest)
            if "upgrade" in headers:
                _Tunnel(near, far, self._change_in_tunnel, lambda: self._gate).carry()
            else:
                self._answer(near, far, change)
        except OSError:
            return
        finally:
            for end in (near, far):
                if end is not None:
                    with self._lock:
                        self._open.discard(end)
                    _shut(end)
                    end.close()

    def _answer(self, near: socket.socket, far: socket.socket, change: t.Optional[Change]) -> None:
        data = far.recv(65536)
        if change and not self._gate.after(change):
            return
        while data:
            near.sendall(data)
            data = far.recv(65536)

    def _connect(self) -> socket.socket:
        far = socket.create_connection((self._server.host, self._server.port), timeout=TIMEOUT)
        far.settimeout(None)
        if not self._server.tls:
            return far
        return self._server.tls.wrap_socket(far, server_hostname=self._server.host)

    def _rewritten(self, head: bytes, upgrade: bool) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        dropped = ("host:", "authorization:", *(() if upgrade else ("connection:",)))
        kept = [line for line in lines if not line.lower().startswith(dropped)]
        own = [*self._server.headers, *(() if upgrade else ("Connection: close",))]
        return "\r\n".join([first, *own, *kept, "", ""]).encode("latin-1")

    def _change_of_request(self, method: str, path: str, content: str) -> t.Optional[Change]:
        address = urlsplit(path)
        if method in READS or "dryRun=All" in address.query or NOT_COUNTED.match(address.path):
            return None
        # The objects' own words: /apis/apps/v1/namespaces/shop/statefulsets/shop -> statefulsets/shop
        words = re.sub(r"^/(api|apis/[^/]+)/[^/]+/(namespaces/[^/]+/)?(?=[^/])", "", address.path)
        return self._number(f"{'APPLY' if 'apply-patch' in content else method} {words}")

    def _change_in_tunnel(self, message: bytes) -> t.Optional[Change]:
        found = self._commands.search(message)
        return self._number(found.group(1).decode()) if found else None

    def _number(self, what: str) -> Change:
        with self._lock:
            change = Change(len(self.changes) + 1, what)
            self.changes.append(change)
        return change


class _Tunnel:
    """A web socket between the run and a pod."""

    def __init__(
        self,
        near: socket.socket,
        far: socket.socket,
        change_in: t.Callable[[bytes], t.Optional[Change]],
        gate: t.Callable[[], Gate],
    ) -> None:
        self._near = near
        self._far = far
        self._change_in = change_in
        self._gate = gate
        self._unanswered: t.Optional[Change] = None

    def carry(self) -> None:
        back = threading.Thread(target=self._back, daemon=True)
        back.start()
        try:
            for frame, message in _frames(self._near):
                change = self._change_in(message)
                if change:
                    if not self._gate().before(change):
                        break
                    self._unanswered = change
                self._far.sendall(frame)
        except OSError:
            pass
        finally:
            _shut(self._near)
            _shut(self._far)
            back.join()

    def _back(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._far.recv(65536):
                change, self._unanswered = self._unanswered, None
                if change and not self._gate().after(change):
                    break
                self._near.sendall(data)
        _shut(self._near)
        _shut(self._far)


def _frames(source: socket.socket) -> t.Iterator[tuple[bytes, bytes]]:
    """Frames of a web socket client: as they came, and what they say (RFC 6455, section 5.2)."""
    buffer = b""

    def take(count: int) -> bytes:
        nonlocal buffer
        while len(buffer) < count:
            buffer += _receive(source)
        taken, buffer = buffer[:count], buffer[count:]
        return taken

    while True:
        head = take(2)
        length = head[1] & 0x7F
        if length >= 126:
            more = take(2 if length == 126 else 8)
            head, length = head + more, int.from_bytes(more, "big")
        mask = take(4) if head[1] & 0x80 else b""
        payload = take(length)
        said = payload
        if mask:
            key = (mask * (length // 4 + 1))[:length]
            said = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")
        yield head + mask + payload, said


def _read_head(source: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(source)
    head, _end, rest = data.partition(b"\r\n\r\n")
    return head, rest


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _version = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    return method, path, {name.lower(): value.strip() for name, _colon, value in pairs}


def _receive(source: socket.socket) -> bytes:
    data = source.recv(65536)
    if not data:
        raise ConnectionResetError("the connection ended")
    return data


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
