# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which PersistentVolumes a short list means, what is refused, and what is done with volumes that were used."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal
from ansible_collections.stateful.kube.plugins.module_utils._storage._families import Family, family
from ansible_collections.stateful.kube.plugins.module_utils._storage._former import FORMER, REMOVED
from ansible_collections.stateful.kube.plugins.module_utils._storage._used_volumes import left_behind
from ansible_collections.stateful.kube.plugins.module_utils._storage._volume_state import (
    Change,
    Seen,
    Wish,
    nodes,
    shared,
)
from ansible_collections.stateful.kube.plugins.module_utils._storage._volumes import plan

NFS = {"nfs": {"server": "nfs.example.com", "path": "/exports/{n}"}}
LOCAL = {"local": {"path": "/mnt/disk-{n}"}}


def entry(**given_options: t.Any) -> dict[str, t.Any]:
    return {
        "name": "pv-{n}",
        "count": 1,
        "start": 0,
        "nodes": [],
        "node_affinity": None,
        "capacity": "10Gi",
        "access_modes": ["ReadWriteOnce"],
        "volume_mode": "Filesystem",
        "reclaim_policy": "Retain",
        "storage_class_name": "",
        "mount_options": [],
        "labels": {},
        "annotations": {},
        "claim_ref": None,
        "source": NFS,
        **given_options,
    }


def made(**given_options: t.Any) -> Family:
    return family([entry(**given_options)], "present")


def one(**given_options: t.Any) -> dict[str, t.Any]:
    (volume,) = made(**given_options).volumes
    return volume


def refused(**given_options: t.Any) -> str:
    with pytest.raises(Failure) as failure:
        made(**given_options)
    return failure.value.message


def live(
    name: str, phase: str = "Available", claim: str = "", policy: str = "Retain", **given_options: t.Any
) -> dict[str, t.Any]:
    volume = one(name=name, **given_options)
    volume["metadata"] = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7"}
    volume["spec"]["persistentVolumeReclaimPolicy"] = policy
    if claim:
        reference = {"namespace": "shop", "name": claim, "uid": "gone", "resourceVersion": "3"}
        volume["spec"]["claimRef"] = reference
    return {**volume, "status": {"phase": phase, "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"}}


# Families


def test_the_volumes_of_a_family_differ_in_their_number() -> None:
    found = made(
        name="nfs-pv{n:03}",
        count=2,
        start=1,
        labels={"pv": "nfs-pv{n:03}"},
        claim_ref={"namespace": "web", "name": "data-web-{n}"},
        source={"nfs": {"server": "nfs.example.com", "path": "/nfs/data/pv{n:03}"}},
        storage_class_name="nfs",
    )
    assert [volume["metadata"] for volume in found.volumes] == [
        {"name": "nfs-pv001", "labels": {"pv": "nfs-pv001"}},
        {"name": "nfs-pv002", "labels": {"pv": "nfs-pv002"}},
    ]
    assert [volume["spec"]["nfs"]["path"] for volume in found.volumes] == ["/nfs/data/pv001", "/nfs/data/pv002"]
    assert [volume["spec"]["claimRef"]["name"] for volume in found.volumes] == ["data-web-1", "data-web-2"]
    assert found.volumes[0]["spec"]["storageClassName"] == "nfs"
    assert found.warnings == ()


def test_each_node_has_volumes_of_its_own() -> None:
    found = made(name="{node}-{n}", count=2, nodes=["a", "b"], source=LOCAL)
    assert [volume["metadata"]["name"] for volume in found.volumes] == ["a-0", "a-1", "b-0", "b-1"]
    assert [sorted(nodes(volume)) for volume in found.volumes] == [["a"], ["a"], ["b"], ["b"]]


@given(st.integers(1, 6), st.integers(0, 200), st.lists(st.sampled_from("abcd"), unique=True, max_size=4))
def test_a_family_has_distinct_names_and_places(count: int, start: int, where: list[str]) -> None:
    name = "{node}x-{n}" if where else "x-{n}"
    found = family(
        [entry(name=name, count=count, start=start, nodes=where, source=LOCAL if where else NFS)], "present"
    ).volumes
    assert len(found) == count * max(len(where), 1)
    assert len({volume["metadata"]["name"] for volume in found}) == len(found)
    assert not [1 for i, a in enumerate(found) for b in found[i + 1 :] if shared(a, b)]


def test_a_logical_unit_is_a_number() -> None:
    source = {"iscsi": {"targetPortal": "10.0.2.34:3260", "iqn": "iqn.2001-04.com.example:x", "lun": "{n}"}}
    found = made(count=2, source=source).volumes
    assert [volume["spec"]["iscsi"]["lun"] for volume in found] == [0, 1]


def test_names_are_enough_to_remove_volumes() -> None:
    found = family([entry(count=2, source=None, capacity=None)], "absent").volumes
    assert [volume["metadata"]["name"] for volume in found] == ["pv-0", "pv-1"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "same", "count": 2}, "more than one volume would get this name"),
        ({"name": "Upper"}, "lower-case letters"),
        ({"count": 0}, "expected count to be 1 or more"),
        ({"capacity": "0"}, 'found "0"'),
        ({"capacity": None}, 'found "None"'),
        ({"reclaim_policy": "Recycle"}, "Use Retain"),
        ({"source": None}, "found none"),
        ({"source": {**NFS, **LOCAL}}, "found nfs, local"),
        ({"source": {"emptyDir": {}}}, "emptyDir is no source of a PersistentVolume"),
        ({"source": {"nfs": {"path": "/x"}}}, "lacks server"),
        ({"source": {"nfs": {"server": "a", "path": "exports"}}}, "begins with /"),
        ({"source": {"nfs": {"server": "a", "path": "/exports/../etc"}}}, "has no .. in it"),
        ({"source": {"fc": {"targetWWNs": ["50060e801049cfd1"]}}}, "targetWWNs and lun, or wwids"),
        ({"source": LOCAL}, "Give nodes"),
        ({"source": LOCAL, "nodes": ["a"], "node_affinity": {"required": {}}}, "Keep one of the two"),
        ({"volume_mode": "Block"}, "has no volumes of mode Block"),
        ({"access_modes": ["ReadWriteOncePod"]}, "found ReadWriteOncePod"),
        ({"access_modes": []}, "found none"),
        ({"source": LOCAL, "nodes": ["a"], "access_modes": ["ReadWriteMany"]}, "can do ReadWriteOnce, found"),
        (
            {"source": {"csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "v"}}, "access_modes": ["ReadWriteMany"]},
            "csi (AWS EBS)",
        ),
        ({"source": {"hostPath": {"path": "/x"}}, "mount_options": ["ro"]}, "is not mounted with options"),
        ({"source": {"gcePersistentDisk": {"pdName": "x"}}}, "volumeHandle projects/PROJECT/zones/ZONE/disks/NAME"),
        ({"source": {"azureDisk": {"diskURI": "https://a.blob.microsoft.net/x.vhd"}}}, "begins with /subscriptions/"),
        ({"source": {"flexVolume": {"driver": "x"}}}, "FlexVolume is deprecated"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, t.Any], says: str) -> None:
    assert says in refused(**options)


@pytest.mark.parametrize("former", [one for one in FORMER if one.fate == REMOVED], ids=lambda one: one.field)
def test_a_type_that_is_gone_is_refused_with_its_version_and_what_to_use(former: t.Any) -> None:
    message = refused(source={former.field: {"path": "kube_vol"}})
    assert f"gone since Kubernetes {former.version}" in message
    assert former.use in message


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        (
            {"awsElasticBlockStore": {"volumeID": "aws://eu-1a/vol-1", "fsType": "xfs", "partition": 1}},
            {
                "driver": "ebs.csi.aws.com",
                "volumeHandle": "vol-1",
                "fsType": "xfs",
                "volumeAttributes": {"partition": "1"},
            },
        ),
        (
            {"azureDisk": {"diskURI": "/subscriptions/a/disks/b", "cachingMode": "None"}},
            {
                "driver": "disk.csi.azure.com",
                "volumeHandle": "/subscriptions/a/disks/b",
                "volumeAttributes": {"cachingMode": "None"},
            },
        ),
        ({"cinder": {"volumeID": "x"}}, {"driver": "cinder.csi.openstack.org", "volumeHandle": "x"}),
        (
            {"portworxVolume": {"volumeID": "x", "readOnly": True}},
            {"driver": "pxd.portworx.com", "volumeHandle": "x", "readOnly": True},
        ),
    ],
)
def test_a_type_that_was_built_in_is_written_as_its_driver(source: dict[str, t.Any], becomes: dict[str, t.Any]) -> None:
    found = made(source=source)
    (volume,) = found.volumes
    assert volume["spec"]["csi"] == becomes
    assert "is written as csi" in found.warnings[0]
    zoned = "awsElasticBlockStore" in source
    assert ("eu-1a" in str(volume["spec"].get("nodeAffinity"))) is zoned


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": {"hostPath": {"path": "/mnt/data"}}}, "another folder on each node"),
        ({"reclaim_policy": "Delete"}, "ends as Failed"),
    ],
)
def test_what_is_seldom_meant_is_told(options: dict[str, t.Any], says: str) -> None:
    (warning,) = made(**options).warnings
    assert says in warning


# Two volumes in one place


def nfs(path: str, server: str = "a") -> dict[str, t.Any]:
    return one(source={"nfs": {"server": server, "path": path}})


def disk(kind: str, path: str, *where: str) -> dict[str, t.Any]:
    affinity = (
        {
            "required": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(where)}]}
                ]
            }
        }
        if where
        else None
    )
    return one(source={kind: {"path": path}}, node_affinity=affinity)


def csi(driver: str, handle: str) -> dict[str, t.Any]:
    return one(source={"csi": {"driver": driver, "volumeHandle": handle}})


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (nfs("/x"), nfs("/x/"), "have the same path"),
        (nfs("/x"), nfs("/x/y"), "one lies in the other"),
        (nfs("/x"), nfs("/xy"), ""),
        (nfs("/x"), nfs("/x", "b"), ""),
        (disk("local", "/x", "a"), disk("hostPath", "/x"), "have the same path"),
        (disk("local", "/x", "a"), disk("local", "/x", "b"), ""),
        (disk("local", "/x", "a"), disk("local", "/x", "a"), "have the same path"),
        (nfs("/x"), disk("hostPath", "/x"), ""),
        (csi("d", "x"), csi("d", "x"), "are the same volume"),
        (csi("d", "x"), csi("e", "x"), ""),
    ],
)
def test_two_volumes_in_one_place_are_seen(first: t.Any, second: t.Any, says: str) -> None:
    assert says in shared(first, second)
    assert shared(first, second) == shared(second, first)
    assert bool(shared(first, second)) is bool(says)


def warnings_of(planned: t.Union[Plan, Refusal]) -> tuple[str, ...]:
    assert isinstance(planned, Plan), planned
    return planned.warnings


def test_the_same_path_is_told_in_the_list_and_in_the_cluster() -> None:
    same = {"nfs": {"server": "a", "path": "/nfs/data/pv001"}}
    volumes = made(name="nfs-pv{n:03}", count=2, start=1, source=same).volumes
    (told,) = warnings_of(plan(Wish("present", volumes), Seen()))
    assert told.startswith("PersistentVolumes nfs-pv001 and nfs-pv002 have the same path")
    there = Seen((live("theirs", source=same),))
    (told,) = warnings_of(plan(Wish("present", volumes[:1]), there))
    assert "nfs-pv001 and theirs" in told


def test_a_node_that_is_not_there_is_told() -> None:
    wish = Wish("present", made(nodes=["a", "b"], name="{node}", source=LOCAL).volumes)
    (told,) = warnings_of(plan(wish, Seen(hosts=frozenset({"a", "c"}))))
    assert told.startswith("No node has the host name b (found: a, c)")


# Volumes that were used


def test_a_released_volume_is_told_and_left_alone() -> None:
    wish = Wish("present", made(name="pv", storage_class_name="nfs").volumes)
    seen = Seen(
        (
            live("pv", "Released", "data-0", storage_class_name="nfs"),
            live("sister", "Failed", "data-1", storage_class_name="nfs", source={"nfs": {"server": "x", "path": "/s"}}),
            live("stranger", "Released", "data-2", source={"nfs": {"server": "x", "path": "/t"}}),
        )
    )
    planned = plan(wish, seen)
    assert isinstance(planned, Plan)
    assert planned.steps == ()
    assert [volume["metadata"]["name"] for volume in left_behind(wish, seen)] == ["pv", "sister"]
    assert planned.warnings[0].startswith(
        "PersistentVolume pv (10Gi, nfs nfs.example.com:/exports/0) is Released since 2026-01-01T00:00:00Z: it holds "
        "what claim shop/data-0 left"
    )


@pytest.mark.parametrize(
    ("reserved", "patch"),
    [(False, {"claimRef": None}), (True, {"claimRef": {"uid": None, "resourceVersion": None}})],
)
def test_a_volume_that_is_named_is_given_to_a_new_claim(reserved: bool, patch: dict[str, t.Any]) -> None:
    claim_ref = {"namespace": "shop", "name": "data-0"} if reserved else None
    wish = Wish("present", made(name="pv", claim_ref=claim_ref).volumes, rebind=("pv",))
    planned = plan(wish, Seen((live("pv", "Released", "data-0"),)))
    assert isinstance(planned, Plan)
    assert [(step.action, step.data["patch"]["spec"]) for step in planned.steps] == [("rebind", patch)]
    assert planned.warnings == ()


@pytest.mark.parametrize("phase", ["Available", "Bound", "Pending"])
def test_only_released_volumes_are_given_away(phase: str) -> None:
    planned = plan(Wish("present", (), rebind=("pv",)), Seen((live("pv", phase, "data-0"),)))
    assert isinstance(planned, Plan)
    assert planned.steps == ()


def test_a_volume_that_was_given_away_is_waited_for_no_more() -> None:
    after = live("pv", "Released", "data-0")
    del after["spec"]["claimRef"]
    planned = plan(Wish("present", (), rebind=("pv",)), Seen((after,)))
    assert isinstance(planned, Plan)
    assert planned.steps == ()


def test_a_wrong_name_is_refused_with_those_there_are() -> None:
    refusal = plan(Wish("present", (), rebind=("pw",)), Seen((live("pv", "Released", "data-0"), live("free"))))
    assert isinstance(refusal, Refusal)
    assert refusal.evidence == ("Released are pv",)


def test_what_is_fixed_is_refused_with_what_the_volume_is() -> None:
    there = live("pv", "Bound", "data-0")
    change = Change(one(name="pv"), there, fixed="declared is nfs other:/x")
    refusal = plan(Wish("present", ()), Seen((there,), (change,)))
    assert isinstance(refusal, Refusal)
    assert refusal.evidence == (
        "it is nfs nfs.example.com:/exports/0, Bound to shop/data-0",
        "declared is nfs other:/x",
    )


# Removal


@given(
    st.lists(
        st.tuples(st.sampled_from(["Available", "Bound", "Released", "Failed"]), st.sampled_from(["Retain", "Delete"])),
        max_size=5,
    )
)
def test_only_what_nobody_uses_and_nobody_deletes_is_removed(found: list[tuple[str, str]]) -> None:
    there = tuple(live(f"pv-{number}", phase, "x", policy) for number, (phase, policy) in enumerate(found))
    planned = plan(Wish("absent", there), Seen((*there, live("other"))))
    harmless = all(phase != "Bound" and policy == "Retain" for phase, policy in found)
    assert isinstance(planned, Plan) is harmless
    if isinstance(planned, Plan):
        assert [step.data["live"]["metadata"]["name"] for step in planned.steps] == [
            volume["metadata"]["name"] for volume in there
        ]


def test_what_is_not_there_needs_no_removal() -> None:
    planned = plan(Wish("absent", (one(name="pv"),)), Seen((live("other"),)))
    assert isinstance(planned, Plan)
    assert planned.steps == ()
