# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pod 0, the primary, comes back with an empty disk while its peers hold the set, and while nobody can ask them."""

from __future__ import annotations

import contextlib
import time
import typing as t

from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Failed, check
from mongodb.replica_set import NAME, PODS, SET_ID_ANNOTATION, Problem, ReplicaSet

# Seconds that a run waits which cannot succeed.
SHORT = 20


def empty_disk(trial: Trial) -> None:
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        set_id = application.recorded()
        if not trial.options.short:
            with trial.writing(application) as writer:
                writer.wait_for(50, 60)
                _peers_hold_the_set(trial, application, proxy)
                _same_set(application, set_id)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            _nobody_to_ask(trial, application, proxy)
            _same_set(application, set_id)


def _peers_hold_the_set(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    trial.say("pod 0 is the primary; now it loses its pod and its disk")
    claim = lose(trial, application, PODS[:1])
    proxy.watch()
    trial.play(application, proxy).expect_success("The run beside the lost disk", changed=0)
    wait_for_disk(trial, application, claim)
    run = trial.play(application, proxy)
    run.expect_success("The run after the disk was lost", changed=0)
    _no_initiation(proxy)
    trial.note(f"peers hold the set: no initiation, pod 0 rejoined by initial sync, the run took {run.seconds:.0f} s")


def _nobody_to_ask(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    """Only pod 0 can run, and its disk is empty; first the set id is recorded, then not even that."""
    trial.say("now pod 0 loses its disk once more, and no other pod can start")
    recorded = application.recorded()
    with alone_and_empty(trial, application):
        wait_until_uninitialised(application)
        for annotation in (None,) if trial.options.short else (recorded, None):
            annotate(trial, application, SET_ID_ANNOTATION, annotation)
            proxy.watch()
            run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
            check(run.status, "The run ends well although no member of the set could be asked.")
            _no_initiation(proxy)
            check(not application.initialised(0), "Pod 0 was initiated although its peers could not be asked.")
            check(
                all(pod in run.message for pod in PODS[1:]),
                f"The message does not name the members that nobody could ask: {run.message}",
            )
            known = "set id recorded" if annotation else "nothing recorded"
            trial.note(f"peers stopped, {known}: no initiation, the run says: {run.message[:300]}")
    trial.say("the other pods may start again")
    trial.play(application, proxy).expect_success("The run after the peers came back")
    _no_initiation(proxy)


@contextlib.contextmanager
def alone_and_empty(trial: Trial, application: ReplicaSet) -> t.Iterator[None]:
    """Meanwhile pod 0 runs with an empty disk, and no other pod can start."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "faults", "namespace": application.namespace},
        "spec": {"hard": {"pods": "1"}},
    }
    trial.api.apply(quota, manager="faults")
    trial.delete_pods(application.namespace, PODS[1:])
    claim = lose(trial, application, PODS[:1])
    wait_for_disk(trial, application, claim, away=PODS[1:])
    yield
    trial.api.delete("v1", "ResourceQuota", "faults", application.namespace)
    # The controller tries less and less often, and looks at once when its object changes.
    annotate(trial, application, "faults.stateful.kube/look", "again")


def lose(trial: Trial, application: ReplicaSet, pods: t.Collection[str]) -> str:
    """Delete pods and their claims; the uid of the last claim."""
    uid = ""
    for pod in pods:
        claim = trial.api.get("v1", "PersistentVolumeClaim", f"data-{pod}", application.namespace)
        if claim is None:
            raise Failed(f"{pod} has no claim to lose.")
        uid = claim["metadata"]["uid"]
        trial.api.delete("v1", "PersistentVolumeClaim", f"data-{pod}", application.namespace)
    trial.delete_pods(application.namespace, pods)
    return uid


def wait_for_disk(trial: Trial, application: ReplicaSet, before: str, away: t.Collection[str] = ()) -> None:
    """Until pod 0 runs on another claim than the one that it lost; those that are away must not take its room."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        claim = trial.api.get("v1", "PersistentVolumeClaim", f"data-{PODS[0]}", application.namespace)
        pod = trial.api.get("v1", "Pod", PODS[0], application.namespace)
        status = (pod or {}).get("status", {}).get("containerStatuses", [{}])
        if claim and claim["metadata"]["uid"] != before and "running" in status[0].get("state", {}):
            return
        # A pod that was made before its old claim was gone refers to that, and waits for it for ever.
        if pod and claim and claim["metadata"].get("deletionTimestamp"):
            trial.delete_pods(application.namespace, PODS[:1])
        if pod is None and away:
            trial.delete_pods(application.namespace, away)
        time.sleep(0.5)
    raise Failed(f"{PODS[0]} does not come back with another disk.")


def wait_until_uninitialised(application: ReplicaSet) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if not application.initialised(0):
                return
        except Problem:
            pass
        time.sleep(0.3)
    raise Failed(f"{PODS[0]} does not say that it has no configuration.")


def annotate(trial: Trial, application: ReplicaSet, key: str, value: t.Optional[str]) -> None:
    patch = {"metadata": {"annotations": {key: value}}}
    trial.api.merge("apps/v1", "StatefulSet", NAME, application.namespace, patch)


def _no_initiation(proxy: Proxy) -> None:
    tried = proxy.made("replSetInitiate")
    check(not tried, f"The run tried to initiate a set {tried} times where one exists.")


def _same_set(application: ReplicaSet, set_id: str) -> None:
    found = set(application.identities().values())
    check(found == {set_id}, f"The set id was {set_id}, and now {', '.join(sorted(found))} is found.")
