// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// nodePart is what the kubelet calls.
type nodePart struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	node    string
	store   *store
	faultOf func(ctx context.Context, volume, kind string) string
}

func (n *nodePart) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: driverName, VendorVersion: driverVersion}, nil
}

func (n *nodePart) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	var found []*csi.PluginCapability
	for _, one := range []csi.PluginCapability_Service_Type{
		csi.PluginCapability_Service_CONTROLLER_SERVICE,
		csi.PluginCapability_Service_VOLUME_ACCESSIBILITY_CONSTRAINTS,
	} {
		service := &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{Type: one}}
		found = append(found, &csi.PluginCapability{Type: service})
	}
	return &csi.GetPluginCapabilitiesResponse{Capabilities: found}, nil
}

func (n *nodePart) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (n *nodePart) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	here := &csi.Topology{Segments: map[string]string{topologyKey: n.node}}
	return &csi.NodeGetInfoResponse{NodeId: n.node, AccessibleTopology: here}, nil
}

func (n *nodePart) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	var found []*csi.NodeServiceCapability
	for _, one := range []csi.NodeServiceCapability_RPC_Type{
		csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		csi.NodeServiceCapability_RPC_EXPAND_VOLUME,
		csi.NodeServiceCapability_RPC_GET_VOLUME_STATS,
		csi.NodeServiceCapability_RPC_SINGLE_NODE_MULTI_WRITER,
	} {
		capability := &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{Type: one}}
		found = append(found, &csi.NodeServiceCapability{Type: capability})
	}
	return &csi.NodeGetCapabilitiesResponse{Capabilities: found}, nil
}

// NodeStageVolume gives a volume its loop device and, unless it is raw, mounts it for the node.
func (n *nodePart) NodeStageVolume(
	ctx context.Context, asked *csi.NodeStageVolumeRequest,
) (*csi.NodeStageVolumeResponse, error) {
	volume, path := asked.GetVolumeId(), asked.GetStagingTargetPath()
	device, err := n.store.attach(volume)
	if err != nil {
		return nil, internal(err)
	}
	if asked.GetVolumeCapability().GetBlock() != nil {
		return &csi.NodeStageVolumeResponse{}, nil
	}
	// XFS takes no second file system with the same UUID, which a volume has that was made from another one.
	options := append([]string{"rw", "nouuid"}, asked.GetVolumeCapability().GetMount().GetMountFlags()...)
	if err := mount(device, path, "-t", fileSystem, "-o", strings.Join(options, ",")); err != nil {
		return nil, internal(err)
	}
	// It may be larger than what it was made from. Nobody else looks after that: for Kubernetes it has not grown.
	if asked.GetVolumeContext()[madeFrom] != "" && n.faultOf(ctx, volume, nodeExpandFails) == "" {
		if _, err := command("xfs_growfs", path); err != nil {
			return nil, internal(err)
		}
	}
	// From now on the device goes by itself with the last mount, however that ends.
	return &csi.NodeStageVolumeResponse{}, internal(n.store.detach(volume))
}

func (n *nodePart) NodeUnstageVolume(
	_ context.Context, asked *csi.NodeUnstageVolumeRequest,
) (*csi.NodeUnstageVolumeResponse, error) {
	if err := unmount(asked.GetStagingTargetPath()); err != nil {
		return nil, internal(err)
	}
	return &csi.NodeUnstageVolumeResponse{}, internal(n.store.detach(asked.GetVolumeId()))
}

// NodePublishVolume puts a staged volume where a pod looks for it.
func (n *nodePart) NodePublishVolume(
	_ context.Context, asked *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	source, target := asked.GetStagingTargetPath(), asked.GetTargetPath()
	if asked.GetVolumeCapability().GetBlock() != nil {
		device, err := n.store.device(asked.GetVolumeId())
		if err != nil {
			return nil, internal(err)
		}
		if device == "" {
			return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not staged", asked.GetVolumeId())
		}
		source = device
	}
	words := []string{"--bind"}
	if asked.GetReadonly() {
		words = append(words, "-o", "ro")
	}
	return &csi.NodePublishVolumeResponse{}, internal(mount(source, target, words...))
}

func (n *nodePart) NodeUnpublishVolume(
	_ context.Context, asked *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := unmount(asked.GetTargetPath()); err != nil {
		return nil, internal(err)
	}
	if err := os.Remove(asked.GetTargetPath()); err != nil && !os.IsNotExist(err) {
		return nil, internal(err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// NodeExpandVolume lets the loop device, and the file system on it, have what the image file has grown by.
func (n *nodePart) NodeExpandVolume(
	ctx context.Context, asked *csi.NodeExpandVolumeRequest,
) (*csi.NodeExpandVolumeResponse, error) {
	volume := asked.GetVolumeId()
	if message := n.faultOf(ctx, volume, nodeExpandFails); message != "" {
		return nil, status.Error(codes.Internal, message)
	}
	device, err := n.store.device(volume)
	if err != nil {
		return nil, internal(err)
	}
	if device == "" {
		return nil, status.Errorf(codes.FailedPrecondition, "volume %s is not staged", volume)
	}
	if _, err := command("losetup", "--set-capacity", device); err != nil {
		return nil, internal(err)
	}
	if asked.GetVolumeCapability().GetBlock() == nil {
		if _, err := command("xfs_growfs", asked.GetVolumePath()); err != nil {
			return nil, internal(err)
		}
	}
	size, err := n.store.size(volume)
	return &csi.NodeExpandVolumeResponse{CapacityBytes: size}, internal(err)
}

func (n *nodePart) NodeGetVolumeStats(
	_ context.Context, asked *csi.NodeGetVolumeStatsRequest,
) (*csi.NodeGetVolumeStatsResponse, error) {
	found, err := os.Stat(asked.GetVolumePath())
	if err != nil {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if !found.IsDir() {
		size, err := n.store.size(asked.GetVolumeId())
		usage := []*csi.VolumeUsage{{Unit: csi.VolumeUsage_BYTES, Total: size}}
		return &csi.NodeGetVolumeStatsResponse{Usage: usage}, internal(err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(asked.GetVolumePath(), &fs); err != nil {
		return nil, internal(err)
	}
	usage := []*csi.VolumeUsage{
		{
			Unit:      csi.VolumeUsage_BYTES,
			Total:     int64(fs.Blocks) * fs.Bsize,
			Available: int64(fs.Bavail) * fs.Bsize,
			Used:      int64(fs.Blocks-fs.Bfree) * fs.Bsize,
		},
		{
			Unit:      csi.VolumeUsage_INODES,
			Total:     int64(fs.Files),
			Available: int64(fs.Ffree),
			Used:      int64(fs.Files - fs.Ffree),
		},
	}
	return &csi.NodeGetVolumeStatsResponse{Usage: usage}, nil
}

// mount does nothing where something is mounted already. What is mounted on is made: like what it is mounted from.
func mount(source, target string, words ...string) error {
	if there, err := mounted(target); err != nil || there {
		return err
	}
	found, err := os.Stat(source)
	if err != nil {
		return err
	}
	if found.Mode()&os.ModeDevice != 0 && words[0] == "--bind" {
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		file, err := os.OpenFile(target, os.O_CREATE, 0o660)
		if err != nil {
			return err
		}
		file.Close()
	} else if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	_, err = command("mount", append(words, source, target)...)
	return err
}

func unmount(path string) error {
	if there, err := mounted(path); err != nil || !there {
		return err
	}
	_, err := command("umount", path)
	return err
}

func internal(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.Internal, err.Error())
}
