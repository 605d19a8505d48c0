# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What a MariaDB has received and not applied it forgets at its start: the record remembers for it. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import History, Transactions
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import APPLY, REMEMBER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


def had(view: View, but: t.Collection[str] = ()) -> dict[str, History]:
    """What pods are known to have had, as noted before and as they say, that would forget it at their start."""
    noted = {pod: known for pod, known in view.record.had.items() if pod not in but}
    for ordinal in view.present:
        answer, pod = view.seen.answer(ordinal), view.target.pod(ordinal)
        if answer.has is None or pod in but:
            continue
        if pod in noted and answer.has.contains(noted[pod]):
            del noted[pod]
        if answer.backlog:
            noted[pod] = noted[pod].union(answer.has) if pod in noted else answer.has
    return noted


def forgotten(view: View, ordinal: int, but: t.Collection[str] = ()) -> dict[str, Transactions]:
    """What pods had that this one lacks, who answers."""
    has = t.cast(History, view.seen.answer(ordinal).has)
    return {pod: lacks for pod, known in had(view, but).items() if (lacks := known.minus(has))}


def refused(view: View, lost: t.Mapping[str, Transactions], old: str, but: t.Collection[str]) -> Refusal:
    """Nobody takes the place of the old primary without what somebody had received of it."""
    return Refusal(
        f"{'; '.join(f'{pod} had {lacks.describe()}' for pod, lacks in lost.items())}, which nobody has any more who "
        "may take over: what it has received and not applied a MariaDB forgets at its start. Nobody takes writes.",
        view.evidence(),
        (
            f"bring {old} back, which has sent it",
            f"playbook stateful.kube.failover, and lose that: without={','.join(sorted({*but, *lost}))}",
        ),
    )


def remember(view: View, known: t.Mapping[str, History]) -> list[Step]:
    new_to_us = [pod for pod in known if not _written_down(view, pod, known[pod])]
    if not new_to_us:
        return []
    sentence = f"record what {', '.join(new_to_us)} has received and not applied, because it forgets that at its start"
    return [Step(REMEMBER, view.target.record, sentence, data={"had": known})]


def _written_down(view: View, pod: str, known: History) -> bool:
    """A failover that came to no end may have left less. While one receives more and more the first look counts."""
    noted = view.record.had.get(pod)
    source = view.seen.answer(t.cast(int, view.target.ordinal(pod))).source
    return noted is not None and (noted.contains(known) or bool(source and source.receiver == "Yes"))


def once_written_down(view: View, first: t.Sequence[Step], refusal: Refusal) -> t.Union[Plan, Refusal]:
    """What was seen now may be forgotten when somebody runs it again: the next look of this run refuses."""
    return Plan((*first, view.wait("wait until somebody can take over"))) if first else refusal


def idle(view: View, replicas: t.Sequence[int]) -> t.Union[Refusal, list[Step]]:
    """Who receives and does not apply: a MariaDB of which both have stopped forgets what it has received."""
    steps = []
    for ordinal in replicas:
        name, answer = view.target.pod(ordinal), view.seen.answer(ordinal)
        source = answer.source
        if source is None or source.applier == "Yes":
            continue
        receives = view.receives(ordinal)
        if source.apply_error and (receives or answer.uptime is not None):
            return Refusal(
                f"{name} does not apply what it has received, and may have it alone. Nothing was changed.",
                (*view.evidence(), f"its error is: {source.apply_error}"),
                ("mend that, and let it go on", f"go on without it, and lose what only it has: without={name}"),
            )
        if receives:
            steps.append(Step(APPLY, name, f"let {name} apply what it has received", data={"ordinal": ordinal}))
    return steps
