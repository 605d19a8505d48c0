# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Asks the addresses from a pod in the namespace of the Service, where its clients are."""

from __future__ import annotations

import secrets
import string
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._cluster._rollout import diagnose, last_word
from ansible_collections.stateful.kube.plugins.module_utils._external._ask import Answer, read_answers
from ansible_collections.stateful.kube.plugins.module_utils._external._objects import probe_job
from ansible_collections.stateful.kube.plugins.module_utils._external._wish import Probe, Wish
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure


def ask(cluster: Cluster, wish: Wish, probe: Probe, wait_timeout: float) -> tuple[Answer, ...]:
    """The answer of each address, or of the DNS name. Raises Failure where the pod could not do its work."""
    suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _position in range(5))
    name = f"{wish.name[:40].rstrip('-')}-probe-{suffix}"
    title = f"probe: the pod of Job {wish.namespace}/{name}"
    cluster.create(probe_job(wish, probe, name, int(wait_timeout) + 60))
    try:
        text = _outcome(cluster, wish.namespace, name, title, wait_timeout)
    finally:
        # Killed before this line, the Job takes itself away a minute after its end.
        cluster.delete("batch/v1", "Job", name, wish.namespace)
    answers = read_answers(text, wish.addresses or (wish.external_name,))
    if isinstance(answers, str):
        raise Failure(
            f"{title} could not ask anybody: {answers}. Nothing was changed. Name an image with busybox's sh, nc, "
            f"head, od and timeout in probe.image; it is {probe.image}."
        )
    return answers


def _outcome(cluster: Cluster, namespace: str, job: str, title: str, wait_timeout: float) -> str:
    """What the pod wrote into its own status."""
    selector = f"job-name={job}"
    changes = Changes(cluster, [("v1", "Pod", namespace, selector)])
    begun = time.monotonic()
    try:
        while True:
            for pod in cluster.list("v1", "Pod", namespace, labels=selector):
                ended = _ended(pod)
                if ended is not None:
                    return ended
            if time.monotonic() - begun > wait_timeout:
                raise Failure(
                    f"{title} gave no answer within {wait_timeout:.0f} s (wait_timeout). Nothing was changed. "
                    f"What blocks it: {_blocked(cluster, namespace, job, selector)}."
                )
            changes.wait(1.0)
    finally:
        changes.close()


def _ended(pod: Object) -> t.Optional[str]:
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = container.get("state", {}).get("terminated")
        if ended:
            return str(ended.get("message") or "")
    return None


def _blocked(cluster: Cluster, namespace: str, job: str, selector: str) -> str:
    try:
        found = diagnose(cluster, namespace, selector) or [last_word(cluster, namespace, "Job", job)]
    except ApiError as error:
        return error.message.rstrip(".")
    return "; ".join(phrase.rstrip(".") for phrase in found if phrase) or "nothing that Kubernetes tells of"
