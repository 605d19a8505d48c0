# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What results say of replicated MySQL or MariaDB: from one snapshot. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View

# Seconds that a replica may be behind before it is called a problem.
LAG_LIMIT = 10.0


def facts(target: Target, seen: Snapshot) -> dict[str, t.Any]:
    """The state in plain data."""
    record = seen.record
    view = View(target, as_it_is(seen, 0.0), seen)
    ordinals = view.present if seen.stateful_set else sorted(seen.pods)
    return {
        "primary": record.primary if record and record.epoch else None,
        "epoch": record.epoch if record else None,
        "writes_lead_to": seen.routed or None,
        "members": [_member(view, ordinal) for ordinal in ordinals],
    }


def problems(target: Target, seen: Snapshot) -> list[str]:
    """What a person on call should know, one sentence each."""
    if seen.stateful_set is None:
        return [f"there is no StatefulSet {target.name} in namespace {target.namespace}"]
    if seen.record is None or seen.record.epoch == 0:
        return [f"nobody is recorded as primary yet (ConfigMap {target.record})"]
    view = View(target, as_it_is(seen, LAG_LIMIT), seen)
    name, found = seen.record.primary, []
    if not view.primary_answer.serves:
        found.append(view.said(view.primary))
    elif seen.record.importing:
        found.append(f"{name} takes no writes until the import from {seen.record.importing} is cut over, or given up")
    elif seen.record.swapping:
        found.append(f"a restore of {seen.record.restoring or 'files'} has not come to its end: run it again")
    elif not view.promoted:
        found.append(f"{name} is recorded as primary, and takes no writes: run the playbook stateful.kube.mysql")
    if seen.routed != name:
        found.append(
            f"the Service {target.primary_service} does not lead to {name}: run the playbook stateful.kube.mysql"
        )
    for ordinal in view.replicas:
        answer = seen.answer(ordinal)
        if answer.serves and not answer.read_only:
            found.append(f"{target.pod(ordinal)} takes writes, and is not the primary")
        why = view.broken(ordinal) or (view.unfit(ordinal) if ordinal in view.desired.ordinals else "")
        found += [why] if why else []
    return found


def _member(view: View, ordinal: int) -> dict[str, t.Any]:
    answer, pod = view.seen.answer(ordinal), view.pod(ordinal)
    known = view.seen.record is not None
    errant = view.errant(ordinal) if known and ordinal != view.primary else None
    source = answer.source
    return {
        "pod": pod.name,
        "role": _role(view, ordinal) if known else None,
        "version": answer.version or None,
        "read_only": answer.read_only if answer.serves else None,
        "source": source.host if source else None,
        "receiver": source.receiver if source else None,
        "applier": source.applier if source else None,
        "lag_seconds": source.lag if source else None,
        "error": (source.error if source else "") or None,
        "executed": str(answer.executed) if answer.executed is not None else None,
        "errant": str(errant) if errant else None,
        "semi_sync": answer.semi_sync if answer.serves else None,
        "claim": next(iter(view.seen.claims.get(ordinal, ())), None),
        "node": pod.node or None,
        "ready": pod.ready,
        "blocked": None if answer.serves else (answer.detail or pod.obstacle),
    }


def _role(view: View, ordinal: int) -> t.Optional[str]:
    if not view.seen.answer(ordinal).serves:
        return None
    if ordinal == view.primary:
        return "primary" if view.promoted else None
    return "replica" if view.attached(ordinal) else None
