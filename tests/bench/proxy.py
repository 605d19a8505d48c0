# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A reverse proxy that counts the requests which clients send to the API server.

``kubectl proxy`` behind it does what differs from cluster to cluster: logging in and TLS. Clients come in by plain HTTP
on the loopback device, under a path that nobody else knows, because whoever knows it acts with the rights of the
kubeconfig. Web sockets and SPDY (port-forward, exec) are passed through and counted apart, as tunnels.
"""

from __future__ import annotations

import collections
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import re
import secrets
import socket
import subprocess
import tempfile
import threading
import time
import typing as t
from urllib.parse import parse_qs, urlsplit

# Headers that concern one connection only.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "proxy-connection", "host"}
Note = t.Callable[[str, str], None]
TUNNEL = re.compile(r"/pods/[^/]+/(portforward|exec|attach)$")


class NoProxy(Exception):
    """Nothing can be counted; the message says what to do."""


class Count(t.NamedTuple):
    requests: int
    #: of the requests, those that watch
    watches: int
    tunnels: int
    #: how often each verb was asked of each kind of path
    by_path: dict[str, int]


class CountingProxy:
    """Use it as a context manager; ``kubeconfig`` leads through it."""

    def __init__(self, environment: t.Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._seen: collections.Counter[tuple[str, str]] = collections.Counter()
        self._lock = threading.Lock()

    def __enter__(self) -> CountingProxy:
        with contextlib.ExitStack() as stack:
            self._folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            upstream = str(self._folder / "api.sock")
            stack.callback(_end, _kubectl_proxy(upstream, self._environment))
            secret = secrets.token_urlsafe(24)
            server = _Server(("127.0.0.1", 0), _handler(upstream, f"/{secret}", self.note))
            stack.callback(server.server_close)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
            stack.callback(server.shutdown)
            self.kubeconfig = self._folder / "kubeconfig"
            self._write_kubeconfig(f"http://127.0.0.1:{server.server_address[1]}/{secret}")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stack.close()

    def note(self, method: str, target: str) -> None:
        """Count one request."""
        address = urlsplit(target)
        if TUNNEL.search(address.path):
            verb = "tunnel"
        elif parse_qs(address.query).get("watch", [""])[0] in ("true", "1"):
            verb = "watch"
        else:
            verb = method
        with self._lock:
            self._seen[verb, address.path] += 1

    def take(self) -> Count:
        """What was counted since the last call."""
        with self._lock:
            seen, self._seen = self._seen, collections.Counter()
        total = collections.Counter[str]()
        for (verb, _path), times in seen.items():
            total[verb] += times
        return Count(
            requests=sum(total.values()) - total["tunnel"],
            watches=total["watch"],
            tunnels=total["tunnel"],
            by_path={f"{verb} {path}": times for (verb, path), times in sorted(seen.items(), key=lambda item: item[0])},
        )

    def _write_kubeconfig(self, server: str) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "counted", "cluster": {"server": server}}],
            "users": [{"name": "counted", "user": {}}],
            "contexts": [{"name": "counted", "context": {"cluster": "counted", "user": "counted"}}],
            "current-context": "counted",
        }
        with open(self.kubeconfig, "w", encoding="utf-8", opener=_private) as file:
            json.dump(content, file)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that is killed in the middle of an answer is nothing to report."""


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = _dial(self._path)


def _handler(
    upstream: str, prefix: str, note: t.Callable[[str, str], None]
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.api = _Unix(upstream)

        def finish(self) -> None:
            super().finish()
            self.api.close()

        def pass_on(self) -> None:
            if not self.path.startswith(f"{prefix}/"):
                self.send_error(404)
                return
            target = self.path.removeprefix(prefix)
            note(self.command, target)
            if self.headers.get("Upgrade"):
                self._tunnel(target)
            else:
                self._request(target)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = pass_on  # noqa: N815 (names of http.server)

        def log_message(self, *unused: t.Any) -> None:
            pass

        def _request(self, target: str) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            self.api.request(self.command, target, body=self._body(), headers=headers)
            answer = self.api.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            chunked = answer.getheader("Content-Length") is None and self.command != "HEAD" and answer.status != 204
            if chunked:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while data := answer.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
            if chunked:
                self.wfile.write(b"0\r\n\r\n")
            answer.close()  # read1() leaves an answer of known length open, and the connection waiting for it

        def _body(self) -> t.Optional[bytes]:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                length = self.headers.get("Content-Length")
                return self.rfile.read(int(length)) if length else None
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _tunnel(self, target: str) -> None:
            far = _dial(upstream)
            head = [f"{self.command} {target} HTTP/1.1"]
            head += [f"{name}: {value}" for name, value in self.headers.items()]
            far.sendall(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))
            back = threading.Thread(target=_pump, args=(lambda: far.recv(65536), self.connection, far), daemon=True)
            back.start()
            _pump(lambda: self.rfile.read1(65536), far, self.connection)
            back.join()
            far.close()
            self.close_connection = True

    return Handler


def _pump(read: t.Callable[[], bytes], sink: socket.socket, source: socket.socket) -> None:
    try:
        while data := read():
            sink.sendall(data)
    except (OSError, ValueError):
        pass
    finally:
        for end in (sink, source):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _dial(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    return connection


def _kubectl_proxy(path: str, environment: t.Mapping[str, str]) -> subprocess.Popen[bytes]:
    # The filter keeps web pages from reaching the API; this address is a socket in a private folder.
    process = subprocess.Popen(
        ["kubectl", "proxy", f"--unix-socket={path}", "--disable-filter=true"],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 10
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > until:
            _end(process)
            raise NoProxy("`kubectl proxy` did not start: try it by hand with the same KUBECONFIG.")
        time.sleep(0.05)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
