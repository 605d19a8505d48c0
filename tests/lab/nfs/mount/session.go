// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"sync"
	"time"
)

// Operations and answers of NFS 4.1 (RFC 8881).
const (
	opAccess          = 3
	opClose           = 4
	opCommit          = 5
	opCreate          = 6
	opGetattr         = 9
	opGetfh           = 10
	opLink            = 11
	opLock            = 12
	opLockt           = 13
	opLocku           = 14
	opLookup          = 15
	opOpen            = 18
	opPutfh           = 22
	opPutrootfh       = 24
	opRead            = 25
	opReaddir         = 26
	opReadlink        = 27
	opRemove          = 28
	opRename          = 29
	opSavefh          = 32
	opSetattr         = 34
	opWrite           = 38
	opExchangeID      = 42
	opCreateSession   = 43
	opDestroySession  = 44
	opFreeStateid     = 45
	opSequence        = 53
	opDestroyClientid = 57
	opReclaimComplete = 58

	errDelay           = 10008
	errDenied          = 10010
	errExpired         = 10011
	errGrace           = 10013
	errStaleClientid   = 10022
	errStaleStateid    = 10023
	errBadStateid      = 10025
	errAdminRevoked    = 10047
	errBadSession      = 10052
	errBadSlot         = 10053
	errSeqMisordered   = 10063
	errRetryUncached   = 10068
	errSeqFalseRetry   = 10076
	errDeadSession     = 10078
	statusStateRevoked = 0x8 | 0x10 | 0x20 // all, some or administratively: SEQ4_STATUS_*_STATE_REVOKED
)

// status4 is an NFS status as an error.
type status4 uint32

func (s status4) Error() string { return fmt.Sprintf("NFS status %d", uint32(s)) }

// compound puts the operations of one call together.
type compound struct {
	writer
	count uint32
}

func (c *compound) op(number uint32) *compound {
	c.u32(number)
	c.count++
	return c
}

func (c *compound) putfh(fh []byte) *compound {
	c.op(opPutfh).opaque(fh)
	return c
}

// results reads the answers to the operations of one call, in their order.
type results struct{ reader }

// next goes on to the result of the next operation, which was successful if there is no error.
func (r *results) next() error {
	r.u32()
	status := r.u32()
	if r.err != nil {
		return r.err
	}
	if status != 0 {
		return status4(status)
	}
	return nil
}

func (r *results) skip(count int) error {
	for range count {
		if err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

// session is one client's session with the server: who it is, and numbered slots, in each of which one call at a time is
// under way.
type session struct {
	net      *connection
	owner    []byte
	verifier []byte
	// Takes hold of opens and locks again; called with nobody else at work. An error means that the session was lost
	// meanwhile.
	reclaim func(s *session) error

	// Calls hold it for reading, the making of a new session for writing.
	gate       sync.RWMutex
	generation int
	clientid   uint64
	id         []byte
	largest    int
	lease      time.Duration
	slots      chan *slot
	// Set by the server's remark that it has dropped state, until that is taken hold of again.
	revoked bool
}

type slot struct {
	number, sequence uint32
}

func newSession(net *connection) *session {
	s := &session{net: net, verifier: make([]byte, 8), lease: 10 * time.Second}
	_, _ = rand.Read(s.verifier)
	host, _ := os.Hostname()
	s.owner = fmt.Appendf(nil, "stateful-lab %s %d %x", host, os.Getpid(), s.verifier)
	return s
}

// plain makes a call outside any session.
func (s *session) plain(ops *compound) (*results, error) {
	for {
		r, err := s.net.call(&machine, envelope(ops))
		if err != nil {
			return nil, err
		}
		out := &results{*r}
		status := opened(out)
		if status == errDelay || status == errGrace {
			time.Sleep(200 * time.Millisecond)
			continue
		}
		return out, out.err
	}
}

// envelope is a COMPOUND around operations: an empty tag, and minor version 1.
func envelope(ops *compound) []byte {
	w := &writer{b: make([]byte, 0, len(ops.b)+16)}
	w.u32(0)
	w.u32(1)
	w.u32(ops.count)
	w.b = append(w.b, ops.b...)
	return w.b
}

// opened reads the head of a COMPOUND's answer: the status of its last operation.
func opened(r *results) uint32 {
	status := r.u32()
	r.opaque()
	r.u32()
	return status
}

// establish tells the server who calls and gets a session.
func (s *session) establish() error {
	ops := &compound{}
	ops.op(opExchangeID).fixed(s.verifier)
	ops.opaque(s.owner)
	ops.u32(0) // flags
	ops.u32(0) // no protection of state
	ops.u32(0) // no name of this implementation
	r, err := s.plain(ops)
	if err != nil {
		return err
	}
	if err := r.next(); err != nil {
		return err
	}
	s.clientid = r.u64()
	sequence := r.u32()

	ops = &compound{}
	ops.op(opCreateSession).u64(s.clientid)
	ops.u32(sequence)
	ops.u32(0)                              // neither persistent nor with a channel for call backs: so no delegations
	for _, calls := range []uint32{64, 1} { // to the server, and back
		for _, v := range []uint32{0, 1<<20 + 8192, 1<<20 + 8192, 8192, 16, calls, 0} {
			ops.u32(v)
		}
	}
	ops.u32(0x40000000) // the program of call backs
	ops.u32(1)
	ops.u32(0) // without authentication
	if r, err = s.plain(ops); err != nil {
		return err
	}
	if err := r.next(); err != nil {
		return err
	}
	s.id = append([]byte(nil), r.take(16)...)
	r.u32()
	r.u32()
	r.u32()
	toServer := r.u32()
	toClient := r.u32()
	r.u32()
	r.u32()
	count := r.u32()
	if r.err != nil {
		return r.err
	}
	s.largest = int(min(toServer, toClient, 1<<20+8192)) - 8192
	s.slots = make(chan *slot, count)
	for number := range count {
		s.slots <- &slot{number: number, sequence: 1}
	}
	return nil
}

// attempt makes one call in the session. The caller holds the gate.
func (s *session) attempt(who *cred, cached bool, build func(*compound)) (*results, uint32, error) {
	place := <-s.slots
	ops := &compound{}
	ops.op(opSequence).fixed(s.id)
	ops.u32(place.sequence)
	ops.u32(place.number)
	ops.u32(uint32(cap(s.slots)) - 1)
	ops.bool(cached)
	build(ops)
	slots := s.slots
	r, err := s.net.call(who, envelope(ops))
	place.sequence++
	slots <- place
	if err != nil {
		return nil, 0, err
	}
	out := &results{*r}
	status := opened(out)
	if err := out.next(); err != nil {
		if code, ok := err.(status4); ok {
			return out, uint32(code), nil
		}
		return nil, 0, err
	}
	out.take(16)
	for range 4 {
		out.u32()
	}
	if flags := out.u32(); flags&statusStateRevoked != 0 {
		s.revoked = true
	}
	return out, status, out.err
}

// call makes a call until it is answered for good. `build` is asked anew for each attempt, because what identifies opens
// and locks changes with the session. `cached` tells the server to keep the answer of a call that must not be done twice.
func (s *session) call(who *cred, cached bool, build func(*compound)) (*results, error) {
	tries := 0
	for {
		s.gate.RLock()
		generation := s.generation
		r, status, err := s.attempt(who, cached, build)
		s.gate.RUnlock()
		if err != nil {
			return nil, err
		}
		switch {
		case status == errDelay || status == errGrace:
			time.Sleep(200 * time.Millisecond)
		case sessionLost(status):
			if err := s.renew(generation); err != nil {
				return nil, err
			}
		case status == errRetryUncached:
			// It was carried out, but its answer is gone. What must not be done twice is kept by the server.
		case status == errBadStateid || status == errStaleStateid || status == errExpired || status == errAdminRevoked:
			// A server that has just dropped a client may do so once more for what was under way.
			if tries++; tries > 8 {
				return r, nil
			}
			time.Sleep(time.Duration(tries-1) * 100 * time.Millisecond)
			if err := s.renew(generation); err != nil {
				return nil, err
			}
		default:
			return r, nil
		}
	}
}

// renew gets a new session, unless another call has done so meanwhile, and takes hold of opens and locks again.
func (s *session) renew(generation int) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.generation != generation {
		return nil
	}
	log.Printf("the server has lost or dropped this client's state; taking hold of it again")
	for {
		err := s.establish()
		if err == nil {
			err = s.reclaim(s)
		}
		if err == nil {
			break
		}
		if errors.Is(err, errClosed) {
			return err
		}
		log.Printf("once more, from the start: %v", err)
		time.Sleep(500 * time.Millisecond)
	}
	s.generation++
	s.revoked = false
	s.complete()
	return nil
}

// errSession says that a session has come to its end.
var errSession = errors.New("the session was lost")

// insist makes a call while nobody else does, and waits as long as the server asks for it.
func (s *session) insist(who *cred, build func(*compound)) (*results, uint32, error) {
	for {
		r, status, err := s.attempt(who, true, build)
		switch {
		case err != nil:
			return nil, 0, err
		case sessionLost(status):
			return nil, 0, errSession
		case status != errDelay && status != errGrace:
			return r, status, nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func sessionLost(status uint32) bool {
	switch status {
	case errBadSession, errDeadSession, errBadSlot, errSeqMisordered, errSeqFalseRetry, errStaleClientid:
		return true
	}
	return false
}

// complete tells the server that nothing more will be reclaimed.
func (s *session) complete() {
	_, _, _ = s.attempt(&machine, true, func(c *compound) { c.op(opReclaimComplete).bool(false) })
}

// keepAlive shows the server that this client lives, until `done`.
func (s *session) keepAlive(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(s.lease / 3):
		}
		if _, err := s.call(&machine, false, func(*compound) {}); err != nil {
			return
		}
		s.gate.RLock()
		revoked, generation := s.revoked, s.generation
		s.gate.RUnlock()
		if revoked {
			_ = s.renew(generation)
		}
	}
}

// end gives the session back, so that the server frees locks at once and not after the lease.
func (s *session) end() {
	ops := &compound{}
	ops.op(opDestroySession).fixed(s.id)
	_, _ = s.plain(ops)
	ops = &compound{}
	ops.op(opDestroyClientid).u64(s.clientid)
	_, _ = s.plain(ops)
}
