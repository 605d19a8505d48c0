# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests on three nodes share: commands, waiting, and one member of a replica set."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import subprocess
import sys
import time
import typing as t
import urllib.parse

import pymongo
import pymongo.errors

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

HERE = pathlib.Path(__file__).resolve().parent
LAB = [sys.executable, str(HERE.parent / "lab" / "lab")]
NAMESPACE = "slab-nodes"
SET = "trio"
MEMBERS = [f"{SET}-{ordinal}" for ordinal in range(3)]
# Keeps pods of whoever uses the lab meanwhile off the nodes that these tests take down.
TAINT = "stateful-lab/faults"
TOLERATION = {"key": TAINT, "operator": "Exists"}
# What a member says when it is not there, or not what was asked for.
Unanswered = (pymongo.errors.PyMongoError, Failure, OSError)

Result = subprocess.CompletedProcess[str]
T = t.TypeVar("T")


def run(*command: str, text: str | None = None, check: bool = True) -> Result:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=300)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def kubectl(*words: str, text: str | None = None, check: bool = True) -> Result:
    return run("kubectl", f"--namespace={NAMESPACE}", *words, text=text, check=check)


def get(*words: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = json.loads(kubectl("get", *words, "--output=json").stdout)
    return found


def apply(*objects: dict[str, t.Any]) -> None:
    kubectl("apply", "--filename=-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def lab(*words: str, text: str | None = None) -> Result:
    return run(*LAB, *words, text=text)


def play(name: str) -> None:
    run("ansible-playbook", str(HERE / f"{name}.yml"))


def wait_for(what: str, look: t.Callable[[], T | None], seconds: float = 180) -> T:
    """Look until something true is seen. The limit only ends a test that would hang; nothing is measured."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > until:
            raise AssertionError(f"In vain waited {seconds:.0f} s for {what}. {pods_in_words()}")
        time.sleep(0.3)
    return seen


def pods_in_words() -> str:
    return "Pods:\n" + kubectl("get", "pods", "--output=wide", check=False).stdout


def placement(selector: str) -> dict[str, str]:
    """The node of every pod that is ready."""
    found = get("pods", f"--selector={selector}")["items"]
    return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in found if is_ready(pod)}


def node_of(pod: str) -> str:
    """The node of a pod, ready or not: for a moment after a node came back, its pods are still held to be lost."""
    return str(get("pod", pod)["spec"]["nodeName"])


def is_ready(pod: dict[str, t.Any]) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


class ReplicaSet:
    """The set of the tests, asked member by member through the Kubernetes API."""

    def __init__(self, api: Cluster) -> None:
        self.api = api
        secret = get("secret", f"{SET}-root")["data"]
        self.username, self.password = (base64.b64decode(secret[key]).decode() for key in ("username", "password"))

    @contextlib.contextmanager
    def member(self, pod: str, seconds: int = 20) -> t.Iterator[pymongo.MongoClient[t.Any]]:
        with Tunnel(self.api, NAMESPACE, pod, 27017) as tunnel:
            client: pymongo.MongoClient[t.Any] = pymongo.MongoClient(
                f"mongodb://{urllib.parse.quote_plus(tunnel.path)}",
                directConnection=True,
                authSource="admin",
                username=self.username,
                password=self.password,
                serverSelectionTimeoutMS=2000,
                socketTimeoutMS=seconds * 1000,
            )
            with client:
                yield client

    def primary(self, among: t.Sequence[str] = MEMBERS) -> str | None:
        """The member that takes writes. Believed only when it sees another one: its own word may be outdated."""
        for pod in among:
            with contextlib.suppress(*Unanswered), self.member(pod) as client:
                # Just elected it is PRIMARY already, but takes no writes until it has caught up.
                if not client.admin.command("hello")["isWritablePrimary"]:
                    continue
                states = client.admin.command("replSetGetStatus")["members"]
                if any(each["health"] and each["stateStr"] == "SECONDARY" for each in states):
                    return pod
        return None

    def is_whole(self) -> bool:
        """Whether one primary sees two secondaries, and all three pods are ready."""
        pod = self.primary()
        if pod is None or len(placement(f"app.kubernetes.io/instance={SET}")) != len(MEMBERS):
            return False
        with contextlib.suppress(*Unanswered), self.member(pod) as client:
            states = client.admin.command("replSetGetStatus")["members"]
            return sorted(each["stateStr"] for each in states) == ["PRIMARY", "SECONDARY", "SECONDARY"]
        return False

    def write(self, pod: str, name: str) -> None:
        """Write a document that a majority has when this returns.

        A secondary that replicated from a lost node waits up to ten seconds for its answer, and may then ask another
        lost one first.
        """
        with self.member(pod, seconds=70) as client:
            self.documents(client).insert_one({"_id": name})

    def has(self, pod: str, name: str) -> bool:
        """Whether this member holds a document, whatever the others hold.

        One that was a secondary a moment ago may roll back what no majority had, and lets nobody read meanwhile.
        """

        def look() -> list[bool]:
            with contextlib.suppress(pymongo.errors.AutoReconnect), self.member(pod) as client:
                return [self.documents(client).find_one({"_id": name}) is not None]
            return []

        [held] = wait_for(f"{pod} to let its documents be read", look)
        return held

    @staticmethod
    def documents(client: pymongo.MongoClient[t.Any]) -> pymongo.collection.Collection[t.Any]:
        database = client.get_database(
            "nodes",
            write_concern=pymongo.WriteConcern(w="majority", wtimeout=60_000),
            read_preference=pymongo.ReadPreference.PRIMARY_PREFERRED,
        )
        return database["documents"]

    def step_off(self, node: str) -> str:
        """The primary, moved away from a node if it is there."""
        primary = wait_for("a primary", self.primary)
        if node_of(primary) != node:
            return primary
        with contextlib.suppress(pymongo.errors.AutoReconnect), self.member(primary) as client:
            client.admin.command("replSetStepDown", 60, secondaryCatchUpPeriodSecs=20)
        others = [pod for pod in MEMBERS if pod != primary]
        return wait_for("another primary", lambda: self.primary(others))
