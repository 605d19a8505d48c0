# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Objects of an application that somebody else has made: whose they are, and how they become ours. Pure."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal, Step

Object = t.Mapping[str, t.Any]

SET, SERVICE, CLAIM = "StatefulSet", "Service", "PersistentVolumeClaim"
API = {SET: "apps/v1", SERVICE: "v1", CLAIM: "v1"}
NAME, INSTANCE, MANAGED_BY = "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"
OURS = "stateful.kube"
KEEP = "helm.sh/resource-policy"
MARK = "mark"
TAKE_OVER = "take_over"


@dataclasses.dataclass(frozen=True)
class Application:
    """Whose the objects become."""

    #: value of the label app.kubernetes.io/name, which variables begin with, too
    kind: str
    #: the same for people
    title: str
    name: str
    namespace: str
    #: annotation by which a StatefulSet is known to be marked
    noted: str

    @property
    def labels(self) -> dict[str, str]:
        return {NAME: self.kind, INSTANCE: self.name, MANAGED_BY: OURS}

    @property
    def selector(self) -> dict[str, str]:
        """The labels by which the role selects pods."""
        return {NAME: self.kind, INSTANCE: self.name}


@dataclasses.dataclass(frozen=True)
class Thing:
    """One object in the cluster, as far as whose it is matters."""

    kind: str
    name: str
    uid: str = ""
    resource_version: str = ""
    labels: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    annotations: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: the controller that owns it, such as 'PerconaServerMongoDB shop'
    owner: str = ""
    #: others who have declared fields of it
    managers: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def helm(self) -> bool:
        return self.labels.get(MANAGED_BY) == "Helm" or "meta.helm.sh/release-name" in self.annotations


@dataclasses.dataclass(frozen=True)
class Objects:
    """What there is of the application."""

    stateful_set: t.Optional[Thing] = None
    services: tuple[Thing, ...] = ()
    claims: tuple[Thing, ...] = ()
    #: whether pods are left alone when the template changes
    on_delete: bool = True
    #: whether claims stay when the StatefulSet goes, or gets smaller
    keeps_claims: bool = True

    @property
    def declared(self) -> list[Thing]:
        """Those that somebody declares. Nobody declares claims."""
        return [*((self.stateful_set,) if self.stateful_set else ()), *self.services]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is otherwise than the role declares it."""

    what: str
    found: str
    #: what becomes of it, and by what
    how: str


def whose(app: Application, found: Objects, from_helm: bool) -> t.Optional[Refusal]:
    """Somebody else who would put it back as it was, or delete it."""
    if found.stateful_set is None:
        return Refusal(f"There is no StatefulSet {app.name} in namespace {app.namespace}: nothing to adopt.")
    for thing in found.declared:
        if thing.owner:
            return Refusal(
                f"{thing} is owned by {thing.owner}, whose operator would undo whatever is changed here. Nothing was "
                "changed.",
                (f"metadata.ownerReferences of {thing} names {thing.owner} as its controller",),
                (
                    "leave it to that operator",
                    "take the operator away in a way that leaves the StatefulSet without ownerReferences, and run "
                    "again",
                ),
            )
        name, instance = thing.labels.get(NAME), thing.labels.get(INSTANCE)
        if thing.labels.get(MANAGED_BY) == OURS and (name, instance) != (app.kind, app.name):
            return Refusal(
                f"{thing} is part of {name} {instance}, another application of this collection. Nothing was changed.",
                (f"labels {NAME}={name}, {INSTANCE}={instance}",),
                ("name the right StatefulSet",),
            )
    helm = [str(thing) for thing in found.declared if thing.helm]
    if helm and not from_helm:
        return Refusal(
            f"Helm manages {' and '.join(helm)}: its next upgrade would put everything back, and an uninstall would "
            "delete it. Nothing was changed.",
            tuple(f"{thing} has the label {MANAGED_BY}={thing.labels.get(MANAGED_BY)}" for thing in found.declared),
            (
                "set from_helm to true, and afterwards delete the Secrets sh.helm.release.v1.* of the release, so that "
                "Helm knows nothing of it any more; never upgrade or uninstall it, which goes by what they hold and "
                "would delete the set with its Secrets",
            ),
        )
    return None


def marks(app: Application, found: Objects, more: t.Sequence[str] = ()) -> list[Step]:
    """Objects get the labels of the application, and their fields become ours. ``more``: what else its mark says."""
    steps = [_mark(app, thing, "", batch="mark-claims") for thing in found.claims if _unmarked(app, thing)]
    steps += [_mark(app, thing, "") for thing in found.services if _unmarked(app, thing)]
    own = found.stateful_set
    if own:
        said = list(more)
        if not found.keeps_claims:
            said.append("keep its claims when it is deleted or scaled (persistentVolumeClaimRetentionPolicy)")
        if not found.on_delete:
            said.append("leave its pods alone when its template changes (OnDelete)")
        if said or _unmarked(app, own):
            steps.append(_mark(app, own, "".join(f", and {what}" for what in said)))
    for thing in found.declared:
        if thing.managers:
            sentence = f"take over the fields of {thing} from {', '.join(thing.managers)}, as they are"
            steps.append(Step(TAKE_OVER, str(thing), sentence, data={"thing": thing}))
    return steps


def marked(app: Application, thing: Thing, found: Objects, annotations: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The patch that marks it. ``annotations``: those of the StatefulSet."""
    labels: dict[str, t.Any] = app.labels
    noted: dict[str, t.Any] = {}
    patch: dict[str, t.Any] = {"metadata": {"labels": labels, "annotations": noted}}
    if thing.kind == CLAIM:
        # Data that somebody else has made: it is known by its labels, and nobody declares it.
        del labels[MANAGED_BY]
        return patch
    if thing.helm:
        noted[KEEP] = "keep"
    if thing.kind == SET:
        noted.update(annotations)
        patch["spec"] = {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}
        if not found.keeps_claims:
            keep = {"whenDeleted": "Retain", "whenScaled": "Retain"}
            patch["spec"]["persistentVolumeClaimRetentionPolicy"] = keep
    return patch


def _unmarked(app: Application, thing: Thing) -> bool:
    wanted = app.labels
    if thing.kind == CLAIM:
        del wanted[MANAGED_BY]
    told = thing.kind != SET or app.noted in thing.annotations
    kept = thing.kind == CLAIM or not thing.helm or thing.annotations.get(KEEP) == "keep"
    return not (told and kept) or any(thing.labels.get(key) != value for key, value in wanted.items())


def _mark(app: Application, thing: Thing, more: str, batch: t.Optional[str] = None) -> Step:
    sentence = f"mark {thing} as part of {app.title} {app.name}{more}"
    return Step(MARK, str(thing), sentence, batch=batch, data={"thing": thing})


# What the role would declare otherwise


def fixed(app: Application, spec: Object, parallel: str) -> t.Iterator[Difference]:
    """What a StatefulSet keeps for its life, and how the role is told so; ``parallel`` says what of OrderedReady."""
    if "Delete" in (spec.get("persistentVolumeClaimRetentionPolicy") or {}).values():
        how = "becomes Retain by the adoption: else the data went with the StatefulSet"
        yield Difference("persistentVolumeClaimRetentionPolicy", "Delete", how)
    if (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") != "OnDelete":
        yield Difference("updateStrategy", "RollingUpdate", "becomes OnDelete by the adoption; no pod restarts")
    if spec.get("serviceName") != app.name:
        how = f"can never change: kept by {app.kind}_service"
        yield Difference("serviceName", str(spec.get("serviceName")), how)
    selector = selected(spec)
    if selector != app.selector:
        yield Difference("selector", pairs(selector), f"can never change: kept by {app.kind}_selector")
    if spec.get("podManagementPolicy", "OrderedReady") != "Parallel":
        yield Difference("podManagementPolicy", "OrderedReady", parallel)
    claims = spec.get("volumeClaimTemplates") or ()
    for claim in claims:
        name, metadata = claim["metadata"]["name"], claim["metadata"]
        if name != "data":
            yield Difference("claim template", name, f"can never change: kept by {app.kind}_claim_name")
        more = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
        if more:
            how = (
                "can never change, and the role declares none, so the next run is refused: make the StatefulSet again "
                "under its pods, without them (kubectl delete --cascade=orphan, then create)"
            )
            yield Difference(f"labels or annotations of claim template {name}", pairs(more), how)
    if len(claims) > 1:
        names = ", ".join(claim["metadata"]["name"] for claim in claims)
        yield Difference("claim templates", names, "the role declares one, so the next run is refused")


def headless(service: t.Optional[Object]) -> t.Iterator[Difference]:
    if service is None:
        yield Difference("headless Service", "none", "made by the next run")
        return
    what, spec = f"Service {service['metadata']['name']}", service["spec"]
    if (spec.get("clusterIP") or "") != "None":
        how = "names of pods do not resolve, and it can never change: make the Service again, headless"
        yield Difference(what, f"clusterIP {spec.get('clusterIP')}", how)
    if not spec.get("publishNotReadyAddresses"):
        yield Difference(what, "publishNotReadyAddresses false", "becomes true in place, by the next run")


def selected(spec: Object) -> dict[str, str]:
    """The labels by which it selects its pods."""
    return dict((spec.get("selector") or {}).get("matchLabels") or {})


def pairs(labels: t.Mapping[str, t.Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())


# What is told of it


def table(rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Rows as lines, the first one with the heads of the columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def told(differences: t.Sequence[Difference], variables: t.Mapping[str, t.Any]) -> list[str]:
    lines: list[str] = []
    if differences:
        lines += ["", "Otherwise than the role declares it:"]
        lines += [f"- {one.what}: {one.found} ({one.how})" for one in differences]
    lines += ["", "Variables that declare what there is:"]
    return lines + [f"  {name}: {_yaml(value)}" for name, value in variables.items()]


def _yaml(value: t.Any) -> str:
    if isinstance(value, str) and value and not value[0].isdigit() and all(c.isalnum() or c in "-_./:" for c in value):
        return value
    return json.dumps(value)
