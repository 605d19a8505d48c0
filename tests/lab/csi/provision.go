// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const selectedNode = "volume.kubernetes.io/selected-node"

// provisioner makes and deletes the volumes of one node.
type provisioner struct {
	node      string
	store     *store
	immediate bool
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
	_ context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := p.provision(options)
	return volume, controller.ProvisioningFinished, err
}

func (p *provisioner) provision(options controller.ProvisionOptions) (*core.PersistentVolume, error) {
	claim := options.PVC
	if message, asked := fault(claim, provisionFails); asked {
		return nil, errors.New(message)
	}
	if claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil {
		return nil, errors.New("volumes are made empty: this driver has neither snapshots nor clones")
	}
	for _, mode := range claim.Spec.AccessModes {
		if !slices.Contains([]core.PersistentVolumeAccessMode{core.ReadWriteOnce, core.ReadWriteOncePod}, mode) {
			return nil, fmt.Errorf("a volume is on one node, so it cannot be %s", mode)
		}
	}
	mode := core.PersistentVolumeFilesystem
	if claim.Spec.VolumeMode != nil {
		mode = *claim.Spec.VolumeMode
	}
	asked := claim.Spec.Resources.Requests[core.ResourceStorage]
	size := roundedUp(asked.Value())
	if err := p.store.create(options.PVName, size, mode == core.PersistentVolumeBlock); err != nil {
		return nil, err
	}
	source := &core.CSIPersistentVolumeSource{Driver: driverName, VolumeHandle: options.PVName}
	if mode == core.PersistentVolumeFilesystem {
		source.FSType = fileSystem
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: *quantityOf(size)},
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

func (p *provisioner) Delete(_ context.Context, volume *core.PersistentVolume) error {
	return p.store.remove(volume.Spec.CSI.VolumeHandle)
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
