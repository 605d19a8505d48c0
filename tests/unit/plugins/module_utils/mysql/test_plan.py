# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import pathlib
import sys
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _act
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import Wish as Failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._failover_plan import plan_failover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import MySQL
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import BinlogState
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind, Record, Snapshot, Source
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import Wish as Switchover
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import plan_switchover
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from three_servers import (
    FIVE,
    HEALTHY,
    SILENT,
    TARGET,
    THREE,
    gtids,
    primary,
    replica,
    snapshot,
    with_pod,
)


def actions(found: t.Union[Plan, Refusal]) -> list[str]:
    assert isinstance(found, Plan), found
    return [f"{step.action} {step.target}" if step.change else "wait" for step in found.steps]


def first(found: t.Union[Plan, Refusal]) -> str:
    return actions(found)[0]


def reason(found: t.Union[Plan, Refusal]) -> str:
    assert isinstance(found, Refusal), found
    return found.reason


def plan_for(seen: Snapshot, desired: Desired = THREE) -> t.Union[Plan, Refusal]:
    return plan(TARGET, desired, seen)


def recorded(seen: Snapshot, **more: t.Any) -> Snapshot:
    assert seen.record
    return dataclasses.replace(seen, record=dataclasses.replace(seen.record, **more))


def test_nothing_is_left_to_do_where_all_is_as_declared() -> None:
    assert actions(plan_for(HEALTHY)) == []


# Who makes the first data

NOBODY = snapshot(
    [SILENT, SILENT, SILENT],
    record=None,
    routed=None,
    new_disks=(0, 1, 2),
    roles={0: "replica", 1: "replica", 2: "replica"},
)
NOBODY = dataclasses.replace(NOBODY, stateful_set=dataclasses.replace(NOBODY.stateful_set, recorded=None))
FRESH = Record(0, "shop-0", 3, resource_version="1")


def test_the_first_pod_is_recorded_before_any_data_is_made() -> None:
    found = actions(plan_for(NOBODY))
    assert found[0] == "record shop-record"
    assert found.index("promote shop-0") < found.index("attach shop-1")


def test_the_first_server_is_recorded_as_primary_before_it_takes_writes() -> None:
    empty = primary(executed=gtids(), own=None, read_only=True)
    seen = dataclasses.replace(NOBODY, record=FRESH, answers={0: empty, 1: SILENT, 2: SILENT})
    assert actions(plan_for(seen))[:3] == ["record shop-record", "promote shop-0", "route shop-primary"]


def test_a_volume_that_may_hold_data_is_asked_before_anybody_takes_writes() -> None:
    empty = primary(executed=gtids(), own=None, read_only=True)
    seen = dataclasses.replace(NOBODY, record=FRESH, answers={0: empty, 1: SILENT, 2: SILENT}, new_disks=(0, 1))
    assert first(plan_for(seen)) == "wait"


def test_an_empty_server_does_not_become_primary_beside_one_with_data() -> None:
    empty = primary(executed=gtids(), own=None, read_only=True)
    seen = dataclasses.replace(NOBODY, record=FRESH, answers={0: empty, 1: replica(1, of=None), 2: SILENT})
    seen = dataclasses.replace(seen, new_disks=(2,))
    assert "shop-1 has transactions that it lacks" in reason(plan_for(seen))


def test_a_lost_record_is_written_again_by_what_the_stateful_set_and_the_servers_say() -> None:
    seen = dataclasses.replace(HEALTHY, record=None)
    step = plan_for(seen).steps[0]
    assert (step.data["epoch"], step.data["primary"]) == (1, "shop-0")
    later = {**seen.answers, 1: primary(1, epoch=4)}
    step = plan_for(dataclasses.replace(seen, answers=later)).steps[0]
    assert (step.data["epoch"], step.data["primary"]) == (4, "shop-1")


# Who may write


def test_a_second_server_that_takes_writes_is_fenced_first() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 1: primary(1, epoch=1, executed=FIVE)})
    assert first(plan_for(seen)) == "fence shop-1"


def test_an_old_primary_forgets_that_it_was_one_although_it_is_read_only() -> None:
    old = replica(1, of=None, own=("shop-1", 1))
    seen = recorded(dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 0: primary(epoch=2), 1: old}), epoch=2)
    assert actions(plan_for(seen))[:1] == ["fence shop-1"]


def test_a_recorded_primary_that_is_not_one_yet_takes_writes() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 0: primary(own=None, read_only=True)})
    assert first(plan_for(seen)) == "promote shop-0"


def test_it_does_not_where_a_replica_has_more() -> None:
    answers = {0: primary(own=None, read_only=True, executed=gtids(of_0="1-4")), 1: replica(1, of=None), 2: replica(2)}
    assert "they would be lost" in reason(plan_for(dataclasses.replace(HEALTHY, answers=answers)))


def test_it_applies_what_it_has_received_before() -> None:
    candidate = replica(1, of=0, executed=gtids(of_0="1-4"))
    seen = recorded(
        dataclasses.replace(
            HEALTHY, answers={0: SILENT, 1: candidate, 2: replica(2, executed=gtids(of_0="1-3"), received=None)}
        ),
        primary="shop-1",
        epoch=2,
    )
    assert actions(plan_for(seen))[:2] == ["wait", "promote shop-1"]
    stopped = dataclasses.replace(candidate, source=Source(TARGET.host(0), applier="No"))
    seen = dataclasses.replace(seen, answers={**seen.answers, 1: stopped})
    assert first(plan_for(seen)) == "apply shop-1"


def test_nobody_takes_writes_before_the_pod_of_the_old_primary_is_gone() -> None:
    answers = {0: SILENT, 1: replica(1), 2: replica(2)}
    seen = recorded(dataclasses.replace(HEALTHY, answers=answers), primary="shop-1", epoch=2, dismissed="shop-0")
    assert first(plan_for(seen)) == "dismiss shop-0"
    seen = dataclasses.replace(seen, answers={0: SILENT, 1: halted(1), 2: halted(2)})
    seen = recorded(with_pod(seen, 0, deleting=True), dismissed_uid="uid-0")
    assert actions(plan_for(seen))[:2] == ["wait", "promote shop-1"]
    seen = with_pod(seen, 0, deleting=False, uid="uid-of-the-next")
    assert first(plan_for(seen)) == "promote shop-1"


def test_a_primary_that_does_not_answer_is_waited_for() -> None:
    seen = dataclasses.replace(HEALTHY, answers={0: SILENT, 1: replica(1), 2: replica(2)})
    assert set(actions(plan_for(seen))) == {"wait"}


def test_the_service_leads_to_the_primary_and_readers_pass_it_by() -> None:
    seen = dataclasses.replace(HEALTHY, routed="shop-1", roles={0: "replica", 1: "replica", 2: "replica"})
    assert actions(plan_for(seen))[:2] == ["route shop-primary", "label shop-0"]


def test_a_lone_server_is_read_from_too() -> None:
    assert actions(plan_for(snapshot([primary()]), Desired(1))) == []


# Replicas


def test_a_server_without_source_is_attached() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: replica(2, of=None)})
    assert first(plan_for(seen)) == "attach shop-2"


def test_a_server_with_another_source_is_attached_once_it_has_applied_what_it_received() -> None:
    late = replica(2, of=1, executed=gtids(of_0="1-3"), received=FIVE)
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: late})
    assert set(actions(plan_for(seen))) == {"wait"}
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: replica(2, of=1)})
    assert first(plan_for(seen)) == "attach shop-2"


@pytest.mark.parametrize("lag", [None, 11.0])
def test_a_replica_that_lags_is_waited_for(lag: t.Optional[float]) -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: replica(2, lag=lag)})
    assert actions(plan_for(seen)) == ["wait"]


ERRANT = replica(2, of=None, executed=gtids(of_0="1-5", of_2="1-3"))


def test_a_replica_that_is_not_let_in_is_told_how_to_log_in_once_a_run() -> None:
    source = Source(TARGET.host(0), receiver="Connecting", error="Access denied", denied=True)
    seen = snapshot([primary(), replica(1, source=source), replica(2)])
    found = plan(TARGET, THREE, seen)
    assert actions(found)[0] == "attach shop-1"
    told = plan(TARGET, dataclasses.replace(THREE, attached=(1,)), seen)
    assert isinstance(told, Plan)
    assert [step.change for step in told.steps] == [False]
    assert "shop-1 has no connection to shop-0: Access denied" in told.steps[0].sentence


def test_a_server_with_errant_transactions_is_named_and_never_attached() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: ERRANT})
    assert "shop-2 has 3 transactions (00000002-0000-0000-0000-000000000000:1-3) that shop-0 has not" in reason(
        plan_for(seen)
    )


def test_the_rest_is_done_before_that_is_said() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 1: replica(1, of=None), 2: ERRANT})
    assert first(plan_for(seen)) == "attach shop-1"


def test_it_takes_a_copy_only_where_that_is_asked_for() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: ERRANT})
    asked = Desired(3, copies=("shop-2",))
    assert first(plan_for(seen, asked)) == "copy shop-2"
    assert actions(plan_for(HEALTHY, asked)) == []
    # Recorded, and not replaced yet; then replaced.
    assert first(plan_for(recorded(seen, copies={"shop-2": "uid-2"}))) == "copy shop-2"
    assert actions(plan_for(recorded(HEALTHY, copies={"shop-2": "uid-before"})))[0] == "forget_copy shop-2"


def test_what_a_replica_has_of_its_primary_before_that_one_says_so_is_not_errant() -> None:
    ahead = replica(2, executed=gtids(of_0="1-6"), received=gtids(of_0="1-6"))
    assert actions(plan_for(dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: ahead}))) == []


def test_a_server_that_lacks_what_was_purged_is_named() -> None:
    behind = replica(2, of=None, executed=gtids(of_0="1-2"))
    seen = dataclasses.replace(HEALTHY, answers={0: primary(purged=gtids(of_0="1-3")), 1: replica(1), 2: behind})
    assert "no binary logs of any more" in reason(plan_for(seen))
    assert first(plan_for(seen, Desired(3, copies=("shop-2",)))) == "copy shop-2"


# More, fewer, other pods


def test_members_leave_after_the_primary_was_moved_to_one_that_stays() -> None:
    seen = recorded(HEALTHY, primary="shop-2", epoch=1)
    answers = {0: replica(0, of=2, executed=FIVE), 1: replica(1, of=2), 2: primary(2)}
    seen = dataclasses.replace(seen, answers=answers, routed="shop-2", roles={0: "replica", 1: "replica", 2: "primary"})
    seen = dataclasses.replace(seen, stateful_set=dataclasses.replace(seen.stateful_set, recorded=(1, "shop-2")))
    found = actions(plan_for(recorded(seen, members=2), Desired(2)))
    assert found[:2] == ["hand_over shop-0", "scale shop"]


def test_the_plan_has_members_that_are_yet_to_come() -> None:
    assert actions(plan_for(HEALTHY, Desired(5))) == [
        "wait",
        "record shop-record",
        "wait",
        "attach shop-3",
        "attach shop-4",
        "wait",
    ]


def test_members_leave_at_once_where_the_primary_stays() -> None:
    assert actions(plan_for(HEALTHY, Desired(1)))[-3:-1] == ["scale shop", "hand_back shop"]


def test_who_leaves_acknowledges_nothing_more_first() -> None:
    """What it alone acknowledged after the comparison would go with it."""
    seen = recorded(HEALTHY, members=2)
    assert actions(plan_for(seen, Desired(2)))[:2] == ["halt shop-2", "scale shop"]
    told = dataclasses.replace(seen, answers={**seen.answers, 2: halted(2)})
    assert first(plan_for(told, Desired(2))) == "scale shop"


def test_commits_wait_for_nobody_once_no_replica_is_semi_synchronous() -> None:
    """As when it is switched off: replicas have their new pods first, and the primary would wait for ever."""
    waiting = {0: primary(semi_sync=True, waits=True), 1: replica(1), 2: replica(2)}
    seen = dataclasses.replace(HEALTHY, answers=waiting)
    assert first(plan_for(seen)) == "unwait shop-0"
    one = dataclasses.replace(seen, answers={**waiting, 2: replica(2, semi_sync=True)})
    assert "unwait shop-0" not in actions(plan_for(one))
    away = dataclasses.replace(seen, answers={**waiting, 2: SILENT})
    assert "unwait shop-0" not in actions(plan_for(away))


def test_no_switchover_beside_one_that_was_cut_off_and_may_come_back() -> None:
    seen = recorded(
        dataclasses.replace(HEALTHY, answers={0: SILENT, 1: primary(1, epoch=2), 2: replica(2, of=1)}),
        primary="shop-1",
        epoch=2,
        dismissed="shop-0",
        dismissed_uid="uid-0",
        cut_off=True,
    )
    assert "is not seen gone yet" in reason(plan_switchover(TARGET, Switchover(away_from="shop-1"), seen))
    gone = with_pod(seen, 0, uid="another")
    assert first(plan_switchover(TARGET, Switchover(away_from="shop-1"), gone)) == "hand_over shop-2"


def test_pods_are_replaced_one_by_one_and_the_primary_last() -> None:
    seen = HEALTHY
    for ordinal in range(3):
        seen = with_pod(seen, ordinal, revision="old")
    found = [action for action in actions(plan_for(seen)) if action != "wait"]
    assert found == ["replace shop-2", "replace shop-1", "hand_over shop-1", "replace shop-0"]


def test_no_pod_is_replaced_while_another_replica_is_away() -> None:
    seen = with_pod(dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 1: SILENT}), 2, revision="old")
    assert first(plan_for(seen)) == "wait"


def test_a_pod_of_a_broken_revision_in_which_nothing_runs_is_replaced_at_once() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 1: SILENT})
    seen = with_pod(seen, 1, revision="old", running=False, obstacle="cannot pull its image")
    assert first(plan_for(seen)) == "replace shop-1"


# Switchover and failover


def test_a_switchover_to_the_primary_does_nothing() -> None:
    assert actions(plan_switchover(TARGET, Switchover(to="shop-0"), HEALTHY)) == []


def test_a_switchover_needs_a_replica_that_is_close() -> None:
    assert first(plan_switchover(TARGET, Switchover(to="shop-2"), HEALTHY)) == "hand_over shop-2"
    late = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: replica(2, lag=60.0)})
    assert first(plan_switchover(TARGET, Switchover(to="shop-2"), late)) == "wait"
    assert first(plan_switchover(TARGET, Switchover(), late)) == "hand_over shop-1"


def test_a_switchover_is_done_once_the_primary_is_another_one() -> None:
    seen = recorded(HEALTHY, epoch=2, primary="shop-1")
    found = plan_switchover(TARGET, Switchover(away_from="shop-0"), seen)
    assert "hand_over shop-0" not in actions(found)


def halted(ordinal: int, **more: t.Any) -> t.Any:
    """A replica of shop-0 that receives nothing any more, and applies what it has."""
    answer = replica(ordinal, **more)
    return dataclasses.replace(answer, source=Source(TARGET.host(0), receiver="No", lag=None))


LOST = dataclasses.replace(HEALTHY, answers={0: SILENT, 1: halted(1), 2: halted(2)})


def test_a_primary_that_answers_is_not_failed_over() -> None:
    assert "answers, so there is nothing to fail over from" in reason(plan_failover(TARGET, Failover(), HEALTHY))


def test_the_replica_that_has_most_takes_over() -> None:
    answers = {0: SILENT, 1: halted(1, executed=gtids(of_0="1-4"), received=gtids(of_0="1-4")), 2: halted(2)}
    found = plan_failover(TARGET, Failover(), dataclasses.replace(LOST, answers=answers))
    assert actions(found)[:2] == ["record shop-record", "dismiss shop-0"]
    assert found.steps[0].data["primary"] == "shop-2"
    assert found.steps[0].data["dismissed"] == "shop-0"
    assert "lacks transactions" in reason(
        plan_failover(TARGET, Failover(to="shop-1"), dataclasses.replace(LOST, answers=answers))
    )


def test_what_was_received_and_not_applied_counts() -> None:
    answers = {
        0: SILENT,
        1: halted(1, executed=gtids(of_0="1-3")),
        2: halted(2, executed=gtids(of_0="1-4"), received=gtids()),
    }
    found = plan_failover(TARGET, Failover(), dataclasses.replace(LOST, answers=answers))
    assert found.steps[0].data["primary"] == "shop-1"


def test_a_replica_that_does_not_answer_stops_a_failover_unless_it_is_left_out() -> None:
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: halted(1), 2: SILENT})
    assert "shop-2 does not answer" in reason(plan_failover(TARGET, Failover(), seen))
    found = plan_failover(TARGET, Failover(without=("shop-2",)), seen)
    assert first(found) == "record shop-record"
    assert "shop-2 was left out" in " ".join(found.warnings)


def test_histories_that_have_parted_stop_a_failover() -> None:
    answers = {
        0: SILENT,
        1: halted(1, executed=gtids(of_0="1-5", of_1="1")),
        2: halted(2, executed=gtids(of_0="1-5", of_2="1")),
    }
    assert "histories have parted" in reason(
        plan_failover(TARGET, Failover(), dataclasses.replace(LOST, answers=answers))
    )


def test_a_failover_says_what_may_be_lost() -> None:
    assert "asynchronous" in plan_failover(TARGET, Failover(), LOST).warnings[0]
    semi = {0: SILENT, 1: halted(1, semi_sync=True), 2: halted(2, semi_sync=True)}
    assert plan_failover(TARGET, Failover(), dataclasses.replace(LOST, answers=semi)).warnings == ()


def test_a_replica_that_is_left_out_is_not_compared_either() -> None:
    parted = halted(2, executed=gtids(of_0="1-5", of_2="1"))
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: halted(1, executed=gtids(of_0="1-5", of_1="1")), 2: parted})
    found = plan_failover(TARGET, Failover(without=("shop-2",)), seen)
    assert isinstance(found, Plan)
    assert found.steps[0].data["primary"] == "shop-1"


GONE = recorded(
    with_pod(LOST, 0, uid="uid-of-the-next"), primary="shop-1", epoch=2, dismissed="shop-0", dismissed_uid="uid-0"
)


def test_everybody_is_asked_once_more_when_the_old_primary_is_gone() -> None:
    assert first(plan_for(GONE)) == "promote shop-1"
    assert first(plan_for(dataclasses.replace(GONE, answers={**GONE.answers, 2: SILENT}))) == "wait"
    assert (
        first(plan_for(recorded(dataclasses.replace(GONE, answers={**GONE.answers, 2: SILENT}), without=("shop-2",))))
        == "promote shop-1"
    )


def test_who_got_more_from_the_old_primary_until_it_was_gone_takes_its_place() -> None:
    more = halted(2, executed=gtids(of_0="1-6"), received=gtids(of_0="1-6"))
    found = plan_for(dataclasses.replace(GONE, answers={**GONE.answers, 2: more}))
    assert first(found) == "record shop-record"
    assert isinstance(found, Plan)
    assert found.steps[0].data == {
        "epoch": 3,
        "primary": "shop-2",
        "members": 3,
        "dismissed": "shop-0",
        "dismissed_uid": "uid-0",
        "without": (),
        "had": {},
        "cut_off": False,
    }


def test_a_switchover_and_a_failover_take_no_member_out() -> None:
    seen = recorded(HEALTHY, members=1, epoch=2, primary="shop-1")
    answers = {0: replica(0, of=1), 1: primary(1, epoch=2), 2: halted(2, of=1)}
    seen = dataclasses.replace(seen, answers=answers)
    for found in (
        plan_switchover(TARGET, Switchover(away_from="shop-0"), seen),
        plan_failover(TARGET, Failover(away_from="shop-0"), seen),
    ):
        assert not {"scale shop", "hand_over shop-0"} & set(actions(found))


def test_no_replica_leaves_that_alone_has_what_was_acknowledged() -> None:
    answers = {**HEALTHY.answers, 1: replica(1, executed=gtids(of_0="1-4"), received=gtids(of_0="1-4"))}
    found = actions(plan_for(recorded(dataclasses.replace(HEALTHY, answers=answers), members=2), Desired(2)))
    assert found[:2] == ["wait", "scale shop"]


def test_nobody_receives_more_from_a_primary_that_is_given_up() -> None:
    """Neither before its successor is chosen, nor after it came back with what it alone has."""
    receiving = dataclasses.replace(LOST, answers={0: SILENT, 1: replica(1), 2: halted(2)})
    assert actions(plan_failover(TARGET, Failover(), receiving))[:2] == ["halt shop-1", "record shop-record"]
    again = dataclasses.replace(GONE, answers={**GONE.answers, 2: replica(2)})
    assert first(plan_for(again)) == "halt shop-2"


def test_any_replica_that_does_not_answer_may_have_something_alone() -> None:
    """Also one whose pod has been the only user of its disk from the start."""
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: halted(1), 2: SILENT}, new_disks=(0, 1, 2))
    assert "shop-2 does not answer" in reason(plan_failover(TARGET, Failover(), seen))


def test_nobody_takes_over_who_is_about_to_leave() -> None:
    seen = with_pod(LOST, 1, deleting=True)
    found = plan_failover(TARGET, Failover(), seen)
    assert isinstance(found, Plan)
    assert found.steps[0].data["primary"] == "shop-2"


def test_a_failover_that_was_killed_after_its_record_goes_on() -> None:
    candidate = halted(1)
    seen = recorded(
        dataclasses.replace(LOST, answers={0: SILENT, 1: candidate, 2: halted(2)}),
        primary="shop-1",
        epoch=2,
        dismissed="shop-0",
    )
    assert first(plan_failover(TARGET, Failover(away_from="shop-1"), seen)) == "dismiss shop-0"


def test_a_replica_that_leaves_follows_as_long_as_it_is_there() -> None:
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: replica(2, of=None)})
    assert "attach shop-2" in actions(plan_for(seen, Desired(2)))


def test_a_successor_that_is_lost_too_is_replaced_once_the_one_before_is_gone() -> None:
    seen = recorded(
        dataclasses.replace(LOST, answers={0: SILENT, 1: SILENT, 2: halted(2)}),
        primary="shop-1",
        epoch=2,
        dismissed="shop-0",
    )
    wish = Failover(without=("shop-0",), away_from="shop-1")
    assert first(plan_failover(TARGET, wish, seen)) == "dismiss shop-0"
    gone = recorded(with_pod(seen, 0, uid="uid-of-the-next"), dismissed_uid="uid-0")
    found = plan_failover(TARGET, wish, gone)
    assert isinstance(found, Plan)
    assert (found.steps[0].data["primary"], found.steps[0].data["dismissed"]) == ("shop-2", "shop-1")


def test_a_server_that_answers_with_an_error_is_not_lost() -> None:
    told = Answer(Kind.REFUSED, "it answers with an error (Too many connections, error 1040)")
    seen = dataclasses.replace(LOST, answers={**LOST.answers, 0: told})
    assert "answers, so there is nothing to fail over from" in reason(plan_failover(TARGET, Failover(), seen))


def test_a_replica_that_cannot_apply_is_named_whoever_its_source_was() -> None:
    stands = replica(2, of=1, executed=gtids(of_0="1-3"), received=FIVE)
    source = dataclasses.replace(stands.source, applier="No", error="Duplicate entry", apply_error="Duplicate entry")
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: dataclasses.replace(stands, source=source)})
    assert "shop-2 cannot apply what it has received: Duplicate entry" in reason(plan_for(seen))
    assert first(plan_for(seen, Desired(3, copies=("shop-2",)))) == "copy shop-2"


def test_a_successor_that_cannot_apply_what_it_received_takes_no_writes() -> None:
    stands = dataclasses.replace(
        halted(1, executed=gtids(of_0="1-4")),
        source=Source(
            TARGET.host(0), receiver="No", applier="No", error="Duplicate entry", apply_error="Duplicate entry"
        ),
    )
    seen = dataclasses.replace(GONE, answers={**GONE.answers, 1: stands})
    assert "cannot apply what it has received" in reason(plan_for(seen))


def test_a_replica_that_was_halted_without_a_connection_is_attached_again() -> None:
    """Its error is of the time when the primary was away."""
    row = {
        "Source_Host": TARGET.host(0),
        "Replica_IO_Running": "No",
        "Replica_SQL_Running": "Yes",
        "Last_IO_Errno": 2003,
        "Last_IO_Error": "Error connecting to source",
        "Seconds_Behind_Source": None,
    }
    assert MySQL().source(row).error == ""
    assert MySQL().source({**row, "Last_IO_Errno": 13114}).error == "Error connecting to source"
    answers = {**HEALTHY.answers, 1: dataclasses.replace(replica(1), source=MySQL().source(row))}
    assert first(plan_for(dataclasses.replace(HEALTHY, answers=answers))) == "attach shop-1"


def test_servers_that_replicate_already_get_no_first_primary() -> None:
    """As those of an adoption that was not run to its end: whoever has no GTIDs would stop."""
    seen = dataclasses.replace(
        HEALTHY,
        record=None,
        stateful_set=dataclasses.replace(t.cast("t.Any", HEALTHY.stateful_set), recorded=None),
        answers={0: primary(own=None), 1: replica(1), 2: replica(2)},
    )
    assert "Nobody has recorded who is primary of shop, and shop-1, shop-2 replicates" in reason(plan_for(seen))


def test_no_other_primary_before_the_pods_ask_who_is() -> None:
    seen = dataclasses.replace(
        HEALTHY, stateful_set=dataclasses.replace(t.cast("t.Any", HEALTHY.stateful_set), asks=False)
    )
    for found in (plan_switchover(TARGET, Switchover(), seen), plan_failover(TARGET, Failover(), seen)):
        assert "is not that of the role yet" in reason(found)


def test_a_mariadb_that_was_halted_and_cannot_apply_is_named_before_a_successor_is_chosen() -> None:
    """What it has received is not counted any more, and it may have it alone."""
    source = Source(TARGET.host(0), receiver="No", applier="No", error="Duplicate entry", apply_error="Duplicate entry")
    forgets = halted(2, executed=gtids(of_0="1-4"), received=gtids(), uptime=100.0)
    forgets = dataclasses.replace(forgets, source=source)
    seen = dataclasses.replace(LOST, answers={**LOST.answers, 2: forgets})
    assert "shop-2 does not apply what it has received" in reason(plan_failover(TARGET, Failover(), seen))
    assert first(plan_failover(TARGET, Failover(without=("shop-2",)), seen)) == "record shop-record"


def mariadb(ordinal: int, executed: str, received: str, **more: t.Any) -> Answer:
    """One that forgets at its start what it has received and not applied."""
    position = BinlogState.position(received)
    return halted(ordinal, executed=BinlogState.parse(executed), received=position, uptime=100.0, **more)


BEHIND = mariadb(2, "0-100-140", "0-100-150")
FORGOT = mariadb(2, "0-100-140", "")


def test_what_a_mariadb_may_forget_is_written_down_before_anybody_is_refused() -> None:
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: SILENT, 2: BEHIND})
    found = plan_failover(TARGET, Failover(), seen)
    assert actions(found) == ["remember shop-record", "wait"]
    had = found.steps[0].data["had"]
    written = recorded(seen, had=had)
    assert "shop-1 does not answer" in reason(plan_failover(TARGET, Failover(), written))
    back = {0: SILENT, 1: mariadb(1, "0-100-140", "0-100-140"), 2: FORGOT}
    found = plan_failover(TARGET, Failover(), dataclasses.replace(written, answers=back))
    assert "shop-2 had 10 transactions" in reason(found)


def test_what_an_earlier_failover_wrote_down_is_not_taken_for_all() -> None:
    seen = recorded(LOST, had={"shop-2": BinlogState.parse("0-100-145")})
    seen = dataclasses.replace(seen, answers={0: SILENT, 1: SILENT, 2: BEHIND})
    assert first(plan_failover(TARGET, Failover(), seen)) == "remember shop-record"
    more = dataclasses.replace(BEHIND, source=Source(TARGET.host(0), receiver="Yes"))
    seen = dataclasses.replace(seen, answers={**seen.answers, 2: more})
    assert "shop-1 does not answer" in reason(plan_failover(TARGET, Failover(), seen))


def test_what_a_mariadb_may_forget_is_written_down_before_another_one_applies() -> None:
    stopped = Source(TARGET.host(0), receiver="Connecting", applier="No", lag=None)
    idle = dataclasses.replace(mariadb(1, "0-100-140", "0-100-145"), source=stopped)
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: idle, 2: BEHIND})
    assert actions(plan_failover(TARGET, Failover(), seen))[:2] == ["remember shop-record", "apply shop-1"]
    stumbles = dataclasses.replace(idle, source=dataclasses.replace(stopped, apply_error="Duplicate entry"))
    seen = dataclasses.replace(seen, answers={**seen.answers, 1: stumbles})
    found = plan_failover(TARGET, Failover(), seen)
    assert actions(found) == ["remember shop-record", "wait"]
    written = recorded(seen, had=found.steps[0].data["had"])
    assert "shop-1 does not apply" in reason(plan_failover(TARGET, Failover(), written))


@pytest.mark.parametrize("to", ["", "shop-1"])
def test_the_only_replica_takes_over_without_what_it_forgot(to: str) -> None:
    there = {0: SILENT, 1: mariadb(1, "0-100-140", "")}
    seen = recorded(snapshot(list(there.values())), had={"shop-1": BinlogState.parse("0-100-150")})
    refused = plan_failover(TARGET, Failover(to=to), seen)
    assert "shop-1 had 10 transactions" in reason(refused)
    assert "without=shop-1" in refused.choices[1]
    found = plan_failover(TARGET, Failover(to=to, without=("shop-1",)), seen)
    assert first(found) == "record shop-record"
    assert (found.steps[0].data["primary"], found.steps[0].data["had"]) == ("shop-1", {})
    begun = recorded(
        seen, epoch=2, primary="shop-1", dismissed="shop-0", dismissed_uid="uid", without=("shop-1",), had={}
    )
    assert "promote shop-1" in actions(plan_failover(TARGET, Failover(without=("shop-1",)), begun))


def test_where_all_forgot_the_advice_names_all_of_them_and_helps() -> None:
    answers = {0: SILENT, 1: mariadb(1, "0-100-140", ""), 2: mariadb(2, "0-100-141", "")}
    had = {pod: BinlogState.parse("0-100-150") for pod in ("shop-1", "shop-2")}
    seen = recorded(dataclasses.replace(LOST, answers=answers), had=had)
    for without in ((), ("shop-1",), ("shop-2",)):
        refused = plan_failover(TARGET, Failover(without=without), seen)
        assert "which nobody has any more" in reason(refused)
        assert refused.choices[1].endswith("without=shop-1,shop-2")
    found = plan_failover(TARGET, Failover(without=("shop-1", "shop-2")), seen)
    assert first(found) == "record shop-record"
    assert found.steps[0].data["primary"] == "shop-2"


def test_who_is_left_out_already_stays_so_in_the_advice() -> None:
    seen = dataclasses.replace(LOST, answers={0: SILENT, 1: SILENT, 2: SILENT})
    refused = plan_failover(TARGET, Failover(without=("shop-1",)), seen)
    assert "shop-2 does not answer" in reason(refused)
    assert refused.choices[1].endswith("without=shop-1,shop-2")


def test_whom_a_hand_over_finds_apart_is_recorded_before_the_primary_takes_no_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is to take writes after a killed run would be kept from it by that one for ever."""
    seen = dataclasses.replace(HEALTHY, answers={**HEALTHY.answers, 2: ERRANT})
    step = plan_switchover(TARGET, Switchover(to="shop-1"), seen).steps[0]
    assert (step.action, step.data["without"]) == ("hand_over", ("shop-2",))
    written: list[Record] = []

    def write(_observer: object, record: Record) -> Record:
        written.append(record)
        return dataclasses.replace(record, resource_version="2")

    def hand_over(**given: t.Any) -> None:
        assert [record.without for record in written] == [("shop-2",)]
        given["record"]()
        raise NotYet("killed")

    monkeypatch.setattr(_act, "_write", write)
    monkeypatch.setattr(_act, "hand_over", hand_over)
    with pytest.raises(NotYet):
        _act.act(t.cast("t.Any", Watched()), step, seen)
    told = [(record.epoch, record.without, record.resource_version) for record in written]
    assert told == [(1, ("shop-2",), "1"), (2, ("shop-2",), "2")]


class Watched:
    """Reaches every server."""

    links = dict.fromkeys(range(3), "a link")

    def forget_objects(self) -> None:
        """Nothing is remembered."""
