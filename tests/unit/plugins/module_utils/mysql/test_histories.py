# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single histories of replicated MySQL that could lose something, told step by step. The simulation asserts."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import FLAVOURS, MARIADB, MYSQL
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.simulation import World
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.test_plan_random import (
    PILOT,
    Found,
    Run,
    assert_as_declared,
    converge,
    formed,
    primary_of,
)


def goes_on(run: Run, turns: int = 12) -> Found:
    """Some looks, as time goes by. Nothing heals."""
    found: Found = Plan()
    for _turn in range(turns):
        found = run.turn()
        if isinstance(found, Refusal) or not found.steps:
            return found
        run.world.tick()
    return found


def only_reaches(world: World, receiver: int) -> None:
    """What is written next is received by this replica alone."""
    for ordinal in world.nodes:
        if ordinal not in (0, receiver):
            world.cut.add(frozenset({0, ordinal}))


def received_by_one(flavour: str) -> World:
    """Three of which the last alone has received, and not applied, what was acknowledged."""
    world = formed(3, flavour, semi_sync=True)
    world.node(2).lagging = True
    only_reaches(world, 2)
    world.write()
    world.replicate()
    assert world.transactions[0].semi_sync, "nobody acknowledged it"
    return world


def refused(found: Found, words: str) -> bool:
    return isinstance(found, Refusal) and words in found.reason


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_failover_keeps_what_any_replica_has(flavour: str) -> None:
    world = received_by_one(flavour)
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    goes_on(run)
    assert primary_of(world).ordinal == 2
    world.fence_node(0)
    goes_on(run)
    assert not world.node(2).writable, "it has not applied what it has received"
    world.node(2).lagging = False
    goes_on(run)
    assert world.node(2).writable
    world.heal()
    assert converge(world, Run(world, Desired(3))) == Plan()
    assert_as_declared(world, Desired(3))


def test_nobody_writes_before_the_node_of_the_old_primary_is_known_to_be_off() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.lose_node(0)
    run = Run(world, Desired(2), Failover())
    goes_on(run)
    assert world.node(0).writable, "its clients on that node write on"
    assert not world.node(1).writable
    world.fence_node(0)
    goes_on(run)
    assert world.node(1).writable
    world.heal()
    assert converge(world, Run(world, Desired(2))) == Plan()
    assert_as_declared(world, Desired(2))


def test_what_the_old_primary_alone_has_is_named_and_kept_until_asked() -> None:
    world = formed(3, MYSQL, semi_sync=False)
    only_reaches(world, 0)
    world.write()
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    goes_on(run)
    world.fence_node(0)
    goes_on(run)
    assert world.node(1).writable
    world.write(1)
    found = converge(world, Run(world, Desired(3)))
    assert isinstance(found, Refusal)
    assert found.reason.startswith("shop-0 has 1 transaction (")
    assert world.transactions[0] in world.node(0).loaded.log
    world.heal()
    world.may_copy.add("shop-0")
    assert converge(world, Run(world, Desired(3, copies=("shop-0",)))) == Plan()
    assert_as_declared(world, Desired(3))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_switchover_that_is_killed_anywhere_loses_nothing(flavour: str) -> None:
    """Killed after each part of the act in turn; clients write on."""

    class Dead(Exception):
        pass

    for parts in range(40):
        world = formed(3, flavour, semi_sync=False)
        left = iter(range(parts))

        def part(world: World = world, left: t.Iterator[int] = left) -> None:
            world.write()
            if next(left, None) is None:
                raise Dead

        run = Run(world, Desired(3), Switchover("shop-2"))
        world.between = part
        killed = False
        try:
            goes_on(run, turns=3)
        except Dead:
            killed = True
        world.between = lambda: None
        assert converge(world, Run(world, Desired(3))) == Plan()
        assert_as_declared(world, Desired(3))
        if not killed:
            break
    assert parts > 8, "it was never killed in the middle"
    assert primary_of(world).ordinal == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_the_old_primary_alone_has_reaches_nobody_else(flavour: str) -> None:
    """Its pod is made anew as soon as it is gone, and whoever still replicates from it would take that from it."""
    world = formed(3, flavour, semi_sync=False)
    only_reaches(world, 0)
    world.write()
    run = Run(world, Desired(3), Failover())
    world.node(0).reachable = False
    while not world.node(1).writable:
        run.turn()
        world.tick()
    world.heal()
    found = converge(world, Run(world, Desired(3)))
    assert isinstance(found, Refusal)
    assert "shop-2 has" not in found.reason


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_failover_that_was_killed_is_gone_on_with(turns: int) -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.lose_node(0)
    first = Run(world, Desired(2), Failover())
    for _turn in range(turns):
        first.turn()
    world.fence_node(0)
    found = goes_on(Run(world, Desired(2), Failover()))
    assert not isinstance(found, Refusal), found
    assert world.node(1).writable


def test_a_failover_waits_for_a_replica_that_never_restarted() -> None:
    world = formed(3, MYSQL, semi_sync=True)
    only_reaches(world, 2)
    world.write()
    world.replicate()
    world.lose_node(2)
    world.lose_volume(0)
    found = goes_on(Run(world, Desired(3), Failover()))
    assert refused(found, "shop-2 does not answer")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_is_acknowledged_while_the_old_primary_ends_is_kept(flavour: str) -> None:
    world = formed(3, flavour, semi_sync=True)
    world.restart(2)
    only_reaches(world, 2)
    world.node(0).reachable = False
    run = Run(world, Desired(3), Failover())
    while primary_of(world).ordinal == 0:
        run.turn()
    world.write()
    world.replicate()
    assert not world.transactions[0].acknowledged, "they were told to receive nothing more"
    # Who starts again starts to receive by itself.
    world.restart(2)
    world.replicate()
    assert world.transactions[0].semi_sync, "nobody acknowledged it"
    world.node(2).reachable = False
    goes_on(run)
    assert not world.node(1).writable
    world.node(2).reachable = True
    goes_on(run)
    assert primary_of(world).ordinal == 2
    assert world.node(2).writable


def test_a_member_that_left_had_no_transaction_alone() -> None:
    world = formed(3, MYSQL, semi_sync=True)
    only_reaches(world, 2)
    world.write()
    world.replicate()
    world.declare(2)
    goes_on(Run(world, Desired(2)))
    world.lose_volume(0)
    goes_on(Run(world, Desired(2), Failover()))


def test_what_a_mariadb_has_received_counts_while_it_does_not_apply() -> None:
    world = formed(3, MARIADB, semi_sync=True)
    for ordinal in (1, 2):
        world.restart(ordinal)
    world.stop_threads(2, receiver=False)
    only_reaches(world, 2)
    world.write()
    world.replicate()
    assert world.transactions[0].semi_sync, "nobody acknowledged it"
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    goes_on(run)
    world.fence_node(0)
    goes_on(run)
    assert world.transactions[0] in primary_of(world).loaded.log


def test_nobody_takes_over_whose_pod_ends() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.declare(1)
    run = Run(world, Desired(1))
    while world.stateful_set.replicas == 2:
        run.turn()
    world.lose_volume(0)
    Run(world, Desired(1), Failover()).turn()
    assert primary_of(world).ordinal == 0


def test_a_failover_ends_with_the_new_primary() -> None:
    """Another one is to leave, as the record says: that is for the run that was told so."""
    world = formed(2, MARIADB, semi_sync=False)
    world.declare(1)
    run = Run(world, Desired(1))
    while world.record and world.record.members == 2:
        run.turn()
    world.lose_volume(0)
    found = goes_on(Run(world, Desired(1), Failover()), turns=40)
    assert not isinstance(found, Refusal), found
    assert world.stateful_set.replicas == 2


def test_a_replica_that_is_given_up_is_left_out_of_the_choice() -> None:
    world = formed(3, MYSQL, semi_sync=False)
    only_reaches(world, 0)
    world.write()
    world.node(0).reachable = False
    goes_on(Run(world, Desired(3), Failover()))
    world.node(0).reachable = True
    world.write()
    world.tick()
    assert world.node(1).writable
    assert world.transactions[1] in world.node(2).loaded.log
    world.lose_volume(1)
    found = goes_on(Run(world, Desired(3), Failover()))
    assert refused(found, "histories have parted")
    goes_on(Run(world, Desired(3), Failover(without=("shop-0",))))
    assert primary_of(world).ordinal == 2


def test_a_run_that_was_frozen_in_the_middle_of_a_switchover_finds_out() -> None:
    """Meanwhile its lock went to another run, which let the old primary write again."""
    world = formed(2, MYSQL, semi_sync=False)

    def frozen() -> None:
        if world.node(0).loaded.own is None and world.node(0).running:
            world.between = lambda: None
            goes_on(Run(world, Desired(2)), turns=3)
            world.write()

    world.between = frozen
    goes_on(Run(world, Desired(2), Switchover("shop-1")), turns=2)
    assert world.transactions, "nobody wrote meanwhile"


def test_a_replica_that_somebody_lets_write_is_fenced() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.node(1).read_only = False
    Run(world, Desired(2)).turn()
    world.write()
    assert world.transactions, "the primary takes none"
    assert not world.node(1).writable


def test_a_primary_is_known_by_its_own_data_too() -> None:
    """Else it would not take writes after its next start."""
    world = formed(1, MYSQL, semi_sync=False)
    world.node(0).loaded.own = None
    assert converge(world, Run(world, Desired(1))) == Plan()
    world.restart(0)
    assert world.node(0).writable


def test_nothing_is_begun_anew_while_anybody_has_data() -> None:
    """Record and StatefulSet were deleted, and the volume of the first pod is another one."""
    world = formed(3, MYSQL, semi_sync=False)
    world.write()
    world.replicate()
    world.record = None
    world.stateful_set = dataclasses.replace(world.stateful_set, recorded=None)
    world.lose_volume(0)
    for ordinal in (1, 2):
        world.kill(ordinal)
    found = converge(world, Run(world, Desired(3)))
    assert refused(found, "shop-0 is to take writes, and shop-1, shop-2 has transactions that it lacks")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_was_received_is_applied_before_a_replica_is_told_its_source_anew(flavour: str) -> None:
    world = formed(2, flavour, semi_sync=True)
    world.stop_threads(1, receiver=False)
    world.write()
    world.replicate()
    assert world.node(1).loaded.relay == world.transactions
    world.cut.add(frozenset({0, 1}))
    goes_on(Run(world, Desired(2)))
    assert world.node(1).loaded.log == world.transactions


def piloted(flavour: str) -> World:
    """Three servers whose commits were seen to wait for a replica."""
    world = formed(3, flavour, semi_sync=True)
    assert world.record
    assert not world.record.waits
    Run(world, Desired(3), PILOT).turn()
    assert world.record.waits == PILOT.by
    return world


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_autopilot_goes_on_without_the_word_of_a_lost_node(flavour: str) -> None:
    world = piloted(flavour)
    only_reaches(world, 2)
    world.write()
    world.replicate()
    world.cut.clear()
    assert world.transactions[0].semi_sync, "nobody acknowledged it"
    world.lose_node(0)
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    assert primary_of(world).ordinal == 2
    assert world.node(0).writable, "its clients on that node write on"
    assert world.node(2).writable
    world.write(0)
    world.write(2)
    world.tick()
    assert [entry.acknowledged for entry in world.transactions] == [True, False, True]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_who_was_cut_off_and_comes_back_gets_nothing_acknowledged(flavour: str) -> None:
    """Its network is there again before its kubelet is, and every other server starts anew."""
    world = piloted(flavour)
    world.lose_node(0)
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    world.write(0)
    world.deafen(0)
    for ordinal in (1, 2):
        world.restart(ordinal)
    for _tick in range(4):
        world.tick()
    assert world.node(0).writable
    assert not world.transactions[0].acknowledged
    world.write()
    world.tick()
    assert world.transactions[1].acknowledged
    world.heal()
    world.tick()
    found = converge(world, Run(world, Desired(3)))
    assert refused(found, "shop-0 has 1 transaction")


def test_a_replica_that_starts_anew_before_it_is_cut_off_is_told_once_more() -> None:
    """It receives again by itself: what it has acknowledged meanwhile is kept."""
    world = piloted(MYSQL)
    world.node(0).deaf = True
    world.node(0).reachable = False
    run = Run(world, Desired(3), PILOT)
    while not (world.record and world.record.dismissed_uid):
        run.turn()
    assert not world.node(2).loaded.receiver
    world.restart(2)
    world.write(0)
    world.replicate()
    assert world.transactions[0].semi_sync, "nobody acknowledged it"
    goes_on(run, turns=20)
    assert primary_of(world).ordinal == 2
    assert world.node(2).writable
    assert world.transactions[0] in world.node(2).loaded.log


def test_the_autopilot_does_nothing_while_a_replica_is_away_too() -> None:
    world = piloted(MYSQL)
    world.lose_node(0)
    world.lose_node(2)
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    assert primary_of(world).ordinal == 0
    world.node(2).lost = False
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    assert primary_of(world).ordinal == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_replicas_that_the_autopilot_halted_follow_again_where_the_primary_is_back(flavour: str) -> None:
    """It halts them, cannot decide, and whom it took for lost is there again: its commits would wait for ever."""
    world = piloted(flavour)
    world.lose_node(0)
    run = Run(world, Desired(3), PILOT)
    while any(world.node(ordinal).loaded.receiver for ordinal in (1, 2)):
        run.turn()
    world.lose_node(2)
    goes_on(run)
    world.node(0).lost = world.node(2).lost = False
    goes_on(run)
    assert primary_of(world).ordinal == 0
    world.write()
    world.tick()
    assert world.transactions[0].acknowledged
    assert all(world.node(ordinal).loaded.receiver for ordinal in (1, 2))


def test_the_autopilot_waits_for_every_server_that_could_acknowledge() -> None:
    """One goes away between the record and the end."""
    world = piloted(MYSQL)
    world.lose_node(0)
    run = Run(world, Desired(3), PILOT)
    while not (world.record and world.record.dismissed_uid):
        run.turn()
    world.lose_node(2)
    goes_on(run, turns=20)
    assert not world.node(1).writable
    world.node(2).lost = False
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    assert world.node(1).writable


def test_the_autopilot_gives_the_node_its_time_first() -> None:
    world = piloted(MYSQL)
    world.lose_node(0)
    patient = dataclasses.replace(PILOT, cut_off=False)
    goes_on(Run(world, Desired(3), patient), turns=20)
    assert primary_of(world).ordinal == 1
    assert not world.node(1).writable
    world.fence_node(0)
    goes_on(Run(world, Desired(3), patient), turns=20)
    assert world.node(1).writable


def test_the_autopilot_does_nothing_where_commits_do_not_wait() -> None:
    world = formed(3, MYSQL, semi_sync=False)
    Run(world, Desired(3), PILOT).turn()
    world.lose_node(0)
    goes_on(Run(world, Desired(3), PILOT))
    assert primary_of(world).ordinal == 0


def test_another_autopilot_begins_anew_with_what_it_knows() -> None:
    world = piloted(MYSQL)
    world.lose_node(0)
    goes_on(Run(world, Desired(3), dataclasses.replace(PILOT, by="made again")))
    assert primary_of(world).ordinal == 0


def test_a_run_does_not_wait_for_one_that_was_cut_off() -> None:
    """It would not attach the others, and no commit would return."""
    world = piloted(MYSQL)
    world.lose_node(0)
    run = Run(world, Desired(3), PILOT)
    while not world.node(1).writable:
        run.turn()
    assert world.node(2).loaded.source is None
    found = goes_on(Run(world, Desired(3)))
    assert isinstance(found, Plan)
    assert world.node(2).loaded.source == 1
    assert found.steps[0].sentence.startswith("wait until every replica follows closely: shop-0 is about to end")


def test_the_autopilot_cuts_nobody_off_whose_commits_do_not_wait() -> None:
    """Somebody has asked for the failover, and that one waits for the node."""
    world = formed(3, MYSQL, semi_sync=False)
    world.lose_node(0)
    goes_on(Run(world, Desired(3), Failover()))
    assert primary_of(world).ordinal == 1
    goes_on(Run(world, Desired(3), PILOT), turns=20)
    assert not world.node(1).writable


@pytest.mark.parametrize("again", [True, False])
def test_what_a_mariadb_forgets_that_was_chosen_is_not_lost_in_silence(again: bool) -> None:
    """It starts anew between the record and its promotion. The old primary comes back, or what it had is given up."""
    world = received_by_one(MARIADB)
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    goes_on(run)
    assert primary_of(world).ordinal == 2
    world.restart(2)
    world.cut.clear()
    world.node(2).lagging = False
    if again:
        world.fence_node(0)
        world.node(0).reachable = False
        found = goes_on(run)
        assert refused(found, "shop-2 had 1 transaction")
        world.node(0).reachable = True
    else:
        world.fence_node(0)
        world.lose_volume(0)
        assert refused(goes_on(run), "shop-2 had 1 transaction")
        assert not any(node.writable for node in world.nodes.values())
        goes_on(Run(world, Desired(3), Failover(without=("shop-2",))), turns=20)
        assert any(node.writable for node in world.nodes.values())
    world.heal()
    assert converge(world, Run(world, Desired(3))) == Plan()
    assert_as_declared(world, Desired(3))
    assert (world.transactions[0] in primary_of(world).loaded.log) is again
    assert world.record
    assert (world.record.without, world.record.had) == ((), {})


@pytest.mark.parametrize("how", ["stops applying", "starts anew"])
def test_what_a_mariadb_forgets_while_a_successor_is_chosen_is_not_lost_in_silence(how: str) -> None:
    world = received_by_one(MARIADB)
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    while world.node(2).loaded.receiver:
        run.turn()
    if how == "stops applying":
        world.stop_threads(2, receiver=False)
    else:
        world.restart(2)
    assert refused(goes_on(run), "shop-2 had 1 transaction")
    assert primary_of(world).ordinal == 0
    world.heal()
    assert converge(world, Run(world, Desired(3))) == Plan()
    assert_as_declared(world, Desired(3))


def test_the_old_primary_is_dismissed_although_its_successor_has_forgotten() -> None:
    """Killed between the record and the deletion, and the successor applies nothing more: the old one may be back."""
    world = received_by_one(MARIADB)
    world.node(0).reachable = False
    run = Run(world, Desired(3), Failover())
    while primary_of(world).ordinal == 0:
        run.turn()
    assert world.record
    assert not world.record.dismissed_uid
    world.stop_threads(2, receiver=False)
    world.heal()
    assert converge(world, Run(world, Desired(3))) == Plan()
    assert_as_declared(world, Desired(3))
    assert world.transactions[0] in primary_of(world).loaded.log


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_switchover_that_is_killed_beside_one_with_transactions_of_its_own_is_gone_on_with(flavour: str) -> None:
    """Killed after each part of the act in turn. That one is reported in the end, and nobody waits for it."""

    class Dead(Exception):
        pass

    for parts in range(40):
        world = formed(4, flavour, semi_sync=False)
        only_reaches(world, 0)
        world.write()
        world.node(0).reachable = False
        goes_on(Run(world, Desired(4), Failover()), turns=20)
        world.heal()
        old = primary_of(world).ordinal
        assert refused(converge(world, Run(world, Desired(4))), "shop-0 has 1 transaction")
        left = iter(range(parts))

        def part(left: t.Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Dead

        run = Run(world, Desired(4), Switchover("shop-2"))
        world.between = part
        killed = False
        try:
            goes_on(run, turns=3)
        except Dead:
            killed = True
        world.between = lambda: None
        found = converge(world, Run(world, Desired(4)))
        assert refused(found, "shop-0 has 1 transaction"), (parts, found)
        assert refused(found, "is no replica of anybody"), (parts, found)
        assert [node.ordinal for node in world.nodes.values() if node.writable] == [primary_of(world).ordinal]
        assert world.record
        assert world.record.without == ()
        if not killed:
            break
    assert parts > 8, "it was never killed in the middle"
    assert primary_of(world).ordinal == 2 != old


def test_a_failover_that_waits_for_a_replica_is_told_to_go_on_without_it() -> None:
    world = formed(3, MYSQL, semi_sync=False)
    world.lose_node(0)
    run = Run(world, Desired(3), Failover())
    while primary_of(world).ordinal == 0:
        run.turn()
    world.fence_node(0)
    world.lose_node(2)
    found = goes_on(run)
    assert isinstance(found, Plan)
    assert "wait until every replica answers once more" in found.steps[0].sentence
    goes_on(Run(world, Desired(3), Failover(without=("shop-2",))))
    assert world.node(1).writable
