# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""For programs of this collection that run in a pod: servers are reached straight, and what is said goes to the log."""

from __future__ import annotations

import select
import socket
import ssl
import sys
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._tls import CHUNK, Layer, ServerTls
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel

# Seconds until a member that does not take a connection counts as away.
CONNECT_TIMEOUT = 3.0


class Straight(Tunnel):
    """The same private socket, carried to an address that is reached without the API server."""

    def __init__(self, host: str, port: int, tls: t.Callable[[], t.Optional[ServerTls]]) -> None:
        super().__init__(t.cast("t.Any", None), "", host, port)
        self._spoken = tls
        self._address = (host, port)

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._address, CONNECT_TIMEOUT)
        except OSError as exc:
            self.error = f"{self._address[0]} cannot be reached ({exc})"
            near.close()
            return
        self.error = None
        far.settimeout(None)
        self._open.add(near)
        try:
            _carry_between(near, far, self._layer(self._spoken()))
        except ssl.SSLError as exc:
            self.error = f"{self._address[0]} cannot be trusted ({exc})"
        except OSError:
            pass  # one of the two went away
        finally:
            self._open.discard(near)
            near.close()
            far.close()


def _carry_between(near: socket.socket, far: socket.socket, layer: t.Optional[Layer]) -> None:
    """Until either side ends. One side asks and the other answers, so that neither fills up while the other does."""
    ends = select.poll()
    for end in (near, far):
        ends.register(end, select.POLLIN)
    if layer:
        far.sendall(layer.take())
    while True:
        told = {number for number, _event in ends.poll()}
        for source, sink in ((far, near), (near, far)):
            if source.fileno() not in told:
                continue
            data = source.recv(CHUNK)
            if not data:
                return
            if layer is None:
                sink.sendall(data)
            elif source is far:
                near.sendall(layer.receive(data))
                far.sendall(layer.take())
            else:
                layer.put(data)
                far.sendall(layer.take())


class Said:
    """What an operation sees of Ansible, where there is none."""

    check_mode = diff_mode = False

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params

    def progress(self, line: str) -> None:
        sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        self.progress(f"WARNING: {text}")

    def conceal(self, values: t.Iterable[str]) -> None:
        """Nothing of the sort is said here."""

    def abandoned(self) -> bool:
        return False
