# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TLS that is raised and certificates that change: whoever restarts whenever, all members understand each other."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import (
    ALLOW,
    PREFER,
    REQUIRE,
    Held,
    Issuer,
    Member,
    Seen,
    Source,
    Wish,
    plan,
    rank,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

# Turns in which servers are started again, and those in which everything has to end.
TROUBLE, MOST = 40, 120


@dataclasses.dataclass(frozen=True)
class Content:
    mode: str
    certificate: str
    authorities: frozenset[str]

    @property
    def version(self) -> str:
        return f"{self.mode} {self.certificate} {sorted(self.authorities)}"


@dataclasses.dataclass
class Server:
    """A mongod: what it runs with, and what its pod has of the Secret."""

    file: Content
    mode: str
    certificate: str
    trusts: frozenset[str]

    def restart(self) -> None:
        self.mode, self.certificate, self.trusts = self.file.mode, self.file.certificate, self.file.authorities


class Set:
    """Certificates are named by their authority: A1 is the first that A issued."""

    def __init__(self, chance: random.Random, mode: str = ALLOW, certificate: str = "A1") -> None:
        self.chance = chance
        self.content = Content(mode, certificate, frozenset(certificate[0]))
        self.trusted = True
        self.servers = {f"shop-{o}": Server(self.content, mode, certificate, frozenset("A")) for o in range(3)}

    def seen(self, wish: Wish, source: Source, silent: str = "") -> Seen:
        held = Held(
            self.content.mode,
            self.content.certificate,
            self.content.authorities,
            self.trusted,
            self.content.version,
        )
        members = tuple(
            Member(pod, silence="no answer") if pod == silent else Member(pod, True, one.mode, one.certificate)
            for pod, one in self.servers.items()
        )
        found = Seen("shop", "shop", source, held, there_is_set=True, template=True, members=members)
        if not planner.needs_versions(wish, found):
            return found
        members = tuple(
            dataclasses.replace(one, version="" if one.silence else self.servers[one.pod].file.version)
            for one in members
        )
        return dataclasses.replace(found, members=members)

    def act(self, step: t.Any, wish: Wish, source: Source) -> None:
        before = self.content
        if step.action == planner.RAISE:
            server = self.servers[step.target]
            # mongod takes one step at a time.
            assert rank(step.data["mode"]) - rank(server.mode) in (0, 1)
            server.mode = step.data["mode"]
        elif step.action == planner.SET_MODE:
            self.content = dataclasses.replace(self.content, mode=step.data["mode"])
        elif step.action == planner.CERTIFICATE:
            self.content = dataclasses.replace(self.content, certificate=source.certificate)
        elif step.action == planner.ADD_AUTHORITY:
            both = self.content.authorities | source.authorities
            self.content = dataclasses.replace(self.content, authorities=both)
        elif step.action == planner.DROP_AUTHORITY:
            self.content = dataclasses.replace(self.content, authorities=source.authorities)
        elif step.action == planner.LOAD:
            self.load(step.target)
        elif step.action == planner.TRUST:
            for pod in self.servers:
                self.load(pod)
            self.trusted = True
        else:
            raise AssertionError(step)
        if self.content.authorities != before.authorities:
            self.trusted = False

    def load(self, pod: str) -> None:
        server = self.servers[pod]
        server.certificate, server.trusts = server.file.certificate, server.file.authorities

    def fate(self, trouble: bool) -> None:
        """A kubelet that looks, or a server that is started again."""
        for server in self.servers.values():
            if self.chance.random() < 0.2:
                server.file = self.content
            if trouble and self.chance.random() < 0.1:
                server.restart()
                self.understand()

    def understand(self) -> None:
        """Every pair of what runs, and of what would run if it were started again now."""
        runs = [(server.mode, server.certificate, server.trusts) for server in self.servers.values()]
        starts = [(s.file.mode, s.file.certificate, s.file.authorities) for s in self.servers.values()]
        for one in runs:
            for other in (*runs, *starts):
                assert abs(rank(one[0]) - rank(other[0])) < 2, (one, other)
                assert one[1][0] in other[2], (one, other)
                assert other[1][0] in one[2], (one, other)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    begin=st.sampled_from([ALLOW, PREFER]),
    end=st.sampled_from([PREFER, REQUIRE]),
    certificate=st.sampled_from(["A1", "A2", "B1"]),
)
def test_all_understand_each_other_wherever_it_is(seed: int, begin: str, end: str, certificate: str) -> None:
    chance = random.Random(seed)  # noqa: S311
    replica_set = Set(chance, begin)
    wish, source = Wish(end), Source(frozenset(certificate[0]), certificate)
    for turn in range(MOST):
        now = Source(awaited="it is on its way") if chance.random() < 0.2 else source
        found = plan(wish, replica_set.seen(wish, now, silent="shop-1" if chance.random() < 0.1 else ""))
        assert isinstance(found, Plan)
        if now.awaited:
            assert found.steps
            assert not found.steps[0].change
        if found.steps and found.steps[0].change:
            replica_set.act(found.steps[0], wish, source)
            replica_set.understand()
        elif not found.steps and replica_set.seen(wish, source).members:
            last = plan(wish, replica_set.seen(wish, source))
            if isinstance(last, Plan) and not last.steps:
                break
        replica_set.fate(turn < TROUBLE)
        replica_set.understand()
    else:
        raise AssertionError(f"no end after {MOST} turns: {found}")
    assert replica_set.content == Content(end, certificate, frozenset(certificate[0]))
    assert {server.mode for server in replica_set.servers.values()} == {end}
    assert {server.certificate for server in replica_set.servers.values()} == {certificate}


def actions(wish: Wish, seen: Seen) -> list[str]:
    found = plan(wish, seen)
    assert isinstance(found, Plan)
    return [step.action for step in found.steps]


def test_a_new_set_begins_with_the_declared_mode_and_a_running_one_with_allow() -> None:
    source = Source(why="there is none yet", why_authority="there is none yet")
    new = Seen("shop", "shop", source, there_is_namespace=False)
    wish = Wish(REQUIRE, prepare=True, create_namespace=True)
    assert actions(wish, new) == [planner.NAMESPACE, planner.AUTHORITY, planner.CREATE]
    found = plan(wish, new)
    assert isinstance(found, Plan)
    assert found.steps[-1].data["mode"] == REQUIRE
    assert not found.steps[0].guarded
    running = dataclasses.replace(new, there_is_namespace=True, there_is_set=True)
    found = plan(wish, running)
    assert isinstance(found, Plan)
    assert found.steps[-1].data["mode"] == ALLOW


def test_a_certificate_of_cert_manager_is_declared_and_waited_for_before_pods_can_begin() -> None:
    wish = Wish(REQUIRE, prepare=True, create_namespace=True, issuer=Issuer("corp", "ClusterIssuer", "cert-manager.io"))
    source = Source(why_declare="there is none yet", awaited="it is yet to be asked")
    new = Seen("shop", "shop", source, there_is_namespace=False)
    found = plan(wish, new)
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == [
        planner.NAMESPACE,
        planner.DECLARE,
        planner.WAIT,
        planner.CREATE,
    ]
    assert "shop/shop-issued, which ClusterIssuer corp is to issue" in found.steps[1].sentence
    late = dataclasses.replace(new, there_is_namespace=True, source=Source(awaited="Ready is False"))
    found = plan(wish, late)
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == [planner.WAIT, planner.CREATE]
    assert found.steps[0].sentence.endswith("Ready is False")
    assert not found.steps[0].change


@pytest.mark.parametrize(("days_left", "waits"), [(20, False), (-1, True)])
def test_pods_are_kept_waiting_only_by_a_certificate_that_has_run_out(days_left: int, waits: bool) -> None:
    replica_set = Set(random.Random(0), REQUIRE)  # noqa: S311
    wish = Wish(REQUIRE, prepare=True, issuer=Issuer("corp", "Issuer", "cert-manager.io"))
    seen = replica_set.seen(wish, Source(why_declare="it has other dnsNames", awaited="it is yet to be asked"))
    assert seen.held is not None
    seen = dataclasses.replace(seen, held=dataclasses.replace(seen.held, days_left=days_left))
    assert actions(wish, seen) == [planner.DECLARE, *([planner.WAIT] if waits else [])]
    running = actions(dataclasses.replace(wish, prepare=False), seen)
    assert running == [planner.DECLARE, planner.WAIT]


def test_members_without_tls_keep_the_mode_where_it_is() -> None:
    replica_set = Set(random.Random(0))  # noqa: S311
    source = Source(frozenset("A"), "A1")
    seen = replica_set.seen(Wish(REQUIRE), source)
    plain = (Member("shop-0", tls=False), *seen.members[1:])
    found = plan(Wish(REQUIRE), dataclasses.replace(seen, members=plain))
    assert isinstance(found, Plan)
    assert not found.steps
    assert "shop-0 of shop/shop run without TLS still" in found.warnings[0]


@pytest.mark.parametrize("mode", [PREFER, REQUIRE])
def test_it_is_never_lowered(mode: str) -> None:
    replica_set = Set(random.Random(0), mode)  # noqa: S311
    source = Source(frozenset("A"), "A1")
    seen = replica_set.seen(Wish(ALLOW), source)
    found = plan(Wish(ALLOW), seen)
    assert isinstance(found, Refusal)
    assert found.choices == (f"declare {mode} again",)
    # A Secret that a removed set has left is of no running one.
    left = dataclasses.replace(seen, there_is_set=False, members=())
    assert actions(Wish(ALLOW, prepare=True), left) == [planner.SET_MODE]


@pytest.mark.parametrize("wanted", [ALLOW, REQUIRE])
def test_what_another_set_has_left_is_no_mode_of_members_without_tls(wanted: str) -> None:
    """They and those that are made again have to understand each other."""
    replica_set = Set(random.Random(0), REQUIRE)  # noqa: S311
    plain = tuple(Member(f"shop-{ordinal}", tls=False) for ordinal in range(3))
    seen = dataclasses.replace(
        replica_set.seen(Wish(wanted), Source(frozenset("A"), "A1")), template=False, members=plain
    )
    found = plan(Wish(wanted, prepare=True), seen)
    assert isinstance(found, Plan), found
    assert [(step.action, step.data["mode"]) for step in found.steps] == [(planner.SET_MODE, ALLOW)]


def test_nobody_is_waited_for_where_a_certificate_has_run_out() -> None:
    replica_set = Set(random.Random(0), REQUIRE)  # noqa: S311
    source = Source(frozenset("A"), "", "the one in use ran out")
    seen = replica_set.seen(Wish(REQUIRE), source)
    assert seen.held is not None
    assert actions(Wish(REQUIRE, prepare=True), seen) == []
    seen = dataclasses.replace(seen, held=dataclasses.replace(seen.held, days_left=-1))
    assert actions(Wish(REQUIRE, prepare=True), seen) == [planner.CERTIFICATE]
    other = dataclasses.replace(seen, source=Source(frozenset("B"), "B1"))
    assert actions(Wish(REQUIRE, prepare=True), other) == []
