# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at claims and makes them larger, each step checked again at the moment of acting."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._lease import Lease
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object, list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._parallel import in_parallel
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import quantity
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import last_word
from ansible_collections.stateful.kube.plugins.module_utils._cluster._watching import Watching
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._growth import grow, growable, quotas
from ansible_collections.stateful.kube.plugins.module_utils._manifests._prune import LABEL
from ansible_collections.stateful.kube.plugins.module_utils._manifests._recreate import (
    attempt,
    finish,
    make_again,
    recreate,
    stand,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_facts import given_up, quota_facts, summary
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_plan import Retreat, plan_resize
from ansible_collections.stateful.kube.plugins.module_utils._storage._resize_state import (
    Claim,
    Seen,
    Surroundings,
    Volume,
    claim_of,
    claims_with_pods,
    template_size,
    volume_of,
    with_template_size,
)

CLAIM = ("v1", "PersistentVolumeClaim")


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to grow: a StatefulSet's claims of one template, or claims by name."""

    size: str
    name: str = ""
    template: str = ""
    claims: tuple[str, ...] = ()
    roll_back: bool = True


def wish_of(params: t.Mapping[str, t.Any]) -> Wish:
    """The options, checked. Raises Failure."""
    size = str(params["size"]).strip()
    try:
        fits = quantity(size) > 0
    except ValueError:
        fits = False
    if not fits:
        raise Failure(f"size: expected a quantity of bytes such as 20Gi, found {size!r}.")
    claims = tuple(dict.fromkeys(params["claims"] or ()))
    if params["template"] and not params["name"]:
        raise Failure("template: it is for name, the claims of a StatefulSet. Leave it out for claims by name.")
    return Wish(size, params["name"] or "", params["template"] or "", claims, params["roll_back"])


class Resize(Watching[Seen]):
    """Make claims larger, and their StatefulSet agree."""

    def __init__(self, cluster: Cluster, namespace: str, wish: Wish, wait_timeout: float) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.wish = wish
        self.wait_timeout = wait_timeout
        self.title = wish.name or ", ".join(wish.claims)
        self.key = (
            Key("apps/v1", "StatefulSet", namespace, wish.name)
            if wish.name
            else Key(*CLAIM, namespace, ", ".join(wish.claims))
        )
        self._tried = False
        self._retreat: t.Optional[Retreat] = None
        self._why: dict[str, str] = {}
        #: what each claim asked for before this run
        self._before: dict[str, str] = {}
        #: what was told of each claim before this run asked for more: nothing that speaks of this attempt
        self._old_news: dict[str, str] = {}

    # What is there

    def observe(self) -> Seen:
        seen = self._named() if self.wish.claims else self._of_stateful_set()
        for claim in seen.claims:
            self._old_news.setdefault(claim.name, claim.told)
        if self.lock is None:
            self.lock = Lease(self.cluster, self.namespace, self._application(seen))
        if not self._tried and not seen.recreation:
            plan = plan_resize(seen)
            if isinstance(plan, Plan):
                self._try(seen, plan)
                self._tried = True
        return seen

    def _application(self, seen: Seen) -> str:
        """The name that other operations on the same application lock it by."""
        labels = [one.get(LABEL) for one in self._labels]
        return next((label for label in labels if label), None) or self.wish.name or self.wish.claims[0]

    def _named(self) -> Seen:
        found = [self.cluster.get(*CLAIM, name, self.namespace) for name in self.wish.claims]
        there = {one["metadata"]["name"] for one in found if one}
        missing = [name for name in self.wish.claims if name not in there]
        if missing:
            raise Failure(
                f"claims: {', '.join(missing)} does not exist in namespace {self.namespace}. Correct the name, or the "
                "namespace."
            )
        live = [one for one in found if one]
        self._labels = [one["metadata"].get("labels") or {} for one in live]
        return self._with_surroundings(Seen(self.key, self.wish.size, self._claims(live)))

    def _of_stateful_set(self) -> Seen:
        key = self.key
        live = self.cluster.get(key.api_version, key.kind, key.name, key.namespace)
        self._labels = [(live or {}).get("metadata", {}).get("labels") or {}]
        recreation = stand(self.cluster, key, live)
        if recreation:
            return Seen(key, self.wish.size, (), live, recreation=recreation)
        if live is None or live["metadata"].get("deletionTimestamp"):
            what = "does not exist" if live is None else "is being deleted"
            raise Failure(f"name: {key} {what}. Correct the name or the namespace, or name the claims in claims.")
        template = self._template(live)
        every = self.cluster.list(*CLAIM, key.namespace)
        served, retained = claims_with_pods(key, live, template, every)
        seen = Seen(
            key,
            self.wish.size,
            self._claims(served),
            {**live, "apiVersion": key.api_version, "kind": key.kind},
            template,
            template_size(live, template),
            tuple(claim_of(one) for one in retained),
        )
        return self._with_surroundings(seen)

    def _template(self, live: Object) -> str:
        names = [one["metadata"]["name"] for one in live["spec"].get("volumeClaimTemplates") or ()]
        wanted = self.wish.template or (names[0] if len(names) == 1 else "")
        if wanted in names:
            return wanted
        if not names:
            raise Failure(f"name: {self.key} has no claim templates. Name the claims of its pods in claims.")
        there = f"template: {self.key} has the claim templates {', '.join(names)}"
        if wanted:
            raise Failure(f"{there}, and {wanted} is none of them. Correct the name.")
        raise Failure(f"{there}. Say which one grows.")

    def _claims(self, live: t.Sequence[Object]) -> tuple[Claim, ...]:
        pods = self.cluster.list("v1", "Pod", self.namespace) if live else []
        return tuple(claim_of(one, pods) for one in live)

    def _with_surroundings(self, seen: Seen) -> Seen:
        """What has to allow growth is asked only where something is to grow."""
        around = Surroundings(quotas=tuple(quotas(self.cluster, self.namespace)))
        small = [one for one in seen.claims if one.bound and quantity(one.asked) < quantity(seen.size)]
        if small and not self._tried:
            volumes = {one.name: volume for one in small if (volume := self._volume(one))}
            around = Surroundings(growable(self.cluster), around.quotas, volumes, self._drivers(volumes))
        return dataclasses.replace(seen, around=around)

    def _volume(self, claim: Claim) -> t.Optional[Volume]:
        try:
            live = self.cluster.get("v1", "PersistentVolume", claim.volume)
        except ApiError as error:
            if error.forbidden:
                return None  # an account confined to its namespace may not know
            raise
        return volume_of(live) if live else None

    def _drivers(self, volumes: t.Mapping[str, Volume]) -> t.Optional[frozenset[str]]:
        """The CSI drivers that are announced, or run on any node: the announcement is optional."""
        if not any(volume.driver for volume in volumes.values()):
            return None
        announced = list_if_allowed(self.cluster, "storage.k8s.io/v1", "CSIDriver")
        nodes = list_if_allowed(self.cluster, "storage.k8s.io/v1", "CSINode")
        if announced is None or nodes is None:
            return None
        running = [driver["name"] for node in nodes for driver in node["spec"].get("drivers") or ()]
        return frozenset((*(one["metadata"]["name"] for one in announced), *running))

    def _try(self, seen: Seen, plan: Plan) -> None:
        """Everything is tried before the first real step: each claim, and the making anew."""
        for step in plan.steps:
            if step.action == "grow":
                grow(self.cluster, step.data["growth"], dry_run=True)
            elif step.action == "recreate":
                try:
                    attempt(self.cluster, self._target(seen))
                except ApiError as error:
                    raise Failure(
                        f"{seen.key}: the API server would not make it again with another size: "
                        f"{error.message.rstrip('.')}. Nothing was changed.",
                        **error.facts,
                    ) from error

    def _target(self, seen: Seen) -> Object:
        return with_template_size(seen.live or {}, seen.template, seen.size)

    # What to do

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return plan_resize(observed, self._retreat)

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        for claim in observed.claims:
            if any(step.data.get("growth") and step.data["growth"].claim == claim.name for step in steps):
                self._before.setdefault(claim.name, claim.asked)
                self._old_news[claim.name] = claim.told
        in_parallel(lambda step: self._act_one(step, observed), steps)

    def _act_one(self, step: Step, seen: Seen) -> None:
        if step.action == "grow":
            grow(self.cluster, step.data["growth"])
        elif step.action == "roll-back":
            self._lower(step.data["claim"], step.data["to"])
        elif step.action == "recreate" and seen.live:
            recreate(self.cluster, seen.key, seen.live, self._target(seen))
        elif step.action == "restore" and seen.recreation and seen.recreation.saved:
            make_again(self.cluster, seen.key, seen.recreation.saved)
        elif step.action == "finish" and seen.recreation and seen.live:
            finish(self.cluster, seen.key, seen.live, seen.recreation.saved)

    def _lower(self, claim: Claim, to: str) -> None:
        # No resourceVersion: the driver writes the status all the time, and the API server itself compares with it.
        patch = {"metadata": {"uid": claim.uid}, "spec": {"resources": {"requests": {"storage": to}}}}
        try:
            self.cluster.merge(*CLAIM, claim.name, self.namespace, patch)
        except ApiError as error:
            if self._retreat:
                refused = {**self._retreat.refused, claim.name: error.message.rstrip(".")}
                self._retreat = dataclasses.replace(self._retreat, refused=refused)
                raise NotYet(f"claim {claim.name} has to go on asking for {claim.asked}") from error
            if error.conflict:
                raise NotYet(f"claim {claim.name} has just been replaced by another of its name") from error
            raise Failure(
                f"claim {claim.name} cannot ask for {to} in place of {claim.asked}: {error.message.rstrip('.')}. "
                "Kubernetes before 1.32 takes no request back: there, give a size that is at least as large.",
                **error.facts,
            ) from error

    # Waiting

    def watched(self) -> t.Collection[tuple[str, str, t.Optional[str], str]]:
        sets = [("apps/v1", "StatefulSet", self.namespace, "")] if self.wish.name else []
        return [(*CLAIM, self.namespace, ""), *sets]

    def hopeless(self, observed: Seen) -> t.Optional[str]:
        if self._retreat:
            return given_up(observed, self._retreat, self._why)
        for claim in observed.claims:
            # What was told before this run asked may have been mended since.
            if claim.growing and claim.infeasible and claim.told != self._old_news[claim.name]:
                return f"{claim.progress(claim.asked)}, and its driver says that it never will."
        return None

    def retreat(self, observed: Seen) -> bool:
        return self.wish.roll_back and self._on_the_way_back(observed)

    def _on_the_way_back(self, observed: Seen) -> bool:
        """Give up on what fails by now, if that is new; whether any request is still to be taken back.

        Slow is not failed: what is under way is left to come.
        """
        known = self._retreat or Retreat({})
        failing = [claim for claim in observed.claims if claim.failing and not claim.volume_has(observed.size)]
        late = {claim.name: self._before.get(claim.name, "") for claim in failing if claim.name not in known.claims}
        if late:
            self._why.update({one.name: "; ".join(one.failures) or one.stage for one in failing if one.name in late})
            self._retreat = dataclasses.replace(known, claims={**known.claims, **late})
        plan = plan_resize(observed, self._retreat) if self._retreat else None
        return isinstance(plan, Plan) and bool(plan.changes)

    def blocked_by(self, observed: Seen) -> t.Sequence[str]:
        if self._retreat:
            return ()
        found = []
        for claim in observed.claims:
            if claim.growing:
                told = "" if claim.failures else last_word(self.cluster, self.namespace, CLAIM[1], claim.name)
                found.append(claim.progress(claim.asked) + (f" ({told})" if told else ""))
        return found

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        return {**summary(observed), "quotas": quota_facts(observed)}

    def diff(self, plan: Plan) -> t.Any:
        shown = []
        for step in plan.changes:
            growth = step.data.get("growth")
            if growth:
                header = {"before_header": growth.claim, "after_header": growth.claim}
                shown.append({**header, "before": f"{growth.before}\n", "after": f"{growth.after}\n"})
            else:
                shown.append({"prepared": f"{step.sentence}\n"})
        return shown
