# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set as the harness sees it: everything is asked of the members themselves, through tunnels."""

from __future__ import annotations

import base64
import contextlib
import re
import time
import typing as t
import urllib.parse

import pymongo
import pymongo.errors
from pymongo.read_concern import ReadConcern

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import NoAnswer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._hello import hello
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Pod
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._trust import Trust, tls_secret
from harness import objects
from harness.application import Application
from harness.verdict import Failed
from harness.writer import NotWritten

NAME = "shop"
MEMBERS = 3
PODS = tuple(f"{NAME}-{ordinal}" for ordinal in range(MEMBERS))
SET_ID_ANNOTATION = "stateful.kube/mongodb-replica-set-id"
# What a run found when it had nothing to do: of this one deployment, and no part of what was declared.
NOTE_ANNOTATION = "stateful.kube/mongodb-replica-set-note"
NOT_YET_INITIALIZED = 94
# Milliseconds: a write that is not acknowledged in this time counts as a gap, and the next one is tried.
WRITE_TIMEOUT = 4000
CONNECT_TIMEOUT = 1500

Client = pymongo.MongoClient[dict[str, t.Any]]
Problem = (pymongo.errors.PyMongoError, Failure, OSError)


class ReplicaSet(Application):
    kind = "mongodb"
    commands = re.compile(
        rb"[\x01\x02\x03\x10\x12](replSetInitiate|createUser|replSetReconfig|replSetStepDown)\x00"  # BSON elements
    )

    def __init__(
        self,
        api: Cluster,
        namespace: str,
        persistent: bool = False,
        storage_class: str = "",
        members: int = MEMBERS,
        **variables: t.Any,
    ) -> None:
        super().__init__(api, namespace)
        self._persistent = persistent
        self._storage_class = storage_class
        #: how many there are, or are to be; a scenario that scales changes it
        self.members = members
        self._variables = variables
        self._last = 0

    def variables(self) -> dict[str, t.Any]:
        storage = {"mongodb_storage_size": "1Gi", "mongodb_storage_class": self._storage_class}
        if not self._persistent:
            storage = {"mongodb_storage_class": "none"}
        return {
            "mongodb_name": NAME,
            "mongodb_namespace": self.namespace,
            "mongodb_members": self.members,
            **storage,
            **self._variables,
        }

    # What the harness asks.

    def connect(self) -> Session:
        said = []
        for ordinal in sorted(range(max(self.members, self._last + 1)), key=lambda ordinal: ordinal != self._last):
            session: t.Optional[Session] = None
            try:
                login = self._login()  # it may fail, and nobody would close a tunnel that was opened before
                session = Session(self._tunnel(ordinal), login)
                if session.takes_writes():
                    self._last = ordinal
                    return session
                said.append(f"{pod_of(ordinal)} is not primary")
            except Problem as problem:
                said.append(f"{pod_of(ordinal)}: {_brief(problem)}")
            if session:
                session.close()
        raise NotWritten("; ".join(said))

    def present(self) -> set[int]:
        with self._primary() as client:
            return {document["_id"] for document in _numbers(client).find({}, {"_id": 1})}

    def counts(self) -> dict[str, int]:
        found = {}
        for ordinal, pod in self._pods():
            with self.member(ordinal) as client:
                collection = client["faults"]["numbers"].with_options(
                    read_preference=pymongo.ReadPreference.SECONDARY_PREFERRED
                )
                found[pod] = collection.count_documents({})
        return found

    def identities(self) -> dict[str, str]:
        found = {}
        for ordinal, pod in self._pods():
            with self.member(ordinal) as client:
                config = client.admin.command("replSetGetConfig")["config"]
                found[pod] = str(config["settings"]["replicaSetId"])
        return {**found, "recorded": self.recorded()}

    def end_state(self) -> t.Any:
        left = objects.what_is_left(self.api, self.namespace, without_annotations=(SET_ID_ANNOTATION, NOTE_ANNOTATION))
        config = self.config()
        members = [
            {**member, "host": member["host"].replace(self.namespace, "NAMESPACE")} for member in config["members"]
        ]
        settings = {key: value for key, value in config["settings"].items() if key != "replicaSetId"}
        return {"objects": left, "members": members, "settings": settings}

    # What the scenarios ask.

    def recorded(self) -> str:
        found = self.api.get("apps/v1", "StatefulSet", NAME, self.namespace) or {"metadata": {}}
        return str((found["metadata"].get("annotations") or {}).get(SET_ID_ANNOTATION, ""))

    def config(self) -> dict[str, t.Any]:
        with self._primary() as client:
            return t.cast("dict[str, t.Any]", client.admin.command("replSetGetConfig")["config"])

    def primary(self) -> t.Optional[int]:
        for ordinal in range(max(self.members, self._last + 1)):
            with contextlib.suppress(*Problem), self.member(ordinal) as client:
                if client.admin.command("hello")["isWritablePrimary"]:
                    return ordinal
        return None

    def failpoint(self, ordinal: int, name: str, mode: str) -> None:
        """Let a member's server misbehave, which it does for whoever has started it with enableTestCommands."""
        with self.member(ordinal) as client:
            client.admin.command("configureFailPoint", name, mode=mode)

    def make_primary(self, ordinal: int) -> None:
        """Let every other member step down until it is this one."""
        until = time.monotonic() + 120
        while (found := self.primary()) != ordinal:
            if time.monotonic() > until:
                raise Failed(f"{pod_of(ordinal)} does not become primary.")
            if found is not None:
                with contextlib.suppress(*Problem), self.member(found) as client:
                    client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=10)
            time.sleep(1)

    def initialised(self, ordinal: int) -> bool:
        """Whether this member has a configuration, by its own word."""
        with self.member(ordinal, login=False) as client:
            try:
                client.admin.command("replSetGetStatus")
            except pymongo.errors.OperationFailure as error:
                return error.code != NOT_YET_INITIALIZED
        return True

    def initiations(self) -> int:
        """How often pod 0 was initiated, by its own record."""
        with self.member(0) as client:
            return client["local"]["oplog.rs"].count_documents({"op": "n", "o.msg": "initiating set"})

    def validate(self) -> list[str]:
        """What mongod's own validation finds wrong in any collection of any member."""
        wrong = []
        for ordinal, pod in self._pods():
            with self.member(ordinal) as client:
                names = [(base, each) for base in ("admin", "faults") for each in client[base].list_collection_names()]
                for base, name in names:
                    told = client[base].command("validate", name, full=True)
                    if not told["valid"] or told["errors"]:
                        wrong.append(f"{pod} {base}.{name}: {told['errors']}")
                if ("faults", "numbers") not in names:
                    wrong.append(f"{pod} has no collection faults.numbers")
        return wrong

    @contextlib.contextmanager
    def member(self, ordinal: int, login: bool = True) -> t.Iterator[Client]:
        credentials = self._login() if login else {}
        session = Session(self._tunnel(ordinal), credentials)
        try:
            yield session.client
        finally:
            session.close()

    @contextlib.contextmanager
    def _primary(self) -> t.Iterator[Client]:
        until = time.monotonic() + 60
        while (ordinal := self.primary()) is None:
            if time.monotonic() > until:
                raise Failed(f"No member of {self.namespace}/{NAME} is primary.")
            time.sleep(0.3)
        with self.member(ordinal) as client:
            yield client

    def _tunnel(self, ordinal: int) -> Tunnel:
        found = self.api.get("v1", "Pod", pod_of(ordinal), self.namespace) or {}
        trust = Trust(self.api, Target(NAME, self.namespace, NAME, NAME))
        pod = Pod(pod_of(ordinal), tls_secret=tls_secret(found))
        return Tunnel(self.api, self.namespace, pod.name, 27017, trust.of(pod, NAME))

    def answers_plainly(self, ordinal: int) -> bool:
        """Whether this member speaks to somebody without TLS."""
        with Tunnel(self.api, self.namespace, pod_of(ordinal), 27017) as tunnel:
            try:
                return bool(hello(tunnel.path))
            except NoAnswer:
                return False

    def certificates(self) -> list[bytes]:
        """What each member shows of itself."""
        found = []
        for ordinal, pod in self._pods():
            with self._tunnel(ordinal) as tunnel:
                hello(tunnel.path)
                if tunnel.certificate is None:
                    raise Failed(f"{pod} shows no certificate.")
                found.append(tunnel.certificate.der)
        return found

    def restarts(self) -> dict[str, tuple[str, int]]:
        """Which pod each is, and how often its server was started again."""
        found = {}
        for pod in self.api.list("v1", "Pod", self.namespace):
            (status,) = pod["status"]["containerStatuses"]
            found[pod["metadata"]["name"]] = (pod["metadata"]["uid"], status["restartCount"])
        return found

    def _pods(self) -> list[tuple[int, str]]:
        return [(ordinal, pod_of(ordinal)) for ordinal in range(self.members)]

    def _login(self) -> dict[str, str]:
        secret = self.api.get("v1", "Secret", f"{NAME}-root", self.namespace)
        if secret is None:
            raise NotWritten("there is no Secret to log in with yet")
        return {key: base64.b64decode(secret["data"][key]).decode() for key in ("username", "password")}


class Session:
    """One member, through one tunnel."""

    def __init__(self, tunnel: Tunnel, login: dict[str, str]) -> None:
        self._tunnel = tunnel
        self.client: Client = pymongo.MongoClient(
            f"mongodb://{urllib.parse.quote_plus(tunnel.path)}",
            directConnection=True,
            serverMonitoringMode="poll",
            serverSelectionTimeoutMS=CONNECT_TIMEOUT,
            connectTimeoutMS=CONNECT_TIMEOUT,
            socketTimeoutMS=2 * WRITE_TIMEOUT,
            # A write that is repeated behind our back could be acknowledged later than it is counted.
            retryWrites=False,
            **t.cast("dict[str, t.Any]", {**login, "authSource": "admin"} if login else {}),
        )

    def takes_writes(self) -> bool:
        return bool(self.client.admin.command("hello")["isWritablePrimary"])

    def write(self, number: int) -> None:
        try:
            _numbers(self.client).insert_one({"_id": number})
        except Problem as problem:
            raise NotWritten(_brief(problem)) from problem

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close()
        self._tunnel.close()


def pod_of(ordinal: int) -> str:
    return f"{NAME}-{ordinal}"


def _numbers(client: Client) -> pymongo.collection.Collection[dict[str, t.Any]]:
    database = client.get_database(
        "faults",
        write_concern=pymongo.WriteConcern(w="majority", wtimeout=WRITE_TIMEOUT, j=True),
        read_concern=ReadConcern("majority"),
    )
    return database["numbers"]


def _brief(problem: BaseException) -> str:
    return str(problem).partition(",")[0][:200]
