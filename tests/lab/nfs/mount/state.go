// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"sync"
	"syscall"
)

// stateid is what the server calls an open or a lock by.
type stateid [16]byte

func (w *writer) stateid(s stateid) { w.b = append(w.b, s[:]...) }

func (r *reader) stateid() (s stateid) {
	copy(s[:], r.take(16))
	return s
}

// current asks for the newest version of a state, whose counter comes first.
func (s stateid) current() stateid {
	copy(s[:4], []byte{0, 0, 0, 0})
	return s
}

// Everybody opens under one name: the server takes one lock owner under two open owners for an error.
var openOwner = []byte("open")

const (
	shareRead  = 1
	shareWrite = 2
	// Not a delegation, which would have to be given back on request.
	noDelegation = 0x400

	lockRead  = 1
	lockWrite = 2
	// The length of a range without end.
	endless = ^uint64(0)
)

// extent is data that the server has, perhaps in memory only.
type extent struct {
	offset uint64
	data   []byte
}

// span is a range that a lock owner has locked; `end` is its last byte.
type span struct {
	start, end uint64
	kind       uint32
}

// holder is one owner of locks in one file.
type holder struct {
	state stateid
	known bool // whether the server knows the owner yet
	spans []span
}

// node is a file or folder that the kernel knows.
type node struct {
	id      uint64
	handle  []byte
	lookups uint64 // guarded by files.mu

	// One opening, closing, locking or committing at a time. Held across calls.
	mu      sync.Mutex
	handles int
	// A name that a file which was removed while open bears until it is closed.
	hidden *hidden
	// What was written and not committed, in order, and how much of it there is.
	loose     []extent
	looseSize int

	// What a new session is built up from. Never held across a call.
	state   sync.Mutex
	open    stateid
	share   uint32
	opener  *cred
	holders map[string]*holder
	lost    bool // a lock could not be had again after the server dropped it
	verf    []byte
	torn    bool // some of what is loose was written before the server started anew
}

type hidden struct {
	folder []byte
	name   string
	who    *cred
}

var errLost = errors.New("a lock was lost while the server was away")

func (n *node) stateid() stateid {
	n.state.Lock()
	defer n.state.Unlock()
	return n.open.current()
}

func (n *node) isLost() bool {
	n.state.Lock()
	defer n.state.Unlock()
	return n.lost
}

// openNode tells the server that a file is open for reading, writing or both. The caller holds n.mu.
func (fs *files) openNode(n *node, who *cred, share uint32) error {
	r, err := fs.session.call(who, true, func(c *compound) {
		c.putfh(n.handle)
		openHead(c, share)
		c.u32(0) // do not create
		c.u32(4) // the current file handle
	})
	if err != nil {
		return err
	}
	if err := r.skip(2); err != nil {
		return err
	}
	n.opened(readOpen(r), share, who)
	return r.err
}

func openHead(c *compound, share uint32) {
	c.op(opOpen).u32(0)
	c.u32(share | noDelegation)
	c.u32(0) // deny nobody
	c.u64(0)
	c.opaque(openOwner)
}

// readOpen reads the result of OPEN to its end.
func readOpen(r *results) stateid {
	state := r.stateid()
	r.u32()
	r.u64()
	r.u64()
	r.u32()
	r.bitmap()
	if delegation := r.u32(); delegation == 3 {
		if why := r.u32(); why == 1 || why == 2 {
			r.u32()
		}
	}
	return state
}

func (n *node) opened(state stateid, share uint32, who *cred) {
	n.state.Lock()
	defer n.state.Unlock()
	n.open = state
	n.share |= share
	if n.opener == nil || share&shareWrite != 0 {
		n.opener = who
	}
	n.handles++
}

// closeNode ends one opening; the server hears of the last one. The caller holds n.mu.
func (fs *files) closeNode(n *node) {
	if n.handles--; n.handles > 0 {
		return
	}
	if !n.isLost() {
		_, err := fs.session.call(n.opener, true, func(c *compound) {
			c.putfh(n.handle).op(opClose).u32(0)
			c.stateid(n.stateid())
		})
		if err != nil {
			log.Printf("closing: %v", err)
		}
	}
	n.state.Lock()
	n.open, n.share, n.opener, n.holders, n.lost = stateid{}, 0, nil, nil, false
	n.state.Unlock()
	n.loose, n.looseSize, n.verf, n.torn = nil, 0, nil, false
	if n.hidden != nil {
		_ = fs.remove(n.hidden.who, n.hidden.folder, n.hidden.name)
		n.hidden = nil
	}
}

// reclaim takes hold of all opens and locks again, with nobody else at work. A server that has restarted and is in its
// period of grace gives them to whoever had them; later, or when the server dropped them for another reason, somebody
// else may have come first.
func (fs *files) reclaim(s *session) error {
	for _, n := range fs.all() {
		n.state.Lock()
		var err error
		if n.share != 0 && !n.lost {
			err = n.reclaim(s)
		}
		ends := errors.Is(err, errSession) || errors.Is(err, errClosed)
		if err != nil && !ends {
			log.Printf("a file that was open cannot be had again: %v", err)
			n.lost = true
		}
		n.state.Unlock()
		if ends {
			return err
		}
	}
	return nil
}

func (n *node) reclaim(s *session) error {
	previous := true
	r, status, err := s.insist(n.opener, func(c *compound) {
		c.putfh(n.handle)
		openHead(c, n.share)
		c.u32(0)
		c.u32(1) // reclaim
		c.u32(0)
	})
	if err == nil && status != 0 {
		previous = false
		r, _, err = s.insist(n.opener, func(c *compound) {
			c.putfh(n.handle)
			openHead(c, n.share)
			c.u32(0)
			c.u32(4)
		})
	}
	if err != nil {
		return err
	}
	if err := r.skip(2); err != nil {
		return err
	}
	n.open = readOpen(r)
	for owner, h := range n.holders {
		h.known = false
		for _, held := range h.spans {
			r, _, err := s.insist(n.opener, func(c *compound) { n.lockOp(c, owner, h, held, previous) })
			if err != nil {
				return err
			}
			if err := r.skip(2); err != nil {
				return fmt.Errorf("%w (%w)", errLost, err)
			}
			h.state, h.known = r.stateid(), true
		}
	}
	return r.err
}

func (n *node) lockOp(c *compound, owner string, h *holder, s span, reclaim bool) {
	c.putfh(n.handle).op(opLock).u32(s.kind)
	c.bool(reclaim)
	c.u64(s.start)
	c.u64(s.length())
	c.bool(!h.known)
	if h.known {
		c.stateid(h.state.current())
		c.u32(0)
		return
	}
	c.u32(0)
	c.stateid(n.open.current())
	c.u32(0)
	c.u64(0)
	c.text(owner)
}

func (s span) length() uint64 {
	if s.end >= 1<<63-1 {
		return endless
	}
	return s.end - s.start + 1
}

// lock asks for a range once. The caller holds n.mu.
func (fs *files) lock(n *node, owner string, wanted span) error {
	n.state.Lock()
	if n.holders == nil {
		n.holders = map[string]*holder{}
	}
	h := n.holders[owner]
	if h == nil {
		h = &holder{}
		n.holders[owner] = h
	}
	who := n.opener
	lost := n.lost
	n.state.Unlock()
	if who == nil {
		return syscall.EBADF
	}
	if lost {
		return syscall.EIO
	}
	r, err := fs.session.call(who, true, func(c *compound) {
		n.state.Lock()
		defer n.state.Unlock()
		n.lockOp(c, owner, h, wanted, false)
	})
	if err != nil {
		return err
	}
	if err := r.skip(2); err != nil {
		return err
	}
	n.state.Lock()
	defer n.state.Unlock()
	h.state, h.known = r.stateid(), true
	h.spans = append(without(h.spans, wanted), wanted)
	return r.err
}

// unlock gives a range back; `forget` also the owner's name. The caller holds n.mu.
func (fs *files) unlock(n *node, owner string, given span, forget bool) error {
	n.state.Lock()
	h := n.holders[owner]
	who := n.opener
	n.state.Unlock()
	if h == nil || !h.known || who == nil {
		return nil
	}
	r, err := fs.session.call(who, true, func(c *compound) {
		n.state.Lock()
		defer n.state.Unlock()
		c.putfh(n.handle).op(opLocku).u32(lockWrite)
		c.u32(0)
		c.stateid(h.state.current())
		c.u64(given.start)
		c.u64(given.length())
	})
	if err != nil {
		return err
	}
	if err := r.skip(2); err != nil {
		return err
	}
	n.state.Lock()
	h.state = r.stateid()
	h.spans = without(h.spans, given)
	state := h.state
	if forget {
		delete(n.holders, owner)
	}
	n.state.Unlock()
	if forget {
		_, _ = fs.session.call(who, true, func(c *compound) { c.op(opFreeStateid).stateid(state) })
	}
	return r.err
}

// test asks who would be in the way of a lock; nil means nobody.
func (fs *files) test(n *node, owner string, wanted span) (*span, error) {
	r, err := fs.session.call(&machine, false, func(c *compound) {
		c.putfh(n.handle).op(opLockt).u32(wanted.kind)
		c.u64(wanted.start)
		c.u64(wanted.length())
		c.u64(0)
		c.text(owner)
	})
	if err != nil {
		return nil, err
	}
	err = r.skip(2)
	if err == status4(errDenied) {
		start, length, kind := r.u64(), r.u64(), r.u32()
		end := uint64(1<<63 - 1)
		if length != endless && start+length-1 < end {
			end = start + length - 1
		}
		return &span{start, end, kind}, r.err
	}
	return nil, err
}

// without takes a range out of a list of ranges.
func without(spans []span, out span) []span {
	var left []span
	for _, s := range spans {
		if s.end < out.start || s.start > out.end {
			left = append(left, s)
			continue
		}
		if s.start < out.start {
			left = append(left, span{s.start, out.start - 1, s.kind})
		}
		if s.end > out.end {
			left = append(left, span{out.end + 1, s.end, s.kind})
		}
	}
	return left
}

// How much may be written to a file before it is committed without being asked.
const mostLoose = 16 << 20

// write sends data, which the server may keep in memory for now.
func (fs *files) write(n *node, who *cred, offset uint64, data []byte) error {
	for done := 0; done < len(data); {
		part := data[done:min(len(data), done+fs.session.largest)]
		at := offset + uint64(done)
		written, verf, err := fs.send(n, who, at, part)
		if err != nil {
			return err
		}
		n.state.Lock()
		n.keep(extent{at, part[:written]}, verf)
		full := n.looseSize > mostLoose
		n.state.Unlock()
		if done += written; full {
			if err := fs.commit(n, who); err != nil {
				return err
			}
		}
	}
	return nil
}

// keep remembers data until it is known to be on the server's disk. The caller holds n.state.
func (n *node) keep(e extent, verf []byte) {
	if n.verf != nil && !bytes.Equal(n.verf, verf) {
		n.torn = true
	}
	n.verf = append([]byte(nil), verf...)
	n.loose = append(n.loose, e)
	n.looseSize += len(e.data)
}

func (fs *files) send(n *node, who *cred, offset uint64, data []byte) (int, []byte, error) {
	if n.isLost() {
		return 0, nil, syscall.EIO
	}
	r, err := fs.session.call(who, true, func(c *compound) {
		c.putfh(n.handle).op(opWrite).stateid(n.stateid())
		c.u64(offset)
		c.u32(0) // not yet stable
		c.opaque(data)
	})
	if err != nil {
		return 0, nil, err
	}
	if err := r.skip(2); err != nil {
		return 0, nil, err
	}
	count := int(r.u32())
	r.u32()
	verf := r.take(8)
	if count == 0 || count > len(data) {
		return 0, nil, syscall.EIO
	}
	return count, verf, r.err
}

// commit has the server bring to its disk what was written. Its answer bears a number that changes when it starts anew:
// then what was written before is sent once more, because it may have been in its memory only.
func (fs *files) commit(n *node, who *cred) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return fs.commitLocked(n, who)
}

func (fs *files) commitLocked(n *node, who *cred) error {
	for range 10 {
		n.state.Lock()
		pending, size, torn, verf := n.loose, n.looseSize, n.torn, n.verf
		n.state.Unlock()
		if len(pending) == 0 {
			return nil
		}
		r, err := fs.session.call(who, false, func(c *compound) {
			c.putfh(n.handle).op(opCommit).u64(0)
			c.u32(0)
		})
		if err != nil {
			return err
		}
		if err := r.skip(2); err != nil {
			return err
		}
		now := r.take(8)
		n.state.Lock()
		n.loose, n.looseSize, n.torn = n.loose[len(pending):], n.looseSize-size, false
		if len(n.loose) == 0 {
			n.loose, n.verf = nil, nil
		}
		n.state.Unlock()
		if !torn && bytes.Equal(now, verf) {
			return nil
		}
		log.Printf("the server has started anew: %d bytes are sent again", size)
		for _, e := range pending {
			for done := 0; done < len(e.data); {
				written, verf, err := fs.send(n, who, e.offset+uint64(done), e.data[done:])
				if err != nil {
					return err
				}
				n.state.Lock()
				n.keep(extent{e.offset + uint64(done), e.data[done : done+written]}, verf)
				n.state.Unlock()
				done += written
			}
		}
	}
	return syscall.EIO
}
