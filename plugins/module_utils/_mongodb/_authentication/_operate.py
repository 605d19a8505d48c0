# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at what every member does about authentication, by its own word."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._authentication._clients import clients_of, is_root
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._authentication._plan import (
    Member,
    Seen,
    decided,
    plan,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import (
    Observer,
    authentication_in,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
    REQUIRED,
    TRANSITION,
    Answer,
    Kind,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step


class Authentication(Conversation[Seen]):
    """It only waits and refuses: what it lets pass is done by others."""

    def __init__(self, observer: Observer, wish: str, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self.lock = None
        self._wish = wish

    def observe(self) -> Seen:
        target = self._target
        live = self._observer.cluster.get("apps/v1", "StatefulSet", target.name, target.namespace)
        template = authentication_in(live["spec"]["template"]) if live else None
        seen = Seen(target.name, target.namespace, target.root_secret, template)
        if decided(self._wish, template):
            # Almost every run ends here, after one request.
            return seen
        found = self._observer.observe()
        running = [ordinal for ordinal, pod in found.pods.items() if pod.running]
        members = tuple(self._member(target.pod(o), self._observer.links.get(o), found.answer(o)) for o in running)
        return dataclasses.replace(seen, secret=found.secret, members=members)

    def _member(self, pod: str, link: t.Optional[Link], answer: Answer) -> Member:
        if link is None or answer.kind is Kind.UNREACHABLE:
            return Member(pod, silence=answer.detail or answer.kind.value)
        try:
            mode = link.authentication()
            known = answer.kind is Kind.MEMBER and not answer.open
            if known and self._wish == REQUIRED:
                # As long as nothing is required any login may look: what counts is what it may do afterwards.
                known = is_root(link.client(login=True))
            clients = clients_of(link.client(login=True)) if self._wish == REQUIRED and mode == TRANSITION else {}
        except (NoAnswer, CommandError) as silence:
            return Member(pod, silence=f"no answer ({silence})")
        return Member(pod, mode, known or answer.state == ARBITER, clients)

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return plan(self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        """There is nothing to take: all its steps wait."""

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        return {
            "template": observed.template or None,
            "members": [{"pod": member.pod, "authentication": member.mode or None} for member in observed.members],
            "unsecured": observed.unsecured,
        }
