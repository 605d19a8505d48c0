// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/container-storage-interface/spec/lib/go/csi"
	clientset "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const selectedNode = "volume.kubernetes.io/selected-node"

// provisioner makes and deletes the volumes of one node.
type provisioner struct {
	node      string
	part      *controllerPart
	immediate bool
	// Where claims and snapshots are looked up that a volume is to be made from.
	client    kubernetes.Interface
	snapshots clientset.Interface
}

// ShouldProvision is true for claims whose pod goes to this node, and on one node for those that wait for no pod.
func (p *provisioner) ShouldProvision(_ context.Context, claim *core.PersistentVolumeClaim) bool {
	node := claim.Annotations[selectedNode]
	return node == p.node || (node == "" && p.immediate)
}

func (p *provisioner) ShouldDelete(_ context.Context, volume *core.PersistentVolume) bool {
	return onNode(volume, p.node)
}

func (p *provisioner) SupportsBlock(context.Context) bool { return true }

func (p *provisioner) Provision(
	ctx context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := p.provision(ctx, options)
	if errors.Is(err, errElsewhere) {
		// The scheduler thinks again about the node; it cannot know which one has the source.
		return nil, controller.ProvisioningReschedule, err
	}
	return volume, controller.ProvisioningFinished, err
}

func (p *provisioner) provision(
	ctx context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, error) {
	claim := options.PVC
	if message, asked := fault(claim, provisionFails); asked {
		return nil, errors.New(message)
	}
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains([]core.PersistentVolumeAccessMode{core.ReadWriteOnce, core.ReadWriteOncePod}, mode) {
			return nil, fmt.Errorf("a volume is on one node, so it cannot be %s", mode)
		}
	}
	from, err := p.source(ctx, claim)
	if err != nil {
		return nil, err
	}
	mode := mode(claim)
	capability := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{
		Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	}}
	source := &core.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: options.PVName}
	if mode == core.PersistentVolumeBlock {
		capability.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	} else {
		capability.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{FsType: fileSystem}}
		source.FSType = fileSystem
	}
	asked := claim.Spec.Resources.Requests[core.ResourceStorage]
	made, err := p.part.CreateVolume(ctx, &csi.CreateVolumeRequest{
		Name:                options.PVName,
		CapacityRange:       &csi.CapacityRange{RequiredBytes: asked.Value()},
		VolumeCapabilities:  []*csi.VolumeCapability{capability},
		VolumeContentSource: from,
	})
	if err != nil {
		return nil, err
	}
	source.VolumeAttributes = made.GetVolume().GetVolumeContext()
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			Capacity: core.ResourceList{
				core.ResourceStorage: *quantityOf(made.GetVolume().GetCapacityBytes()),
			},
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    &mode,
			MountOptions:                  options.StorageClass.MountOptions,
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{CSI: source},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{
				{MatchExpressions: []core.NodeSelectorRequirement{
					{Key: topologyKey, Operator: core.NodeSelectorOpIn, Values: []string{p.node}},
				}},
			}}},
		},
	}, nil
}

func (p *provisioner) Delete(ctx context.Context, volume *core.PersistentVolume) error {
	_, err := p.part.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: volume.Spec.CSI.VolumeHandle})
	return err
}

// onNode tells whether a volume is one of this driver on this node.
func onNode(volume *core.PersistentVolume, node string) bool {
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != driverName || volume.Spec.NodeAffinity == nil {
		return false
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, wanted := range term.MatchExpressions {
			if wanted.Key == topologyKey && slices.Contains(wanted.Values, node) {
				return true
			}
		}
	}
	return false
}

func quantityOf(size int64) *resource.Quantity { return resource.NewQuantity(size, resource.BinarySI) }
