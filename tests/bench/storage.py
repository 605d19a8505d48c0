# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make bench ARGS=--storage``: fifty claims and fifty volumes made by hand, in three ways, side by side.

The claims are of a class that makes volumes at once, by the lab's storage driver. The time ends when all are bound,
whether the way itself waits for it (ours does) or not.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import time
import typing as t

import yaml
from proxy import CountingProxy
from rounds import aligned, figure, ratios, turned
from ways import play

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster

Object = dict[str, t.Any]
Run = t.Callable[[str, t.Sequence[str], t.Optional[t.Mapping[str, str]]], tuple[float, str]]

MANY = 50
CLASS = "bench-at-once"
DRIVER = "loop.stateful-lab.local"
SPACE = "bench-storage"
LABEL = "stateful-kube-bench"
WAYS = ("ours", "loop", "list")
HEADS = {"ours": "stateful.kube", "loop": "kubernetes.core in a loop", "list": "kubernetes.core, one list"}
PATIENCE = 180


def claims(way: str) -> list[Object]:
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": CLASS, "resources": {"requests": {"storage": "16Mi"}}}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"{way}-{number:02}", "namespace": SPACE, "labels": {LABEL: way}},
            "spec": spec,
        }
        for number in range(MANY)
    ]


def volumes(way: str) -> list[Object]:
    """The volumes that the family of `family` has."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"bench-{way}-{number:02}", "labels": {LABEL: way}},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "bench-by-hand",
                "nfs": {"server": "192.0.2.7", "path": f"/exports/{way}/{number:02}"},
            },
        }
        for number in range(MANY)
    ]


def family(way: str) -> Object:
    return {
        "name": f"bench-{way}-{{n:02}}",
        "count": MANY,
        "labels": {LABEL: way},
        "capacity": "1Gi",
        "access_modes": ["ReadWriteMany"],
        "storage_class_name": "bench-by-hand",
        "source": {"nfs": {"server": "192.0.2.7", "path": f"/exports/{way}/{{n:02}}"}},
    }


def tasks(way: str, objects: list[Object], ours: Object) -> list[Object]:
    apply = {"apply": True, "server_side_apply": {"field_manager": "bench"}}
    return {
        "ours": [{"name": "All", **ours}],
        "loop": [
            {
                "name": "Each",
                "kubernetes.core.k8s": {**apply, "definition": "{{ item }}"},
                "loop": objects,
                "loop_control": {"label": "{{ item.metadata.name }}"},
            }
        ],
        "list": [{"name": "All", "kubernetes.core.k8s": {**apply, "definition": objects}}],
    }[way]


class Storage:
    def __init__(self, api: Cluster, run: Run, environment: t.Mapping[str, str], folder: pathlib.Path) -> None:
        self.api = api
        self.run = run
        self.environment = environment
        self.folder = folder
        self.seconds: dict[str, dict[str, list[float]]] = {}
        self.requests: dict[str, dict[str, int]] = {}

    def playbook(self, name: str, way: str) -> list[str]:
        if name == "claims":
            wanted = claims(way)
            ours: Object = {"stateful.kube.manifests": {"definition": wanted, "wait": True, "wait_timeout": PATIENCE}}
        else:
            wanted = volumes(way)
            ours = {"stateful.kube.persistent_volumes": {"volumes": [family(way)]}}
        path = self.folder / f"{name}-{way}.yml"
        text = yaml.dump(play(tasks(way, wanted, ours)), Dumper=_Plain, sort_keys=False, width=120)
        path.write_text(f"---\n{text}", encoding="utf-8")
        return ["ansible-playbook", str(path)]

    def measure(self, rounds: int, say: t.Callable[[str], None]) -> None:
        self.clean()
        try:
            self._prepare()
            for number in range(rounds):
                self._round("claims, create", number, say, self._create_claims)
            for number in range(rounds):
                self._round("volumes, create", number, say, self._create_volumes)
            for what in ("claims", "volumes"):
                for number in range(rounds):
                    self._round(f"{what}, re-run", number, say, functools.partial(self._timed, what))
            with CountingProxy(self.environment) as counting:
                through = {**self.environment, "KUBECONFIG": str(counting.kubeconfig)}
                for what in ("claims", "volumes"):
                    for way in WAYS:
                        for _fills_the_caches in range(2):
                            counting.take()
                            self.run(f"count-{what}-{way}", self.playbook(what, way), through)
                            count = counting.take()
                        self.requests.setdefault(f"{what}, re-run", {})[way] = count.requests
        finally:
            self.clean()

    def _round(self, name: str, number: int, say: t.Callable[[str], None], measured: t.Callable[[str], float]) -> None:
        line = []
        for way in turned(WAYS, number):
            seconds = measured(way)
            self.seconds.setdefault(name, {}).setdefault(way, []).append(seconds)
            line.append(f"{way} {seconds:.2f}")
        say(f"{name} {number + 1}: {', '.join(line)} s")

    def _timed(self, what: str, way: str) -> float:
        return self.run(f"{what}-{way}", self.playbook(what, way), self.environment)[0]

    def _create_claims(self, way: str) -> float:
        self._delete("claims", way)
        begun = time.monotonic()
        self._timed("claims", way)
        while not self._bound(way):
            if time.monotonic() - begun > PATIENCE:
                raise TimeoutError(f"The claims of {way} were not bound within {PATIENCE} s: does {DRIVER} run?")
            time.sleep(0.1)
        return time.monotonic() - begun

    def _create_volumes(self, way: str) -> float:
        self._delete("volumes", way)
        return self._timed("volumes", way)

    def _bound(self, way: str) -> bool:
        found = self.api.list("v1", "PersistentVolumeClaim", SPACE)
        mine = [one for one in found if one["metadata"]["name"].startswith(f"{way}-")]
        return len(mine) == MANY and all(one["status"].get("phase") == "Bound" for one in mine)

    def _prepare(self) -> None:
        at_once = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": CLASS},
            "provisioner": DRIVER,
            "volumeBindingMode": "Immediate",
        }
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        path = self.folder / "storage-prepare.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [at_once, space]}), encoding="utf-8")
        self.run("kubectl", ["kubectl", "apply", "-f", str(path)], self.environment)

    def _delete(self, what: str, way: str) -> None:
        """Gone, with what was made for them: it would disturb what is measured next."""
        path = f"/api/v1/namespaces/{SPACE}/persistentvolumeclaims" if what == "claims" else "/api/v1/persistentvolumes"
        # One request for all: kubectl sends no more than some a second.
        command = ["kubectl", "delete", "--raw", f"{path}?labelSelector={LABEL}%3D{way}"]
        self.run("kubectl", command, self.environment)
        until = time.monotonic() + PATIENCE
        while self._remain(what, way):
            if time.monotonic() > until:
                raise TimeoutError(f"The {what} of {way} were not deleted within {PATIENCE} s: does {DRIVER} run?")
            time.sleep(0.2)

    def _remain(self, what: str, way: str) -> bool:
        for one in self.api.list("v1", "PersistentVolume"):
            claim = one["spec"].get("claimRef") or {}
            of_claim = claim.get("namespace") == SPACE and claim["name"].startswith(f"{way}-")
            if of_claim if what == "claims" else (one["metadata"].get("labels") or {}).get(LABEL) == way:
                return True
        return False

    def clean(self) -> None:
        for way in WAYS:
            self._delete("claims", way)
            self._delete("volumes", way)
        for kind, name in (("namespace", SPACE), ("storageclass", CLASS)):
            self.run("kubectl", ["kubectl", "delete", kind, name, "--ignore-not-found"], self.environment)

    def table(self) -> str:
        cells = [["", *(HEADS[way] for way in WAYS)]]
        for name, taken in self.seconds.items():
            cells.append([f"{MANY} {name}, s", *(figure(taken[way]) for way in WAYS)])
            others = [f"{figure(ratios(taken[way], taken['ours']))} x" for way in WAYS[1:]]
            cells.append(["  as ratio to ours", "-", *others])
            if name in self.requests:
                cells.append(["  requests", *(str(self.requests[name][way]) for way in WAYS)])
        return aligned(cells)

    def report(self, result: pathlib.Path, load: tuple[float, float, float], title: str) -> None:
        print(f"\n{title}; load before and after: {load[0]:.1f}, {os.getloadavg()[0]:.1f}\n\n{self.table()}\n")
        print("median (lowest-highest); ratios are taken round by round; created claims: until all are bound")
        content = {"seconds": self.seconds, "requests": self.requests, "load": load, "processors": os.cpu_count()}
        result.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class _Plain(yaml.SafeDumper):
    """Without anchors, as one would write it."""

    def ignore_aliases(self, data: t.Any) -> bool:
        return True
