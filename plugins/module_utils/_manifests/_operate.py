# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks and changes the cluster for the manifests operation."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import re
import secrets as random
import string
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import (
    FIELD_MANAGER,
    Changes,
    Cluster,
    Object,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._ownership import (
    same_outcome,
    unchanged,
    visible_pair,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import (
    failed,
    idle,
    no_image_name,
    obstacle,
)
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose, last_word, newest_pods
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._changes import (
    Change,
    Classes,
    Growth,
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
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import (
    Observed,
    Seen,
    SeenSecret,
    conflict_sentence,
    held,
    held_by,
    plan_absent,
    plan_present,
)
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
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import (
    attempt,
    finish,
    left_copy,
    make_again,
    recreate,
    stand,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._stuck import StuckPod, never_served, stuck_pods
from ansible_collections.stateful.kube.plugins.module_utils._operation import Operation, Plan, Refusal, Step

# Seconds that a pod of an older revision may run without becoming ready before it is taken for broken.
PATIENCE = 30.0
# Requests in flight at once. The API server's own fairness allows one client far more.
PARALLEL = 8

T = t.TypeVar("T")
U = t.TypeVar("U")


class Manifests(Operation[Observed]):
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
        self.wait = wait
        self.wait_timeout = wait_timeout
        self.declared = self._keyed(declared)
        self.title = self._title()
        if application:
            self.lock = Lease(cluster, self.namespace, application)
        self._applied: set[Key] = set()
        self._unready_since: dict[str, float] = {}
        #: Deployments that had missed their deadline already when this run began: their pods may yet come
        self._late: t.Optional[set[Key]] = None
        self._labelled: dict[tuple[str, str], t.Sequence[Object]] = {}
        self._changes: t.Optional[Changes] = None

    # What is there

    def observe(self) -> Observed:
        live = self._live()
        undeclared, record = self._undeclared(live)
        secrets = tuple(_in_parallel(self._see_secret, self.generated)) if self.state == "present" else ()
        missing: tuple[str, ...] = ()
        if self.state == "present" and (
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
        objects = _in_parallel(lambda key: self._see(key, live.get(key), new), self.declared)
        fight = conflict_sentence(objects)
        if fight:
            held = [
                {"object": str(seen.key), "field": field, "manager": manager}
                for seen in objects
                for field, manager in seen.conflicts
            ]
            raise Failure(fight, conflicts=held)
        stuck, unsettled = self._stuck_pods(objects)
        self._remember_late(objects)
        return Observed(
            objects=tuple(objects),
            secrets=secrets,
            stuck=tuple(stuck),
            unsettled=tuple(unsettled),
            missing_namespaces=missing,
            late_classes=self._late_classes(objects),
            undeclared=tuple(undeclared),
            record=record,
            copies=self._copies(live),
        )

    def _undeclared(self, live: t.Mapping[Key, Object]) -> tuple[list[Undeclared], t.Optional[Record]]:
        """Objects of the application that are not declared any more, and the record of its kinds."""
        if not self.application or self.state != "present":
            return [], None
        carrier = anchor(self.declared, self.application, self.namespace)
        says = _note(live[carrier]) if carrier and carrier in live else None
        now = written(self.declared)
        if not self.prune:
            return [], Record(carrier, says, now, wider(says, now)) if carrier else None
        records = [note for obj in live.values() if (note := _note(obj)) is not None]
        undeclared = self._of_application(wider(*records), sweep=not records)
        # An object that carried the record before, and is no longer declared, knows more kinds.
        past = [note for one in undeclared if (note := _note(one.live)) is not None]
        if past:
            undeclared = self._of_application(wider(*records, *past), sweep=not records)
        before = wider(now, *records, *past, written(one.key for one in undeclared if not one.kept))
        return undeclared, Record(carrier, says, before, now) if carrier else None

    def _of_application(self, record: str, sweep: bool) -> list[Undeclared]:
        kinds, outside = read(record)
        wanted = {*kinds, *(SWEPT if sweep else ())} - set(self._labelled)
        lists = dict(_in_parallel(lambda kind: (kind, self._list_labelled(*kind, swept=kind not in kinds)), wanted))
        lists.update(self._labelled)
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

    def _list_labelled(self, api_version: str, kind: str, swept: bool) -> t.Sequence[Object]:
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

    def _remember_late(self, objects: t.Sequence[Seen]) -> None:
        late = {seen.key for seen in objects if seen.key.kind == "Deployment" and seen.live and failed(seen.live)}
        # One that is in time again and misses its deadline once more has done so in this run.
        self._late = late if self._late is None else self._late & late

    def _late_classes(self, objects: t.Sequence[Seen]) -> frozenset[str]:
        pending = (seen for seen in objects if seen.live and seen.key.kind == "PersistentVolumeClaim")
        if not any(obstacle(seen.live) for seen in pending if seen.live):
            return frozenset()
        try:
            classes = self.cluster.list("storage.k8s.io/v1", "StorageClass")
        except ApiError as error:
            if error.forbidden:
                return frozenset()
            raise
        return frozenset(
            one["metadata"]["name"] for one in classes if one.get("volumeBindingMode") == "WaitForFirstConsumer"
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
        for part in _in_parallel(self._live_group, list(groups.values())):
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
            self._require_classes(key)
        try:
            after = self.cluster.apply(declared, self.manager, self.force, dry_run=True)
        except ApiError as error:
            fights = _conflicts(error)
            if fights:
                return Seen(key, live, declared, changes=True, conflicts=fights)
            seen = self._see_unchangeable(key, live) if live and error.status in (403, 422) else None
            if seen is None:
                raise self._failure(key, error) from error
            return seen
        if live and same_outcome(live, after):
            return Seen(key, live, declared)
        return Seen(key, live, declared, after, changes=True)

    def _see_unchangeable(self, key: Key, live: Object) -> t.Optional[Seen]:
        """What to do where the API server does not make a change in place, or None where it has another cause."""
        declared = self.declared[key]
        if key.kind != "StatefulSet":
            classes = self._classes() if key.kind == "PersistentVolumeClaim" else None
            refusal = other_change(key, declared, live, classes)
            return Seen(key, live, declared, changes=True, change=Change(refusal)) if refusal else None
        claims = self.cluster.list("v1", "PersistentVolumeClaim", key.namespace)
        change = stateful_set_change(key, declared, live, claims, self._classes(), self.manager)
        if change is None:
            return None
        if change.refusal:
            return Seen(key, live, declared, changes=True, change=change)
        shortage = quota_shortage(key, change.growth, self._quotas(key) if change.growth else ())
        if shortage:
            return Seen(key, live, declared, changes=True, change=Change(shortage))
        # Everything is tried before the first real step: each claim, the change in place, and the making anew.
        for growth in change.growth:
            self._grow(growth, dry_run=True)
        between = to_be(declared, live, live, self.manager)
        try:
            after = self.cluster.apply(as_it_is(declared, live), self.manager, self.force, dry_run=True)
            attempt(self.cluster, between)
        except ApiError as error:
            raise self._failure(key, error) from error
        after = to_be(declared, after, live, self.manager)
        return Seen(key, live, declared, after, changes=True, change=change, between=between)

    def _classes(self) -> Classes:
        try:
            classes = self.cluster.list("storage.k8s.io/v1", "StorageClass")
        except ApiError as error:
            if error.forbidden:
                return None  # an account confined to its namespace may not know
            raise
        return {one["metadata"]["name"]: bool(one.get("allowVolumeExpansion")) for one in classes}

    def _quotas(self, key: Key) -> t.Sequence[Object]:
        try:
            return self.cluster.list("v1", "ResourceQuota", key.namespace)
        except ApiError as error:
            if error.forbidden:
                return ()
            raise

    def _grow(self, growth: Growth, dry_run: bool = False) -> None:
        """Raise the request of one claim, if it is as it was seen. Raises NotYet."""
        patch = {
            "metadata": {"uid": growth.uid, "resourceVersion": growth.version},
            "spec": {"resources": {"requests": {"storage": growth.after}}},
        }
        try:
            self.cluster.merge("v1", "PersistentVolumeClaim", growth.claim, growth.namespace, patch, dry_run)
        except ApiError as error:
            if error.conflict and dry_run:
                return
            if error.conflict:
                raise NotYet(f"claim {growth.claim} has changed meanwhile") from error
            raise Failure(
                f"claim {growth.claim} cannot grow from {growth.before} to {growth.after}: "
                f"{error.message.rstrip('.')}. Correct this, or declare the old size.",
                **error.facts,
            ) from error

    def _see_secret(self, key: Key) -> SeenSecret:
        live = self.cluster.get("v1", "Secret", key.name, key.namespace)
        there = set((live or {}).get("data") or {})
        missing = tuple(k for k in self.generated[key].keys if k not in there)
        opens = tuple(self._data()) if missing and self.generated[key].protects_data else ()
        return SeenSecret(key, live is not None, missing, opens)

    def _data(self) -> t.Iterator[str]:
        """The declared StatefulSets that exist, and the claims that one left."""
        for key, declared in self.declared.items():
            if key.kind != "StatefulSet":
                continue
            if self.cluster.get(key.api_version, key.kind, key.name, key.namespace):
                yield f"{key} exists"
            # A claim that somebody made by hand for a first deployment has no labels yet.
            claims = self.cluster.list(
                "v1", "PersistentVolumeClaim", key.namespace, labels=query(declared["spec"]["selector"])
            )
            templates = declared["spec"].get("volumeClaimTemplates") or ()
            names = "|".join(re.escape(template["metadata"]["name"]) for template in templates)
            for claim in claims:
                if re.fullmatch(rf"(?:{names})-{re.escape(key.name)}-\d+", claim["metadata"]["name"]):
                    yield f"claim {claim['metadata']['name']} exists"

    def _stuck_pods(self, objects: t.Sequence[Seen]) -> tuple[list[StuckPod], list[str]]:
        """Pods that hold a StatefulSet up, and those of which the controller has yet to name the newest revision."""
        stuck: list[StuckPod] = []
        unsettled: list[str] = []
        for seen in objects:
            live = seen.live
            if self.state != "present" or seen.key.kind != "StatefulSet" or seen.changes or live is None:
                continue
            spec, status = live["spec"], live.get("status") or {}
            if status.get("readyReplicas", 0) >= spec.get("replicas", 1):
                continue
            pods = self.cluster.list("v1", "Pod", seen.key.namespace, labels=query(live["spec"]["selector"]))
            if status.get("observedGeneration", 0) < live["metadata"].get("generation", 0):
                if any(idle(pod) for pod in pods):
                    unsettled.append(str(seen.key))
                continue
            stuck += stuck_pods(seen.key, live, pods, self._unready_long(pods))
        return stuck, unsettled

    def _unready_long(self, pods: t.Sequence[Object]) -> set[str]:
        """Pods that this run has seen unready for so long, by its own clock, that they are not merely starting."""
        now = time.monotonic()
        unready = [pod["metadata"]["uid"] for pod in pods if never_served(pod)]
        for uid in unready:
            self._unready_since.setdefault(uid, now)
        return {uid for uid in unready if now - self._unready_since[uid] > PATIENCE}

    def _require_classes(self, key: Key) -> None:
        """A claim template cannot be corrected afterwards, so a class that does not exist is found before."""
        for template in self.declared[key]["spec"].get("volumeClaimTemplates") or ():
            name = template["spec"].get("storageClassName")
            if not name or any(one.kind == "StorageClass" and one.name == name for one in self.declared):
                continue
            try:
                classes = [one["metadata"]["name"] for one in self.cluster.list("storage.k8s.io/v1", "StorageClass")]
                if name in classes:
                    continue
                volumes = self.cluster.list("v1", "PersistentVolume")
            except ApiError as error:
                if error.forbidden:
                    return  # an account confined to its namespace may not know
                raise
            if not any(volume["spec"].get("storageClassName") == name for volume in volumes):
                raise Failure(
                    f'{key}: storageClassName of the claim template {template["metadata"]["name"]} is "{name}", and '
                    f"there is neither a StorageClass nor a PersistentVolume of that class in the cluster (found "
                    f"{', '.join(classes) or 'no class at all'}). Correct the name, or make the class first."
                )

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
        plan = plan_present(observed, self.wait)
        return Plan() if isinstance(plan, Plan) and held(observed, self.hold_new) else plan

    def act(self, steps: t.Sequence[Step], observed: Observed) -> None:
        _in_parallel(self._act_one, steps)

    def _act_one(self, step: Step) -> None:
        if step.action == "create-namespace":
            self.cluster.apply(_namespace_object(step.data["namespace"]), self.manager)
        elif step.action == "generate":
            self._generate(step.data["secret"])
        elif step.action == "replace":
            pod: StuckPod = step.data["pod"]
            try:
                self.cluster.delete("v1", "Pod", pod.key.name, pod.key.namespace, uid=pod.uid, version=pod.version)
            except ApiError as error:
                if not error.conflict:
                    raise
                raise NotYet(f"{pod.key} has changed meanwhile") from error
        elif step.action == "grow":
            self._grow(step.data["g"])
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
            self.cluster.delete(key.api_version, key.kind, key.name, key.namespace or None, propagation, uid)
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
            self.cluster.apply(self.declared[key], self.manager, self.force)
        except ApiError as error:
            raise self._failure(key, error) from error

    def _failure(self, key: Key, error: ApiError) -> Failure:
        return Failure(without_values(_apply_error(key, error), self.declared[key]), **error.facts)

    def _generate(self, seen: SeenSecret) -> None:
        rules = self.generated[seen.key]
        data = {name: base64.b64encode(_value(rules.keys[name]).encode()).decode() for name in seen.missing}
        if seen.exists:
            current = self.cluster.get("v1", "Secret", seen.key.name, seen.key.namespace)
            if current is None:
                raise NotYet(f"{seen.key} has just been deleted")
            for name in current.get("data") or {}:
                data.pop(name, None)
            patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "data": data}
            try:
                self.cluster.merge("v1", "Secret", seen.key.name, seen.key.namespace, patch)
            except ApiError as error:
                if not error.conflict:
                    raise
                raise NotYet(f"{seen.key} has changed meanwhile") from error
            return
        metadata: Object = {"name": seen.key.name, "namespace": seen.key.namespace}
        metadata.update({k: dict(v) for k, v in (("labels", rules.labels), ("annotations", rules.annotations)) if v})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": rules.type, "data": data}
        try:
            self.cluster.create(secret)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            # Somebody else made it in this very moment: theirs is as good, and the only one that counts.

    # Waiting

    def pause(self, seconds: float) -> None:
        if self._changes is None:
            kinds = {(key.api_version, key.kind, key.namespace or None, "") for key in self._waited()}
            self._changes = Changes(self.cluster, sorted(kinds, key=str))
        self._changes.wait(max(seconds, 2.0))

    def close(self) -> None:
        if self._changes:
            self._changes.close()

    def hopeless(self, observed: Observed) -> t.Optional[str]:
        if self.state != "present":
            return None
        for seen in observed.objects:
            if not seen.live or seen.changes:
                continue
            text = failed(seen.live)
            if text and seen.key not in (self._late or ()):
                return f"{seen.key} has failed: {text.rstrip('.')}."
            text = self._no_image_name(seen) if held_by(seen, observed) else None
            if text:
                return f"{seen.key} can never become ready: {text}."
        return None

    def _no_image_name(self, seen: Seen) -> t.Optional[str]:
        live = seen.live or {}
        template = (live.get("spec") or {}).get("template")
        if seen.key.kind == "CronJob" or not template or "selector" not in live["spec"]:
            return None
        # Pods of an older revision are replaced.
        images = {
            one.get("image") for part in ("initContainers", "containers") for one in template["spec"].get(part, ())
        }
        for pod in self.cluster.list("v1", "Pod", seen.key.namespace, labels=query(live["spec"]["selector"])):
            image = no_image_name(pod)
            if image in images:
                return f"no image can have the name '{image}', which {pod['metadata']['name']} asks for"
        return None

    def blocked_by(self, observed: Observed) -> t.Sequence[str]:
        found: list[str] = []
        for seen in observed.objects:
            if not seen.live or self.state == "absent" or seen.going:
                found += [f"{seen.key} has finalizers {finalizers}" for finalizers in _finalizers(seen)]
            elif held_by(seen, observed) and seen.key.kind == "PersistentVolumeClaim":
                told = last_word(self.cluster, seen.key.namespace, seen.key.kind, seen.key.name)
                found += [told] if told else []
            elif held_by(seen, observed) and isinstance(seen.live.get("spec", {}).get("selector"), dict):
                selector, owners = query(seen.live["spec"]["selector"]), [seen.key.name]
                if seen.key.kind == "Deployment":
                    selector, owners = newest_pods(self.cluster, seen.live, selector)
                found += diagnose(self.cluster, seen.key.namespace, selector, owners)
        return found

    def _waited(self) -> list[Key]:
        return [key for key in self.declared if key.rank == LAST_RANK or self.state == "absent"] or list(self.declared)

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


def _in_parallel(function: t.Callable[[T], U], items: t.Iterable[T]) -> list[U]:
    """Results in order. All calls end before the first error is raised, so nothing goes on behind it."""
    todo = list(items)
    if len(todo) < 2:
        return [function(item) for item in todo]
    with concurrent.futures.ThreadPoolExecutor(min(PARALLEL, len(todo))) as pool:
        return [future.result() for future in [pool.submit(function, item) for item in todo]]


def _common_labels(objects: t.Sequence[Object]) -> str:
    common = set.intersection(*(set((obj["metadata"].get("labels") or {}).items()) for obj in objects))
    return ",".join(f"{key}={value}" for key, value in sorted(common))


def _note(obj: Object) -> t.Optional[str]:
    note = (obj["metadata"].get("annotations") or {}).get(RECORD)
    return None if note is None else str(note)


def _namespace_object(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _value(rule: t.Mapping[str, t.Any]) -> str:
    if "value" in rule:
        return str(rule["value"])
    alphabet = string.ascii_letters + string.digits + ("+/" if rule.get("encoding") == "base64" else "")
    return "".join(random.choice(alphabet) for _position in range(int(rule["length"])))


def _finalizers(seen: Seen) -> list[str]:
    found = ((seen.live or {}).get("metadata") or {}).get("finalizers")
    return [json.dumps(found)] if found else []


def _conflicts(error: ApiError) -> tuple[tuple[str, str], ...]:
    """The fields that another manager has, and that manager, from the API server's answer."""
    found = []
    for cause in error.details.get("causes") or ():
        if cause.get("reason") == "FieldManagerConflict":
            match = re.search(r'conflict with "([^"]*)"(?: with subresource "([^"]*)")?', str(cause.get("message")))
            manager = match[1] + (f", by {match[2]}" if match[2] else "") if match else str(cause.get("message"))
            found.append((str(cause.get("field")), manager))
    return tuple(found)


def _apply_error(key: Key, error: ApiError) -> str:
    fights = conflict_sentence([Seen(key, conflicts=_conflicts(error))])
    if fights:
        return fights
    if error.status == 422:
        return (
            f"{key}: the API server does not accept it: {error.message.rstrip('.')}. Correct the definition; the "
            "object was left as it was."
        )
    # An unknown field in a server-side apply comes back as the server's own failure.
    if error.status == 400 or "field not declared in schema" in error.message:
        return f"{key}: the API server does not understand it: {error.message.rstrip('.')}. Correct the definition."
    return f"{key}: {error.message}"
