# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A note of an earlier run is believed only where every member confirms it."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello, Note, recalled
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Config,
    MemberConfig,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan

TARGET = Target("shop", "ns", "shop", root_secret="shop-root")  # noqa: S106 (a name)
SET_ID = "64b7f0c2a1d2e3f405060708"


def _host(ordinal: int) -> str:
    return f"shop-{ordinal}.shop.ns.svc.cluster.local:27017"


CONFIG = Config(
    "shop",
    SET_ID,
    version=7,
    term=2,
    members=(
        MemberConfig(0, _host(0), priority=2.0),
        MemberConfig(1, _host(1), tags=(("disk", "fast"), ("zone", "a"))),
        MemberConfig(2, _host(2), priority=0.0, hidden=True, secondary_delay_secs=60),
    ),
    settings=(("chainingAllowed", True), ("electionTimeoutMillis", 10000)),
)
NOTE = Note(CONFIG, "uid/17")
SEEN = Snapshot(
    stateful_set=StatefulSet("uid", "1", 3, "shop", recorded=SET_ID),
    pods={ordinal: Pod(f"shop-{ordinal}") for ordinal in range(3)},
)
HELLOS = {
    0: Hello("shop", 7, _host(0), "PRIMARY", term=4, optime=100.0, primary=_host(0)),
    1: Hello("shop", 7, _host(1), "SECONDARY", optime=99.0, primary=_host(0)),
    2: Hello("shop", 7, _host(2), "SECONDARY", optime=98.0, primary=_host(0)),
}
AS_NOTED = {
    0: MemberOptions(priority=2.0),
    1: MemberOptions(tags=(("disk", "fast"), ("zone", "a"))),
    2: MemberOptions(priority=0.0, hidden=True, secondary_delay_secs=60),
}


def test_a_note_says_the_same_after_it_was_written_down() -> None:
    assert Note.parse(NOTE.dump()) == NOTE


def test_a_note_keeps_horizons() -> None:
    members = tuple(dataclasses.replace(each, horizons=(("out", f"{each.id}.a:1"),)) for each in CONFIG.members)
    note = Note(dataclasses.replace(CONFIG, members=members), "uid/17")
    assert Note.parse(note.dump()) == note


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"config": {}, "secret": "s"}', NOTE.dump()[:-9]])
def test_what_is_no_note_is_none(text: str) -> None:
    assert Note.parse(text) is None


def test_what_every_member_confirms_is_planned_on_like_a_close_look() -> None:
    found = recalled(NOTE, TARGET, SEEN, HELLOS)
    assert found is not None
    assert found.primary == 0
    assert found.config == dataclasses.replace(CONFIG, term=4)
    assert plan(TARGET, Desired(3, AS_NOTED), found) == Plan()


def test_another_declaration_is_not_fulfilled_by_it() -> None:
    found = recalled(NOTE, TARGET, SEEN, HELLOS)
    assert found is not None
    for declared in (
        Desired(3),
        Desired(3, AS_NOTED, (("chainingAllowed", False),)),
        Desired(3, {**AS_NOTED, 0: MemberOptions(priority=3.0)}),
    ):
        planned = plan(TARGET, declared, found)
        assert isinstance(planned, Plan)
        assert planned.steps


def _with(ordinal: int, **changes: t.Any) -> dict[int, Hello]:
    return {**HELLOS, ordinal: dataclasses.replace(HELLOS[ordinal], **changes)}


@pytest.mark.parametrize(
    "hellos",
    [
        _with(1, config_version=8),  # somebody changed the configuration
        _with(1, config_version=6),
        _with(2, set_name="other"),
        _with(2, host="shop-2.other.ns.svc.cluster.local:27017"),
        _with(2, host=""),  # it does not find itself in its configuration
        _with(1, state=""),  # neither primary nor secondary: starting, recovering, rolled back, removed
        _with(0, state="SECONDARY"),  # no primary
        _with(1, state="PRIMARY"),  # two
        _with(1, primary=""),  # cut off from the others
        _with(2, primary=_host(1)),
        {ordinal: told for ordinal, told in HELLOS.items() if ordinal != 2},
        {},
    ],
)
def test_one_member_that_does_not_confirm_it_is_enough_to_look_closely(hellos: dict[int, Hello]) -> None:
    assert recalled(NOTE, TARGET, SEEN, hellos) is None


@pytest.mark.parametrize(
    "seen",
    [
        dataclasses.replace(SEEN, pods={ordinal: Pod(f"shop-{ordinal}") for ordinal in range(4)}),
        dataclasses.replace(SEEN, pods={ordinal: Pod(f"shop-{ordinal}") for ordinal in range(2)}),
        dataclasses.replace(SEEN, stateful_set=StatefulSet("uid", "1", 3, "shop", recorded="another")),
        dataclasses.replace(SEEN, stateful_set=StatefulSet("uid", "1", 3, "shop")),
    ],
)
def test_other_objects_than_noted_need_a_close_look(seen: Snapshot) -> None:
    hellos = {ordinal: HELLOS.get(ordinal, HELLOS[1]) for ordinal in seen.pods}
    assert recalled(NOTE, TARGET, seen, hellos) is None


def test_a_member_elsewhere_needs_a_close_look() -> None:
    more = dataclasses.replace(CONFIG, members=(*CONFIG.members, MemberConfig(3, "far.example.com:27017")))
    assert recalled(Note(more, "uid/17"), TARGET, SEEN, HELLOS) is None


def test_what_a_server_answers() -> None:
    written = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    document = {
        "setName": "shop",
        "setVersion": 7,
        "me": _host(0),
        "isWritablePrimary": True,
        "secondary": False,
        "electionId": "7fffffff0000000000000012",
        "lastWrite": {"lastWriteDate": written},
        "primary": _host(0),
    }
    assert Hello.of(document) == Hello("shop", 7, _host(0), "PRIMARY", 0x12, written.timestamp(), _host(0))
    assert Hello.of({**document, "isWritablePrimary": False, "secondary": True}).state == "SECONDARY"
    assert Hello.of({"isreplicaset": True, "info": "not initialised"}) == Hello("", 0, "", "")
