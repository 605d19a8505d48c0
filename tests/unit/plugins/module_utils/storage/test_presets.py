# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What options become with a preset, and what is refused because the storage cannot do it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._class_options import Asked, asked
from ansible_collections.stateful.kube.plugins.module_utils._storage._former import BY_FIELD, ENDED, FORMER, REDIRECTED
from ansible_collections.stateful.kube.plugins.module_utils._storage._presets import (
    BY_NAME,
    PRESETS,
    SIDECAR,
    ZONE,
    filled,
    preset_of,
    translate,
)

ROOT = pathlib.Path(__file__).resolve().parents[5]
GUIDE = ROOT / "docs" / "guides" / "storage-classes.md"

OPTIONS: dict[str, t.Any] = {
    "name": "fast",
    "state": "present",
    "preset": None,
    "provisioner": None,
    "parameters": None,
    "reclaim_policy": None,
    "volume_binding_mode": None,
    "allow_volume_expansion": None,
    "mount_options": None,
    "allowed_topologies": None,
    "labels": None,
    "annotations": None,
    "default": None,
    "volume_mode": "Filesystem",
    "access_modes": None,
    "recreate": False,
    "allow_pending_claims": False,
}


def ask(**given_options: t.Any) -> Asked:
    return asked({**OPTIONS, **given_options})


def fields(**given_options: t.Any) -> t.Mapping[str, t.Any]:
    return ask(**given_options).wish.fields


def needed(name: str) -> dict[str, str]:
    return {key: f"my-{number}" for number, key in enumerate(BY_NAME[name].required)}


def refused(**given_options: t.Any) -> str:
    with pytest.raises(Failure) as failure:
        ask(**given_options)
    return failure.value.message


def zones(*values: str, key: str = ZONE) -> list[dict[str, t.Any]]:
    return [{"matchLabelExpressions": [{"key": key, "values": list(values)}]}]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_each_preset_makes_a_class_that_it_accepts_itself(preset: t.Any) -> None:
    wish = ask(preset=preset.name, parameters=needed(preset.name), access_modes=list(preset.filesystem)).wish
    assert wish.fields["provisioner"] == preset.provisioner
    assert wish.fields["volumeBindingMode"] in preset.bindings
    assert all(isinstance(value, str) and "{" not in value for value in wish.fields["parameters"].values())
    assert set(preset.required) <= set(wish.fields["parameters"])
    assert wish.warnings == ()


@pytest.mark.parametrize("name", [preset.name for preset in PRESETS if preset.required])
def test_what_a_storage_needs_is_asked_for(name: str) -> None:
    message = refused(preset=name)
    assert all(key in message for key in BY_NAME[name].required)


def test_what_is_given_wins_over_the_preset() -> None:
    found = fields(
        preset="aws_ebs",
        parameters={"Type": "io2", "iops": 4000, "encrypted": True},
        volume_binding_mode="Immediate",
        allow_volume_expansion=False,
    )
    assert found["parameters"] == {"Type": "io2", "iops": "4000", "encrypted": "true"}
    assert (found["volumeBindingMode"], found["allowVolumeExpansion"]) == ("Immediate", False)


def test_secrets_of_rook_are_in_the_namespace_of_the_cluster() -> None:
    found = filled(BY_NAME["rook_ceph_block"], {"pool": "replicapool", "clusterID": "other"})
    assert {value for key, value in found.items() if key.endswith("-namespace")} == {"other"}
    assert found[f"{SIDECAR}node-stage-secret-name"] == "rook-csi-rbd-node"


def test_ceph_takes_one_secret_for_all_unless_others_are_named() -> None:
    found = filled(BY_NAME["ceph_rbd"], {**needed("ceph_rbd"), f"{SIDECAR}provisioner-secret-name": "admin"})
    assert found[f"{SIDECAR}node-stage-secret-name"] == "admin" == found[f"{SIDECAR}controller-expand-secret-name"]


def test_without_a_preset_nothing_is_added() -> None:
    assert fields(provisioner="ebs.csi.aws.com") == {"provisioner": "ebs.csi.aws.com"}
    assert fields(provisioner="example.com/own", parameters={"a": 1}) == {
        "provisioner": "example.com/own",
        "parameters": {"a": "1"},
    }


@pytest.mark.parametrize(
    ("provisioner", "preset"),
    [
        ("ebs.csi.aws.com", "aws_ebs"),
        ("storage.rbd.csi.ceph.com", "rook_ceph_block"),
        ("rook-ceph.cephfs.csi.ceph.com", "rook_ceph_fs"),
        ("rbd.csi.ceph.com", "ceph_rbd"),
        ("example.com/own", None),
    ],
)
def test_a_provisioner_is_known_by_its_name(provisioner: str, preset: t.Optional[str]) -> None:
    found = preset_of(None, provisioner)
    assert (found.name if found else None) == preset


# What used to be built in


@pytest.mark.parametrize(
    ("provisioner", "parameters", "becomes", "mapped", "zone"),
    [
        (
            "kubernetes.io/aws-ebs",
            {"type": "io1", "fsType": "xfs", "iopsPerGB": "10", "zones": "eu-1a, eu-1b"},
            "ebs.csi.aws.com",
            {"type": "io1", f"{SIDECAR}fstype": "xfs", "iopsPerGB": "10", "allowAutoIOPSPerGBIncrease": "true"},
            zones("eu-1a", "eu-1b", key="topology.ebs.csi.aws.com/zone"),
        ),
        (
            "kubernetes.io/gce-pd",
            {"type": "pd-ssd", "replication-type": "none", "zone": "us-a"},
            "pd.csi.storage.gke.io",
            {"type": "pd-ssd", "replication-type": "none"},
            zones("us-a", key="topology.gke.io/zone"),
        ),
        (
            "kubernetes.io/azure-disk",
            {"kind": "Managed", "skuName": "Premium_LRS", "cachingMode": "ReadOnly"},
            "disk.csi.azure.com",
            {"kind": "Managed", "skuName": "Premium_LRS", "cachingMode": "ReadOnly"},
            None,
        ),
        (
            "kubernetes.io/azure-file",
            {"skuName": "Standard_LRS"},
            "file.csi.azure.com",
            {"skuName": "Standard_LRS"},
            None,
        ),
        (
            "kubernetes.io/cinder",
            {"type": "fast", "availability": "nova", "fsType": "ext4"},
            "cinder.csi.openstack.org",
            {"type": "fast", "availability": "nova", f"{SIDECAR}fstype": "ext4"},
            None,
        ),
        (
            "kubernetes.io/vsphere-volume",
            {"storagePolicyName": "gold", "fstype": "ext4"},
            "csi.vsphere.vmware.com",
            {"storagepolicyname": "gold", f"{SIDECAR}fstype": "ext4"},
            None,
        ),
        (
            "kubernetes.io/portworx-volume",
            {"repl": "3", "openstorage.io/auth-secret-name": "px"},
            "pxd.portworx.com",
            {
                "repl": "3",
                **{
                    f"{SIDECAR}{use}-secret-name": "px"
                    for use in ("provisioner", "controller-publish", "node-publish", "node-stage", "controller-expand")
                },
            },
            None,
        ),
    ],
)
def test_what_was_built_in_is_written_as_its_driver(
    provisioner: str, parameters: dict[str, str], becomes: str, mapped: dict[str, str], zone: t.Any
) -> None:
    wish = ask(provisioner=provisioner, parameters=parameters).wish
    assert wish.fields == {
        "provisioner": becomes,
        "parameters": mapped,
        **({"allowedTopologies": zone} if zone else {}),
    }
    assert wish.warnings[0].startswith(f"provisioner {provisioner} is written as {becomes}")


def test_zones_are_renamed_to_the_drivers_own() -> None:
    found = translate("kubernetes.io/aws-ebs", None, zones("eu-1a", key="failure-domain.beta.kubernetes.io/zone"))
    assert found.topologies == zones("eu-1a", key="topology.ebs.csi.aws.com/zone")
    assert found.parameters is None
    message = refused(
        provisioner="kubernetes.io/aws-ebs", parameters={"zone": "eu-1a"}, allowed_topologies=zones("eu-1b")
    )
    assert "Keep one of the two" in message


@pytest.mark.parametrize("former", [one for one in FORMER if one.provisioner], ids=lambda one: one.provisioner)
def test_each_former_provisioner_is_translated_or_refused_with_its_version(former: t.Any) -> None:
    if former.fate == REDIRECTED:
        assert translate(former.provisioner, {}, None).provisioner == BY_NAME[former.preset].provisioner
        return
    message = refused(provisioner=former.provisioner, parameters={"resturl": "http://heketi"})
    assert f"gone since Kubernetes {former.version}" in message
    assert former.use in message


@pytest.mark.parametrize("provisioner", sorted(ENDED))
def test_provisioners_that_have_ended_are_refused_with_what_to_use(provisioner: str) -> None:
    message = refused(provisioner=provisioner)
    preset = message.rpartition("preset ")[2].rstrip(".")
    assert preset in BY_NAME


@given(
    st.sampled_from([one.provisioner for one in FORMER] + [preset.provisioner for preset in PRESETS]),
    st.dictionaries(st.text(min_size=1, max_size=12), st.text(max_size=12), max_size=4),
)
def test_what_is_translated_once_stays_so(provisioner: str, parameters: dict[str, str]) -> None:
    try:
        once = translate(provisioner, parameters, None)
    except Failure:
        return
    again = translate(once.provisioner, once.parameters, once.topologies)
    assert (again.provisioner, again.parameters, again.topologies, again.told) == (
        once.provisioner,
        once.parameters,
        once.topologies,
        "",
    )


def test_disks_in_a_storage_account_are_refused() -> None:
    assert "kind Dedicated" in refused(provisioner="kubernetes.io/azure-disk", parameters={"kind": "Dedicated"})


def test_what_a_storage_policy_has_to_say_is_named() -> None:
    message = refused(provisioner="kubernetes.io/vsphere-volume", parameters={"diskformat": "thin", "Datastore": "x"})
    assert message.startswith("parameters: datastore, diskformat: ")


# What a storage cannot do


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "local", "volume_binding_mode": "Immediate"}, "works with WaitForFirstConsumer only"),
        ({"preset": "local_path", "allow_volume_expansion": True}, "cannot make a volume larger"),
        ({"preset": "nfs_subdir", "allow_volume_expansion": True}, "cannot make a volume larger"),
        ({"preset": "local_path", "mount_options": ["noatime"]}, "takes none"),
        ({"preset": "nfs_subdir", "volume_mode": "Block"}, "has no volumes of mode Block"),
        ({"preset": "nfs_subdir", "allowed_topologies": zones("a")}, "makes no difference between zones"),
        ({"preset": "aws_ebs", "allowed_topologies": zones("a", key="zone")}, "found zone"),
        ({"preset": "aws_ebs", "allowed_topologies": [{}]}, "found none"),
        ({"preset": "aws_ebs", "access_modes": ["ReadWriteMany"]}, "With volume mode Block it could."),
        ({"preset": "directpv", "access_modes": ["ReadWriteMany"]}, "Use another storage"),
        ({"preset": "local_path", "access_modes": ["ReadWriteOncePod"]}, "needs a CSI driver"),
        ({"preset": "aws_ebs", "volume_mode": "Block", "mount_options": ["noatime"]}, "is not mounted"),
        ({"preset": "aws_ebs", "provisioner": "example.com/own"}, "Leave provisioner out"),
        # The preset of the provisioner is used for the checks where none is named.
        ({"provisioner": "nfs.csi.k8s.io", "allow_volume_expansion": True}, "cannot make a volume larger"),
        ({"name": "Fast"}, "expected at most 253 lower-case letters"),
        ({"annotations": {"storageclass.beta.kubernetes.io/is-default-class": "true"}}, "say default: true"),
        ({"provisioner": "example.com/own", "parameters": {"tier": None}}, "expected a text for tier, found NoneType"),
        ({"provisioner": "example.com/own", "parameters": {"tier": ["gold"]}}, "expected a text for tier, found list"),
    ],
)
def test_what_a_storage_cannot_do_is_refused(options: dict[str, t.Any], says: str) -> None:
    assert says in refused(**options)


def test_a_renamed_provisioner_is_taken() -> None:
    assert fields(preset="nfs_subdir", provisioner="fuseim.pri/ifs")["provisioner"] == "fuseim.pri/ifs"


@pytest.mark.parametrize("key", ["restuserkey", "adminPassword", "userKey", "accessKey", "key", "apiToken"])
def test_secrets_in_parameters_are_refused_and_not_repeated(key: str) -> None:
    message = refused(provisioner="example.com/own", parameters={key: "hunter2"})
    assert key in message
    assert "hunter2" not in message


@pytest.mark.parametrize("key", ["kmsKeyId", "secretName", f"{SIDECAR}node-stage-secret-name", "storeAccountKey"])
def test_names_of_secrets_are_taken(key: str) -> None:
    value = "true" if key == "storeAccountKey" else "name"
    assert fields(provisioner="example.com/own", parameters={key: value})["parameters"] == {key: value}


def test_an_unknown_parameter_is_told() -> None:
    (warning,) = ask(preset="aws_ebs", parameters={"tipe": "gp3"}).wish.warnings
    assert "not known to take tipe" in warning


def test_what_is_removed_needs_no_parameters() -> None:
    assert ask(preset="aws_efs", state="absent").wish.fields == {}


# The guide


def test_the_guide_names_every_preset_and_every_former_type() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    for preset in PRESETS:
        assert f"\n| `{preset.name}` | `{preset.provisioner}` |" in guide
    for field, former in BY_FIELD.items():
        (row,) = [line for line in guide.splitlines() if line.startswith(f"| `{field}` (")]
        assert former.version in row
