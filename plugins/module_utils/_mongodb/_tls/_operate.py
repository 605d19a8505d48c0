# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The TLS of a replica set: looks at Secrets, pods and members, and takes the steps of the plan."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import list_if_allowed
from ansible_collections.stateful.kube.plugins.module_utils._cluster._pods import execute
from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import encoded, merge
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._asking import Conversation
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Client, CommandError, NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._hello import hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Answer, Kind, Pod, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._certificates import (
    authority,
    blocks,
    check_names,
    fingerprint,
    fingerprints,
    issue,
    names_of,
    read,
    require_cryptography,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._issued import (
    API_VERSION,
    KIND,
    OPTIONAL,
    REQUEST,
    certificate,
    differs,
    issued_name,
    require_own,
    waits_for,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._plan import (
    Issuer,
    Member,
    Seen,
    Source,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._tls._secrets import (
    MOUNT,
    TRUSTED,
    VERSION,
    Content,
    Object,
    content_of,
    document,
    given,
    held_of,
    own,
    pair_of,
    patch,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

# On a pod: which content of the Secret it is to have. A kubelet looks at the Secrets of a pod anew when that changes.
NEWEST = "stateful.kube/tls-version"


class Tls(Conversation[Seen]):
    def __init__(self, observer: Observer, wish: Wish, wait_timeout: float) -> None:
        super().__init__(observer, wait_timeout)
        self._wish = wish
        self._cluster = observer.cluster
        self._pods: dict[str, tuple[int, Pod]] = {}
        self._clients: dict[str, Client] = {}
        self._secret: t.Optional[Object] = None
        self._authority: t.Optional[Object] = None
        self._given: t.Optional[Content] = None
        self._certificate: t.Optional[Object] = None
        self._declared = False
        self._names: tuple[str, ...] = ()
        self._expires: t.Optional[float] = None

    # Looking

    def observe(self) -> Seen:
        require_cryptography()
        check_names(self._wish.names)
        target, wish, now = self._target, self._wish, time.time()
        found = self._observer.objects() if wish.prepare else self._observer.observe()
        stateful_set = found.stateful_set
        service = target.service or (stateful_set.service if stateful_set else "") or target.name
        self._names = names_of(target, service, wish.names)
        self._secret = self._get(f"{target.name}-tls")
        content = content_of(self._secret)
        if self._secret is not None and content is None:
            raise Failure(
                f"The Secret {target.namespace}/{target.name}-tls has not the content that mongodb_tls writes. Delete "
                "it, or give the replica set another name."
            )
        source = self._source(found, content, now)
        self._expires = read(content.pair.certificate).not_after if content else None
        seen = Seen(
            target.name,
            target.namespace,
            source,
            held_of(self._secret, now),
            there_is_namespace=bool(self._secret) or self._cluster.get("v1", "Namespace", target.namespace) is not None,
            there_is_set=stateful_set is not None,
            template=bool(stateful_set and stateful_set.tls_secret),
        )
        self._pods = {pod.name: (ordinal, pod) for ordinal, pod in found.pods.items()}
        seen = dataclasses.replace(seen, members=self._members(found))
        if planner.needs_versions(wish, seen):
            return dataclasses.replace(seen, members=self._each(self._with_version, seen.members))
        return seen

    def _get(self, name: str) -> t.Optional[Object]:
        return self._cluster.get("v1", "Secret", name, self._target.namespace)

    def _source(self, found: Snapshot, content: t.Optional[Content], now: float) -> Source:
        wish, target = self._wish, self._target
        if not wish.secret and not wish.issuer:
            self._authority = self._get(f"{target.name}-ca")
            return own(wish, content, self._authority, self._names, now)
        replicas = found.stateful_set.replicas if found.stateful_set else 1
        hosts = [target.host(ordinal, found).rpartition(":")[0] for ordinal in range(max(1, replicas))]
        name, where = wish.secret, ""
        if wish.issuer:
            name = issued_name(target.name)
            asked = self._asked(wish.issuer, self._get(name))
            if asked:
                return asked
            where = f"issuer: the Secret {target.namespace}/{name}, which cert-manager has from {wish.issuer.title},"
        self._given = given(self._get(name), wish, target, hosts, now, where)
        shown = read(self._given.pair.certificate).fingerprint
        return Source(fingerprints(self._given.authorities), shown, f"Secret {name} has another one")

    def _asked(self, issuer: Issuer, secret: t.Optional[Object]) -> t.Optional[Source]:
        """What is still to come from cert-manager, or None."""
        target, cluster, name = self._target, self._cluster, issued_name(self._target.name)
        self._given = None
        try:
            found = cluster.get(API_VERSION, KIND, name, target.namespace)
        except (ApiError, Unreachable):
            raise
        except Failure as failure:
            raise Failure(
                f"issuer: this cluster serves no kind {KIND} in {API_VERSION}, by which cert-manager is asked for a "
                f"certificate of {issuer.title}. Install cert-manager, or leave issuer out for an authority of the "
                "set's own. Nothing was changed."
            ) from failure
        require_own(target, KIND, found)
        if found is None:
            # cert-manager would write over it.
            require_own(target, "Secret", secret)
        self._certificate = found
        why = differs(certificate(self._wish, target, issuer, self._names), found)
        if why and self._declared:
            raise Failure(
                f"issuer: the Certificate {target.namespace}/{name} is not as it has just been written ({why}): "
                "somebody else writes it too, a policy of the cluster for example. Let them leave it alone."
            )
        if why or found is None:
            return Source(why_declare=why, awaited="it is yet to be asked")
        awaited = waits_for(found, ())
        if awaited:
            # Asked for only then: their words say more than those of the Certificate.
            requests = list_if_allowed(cluster, API_VERSION, REQUEST, target.namespace)
            awaited = waits_for(found, requests or ())
        elif secret is None:
            awaited = f"its Secret {name} is not there yet"
        return Source(awaited=awaited) if awaited else None

    def _members(self, found: Snapshot) -> tuple[Member, ...]:
        if self._wish.prepare:
            return ()
        return self._each(lambda pod: self._member(pod, found.answer(self._pods[pod.name][0])), found.pods.values())

    def _member(self, pod: Pod, answer: Answer) -> Member:
        if not pod.tls_secret:
            return Member(pod.name, tls=False)
        link = self._observer.links.get(self._pods[pod.name][0])
        if link is None or answer.kind not in (Kind.MEMBER, Kind.NO_USER):
            return Member(pod.name, silence=answer.detail or answer.kind.value)
        client = self._clients[pod.name] = link.client(login=answer.kind is Kind.MEMBER)
        try:
            mode = _mode(client)
            with self._observer.tunnel(pod) as tunnel:
                hello(tunnel.path)
                shown = tunnel.certificate
        except (NoAnswer, CommandError) as exc:
            return Member(pod.name, silence=str(exc))
        return Member(pod.name, mode=mode, certificate=fingerprint(shown.der) if shown else "")

    def _with_version(self, member: Member) -> Member:
        if not member.tls or member.silence:
            return member
        try:
            command = ("cat", f"{MOUNT}/{VERSION}")
            found = execute(self._cluster, self._target.namespace, member.pod, command, timeout=10)
        except ApiError as error:
            if error.forbidden:
                raise
            return member
        except Failure:
            return member
        return dataclasses.replace(member, version=found.stdout.strip())

    def _each(self, ask: t.Callable[[t.Any], Member], what: t.Iterable[t.Any]) -> tuple[Member, ...]:
        items = list(what)
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
            return tuple(pool.map(ask, items))

    def plan(self, observed: Seen) -> t.Union[Plan, Refusal]:
        return planner.plan(self._wish, observed)

    # Doing

    def act(self, steps: t.Sequence[Step], observed: Seen) -> None:
        for step in steps:
            try:
                self._act(step, observed)
            except NoAnswer as silence:
                raise NotYet(f"{step.target} did not answer ({silence}); next: {step.sentence}") from silence
            except CommandError as error:
                raise Failure(
                    f"MongoDB refused to {step.sentence}: {error.message} (code {error.code}).", code=error.code
                ) from error
        self._observer.forget_objects()
        self.acted()

    def _act(self, step: Step, observed: Seen) -> None:
        target, now = self._target, time.time()
        if step.action == planner.NAMESPACE:
            self._create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": target.namespace}})
        elif step.action == planner.AUTHORITY:
            self._make_authority(now)
        elif step.action == planner.DECLARE:
            self._declare()
        elif step.action == planner.CREATE:
            content = self._next(step.data["mode"], "", now)
            self._create(document(target, f"{target.name}-tls", content.data(), {TRUSTED: content.trust}))
        elif step.action in (planner.RAISE, planner.LOAD):
            client = self._client(step.target)
            if step.action == planner.LOAD:
                client.command("rotateCertificates")
            elif _mode(client) != step.data["mode"]:
                client.command("setParameter", 1, tlsMode=step.data["mode"])
        elif step.action == planner.TRUST:
            for member in observed.members:
                if member.tls:
                    self._client(member.pod).command("rotateCertificates")
            secret, content = self._held()
            merge(self._cluster, secret, patch(secret, content, content.trust))
        else:
            self._write(step, now)

    def _write(self, step: Step, now: float) -> None:
        secret, content = self._held()
        if step.action == planner.SET_MODE:
            after = dataclasses.replace(content, mode=step.data["mode"])
        elif step.action == planner.ADD_AUTHORITY:
            both = dict.fromkeys((*blocks(content.authorities), *blocks(self._roots())))
            after = dataclasses.replace(content, authorities="".join(both))
        elif step.action == planner.DROP_AUTHORITY:
            after = dataclasses.replace(content, authorities=self._roots())
        else:
            after = self._next(content.mode, content.authorities, now)
        merge(self._cluster, secret, patch(secret, after))
        for pod in self._pods:
            # It is only for speed: without it the kubelet sees to it within a minute.
            with contextlib.suppress(ApiError):
                notes = {"metadata": {"annotations": {NEWEST: after.version}}}
                self._cluster.merge("v1", "Pod", pod, self._target.namespace, notes)

    def _next(self, mode: str, authorities: str, now: float) -> Content:
        """The next certificate with these authorities, or those that it needs."""
        if self._wish.secret or self._wish.issuer:
            if self._given is None:
                raise NotYet(f"the Secret {self._wish.secret or issued_name(self._target.name)} is to be read again")
            return dataclasses.replace(self._given, mode=mode, authorities=authorities or self._given.authorities)
        root = pair_of(self._authority)
        if root is None:
            raise NotYet("the certificate authority is gone")
        pair = issue(root, self._target, self._names, self._wish.days, now)
        return Content(mode, pair, authorities or root.certificate)

    def _roots(self) -> str:
        if self._given:
            return self._given.authorities
        root = pair_of(self._authority)
        if root is None:
            raise NotYet("the certificate authority is gone")
        return "".join(blocks(root.certificate))

    def _make_authority(self, now: float) -> None:
        name = f"{self._target.name}-ca"
        root = authority(f"{self._target.namespace} {self._target.name}", now)
        made = document(self._target, name, {"tls.crt": encoded(root.certificate), "tls.key": encoded(root.key)}, {})
        if self._authority is None:
            self._create(made)
            return
        metadata = {key: self._authority["metadata"][key] for key in ("uid", "resourceVersion")}
        notes = made["metadata"]["annotations"]
        merge(self._cluster, self._authority, {"metadata": {**metadata, "annotations": notes}, "data": made["data"]})

    def _declare(self) -> None:
        issuer, before = self._wish.issuer, self._certificate
        if issuer is None:
            return
        wanted = certificate(self._wish, self._target, issuer, self._names)
        if before is None:
            self._create(wanted)
        else:
            metadata = {key: before["metadata"][key] for key in ("uid", "resourceVersion")}
            gone = {part: None for part in before.get("spec") or {} if part in OPTIONAL and part not in wanted["spec"]}
            patch = {"metadata": metadata, "spec": {**gone, **wanted["spec"]}}
            try:
                self._cluster.merge(API_VERSION, KIND, wanted["metadata"]["name"], self._target.namespace, patch)
            except ApiError as error:
                if not error.conflict:
                    raise
                raise NotYet(f"the Certificate {wanted['metadata']['name']} has just changed") from error
        self._declared = True

    def _held(self) -> tuple[Object, Content]:
        content = content_of(self._secret)
        if self._secret is None or content is None:
            raise NotYet(f"the Secret {self._target.name}-tls is gone")
        return self._secret, content

    def _create(self, made: Object) -> None:
        try:
            self._cluster.create(made)
        except ApiError as error:
            # Somebody else made it in this very moment: the next look tells what is in it.
            if error.reason != "AlreadyExists":
                raise

    def _client(self, pod: str) -> Client:
        if pod not in self._clients:
            raise NotYet(f"{pod} is to be asked again")
        return self._clients[pod]

    def facts(self, observed: Seen) -> dict[str, t.Any]:
        held = observed.held
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._expires)) if self._expires else None
        return {
            "mode": held.mode if held else None,
            "secret": f"{observed.name}-tls",
            "certificate_expires": expires,
            "certificate_days_left": held.days_left if held else None,
            "members": [
                {
                    "pod": member.pod,
                    "mode": member.mode or (None if member.tls else planner.DISABLED),
                    "loaded": bool(held and member.certificate == held.certificate),
                }
                for member in observed.members
            ],
        }


def _mode(client: Client) -> str:
    return str(client.command("getParameter", 1, tlsMode=1)["tlsMode"])
