# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is taken out, left in, cleaned up and refused."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._external._ask import Answer
from ansible_collections.stateful.kube.plugins.module_utils._external._plan import (
    CONTROLLERS,
    Around,
    Snapshot,
    known,
    plan,
    taken_out,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Port, Probe, Wish
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Observed, Seen
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")
WISH = Wish("db", "shop", addresses=ADDRESSES, ports=(Port(3306, 3306),), probe=Probe("tcp", 3306, "busybox"))
OUTSIDE = Wish("db", "shop", "db.example.com", probe=Probe("tcp", 3306, "busybox"))


def endpoint_slice(name: str, manager: str = "stateful.kube", **ready: bool) -> dict[str, t.Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"endpointslice.kubernetes.io/managed-by": manager} if manager else {},
        },
        "endpoints": [
            {"addresses": [address.replace("_", ".")], "conditions": {"ready": is_ready}}
            for address, is_ready in ready.items()
        ],
    }


def service(**spec: t.Any) -> dict[str, t.Any]:
    return {"metadata": {"name": "db", "namespace": "shop", "resourceVersion": "7"}, "spec": spec}


def answers(*up: bool) -> tuple[Answer, ...]:
    return tuple(Answer(address, "" if is_up else "refused") for address, is_up in zip(ADDRESSES, up, strict=True))


def planned(around: Around, wish: Wish = WISH, force: bool = False, **more: t.Any) -> Plan:
    found = plan(wish, Snapshot(around, more.pop("objects", Observed()), **more), force)
    assert isinstance(found, Plan)
    return found


def refused(around: Around, wish: Wish = WISH) -> Refusal:
    found = plan(wish, Snapshot(around, Observed()), False)
    assert isinstance(found, Refusal)
    assert isinstance(plan(wish, Snapshot(around, Observed()), True), (Plan, Refusal))
    return found


def test_who_gives_no_answer_is_out_and_back_by_its_next_answer() -> None:
    assert taken_out(WISH, Around(), answers(True, False, True)) == {"10.0.0.2"}
    before = Around(slices=(endpoint_slice("db-ipv4", **{"10_0_0_1": True, "10_0_0_2": False, "10_0_0_3": True}),))
    assert taken_out(WISH, before, answers(True, True, True)) == set()


def test_the_last_one_is_not_taken_out_and_that_is_said() -> None:
    down = answers(False, False, False)
    assert taken_out(WISH, Around(), down) == set()
    told = planned(Around(), answers=down).warnings
    assert len(told) == 1
    assert "no address serves on port 3306" in told[0]
    assert all(f"{address} (refused)" in told[0] for address in ADDRESSES)


def test_who_is_out_is_named_with_the_reason() -> None:
    told = planned(Around(), answers=answers(True, False, True), out=frozenset(("10.0.0.2",))).warnings
    assert told == ("shop/db: taken out, because port 3306 does not serve: 10.0.0.2 (refused).",)


def test_a_name_that_does_not_answer_is_told_and_stays() -> None:
    told = planned(Around(), OUTSIDE, answers=(Answer("db.example.com", "bad address"),)).warnings
    assert told == ("shop/db: port 3306 of db.example.com (bad address) does not serve. The name stays as it is.",)


def test_without_an_answer_everything_stays_as_it_is() -> None:
    before = Around(slices=(endpoint_slice("db-ipv4", **{"10_0_0_1": True, "10_0_0_2": False}),))
    assert known(before) == {"10.0.0.1": True, "10.0.0.2": False}
    assert taken_out(WISH, before, None) == {"10.0.0.2"}
    without = Wish("db", "shop", addresses=ADDRESSES, ports=WISH.ports)
    assert taken_out(without, before, None) == set()  # nobody asks any more, so nobody is out


def test_slices_of_others_say_nothing_of_ours() -> None:
    before = Around(slices=(endpoint_slice("x", CONTROLLERS[0], **{"10_0_0_1": False}),))
    assert known(before) == {}
    assert taken_out(WISH, before, None) == set()


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
def test_some_address_is_always_in(said: list[bool], were: list[bool]) -> None:
    before = Around(
        slices=(endpoint_slice("db-ipv4", **dict(zip(("10_0_0_1", "10_0_0_2", "10_0_0_3"), were, strict=True))),)
    )
    for out in (taken_out(WISH, before, answers(*said)), taken_out(WISH, before, None)):
        assert out < set(ADDRESSES)
    assert taken_out(WISH, before, answers(*said)) in (
        {a for a, up in zip(ADDRESSES, said, strict=True) if not up},
        set(),
    )


def test_leftovers_go_after_the_declared_addresses_are_there() -> None:
    around = Around(
        service(),
        (
            endpoint_slice("db-ipv4", **{"10_0_0_1": True}),
            endpoint_slice("db-abcde", CONTROLLERS[0], **{"10_0_9_1": True}),
            endpoint_slice("db-fghij", CONTROLLERS[1], **{"10_0_9_2": True}),
        ),
        {"metadata": {"name": "db", "namespace": "shop"}},
    )
    declared = Seen(Key("discovery.k8s.io/v1", "EndpointSlice", "shop", "db-ipv4"), changes=True)
    steps = planned(around, objects=Observed(objects=(declared,))).steps
    assert [(step.action, step.target) for step in steps] == [
        ("apply", "EndpointSlice shop/db-ipv4"),
        ("delete", "Endpoints shop/db"),
        ("delete", "EndpointSlice shop/db-abcde"),
        ("delete", "EndpointSlice shop/db-fghij"),
    ]
    assert "10.0.9.1" in steps[2].sentence


def test_a_service_that_leads_to_pods_is_left_alone_unless_it_is_forced() -> None:
    around = Around(service(selector={"app": "db"}))
    refusal = refused(around)
    assert "has a selector" in refusal.reason
    assert refusal.evidence == ("spec.selector is app=db",)
    assert [step.action for step in planned(around, force=True).steps] == ["drop-selector"]
    assert planned(around, force=True).steps[0].data["service"]["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize("manager", ["", "somebody.example.com"])
def test_slices_that_somebody_keeps_are_left_alone_unless_it_is_forced(manager: str) -> None:
    around = Around(slices=(endpoint_slice("theirs", manager, **{"10_0_9_1": True}),))
    refusal = refused(around)
    assert "somebody else keeps" in refusal.reason
    assert refusal.evidence == (f"theirs (10.0.9.1), kept by {manager or 'nobody who says so'}",)
    assert [step.target for step in planned(around, force=True).steps] == ["EndpointSlice shop/theirs"]


@pytest.mark.parametrize(
    ("address", "headless", "is_refused"),
    [
        ("10.96.0.9", True, True),
        ("None", False, True),
        ("10.96.0.9", False, False),
        ("None", True, False),
        (None, True, False),
    ],
)
def test_a_virtual_address_neither_comes_nor_goes(address: t.Optional[str], headless: bool, is_refused: bool) -> None:
    wish = Wish("db", "shop", addresses=ADDRESSES, ports=WISH.ports, headless=headless)
    found = plan(wish, Snapshot(Around(service(clusterIP=address)), Observed()), True)
    assert isinstance(found, Refusal) == is_refused


def test_a_name_takes_the_place_of_addresses_and_the_other_way_round() -> None:
    planned(Around(service(type="ClusterIP", clusterIP="10.96.0.9")), OUTSIDE)
    planned(Around(service(type="ExternalName", externalName="x.example.com")))


def test_addresses_that_the_virtual_address_does_not_reach_are_named() -> None:
    wish = Wish("db", "shop", addresses=("10.0.0.1", "2001:db8::1"), ports=WISH.ports)
    told = planned(Around(service(clusterIP="10.96.0.9", ipFamilies=["IPv4"])), wish).warnings
    assert len(told) == 1
    assert "nobody is sent to 2001:db8::1" in told[0]
    assert planned(Around(service(clusterIP="10.96.0.9", ipFamilies=["IPv4", "IPv6"])), wish).warnings == ()
