// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree is everything below a folder: names, modes and contents.
func tree(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(root, path)
		all.WriteString(relative)
		if !entry.IsDir() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all.WriteString("=" + string(content))
		}
		all.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

var shop = claim{"shop", "data-db-0", map[string]string{"app": "db"}, map[string]string{"nfs.io/path": "a/b", "empty": ""}}

func TestFolderNames(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                                      "shop-data-db-0-pvc-1",
		"${.PVC.namespace}/${.PVC.name}":        "shop/data-db-0",
		"x-${.PVC.labels.app}-${.PVC.name}":     "x-db-data-db-0",
		"${.PVC.annotations.nfs.io/path}/../..": "!",
		"${.PVC.annotations.nfs.io/path}":       "a/b",
		"${.PVC.annotations.empty}":             "!",
		"${.PVC.annotations.missing}":           "!",
		"a/${.PVC.labels.missing}":              "!",
		"${.PVC.uid}":                           "!",
		"/":                                     "!",
		"..":                                    "!",
	} {
		got, err := folderName(pattern, shop, "pvc-1")
		if (want == "!") != (err != nil) || err == nil && got != want {
			t.Errorf("%q gives %q, %v; want %q", pattern, got, err, want)
		}
	}
}

func TestFate(t *testing.T) {
	for _, c := range []struct {
		onDelete, archive, want string
	}{
		{"", "", put}, {"", "true", put}, {"", "false", remove}, {"", "nonsense", put},
		{"delete", "true", remove}, {"retain", "false", retain}, {"nonsense", "false", remove},
	} {
		parameters := map[string]string{}
		if c.onDelete != "" {
			parameters["onDelete"] = c.onDelete
		}
		if c.archive != "" {
			parameters["archiveOnDelete"] = c.archive
		}
		if got := fate(parameters); got != c.want {
			t.Errorf("%v: %s, want %s", parameters, got, c.want)
		}
	}
}

func TestFinish(t *testing.T) {
	root := t.TempDir()
	s := share{root, "server", "/export"}
	write(t, root+"/mine/file", "mine")
	write(t, root+"/nested/one/leaf/file", "one")
	write(t, root+"/nested/two/leaf/file", "two")
	write(t, root+"/other/file", "other")
	before := tree(t, root)
	others := map[string]string{"pvc-2": "/export/other", "pvc-3": "/export/mine/inner"}
	for name, c := range map[string]struct {
		path   string
		wanted string
	}{
		"the export itself":             {"/export", remove},
		"above the export":              {"/export/..", remove},
		"another export of a like name": {"/exported/mine", remove},
		"somebody's folder":             {"/export/other", remove},
		"somebody's folder, archived":   {"/export/other", put},
		"somebody's folder lies in it":  {"/export/mine", remove},
		"it lies in somebody's folder":  {"/export/other/deep", retain},
		"kept":                          {"/export/mine", retain},
	} {
		err := s.finish(c.path, c.wanted, others)
		if c.wanted != retain && err == nil {
			t.Errorf("%s: done", name)
		}
		if after := tree(t, root); after != before {
			t.Fatalf("%s: changed\n%s\nto\n%s", name, before, after)
		}
	}
	if err := s.finish("/export/nested/one/leaf", put, others); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(root + "/archived-leaf/file"); err != nil || string(content) != "one" {
		t.Fatalf("archived: %q, %v", content, err)
	}
	between := tree(t, root)
	// Two nested folders of one last name meet in one archive name: the second stays where it is.
	if err := s.finish("/export/nested/two/leaf", put, others); err == nil || tree(t, root) != between {
		t.Fatalf("the archive was taken, and yet: %v\n%s", err, tree(t, root))
	}
	// An archive that is empty would be replaced without a word.
	if err := os.Mkdir(root+"/archived-mine", 0o755); err != nil {
		t.Fatal(err)
	}
	between = tree(t, root)
	if err := s.finish("/export/mine", put, nil); err == nil || !strings.Contains(err.Error(), "out of the way") || tree(t, root) != between {
		t.Fatalf("an empty archive was replaced: %v", err)
	}
	if err := os.Remove(root + "/archived-mine"); err != nil {
		t.Fatal(err)
	}
	// Also when there is no other volume that would be in the way.
	if err := s.finish("/export", remove, nil); err == nil {
		t.Fatal("the export itself was removed")
	}
	if err := s.finish("/export/mine", remove, nil); err != nil || strings.Contains(tree(t, root), "mine") {
		t.Fatalf("not removed: %v", err)
	}
	if err := s.finish("/export/mine", remove, nil); err != nil {
		t.Fatalf("a second time: %v", err)
	}
}

func TestOwnership(t *testing.T) {
	root := t.TempDir()
	s := share{root, "server", "/export"}
	for annotations, want := range map[string]os.FileMode{"": 0o777, "750": 0o750, "0700": 0o700} {
		asked := map[string]string{}
		if annotations != "" {
			asked["nfs.io/createMode"] = annotations
		}
		o, err := ownershipOf(asked)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.create("v"+annotations, o); err != nil {
			t.Fatal(err)
		}
		state, err := os.Stat(root + "/v" + annotations)
		if err != nil || state.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", annotations, state.Mode(), err)
		}
	}
	if _, err := ownershipOf(map[string]string{"nfs.io/createUID": "mongodb"}); err == nil {
		t.Error("a name was taken for a number")
	}
}
