// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// share is the exported folder: where this process has it, and what it is called on the server.
type share struct {
	local  string
	server string
	export string
}

// claim is what a folder's name may be made of.
type claim struct {
	namespace, name     string
	labels, annotations map[string]string
}

var field = regexp.MustCompile(`\$\{\.PVC\.([^}]*)\}`)

// folderName is where a volume is kept: as the class's pattern says, or named after namespace, claim and volume.
//
// The provisioner that this one stands for puts nothing in the place of a label that a claim does not have, and so has
// claims share a folder; this one refuses.
func folderName(pattern string, c claim, volume string) (string, error) {
	if pattern == "" {
		return strings.Join([]string{c.namespace, c.name, volume}, "-"), nil
	}
	var problem error
	name := field.ReplaceAllStringFunc(pattern, func(match string) string {
		key := field.FindStringSubmatch(match)[1]
		value := ""
		switch {
		case key == "namespace":
			value = c.namespace
		case key == "name":
			value = c.name
		case strings.HasPrefix(key, "labels."):
			value = c.labels[strings.TrimPrefix(key, "labels.")]
		case strings.HasPrefix(key, "annotations."):
			value = c.annotations[strings.TrimPrefix(key, "annotations.")]
		default:
			problem = fmt.Errorf("pathPattern %q: %s is not known", pattern, match)
		}
		if value == "" && problem == nil {
			problem = fmt.Errorf("pathPattern %q: claim %s/%s has no %s", pattern, c.namespace, c.name, key)
		}
		return value
	})
	if problem != nil {
		return "", problem
	}
	clean := path.Clean("/" + name)[1:]
	if clean == "" || strings.Contains("/"+name+"/", "/../") {
		return "", fmt.Errorf("pathPattern %q gives %q for claim %s/%s, which is no folder below the export",
			pattern, name, c.namespace, c.name)
	}
	return clean, nil
}

// overlap tells whether one of two paths is the other, or lies in it.
func overlap(one, other string) bool {
	one, other = path.Clean(one)+"/", path.Clean(other)+"/"
	return strings.HasPrefix(one, other) || strings.HasPrefix(other, one)
}

// ownership is what a claim's annotations ask for.
type ownership struct {
	mode     os.FileMode
	uid, gid int
}

func ownershipOf(annotations map[string]string) (ownership, error) {
	o := ownership{mode: 0o777, uid: 0, gid: 0}
	number := func(key string, base int, into func(uint64)) error {
		text, given := annotations["nfs.io/"+key]
		if !given {
			return nil
		}
		n, err := strconv.ParseUint(text, base, 32)
		if err != nil {
			return fmt.Errorf("annotation nfs.io/%s is %q, which is no number", key, text)
		}
		into(n)
		return nil
	}
	err := errors.Join(
		number("createMode", 8, func(n uint64) { o.mode = os.FileMode(n & 0o777) }),
		number("createUID", 10, func(n uint64) { o.uid = int(n) }),
		number("createGID", 10, func(n uint64) { o.gid = int(n) }),
	)
	return o, err
}

func (s share) create(folder string, o ownership) error {
	full := filepath.Join(s.local, folder)
	if err := os.MkdirAll(full, o.mode); err != nil {
		return fmt.Errorf("cannot make a folder for the volume: %w", err)
	}
	// The mode does not depend on this process's umask.
	if err := os.Chmod(full, o.mode); err != nil {
		return fmt.Errorf("cannot set the mode of the volume's folder: %w", err)
	}
	if o.uid == 0 && o.gid == 0 {
		return nil
	}
	if err := os.Chown(full, o.uid, o.gid); err != nil {
		return fmt.Errorf("cannot set the owner of the volume's folder: %w", err)
	}
	return nil
}

// The ends that a folder may come to.
const (
	remove = "remove"
	retain = "retain"
	put    = "archive"
)

// fate reads a class: onDelete wins; else the folder is archived unless archiveOnDelete is false.
func fate(parameters map[string]string) string {
	switch parameters["onDelete"] {
	case "delete":
		return remove
	case "retain":
		return retain
	}
	if text, given := parameters["archiveOnDelete"]; given {
		if archive, err := strconv.ParseBool(text); err == nil && !archive {
			return remove
		}
	}
	return put
}

// below gives a volume's folder below the export.
func (s share) below(volumePath string) (string, error) {
	relative, err := filepath.Rel(s.export, volumePath)
	if err != nil || relative == "." || strings.HasPrefix(relative, "..") {
		return "", fmt.Errorf("the volume's path %s is not below %s: nothing is touched", volumePath, s.export)
	}
	return relative, nil
}

// finish does with a volume's folder what its class says. Nobody else's folder is touched: `others` are the paths of all
// other volumes on this server.
func (s share) finish(volumePath, wanted string, others map[string]string) error {
	folder, err := s.below(volumePath)
	if err != nil {
		return err
	}
	full := filepath.Join(s.local, folder)
	if _, err := os.Lstat(full); errors.Is(err, os.ErrNotExist) || wanted == retain {
		return nil // gone already, as a run before this one has done it
	}
	for name, other := range others {
		if overlap(volumePath, other) {
			return fmt.Errorf("folder %s is also in volume %s: nothing is touched", folder, name)
		}
	}
	if wanted == remove {
		return os.RemoveAll(full)
	}
	archive := filepath.Join(s.local, "archived-"+filepath.Base(folder))
	if _, err := os.Lstat(archive); err == nil {
		return fmt.Errorf("cannot archive %s: %s exists; move it out of the way", folder, filepath.Base(archive))
	}
	return os.Rename(full, archive)
}
