# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Pods of an older revision of a StatefulSet: which they are, and what is the same for every database. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

REPLACE = "replace"


class _StatefulSet(t.Protocol):
    @property
    def revision(self) -> str: ...
    @property
    def settled(self) -> bool: ...


class _Desired(t.Protocol):
    @property
    def ordinals(self) -> t.Sequence[int]: ...
    @property
    def replace_pods(self) -> bool: ...
    @property
    def template_changes(self) -> bool: ...


class _Target(t.Protocol):
    @property
    def name(self) -> str: ...
    def pod(self, ordinal: int) -> str: ...


class _Seen(t.Protocol):
    @property
    def stateful_set(self) -> t.Optional[_StatefulSet]: ...
    @property
    def pods(self) -> t.Mapping[int, Pod]: ...


class View(t.Protocol):
    """What the planner of a database has of one look."""

    @property
    def target(self) -> _Target: ...
    @property
    def desired(self) -> _Desired: ...
    @property
    def seen(self) -> _Seen: ...
    def pod(self, ordinal: int) -> Pod: ...
    def wait(self, sentence: str) -> Step: ...


AnyView = t.TypeVar("AnyView", bound=View)


class Rolling(t.Generic[AnyView]):
    """Each database adds in which order its pods are replaced, and what has to be so before the next one."""

    def __init__(self, view: AnyView) -> None:
        self.view = view
        found = view.seen.stateful_set
        self.revision = found.revision if found else ""
        if view.desired.template_changes:
            self.revision = "the new template"
        self.settled = bool(found and found.settled)

    @property
    def old(self) -> list[int]:
        """Members whose pod is of an older revision, the highest ordinal first. Who is to leave is none of them."""
        return [
            ordinal
            for ordinal in sorted(self.view.desired.ordinals, reverse=True)
            if (pod := self.view.seen.pods.get(ordinal))
            and (pod.revision or self.revision) != self.revision
            and not pod.deleting
        ]

    def warnings(self) -> tuple[str, ...]:
        old = self.old
        if self.view.desired.replace_pods or not old or not self.revision:
            return ()
        names = ", ".join(self.view.target.pod(ordinal) for ordinal in sorted(old))
        return (
            f"{names}: of an older revision of the StatefulSet, and replace_pods is false, so they stay as they are.",
        )

    def stuck(self) -> list[Step]:
        """Old pods in which no server runs: replaced at once, because there is nothing to lose and much to win.

        A change that can never work is left behind so, too: after it was taken back only its own pods are old.
        """
        if not self.may():
            return []
        return [self.replace(ordinal, "in which no server answers") for ordinal in self.old if self.is_stuck(ordinal)]

    def is_stuck(self, ordinal: int) -> bool:
        raise NotImplementedError

    def may(self) -> bool:
        return bool(self.settled and self.revision and self.view.desired.replace_pods)

    def unsettled(self) -> list[Step]:
        """What there is to wait for where it may not be done yet."""
        if self.settled or not self.view.desired.replace_pods:
            return []
        name = self.view.target.name
        return [self.view.wait(f"wait until the controller has seen the newest version of StatefulSet {name}")]

    def replace(self, ordinal: int, state: str) -> Step:
        pod = self.view.pod(ordinal)
        return Step(
            REPLACE,
            pod.name,
            f"replace pod {pod.name} ({state}), which is of revision {pod.revision}, by one of {self.revision}",
            data={"ordinal": ordinal, "pod": pod.name, "uid": pod.uid},
        )
