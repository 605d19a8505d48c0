# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the API server knows, kept up to date by watches.

Only Python's own library is used: the enforcer is to need no more than the lab.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# A connection that a cut network took away is noticed within about fifteen seconds.
KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 2))
# Longer than the API server lets a watch last.
SILENCE = 120
LASTING = 90


def log(text: str) -> None:
    print(f"{time.strftime('%F %T')} {text}", flush=True)


class OutdatedError(Exception):
    """The watch cannot go on from where it was: the list is read again."""


class Server:
    """How the API server is reached."""

    def __init__(self, url: str, authority: Path, certificate: Path, key: Path) -> None:
        self.address = urlsplit(url)
        self.context = ssl.create_default_context(cafile=str(authority))
        self.context.load_cert_chain(certificate, key)

    def get(self, path: str, *, timeout: float) -> tuple[HTTPSConnection, HTTPResponse]:
        connection = HTTPSConnection(self.address.hostname or "", self.address.port, timeout=5.0, context=self.context)
        try:
            connection.connect()
            for option, value in KEEPALIVE:
                connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
            connection.sock.settimeout(timeout)
            connection.request("GET", path)
            response = connection.getresponse()
            check(response, path)
        except BaseException:
            connection.close()
            raise
        return connection, response


def check(response: HTTPResponse, path: str) -> None:
    if response.status == 410:
        raise OutdatedError
    if response.status != 200:
        raise OSError(f"the API server answered {response.status} to {path}: {response.read(300)!r}")


class Store:
    """The objects of one kind, by uid. Until the first list has come, `objects` is None."""

    def __init__(self, server: Server, path: str, changed: Callable[[], None]) -> None:
        self.server = server
        self.path = path
        self.changed = changed
        self.objects: dict[str, dict[str, Any]] | None = None

    def start(self) -> None:
        threading.Thread(target=self.follow, name=self.path, daemon=True).start()

    def follow(self) -> None:
        """List, watch, and begin again whenever that ends; what was known stays in force meanwhile."""
        complained = False
        while True:
            try:
                self.watch(self.list())
                complained = False
            except OutdatedError:
                continue
            except (OSError, HTTPException, ValueError) as error:
                if not complained:
                    log(f"{self.path}: {error!r}; what was known stays in force until the API server answers")
                complained = True
                time.sleep(0.5)

    def list(self) -> str:
        connection, response = self.server.get(self.path, timeout=15)
        try:
            content = json.load(response)
        finally:
            connection.close()
        self.objects = {item["metadata"]["uid"]: item for item in content["items"]}
        self.changed()
        version: str = content["metadata"]["resourceVersion"]
        return version

    def watch(self, version: str) -> None:
        query = f"?watch=1&allowWatchBookmarks=true&timeoutSeconds={LASTING}&resourceVersion={version}"
        connection, response = self.server.get(self.path + query, timeout=SILENCE)
        try:
            for line in response:
                self.take(json.loads(line))
        finally:
            connection.close()

    def take(self, event: dict[str, Any]) -> None:
        if event["type"] == "ERROR":
            raise OutdatedError
        if event["type"] == "BOOKMARK":
            return
        known = dict(self.objects or {})
        uid = event["object"]["metadata"]["uid"]
        if event["type"] == "DELETED":
            known.pop(uid, None)
        else:
            known[uid] = event["object"]
        # A new dictionary, so that whoever reads the old one is not disturbed.
        self.objects = known
        self.changed()
