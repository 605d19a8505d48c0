# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Looks at a replica set: its objects in the cluster, and every member's own answer."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Changes, Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._readiness import settled
from ansible_collections.stateful.kube.plugins.module_utils._cluster._selector import query
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._record import ANNOTATION as BACKUP
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import (
    Credentials,
    NoAnswer,
    require_driver,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._hello import hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import ANNOTATION as NOTE
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._note import Hello, Note, recalled
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    DISABLED,
    REQUIRED,
    TRANSITION,
    Answer,
    Kind,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._trust import Trust, tls_secret
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import handed_back
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import (
    claims_by_ordinal,
    new_disk,
    pod_fields,
    pods_by_ordinal,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, others

Object = dict[str, t.Any]

SET_ID_ANNOTATION = "stateful.kube/mongodb-replica-set-id"
# On the template: which content of the key file's Secret its pods are to have.
KEYFILE = "stateful.kube/keyfile"
# Seconds after which the objects are read again even if no watch reported a change: an event can be lost.
OBJECTS_FOR = 2.0


class Observer:
    """Keeps its connections from look to look. Use it as a context manager."""

    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.cluster = cluster
        self.target = target
        self.trust = Trust(cluster, target)
        self.links: dict[int, Link] = {}
        self._credentials: t.Optional[Credentials] = None
        self._secret = ""  # which version of the Secret the credentials are from
        self._password_pending = False
        self._objects: t.Optional[_Objects] = None
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
    def credentials(self) -> Credentials:
        if self._credentials is None:
            raise Failure(missing_secret(self.target))
        return self._credentials

    @property
    def selector(self) -> str:
        """The label selector of the pods, as last read."""
        return self._objects.selector if self._objects else ""

    def new_disk(self, ordinal: int) -> bool:
        """Whether this pod is the first user of its disk, as last read."""
        return self._objects is not None and self._objects.new_disk(ordinal)

    def observe(self) -> Snapshot:
        require_driver()
        found = self._look_at_objects()
        answers = self._ask(found)
        if any(answer.kind is Kind.REFUSED for answer in answers.values()) and self._other_secret():
            answers = self._ask(found)
        return dataclasses.replace(self._without_answers(found), answers=answers)

    def objects(self) -> Snapshot:
        """The same without asking any member."""
        return self._without_answers(self._look_at_objects())

    def ask(self, ordinal: int) -> Answer:
        """What this one member says."""
        require_driver()
        found = self._look_at_objects()
        if ordinal not in found.pods:
            return Answer(Kind.UNREACHABLE, "no such pod any more")
        answer = self._ask_running(found, (ordinal,))[ordinal]
        if answer.kind is Kind.REFUSED and self._other_secret():
            answer = self._ask_running(found, (ordinal,))[ordinal]
        return answer

    def recall(self) -> t.Optional[Snapshot]:
        """The set as an earlier run noted it, where every member confirms that; else None, and nothing is known."""
        found = self._look_at_objects()
        note = Note.parse(found.stateful_set.note) if found.stateful_set else None
        if note is None or note.secret != self._secret or not all(pod.running for pod in found.pods.values()):
            return None
        try:
            with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(found.pods))) as pool:
                asked = {ordinal: pool.submit(self.hello, pod) for ordinal, pod in found.pods.items()}
                hellos = {ordinal: future.result() for ordinal, future in asked.items()}
        except (NoAnswer, Failure, ImportError):
            return None
        return recalled(note, self.target, self._without_answers(found), hellos)

    def remember(self, seen: Snapshot) -> None:
        """Note that the set is as declared. It is only a hint, so nothing is said where that is not possible."""
        if seen.stateful_set is None or seen.config is None or not self._secret:
            return
        note = Note(seen.config, self._secret).dump()
        known = Note.parse(seen.stateful_set.note)
        # The term changes with every election, and makes no other configuration.
        if known and (known.config.version, known.config.members, known.secret) == (
            seen.config.version,
            seen.config.members,
            self._secret,
        ):
            return
        with contextlib.suppress(ApiError, Unreachable):
            annotate(self.cluster, self.target, seen.stateful_set, {NOTE: note}, exact=False)

    def hello(self, pod: Pod) -> Hello:
        """What the member in this pod tells anybody. Raises NoAnswer, and Failure where asking is forbidden."""
        with self.tunnel(pod) as tunnel:
            try:
                return Hello.of(hello(tunnel.path))
            except NoAnswer as silence:
                if isinstance(tunnel.failure, ApiError) and tunnel.failure.forbidden:
                    raise tunnel.failure from silence
                raise NoAnswer(tunnel.error or str(silence)) from silence

    def bulk(self, pod: Pod) -> Bulk:
        """A connection to the member in this pod for work that takes long."""
        return Bulk(self.tunnel(pod), pod.name, self.credentials)

    def tunnel(self, pod: Pod) -> Tunnel:
        """A way of its own to the member in this pod."""
        return Tunnel(
            self.cluster, self.target.namespace, pod.name, self.target.port, self.trust.of(pod, self._objects_service)
        )

    @property
    def _objects_service(self) -> str:
        found = self._objects.stateful_set if self._objects else None
        return found.service if found else ""

    def _look_at_objects(self) -> _Objects:
        if self._objects is None or time.monotonic() - self._read_at > OBJECTS_FOR:
            self._read_at = time.monotonic()
            self._objects = self._read_objects()
        return self._objects

    def _without_answers(self, found: _Objects) -> Snapshot:
        return Snapshot(
            stateful_set=found.stateful_set,
            pods=found.pods,
            claims=found.claims,
            going=found.going,
            secret=self._credentials is not None,
            root_user=self._credentials.username if self._credentials else "",
            password_pending=self._password_pending,
        )

    def forget_objects(self) -> None:
        """Read the objects anew at the next look."""
        self._objects = None

    def pause(self, seconds: float) -> None:
        """Wait until an object changed, at most this long."""
        if self._changes is None:
            namespace = self.target.namespace
            self._changes = Changes(
                self.cluster,
                [
                    ("apps/v1", "StatefulSet", namespace, ""),
                    ("v1", "Pod", namespace, self.selector),
                ],
            )
        if self._changes.wait(seconds):
            self.forget_objects()

    def _read_objects(self) -> _Objects:
        target, cluster = self.target, self.cluster
        with concurrent.futures.ThreadPoolExecutor(max_workers=3) as pool:
            found_set = pool.submit(cluster.get, "apps/v1", "StatefulSet", target.name, target.namespace)
            found_claims = pool.submit(cluster.list, "v1", "PersistentVolumeClaim", target.namespace)
            if self._credentials is None:
                self._credentials = self._read_secret()
            stateful_set = found_set.result()
            selector = query(stateful_set["spec"]["selector"]) if stateful_set else ""
            pods = cluster.list("v1", "Pod", target.namespace, labels=selector) if stateful_set else []
            return _Objects(target.name, stateful_set, pods, found_claims.result(), selector)

    def _read_secret(self) -> t.Optional[Credentials]:
        secret = self.cluster.get("v1", "Secret", self.target.root_secret, self.target.namespace)
        if secret is None:
            return None
        self._secret = f"{secret['metadata']['uid']}/{secret['metadata']['resourceVersion']}"
        data = secret.get("data") or {}
        missing = [key for key in ("username", "password") if not data.get(key)]
        if missing:
            raise Failure(
                f"root_secret: the Secret {self.target.namespace}/{self.target.root_secret} must have the keys "
                f"username and password; found no {' and no '.join(missing)}."
            )
        self._password_pending = bool(data.get(NEXT))
        try:
            username, password = (base64.b64decode(data[key]).decode() for key in ("username", "password"))
            more = others(secret)
        except ValueError as exc:
            raise Failure(
                f"root_secret: username and password in the Secret {self.target.namespace}/{self.target.root_secret} "
                "must be text in UTF-8, and one of them is not. Correct the Secret."
            ) from exc
        return Credentials(username, password, more)

    def _other_secret(self) -> bool:
        """Whether the Secret is another one than before: somebody may have changed the password meanwhile."""
        known = self._secret
        self._credentials = self._read_secret()
        return self._secret != known

    def _ask(self, found: _Objects) -> dict[int, Answer]:
        for ordinal in [ordinal for ordinal in self.links if ordinal not in found.pods]:
            self.links.pop(ordinal).close()
        return self._ask_running(found, found.pods)

    def _ask_running(self, found: _Objects, ordinals: t.Iterable[int]) -> dict[int, Answer]:
        answers: dict[int, Answer] = {}
        asked: list[tuple[int, Pod]] = []
        for ordinal in ordinals:
            pod = found.pods[ordinal]
            link = self.links.get(ordinal)
            if link and link.uid != pod.uid:
                self.links.pop(ordinal).close()
            if pod.running:
                asked.append((ordinal, pod))
            else:
                answers[ordinal] = Answer(Kind.UNREACHABLE, f"its pod {pod.obstacle or 'does not run'}")
        if asked:
            recorded = bool(found.stateful_set and found.stateful_set.recorded)
            with concurrent.futures.ThreadPoolExecutor(max_workers=len(asked)) as pool:
                waiting = [(o, pool.submit(self._ask_one, o, pod, recorded, found.new_disk(o))) for o, pod in asked]
                answers.update((ordinal, future.result()) for ordinal, future in waiting)
        return dict(sorted(answers.items()))

    def _ask_one(self, ordinal: int, pod: Pod, recorded: bool, new_disk: bool) -> Answer:
        link = self.links.get(ordinal)
        if link is None:
            link = Link(self.tunnel(pod), pod.uid, recorded)
            self.links[ordinal] = link
        return link.ask(self._credentials, new_disk)


def missing_secret(target: Target) -> str:
    return (
        f"root_secret: there is no Secret {target.root_secret} in namespace {target.namespace}. Create it with the "
        "keys username and password (the name and password of the root user), or name another one."
    )


class _Objects:
    """The objects of one application, by ordinal."""

    def __init__(
        self,
        name: str,
        stateful_set: t.Optional[Object],
        pods: t.Sequence[Object],
        claims: t.Sequence[Object],
        selector: str,
    ) -> None:
        self.selector = selector
        self.stateful_set = _stateful_set(stateful_set) if stateful_set else None
        self._raw_pods = pods_by_ordinal(name, pods)
        self.pods = {ordinal: _pod(pod) for ordinal, pod in self._raw_pods.items()}
        self._raw_claims = claims_by_ordinal(name, stateful_set, claims)
        self.going = frozenset(
            claim["metadata"]["name"] for claim in claims if "deletionTimestamp" in claim["metadata"]
        )
        self.claims = {
            ordinal: tuple(sorted(claim["metadata"]["name"] for claim in found))
            for ordinal, found in self._raw_claims.items()
        }

    def new_disk(self, ordinal: int) -> bool:
        """Whether this pod is the first user of its disk, at its first start."""
        return new_disk(self._raw_pods[ordinal], self._raw_claims.get(ordinal, ()))


def _stateful_set(obj: Object) -> StatefulSet:
    metadata, spec = obj["metadata"], obj["spec"]
    annotations, template = metadata.get("annotations") or {}, spec.get("template") or {}
    return StatefulSet(
        uid=metadata.get("uid", ""),
        resource_version=metadata.get("resourceVersion", ""),
        replicas=spec.get("replicas", 1),
        service=spec.get("serviceName") or "",
        parallel=spec.get("podManagementPolicy", "OrderedReady") == "Parallel",
        recorded=annotations.get(SET_ID_ANNOTATION, ""),
        note=annotations.get(NOTE, ""),
        backup=annotations.get(BACKUP, ""),
        revision=(obj.get("status") or {}).get("updateRevision", ""),
        settled=settled(obj),
        image=_image(template),
        tls_secret=tls_secret(template),
        keyfile=((template.get("metadata") or {}).get("annotations") or {}).get(KEYFILE, ""),
        owed=handed_back(obj, holding=False) is not None,
    )


def authentication_in(template: Object) -> str:
    """By the arguments of the container that starts mongod by its own name; a script may do anything."""
    for container in (template.get("spec") or {}).get("containers") or ():
        words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
        if words[:1] == ["mongod"]:
            names = {word.lstrip("-").partition("=")[0] for word in words if word.startswith("--")}
            if "transitionToAuth" in names:
                return TRANSITION
            if names & {"keyFile", "clusterAuthMode", "auth"}:
                return REQUIRED
            # A file may say more than the arguments do; that of TLS does not.
            return "" if "config" in names and not tls_secret(template) else DISABLED
    return ""


def _image(template: Object) -> str:
    containers = (template.get("spec") or {}).get("containers") or ()
    return str(containers[0].get("image", "")) if containers else ""


def _pod(obj: Object) -> Pod:
    return Pod(**pod_fields(obj), tls_secret=tls_secret(obj))


def annotate(
    cluster: Cluster,
    target: Target,
    stateful_set: StatefulSet,
    annotations: t.Mapping[str, str],
    exact: bool = True,
) -> bool:
    """Write these on the StatefulSet that was seen; False where it has changed since (``exact``), or is another."""
    metadata: Object = {"uid": stateful_set.uid, "annotations": dict(annotations)}
    if exact:
        metadata["resourceVersion"] = stateful_set.resource_version
    patch: Object = {"metadata": metadata}
    try:
        cluster.merge("apps/v1", "StatefulSet", target.name, target.namespace, patch)
    except ApiError as error:
        if error.conflict or error.not_found:
            return False
        raise
    return True
