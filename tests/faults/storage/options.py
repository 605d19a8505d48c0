# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports with options that a database cannot live with: the preflight has to say so, and by which option."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from harness.trial import Trial
from harness.verdict import check
from storage.export import Export

# Seconds that the preflight may wait for a pod; a mount that is refused shows itself in less.
SHORT = 25


class Case(t.NamedTuple):
    """An export, for whom it is tried out, and whether that one may live there."""

    export: str
    kind: str
    fit: bool
    #: the check that it comes to, and words of it that name the option
    finding: str = ""
    names: tuple[str, ...] = ()


CASES = (
    Case("volumes", "postgresql", True),
    # The database's own user is not root, so it is a remark; who has to give files away cannot do so.
    Case("root-squash", "postgresql", True, "chown", ("root_squash", "65534")),
    Case("all-squash", "postgresql", False, "owner", ("all_squash", "65534")),
    Case("read-only", "mongodb", False, "write", ("Read-only file system",)),
    Case("closed", "mongodb", False, "volume", ("mount",)),
)


def options(trial: Trial, found: Export) -> None:
    for case in CASES:
        made = _volume(found, case.export)
        for obj in made:
            trial.api.apply(obj, manager="faults")
        _tried(trial, found, case)
        # A volume of the whole export keeps the provisioner from making any in it.
        for obj in reversed(made):
            trial.api.delete("v1", obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace"))


def _tried(trial: Trial, found: Export, case: Case) -> None:
    given = {
        "namespace": found.namespace,
        "claim": case.export,
        "allow_data": True,
        "image": found.lab.image("mongodb_image"),
        "require": [case.kind],
        "fsyncs": 5,
        "wait_timeout": SHORT,
    }
    run = trial.task("storage_preflight", given)
    result = run.result
    title = f"export {case.export} for {case.kind}"
    check(bool(run.status) != case.fit, f"{title}: fit was to be {case.fit}, and the task says: {run.message[:600]}")
    said = {each["check"]: each for each in result.get("findings") or ()}
    if case.finding:
        finding = said.get(case.finding, {"result": "not there", "detail": ""})
        check(finding["result"] == "failed", f"{title}: {case.finding} is {finding}")
        # Whoever reads no more than the message has to learn it as well.
        told = f"{result.get('msg', '')} {finding['detail']}" if case.fit else str(result.get("msg", ""))
        missing = [name for name in case.names if name not in told]
        check(not missing, f"{title}: {', '.join(missing)} is not named: {told}")
        detail = " ".join(finding["detail"].split())
        trial.note(f"{title}: {'' if case.fit else 'un'}fit, {case.finding}: {detail[:230]}")
    else:
        failed = [each["check"] for each in said.values() if each["result"] == "failed"]
        check(not failed, f"{title}: {', '.join(failed)} failed.")
        trial.note(f"{title}: fit")


def _volume(found: Export, export: str) -> list[Object]:
    name = f"{found.name}-{export}"
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                **common,
                "capacity": {"storage": "16Mi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": found.namespace, "name": export},
                "nfs": {"server": found.lab.nfs_server, "path": f"/{export}"},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": export, "namespace": found.namespace},
            "spec": {**common, "volumeName": name, "resources": {"requests": {"storage": "16Mi"}}},
        },
    ]
