# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the enforcer knows stays right when the API server goes away, comes back, or has forgotten where a watch was."""

from __future__ import annotations

import json
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from enforcer import watch
from enforcer.watch import Server, Store
from lab import pki
from lab.settings import Settings

PATH = "/api/v1/pods"


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"uid": name, "name": name, "labels": labels}}


class Api:
    """A server with the API server's certificate that answers as that one does, and can be stopped and started."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.objects: list[dict[str, Any]] = []
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.asked: list[str] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                if "watch=1" not in self.path:
                    content = {"metadata": {"resourceVersion": "7"}, "items": api.objects}
                    self.wfile.write(json.dumps(content).encode())
                    return
                while (event := api.events.get()) is not None:
                    self.wfile.write(json.dumps(event).encode() + b"\n")
                    self.wfile.flush()

            def log_message(self, *_unused: object) -> None:
                """Say nothing: the test says what was wrong."""

        self.http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.http.server_address[1]
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.settings.pki / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.settings.pki / "kube-apiserver.crt", self.settings.pki / "kube-apiserver.key")
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def say(self, kind: str, content: dict[str, Any]) -> None:
        self.events.put({"type": kind, "object": content})


@pytest.fixture
def api(settings: Settings) -> Iterator[Api]:
    pki.ensure(settings)
    served = Api(settings)
    yield served
    served.events.put(None)
    served.stop()


@pytest.fixture
def store(api: Api) -> Store:
    folder = api.settings.pki
    server = Server(
        f"https://127.0.0.1:{api.port}", folder / "ca.crt", folder / "kube-proxy.crt", folder / "kube-proxy.key"
    )
    return Store(server, PATH, lambda: None)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_list_and_what_changes_afterwards(api: Api, store: Store) -> None:
    assert store.objects is None
    api.objects = [pod("a"), pod("b")]
    store.start()
    until(lambda: store.objects is not None)
    api.say("MODIFIED", pod("a", client="true"))
    api.say("DELETED", pod("b"))
    api.say("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    api.say("ADDED", pod("c"))
    until(lambda: "c" in (store.objects or {}))
    assert store.objects == {"a": pod("a", client="true"), "c": pod("c")}
    assert "resourceVersion=7" in api.asked[1]


def test_what_was_known_outlives_the_server(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(watch, "log", said.append)
    api.objects = [pod("a"), pod("b")]
    store.start()
    until(lambda: store.objects is not None)
    api.stop()
    api.events.put(None)
    until(lambda: bool(said))
    assert store.objects == {"a": pod("a"), "b": pod("b")}
    assert "stays in force" in said[0]
    api.objects = [pod("b"), pod("c")]
    api.start()
    until(lambda: store.objects == {"b": pod("b"), "c": pod("c")})


def test_a_watch_that_is_too_old_begins_with_a_new_list(api: Api, store: Store) -> None:
    api.objects = [pod("a")]
    store.start()
    until(lambda: store.objects is not None)
    api.objects = [pod("b")]
    api.say("ERROR", {"kind": "Status", "code": 410})
    until(lambda: store.objects == {"b": pod("b")})
