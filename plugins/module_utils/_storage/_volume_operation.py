# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for a list of PersistentVolumes.

Each step but one is one request on one object, and what could do harm carries the resourceVersion that it was planned
on: two runs at once end as one after the other would, without a Lease. Emptying a volume takes longer and needs one.
"""

from __future__ import annotations

import dataclasses
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
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside import EMPTY, Inside, why_not
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_objects import APPLICATION
from ansible_collections.stateful.kube.plugins.module_utils._storage._inside_run import Inspector
from ansible_collections.stateful.kube.plugins.module_utils._storage._used_volumes import (
    MARK,
    left_behind,
    marked,
    to_look_into,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import (
    Change,
    Seen,
    Wish,
    claim,
    nodes,
    phase,
    place,
    source,
    was_claimed,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._volumes import plan

KIND = ("v1", "PersistentVolume")
# What the API server says of a field that cannot change.
_FIXED = "immutable"


class PersistentVolumes(Operation[Seen]):
    """Make, change, give back or remove PersistentVolumes."""

    def __init__(
        self,
        cluster: Cluster,
        wish: Wish,
        *,
        force: bool,
        wait_timeout: float,
        inspector: t.Optional[Inspector] = None,
    ) -> None:
        """``inspector``: who looks inside volumes; None in check mode, which makes no pod."""
        self.cluster = cluster
        self.wish = wish
        self.force = force
        self.title = "PersistentVolumes"
        self.wait_timeout = wait_timeout
        self.inspector = inspector
        if inspector and wish.wipe:
            self.lock = inspector.lock
        self._inside: dict[str, tuple[tuple[t.Any, ...], Inside]] = {}
        # Volumes that this run found or made empty, with the uid of the claim that they had.
        self._emptied: dict[str, str] = {}

    def observe(self) -> Seen:
        # The second volumes by which somebody looks inside are nobody's, and soon gone.
        ours = {"app.kubernetes.io/name": APPLICATION, "app.kubernetes.io/managed-by": "stateful.kube"}
        volumes = tuple(
            one for one in self.cluster.list(*KIND) if not ours.items() <= (one["metadata"].get("labels") or {}).items()
        )
        if self.wish.state == "absent":
            return Seen(volumes)
        self._forget_released(volumes)
        there = {one["metadata"]["name"]: one for one in volumes}
        changes = tuple(
            change
            for declared in self.wish.volumes
            if (change := self._change(t.cast(Object, declared), there.get(declared["metadata"]["name"])))
        )
        seen = Seen(volumes, changes, self._hosts(changes))
        return dataclasses.replace(seen, inside=self._look(seen))

    def _forget_released(self, volumes: t.Sequence[Object]) -> None:
        """What was emptied and is free now is done: a claim that waited for it may have it already."""
        still = {
            one["metadata"]["name"]: (one["spec"].get("claimRef") or {}).get("uid")
            for one in volumes
            if was_claimed(one)
        }
        left = tuple(
            name for name in self.wish.wipe if name not in self._emptied or still.get(name) == self._emptied[name]
        )
        self.wish = dataclasses.replace(self.wish, wipe=left)

    def _look(self, seen: Seen) -> dict[str, Inside]:
        """What is inside the volumes for which that matters. Each is looked into once, until somebody else had it."""
        if self.inspector is None:
            return {}
        wanted = {one["metadata"]["name"]: one for one in to_look_into(self.wish, seen)}
        unknown = [name for name, one in wanted.items() if self._inside.get(name, ((), None))[0] != _version(one)]
        if unknown:
            found = list_if_allowed(self.cluster, "v1", "Node")
            hosts = None if found is None else {_host(one) for one in found}
            reasons = {
                name: why_not(wanted[name], source(wanted[name])[0], nodes(wanted[name]), hosts) for name in unknown
            }
            able = [(t.cast(Object, wanted[name]), source(wanted[name])[0]) for name in unknown if not reasons[name]]
            looked = self.inspector.look(able) if able else {}
            for name in unknown:
                self._note(wanted[name], looked.get(name) or Inside(problem=reasons[name]))
        return {name: self._inside[name][1] for name in wanted}

    def _note(self, volume: t.Mapping[str, t.Any], inside: Inside) -> None:
        name = volume["metadata"]["name"]
        self._inside[name] = _version(volume), inside
        if inside.engine == EMPTY and was_claimed(volume):
            self._emptied[name] = volume["spec"]["claimRef"]["uid"]

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
        if error.status in (400, 422) or "field not declared in schema" in error.message:
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
        return None if found is None else frozenset(_host(one) for one in found)

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
        if step.action == "wipe":
            self._wipe(step)
            return
        if step.action == "delete":
            uid, version = metadata["uid"], metadata["resourceVersion"]
            self.cluster.delete(*KIND, metadata["name"], uid=uid, version=version)
            return
        patch = step.data["patch"]
        seen = {key: metadata[key] for key in ("uid", "resourceVersion")}
        self.cluster.merge(*KIND, metadata["name"], None, {**patch, "metadata": {**patch.get("metadata", {}), **seen}})

    def _wipe(self, step: Step) -> None:
        """Mark the volume, so that whoever comes next goes on, and remove what is on it."""
        live = step.data["live"]
        name = live["metadata"]["name"]
        seen = {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        mark = {"annotations": {MARK: live["spec"]["claimRef"]["uid"]}}
        after = self.cluster.merge(*KIND, name, None, {"metadata": {**seen, **mark}})
        t.cast(Inspector, self.inspector).wipe(live, source(live)[0], step.data["users"])
        self._note(after, Inside(EMPTY, bytes=0, files=0))

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        now = datetime.datetime.now(datetime.timezone.utc)
        declared = [live for one in self.wish.volumes if (live := observed.find(one["metadata"]["name"]))]
        left = left_behind(self.wish, observed)
        inside = {name: one.report() for name, one in observed.inside.items()}
        return {
            "volumes": [_told(one, now) for one in declared],
            "released": [{**_told(one, now), "inside": inside.get(one["metadata"]["name"])} for one in left],
        }

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)


def _version(volume: t.Mapping[str, t.Any]) -> tuple[t.Any, ...]:
    """What changes when somebody else had the volume, or began to empty it."""
    reference = volume["spec"].get("claimRef") or {}
    return volume["metadata"]["uid"], reference.get("uid"), phase(volume), marked(volume)


def _host(node: t.Mapping[str, t.Any]) -> str:
    return str((node["metadata"].get("labels") or {}).get(HOSTNAME))


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
