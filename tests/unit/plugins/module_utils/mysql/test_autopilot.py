# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a primary is given up without anybody asking for it, and when it is not. Whole histories are in
test_histories.py, and what the pods do in the integration target mysql_autopilot."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot import _inside as inside
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import Wish, plan_autopilot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._silence import GAP, Silence
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import MariaDB, MySQL
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind, Record, Snapshot
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mysql.three_servers import (
    SILENT,
    TARGET,
    gtids,
    primary,
    replica,
    snapshot,
    with_pod,
)

WISH = Wish(by="me", after=30.0, silence=31.0, unheard=31.0)
RECORD = Record(1, "shop-0", 3, resource_version="1", waits="me")
WAITING = snapshot([primary(semi_sync=True, waits=True), replica(1), replica(2)], record=RECORD)
LOST = snapshot([SILENT, replica(1), replica(2)], record=RECORD)


def actions(seen: Snapshot, wish: Wish = WISH) -> list[str]:
    return [step.action for step in plan_autopilot(TARGET, wish, seen).plan.steps]


def held_back(seen: Snapshot, wish: Wish = WISH) -> str:
    found = plan_autopilot(TARGET, wish, seen)
    assert not found.plan.steps
    return found.held_back


def mariadb(ordinal: int, uptime: float) -> Answer:
    return dataclasses.replace(replica(ordinal), version="11.4.4-MariaDB", uptime=uptime)


def answers(seen: Snapshot, *told: Answer) -> Snapshot:
    return dataclasses.replace(seen, answers=dict(enumerate(told)))


def test_a_lost_primary_is_replaced_when_its_commits_were_seen_to_wait() -> None:
    found = plan_autopilot(TARGET, WISH, LOST).plan
    assert [step.action for step in found.steps] == ["halt", "halt", "record", "dismiss", "wait"]
    assert found.steps[2].data["cut_off"] is True


@pytest.mark.parametrize(
    ("seen", "wish", "why"),
    [
        (LOST, dataclasses.replace(WISH, silence=29.0), "it has been away for 29 s, and that counts after 30 s"),
        (LOST, dataclasses.replace(WISH, by="another"), "its commits were not seen to wait"),
        (dataclasses.replace(LOST, record=dataclasses.replace(RECORD, waits="")), WISH, "were not seen to wait"),
        (answers(LOST, SILENT, replica(1), SILENT), WISH, "shop-2 does not answer"),
        (snapshot([SILENT, replica(1)], record=dataclasses.replace(RECORD, members=2)), WISH, "there are 2 members"),
        (
            dataclasses.replace(LOST, record=dataclasses.replace(RECORD, copies={"shop-2": "uid"})),
            WISH,
            "shop-2 is to take a copy",
        ),
        (
            dataclasses.replace(LOST, record=dataclasses.replace(RECORD, dismissed="shop-2", dismissed_uid="uid-2")),
            WISH,
            "shop-2, which was primary before, is not seen gone yet",
        ),
        (
            answers(LOST, SILENT, mariadb(1, 40.0), replica(2)),
            WISH,
            "shop-1 was not running for 10 s yet when that began, and a MariaDB forgets",
        ),
        (
            answers(LOST, SILENT, mariadb(1, 4000.0), replica(2)),
            dataclasses.replace(WISH, unheard=float("inf")),
            "this autopilot has not heard of shop-0 since it started",
        ),
    ],
)
def test_nobody_takes_over_where_something_could_be_lost(seen: Snapshot, wish: Wish, why: str) -> None:
    assert why in held_back(seen, wish)


def test_a_mariadb_that_has_run_all_the_time_forgets_nothing() -> None:
    both = [mariadb(ordinal, 42.0) for ordinal in (1, 2)]
    assert actions(answers(LOST, SILENT, *both))[0] == "halt"


@pytest.mark.parametrize(
    "answer", [Answer(Kind.REFUSED, "too many connections"), primary(semi_sync=True, waits=True), primary()]
)
def test_a_primary_that_answers_anything_stays(answer: Answer) -> None:
    assert "record" not in actions(answers(WAITING, answer, replica(1), replica(2)))


def test_what_the_commits_of_the_primary_do_is_recorded() -> None:
    assert actions(WAITING) == []
    unknown = dataclasses.replace(WAITING, record=dataclasses.replace(RECORD, waits=""))
    assert actions(unknown) == ["waits"]
    other = plan_autopilot(TARGET, dataclasses.replace(WISH, by="another"), WAITING).plan.steps
    assert [step.data for step in other] == [{"by": "another"}]
    fallen_back = answers(WAITING, primary(semi_sync=True, waits=False), replica(1), replica(2))
    assert [step.data for step in plan_autopilot(TARGET, WISH, fallen_back).plan.steps] == [{"by": ""}]
    assert actions(answers(unknown, primary(), replica(1), replica(2))) == []


RECORDED = dataclasses.replace(
    with_pod(LOST, 0, deleting=True),
    record=dataclasses.replace(
        RECORD, epoch=2, primary="shop-1", dismissed="shop-0", dismissed_uid="uid-0", waits="", cut_off=True
    ),
)
HALTED = [replica(o, source=dataclasses.replace(t.cast("t.Any", replica(o).source), receiver="No")) for o in (1, 2)]


def test_the_node_of_the_old_primary_has_its_time() -> None:
    steps = plan_autopilot(TARGET, WISH, answers(RECORDED, SILENT, *HALTED)).plan.steps
    assert steps[0].sentence.startswith("wait until the pod of shop-0 is gone")


def test_after_that_it_is_cut_off() -> None:
    late = dataclasses.replace(WISH, cut_off=True)
    assert actions(RECORDED, late)[:2] == ["halt", "halt"]
    assert actions(answers(RECORDED, SILENT, *HALTED), late)[0] == "detach"
    freed = replica(2, of=None)
    assert actions(answers(RECORDED, SILENT, HALTED[0], freed), late)[0] == "promote"
    behind = dataclasses.replace(HALTED[1], received=gtids(of_0="1-6"))
    assert actions(answers(RECORDED, SILENT, HALTED[0], behind), late)[0] == "wait"
    assert actions(answers(RECORDED, SILENT, HALTED[0], SILENT), late)[0] == "wait"


def test_what_was_forgotten_meanwhile_is_said_once_nothing_is_waited_for() -> None:
    late = dataclasses.replace(WISH, cut_off=True)
    record = dataclasses.replace(t.cast(Record, RECORDED.record), had={"shop-2": gtids(of_0="1-9")})
    seen = dataclasses.replace(RECORDED, record=record)
    assert actions(answers(seen, SILENT, HALTED[0], HALTED[1]), late)[0] == "detach"
    assert "which nobody has any more" in held_back(answers(seen, SILENT, HALTED[0], replica(2, of=None)), late)


def test_one_whose_commits_did_not_wait_is_not_cut_off() -> None:
    record = dataclasses.replace(t.cast(Record, RECORDED.record), cut_off=False)
    seen = dataclasses.replace(answers(RECORDED, SILENT, *HALTED), record=record)
    late = dataclasses.replace(WISH, cut_off=True)
    assert "shop-1 takes no writes yet, because the pod of shop-0" in held_back(seen, late)
    gone = with_pod(seen, 0, uid="uid-of-the-next")
    assert held_back(gone, late) == ""
    assert held_back(answers(seen, SILENT, primary(1, epoch=2), HALTED[1]), late) == ""


def test_what_only_one_that_was_cut_off_has_was_never_acknowledged() -> None:
    back = primary(epoch=1, executed=gtids(of_0="1-9"), read_only=True)
    seen = answers(with_pod(RECORDED, 0, uid="uid-of-the-next", deleting=False), back, HALTED[0], replica(2, of=None))
    assert actions(seen)[0] in ("fence", "promote")
    assert "promote" in actions(seen)


def test_afterwards_the_others_follow_and_the_commits_are_looked_at_again() -> None:
    new = primary(1, epoch=2, semi_sync=True, waits=True)
    seen = answers(RECORDED, SILENT, new, replica(2, of=None))
    assert "attach" in actions(seen)
    done = dataclasses.replace(
        answers(RECORDED, SILENT, new, replica(2, of=1)),
        routed="shop-1",
        roles={0: "primary", 1: "primary", 2: "replica"},
        stateful_set=dataclasses.replace(t.cast("t.Any", RECORDED.stateful_set), recorded=(2, "shop-1")),
    )
    assert actions(done) == ["waits"]


def test_only_who_was_halted_is_attached_again() -> None:
    back = primary(semi_sync=True, waits=True)
    halted, other = dataclasses.replace(HALTED[0], semi_sync=True), replica(2, semi_sync=True)
    assert actions(answers(WAITING, back, halted, other))[0] == "attach"
    stopped = dataclasses.replace(t.cast("t.Any", halted.source), applier="No")
    assert actions(answers(WAITING, back, dataclasses.replace(halted, source=stopped), other)) == []
    errant = dataclasses.replace(halted, executed=gtids(of_0="1-5", of_1="1"))
    assert held_back(answers(WAITING, back, errant, other)) == ""
    assert actions(answers(WAITING, primary(), halted, other)) == ["waits"]


# For how long nothing was heard.


def looks(*seen: tuple[float, Snapshot]) -> float:
    silence = Silence()
    found = 0.0
    for now, each in seen:
        found = silence.look(TARGET, each, now)
    return found


def test_silence_begins_with_the_first_look_that_hears_nothing() -> None:
    assert looks((100, WAITING)) == 0.0
    assert looks((100, WAITING), (110, LOST)) == 0.0
    assert looks((100, WAITING), (110, LOST), (125, LOST)) == 15.0


@pytest.mark.parametrize(
    "between",
    [
        WAITING,
        answers(LOST, Answer(Kind.REFUSED, "too many connections"), replica(1), replica(2)),
        # Who sees fewer than half of them is alone.
        answers(LOST, SILENT, SILENT, replica(2)),
        # Only the primary can have sent that.
        answers(LOST, SILENT, replica(1), replica(2, received=gtids(of_0="1-6"))),
        dataclasses.replace(LOST, record=dataclasses.replace(RECORD, epoch=2, primary="shop-1")),
        dataclasses.replace(LOST, record=None),
        dataclasses.replace(LOST, stateful_set=None),
    ],
)
def test_anything_that_is_heard_ends_it(between: Snapshot) -> None:
    assert looks((100, WAITING), (101, LOST), (110, LOST), (111, between), (112, between)) < 2


def test_what_was_received_and_is_applied_is_nothing_new() -> None:
    received = answers(LOST, SILENT, replica(1), replica(2, received=gtids(of_0="1-6")))
    applied = answers(LOST, SILENT, replica(1), replica(2, executed=gtids(of_0="1-6"), received=gtids(of_0="1-6")))
    assert looks((100, WAITING), (101, received), (102, received), (110, applied), (112, applied)) == 10.0


def test_who_looked_away_begins_anew() -> None:
    looked = [(at, LOST) for at in (101.0, 102 + GAP, 103 + GAP, 105 + GAP)]
    assert looks((100, WAITING), *looked) == 2.0


def test_what_began_anew_does_not_make_the_loss_younger() -> None:
    """A MariaDB that was started after the loss is known by that, also where nobody could look for a while."""
    silence = Silence()
    assert silence.unheard(50) == float("inf")
    alone = answers(LOST, SILENT, SILENT, replica(2))
    for now, each in ((100, WAITING), (101, WAITING), (102, LOST), (103, alone), (104, LOST)):
        silence.look(TARGET, each, now)
    silence.begin_anew()
    assert silence.look(TARGET, LOST, 160) == 0.0
    assert silence.unheard(160) == 60.0


# Whether commits wait.


class Told:
    def __init__(self, variables: t.Mapping[str, str], status: t.Mapping[str, str]) -> None:
        self._told = {"VARIABLES": variables, "STATUS": status}

    def rows(self, statement: str, pattern: str) -> list[dict[str, str]]:
        told = self._told[statement.split()[2]]
        found = [name for name in told if name == pattern or (pattern[-1] == "%" and name.startswith(pattern[:-1]))]
        return [{"Variable_name": name, "Value": told[name]} for name in found]


@pytest.mark.parametrize("flavour", [MySQL(), MariaDB()])
def test_commits_wait_only_where_nothing_lets_them_go_on_without(flavour: t.Any) -> None:
    variables, status = {flavour.waits: "ON", **flavour.waiting}, {flavour.waits_now: "ON"}
    assert flavour.commits_wait(Told(variables, status))
    assert not flavour.commits_wait(Told({}, status))
    assert not flavour.commits_wait(Told(variables, {flavour.waits_now: "OFF"}))
    for name in variables:
        assert not flavour.commits_wait(Told({**variables, name: "10"}, status)), name


# The program.


class Observed:
    """Stands for the conversation with everybody."""

    def __init__(self, *seen: t.Union[Snapshot, Failure]) -> None:
        self.target = TARGET
        self.cluster = t.cast("t.Any", self)
        self.selector = ""
        self.seen = list(seen)
        self.made: list[dict[str, t.Any]] = []

    def observe(self) -> Snapshot:
        found = self.seen.pop(0)
        if isinstance(found, Failure):
            raise found
        return found

    def forget_objects(self) -> None: ...

    def objects(self) -> Snapshot:
        return RECORDED

    def create(self, declared: dict[str, t.Any]) -> None:
        self.made.append(declared)

    def merge(self, *told: t.Any, manager: str) -> None:
        self.made.append(told[-1])


def test_why_nothing_is_done_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    pilot = inside.Pilot(TARGET, WISH)
    seen = Observed(*[LOST] * 3)
    for _look in range(3):
        pilot.turn(t.cast("t.Any", seen))
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1
    assert "shop-0 gives no answer, and no other one takes over: it has been away for 0 s" in said[0]


def test_an_api_server_that_is_away_is_no_silence_of_the_primary(capsys: pytest.CaptureFixture[str]) -> None:
    pilot = inside.Pilot(TARGET, WISH)
    for now, each in ((100.0, WAITING), (101.0, LOST), (105.0, LOST)):
        pilot.silence.look(TARGET, each, now)
    pilot.turn(t.cast("t.Any", Observed(Unreachable("The API server gives no answer."))))
    assert pilot.silence.look(TARGET, LOST, 106.0) == 0.0
    assert "The API server gives no answer." in capsys.readouterr().out


def test_what_was_done_is_told_by_an_event_and_on_the_stateful_set() -> None:
    pilot = inside.Pilot(TARGET, WISH)
    seen = Observed()
    pilot._tell(t.cast("t.Any", seen), ["record that shop-1 is primary in place of shop-0"], promoted=True)
    told, noted = seen.made
    assert (told["reason"], told["involvedObject"]["name"]) == ("AutomaticFailover", "shop")
    assert told["message"] == "record that shop-1 is primary in place of shop-0"
    assert noted["metadata"]["annotations"]["stateful.kube/mysql-failed-over"].endswith("Z shop-1 in place of shop-0")


def test_while_the_password_of_root_changes_both_are_tried(tmp_path: pathlib.Path) -> None:
    for key, value in (("username", "admin\n"), ("password", "old"), ("password-next", "new")):
        (tmp_path / key).write_text(value)
    observer = inside.Inside(t.cast("t.Any", None), TARGET, tmp_path, tmp_path)
    found = observer._read_secret()
    assert found
    assert (found.username, found.password, found.others) == ("admin", "old", ("new",))
