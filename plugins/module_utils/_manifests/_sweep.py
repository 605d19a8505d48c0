# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Finds the objects of an application that are declared no more."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import (
    LABEL,
    NAME,
    RECORD,
    SWEPT,
    Record,
    Undeclared,
    anchor,
    judge,
    read,
    wider,
    written,
)

Kind = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Whose objects are looked for, and what is declared of them."""

    cluster: Cluster
    application: str
    namespace: str
    manager: str
    declared: t.Mapping[Key, Object]
    generated: t.Collection[Key]

    def record(self, live: t.Mapping[Key, Object]) -> t.Optional[Record]:
        """The record of kinds as it is and as it should be, where nothing is looked for."""
        carrier, says = self._carrier(live)
        now = written(self.declared)
        return Record(carrier, says, now, wider(says, now)) if carrier else None

    def look(
        self, live: t.Mapping[Key, Object], labelled: t.Mapping[Kind, t.Sequence[Object]]
    ) -> tuple[tuple[Undeclared, ...], t.Optional[Record]]:
        """What is declared no more, and the record of kinds. ``labelled`` are lists that were read already."""
        carrier, says = self._carrier(live)
        now = written(self.declared)
        records = [note for obj in live.values() if (note := _note(obj)) is not None]
        undeclared = self._of_application(wider(*records), not records, labelled)
        # An object that carried the record before, and is no longer declared, knows more kinds.
        past = [note for one in undeclared if (note := _note(one.live)) is not None]
        if past:
            undeclared = self._of_application(wider(*records, *past), not records, labelled)
        before = wider(now, *records, *past, written(one.key for one in undeclared if not one.kept))
        return tuple(undeclared), Record(carrier, says, before, now) if carrier else None

    def _carrier(self, live: t.Mapping[Key, Object]) -> tuple[t.Optional[Key], t.Optional[str]]:
        carrier = anchor(self.declared, self.application, self.namespace)
        return carrier, _note(live[carrier]) if carrier and carrier in live else None

    def _of_application(
        self, record: str, sweep: bool, labelled: t.Mapping[Kind, t.Sequence[Object]]
    ) -> list[Undeclared]:
        kinds, outside = read(record)
        wanted = {*kinds, *(SWEPT if sweep else ())} - set(labelled)
        lists = dict(in_parallel(lambda kind: (kind, self._list(*kind, swept=kind not in kinds)), wanted))
        lists.update(labelled)
        there = {
            Key(*kind, item["metadata"]["namespace"], item["metadata"]["name"]): item
            for kind, items in lists.items()
            for item in items
        }
        for key in outside - set(self.declared):
            one = self.cluster.get(key.api_version, key.kind, key.name)
            if one:
                there[key] = one
        # The same object is served under each version of its API.
        wanted_still = {key.identity for key in (*self.declared, *self.generated)}
        names = {name for obj in self.declared.values() if (name := (obj["metadata"].get("labels") or {}).get(NAME))}
        judged = (
            judge(key, obj, self.application, self.manager, names)
            for key, obj in sorted(there.items(), key=lambda pair: str(pair[0]))
            if key.identity not in wanted_still
        )
        return [one for one in judged if one]

    def _list(self, api_version: str, kind: str, swept: bool) -> t.Sequence[Object]:
        try:
            return self.cluster.list(api_version, kind, self.namespace, labels=f"{LABEL}={self.application}")
        except ApiError as error:
            # What one may not read, one has not applied: a sweep looks wherever it can.
            if error.not_found or (error.forbidden and swept):
                return ()
            raise
        except Unreachable:
            raise
        except Failure:
            return ()  # the API serves this kind no more, so there are no objects of it


def _note(obj: Object) -> t.Optional[str]:
    note = (obj["metadata"].get("annotations") or {}).get(RECORD)
    return None if note is None else str(note)
