# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings and verdicts: what each outcome leads to, and that worse storage never looks better."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight import (
    FIT,
    REMARKS,
    UNFIT,
    Finding,
    Lock,
    Outcome,
    Second,
    Volume,
    Wanted,
    access_finding,
    choose_class,
    class_findings,
    is_nfs,
    judge,
    judge_all,
    lines,
    lock_finding,
    network_finding,
    root_finding,
    second_place,
    solo_findings,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._preflight_needs import KINDS, MUST, SHOULD

GIB = 1 << 30
CHECKS = sorted({need.check for kind in KINDS.values() for need in kind.needs})
RANK = {FIT: 0, REMARKS: 1, UNFIT: 2}
GOOD = {
    "uid": "999",
    "groups": "999",
    "root": "drwxrwxrwx 0 0",
    "size_kib": str(100 << 20),
    "free_kib": str(50 << 20),
    "mkdir": "ok",
    "write": "ok",
    "owner": "999",
    "exclusive": "ok",
    "hard_link": "ok",
    "rename": "ok",
    "fsync": "0.001 0.002 0.009",
    "mmap": "ok",
}
WANTED = Wanted(999, GIB)
RWO, RWX, RWOP = (Volume((mode,)) for mode in ("ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"))
NFS = Volume(("ReadWriteOnce",), "nfs", attached=False)
HERE, APART = (Second("ran", nodes, sees="ok") for nodes in (("node1", "node1"), ("node1", "node2")))
KEPT_AWAY = Second("refused", ("node1", ""))
ALONE = Second("absent", ("node1", ""), "no room")
TAKEN = Lock("held", "refused", "held")


def everything(outcome: Outcome, **figures: float) -> dict[str, Finding]:
    return {check: Finding(check, outcome, "seen", figures if check == "fsync" else {}) for check in CHECKS}


def of(findings: t.Iterable[Finding], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def storage_class(name: str, **fields: t.Any) -> dict[str, t.Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if fields.pop("default", False) else {}
    metadata = {"name": name, "annotations": annotations, "creationTimestamp": fields.pop("created", "2026-01-01")}
    return {"metadata": metadata, "provisioner": "example.com/dir", "allowVolumeExpansion": True, **fields}


# Mostly good, or one failure would hide what another check does.
outcomes = st.sampled_from([Outcome.PASSED] * 12 + list(Outcome))
tables = st.fixed_dictionaries(dict.fromkeys(CHECKS, outcomes))


@given(tables, tables, st.floats(0, 1000), st.floats(0, 1000), st.sampled_from(sorted(KINDS)))
def test_a_worse_measurement_never_gives_a_better_verdict(
    one: dict[str, Outcome], other: dict[str, Outcome], fast: float, slow: float, kind: str
) -> None:
    better = {check: min(one[check], other[check]) for check in CHECKS}
    worse = {check: max(one[check], other[check]) for check in CHECKS}
    fast, slow = sorted((fast, slow))

    def verdict(table: dict[str, Outcome], median: float) -> int:
        found = [Finding(check, outcome, "", {"median_ms": median}) for check, outcome in table.items()]
        return RANK[judge(kind, found).verdict]

    assert verdict(better, fast) <= verdict(worse, slow)


@given(tables, st.sampled_from(CHECKS), st.sampled_from(sorted(KINDS)))
def test_what_was_not_looked_at_is_never_better_than_what_passed(
    table: dict[str, Outcome], gone: str, kind: str
) -> None:
    found = [Finding(check, outcome, "") for check, outcome in {**table, gone: Outcome.PASSED}.items()]
    without = [finding for finding in found if finding.check != gone]
    assert RANK[judge(kind, found).verdict] <= RANK[judge(kind, without).verdict]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_storage_on_which_everything_passed_is_fit(kind: str) -> None:
    verdict = judge(kind, everything(Outcome.PASSED, median_ms=1.0).values())
    assert (verdict.verdict, verdict.reasons) == (FIT, ())


@pytest.mark.parametrize(("kind", "need"), [(kind, need) for kind in KINDS for need in KINDS[kind].needs])
def test_each_need_counts_as_its_table_says(kind: str, need: t.Any) -> None:
    table = everything(Outcome.PASSED)
    verdicts = {}
    for outcome in Outcome:
        found = {**table, need.check: Finding(need.check, outcome, "was so")}
        verdicts[outcome] = judge(kind, found.values())
    assert {MUST, SHOULD} >= {need.weight}
    worst = UNFIT if need.weight == MUST else REMARKS
    assert verdicts[Outcome.FAILED].verdict == worst
    assert verdicts[Outcome.NOTED].verdict == REMARKS
    assert verdicts[Outcome.UNPROVEN].verdict == (REMARKS if need.weight == MUST else FIT)
    assert verdicts[Outcome.FAILED].reasons == (f"{need.check}: was so ({need.why})",)


def test_nothing_looked_at_is_fit_for_nobody_without_a_remark() -> None:
    assert {verdict.verdict for verdict in judge_all(())} == {REMARKS}


def test_every_database_names_its_sources() -> None:
    assert [kind for kind, needs in KINDS.items() if not needs.sources] == ["files"]


def test_a_slow_fsync_is_a_remark_by_the_rule_of_thumb_of_each_kind() -> None:
    found = everything(Outcome.PASSED, median_ms=20.0).values()
    assert [judge(kind, found).verdict for kind in ("mongodb", "cassandra", "files")] == [REMARKS, FIT, FIT]


def test_an_fsync_that_is_slow_and_failed_is_no_mere_remark() -> None:
    failed = Finding("fsync", Outcome.FAILED, "too slow", {"median_ms": 20.0})
    found = {**everything(Outcome.PASSED), "fsync": failed}.values()
    assert judge("mongodb", found).verdict == UNFIT


# The class


def test_the_class_that_is_named() -> None:
    chosen, finding = choose_class("slow", [storage_class("fast", default=True), storage_class("slow")])
    assert chosen
    assert chosen["metadata"]["name"] == "slow"
    assert finding.outcome is Outcome.PASSED


def test_a_class_that_is_not_there_names_those_that_are() -> None:
    chosen, finding = choose_class("fsat", [storage_class("slow"), storage_class("fast")])
    assert (chosen, finding.outcome) == (None, Outcome.FAILED)
    assert finding.detail == "there is no StorageClass fsat; there are fast, slow"


def test_no_default_class() -> None:
    chosen, finding = choose_class("", [storage_class("fast")])
    assert (chosen, finding.outcome) == (None, Outcome.FAILED)
    assert "no StorageClass is the default" in finding.detail
    assert "there is none at all" in choose_class("", [])[1].detail


def test_of_two_defaults_kubernetes_takes_the_newest_and_then_the_first_by_name() -> None:
    old, new = storage_class("b", default=True), storage_class("c", default=True, created="2026-02-01")
    chosen, finding = choose_class("", [old, new])
    assert chosen is new
    assert finding.outcome is Outcome.NOTED
    assert "2 default classes (b, c); Kubernetes takes the newest, c" in finding.detail
    same = storage_class("a", default=True)
    assert choose_class("", [old, same])[0] is same


def test_the_old_annotation_makes_a_default_too() -> None:
    old = storage_class("old")
    old["metadata"]["annotations"] = {"storageclass.beta.kubernetes.io/is-default-class": "true"}
    assert choose_class("", [old])[0] is old


@pytest.mark.parametrize(
    ("provisioner", "drivers", "says"),
    [
        ("ebs.csi.aws.com", {"nfs.csi.k8s.io"}, "there is no CSIDriver ebs.csi.aws.com"),
        ("csi.vsphere.vmware.com", set(), "there is no CSIDriver csi.vsphere.vmware.com"),
        ("kubernetes.io/aws-ebs", set(), "there is no CSIDriver ebs.csi.aws.com"),
        ("kubernetes.io/glusterfs", None, "went with Kubernetes 1.26: use "),
        ("ebs.csi.aws.com", {"ebs.csi.aws.com"}, ""),
        ("kubernetes.io/aws-ebs", {"ebs.csi.aws.com"}, ""),
        ("ebs.csi.aws.com", None, ""),
        ("rancher.io/local-path", set(), ""),
        ("kubernetes.io/no-provisioner", set(), ""),
    ],
)
def test_a_driver_that_is_not_installed(provisioner: str, drivers: t.Optional[set[str]], says: str) -> None:
    one = storage_class("one", provisioner=provisioner)
    finding = class_findings(one, Finding("class", Outcome.PASSED, "fine"), drivers)[0]
    assert finding.outcome is (Outcome.FAILED if says else Outcome.PASSED)
    assert says in finding.detail


def test_growth_reclaim_and_binding_are_told() -> None:
    fine = Finding("class", Outcome.PASSED, "")
    bad = class_findings(storage_class("one", allowVolumeExpansion=False), fine, None)
    assert of(bad, "expansion").outcome is Outcome.NOTED
    assert of(bad, "reclaim").outcome is Outcome.NOTED
    assert of(bad, "binding").detail == "Immediate"
    late = storage_class("one", reclaimPolicy="Retain", volumeBindingMode="WaitForFirstConsumer")
    good = class_findings(late, fine, None)
    assert {of(good, check).outcome for check in ("expansion", "reclaim", "binding")} == {Outcome.PASSED}
    assert "first pod" in of(good, "binding").detail


@pytest.mark.parametrize(
    ("parameters", "noted"),
    [
        ({}, True),
        ({"archiveOnDelete": "true"}, True),
        ({"archiveOnDelete": "false"}, False),
        ({"archiveOnDelete": "true", "onDelete": "delete"}, False),
        ({"archiveOnDelete": "false", "onDelete": "retain"}, True),
    ],
)
def test_a_provisioner_that_archives_leaves_a_folder(parameters: dict[str, str], noted: bool) -> None:
    one = storage_class("one", provisioner="k8s-sigs.io/nfs-subdir-external-provisioner", parameters=parameters)
    found = class_findings(one, Finding("class", Outcome.PASSED, ""), None)
    assert [finding.outcome for finding in found if finding.check == "archive"] == ([Outcome.NOTED] if noted else [])


@pytest.mark.parametrize(
    ("name", "nfs"),
    [
        ("nfs.csi.k8s.io", True),
        ("k8s-sigs.io/nfs-subdir-external-provisioner", True),
        ("cluster.local/shop-nfs-client-provisioner", True),
        ("fuseim.pri/ifs", True),
        ("efs.csi.aws.com", True),
        ("rancher.io/local-path", False),
        ("example.com/confsync", False),
        ("", False),
    ],
)
def test_provisioners_of_nfs(name: str, nfs: bool) -> None:
    assert is_nfs(name) is nfs


# The volume


def test_a_good_volume() -> None:
    found = solo_findings(GOOD, WANTED)
    assert {finding.outcome for finding in found} == {Outcome.PASSED}
    assert of(found, "fsync").figures == {"writes": 3.0, "median_ms": 2.0, "worst_ms": 9.0}


@pytest.mark.parametrize("step", ["mkdir", "write"])
def test_a_user_who_may_not_write(step: str) -> None:
    found = solo_findings({**GOOD, step: "failed mkdir: Permission denied"}, WANTED)
    assert [finding.check for finding in found] == ["write", "space"]
    assert found[0].outcome is Outcome.FAILED
    assert "as user 999: mkdir: Permission denied; the volume's root folder is drwxrwxrwx 0 0" in found[0].detail


def test_a_probe_that_hangs_proves_nothing() -> None:
    found = solo_findings({}, WANTED)
    assert found[0].outcome is Outcome.FAILED
    assert "no answer" in found[0].detail
    assert of(found, "space").outcome is Outcome.UNPROVEN


def test_all_squash_is_seen_by_the_owner() -> None:
    finding = of(solo_findings({**GOOD, "owner": "65534"}, WANTED), "owner")
    assert finding.outcome is Outcome.FAILED
    assert "user 999 wrote belongs to user 65534: all_squash" in finding.detail


@pytest.mark.parametrize("check", ["exclusive", "hard_link", "rename", "mmap"])
def test_what_the_image_cannot_try_is_not_proven(check: str) -> None:
    assert of(solo_findings({**GOOD, check: "none"}, WANTED), check).outcome is Outcome.UNPROVEN
    missing = {name: text for name, text in GOOD.items() if name != check}
    assert of(solo_findings(missing, WANTED), check).outcome is Outcome.UNPROVEN
    assert of(solo_findings({**GOOD, check: "failed no"}, WANTED), check).outcome is Outcome.FAILED


def test_an_fsync_without_time_is_not_proven_and_one_that_fails_is_told() -> None:
    assert of(solo_findings({**GOOD, "fsync": " "}, WANTED), "fsync").outcome is Outcome.UNPROVEN
    failed = of(solo_findings({**GOOD, "fsync": "failed Input/output error"}, WANTED), "fsync")
    assert (failed.outcome, failed.detail) == (Outcome.FAILED, "Input/output error")


@pytest.mark.parametrize(("limit", "outcome"), [(1.9, Outcome.FAILED), (2.0, Outcome.PASSED), (None, Outcome.PASSED)])
def test_the_limit_that_the_user_sets(limit: t.Optional[float], outcome: Outcome) -> None:
    assert of(solo_findings(GOOD, Wanted(999, GIB, max_fsync_ms=limit)), "fsync").outcome is outcome


@pytest.mark.parametrize(
    ("free", "whole", "size", "count", "outcome"),
    [
        (50, 100, 10, 3, Outcome.PASSED),
        # A file system that many claims share has to hold them all.
        (50, 100, 10, 6, Outcome.FAILED),
        (50, 100, 60, 1, Outcome.FAILED),
        # A volume of its own keeps a part for itself, and holds one claim.
        (95, 98, 100, 3, Outcome.PASSED),
        (20, 98, 100, 1, Outcome.FAILED),
        (0, 100, 1, 1, Outcome.FAILED),
        (80, 98, 100, 1, Outcome.FAILED),
        (0, 1, 1, 1, Outcome.FAILED),
    ],
)
def test_free_space(free: int, whole: int, size: int, count: int, outcome: Outcome) -> None:
    said = {**GOOD, "free_kib": str(free << 20), "size_kib": str(whole << 20)}
    assert of(solo_findings(said, Wanted(999, size * GIB, count)), "space").outcome is outcome


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 100), st.integers(1, 5))
def test_less_free_space_is_never_better(one: int, other: int, size: int, count: int) -> None:
    def outcome(free: int) -> Outcome:
        said = {**GOOD, "free_kib": str(free << 20), "size_kib": str(200 << 20)}
        return of(solo_findings(said, Wanted(999, size * GIB, count)), "space").outcome

    assert outcome(max(one, other)) <= outcome(min(one, other))


@pytest.mark.parametrize(
    ("source", "outcome", "minio"),
    [
        ("nfs", Outcome.NOTED, REMARKS),
        ("local", Outcome.PASSED, FIT),
        ("csi", Outcome.PASSED, FIT),
        ("", Outcome.PASSED, FIT),
    ],
)
def test_a_network_file_system_is_a_remark_for_minio_alone(source: str, outcome: Outcome, minio: str) -> None:
    network = network_finding(Volume(("ReadWriteMany",), source))
    assert network.outcome is outcome
    needed = {need.check for kind in KINDS.values() for need in kind.needs} - {"network"}
    findings = [*(Finding(check, Outcome.PASSED, "") for check in sorted(needed)), network]
    assert {kind: judge(kind, findings).verdict for kind in KINDS} == {**dict.fromkeys(KINDS, FIT), "minio": minio}


def test_root_and_its_chown() -> None:
    assert root_finding({"root_owner": "0", "chown": "ok"}, 999).outcome is Outcome.PASSED
    squashed = root_finding({"root_owner": "65534", "chown": "failed Operation not permitted"}, 999)
    assert squashed.outcome is Outcome.FAILED
    assert squashed.detail == "root_squash or all_squash: a file of root belongs to user 65534; Operation not permitted"
    assert root_finding({}, 999).detail == "no answer"


# Two pods


@pytest.mark.parametrize(
    ("volume", "place"),
    [
        (RWO, "same"),
        (RWX, "another"),
        (RWOP, "refused"),
        (NFS, "another"),
        (Volume(("ReadWriteOnce",), "csi", attached=False), "another"),
        (Volume(("ReadWriteMany",), "local", tied=True), "same"),
        (Volume(("ReadWriteOnce",), "hostPath"), "same"),
    ],
)
def test_where_a_second_pod_is_to_be(volume: Volume, place: str) -> None:
    assert second_place(volume) == place


@pytest.mark.parametrize(
    ("volume", "second", "outcome", "says"),
    [
        (RWX, APART, Outcome.PASSED, "pods on node1 and node2 share the files"),
        (RWX, HERE, Outcome.UNPROVEN, "no other node took the second one"),
        (RWX, ALONE, Outcome.UNPROVEN, "no second pod ran: no room"),
        (RWX, Second("ran", ("node1", "node2"), sees="failed not seen"), Outcome.FAILED, "node1 and node2: not seen"),
        (Volume(("ReadWriteMany",), "local", tied=True), HERE, Outcome.FAILED, "only node1 can have the volume"),
        (RWO, HERE, Outcome.PASSED, "for one node"),
        (NFS, APART, Outcome.NOTED, "ReadWriteOnce is not enforced"),
        (RWOP, KEPT_AWAY, Outcome.PASSED, "a second pod was kept away"),
        (RWOP, APART, Outcome.FAILED, "a second pod was let in on node2"),
        (RWOP, ALONE, Outcome.UNPROVEN, "no room"),
    ],
)
def test_shared_or_not_as_the_mode_says(volume: Volume, second: Second, outcome: Outcome, says: str) -> None:
    finding = access_finding(volume, second)
    assert finding.outcome is outcome
    assert says in finding.detail


@pytest.mark.parametrize(
    ("lock", "second", "outcome", "says"),
    [
        (TAKEN, APART, Outcome.PASSED, "between node1 and node2"),
        (TAKEN, HERE, Outcome.UNPROVEN, "not proven between nodes"),
        (TAKEN, ALONE, Outcome.UNPROVEN, "in one pod"),
        (TAKEN, KEPT_AWAY, Outcome.PASSED, "the one pod that may have the volume"),
        (Lock("none"), APART, Outcome.UNPROVEN, "neither perl nor python3"),
        (Lock("failed No locks available"), APART, Outcome.FAILED, "no lock could be taken: No locks available"),
        (Lock(""), APART, Outcome.FAILED, "no answer"),
        (Lock("held", "held", "held"), APART, Outcome.FAILED, "a second pod got the lock while it was held"),
        (Lock("held", "", "held"), APART, Outcome.FAILED, "no clear answer"),
        (Lock("held", "refused", "refused"), APART, Outcome.FAILED, "was not free again"),
    ],
)
def test_a_lock_of_one_is_seen_by_the_other(lock: Lock, second: Second, outcome: Outcome, says: str) -> None:
    finding = lock_finding("fcntl_lock", lock, RWX, second)
    assert finding.outcome is outcome
    assert says in finding.detail


def test_a_volume_of_one_node_needs_no_lock_between_nodes() -> None:
    tied = Volume(("ReadWriteOnce",), "local", tied=True)
    assert lock_finding("flock", TAKEN, tied, HERE).outcome is Outcome.PASSED


# What people read


def test_the_table_holds_every_check_and_every_verdict() -> None:
    found = solo_findings({**GOOD, "owner": "65534"}, WANTED)
    shown = lines("here", found, judge_all(found))
    assert shown[0] == "here"
    assert len(shown) == 2 + len(found) + len(KINDS)
    assert any(line.startswith("postgresql  unfit: owner") for line in shown)
