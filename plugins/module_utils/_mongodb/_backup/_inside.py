# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A backup by the cluster itself: the same operation, in a pod that asks the members straight and no API server.

What it needs is Python, pymongo, for S3 minio, and the files that this one imports, which the role puts into a
ConfigMap. The options are environment variables, names and passwords are files of Secrets, and what is said goes to
standard output.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._bucket import InBucket
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._folder import Folder
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._options import bucket_of_files
from ansible_collections.stateful.kube.plugins.module_utils._backup_places._place import Place
from ansible_collections.stateful.kube.plugins.module_utils._cluster._straight import Said, Straight
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tls import ServerTls, context_for
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._bulk import Bulk
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._format import LAYOUT, Manifest
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._operate import Backup
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._backup._plan import wish_of
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._client import Credentials
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._link import Link
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._observe import Observer
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    Answer,
    Pod,
    Snapshot,
    StatefulSet,
    newest_config,
)
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._trust import AUTHORITIES
from ansible_collections.stateful.kube.plugins.module_utils._operation import carry_out
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import NEXT, PREVIOUS

# In the Secret of the members, as mongodb_tls writes it: begins with the mode.
VERSION = "version"
# Of a pod: what the kubelet shows as the reason why it ended.
TERMINATION_LOG = pathlib.Path("/dev/termination-log")
LONGEST_REASON = 4000


class Inside(Observer):
    """Knows the members by the configuration that they tell, and nothing of the cluster's objects."""

    def __init__(self, target: Target, members: int, secret: pathlib.Path, tls: pathlib.Path) -> None:
        super().__init__(t.cast("t.Any", None), target)
        self._known = set(range(members))
        self._files = secret
        self._tls = tls

    def observe(self) -> Snapshot:
        self._credentials = _credentials(self._files)
        answers = self._answers(self._known)
        config = newest_config(answer.config for answer in answers.values())
        if config:
            empty = self._snapshot({})
            told = {self.target.ordinal(member.host, empty) for member in config.members} - {None}
            more = t.cast("set[int]", told) - self._known
            self._known |= more
            answers.update(self._answers(more))
        return self._snapshot(answers)

    def objects(self) -> Snapshot:
        return self._snapshot({})

    def bulk(self, pod: Pod) -> Bulk:
        return Bulk(self._straight(pod.name), pod.name, self.credentials)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def _snapshot(self, answers: t.Mapping[int, Answer]) -> Snapshot:
        pods = {ordinal: Pod(self.target.pod(ordinal)) for ordinal in sorted(self._known)}
        return Snapshot(
            StatefulSet("", "", len(pods), self.target.service), pods, answers=dict(sorted(answers.items()))
        )

    def _answers(self, ordinals: t.Collection[int]) -> dict[int, Answer]:
        if not ordinals:
            return {}
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(ordinals)) as pool:
            waiting = {ordinal: pool.submit(self._one, ordinal) for ordinal in ordinals}
            return {ordinal: future.result() for ordinal, future in waiting.items()}

    def _one(self, ordinal: int) -> Answer:
        pod = self.target.pod(ordinal)
        if ordinal not in self.links:
            self.links[ordinal] = Link(self._straight(pod), pod, login_first=True)
        return self.links[ordinal].ask(self._credentials, new_disk=False)

    def _straight(self, pod: str) -> Straight:
        target = self.target
        host = f"{pod}.{target.service}.{target.namespace}.svc.{target.cluster_domain}"
        return Straight(host, target.port, lambda: spoken(self._tls, host))


def spoken(folder: pathlib.Path, host: str) -> t.Optional[ServerTls]:
    """How to speak to a member; None for plainly. Read anew for each connection: the files change with their Secret.

    Nothing is tried, or whoever stands in between could choose. The mode in the Secret and that of each process are one
    apart at most: up to allowTLS all of them take plain connections, and from preferTLS on all of them take TLS. So a
    set that is given TLS, or freed of it, can be read at any moment.
    """
    try:
        mode = (folder / VERSION).read_text("utf-8").partition(" ")[0]
        if mode not in ("preferTLS", "requireTLS"):
            return None
        return ServerTls(context_for((folder / AUTHORITIES).read_text("utf-8")), host)
    except FileNotFoundError:
        return None


def _credentials(folder: pathlib.Path) -> Credentials:
    """From the files of a Secret, which change when the Secret does. Raises Failure."""
    found = {}
    for key in ("username", "password", NEXT, PREVIOUS):
        with contextlib.suppress(FileNotFoundError):
            found[key] = (folder / key).read_text("utf-8")
    if not found.get("username") or not found.get("password"):
        raise Failure(
            "root_secret: the Secret must have the keys username and password, and one of them is missing or empty. "
            "Correct the Secret that mongodb_backup_secret names."
        )
    others = tuple(found[key] for key in (NEXT, PREVIOUS) if found.get(key))
    return Credentials(found["username"], found["password"], others)


def _place(params: t.Mapping[str, t.Any], secret: pathlib.Path, target: Target) -> Place[Manifest]:
    if params.get("s3"):
        return InBucket(bucket_of_files(params["s3"], secret), target.namespace, target.name, LAYOUT)
    return Folder(params["dest"], target.namespace, target.name, LAYOUT)


def _stop(*_unused: object) -> None:
    """The first process of a container is not ended by a signal that it does not handle."""
    raise SystemExit("stopped by a signal; what was begun is removed")


def main(environment: t.Mapping[str, str]) -> int:
    signal.signal(signal.SIGTERM, _stop)
    os.umask(0o077)
    params = {
        "dest": environment["BACKUP_DEST"],
        "mode": environment["BACKUP_MODE"],
        "keep": int(environment["BACKUP_KEEP"]),
        "read_from": environment.get("BACKUP_READ_FROM", ""),
        "gzip": True,
        "verify": False,
    }
    if environment.get("BACKUP_S3"):
        params["s3"] = json.loads(environment["BACKUP_S3"])
    target = Target(
        name=environment["BACKUP_OF"],
        namespace=environment["BACKUP_NAMESPACE"],
        replica_set=environment["BACKUP_REPLICA_SET"],
        service=environment["BACKUP_SERVICE"],
        cluster_domain=environment["BACKUP_DOMAIN"],
        port=int(environment["BACKUP_PORT"]),
    )
    task = Said(params)
    try:
        secret = pathlib.Path(environment["BACKUP_SECRET"])
        tls = pathlib.Path(environment["BACKUP_TLS"])
        wish = wish_of(params)
        place = _place(params, pathlib.Path(environment.get("BACKUP_S3_SECRET", "")), target)
        with Inside(target, int(environment["BACKUP_MEMBERS"]), secret, tls) as observer:
            result = carry_out(Backup(observer, place, wish, task, float(environment["BACKUP_TIMEOUT"])), task)
    except Failure as failure:
        task.progress(failure.message)
        with contextlib.suppress(OSError):
            TERMINATION_LOG.write_text(failure.message[:LONGEST_REASON], "utf-8")
        return 1
    made = result["state"]["backup"]
    task.progress(
        f"{made['backup']}: {made['bytes']} bytes, up to {made['restorable_until']['time']}"
        if made
        else "nothing is new since the last one"
    )
    return 0
