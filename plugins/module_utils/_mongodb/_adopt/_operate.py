# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Adoption: looks at the objects and the members, and takes the steps of the plan."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._act import act
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._declare import (
    data_elsewhere,
    differences,
    sidecar_in,
    variables,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._adopt._state import Found, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import SET_ID_ANNOTATION, Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import (
    LOOK_AGAIN,
    Plan,
    Refusal,
    Step,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adopting as adopting
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import (
    API,
    CLAIM,
    MARK,
    SERVICE,
    SET,
    TAKE_OVER,
    Thing,
    marked,
)

Object = dict[str, t.Any]
# Seconds that pods which run and do not answer are asked again, in all.
PATIENCE = 20.0


class Adoption(Conversation[Found]):
    def __init__(self, observer: Observer, wish: Wish, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish
        self._cluster = observer.cluster
        self._patience = PATIENCE

    # Looking

    def _ask(self) -> Snapshot:
        """A pod that runs gets some time to answer: one that is slow is not away."""
        while True:
            since = time.monotonic()
            seen = self._observer.observe()
            slow = [o for o in seen.of_kind(Kind.UNREACHABLE) if (pod := seen.pods.get(o)) and pod.running]
            if not slow or self._patience <= 0:
                return seen
            self._observer.pause(LOOK_AGAIN)
            self._patience -= time.monotonic() - since

    def observe(self) -> Found:
        target, cluster = self._target, self._cluster
        seen = self._ask()
        if seen.stateful_set is None:
            return Found(seen)
        service_name = target.service or seen.stateful_set.service
        names = [claim for ordinal in seen.pods for claim in seen.claims.get(ordinal, ())]
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            asked = [
                pool.submit(cluster.get, API[kind], kind, name, target.namespace)
                for kind, name in ((SET, target.name), (SERVICE, service_name), *((CLAIM, name) for name in names))
                if name
            ]
            secrets = [
                pool.submit(cluster.get, "v1", "Secret", name, target.namespace)
                for name in (f"{target.name}-keyfile", target.root_secret)
            ]
            found = [one for future in asked if (one := future.result())]
            there = [one["metadata"]["name"] for future in secrets if (one := future.result())]
        raw_set = next((one for one in found if one["kind"] == SET), None)
        if raw_set is None:
            return Found(seen)
        raw_service = next((one for one in found if one["kind"] == SERVICE), None)
        first = Found(seen, adopting.objects(found), self._modes(seen))
        return self._with_report(first, raw_set, raw_service, there)

    def _with_report(self, found: Found, raw: Object, service: t.Optional[Object], secrets: t.Sequence[str]) -> Found:
        target, config = self._target, found.snapshot.config
        hosts = {
            member.host: o for member in (config.members if config else ()) if (o := found.pod_of(member)) is not None
        }
        told = set(found.authentication.values())
        mode = told.pop() if len(told) == 1 else ""
        stable = {member.host: host for _ordinal, member, host in found.misnamed(target)}
        return dataclasses.replace(
            found,
            sidecar=sidecar_in(raw["spec"]["template"]),
            elsewhere=data_elsewhere(raw),
            variables=variables(target, raw, config, hosts, mode),
            differences=differences(target, raw, service, stable, mode, secrets),
        )

    def _modes(self, seen: Snapshot) -> dict[int, str]:
        modes = {}
        for ordinal, answer in seen.answers.items():
            link = self._observer.links.get(ordinal)
            if link is None or answer.kind is Kind.UNREACHABLE:
                continue
            try:
                modes[ordinal] = link.authentication()
            except (NoAnswer, CommandError):
                modes[ordinal] = ""
        return modes

    # Deciding and acting

    def plan(self, observed: Found) -> t.Union[Plan, Refusal]:
        return planner.plan(self._target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Found) -> None:
        for step in steps:
            if step.action in (MARK, TAKE_OVER):
                self._change(step, observed)
            else:
                act(self._observer, step, observed.snapshot)
        self.acted()

    def _change(self, step: Step, found: Found) -> None:
        thing: Thing = step.data["thing"]
        try:
            if step.action == TAKE_OVER:
                adopting.take_over(self._cluster, self._target.namespace, step)
            else:
                change = marked(planner.application(self._target), thing, found.objects, self._noted(found))
                adopting.patch(self._cluster, self._target.namespace, step, change)
        finally:
            self._observer.forget_objects()

    def _noted(self, found: Found) -> dict[str, str]:
        config = found.snapshot.config
        noted = {
            "stateful.kube/replica-set": config.set_name if config else "",
            "stateful.kube/root-secret": self._target.root_secret,
        }
        return noted if found.snapshot.recorded else {**noted, SET_ID_ANNOTATION: found.set_ids[0]}

    def facts(self, observed: Found) -> dict[str, t.Any]:
        return facts(self._target, observed, self._wish)
