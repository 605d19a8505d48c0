# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose volume is taken, by which class, what goes afterwards, and what a mongod on it is given."""

from __future__ import annotations

import dataclasses
import json
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _record
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _snapshot_check as check
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _snapshot_plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import seconds
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._snapshot_plan import Around, Kept, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

TARGET = Target(name="shop", namespace="prod", replica_set="shop", root_secret="shop-root")  # noqa: S106
CLASSES = {"fast": ("csi.one", False), "other": ("csi.two", True)}


def seen(*states: str, claims: tuple[str, ...] = ("data",), hidden: t.Collection[int] = ()) -> Snapshot:
    def host(ordinal: int) -> str:
        return f"shop-{ordinal}.shop.prod.svc.cluster.local:27017"

    members = tuple(
        MemberConfig(n, host(n), priority=0.0 if n in hidden else 1.0, hidden=n in hidden) for n in range(len(states))
    )
    config = Config("shop", "id1", 1, 1, members)
    statuses = tuple(MemberStatus(host(n), state, True, 1000.0) for n, state in enumerate(states))
    answers = {
        n: Answer(Kind.MEMBER, "", state, "shop", config, statuses, len(states), 1) for n, state in enumerate(states)
    }
    pods = {n: Pod(f"shop-{n}", claims=tuple(f"{claim}-shop-{n}" for claim in claims)) for n in range(len(states))}
    return Snapshot(StatefulSet("u", "1", len(states), "shop"), pods, {}, answers)


def around(found: t.Optional[Snapshot] = None, **more: t.Any) -> Around:
    found = found or seen("PRIMARY", "SECONDARY", "SECONDARY")
    drivers = {claim: "csi.one" for pod in found.pods.values() for claim in pod.claims}
    return Around(found, **{"drivers": drivers, "classes": CLASSES, "set_id": "id1", **more})


def kept(name: str, taken: str = "", **more: t.Any) -> Kept:
    return Kept(name, **{"set_id": "id1", "taken": taken or name, "ready": True, **more})


def planned(wish: Wish, what: Around, given_up: bool = False) -> list[str]:
    found = planner.plan(TARGET, wish, what, given_up)
    assert isinstance(found, Plan), found
    return [f"{step.action} {step.target}" for step in found.steps]


def refused(wish: Wish, what: Around) -> str:
    found = planner.plan(TARGET, wish, what)
    assert isinstance(found, Refusal), found
    return found.sentence()


def test_a_secondary_is_taken_a_hidden_one_before_others_and_the_primary_only_where_it_is_alone() -> None:
    assert planned(Wish(), around(seen("SECONDARY", "PRIMARY")))[0] == "snapshot shop-0"
    assert planned(Wish(), around(seen("PRIMARY", "SECONDARY", "SECONDARY", hidden={2})))[0] == "snapshot shop-2"
    assert planned(Wish(), around(seen("PRIMARY", "RECOVERING"))) == ["wait shop", "wait shop"]
    found = planner.plan(TARGET, Wish(), around(seen("PRIMARY")))
    assert isinstance(found, Plan)
    assert found.steps[0].target == "shop-0"
    assert found.warnings


def test_older_ones_go_when_the_new_one_is_ready_and_proven() -> None:
    others = (kept("a"), kept("b"), kept("c", note={"verified": "FAILED 2026: bad"}), kept("x", set_id="id2"))
    wish = Wish(keep=2, verify=True)
    assert planned(wish, around(snapshots=others)) == [
        "snapshot shop-1",
        "wait shop",
        "verify shop",
        "remove a",
    ]
    made = dataclasses.replace(around(snapshots=(*others, kept("d"))), made="d")
    assert planned(wish, made) == ["verify d", "remove a"]
    done = dataclasses.replace(made, verified=True)
    assert planned(wish, done) == ["remove a"]
    assert planned(Wish(verify=True), done) == []
    going = dataclasses.replace(done, snapshots=(kept("a", going=True), kept("b"), kept("d")))
    assert planned(wish, going) == []


def test_what_is_not_ready_counts_as_none_and_is_waited_for_in_the_driver_s_words() -> None:
    late = around(snapshots=(kept("a"), kept("d", ready=False, error="pool is locked")), made="d")
    found = planner.plan(TARGET, Wish(keep=1), late)
    assert isinstance(found, Plan)
    assert found.steps[0].sentence == "wait until d is ready to use: its driver says pool is locked"
    assert not found.steps[0].change
    # One that another run takes now is left alone, whatever its driver says while it tries again.
    others = (kept("a", ready=False), kept("b", "2026-11-20T10:00:00Z", ready=False, error="no room"))
    now = seconds("2026-11-21T09:59:00Z")
    assert planned(Wish(), around(snapshots=others, now=now)) == ["snapshot shop-1", "wait shop"]
    # After a day there is no hope, and it goes when there is a better one.
    after = around(snapshots=(*others, kept("d")), made="d", now=now + 120)
    assert planned(Wish(verify=True), after) == ["verify d", "remove b"]
    found = planner.plan(TARGET, Wish(), dataclasses.replace(after, snapshots=(*others, kept("d", ready=False))))
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == ["wait", "remove"]
    assert not planned(Wish(), dataclasses.replace(after, snapshots=(kept("b", "", ready=False, error="x"), kept("d"))))
    with pytest.raises(Failure, match="d was deleted while it was being taken"):
        planner.plan(TARGET, Wish(), around(made="d"))


def test_the_very_one_that_was_seen_is_to_go() -> None:
    found = planner.plan(TARGET, Wish(keep=1), around(snapshots=(kept("a", uid="u1"), kept("d")), made="d"))
    assert isinstance(found, Plan)
    assert [(step.target, step.data["uid"]) for step in found.steps] == [("a", "u1")]


def test_a_run_that_gives_up_takes_it_away_and_ends() -> None:
    late = around(snapshots=(kept("a"), kept("d", ready=False)), made="d")
    assert planned(Wish(keep=1), late, given_up=True) == ["remove d"]
    gone = around(snapshots=(kept("a"),), made="d")
    assert planned(Wish(keep=1), gone, given_up=True) == ["wait d"]


def test_the_class_is_the_driver_s_and_never_guessed() -> None:
    def chosen(wish: Wish, classes: t.Optional[dict[str, tuple[str, bool]]]) -> str:
        return planner.class_for(wish, around(classes=classes), "csi.one")

    assert chosen(Wish(), dict(CLASSES)) == "fast"
    assert chosen(Wish(), {**CLASSES, "slow": ("csi.one", True)}) == "slow"
    assert chosen(Wish(snapshot_class="slow"), None) == "slow"
    two = {**CLASSES, "slow": ("csi.one", False)}
    assert "fast is of csi.one; other is of csi.two; slow is of csi.one" in refused(Wish(), around(classes=two))
    assert "other is no VolumeSnapshotClass that can take" in refused(Wish(snapshot_class="other"), around())
    assert "this account may not list the classes" in refused(Wish(), around(classes=None))
    assert "take a dump instead" in refused(Wish(), around(classes={}))
    assert planned(Wish(snapshot_class="fast"), around(classes=None))[0] == "snapshot shop-1"


def test_several_volumes_have_no_moment_in_common() -> None:
    several = around(seen("PRIMARY", "SECONDARY", claims=("data", "journal")))
    assert "shop-1 has 2 claims: expected one" in refused(Wish(), several)
    assert "shop-1 has 0 claims" in refused(Wish(), around(seen("PRIMARY", "SECONDARY", claims=())))


def test_what_is_noted_is_read_again() -> None:
    until = {"position": "100:2", "time": "1970-01-01T00:01:40Z", "term": 3}
    note = {"set_id": "id1", "taken": "2026-11-22T10:00:00Z", "until": until, "verified": None, "member": "shop-1"}
    made = planner.snapshot(TARGET, "shop-1x", "data-shop-1", "fast", note)
    # A removal and a prune of the application look for these.
    assert made["metadata"]["labels"]["app.kubernetes.io/name"] != "mongodb"
    found = Kept.of({**made, "status": {"readyToUse": True, "restoreSize": "2Gi"}})
    assert found is not None
    assert (found.name, found.set_id, found.ready, found.size) == ("shop-1x", "id1", True, "2Gi")
    foreign = {**made, "metadata": {**made["metadata"], "annotations": {}}}
    assert Kept.of(foreign) is None
    noted = _record.noted_snapshot(
        json.dumps({"set_id": "id1", "full": {"until": until["time"]}}), "id1", found.facts(), "p"
    )
    known = _record.recorded(noted, "id1", 160.0)
    assert known["full"]["age_seconds"] == 60
    assert (known["snapshot"]["backup"], known["snapshot"]["age_seconds"]) == ("shop-1x", 60)
    assert _record.recorded(noted, "id2", 160.0)["snapshot"] is None


def test_the_mongod_on_it_finds_the_files_where_the_member_has_them() -> None:
    live = {
        "spec": {
            "nodeSelector": {"disk": "fast"},
            "containers": [
                {
                    "image": "mongo:6",
                    "command": ["sh", "-c", "exec mongod"],
                    "args": ["--dbpath", "/bitnami/db", "--keyFile=/key", "--directoryperdb"],
                    "ports": [{"containerPort": 27017}],
                    "volumeMounts": [
                        {"name": "key", "mountPath": "/key"},
                        {"name": "datadir", "mountPath": "/bitnami", "subPath": "mongo"},
                    ],
                }
            ],
            "volumes": [
                {"name": "key", "secret": {"secretName": "k"}},
                {"name": "datadir", "persistentVolumeClaim": {"claimName": "datadir-shop-1"}},
            ],
        }
    }
    owner = {"metadata": {"name": "x", "uid": "u"}}
    made = check.pod_of("x", "prod", owner, live, 27017, "datadir-shop-1")
    container = made["spec"]["containers"][0]
    assert container["volumeMounts"][0] == {"name": "data", "mountPath": "/bitnami", "subPath": "mongo"}
    assert container["args"][container["args"].index("--dbpath") + 1] == "/bitnami/db"
    assert "recoverFromOplogAsStandalone=true" in container["args"]
    assert "--directoryperdb" in container["args"]
    assert not {"--replSet", "--keyFile=/key"} & set(container["args"])
    assert made["spec"]["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "x"}}
    assert made["spec"]["nodeSelector"] == {"disk": "fast"}
    source = {
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}},
        },
        "status": {"capacity": {"storage": "2Gi"}},
    }
    claim = check.claim_of("x", "prod", owner, source, kept("s"))
    assert claim["spec"]["dataSource"]["name"] == "s"
    # One that has grown needs a volume as large.
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    assert claim["metadata"]["ownerReferences"][0]["uid"] == "u"

    def size(restore_size: str, of: t.Mapping[str, t.Any]) -> str:
        made = check.claim_of("x", "prod", owner, of, kept("s", size=restore_size))
        return str(made["spec"]["resources"]["requests"]["storage"])

    assert [size(text, source) for text in ("0", "1Gi", "3G", "3Gi")] == ["2Gi", "2Gi", "3G", "3Gi"]
    assert size("0", {**source, "status": {}}) == "1Gi"


def test_documents_that_a_validator_would_not_take_are_no_damage() -> None:
    schema = "Detected one or more documents not compliant with the collection's schema. Check logs for log id 5363500."
    assert not check.damage({"valid": True})
    assert not check.damage({"valid": False, "errors": [schema]})
    assert (
        check.damage({"valid": False, "errors": [schema, "index a_1 is inconsistent"]}) == "index a_1 is inconsistent"
    )
    assert check.damage({"valid": False})
