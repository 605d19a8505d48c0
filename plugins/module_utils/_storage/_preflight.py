# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""From what was seen of a class and of a volume to findings, and from findings to a verdict. Pure."""

from __future__ import annotations

import dataclasses
import enum
import re
import statistics
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._claims import NO_PROVISIONER
from ansible_collections.stateful.kube.plugins.module_utils._cluster._quantity import size_words
from ansible_collections.stateful.kube.plugins.module_utils._storage._classes import is_default
from ansible_collections.stateful.kube.plugins.module_utils._storage._former import BY_PROVISIONER, REDIRECTED
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_needs import KINDS, MUST
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import (
    BY_NAME,
    LATE,
    RWOP,
    RWX,
    preset_of,
)

Object = t.Mapping[str, t.Any]

FIT, REMARKS, UNFIT = "fit", "fit with remarks", "unfit"

_CSI_NAME = re.compile(r"(^|[.-])csi([.-]|$)")
# NFS under names that do not say so.
_NFS = ("efs.csi.aws.com", "filestore.csi.storage.gke.io", "fuseim.pri/ifs")
_NFS_NAME = re.compile(r"(^|[^a-z])nfs([^a-z]|$)")
# Volume sources that any number of nodes mount without anybody attaching them first.
_NEVER_ATTACHED = ("nfs", "cephfs", "glusterfs")
# A file system keeps a part of its device for itself: a tenth, and what a small one needs to be one at all.
_USABLE = 0.9
_SMALLEST = 16 << 20
# A file system this much larger than its claim serves more than this claim.
_SHARED = 1.5


class Outcome(enum.IntEnum):
    """What a check came to. Greater is worse."""

    PASSED = 0
    UNPROVEN = 1
    NOTED = 2
    FAILED = 3

    @property
    def word(self) -> str:
        return ("passed", "not proven", "noted", "failed")[self]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One check, what it came to, and what was seen."""

    check: str
    outcome: Outcome
    detail: str
    figures: t.Mapping[str, float] = dataclasses.field(default_factory=dict)

    def report(self) -> dict[str, t.Any]:
        return {
            "check": self.check,
            "result": self.outcome.word,
            "detail": self.detail,
            "figures": dict(self.figures),
        }


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether one kind of application may live there."""

    kind: str
    verdict: str
    #: the checks that led to it, and for each a sentence
    checks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def report(self) -> dict[str, t.Any]:
        return {"verdict": self.verdict, "reasons": list(self.reasons), "sources": list(KINDS[self.kind].sources)}

    def sentence(self) -> str:
        """In a few words: the checks that led to it, which the table above explains."""
        return f"{self.verdict}: {', '.join(self.checks)}" if self.checks else self.verdict


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the storage is to be proven for."""

    #: the user that the pods run as; None where the platform chooses
    user: t.Optional[int]
    #: bytes of one claim
    size: int
    #: claims of this size
    count: int = 1
    #: median of an fsync above which nothing is fit, in milliseconds; None for no such limit
    max_fsync_ms: t.Optional[float] = None


@dataclasses.dataclass(frozen=True)
class Volume:
    """What a PersistentVolume says of itself; ``source`` is the key of its source, such as nfs or csi."""

    modes: tuple[str, ...]
    source: str = ""
    #: whether only some nodes can have it
    tied: bool = False
    #: whether a controller attaches it to a node before it is mounted
    attached: bool = True


@dataclasses.dataclass(frozen=True)
class Lock:
    """Words of two processes about one lock: who holds it, who tries meanwhile, who tries after it was given back."""

    held: str
    meanwhile: str = ""
    afterwards: str = ""


@dataclasses.dataclass(frozen=True)
class Second:
    """What became of a second pod on the same volume.

    ``fate`` is "ran", "refused" (the scheduler keeps it away because of ReadWriteOncePod) or "absent".
    """

    fate: str
    #: the nodes of the first and of the second pod
    nodes: tuple[str, str] = ("", "")
    #: why it is absent
    why: str = ""
    #: "ok", or what went wrong when each was to see the other's file
    sees: str = ""

    @property
    def elsewhere(self) -> bool:
        return self.fate == "ran" and self.nodes[0] != self.nodes[1]


# Verdicts


def weigh(outcome: Outcome, weight: str) -> str:
    """The verdict that one outcome leads to, by what the check means to the application."""
    if weight == MUST:
        return (FIT, REMARKS, REMARKS, UNFIT)[outcome]
    return (FIT, FIT, REMARKS, REMARKS)[outcome]


def judge(kind: str, findings: t.Iterable[Finding]) -> Verdict:
    """The verdict for one kind. A worse finding never leads to a better verdict."""
    seen = {finding.check: finding for finding in findings}
    told: dict[str, list[tuple[str, str]]] = {FIT: [], REMARKS: [], UNFIT: []}
    for need in KINDS[kind].needs:
        finding = seen.get(need.check, Finding(need.check, Outcome.UNPROVEN, "not looked at"))
        level = weigh(_slow(kind, finding), need.weight)
        told[level].append((need.check, f"{need.check}: {finding.detail.rstrip('.')} ({need.why})"))
    level = UNFIT if told[UNFIT] else REMARKS if told[REMARKS] else FIT
    if level == FIT:
        return Verdict(kind, FIT)
    return Verdict(kind, level, tuple(check for check, _why in told[level]), tuple(why for _check, why in told[level]))


def judge_all(findings: t.Sequence[Finding]) -> tuple[Verdict, ...]:
    return tuple(judge(kind, findings) for kind in KINDS)


def _slow(kind: str, finding: Finding) -> Outcome:
    """An fsync that works and is slower than the rule of thumb for this kind is worth a remark."""
    thumb = KINDS[kind].fsync_ms
    median = finding.figures.get("median_ms", 0.0)
    slow = finding.check == "fsync" and thumb is not None and median > thumb
    return max(finding.outcome, Outcome.NOTED) if slow else finding.outcome


# The class


def is_nfs(provisioner: str) -> bool:
    """Whether volumes of this provisioner are folders of an NFS server, as far as its name tells."""
    name = provisioner.lower()
    return name in _NFS or bool(_NFS_NAME.search(name))


def choose_class(name: str, classes: t.Sequence[Object]) -> tuple[t.Optional[Object], Finding]:
    """The class that a claim gets, as Kubernetes decides it; ``name`` is empty for a claim that names none."""
    names = sorted(one["metadata"]["name"] for one in classes)
    there = f"there are {', '.join(names)}" if names else "there is none at all"
    if name:
        found = next((one for one in classes if one["metadata"]["name"] == name), None)
        if found is None:
            return None, Finding("class", Outcome.FAILED, f"there is no StorageClass {name}; {there}")
        return found, Finding("class", Outcome.PASSED, f"{name}, provisioner {found.get('provisioner')}")
    defaults = [one for one in classes if is_default(one)]
    if not defaults:
        return None, Finding(
            "class", Outcome.FAILED, f"no StorageClass is the default, so a claim without class gets no volume; {there}"
        )
    # The newest wins, and of two of one second the first by name.
    defaults.sort(key=lambda one: str(one["metadata"]["name"]))
    defaults.sort(key=lambda one: str(one["metadata"].get("creationTimestamp", "")), reverse=True)
    found = defaults[0]
    chosen = found["metadata"]["name"]
    if len(defaults) > 1:
        every = ", ".join(sorted(one["metadata"]["name"] for one in defaults))
        detail = f"{len(defaults)} default classes ({every}); Kubernetes takes the newest, {chosen}"
        return found, Finding("class", Outcome.NOTED, detail)
    detail = f"{chosen}, the default class, provisioner {found.get('provisioner')}"
    return found, Finding("class", Outcome.PASSED, detail)


def class_findings(chosen: Object, finding: Finding, drivers: t.Optional[t.Collection[str]]) -> tuple[Finding, ...]:
    """What is known of a class without any pod. ``drivers``: names of CSIDriver objects, None where unknown."""
    provisioner = str(chosen.get("provisioner", ""))
    missing = _missing_driver(provisioner, drivers)
    if missing:
        finding = Finding("class", Outcome.FAILED, f"{chosen['metadata']['name']}: {missing}")
    found = [finding]
    late = chosen.get("volumeBindingMode") == LATE
    detail = "WaitForFirstConsumer: the volume is made for the node of the first pod" if late else "Immediate"
    found.append(Finding("binding", Outcome.PASSED, detail))
    if chosen.get("allowVolumeExpansion"):
        found.append(Finding("expansion", Outcome.PASSED, "allowVolumeExpansion is true"))
    else:
        found.append(Finding("expansion", Outcome.NOTED, "allowVolumeExpansion is not true"))
    if chosen.get("reclaimPolicy", "Delete") == "Delete":
        found.append(Finding("reclaim", Outcome.NOTED, "reclaimPolicy is Delete: a volume goes with its claim"))
    else:
        found.append(Finding("reclaim", Outcome.PASSED, f"reclaimPolicy is {chosen['reclaimPolicy']}"))
    parameters = chosen.get("parameters") or {}
    archives = parameters.get("onDelete", "retain" if parameters.get("archiveOnDelete") != "false" else "delete")
    if is_nfs(provisioner) and not _CSI_NAME.search(provisioner) and archives != "delete":
        detail = "archiveOnDelete is not false: an empty folder of each deleted claim stays on the server, this one too"
        found.append(Finding("archive", Outcome.NOTED, detail))
    return tuple(found)


def by_hand(chosen: Object) -> bool:
    """Whether people make the volumes of this class."""
    return chosen.get("provisioner") == NO_PROVISIONER


def _missing_driver(provisioner: str, drivers: t.Optional[t.Collection[str]]) -> str:
    """What is not installed that this provisioner needs, or nothing."""
    former = BY_PROVISIONER.get(provisioner)
    if former and former.fate != REDIRECTED:
        return f"provisioner {provisioner} went with Kubernetes {former.version}: use {former.use}"
    driver = BY_NAME[former.preset].provisioner if former else provisioner
    known = preset_of(None, driver)
    if drivers is None or driver in drivers or not (known.csi if known else _CSI_NAME.search(driver)):
        return ""
    what = known.install if known else "the CSI driver of that name"
    return f"there is no CSIDriver {driver}, which makes its volumes: install {what}"


# The volume


def second_place(volume: Volume) -> str:
    """Where a second pod is to be: "refused", on the "same" node, or on "another" one if there is any."""
    if RWOP in volume.modes:
        return "refused"
    if volume.tied:
        return "same"
    if RWX in volume.modes or volume.source in _NEVER_ATTACHED or not volume.attached:
        return "another"
    return "same"


def solo_findings(said: t.Mapping[str, str], wanted: Wanted) -> tuple[Finding, ...]:
    """What one pod saw of the volume. ``said`` holds the lines of the probe program by their names."""
    user = said.get("uid", "?")
    found = [_write(said, user)]
    if found[0].outcome is Outcome.PASSED:
        found.append(_owner(said, user))
        found.append(_fsync(said, wanted.max_fsync_ms))
        found += [
            _told(said, "rename", "rename", "a file was replaced while another process read it; it was never missing"),
            _told(said, "hard_link", "hard_link", "both names lead to one file"),
            _told(said, "exclusive", "exclusive", "a file is created by one process only"),
            _told(said, "mmap", "mmap", "what was written through shared memory is in the file"),
        ]
    found.append(_space(said, wanted))
    return tuple(found)


def root_finding(said: t.Mapping[str, str], user: t.Optional[int]) -> Finding:
    """What becomes of root, from a pod that ran as root."""
    owner = said.get("root_owner", "")
    chown = said.get("chown", "failed")
    if chown == "ok":
        kept = "" if owner == "0" else f", though a file of root belongs to {owner}"
        return Finding("chown", Outcome.PASSED, f"root gave a file to user {user}{kept}")
    squashed = f"root_squash: a file of root belongs to user {owner}; " if owner not in ("", "0") else ""
    return Finding("chown", Outcome.FAILED, f"{squashed}{_failure(chown)}")


def access_finding(volume: Volume, second: Second) -> Finding:
    """Whether the volume is shared, or not shared, as its access modes say."""
    modes = ", ".join(volume.modes)
    if RWOP in volume.modes:
        if second.fate == "refused":
            return Finding("access", Outcome.PASSED, f"{modes}: a second pod was kept away")
        if second.fate == "ran":
            return Finding("access", Outcome.FAILED, f"{modes}, and a second pod was let in on {second.nodes[1]}")
    if second.fate != "ran":
        return Finding("access", Outcome.UNPROVEN, f"{modes}: no second pod ran: {second.why}")
    if second.sees != "ok":
        where = f"{second.nodes[0]} and {second.nodes[1]}" if second.elsewhere else second.nodes[0]
        return Finding("access", Outcome.FAILED, f"{modes}: two pods on {where}: {_failure(second.sees)}")
    if RWX in volume.modes:
        if second.elsewhere:
            return Finding(
                "access", Outcome.PASSED, f"{modes}: pods on {second.nodes[0]} and {second.nodes[1]} share the files"
            )
        if volume.tied:
            return Finding("access", Outcome.FAILED, f"{modes}, and only {second.nodes[0]} can have the volume")
        detail = f"{modes}: two pods share the files on {second.nodes[0]}; no other node took the second one"
        return Finding("access", Outcome.UNPROVEN, detail)
    if second.elsewhere:
        detail = (
            f"{modes} is not enforced: pods on {second.nodes[0]} and {second.nodes[1]} wrote at once, so only the "
            "application's own lock keeps a second server out"
        )
        return Finding("access", Outcome.NOTED, detail)
    return Finding("access", Outcome.PASSED, f"{modes}: for one node, where several pods may share it")


def lock_finding(check: str, lock: Lock, volume: Volume, second: Second) -> Finding:
    """Whether a lock of one pod is seen by another. ``check`` is fcntl_lock or flock."""
    missing = {"fcntl_lock": "neither perl nor python3", "flock": "no flock"}[check]
    if lock.held == "none":
        return Finding(check, Outcome.UNPROVEN, f"the image has {missing} to try it with")
    if lock.held != "held":
        return Finding(check, Outcome.FAILED, f"no lock could be taken: {_failure(lock.held)}")
    two = second.fate == "ran"
    who = "a second pod" if two else "a second process"
    if lock.meanwhile == "held":
        return Finding(check, Outcome.FAILED, f"{who} got the lock while it was held")
    if lock.meanwhile != "refused":
        return Finding(check, Outcome.FAILED, f"{who} got no clear answer: {_failure(lock.meanwhile)}")
    if lock.afterwards != "held":
        return Finding(check, Outcome.FAILED, f"the lock was not free again: {_failure(lock.afterwards)}")
    if second.elsewhere:
        where = f"between {second.nodes[0]} and {second.nodes[1]}"
        return Finding(check, Outcome.PASSED, f"refused to {who} while it was held, {where}")
    if two and volume.tied:
        return Finding(check, Outcome.PASSED, f"refused to {who} while it was held, on {second.nodes[0]}")
    if second.fate == "refused":
        return Finding(check, Outcome.PASSED, f"refused to {who} of the one pod that may have the volume")
    where = f"on {second.nodes[0]}; not proven between nodes" if two else f"in one pod: {second.why}"
    return Finding(check, Outcome.UNPROVEN, f"refused to {who} while it was held, {where}")


def _write(said: t.Mapping[str, str], user: str) -> Finding:
    for step in ("mkdir", "write"):
        if said.get(step) != "ok":
            root = said.get("root", "")
            seen = f"; the volume's root folder is {root} (mode, user, group)" if root else ""
            return Finding("write", Outcome.FAILED, f"as user {user}: {_failure(said.get(step, ''))}{seen}")
    groups = said.get("groups", "")
    return Finding("write", Outcome.PASSED, f"as user {user}, groups {groups}")


def _owner(said: t.Mapping[str, str], user: str) -> Finding:
    owner = said.get("owner", "?")
    if owner == user:
        return Finding("owner", Outcome.PASSED, f"a new file belongs to user {owner}, who wrote it")
    detail = f"a file that user {user} wrote belongs to user {owner}: all_squash, anonuid, or a fixed uid of the mount"
    return Finding("owner", Outcome.FAILED, detail)


def _fsync(said: t.Mapping[str, str], limit: t.Optional[float]) -> Finding:
    text = said.get("fsync", "")
    try:
        taken = sorted(float(word) * 1000 for word in text.split())
    except ValueError:
        return Finding("fsync", Outcome.FAILED, _failure(text))
    if not taken:
        return Finding("fsync", Outcome.UNPROVEN, "the dd of the image tells no time")
    median, worst = round(statistics.median(taken), 2), round(taken[-1], 2)
    figures = {"writes": float(len(taken)), "median_ms": median, "worst_ms": worst}
    detail = f"median {median} ms, worst {worst} ms of {len(taken)} writes of 4 KiB"
    if limit is not None and median > limit:
        return Finding("fsync", Outcome.FAILED, f"{detail}: max_fsync_ms is {limit:g}", figures)
    return Finding("fsync", Outcome.PASSED, detail, figures)


def _told(said: t.Mapping[str, str], name: str, check: str, passed: str) -> Finding:
    text = said.get(name, "")
    if text == "ok":
        return Finding(check, Outcome.PASSED, passed)
    if text in ("", "none"):
        return Finding(check, Outcome.UNPROVEN, "the image has nothing to try it with")
    return Finding(check, Outcome.FAILED, _failure(text))


def _space(said: t.Mapping[str, str], wanted: Wanted) -> Finding:
    try:
        free, whole = int(said["free_kib"]) * 1024, int(said["size_kib"]) * 1024
    except (KeyError, ValueError):
        return Finding("space", Outcome.UNPROVEN, "the df of the image tells nothing")
    shared = whole > wanted.size * _SHARED
    own = max(wanted.size * _USABLE - _SMALLEST, wanted.size / 2)
    need = wanted.size * wanted.count if shared else own
    figures = {"free_bytes": float(free), "size_bytes": float(whole), "wanted_bytes": float(wanted.size * wanted.count)}
    of = f"{size_words(free)} free of {size_words(whole)}"
    claims = (
        f"{wanted.count} claims of {size_words(wanted.size)}"
        if shared and wanted.count > 1
        else size_words(wanted.size)
    )
    if free < need:
        return Finding("space", Outcome.FAILED, f"{of}, and {claims} wanted", figures)
    note = ", shared with other claims" if shared else ""
    return Finding("space", Outcome.PASSED, f"{of}{note}; {claims} wanted", figures)


def _failure(text: str) -> str:
    """What the probe said went wrong, without its own first word."""
    return text.removeprefix("failed").strip() or "no answer"


# What people read


def lines(title: str, findings: t.Sequence[Finding], verdicts: t.Sequence[Verdict]) -> list[str]:
    """The table of checks, and under it the verdicts."""
    rows = [("CHECK", "RESULT", "WHAT WAS SEEN")]
    rows += [(finding.check, finding.outcome.word, finding.detail) for finding in findings]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    shown = [f"{row[0]:<{wide[0]}}  {row[1]:<{wide[1]}}  {row[2]}" for row in rows]
    broad = max(len(verdict.kind) for verdict in verdicts)
    return [title, *shown, *(f"{verdict.kind:<{broad}}  {verdict.sentence()}" for verdict in verdicts)]
