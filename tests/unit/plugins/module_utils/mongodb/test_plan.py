# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner by example: what it says of one snapshot."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import (
    Desired,
    MemberOptions,
    Target,
    desired_of,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._facts import facts, problems
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan, waiting_for
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import without_majority
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
EMPTY = Answer(Kind.UNINITIALISED)
FORGOTTEN = Answer(Kind.UNINITIALISED, users=True)


def host(ordinal: int) -> str:
    return f"shop-{ordinal}.shop.prod.svc.cluster.local:27017"


def config(count: int, set_id: str = "id1", **changes: t.Any) -> Config:
    fields: dict[str, t.Any] = {
        "set_name": "shop",
        "set_id": set_id,
        "version": 5,
        "term": 1,
        "members": tuple(MemberConfig(ordinal, host(ordinal)) for ordinal in range(count)),
    }
    return Config(**{**fields, **changes})


def member(state: str, of: Config, kind: Kind = Kind.MEMBER, term: int = 1, down: t.Sequence[int] = ()) -> Answer:
    statuses = tuple(
        MemberStatus(m.host, "(not reachable/healthy)" if n in down else "SECONDARY", n not in down, 100.0)
        for n, m in enumerate(of.members)
    )
    return Answer(kind, "", state, of.set_name, of if kind is Kind.MEMBER else None, statuses, of.voters, term)


def seen(
    answers: t.Mapping[int, Answer],
    recorded: str = "id1",
    replicas: t.Optional[int] = None,
    parallel: bool = True,
    **more: t.Any,
) -> Snapshot:
    stateful_set = StatefulSet("u", "1", len(answers) if replicas is None else replicas, "shop", parallel, recorded)
    pods = {ordinal: Pod(f"shop-{ordinal}") for ordinal in answers}
    fields: dict[str, t.Any] = {"stateful_set": stateful_set, "pods": pods, "answers": answers, "root_user": "root"}
    return Snapshot(**{**fields, **more})


def formed(members: int, primary: int = 0, **more: t.Any) -> Snapshot:
    its = config(members)
    return seen({o: member("PRIMARY" if o == primary else "SECONDARY", its) for o in range(members)}, **more)


def steps(desired: Desired, snapshot: Snapshot) -> list[str]:
    found = plan(TARGET, desired, snapshot)
    assert isinstance(found, Plan), found
    return [step.action for step in found.steps]


def refusal(desired: Desired, snapshot: Snapshot) -> str:
    found = plan(TARGET, desired, snapshot)
    assert isinstance(found, Refusal), found
    assert found.choices
    return found.sentence()


def test_whole_plan_of_an_absent_application() -> None:
    found = plan(TARGET, Desired(3), Snapshot(secret=False))
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == [
        "wait",
        "wait",
        "initiate",
        "create_user",
        "record",
        "add",
        "add",
        "wait",
    ]
    text = "\n".join(step.sentence for step in found.steps)
    assert "add shop-2 (shop-2.shop.prod.svc.cluster.local:27017) as a voting member" in text
    assert "prod/shop-root" in text


@pytest.mark.parametrize("primary", [0, 1, 2])
def test_nothing_to_do_whoever_is_primary(primary: int) -> None:
    assert steps(Desired(3), formed(3, primary)) == []


def test_two_votes_out_of_three_are_not_formed_yet() -> None:
    its = config(3)
    first = member("PRIMARY", its)
    joining = Answer(first.kind, "", "PRIMARY", "shop", its, first.statuses, voting=2, term=1)
    assert steps(Desired(3), seen({0: joining, 1: member("SECONDARY", its), 2: member("SECONDARY", its)})) == ["wait"]


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (Answer(Kind.UNREACHABLE, "its pod does not run"), "its pod does not run"),
        (EMPTY, f"its disk is empty; it waits for the configuration from {host(0)}"),
        (Answer(Kind.REFUSED, "it does not let in user root"), "it does not let in user root"),
        (member("STARTUP2", config(3), Kind.NO_USER), "STARTUP2 by its own word"),
        (member("STARTUP2", config(3)), "STARTUP2 by its own word"),
        (member("SECONDARY", config(3), Kind.NO_USER), None),
    ],
)
def test_a_member_that_was_just_lost_is_not_taken_for_serving(own: Answer, why: t.Optional[str]) -> None:
    """The primary believes in it until the next heartbeat fails."""
    its = config(3)
    found = plan(TARGET, Desired(3), seen({0: member("PRIMARY", its), 1: member("SECONDARY", its), 2: own}))
    assert isinstance(found, Plan)
    assert [step.action for step in found.steps] == ["wait"]
    assert "shop-2 is SECONDARY by the primary's last heartbeat only" in found.steps[0].sentence
    assert (why or "") in found.steps[0].sentence


@pytest.mark.parametrize("own", [EMPTY, member("SECONDARY", config(3)), member("STARTUP2", config(3), Kind.NO_USER)])
def test_a_name_under_which_the_primary_gets_no_answer_is_named(own: Answer) -> None:
    its = config(3)
    answers = {0: member("PRIMARY", its, down=[2]), 1: member("SECONDARY", its), 2: own}
    found = plan(TARGET, Desired(3), seen(answers))
    assert isinstance(found, Plan)
    assert f"the primary gets no answer under the name {host(2)}" in found.steps[0].sentence


def test_ordinals_are_numbers() -> None:
    options = {ordinal: MemberOptions(priority=0, votes=0) for ordinal in range(7, 12)}
    its = config(7)
    answers = {ordinal: member("PRIMARY" if not ordinal else "SECONDARY", its) for ordinal in range(7)}
    found = plan(TARGET, Desired(12, options), seen({**answers, **dict.fromkeys(range(7, 12), EMPTY)}))
    assert isinstance(found, Plan)
    assert [step.target for step in found.changes] == ["shop-7", "shop-8", "shop-9", "shop-10", "shop-11"]


def test_growing_waits_for_a_member_that_is_down() -> None:
    its = config(3)
    answers = {
        0: member("PRIMARY", its, down=[2]),
        1: member("SECONDARY", its),
        2: Answer(Kind.UNREACHABLE, "no answer"),
        3: EMPTY,
        4: EMPTY,
    }
    found = plan(TARGET, Desired(5), seen(answers))
    assert isinstance(found, Plan)
    assert not found.steps[0].change
    assert "shop-2" in found.steps[0].sentence
    assert "no answer" in found.steps[0].sentence


def test_a_new_set_takes_all_joining_members_at_once() -> None:
    its = config(2)
    first = member("PRIMARY", its, down=[1])
    alone = Answer(first.kind, "", "PRIMARY", "shop", its, first.statuses, voting=1, term=1)
    assert steps(Desired(3), seen({0: alone, 1: EMPTY, 2: EMPTY}))[0] == "add"


def test_a_member_is_added_only_on_its_own_word() -> None:
    its = config(3)
    answers = {o: member("PRIMARY" if not o else "SECONDARY", its) for o in range(3)}
    starting = Answer(Kind.UNINITIALISED, settled=False)
    for answer, first in ((Answer(Kind.UNREACHABLE, "no answer"), "wait"), (starting, "wait"), (EMPTY, "add")):
        assert steps(Desired(4), seen({**answers, 3: answer}))[0] == first


def test_removed_member_of_the_same_set_is_added_again() -> None:
    its = config(3)
    answers = {o: member("PRIMARY" if not o else "SECONDARY", its) for o in range(3)}
    assert steps(Desired(4), seen({**answers, 3: Answer(Kind.REMOVED, config=its)}))[0] == "add"
    assert steps(Desired(4), seen({**answers, 3: Answer(Kind.REMOVED)}))[0] == "wait"
    foreign = Answer(Kind.REMOVED, config=config(3, "id2"))
    assert "id2" in refusal(Desired(4), seen({**answers, 3: foreign}))


def test_unreachable_is_not_uninitialised() -> None:
    answers = {0: EMPTY, 1: EMPTY, 2: Answer(Kind.UNREACHABLE, "no answer")}
    assert steps(Desired(3), seen(answers, recorded=""))[0] == "wait"


def test_a_starting_server_is_not_believed_at_once() -> None:
    answers = {0: EMPTY, 1: Answer(Kind.UNINITIALISED, settled=False), 2: EMPTY}
    assert steps(Desired(3), seen(answers, recorded=""))[0] == "wait"


def test_a_new_set_may_begin_with_data_of_pod_0_and_overwrites_no_other() -> None:
    assert steps(Desired(3), seen({0: FORGOTTEN, 1: EMPTY, 2: EMPTY}, recorded=""))[0] == "initiate"
    told = refusal(Desired(3), seen({0: FORGOTTEN, 1: FORGOTTEN, 2: FORGOTTEN}, recorded=""))
    assert told.startswith("The disks of shop-1, shop-2 have users, so data")
    assert "shop-1 is not initialised and has users" in told
    assert "disks of shop-2 have users" in refusal(Desired(3), seen({0: EMPTY, 1: EMPTY, 2: FORGOTTEN}, recorded=""))
    # One that starts may be of a set, and is waited for.
    starting = dataclasses.replace(FORGOTTEN, settled=False)
    assert steps(Desired(3), seen({0: EMPTY, 1: EMPTY, 2: starting}, recorded=""))[0] == "wait"
    # Whoever has a configuration decides.
    formed_by_others = {0: FORGOTTEN, 1: FORGOTTEN, 2: member("PRIMARY", config(3))}
    assert isinstance(plan(TARGET, Desired(3), seen(formed_by_others, recorded="")), Plan)


def test_a_recorded_set_is_waited_for_and_never_initiated() -> None:
    answers = {0: EMPTY, 1: EMPTY, 2: Answer(Kind.UNREACHABLE, "no answer")}
    assert steps(Desired(3), seen(answers)) == ["wait"]
    starting = {0: EMPTY, 1: Answer(Kind.UNINITIALISED, settled=False), 2: EMPTY}
    assert steps(Desired(3), seen(starting)) == ["wait"]


def test_ordered_pods() -> None:
    alone = seen({0: EMPTY}, recorded="", replicas=3, parallel=False)
    assert steps(Desired(3), alone)[0] == "initiate"
    with_claim = seen({0: EMPTY}, recorded="", replicas=3, parallel=False, claims={2: ("data-shop-2",)})
    assert steps(Desired(3), with_claim)[0] == "wait"
    parallel = seen({0: EMPTY}, recorded="", replicas=3)
    assert steps(Desired(3), parallel)[0] == "wait"


def test_killed_after_initiate_goes_on_with_the_user() -> None:
    begun = member("PRIMARY", config(1), Kind.NO_USER)
    answers = {0: begun, 1: EMPTY, 2: EMPTY}
    assert steps(Desired(3), seen(answers, recorded="")) == ["create_user", "record", "add", "add", "wait"]
    # The recorded set has users: this is not it.
    assert steps(Desired(3), seen({**answers, 2: Answer(Kind.UNREACHABLE, "")})) == ["wait"]


def test_empty_pod_0_rejoins() -> None:
    its = config(3)
    answers = {0: EMPTY, 1: member("PRIMARY", its, down=[0]), 2: member("SECONDARY", its)}
    for recorded in ("id1", ""):
        found = plan(TARGET, Desired(3), seen(answers, recorded=recorded))
        assert isinstance(found, Plan)
        assert {step.action for step in found.steps} <= {"wait", "record"}
        assert "its disk is empty" in found.steps[-1].sentence


def test_of_two_primaries_the_newer_term_is_right() -> None:
    its = config(3)
    answers = {0: member("PRIMARY", its, term=1), 1: member("PRIMARY", its, term=2), 2: member("SECONDARY", its)}
    assert seen(answers).primary == 1


def test_settings_that_are_not_declared_are_left_alone() -> None:
    its = config(1, settings=(("chainingAllowed", True), ("electionTimeoutMillis", 4000)))
    snapshot = seen({0: member("PRIMARY", its)})
    assert steps(Desired(1), snapshot) == []
    assert steps(Desired(1, settings=(("electionTimeoutMillis", 4000),)), snapshot) == []
    found = plan(TARGET, Desired(1, settings=(("chainingAllowed", False), ("electionTimeoutMillis", 4000))), snapshot)
    assert isinstance(found, Plan)
    assert found.steps[0].data["settings"] == {"chainingAllowed": False}


def test_the_primary_steps_down_before_it_loses_its_priority() -> None:
    desired = Desired(3, {1: MemberOptions(priority=0)})
    assert steps(desired, formed(3, primary=1)) == ["step_down", "change", "wait"]
    assert steps(desired, formed(3, primary=0)) == ["change", "wait"]


def test_votes_are_added_before_votes_are_taken_away() -> None:
    its = config(3)
    answers = {ordinal: member("PRIMARY" if ordinal == 2 else "SECONDARY", its) for ordinal in range(3)}
    desired = Desired(5, {0: MemberOptions(priority=0, votes=0), 1: MemberOptions(priority=2)})
    found = plan(TARGET, desired, seen({**answers, 3: EMPTY, 4: EMPTY}))
    assert isinstance(found, Plan)
    assert [step.target for step in found.changes] == ["shop-1", "shop-3", "shop-4", "shop-0"]


def test_a_full_set_gives_up_a_vote_before_it_takes_another() -> None:
    its = config(7)
    answers = {ordinal: member("PRIMARY" if not ordinal else "SECONDARY", its) for ordinal in range(7)}
    found = plan(TARGET, Desired(8, {3: MemberOptions(priority=0, votes=0)}), seen({**answers, 7: EMPTY}))
    assert isinstance(found, Plan)
    assert [step.target for step in found.changes] == ["shop-3", "shop-7"]


def test_even_number_of_voters_is_a_warning() -> None:
    found = plan(TARGET, Desired(2), formed(2))
    assert isinstance(found, Plan)
    assert found.steps == ()
    assert "odd number" in found.warnings[0]
    assert not Desired(3).warnings


def sentences(desired: Desired, snapshot: Snapshot) -> list[str]:
    found = plan(TARGET, desired, snapshot)
    assert isinstance(found, Plan), found
    return [step.sentence for step in found.steps]


def test_the_whole_way_down() -> None:
    """The primary moves to one that stays; then out of the configuration, highest ordinal first; then the pods."""
    assert sentences(Desired(3), formed(5, primary=4)) == [
        "let shop-4 step down for shop-0, which is 0 s behind",
        f"take shop-4 ({host(4)}) out of the configuration",
        f"take shop-3 ({host(3)}) out of the configuration",
        "lower the StatefulSet shop from 5 to 3 replicas: shop-3, shop-4 go, and their claims are kept",
        "hand the number of replicas back to whoever declared it for the StatefulSet shop",
        "wait until these pods are gone: shop-3, shop-4",
        "wait until all 3 members are PRIMARY or SECONDARY",
    ]


def test_claims_go_only_if_asked_and_last() -> None:
    claims = {ordinal: (f"data-shop-{ordinal}",) for ordinal in range(3)}
    left = formed(1, replicas=1, claims=claims)
    assert steps(Desired(1), left) == []
    assert steps(Desired(1, delete_claims=True), left) == ["delete_claim", "delete_claim", "wait"]


def lost(members: int, *away: int) -> Snapshot:
    """Members that nobody reaches, neither we nor the primary, which is the lowest of the others."""
    its = config(members)
    primary = next(ordinal for ordinal in range(members) if ordinal not in away)
    answers = {
        ordinal: Answer(Kind.UNREACHABLE, "it hangs")
        if ordinal in away
        else member("PRIMARY" if ordinal == primary else "SECONDARY", its, down=away)
        for ordinal in range(members)
    }
    return seen(answers)


def test_who_does_not_serve_leaves_first() -> None:
    found = plan(TARGET, Desired(1), lost(3, 1))
    assert isinstance(found, Plan)
    assert [step.target for step in found.steps if step.action == "remove"] == ["shop-1", "shop-2"]
    assert found.steps[0].action == "remove"


def test_nobody_who_serves_leaves_while_one_that_stays_is_away() -> None:
    told = sentences(Desired(3), lost(5, 1))
    assert told[0].startswith("wait until all members that stay serve: shop-1 is (not reachable/healthy) (it hangs)")


def test_a_minority_waits_for_a_primary_and_removes_nobody() -> None:
    its = config(3)
    answers = {0: member("SECONDARY", its, down=[1, 2]), 1: Answer(Kind.UNREACHABLE), 2: Answer(Kind.UNREACHABLE)}
    assert sentences(Desired(1), seen(answers))[0].startswith("wait until a member is primary")


def test_pods_stay_until_a_majority_knows_that_their_member_is_out() -> None:
    now, before = config(3, version=9), config(3, version=8)
    answers = {
        0: member("PRIMARY", now),
        1: member("SECONDARY", before),
        2: member("SECONDARY", before),
        3: Answer(Kind.REMOVED, config=before),
    }
    assert sentences(Desired(3), seen(answers))[0] == (
        "wait until a majority has version 9 of the configuration: not yet shop-1, shop-2"
    )
    assert steps(Desired(3), seen({**answers, 1: member("SECONDARY", now)}))[0] == "scale"


def of_revisions(snapshot: Snapshot, *revisions: str, newest: str = "new", **changes: t.Any) -> Snapshot:
    assert snapshot.stateful_set
    pods = {
        ordinal: dataclasses.replace(snapshot.pods[ordinal], revision=revision)
        for ordinal, revision in enumerate(revisions)
    }
    stateful_set = dataclasses.replace(snapshot.stateful_set, revision=newest, **changes)
    return dataclasses.replace(snapshot, pods=pods, stateful_set=stateful_set)


def test_a_rolling_change_takes_the_primary_last() -> None:
    assert sentences(Desired(3), of_revisions(formed(3, primary=1), "old", "old", "old")) == [
        "replace pod shop-2 (SECONDARY), which is of revision old, by one of new",
        "wait until shop-2 serves and has caught up",
        "replace pod shop-0 (SECONDARY), which is of revision old, by one of new",
        "wait until shop-0 serves and has caught up",
        "let shop-1 step down for shop-0, which is 0 s behind",
        "replace pod shop-1 (PRIMARY), which is of revision old, by one of new",
        "wait until all 3 members are PRIMARY or SECONDARY",
    ]


def test_only_old_pods_are_replaced() -> None:
    assert steps(Desired(3), of_revisions(formed(3), "new", "new", "new")) == []
    assert sentences(Desired(3), of_revisions(formed(3), "new", "old", "new"))[0].startswith("replace pod shop-1")
    assert steps(Desired(3, replace_pods=False), of_revisions(formed(3), "new", "old", "new")) == []
    found = plan(TARGET, Desired(3, replace_pods=False), of_revisions(formed(3), "new", "old", "new"))
    assert "shop-1: of an older revision" in found.warnings[0]  # type: ignore[union-attr]


def test_revisions_are_not_believed_before_the_controller_has_seen_the_template() -> None:
    assert sentences(Desired(3), of_revisions(formed(3), "old", "old", "old", newest="old", settled=False)) == [
        "wait until the controller has seen the newest version of StatefulSet shop"
    ]


def behind(snapshot: Snapshot, seconds: t.Mapping[int, float]) -> Snapshot:
    newest = {host(ordinal): 100.0 - late for ordinal, late in seconds.items()}
    answers = {
        number: dataclasses.replace(
            answer,
            statuses=tuple(dataclasses.replace(each, optime=newest.get(each.host, 100.0)) for each in answer.statuses),
        )
        for number, answer in snapshot.answers.items()
    }
    return dataclasses.replace(snapshot, answers=answers)


def test_a_member_that_lags_stops_the_rolling_change() -> None:
    late = behind(of_revisions(formed(3), "old", "new", "old"), {1: 30})
    assert sentences(Desired(3), late)[0] == (
        "wait until the other members serve and are at most 10 s behind: shop-1 is 30 s behind"
    )
    assert sentences(Desired(3, lag_limit=40), late)[0].startswith("replace pod shop-2")


def test_a_primary_steps_down_only_for_one_that_has_caught_up() -> None:
    late = behind(of_revisions(formed(3), "old", "new", "new"), {1: 30, 2: 20})
    assert sentences(Desired(3), late)[0].endswith("at most 10 s behind: shop-1 is 30 s behind; shop-2 is 20 s behind")
    found = plan(TARGET, Desired(3), behind(of_revisions(formed(3), "old", "new", "new"), {1: 3}))
    assert isinstance(found, Plan)
    assert found.steps[0].action == "step_down"
    assert found.steps[0].data["to"] == 2


def test_a_member_that_is_behind_on_purpose_does_not_stop_anything() -> None:
    members = tuple(
        MemberConfig(o, host(o), **({"priority": 0.0, "hidden": True, "secondary_delay_secs": 60} if o == 1 else {}))
        for o in range(3)
    )
    its = config(3, members=members)
    answers = {o: member("PRIMARY" if not o else "SECONDARY", its) for o in range(3)}
    desired = Desired(3, {1: MemberOptions(priority=0, hidden=True, secondary_delay_secs=60)})
    late = behind(of_revisions(seen(answers), "new", "new", "old"), {1: 65})
    assert steps(desired, late)[0] == "replace"
    assert steps(desired, behind(late, {1: 75}))[0] == "wait"


def test_an_only_member_is_replaced_with_a_word_on_what_it_costs() -> None:
    [first, _wait] = sentences(Desired(1), of_revisions(formed(1), "old"))
    assert "nothing is written until it is back" in first


def test_a_stuck_pod_of_an_old_revision_is_replaced_before_anything_else() -> None:
    """After a change that could not work was taken back."""
    its = config(3)
    answers = {
        0: member("PRIMARY", its, down=[2]),
        1: member("SECONDARY", its, down=[2]),
        2: Answer(Kind.UNREACHABLE, "its pod waits to be restarted"),
    }
    found = of_revisions(seen(answers), "new", "new", "broken")
    pods = {**found.pods, 2: dataclasses.replace(found.pods[2], obstacle="is not ready", uid="u2")}
    found = dataclasses.replace(found, pods=pods)
    told = plan(TARGET, Desired(3), found)
    assert isinstance(told, Plan)
    assert told.steps[0].action == "replace"
    assert told.steps[0].data == {"ordinal": 2, "pod": "shop-2", "uid": "u2"}
    assert [step.target for step in told.changes] == ["shop-2"]
    # It may be only us who do not reach it.
    healthy = {o: member("PRIMARY" if not o else "SECONDARY", its) for o in range(2)}
    there = dataclasses.replace(found, answers={**healthy, 2: answers[2]})
    assert "no server answers" not in sentences(Desired(3), there)[0]


@pytest.mark.parametrize(
    ("snapshot", "members", "expected"),
    [
        (seen({0: EMPTY, 1: EMPTY}, recorded="id1"), 2, "emptied"),
        (seen({0: Answer(Kind.REFUSED), 1: Answer(Kind.UNREACHABLE)}), 2, "The password in Secret prod/shop-root"),
        (seen({0: Answer(Kind.REFUSED)}, secret=False), 1, "There is no Secret shop-root in namespace prod"),
        (seen({0: Answer(Kind.STANDALONE)}), 1, "without --replSet"),
        (formed(3, recorded="id9"), 3, "id9"),
        (
            seen({0: member("PRIMARY", config(1)), 1: member("PRIMARY", config(1, "id2"))}, recorded=""),
            2,
            "more than one replica set",
        ),
        (seen({0: member("PRIMARY", config(1, set_name="rs0"))}), 1, "replica_set: rs0"),
        (
            seen({0: member("PRIMARY", config(1, members=(MemberConfig(0, "shop-0.shop:27017"),)))}),
            1,
            "under the name shop-0.shop:27017",
        ),
        (
            seen({0: member("PRIMARY", config(1, members=(MemberConfig(0, host(0)), MemberConfig(1, "db:27017"))))}),
            1,
            "db:27017",
        ),
        (
            seen({0: member("PRIMARY", config(1, members=(MemberConfig(0, host(0), arbiter_only=True),)))}),
            1,
            "arbiter",
        ),
        (
            seen({0: member("PRIMARY", config(1, members=(MemberConfig(0, host(0), build_indexes=False),)))}),
            1,
            "build_indexes",
        ),
    ],
)
def test_refusals(snapshot: Snapshot, members: int, expected: str) -> None:
    assert expected in refusal(Desired(members), snapshot)


def test_disks_that_nobody_asks_forbid_a_new_set() -> None:
    claims = {ordinal: (f"data-shop-{ordinal}",) for ordinal in range(3)}
    assert "data-shop-1, data-shop-2" in refusal(Desired(1), seen({0: EMPTY}, recorded="", claims=claims))
    own = seen({0: EMPTY}, recorded="", claims={0: ("data-shop-0",)})
    assert isinstance(plan(TARGET, Desired(1), own), Plan)


def test_two_sets_without_users_are_told_apart() -> None:
    one = member("PRIMARY", config(1), Kind.NO_USER)
    other = member("PRIMARY", config(1, members=(MemberConfig(0, host(1)),)), Kind.NO_USER)
    assert "more than one replica set" in refusal(Desired(2), seen({0: one, 1: other}, recorded=""))


def test_what_must_be_there_first() -> None:
    assert "no StatefulSet shop in namespace prod" in str(waiting_for(TARGET, Desired(1), Snapshot()))
    assert "has 3 replicas and members is 5" in str(waiting_for(TARGET, Desired(5), formed(3)))
    assert "no Secret shop-root" in str(waiting_for(TARGET, Desired(3), formed(3, secret=False)))
    assert waiting_for(TARGET, Desired(3), formed(3)) is None


def option(ordinal: int, **given: t.Any) -> dict[str, t.Any]:
    defaults = {
        "priority": None,
        "votes": None,
        "hidden": False,
        "tags": {},
        "secondary_delay_secs": 0,
        "build_indexes": True,
    }
    return {"ordinal": ordinal, **defaults, **given}


@pytest.mark.parametrize(
    ("members", "options", "expected"),
    [
        (0, [], "members: expected 1 to 50"),
        (-3, [], "found -3"),
        (51, [], "found 51"),
        (9, [option(ordinal, votes=1) for ordinal in range(8)], "at most 7 voting members"),
        (3, [option(3)], "ordinal 3 is not a declared member"),
        (3, [option(1), option(1)], "given twice"),
        (3, [option(1, votes=0, priority=1.0)], "priority must be 0 where votes is 0"),
        (3, [option(1, hidden=True)], "priority must be 0 where hidden is true"),
        (3, [option(1, secondary_delay_secs=60)], "priority must be 0 where secondary_delay_secs is set"),
        (3, [option(1, build_indexes=False)], "priority must be 0 where build_indexes is false"),
        (3, [option(1, priority=1001.0)], "priority must be 0 to 1000"),
        (3, [option(1, secondary_delay_secs=-1, priority=0.0)], "must not be negative"),
        (1, [option(0, priority=0.0)], "no declared member can become primary"),
        (3, [option(0, priority=0.0, build_indexes=False)], "build_indexes must be true"),
        (3, [option(2, arbiter_only=True, priority=1.0)], "priority must be 0 where arbiter_only is true"),
        (3, [option(2, arbiter_only=True, votes=0)], "an arbiter .* found votes"),
        (3, [option(2, arbiter_only=True, tags={"a": "b"}, hidden=True)], "an arbiter .* found hidden and tags"),
        (3, [option(0, arbiter_only=True)], "not for ordinal 0.* found it at ordinal 0"),
        (
            4,
            [option(2, arbiter_only=True), option(3, arbiter_only=True)],
            "one member at most.* found it at ordinal 2, 3",
        ),
        (2, [option(0, horizons={"out": "a:1"})], "ordinal 1 has no out"),
        (1, [option(0, horizons={"out": "a"})], "HOST:PORT, and there once only; found 'a'"),
        (2, [option(0, horizons={"out": "a:1"}), option(1, horizons={"out": "a:1"})], "found 'a:1' more than once"),
    ],
)
def test_wrong_declarations_name_the_option(members: int, options: list[dict[str, t.Any]], expected: str) -> None:
    with pytest.raises(Failure, match=expected):
        declared(members, options)


def test_a_lag_limit_of_no_time_is_refused() -> None:
    with pytest.raises(Failure, match="lag_limit: expected 1 second or more, found 0"):
        declared(3, lag_limit=0)


@pytest.mark.parametrize("given", ["6", "6.0.5", "six"])
def test_a_feature_compatibility_version_is_a_series(given: str) -> None:
    with pytest.raises(Failure, match=f"expected a series of MongoDB such as 6.0, in quotes, found '{given}'"):
        declared(3, feature_compatibility_version=given)


def declared(members: int, options: t.Sequence[dict[str, t.Any]] = (), **given: t.Any) -> Desired:
    defaults = {
        "settings": None,
        "lag_limit": 10,
        "replace_pods": True,
        "template_changes": False,
        "claims_when_scaled": "retain",
        "authentication": "required",
        "feature_compatibility_version": None,
    }
    return desired_of({**defaults, "members": members, "member_options": list(options), **given})


@pytest.mark.parametrize(
    ("members", "options", "silent"),
    [
        (1, [], []),
        (2, [], [1]),
        (3, [], []),
        (4, [], [3]),
        (7, [], []),
        (8, [], [7]),
        (9, [], [7, 8]),
        (4, [option(3, priority=2.0)], [2]),
        (4, [option(3, tags={"use": "reports"})], [3]),
        (4, [option(0, votes=0)], [0]),
        (5, [option(0, votes=0)], [0, 4]),
        (3, [option(2, arbiter_only=True)], []),
        (4, [option(2, arbiter_only=True)], [3]),
        # What is declared is left alone, and is even then.
        (2, [option(0, votes=1), option(1, votes=1)], []),
        # Somebody has to be primary.
        (2, [option(0, priority=0.0)], []),
    ],
)
def test_votes_that_nobody_declares_are_odd_and_seven_at_most(
    members: int, options: list[dict[str, t.Any]], silent: list[int]
) -> None:
    found = declared(members, options)
    assert [ordinal for ordinal in found.ordinals if not found.member(ordinal).votes] == silent
    assert all(found.member(ordinal).priority == 0 for ordinal in silent)


def test_a_declaration() -> None:
    found = declared(
        9,
        [
            option(7, votes=0, priority=0.0),
            option(8, votes=0, priority=0.0, tags={"use": "reports"}),
        ],
        settings={"chaining_allowed": False, "election_timeout_millis": None},
    )
    assert found.voters == 7
    assert found.member(8).tags == (("use", "reports"),)
    assert found.settings == (("chainingAllowed", False),)


def test_facts_and_problems_with_a_member_down() -> None:
    its = config(3)
    answers = {
        0: member("PRIMARY", its, down=[2]),
        1: member("SECONDARY", its),
        2: Answer(Kind.UNREACHABLE, "its pod is not scheduled"),
    }
    snapshot = seen(answers)
    state = facts(TARGET, snapshot, 0.0)
    assert (state["primary"], state["config_version"], state["set_id"]) == ("shop-0", 5, "id1")
    assert [entry["pod"] for entry in state["members"]] == ["shop-0", "shop-1", "shop-2"]
    assert state["members"][2]["health"] is False
    assert problems(TARGET, snapshot, 0.0) == ["shop-2: its pod is not scheduled"]


def test_lag_is_taken_from_the_members_own_word_where_that_is_newer() -> None:
    def heard(optimes: t.Sequence[float], state: str) -> Answer:
        states = ("PRIMARY", "SECONDARY")
        statuses = tuple(MemberStatus(host(n), states[n], True, optime) for n, optime in enumerate(optimes))
        return dataclasses.replace(member(state, config(2)), statuses=statuses)

    snapshot = seen({0: heard([110.0, 100.0], "PRIMARY"), 1: heard([100.0, 109.0], "SECONDARY")})
    assert [entry["lag_seconds"] for entry in facts(TARGET, snapshot, 0.0)["members"]] == [0, 1]


def test_facts_of_nothing() -> None:
    assert facts(TARGET, Snapshot(), 0.0)["members"] == []
    assert "no StatefulSet" in problems(TARGET, Snapshot(), 0.0)[0]


def test_a_majority_that_is_away_is_no_reason_to_give_up_but_for_who_takes_members_out() -> None:
    its = config(3)
    answers = {0: member("SECONDARY", its, down=[1, 2]), 1: Answer(Kind.UNREACHABLE), 2: Answer(Kind.UNREACHABLE)}
    told = without_majority(TARGET, Desired(1), seen(answers))
    assert told
    assert told.startswith("1 of 3 voting members answer")
    assert "bring shop-1, shop-2 back" in told
    assert without_majority(TARGET, Desired(3), seen(answers)) is None
    # Two of three may still be electing one.
    two = {**answers, 1: member("SECONDARY", its, down=[2])}
    assert without_majority(TARGET, Desired(1), seen(two)) is None
    assert without_majority(TARGET, Desired(1), formed(3)) is None


def test_an_old_member_that_does_not_serve_is_replaced_first() -> None:
    its = config(3)
    answers = {
        0: dataclasses.replace(member("RECOVERING", its), statuses=()),
        1: member("PRIMARY", its, down=[0]),
        2: member("SECONDARY", its, down=[0]),
    }
    told = sentences(Desired(3), of_revisions(seen(answers), "old", "old", "old"))
    assert told[0].startswith("replace pod shop-0 (RECOVERING)")
    assert told[-2].startswith("replace pod shop-1")


def test_a_claim_that_goes_is_not_deleted_again() -> None:
    claims = {ordinal: (f"data-shop-{ordinal}",) for ordinal in range(3)}
    left = formed(1, replicas=1, claims=claims, going=("data-shop-1",))
    found = plan(TARGET, Desired(1, delete_claims=True), left)
    assert isinstance(found, Plan)
    assert [step.target for step in found.changes] == ["data-shop-2"]
    done = dataclasses.replace(left, claims={0: ("data-shop-0",), 1: ("data-shop-1",)})
    assert sentences(Desired(1, delete_claims=True), done) == ["wait until these claims are gone: data-shop-1"]
