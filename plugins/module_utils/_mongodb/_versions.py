# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Server versions, and the feature compatibility version that the data is kept in. Pure.

A server starts on data of its own series and of the one before only, and features of a new series come with the
feature compatibility version, which is raised last and lowered first.
https://www.mongodb.com/docs/manual/reference/command/setFeatureCompatibilityVersion/
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._steps import FEATURE_VERSION
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal, Step

Series = tuple[int, int]

# Up to 4.4 each of these was a series of its own; since then a series is named by its first number.
_OLD: tuple[Series, ...] = ((3, 4), (3, 6), (4, 0), (4, 2), (4, 4), (5, 0))
_FIRST = 5
# From this series on the server wants to be told that there may be no way back.
CONFIRMED_SINCE = (7, 0)


def series_of(version: str) -> t.Optional[Series]:
    """The first two numbers of a version such as 6.0.5 or 8.0, or None where it does not begin with two."""
    found = re.match(r"v?(\d{1,2})\.(\d{1,2})(?!\d)", version)
    return (int(found.group(1)), int(found.group(2))) if found else None


def series_of_image(image: str) -> t.Optional[Series]:
    """What the tag of an image says of its version, or None where it says nothing: a digest, latest, a name."""
    name, _at, _digest = image.partition("@")
    _registry, _slash, last = name.rpartition("/")
    tag = last.partition(":")[2]
    if re.fullmatch(r"v?\d+", tag):
        tag += ".0"
    return series_of(tag)


def steps_between(older: Series, newer: Series) -> int:
    """How many series the second is ahead of the first; negative where it is behind."""
    return _position(newer) - _position(older)


def _position(series: Series) -> int:
    if series in _OLD:
        return _OLD.index(series)
    if series < _OLD[-1]:
        # Between those, or before: nothing is known of it but its place.
        return sum(1 for known in _OLD if known <= series) - 1
    return _OLD.index((_FIRST, 0)) + series[0] - _FIRST


def in_words(series: Series) -> str:
    return f"{series[0]}.{series[1]}"


def refuse_versions(view: View, replaces: bool) -> t.Optional[Refusal]:
    """``replaces``: whether pods are to be made from the newest template."""
    found = view.seen.stateful_set
    current = series_of(view.seen.feature_version)
    if current is None or found is None:
        return None
    target = series_of_image(found.image)
    if replaces and target is not None:
        refusal = _refuse_image(found.image, target, current)
        if refusal:
            return refusal
    wanted = series_of(view.desired.feature_version)
    if wanted is None or wanted == current:
        return None
    servers = sorted({series for answer in view.seen.answers.values() if (series := series_of(answer.version))})
    if replaces or not servers:
        return None
    if all(steps_between(wanted, server) in (0, 1) for server in servers):
        return None
    told = ", ".join(in_words(server) for server in servers)
    return Refusal(
        f"feature_compatibility_version is {in_words(wanted)}, the data is of {in_words(current)}, and the servers are "
        f"of {told}: servers keep data of their own series, and of the one before.",
        (),
        (
            f"declare an image of {in_words(wanted)} first, and run again",
            f"declare feature_compatibility_version: {in_words(current)}",
        ),
    )


def _refuse_image(image: str, target: Series, current: Series) -> t.Optional[Refusal]:
    ahead = steps_between(current, target)
    if ahead in (0, 1):
        return None
    back = "declare the image of before, and run again: then nothing is replaced"
    way = (
        "to go up, take one series after the other: declare its image, run, declare feature_compatibility_version of "
        "that series, run, and so on"
    )
    if ahead < 0:
        way = (
            f"to go back, declare the image of before with feature_compatibility_version: {in_words(target)}, run, and "
            "then declare this image; further back than one series only a restore from a backup leads"
        )
    return Refusal(
        f"The image {image} is of {in_words(target)}, and the data has feature compatibility version "
        f"{in_words(current)}: a server starts on data of its own series and of the one before only. No pod was "
        "replaced.",
        (),
        (back, way),
    )


def feature_steps(view: View, config: Config) -> list[Step]:
    """Raise or lower it, once every member runs what it needs."""
    wanted, current = series_of(view.desired.feature_version), series_of(view.seen.feature_version)
    if wanted is None or current is None or wanted == current:
        return []
    missing = view.not_serving(config, view.desired.ordinals)
    if missing:
        return [view.wait(f"wait until all members serve before the feature compatibility version changes: {missing}")]
    verb, after = "raise", "from then on no older server can read the data"
    if wanted < current:
        verb, after = "lower", "features of the newer series must not be in use"
    sentence = f"{verb} the feature compatibility version from {in_words(current)} to {in_words(wanted)}; {after}"
    return [Step(FEATURE_VERSION, view.target.replica_set, sentence, data={"version": in_words(wanted)})]
