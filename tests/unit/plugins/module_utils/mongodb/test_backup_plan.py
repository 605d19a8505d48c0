# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From which member a backup is read and what it comes to; and what a restore does, refuses and goes on with."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _plan as backup
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup import _restore_plan as restore
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import (
    FULL,
    OPLOG,
    Collection,
    Manifest,
    Optime,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
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
WISH = backup.Wish(dest="/backups")


def host(ordinal: int) -> str:
    return f"shop-{ordinal}.shop.prod.svc.cluster.local:27017"


def snapshot(states: t.Sequence[str], lag: t.Optional[t.Mapping[int, float]] = None, **fields: t.Any) -> Snapshot:
    """``fields`` are those of members, each by ordinal."""
    members = tuple(
        MemberConfig(n, host(n), **{key: values[n] for key, values in fields.items() if n in values})
        for n in range(len(states))
    )
    config = Config("shop", "id1", 1, 1, members)
    statuses = tuple(
        MemberStatus(host(n), state, state != "DOWN", 1000.0 - (lag or {}).get(n, 0.0))
        for n, state in enumerate(states)
    )
    answers = {
        n: Answer(Kind.UNREACHABLE, "gives no answer")
        if state == "DOWN"
        else Answer(Kind.MEMBER, "", state, "shop", config, statuses, len(states), 1)
        for n, state in enumerate(states)
    }
    pods = {n: Pod(f"shop-{n}") for n in range(len(states))}
    return Snapshot(StatefulSet("u", "1", len(states), "shop"), pods, {}, answers)


def manifest(backup_name: str, kind: str = FULL, end: int = 10, set_id: str = "id1") -> Manifest:
    rest = dict.fromkeys(("replica_set", "version", "member", "started", "ended"), "")
    data = Collection("base", "big", "collection", "base/big.metadata.json", "base/big.bson", 7, 700)
    positions = {"start": Optime(1, 1), "consistent": Optime(end, 1), "end": Optime(end, 1)}
    names = {"backup": backup_name, "kind": kind, "namespace": "prod", "name": "shop", "set_id": set_id, "fcv": "6.0"}
    return Manifest(**names, **rest, **positions, entries=3, files=(), collections=(data,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        (snapshot(["PRIMARY", "SECONDARY", "SECONDARY"], {1: 5.0}), 2),
        (snapshot(["PRIMARY", "SECONDARY", "SECONDARY"], {1: 5.0}, hidden={1: True}, priority={1: 0}), 1),
        (snapshot(["PRIMARY", "SECONDARY", "SECONDARY"], priority={2: 0.5}), 2),
        (snapshot(["PRIMARY", "SECONDARY", "SECONDARY"], {1: 11.0}), 2),
        (snapshot(["PRIMARY", "SECONDARY", "SECONDARY"], secondary_delay_secs={1: 60}, priority={1: 0}), 2),
        (snapshot(["PRIMARY", "DOWN", "SECONDARY"]), 2),
        (snapshot(["PRIMARY", "RECOVERING", "SECONDARY"]), 2),
        (snapshot(["SECONDARY", "PRIMARY"]), 0),
        (snapshot(["PRIMARY"]), 0),
        (snapshot(["PRIMARY", "SECONDARY"], secondary_delay_secs={1: 60}), 0),
        # Without a primary nothing is lost by reading.
        (snapshot(["SECONDARY", "DOWN", "DOWN"]), 0),
    ],
)
def test_the_member_that_is_read(seen: Snapshot, wanted: int) -> None:
    assert backup.choose(TARGET, seen, "") == (wanted, "")


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (snapshot(["PRIMARY", "SECONDARY", "DOWN"], {1: 30.0}), "shop-1 is 30 s behind; shop-2 gives no answer"),
        (snapshot(["PRIMARY", "STARTUP2"]), "shop-1 is STARTUP2"),
        (Snapshot(StatefulSet("u", "1", 1)), "no member tells a configuration"),
    ],
)
def test_the_primary_is_left_alone_where_there_are_others(seen: Snapshot, why: str) -> None:
    assert backup.choose(TARGET, seen, "") == (None, why)


def test_a_member_that_is_named_is_read() -> None:
    seen = snapshot(["PRIMARY", "SECONDARY", "DOWN"])
    assert backup.choose(TARGET, seen, "shop-0") == (0, "")
    assert backup.choose(TARGET, seen, "shop-2") == (None, "shop-2 gives no answer")


def steps(wish: backup.Wish, **around: t.Any) -> list[str]:
    seen = around.pop("seen", snapshot(["PRIMARY", "SECONDARY"]))
    found = backup.plan(TARGET, wish, backup.Around(seen, **around))
    assert isinstance(found, Plan), found
    return [f"{step.action} {step.target}" for step in found.steps]


def test_a_backup_comes_first_and_removal_last() -> None:
    kept = (manifest("a", end=10), manifest("b", end=20), manifest("s", OPLOG, 15), manifest("x", end=5, set_id="id2"))
    wish = dataclasses.replace(WISH, keep=2, verify=True)
    wanted = ["remove p", "dump shop-1", "verify shop", "remove a", "remove s"]
    assert steps(wish, manifests=kept, leftovers=("p",)) == wanted
    done = (*kept, manifest("c", end=30))
    assert steps(wish, manifests=done, made=True) == ["verify shop", "remove a", "remove s"]
    assert steps(wish, manifests=done, made=True, verified=True) == ["remove a", "remove s"]
    assert steps(dataclasses.replace(wish, keep=0), manifests=done, made=True, verified=True) == []
    one = dataclasses.replace(wish, keep=1)
    removed = ["remove a", "remove s", "remove b"]
    assert steps(one, manifests=kept) == ["dump shop-1", "verify shop", *removed]
    assert steps(one, manifests=done, made=True, verified=True) == removed


def test_a_slice_removes_what_is_outdated_too() -> None:
    kept = (manifest("a", end=10), manifest("b", end=20))
    wish = dataclasses.replace(WISH, kind=OPLOG, keep=1)
    assert steps(wish, manifests=kept) == ["dump shop-1", "remove a"]


def test_a_wait_where_no_member_is_fit() -> None:
    found = backup.plan(TARGET, WISH, backup.Around(snapshot(["PRIMARY", "DOWN"])))
    assert isinstance(found, Plan)
    assert [step.change for step in found.steps] == [False]


def test_the_only_member_is_read_with_a_warning() -> None:
    found = backup.plan(TARGET, WISH, backup.Around(snapshot(["PRIMARY"])))
    assert isinstance(found, Plan)
    assert "read from the primary" in found.warnings[0]


@pytest.mark.parametrize(
    ("wish", "seen", "says"),
    [
        (WISH, Snapshot(), "There is no StatefulSet shop"),
        (WISH, dataclasses.replace(snapshot(["PRIMARY"]), secret=False), "no Secret shop-root"),
        (dataclasses.replace(WISH, kind=OPLOG), snapshot(["PRIMARY"]), "continues a full backup"),
        (dataclasses.replace(WISH, read_from="shop-9"), snapshot(["PRIMARY"]), "none of the set's pods"),
    ],
)
def test_backups_that_cannot_be(wish: backup.Wish, seen: Snapshot, says: str) -> None:
    found = backup.plan(TARGET, wish, backup.Around(seen, (manifest("x", set_id="id2"),)))
    assert isinstance(found, Refusal)
    assert says in found.sentence()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keep": -1}, "keep: expected"),
        ({"dest": "backups"}, "dest: expected an absolute path"),
        ({"verify": True, "mode": "oplog"}, "verify: expected false"),
    ],
)
def test_options_that_cannot_be(change: dict[str, t.Any], says: str) -> None:
    options = {"dest": "/b", "mode": "full", "keep": 0, "read_from": None, "gzip": True, "verify": False}
    assert backup.wish_of(options) == backup.Wish("/b")
    with pytest.raises(Failure, match=says):
        backup.wish_of({**options, **change})


# Restore.

INTO = restore.Wish(manifest("a"))
EVERY = ["clear", "load", "replay", "build"]


def planned(wish: restore.Wish, **around: t.Any) -> t.Union[list[str], str]:
    around.setdefault("databases", ())
    found = restore.plan(TARGET, wish, restore.Around(around.pop("seen", snapshot(["PRIMARY"])), fcv="6.0", **around))
    return found.sentence() if isinstance(found, Refusal) else [step.action for step in found.steps]


def mark(phase: str, wish: restore.Wish = INTO, done: t.Sequence[str] = ()) -> restore.Mark:
    return restore.Mark(phase, wish.identity, tuple(done))


def test_an_empty_set_is_restored_into() -> None:
    assert planned(INTO) == EVERY
    assert planned(INTO, finished=True) == []


def test_data_is_never_overwritten_in_silence() -> None:
    said = planned(INTO, databases=("base", "shop"))
    assert "holds data" in said
    assert "base, shop" in said
    assert "overwrite_data_of=shop" in said
    assert planned(dataclasses.replace(INTO, overwrite_data_of="shop"), databases=("base",)) == EVERY


@pytest.mark.parametrize("databases", [(), ("base",)])
def test_another_name_is_refused_also_where_nothing_would_be_lost(databases: tuple[str, ...]) -> None:
    said = "overwrite_data_of: expected the name of the set that is restored into, shop, found other."
    assert said in planned(dataclasses.replace(INTO, overwrite_data_of="other"), databases=databases)


@pytest.mark.parametrize(
    ("phase", "left"),
    [
        ("clear", EVERY),
        ("load", EVERY[1:]),
        ("replay", EVERY[2:]),
        ("replaying", EVERY),
        ("build", EVERY[3:]),
        ("?", EVERY),
    ],
)
def test_a_restore_that_was_begun_goes_on_without_the_name(phase: str, left: list[str]) -> None:
    assert planned(INTO, databases=("base",), mark=mark(phase)) == left


@pytest.mark.parametrize(
    "other",
    [
        restore.Wish(manifest("b")),
        dataclasses.replace(INTO, until=Optime(9, 9)),
        dataclasses.replace(INTO, slices=(manifest("s", OPLOG),)),
        restore.Wish(manifest("a", set_id="id2")),
    ],
)
@pytest.mark.parametrize("databases", [(), ("base",)])
def test_another_restore_that_was_begun_is_not_overwritten(other: restore.Wish, databases: tuple[str, ...]) -> None:
    said = planned(other, databases=databases, mark=mark("load"))
    assert "restore of a into it has not come to its end" in said
    assert (
        planned(dataclasses.replace(other, overwrite_data_of="shop"), databases=databases, mark=mark("build")) == EVERY
    )


def test_collections_that_are_complete_are_not_announced_again() -> None:
    around = restore.Around(snapshot(["PRIMARY"]), ("base",), mark("load", done=["base.big"]), "6.0")
    found = restore.plan(TARGET, INTO, around)
    assert isinstance(found, Plan)
    assert "load 0 collections" in found.steps[0].sentence


def test_a_wait_where_no_primary_answers() -> None:
    found = restore.plan(TARGET, INTO, restore.Around(snapshot(["SECONDARY"])))
    assert isinstance(found, Plan)
    assert [step.change for step in found.steps] == [False]


def test_restores_that_cannot_be() -> None:
    assert "There is no StatefulSet shop" in planned(INTO, seen=Snapshot())
    assert "no Secret shop-root" in planned(INTO, seen=dataclasses.replace(snapshot(["PRIMARY"]), secret=False))
    newer = restore.Wish(dataclasses.replace(manifest("a"), fcv="10.0"))
    assert "feature compatibility version 10.0" in planned(newer)
    assert planned(restore.Wish(dataclasses.replace(manifest("a"), fcv="5.0"))) == EVERY


def test_a_mark_comes_back_as_it_was() -> None:
    one = mark("load", done=["a.b"])
    assert restore.Mark.load({"_id": "restore", **one.dump()}, ["a.b"]) == one
    assert restore.Mark.load({}, []) is None
