# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for the manifests operation."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, conflicts
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER, Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import (
    same_outcome,
    unchanged,
    visible_pair,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import replace_pod
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._watching import Watching
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import (
    Change,
    as_it_is,
    other_change,
    quota_shortage,
    stateful_set_change,
    to_be,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import (
    LAST_RANK,
    GeneratedSecret,
    Key,
    without_values,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import generate, look
from ansible_collections.stateful.kube.plugins.module_utils._manifests._growth import (
    default_class,
    grow,
    growable,
    late_classes,
    quotas,
    require_classes,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import (
    Observed,
    Seen,
    changes_template,
    conflict_sentence,
    held,
    held_by,
    keeping_pods,
    plan_absent,
    plan_present,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import LABEL, RECORD, Undeclared
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import (
    attempt,
    finish,
    left_copy,
    make_again,
    recreate,
    stand,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._rollouts import Rollouts, finalizers
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import StuckPod
from ansible_collections.stateful.kube.plugins.module_utils._manifests._sweep import Sweep
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

REPLICAS = ".spec.replicas"


class Manifests(Watching[Observed]):
    """Apply or delete a list of objects."""

    def __init__(
        self,
        cluster: Cluster,
        declared: t.Sequence[Object],
        *,
        state: str = "present",
        namespace: t.Optional[str] = None,
        create_namespace: bool = False,
        generated: t.Sequence[GeneratedSecret] = (),
        manager: str = FIELD_MANAGER,
        force: bool = False,
        application: str = "",
        prune: bool = False,
        hold_new: t.Collection[str] = (),
        storage_change: str = "refuse",
        application_follows: bool = False,
        wait: bool = False,
        wait_timeout: float = 120,
    ) -> None:
        self.cluster = cluster
        self.state = state
        self.namespace = namespace or cluster.namespace
        self.create_namespace = create_namespace
        self.generated = {self._secret_key(secret.name): secret for secret in generated}
        self.manager = manager
        self.force = force
        self.application = application
        self.prune = prune
        self.hold_new = hold_new
        self.storage_change = storage_change
        self.application_follows = application_follows
        self.wait = wait
        self.wait_timeout = wait_timeout
        self.declared = self._keyed(declared)
        self._wanted = dict(self.declared)
        self.title = self._title()
        if application:
            self.lock = Lease(cluster, self.namespace, application)
        self._applied: set[Key] = set()
        #: whose number of pods somebody else has set
        self._scaled: set[Key] = set()
        # The uids of what this run has deleted: another object of that name, which its controller made, is not meant.
        self._deleted: dict[Key, t.Optional[str]] = {}
        self._rollouts = Rollouts(cluster)
        self._sweep = Sweep(cluster, application, self.namespace, manager, self.declared, self.generated)
        self._labelled: dict[tuple[str, str], t.Sequence[Object]] = {}

    # What is there

    def observe(self) -> Observed:
        live = self._live()
        present = self.state == "present"
        undeclared: tuple[Undeclared, ...] = ()
        record = None
        if self.application and present:
            if self.prune:
                undeclared, record = self._sweep.look(live, self._labelled)
            else:
                record = self._sweep.record(live)
        wanted = self.generated.items() if present else ()
        secrets = tuple(in_parallel(lambda one: look(self.cluster, *one, self.declared), wanted))
        missing: tuple[str, ...] = ()
        if present and (
            any(live.get(key) is None for key in self.declared) or any(not secret.exists for secret in secrets)
        ):
            missing = self._missing_namespaces()
            if missing and not self.create_namespace:
                raise Failure(
                    f"namespace: {', '.join(missing)} does not exist in the cluster. Create it first, correct the "
                    "name, or set create_namespace to true."
                )
        # What lives in a namespace that is yet to be made cannot be tried beforehand.
        new = {*missing, *(key.name for key in self.declared if key.kind == "Namespace" and live.get(key) is None)}
        if self.application_follows and present:
            # Whoever knows the application takes the members out first, and lowers the number of pods then.
            self.declared.update(
                {key: keeping_pods(obj, live.get(key), self.manager) for key, obj in self._wanted.items()}
            )
        objects = in_parallel(lambda key: self._see(key, live.get(key), new), self.declared)
        fight = conflict_sentence(objects)
        if fight:
            held = [
                {"object": str(seen.key), "field": field, "manager": manager}
                for seen in objects
                for field, manager in seen.conflicts
            ]
            raise Failure(fight, conflicts=held)
        stuck, unsettled = self._rollouts.look(objects) if present else ((), ())
        return Observed(
            objects=tuple(objects),
            secrets=secrets,
            stuck=stuck,
            unsettled=unsettled,
            missing_namespaces=missing,
            late_classes=late_classes(self.cluster) if _a_claim_waits(objects) else frozenset(),
            undeclared=undeclared,
            record=record,
            copies=self._copies(live),
        )

    def _copies(self, live: t.Mapping[Key, Object]) -> tuple[Key, ...]:
        if self.state != "absent":
            return ()
        sets = [key for key in self.declared if key.kind == "StatefulSet"]
        return tuple(copy for key in sets if (copy := left_copy(self.cluster, key, live.get(key))))

    def _live(self) -> dict[Key, Object]:
        """All declared objects that exist: one list for each kind where a common label allows it."""
        self._labelled = {}
        groups: dict[tuple[str, str, str], list[Key]] = {}
        for key in self.declared:
            groups.setdefault((key.api_version, key.kind, key.namespace), []).append(key)
        found: dict[Key, Object] = {}
        for part in in_parallel(self._live_group, list(groups.values())):
            found.update(part)
        return found

    def _live_group(self, keys: t.Sequence[Key]) -> dict[Key, Object]:
        found: dict[Key, Object] = {}
        first = keys[0]
        labels = _common_labels([self.declared[key] for key in keys]) if len(keys) > 1 else ""
        ours = self.application and self.state == "present" and first.namespace == self.namespace
        if ours:
            labels = f"{LABEL}={self.application}"
        if labels:
            items = self.cluster.list(first.api_version, first.kind, first.namespace or None, labels=labels)
            if ours:
                self._labelled[first.api_version, first.kind] = items
            for item in items:
                key = Key(first.api_version, first.kind, first.namespace, item["metadata"]["name"])
                if key in self.declared:
                    found[key] = item
        for key in keys:
            if key not in found:
                # Not found by label may also mean that somebody made it without the label.
                one = self.cluster.get(key.api_version, key.kind, key.name, key.namespace or None)
                if one:
                    found[key] = one
        return found

    def _see(self, key: Key, live: t.Optional[Object], new_namespaces: t.Collection[str]) -> Seen:
        declared = self.declared[key]
        if self.state == "absent":
            if live and live["metadata"]["uid"] != self._deleted.get(key, live["metadata"]["uid"]):
                live = None
            return Seen(key, live, declared, changes=live is not None)
        if key.namespace in new_namespaces:
            return Seen(key, None, declared, changes=True, validated=False)
        if key.kind == "StatefulSet":
            recreation = stand(self.cluster, key, live)
            if recreation:
                return Seen(key, live, declared, changes=True, recreation=recreation)
        if live and live["metadata"].get("deletionTimestamp"):
            return Seen(key, live, declared, changes=True)
        if live and (key in self._applied or unchanged(declared, live, self.manager)):
            return Seen(key, live, declared)
        if live is None and key.kind == "StatefulSet":
            require_classes(self.cluster, key, self.declared)
        try:
            after = self.cluster.apply(declared, self.manager, self.force, dry_run=True)
        except ApiError as error:
            fights = conflicts(error)
            if fights:
                return self._see_conflicts(key, live, fights)
            seen = self._see_unchangeable(key, live) if live and error.status in (403, 422) else None
            if seen is None:
                raise self._failure(key, error) from error
            return seen
        if live and same_outcome(live, after):
            return Seen(key, live, declared)
        return Seen(key, live, declared, after, changes=True)

    def _see_conflicts(self, key: Key, live: t.Optional[Object], fights: tuple[tuple[str, str], ...]) -> Seen:
        declared = self.declared[key]
        if (
            not self.application_follows
            or key.kind != "StatefulSet"
            or {field for field, _manager in fights} != {REPLICAS}
        ):
            return Seen(key, live, declared, changes=True, conflicts=fights)
        # Somebody scaled it by hand since: from now on it is what is declared again.
        self._scaled.add(key)
        after = self.cluster.apply(declared, self.manager, force=True, dry_run=True)
        return Seen(key, live, declared, after, changes=True)

    def _see_unchangeable(self, key: Key, live: Object) -> t.Optional[Seen]:
        """What to do where the API server does not make a change in place, or None where it has another cause."""
        declared = self.declared[key]
        if key.kind != "StatefulSet":
            classes = growable(self.cluster) if key.kind == "PersistentVolumeClaim" else None
            refusal = other_change(key, declared, live, classes)
            return Seen(key, live, declared, changes=True, change=Change(refusal)) if refusal else None
        claims = self.cluster.list("v1", "PersistentVolumeClaim", key.namespace)
        change = stateful_set_change(
            key,
            declared,
            live,
            claims,
            growable(self.cluster),
            self.manager,
            self.storage_change == "new_claims",
            default_class(self.cluster),
        )
        if change is None:
            return None
        if change.refusal:
            return Seen(key, live, declared, changes=True, change=change)
        shortage = quota_shortage(key, change.growth, quotas(self.cluster, key.namespace) if change.growth else ())
        if shortage:
            return Seen(key, live, declared, changes=True, change=Change(shortage))
        # Everything is tried before the first real step: each claim, the change in place, and the making anew.
        for growth in change.growth:
            grow(self.cluster, growth, dry_run=True)
        between = to_be(declared, live, live, self.manager)
        try:
            after = self.cluster.apply(as_it_is(declared, live), self.manager, self.force, dry_run=True)
            attempt(self.cluster, between)
        except ApiError as error:
            raise self._failure(key, error) from error
        after = to_be(declared, after, live, self.manager)
        return Seen(key, live, declared, after, changes=True, change=change, between=between)

    def _missing_namespaces(self) -> tuple[str, ...]:
        own = {key.name for key in self.declared if key.kind == "Namespace"}
        wanted = sorted({key.namespace for key in [*self.declared, *self.generated] if key.namespace} - own)
        missing = []
        for name in wanted:
            try:
                if self.cluster.get("v1", "Namespace", name) is None:
                    missing.append(name)
            except ApiError as error:
                if not error.forbidden:
                    raise
                # An account confined to its namespace may not read it; using it will tell.
        return tuple(missing)

    # What to do

    def plan(self, observed: Observed) -> t.Union[Plan, Refusal]:
        if self.state == "absent":
            return plan_absent(observed, self.wait)
        plan = plan_present(observed, self.wait, self.application_follows)
        return Plan() if isinstance(plan, Plan) and held(observed, self.hold_new) else plan

    def act(self, steps: t.Sequence[Step], observed: Observed) -> None:
        in_parallel(self._act_one, steps)

    def _act_one(self, step: Step) -> None:
        if step.action == "create-namespace":
            self.cluster.apply(_namespace_object(step.data["namespace"]), self.manager)
        elif step.action == "generate":
            generate(self.cluster, step.data["secret"], self.generated[step.data["secret"].key])
        elif step.action == "replace":
            pod: StuckPod = step.data["pod"]
            replace_pod(self.cluster, pod.key.namespace, pod.key.name, pod.uid, pod.version)
        elif step.action == "grow":
            grow(self.cluster, step.data["g"])
        elif step.action in ("recreate", "restore", "finish"):
            self._recreate(step.action, step.data["seen"])
        elif step.action == "record":
            self._record(step.data["anchor"], step.data["text"])
        elif step.action == "remove-copy":
            key = step.data["key"]
            self.cluster.delete(key.api_version, key.kind, key.name, key.namespace)
        elif step.action in ("delete", "prune"):
            seen: Seen = step.data["seen"]
            uid = seen.live["metadata"]["uid"] if seen.live else None
            key = seen.key
            # Whoever waits for a workload to be gone means its pods too.
            propagation = "Foreground" if self.wait and key.rank == LAST_RANK else "Background"
            try:
                self.cluster.delete(key.api_version, key.kind, key.name, key.namespace or None, propagation, uid)
            except ApiError as error:
                if not error.conflict:
                    raise
                raise NotYet(f"{key} has just been replaced by another of its name") from error
            self._deleted[key] = uid
        else:
            key = step.data["seen"].key
            self._apply(key)
            self._applied.add(key)

    def _record(self, key: Key, text: str) -> None:
        patch = {"metadata": {"annotations": {RECORD: text}}}
        try:
            self.cluster.merge(key.api_version, key.kind, key.name, key.namespace, patch)
        except ApiError as error:
            if error.not_found:
                raise NotYet(f"{key} has just been deleted") from error
            raise

    def _recreate(self, action: str, seen: Seen) -> None:
        if action == "recreate" and seen.live and seen.between:
            recreate(self.cluster, seen.key, seen.live, seen.between)
        elif seen.recreation and action == "restore" and seen.recreation.saved:
            make_again(self.cluster, seen.key, seen.recreation.saved)
        elif seen.recreation and seen.live:
            finish(self.cluster, seen.key, seen.live, seen.recreation.saved)

    def _apply(self, key: Key) -> None:
        try:
            self.cluster.apply(self.declared[key], self.manager, self.force or key in self._scaled)
        except ApiError as error:
            raise self._failure(key, error) from error

    def _failure(self, key: Key, error: ApiError) -> Failure:
        return Failure(without_values(_apply_error(key, error), self.declared[key]), **error.facts)

    # Waiting

    def watched(self) -> t.Collection[tuple[str, str, t.Optional[str], str]]:
        waited = [key for key in self.declared if key.rank == LAST_RANK or self.state == "absent"]
        return {(key.api_version, key.kind, key.namespace or None, "") for key in waited or self.declared}

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        return self._rollouts.hopeless(observed) if self.state == "present" else None

    def blocked_by(self, observed: Observed) -> t.Sequence[str]:
        found: list[str] = []
        for seen in observed.objects:
            if not seen.live or self.state == "absent" or seen.going:
                found += finalizers(seen)
            else:
                found += self._rollouts.blocked_by(seen, observed)
        # A claim is part of what is said of a pod that waits for it.
        return [text for text in found if not any(text != other and text in other for other in found)]

    # What is told

    def facts(self, observed: Observed) -> dict[str, t.Any]:
        return {
            "held": held(observed, self.hold_new),
            "objects": [
                {
                    "api_version": seen.key.api_version,
                    "kind": seen.key.kind,
                    "namespace": seen.key.namespace or None,
                    "name": seen.key.name,
                    "exists": seen.live is not None,
                    "waits_for": held_by(seen, observed),
                    "changes_template": changes_template(seen),
                }
                for seen in observed.objects
            ],
        }

    def diff(self, plan: Plan) -> t.Any:
        shown: list[dict[str, t.Any]] = []
        for step in plan.changes:
            seen: t.Optional[Seen] = step.data.get("seen")
            if seen is None:
                shown.append({"prepared": f"{step.sentence}\n"})
                continue
            after = (
                None if step.action in ("delete", "prune") else step.data.get("after") or seen.after or seen.declared
            )
            before, after = visible_pair(step.data.get("before") or seen.live, after)
            headers = {"before_header": step.sentence, "after_header": step.sentence}
            shown.append({**headers, "before": before or "", "after": after or ""})
        return shown

    def _keyed(self, declared: t.Sequence[Object]) -> dict[Key, Object]:
        """Fill in the namespace and refuse two definitions of one object, which would fight each other."""
        keyed: dict[Key, Object] = {}
        for obj in declared:
            resource = self.cluster.resource(obj["apiVersion"], obj["kind"])
            metadata = dict(obj["metadata"])
            if resource.namespaced:
                metadata.setdefault("namespace", self.namespace)
            else:
                metadata.pop("namespace", None)
            key = Key(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
            if key in keyed:
                raise Failure(f"definition: {key} is declared twice. Keep one of the two.")
            keyed[key] = {**obj, "metadata": metadata}
        return keyed

    def _secret_key(self, name: str) -> Key:
        return Key("v1", "Secret", self.namespace, name)

    def _title(self) -> str:
        workloads = [key.name for key in self.declared if key.rank == LAST_RANK]
        return workloads[0] if len(workloads) == 1 else self.namespace


def _a_claim_waits(objects: t.Sequence[Seen]) -> bool:
    claims = (seen.live for seen in objects if seen.live and seen.key.kind == "PersistentVolumeClaim")
    return any(obstacle(live) for live in claims)


def _common_labels(objects: t.Sequence[Object]) -> str:
    common = set.intersection(*(set((obj["metadata"].get("labels") or {}).items()) for obj in objects))
    return ",".join(f"{key}={value}" for key, value in sorted(common))


def _namespace_object(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _apply_error(key: Key, error: ApiError) -> str:
    fights = conflict_sentence([Seen(key, conflicts=conflicts(error))])
    if fights:
        return fights
    if error.status == 422:
        return (
            f"{key}: the API server does not accept it: {error.message.rstrip('.')}. Correct the definition; the "
            "object was left as it was."
        )
    if error.malformed:
        return f"{key}: the API server does not understand it: {error.message.rstrip('.')}. Correct the definition."
    return f"{key}: {error.message}"
