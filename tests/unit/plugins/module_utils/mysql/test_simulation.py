# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules that the simulation of replicated MySQL keeps: what would make its histories worthless if it did not."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import FLAVOURS, MARIADB, MYSQL, Record
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.simulation import World
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.test_plan_random import formed


def recorded(world: World, **changes: t.Any) -> None:
    """Another record, which nobody has seen yet."""
    assert world.record
    world.record = dataclasses.replace(world.record, resource_version="another", **changes)


def test_data_is_made_once_by_the_recorded_primary_alone() -> None:
    world = World(2)
    for _tick in range(3):
        world.tick()
    assert [world.node(o).obstacle for o in (0, 1)] == ["waits for the ConfigMap shop-record"] * 2
    world.record = Record(epoch=0, primary="shop-1", members=2, resource_version="1")
    for _tick in range(3):
        world.tick()
    assert world.node(1).running
    assert world.node(0).loaded.log == world.node(1).loaded.log == []
    assert world.node(0).loaded.identity != world.node(1).loaded.identity
    assert not any(node.writable for node in world.nodes.values())


def test_the_primary_makes_no_data_once_somebody_was_primary() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.lose_volume(0)
    for _tick in range(5):
        world.tick()
    assert world.node(0).data is None
    assert "refuses to start" in world.node(0).obstacle


def test_a_server_takes_writes_after_its_start_by_record_and_own_row() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.restart(0)
    assert world.node(0).writable
    world.restart(1)
    assert not world.node(1).writable
    world.node(0).loaded.own = None
    world.restart(0)
    assert not world.node(0).writable


def test_a_container_that_restarts_may_see_an_old_record_and_a_new_pod_does_not() -> None:
    world = formed(1, MYSQL, semi_sync=False)
    recorded(world, epoch=9)
    world.restart(0)
    assert world.node(0).writable
    world.kill(0)
    world.tick()
    assert world.node(0).running
    assert not world.node(0).writable


def test_a_new_volume_is_filled_from_a_replica_and_the_primary_comes_last() -> None:
    world = formed(3, MYSQL, semi_sync=False)
    world.node(1).lagging = True
    world.write()
    world.lose_volume(2)
    world.tick()
    world.tick()
    copy = world.node(2).loaded
    assert (copy.log, copy.source, copy.own) == ([], None, None)
    world.stop_threads(1, receiver=True)
    world.lose_volume(2)
    world.tick()
    world.tick()
    assert world.node(2).loaded.log == world.transactions


def test_a_copy_takes_the_place_of_data_only_as_the_record_says() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    before = world.node(1).loaded
    world.kill(1)
    world.tick()
    assert world.node(1).data is before
    recorded(world, copies={"shop-1": "token"})
    world.kill(1)
    world.tick()
    after = world.node(1).loaded
    assert after is not before
    world.kill(1)
    world.tick()
    assert world.node(1).data is after, "one wish is one copy"


def test_data_that_the_primary_lacks_is_not_replaced_unasked() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.cut.add(frozenset({0, 1}))
    recorded(world, copies={"shop-0": "token"}, primary="shop-1", epoch=2)
    world.write()
    world.cut.clear()
    world.crash(0)
    world.kill(0)
    with pytest.raises(AssertionError, match="shop-0 takes a copy in place of"):
        world.tick()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_semi_synchronous_commits_are_acknowledged_by_a_replica(flavour: str) -> None:
    world = formed(3, flavour, semi_sync=True)
    world.cut = {frozenset({0, 1}), frozenset({0, 2})}
    world.write()
    world.replicate()
    written = world.transactions[0]
    assert not written.acknowledged
    assert world.node(0).waiting == [written]
    world.node(2).lagging = True
    world.cut = {frozenset({0, 1})}
    world.replicate()
    assert written.acknowledged
    assert world.node(2).loaded.relay == [written], "received is enough"
    assert not world.node(0).waiting


def test_commits_that_wait_are_not_acknowledged_by_a_restart() -> None:
    world = formed(2, MYSQL, semi_sync=True)
    world.cut = {frozenset({0, 1})}
    world.write()
    world.restart(0)
    world.cut.clear()
    world.replicate()
    assert world.transactions[0] in world.node(1).loaded.log
    assert not world.transactions[0].acknowledged


@pytest.mark.parametrize(("flavour", "kept"), [(MYSQL, True), (MARIADB, False)])
def test_what_was_received_outlives_a_restart_of_mysql_alone(flavour: str, kept: bool) -> None:
    world = formed(2, flavour, semi_sync=True)
    world.node(1).lagging = True
    world.write()
    world.replicate()
    world.restart(1)
    assert bool(world.node(1).loaded.relay) == kept
    assert world.transactions[0].semi_sync == kept, "nobody can promise it any more"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_source_cannot_hand_on_what_it_has_purged(flavour: str) -> None:
    world = formed(2, flavour, semi_sync=False)
    world.cut = {frozenset({0, 1})}
    for _write in range(5):
        world.write()
    world.purge(0)
    world.cut.clear()
    world.replicate()
    assert "1236" in world.node(1).loaded.error
    assert not world.node(1).loaded.has


@pytest.mark.parametrize(("flavour", "stops"), [(MYSQL, False), (MARIADB, True)])
def test_a_replica_that_has_more_stops_with_mariadb_alone(flavour: str, stops: bool) -> None:
    world = formed(3, flavour, semi_sync=False)
    world.cut = {frozenset({0, 2}), frozenset({0, 1})}
    world.write()
    ahead, source = world.node(0).loaded, world.node(1).loaded
    world.node(0).read_only = True
    world.node(1).read_only, source.source = False, None
    world.write(1)
    ahead.source = 1
    world.cut.clear()
    world.replicate()
    assert bool(ahead.error) == stops
    assert (world.transactions[1] in ahead.log) == (not stops)


def test_two_that_take_writes_are_found() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.node(1).read_only = False
    with pytest.raises(AssertionError, match=r"shop-0 takes a write, and \[1\] would too"):
        world.write()


def test_a_primary_without_what_was_acknowledged_is_found() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.cut = {frozenset({0, 1})}
    world.write()
    world.crash(0)
    recorded(world, primary="shop-1", epoch=2)
    world.node(1).loaded.own, world.node(1).mounted = ("shop-1", 2), world.record
    with pytest.raises(AssertionError, match="shop-1 takes writes without"):
        world.restart(1)


def test_a_pod_on_a_lost_node_serves_on_and_does_not_go() -> None:
    world = formed(2, MYSQL, semi_sync=False)
    world.lose_node(0)
    world.kill(0)
    for _tick in range(3):
        world.tick()
    assert world.node(0).writable
    assert world.node(0).going
    assert not world.observe().answer(0).serves
    world.fence_node(0)
    assert not world.node(0).running
    assert not world.node(0).exists
