# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What an external service takes beside its own objects. Pure.

A Service that once had a selector, or an Endpoints object, leaves addresses behind that nobody keeps: Kubernetes
neither takes the Endpoints away with the selector, nor the slices that were made of them, and mirrors the old
Endpoints for ever. Traffic would go to the declared addresses and to those.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import FIELD_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._external._ask import Answer
from ansible_collections.stateful.kube.plugins.module_utils._external._objects import (
    MANAGED_BY,
    SLICES,
    Object,
)
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Wish, family
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import (
    Observed,
    Seen,
    plan_present,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

#: Kubernetes' own keepers of slices: what they left is worth nothing without a selector or Endpoints
CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")


@dataclasses.dataclass(frozen=True)
class Around:
    """What there is under the name of the Service: by whomever it was made."""

    service: t.Optional[Object] = None
    slices: tuple[Object, ...] = ()
    endpoints: t.Optional[Object] = None


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """One look at the cluster, and what the addresses said to the probe (None where it was not asked)."""

    around: Around
    objects: Observed
    answers: t.Optional[tuple[Answer, ...]] = None
    #: addresses that get no clients for now
    out: frozenset[str] = frozenset()
    #: why the addresses were not asked although a probe is declared
    unasked: str = ""


def known(around: Around) -> dict[str, bool]:
    """Each address of our own slices, and whether it gets clients."""
    return {
        address: (endpoint.get("conditions") or {}).get("ready") is not False
        for one in around.slices
        if managed_by(one) == FIELD_MANAGER
        for endpoint in one.get("endpoints") or ()
        for address in endpoint["addresses"]
    }


def taken_out(wish: Wish, around: Around, answers: t.Optional[t.Sequence[Answer]]) -> frozenset[str]:
    """The addresses that get no clients: those that gave no answer, unless that are all of them."""
    if answers is not None:
        down = frozenset(answer.address for answer in answers if not answer.up)
    elif wish.probe:
        ready = known(around)
        down = frozenset(address for address in wish.addresses if not ready.get(address, True))
    else:
        return frozenset()
    return down & frozenset(wish.addresses) if set(wish.addresses) - down else frozenset()


def plan(wish: Wish, seen: Snapshot, force: bool) -> t.Union[Plan, Refusal]:
    refusal = _selects(wish, seen.around, force) or _headless(wish, seen.around) or _foreign(wish, seen.around, force)
    if refusal:
        return refusal
    inner = plan_present(seen.objects, wait=False)
    if isinstance(inner, Refusal):
        return inner
    return Plan(
        (*_drop_selector(seen.around), *inner.steps, *_leftovers(seen.around)),
        (*inner.warnings, *_warnings(wish, seen)),
    )


def _selector(around: Around) -> t.Mapping[str, str]:
    return ((around.service or {}).get("spec") or {}).get("selector") or {}


def _selects(wish: Wish, around: Around, force: bool) -> t.Optional[Refusal]:
    selector = _selector(around)
    if not selector or force:
        return None
    words = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return Refusal(
        f"Service {wish.namespace}/{wish.name} has a selector, so it leads to pods, and its clients would be sent "
        "elsewhere. Nothing was changed.",
        (f"spec.selector is {words}",),
        ("choose another name", "set force_conflicts to true, which takes the selector away and its clients with it"),
    )


def _headless(wish: Wish, around: Around) -> t.Optional[Refusal]:
    """The API server would keep the old kind of address in silence, or refuse in its own words."""
    spec = (around.service or {}).get("spec") or {}
    if wish.external_name or spec.get("type") == "ExternalName" or not spec.get("clusterIP"):
        return None
    if (spec["clusterIP"] == "None") == wish.headless:
        return None
    return Refusal(
        f"Service {wish.namespace}/{wish.name} {'has a virtual address' if wish.headless else 'is headless'}, and "
        f"headless {str(wish.headless).lower()} is declared: this cannot change in place, because clients keep what "
        "they know. Nothing was changed.",
        (f"spec.clusterIP is {spec['clusterIP']}",),
        (
            f"declare headless {str(not wish.headless).lower()}",
            "remove it with state absent and declare it again: its clients fail until they look its name up anew",
        ),
    )


def _foreign(wish: Wish, around: Around, force: bool) -> t.Optional[Refusal]:
    foreign = [one for one in around.slices if managed_by(one) not in (FIELD_MANAGER, *CONTROLLERS)]
    if not foreign or force:
        return None
    return Refusal(
        f"Service {wish.namespace}/{wish.name} has EndpointSlices that somebody else keeps, and its clients are sent "
        "there too. Nothing was changed.",
        tuple(
            f"{one['metadata']['name']} ({', '.join(_addresses(one)) or 'empty'}), kept by "
            f"{managed_by(one) or 'nobody who says so'}"
            for one in foreign
        ),
        ("delete them", "set force_conflicts to true, which deletes them once the declared addresses are there"),
    )


def _drop_selector(around: Around) -> t.Iterator[Step]:
    if _selector(around) and around.service:
        metadata = around.service["metadata"]
        name = f"Service {metadata['namespace']}/{metadata['name']}"
        yield Step(
            "drop-selector",
            name,
            f"take the selector of {name} away, so that Kubernetes no longer fills in pods",
            data={"service": around.service},
        )


def _leftovers(around: Around) -> t.Iterator[Step]:
    """After the declared addresses are there, so that clients are at no moment without any."""
    if around.endpoints:
        yield _delete("v1", "Endpoints", around.endpoints, "which is left over and would be mirrored")
    for one in around.slices:
        if managed_by(one) != FIELD_MANAGER:
            yield _delete(SLICES, "EndpointSlice", one, f"which is left over ({', '.join(_addresses(one)) or 'empty'})")


def _delete(api_version: str, kind: str, live: Object, why: str) -> Step:
    key = Key(api_version, kind, live["metadata"]["namespace"], live["metadata"]["name"])
    return Step("delete", str(key), f"delete {key}, {why}", data={"seen": Seen(key, live)})


def _warnings(wish: Wish, seen: Snapshot) -> t.Iterator[str]:
    if seen.unasked:
        yield seen.unasked
    down = [answer for answer in seen.answers or () if not answer.up]
    told = "; ".join(f"{answer.address} ({answer.text})" for answer in down)
    port = wish.probe.port if wish.probe else 0
    if down and wish.external_name:
        yield f"{wish.namespace}/{wish.name}: port {port} of {told} does not serve. The name stays as it is."
    elif down and not seen.out:
        yield (
            f"{wish.namespace}/{wish.name}: no address serves on port {port}: {told}. All of them stay in, because a "
            "Service without any would only hide the cause: look at the servers, and at what lies between (a "
            "NetworkPolicy, a firewall)."
        )
    elif down:
        yield f"{wish.namespace}/{wish.name}: taken out, because port {port} does not serve: {told}."
    families = (((seen.around.service or {}).get("spec") or {}).get("ipFamilies")) or ()
    lost = [address for address in wish.addresses if family(address) not in families]
    if families and lost and not wish.headless:
        yield (
            f"{wish.namespace}/{wish.name}: its virtual address is {' and '.join(families)} only, so nobody is sent to "
            f"{', '.join(lost)}. That takes a cluster with both families, or headless."
        )


def managed_by(one: Object) -> str:
    return str((one["metadata"].get("labels") or {}).get(MANAGED_BY, ""))


def _addresses(one: Object) -> list[str]:
    return [address for endpoint in one.get("endpoints") or () for address in endpoint["addresses"]]
