# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What mongo-k8s-sidecar decides, as its published source does, here beside the pods and not in them.

The program itself speaks a protocol that servers since 5.1 have no more. Its decisions are a page: every few seconds
each pod's sidecar lists the pods, asks its own mongod, and acts alone. It asks no majority, waits for nobody to be
SECONDARY, and forces where there is no primary.
"""

from __future__ import annotations

import datetime
import threading
import typing as t

import pymongo.errors
from mongodb.replica_set import NAME, NOT_YET_INITIALIZED, Problem

from side_by_side.hand_made import HandMade

# Seconds: its defaults.
SLEEP = 5
UNHEALTHY = 15
INVALID_CONFIGURATION = 93

Document = dict[str, t.Any]


class Sidecars:
    """One for each ordinal that may ever be there. Use it as a context manager."""

    def __init__(self, application: HandMade, ordinals: int) -> None:
        self._application = application
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._loop, args=(o,), daemon=True) for o in range(ordinals)]
        #: what they did, and what they were told
        self.said: list[str] = []

    def __enter__(self) -> Sidecars:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def elected(self) -> int:
        """The pod with the lowest address, which decides where there is no primary."""
        return _lowest(self._running())

    def _loop(self, ordinal: int) -> None:
        while not self._stop.wait(SLEEP):
            try:
                self._turn(ordinal)
            except Problem as problem:
                # Its own mongod is not there, or refuses; it tries again in the next turn.
                self.said.append(f"{NAME}-{ordinal}: {str(problem)[:200]}")

    def _turn(self, ordinal: int) -> None:
        pods = self._running()
        if ordinal not in pods:
            return
        elected = _lowest(pods) == ordinal
        with self._application.member(ordinal) as client:
            try:
                status = client.admin.command("replSetGetStatus")
            except pymongo.errors.OperationFailure as error:
                if error.code == NOT_YET_INITIALIZED and elected and not self._others_have_one(ordinal, pods):
                    self._initiate(client, ordinal)
                elif error.code == INVALID_CONFIGURATION and elected:
                    self._change(client, ordinal, pods, [], force=True)
                return
            states = [member["state"] for member in status["members"]]
            if status["myState"] == 1:
                self._change(client, ordinal, pods, status["members"], force=False)
            elif 1 not in states and elected:
                self._change(client, ordinal, pods, status["members"], force=True)

    def _running(self) -> dict[int, str]:
        """The addresses of the pods that run, by ordinal."""
        found = {}
        for pod in self._application.api.list("v1", "Pod", self._application.namespace):
            if pod["status"].get("phase") == "Running" and pod["status"].get("podIP"):
                found[int(pod["metadata"]["name"].rpartition("-")[2])] = pod["status"]["podIP"]
        return found

    def _others_have_one(self, ordinal: int, pods: t.Iterable[int]) -> bool:
        # One that runs and does not answer ends the turn: it may have one.
        return any(self._application.initialised(other) for other in pods if other != ordinal)

    def _initiate(self, client: pymongo.MongoClient[Document], ordinal: int) -> None:
        host = self._application.host(ordinal)
        client.admin.command("replSetInitiate", {"_id": NAME, "members": [{"_id": 0, "host": host}]})
        self.said.append(f"{NAME}-{ordinal}: initiated a set")

    def _change(
        self,
        client: pymongo.MongoClient[Document],
        ordinal: int,
        pods: t.Iterable[int],
        members: t.Sequence[Document],
        force: bool,
    ) -> None:
        """Every pod that is missing comes, and every member that is unhealthy goes, in one configuration."""
        config = client["local"]["system.replset"].find_one({}) or {}
        known = {member["host"] for member in config["members"]}
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        gone = {
            member["name"]
            for member in members
            if not member["health"] and (now - member["lastHeartbeatRecv"]).total_seconds() > UNHEALTHY
        }
        new = [self._application.host(each) for each in pods if self._application.host(each) not in known]
        if not gone and not new:
            return
        kept = [member for member in config["members"] if member["host"] not in gone]
        number = max((member["_id"] for member in config["members"]), default=-1) + 1
        config["members"] = kept + [{"_id": number + offset, "host": host} for offset, host in enumerate(new)]
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=force)
        self.said.append(
            f"{NAME}-{ordinal}: {'forced' if force else 'made'} a configuration: {len(new)} in, {len(gone)} out"
        )


def _lowest(pods: t.Mapping[int, str]) -> int:
    return min(pods, key=lambda each: tuple(map(int, pods[each].split("."))))
