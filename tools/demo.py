# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make demo``: a MongoDB replica set on a real cluster, its primary killed, and every document still there."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import time
import typing as t
import urllib.parse

import cluster
import pymongo
import pymongo.errors

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, connect
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

NAME = "demo"
NAMESPACE = "demo"
MEMBERS = [f"{NAME}-{ordinal}" for ordinal in range(3)]
DOCUMENTS = 1000
STARTED = time.monotonic()
NEXT = f"""
Try next, after  eval "$(make -s lab-env)"  if this ran in the lab:
  kubectl -n {NAMESPACE} get pods,pvc
  where="-e mongodb_name={NAME} -e mongodb_namespace={NAMESPACE}"
  ansible-playbook stateful.kube.mongodb $where -e mongodb_members=5 --check --diff  # only the plan
  ansible-playbook stateful.kube.status $where
  ansible-playbook stateful.kube.remove $where                                       # keeps the data
"""


class Login(t.NamedTuple):
    username: str
    password: str


class DemoFailed(Exception):
    """The demo cannot go on; the message says what to do."""


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def playbook(target: cluster.Target, name: str, *arguments: str) -> None:
    command = ["ansible-playbook", f"stateful.kube.{name}", *arguments]
    print(f"\n$ {' '.join(command)}", flush=True)
    command[0] = str(cluster.BIN / command[0])
    if subprocess.run(command, env=target.environment, stdin=subprocess.DEVNULL, check=False).returncode:
        raise DemoFailed(
            f"The playbook stateful.kube.{name} failed: its last message above says why. Put that right and run "
            "`make demo` again, which goes on where this stopped."
        )


def credentials(api: Cluster) -> Login:
    secret = api.get("v1", "Secret", f"{NAME}-root", NAMESPACE)
    if secret is None:
        raise DemoFailed(
            f"The Secret {NAMESPACE}/{NAME}-root is gone: run `make demo` again, which makes the set anew."
        )
    return Login(*(base64.b64decode(secret["data"][key]).decode() for key in ("username", "password")))


@contextlib.contextmanager
def member(api: Cluster, pod: str, login: Login) -> t.Iterator[pymongo.MongoClient[t.Any]]:
    """A client of this one member, through the Kubernetes API: nothing is exposed, nothing is installed."""
    with Tunnel(api, NAMESPACE, pod, 27017) as tunnel:
        client: pymongo.MongoClient[t.Any] = pymongo.MongoClient(
            f"mongodb://{urllib.parse.quote_plus(tunnel.path)}",
            directConnection=True,
            authSource="admin",
            username=login.username,
            password=login.password,
            serverSelectionTimeoutMS=2000,
        )
        with client:
            yield client


def find_primary(api: Cluster, login: Login, among: t.Sequence[str], seconds: float) -> str:
    """Ask the members until one says that it takes writes."""
    until = time.monotonic() + seconds
    answers: dict[str, str] = {}
    while time.monotonic() < until:
        for pod in among:
            try:
                with member(api, pod, login) as client:
                    if client.admin.command("hello")["isWritablePrimary"]:
                        return pod
                answers[pod] = "is no primary"
            except (pymongo.errors.PyMongoError, Failure, OSError) as problem:
                answers[pod] = str(problem).partition(",")[0]
        time.sleep(0.2)
    seen = "; ".join(f"{pod}: {answer}" for pod, answer in answers.items())
    raise DemoFailed(
        f"No member took writes within {seconds:.0f} s ({seen}). "
        f"See `kubectl -n {NAMESPACE} get pods` and run `make demo` again, which puts the set right first."
    )


def documents(client: pymongo.MongoClient[t.Any]) -> pymongo.collection.Collection[t.Any]:
    database = client.get_database(
        "demo",
        write_concern=pymongo.WriteConcern(w="majority", wtimeout=20_000),
        read_concern=pymongo.read_concern.ReadConcern("majority"),
    )
    return database["documents"]


def wait_until_all_are_back(api: Cluster, login: Login, primary: str, gone: str, seconds: float) -> None:
    """Until the pod with the uid ``gone`` is replaced, and every member is ready and has its part in the set."""
    until = time.monotonic() + seconds
    before = ""
    while time.monotonic() < until:
        with member(api, primary, login) as client:
            answer = client.admin.command("replSetGetStatus")["members"]
        states = {str(one["name"]).partition(".")[0]: str(one["stateStr"]) for one in answer}
        pods = {pod: pod_state(api, pod, gone) for pod in MEMBERS}
        if sorted(states.values()) == ["PRIMARY", "SECONDARY", "SECONDARY"] and set(pods.values()) == {"ready"}:
            return
        line = ", ".join(f"{pod} {states.get(pod, 'no member')} and {pods[pod]}" for pod in MEMBERS)
        if line != before:
            say(f"  {line}")
            before = line
        time.sleep(0.5)
    raise DemoFailed(
        f"Not every member was back within {seconds:.0f} s (last seen: {before}). "
        f"`kubectl -n {NAMESPACE} describe pod` says what blocks it."
    )


def pod_state(api: Cluster, pod: str, gone: str) -> str:
    found = api.get("v1", "Pod", pod, NAMESPACE)
    if found is None:
        return "gone"
    if found["metadata"]["uid"] == gone:
        return "shutting down"
    conditions = {one["type"]: one["status"] for one in found["status"].get("conditions", [])}
    return "ready" if conditions.get("Ready") == "True" else "starting"


def fail_over(api: Cluster) -> None:
    """Write, delete the primary's pod, and count."""
    login = credentials(api)
    primary = find_primary(api, login, MEMBERS, 60)
    with member(api, primary, login) as client:
        collection = documents(client)
        collection.insert_many([{"number": number, "run": time.time()} for number in range(DOCUMENTS)])
        written = collection.count_documents({})
    say(f"Wrote {DOCUMENTS} documents through the primary {primary}, acknowledged by a majority: {written} in all.")

    pod = api.get("v1", "Pod", primary, NAMESPACE) or {}
    gone = str(pod["metadata"]["uid"])
    api.delete("v1", "Pod", primary, NAMESPACE, uid=gone)
    deleted = time.monotonic()
    say(f"Deleted the pod {primary}.")
    others = [pod for pod in MEMBERS if pod != primary]
    successor = find_primary(api, login, others, 60)
    say(f"{successor} is the primary now, {time.monotonic() - deleted:.1f} s after the deletion.")
    with member(api, successor, login) as client:
        found = documents(client).count_documents({})
    if found != written:
        raise DemoFailed(
            f"{successor} holds {found} documents where {written} were acknowledged. This must not happen: please "
            f"report it with the output of `kubectl -n {NAMESPACE} logs {successor}`."
        )
    say(f"Every document is there: {found} of {written}.")
    wait_until_all_are_back(api, login, successor, gone, 180)
    say("All members are back.")


def main() -> None:
    os.environ.pop("PYTHONPATH", None)  # only this program needs it, not the playbooks it runs
    target = cluster.choose()
    say(f"Cluster: {target.title}.")
    os.environ.update(target.environment)
    where = ("-e", f"mongodb_name={NAME}", "-e", f"mongodb_namespace={NAMESPACE}")
    say("Deploying MongoDB: three members, a claim each, authentication on.")
    playbook(target, "mongodb", *where, "-e", "mongodb_storage_size=1Gi")
    say("The replica set is up.")
    with connect({}) as api:
        fail_over(api)
    playbook(target, "status", *where)
    print(NEXT)
    say("Done.")


if __name__ == "__main__":
    try:
        main()
    except (cluster.NoCluster, DemoFailed, Failure, pymongo.errors.PyMongoError) as problem:
        sys.exit(f"\nmake demo: {problem}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted; `make demo` goes on where this stopped.")
