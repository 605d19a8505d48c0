// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

// Tests of the driver on real loop devices with real file systems, so they need root. Without what speaks to
// Kubernetes, which the lab and its integration tests have for real.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var ctx = context.Background()

// stage is a driver on a folder of its own. Faults are by the name of a volume.
type stage struct {
	*testing.T
	*controllerPart
	part   *nodePart
	faults map[string]string
}

func newStage(t *testing.T) *stage {
	s := &stage{T: t, faults: map[string]string{}}
	faultOf := func(_ context.Context, volume, kind string) string {
		if s.faults[volume] == kind {
			return "as the test likes"
		}
		return ""
	}
	store := &store{folder: t.TempDir()}
	s.controllerPart = &controllerPart{node: "here", store: store, faultOf: faultOf}
	s.part = &nodePart{node: "here", store: store, faultOf: faultOf}
	return s
}

func capability(raw bool) *csi.VolumeCapability {
	found := &csi.VolumeCapability{AccessMode: &csi.VolumeCapability_AccessMode{
		Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER,
	}}
	if raw {
		found.AccessType = &csi.VolumeCapability_Block{Block: &csi.VolumeCapability_BlockVolume{}}
	} else {
		found.AccessType = &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}}
	}
	return found
}

func asked(name string, mebibytes int64, from *csi.VolumeContentSource) *csi.CreateVolumeRequest {
	return &csi.CreateVolumeRequest{
		Name:                name,
		CapacityRange:       &csi.CapacityRange{RequiredBytes: mebibytes * mebibyte},
		VolumeCapabilities:  []*csi.VolumeCapability{capability(false)},
		VolumeContentSource: from,
	}
}

func fromSnapshot(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Snapshot{
		Snapshot: &csi.VolumeContentSource_SnapshotSource{SnapshotId: id},
	}}
}

func fromVolume(id string) *csi.VolumeContentSource {
	return &csi.VolumeContentSource{Type: &csi.VolumeContentSource_Volume{
		Volume: &csi.VolumeContentSource_VolumeSource{VolumeId: id},
	}}
}

func (s *stage) make(request *csi.CreateVolumeRequest) *csi.Volume {
	s.Helper()
	made, err := s.CreateVolume(ctx, request)
	s.fine(err)
	return made.GetVolume()
}

// mount gives the folder of a volume, as the kubelet has it staged.
func (s *stage) mount(volume *csi.Volume) string {
	s.Helper()
	place := filepath.Join(s.TempDir(), "staged")
	_, err := s.part.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
		VolumeId: volume.GetVolumeId(), StagingTargetPath: place,
		VolumeCapability: capability(false), VolumeContext: volume.GetVolumeContext(),
	})
	s.fine(err)
	s.Cleanup(func() { s.unmount(volume, place) })
	return place
}

func (s *stage) unmount(volume *csi.Volume, place string) {
	s.Helper()
	_, err := s.part.NodeUnstageVolume(ctx, &csi.NodeUnstageVolumeRequest{
		VolumeId: volume.GetVolumeId(), StagingTargetPath: place,
	})
	s.fine(err)
}

func (s *stage) take(name, volume string) *csi.Snapshot {
	s.Helper()
	taken, err := s.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: name, SourceVolumeId: volume})
	s.fine(err)
	return taken.GetSnapshot()
}

func (s *stage) fine(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) refused(err error, wanted codes.Code) {
	s.Helper()
	if status.Code(err) != wanted {
		s.Fatalf("expected %s, found %v", wanted, err)
	}
}

func (s *stage) write(place, name, content string) {
	s.Helper()
	s.fine(os.WriteFile(filepath.Join(place, name), []byte(content), 0o600))
}

func (s *stage) read(place, name string) string {
	s.Helper()
	content, err := os.ReadFile(filepath.Join(place, name))
	s.fine(err)
	return string(content)
}

// left is what lies in the store's folder: names of files, sorted.
func (s *stage) left() string {
	s.Helper()
	var found []string
	s.fine(filepath.WalkDir(s.store.folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, s.store.folder+"/"))
		}
		return err
	}))
	return strings.Join(found, " ")
}

// writer appends numbered lines, each of them synchronised, until it is stopped. What it gives back tells how many.
func (s *stage) writer(place string) func() int {
	s.Helper()
	file, err := os.OpenFile(filepath.Join(place, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.fine(err)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		for number := 1; ; number++ {
			_, err := fmt.Fprintln(file, number)
			if err := errors.Join(err, file.Sync()); err != nil {
				s.Errorf("line %d: %v", number, err)
				number = 0
			}
			select {
			case <-stop:
				file.Close()
				done <- number
				return
			default:
			}
		}
	}()
	return func() int { close(stop); return <-done }
}

// lines counts those of the writer, of which none may be missing or half.
func (s *stage) lines(place string) int {
	s.Helper()
	content := s.read(place, "log")
	count := strings.Count(content, "\n")
	var expected bytes.Buffer
	for number := 1; number <= count; number++ {
		fmt.Fprintln(&expected, number)
	}
	if content != expected.String() {
		s.Fatalf("%d lines, and not those that were written one after the other", count)
	}
	return count
}

func TestASnapshotIsOfItsMoment(t *testing.T) {
	s := newStage(t)
	source := s.make(asked("source", 32, nil))
	place := s.mount(source)
	s.write(place, "before", "kept")
	stop := s.writer(place)
	for {
		if found, err := os.Stat(filepath.Join(place, "log")); err == nil && found.Size() > 100 {
			break
		}
	}
	taken := s.take("snap", "source")
	s.write(place, "later", "not in it")
	s.write(place, "before", "changed")
	written := stop()
	if taken.GetSizeBytes() != 32*mebibyte || !taken.GetReadyToUse() || taken.GetSourceVolumeId() != "source" {
		t.Fatalf("found %v", taken)
	}

	restored := s.make(asked("restored", 48, fromSnapshot(taken.GetSnapshotId())))
	// Beside its source, which has the same UUID.
	copied := s.mount(restored)
	if found := s.read(copied, "before"); found != "kept" {
		t.Fatalf("found %q", found)
	}
	if _, err := os.Stat(filepath.Join(copied, "later")); !os.IsNotExist(err) {
		t.Fatalf("what came later is there: %v", err)
	}
	if then := s.lines(copied); then == 0 || then >= written {
		t.Fatalf("%d lines of %d", then, written)
	}
	if all := s.lines(place); all != written {
		t.Fatalf("the source has %d lines of %d", all, written)
	}
	stats, err := s.part.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "restored", VolumePath: copied})
	s.fine(err)
	if total := stats.GetUsage()[0].GetTotal(); total < 40*mebibyte {
		t.Fatalf("the file system has %d bytes", total)
	}
	// What is written to the one is not in the other.
	s.write(copied, "before", "own")
	if found := s.read(place, "before"); found != "changed" {
		t.Fatalf("found %q", found)
	}
}

func TestACloneIsOfItsMoment(t *testing.T) {
	s := newStage(t)
	place := s.mount(s.make(asked("source", 16, nil)))
	s.write(place, "file", "then")
	cloned := s.make(asked("cloned", 16, fromVolume("source")))
	s.write(place, "file", "now")
	if found := s.read(s.mount(cloned), "file"); found != "then" {
		t.Fatalf("found %q", found)
	}
}

func TestTheSameSnapshotTwice(t *testing.T) {
	s := newStage(t)
	place := s.mount(s.make(asked("source", 16, nil)))
	s.make(asked("other", 16, nil))
	s.write(place, "file", "first")
	first := s.take("snap", "source")
	s.write(place, "file", "second")
	second := s.take("snap", "source")
	if first.String() != second.String() {
		t.Fatalf("%v and %v", first, second)
	}
	if found := s.read(s.mount(s.make(asked("restored", 16, fromSnapshot("snap")))), "file"); found != "first" {
		t.Fatalf("found %q", found)
	}
	_, err := s.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "snap", SourceVolumeId: "other"})
	s.refused(err, codes.AlreadyExists)
	for range 2 {
		_, err := s.DeleteSnapshot(ctx, &csi.DeleteSnapshotRequest{SnapshotId: "snap"})
		s.fine(err)
	}
	if found := s.left(); found != "other.img restored.img source.img" {
		t.Fatalf("left: %s", found)
	}
}

func TestWhatIsNoSnapshotAndNoVolume(t *testing.T) {
	s := newStage(t)
	s.make(asked("source", 32, nil))
	s.take("snap", "source")
	before := s.left()
	for _, each := range []struct {
		request *csi.CreateVolumeRequest
		code    codes.Code
	}{
		{asked("new", 16, fromSnapshot("snap")), codes.OutOfRange},
		{asked("new", 16, fromVolume("source")), codes.OutOfRange},
		{asked("new", 32, fromSnapshot("gone")), codes.NotFound},
		{asked("new", 32, fromVolume("gone")), codes.NotFound},
		{asked("new", 32, fromSnapshot("../snap")), codes.InvalidArgument},
		{asked("../new", 32, nil), codes.InvalidArgument},
		{asked("sub/new", 32, nil), codes.InvalidArgument},
		{asked("source", 64, nil), codes.AlreadyExists},
		{&csi.CreateVolumeRequest{Name: "new"}, codes.InvalidArgument},
	} {
		_, err := s.CreateVolume(ctx, each.request)
		s.refused(err, each.code)
	}
	for _, each := range []struct {
		name, volume string
		code         codes.Code
	}{
		{"new", "gone", codes.NotFound},
		{"", "source", codes.InvalidArgument},
		{"new", "../source", codes.InvalidArgument},
	} {
		_, err := s.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: each.name, SourceVolumeId: each.volume})
		s.refused(err, each.code)
	}
	s.faults["source"] = snapshotFails
	_, err := s.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "new", SourceVolumeId: "source"})
	s.refused(err, codes.Internal)
	if after := s.left(); after != before {
		t.Fatalf("left: %s", after)
	}
}

func TestTheSameVolumeTwice(t *testing.T) {
	s := newStage(t)
	s.make(asked("source", 16, nil))
	s.take("snap", "source")
	for _, request := range []*csi.CreateVolumeRequest{
		asked("empty", 16, nil), asked("restored", 32, fromSnapshot("snap")), asked("cloned", 0, fromVolume("source")),
	} {
		first := s.make(request)
		place := s.mount(first)
		s.write(place, "file", "kept")
		second := s.make(request)
		if first.String() != second.String() {
			t.Fatalf("%v and %v", first, second)
		}
		if found := s.read(place, "file"); found != "kept" {
			t.Fatalf("found %q", found)
		}
	}
	_, err := s.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "empty"})
	s.refused(err, codes.FailedPrecondition)
	for range 2 {
		_, err := s.DeleteVolume(ctx, &csi.DeleteVolumeRequest{VolumeId: "source"})
		s.fine(err)
	}
	// A snapshot outlives its volume.
	s.make(asked("again", 16, fromSnapshot("snap")))
}

func TestListedSnapshots(t *testing.T) {
	s := newStage(t)
	list := func(request *csi.ListSnapshotsRequest) (found []string, next string) {
		told, err := s.ListSnapshots(ctx, request)
		s.fine(err)
		for _, each := range told.GetEntries() {
			found = append(found, each.GetSnapshot().GetSourceVolumeId()+"/"+each.GetSnapshot().GetSnapshotId())
		}
		return found, told.GetNextToken()
	}
	if found, _ := list(&csi.ListSnapshotsRequest{}); found != nil {
		t.Fatalf("found %v", found)
	}
	for _, volume := range []string{"a", "b"} {
		s.make(asked(volume, 16, nil))
		s.take(volume+"-1", volume)
		s.take(volume+"-2", volume)
	}
	all, pages, next := "", 0, ""
	for {
		found, token := list(&csi.ListSnapshotsRequest{MaxEntries: 3, StartingToken: next})
		all, pages, next = all+fmt.Sprint(found), pages+1, token
		if next == "" {
			break
		}
	}
	if all != "[a/a-1 a/a-2 b/b-1][b/b-2]" || pages != 2 {
		t.Fatalf("found %s", all)
	}
	if found, _ := list(&csi.ListSnapshotsRequest{SourceVolumeId: "b"}); fmt.Sprint(found) != "[b/b-1 b/b-2]" {
		t.Fatalf("found %v", found)
	}
	if found, _ := list(&csi.ListSnapshotsRequest{SnapshotId: "a-2"}); fmt.Sprint(found) != "[a/a-2]" {
		t.Fatalf("found %v", found)
	}
	_, err := s.ListSnapshots(ctx, &csi.ListSnapshotsRequest{StartingToken: "five"})
	s.refused(err, codes.Aborted)
}

func TestARawVolumeInUseIsNotCopied(t *testing.T) {
	s := newStage(t)
	request := asked("raw", 16, nil)
	request.VolumeCapabilities = []*csi.VolumeCapability{capability(true)}
	s.make(request)
	s.take("idle", "raw")
	_, err := s.part.NodeStageVolume(ctx, &csi.NodeStageVolumeRequest{
		VolumeId: "raw", StagingTargetPath: filepath.Join(t.TempDir(), "staged"), VolumeCapability: capability(true),
	})
	s.fine(err)
	_, err = s.CreateSnapshot(ctx, &csi.CreateSnapshotRequest{Name: "busy", SourceVolumeId: "raw"})
	s.refused(err, codes.FailedPrecondition)
	s.fine(s.store.detach("raw"))
}

func TestWhatAKilledDriverLeft(t *testing.T) {
	s := newStage(t)
	volume := s.make(asked("source", 16, nil))
	place := s.mount(volume)
	s.write(s.store.folder, ".new-snap.img", "half a copy")
	folder, err := os.Open(place)
	s.fine(err)
	s.fine(request(folder, freezeRequest))
	// Whatever fails below: who waits for a file system that stands still cannot even be killed.
	t.Cleanup(func() { request(folder, thawRequest); folder.Close() })
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(filepath.Join(place, "file"), nil, 0o600) }()
	select {
	case <-written:
		t.Error("it does not stand still, so that this shows nothing")
	case <-time.After(200 * time.Millisecond):
	}

	next := &store{folder: s.store.folder}
	s.fine(next.thaw())
	s.fine(next.removeUnfinished())
	select {
	case err := <-written:
		s.fine(err)
	case <-time.After(20 * time.Second):
		t.Fatal("it still stands still")
	}
	s.fine(next.thaw()) // what goes on already is fine
	if found := s.left(); found != "source.img" {
		t.Fatalf("left: %s", found)
	}
}

func TestAFileSystemThatDoesNotGrowOnPurpose(t *testing.T) {
	s := newStage(t)
	s.make(asked("source", 16, nil))
	s.faults["cloned"] = nodeExpandFails
	cloned := s.make(asked("cloned", 64, fromVolume("source")))
	place := s.mount(cloned)
	grow := func() error {
		_, err := s.part.NodeExpandVolume(ctx, &csi.NodeExpandVolumeRequest{
			VolumeId: "cloned", VolumePath: place, VolumeCapability: capability(false),
		})
		return err
	}
	total := func() int64 {
		stats, err := s.part.NodeGetVolumeStats(ctx, &csi.NodeGetVolumeStatsRequest{VolumeId: "cloned", VolumePath: place})
		s.fine(err)
		return stats.GetUsage()[0].GetTotal()
	}
	s.refused(grow(), codes.Internal)
	if found := total(); found > 16*mebibyte {
		t.Fatalf("%d bytes", found)
	}
	delete(s.faults, "cloned")
	s.fine(grow())
	if found := total(); found < 50*mebibyte {
		t.Fatalf("%d bytes", found)
	}
}
