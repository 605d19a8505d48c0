# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup that the cluster makes by itself is killed in the middle; and what is restored from the next one."""

from __future__ import annotations

import base64
import contextlib
import math
import os
import pathlib
import re
import signal
import time
import typing as t

import pymongo

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tunnel import Tunnel
from harness import ledger
from harness.trial import Trial
from harness.verdict import Failed, Skipped, check
from mongodb.replica_set import NAME, ReplicaSet, Session

# Made on demand: Python, and the driver of MongoDB.
IMAGE, RECIPE = "localhost/python-pymongo:distribution", "python-pymongo"
# The time that it is due never comes while this runs: it is begun here.
NEVER = "0 0 1 1 *"
COPY = "copy"
# Documents of random bytes, so that reading and compressing them takes some seconds.
FILL, SIZE, AT_ONCE = 800, 100_000, 10
JOB_MAY_TAKE = 300
BEGUN = re.compile(r"dump all databases")
PROGRAM = b"/opt/backup/backup.pyz"
LEFT = "which a run that was killed left"
ENDED = " bytes, up to "


def scheduled_backup(trial: Trial) -> None:
    if trial.lab is None:
        raise Skipped("it needs an image with python3 and pymongo, which only the lab makes; unset KUBECONFIG")
    trial.lab.run("images", "--load", RECIPE)
    backups = trial.folder / "backups"
    with trial.namespace() as namespace, trial.proxy(ReplicaSet) as proxy:
        application = ReplicaSet(
            trial.api,
            namespace,
            persistent=True,
            mongodb_backup_schedule=NEVER,
            mongodb_backup_oplog_schedule=NEVER,
            mongodb_backup_image=IMAGE,
            mongodb_backup_storage_size="1Gi",
        )
        trial.play(application, proxy).expect_success("The deployment")
        _fill(application)
        with trial.writing(application) as writer:
            writer.wait_for(20, 60)
            _begin(trial, namespace, "full")
            killed = _kill(trial, namespace, "full")
            said = _succeeded(trial, namespace, "full", but=killed)
            check(LEFT in said, f"What the run that was killed had begun is not removed: {said}")
            trial.note(f"{killed} was killed while it dumped; the next one removed what it had left, and succeeded")
            writer.wait_for(50, 60)
            moment = math.ceil(time.time())
            time.sleep(max(0.0, moment - time.time()))
            writer.wait_for(50, 60)
            _begin(trial, namespace, "oplog")
            _succeeded(trial, namespace, "oplog")
        record = max(trial.folder.glob("acknowledged-*.txt"), key=os.path.getmtime)
        entries = ledger.read(record)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
        copy = {"mongodb_name": COPY, "mongodb_namespace": namespace, "mongodb_members": 1}
        small = {"mongodb_storage_size": "1Gi", "mongodb_storage_preflight": False}
        trial.play_playbook("mongodb", {**copy, **small}).expect_success("A set to restore into")
        restore = {
            "app": COPY,
            "app_namespace": namespace,
            "restore_backup_of": NAME,
            "restore_fetch": True,
            "restore_src": str(backups),
            "restore_until": until,
        }
        trial.play_playbook("restore", restore).expect_success("The restore")
        _as_it_was(trial, namespace, entries, float(moment), backups)


def _fill(application: ReplicaSet) -> None:
    with application.member(application.primary() or 0) as client:
        for start in range(0, FILL, AT_ONCE):
            batch = [{"_id": number, "pad": os.urandom(SIZE)} for number in range(start, start + AT_ONCE)]
            client["fill"]["random"].with_options(write_concern=pymongo.WriteConcern(1)).insert_many(batch)


def _begin(trial: Trial, namespace: str, mode: str) -> None:
    """What the CronJob would do when it is due."""
    name = f"{NAME}-backup" + ("-oplog" if mode == "oplog" else "")
    cron_job = trial.api.get("batch/v1", "CronJob", name, namespace)
    if cron_job is None:
        raise Failed(f"There is no CronJob {name}.")
    template = cron_job["spec"]["jobTemplate"]
    metadata = {**template["metadata"], "name": mode, "namespace": namespace}
    trial.api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})


def _kill(trial: Trial, namespace: str, job: str) -> str:
    """As soon as it has said that it dumps, and a moment more. Returns the name of its pod."""
    pod = _until(lambda: next((pod for pod in _pods(trial, namespace, job) if BEGUN.search(_log(trial, pod))), None))
    if pod is None:
        raise Failed("The backup did not begin.")
    time.sleep(0.5)
    # Nobody is asked to stop, or it would take back what it has begun.
    for process in _processes(namespace):
        os.kill(process, signal.SIGKILL)
    name = str(pod["metadata"]["name"])
    said = _log(trial, pod)
    check(ENDED not in said, f"The backup was complete before it was killed: {said}")
    return name


def _processes(namespace: str) -> list[int]:
    """Those of backups of this namespace, as the machine sees them that the lab runs on."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            backs_up = PROGRAM in (process / "cmdline").read_bytes()
            if backs_up and f"BACKUP_NAMESPACE={namespace}\0".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def _succeeded(trial: Trial, namespace: str, job: str, but: str = "") -> str:
    """What the pod said that came to its end; another one than that which was killed."""

    def find() -> t.Optional[dict[str, t.Any]]:
        pods = [pod for pod in _pods(trial, namespace, job) if pod["metadata"]["name"] != but]
        return next((pod for pod in pods if pod.get("status", {}).get("phase") == "Succeeded"), None)

    pod = _until(find)
    if pod is None:
        raise Failed(f"Job {job} does not succeed: {[_log(trial, one) for one in _pods(trial, namespace, job)]}")
    return _log(trial, pod)


def _until(find: t.Callable[[], t.Optional[dict[str, t.Any]]]) -> t.Optional[dict[str, t.Any]]:
    until = time.monotonic() + JOB_MAY_TAKE
    while (found := find()) is None and time.monotonic() < until:
        time.sleep(0.1)
    return found


def _pods(trial: Trial, namespace: str, job: str) -> list[dict[str, t.Any]]:
    return trial.api.list("v1", "Pod", namespace, labels=f"job-name={job}")


def _log(trial: Trial, pod: dict[str, t.Any]) -> str:
    metadata = pod["metadata"]
    with contextlib.suppress(ApiError):
        return trial.api.connection.text(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log")
    return ""


def _as_it_was(
    trial: Trial, namespace: str, entries: t.Sequence[ledger.Entry], moment: float, backups: pathlib.Path
) -> None:
    secret = trial.api.get("v1", "Secret", f"{COPY}-root", namespace) or {"data": {}}
    login = {key: base64.b64decode(secret["data"][key]).decode() for key in ("username", "password")}
    session = Session(Tunnel(trial.api, namespace, f"{COPY}-0", 27017), login)
    try:
        held = {one["_id"] for one in session.client["faults"]["numbers"].find({}, {"_id": 1})}
        filled = session.client["fill"]["random"].count_documents({})
    finally:
        session.close()
    before = [entry for entry in entries if entry.at < moment]
    # The first that was acknowledged after it may have been written before; those after that one were not even sent.
    after = [entry.number for entry in entries if entry.at >= moment][1:]
    lost = ledger.lost(before, held)
    late = sorted(held.intersection(after))
    check(len(before) >= 70 and len(after) >= 20, f"{len(before)} writes before and {len(after)} after prove little.")
    check(not lost, f"{len(lost)} of {len(before)} writes acknowledged before {moment} are not restored: {lost[:3]}.")
    check(not late, f"{len(late)} writes after {moment} are restored: {late[:3]}.")
    check(filled == FILL, f"{filled} of {FILL} documents are restored that were there from the beginning.")
    found = sorted(one.name for one in backups.iterdir())
    trial.note(f"restored from {', '.join(found)}: {len(before)} writes before, none of {len(after)} after")
