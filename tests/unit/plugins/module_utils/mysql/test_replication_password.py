# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another password for replicas, on a model: wherever it ends, whoever has to log in can, and it can be completed."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._plan import Around
from ansible_collections.stateful.kube.plugins.module_utils._mysql._users._replication_plan import (
    Replica,
    SeenReplication,
    plan_replication,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import SeenPassword, Wish

AROUND = Around(primary="shop-0", login="root", namespace="ns")


class Model:
    """A primary, two replicas, and the Secret. ``run`` is what one run remembers."""

    def __init__(self) -> None:
        self.secret = {"password": "one"}
        self.good = {"one"}
        self.replicas = {1: "one", 2: "one"}
        self.silent: set[int] = set()
        self.rotation, self.next_rotation, self.made = "", "", 1
        self.told: dict[int, str] = {}

    @property
    def new(self) -> str:
        return self.secret.get("next") or self.secret["password"]

    def seen(self, **around: t.Any) -> SeenReplication:
        secret = self.secret
        following, former = secret.get("next"), secret.get("previous")
        return SeenReplication(
            SeenPassword(
                t.cast("t.Any", Around(**{**AROUND.__dict__, **around})),
                "mysql_replication_password",
                user="stateful_replication",
                secret="ns/shop-replication",  # noqa: S106
                pending=bool(following),
                given=following in self.good,
                taken=following in self.good,
                rotation=self.rotation,
                option="replication_secret",
            ),
            takes_current=secret["password"] in self.good,
            takes_former=former in self.good and former != secret["password"],
            replicas=tuple(
                Replica(
                    ordinal,
                    f"shop-{ordinal}",
                    silent="it is away" if ordinal in self.silent else "",
                    denied=password not in self.good,
                    connected=password in self.good,
                    told=self.told.get(ordinal) == self.new,
                )
                for ordinal, password in self.replicas.items()
            ),
        )

    def take(self, step: Step, wish: Wish) -> None:
        secret = self.secret
        if step.action == "write_next":
            self.made += 1
            secret["next"], self.next_rotation = f"password {self.made}", wish.rotation
        elif step.action == "change":
            both = "next" in secret and secret["password"] in self.good
            self.good = {self.new} | ({secret["password"]} if both else set())
        elif step.action == "tell":
            assert step.data["ordinal"] not in self.silent
            self.replicas[step.data["ordinal"]] = self.told[step.data["ordinal"]] = self.new
        elif step.action == "move":
            secret["previous"], secret["password"] = secret["password"], secret.pop("next")
            self.rotation = self.next_rotation or self.rotation
        else:
            assert step.action == "forget"
            self.good = {secret["password"]}

    def everybody_can_log_in(self) -> None:
        assert self.secret["password"] in self.good
        assert set(self.replicas.values()) <= self.good


def run(model: Model, wish: Wish, until: int = 99) -> list[str]:
    """One run, which is killed before its n-th change."""
    model.told, done = {}, []
    while True:
        plan = plan_replication(wish, model.seen())
        assert isinstance(plan, Plan)
        if not plan.steps or not plan.steps[0].change or len(done) == until:
            return done
        model.take(plan.steps[0], wish)
        done.append(plan.steps[0].action)
        model.everybody_can_log_in()


def complete(model: Model) -> None:
    assert "next" not in model.secret
    assert model.good == {model.secret["password"]} == set(model.replicas.values())


def test_it_is_done_once_and_the_plan_shows_all_of_it() -> None:
    model = Model()
    plan = plan_replication(Wish("1"), model.seen())
    assert isinstance(plan, Plan)
    steps = ["write_next", "change", "tell", "tell", "move", "forget"]
    assert [step.action for step in plan.steps] == steps
    assert run(model, Wish("1")) == steps
    complete(model)
    assert run(model, Wish("1")) == run(model, Wish()) == []
    assert run(model, Wish("2")) == steps


@pytest.mark.parametrize("until", range(6))
def test_killed_anywhere_it_is_completed_without_being_told_what(until: int) -> None:
    model = Model()
    run(model, Wish("1"), until)
    model.everybody_can_log_in()
    assert bool(run(model, Wish())) is (until > 0)
    complete(model)
    assert bool(run(model, Wish("1"))) is (until == 0)
    complete(model)


@given(st.lists(st.integers(0, 6), max_size=8), st.integers(0, 6))
def test_however_often_it_is_killed(kills: list[int], place: int) -> None:
    model = Model()
    for number, until in enumerate(kills):
        run(model, Wish(f"rotation {number % (place + 1)}"), until)
    run(model, Wish())
    complete(model)


def test_the_former_password_stays_while_a_replica_is_away() -> None:
    model = Model()
    model.silent = {2}
    assert run(model, Wish("1")) == ["write_next", "change", "tell"]
    plan = plan_replication(Wish("1"), model.seen())
    assert isinstance(plan, Plan)
    assert not plan.steps[0].change
    assert "wait until every replica answers, because the former password ends after this: shop-2: it is away" in (
        plan.steps[0].sentence
    )
    model.everybody_can_log_in()
    model.silent = set()
    run(model, Wish())
    complete(model)


def test_one_replica_after_the_other() -> None:
    model = Model()
    for _action in ("write_next", "change", "tell"):
        plan = plan_replication(Wish("1"), model.seen())
        assert isinstance(plan, Plan)
        model.take(plan.steps[0], Wish("1"))
    seen = model.seen()
    away = SeenReplication(
        seen.password,
        replicas=tuple(
            Replica(one.ordinal, one.pod, told=one.told, connected=one.ordinal == 2) for one in seen.replicas
        ),
    )
    plan = plan_replication(Wish("1"), away)
    assert isinstance(plan, Plan)
    assert plan.steps[0].sentence == "wait until shop-1 has a connection to its source again"
    assert not plan.steps[0].change


def test_what_a_failover_has_lost_is_done_again() -> None:
    model = Model()
    run(model, Wish("1"), 5)
    # The next primary never heard of the new password.
    model.good = {"one"}
    model.told = {}
    plan = plan_replication(Wish(), model.seen())
    assert isinstance(plan, Plan)
    assert [step.action for step in plan.steps] == ["change", "tell", "tell", "forget"]
    model.take(plan.steps[0], Wish())
    assert run(model, Wish()) == []
    complete(model)


def test_a_replica_that_is_not_let_in_is_told_the_password() -> None:
    model = Model()
    model.replicas[2] = "an older one"
    plan = plan_replication(Wish(), model.seen())
    assert isinstance(plan, Plan)
    assert [(step.action, step.target) for step in plan.steps] == [("tell", "shop-2")]
    model.take(plan.steps[0], Wish())
    complete(model)


def test_a_secret_of_somebody_else_is_not_written() -> None:
    seen = Model().seen()
    owned = SeenReplication(SeenPassword(**{**seen.password.__dict__, "owner": "ExternalSecret shop"}))
    found = plan_replication(Wish("1"), owned)
    assert isinstance(found, Refusal)
    assert "(replication_secret) belongs to ExternalSecret shop" in found.reason


def test_a_primary_that_cannot_be_told_is_waited_for() -> None:
    plan = plan_replication(Wish("1"), Model().seen(waits="it answers"))
    assert isinstance(plan, Plan)
    assert [(step.action, step.change) for step in plan.steps] == [("wait", False)]
