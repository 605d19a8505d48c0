# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at claims that are to move to another class, and takes the steps."""

from __future__ import annotations

import dataclasses
import json
import re
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import CANNOT_START, obstacle
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._cluster._watching import Watching
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import LABEL
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import (
    attempt,
    finish,
    lost,
    make_again,
    recreate,
    stand,
)
from ansible_collections.stateful.kube.plugins.module_utils._manifests._variant import MIGRATION
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step, step_diffs
from ansible_collections.stateful.kube.plugins.module_utils._storage import _migrate_objects as objects
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_around import around
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_facts import summary
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_owners import MANAGER, managers, restored
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_plan import (
    can_go_back,
    effective,
    mark_of,
    plan_migrate,
    target,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_script import Copied
from ansible_collections.stateful.kube.plugins.module_utils._storage._migrate_state import (
    CopyPod,
    Moving,
    Seen,
    Wish,
    has_data,
    is_there,
    left_of,
    moving,
    new_size,
    pod_of,
    result_of,
)

CLAIM = ("v1", "PersistentVolumeClaim")
VOLUME = ("v1", "PersistentVolume")
POD = ("v1", "Pod")
# By these words it is a matter of who copies.
_OF_OWNERS = ("differ", "ermission denied", "not permitted")
# What no waiting heals, once a kubelet says it.
_HOPELESS = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", *CANNOT_START)


class Migrate(Watching[Seen]):
    """Move the claims of a StatefulSet to another class, and the StatefulSet with them."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        wish: Wish,
        wait_timeout: float,
        image: str,
        pull_policy: str,
        user: t.Optional[int],
        progress: t.Callable[[str], None],
    ) -> None:
        self.cluster = cluster
        self.wish = wish
        self.patience = wait_timeout
        self.wait_timeout = wait_timeout
        self.image, self.pull_policy, self.user = image, pull_policy, user
        self.progress = progress
        self.title = wish.name
        self.key = Key("apps/v1", "StatefulSet", namespace, wish.name)
        self.namespace = namespace
        self._tried = False
        self._checked = False
        self._back: t.Optional[str] = None
        #: what each copy came to
        self.results: dict[str, Copied] = {}
        #: the last line of each copy, and since when they are waited for
        self._words: dict[str, str] = {}
        self._since = 0.0

    # What is there

    def observe(self) -> Seen:
        key = self.key
        live = self.cluster.get(key.api_version, key.kind, key.name, key.namespace)
        recreation = stand(self.cluster, key, live) or (lost(self.cluster, key) if live is None else None)
        if self.lock is None:
            self.lock = Lease(self.cluster, self.namespace, self._application(live))
        if recreation:
            return Seen(key, self.wish, live, recreation=recreation)
        if live is None or live["metadata"].get("deletionTimestamp"):
            what = "does not exist" if live is None else "is being deleted"
            raise Failure(f"name: {key} {what}. Correct the name or the namespace.")
        live = {**live, "apiVersion": key.api_version, "kind": key.kind}
        seen = self._look(live)
        if not self._checked and self._back is None:
            self._check(seen)
        return seen

    def _application(self, live: t.Optional[Object]) -> str:
        labels = (live or {}).get("metadata", {}).get("labels") or {}
        return str(labels.get(LABEL) or self.wish.name)

    def _look(self, live: Object) -> Seen:
        key, mark = self.key, objects.Mark.of(live)
        templates = mark.templates if mark else self._templates(live)
        claims = self.cluster.list(*CLAIM, key.namespace)
        pods = self.cluster.list(*POD, key.namespace)
        held = self._held()
        own = [one["metadata"]["name"] for one in pods if _is_pod_of(one, live)]
        wanted = {one["spec"].get("volumeName") or "" for one in claims} - {""}
        names = {name for name in wanted if self._is_ours(name, claims, templates)}
        volumes = {one["metadata"]["name"]: one for one in in_parallel(self._volume, sorted(names)) if one}
        trial = next((one for one in pods if one["metadata"]["name"] == f"{key.name}{objects.SUFFIX}"), None)
        waits = obstacle(live) if mark is None else None
        seen = Seen(
            key,
            self.wish,
            live,
            mark,
            templates,
            moving(key, templates, claims, held, volumes, pods, own, objects.SUFFIX),
            tuple(sorted(own)),
            left_of(key, held, objects.LEFT_BY, MIGRATION),
            pod_of(trial, _hopeless(trial)),
            self._tried,
            objects.pods_of(live, templates, self.image, self.pull_policy, self.user),
            waits_for=waits or "",
        )
        if mark is None and not self._checked and any(not is_there(one, self.wish) for one in seen.claims):
            seen = dataclasses.replace(seen, around=around(self.cluster, seen))
        return seen

    def _templates(self, live: Object) -> tuple[str, ...]:
        names = tuple(one["metadata"]["name"] for one in live["spec"].get("volumeClaimTemplates") or ())
        if not names:
            raise Failure(f"name: {self.key} has no claim templates, so it has no claims of its own to move.")
        unknown = [name for name in self.wish.templates if name not in names]
        if unknown:
            raise Failure(
                f"templates: {self.key} has the claim templates {', '.join(names)}, and {', '.join(unknown)} is none "
                "of them. Correct the name."
            )
        return tuple(name for name in names if not self.wish.templates or name in self.wish.templates)

    def _is_ours(self, volume: str, claims: t.Sequence[Object], templates: t.Sequence[str]) -> bool:
        form = re.compile(rf"({'|'.join(map(re.escape, templates))})-{re.escape(self.key.name)}-\d+({objects.SUFFIX})?")
        return any(
            one["spec"].get("volumeName") == volume and form.fullmatch(one["metadata"]["name"]) for one in claims
        )

    def _held(self) -> list[Object]:
        """The volumes that carry notes of a move."""
        try:
            return self.cluster.list(*VOLUME, labels=MIGRATION)
        except ApiError as error:
            if error.forbidden:
                return []  # this account never gets so far as to write one
            raise

    def _volume(self, name: str) -> t.Optional[Object]:
        try:
            return self.cluster.get(*VOLUME, name)
        except ApiError as error:
            if error.forbidden:
                return None
            raise

    def _check(self, seen: Seen) -> None:
        """The API server tries what can be tried before anything is stopped."""
        plan = plan_migrate(seen)
        if isinstance(plan, Refusal):
            return
        self._checked = True
        now = effective(seen)
        sizes = {step.data["claim"]: step.data["size"] for step in plan.steps if step.action == "prepare"}
        try:
            if any(step.action == "recreate" for step in plan.steps):
                attempt(self.cluster, dict(target(now)))
            for one in now.claims:
                if one.claim is not None and one.name in sizes:
                    self.cluster.create(self._new_claim(one, now, sizes[one.name]), dry_run=True)
            if any(step.action == "try" for step in plan.steps) and now.how:
                self.cluster.create(objects.try_pod(self.key, now.how), dry_run=True)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return
            raise Failure(
                f"{self.key}: the API server would not let this move its claims: {error.message.rstrip('.')}. Nothing "
                "was changed.",
                **error.facts,
            ) from error

    # What to do

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return plan_migrate(observed, self._back)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        seen = effective(observed)
        self._since = 0.0
        self.wait_timeout = self.patience
        try:
            in_parallel(lambda step: self._act_one(step, seen), steps)
        except ApiError as error:
            if error.conflict:
                raise NotYet(f"something has changed meanwhile: {error.message}") from error
            raise

    def _act_one(self, step: Step, seen: Seen) -> None:
        name = step.data.get("claim")
        one = next((claim for claim in seen.claims if claim.name == name), None)
        if one is not None:
            self._act_on(step, one, seen)
        elif step.action == "try" and seen.how:
            self.cluster.create(objects.try_pod(self.key, seen.how))
        elif step.action in ("tried", "remove-trial") and seen.trial:
            self._tried = step.action == "tried"
            self.cluster.delete(*POD, f"{self.key.name}{objects.SUFFIX}", self.namespace, uid=seen.trial.uid)
        elif step.action == "stop" and seen.live:
            self._stop(seen, seen.live)
        elif step.action == "start" and seen.live and seen.mark:
            self._start(seen.live, seen.mark)
        elif step.action == "recreate" and seen.live:
            self._recreate(seen, seen.live)
        elif step.action == "restore" and seen.recreation and seen.recreation.saved:
            make_again(self.cluster, seen.key, seen.recreation.saved)
        elif step.action == "finish" and seen.recreation and seen.live:
            finish(self.cluster, seen.key, seen.live, seen.recreation.saved)

    def _act_on(self, step: Step, one: Moving, seen: Seen) -> None:
        new = objects.temporary(one.name)
        if step.action == "prepare":
            self.cluster.create(self._new_claim(one, seen, step.data["size"]))
        elif step.action == "copy" and one.temporary and seen.how:
            self.cluster.create(objects.copy_pod(self.key, one.name, one.temporary, seen.stamp, seen.how))
        elif step.action == "note" and one.temporary and one.pod:
            self._note(one, one.temporary, one.pod)
        elif step.action == "remove-pod" and one.pod:
            self.cluster.delete(*POD, new, self.namespace, uid=one.pod.uid)
        elif step.action == "hold":
            self._hold(one, seen)
        elif step.action == "release" and one.claim:
            self._delete_claim(one.claim)
        elif step.action in ("drop", "discard") and one.temporary:
            if step.action == "discard" and one.fresh:
                self._patch_volume(one.fresh, objects.discard(one.fresh_held, one.fresh))
            self._delete_claim(one.temporary)
        elif step.action == "make" and one.fresh_held:
            self.cluster.create(dict(one.fresh_held.wanted))
        else:
            self._act_on_volume(step.action, one)

    def _act_on_volume(self, action: str, one: Moving) -> None:
        if action == "hand-over" and one.fresh and one.fresh_held:
            self._patch_volume(one.fresh, objects.hand_over(one.fresh_held, self.namespace, one.fresh))
        elif action == "settle-new" and one.fresh and one.fresh_held:
            self._patch_volume(one.fresh, objects.let_go(one.fresh_held))
        elif action == "let-go" and one.old and one.old_held:
            self._patch_volume(one.old, objects.let_go(one.old_held))
        elif action == "settle-old" and one.old and one.old_held:
            self._patch_volume(one.old, objects.settle_old(one.old_held))

    def _new_claim(self, one: Moving, seen: Seen, size: str) -> Object:
        wish = seen.wish
        return objects.new_claim(self.key, one.claim or {}, wish.class_name, size, wish.access_modes)

    def _note(self, one: Moving, new: Object, pod: CopyPod) -> None:
        result = result_of(pod)
        if result is None:
            raise NotYet(f"the pod that copied claim {one.name} has not said what it did")
        self.results[one.name] = result
        note = {"stamp": pod.stamp, "files": result.files, "bytes": result.bytes, "sha256": result.sha256}
        patch = {
            "metadata": {"uid": new["metadata"]["uid"], "annotations": {objects.COPIED: json.dumps(note)}},
        }
        self.cluster.merge(*CLAIM, new["metadata"]["name"], self.namespace, patch)

    def _hold(self, one: Moving, seen: Seen) -> None:
        """The new volume first: as long as its note is missing, the old claim is not touched."""
        claim, wish = one.claim or {}, seen.wish
        if one.old is None or (seen.copies and (one.fresh is None or one.temporary is None)):
            raise NotYet(f"the volumes of claim {one.name} are not to be seen")
        if seen.copies and one.fresh and one.temporary and one.fresh_held is None:
            wanted = objects.final_claim(claim, one.temporary, one.fresh["metadata"]["name"])
            policy = one.fresh["spec"].get("persistentVolumeReclaimPolicy", "Retain")
            held = objects.Held(objects.NEW, str(self.key), one.name, one.template, policy, wanted=wanted)
            self._patch_volume(one.fresh, objects.hold(held, one.fresh))
        if one.old_held is None:
            policy = one.old["spec"].get("persistentVolumeReclaimPolicy", "Retain")
            old = objects.Held(objects.OLD, str(self.key), one.name, one.template, policy, wish.old_volumes)
            self._patch_volume(one.old, objects.hold(old, one.old))

    def _delete_claim(self, claim: Object) -> None:
        metadata = claim["metadata"]
        self.cluster.delete(*CLAIM, metadata["name"], self.namespace, uid=metadata["uid"])

    def _patch_volume(self, volume: Object, patch: Object) -> None:
        self.cluster.merge(*VOLUME, volume["metadata"]["name"], None, patch)

    def _stop(self, seen: Seen, live: Object) -> None:
        mark = seen.mark or mark_of(seen, managers(live))
        patch = {
            "metadata": {
                "resourceVersion": live["metadata"]["resourceVersion"],
                "annotations": {MIGRATION: mark.dump()},
            },
            "spec": {"replicas": 0},
        }
        self._patch_set(patch)

    def _start(self, live: Object, mark: objects.Mark) -> None:
        """The number of pods first; who managed it, and that nothing moves any more, after that."""
        after = self._patch_set({"spec": {"replicas": mark.replicas}}) if live["spec"].get("replicas") == 0 else live
        version = after["metadata"]["resourceVersion"]
        after = self._patch_set({"metadata": {"resourceVersion": version, "managedFields": restored(after, mark)}})
        version = after["metadata"]["resourceVersion"]
        self._patch_set({"metadata": {"resourceVersion": version, "annotations": {MIGRATION: None}}})

    def _patch_set(self, patch: Object) -> Object:
        key = self.key
        return self.cluster.merge(key.api_version, key.kind, key.name, key.namespace, patch, manager=MANAGER)

    def _recreate(self, seen: Seen, live: Object) -> None:
        """The number of pods comes back with the class in one object, and so does who managed it."""
        wanted, mark = dict(target(seen)), seen.mark
        if mark is None:
            recreate(self.cluster, self.key, live, wanted)
            return
        metadata = dict(wanted["metadata"])
        there = metadata.get("annotations") or {}
        metadata["annotations"] = {name: value for name, value in there.items() if name != MIGRATION}
        wanted = {**wanted, "metadata": metadata, "spec": {**wanted["spec"], "replicas": mark.replicas}}
        was = {**live, "metadata": {**live["metadata"], "managedFields": restored(live, mark)}}
        recreate(self.cluster, self.key, was, wanted)

    # Waiting

    def watched(self) -> t.Collection[tuple[str, str, t.Optional[str], str]]:
        return [
            (*CLAIM, self.namespace, ""),
            (*POD, self.namespace, ""),
            ("apps/v1", "StatefulSet", self.namespace, ""),
        ]

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        self._follow()

    def _follow(self) -> None:
        """Tell how far the copies are. The time for the wait counts from the last progress of any."""
        now = time.monotonic()
        self._since = self._since or now
        labels = query({"matchLabels": objects.labels(self.key)})
        moved = False
        for pod in self.cluster.list(*POD, self.namespace, labels=labels):
            name = pod["metadata"]["name"]
            if (pod.get("status") or {}).get("phase") != "Running" or not pod["metadata"].get("ownerReferences"):
                continue
            said = self.cluster.log_tail(self.namespace, name, objects.CONTAINER, lines=1)
            if said and said[-1] != self._words.get(name):
                self._words[name] = said[-1]
                self.progress(f"{self.title}: {name.removesuffix(objects.SUFFIX)}: {said[-1]}")
                moved = True
        if moved:
            self.wait_timeout = self.patience + now - self._since

    def hopeless(self, observed: Seen) -> t.Optional[str]:
        if self._back is not None:
            plan = plan_migrate(observed, self._back)
            return self._told(observed) if isinstance(plan, Plan) and len(plan.steps) == 1 else None
        if observed.trial and observed.trial.failed:
            return f"the pod that tried the image failed: {observed.trial.failed}"
        failed = [
            f"copying claim {one.name} failed: {why}" for one in observed.claims if (why := _failure(one, observed))
        ]
        return "; ".join(failed) or None

    def _told(self, observed: Seen) -> str:
        why = (self._back or "").rstrip(".")
        if observed.pods or observed.replicas:
            return f"{why}. {self.key} is on its old claims again, with {observed.replicas} pods, and no data was lost."
        return f"{why}. Nothing of it was moved."

    def retreat(self, observed: Seen) -> bool:
        if self._back is not None or observed.recreation or not can_go_back(observed):
            return False
        if observed.mark is None and observed.trial is None:
            return False
        why = self.hopeless(observed)
        if why is None:
            blocked = "; ".join(phrase.rstrip(".") for phrase in self.blocked_by(observed))
            why = f"the move did not go on within {self.patience:.0f} s" + (f": {blocked}" if blocked else "")
        self._back = why
        return True

    def blocked_by(self, observed: Seen) -> t.Sequence[str]:
        if self._back is not None:
            return ()
        labels = query({"matchLabels": objects.labels(self.key)})
        found = diagnose(self.cluster, self.namespace, labels)
        if not found and observed.live is not None:
            found = diagnose(self.cluster, self.namespace, query(observed.live["spec"]["selector"]), [self.key.name])
        return found

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        return summary(observed, self.results)

    def diff(self, plan: Plan) -> t.Any:
        return step_diffs(plan)


def _failure(one: Moving, seen: Seen) -> str:
    """Why the copy of a claim, as it is now, has failed for good; empty where it has not."""
    if one.pod is None or one.pod.going or one.pod.stamp != seen.stamp or not has_data(one):
        return ""
    why = one.pod.failed
    user = seen.how.user if seen.how else 0
    if user and any(word in why for word in _OF_OWNERS):
        return f"{why.rstrip('.')} (copied as user {user}; run_as_user 0 can read and give away what is not theirs)"
    if "No space left" in why:
        return f"{why.rstrip('.')} (the new claim has {new_size(one, seen.wish)}; size asks for more)"
    return why


def _hopeless(pod: t.Optional[Object]) -> str:
    for one in ((pod or {}).get("status") or {}).get("containerStatuses") or ():
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    return ""


def _is_pod_of(pod: Object, live: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == live["metadata"]["uid"] for owner in owners)
