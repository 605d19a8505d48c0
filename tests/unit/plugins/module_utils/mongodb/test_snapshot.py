# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of a proof, of a mongod that dies in it, and of an API server that does not take the notes on it."""

from __future__ import annotations

import json
import typing as t
from types import SimpleNamespace

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _snapshot as snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _snapshot_check as check
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_plan import (
    NOTE,
    Around,
    Kept,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

TARGET = Target(name="shop", namespace="prod", replica_set="shop", root_secret="shop-root")  # noqa: S106
TIMEOUT = 60.0
UNTIL = {"position": "100:2", "time": "1970-01-01T00:01:40Z", "term": 3}
MADE = Kept(
    "s", "id1", "t", ready=True, note={"set_id": "id1", "member": "shop-1", "claim": "data-shop-1", "until": UNTIL}
)
FATAL = '{"t":1,"s":"F","c":"STORAGE","msg":"WT_PANIC: checksum error"}'
BACKTRACE = '{"t":1,"s":"I","c":"CONTROL","msg":"Frame"}'


class FakeCluster:
    """Keeps what it was told, and fails where 'refuses' names the verb."""

    def __init__(self, pod: t.Optional[dict[str, t.Any]] = None, log: t.Sequence[str] = ()) -> None:
        self.pod = pod or {}
        self.log = list(log)
        self.refuses: dict[str, ApiError] = {}
        self.told: list[tuple[str, str, t.Any]] = []

    def _tell(self, verb: str, name: str, what: t.Any = None) -> None:
        if verb in self.refuses:
            raise self.refuses[verb]
        self.told.append((verb, name, what))

    def get(self, _version: str, kind: str, name: str, _namespace: str) -> t.Any:
        if kind == "Pod" and name != "shop-1":
            return self.pod
        spec = {
            "containers": [{"image": "mongo", "args": []}],
            "accessModes": [],
            "resources": {"requests": {"storage": "1Gi"}},
        }
        return {"metadata": {"name": name}, "spec": spec}

    def list(self, *_what: t.Any, **_more: t.Any) -> list[t.Any]:
        self._tell("list", "")
        return []

    def create(self, made: dict[str, t.Any]) -> dict[str, t.Any]:
        return {**made, "metadata": {**made["metadata"], "uid": "u"}}

    def merge(self, _version: str, _kind: str, name: str, _namespace: str, patch: t.Any) -> None:
        self._tell("merge", name, patch)

    def delete(self, _version: str, _kind: str, name: str, _namespace: str, uid: t.Optional[str] = None) -> None:
        self._tell("delete", name, uid)

    def log_tail(self, _namespace: str, _pod: str, _container: str, lines: int = 3) -> list[str]:
        return self.log[-lines:]


def pod(ended: t.Optional[dict[str, t.Any]] = None, ready: bool = True, **status: t.Any) -> dict[str, t.Any]:
    state = {"terminated": ended} if ended else {"running": {}}
    conditions = [{"type": "Ready", "status": "True"}] if ready else []
    container = {"name": "mongod", "state": state}
    phase = {"phase": "Failed" if ended else "Running"}
    return {
        "kind": "Pod",
        "metadata": {},
        "status": {**phase, "conditions": conditions, "containerStatuses": [container], **status},
    }


ABORTED = {"reason": "Error", "exitCode": 14}


def proof(cluster: FakeCluster, timeout: float = TIMEOUT) -> check.Check:
    observer: t.Any = SimpleNamespace(cluster=cluster, target=TARGET)
    return check.Check(observer, lambda _text: None, "prod/shop", timeout)


def test_only_a_mongod_that_ended_by_itself_says_something_of_the_files() -> None:
    assert check.died(pod(ABORTED)) == "ended with exit code 14"
    assert check.died(pod({"reason": "Error", "exitCode": 139}))
    assert not check.died(pod())
    for reason in ("OOMKilled", "StartError", "ContainerStatusUnknown"):
        assert not check.died(pod({"reason": reason, "exitCode": 128}))
    for reason in ("Evicted", "DeadlineExceeded"):
        assert not check.died(pod(ABORTED, reason=reason))
    for code in (0, 137, 143):
        assert not check.died(pod({"reason": "Error", "exitCode": code}))
    assert not check.died({**pod(ABORTED), "metadata": {"deletionTimestamp": "now"}})


def test_its_errors_are_quoted_and_not_the_backtrace_behind_them() -> None:
    assert check.last_words([BACKTRACE, FATAL, *[BACKTRACE] * 50]) == FATAL
    aborts = [f'{{"t":1,"s":"F","msg":"abort {number}"}}' for number in range(9)]
    assert check.last_words([BACKTRACE, FATAL, *aborts]) == " ".join([FATAL, *aborts[:2]])
    assert check.last_words(["one", "two", "three", "four"]) == "two three four"
    assert check.last_words([]) == "nothing"


def silent() -> t.Any:
    def command(*_what: t.Any, **_more: t.Any) -> t.Any:
        raise NoAnswer("it closed the connection")

    return SimpleNamespace(command=command, close=lambda: None)


@pytest.mark.parametrize("how", ["before it runs", "before it serves", "while it validates"])
def test_a_mongod_that_dies_of_what_it_finds_is_a_snapshot_that_is_wrong(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(pod(ABORTED, ready=how != "before it runs"), [FATAL, BACKTRACE])

    class FakeTunnel:
        path = "/nowhere"

        def __init__(self, *_what: t.Any) -> None:
            pass

        def __enter__(self) -> t.Any:
            return self

        def __exit__(self, *_what: t.Any) -> None:
            pass

    monkeypatch.setattr(check, "Tunnel", FakeTunnel)
    monkeypatch.setattr(check, "Client", lambda _path: silent())
    if how == "while it validates":
        monkeypatch.setattr(check.Check, "_await_serving", lambda *_: None)
    with pytest.raises(check.Wrong, match=r"ended with exit code 14; it said last: .*WT_PANIC"):
        proof(cluster).check(MADE)


def test_what_says_nothing_of_the_files_is_not_told_and_room_is_advised_where_it_may_be_missing() -> None:
    def told(found: dict[str, t.Any], log: t.Sequence[str] = (), timeout: float = TIMEOUT) -> str:
        with pytest.raises(Failure, match="could not be verified") as failure:
            proof(FakeCluster(found, log), timeout)._await_running()
        return str(failure.value)

    assert "Make room" not in told(pod({"reason": "OOMKilled", "exitCode": 137}, ready=False))
    assert "Make room" not in told(pod(ABORTED, ready=False, reason="Evicted"))
    # A volume that is full is none that is damaged.
    assert "could not be verified" in told(
        pod(ABORTED, ready=False), ['{"s":"E","msg":"No space left on device"}', *[FATAL] * 5]
    )
    assert "Make room for a volume" in told(pod(ready=False, phase="Pending"), timeout=-1.0)


# The notes on it.


def operation(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, found: t.Any) -> tuple[t.Any, list[str]]:
    """One whose snapshot is ready, and whose proof ends as ``found`` says."""
    warnings: list[str] = []
    task: t.Any = SimpleNamespace(warn=warnings.append, progress=print, abandoned=lambda: False)
    observer: t.Any = SimpleNamespace(cluster=cluster, target=TARGET, forget_objects=lambda: None, objects=Snapshot)

    class FakeCheck(check.Check):
        def check(self, made: Kept) -> dict[str, t.Any]:
            if isinstance(found, Exception):
                raise found
            return {"collections": 1}

        def __exit__(self, *unused: object) -> None:
            pass

    monkeypatch.setattr(snapshot, "Check", FakeCheck)
    made = snapshot.Snapshots(observer, Wish(verify=True), task, TIMEOUT)
    made._made = "s"
    return made, warnings


AROUND = Around(Snapshot(), (MADE,), made="s", set_id="id1")
VERIFY = Step("verify", "s", "verify it")
FORBIDDEN = ApiError("patch is forbidden.", 403, "Forbidden")


def test_a_proof_is_noted_on_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    made, warnings = operation(cluster, monkeypatch, None)
    made.act([VERIFY], AROUND)
    ((verb, name, patch),) = cluster.told
    assert (verb, name) == ("merge", "s")
    assert json.loads(patch["metadata"]["annotations"][NOTE])["verified"].startswith("20")
    assert warnings == []


def test_a_proven_one_is_as_good_without_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    cluster.refuses = {"merge": FORBIDDEN, "list": ApiError("etcd is away", 500, "InternalError")}
    made, warnings = operation(cluster, monkeypatch, None)
    made.act([VERIFY], AROUND)
    made.record()
    assert made.facts(AROUND)["verification"] == {"collections": 1}
    assert "s is proven, and that could not be noted on it (patch is forbidden)" in warnings[0]
    assert "s is ready, and could not be noted on the StatefulSet" in warnings[1]
    assert len(warnings) == 2


@pytest.mark.parametrize("refuses", [{}, {"merge": FORBIDDEN, "list": ApiError("etcd is away", 500)}])
def test_that_one_is_wrong_is_said_whatever_becomes_of_the_notes(
    refuses: dict[str, ApiError], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster()
    cluster.refuses = refuses
    made, _warnings = operation(cluster, monkeypatch, check.Wrong("it has no oplog"))
    with pytest.raises(Failure, match="s is not what the set held: it has no oplog") as failure:
        made.act([VERIFY], AROUND)
    marked = "It could not be marked as such (patch is forbidden): delete it." if refuses else "It is marked as such."
    assert marked in str(failure.value)


def test_the_very_one_that_was_seen_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster()
    made, _warnings = operation(cluster, monkeypatch, None)
    made.act([Step("remove", "old", "remove old", data={"uid": "u1"})], AROUND)
    assert cluster.told == [("delete", "old", "u1")]
    cluster.refuses = {"delete": ApiError("the uid is another one", 409, "Conflict")}
    with pytest.raises(NotYet, match="old has just changed"):
        made.act([Step("remove", "old", "remove old", data={"uid": "u1"})], AROUND)
