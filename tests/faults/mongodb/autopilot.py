# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set with its autopilot, and no playbook near: it is scaled by hand, and loses disks and members."""

from __future__ import annotations

import time
import typing as t

import pymongo.errors

from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import Failed, check
from mongodb.empty_disk import alone_and_empty, annotate, lose, wait_for_disk, wait_until_uninitialised
from mongodb.replica_set import NAME, PODS, SET_ID_ANNOTATION, Problem, ReplicaSet, pod_of

# Seconds.
MAY_TAKE = 400
GAP = 15
# Longer than an autopilot waits before it believes that a disk is empty.
UNTOUCHED = 25


def follows(trial: Trial) -> None:
    """3 to 5 and back to 3 by ``kubectl scale``, the second time with the primary on ordinal 4."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True, mongodb_autopilot=True)
        trial.play(application, proxy).expect_success("The deployment")
        set_id = application.recorded()
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            for members in (5, 3):
                mark, began = writer.acknowledged, time.monotonic()
                _scale(trial, application, members)
                _until_members_are(application, members)
                took = time.monotonic() - began
                writer.wait_for(20, 60)
                gap = max(writer.gaps(mark), default=0.0)
                check(gap < GAP, f"Nothing was acknowledged for {gap:.1f} s.")
                trial.note(f"scaled to {members}: as declared after {took:.0f} s, longest gap {gap:.2f} s")
                if members == 5:
                    application.make_primary(4)
            _until_pods_are_gone(trial, application)
        left = {claim["metadata"]["name"] for claim in trial.api.list("v1", "PersistentVolumeClaim", namespace)}
        check(left == {f"data-{pod_of(o)}" for o in range(5)}, f"The claims are {', '.join(sorted(left))}.")
        _same_set(application, set_id)
        trial.play(application, proxy).expect_success("The playbook after it", changed=0)
        application.members = 1
        trial.play(application, proxy).expect_success("The playbook, from 3 members to 1 beside the autopilot")
        _until_members_are(application, 1)
        trial.play(application, proxy).expect_success("The playbook once more", changed=0)


def loses(trial: Trial) -> None:
    """Pod 0, the primary, loses its disk; then it is alone with an empty one, and may not begin a second set."""
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(trial.api, namespace, persistent=True, mongodb_autopilot=True)
        trial.play(application, proxy).expect_success("The deployment")
        application.make_primary(0)
        set_id = application.recorded()
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            wait_for_disk(trial, application, lose(trial, application, PODS[:1]))
            _until_members_are(application, 3)
            _same_set(application, set_id)
            trial.note("pod 0 lost its disk: it rejoined by initial sync, and stayed a member all the time")
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            _alone(trial, application, proxy)
            _until_members_are(application, 3)
            _same_set(application, set_id)


def _alone(trial: Trial, application: ReplicaSet, proxy: Proxy) -> None:
    """Only pod 0 can run, and its disk is empty; first the set id is recorded, then not even that."""
    recorded = application.recorded()
    with alone_and_empty(trial, application):
        wait_until_uninitialised(application)
        for annotation in (recorded, None):
            annotate(trial, application, SET_ID_ANNOTATION, annotation)
            time.sleep(UNTOUCHED)
            check(not application.initialised(0), "Pod 0 was initiated although its peers could not be asked.")
    trial.note(f"pod 0 alone with an empty disk: nothing was initiated in {2 * UNTOUCHED} s")


def _scale(trial: Trial, application: ReplicaSet, members: int) -> None:
    """What ``kubectl scale`` does."""
    path = f"/apis/apps/v1/namespaces/{application.namespace}/statefulsets/{NAME}/scale"
    found = trial.api.connection.request("GET", path)
    found["spec"]["replicas"] = members
    trial.api.connection.request("PUT", path, body=found)
    application.members = members


def _until_members_are(application: ReplicaSet, members: int) -> None:
    until, seen = time.monotonic() + MAY_TAKE, "nothing"
    while time.monotonic() < until:
        try:
            seen = _members(application, members)
        except (*Problem, Failed) as problem:
            seen = str(problem)[:200]
        if not seen:
            return
        time.sleep(0.3)
    raise Failed(f"After {MAY_TAKE} s the members are not {members} that serve: {seen}.")


def _members(application: ReplicaSet, members: int) -> str:
    """What is not as declared yet; empty where all is."""
    primary = application.primary()
    if primary is None:
        return "no primary"
    with application.member(primary) as client:
        try:
            status: dict[str, t.Any] = client.admin.command("replSetGetStatus")
            config = client.admin.command("replSetGetConfig")["config"]
        except pymongo.errors.OperationFailure as problem:
            return str(problem)[:100]
    votes = sum(member["votes"] for member in config["members"])
    states = sorted(member["stateStr"] for member in status["members"])
    wanted = ["PRIMARY", *["SECONDARY"] * (members - 1)]
    hosts = sorted(member["host"].split(".")[0] for member in config["members"])
    right = states == wanted and votes == members and hosts == [pod_of(ordinal) for ordinal in range(members)]
    return "" if right else f"{hosts} with {votes} votes, {states}"


def _until_pods_are_gone(trial: Trial, application: ReplicaSet) -> None:
    until = time.monotonic() + MAY_TAKE
    while len(trial.api.list("v1", "Pod", application.namespace)) > application.members:
        check(time.monotonic() < until, "Pods that were scaled away do not go.")
        time.sleep(0.5)


def _same_set(application: ReplicaSet, set_id: str) -> None:
    until = time.monotonic() + 60
    while True:
        found = {one for one in application.identities().values() if one}
        if found == {set_id} and application.recorded() == set_id:
            return
        check(time.monotonic() < until, f"The set id was {set_id}, and now {', '.join(sorted(found))} is found.")
        time.sleep(1)
