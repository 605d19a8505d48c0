# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pod that is this machine: commands run here, and their input and output go over real web socket frames."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _objects

websocket = pytest.importorskip("websocket")


class LocalPod:
    """As much of a cluster as running commands needs."""

    def __init__(self, environment: t.Optional[t.Mapping[str, str]] = None, before: t.Sequence[str] = ()) -> None:
        self.environment = {**os.environ, **(environment or {})}
        #: words in front of every command
        self.before = list(before)
        self.processes: list[subprocess.Popen[bytes]] = []
        #: bytes of output after which the connection breaks
        self.breaks_after: t.Optional[int] = None
        self.connection = self

    @property
    def cluster(self) -> _objects.Cluster:
        return t.cast("_objects.Cluster", self)

    def request(self, method: str, path: str) -> t.Any:
        return {"metadata": {}, "spec": {"containers": [{"name": "server"}]}}

    def websocket(self, path: str, query: t.Any, protocols: t.Any) -> t.Any:
        near, far = socket.socketpair()
        command = [word for name, word in query if name == "command"]
        process = subprocess.Popen(
            [*self.before, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        self.processes.append(process)
        ends = [websocket.WebSocket(enable_multithread=True) for _end in (near, far)]
        for channel, end in zip(ends, (near, far), strict=True):
            channel.sock, channel.connected = end, True
        threading.Thread(target=_serve, args=(process, ends[1], self.breaks_after), daemon=True).start()
        return ends[0]


def _serve(process: subprocess.Popen[bytes], channel: t.Any, breaks_after: t.Optional[int]) -> None:
    lock, sent = threading.Lock(), 0

    def carry(number: int, pipe: t.IO[bytes]) -> None:
        nonlocal sent
        while data := os.read(pipe.fileno(), 4096):
            sent += len(data) if number == 1 else 0
            if breaks_after is not None and sent > breaks_after:
                with contextlib.suppress(OSError, AttributeError):
                    channel.sock.shutdown(socket.SHUT_RDWR)
                # As a container's output, which nobody reads any more.
                pipe.close()
                return
            with lock, contextlib.suppress(Exception):
                channel.send_binary(bytes([number]) + data)

    def take() -> None:
        assert process.stdin
        with contextlib.suppress(Exception):
            while frame := channel.recv():
                if frame[0] == 0:
                    process.stdin.write(frame[1:])
                    process.stdin.flush()
        with contextlib.suppress(OSError):
            process.stdin.close()

    assert process.stdout
    assert process.stderr
    threading.Thread(target=take, daemon=True).start()
    outs = [threading.Thread(target=carry, args=pair) for pair in ((1, process.stdout), (2, process.stderr))]
    for thread in outs:
        thread.start()
    for thread in outs:
        thread.join()
    code = process.wait()
    causes = [{"reason": "ExitCode", "message": str(code)}]
    status = {"status": "Success"} if code == 0 else {"status": "Failure", "details": {"causes": causes}}
    with contextlib.suppress(Exception):
        channel.send_binary(b"\x03" + json.dumps(status).encode())
        channel.sock.shutdown(socket.SHUT_RDWR)
