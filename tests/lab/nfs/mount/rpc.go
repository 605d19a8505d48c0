// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"
)

// connection carries remote procedure calls (RFC 5531) over one TCP connection at a time.
//
// A call that is under way when the connection breaks is sent again, byte for byte, on the next one: the server knows it
// by its slot and number and does nothing twice. Without end: the mount is a hard one.
type connection struct {
	address  string
	reserved bool

	mu      sync.Mutex
	socket  net.Conn
	waiting map[uint32]*exchange
	xid     uint32
	closed  bool
	broken  chan struct{} // closed when the present socket is
	sending sync.Mutex
}

type exchange struct {
	message []byte
	answer  chan []byte
}

var errClosed = errors.New("unmounted")

func newConnection(address string, reserved bool) *connection {
	return &connection{address: address, reserved: reserved, waiting: map[uint32]*exchange{}, xid: rand.Uint32()}
}

// dial takes a port below 1024 as a real client does, which servers may ask for.
func (c *connection) dial(timeout time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(timeout)
	control := func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			// A path that has gone is given up after this many milliseconds, and a new connection is tried.
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, 0x12, 10_000)
		})
	}
	dialer := net.Dialer{Deadline: deadline, KeepAlive: 5 * time.Second, Control: control}
	for try := 0; c.reserved && try < 20; try++ {
		dialer.LocalAddr = &net.TCPAddr{Port: 665 + rand.IntN(1023-665)}
		socket, err := dialer.Dial("tcp", c.address)
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return socket, err
		}
	}
	dialer.LocalAddr = nil
	return dialer.Dial("tcp", c.address)
}

func (c *connection) open(timeout time.Duration) error {
	socket, err := c.dial(timeout)
	if err != nil {
		return err
	}
	c.use(socket)
	return nil
}

// use makes a new socket the present one and sends again what waits for an answer.
func (c *connection) use(socket net.Conn) {
	c.mu.Lock()
	c.socket = socket
	c.broken = make(chan struct{})
	again := make([][]byte, 0, len(c.waiting))
	for _, e := range c.waiting {
		again = append(again, e.message)
	}
	c.mu.Unlock()
	go c.receive(socket, c.broken)
	for _, message := range again {
		c.send(socket, message)
	}
}

func (c *connection) send(socket net.Conn, message []byte) {
	c.sending.Lock()
	defer c.sending.Unlock()
	if _, err := socket.Write(message); err != nil {
		socket.Close()
	}
}

func (c *connection) receive(socket net.Conn, broken chan struct{}) {
	err := c.answers(socket)
	socket.Close()
	close(broken)
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return
	}
	log.Printf("connection to %s: %v; connecting anew", c.address, err)
	for {
		next, err := c.dial(5 * time.Second)
		if err == nil {
			log.Printf("connected to %s again", c.address)
			c.use(next)
			return
		}
		time.Sleep(500 * time.Millisecond)
		c.mu.Lock()
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
	}
}

func (c *connection) answers(socket net.Conn) error {
	for {
		var record []byte
		for last := false; !last; {
			var head [4]byte
			if _, err := io.ReadFull(socket, head[:]); err != nil {
				return err
			}
			mark := binary.BigEndian.Uint32(head[:])
			last = mark>>31 == 1
			length := int(mark & 0x7fffffff)
			if length > 16<<20 {
				return fmt.Errorf("a record of %d bytes", length)
			}
			at := len(record)
			record = append(record, make([]byte, length)...)
			if _, err := io.ReadFull(socket, record[at:]); err != nil {
				return err
			}
		}
		if len(record) < 8 || binary.BigEndian.Uint32(record[4:]) != 1 {
			continue // a call back, which nobody asked for
		}
		xid := binary.BigEndian.Uint32(record)
		c.mu.Lock()
		e := c.waiting[xid]
		delete(c.waiting, xid)
		c.mu.Unlock()
		if e != nil {
			e.answer <- record[8:]
		}
	}
}

// call sends one COMPOUND and waits for its answer.
func (c *connection) call(who *cred, body []byte) (*reader, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	c.xid++
	xid := c.xid
	w := &writer{b: make([]byte, 4, len(body)+256)}
	for _, v := range []uint32{xid, 0, 2, 100003, 4, 1} {
		w.u32(v)
	}
	who.encode(w)
	w.b = append(w.b, body...)
	binary.BigEndian.PutUint32(w.b, uint32(len(w.b)-4)|1<<31)
	e := &exchange{message: w.b, answer: make(chan []byte, 1)}
	c.waiting[xid] = e
	socket := c.socket
	c.mu.Unlock()
	c.send(socket, e.message)
	answer, ok := <-e.answer
	if !ok {
		return nil, errClosed
	}
	r := &reader{b: answer}
	if rejected := r.u32(); rejected != 0 {
		return nil, fmt.Errorf("the server refuses the call (reason %d of %d)", r.u32(), rejected)
	}
	r.u32()
	r.opaque() // the verifier
	if accepted := r.u32(); accepted != 0 {
		return nil, fmt.Errorf("the server cannot carry out the call (status %d)", accepted)
	}
	return r, r.err
}

func (c *connection) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.socket != nil {
		c.socket.Close()
	}
	for xid, e := range c.waiting {
		delete(c.waiting, xid)
		close(e.answer)
	}
}
