# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The autopilot: runs in a pod beside the servers, asks them straight, and the API server for their objects.

What it needs is Python, PyMySQL, cryptography, urllib3 and websocket-client, and the files that this one imports, which
the role puts into a ConfigMap. Names are environment variables, passwords are files of Secrets, and what is done goes
to standard output, to Events and to an annotation of the StatefulSet.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import signal
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError, Unreachable
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, connect
from ansible_collections.stateful.kube.plugins.module_utils._cluster._straight import Said, Straight
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._operate import Piloting
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._plan import Wish
from ansible_collections.stateful.kube.plugins.module_utils._mysql._autopilot._silence import Silence
from ansible_collections.stateful.kube.plugins.module_utils._mysql._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mysql._steps import PROMOTE, RECORD
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import ROLLOUT_MANAGER
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, PASSWORD, PREVIOUS

Object = dict[str, t.Any]

# Of every pod with an account: where the API server's authority and the pod's own token are. The token is another one
# within the hour, so the connection is opened anew before that.
ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECTED_FOR = 600.0
# Seconds between two looks, for which any one step may take, and after which the same is said again.
LOOK_EVERY = 1.0
STEP_WITHIN = 120.0
SAY_AGAIN = 300.0
#: touched with each look, which is how the kubelet sees that it still looks
ALIVE = pathlib.Path("/tmp/alive")  # noqa: S108
FAILED_OVER = "stateful.kube/mysql-failed-over"


class Inside(Observer):
    """Asks the servers straight, and has the passwords from files, which change with their Secrets."""

    def __init__(self, cluster: Cluster, target: Target, root: pathlib.Path, replication: pathlib.Path) -> None:
        super().__init__(cluster, target)
        self._root = root
        self._replication = replication

    def replication(self) -> Credentials:
        return Credentials(REPLICATION_USER, _read(self._replication, "password"))

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)
        self.forget_objects()

    def tunnel(self, ordinal: int) -> Tunnel:
        return Straight(self.target.host(ordinal), self.target.port, lambda: None)

    def _read_secret(self) -> t.Optional[Credentials]:
        username, others = "root", []
        with contextlib.suppress(FileNotFoundError):
            username = _read(self._root, "username")
        for key in (NEXT, PREVIOUS):
            with contextlib.suppress(FileNotFoundError):
                others.append(_read(self._root, key))
        return Credentials(username, _read(self._root, PASSWORD), tuple(others))


def _read(folder: pathlib.Path, key: str) -> str:
    return (folder / key).read_text("utf-8").rstrip("\n")


class Pilot(Said):
    """One process of it. What is the same as a moment ago is not said again."""

    def __init__(self, target: Target, wish: Wish) -> None:
        super().__init__({})
        self.target = target
        self.wish = wish
        self.silence = Silence()
        self._said: dict[str, float] = {}

    def warn(self, text: str) -> None:
        self.once(f"WARNING: {text}")

    def once(self, text: str) -> None:
        now = time.monotonic()
        self._said = {line: at for line, at in self._said.items() if now - at < SAY_AGAIN}
        # The same with another number of seconds is the same.
        key = "".join(sign for sign in text if not sign.isdigit())
        if key not in self._said:
            self._said[key] = now
            self.progress(text)

    def turn(self, observer: Observer) -> None:
        """One look, and what follows from it."""
        operation = Piloting(observer, self.wish, self.silence, STEP_WITHIN)
        try:
            done = carry_out(operation, self)["done"]
        except Failure as failure:
            done = failure.facts.get("done", [])
            self.once(failure.message)
            if isinstance(failure, Unreachable):
                # Who sees no objects does not know whom to ask, and silence is no evidence then.
                self.silence.begin_anew()
                observer.forget_objects()
        if operation.found.held_back:
            self.once(f"{operation.title}: {operation.found.held_back}")
        told = [step["step"] for step in done if step["action"] in (RECORD, PROMOTE)]
        if told:
            self._tell(observer, told, any(step["action"] == PROMOTE for step in done))

    def _tell(self, observer: Observer, told: t.Sequence[str], promoted: bool) -> None:
        """For people: an Event, and on the StatefulSet when it was."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = observer.objects()
        with contextlib.suppress(ApiError, Unreachable):
            observer.cluster.create(event(self.target, found.stateful_set.uid if found.stateful_set else "", told, now))
        if promoted and found.record:
            annotation = f"{now} {found.record.primary} in place of {found.record.dismissed}"
            patch = {"metadata": {"annotations": {FAILED_OVER: annotation}}}
            with contextlib.suppress(ApiError, Unreachable):
                observer.cluster.merge(
                    "apps/v1", "StatefulSet", self.target.name, self.target.namespace, patch, manager=ROLLOUT_MANAGER
                )


def event(target: Target, uid: str, told: t.Sequence[str], now: str) -> Object:
    about = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": target.name,
        "namespace": target.namespace,
        "uid": uid,
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{target.name}-autopilot-", "namespace": target.namespace},
        "involvedObject": about,
        "reason": "AutomaticFailover",
        "message": "; ".join(told)[:1000],
        "type": "Warning",
        "source": {"component": "stateful.kube autopilot"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _stop(*_unused: object) -> None:
    """The first process of a container is not ended by a signal that it does not handle."""
    raise SystemExit(0)


def _options(environment: t.Mapping[str, str]) -> dict[str, t.Any]:
    host = environment["KUBERNETES_SERVICE_HOST"]
    address = f"[{host}]" if ":" in host else host
    return {
        "host": f"https://{address}:{environment['KUBERNETES_SERVICE_PORT']}",
        "api_key": _read(ACCOUNT, "token"),
        "ca_cert": str(ACCOUNT / "ca.crt"),
    }


def main(environment: t.Mapping[str, str]) -> int:
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o077)
    target = Target(
        name=environment["AUTOPILOT_OF"],
        namespace=environment["AUTOPILOT_NAMESPACE"],
        service=environment["AUTOPILOT_SERVICE"],
        cluster_domain=environment["AUTOPILOT_DOMAIN"],
        port=int(environment["AUTOPILOT_PORT"]),
    )
    root, replication = (pathlib.Path(environment[f"AUTOPILOT_{name}"]) for name in ("ROOT", "REPLICATION"))
    pilot = Pilot(target, Wish(by="", after=float(environment["AUTOPILOT_FAILOVER_AFTER"])))
    pilot.progress(f"{target.namespace}/{target.name}: the autopilot looks after the primary")
    while True:
        try:
            with connect(_options(environment)) as cluster, Inside(cluster, target, root, replication) as observer:
                _look_for_a_while(pilot, observer)
        except (Failure, OSError) as problem:
            pilot.once(str(problem))
            pilot.silence.begin_anew()
            time.sleep(LOOK_EVERY)


def _look_for_a_while(pilot: Pilot, observer: Observer) -> None:
    target, until = pilot.target, time.monotonic() + CONNECTED_FOR
    found = observer.cluster.get("apps/v1", "Deployment", f"{target.name}-autopilot", target.namespace)
    if found is None:
        raise SystemExit("Its Deployment is gone, so there is nothing to look after.")
    # Another one begins anew with what it knows of the primary: between the two anything may have been declared.
    pilot.wish = Wish(by=str(found["metadata"]["uid"]), after=pilot.wish.after)
    while time.monotonic() < until:
        pilot.turn(observer)
        ALIVE.touch()
        time.sleep(LOOK_EVERY)
