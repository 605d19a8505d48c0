# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Classes of an NFS provisioner that would have claims share, overwrite or delete what belongs to others."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Object
from harness.trial import Trial
from harness.verdict import check
from storage.export import Export, differences, export, tree, wait_until

# What others have on the export, in the places that the claims below ask for or lie beside.
THEIRS = ("precious/ledger", "precious/year/december", "elsewhere/notes")
TOLD_WITHIN = 60
# Patterns that the role is to refuse before anything is made, and why.
PATTERNS = {
    "${.PVC.name}": "by which two claims could share a folder",
    "${.PVC.namespace}/${.PVC.name}": "the archive of a folder is named after the last part of its path",
    "${.PVC.namespace}/${.PVC.name}/${.PVC.annotations.nfs.io/path}": "lets everybody who may make a claim choose",
}


def provisioner(trial: Trial) -> None:
    with trial.namespace() as namespace, export(trial, namespace, *THEIRS) as found:
        begun = tree(found.folder)
        check(len(begun) >= len(THEIRS), f"The files of others are not there: {sorted(begun)}")
        _patterns(found, begun)
        found.provisioner()
        claims = Claims(found)
        _shared(claims)
        _empty_annotation(claims)
        _nested(claims)
        _archived(claims)
        _archive_taken(claims)
        _class_gone(claims)
        # Whatever else happened: what others had is as it was.
        theirs = {path: begun[path] for path in begun}
        harmed = [line for line in differences(theirs, tree(found.folder)) if not line.endswith("is new")]
        check(not harmed, f"What belongs to others was touched: {'; '.join(harmed)}")
        trial.note(f"{len(theirs)} files and folders of others have the mode, owner and hash that they had")


class Claims:
    """Claims of the provisioner's own class and of dangerous ones, which people make without the role."""

    def __init__(self, found: Export) -> None:
        self.found = found
        self.trial = found.trial
        self.api = found.api
        [own] = [
            one for one in self.api.list("storage.k8s.io/v1", "StorageClass") if one["metadata"]["name"] == found.name
        ]
        self.provisioner = own["provisioner"]

    def storage_class(self, name: str, **parameters: str) -> str:
        full = f"{self.found.name}-{name}"
        wanted = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": full},
            "provisioner": self.provisioner,
            "parameters": parameters,
        }
        self.api.apply(wanted, manager="faults")
        return full

    def make(self, name: str, storage_class: str, **annotations: str) -> None:
        wanted: Object = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.found.namespace, "annotations": annotations},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": "16Mi"}},
            },
        }
        self.api.apply(wanted, manager="faults")

    def bound(self, name: str) -> pathlib.PurePosixPath:
        """The folder that the claim got, below the export, with a file of its own in it."""
        wait_until(lambda: self._phase(name) == "Bound", TOLD_WITHIN, f"claim {name} gets its volume")
        volume = self.volume(name)
        folder = pathlib.PurePosixPath(volume["spec"]["nfs"]["path"]).relative_to(self.found.path)
        self.found.shell('echo "data of $2" >"$1/file"', str(folder), name)
        return folder

    def _phase(self, name: str) -> str:
        found = self.api.get("v1", "PersistentVolumeClaim", name, self.found.namespace) or {}
        return str((found.get("status") or {}).get("phase"))

    def volume(self, name: str) -> Object:
        [found] = [
            one
            for one in self.api.list("v1", "PersistentVolume")
            if (one["spec"].get("claimRef") or {}).get("namespace") == self.found.namespace
            and one["spec"]["claimRef"]["name"] == name
        ]
        return found

    def refused(self, title: str, name: str, says: str, before: t.Mapping[str, str]) -> None:
        """The claim gets no volume, an event says why, and nothing on the export has changed."""
        self._told(title, self.found.namespace, name, "ProvisioningFailed", says)
        check(self._phase(name) == "Pending", f"{title}: claim {name} is {self._phase(name)}.")
        self._same(title, before)
        self.api.delete("v1", "PersistentVolumeClaim", name, self.found.namespace)

    def kept(self, title: str, name: str, says: str, before: t.Mapping[str, str]) -> Object:
        """The claim is deleted; its volume stays, an event says why, and nothing on the export has changed."""
        volume = self.volume(name)
        self.api.delete("v1", "PersistentVolumeClaim", name, self.found.namespace)
        self._told(title, "default", volume["metadata"]["name"], "VolumeFailedDelete", says)
        check(
            self.api.get("v1", "PersistentVolume", volume["metadata"]["name"]),
            f"{title}: the volume went all the same.",
        )
        self._same(title, before)
        return volume

    def _told(self, title: str, namespace: str, name: str, reason: str, says: str) -> None:
        said: list[str] = []

        def told() -> bool:
            events = self.api.list("v1", "Event", namespace, fields=f"involvedObject.name={name},reason={reason}")
            said[:] = [str(event.get("message")) for event in events]
            return any(says in text for text in said)

        wait_until(told, TOLD_WITHIN, f"{title}: event {reason} of {name} says `{says}`; there are {said}")

    def _same(self, title: str, before: t.Mapping[str, str]) -> None:
        changed = differences(before, tree(self.found.folder))
        check(not changed, f"{title}: on the export {'; '.join(changed)}.")

    def tree(self) -> dict[str, str]:
        return tree(self.found.folder)

    def note(self, text: str) -> None:
        self.trial.note(text)


def _patterns(found: Export, before: t.Mapping[str, str]) -> None:
    for pattern, says in PATTERNS.items():
        given = {
            "nfs_provisioner_name": f"{found.name}-wrong",
            "nfs_provisioner_namespace": found.namespace,
            "nfs_provisioner_server": found.lab.nfs_server,
            "nfs_provisioner_path": found.path,
            "nfs_provisioner_path_pattern": pattern,
        }
        run = found.trial.play_playbook("nfs_provisioner", given)
        text = " ".join(run.output.split())
        check(
            run.status and says in text, f"The role takes the pattern {pattern}, or does not say why not: {run.message}"
        )
        classes = [one["metadata"]["name"] for one in found.api.list("storage.k8s.io/v1", "StorageClass")]
        check(f"{found.name}-wrong" not in classes, f"The role refuses the pattern {pattern} and makes its class.")
    changed = differences(before, tree(found.folder))
    check(not changed, f"Refused patterns changed the export: {'; '.join(changed)}")
    found.trial.note(f"{len(PATTERNS)} patterns that share, nest or leave the choice to others: refused by the role")


def _shared(claims: Claims) -> None:
    """Two claims on one path."""
    shared = claims.storage_class("shared", pathPattern="common", onDelete="delete")
    claims.make("first", shared)
    claims.bound("first")
    before = claims.tree()
    claims.make("second", shared)
    claims.refused("two claims on one path", "second", "is in use by volume", before)
    claims.note("two claims on one path: the second gets no volume")


def _empty_annotation(claims: Claims) -> None:
    chosen = claims.storage_class("chosen", pathPattern="${.PVC.annotations.place}", onDelete="delete")
    before = claims.tree()
    for name, given in (("without", {}), ("empty", {"place": ""}), ("above", {"place": "../elsewhere"})):
        claims.make(name, chosen, **given)
        says = "no folder below the export" if name == "above" else "has no annotations.place"
        claims.refused(f"annotation {name}", name, says, before)
    claims.note("annotation missing, empty, and leading out of the export: no volume")


def _nested(claims: Claims) -> None:
    chosen = claims.storage_class("chosen", pathPattern="${.PVC.annotations.place}", onDelete="delete")
    claims.make("outer", chosen, place="nest/outer")
    claims.bound("outer")
    before = claims.tree()
    for name, place in (("inner", "nest/outer/inner"), ("above", "nest")):
        claims.make(name, chosen, place=place)
        claims.refused(f"nested: {place}", name, "is in use by volume", before)
    claims.note("a folder in another volume's, and one around it: no volume")


def _archived(claims: Claims) -> None:
    """The plain case, without which the others would prove nothing: it is archived, whole."""
    claims.make("plain", claims.found.name)
    folder = claims.bound("plain")
    before = claims.tree()
    claims.api.delete("v1", "PersistentVolumeClaim", "plain", claims.found.namespace)
    wait_until(lambda: f"archived-{folder}/file" in claims.tree(), TOLD_WITHIN, f"{folder} is archived")
    after = claims.tree()
    check(after[f"archived-{folder}/file"] == before[f"{folder}/file"], "The archive holds something else.")
    check(f"{folder}/file" not in after, "The folder is there beside its archive.")
    claims.note("a claim is deleted: its folder is archived, with the same hash")


def _archive_taken(claims: Claims) -> None:
    claims.make("taken", claims.found.name)
    folder = claims.bound("taken")
    claims.found.shell('umask 0; mkdir "$1"; echo "archived before" >"$1/file"', f"archived-{folder}")
    before = claims.tree()
    claims.kept("archive name taken", "taken", f"archived-{folder} exists", before)
    claims.note("the archive's name is taken: nothing is overwritten, the volume stays and says why")


def _class_gone(claims: Claims) -> None:
    gone = claims.storage_class("gone", onDelete="delete")
    claims.make("orphan", gone)
    folder = claims.bound("orphan")
    before = claims.tree()
    claims.api.delete("storage.k8s.io/v1", "StorageClass", gone)
    claims.kept("class deleted before its volume", "orphan", "not found", before)
    check(f"{folder}/file" in claims.tree(), "The file of the orphan is gone.")
    claims.note("the class is deleted before its volume: nothing is touched, the volume stays and says why")
