# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is known of each storage: driver, parameters, and what its volumes can do. Pure data, and its translations."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._storage._former import (
    BY_PROVISIONER,
    ENDED,
    REMOVED,
    Former,
)

Parameters = t.Mapping[str, str]
Topologies = t.Sequence[t.Mapping[str, t.Any]]

LATE = "WaitForFirstConsumer"
IMMEDIATE = "Immediate"
RWO, ROX, RWX, RWOP = "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"
ACCESS_MODES = (RWO, ROX, RWX, RWOP)
ZONE = "topology.kubernetes.io/zone"
# What the zones were called before 1.17.
_OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"

_DISK = (RWO, RWOP)
_SHARED = (RWO, ROX, RWX, RWOP)
# Parameters that the CSI sidecars take out before a driver sees them.
SIDECAR = "csi.storage.k8s.io/"
_PROVISION = f"{SIDECAR}provisioner-secret-name"
_PROVISION_IN = f"{SIDECAR}provisioner-secret-namespace"
_STAGE = f"{SIDECAR}node-stage-secret-name"
_STAGE_IN = f"{SIDECAR}node-stage-secret-namespace"
_EXPAND = f"{SIDECAR}controller-expand-secret-name"
_EXPAND_IN = f"{SIDECAR}controller-expand-secret-namespace"
_FSTYPE = f"{SIDECAR}fstype"

# A class is no Secret: whoever may list classes reads its parameters. Names of Secrets are no secrets.
_SECRET = re.compile(r"(?i)(password|passwd|token|(user|admin|access|secret|rest\w*|account)[_-]?key|^key|keyring)$")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclasses.dataclass(frozen=True)
class Preset:
    """One kind of storage. Tuples of access modes say what its volumes can do, for each volume mode."""

    name: str
    title: str
    provisioner: str
    #: what has to be installed before a claim gets a volume
    install: str
    #: whether that is a CSI driver, which has a CSIDriver object of the provisioner's name
    csi: bool = True
    #: what is set unless the user sets it; {other} is the value of another parameter
    parameters: Parameters = dataclasses.field(default_factory=dict)
    required: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    binding: str = LATE
    bindings: tuple[str, ...] = (LATE, IMMEDIATE)
    expands: bool = True
    mount_options: bool = True
    #: keys that allowed_topologies may use; none: the volumes are reached from everywhere, or bring their own node
    topology: tuple[str, ...] = ()
    filesystem: tuple[str, ...] = _DISK
    block: tuple[str, ...] = ()
    #: whether installations give the provisioner names of their own
    renamable: bool = False

    def modes(self, volume_mode: str) -> tuple[str, ...]:
        return self.block if volume_mode == "Block" else self.filesystem


PRESETS: tuple[Preset, ...] = (
    Preset(
        "aws_ebs",
        "AWS EBS",
        "ebs.csi.aws.com",
        "the AWS EBS CSI driver (kubernetes-sigs/aws-ebs-csi-driver; add-on aws-ebs-csi-driver of EKS)",
        parameters={"type": "gp3"},
        known=_words(
            "type iops iopsPerGB allowAutoIOPSPerGBIncrease throughput encrypted kmsKeyId blockExpress blockSize "
            "inodeSize bytesPerInode numberOfInodes ext4BigAlloc ext4ClusterSize tagSpecification_1"
        ),
        topology=(ZONE, "topology.ebs.csi.aws.com/zone", "topology.ebs.csi.aws.com/outpost-id"),
        # io2 volumes can be attached to several nodes, as block devices only.
        block=(RWO, RWX, RWOP),
    ),
    Preset(
        "aws_efs",
        "AWS EFS",
        "efs.csi.aws.com",
        "the AWS EFS CSI driver (kubernetes-sigs/aws-efs-csi-driver; add-on aws-efs-csi-driver of EKS)",
        parameters={"provisioningMode": "efs-ap", "directoryPerms": "700"},
        required=("fileSystemId",),
        known=_words(
            "provisioningMode fileSystemId directoryPerms uid gid gidRangeStart gidRangeEnd basePath subPathPattern "
            "ensureUniqueDirectory reuseAccessPoint az awsRoleArn crossaccount"
        ),
        binding=IMMEDIATE,
        expands=False,
        filesystem=_SHARED,
    ),
    Preset(
        "gce_pd",
        "GCE persistent disk",
        "pd.csi.storage.gke.io",
        "the Compute Engine persistent disk CSI driver (kubernetes-sigs/gcp-compute-persistent-disk-csi-driver; part "
        "of GKE)",
        parameters={"type": "pd-balanced"},
        known=_words(
            "type replication-type disk-encryption-kms-key labels provisioned-iops-on-create "
            "provisioned-throughput-on-create resource-tags enable-confidential-storage storage-pools"
        ),
        topology=("topology.gke.io/zone",),
        filesystem=(RWO, ROX, RWOP),
        block=(RWO, ROX, RWX, RWOP),
    ),
    Preset(
        "azure_disk",
        "Azure Disk",
        "disk.csi.azure.com",
        "the Azure Disk CSI driver (kubernetes-sigs/azuredisk-csi-driver; part of AKS)",
        parameters={"skuName": "StandardSSD_LRS"},
        known=_words(
            "skuName storageAccountType kind fsType cachingMode location resourceGroup subscriptionID "
            "DiskIOPSReadWrite DiskMBpsReadWrite LogicalSectorSize tags diskEncryptionSetID diskEncryptionType "
            "writeAcceleratorEnabled perfProfile networkAccessPolicy publicNetworkAccess diskAccessID enableBursting "
            "maxShares enableAsyncAttach attachDiskInitialDelay"
        ),
        topology=("topology.disk.csi.azure.com/zone",),
        block=(RWO, RWX, RWOP),
    ),
    Preset(
        "azure_file",
        "Azure Files",
        "file.csi.azure.com",
        "the Azure File CSI driver (kubernetes-sigs/azurefile-csi-driver; part of AKS)",
        parameters={"skuName": "Standard_LRS"},
        known=_words(
            "skuName storageAccountType storageAccount enableLargeFileShares protocol location resourceGroup shareName "
            "shareNamePrefix folderName shareAccessTier server storeAccountKey secretName secretNamespace "
            "useDataPlaneAPI disableDeleteRetentionPolicy allowBlobPublicAccess networkEndpointType tags "
            "subscriptionID rootSquashType mountPermissions matchTags selectRandomMatchingAccount vnetName subnetName "
            "vnetResourceGroup requireInfraEncryption allowSharedKeyAccess accessTier accountAccessTier "
            "storageEndpointSuffix fsType diskName"
        ),
        binding=IMMEDIATE,
        filesystem=_SHARED,
    ),
    Preset(
        "vsphere",
        "vSphere",
        "csi.vsphere.vmware.com",
        "the vSphere Container Storage plug-in (kubernetes-sigs/vsphere-csi-driver)",
        known=_words("storagepolicyname datastoreurl svMotion"),
        topology=(
            ZONE,
            "topology.kubernetes.io/region",
            "topology.csi.vmware.com/k8s-zone",
            "topology.csi.vmware.com/k8s-region",
            "topology.csi.vmware.com/region",
            "topology.csi.vmware.com/zone",
        ),
        # Shared volumes are those of vSAN File Services.
        filesystem=(RWO, ROX, RWX, RWOP),
        block=_DISK,
    ),
    Preset(
        "cinder",
        "OpenStack Cinder",
        "cinder.csi.openstack.org",
        "the Cinder CSI plug-in (kubernetes/cloud-provider-openstack)",
        known=_words("type availability"),
        topology=("topology.cinder.csi.openstack.org/zone",),
        block=(RWO, RWX, RWOP),
    ),
    Preset(
        "ceph_rbd",
        "Ceph RBD",
        "rbd.csi.ceph.com",
        "ceph-csi (ceph/ceph-csi, driver rbd)",
        parameters={
            "imageFeatures": "layering",
            _FSTYPE: "ext4",
            _STAGE: f"{{{_PROVISION}}}",
            _STAGE_IN: f"{{{_PROVISION_IN}}}",
            _EXPAND: f"{{{_PROVISION}}}",
            _EXPAND_IN: f"{{{_PROVISION_IN}}}",
        },
        required=("clusterID", "pool", _PROVISION, _PROVISION_IN),
        known=_words(
            "clusterID pool dataPool imageFormat imageFeatures mkfsOptions tryOtherMounters mapOptions unmapOptions "
            "mounter cephLogDir cephLogStrategy volumeNamePrefix encrypted encryptionType encryptionKMSID "
            "encryptionSectorSize encryptionCipher encryptionKeySize integrityMode topologyConstrainedPools "
            "stripeUnit stripeCount objectSize"
        ),
        filesystem=(RWO, ROX, RWOP),
        block=_SHARED,
        renamable=True,
    ),
    Preset(
        "ceph_fs",
        "CephFS",
        "cephfs.csi.ceph.com",
        "ceph-csi (ceph/ceph-csi, driver cephfs)",
        parameters={
            _STAGE: f"{{{_PROVISION}}}",
            _STAGE_IN: f"{{{_PROVISION_IN}}}",
            _EXPAND: f"{{{_PROVISION}}}",
            _EXPAND_IN: f"{{{_PROVISION_IN}}}",
        },
        required=("clusterID", "fsName", _PROVISION, _PROVISION_IN),
        known=_words(
            "clusterID fsName pool fuseMountOptions kernelMountOptions mounter volumeNamePrefix backingSnapshot "
            "encrypted encryptionKMSID"
        ),
        binding=IMMEDIATE,
        filesystem=_SHARED,
        renamable=True,
    ),
    Preset(
        "rook_ceph_block",
        "Rook, block",
        "rook-ceph.rbd.csi.ceph.com",
        "Rook with a CephBlockPool (rook/rook); the driver's name begins with the namespace of its operator",
        parameters={
            "clusterID": "rook-ceph",
            "imageFormat": "2",
            "imageFeatures": "layering",
            _FSTYPE: "ext4",
            _PROVISION: "rook-csi-rbd-provisioner",
            _PROVISION_IN: "{clusterID}",
            _EXPAND: "rook-csi-rbd-provisioner",
            _EXPAND_IN: "{clusterID}",
            _STAGE: "rook-csi-rbd-node",
            _STAGE_IN: "{clusterID}",
        },
        required=("pool",),
        known=_words(
            "clusterID pool dataPool imageFormat imageFeatures mkfsOptions tryOtherMounters mapOptions unmapOptions "
            "mounter encrypted encryptionKMSID topologyConstrainedPools"
        ),
        filesystem=(RWO, ROX, RWOP),
        block=_SHARED,
        renamable=True,
    ),
    Preset(
        "rook_ceph_fs",
        "Rook, file system",
        "rook-ceph.cephfs.csi.ceph.com",
        "Rook with a CephFilesystem (rook/rook); the driver's name begins with the namespace of its operator",
        parameters={
            "clusterID": "rook-ceph",
            _PROVISION: "rook-csi-cephfs-provisioner",
            _PROVISION_IN: "{clusterID}",
            _EXPAND: "rook-csi-cephfs-provisioner",
            _EXPAND_IN: "{clusterID}",
            _STAGE: "rook-csi-cephfs-node",
            _STAGE_IN: "{clusterID}",
        },
        required=("fsName", "pool"),
        known=_words("clusterID fsName pool mounter kernelMountOptions fuseMountOptions encrypted encryptionKMSID"),
        binding=IMMEDIATE,
        filesystem=_SHARED,
        renamable=True,
    ),
    Preset(
        "nfs_csi",
        "NFS, CSI driver",
        "nfs.csi.k8s.io",
        "the NFS CSI driver (kubernetes-csi/csi-driver-nfs)",
        required=("server", "share"),
        known=_words("server share subDir mountPermissions onDelete uid gid"),
        binding=IMMEDIATE,
        # The driver answers a request to grow with success and does nothing: NFS has no sizes.
        expands=False,
        filesystem=_SHARED,
    ),
    Preset(
        "nfs_subdir",
        "NFS, a directory for each claim",
        "k8s-sigs.io/nfs-subdir-external-provisioner",
        "the NFS subdir external provisioner, whose PROVISIONER_NAME must be the provisioner of the class",
        csi=False,
        # Archive rather than delete, whatever the installation says.
        parameters={"archiveOnDelete": "true"},
        known=_words("archiveOnDelete onDelete pathPattern"),
        binding=IMMEDIATE,
        expands=False,
        filesystem=(RWO, ROX, RWX),
        renamable=True,
    ),
    Preset(
        "local",
        "local disks, volumes made by hand",
        "kubernetes.io/no-provisioner",
        "nothing: make its volumes with the module persistent_volumes",
        csi=False,
        # With Immediate a claim is bound to a disk before anybody knows on which node its pod can run.
        bindings=(LATE,),
        expands=False,
        filesystem=(RWO,),
        block=(RWO,),
    ),
    Preset(
        "local_path",
        "a folder on the node for each claim",
        "rancher.io/local-path",
        "the local path provisioner (rancher/local-path-provisioner)",
        csi=False,
        known=_words("nodePath pathPattern allowUnsafePathPattern"),
        # The provisioner needs to be told the node, and is so only then.
        bindings=(LATE,),
        expands=False,
        mount_options=False,
        topology=("kubernetes.io/hostname",),
        filesystem=(RWO,),
        renamable=True,
    ),
    Preset(
        "portworx",
        "Portworx",
        "pxd.portworx.com",
        "Portworx Enterprise or PX-CSI",
        parameters={"repl": "2"},
        known=_words(
            "repl fs io_profile priority_io io_priority sharedv4 sharedv4_svc_type sharedv4_failover_strategy "
            "sharedv4_mount_options group fg label nodes snap_interval snap_schedule secure aggregation_level journal "
            "block_size shared nodiscard proxy_endpoint proxy_nfs_subpath backend pure_export_rules"
        ),
        filesystem=_SHARED,
        block=_DISK,
    ),
    Preset(
        "directpv",
        "DirectPV",
        "directpv-min-io",
        "DirectPV (minio/directpv; it takes no new changes any more)",
        parameters={_FSTYPE: "xfs"},
        bindings=(LATE,),
        topology=("directpv.min.io/node", "directpv.min.io/rack", "directpv.min.io/zone", "directpv.min.io/region"),
        filesystem=(RWO,),
    ),
)

BY_NAME = {preset.name: preset for preset in PRESETS}
_BY_DRIVER = {preset.provisioner: preset for preset in PRESETS}


def preset_of(name: t.Optional[str], provisioner: t.Optional[str]) -> t.Optional[Preset]:
    """The preset that is named, or else the one of this provisioner."""
    if name:
        return BY_NAME[name]
    if not provisioner:
        return None
    exact = _BY_DRIVER.get(provisioner)
    if exact:
        return exact
    # Rook puts the namespace of its operator in front.
    return next((BY_NAME[n] for n in ("rook_ceph_block", "rook_ceph_fs") if _same_rook(provisioner, BY_NAME[n])), None)


def _same_rook(provisioner: str, preset: Preset) -> bool:
    return provisioner.endswith(preset.provisioner.partition("rook-ceph")[2])


@dataclasses.dataclass(frozen=True)
class Translated:
    """A legacy declaration as it is written today. ``told`` says so to the user; empty where nothing was legacy."""

    provisioner: t.Optional[str]
    parameters: t.Optional[dict[str, str]]
    topologies: t.Optional[list[dict[str, t.Any]]]
    told: str = ""


def translate(
    provisioner: t.Optional[str], parameters: t.Optional[Parameters], topologies: t.Optional[Topologies]
) -> Translated:
    """Write a provisioner that Kubernetes had built in as its CSI driver. Raises Failure where there is none."""
    given = dict(parameters) if parameters is not None else None
    terms = [dict(term) for term in topologies] if topologies is not None else None
    if provisioner in ENDED:
        what, use = ENDED[provisioner]
        raise Failure(f"provisioner: {provisioner} is {what}. Use {use}.")
    former = BY_PROVISIONER.get(provisioner or "")
    if former is None:
        return Translated(provisioner, given, terms)
    if former.fate == REMOVED:
        raise Failure(
            f"provisioner: {provisioner} ({former.title}) is gone since Kubernetes {former.version}, so its claims "
            f"would stay Pending for ever. Use {former.use}."
        )
    preset = BY_NAME[former.preset]
    mapped, zones = _MAPPERS.get(preset.name, _plain)(given or {})
    if zones and terms:
        raise Failure(
            f"parameters: zone and zones of {provisioner} are written as allowed_topologies today, and that option "
            "is given as well. Keep one of the two."
        )
    if zones:
        terms = [{"matchLabelExpressions": [{"key": _csi_zone(preset), "values": zones}]}]
    elif terms:
        terms = [_renamed(term, _csi_zone(preset)) for term in terms]
    return Translated(preset.provisioner, mapped if given is not None else None, terms, _told(former, preset))


def _told(former: Former, preset: Preset) -> str:
    return (
        f"provisioner {former.provisioner} is written as {preset.provisioner}: the code in Kubernetes itself went with "
        f"{former.version}."
    )


def _csi_zone(preset: Preset) -> str:
    """The zone as the driver's own nodes carry it."""
    return next(key for key in (*preset.topology[::-1], ZONE) if key.endswith("zone"))


def _renamed(term: t.Mapping[str, t.Any], key: str) -> dict[str, t.Any]:
    rules = term.get("matchLabelExpressions") or ()
    return {
        "matchLabelExpressions": [
            {**rule, "key": key if rule.get("key") in (_OLD_ZONE, ZONE) else rule.get("key")} for rule in rules
        ]
    }


def _plain(given: Parameters) -> tuple[dict[str, str], list[str]]:
    """What all disks have in common: the file system is named to the sidecar, zones become topologies."""
    mapped: dict[str, str] = {}
    zones: list[str] = []
    for key, value in given.items():
        if key.lower() == "fstype":
            mapped[_FSTYPE] = value
        elif key.lower() in ("zone", "zones"):
            zones += [zone.strip() for zone in value.split(",") if zone.strip()]
        else:
            mapped[key] = value
    return mapped, zones


def _aws_ebs(given: Parameters) -> tuple[dict[str, str], list[str]]:
    mapped, zones = _plain(given)
    if any(key.lower() == "iopspergb" for key in mapped):
        # The code in Kubernetes raised IOPS that were too low for the size; the driver refuses unless told.
        mapped.setdefault("allowAutoIOPSPerGBIncrease", "true")
    return mapped, zones


def _azure_disk(given: Parameters) -> tuple[dict[str, str], list[str]]:
    mapped, zones = _plain(given)
    for key, value in list(mapped.items()):
        if key.lower() == "kind" and value.lower() != "managed":
            raise Failure(
                f"parameters: kind {value} means disks in a storage account, which the driver disk.csi.azure.com does "
                "not make. Leave kind out: its disks are managed."
            )
        if key.lower() in ("storageaccount", "zoned"):
            del mapped[key]
    return mapped, zones


def _azure_file(given: Parameters) -> tuple[dict[str, str], list[str]]:
    # Its fstype is the driver's own parameter: that of a disk image in the share.
    return dict(given), []


def _vsphere(given: Parameters) -> tuple[dict[str, str], list[str]]:
    mapped, zones = _plain(given)
    lowered = {key if key.startswith(SIDECAR) else key.lower(): value for key, value in mapped.items()}
    lost = sorted(set(lowered) - {"storagepolicyname", "datastoreurl", "svmotion", _FSTYPE})
    if lost:
        raise Failure(
            f"parameters: {', '.join(lost)}: csi.vsphere.vmware.com takes none of these from a class. Put them into a "
            "storage policy of vCenter and name it in storagepolicyname, or name a datastore in datastoreurl."
        )
    return lowered, zones


def _portworx(given: Parameters) -> tuple[dict[str, str], list[str]]:
    mapped: dict[str, str] = {}
    for key, value in given.items():
        part = key.lower().partition("openstorage.io/auth-secret-")[2]
        if part in ("name", "namespace"):
            for use in ("provisioner", "controller-publish", "node-publish", "node-stage", "controller-expand"):
                mapped[f"{SIDECAR}{use}-secret-{part}"] = value
        else:
            mapped[key] = value
    return mapped, []


_MAPPERS: dict[str, t.Callable[[Parameters], tuple[dict[str, str], list[str]]]] = {
    "aws_ebs": _aws_ebs,
    "azure_disk": _azure_disk,
    "azure_file": _azure_file,
    "vsphere": _vsphere,
    "portworx": _portworx,
}


def filled(preset: Preset, given: Parameters) -> dict[str, str]:
    """The parameters of a class: what is given, and what the preset sets besides. Raises Failure."""
    lowered = {key.lower() for key in given}
    result = dict(given)
    for key, value in preset.parameters.items():
        if key.lower() not in lowered:
            result[key] = value
    for key, value in list(result.items()):
        other = value[1:-1] if value.startswith("{") and value.endswith("}") and key not in given else None
        if other is not None:
            if other in result:
                result[key] = result[other]
            else:
                del result[key]  # what it is taken from is missing, which is told below
    missing = [key for key in preset.required if key not in result]
    if missing:
        raise Failure(
            f"parameters: {preset.title} needs {', '.join(missing)}, found {', '.join(sorted(given)) or 'none'}. Add "
            f"{'it' if len(missing) == 1 else 'them'}."
        )
    return result


def check_secrets(parameters: Parameters) -> None:
    """A password in a class could be read by everybody. Raises Failure."""
    found = sorted(key for key in parameters if _SECRET.search(key.rpartition("/")[2]))
    # "true" and "false" turn something on or off.
    found = [key for key in found if parameters[key].lower() not in ("true", "false")]
    if found:
        raise Failure(
            f"parameters: {', '.join(found)}: whoever may list classes can read this. Put it into a Secret, and name "
            f"that in {_PROVISION} and its like."
        )


def unknown_parameters(preset: Preset, parameters: Parameters) -> list[str]:
    """Those that this preset has never heard of: mistyped, or newer than it."""
    known = {key.lower() for key in (*preset.known, *preset.parameters, *preset.required)}
    return sorted(
        key
        for key in parameters
        if preset.known and key.lower() not in known and not key.startswith((SIDECAR, "tagSpecification_"))
    )
