# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The import as one operation: observes both servers, plans, acts, and says how far it is."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import NoAnswer, SqlError
from ansible_collections.stateful.kube.plugins.module_utils._mysql._facts import facts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _ask as ask
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import import _plan as planning
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._act import Acts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import Local, Outside, Seen, Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation

#: seconds for which the source is not asked again
ASKED_FOR = 5.0


class Importing(Conversation[Seen]):
    def __init__(self, observer: Observer, wish: Wish, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer: Observer = observer
        self._wish = wish
        self._asker = ask.Asker(observer, wish)
        self._acts = Acts(observer, self._asker, wish)
        self._loads = False
        self._resumed = False
        self._outside: t.Optional[Outside] = None
        self._asked_at = 0.0

    def observe(self) -> Seen:
        target = self._observer.observe()
        record = target.record
        if not record:
            return Seen(target)
        ordinal = t.cast(int, self._observer.target.ordinal(record.primary))
        link = self._observer.links.get(ordinal)
        if link is None or not target.answer(ordinal).serves:
            return Seen(target)
        try:
            local = ask.local(link.client)
        except (NoAnswer, SqlError):
            return Seen(target)
        if not self._wish.present or (record.imported == self._wish.source and not record.importing):
            return Seen(target, local)
        error = ""
        if self._loads and not local.loader and not (local.marker and local.marker.loaded):
            error = self._asker.load_ended(record.primary) or "the load ended, and nothing is known of why"
        return Seen(target, local, self._source(record.primary, local), error, self._resumed)

    def _source(self, pod: str, local: Local) -> Outside:
        if self._outside is None or (not local.loader and time.monotonic() - self._asked_at > ASKED_FOR):
            self._outside = self._asker.look(pod, local.version)
            self._asked_at = time.monotonic()
        return self._outside

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return planning.plan_import(self._observer.target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        for step in steps:
            self._loads = self._loads or step.action == planning.LOAD
            self._acts.act(step, observed)
            self._resumed = self._resumed or step.action == planning.RESUME
        self._outside = None
        self.acted()

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        return {**facts(self._observer.target, observed.target), "import": _progress(observed)}


def _progress(seen: Seen) -> t.Optional[dict[str, t.Any]]:
    record = seen.target.record
    if record is None or not (record.importing or record.imported):
        return None
    answer = next(iter(seen.target.answers.values()), None)
    source = answer.source if answer else None
    loaded = bool(seen.local and seen.local.marker and seen.local.marker.loaded)
    outside = seen.outside if seen.outside and seen.outside.answers else None
    here = seen.local.accounts if seen.local else ()
    return {
        "source": record.importing or record.imported,
        "cut_over": not record.importing,
        "loaded": loaded or not record.importing,
        "seconds_behind": source.lag if source and record.importing else None,
        "accounts_not_imported": [name for name in outside.accounts if name not in here] if outside else None,
    }
