// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

const (
	mebibyte = int64(1) << 20
	// Root without CAP_SYS_RESOURCE, as in many containers, cannot grow a mounted ext4, but a mounted XFS it can.
	fileSystem  = "xfs"
	unfinished  = ".new-"
	imageEnding = ".img"
)

var errNoName = errors.New("it is no name of a volume or snapshot")

// store is the folder of a node's image files, and the loop devices on them.
type store struct {
	folder string
	// Finding a free loop device and taking it are two steps of losetup.
	attaching sync.Mutex
	// One copy at a time.
	copying sync.Mutex
}

func (s *store) image(volume string) (string, error) {
	return filepath.Join(s.folder, volume+imageEnding), checkName(volume)
}

// checkName lets no name of a volume or snapshot lead out of its folder.
func checkName(name string) error {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("%q: %w", name, errNoName)
	}
	return nil
}

// roundedUp is the size that a volume gets: whole mebibytes, and no fewer than XFS needs.
func roundedUp(size int64) int64 {
	return max((size+mebibyte-1)/mebibyte, 16) * mebibyte
}

// create makes a volume, whole or not at all. It is fine if it exists.
func (s *store) create(volume string, size int64, raw bool) error {
	image, err := s.image(volume)
	if err != nil {
		return err
	}
	if _, err := os.Stat(image); err == nil {
		return nil
	}
	half := filepath.Join(s.folder, unfinished+volume)
	file, err := os.OpenFile(half, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(half)
	if err := errors.Join(file.Truncate(size), file.Close()); err != nil {
		return err
	}
	if !raw {
		// Nobody but root owns a new volume; the kubelet gives it to the group of the pod.
		if _, err := command("mkfs.xfs", "-q", half); err != nil {
			return err
		}
	}
	return os.Rename(half, image)
}

// removeUnfinished removes what a killed process left half-made.
func (s *store) removeUnfinished() error {
	left, err := filepath.Glob(filepath.Join(s.folder, unfinished+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (s *store) size(volume string) (int64, error) {
	image, err := s.image(volume)
	if err != nil {
		return 0, err
	}
	found, err := os.Stat(image)
	if os.IsNotExist(err) {
		return 0, fmt.Errorf("volume %s: %w", volume, errNotThere)
	}
	if err != nil {
		return 0, err
	}
	return found.Size(), nil
}

// grow makes the image file larger; who uses it sees that only after refresh.
func (s *store) grow(volume string, size int64) error {
	image, err := s.image(volume)
	if err != nil {
		return err
	}
	if now, err := s.size(volume); err != nil || now >= size {
		return err
	}
	return os.Truncate(image, size)
}

// remove deletes a volume that nobody uses. It is fine if it is gone.
func (s *store) remove(volume string) error {
	image, err := s.image(volume)
	if err != nil {
		return err
	}
	device, err := s.device(volume)
	if err != nil {
		return err
	}
	if device != "" {
		return fmt.Errorf("volume %s: %w, as %s", volume, errInUse, device)
	}
	if err := os.Remove(image); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// device is the loop device of a volume, or nothing.
func (s *store) device(volume string) (string, error) {
	image, err := s.image(volume)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(image); os.IsNotExist(err) {
		return "", nil
	}
	found, err := command("losetup", "--associated", image, "--noheadings", "--output", "NAME")
	return strings.TrimSpace(strings.SplitN(found, "\n", 2)[0]), err
}

// attach gives a volume a loop device, unless it has one.
func (s *store) attach(volume string) (string, error) {
	s.attaching.Lock()
	defer s.attaching.Unlock()
	if device, err := s.device(volume); err != nil || device != "" {
		return device, err
	}
	image, err := s.image(volume)
	if err != nil {
		return "", err
	}
	device, err := command("losetup", "--find", "--show", image)
	return strings.TrimSpace(device), err
}

// detach gives the loop device back: at once, or when its last user is gone.
func (s *store) detach(volume string) error {
	device, err := s.device(volume)
	if err != nil || device == "" {
		return err
	}
	_, err = command("losetup", "--detach", device)
	return err
}

// mounted tells whether something is mounted at a path.
func mounted(path string) (bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(table), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == path {
			return true, nil
		}
	}
	return false, err
}

func command(name string, words ...string) (string, error) {
	process := exec.Command(name, words...)
	// With these, the tests of XFS have mkfs.xfs make file systems of less than 300 MB.
	process.Env = append(os.Environ(), "TEST_DIR=1", "TEST_DEV=1", "QA_CHECK_FS=1")
	output, err := process.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(words, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}
