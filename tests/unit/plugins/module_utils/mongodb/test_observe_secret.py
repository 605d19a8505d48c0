# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root user's Secret is read again when a login is refused: its password may have changed meanwhile."""

from __future__ import annotations

import base64
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _observe
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Credentials, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Answer, Kind, Pod

TARGET = Target("shop", "ns", "shop", root_secret="shop-root")  # noqa: S106 (a name)


class Cluster:
    """One pod of one set, and a Secret whose reads are counted."""

    def __init__(self) -> None:
        self.version = 1
        self.data = {"username": "root", "password": "first"}
        self.reads = 0

    def get(self, _api_version: str, kind: str, _name: str, _namespace: str) -> dict[str, t.Any]:
        if kind == "StatefulSet":
            return {
                "metadata": {"uid": "u", "resourceVersion": "1"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "shop"}}},
            }
        self.reads += 1
        data = {key: base64.b64encode(value.encode()).decode() for key, value in self.data.items()}
        return {"metadata": {"uid": "s", "resourceVersion": str(self.version)}, "data": data}

    def list(self, _api_version: str, kind: str, *_others: t.Any, **_more: t.Any) -> list[dict[str, t.Any]]:
        if kind != "Pod":
            return []
        running = {"containerStatuses": [{"state": {"running": {}}}]}
        return [{"metadata": {"name": "shop-0", "uid": "p"}, "spec": {}, "status": running}]

    def rotate(self, data: dict[str, str]) -> None:
        self.version += 1
        self.data = {"username": "root", **data}


class FakeLink:
    valid = "first"

    def __init__(self, *_unused: object) -> None:
        self.uid = "p"

    def ask(self, credentials: t.Optional[Credentials], _new_disk: bool) -> Answer:
        ways = [way.password for way in credentials.ways] if credentials else []
        return Answer(Kind.MEMBER if self.valid in ways else Kind.REFUSED)

    def close(self) -> None:
        pass


class FakeTunnel:
    failure: t.Any = ApiError("forbidden", 403, "Forbidden")
    error: t.Optional[str] = "the way ends"
    path = "/nowhere"

    def __init__(self, *_unused: object) -> None:
        pass

    def __enter__(self) -> FakeTunnel:
        return self

    def __exit__(self, *_unused: object) -> None:
        pass


@pytest.fixture
def observer(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Observer]:
    monkeypatch.setattr(_observe, "Link", FakeLink)
    monkeypatch.setattr(FakeLink, "valid", "first")
    with Observer(t.cast("t.Any", Cluster()), TARGET) as some:
        yield some


def kinds(observer: Observer) -> list[Kind]:
    """By both ways of asking."""
    return [observer.observe().answer(0).kind, observer.ask(0).kind]


def test_it_is_read_once_while_it_lets_in(observer: Observer) -> None:
    assert kinds(observer) == [Kind.MEMBER, Kind.MEMBER]
    assert t.cast("t.Any", observer.cluster).reads == 1


@pytest.mark.parametrize("way", ["observe", "ask"])
def test_another_password_meanwhile(observer: Observer, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    cluster = t.cast("t.Any", observer.cluster)
    observer.observe()
    monkeypatch.setattr(FakeLink, "valid", "second")
    cluster.rotate({"password": "first", "password-next": "second"})
    found = observer.observe().answer(0) if way == "observe" else observer.ask(0)
    assert found.kind is Kind.MEMBER
    assert observer.objects().password_pending is True
    assert observer.credentials.ways[0].password == "first"  # noqa: S105
    cluster.rotate({"password": "second", "password-previous": "first"})
    assert observer.observe().password_pending is True
    monkeypatch.setattr(FakeLink, "valid", "third")
    cluster.rotate({"password": "third"})
    assert observer.observe().answer(0).kind is Kind.MEMBER
    assert observer.objects().password_pending is False


def test_a_member_that_is_behind_takes_the_former_password(observer: Observer) -> None:
    t.cast("t.Any", observer.cluster).rotate({"password": "second", "password-previous": "first"})
    assert kinds(observer) == [Kind.MEMBER, Kind.MEMBER]


def test_a_wrong_password_stays_refused(observer: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeLink, "valid", "nobody knows")
    assert kinds(observer) == [Kind.REFUSED, Kind.REFUSED]


def test_a_pod_that_went_is_no_error(observer: Observer) -> None:
    assert observer.ask(7).kind is Kind.UNREACHABLE


def test_a_missing_right_is_told_and_silence_is_silence(observer: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_path: str) -> dict[str, t.Any]:
        raise NoAnswer("reset")

    monkeypatch.setattr(_observe, "Tunnel", FakeTunnel)
    monkeypatch.setattr(_observe, "hello", silent)
    with pytest.raises(ApiError):
        observer.hello(Pod("shop-0"))
    monkeypatch.setattr(FakeTunnel, "failure", None)
    with pytest.raises(NoAnswer, match="the way ends"):
        observer.hello(Pod("shop-0"))
