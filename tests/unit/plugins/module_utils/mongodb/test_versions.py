# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Series of servers, and the feature compatibility version of the data, on a model: only one server is at hand."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._versions import (
    Series,
    in_words,
    series_of_image,
    steps_between,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.tests.unit.plugins.module_utils.mongodb.test_plan import (
    TARGET,
    formed,
    of_revisions,
)

SERIES: tuple[Series, ...] = ((4, 2), (4, 4), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("mongo:6.0.5", (6, 0)),
        ("registry.example.com:5000/library/mongo:7.0", (7, 0)),
        ("mongo:8", (8, 0)),
        ("percona/percona-server-mongodb:6.0.9-7", (6, 0)),
        ("mongo:7.0.2-jammy@sha256:12", (7, 0)),
        ("registry.example.com:5000/mongo", None),
        ("mongo@sha256:12", None),
        ("mongo:latest", None),
        ("mongo:20240101", None),
        ("mongo", None),
    ],
)
def test_the_series_of_an_image(image: str, expected: t.Optional[Series]) -> None:
    assert series_of_image(image) == expected


@pytest.mark.parametrize(
    ("older", "newer", "steps"),
    [((4, 4), (5, 0), 1), ((4, 2), (5, 0), 2), ((5, 0), (6, 0), 1), ((6, 0), (8, 0), 2), ((8, 0), (8, 2), 0)],
)
def test_how_far_series_are_apart(older: Series, newer: Series, steps: int) -> None:
    assert steps_between(older, newer) == steps
    assert steps_between(*reversed((older, newer))) == -steps


class Servers:
    """Three members: what they run, what the data is kept in, and a template that is newer or not."""

    def __init__(self, series: Series) -> None:
        self.running = [series] * 3
        self.feature = series
        self.template = series
        self.primary = 0

    def observe(self) -> Snapshot:
        revisions = [in_words(series) for series in self.running]
        found = of_revisions(
            formed(3, self.primary),
            *revisions,
            newest=in_words(self.template),
            image=f"mongo:{in_words(self.template)}.1",
        )
        answers = {
            ordinal: dataclasses.replace(
                answer, version=f"{in_words(self.running[ordinal])}.1", feature_version=in_words(self.feature)
            )
            for ordinal, answer in found.answers.items()
        }
        return dataclasses.replace(found, answers=answers)

    def run(self, desired: Desired) -> t.Union[Plan, Refusal]:
        for _turn in range(20):
            found = plan(TARGET, desired, self.observe())
            if isinstance(found, Refusal) or not found.steps:
                return found
            step = next(step for step in found.steps if step.change)
            if step.action == "replace":
                ordinal = step.data["ordinal"]
                assert steps_between(self.feature, self.template) in (0, 1), "this server does not start on this data"
                self.running[ordinal] = self.template
            elif step.action == "step_down":
                self.primary = step.data["to"]
            elif step.action == "feature_version":
                wanted = next(series for series in SERIES if in_words(series) == step.data["version"])
                for series in self.running:
                    assert steps_between(wanted, series) in (0, 1), "a server does not know this version"
                self.feature = wanted
        raise AssertionError("it does not come to an end")


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(SERIES))
def test_no_server_ever_meets_data_that_it_cannot_read(data: st.DataObject, first: Series) -> None:
    servers = Servers(first)
    for _change in range(data.draw(st.integers(1, 6))):
        servers.template = data.draw(st.sampled_from(SERIES))
        feature = data.draw(st.sampled_from([None, *SERIES]))
        found = servers.run(Desired(3, feature_version=in_words(feature) if feature else ""))
        if isinstance(found, Plan):
            assert servers.running == [servers.template] * 3
            assert feature is None or servers.feature == feature


def test_one_series_up_keeps_the_way_back_open_until_it_is_told_otherwise() -> None:
    servers = Servers((6, 0))
    servers.template = (7, 0)
    assert isinstance(servers.run(Desired(3)), Plan)
    assert servers.feature == (6, 0)
    servers.template = (6, 0)
    assert isinstance(servers.run(Desired(3)), Plan)
    servers.template = (7, 0)
    assert isinstance(servers.run(Desired(3, feature_version="7.0")), Plan)
    assert servers.feature == (7, 0)
    servers.template = (6, 0)
    refused = servers.run(Desired(3))
    assert isinstance(refused, Refusal)
    assert "feature_compatibility_version: 6.0" in refused.sentence()
    # The way down that the message tells.
    servers.template = (7, 0)
    assert isinstance(servers.run(Desired(3, feature_version="6.0")), Plan)
    servers.template = (6, 0)
    assert isinstance(servers.run(Desired(3)), Plan)
    assert servers.running == [(6, 0)] * 3


@pytest.mark.parametrize(
    ("template", "feature", "expected"),
    [((8, 0), "", "take one series after the other"), ((6, 0), "7.0", "declare an image of 7.0 first")],
)
def test_two_series_at_once_are_refused(template: Series, feature: str, expected: str) -> None:
    servers = Servers((6, 0))
    servers.template = template
    found = servers.run(Desired(3, feature_version=feature))
    assert isinstance(found, Refusal)
    assert servers.running == [(6, 0)] * 3
    assert expected in found.sentence()


def test_pods_that_are_not_to_be_replaced_are_not_refused() -> None:
    servers = Servers((6, 0))
    servers.template = (8, 0)
    assert isinstance(servers.run(Desired(3, replace_pods=False)), Plan)
