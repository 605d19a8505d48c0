# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set that somebody else has made: what is refused, what is done in which order, and what is to be declared."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._declare import (
    data_elsewhere,
    differences,
    variables,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import Found, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import problems
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
    PRIMARY,
    SECONDARY,
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import RENAME
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import (
    CLAIM,
    MARK,
    SERVICE,
    SET,
    TAKE_OVER,
    Objects,
    Thing,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import others, taken_over

TARGET = Target("mongo", "shop", "rs0", root_secret="mongo-root")  # noqa: S106
ID = "6b02bacf91880ecf3aa151b5"
ACCEPT = Wish(ID)
NAMES = ("10.0.0.{}:27017", "mongo-{}.svc:27017", "mongo-{}.svc.shop.svc.cluster.local:27017")


def stable(ordinal: int) -> str:
    return NAMES[2].format(ordinal)


class World:
    """A set that runs: names by ordinal, who is primary, and who can be heard by the name that it has now."""

    def __init__(self, hosts: t.Sequence[str], primary: int = 0) -> None:
        self.hosts = list(hosts)
        self.primary = primary
        self.version = 1
        self.unheard: set[int] = set()
        self.silent: set[int] = set()
        self.marked: set[str] = set()
        self.taken: set[str] = set()
        self.recorded = ""
        self.more: dict[str, t.Any] = {}

    def found(self) -> Found:
        config = Config("rs0", ID, self.version, 1, tuple(MemberConfig(o + 3, h) for o, h in enumerate(self.hosts)))
        statuses = tuple(
            MemberStatus(h, PRIMARY if o == self.primary else SECONDARY, healthy=o not in self.unheard, optime=1.0)
            for o, h in enumerate(self.hosts)
        )
        answers = {
            o: Answer(Kind.UNREACHABLE, "no answer")
            if o in self.silent
            else Answer(
                Kind.MEMBER,
                state=statuses[o].state,
                set_name="rs0",
                config=config,
                statuses=statuses,
                voting=len(self.hosts),
                open=True,
                me=h,
            )
            for o, h in enumerate(self.hosts)
        }
        labels = planner.application(TARGET).labels
        snapshot = Snapshot(
            StatefulSet("u", "1", len(self.hosts), "svc", recorded=self.recorded),
            {o: Pod(TARGET.pod(o)) for o in range(len(self.hosts))},
            {},
            answers,
            secret=False,
        )
        things = [
            Thing(
                kind,
                name,
                labels=labels if f"{kind} {name}" in self.marked else {},
                annotations={"stateful.kube/replica-set": "rs0"} if f"{kind} {name}" in self.marked else {},
                managers=() if kind == CLAIM or f"{kind} {name}" in self.taken else ("kubectl",),
            )
            for kind, name in ((SET, "mongo"), (SERVICE, "svc"), (CLAIM, "data-mongo-0"))
        ]
        found = Objects(things[0], (things[1],), (things[2],), f"{SET} mongo" in self.marked)
        of_objects = {key: value for key, value in self.more.items() if key in Objects.__dataclass_fields__}
        of_set = {key: value for key, value in self.more.items() if key not in of_objects}
        return dataclasses.replace(Found(snapshot, dataclasses.replace(found, **of_objects)), **of_set)

    def act(self, step: Step) -> None:
        if step.action == MARK:
            self.marked.add(step.target)
            if step.target == f"{SET} mongo":
                self.recorded = ID
        elif step.action == TAKE_OVER:
            self.taken.add(step.target)
        elif step.action == RENAME:
            self.rename(step)
        else:
            raise AssertionError(step)

    def rename(self, step: Step) -> None:
        # While one member has a new name that nobody has tried yet, no other one gets one.
        assert not self.unheard
        assert (step.data["version"], step.data["term"]) == (self.version, 1)
        ordinal = self.hosts.index(step.data["host"])
        assert step.data["to"] == stable(ordinal)
        if ordinal == self.primary:
            assert all(host == stable(o) for o, host in enumerate(self.hosts) if o != ordinal)
        self.hosts[ordinal] = step.data["to"]
        self.version += 1
        self.unheard.add(ordinal)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from(NAMES), min_size=1, max_size=7))
def test_it_ends_with_lasting_names_wherever_it_is_killed(seed: int, names: list[str]) -> None:
    chance = random.Random(seed)  # noqa: S311
    world = World([name.format(o) for o, name in enumerate(names)], chance.randrange(len(names)))
    for _turn in range(200):
        if chance.random() < 0.2 and not world.unheard:
            # An election.
            world.primary = chance.randrange(len(names))
        found = plan(TARGET, ACCEPT, world.found())
        assert isinstance(found, Plan)
        if not found.steps:
            break
        if found.steps[0].change:
            world.act(found.steps[0])
        elif chance.random() < 0.5:
            world.unheard.clear()
    else:
        raise AssertionError("no end")
    assert world.hosts == [stable(o) for o in range(len(names))]
    assert world.version == 1 + sum(name != NAMES[2] for name in names)
    assert world.marked == {f"{SET} mongo", f"{SERVICE} svc", f"{CLAIM} data-mongo-0"}
    assert world.recorded == ID


def actions(world: World, wish: Wish = ACCEPT) -> list[str]:
    found = plan(TARGET, wish, world.found())
    assert isinstance(found, Plan), found
    return [step.action for step in found.steps if step.change]


def test_without_the_set_id_it_only_looks_and_tells_what_it_would_do() -> None:
    world = World([NAMES[0].format(o) for o in range(3)])
    assert actions(world, Wish()) == []
    told = facts(TARGET, world.found(), Wish())
    assert len(told["would"]) == len(plan(TARGET, ACCEPT, world.found()).steps)  # type: ignore[union-attr]
    assert told["set_id"] == ID
    assert "mongo-1  4   SECONDARY  0s      -      10.0.0.1:27017" in told["table"]


def test_names_are_left_alone_where_that_is_wished() -> None:
    world = World([NAMES[0].format(0)])
    assert RENAME in actions(world)
    assert RENAME not in actions(world, Wish(ID, rename=False))


def reason(world: World, wish: Wish = ACCEPT) -> str:
    found = plan(TARGET, wish, world.found())
    assert isinstance(found, Refusal)
    return found.reason


def test_the_wrong_set_id_is_refused() -> None:
    assert "accept is 0123, and the set id" in reason(World([stable(0)]), Wish("0123"))


def test_a_member_that_does_not_answer_is_refused() -> None:
    world = World([stable(o) for o in range(3)])
    world.silent.add(2)
    assert "these do not: mongo-2 (no answer), mongo-2.svc.shop" in reason(world, Wish())


def test_two_sets_are_refused() -> None:
    world = World([stable(o) for o in range(2)])
    found = world.found()
    answer = found.snapshot.answers[1]
    other = dataclasses.replace(answer, config=dataclasses.replace(t.cast(Config, answer.config), set_id="other"))
    answers = {**found.snapshot.answers, 1: other}
    refused = plan(
        TARGET, ACCEPT, dataclasses.replace(found, snapshot=dataclasses.replace(found.snapshot, answers=answers))
    )
    assert isinstance(refused, Refusal)
    assert "more than one replica set" in refused.reason
    world.recorded = "other"
    assert "records set id other" in reason(world)


@pytest.mark.parametrize("kind", [Kind.UNINITIALISED, Kind.STANDALONE])
def test_what_is_no_set_is_refused(kind: Kind) -> None:
    found = World([stable(0)]).found()
    alone = dataclasses.replace(found.snapshot, answers={0: Answer(kind)})
    refused = plan(TARGET, Wish(), dataclasses.replace(found, snapshot=alone))
    assert isinstance(refused, Refusal)
    assert "are no replica set" in refused.reason


def test_whom_nobody_may_read_needs_a_login() -> None:
    found = World([stable(0)]).found()
    closed = dataclasses.replace(found.snapshot, answers={0: Answer(Kind.REFUSED)})
    refused = plan(TARGET, Wish(), dataclasses.replace(found, snapshot=closed))
    assert isinstance(refused, Refusal)
    assert "shop/mongo-root" in refused.choices[0]


def test_without_a_primary_it_is_refused() -> None:
    world = World([stable(0)], primary=5)
    assert "has no primary" in reason(world)


def test_what_an_operator_owns_is_refused() -> None:
    world = World([stable(0)])
    world.more = {"stateful_set": Thing(SET, "mongo", owner="PerconaServerMongoDB shop")}
    assert "owned by PerconaServerMongoDB shop" in reason(world, Wish(ID, from_helm=True))


def test_what_helm_manages_is_taken_over_on_demand_and_kept_by_an_uninstall() -> None:
    world = World([stable(0)])
    thing = Thing(SET, "mongo", labels={"app.kubernetes.io/managed-by": "Helm"}, managers=("helm",))
    world.more = {"stateful_set": thing}
    assert "Helm manages StatefulSet mongo" in reason(world)
    assert MARK in actions(world, Wish(ID, from_helm=True))
    marked = {**planner.application(TARGET).labels}
    known = {"meta.helm.sh/release-name": "mongo", "stateful.kube/replica-set": "rs0"}
    world.marked |= {f"{SERVICE} svc", f"{CLAIM} data-mongo-0"}
    world.taken |= {f"{SERVICE} svc"}
    world.recorded = ID
    world.more = {"stateful_set": Thing(SET, "mongo", labels=marked, annotations=known), "on_delete": True}
    assert actions(world, Wish(ID, from_helm=True)) == [MARK]
    kept = {**known, "helm.sh/resource-policy": "keep"}
    world.more = {"stateful_set": Thing(SET, "mongo", labels=marked, annotations=kept), "on_delete": True}
    assert actions(world, Wish(ID, from_helm=True)) == []


def test_beside_a_sidecar_that_knows_addresses_no_member_is_renamed() -> None:
    world = World([NAMES[0].format(0)])
    world.more = {"sidecar": "sidecar"}
    assert "keeps the configuration by itself" in reason(world)
    assert RENAME in actions(world, Wish(ID, sidecar_stopped=True))
    assert RENAME not in actions(world, Wish(ID, rename=False))


def test_whoever_looks_after_it_is_told_that_anybody_is_let_in() -> None:
    told = problems(TARGET, World([stable(o) for o in range(3)]).found().snapshot, 0.0)
    assert told[0] == "it lets anybody in without a login (mongodb_authentication)"
    assert not any("Secret" in one for one in told)


# What would have to be declared


def stateful_set(container: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    claims = [{"metadata": {"name": "datadir"}, "spec": {"resources": {"requests": {"storage": "8Gi"}}}}]
    template = {"spec": {"containers": [{"name": "metrics", "image": "exporter"}, container]}}
    made = {"replicas": 3, "serviceName": "mongo", "volumeClaimTemplates": claims, "template": template}
    return {"spec": {**made, "selector": {"matchLabels": {"app": "db"}}, **spec}}


def test_a_charts_layout_is_declared_by_what_never_changes() -> None:
    container = {
        "name": "mongodb",
        "image": "registry/mongodb:6",
        "command": ["/scripts/setup.sh"],
        "volumeMounts": [{"name": "datadir", "mountPath": "/bitnami/mongodb"}],
    }
    raw = stateful_set(container, serviceName="mongo-headless", podManagementPolicy="OrderedReady")
    config = Config("rs0", ID, 1, 1, (MemberConfig(0, "a:1"), MemberConfig(1, "b:1", priority=0.0, hidden=True)))
    told = variables(TARGET, raw, config, {"a:1": 0, "b:1": 1}, "required")
    assert told == {
        "mongodb_name": "mongo",
        "mongodb_namespace": "shop",
        "mongodb_members": 3,
        "mongodb_image": "registry/mongodb:6",
        "mongodb_replica_set": "rs0",
        "mongodb_service": "mongo-headless",
        "mongodb_selector": {"app": "db"},
        "mongodb_pod_management_policy": "OrderedReady",
        "mongodb_storage_size": "8Gi",
        "mongodb_claim_name": "datadir",
        "mongodb_member_options": [{"ordinal": 1, "priority": 0.0, "hidden": True}],
        "mongodb_network_policy": False,
    }
    what = {one.what: one.how for one in differences(TARGET, raw, None, {}, "required", ["mongo-root"])}
    assert "Secret mongo-keyfile" in what
    assert "Secret mongo-root" not in what
    assert "other containers" in what


def test_arguments_and_folders_are_taken_from_mongod() -> None:
    container = {
        "name": "main",
        "image": "mongo:6",
        "command": ["mongod", "--replSet", "rs0", "--bind_ip", "*", "--dbpath=/data/db", "--smallfiles"],
        "args": ["--wiredTigerCacheSizeGB", "1", "--quiet", "--setParameter=a=b"],
        "volumeMounts": [{"name": "datadir", "mountPath": "/data/", "subPath": "one"}],
    }
    told = variables(TARGET, stateful_set(container), None, {}, "disabled")
    assert told["mongodb_extra_args"] == ["--wiredTigerCacheSizeGB", "1", "--quiet", "--setParameter=a=b"]
    assert told["mongodb_data_sub_path"] == "one/db"
    assert told["mongodb_authentication"] == "disabled"
    what = [one.what for one in differences(TARGET, stateful_set(container), None, {}, "disabled", ())]
    assert "data below the mount of the claim" in what


def test_a_set_without_claims_is_declared_so() -> None:
    told = variables(TARGET, stateful_set({"command": ["mongod"]}, volumeClaimTemplates=[]), None, {}, "")
    assert told["mongodb_storage_class"] == "none"


@pytest.mark.parametrize("words", [{"command": ["/usr/bin/mongod", "--dbpath=/d"]}, {"args": ["--dbpath", "/d"]}])
def test_mongod_is_known_by_its_path_and_by_the_entry_point(words: dict[str, t.Any]) -> None:
    container = {**words, "image": "mongo:6", "volumeMounts": [{"name": "datadir", "mountPath": "/d"}]}
    told = variables(TARGET, stateful_set(container), None, {}, "")
    assert (told["mongodb_claim_name"], told.get("mongodb_data_sub_path")) == ("datadir", None)


@pytest.mark.parametrize(
    ("volume", "mount", "expected"),
    [
        ({"hostPath": {"path": "/srv"}}, {}, "the volume disk (hostPath)"),
        ({"persistentVolumeClaim": {"claimName": "one"}}, {}, "the volume disk (persistentVolumeClaim)"),
        ({"emptyDir": {}}, {}, ""),
        (None, {"subPathExpr": "$(POD)"}, "subPathExpr of /data/db"),
        (None, {}, ""),
    ],
)
def test_data_that_the_role_cannot_declare_is_told(
    volume: t.Optional[dict[str, t.Any]], mount: dict[str, t.Any], expected: str
) -> None:
    name = "disk" if volume else "datadir"
    mounts = [{"name": name, "mountPath": "/data/db", **mount}]
    raw = stateful_set({"command": ["mongod"], "volumeMounts": mounts})
    if volume:
        raw["spec"]["template"]["spec"]["volumes"] = [{"name": name, **volume}]
    found = data_elsewhere(raw)
    assert expected in found if expected else found == ""


def test_data_that_would_be_left_behind_is_refused() -> None:
    world = World([stable(0)])
    world.more = {"elsewhere": "the volume disk (hostPath) of the pods"}
    assert "an empty folder" in reason(world)


def test_claims_that_would_go_with_the_set_are_kept() -> None:
    world = World([stable(0)])
    world.marked |= {f"{SET} mongo", f"{SERVICE} svc", f"{CLAIM} data-mongo-0"}
    world.taken |= {f"{SET} mongo", f"{SERVICE} svc"}
    world.recorded = ID
    assert actions(world) == []
    world.more = {"keeps_claims": False}
    assert actions(world) == [MARK]


def test_no_member_gets_a_name_that_nobody_resolves() -> None:
    world = World([NAMES[0].format(0)])
    world.more = {"services": ()}
    assert "is not there" in reason(world)
    assert RENAME not in actions(world, Wish(ID, rename=False))


def test_an_arbiter_lets_nobody_in_and_is_no_reason() -> None:
    world = World([stable(o) for o in range(3)])
    found = world.found()
    answers = dict(found.snapshot.answers)
    answers[2] = dataclasses.replace(answers[2], kind=Kind.NO_USER, state=ARBITER)
    world.more = {"snapshot": dataclasses.replace(found.snapshot, answers=answers)}
    assert actions(world)
    answers[2] = dataclasses.replace(answers[2], state=SECONDARY)
    assert "let nobody read" in reason(world)


# Whose fields they are


def test_fields_of_others_become_ours_and_what_is_written_besides_stays() -> None:
    live = {
        "apiVersion": "apps/v1",
        "metadata": {
            "managedFields": [
                {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}},
                {"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:b": {"f:c": {}}}}},
                {"manager": "stateful.kube", "operation": "Update", "fieldsV1": {"f:metadata": {"f:id": {}}}},
                {"manager": "stateful.kube-rollout", "operation": "Update", "fieldsV1": {"f:spec": {"f:r": {}}}},
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {}},
            ]
        },
    }
    assert others(live, "stateful.kube") == ("argocd", "kubectl-client-side-apply")
    taken = taken_over(live, "stateful.kube")
    assert others({"metadata": {"managedFields": taken}}, "stateful.kube") == ()
    ours = [entry for entry in taken if entry["operation"] == "Apply"]
    assert [(entry["manager"], entry["fieldsV1"]) for entry in ours] == [
        ("stateful.kube", {"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}})
    ]
    assert len(taken) == 4
