# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Decides what is left to do until the servers replicate with the password of the Secret, and with no other. Pure.

While it changes, both passwords are good: for replicas that log in anew, and for pods that take a copy and read the
Secret later than others. The former one ends when nobody uses it any more.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._password_plan import (
    CHANGE,
    MOVE,
    SeenPassword,
    Wish,
    plan_password,
)

WAIT = "wait"
TELL = "tell"
FORGET = "forget"


@dataclasses.dataclass(frozen=True)
class Replica:
    ordinal: int
    pod: str
    #: why it does not answer; empty where it does
    silent: str = ""
    #: whether it replicates from anybody
    attached: bool = True
    #: its source does not let it in
    denied: bool = False
    connected: bool = True
    #: this run has told it the password that the Secret is to have, or has
    told: bool = False


@dataclasses.dataclass(frozen=True)
class SeenReplication:
    #: ``taken`` and ``given``: the primary lets in with the next password
    password: SeenPassword
    #: the primary lets in with the password of the Secret
    takes_current: bool = True
    #: and with the one before it
    takes_former: bool = False
    replicas: tuple[Replica, ...] = ()


def plan_replication(wish: Wish, seen: SeenReplication) -> t.Union[Plan, Refusal]:
    password = seen.password
    plan = plan_password(wish, password)
    if isinstance(plan, Refusal) or (password.around.waits and password.around.formed):
        return plan
    turning = password.pending or any(step.action == MOVE for step in plan.steps)
    if not turning:
        return Plan((*plan.steps, *_settled(seen)), plan.warnings)
    before = [step for step in plan.steps if step.action != MOVE]
    after = [step for step in plan.steps if step.action == MOVE]
    if after:
        after.append(_forget(seen))
    return Plan((*before, *_tell(seen, [one for one in seen.replicas if one.attached]), *after), plan.warnings)


def _settled(seen: SeenReplication) -> list[Step]:
    """What a run that was killed, or a failover in the middle of one, has left."""
    user, where = seen.password.user, seen.password.secret
    if seen.password.around.waits:
        return []
    steps = []
    if not seen.takes_current:
        steps.append(Step(CHANGE, user, f"give user {user} the password of Secret {where}"))
    if seen.takes_former:
        return [*steps, *_tell(seen, [one for one in seen.replicas if one.attached]), _forget(seen)]
    return [*steps, *_tell(seen, [one for one in seen.replicas if one.denied], wait=False)]


def _tell(seen: SeenReplication, replicas: t.Sequence[Replica], wait: bool = True) -> list[Step]:
    """One after the other: with semi-synchronous replication a commit waits for a replica that has a connection."""
    silent = [one for one in seen.replicas if one.silent]
    away = [one for one in replicas if one.told and not one.connected and not one.silent]
    steps = []
    if away:
        steps.append(_wait(f"wait until {away[0].pod} has a connection to its source again", away[0].pod))
    for one in replicas:
        if not (one.told or one.silent):
            sentence = f"let {one.pod} log in at its source with the new password"
            steps.append(Step(TELL, one.pod, sentence, data={"ordinal": one.ordinal}))
    if silent and wait:
        said = "; ".join(f"{one.pod}: {one.silent}" for one in silent)
        steps.append(
            _wait(f"wait until every replica answers, because the former password ends after this: {said}", "replicas")
        )
    return steps


def _wait(sentence: str, target: str) -> Step:
    return Step(WAIT, target, sentence, change=False)


def _forget(seen: SeenReplication) -> Step:
    user = seen.password.user
    return Step(FORGET, user, f"let user {user} log in with the password of Secret {seen.password.secret} alone")
