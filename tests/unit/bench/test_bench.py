# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `make bench` counts and computes, apart from the cluster."""

from __future__ import annotations

import http.client
import http.server
import pathlib
import socket
import socketserver
import threading
import typing as t

import pytest
from bench import Figures, goals, ratios
from members import Member, Watcher
from objects import declared, moved
from proxy import Count, CountingProxy, _handler, _Server

POD = "/api/v1/namespaces/shop/pods/shop-0"


def test_tunnels_are_counted_apart_and_watches_among_the_requests() -> None:
    counting = CountingProxy({})
    for method, target in (
        ("GET", f"{POD}?resourceVersion=0"),
        ("GET", POD),
        ("PATCH", POD),
        ("GET", "/api/v1/namespaces/shop/pods?watch=true&timeoutSeconds=5"),
        ("GET", f"{POD}/portforward?ports=27017"),
        ("POST", f"{POD}/exec?command=true"),
    ):
        counting.note(method, target)
    count = counting.take()
    assert (count.requests, count.watches, count.tunnels) == (4, 1, 2)
    assert count.by_path[f"GET {POD}"] == 2
    assert counting.take() == Count(0, 0, 0, {})


class _Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Stands where `kubectl proxy` does: one answer of known length, one in chunks, one that becomes a tunnel."""

    daemon_threads = True


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *unused: t.Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\n")
            self.wfile.write(self.rfile.read(5).upper())
            self.close_connection = True
            return
        self.send_response(200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"all")

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def served(tmp_path: pathlib.Path) -> t.Iterator[tuple[int, list[str]]]:
    seen: list[str] = []
    path = str(tmp_path / "s")
    upstream = _Upstream(path, _Answers)
    server = _Server(
        ("127.0.0.1", 0), _handler(path, "/secret", lambda method, target: seen.append(f"{method} {target}"))
    )
    for each in (upstream, server):
        threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_address[1], seen
    for each in (server, upstream):
        each.shutdown()
        each.server_close()


def test_one_connection_carries_many_requests(served: tuple[int, list[str]]) -> None:
    port, seen = served
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    answers = []
    for method, target, body in (
        ("GET", "/a", None),
        ("GET", "/chunks", None),
        ("PATCH", "/b", b"x" * 70_000),
        ("GET", "/c", None),
    ):
        client.request(method, f"/secret{target}", body=body)
        answers.append(client.getresponse().read())
    client.close()
    assert answers == [b"all", b"onetwo", b"x" * 70_000, b"all"]
    assert seen == ["GET /a", "GET /chunks", "PATCH /b", "GET /c"]


def test_a_tunnel_carries_bytes_both_ways(served: tuple[int, list[str]]) -> None:
    port, seen = served
    with socket.create_connection(("127.0.0.1", port), 5) as link:
        link.sendall(b"GET /secret/t HTTP/1.1\r\nHost: x\r\nUpgrade: test\r\nConnection: Upgrade\r\n\r\nhello")
        data = b""
        while more := link.recv(1024):
            data += more
    assert data.startswith(b"HTTP/1.1 101")
    assert data.endswith(b"\r\n\r\nHELLO")
    assert seen == ["GET /t"]


def test_nobody_comes_in_without_the_secret(served: tuple[int, list[str]]) -> None:
    port, seen = served
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    client.request("GET", "/api/v1/secrets")
    assert client.getresponse().status == 404
    client.close()
    assert not seen


def test_what_was_declared_is_told_from_what_the_server_filled_in() -> None:
    fields = {
        "f:spec": {
            "f:ports": {'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}},
            "f:selector": {},
        },
        "f:metadata": {"f:finalizers": {'v:"a"': {}}, "f:name": {}},
    }
    live = {
        "metadata": {"name": "shop", "uid": "1", "finalizers": ["a", "b"]},
        "spec": {
            "ports": [{"port": 1, "protocol": "TCP", "name": "x"}, {"port": 2, "protocol": "TCP"}],
            "selector": {"app": "shop"},
            "sessionAffinity": "None",
        },
    }
    assert declared(fields, live) == {
        "metadata": {"name": "shop", "finalizers": ["a"]},
        "spec": {"ports": [{"port": 1, "name": "x"}], "selector": {"app": "shop"}},
    }


def test_objects_move_to_another_namespace_and_stay_where_they_were() -> None:
    objects = [{"kind": "Namespace", "metadata": {"name": "a"}}, {"kind": "Secret", "metadata": {"namespace": "a"}}]
    assert [list(obj["metadata"].values()) for obj in moved(objects, "b")] == [["b"], ["b"]]
    assert objects[0]["metadata"]["name"] == "a"


def watcher(*hellos: dict[str, t.Any]) -> Watcher:
    found = Watcher(t.cast("t.Any", None), "shop", ["shop"] * len(hellos))
    for member, hello in zip(found.members, hellos, strict=True):
        member.hear(hello)
    return found


PRIMARY = {"setName": "shop", "isWritablePrimary": True, "secondary": False}
SECONDARY = {"setName": "shop", "isWritablePrimary": False, "secondary": True}
STARTING = {"setName": "shop", "isWritablePrimary": False, "secondary": False}
ALONE = {"isWritablePrimary": False, "secondary": False}


def test_a_set_is_formed_when_all_serve_and_one_is_primary() -> None:
    assert watcher(PRIMARY, SECONDARY, SECONDARY).formed()
    assert not watcher(PRIMARY, SECONDARY, STARTING).formed()
    assert not watcher(SECONDARY, SECONDARY, SECONDARY).formed()
    assert watcher(ALONE, ALONE).all_answer()
    assert not watcher(ALONE, ALONE).first_in_set()


def test_a_set_is_formed_when_its_primary_is_elected_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1, 100))
    monkeypatch.setattr("members.time.monotonic", lambda: float(next(clock)))
    found = watcher(SECONDARY, SECONDARY, SECONDARY)
    found.members[1].hear(SECONDARY)
    found.members[0].hear(PRIMARY)
    assert found.formed() == 5.0
    assert found.first_in_set() == 1.0


def test_a_member_that_falls_back_serves_from_the_next_time_on() -> None:
    member = Member()
    member.hear(SECONDARY)
    first = member.serves
    member.hear(SECONDARY)
    assert member.serves == first
    member.hear(STARTING)
    assert member.serves is None


def figures(ours: float, objects: float, form: float, requests: int) -> Figures:
    return Figures(
        empty=[1.0, 2.0],
        rerun={"ours": [ours, 2 * ours], "objects": [objects, 2 * objects]},
        form={"ours": [2.0], "objects": [form], "kubectl": [form + 1]},
        requests_rerun={"ours": [Count(requests, 0, 3, {}), Count(5, 0, 3, {})]},
    )


def test_ratios_are_taken_round_by_round() -> None:
    assert ratios([2.0, 30.0], [1.0, 10.0]) == [2.0, 3.0]


def test_goals_are_met_at_the_limit_and_missed_beyond() -> None:
    assert [goal.met for goal in goals(figures(2.0, 10.0, 8.0, 13), kinds=8)] == [True] * 4
    assert [goal.met for goal in goals(figures(2.1, 10.0, 7.9, 14), kinds=8)] == [False] * 4
