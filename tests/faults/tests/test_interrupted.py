# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a deployment is killed, and what the killed run and the next one may make together."""

from __future__ import annotations

import typing as t

import pytest
from mongodb.interrupted import Point, Reference, _nothing_twice

from harness.proxy import Change
from harness.verdict import Failed

CHANGES = (
    "APPLY namespaces/NAMESPACE",
    "POST secrets",
    "POST secrets",
    "APPLY statefulsets/shop",
    "replSetInitiate",
    "createUser",
    "createUser",
    "PATCH statefulsets/shop",
    "replSetReconfig",
    "replSetReconfig",
    "replSetReconfig",
)
REFERENCE = Reference(CHANGES, None)


def test_points_are_what_every_run_comes_to() -> None:
    assert REFERENCE.points == (
        Point("APPLY namespaces/NAMESPACE", 1),
        Point("POST secrets", 1),
        Point("POST secrets", 2),
        Point("APPLY statefulsets/shop", 1),
        Point("replSetInitiate", 1),
        Point("createUser", 1),
        Point("PATCH statefulsets/shop", 1),
        Point("replSetReconfig", 1),
        Point("replSetReconfig", 2),
    )


def changes(what: t.Iterable[str]) -> list[Change]:
    return [Change(number, each.replace("NAMESPACE", "here")) for number, each in enumerate(what, 1)]


@pytest.mark.parametrize("cut", range(len(CHANGES) + 1))
def test_two_runs_that_share_the_work_are_fine(cut: int) -> None:
    _nothing_twice(REFERENCE, changes(CHANGES[:cut]), changes(CHANGES[cut:]), "here", "killed")


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (CHANGES[:4], CHANGES[3:], "made again: APPLY statefulsets/shop"),
        (CHANGES[:4], CHANGES[5:], "never made: replSetInitiate"),
        (CHANGES[:4], ("DELETE pods/shop-0", *CHANGES[4:]), "made besides, .*: DELETE pods/shop-0"),
    ],
)
def test_what_is_made_twice_or_never_or_besides_is_a_failure(
    first: tuple[str, ...], second: tuple[str, ...], says: str
) -> None:
    with pytest.raises(Failed, match=says):
        _nothing_twice(REFERENCE, changes(first), changes(second), "here", "killed")
