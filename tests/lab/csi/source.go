// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/container-storage-interface/spec/lib/go/csi"
	snapshots "github.com/kubernetes-csi/external-snapshotter/client/v8/apis/volumesnapshot/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// On a VolumeSnapshotContent whose administrator lets a raw volume be made of a file system, or the other way round.
const modeMayChange = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

// errElsewhere stands for a source that another node has: a pod that goes there would get its volume.
var errElsewhere = errors.New("volumes are made where their source is")

// source is what a volume of this claim is made from, or nothing. The checks are those of the usual sidecar: of what a
// claim may be made from, nothing is believed that the object on the other side does not confirm.
func (p *provisioner) source(ctx context.Context, claim *core.PersistentVolumeClaim) (*csi.VolumeContentSource, error) {
	asked := claim.Spec.DataSourceRef
	if asked == nil {
		return nil, nil // The API server writes either field into the other.
	}
	group := ""
	if asked.APIGroup != nil {
		group = *asked.APIGroup
	}
	if asked.Namespace != nil && *asked.Namespace != "" && *asked.Namespace != claim.Namespace {
		return nil, errors.New("a volume is made from what is in the namespace of its claim")
	}
	switch {
	case group == "" && asked.Kind == "PersistentVolumeClaim":
		return p.claimAsSource(ctx, claim, asked.Name)
	case group == snapshots.GroupName && asked.Kind == "VolumeSnapshot":
		return p.snapshotAsSource(ctx, claim, asked.Name)
	}
	return nil, fmt.Errorf("a volume is made from a claim or a VolumeSnapshot, not from %s %s", asked.Kind, asked.Name)
}

func (p *provisioner) claimAsSource(
	ctx context.Context, claim *core.PersistentVolumeClaim, name string,
) (*csi.VolumeContentSource, error) {
	from, err := p.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	if from.Status.Phase != core.ClaimBound || from.DeletionTimestamp != nil {
		return nil, fmt.Errorf("claim %s has no volume that stays", name)
	}
	if mode(from) != mode(claim) {
		return nil, fmt.Errorf("claim %s is %s, and this one %s", name, mode(from), mode(claim))
	}
	volume, err := p.client.CoreV1().PersistentVolumes().Get(ctx, from.Spec.VolumeName, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != driverName {
		return nil, fmt.Errorf("the volume of claim %s is none of this driver", name)
	}
	if volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != from.UID {
		return nil, fmt.Errorf("the volume of claim %s belongs to another claim", name)
	}
	if !onNode(volume, p.node) {
		return nil, fmt.Errorf("the volume of claim %s is not on %s: %w", name, p.node, errElsewhere)
	}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: volume.Spec.CSI.VolumeHandle},
	}}, nil
}

func (p *provisioner) snapshotAsSource(
	ctx context.Context, claim *core.PersistentVolumeClaim, name string,
) (*csi.VolumeContentSource, error) {
	from, err := p.snapshots.SnapshotV1().VolumeSnapshots(claim.Namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	if from.DeletionTimestamp != nil {
		return nil, fmt.Errorf("VolumeSnapshot %s is being deleted", name)
	}
	if from.Status == nil || from.Status.BoundVolumeSnapshotContentName == nil ||
		from.Status.ReadyToUse == nil || !*from.Status.ReadyToUse {
		return nil, fmt.Errorf("VolumeSnapshot %s is not ready yet", name)
	}
	bound := *from.Status.BoundVolumeSnapshotContentName
	content, err := p.snapshots.SnapshotV1().VolumeSnapshotContents().Get(ctx, bound, meta.GetOptions{})
	if err != nil {
		return nil, err
	}
	if content.Spec.Driver != driverName {
		return nil, fmt.Errorf("VolumeSnapshot %s is none of this driver", name)
	}
	if content.Spec.VolumeSnapshotRef.UID != from.UID {
		return nil, fmt.Errorf("VolumeSnapshotContent %s belongs to another VolumeSnapshot than %s", bound, name)
	}
	if content.Status == nil || content.Status.SnapshotHandle == nil {
		return nil, fmt.Errorf("VolumeSnapshotContent %s is not ready yet", bound)
	}
	was := content.Spec.SourceVolumeMode
	allowed := content.Annotations[modeMayChange] == "true"
	if was != nil && *was != mode(claim) && !allowed {
		return nil, fmt.Errorf("VolumeSnapshot %s is of a volume that is %s, and this one is %s", name, *was, mode(claim))
	}
	if _, err := p.part.store.snapshot(*content.Status.SnapshotHandle); err != nil {
		return nil, fmt.Errorf("%w on %s: %w", err, p.node, errElsewhere)
	}
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: *content.Status.SnapshotHandle},
	}}, nil
}

// mode is the volume mode that a claim asks for.
func mode(claim *core.PersistentVolumeClaim) core.PersistentVolumeMode {
	if claim.Spec.VolumeMode != nil {
		return *claim.Spec.VolumeMode
	}
	return core.PersistentVolumeFilesystem
}
