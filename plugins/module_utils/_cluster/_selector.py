# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Label selectors: as a query for the API, and against the labels of an object."""

from __future__ import annotations

import typing as t

Labels = t.Mapping[str, str]
Selector = t.Mapping[str, t.Any]


def query(selector: Selector) -> str:
    """A selector with matchLabels and matchExpressions, written as a list request takes it."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], ",".join(rule.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[rule["operator"]]
        )
    return ",".join(parts)


def matches(selector: t.Optional[Selector], labels: Labels) -> bool:
    """Whether the selector of a workload or a PodDisruptionBudget takes an object with these labels.

    An empty one takes everything, none at all takes nothing.
    """
    if selector is None:
        return False
    if not carries(selector.get("matchLabels") or {}, labels):
        return False
    return all(_holds(rule, labels) for rule in selector.get("matchExpressions") or ())


def carries(wanted: Labels, labels: Labels) -> bool:
    """Whether all these labels are there, as the selector of a Service means it."""
    return all(labels.get(key) == value for key, value in wanted.items())


def _holds(rule: Selector, labels: Labels) -> bool:
    key, values = rule["key"], rule.get("values") or ()
    operator = rule["operator"]
    if operator == "In":
        return bool(labels.get(key) in values)
    if operator == "NotIn":
        return bool(labels.get(key) not in values)
    return (key in labels) is bool(operator == "Exists")
