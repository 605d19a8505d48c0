# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From no authentication to a required one: whoever is made again whenever, all members let each other in."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._authentication._clients import clients_in
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._authentication._plan import (
    Member,
    Seen,
    plan,
    rank,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    AUTHENTICATION,
    DISABLED,
    REQUIRED,
    TRANSITION,
    authentication_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal


class Set:
    """Three pods, what new ones are made with, and whether the set has its root user."""

    def __init__(self, chance: random.Random, mode: str) -> None:
        self.chance = chance
        self.template = mode
        self.pods = [mode] * 3
        self.root = mode != DISABLED

    def seen(self, silent: bool = False) -> Seen:
        members = [Member(f"shop-{o}", mode, root=self.root) for o, mode in enumerate(self.pods)]
        if silent:
            members[0] = Member("shop-0", silence="no answer")
        return Seen("shop", "shop", "shop-root", self.template, self.root, tuple(members))

    def declare(self, wish: str, silent: bool = False) -> bool:
        """A run of the role, until its template is applied."""
        found = plan(wish, self.seen(silent))
        if isinstance(found, Refusal) or found.steps:
            return False
        self.template = wish
        return True

    def roll(self, pods: int) -> None:
        """The same run goes on, and is killed after so many pods. The root user comes first."""
        if self.template != DISABLED:
            self.root = True
        for ordinal in [o for o, mode in enumerate(self.pods) if mode != self.template][:pods]:
            self.make_again(ordinal)

    def make_again(self, ordinal: int) -> None:
        self.pods[ordinal] = self.template
        self.understand()

    def understand(self) -> None:
        for one in (*self.pods, self.template):
            assert all(abs(rank(one) - rank(other)) < 2 for other in self.pods), (self.template, self.pods)
        assert self.root or REQUIRED not in self.pods


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32), st.sampled_from(AUTHENTICATION), st.lists(st.sampled_from(AUTHENTICATION), max_size=12))
def test_all_let_each_other_in_wherever_it_is(seed: int, begin: str, wishes: list[str]) -> None:
    chance = random.Random(seed)  # noqa: S311
    replica_set = Set(chance, begin)
    for wish in wishes:
        if replica_set.declare(wish, silent=chance.random() < 0.1):
            replica_set.understand()
            replica_set.roll(chance.randrange(4))
        if chance.random() < 0.3 and (replica_set.root or replica_set.template == DISABLED):
            replica_set.make_again(chance.randrange(3))
    for wish in (TRANSITION, REQUIRED):
        assert replica_set.declare(wish) or not replica_set.declare(REQUIRED)
        if replica_set.declare(wish):
            replica_set.roll(3)
    assert set(replica_set.pods) == {REQUIRED}


@pytest.mark.parametrize(("begin", "wish"), [(DISABLED, REQUIRED), (REQUIRED, DISABLED)])
def test_from_one_end_to_the_other_is_refused(begin: str, wish: str) -> None:
    found = plan(wish, Set(random.Random(0), begin).seen())  # noqa: S311
    assert isinstance(found, Refusal)
    assert "shop-0, shop-1, shop-2" in found.reason
    assert "declare transition first" in found.choices[0]


def test_one_pod_of_the_former_kind_is_one_too_many() -> None:
    half = Set(random.Random(0), TRANSITION)  # noqa: S311
    half.pods[1] = DISABLED
    found = plan(REQUIRED, half.seen())
    assert isinstance(found, Refusal)
    assert ": shop-1." in found.reason


def test_who_is_silent_is_waited_for() -> None:
    found = plan(REQUIRED, Set(random.Random(0), TRANSITION).seen(silent=True))  # noqa: S311
    assert isinstance(found, Plan)
    assert [(step.change, "shop-0 (no answer)" in step.sentence) for step in found.steps] == [(False, True)]


@pytest.mark.parametrize("secret", [True, False])
def test_no_login_is_required_of_whom_nobody_could_give_one(secret: bool) -> None:
    seen = Set(random.Random(0), TRANSITION).seen()  # noqa: S311
    lagging = (*seen.members[:2], dataclasses.replace(seen.members[2], root=False))
    found = plan(REQUIRED, dataclasses.replace(seen, members=lagging, secret=secret))
    assert isinstance(found, Refusal)
    assert "shop-2. Nobody could log in" in found.reason
    assert ("there is no Secret" in found.reason) == (not secret)


def test_where_nothing_changes_nobody_counts() -> None:
    """Neither a new set nor one that is as declared has anybody asked."""
    assert plan(REQUIRED, Seen("shop", "shop", "shop-root")) == Plan()
    assert plan(REQUIRED, Seen("shop", "shop", "shop-root", REQUIRED)) == Plan()


def operation(address: str, application: str, user: bool, driver: str = "nodejs") -> dict[str, object]:
    metadata = {"application": {"name": application}, "driver": {"name": driver}}
    users = {"effectiveUsers": [{"user": "web", "db": "admin"}]} if user else {}
    return {"client": address, "clientMetadata": metadata, **users}


def test_clients_that_have_not_logged_in_are_named_before_a_login_is_required() -> None:
    """One that has logged in anywhere watches the other members without."""
    primary = clients_in(
        [
            operation("10.0.0.1:1", "web", user=True),
            operation("10.0.0.1:2", "web", user=False),
            operation("10.0.0.2:1", "cron", user=False),
            operation("10.0.0.3:1", "", user=True, driver="MongoDB Internal Client"),
            operation("127.0.0.1:9", "stateful.kube", user=False),
            {"type": "op"},
        ]
    )
    secondary = clients_in([operation("10.0.0.1:3", "web", user=False)])
    assert primary == {"10.0.0.1 (web, nodejs)": True, "10.0.0.2 (cron, nodejs)": False}
    members = tuple(
        Member(f"shop-{o}", TRANSITION, root=True, clients=clients) for o, clients in enumerate((primary, secondary))
    )
    found = plan(REQUIRED, Seen("shop", "shop", "shop-root", TRANSITION, True, members))
    assert isinstance(found, Plan)
    assert [warning.partition(": ")[2] for warning in found.warnings] == ["10.0.0.2 (cron, nodejs)."]
    assert plan(DISABLED, Seen("shop", "shop", "shop-root", TRANSITION, True, members)) == Plan()


@pytest.mark.parametrize(
    ("security", "mode"),
    [
        ({}, DISABLED),
        ({"authorization": "disabled"}, DISABLED),
        ({"keyFile": "/k", "transitionToAuth": True}, TRANSITION),
        ({"keyFile": "/k", "authorization": "enabled"}, REQUIRED),
        ({"clusterAuthMode": "x509"}, REQUIRED),
    ],
)
def test_what_mongod_runs_with_is_told_by_its_arguments(security: dict[str, object], mode: str) -> None:
    assert authentication_of({"security": security}) == mode
    assert authentication_of({}) == DISABLED


def test_new_secrets_lock_nothing_up_while_nobody_has_a_key_file() -> None:
    members = tuple(Member(f"shop-{o}", DISABLED) for o in range(3))
    seen = Seen("shop", "shop", "shop-root", DISABLED, members=members)
    assert seen.unsecured
    assert not dataclasses.replace(seen, members=(*members[:2], Member("shop-2", TRANSITION))).unsecured
    # Nobody was asked, or there is nobody.
    assert not dataclasses.replace(seen, members=()).unsecured
