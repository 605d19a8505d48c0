# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A proxy that knows CONNECT and nothing else, on loopback: ``connect_proxy.py FOLDER SECONDS``.

It writes its port to FOLDER/port and one line for each tunnel to FOLDER/tunnels, and ends after SECONDS.
"""

from __future__ import annotations

import pathlib
import socket
import sys
import threading
import time


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        sink.close()


def serve(client: socket.socket, log: pathlib.Path) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    method, address, _version = head.split(b"\r\n")[0].decode().split(" ")
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{method} {address}\n")
    host, _colon, port = address.rpartition(":")
    server = socket.create_connection((host, int(port)))
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def main(folder: pathlib.Path, seconds: float) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    (folder / "port").write_text(str(listener.getsockname()[1]), encoding="utf-8")
    listener.settimeout(1.0)
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (folder / "stop").exists():
        try:
            client, _address = listener.accept()
        except TimeoutError:
            continue
        threading.Thread(target=serve, args=(client, folder / "tunnels"), daemon=True).start()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), float(sys.argv[2]))
