# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Into a pod through the API server: a tunnel to one of its ports, and commands in its containers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import socket
import tempfile
import threading
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._kinds import BUILT_IN
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

PORT_FORWARD_PROTOCOL = "v4.channel.k8s.io"
# Only v5 can close standard input; v4 is for servers before Kubernetes 1.30.
EXEC_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
STDIN_CHUNK = 32 * 1024
LONGEST_FOLDER = 70

_PODS = BUILT_IN[("v1", "Pod")]


class Tunnel:
    """A private unix socket; each connection to it is carried to a port of a pod.

    It ends inside the pod's own network namespace: the program there sees a connection from localhost. Use it as a
    context manager; ``path`` is the socket's address.
    """

    def __init__(self, cluster: Cluster, namespace: str, pod: str, port: int) -> None:
        self._cluster = cluster
        self._request = f"{_PODS.path(namespace, pod)}/portforward"
        self._port = port
        # The address of a unix socket holds 107 characters at most, which a long TMPDIR would use up.
        short = None if len(tempfile.gettempdir()) <= LONGEST_FOLDER else "/tmp"  # noqa: S108
        self._folder = tempfile.mkdtemp(prefix="stateful-kube-", dir=short)
        self.path = os.path.join(self._folder, "tunnel.sock")
        #: why the last connection could not be carried, if so
        self.error: t.Optional[str] = None
        #: the same as it was raised: a missing right, for example, will not come by waiting
        self.failure: t.Optional[Failure] = None
        self._open: set[t.Any] = set()
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
            far = self._connect()
        except Failure as failure:
            self.error, self.failure = failure.message, failure
            near.close()
            return
        self.error = self.failure = None
        self._open.update((near, far))
        if self._closed:
            _hang_up(near)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()
        self._open.difference_update((near, far))
        near.close()
        far.close()

    def _connect(self) -> t.Any:
        channel = self._cluster.connection.websocket(self._request, [("ports", self._port)], [PORT_FORWARD_PROTOCOL])
        return _forward(channel, self._port)


def _forward(channel: t.Any, port: int) -> t.Any:
    """A socket that leads to the port, over an open web socket."""
    from kubernetes.stream.ws_client import PortForward

    class Forward(PortForward):
        def _proxy(self) -> None:
            try:
                super()._proxy()
            except Exception:
                # The pod or the API server went away in the middle. The package would print a stack trace and leave
                # the reader waiting; whoever uses the socket has to see that it ended, and looks again.
                for each in self.local_ports.values():
                    each.python.close()
                with contextlib.suppress(Exception):
                    self.websocket.close()

    return Forward(channel, [port]).socket(port)


def _pump(source: t.Any, sink: t.Any) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        # Either side gone means that the connection is over, and both readers must wake up.
        _hang_up(source)
        _hang_up(sink)


def _hang_up(end: t.Any) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@dataclasses.dataclass(frozen=True)
class Executed:
    """What a command in a container gave back."""

    rc: int
    stdout: str
    stderr: str


def execute(
    cluster: Cluster,
    namespace: str,
    pod: str,
    command: t.Sequence[str],
    container: t.Optional[str] = None,
    stdin: t.Optional[str] = None,
    timeout: float = 60.0,
) -> Executed:
    """Run a command in a container and wait for its end, at most ``timeout`` seconds.

    Raises Failure when the time is up (the command may go on in the container), ApiError when the pod or container
    does not take commands.
    """
    container = container or _default_container(cluster, namespace, pod)
    query = [("command", word) for word in command]
    query += [("container", container), ("stdout", "true"), ("stderr", "true")]
    if stdin is not None:
        query.append(("stdin", "true"))
    channel = cluster.connection.websocket(f"{_PODS.path(namespace, pod)}/exec", query, EXEC_PROTOCOLS)
    try:
        return _converse(channel, stdin, timeout, f"{namespace}/{pod}: {command[0]}")
    finally:
        channel.close(timeout=0)


def _default_container(cluster: Cluster, namespace: str, pod: str) -> str:
    """The container that kubectl would choose."""
    found = cluster.connection.request("GET", _PODS.path(namespace, pod))
    named = (found["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container")
    return str(named or found["spec"]["containers"][0]["name"])


def _converse(channel: t.Any, stdin: t.Optional[str], timeout: float, title: str) -> Executed:
    import websocket

    deadline = time.monotonic() + timeout
    if stdin is not None:
        data = stdin.encode()
        if channel.getsubprotocol() != EXEC_PROTOCOLS[0]:
            raise Failure(
                f"{title}: stdin was given, and this API server cannot close it (it speaks no {EXEC_PROTOCOLS[0]}, "
                "which came with Kubernetes 1.30), so the command would never see its end. Leave stdin out."
            )
        for start in range(0, len(data), STDIN_CHUNK):
            channel.send_binary(bytes([STDIN]) + data[start : start + STDIN_CHUNK])
        channel.send_binary(bytes([CLOSE, STDIN]))
    streams = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    while not streams[STATUS]:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        channel.settimeout(left)
        try:
            _opcode, frame = channel.recv_data()
        except websocket.WebSocketTimeoutException:
            break
        except (websocket.WebSocketException, OSError) as exc:
            raise Failure(f"{title}: the connection to the container broke before the command ended ({exc}).") from exc
        if not frame:
            break
        if frame[0] in streams:
            streams[frame[0]] += frame[1:]
    out, err = (streams[name].decode("utf-8", "replace") for name in (STDOUT, STDERR))
    if not streams[STATUS]:
        raise Failure(
            f"{title}: gave no exit code within {timeout:.0f} s (option timeout), and may still run in the container.",
            stdout=out,
            stderr=err,
        )
    return Executed(_exit_code(json.loads(streams[STATUS]), title), out, err)


def _exit_code(status: t.Mapping[str, t.Any], title: str) -> int:
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise Failure(f"{title}: the command could not be started: {status.get('message', 'no reason given')}.")
