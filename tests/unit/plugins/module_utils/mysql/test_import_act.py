# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import Executed
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._operate import life
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import flavour_of
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _act as acting
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._act import Acts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._plan import CUT_OVER, DROP
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    Local,
    Marker,
    Outside,
    Seen,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from three_servers import TARGET, primary, snapshot

WISH = Wish("old", 3306, "old-login", cut_over=True, stop_writes=True)
LOADED = Local("9.7.0", 100, databases=("shop",), marker=Marker("old:3306", loaded=True))
SEEN = Seen(snapshot([primary()]), LOADED)


UNMARK = "DROP TABLE IF EXISTS stateful_kube.imported"


class Cluster:
    """Keeps one ConfigMap, and says what happened in which order."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.found: dict[str, t.Any] = {"metadata": {"uid": "uid"}, "data": {}}

    def get(self, *_unused: str) -> dict[str, t.Any]:
        return self.found

    def merge(self, _api: str, _kind: str, _name: str, _namespace: str, patch: dict[str, t.Any]) -> dict[str, t.Any]:
        metadata = patch["metadata"]
        assert metadata["resourceVersion"] == "1"
        if "annotations" in metadata:
            self.events.append("annotate")
        annotations = {**self.found["metadata"].get("annotations", {}), **metadata.get("annotations", {})}
        self.found = {
            "metadata": {"uid": "uid", "annotations": annotations, "resourceVersion": "2"},
            "data": {**self.found["data"], **patch.get("data", {})},
        }
        return self.found


class Client:
    def __init__(self, events: list[str]) -> None:
        self.events = events

    def run(self, *statements: str, **_unused: t.Any) -> None:
        self.events += statements

    def rows(self, statement: str, *_values: t.Any, **_unused: t.Any) -> list[dict[str, t.Any]]:
        self.events.append(statement)
        return []

    def close(self) -> None:
        """Nothing to close."""


class Link:
    def __init__(self, client: Client, version: str) -> None:
        self.client = client
        self.flavour = flavour_of(version)


class Observer:
    def __init__(self, version: str) -> None:
        self.events: list[str] = []
        self.cluster = Cluster(self.events)
        self.target = TARGET
        self.links = {0: Link(Client(self.events), version)}

    def forget_objects(self) -> None:
        """Nothing is kept."""


class Source:
    """A source that can be made read-only; ``lost`` are the statements that it does not get."""

    def __init__(self, version: str = "9.7.0") -> None:
        self.version = version
        self.read_only = False
        self.said: list[str] = []
        self.lost: set[str] = set()
        self.silent = False

    def look(self, _pod: str, _version: str) -> Outside:
        if self.silent:
            return Outside(silence="gone")
        return Outside(variables={"version": self.version, "read_only": "ON" if self.read_only else "OFF"})

    def run(self, _pod: str, _version: str, statements: str) -> Executed:
        self.said.append(statements)
        if any(part in statements for part in self.lost):
            return Executed(rc=1, stdout="", stderr="ERROR 2003: Can't connect")
        self.read_only = "= ON" in statements
        return Executed(rc=0, stdout="", stderr="")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acting, "LOOK_TWICE", 0.0)


def acts(source: Source, wish: Wish = WISH) -> Acts:
    return Acts(t.cast(t.Any, Observer(source.version)), t.cast(t.Any, source), wish)


def cut_over(own: Acts, version: str = "9.7.0") -> None:
    seen = dataclasses.replace(SEEN, local=dataclasses.replace(LOADED, version=version))
    own.act(Step(CUT_OVER, "shop-0", "cut over", data={"ordinal": 0}), seen)


@pytest.mark.parametrize(("version", "variable"), [("9.7.0", "super_read_only"), ("11.4.2-MariaDB", "read_only")])
def test_a_source_gives_up_before_this_side_does(version: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(version)
    monkeypatch.setattr(Acts, "_insist_on_all", lambda *_unused: None)
    cut_over(acts(source), version)
    assert source.said == [f"SET SESSION lock_wait_timeout = 5;\nSET GLOBAL {variable} = ON;\n"]
    assert source.read_only


@pytest.mark.parametrize("error", [NotYet("behind"), Failure("differs"), OSError("broken"), KeyError("odd")])
def test_whatever_fails_the_source_takes_writes_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_unused: t.Any) -> None:
        raise error

    source = Source()
    monkeypatch.setattr(Acts, "_insist_on_all", fail)
    with pytest.raises(type(error)):
        cut_over(acts(source))
    assert not source.read_only


def test_a_source_that_could_not_be_let_write_is_let_write_after_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_unused: t.Any) -> None:
        raise NotYet("behind")

    source = Source()
    own = acts(source)
    monkeypatch.setattr(Acts, "_insist_on_all", fail)
    source.lost = {"= OFF"}
    with pytest.raises(NotYet):
        cut_over(own)
    assert source.read_only
    source.lost = set()
    with pytest.raises(NotYet):
        cut_over(own)
    assert not source.read_only


def test_a_source_that_falls_silent_is_let_write_when_it_was_this_run_that_stopped_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fall_silent(*_unused: t.Any) -> None:
        source.silent = True

    source = Source()
    monkeypatch.setattr(Acts, "_insist_on_all", fall_silent)
    with pytest.raises(NotYet):
        cut_over(acts(source))
    assert not source.read_only


def test_who_else_has_made_it_read_only_is_not_contradicted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_unused: t.Any) -> None:
        raise Failure("differs")

    source = Source()
    source.read_only = True
    monkeypatch.setattr(Acts, "_insist_on_all", fail)
    with pytest.raises(Failure):
        cut_over(acts(source))
    assert source.read_only
    assert source.said == []


@pytest.mark.parametrize("version", ["9.7.0", "11.4.2-MariaDB"])
def test_what_was_backed_up_before_the_numbers_begin_anew_is_of_other_data(version: str) -> None:
    observer = Observer(version)
    assert life(t.cast(t.Any, observer.cluster), TARGET) == ("uid", {})
    own = Acts(t.cast(t.Any, observer), t.cast(t.Any, Source(version)), dataclasses.replace(WISH, present=False))
    step = Step(DROP, "shop-0", "drop", data={"ordinal": 0})
    lives = ["uid"]
    for _again in range(2):
        observer.events.clear()
        own.act(step, dataclasses.replace(SEEN, local=dataclasses.replace(LOADED, version=version)))
        reset = next(number for number, event in enumerate(observer.events) if event.startswith("RESET "))
        binary_log = [event for event in observer.events if event in ("RESET BINARY LOGS AND GTIDS", "RESET MASTER")]
        assert len(binary_log) == 1
        assert observer.events.index("annotate") < reset
        # Without the marker a run that follows a killed one believes that all of it is gone.
        assert observer.events.index(binary_log[0]) < observer.events.index(UNMARK)
        lives.append(life(t.cast(t.Any, observer.cluster), TARGET)[0])
    assert len(set(lives)) == 3
    _record.write(t.cast(t.Any, observer.cluster), TARGET, t.cast(t.Any, SEEN.target.record))
    assert life(t.cast(t.Any, observer.cluster), TARGET)[0] == lives[-1]
