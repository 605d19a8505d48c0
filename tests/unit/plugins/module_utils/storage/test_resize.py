# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Claims that grow: what is asked of which, in which order, what is refused, and how a failure is taken back."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import Recreation
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_facts import (
    given_up,
    quota_facts,
    summary,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_plan import (
    Retreat,
    lowered,
    plan_resize,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_state import (
    Claim,
    Seen,
    Surroundings,
    Volume,
    claim_of,
    claims_with_pods,
    template_size,
    volume_of,
    with_template_size,
)

SET = Key("apps/v1", "StatefulSet", "shop", "shop")
NAMED = Key("v1", "PersistentVolumeClaim", "shop", "data-shop-0")


def stateful_set(size: str = "10Gi", replicas: int = 3) -> dict[str, t.Any]:
    def template(name: str, size: str) -> dict[str, t.Any]:
        return {"metadata": {"name": name}, "spec": {"resources": {"requests": {"storage": size}}}}

    templates = [template("data", size), template("log", "1Gi")]
    return {
        "metadata": {"name": "shop", "namespace": "shop", "annotations": {"a": "b"}},
        "spec": {"replicas": replicas, "volumeClaimTemplates": templates, "serviceName": "shop"},
    }


def claim(ordinal: int = 0, asked: str = "10Gi", has: str = "10Gi", **fields: t.Any) -> Claim:
    base = Claim(f"data-shop-{ordinal}", f"u{ordinal}", "1", "fast", True, asked, has, f"pv-{ordinal}", pods=("p",))
    return dataclasses.replace(base, **fields)


def seen(size: str, *claims: Claim, template: str = "10Gi", **fields: t.Any) -> Seen:
    base = Seen(SET, size, claims, stateful_set(template), "data", template)
    return dataclasses.replace(base, **fields)


def named(size: str, *claims: Claim) -> Seen:
    return Seen(NAMED, size, claims)


def plan(state: Seen, retreat: t.Optional[Retreat] = None) -> Plan:
    result = plan_resize(state, retreat)
    assert isinstance(result, Plan), result
    return result


def refused(state: Seen) -> Refusal:
    result = plan_resize(state)
    assert isinstance(result, Refusal), result
    return result


def said(result: Plan) -> list[str]:
    return [f"{step.action} {step.target.rpartition('/')[2]}" for step in result.steps]


# Order


def test_one_claim_shows_the_way_then_the_others_grow_together_then_the_set_is_made_again() -> None:
    result = plan(seen("20Gi", claim(0), claim(1), claim(2)))
    assert said(result) == [
        "grow data-shop-0",
        "wait shop",
        "grow data-shop-1",
        "grow data-shop-2",
        "wait shop",
        "recreate shop",
        "wait shop",
    ]
    assert result.steps[2].batch == result.steps[3].batch
    assert result.steps[5].sentence == (
        "recreate StatefulSet shop/shop without touching its pods: claim template data grows from 10Gi to 20Gi"
    )


def test_nothing_is_left_to_do_when_all_is_there() -> None:
    assert plan(seen("20Gi", claim(0, "20Gi", "20Gi"), claim(1, "30Gi", "30Gi"), template="20Gi")).steps == ()


def test_the_same_size_in_other_words_is_no_change() -> None:
    assert plan(seen("10240Mi", claim(0))).steps == ()


def test_g_is_less_than_gi() -> None:
    assert said(plan(named("10Gi", claim(0, "10G", "10G"))))[0] == "grow data-shop-0"
    assert "a volume never shrinks" in refused(seen("10G", claim(0))).reason


def test_a_volume_that_was_rounded_up_is_asked_for_all_the_same() -> None:
    """The template will ask for it, and so must the claims."""
    result = plan(named("10Gi", claim(0, "10G", "10Gi")))
    assert said(result)[0] == "grow data-shop-0"


def test_only_what_has_not_grown_is_waited_for() -> None:
    result = plan(seen("20Gi", claim(0, "20Gi", "20Gi"), claim(1, "20Gi", "10Gi"), claim(2)))
    assert said(result) == ["grow data-shop-2", "wait shop", "recreate shop", "wait shop"]
    assert "claim data-shop-1 has 10Gi of 20Gi" in result.steps[1].sentence


def test_the_first_claim_is_waited_for_before_others_are_asked() -> None:
    result = plan(seen("20Gi", claim(0, "20Gi", "10Gi"), claim(1)))
    assert said(result)[0] == "wait shop"
    assert said(result)[1] == "grow data-shop-1"


def test_a_file_system_behind_its_volume_is_waited_for_last_and_only_where_a_pod_has_it() -> None:
    pending = {"file_system_pending": True, "target": "20Gi"}
    behind = claim(0, "20Gi", "10Gi", **pending)
    result = plan(seen("20Gi", behind))
    assert said(result) == ["recreate shop", "wait shop"]
    assert "file systems" in result.steps[1].sentence
    lonely = plan(seen("20Gi", dataclasses.replace(behind, pods=())))
    assert said(lonely) == ["recreate shop"]
    assert lonely.warnings == ("the file system of claim data-shop-0 grows when a pod mounts it: its volume has grown",)
    # On its way to less than is asked for now.
    early = plan(seen("20Gi", claim(0, "20Gi", "10Gi", file_system_pending=True, target="15Gi")))
    assert said(early)[0] == "wait shop"
    assert "volumes" in early.steps[0].sentence


def test_a_claim_without_a_volume_and_claims_without_a_pod_are_left_alone() -> None:
    result = plan(seen("20Gi", claim(0, "10Gi", "", bound=False), retained=(claim(7),)))
    assert said(result) == ["recreate shop"]
    assert len(result.warnings) == 2
    assert "data-shop-7 (10Gi)" in result.warnings[1]


def test_an_interrupted_recreation_comes_before_everything() -> None:
    for stage, first in (
        ("gone", "restore shop"),
        ("finishing", "finish shop"),
        ("adopting", "wait shop"),
        ("going", "wait shop"),
    ):
        state = seen("20Gi", claim(0), recreation=Recreation(stage, {}, ("shop-0",)))
        assert said(plan(state)) == [first]


# Refusals


def test_shrinking_is_refused() -> None:
    refusal = refused(seen("5Gi", claim(0), claim(1)))
    assert refusal.reason == (
        "StatefulSet shop/shop: size is 5Gi, and claim template data has 10Gi: a volume never shrinks. Nothing was "
        "changed."
    )
    assert refusal.evidence[0] == "claim data-shop-0 (class fast) has 10Gi"
    assert "claim data-shop-0 has 10Gi" in refused(named("5Gi", claim(0))).reason


@pytest.mark.parametrize(
    ("classes", "evidence"),
    [({"fast": False}, "StorageClass fast has no allowVolumeExpansion"), ({}, "there is no StorageClass fast")],
)
def test_a_class_that_does_not_grow_is_refused(classes: dict[str, bool], evidence: str) -> None:
    refusal = refused(seen("20Gi", claim(0), around=Surroundings(classes)))
    assert "does not let claims grow: data-shop-0 (10Gi, class fast)" in refusal.reason
    assert refusal.evidence == (evidence,)
    assert plan(seen("20Gi", claim(0), around=Surroundings({"fast": True}))).steps


def test_a_volume_that_nobody_can_grow_is_refused() -> None:
    around = Surroundings(volumes={"data-shop-0": Volume("nfs")})
    assert "its volume pv-0 is of the kind nfs" in refused(seen("20Gi", claim(0), around=around)).reason
    gone = Surroundings(volumes={"data-shop-0": Volume("csi", "d.example")}, drivers=frozenset(["other"]))
    assert "the CSI driver d.example, which is not installed" in refused(seen("20Gi", claim(0), around=gone)).reason
    for around in (
        Surroundings(volumes={"data-shop-0": Volume("csi", "d.example")}, drivers=frozenset(["d.example"])),
        Surroundings(volumes={"data-shop-0": Volume("csi", "d.example")}, drivers=None),
        Surroundings(volumes={"data-shop-0": Volume("")}),
    ):
        assert plan(seen("20Gi", claim(0), around=around)).steps


def quota(hard: str, used: str) -> dict[str, t.Any]:
    return {
        "metadata": {"name": "room"},
        "status": {"hard": {"requests.storage": hard, "pods": "3"}, "used": {"requests.storage": used}},
    }


def test_a_quota_is_asked_for_all_claims_before_the_first_grows() -> None:
    claims = [claim(n) for n in range(3)]
    tight = seen("20Gi", *claims, around=Surroundings(quotas=(quota("50Gi", "30Gi"),)))
    assert "ResourceQuota room has no room" in refused(tight).reason
    wide = seen("20Gi", *claims, around=Surroundings(quotas=(quota("60Gi", "30Gi"),)))
    assert plan(wide).steps
    assert quota_facts(wide) == [{"name": "room", "resource": "requests.storage", "hard": "60Gi", "used": "30Gi"}]


@pytest.mark.parametrize("size", ["", "ten", "10GB", "0", "-1Gi"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(Failure, match="size: expected a quantity of bytes such as 20Gi, found"):
        wish_of({"size": size, "name": "a", "claims": None, "template": None, "roll_back": True})


def test_a_template_goes_with_a_stateful_set() -> None:
    with pytest.raises(Failure, match="template: it is for name"):
        wish_of({"size": "1Gi", "name": None, "claims": ["a"], "template": "data", "roll_back": True})


# Failures


def failing(ordinal: int, asked: str = "20Gi", **fields: t.Any) -> Claim:
    return claim(ordinal, asked, "10Gi", failures=("no room",), stage="ControllerResizeInfeasible", **fields)


def test_what_failed_asks_for_less_again_and_nothing_else_does() -> None:
    state = seen("20Gi", claim(0, "20Gi", "20Gi"), failing(1), claim(2, "20Gi", "10Gi"))
    retreat = Retreat({"data-shop-1": "10Gi"})
    result = plan(state, retreat)
    assert said(result) == ["roll-back data-shop-1", "wait shop"]
    # Not 10Gi: the API server wants strictly more than the claim has.
    assert result.steps[0].data["to"] == "10737418241"
    back = seen("20Gi", claim(0, "20Gi", "20Gi"), failing(1, "10737418241"), claim(2, "20Gi", "10Gi"))
    assert said(plan(back, retreat)) == ["wait shop"]
    text = given_up(back, retreat, {"data-shop-1": "no room"})
    assert text == (
        "claim data-shop-1 did not grow to 20Gi: no room. Its request was taken back to 10737418241, because the API "
        "server takes none of 10Gi or less. These have grown, and stay so because a volume never shrinks: "
        "data-shop-0. These go on growing: data-shop-2. The claim template still has 10Gi, and no pod was touched."
    )


def test_a_request_that_was_larger_before_goes_back_to_that() -> None:
    result = plan(seen("20Gi", failing(0)), Retreat({"data-shop-0": "15Gi"}))
    assert result.steps[0].data["to"] == "15Gi"


def test_a_request_that_the_server_keeps_is_left_and_told() -> None:
    retreat = Retreat({"data-shop-0": ""}, {"data-shop-0": "field can not be less"})
    state = seen("20Gi", failing(0))
    assert said(plan(state, retreat)) == ["wait shop"]
    assert "It still asks for 20Gi: field can not be less." in given_up(state, retreat, {"data-shop-0": "x"})


def test_what_grew_after_all_is_not_taken_back() -> None:
    retreat = Retreat({"data-shop-0": ""})
    state = seen("20Gi", claim(0, "20Gi", "20Gi"))
    assert said(plan(state, retreat)) == ["wait shop"]
    assert "It has 20Gi all the same by now." in given_up(state, retreat, {"data-shop-0": "x"})


def test_a_driver_that_goes_on_is_told() -> None:
    stubborn = claim(0, "10737418241", "10Gi", failures=("busy",), stage="ControllerResizeInProgress", target="20Gi")
    text = given_up(seen("20Gi", stubborn), Retreat({"data-shop-0": ""}), {"data-shop-0": "busy"})
    assert "its driver may all the same finish what it began, and then it has 20Gi." in text


def test_after_a_failure_a_smaller_size_is_asked_for_in_its_place() -> None:
    for result in (plan(seen("15Gi", failing(0))), plan(named("15Gi", failing(0)))):
        assert result.steps[0].data["to"] == "15Gi"
    assert said(plan(seen("10Gi", failing(0)))) == ["roll-back data-shop-0"]
    assert said(plan(seen("10Gi", failing(0, "10737418241")))) == []


def test_where_it_is_taken_back_a_later_run_grows_it_again() -> None:
    result = plan(seen("20Gi", claim(0, "20Gi", "20Gi"), failing(1, "10737418241")))
    assert said(result)[0] == "grow data-shop-1"


# Reading objects


def test_a_claim_is_read() -> None:
    live = {
        "metadata": {"name": "data-shop-0", "uid": "u", "resourceVersion": "7"},
        "spec": {"storageClassName": "fast", "volumeName": "pv", "resources": {"requests": {"storage": "20Gi"}}},
        "status": {
            "phase": "Bound",
            "capacity": {"storage": "10Gi"},
            "allocatedResources": {"storage": "20Gi"},
            "allocatedResourceStatuses": {"storage": "NodeResizeInProgress"},
            "conditions": [
                {"type": "FileSystemResizePending", "status": "True"},
                {"type": "NodeResizeError", "status": "True", "message": "broken"},
                {"type": "ControllerResizeError", "status": "False", "message": "mended"},
            ],
        },
    }
    mounts = {"volumes": [{"persistentVolumeClaim": {"claimName": "data-shop-0"}}]}
    pods = [
        {"metadata": {"name": "a"}, "spec": mounts, "status": {"phase": "Running"}},
        {"metadata": {"name": "b"}, "spec": mounts, "status": {"phase": "Pending"}},
        {"metadata": {"name": "c"}, "spec": {}, "status": {"phase": "Running"}},
    ]
    read = claim_of(live, pods)
    assert (read.asked, read.has, read.target, read.stage) == ("20Gi", "10Gi", "20Gi", "NodeResizeInProgress")
    assert read.file_system_pending
    assert read.failures == ("broken",)
    assert read.pods == ("a",)
    assert read.told != claim_of({**live, "status": {}}).told


def test_claims_beyond_the_replicas_are_told_apart() -> None:
    live = stateful_set(replicas=2)
    live["spec"]["ordinals"] = {"start": 1}
    claims = [{"metadata": {"name": f"data-shop-{n}"}} for n in range(4)]
    served, retained = claims_with_pods(SET, live, "data", [*claims, {"metadata": {"name": "log-shop-1"}}])
    assert [one["metadata"]["name"] for one in served] == ["data-shop-1", "data-shop-2"]
    assert [one["metadata"]["name"] for one in retained] == ["data-shop-0", "data-shop-3"]


def test_only_the_size_of_one_template_becomes_another() -> None:
    live = stateful_set()
    after = with_template_size(live, "data", "20Gi")
    assert template_size(after, "data") == "20Gi"
    assert template_size(after, "log") == "1Gi"
    assert with_template_size(after, "data", "10Gi") == live


def test_the_source_of_a_volume_is_read() -> None:
    assert volume_of({"spec": {"csi": {"driver": "d"}}}) == Volume("csi", "d")
    assert volume_of({"spec": {"hostPath": {}}}) == Volume("hostPath")
    # Served by a CSI driver in its place.
    assert volume_of({"spec": {"awsElasticBlockStore": {}}}) == Volume("")


def test_the_table_names_the_state_of_each_claim() -> None:
    state = seen(
        "20Gi",
        claim(0, "20Gi", "20Gi"),
        claim(1, "20Gi", "10Gi"),
        failing(2),
        claim(3, "20Gi", "10Gi", file_system_pending=True),
        claim(4),
        claim(5, "10Gi", "", bound=False),
        retained=(claim(6),),
    )
    assert [row["state"] for row in summary(state)["claims"]] == [
        "present",
        "growing",
        "failing",
        "file-system-pending",
        "small",
        "no-volume",
        "retained",
    ]


# Random histories


class World:
    """Claims under an API server and a driver, both by the rules that Kubernetes has."""

    def __init__(self, sizes: t.Sequence[tuple[int, int]], template: int, chance: random.Random) -> None:
        self.chance = chance
        self.template = template
        self.claims = [
            claim(n, str(max(asked, has)), str(has)) if has else claim(n, str(asked), "", bound=False)
            for n, (asked, has) in enumerate(sizes)
        ]
        self.retained = (claim(99, "1", "1"),)

    def seen(self, size: int) -> Seen:
        return seen(str(size), *self.claims, template=str(self.template), retained=self.retained)

    def change(self, name: str, **fields: t.Any) -> None:
        self.claims = [dataclasses.replace(one, **fields) if one.name == name else one for one in self.claims]

    def take(self, step: Step, size: int) -> None:
        if step.action == "grow":
            one = self.find(step.data["growth"].claim)
            assert int(step.data["growth"].after) > int(one.asked)
            self.change(one.name, asked=step.data["growth"].after)
        elif step.action == "roll-back":
            one = self.find(step.data["claim"].name)
            # What the API server checks.
            assert int(one.has) < int(step.data["to"]) < int(one.asked)
            self.change(one.name, asked=step.data["to"])
        else:
            assert step.action == "recreate"
            assert all(not one.bound or one.volume_has(str(size)) for one in self.claims)
            assert size > self.template
            self.template = size

    def find(self, name: str) -> Claim:
        return next(one for one in self.claims if one.name == name)

    def drive(self, healthy: bool) -> None:
        """The driver and the kubelet do something for one claim, well or badly."""
        growing = [one for one in self.claims if one.growing]
        if not growing:
            return
        one = self.chance.choice(growing)
        if not healthy and self.chance.random() < 0.5:
            stage = self.chance.choice(["ControllerResizeInfeasible", "ControllerResizeInProgress"])
            self.change(one.name, failures=("no",), stage=stage, target=one.asked)
        elif not one.file_system_pending and self.chance.random() < 0.7:
            self.change(one.name, file_system_pending=True, target=one.asked, failures=(), stage="")
        else:
            has = one.target if one.file_system_pending else one.asked
            self.change(one.name, has=has, file_system_pending=False, failures=(), stage="")


SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), max_size=4)


@settings(deadline=None)
@given(SIZES, st.integers(1, 9), st.integers(1, 9), st.randoms(use_true_random=False))
def test_whatever_is_there_it_ends_with_all_claims_grown_or_is_refused(
    sizes: list[tuple[int, int]], template: int, size: int, chance: random.Random
) -> None:
    world = World(sizes, template, chance)
    for turn in range(200):
        result = plan_resize(world.seen(size))
        if isinstance(result, Refusal):
            assert size < world.template
            return
        if not result.steps:
            break
        if result.steps[0].change:
            world.take(result.steps[0], size)
        world.drive(healthy=turn > 20)
    else:
        raise AssertionError(f"no end: {result}")
    assert world.template >= size
    assert all(not one.bound or (int(one.has) >= size and int(one.asked) >= size) for one in world.claims)
    assert world.retained == (claim(99, "1", "1"),)


@settings(deadline=None)
@given(SIZES, st.integers(1, 9), st.randoms(use_true_random=False))
def test_no_second_claim_is_asked_before_one_has_grown(
    sizes: list[tuple[int, int]], size: int, chance: random.Random
) -> None:
    world = World([(has, has) for _asked, has in sizes if has], 1, chance)
    small = {one.name for one in world.claims if int(one.asked) < size}
    proven = len(small) < len(world.claims)
    asked: set[str] = set()
    for turn in range(100):
        result = plan(world.seen(size))
        if not result.steps:
            return
        step = result.steps[0]
        if step.change:
            world.take(step, size)
        if step.action == "grow":
            asked.add(step.data["growth"].claim)
            assert proven or len(asked) == 1
        world.drive(healthy=turn > 10)
        proven = proven or any(one.volume_has(str(size)) for one in world.claims)
    raise AssertionError("no end")


@settings(deadline=None)
@given(SIZES, st.integers(2, 9), st.randoms(use_true_random=False))
def test_a_way_back_only_takes_failed_requests_back_and_ends(
    sizes: list[tuple[int, int]], size: int, chance: random.Random
) -> None:
    world = World(sizes, 1, chance)
    for _turn in range(chance.randrange(20)):
        result = plan_resize(world.seen(size))
        if isinstance(result, Plan) and result.steps and result.steps[0].change:
            world.take(result.steps[0], size)
        world.drive(healthy=False)
    given = {one.name: "" for one in world.claims if one.failing}
    before = {one.name: one for one in world.claims}
    for _turn in range(20):
        result = plan(world.seen(size), Retreat(given))
        if not result.steps[0].change:
            break
        world.take(result.steps[0], size)
    assert [step.change for step in result.steps] == [False]
    for one in world.claims:
        if one.name in given:
            assert one.asked == before[one.name].least_request
        else:
            assert one == before[one.name]


@settings(deadline=None)
@given(st.integers(1, 10**15), st.integers(1, 10**15))
def test_a_lowered_request_is_one_that_the_server_takes(has: int, size: int) -> None:
    one = claim(0, str(10**16), str(has))
    assert int(lowered(one, str(size))) == max(size, has + 1)
    assert quantity(dataclasses.replace(one, has="500m").least_request) == 1
