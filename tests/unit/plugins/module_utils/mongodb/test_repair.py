# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a repair says and does, by example."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import typing as t
from types import SimpleNamespace

import bson
import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _client
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair import _act as _repair_act
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair import _operate as _repair
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._judge import Case
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._look import statement as statement_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._plan import BACK_UP, EMPTY, FORCE, plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._report import facts, report
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._repair._state import (
    Choice,
    Evidence,
    Heard,
    Optime,
    Statement,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
    StatefulSet,
    newest_config,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

TARGET = Target(name="shop", namespace="prod", replica_set="shop", root_secret="shop-root")  # noqa: S106
EMPTY_DISK = Answer(Kind.UNINITIALISED)
SILENT = Answer(Kind.UNREACHABLE, "no answer")
GONE = Answer(Kind.UNREACHABLE, "no such pod yet")
ACCEPT = Choice("id1")


def right(ordinal: int) -> str:
    return f"shop-{ordinal}.shop.prod.svc.cluster.local:27017"


def old(ordinal: int) -> str:
    return f"shop-{ordinal}.old.prod.svc.cluster.local:27017"


def address(ordinal: int) -> str:
    return f"10.244.0.{ordinal + 7}:27017"


def config(hosts: t.Sequence[str], set_id: str = "id1", **changes: t.Any) -> Config:
    members = tuple(MemberConfig(number, host) for number, host in enumerate(hosts))
    return Config(**{"set_name": "shop", "set_id": set_id, "version": 5, "term": 3, "members": members, **changes})


def removed(its: Config) -> Answer:
    return Answer(Kind.REMOVED, "not a member", config=its)


def serving(its: Config, state: str, hears: t.Sequence[str] = (), primary: str = "") -> Answer:
    statuses = tuple(
        MemberStatus(m.host, "PRIMARY" if m.host == primary else "SECONDARY", m.host in hears) for m in its.members
    )
    return Answer(Kind.MEMBER, "", state, "shop", its, statuses, its.voters, 3)


def wrote(seconds: int, term: int = 3, **more: t.Any) -> Statement:
    return Statement(newest=Optime(term, seconds), **more)


def evidence(
    answers: t.Mapping[int, Answer],
    statements: t.Optional[t.Mapping[int, Statement]] = None,
    replicas: int = 3,
    **more: t.Any,
) -> Evidence:
    pods = {ordinal: Pod(f"shop-{ordinal}", uid=f"u{ordinal}") for ordinal, said in answers.items() if said is not GONE}
    fields: dict[str, t.Any] = {
        "stateful_set": StatefulSet("u", "1", replicas, "shop", recorded="id1"),
        "pods": pods,
        "claims": {ordinal: (f"data-shop-{ordinal}",) for ordinal in pods},
        "answers": {ordinal: said for ordinal, said in answers.items() if said is not GONE},
    }
    aside = {name: more.pop(name) for name in ("backups", "volumes") if name in more}
    holders = [ordinal for ordinal, said in answers.items() if said.set_id]
    told = {ordinal: wrote(100) for ordinal in holders} if statements is None else statements
    return Evidence(Snapshot(**{**fields, **more}), told, **aside)


def stale(name: t.Callable[[int], str] = old, **more: t.Any) -> Evidence:
    its = config([name(ordinal) for ordinal in range(3)])
    return evidence(dict.fromkeys(range(3), removed(its)), **more)


def steps(choice: Choice, found: Evidence) -> tuple[Step, ...]:
    told = plan(TARGET, choice, found)
    assert isinstance(told, Plan), told
    return told.steps


def refusal(choice: Choice, found: Evidence) -> str:
    told = plan(TARGET, choice, found)
    assert isinstance(told, Refusal), told
    assert told.choices
    return told.sentence()


def actions(choice: Choice, found: Evidence) -> list[str]:
    return [step.action for step in steps(choice, found)]


# Names and addresses that are no more.


@pytest.mark.parametrize("name", [old, address])
def test_all_members_under_stale_names(name: t.Callable[[int], str]) -> None:
    found = stale(name, statements={0: wrote(100), 1: wrote(101), 2: wrote(100)})
    assert steps(Choice(), found) == ()
    told = report(TARGET, Choice(), found)
    assert told.situation == "stale_names"
    assert name(1) in told.diagnosis[0]
    assert told.risk.startswith("every member answers")
    assert told.needed == {"accept": "id1", "lost": []}
    assert isinstance(told.would, Plan)
    assert told.would.steps == steps(ACCEPT, found)
    assert actions(ACCEPT, found) == [BACK_UP, FORCE, "wait"]
    force = steps(ACCEPT, found)[1]
    assert (force.target, force.data["host"], force.data["version"]) == ("shop-1", right(1), 5)
    # Which member an address was is not known: it gets a number of its own.
    assert force.data["member"] == (name(1) if name is old else "")


def test_a_newer_term_goes_before_a_later_time() -> None:
    found = stale(statements={0: wrote(900, term=2), 1: wrote(100, term=3), 2: wrote(50, term=3)})
    assert steps(ACCEPT, found)[1].target == "shop-1"


def test_a_configuration_that_is_saved_is_not_saved_again() -> None:
    saved = steps(ACCEPT, stale())[0].target
    assert saved == "shop-replica-set-config-v5-t3-id1"
    assert actions(ACCEPT, stale(backups=frozenset({saved}))) == [FORCE, "wait"]


def test_addresses_are_counted() -> None:
    its = config([address(ordinal) for ordinal in range(3)])
    found = evidence({0: removed(its), 1: removed(its), 2: EMPTY_DISK})
    assert "the configuration has a member more than pods tell of it (its disk is empty)" in refusal(ACCEPT, found)
    assert actions(Choice("id1", frozenset({"shop-2"})), found) == [BACK_UP, FORCE, "wait"]
    silent = evidence({0: removed(its), 1: removed(its), 2: SILENT})
    assert "shop-2 (no answer)" in refusal(ACCEPT, silent)
    two = evidence({0: removed(its), 1: removed(its)}, replicas=2)
    assert "type lost: [shop-2]" in refusal(ACCEPT, two)


def test_a_foreign_name_is_nobody_here() -> None:
    its = config([old(0), old(1), "db.example.org:27017"])
    found = evidence(dict.fromkeys(range(3), removed(its)))
    assert "type lost: [db.example.org:27017]" in refusal(ACCEPT, found)
    assert FORCE in actions(Choice("id1", frozenset({"db.example.org:27017"})), found)


def test_a_member_tells_which_name_is_its_own() -> None:
    its = config(["a:1", "b:1", "c:1"])
    said = {o: wrote(100, me=f"{letter}:1") for o, letter in enumerate("abc")}
    found = evidence({o: serving(its, "SECONDARY") for o in range(3)}, said)
    assert steps(ACCEPT, found)[1].data["member"] == "a:1"


# Members that are gone.


def lone(other: Answer = GONE, **more: t.Any) -> Evidence:
    its = config([right(ordinal) for ordinal in range(3)])
    return evidence({0: serving(its, "SECONDARY", [right(0)]), 1: other, 2: other}, **more)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (GONE, "its pod does not exist, nor does a claim"),
        (SILENT, "no answer"),
        (EMPTY_DISK, "its disk is empty"),
        (Answer(Kind.REFUSED, "it does not let in user root"), "it does not let in user root"),
        (Answer(Kind.UNINITIALISED, settled=False), "may still be reading it"),
    ],
)
def test_a_lost_majority_is_named_member_by_member(other: Answer, why: str) -> None:
    found = lone(other)
    told = report(TARGET, Choice(), found)
    assert told.situation == "lost_majority"
    assert why in " ".join(told.diagnosis)
    assert told.needed == {"accept": "id1", "lost": ["shop-1", "shop-2"]}
    assert "may be on shop-1, shop-2 alone, and would be lost" in told.risk
    assert "shop-1" in refusal(ACCEPT, found)
    assert "type lost: [shop-1, shop-2]" in refusal(Choice("id1", frozenset({"shop-1"})), found)
    both = Choice("id1", frozenset({"shop-1", "shop-2"}))
    assert actions(both, found) == [BACK_UP, FORCE, "wait"]
    assert "it is not lost" in refusal(Choice("id1", frozenset({"shop-0", "shop-1", "shop-2"})), found)


def test_claims_without_pods_are_no_loss_yet() -> None:
    found = lone(replicas=1, claims={o: (f"data-shop-{o}",) for o in range(3)})
    told = " ".join(report(TARGET, Choice(), found).diagnosis)
    assert "its claim is there (data-shop-1)" in told
    assert "give it 3 first" in told


def test_what_a_majority_has_cannot_be_lost_with_a_minority() -> None:
    its = config([old(ordinal) for ordinal in range(3)])
    two = evidence({0: removed(its), 1: removed(its), 2: SILENT})
    assert "only writes that shop-2 had alone" in report(TARGET, Choice(), two).risk
    one = evidence({0: removed(its), 1: SILENT, 2: SILENT})
    assert "acknowledged ones among them" in report(TARGET, Choice(), one).risk


def test_a_pod_outside_of_the_configuration_may_be_newer_too() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    answers = {0: serving(its, "SECONDARY", [right(0)]), 1: EMPTY_DISK, 2: EMPTY_DISK, 3: SILENT}
    lost = frozenset({"shop-1", "shop-2"})
    assert "shop-3 (no answer)" in refusal(Choice("id1", lost), evidence(answers, replicas=4))


def test_a_first_copy_is_no_data() -> None:
    its = config([old(ordinal) for ordinal in range(2)])
    half = evidence(dict.fromkeys(range(2), removed(its)), {0: wrote(100), 1: wrote(900, complete=False)}, replicas=2)
    assert "shop-1 (its data is not complete)" in refusal(ACCEPT, half)
    assert steps(Choice("id1", frozenset({"shop-1"})), half)[1].target == "shop-0"
    none = evidence({0: removed(its)}, {0: wrote(1, complete=False)}, replicas=1)
    assert "none to start from" in refusal(Choice("id1", frozenset({"shop-0", "shop-1"})), none)


def test_the_newest_must_be_able_to_lead() -> None:
    its = config([old(ordinal) for ordinal in range(2)])
    answers = {0: removed(its), 1: serving(its, "RECOVERING")}
    found = evidence(answers, {0: wrote(100), 1: wrote(101)}, replicas=2)
    assert "wait until shop-1 is SECONDARY" in refusal(ACCEPT, found)
    assert steps(Choice("id1", frozenset({"shop-1"})), found)[1].target == "shop-0"
    equal = evidence(answers, {0: wrote(100), 1: wrote(100)}, replicas=2)
    assert steps(ACCEPT, equal)[1].target == "shop-0"
    members = (MemberConfig(0, old(0), build_indexes=False, priority=0), MemberConfig(1, old(1)))
    bare = dataclasses.replace(its, members=members)
    newest = evidence(dict.fromkeys(range(2), removed(bare)), {0: wrote(101), 1: wrote(100)}, replicas=2)
    assert "it builds no indexes" in refusal(ACCEPT, newest)


# Where nothing has to be forced, or nothing would help.


def test_a_healthy_set() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    hosts = [member.host for member in its.members]
    answers = {o: serving(its, "PRIMARY" if o == 1 else "SECONDARY", hosts, right(1)) for o in range(3)}
    assert report(TARGET, Choice(), evidence(answers)).situation == "healthy"
    lost = Choice("id1", frozenset({"shop-0"}))
    assert actions(lost, evidence(answers)) == []
    rejoining = evidence({**answers, 0: EMPTY_DISK})
    told = report(TARGET, Choice(), rejoining)
    assert told.situation == "no_repair_needed"
    assert "shop-0 has an empty disk, and the primary gives it everything" in told.diagnosis[1]
    out = report(TARGET, Choice(), evidence({**answers, 0: removed(its)}))
    assert "Delete the pod shop-0" in out.diagnosis[1]
    short = config([right(1), right(2)])
    left = {o: serving(short, "PRIMARY" if o == 1 else "SECONDARY", hosts, right(1)) for o in (1, 2)}
    again = report(TARGET, Choice(), evidence({0: removed(its), **left}))
    assert "mongodb_replica_set adds it again" in again.diagnosis[1]
    renamed = config([right(0), right(1), old(2)])
    named = [member.host for member in renamed.members]
    mixed = {o: serving(renamed, "PRIMARY" if o == 1 else "SECONDARY", named, right(1)) for o in range(3)}
    assert f"{old(2)} should be {right(2)}" in report(TARGET, Choice(), evidence(mixed)).diagnosis[-1]


def test_a_primary_that_is_only_heard_is_enough() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    found = evidence({0: serving(its, "SECONDARY", [right(0), right(1)], right(1)), 1: SILENT, 2: SILENT})
    assert report(TARGET, Choice(), found).situation == "no_repair_needed"
    assert actions(Choice("id1", frozenset({"shop-1", "shop-2"})), found) == ["wait"]

    # Also where it does not hear enough of the others for an election.
    its = config([right(ordinal) for ordinal in range(5)])
    two = evidence({0: serving(its, "SECONDARY", [right(0), right(1)], right(1))}, replicas=5)
    lost = frozenset(f"shop-{ordinal}" for ordinal in range(1, 5))
    assert actions(Choice("id1", lost), two) == ["wait"]


def test_an_arbiter_has_nothing_to_lose() -> None:
    members = (MemberConfig(0, old(0)), MemberConfig(1, old(1)), MemberConfig(2, old(2), priority=0, arbiter_only=True))
    its = dataclasses.replace(config([]), members=members)
    answers = {0: removed(its), 1: removed(its)}
    for arbiter in (Answer(Kind.REMOVED), Answer(Kind.NO_USER, state="ARBITER"), SILENT):
        found = evidence({**answers, 2: arbiter})
        assert actions(ACCEPT, found) == [BACK_UP, FORCE, "wait"]
        assert report(TARGET, Choice(), found).needed == {"accept": "id1", "lost": []}
        assert Case(TARGET, found, "id1").others == ()


def test_a_majority_that_hears_itself_elects() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    two = [right(0), right(1)]
    found = evidence({0: serving(its, "SECONDARY", two), 1: serving(its, "SECONDARY", two), 2: EMPTY_DISK})
    assert report(TARGET, Choice(), found).situation == "election_pending"
    assert actions(Choice("id1", frozenset({"shop-2"})), found) == ["wait"]
    # Nobody among it may become primary: then it never will.
    members = tuple(dataclasses.replace(m, priority=0.0 if m.id else 1.0) for m in its.members)
    barren = dataclasses.replace(its, members=members)
    left = [right(1), right(2)]
    stuck = evidence({0: GONE, 1: serving(barren, "SECONDARY", left), 2: serving(barren, "SECONDARY", left)})
    assert actions(Choice("id1", frozenset({"shop-0"})), stuck) == [BACK_UP, FORCE, "wait"]


def test_members_that_are_only_apart_are_not_forced() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    said = wrote(100, heard=(Heard(right(1), "DOWN", False, "2026-01-01T00:00:00Z", "no route"),))
    found = evidence({o: serving(its, "SECONDARY", [right(o)]) for o in range(3)}, dict.fromkeys(range(3), said))
    told = report(TARGET, Choice(), found)
    assert told.situation == "members_apart"
    assert not told.needed
    assert f"shop-0 does not hear {right(1)} since 2026-01-01T00:00:00Z (no route)" in told.diagnosis
    assert "do not hear each other" in refusal(ACCEPT, found)
    restarted = evidence(dict.fromkeys(range(3), removed(its)))
    assert "delete the pods shop-0, shop-1, shop-2" in refusal(ACCEPT, restarted)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Evidence(Snapshot()), "There is no StatefulSet shop in namespace prod"),
        (stale(secret=False), "There is no Secret shop-root in namespace prod"),
        (evidence({0: EMPTY_DISK}), "no pod that answers holds a set with that id"),
        (evidence({0: removed(config([old(0)], set_name="rs0"))}, replicas=1), "declare replica_set: rs0"),
    ],
)
def test_nothing_to_go_by(found: Evidence, says: str) -> None:
    assert says in refusal(ACCEPT, found)


@pytest.mark.parametrize(
    ("answers", "situation", "says"),
    [
        ({0: EMPTY_DISK, 1: EMPTY_DISK}, "no_set", "set id1 was formed here"),
        ({0: EMPTY_DISK, 1: SILENT}, "no_answer", "nothing can be judged"),
        ({0: EMPTY_DISK, 1: Answer(Kind.NO_USER)}, "no_set", "shop-1: a set was begun and has no user yet"),
    ],
)
def test_pods_without_a_set(answers: dict[int, Answer], situation: str, says: str) -> None:
    told = report(TARGET, Choice(), evidence(answers))
    assert told.situation == situation
    assert says in told.diagnosis[0]
    assert facts(TARGET, Choice(), evidence(answers))["needed"] == {}


# Several sets.


def two_sets(primary: bool = True) -> Evidence:
    one, other = config([right(0), right(1)]), config([right(2)], "id2", term=9)
    hosts = [right(0), right(1)] if primary else []
    answers = {
        0: serving(one, "PRIMARY" if primary else "SECONDARY", hosts, right(0) if primary else ""),
        1: serving(one, "SECONDARY", hosts, right(0) if primary else "") if primary else SILENT,
        2: serving(other, "PRIMARY", [right(2)], right(2)),
    }
    return evidence(answers, volumes={2: "its volume v is deleted with it, and the data with that"})


def test_which_of_two_sets_is_kept_is_typed() -> None:
    found = two_sets()
    told = report(TARGET, Choice(), found)
    assert told.situation == "several_sets"
    assert any("set id2: shop-2, newest write" in line for line in told.diagnosis)
    assert "no pod that answers holds" in refusal(Choice("id3"), found)
    kept = plan(TARGET, ACCEPT, found)
    assert isinstance(kept, Plan)
    assert kept.steps == ()
    assert "type the pod's name in empty" in kept.warnings[0]
    (empty,) = steps(Choice("id1", empty=frozenset({"shop-2"})), found)
    assert (empty.action, empty.target, empty.data["uid"]) == (EMPTY, "shop-2", "u2")
    assert "its volume v is deleted with it" in empty.sentence
    # The other way round, the pod that is named is the one to keep.
    assert "whose disk holds the very set to keep" in refusal(Choice("id2", empty=frozenset({"shop-2"})), found)
    assert "whose disk holds" in refusal(Choice("id1", empty=frozenset({"shop-0", "shop-1", "shop-2"})), found)
    other = Choice("id2", empty=frozenset({"shop-0", "shop-1"}))
    assert actions(other, found) == ["record", EMPTY, EMPTY]


def test_a_disk_is_emptied_only_when_the_other_set_lives() -> None:
    found = two_sets(primary=False)
    choice = Choice("id1", frozenset({"shop-1"}), frozenset({"shop-2"}))
    assert actions(choice, found) == [BACK_UP, FORCE, "wait", EMPTY]
    assert "whose disk holds the very set to keep" in refusal(Choice("id1", empty=frozenset({"shop-0"})), found)


def test_a_disk_is_emptied_on_its_own_word() -> None:
    found = two_sets()
    answers = {**found.seen.answers, 2: SILENT}
    silent = dataclasses.replace(found, seen=dataclasses.replace(found.seen, answers=answers))
    assert actions(Choice("id1", empty=frozenset({"shop-2"})), silent) == ["wait"]
    emptied = dataclasses.replace(found, seen=dataclasses.replace(found.seen, answers={**answers, 2: EMPTY_DISK}))
    assert actions(Choice("id1", empty=frozenset({"shop-2"})), emptied) == []


def test_a_pod_that_was_emptied_and_is_a_member_now_is_left_alone() -> None:
    its = config([right(ordinal) for ordinal in range(3)])
    hosts = [member.host for member in its.members]
    members = {o: serving(its, "SECONDARY" if o else "PRIMARY", hosts, right(0)) for o in range(3)}
    assert actions(Choice("id1", empty=frozenset({"shop-2"})), evidence(members)) == []
    # Also while a further set is around.
    another = {**members, 3: serving(config([right(3)], "id2"), "PRIMARY")}
    assert actions(Choice("id1", empty=frozenset({"shop-2"})), evidence(another)) == []


def test_a_claim_that_nobody_makes_again_is_not_deleted() -> None:
    found = two_sets()
    pods = {o: dataclasses.replace(pod, claims=("by-hand",)) for o, pod in found.seen.pods.items()}
    fixed = dataclasses.replace(found, seen=dataclasses.replace(found.seen, pods=pods, claims={}))
    assert "shop-2 (by-hand)" in refusal(Choice("id1", empty=frozenset({"shop-2"})), fixed)


@pytest.mark.parametrize(("version", "forced"), [(2, 2), (3, 2)], ids=["one is unbeaten", "they go in a circle"])
def test_the_newest_configuration_is_the_same_in_whatever_order_they_are_told(version: int, forced: int) -> None:
    """Beside a forced one, who is newer depends on which two are compared."""
    told = [
        config([right(0)], version=version, term=1),
        config([right(1)], version=forced, term=0),
        config([right(2)], version=1, term=2),
    ]
    for order in itertools.permutations(told):
        assert newest_config(order) == told[1]


def test_after_it_was_forced_the_old_configurations_do_not_count() -> None:
    """A forced configuration has no term, and is the newer one all the same."""
    before = config([old(ordinal) for ordinal in range(3)])
    after = config([right(1)], version=70000, term=0)
    found = evidence({0: removed(before), 1: serving(after, "SECONDARY", [right(1)]), 2: removed(before)})
    assert actions(ACCEPT, found) == ["wait"]
    assert after.newer_than(before)
    assert not before.newer_than(after)
    assert Case(TARGET, found, "id1").config == after
    assert found.seen.config == after


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"lost": ["shop-1"]}, "lost: expected accept beside it"),
        ({"empty": ["shop-1"]}, "empty: expected accept beside it"),
        ({"accept": "id1", "empty": ["other-1"]}, "empty: expected names of pods"),
        ({"accept": "id1", "empty": ["shop"]}, "empty: expected names of pods"),
    ],
)
def test_wrong_words(params: dict[str, t.Any], says: str) -> None:
    with pytest.raises(Failure, match=says):
        Choice.of({"accept": None, "lost": [], "empty": [], **params}, TARGET)


def test_what_is_slow_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    its = config([old(0), old(1)])
    answers = {0: removed(its), 1: removed(its)}
    starting = {**answers, 1: Answer(Kind.UNINITIALISED, settled=False)}
    looks = [evidence({**answers, 1: SILENT}), evidence(starting), evidence(answers, {0: wrote(1)}), evidence(answers)]
    monkeypatch.setattr(_repair._repair_look, "gather", lambda _observer: looks.pop(0))
    paused: list[float] = []
    observer: t.Any = SimpleNamespace(target=TARGET, cluster=None, pause=paused.append)
    operation = _repair.Repair(observer, ACCEPT, 60)
    assert operation.observe() == evidence(answers)
    assert len(paused) == 3
    # A first copy that is not finished is an answer, and so is a pod that does not run.
    half = evidence(answers, {0: wrote(1), 1: Statement(complete=False, problem="no oplog")})
    away = dataclasses.replace(half.seen, pods={1: Pod("shop-1", running=False)}, answers={1: SILENT})
    for look in (half, Evidence(away)):
        looks.append(look)
        assert operation.observe() == look
    # It does not wait for ever.
    operation._patience = 0
    looks.append(evidence({0: SILENT}))
    assert operation.observe().slow == (0,)


# What one member tells.


class FakeClient:
    """Replies by command, and for find by collection; it remembers what it was sent."""

    def __init__(self, **replies: t.Any) -> None:
        self.replies = replies
        self.sent: list[tuple[str, t.Any, dict[str, t.Any]]] = []

    def command(self, name: str, value: t.Any = 1, **more: t.Any) -> t.Any:
        self.sent.append((name, value, more))
        reply = self.replies[value.replace(".", "_") if name == "find" else name]
        if isinstance(reply, Exception):
            raise reply
        return copy.deepcopy({"cursor": {"firstBatch": reply}} if name == "find" else reply)


def member_says(**replies: t.Any) -> Statement:
    defaults: dict[str, t.Any] = {
        "replSetGetConfig": {"config": {"_id": "shop", "version": 5, "term": 3, "members": []}},
        "hello": {"me": "a:1"},
        "oplog_rs": [{"ts": bson.Timestamp(100, 7), "t": 3}],
        "replset_minvalid": [{"ts": bson.Timestamp(90, 1), "t": 3}],
    }
    return statement_of(t.cast("_client.Client", FakeClient(**{**defaults, **replies})), Answer(Kind.REMOVED))


def test_the_newest_write_is_that_of_the_oplog() -> None:
    said = member_says()
    assert (said.newest, said.complete, said.me) == (Optime(3, 100, 7), True, "a:1")
    assert '"version": {"$numberInt": "5"}' in said.document
    refused = member_says(oplog_rs=CommandError(13436, "not now"))
    assert (refused.newest, refused.problem) == (None, "its newest write cannot be read (not now)")
    assert not member_says(oplog_rs=[]).complete
    assert not member_says(replset_minvalid=[{"ts": bson.Timestamp(0, 0), "doingInitialSync": True}]).complete
    assert not member_says(replset_minvalid=[{"ts": bson.Timestamp(100, 8)}]).complete
    assert member_says(replset_minvalid=[]).complete


# Forcing.

DOCUMENT = {
    "_id": "shop",
    "version": 5,
    "term": 3,
    "members": [
        {"_id": 0, "host": "a:1", "priority": 0.0, "hidden": True, "secondaryDelaySecs": 60, "votes": 0},
        {"_id": 7, "host": "b:1", "tags": {"disk": "fast"}, "priority": 2.0},
    ],
    "settings": {"replicaSetId": "id1", "chainingAllowed": False},
}


def test_the_only_member_of_a_forced_configuration_can_lead() -> None:
    made = _repair_act.alone(DOCUMENT, "a:1", "new:1")
    assert made["members"] == [{"_id": 0, "host": "new:1", "priority": 1, "hidden": False, "votes": 1}]
    assert (made["version"], made["settings"]) == (6, DOCUMENT["settings"])
    assert "term" not in made
    kept = _repair_act.alone(DOCUMENT, "b:1", "new:1")["members"][0]
    assert (kept["tags"], kept["priority"]) == ({"disk": "fast"}, 2.0)
    assert _repair_act.alone(DOCUMENT, "", "new:1")["members"][0]["_id"] == 8


FORCING = Step(
    FORCE,
    "shop-1",
    "force it",
    data={"ordinal": 1, "host": "new:1", "member": "b:1", "version": 5, "term": 3, "newest": Optime(3, 100)},
)


def force(again: t.Optional[Step], **replies: t.Any) -> FakeClient:
    client = FakeClient(**{"replSetGetConfig": {"config": DOCUMENT}, "replSetReconfig": {"ok": 1}, **replies})
    observer: t.Any = SimpleNamespace(target=TARGET, links={1: SimpleNamespace(client=lambda login: client)})
    try:
        _repair_act.act(observer, FORCING, Evidence(Snapshot()), lambda: again)
    except (NotYet, Failure) as outcome:
        client.replies["outcome"] = outcome
    return client


def sent(client: FakeClient) -> list[tuple[t.Any, dict[str, t.Any]]]:
    return [(value, more) for name, value, more in client.sent if name == "replSetReconfig"]


def changed(**data: t.Any) -> Step:
    return dataclasses.replace(FORCING, data={**FORCING.data, **data})


def test_it_is_forced_on_evidence_that_is_still_the_same() -> None:
    ((document, more),) = sent(force(changed(newest=Optime(3, 101))))
    assert document["members"][0]["host"] == "new:1"
    assert more["force"] is True


@pytest.mark.parametrize(
    "again",
    [
        None,
        Step("wait", "shop", "wait", change=False),
        changed(ordinal=0),
        changed(version=6),
        changed(term=4),
        changed(newest=Optime(3, 99)),
        changed(host="other:1"),
    ],
)
def test_it_is_not_forced_on_evidence_that_changed(again: t.Optional[Step]) -> None:
    client = force(again)
    assert not sent(client)
    assert isinstance(client.replies["outcome"], NotYet)


def test_it_is_not_forced_on_another_configuration() -> None:
    client = force(FORCING, replSetGetConfig={"config": {**DOCUMENT, "version": 9}})
    assert not sent(client)
    assert isinstance(client.replies["outcome"], NotYet)


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (NoAnswer("cut"), NotYet),
        (CommandError(_client.NODE_NOT_FOUND, "No host described in new configuration maps to this node"), NotYet),
        (CommandError(_client.CONFIGURATION_IN_PROGRESS, "busy"), NotYet),
        (CommandError(_client.INVALID_CONFIG, "bad"), Failure),
    ],
)
def test_what_a_refused_force_means(reply: Exception, outcome: type[Exception]) -> None:
    assert isinstance(force(FORCING, replSetReconfig=reply).replies["outcome"], outcome)
