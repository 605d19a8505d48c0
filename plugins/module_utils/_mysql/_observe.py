# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at replicated MySQL or MariaDB: its objects in the cluster, and every server's own answer."""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import settled
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql import _record
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials, require_driver
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Answer, Kind, Snapshot, StatefulSet
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import handed_back
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import (
    Pod,
    claims_by_ordinal,
    new_disk,
    pod_fields,
    pods_by_ordinal,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, PREVIOUS, others

Object = dict[str, t.Any]

ROLE = "stateful.kube/role"
BY_NAME = "statefulset.kubernetes.io/pod-name"
# Seconds after which the objects are read again even if no watch reported a change: an event can be lost.
OBJECTS_FOR = 2.0


class Observer:
    """Keeps its connections from look to look. Use it as a context manager."""

    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.cluster = cluster
        self.target = target
        self.links: dict[int, Link] = {}
        self.selector = ""
        self._credentials: t.Optional[Credentials] = None
        self._objects: t.Optional[Snapshot] = None
        self._read_at = 0.0
        self._changes: t.Optional[Changes] = None

    def __enter__(self) -> Observer:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._changes:
            self._changes.close()
        for link in self.links.values():
            link.close()

    @property
    def username(self) -> str:
        """Whom this logs in as, as last read."""
        return self._credentials.username if self._credentials else ""

    def observe(self, primary_alone: bool = False) -> Snapshot:
        """All that there is; with ``primary_alone`` no other server is asked than the recorded primary."""
        require_driver()
        found = self.objects()
        if primary_alone:
            primary = self.target.ordinal(found.record.primary) if found.record else None
            found = dataclasses.replace(found, pods={o: pod for o, pod in found.pods.items() if o == primary})
        answers = self._ask(found)
        if any(answer.kind is Kind.REFUSED for answer in answers.values()) and self._other_password():
            answers = self._ask(found)
        return Snapshot(
            stateful_set=found.stateful_set,
            record=found.record,
            pods=found.pods,
            claims=found.claims,
            new_disks=found.new_disks,
            roles=found.roles,
            routed=found.routed,
            secret=found.secret,
            answers=answers,
        )

    def objects(self) -> Snapshot:
        """The same without asking any server."""
        if self._objects is None or time.monotonic() - self._read_at > OBJECTS_FOR:
            self._read_at = time.monotonic()
            self._objects = self._read_objects()
        return self._objects

    def forget_objects(self) -> None:
        """Read the objects anew at the next look."""
        self._objects = None

    def pause(self, seconds: float) -> None:
        """Wait until an object changed, at most this long."""
        if self._changes is None:
            namespace = self.target.namespace
            watched = [("apps/v1", "StatefulSet", namespace, ""), ("v1", "Pod", namespace, self.selector)]
            self._changes = Changes(self.cluster, watched)
        if self._changes.wait(seconds):
            self.forget_objects()

    @property
    def credentials(self) -> Credentials:
        """With what it logs in, once it has looked."""
        if self._credentials is None:
            raise AssertionError("nothing was looked at yet")
        return self._credentials

    def replication(self) -> Credentials:
        """With what replicas log in. Raises Failure."""
        secret = self.cluster.get("v1", "Secret", self.target.replication_secret, self.target.namespace)
        password = _text(
            secret, "password", self.target.namespace, self.target.replication_secret, "replication_secret"
        )
        return Credentials(REPLICATION_USER, password)

    def _read_objects(self) -> Snapshot:
        target, cluster = self.target, self.cluster
        with concurrent.futures.ThreadPoolExecutor(max_workers=5) as pool:
            found_set = pool.submit(cluster.get, "apps/v1", "StatefulSet", target.name, target.namespace)
            found_claims = pool.submit(cluster.list, "v1", "PersistentVolumeClaim", target.namespace)
            found_record = pool.submit(cluster.get, "v1", "ConfigMap", target.record, target.namespace)
            found_service = pool.submit(cluster.get, "v1", "Service", target.primary_service, target.namespace)
            if self._credentials is None:
                self._credentials = self._read_secret()
            stateful_set = found_set.result()
            self.selector = query(stateful_set["spec"]["selector"]) if stateful_set else ""
            listed = cluster.list("v1", "Pod", target.namespace, labels=self.selector) if stateful_set else []
            pods = pods_by_ordinal(target.name, listed)
            claims = claims_by_ordinal(target.name, stateful_set, found_claims.result())
            return Snapshot(
                stateful_set=_stateful_set(stateful_set, self.target.record) if stateful_set else None,
                record=_record.parse(found_record.result(), target),
                pods={ordinal: Pod(**pod_fields(pod)) for ordinal, pod in pods.items()},
                claims={o: tuple(sorted(claim["metadata"]["name"] for claim in each)) for o, each in claims.items()},
                new_disks=frozenset(o for o, pod in pods.items() if new_disk(pod, claims.get(o, ()))),
                roles={o: (pod["metadata"].get("labels") or {}).get(ROLE, "") for o, pod in pods.items()},
                routed=_routed(found_service.result()),
                secret=self._credentials is not None,
            )

    def login(self, name: str, option: str) -> t.Optional[Credentials]:
        """What is in this Secret, or None where there is none. Raises Failure."""
        namespace = self.target.namespace
        secret = self.cluster.get("v1", "Secret", name, namespace)
        if secret is None:
            return None
        # One that somebody else has made need not name the user.
        given = (secret.get("data") or {}).get("username")
        username = _text(secret, "username", namespace, name, option) if given else "root"
        password = _text(secret, "password", namespace, name, option)
        try:
            return Credentials(username, password, tuple(other.rstrip("\n") for other in others(secret)))
        except ValueError as exc:
            raise Failure(
                f"{option}: {NEXT} and {PREVIOUS} in Secret {namespace}/{name} must be text in UTF-8. Correct it."
            ) from exc

    def _read_secret(self) -> t.Optional[Credentials]:
        return self.login(self.target.root_secret, "root_secret")

    def _other_password(self) -> bool:
        """Whether the Secret has another password than before: somebody may have changed it meanwhile."""
        known, self._credentials = self._credentials, self._read_secret()
        if known == self._credentials:
            return False
        while self.links:
            self.links.popitem()[1].close()
        return True

    def _ask(self, found: Snapshot) -> dict[int, Answer]:
        for ordinal, link in list(self.links.items()):
            if ordinal not in found.pods or found.pods[ordinal].uid != link.uid:
                self.links.pop(ordinal).close()
        answers: dict[int, Answer] = {}
        asked = []
        for ordinal, pod in found.pods.items():
            if pod.running:
                asked.append(ordinal)
            else:
                answers[ordinal] = Answer(Kind.UNREACHABLE, f"its pod {pod.obstacle or 'does not run'}")
        primary = self.target.ordinal(found.record.primary) if found.record else None
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
            # The primary after the others: what they have of it, it has had before. The way to it is opened meanwhile.
            opening = [pool.submit(self._open, o, found.pods[o]) for o in asked if o == primary]
            waiting = [(o, pool.submit(self._ask_one, o, found.pods[o])) for o in asked if o != primary]
            answers.update((ordinal, future.result()) for ordinal, future in waiting)
            for opened in opening:
                opened.result()
        answers.update((o, self._ask_one(o, found.pods[o])) for o in asked if o == primary)
        return dict(sorted(answers.items()))

    def _ask_one(self, ordinal: int, pod: Pod) -> Answer:
        link = self._link(ordinal, pod)
        return link.ask() if link else Answer(Kind.UNREACHABLE, "there is no Secret to log in with")

    def _open(self, ordinal: int, pod: Pod) -> None:
        link = self._link(ordinal, pod)
        if link:
            link.open()

    def _link(self, ordinal: int, pod: Pod) -> t.Optional[Link]:
        if self._credentials is None:
            return None
        link = self.links.get(ordinal)
        if link is None:
            link = self.links[ordinal] = Link(self.tunnel(ordinal), pod.uid, self._credentials)
        return link

    def tunnel(self, ordinal: int) -> Tunnel:
        """The way to a server."""
        return Tunnel(self.cluster, self.target.namespace, self.target.pod(ordinal), self.target.port)


def _text(secret: t.Optional[Object], key: str, namespace: str, name: str, option: str) -> str:
    value = ((secret or {}).get("data") or {}).get(key)
    if not value:
        found = f"the keys {', '.join(sorted((secret or {}).get('data') or {})) or 'none'}" if secret else "no Secret"
        raise Failure(
            f"{option}: expected the key {key} in Secret {namespace}/{name}; found {found}. Put it there, or name "
            "another Secret."
        )
    try:
        # A line break at the end is no part of it: no shell hands it on either.
        return base64.b64decode(value).decode().rstrip("\n")
    except ValueError as exc:
        raise Failure(
            f"{option}: {key} in Secret {namespace}/{name} must be text in UTF-8, and is not. Correct the Secret."
        ) from exc


def _stateful_set(obj: Object, record: str) -> StatefulSet:
    metadata, spec = obj["metadata"], obj["spec"]
    return StatefulSet(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        replicas=spec.get("replicas", 1),
        service=spec.get("serviceName") or "",
        recorded=_record.noted(obj),
        revision=(obj.get("status") or {}).get("updateRevision", ""),
        settled=settled(obj),
        asks=any(
            (volume.get("configMap") or {}).get("name") == record
            for volume in spec["template"]["spec"].get("volumes") or ()
        ),
        owed=handed_back(obj, holding=False) is not None,
    )


def _routed(service: t.Optional[Object]) -> t.Optional[str]:
    if service is None:
        return None
    return str((service["spec"].get("selector") or {}).get(BY_NAME, ""))
