# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for one StorageClass."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, conflicts
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER, Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import (
    owns,
    same_outcome,
    unchanged,
    visible,
)
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import Seen as SeenObject
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import conflict_sentence
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._storage._class_options import Asked
from ansible_collections.stateful.kube.plugins.module_utils._storage._classes import (
    Seen,
    class_of,
    defaults,
    fixed_differences,
    foreign_metadata,
    is_default,
    plan,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import preset_of

API_VERSION = "storage.k8s.io/v1"
KIND = "StorageClass"
# StorageClasses are in no namespace, and a Lease has to be in one: in one that every cluster has, and the same for all.
LEASE_NAMESPACE = "default"
LEASE_NAME = "storage-classes"
_FIELDS = (
    "provisioner",
    "parameters",
    "reclaimPolicy",
    "volumeBindingMode",
    "allowVolumeExpansion",
    "mountOptions",
    "allowedTopologies",
)


class StorageClass(Operation[Seen]):
    """Make, change or remove one StorageClass, and switch the default."""

    def __init__(
        self, cluster: Cluster, asked: Asked, *, require_driver: bool, force: bool, wait_timeout: float
    ) -> None:
        self.cluster = cluster
        self.wish = asked.wish
        self.preset = asked.preset
        self.require_driver = require_driver
        self.force = force
        self.title = f"StorageClass {asked.wish.name}"
        self.wait_timeout = wait_timeout
        self.lock = Lease(cluster, LEASE_NAMESPACE, LEASE_NAME)
        self._driver_there: t.Optional[str] = None

    # What is there

    def observe(self) -> Seen:
        classes = tuple(self.cluster.list(API_VERSION, KIND))
        seen = Seen(classes)
        live = t.cast("t.Optional[Object]", seen.find(self.wish.name))
        if self.wish.state == "absent":
            return Seen(classes, None, *self._users()) if live else seen
        declared = self._declared(live)
        provisioner = declared.get("provisioner") or (live or {}).get("provisioner")
        if provisioner is None:
            names = ", ".join(sorted(one["metadata"]["name"] for one in classes)) or "none"
            raise Failure(
                f"There is no StorageClass {self.wish.name} (found: {names}), and nothing says how to make one: "
                "expected preset or provisioner. Add one of them, or correct the name."
            )
        self._require_driver(provisioner)
        if live and fixed_differences(self.wish.fields, live):
            return Seen(classes, self._try_anew(declared), *self._users())
        if live and (not _says_anything(declared) or unchanged(declared, live, FIELD_MANAGER)):
            return seen
        after = self._apply(declared, dry_run=True)
        return seen if live and same_outcome(live, after) else Seen(classes, after)

    def _declared(self, live: t.Optional[Object]) -> Object:
        """What is applied: what was given, and what this collection applied before and nobody takes back now."""
        fields = dict(self.wish.fields)
        metadata: Object = {"name": self.wish.name}
        for part, given in (("labels", self.wish.labels), ("annotations", self.wish.annotations)):
            values = dict(given) if given is not None else _applied_metadata(live, part)
            if values:
                metadata[part] = values
        if live:
            for field in _FIELDS:
                if field not in fields and field in live and owns(live, FIELD_MANAGER, field):
                    fields[field] = live[field]
        # An empty list or map says that there is to be none, which server-side apply says by leaving it out.
        fields = {field: value for field, value in fields.items() if value not in ([], {})}
        return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, **fields}

    def _require_driver(self, provisioner: str) -> None:
        """A class without its driver looks well until the first claim hangs."""
        if not self.require_driver or provisioner == self._driver_there:
            return
        known = preset_of(self.preset.name if self.preset else None, provisioner)
        if not (known.csi if known else _sounds_like_csi(provisioner)):
            return
        there = [one["metadata"]["name"] for one in self.cluster.list(API_VERSION, "CSIDriver")]
        if provisioner not in there:
            what = known.install if known else "the CSI driver of that name"
            found = ", ".join(sorted(there)) or "none"
            raise Failure(
                f"provisioner: there is no CSIDriver {provisioner} in the cluster (found: {found}), so no claim of "
                f"StorageClass {self.wish.name} would get a volume. Install {what}, or set require_driver to false "
                "where the driver comes later."
            )
        self._driver_there = provisioner

    def _users(self) -> tuple[tuple[Object, ...], tuple[Object, ...]]:
        """The claims and the volumes of the class."""
        claims, volumes = (
            tuple(one for one in self.cluster.list("v1", kind) if class_of(one) == self.wish.name)
            for kind in ("PersistentVolumeClaim", "PersistentVolume")
        )
        return claims, volumes

    def _apply(self, declared: Object, dry_run: bool = False) -> Object:
        try:
            return self.cluster.apply(declared, FIELD_MANAGER, self.force, dry_run)
        except ApiError as error:
            raise self._failure(error) from error

    def _failure(self, error: ApiError) -> Failure:
        key = Key(API_VERSION, KIND, "", self.wish.name)
        fight = conflict_sentence([SeenObject(key, conflicts=conflicts(error))])
        if fight:
            return Failure(fight, **error.facts)
        if error.status == 422 or error.malformed:
            return Failure(
                f"StorageClass {self.wish.name}: the API server does not accept these options: "
                f"{error.message.rstrip('.')}. Correct them; nothing was changed.",
                **error.facts,
            )
        return error

    def _try_anew(self, declared: Object) -> Object:
        """Have the API server check the class that is to be made in place of the old one. Returns it."""
        try:
            return self.cluster.create(declared, dry_run=True)
        except ApiError as error:
            # The last of its checks is whether the name is taken: all others were passed.
            if error.reason != "AlreadyExists":
                raise self._failure(error) from error
        return declared

    # What to do

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return plan(self.wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        step = steps[0]  # none of them has a batch
        try:
            if step.action == "apply":
                self._apply(self._declared(t.cast("t.Optional[Object]", observed.find(self.wish.name))))
            elif step.action == "recreate":
                self._recreate(step.data["live"])
            elif step.action == "delete":
                self._delete(step.data["live"])
            else:
                self._annotate(step.data["live"], step.data["patch"])
        except ApiError as error:
            if not (error.conflict or error.not_found) or conflicts(error):
                raise
            raise NotYet(f"{step.target} has changed meanwhile; next: {step.sentence}") from error

    def _annotate(self, live: Object, patch: Object) -> None:
        seen = {key: live["metadata"][key] for key in ("resourceVersion", "uid")}
        body = {"metadata": {**seen, "annotations": patch}}
        self.cluster.merge(API_VERSION, KIND, live["metadata"]["name"], None, body)

    def _delete(self, live: Object) -> None:
        metadata = live["metadata"]
        uid, version = metadata["uid"], metadata["resourceVersion"]
        self.cluster.delete(API_VERSION, KIND, metadata["name"], uid=uid, version=version)

    def _recreate(self, live: Object) -> None:
        """Delete and make again, one right after the other; the same command makes up for a kill in between."""
        declared = self._declared(None)
        kept = foreign_metadata(live, self.wish)
        for field in _FIELDS:
            if field not in self.wish.fields and field in live:
                declared[field] = live[field]
        self._delete(live)
        self._apply(declared)
        if kept:
            self.cluster.merge(API_VERSION, KIND, self.wish.name, None, {"metadata": kept})

    # What is told

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        live = observed.find(self.wish.name)
        return {
            "storage_class": visible(live) or None,
            "default": bool(live and is_default(live)),
            "default_classes": defaults(observed.classes),
            "claims": [
                {
                    "namespace": one["metadata"]["namespace"],
                    "name": one["metadata"]["name"],
                    "phase": (one.get("status") or {}).get("phase", "Pending"),
                }
                for one in observed.claims
            ],
            "volumes": [one["metadata"]["name"] for one in observed.volumes],
        }

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)


def _applied_metadata(live: t.Optional[Object], part: str) -> dict[str, str]:
    """The labels, or annotations, that this collection put on a class."""
    there = (live["metadata"].get(part) or {}) if live else {}
    return {key: value for key, value in there.items() if live and owns(live, FIELD_MANAGER, "metadata", part, key)}


def _says_anything(declared: Object) -> bool:
    """Whether anything is declared of the class beside its name."""
    return bool(set(declared) - {"apiVersion", "kind", "metadata"} or set(declared["metadata"]) - {"name"})


def _sounds_like_csi(provisioner: str) -> bool:
    """CSI drivers are named so by convention; other provisioners leave no trace that could be asked for."""
    return "csi" in re.split(r"[^a-z0-9]+", provisioner.lower())
