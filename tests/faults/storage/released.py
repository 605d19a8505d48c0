# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Somebody deletes a database and its claims; its volumes are Released, and those of another set lie beside them."""

from __future__ import annotations

import typing as t

from mongodb.replica_set import MEMBERS, NAME, PODS, SET_ID_ANNOTATION, ReplicaSet

from harness.playbook import Run
from harness.proxy import Proxy
from harness.trial import Trial
from harness.verdict import check
from storage.export import BUSYBOX, Export, differences, export, tree, wait_until

OTHER = "other"
# Seconds.
GONE_WITHIN = 60
SHORT = 20


def released(trial: Trial) -> None:
    with trial.namespace() as namespace, export(trial, namespace) as found, trial.proxy(ReplicaSet) as proxy:
        volumes = Volumes(trial, found)
        volumes.make()
        application = ReplicaSet(trial.api, namespace, persistent=True, storage_class=found.name)
        trial.play(application, proxy).expect_success("The deployment")
        _other(trial, found).expect_success("The deployment of the other set")
        ids = {name: _recorded(trial, namespace, name) for name in (NAME, OTHER)}
        check(len(set(ids.values())) == 2 and all(ids.values()), f"Two sets were expected, and the ids are {ids}.")
        with trial.writing(application) as writer:
            writer.wait_for(50, 60)
            _accident(trial, volumes)
            before = tree(found.folder)
            volumes.shown(ids)
            _not_by_itself(trial, application, proxy, volumes)
            volumes.refused(ids)
            changed = differences(before, tree(found.folder))
            check(not changed, f"In volumes that nobody gave away {'; '.join(changed[:5])}.")
            volumes.rebound(ids[NAME])
            trial.play(application, proxy).expect_success("The run after the volumes were given back")
            writer.wait_for(20, 60)
            check(_recorded(trial, namespace, NAME) == ids[NAME], "The set has another id than before.")
        broken = application.validate()
        check(not broken, f"validate finds: {'; '.join(broken)}")
        trial.note("the same set id, every acknowledged write is there, every collection is valid")


class Volumes:
    """Volumes by hand: one for each member of two sets, in folders of the export."""

    def __init__(self, trial: Trial, found: Export) -> None:
        self.trial = trial
        self.found = found
        self.names = {NAME: [f"{found.name}-{NAME}-{n}" for n in range(MEMBERS)], OTHER: [f"{found.name}-{OTHER}-0"]}
        self.every = [*self.names[NAME], *self.names[OTHER]]

    def run(self, **more: t.Any) -> Run:
        families = [
            {
                "name": f"{self.found.name}-{name}-{{n}}",
                "count": len(names),
                "capacity": "1Gi",
                "storage_class_name": self.found.name,
                "claim_ref": {"namespace": self.found.namespace, "name": f"data-{name}-{{n}}"},
                "source": {"nfs": {"server": self.found.lab.nfs_server, "path": f"{self.found.path}/{name}-{{n}}"}},
            }
            for name, names in self.names.items()
        ]
        inside = {"namespace": self.found.namespace, "image": self.found.lab.image(BUSYBOX)}
        return self.trial.task("persistent_volumes", {"volumes": families, **inside, **more})

    def make(self) -> None:
        for name, names in self.names.items():
            for number in range(len(names)):
                self.found.shell('umask 0; mkdir "$1"', f"{name}-{number}")
        run = self.run()
        check(not run.status, f"The volumes were not made: {run.message}")

    def references(self) -> dict[str, t.Any]:
        objects = {one["metadata"]["name"]: one for one in self.found.volumes()}
        return {name: objects[name]["spec"].get("claimRef") for name in self.every}

    def phases(self) -> dict[str, str]:
        return {one["metadata"]["name"]: one["status"]["phase"] for one in self.found.volumes()}

    def shown(self, ids: t.Mapping[str, str]) -> None:
        """Each with its size, its age, the claim that it had, and which set's data is inside."""
        run = self.run(look_inside=True)
        check(not run.status, f"The volumes could not be shown: {run.message}")
        told = {one["name"]: one for one in run.result["state"]["released"]}
        check(set(self.every) <= set(told), f"Released are {self.every}, and shown are {sorted(told)}.")
        for name, volumes in self.names.items():
            for number, volume in enumerate(volumes):
                one = told[volume]
                inside = one.get("inside") or {}
                seen = (
                    one["capacity"],
                    one["claim"],
                    one["age"] is not None,
                    inside.get("engine"),
                    (inside.get("identity") or {}).get("replica_set_id"),
                    bool(inside.get("bytes")),
                )
                wanted = ("1Gi", f"{self.found.namespace}/data-{name}-{number}", True, "mongodb", ids[name], True)
                check(seen == wanted, f"{volume} is shown as {seen}, and is {wanted}.")
        first = told[self.every[0]]
        self.trial.note(
            f"shown: {first['name'].removeprefix(self.found.name)}, {first['capacity']}, {first['age']} s, of "
            f"{first['claim'].partition('/')[2]}, inside {first['inside']['engine']} "
            f"{first['inside']['identity']}, {first['inside']['bytes']} bytes; {len(told)} in all"
        )

    def refused(self, ids: t.Mapping[str, str]) -> None:
        """The folder of the other set instead of one's own: by a mistake in one name."""
        before = self.references()
        wrong = self.names[OTHER][0]
        run = self.run(rebind=[wrong], expect=[{"volume": wrong, "engine": "mongodb", "replica_set_id": ids[NAME]}])
        message = str(run.result.get("msg", ""))
        check(run.status, "The volume of another set was given away, although another set was expected in it.")
        check(ids[OTHER] in message, f"The message does not say which set is inside: {message}")
        check(self.references() == before, "The task was refused, and changed a volume.")
        self.trial.note(f"a wrong set's folder: {' '.join(message.split())[:260]}")

    def rebound(self, set_id: str) -> None:
        mine = self.names[NAME]
        expect = [{"volume": one, "engine": "mongodb", "replica_set_id": set_id} for one in mine]
        run = self.run(rebind=mine, expect=expect)
        check(not run.status, f"The volumes of the same set were not given back: {run.message}")
        wait_until(
            lambda: [self.phases()[one] for one in self.every] == ["Bound"] * MEMBERS + ["Released"],
            GONE_WITHIN,
            f"the volumes of {NAME} are Bound, and the other set's is not; they are {self.phases()}",
        )
        self.trial.note(f"{MEMBERS} volumes given back on opt-in, each with the set id that was expected in it")


def _other(trial: Trial, found: Export) -> Run:
    given = {
        "mongodb_name": OTHER,
        "mongodb_namespace": found.namespace,
        "mongodb_members": 1,
        "mongodb_storage_class": found.name,
        "mongodb_storage_size": "1Gi",
    }
    return trial.play_playbook("mongodb", given)


def _recorded(trial: Trial, namespace: str, name: str) -> str:
    found = trial.api.get("apps/v1", "StatefulSet", name, namespace) or {"metadata": {}}
    return str((found["metadata"].get("annotations") or {}).get(SET_ID_ANNOTATION, ""))


def _accident(trial: Trial, volumes: Volumes) -> None:
    """StatefulSets and claims are deleted; Secrets are not, as data without its password is lost anyway."""
    namespace = volumes.found.namespace
    for name in (NAME, OTHER):
        trial.api.delete("apps/v1", "StatefulSet", name, namespace)
    pods = (*PODS, f"{OTHER}-0")
    # The pods end as they do on a deletion, and take their time to close their files.
    wait_until(
        lambda: not [pod for pod in pods if trial.api.get("v1", "Pod", pod, namespace)], GONE_WITHIN, "the pods end"
    )
    for pod in pods:
        trial.api.delete("v1", "PersistentVolumeClaim", f"data-{pod}", namespace)
    wait_until(lambda: set(volumes.phases().values()) == {"Released"}, GONE_WITHIN, "all volumes are Released")
    trial.say("StatefulSets and claims are deleted, the volumes are Released")


def _not_by_itself(trial: Trial, application: ReplicaSet, proxy: Proxy, volumes: Volumes) -> None:
    """A run that nobody told to take the old data: no volume is given away, and no set is made."""
    before = volumes.references()
    proxy.watch()
    run = trial.play(application, proxy, mongodb_wait_timeout=SHORT)
    check(run.status, "The run ends well, although its claims have no volumes.")
    check(volumes.references() == before, "A run without opt-in gave a volume to a claim.")
    check(not proxy.made("replSetInitiate"), "A run without opt-in began a new set.")
    text = " ".join(run.output.split())
    check("Released from" in text, f"The message does not tell of the volumes that are Released: {run.message}")
    trial.note("a run without opt-in takes no volume, begins no set, and tells of the volumes that are Released")
