# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Another key file, in three rounds of pods, so that all members let each other in at every moment. Pure.

A key file may hold several keys: mongod shows the first and takes any. So all members get the next key behind the one
in use, then the two the other way round, and then the next one alone. Between two rounds every pod has the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._members import options_in
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._refuse import refuse
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._rolling import Rolling
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Config, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._versions import refuse_versions
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

BEGIN = "begin"
TURN = "turn"
LEAVE = "leave"
MARK = "mark"
COMPLETE = "complete"


@dataclasses.dataclass(frozen=True)
class Keys:
    """What the Secret of the key file has; keys are kept out of every result."""

    #: what members read when they start, the one that they show first
    used: tuple[str, ...] = dataclasses.field(repr=False)
    #: the one that is to stay in the end; empty where none is under way
    following: str = dataclasses.field(default="", repr=False)
    #: the rotation that the Secret records
    rotation: str = ""

    @property
    def mark(self) -> str:
        return hashlib.sha256("\n".join(self.used).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Seen:
    snapshot: Snapshot
    secret: str
    keys: t.Optional[Keys]


def text_of(keys: t.Sequence[str]) -> str:
    """The content of a key file."""
    return keys[0] if len(keys) == 1 else "".join(f"- {key}\n" for key in keys)


def keys_in(text: str) -> tuple[str, ...]:
    """The keys in a key file, of which one alone may be broken over lines."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and all(line.startswith("- ") for line in lines):
        return tuple(line[2:].strip().strip("'\"") for line in lines)
    return ("".join("".join(lines).split()),) if lines else ()


def plan(target: Target, rotation: str, lag_limit: float, seen: Seen) -> t.Union[Plan, Refusal]:
    keys, found = seen.keys, seen.snapshot.stateful_set
    begins = bool(rotation) and keys is not None and not keys.following and keys.rotation != rotation
    if keys is not None and not (begins or keys.following):
        return Plan()
    config = seen.snapshot.config
    # The members stay what they are, an arbiter too.
    options = options_in(config, target, seen.snapshot) if config else {}
    desired = Desired(found.replicas if found else 1, options, lag_limit=lag_limit)
    view = View(target, desired, seen.snapshot)
    refusal = refuse(target, desired, seen.snapshot) or refuse_versions(view, replaces=True) or _beyond(view)
    if refusal:
        return refusal
    if found is None or keys is None:
        what = f"Secret {seen.secret}" if found else f"StatefulSet {target.name}"
        return Plan((view.wait(f"wait until there is a {what}"),))
    if seen.snapshot.primary is None or config is None:
        return Plan((view.wait(f"wait until a member is primary: {view.states()}"),))
    steps: list[Step] = []
    if not begins:
        steps += _round(view, config, keys)
    used = keys.used
    for action, sentence in _left(keys, seen.secret):
        steps.append(Step(action, seen.secret, sentence))
        if action != COMPLETE:
            used = after(action, dataclasses.replace(keys, used=used))
            steps += [_mark(target), *_preview(target, desired, seen.snapshot, config)]
    return Plan(tuple(steps))


def _beyond(view: View) -> t.Optional[Refusal]:
    """Members that are on their way out must not wait for three rounds."""
    config = view.seen.config
    ordinals = {view.target.ordinal(member.host, view.seen) for member in config.members} if config else set()
    beyond = [view.target.pod(o) for o in sorted(o for o in ordinals if o is not None and o >= view.desired.members)]
    if not beyond:
        return None
    return Refusal(
        f"{', '.join(beyond)} is in the configuration and beyond the {view.desired.members} replicas of the "
        f"StatefulSet {view.target.name}: members are leaving, and the key file does not change meanwhile.",
        (),
        ("let mongodb_replica_set, or the autopilot, take them out first, and run again",),
    )


def after(action: str, keys: Keys) -> tuple[str, ...]:
    """The keys in the file after this step."""
    following = keys.following or "the next key"
    former = tuple(key for key in keys.used if key != following)
    return {BEGIN: (*former, following), TURN: (following, *former), LEAVE: (following,)}[action]


def _round(view: View, config: Config, keys: Keys) -> list[Step]:
    """Every pod starts with what is in the Secret now."""
    found = view.seen.stateful_set
    if found is None or found.keyfile != keys.mark:
        return [_mark(view.target), *_preview(view.target, view.desired, view.seen, config)]
    steps = Rolling(view).steps(config)
    missing = view.not_serving(config, view.desired.ordinals) or view.votes_missing(config)
    if missing and not steps:
        steps.append(view.wait(f"wait until all members are PRIMARY or SECONDARY and vote: {missing}"))
    return steps


def _left(keys: Keys, secret: str) -> list[tuple[str, str]]:
    every = [
        (BEGIN, f"put a next key into Secret {secret}, behind the one in use"),
        (TURN, f"put the next key in Secret {secret} in front of the former one"),
        (LEAVE, f"take the former key out of Secret {secret}"),
        (COMPLETE, f"note in Secret {secret} that its key is the next one"),
    ]
    if not keys.following or keys.following not in keys.used:
        return every
    if keys.used[0] != keys.following:
        return every[1:]
    return every[2:] if len(keys.used) > 1 else every[3:]


def _mark(target: Target) -> Step:
    sentence = f"have the pods of StatefulSet {target.name} replaced, so that they read the Secret"
    return Step(MARK, target.name, sentence)


def _preview(target: Target, desired: Desired, snapshot: Snapshot, config: Config) -> list[Step]:
    """The pods that are replaced then, as they are now."""
    return Rolling(View(target, dataclasses.replace(desired, template_changes=True), snapshot)).steps(config)
