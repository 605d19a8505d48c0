# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database on an NFS server that is gone for a minute: frozen, and killed."""

from __future__ import annotations

import time
import typing as t

from mongodb.replica_set import NAME, PODS, ReplicaSet

from harness.proxy import Proxy
from harness.trial import RUN_MAY_TAKE, Trial
from harness.verdict import check
from harness.writer import Writer
from storage.export import Export, export
from storage.options import options

# Seconds.
AWAY = 60
BACK_WITHIN = 120
KINDS = ("Pod", "PersistentVolumeClaim", "Service", "Secret", "ConfigMap")


def outage(trial: Trial) -> None:
    with trial.namespace() as namespace, export(trial, namespace) as found:
        options(trial, found)
        with trial.proxy(ReplicaSet) as proxy:
            found.provisioner()
            application = ReplicaSet(trial.api, namespace, persistent=True, storage_class=found.name)
            trial.play(application, proxy).expect_success("The deployment")
            for action, undo in (("freeze", "thaw"), ("stop", "start")):
                before = identities(trial, found)
                with trial.writing(application) as writer:
                    writer.wait_for(20, 60)
                    _away(trial, application, proxy, found, writer, action, undo)
                    writer.wait_for(20, BACK_WITHIN)
                after = identities(trial, found)
                check(before == after, f"After the outage ({action}) other objects are there: {before} became {after}.")
                broken = application.validate()
                check(not broken, f"After the outage ({action}) validate finds: {'; '.join(broken)}")
                trial.note(f"{action} for {AWAY} s: every collection of {len(PODS)} members is valid afterwards")


def _away(
    trial: Trial, application: ReplicaSet, proxy: Proxy, found: Export, writer: Writer, action: str, undo: str
) -> None:
    """Without the server: what is said, and what a run does that is started meanwhile."""
    with found.lab.nfs(action, undo):
        begun = time.monotonic()
        time.sleep(3)
        written = writer.acknowledged
        namespace = application.namespace
        told = trial.task("workload_info", {"namespace": namespace, "name": NAME, "ask_volumes": True}).result
        blocked = told["workloads"][0]["blocked"]
        silent = [pod for pod in PODS if any("storage:" in text and pod in text for text in blocked)]
        check(silent == list(PODS), f"{action}: workload_info names storage for {silent}, and says {blocked}")
        shown = trial.play_playbook("status", {"app": NAME, "app_namespace": namespace})
        check(shown.said("storage: claim data-shop-0"), f"{action}: the status playbook does not say storage.")
        trial.note(f"{action}: status says: {blocked[0][:200]}")
        proxy.watch()
        run = trial.start(application, proxy, mongodb_wait_timeout=BACK_WITHIN)
        time.sleep(max(0.0, begun + AWAY - time.monotonic()))
        check(writer.acknowledged - written <= 1, f"{action}: writes were acknowledged without the server.")
    run.wait(RUN_MAY_TAKE).expect_success(f"{action}: the run that was started meanwhile")
    made = [change.what for change in proxy.changes]
    check(not [what for what in made if what.startswith("DELETE")], f"{action}: the run deleted: {', '.join(made)}")
    trial.note(f"{action}: a run that was started meanwhile ended well, with {len(made)} changes and no deletion")


def identities(trial: Trial, found: Export) -> dict[str, t.Any]:
    """The uids of everything that a run could delete."""
    kept = {
        f"{kind} {one['metadata']['name']}": one["metadata"]["uid"]
        for kind in KINDS
        for one in trial.api.list("v1", kind, found.namespace)
    }
    volumes = {f"PersistentVolume {one['metadata']['name']}": one["metadata"]["uid"] for one in found.volumes()}
    sets = trial.api.list("apps/v1", "StatefulSet", found.namespace)
    return {**kept, **volumes, **{f"StatefulSet {one['metadata']['name']}": one["metadata"]["uid"] for one in sets}}
