// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Snapshots are whole image files again, in a folder for each volume they were taken of: snapshots/VOLUME/NAME.img.
// There is one as soon as its file has its name, and its time is the file's. The machine's file system may be one that
// shares nothing between files (ext4), so that a snapshot costs what it holds.
const snapshotFolder = "snapshots"

// Requests to a mounted file system: stand still with all that was written in place, and go on.
const (
	freezeRequest = 0xC0045877
	thawRequest   = 0xC0045878
)

var (
	errNotThere  = errors.New("it is not there")
	errOtherwise = errors.New("it is there already, and otherwise")
	errTooSmall  = errors.New("it would be smaller than what it is made from")
	errInUse     = errors.New("it is in use")
)

// snapshot is one that was taken, and is whole.
type snapshot struct {
	name   string
	volume string
	size   int64
	taken  time.Time
}

// snapshots are those with a name, of a volume, or all: what is empty counts for nothing.
func (s *store) snapshots(name, volume string) ([]snapshot, error) {
	volumes, err := os.ReadDir(filepath.Join(s.folder, snapshotFolder))
	if os.IsNotExist(err) {
		return nil, nil
	}
	var found []snapshot
	for _, each := range volumes {
		if volume != "" && each.Name() != volume {
			continue
		}
		files, readErr := os.ReadDir(filepath.Join(s.folder, snapshotFolder, each.Name()))
		err = errors.Join(err, readErr)
		for _, file := range files {
			title := strings.TrimSuffix(file.Name(), imageEnding)
			if name != "" && title != name {
				continue
			}
			// One that is deleted in this moment is none.
			if about, err := file.Info(); err == nil {
				found = append(found, snapshot{title, each.Name(), about.Size(), about.ModTime()})
			}
		}
	}
	return found, err
}

// snapshot is the one with this name.
func (s *store) snapshot(name string) (snapshot, error) {
	if err := checkName(name); err != nil {
		return snapshot{}, err
	}
	found, err := s.snapshots(name, "")
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("snapshot %s: %w", name, errNotThere)
	}
	if err != nil {
		return snapshot{}, err
	}
	return found[0], nil
}

func (s *store) snapshotFile(name, volume string) string {
	return filepath.Join(s.folder, snapshotFolder, volume, name+imageEnding)
}

// takeSnapshot takes one of a volume, or says what the one of this name is.
func (s *store) takeSnapshot(name, volume string) (snapshot, error) {
	s.copying.Lock()
	defer s.copying.Unlock()
	image, err := s.image(volume)
	if err != nil {
		return snapshot{}, err
	}
	there, err := s.snapshot(name)
	if err == nil && there.volume != volume {
		return snapshot{}, fmt.Errorf("snapshot %s of volume %s: %w, of volume %s", name, volume, errOtherwise, there.volume)
	}
	if !errors.Is(err, errNotThere) {
		return there, err
	}
	target := s.snapshotFile(name, volume)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return snapshot{}, err
	}
	if err := s.copyStill(volume, image, target, 0); err != nil {
		// Of a volume without snapshots there is no folder.
		os.Remove(filepath.Dir(target))
		return snapshot{}, err
	}
	return s.snapshot(name)
}

// removeSnapshot deletes one. It is fine if it is gone.
func (s *store) removeSnapshot(name string) error {
	s.copying.Lock()
	defer s.copying.Unlock()
	there, err := s.snapshot(name)
	if errors.Is(err, errNotThere) {
		return nil
	}
	if err != nil {
		return err
	}
	file := s.snapshotFile(name, there.volume)
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return err
	}
	os.Remove(filepath.Dir(file)) // It stays while it holds others.
	return nil
}

// restore makes a volume of a snapshot, whole or not at all; 0 asks for the size of the snapshot.
func (s *store) restore(volume string, size int64, name string) error {
	s.copying.Lock()
	defer s.copying.Unlock()
	from, err := s.snapshot(name)
	if err != nil {
		return err
	}
	image, err := s.newImage(volume, size, from.size)
	if err != nil || image == "" {
		return err
	}
	return s.copyImage(s.snapshotFile(name, from.volume), image, size)
}

// clone makes a volume of what another one holds in this moment, whole or not at all.
func (s *store) clone(volume string, size int64, source string) error {
	s.copying.Lock()
	defer s.copying.Unlock()
	from, err := s.image(source)
	if err != nil {
		return err
	}
	least, err := s.size(source)
	if err != nil {
		return err
	}
	image, err := s.newImage(volume, size, least)
	if err != nil || image == "" {
		return err
	}
	return s.copyStill(source, from, image, size)
}

// newImage is the file of a volume to be made, or nothing if it is there.
func (s *store) newImage(volume string, size, least int64) (string, error) {
	image, err := s.image(volume)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(image); err == nil {
		return "", nil
	}
	if size != 0 && size < least {
		return "", fmt.Errorf("volume %s of %d bytes, made from %d bytes: %w", volume, size, least, errTooSmall)
	}
	return image, nil
}

// copyStill copies the image of a volume while whoever writes to it has to wait.
func (s *store) copyStill(volume, image, target string, size int64) error {
	// Nobody attaches it while it is copied.
	s.attaching.Lock()
	defer s.attaching.Unlock()
	device, err := s.device(volume)
	if err != nil {
		return err
	}
	if device == "" {
		if _, err := os.Stat(image); err != nil {
			return fmt.Errorf("volume %s: %w", volume, errNotThere)
		}
		return s.copyImage(image, target, size)
	}
	place, err := mountPoint(device)
	if err != nil {
		return err
	}
	if place == "" {
		return fmt.Errorf("volume %s: %w, and not as a file system whose writers could be had to stand still; stop its pods first",
			volume, errInUse)
	}
	// The open folder keeps the mount: what stands still must be found again to go on.
	folder, err := os.Open(place)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := request(folder, freezeRequest); err != nil {
		return fmt.Errorf("volume %s does not stand still: %w", volume, err)
	}
	return errors.Join(s.copyImage(image, target, size), request(folder, thawRequest))
}

// copyImage copies a file, its holes included, and lets it be larger than what it was copied from.
func (s *store) copyImage(from, to string, size int64) error {
	half := filepath.Join(s.folder, unfinished+filepath.Base(to))
	defer os.Remove(half)
	if _, err := command("cp", "--reflink=auto", "--sparse=auto", from, half); err != nil {
		return err
	}
	if size != 0 {
		if err := os.Truncate(half, size); err != nil {
			return err
		}
	}
	return os.Rename(half, to)
}

// thaw lets every volume go on that stands still, because a process was killed that copied it.
func (s *store) thaw() error {
	images, err := filepath.Glob(filepath.Join(s.folder, "[^.]*"+imageEnding))
	for _, image := range images {
		err = errors.Join(err, s.thawOne(strings.TrimSuffix(filepath.Base(image), imageEnding)))
	}
	return err
}

func (s *store) thawOne(volume string) error {
	device, err := s.device(volume)
	if err != nil {
		return err
	}
	place, err := mountPoint(device)
	if err != nil || place == "" {
		return err
	}
	folder, err := os.Open(place)
	if err != nil {
		return err
	}
	defer folder.Close()
	// What does not stand still answers so (EINVAL).
	if err := request(folder, thawRequest); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("volume %s does not go on: %w", volume, err)
	}
	return nil
}

func request(folder *os.File, what uint) error {
	return unix.IoctlSetInt(int(folder.Fd()), what, 0)
}

// mountPoint is a place at which a device is mounted, or nothing.
func mountPoint(device string) (string, error) {
	if device == "" {
		return "", nil
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(table), "\n") {
		before, after, _ := strings.Cut(line, " - ")
		here, there := strings.Fields(before), strings.Fields(after)
		if len(here) > 4 && len(there) > 1 && there[1] == device && here[3] == "/" {
			return here[4], nil
		}
	}
	return "", err
}
