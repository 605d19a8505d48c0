// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cred says for whom a call is made (AUTH_SYS).
type cred struct {
	uid, gid uint32
	groups   []uint32
}

var machine = cred{}

func (c *cred) encode(w *writer) {
	inner := &writer{}
	inner.u32(0)
	inner.text("stateful-lab")
	inner.u32(c.uid)
	inner.u32(c.gid)
	inner.u32(uint32(len(c.groups)))
	for _, group := range c.groups {
		inner.u32(group)
	}
	w.u32(1)
	w.opaque(inner.b)
	w.u32(0)
	w.u32(0)
}

// groups remembers the supplementary groups of processes for a moment: FUSE tells only a process's number.
type groups struct {
	mu    sync.Mutex
	known map[uint32]known
}

type known struct {
	groups []uint32
	until  time.Time
}

func (g *groups) of(pid uint32) []uint32 {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if found, ok := g.known[pid]; ok && now.Before(found.until) {
		return found.groups
	}
	if len(g.known) > 4096 || g.known == nil {
		g.known = map[uint32]known{}
	}
	var list []uint32
	for _, word := range strings.Fields(status(pid)["Groups"]) {
		if n, err := strconv.ParseUint(word, 10, 32); err == nil && len(list) < 16 {
			list = append(list, uint32(n))
		}
	}
	g.known[pid] = known{list, now.Add(time.Second)}
	return list
}

func status(pid uint32) map[string]string {
	fields := map[string]string{}
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		return fields
	}
	for _, line := range strings.Split(string(raw), "\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields
}

// killed tells whether a process is about to end and cannot be waited for: other signals only ask, and a hard mount
// does not let itself be interrupted by them.
func killed(pid uint32) bool {
	if pid == 0 {
		return false // the kernel itself
	}
	const sigkill = 1 << (9 - 1)
	fields := status(pid)
	for _, name := range []string{"SigPnd", "ShdPnd"} {
		if mask, err := strconv.ParseUint(fields[name], 16, 64); err == nil && mask&sigkill != 0 {
			return true
		}
	}
	return len(fields) == 0 || exiting(pid)
}

// exiting tells whether the kernel is taking a process apart already (PF_EXITING).
func exiting(pid uint32) bool {
	if pid == 0 {
		return false
	}
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/stat")
	if err != nil {
		return true
	}
	end := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) < 7 {
		return true
	}
	flags, _ := strconv.ParseUint(fields[6], 10, 64)
	return flags&4 != 0
}
