# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Adoption: looks at the objects and the servers, and takes the steps of the plan."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, NotYet
from ansible_collections.stateful.kube.plugins.module_utils._manifests._declared import GeneratedSecret, Key
from ansible_collections.stateful.kube.plugins.module_utils._manifests._generated import generate
from ansible_collections.stateful.kube.plugins.module_utils._manifests._plan import SeenSecret
from ansible_collections.stateful.kube.plugins.module_utils._mysql._act import act, answering
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._declare import (
    data_elsewhere,
    differences,
    variables,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._look import has_reached, look, position
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import (
    ADMIN,
    HEALTH,
    ON,
    Found,
    Server,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._stranger import Stranger
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import (
    ACCESS_DENIED,
    Client,
    NoAnswer,
    SqlError,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._operation import LOOK_AGAIN, Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adopting as adopting
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import (
    API,
    CLAIM,
    MARK,
    SERVICE,
    SET,
    TAKE_OVER,
    Thing,
    marked,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._conversation import Conversation

Object = dict[str, t.Any]
# Annotations of the StatefulSet that the role declares.
ROOT_SECRET, IDENTITY = "stateful.kube/root-secret", "stateful.kube/identity"
# Seconds that pods which run and do not answer are asked again, in all.
PATIENCE = 20.0
# Seconds that a replica may take to apply what the primary has written, in one try.
APPLIED_WITHIN = 5
# Transactions are under way that the new mode does not allow.
UNDER_WAY = (3111, 3113)
SCHEMA = (
    "CREATE DATABASE IF NOT EXISTS stateful_kube",
    # Last of all: it says that the accounts are complete.
    "CREATE TABLE IF NOT EXISTS stateful_kube.own (id TINYINT PRIMARY KEY, pod VARCHAR(253) NOT NULL, "
    "epoch BIGINT UNSIGNED NOT NULL) ENGINE = InnoDB CHARACTER SET ascii",
)


class Adoption(Conversation[Found]):
    def __init__(self, observer: Stranger, wish: Wish, wait_timeout: float) -> None:
        super().__init__(observer, observer.target.name, observer.target.namespace, wait_timeout)
        self._observer: Stranger = observer
        self._wish = wish
        self._cluster = observer.cluster
        self._patience = PATIENCE

    @property
    def _target(self) -> Target:
        return self._observer.target

    # Looking

    def _ask(self) -> Snapshot:
        """A pod that runs gets some time to answer: one that is slow is not away."""
        while True:
            since = time.monotonic()
            seen = self._observer.observe()
            slow = [o for o, a in seen.answers.items() if a.kind is Kind.UNREACHABLE and seen.pods[o].running]
            if not slow or self._patience <= 0:
                return seen
            self._observer.pause(LOOK_AGAIN)
            self._patience -= time.monotonic() - since

    def observe(self) -> Found:
        seen = self._ask()
        if seen.stateful_set is None:
            return Found(seen)
        if not self._target.service:
            self._observer.target = dataclasses.replace(self._target, service=seen.stateful_set.service)
        target, cluster = self._target, self._cluster
        services = dict.fromkeys((target.service, f"{target.name}-read"))
        names = [
            (SET, target.name),
            *((SERVICE, name) for name in services if name),
            *((CLAIM, claim) for ordinal in seen.pods for claim in seen.claims.get(ordinal, ())),
        ]
        secrets = (target.root_secret, target.replication_secret)
        with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
            asked = [pool.submit(cluster.get, API[kind], kind, name, target.namespace) for kind, name in names]
            private = [pool.submit(cluster.get, "v1", "Secret", name, target.namespace) for name in secrets]
            objects = [one for future in asked if (one := future.result())]
            keys = {
                name: set(one.get("data") or ())
                for name, future in zip(secrets, private, strict=True)
                if (one := future.result())
            }
        user = self._observer.user or ADMIN
        found = Found(
            seen,
            adopting.objects(objects),
            self._servers(seen, user),
            {
                target.root_secret: _lacking(keys.get(target.root_secret, set()), "username", "password"),
                target.replication_secret: _lacking(keys.get(target.replication_secret, set()), "password"),
            },
            tuple(keys),
            user,
            self._observer.refused,
        )
        return self._with_report(found, objects)

    def _servers(self, seen: Snapshot, user: str) -> dict[int, Server]:
        links = {o: link for o in seen.answers if (link := self._observer.links.get(o))}
        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(links))) as pool:
            asked = {ordinal: pool.submit(_looked, link, user) for ordinal, link in links.items()}
            return {ordinal: server for ordinal, future in asked.items() if (server := future.result())}

    def _with_report(self, found: Found, objects: t.Sequence[Object]) -> Found:
        target, primary = self._target, planner.primary_of(self._target, found)
        raw = next((one for one in objects if one["kind"] == SET), None)
        services = [one for one in objects if one["kind"] == SERVICE]
        server = found.servers.get(primary) if primary is not None else None
        if raw is None or server is None or not server.datadir:
            return found
        return dataclasses.replace(
            found,
            elsewhere=data_elsewhere(raw, server.datadir),
            variables=variables(target, raw, found, server),
            differences=differences(target, raw, services, found, primary),
        )

    # Deciding and acting

    def plan(self, observed: Found) -> t.Union[Plan, Refusal]:
        return planner.plan(self._target, self._wish, observed)

    def act(self, steps: t.Sequence[Step], observed: Found) -> None:
        for step in steps:
            own = _ACTS.get(step.action)
            if own is None:
                act(self._observer, step, observed.snapshot)
                continue
            try:
                with answering(step):
                    own(self, step, observed)
            finally:
                self._observer.forget_objects()
        self.acted()

    def _mark(self, step: Step, found: Found) -> None:
        thing: Thing = step.data["thing"]
        folder = found.variables.get("mysql_data_folder")
        of_data = f"MySQL{f' in folder {folder}' if folder else ''}, root Secret {self._target.root_secret}"
        noted = {ROOT_SECRET: self._target.root_secret, IDENTITY: of_data}
        change = marked(planner.application(self._target), thing, found.objects, noted)
        adopting.patch(self._cluster, self._target.namespace, step, change)

    def _take_over(self, step: Step, _found: Found) -> None:
        adopting.take_over(self._cluster, self._target.namespace, step, (ROOT_SECRET, IDENTITY))

    def _secret(self, step: Step, _found: Found) -> None:
        name, random = step.data["name"], {"length": 32, "encoding": "alnum"}
        labels = planner.application(self._target).labels
        rules = GeneratedSecret(name, {"username": {"value": ADMIN}, "password": random}, labels, {})
        key = Key("v1", "Secret", self._target.namespace, name)
        generate(self._cluster, SeenSecret(key, step.data["exists"], step.data["missing"]), rules)

    def _accounts(self, step: Step, _found: Found) -> None:
        """All of it can be said again."""
        client = self._link(step.data["ordinal"]).client
        replication = self._observer.replication()
        client.run(
            f"CREATE USER IF NOT EXISTS '{HEALTH}'@'localhost' PASSWORD EXPIRE NEVER",
            f"GRANT REPLICATION CLIENT ON *.* TO '{HEALTH}'@'localhost'",
            SCHEMA[0],
            f"GRANT SELECT ON stateful_kube.* TO '{HEALTH}'@'localhost'",
        )
        name = f"'{REPLICATION_USER}'@'%%'"
        client.rows(f"CREATE USER IF NOT EXISTS {name} IDENTIFIED BY %s REQUIRE SSL", replication.password)
        client.rows(f"ALTER USER {name} IDENTIFIED BY %s REQUIRE SSL PASSWORD EXPIRE NEVER", replication.password)
        client.run(
            f"GRANT REPLICATION SLAVE, REPLICATION CLIENT, BACKUP_ADMIN ON *.* TO '{REPLICATION_USER}'@'%'",
            f"GRANT SELECT ON stateful_kube.* TO '{REPLICATION_USER}'@'%'",
        )
        if step.data["user"]:
            given = self._observer.root()
            client.rows("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", given.username, given.password)
            client.rows("ALTER USER %s@'%%' IDENTIFIED BY %s PASSWORD EXPIRE NEVER", given.username, given.password)
            client.rows("GRANT ALL ON *.* TO %s@'%%' WITH GRANT OPTION", given.username)
        client.run(SCHEMA[1])
        self._observer.try_again()

    def _consistency(self, step: Step, _found: Found) -> None:
        self._persist(step, "enforce_gtid_consistency")

    def _mode(self, step: Step, found: Found) -> None:
        if step.data["value"] == ON:
            self._have_all_applied(step, [o for o in found.servers if o != step.data["primary"]])
        self._persist(step, "gtid_mode")

    def _persist(self, step: Step, name: str) -> None:
        """Also for the next start of the server: it may come before all have it."""
        try:
            self._link(step.data["ordinal"]).client.run(f"SET PERSIST {name} = {step.data['value']}")
        except SqlError as error:
            if error.code not in UNDER_WAY:
                raise
            raise NotYet(f"{step.target}: transactions are under way ({error.message})") from error

    def _follow(self, step: Step, _found: Found) -> None:
        """Where it has applied all that has no GTID it finds its place by those it has."""
        replication = self._observer.replication()
        target = self._target
        with Tunnel(self._cluster, target.namespace, target.pod(step.data["primary"]), target.port) as tunnel:
            client = Client(tunnel.path, replication)
            try:
                client.rows("SELECT 1")
            except SqlError as error:
                if error.code not in ACCESS_DENIED:
                    raise
                raise Failure(
                    f"{target.pod(step.data['primary'])} does not let {REPLICATION_USER} in with the "
                    f"password of Secret {target.namespace}/{target.replication_secret} ({error.message}), so no "
                    "replica was told to use it. Put the password of that account there; or drop the account, and it "
                    "is made again."
                ) from error
            finally:
                client.close()
        self._have_all_applied(step, [step.data["ordinal"]])
        replica = self._link(step.data["ordinal"])
        replica.flavour.attach(replica.client, target.host(step.data["primary"]), target.port, replication)

    def _have_all_applied(self, step: Step, replicas: t.Sequence[int]) -> None:
        at = position(self._link(step.data["primary"]).client)
        for ordinal in replicas:
            if not has_reached(self._link(ordinal).client, at, APPLIED_WITHIN):
                name = self._target.pod(ordinal)
                raise NotYet(f"{name} has not applied yet what the primary had written; next: {step.sentence}")

    def _own(self, step: Step, _found: Found) -> None:
        link = self._link(step.data["ordinal"])
        link.flavour.note_own(link.client, step.target, 1)

    def _link(self, ordinal: int) -> Link:
        link = self._observer.links.get(ordinal)
        if link is None:
            raise NotYet(f"{self._target.pod(ordinal)} is gone")
        return link

    def facts(self, observed: Found) -> dict[str, t.Any]:
        return facts(self._target, observed, self._wish)


def _looked(link: Link, user: str) -> t.Optional[Server]:
    try:
        return look(link, user)
    except (NoAnswer, SqlError):
        return None


def _lacking(there: t.Collection[str], *wanted: str) -> tuple[str, ...]:
    """One that somebody else has made need not name the user."""
    return () if "password" in there else tuple(key for key in wanted if key not in there)


_ACTS: t.Mapping[str, t.Callable[[Adoption, Step, Found], None]] = {
    MARK: Adoption._mark,
    TAKE_OVER: Adoption._take_over,
    planner.SECRET: Adoption._secret,
    planner.ACCOUNTS: Adoption._accounts,
    planner.CONSISTENCY: Adoption._consistency,
    planner.MODE: Adoption._mode,
    planner.FOLLOW: Adoption._follow,
    planner.OWN: Adoption._own,
}
