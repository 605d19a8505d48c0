// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// controllerPart makes and deletes the volumes and snapshots of one node.
type controllerPart struct {
	csi.UnimplementedControllerServer
	node  string
	store *store
	// The message of the fault that a test asks for by the claim of a volume, or nothing.
	faultOf func(ctx context.Context, volume, kind string) string
}

func (c *controllerPart) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	var found []*csi.ControllerServiceCapability
	for _, one := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
		csi.ControllerServiceCapability_RPC_CLONE_VOLUME,
		csi.ControllerServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		capability := &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: one}}
		found = append(found, &csi.ControllerServiceCapability{Type: capability})
	}
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: found}, nil
}

// CreateVolume makes a volume: empty, of a snapshot, or of another volume. Its name is also its id.
func (c *controllerPart) CreateVolume(
	_ context.Context, asked *csi.CreateVolumeRequest,
) (*csi.CreateVolumeResponse, error) {
	name, least, most := asked.GetName(), asked.GetCapacityRange().GetRequiredBytes(), asked.GetCapacityRange().GetLimitBytes()
	if err := checkName(name); err != nil {
		return nil, answer(err)
	}
	if len(asked.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume without capabilities")
	}
	raw := slices.ContainsFunc(asked.GetVolumeCapabilities(), func(one *csi.VolumeCapability) bool {
		return one.GetBlock() != nil
	})
	size := int64(0)
	if least > 0 || asked.GetVolumeContentSource() == nil {
		size = roundedUp(least)
	}
	if most > 0 && size > most {
		return nil, status.Errorf(codes.OutOfRange, "%d bytes at most, and a volume has %d at least", most, size)
	}
	var err error
	context := map[string]string{}
	switch source := asked.GetVolumeContentSource(); {
	case source.GetSnapshot() != nil:
		context[madeFrom] = source.GetSnapshot().GetSnapshotId()
		err = c.store.restore(name, size, source.GetSnapshot().GetSnapshotId())
	case source.GetVolume() != nil:
		context[madeFrom] = source.GetVolume().GetVolumeId()
		err = c.store.clone(name, size, source.GetVolume().GetVolumeId())
	default:
		err = c.store.create(name, size, raw)
	}
	if err != nil {
		return nil, answer(err)
	}
	has, err := c.store.size(name)
	if err != nil {
		return nil, answer(err)
	}
	if has < size || (most > 0 && has > most) {
		return nil, status.Errorf(codes.AlreadyExists, "volume %s is there already, with %d bytes", name, has)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId:           name,
		CapacityBytes:      has,
		VolumeContext:      context,
		ContentSource:      asked.GetVolumeContentSource(),
		AccessibleTopology: []*csi.Topology{{Segments: map[string]string{topologyKey: c.node}}},
	}}, nil
}

func (c *controllerPart) DeleteVolume(
	_ context.Context, asked *csi.DeleteVolumeRequest,
) (*csi.DeleteVolumeResponse, error) {
	return &csi.DeleteVolumeResponse{}, answer(c.store.remove(asked.GetVolumeId()))
}

func (c *controllerPart) ValidateVolumeCapabilities(
	_ context.Context, asked *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if len(asked.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "no capabilities to look at")
	}
	if _, err := c.store.size(asked.GetVolumeId()); err != nil {
		return nil, answer(err)
	}
	for _, one := range asked.GetVolumeCapabilities() {
		if !onOneNode(one.GetAccessMode().GetMode()) {
			return &csi.ValidateVolumeCapabilitiesResponse{Message: "a volume is on one node"}, nil
		}
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: asked.GetVolumeCapabilities()},
	}, nil
}

func onOneNode(mode csi.VolumeCapability_AccessMode_Mode) bool {
	return slices.Contains([]csi.VolumeCapability_AccessMode_Mode{
		csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_SINGLE_WRITER,
		csi.VolumeCapability_AccessMode_SINGLE_NODE_MULTI_WRITER,
	}, mode)
}

// CreateSnapshot takes a snapshot of a volume, in use or not. Its name is also its id.
func (c *controllerPart) CreateSnapshot(
	ctx context.Context, asked *csi.CreateSnapshotRequest,
) (*csi.CreateSnapshotResponse, error) {
	name, volume := asked.GetName(), asked.GetSourceVolumeId()
	if err := errors.Join(checkName(name), checkName(volume)); err != nil {
		return nil, answer(err)
	}
	if message := c.faultOf(ctx, volume, snapshotFails); message != "" {
		return nil, status.Error(codes.Internal, message)
	}
	taken, err := c.store.takeSnapshot(name, volume)
	if err != nil {
		return nil, answer(err)
	}
	return &csi.CreateSnapshotResponse{Snapshot: taken.told()}, nil
}

func (c *controllerPart) DeleteSnapshot(
	_ context.Context, asked *csi.DeleteSnapshotRequest,
) (*csi.DeleteSnapshotResponse, error) {
	return &csi.DeleteSnapshotResponse{}, answer(c.store.removeSnapshot(asked.GetSnapshotId()))
}

// ListSnapshots gives those of one name or one volume, or all. A token is the number of those that were given before.
func (c *controllerPart) ListSnapshots(
	_ context.Context, asked *csi.ListSnapshotsRequest,
) (*csi.ListSnapshotsResponse, error) {
	found, err := c.store.snapshots(asked.GetSnapshotId(), asked.GetSourceVolumeId())
	if err != nil {
		return nil, answer(err)
	}
	first, next := 0, ""
	if token := asked.GetStartingToken(); token != "" {
		if first, err = strconv.Atoi(token); err != nil || first < 0 || first > len(found) {
			return nil, status.Errorf(codes.Aborted, "%q is no token of this driver", token)
		}
	}
	found = found[first:]
	if most := int(asked.GetMaxEntries()); most > 0 && len(found) > most {
		found, next = found[:most], strconv.Itoa(first+most)
	}
	entries := make([]*csi.ListSnapshotsResponse_Entry, 0, len(found))
	for _, each := range found {
		entries = append(entries, &csi.ListSnapshotsResponse_Entry{Snapshot: each.told()})
	}
	return &csi.ListSnapshotsResponse{Entries: entries, NextToken: next}, nil
}

func (s snapshot) told() *csi.Snapshot {
	return &csi.Snapshot{
		SnapshotId:     s.name,
		SourceVolumeId: s.volume,
		SizeBytes:      s.size,
		CreationTime:   timestamppb.New(s.taken),
		ReadyToUse:     true,
	}
}

// answer is an error in the words that callers of a driver know.
func answer(err error) error {
	code := codes.Internal
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoName):
		code = codes.InvalidArgument
	case errors.Is(err, errNotThere):
		code = codes.NotFound
	case errors.Is(err, errOtherwise):
		code = codes.AlreadyExists
	case errors.Is(err, errTooSmall):
		code = codes.OutOfRange
	case errors.Is(err, errInUse):
		code = codes.FailedPrecondition
	}
	return status.Error(code, err.Error())
}
