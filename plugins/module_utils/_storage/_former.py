# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What became of each volume type that Kubernetes once had built in. Pure data.

The API server still takes most of these fields, and a pod that uses one hangs without a word of why. So nothing of this
is left to the server: a removed type is refused with what to use, a redirected one is written as what it is today.
"""

from __future__ import annotations

import dataclasses

REDIRECTED = "redirected"
REMOVED = "removed"


@dataclasses.dataclass(frozen=True)
class Former:
    """A volume type, and the provisioner of its StorageClasses where there was one.

    ``version`` is the Kubernetes release in which its code went, or (redirected) from which the CSI driver does the
    work alone. ``preset`` names what takes its place.
    """

    field: str
    title: str
    version: str
    fate: str
    use: str
    provisioner: str = ""
    preset: str = ""


FORMER: tuple[Former, ...] = (
    Former(
        "awsElasticBlockStore",
        "AWS EBS",
        "1.27",
        REDIRECTED,
        "the CSI driver ebs.csi.aws.com (preset aws_ebs)",
        "kubernetes.io/aws-ebs",
        "aws_ebs",
    ),
    Former(
        "azureDisk",
        "Azure Disk",
        "1.27",
        REDIRECTED,
        "the CSI driver disk.csi.azure.com (preset azure_disk)",
        "kubernetes.io/azure-disk",
        "azure_disk",
    ),
    Former(
        "azureFile",
        "Azure Files",
        "1.30",
        REDIRECTED,
        "the CSI driver file.csi.azure.com (preset azure_file)",
        "kubernetes.io/azure-file",
        "azure_file",
    ),
    Former(
        "cinder",
        "OpenStack Cinder",
        "1.26",
        REDIRECTED,
        "the CSI driver cinder.csi.openstack.org (preset cinder)",
        "kubernetes.io/cinder",
        "cinder",
    ),
    Former(
        "gcePersistentDisk",
        "GCE persistent disk",
        "1.28",
        REDIRECTED,
        "the CSI driver pd.csi.storage.gke.io (preset gce_pd)",
        "kubernetes.io/gce-pd",
        "gce_pd",
    ),
    Former(
        "vsphereVolume",
        "vSphere",
        "1.30",
        REDIRECTED,
        "the CSI driver csi.vsphere.vmware.com (preset vsphere)",
        "kubernetes.io/vsphere-volume",
        "vsphere",
    ),
    Former(
        "portworxVolume",
        "Portworx",
        "1.33",
        REDIRECTED,
        "the CSI driver pxd.portworx.com (preset portworx)",
        "kubernetes.io/portworx-volume",
        "portworx",
    ),
    Former(
        "glusterfs",
        "GlusterFS with Heketi",
        "1.26",
        REMOVED,
        "an NFS export of the Gluster volume (NFS-Ganesha) with preset nfs_csi, preset nfs_subdir or static nfs "
        "volumes, or another cluster storage such as preset rook_ceph_block",
        "kubernetes.io/glusterfs",
    ),
    Former(
        "rbd",
        "Ceph RBD",
        "1.31",
        REMOVED,
        "the CSI driver rbd.csi.ceph.com (preset ceph_rbd, or rook_ceph_block with Rook), which takes a clusterID in "
        "place of monitors, and Secrets in place of keyrings",
        "kubernetes.io/rbd",
        "ceph_rbd",
    ),
    Former(
        "cephfs",
        "CephFS",
        "1.31",
        REMOVED,
        "the CSI driver cephfs.csi.ceph.com (preset ceph_fs, or rook_ceph_fs with Rook)",
        "",
        "ceph_fs",
    ),
    Former(
        "flocker",
        "Flocker",
        "1.25",
        REMOVED,
        "any class of the storage that you have today: Flocker has ended, and nothing takes its place",
        "kubernetes.io/flocker",
    ),
    Former(
        "quobyte",
        "Quobyte",
        "1.25",
        REMOVED,
        "Quobyte's own CSI driver csi.quobyte.com (no preset: name it in provisioner)",
        "kubernetes.io/quobyte",
    ),
    Former(
        "storageos",
        "StorageOS",
        "1.25",
        REMOVED,
        "any class of the storage that you have today: StorageOS became Ondat, which has ended too",
        "kubernetes.io/storageos",
    ),
    Former(
        "scaleIO",
        "ScaleIO",
        "1.21",
        REMOVED,
        "Dell's CSI driver csi-vxflexos.dellemc.com for PowerFlex, as ScaleIO is called now (no preset: name it in "
        "provisioner)",
        "kubernetes.io/scaleio",
    ),
    Former(
        "photonPersistentDisk",
        "VMware Photon",
        "1.15",
        REMOVED,
        "preset vsphere where there is a vSphere: the Photon platform has ended",
        "kubernetes.io/photon-pd",
    ),
    Former(
        "flexVolume",
        "FlexVolume",
        "1.23",
        "deprecated",
        "the CSI driver of the same storage: FlexVolume is deprecated since that release and gets nothing new",
    ),
    Former(
        "gitRepo",
        "git repository",
        "1.36",
        REMOVED,
        "an emptyDir and an init container that clones the repository: it was no storage of its own",
    ),
)

BY_FIELD = {one.field: one for one in FORMER}
BY_PROVISIONER = {one.provisioner: one for one in FORMER if one.provisioner}

# Provisioners outside of Kubernetes that have ended or changed their name: what they were, and what to use.
ENDED = {
    "ceph.rook.io/block": ("Rook's FlexVolume driver, gone with Rook 1.8", "preset rook_ceph_block"),
    "ceph.com/rbd": ("a provisioner of the retired external-storage repository", "preset ceph_rbd"),
    "ceph.com/cephfs": ("a provisioner of the retired external-storage repository", "preset ceph_fs"),
    "direct-csi-min-io": ("Direct CSI, which became DirectPV", "preset directpv"),
    "direct.csi.min.io": ("Direct CSI, which became DirectPV", "preset directpv"),
    "gluster.org/glusterblock": ("a provisioner of the retired external-storage repository", "preset nfs_csi"),
}
