// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"encoding/binary"
	"errors"
)

var errShort = errors.New("the server's answer is cut short")

// writer puts values together in XDR (RFC 4506).
type writer struct{ b []byte }

func (w *writer) u32(v uint32) { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.BigEndian.AppendUint64(w.b, v) }

func (w *writer) bool(v bool) {
	if v {
		w.u32(1)
	} else {
		w.u32(0)
	}
}

// fixed is opaque data whose length both sides know.
func (w *writer) fixed(v []byte) {
	w.b = append(w.b, v...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) opaque(v []byte) {
	w.u32(uint32(len(v)))
	w.fixed(v)
}

func (w *writer) text(v string) { w.opaque([]byte(v)) }

// bitmap is a set of attribute numbers.
func (w *writer) bitmap(numbers ...uint) {
	words := [2]uint32{}
	for _, n := range numbers {
		words[n/32] |= 1 << (n % 32)
	}
	w.u32(2)
	w.u32(words[0])
	w.u32(words[1])
}

// reader takes XDR apart. The first lack of data is remembered; what follows reads as zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	padded := (n + 3) &^ 3
	if n < 0 || padded > len(r.b) {
		r.err = errShort
		r.b = nil
		return make([]byte, min(max(n, 0), 16))
	}
	v := r.b[:n]
	r.b = r.b[padded:]
	return v
}

func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) bool() bool  { return r.u32() != 0 }

func (r *reader) opaque() []byte {
	n := r.u32()
	if n > uint32(len(r.b)) {
		r.err = errShort
		r.b = nil
		return nil
	}
	return r.take(int(n))
}

func (r *reader) text() string { return string(r.opaque()) }

func (r *reader) bitmap() []uint32 {
	n := r.u32()
	if n > 8 {
		r.err = errShort
		return nil
	}
	words := make([]uint32, n)
	for i := range words {
		words[i] = r.u32()
	}
	return words
}
