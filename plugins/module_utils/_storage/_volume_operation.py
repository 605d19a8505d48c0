# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for a list of PersistentVolumes.

No Lease: each step is one request on one object, and what could do harm carries the resourceVersion that it was planned
on. Two runs at once end as one after the other would.
"""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, conflicts
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import (
    FIELD_MANAGER,
    Cluster,
    Object,
    list_if_allowed,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import same_outcome, unchanged
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Seen as SeenObject
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import conflict_sentence
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._storage._families import HOSTNAME
from ansible_collections.stateful.kube.plugins.module_utils._storage._volumes import (
    Change,
    Seen,
    Wish,
    claim,
    left_behind,
    nodes,
    phase,
    place,
    plan,
)

KIND = ("v1", "PersistentVolume")
# What the API server says of a field that cannot change.
_FIXED = "immutable"


class PersistentVolumes(Operation[Seen]):
    """Make, change, give back or remove PersistentVolumes."""

    def __init__(self, cluster: Cluster, wish: Wish, *, force: bool, wait_timeout: float) -> None:
        self.cluster = cluster
        self.wish = wish
        self.force = force
        self.title = "PersistentVolumes"
        self.wait_timeout = wait_timeout

    def observe(self) -> Seen:
        volumes = tuple(self.cluster.list(*KIND))
        if self.wish.state == "absent":
            return Seen(volumes)
        there = {one["metadata"]["name"]: one for one in volumes}
        changes = tuple(
            change
            for declared in self.wish.volumes
            if (change := self._change(t.cast(Object, declared), there.get(declared["metadata"]["name"])))
        )
        return Seen(volumes, changes, self._hosts(changes))

    def _change(self, declared: Object, live: t.Optional[Object]) -> t.Optional[Change]:
        if live and unchanged(declared, live, FIELD_MANAGER):
            return None
        try:
            after = self.cluster.apply(declared, FIELD_MANAGER, self.force, dry_run=True)
        except ApiError as error:
            if live and error.status == 422 and _FIXED in error.message:
                return Change(declared, live, fixed=f"declared is {place(declared)}")
            raise self._failure(declared, error) from error
        return None if live and same_outcome(live, after) else Change(declared, live, after)

    def _failure(self, declared: Object, error: ApiError) -> Failure:
        name = declared["metadata"]["name"]
        fight = conflict_sentence([SeenObject(Key(*KIND, "", name), conflicts=conflicts(error))])
        if fight:
            return Failure(fight, **error.facts)
        if error.status == 422 or error.malformed:
            return Failure(
                f"PersistentVolume {name}: the API server does not accept it: {error.message.rstrip('.')}. Correct the "
                "entry; nothing was changed.",
                **error.facts,
            )
        return error

    def _hosts(self, changes: t.Sequence[Change]) -> t.Optional[frozenset[str]]:
        """The host names of the nodes, where a new volume is tied to one."""
        if not any(nodes(change.declared) for change in changes):
            return None
        found = list_if_allowed(self.cluster, "v1", "Node")
        return (
            None
            if found is None
            else frozenset(str((one["metadata"].get("labels") or {}).get(HOSTNAME)) for one in found)
        )

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return plan(self.wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        for step in steps:
            try:
                self._act_one(step)
            except ApiError as error:
                if not (error.conflict or error.not_found) or conflicts(error):
                    raise
                raise NotYet(f"{step.target} has changed meanwhile; next: {step.sentence}") from error

    def _act_one(self, step: Step) -> None:
        if step.action == "apply":
            self.cluster.apply(step.data["declared"], FIELD_MANAGER, self.force)
            return
        metadata = step.data["live"]["metadata"]
        if step.action == "delete":
            uid, version = metadata["uid"], metadata["resourceVersion"]
            self.cluster.delete(*KIND, metadata["name"], uid=uid, version=version)
            return
        seen = {key: metadata[key] for key in ("uid", "resourceVersion")}
        self.cluster.merge(*KIND, metadata["name"], None, {"metadata": seen, **step.data["patch"]})

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        now = datetime.datetime.now(datetime.timezone.utc)
        declared = [live for one in self.wish.volumes if (live := observed.find(one["metadata"]["name"]))]
        return {
            "volumes": [_told(one, now) for one in declared],
            "released": [_told(one, now) for one in left_behind(self.wish, observed)],
        }

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)


def _told(volume: t.Mapping[str, t.Any], now: datetime.datetime) -> dict[str, t.Any]:
    spec, status = volume["spec"], volume.get("status") or {}
    since = status.get("lastPhaseTransitionTime") or volume["metadata"].get("creationTimestamp")
    age = now - datetime.datetime.fromisoformat(since.replace("Z", "+00:00")) if since else None
    return {
        "name": volume["metadata"]["name"],
        "phase": phase(volume),
        "capacity": (spec.get("capacity") or {}).get("storage"),
        "claim": claim(volume) or None,
        "storage_class_name": spec.get("storageClassName") or "",
        "reclaim_policy": spec.get("persistentVolumeReclaimPolicy"),
        "place": place(volume),
        "since": since,
        "age": int(age.total_seconds()) if age is not None else None,
    }
