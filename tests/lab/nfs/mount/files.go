// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"fmt"
	"log"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// files is the file system as the kernel asks for it.
type files struct {
	fuse.RawFileSystem
	session *session
	groups  groups

	mu       sync.Mutex
	byHandle map[string]*node
	byID     map[uint64]*node
	handles  map[uint64]*handle
	last     uint64
	hides    uint64
}

// handle is one opening by one process; a folder's keeps where the server is in its list.
type handle struct {
	node *node
	who  *cred
	verf []byte
}

// How long the kernel may rely on what it was told of a file or a name.
const trust = time.Second

func newFiles(s *session, root []byte) *files {
	fs := &files{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		session:       s,
		byHandle:      map[string]*node{},
		byID:          map[uint64]*node{},
		handles:       map[uint64]*handle{},
		last:          1,
	}
	n := &node{id: 1, handle: root, lookups: 1}
	fs.byID[1], fs.byHandle[string(root)] = n, n
	s.reclaim = fs.reclaim
	return fs
}

func (fs *files) all() []*node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := make([]*node, 0, len(fs.byID))
	for _, n := range fs.byID {
		list = append(list, n)
	}
	return list
}

func (fs *files) node(id uint64) *node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byID[id]
}

// known finds the node of a handle of the server's, if the kernel has it.
func (fs *files) known(serverHandle []byte) *node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.byHandle[string(serverHandle)]
}

// entry answers a question for a name: the kernel knows the node from now on.
func (fs *files) entry(a *attributes, out *fuse.EntryOut) *node {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.byHandle[string(a.handle)]
	if n == nil {
		fs.last++
		n = &node{id: fs.last, handle: a.handle}
		fs.byHandle[string(a.handle)], fs.byID[n.id] = n, n
	}
	n.lookups++
	out.NodeId, out.Generation, out.Attr = n.id, 1, a.Attr
	out.SetAttrTimeout(trust)
	out.SetEntryTimeout(trust)
	return n
}

func (fs *files) Forget(id, count uint64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := fs.byID[id]
	if n == nil || id == 1 {
		return
	}
	if n.lookups -= min(count, n.lookups); n.lookups == 0 {
		delete(fs.byID, id)
		delete(fs.byHandle, string(n.handle))
	}
}

func (fs *files) addHandle(h *handle) uint64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.last++
	fs.handles[fs.last] = h
	return fs.last
}

func (fs *files) handle(id uint64) *handle {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.handles[id]
}

func (fs *files) dropHandle(id uint64) *handle {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	h := fs.handles[id]
	delete(fs.handles, id)
	return h
}

func (fs *files) caller(h *fuse.InHeader) *cred {
	return &cred{uid: h.Uid, gid: h.Gid, groups: fs.groups.of(h.Pid)}
}

// run does something for a process and waits for its end, as a hard mount does. Only a process that is being killed is
// let go before; the work goes on without it, and so does the account of what is open and locked.
//
// What `work` reads of a request it must have copied, and what it finds out it gives to `answer`, which is called only
// while the kernel still waits.
func (fs *files) run(cancel <-chan struct{}, pid uint32, work func() (answer func(), err error)) fuse.Status {
	type outcome struct {
		answer func()
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		answer, err := work()
		done <- outcome{answer, err}
	}()
	var again <-chan time.Time
	for {
		select {
		case o := <-done:
			if o.err == nil && o.answer != nil {
				o.answer()
			}
			return errno(o.err)
		case <-cancel:
			cancel = nil
		case <-again:
		}
		if cancel == nil && killed(pid) {
			return fuse.EINTR
		}
		// The kernel tells of a first signal only; a later one may be the last.
		again = time.After(200 * time.Millisecond)
	}
}

// ask makes a call of which the last operation is GETATTR, after GETFH if `named`. `body` reads what the operation
// before those has to tell.
func (fs *files) ask(who *cred, cached bool, skip int, body func(*results), named bool, build func(*compound)) (*attributes, error) {
	r, err := fs.session.call(who, cached, func(c *compound) {
		build(c)
		if named {
			c.op(opGetfh)
		}
		c.op(opGetattr).bitmap(ordinary...)
	})
	if err != nil {
		return nil, err
	}
	if err := r.skip(skip); err != nil {
		return nil, err
	}
	body(r)
	var serverHandle []byte
	if named {
		if err := r.next(); err != nil {
			return nil, err
		}
		serverHandle = append([]byte(nil), r.opaque()...)
	}
	if err := r.next(); err != nil {
		return nil, err
	}
	a := decode(&r.reader)
	a.handle = serverHandle
	return &a, r.err
}

func nothing(*results) {}

// created reads what CREATE tells: how its folder changed, and which attributes it has set.
func created(r *results) {
	r.take(20)
	r.bitmap()
}

func (fs *files) lookup(who *cred, folder []byte, name string) (*attributes, error) {
	return fs.ask(who, false, 2, nothing, true, func(c *compound) { c.putfh(folder).op(opLookup).text(name) })
}

func (fs *files) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	folder, who := fs.node(in.NodeId), fs.caller(in)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		a, err := fs.lookup(who, folder.handle, name)
		return func() { fs.entry(a, out) }, err
	})
}

func (fs *files) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, who := fs.node(in.NodeId), fs.caller(&in.InHeader)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		a, err := fs.ask(who, false, 1, nothing, false, func(c *compound) { c.putfh(n.handle) })
		return func() {
			out.Attr = a.Attr
			out.SetTimeout(trust)
		}, err
	})
}

func wanted(in *fuse.SetAttrIn) *change {
	c := &change{}
	if size, ok := in.GetSize(); ok {
		c.size = &size
	}
	if in.Valid&fuse.FATTR_MODE != 0 {
		mode := in.Mode
		c.mode = &mode
	}
	if in.Valid&fuse.FATTR_UID != 0 {
		uid := in.Uid
		c.uid = &uid
	}
	if in.Valid&fuse.FATTR_GID != 0 {
		gid := in.Gid
		c.gid = &gid
	}
	if in.Valid&fuse.FATTR_ATIME != 0 {
		c.access = &moment{in.Valid&fuse.FATTR_ATIME_NOW != 0, in.Atime, in.Atimensec}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		c.modify = &moment{in.Valid&fuse.FATTR_MTIME_NOW != 0, in.Mtime, in.Mtimensec}
	}
	return c
}

func (fs *files) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, who, c := fs.node(in.NodeId), fs.caller(&in.InHeader), wanted(in)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		a, err := fs.setattr(n, who, c)
		return func() {
			out.Attr = a.Attr
			out.SetTimeout(trust)
		}, err
	})
}

func (fs *files) setattr(n *node, who *cred, wanted *change) (*attributes, error) {
	if wanted.size != nil {
		// What was written before must not come back after the file was cut.
		if err := fs.commit(n, who); err != nil {
			return nil, err
		}
	}
	return fs.ask(who, true, 2, func(r *results) { r.bitmap() }, false, func(c *compound) {
		c.putfh(n.handle).op(opSetattr)
		if wanted.size != nil {
			c.stateid(n.stateid())
		} else {
			c.stateid(stateid{})
		}
		wanted.encode(&c.writer)
	})
}

// create makes what is no ordinary file.
func (fs *files) create(cancel <-chan struct{}, in *fuse.InHeader, name string, mode uint32, kind func(*compound), out *fuse.EntryOut) fuse.Status {
	folder, who := fs.node(in.NodeId), fs.caller(in)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		a, err := fs.ask(who, true, 2, created, true, func(c *compound) {
			c.putfh(folder.handle).op(opCreate)
			kind(c)
			c.text(name)
			(&change{mode: &mode}).encode(&c.writer)
		})
		return func() { fs.entry(a, out) }, err
	})
}

func (fs *files) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return fs.create(cancel, &in.InHeader, name, in.Mode&^in.Umask, func(c *compound) { c.u32(2) }, out)
}

func (fs *files) Symlink(cancel <-chan struct{}, in *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	return fs.create(cancel, in, name, 0o777, func(c *compound) { c.u32(5); c.text(target) }, out)
}

func (fs *files) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	mode, device := in.Mode&^in.Umask, in.Rdev
	kinds := map[uint32]uint32{syscall.S_IFBLK: 3, syscall.S_IFCHR: 4, syscall.S_IFSOCK: 6, syscall.S_IFIFO: 7}
	if kind, special := kinds[in.Mode&syscall.S_IFMT]; special {
		return fs.create(cancel, &in.InHeader, name, mode, func(c *compound) {
			if c.u32(kind); kind <= 4 {
				c.u32(device >> 8)
				c.u32(device & 0xff)
			}
		}, out)
	}
	folder, who := fs.node(in.NodeId), fs.caller(&in.InHeader)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		n, a, err := fs.openNew(folder, who, name, shareWrite, true, &change{mode: &mode})
		if err == nil {
			n.mu.Lock()
			defer n.mu.Unlock()
			defer fs.closeNode(n)
		}
		return func() {
			fs.entry(a, out)
			fs.Forget(n.id, 1)
		}, err
	})
}

// openNew makes and opens a file in one call. The node is counted once as known to the kernel; whoever answers the kernel
// counts it again and takes this back.
func (fs *files) openNew(folder *node, who *cred, name string, share uint32, exclusive bool, with *change) (*node, *attributes, error) {
	r, err := fs.session.call(who, true, func(c *compound) {
		c.putfh(folder.handle)
		openHead(c, share)
		c.u32(1)
		if exclusive {
			c.u32(1)
		} else {
			c.u32(0)
		}
		with.encode(&c.writer)
		c.u32(0) // by name
		c.text(name)
		c.op(opGetfh)
		c.op(opGetattr).bitmap(ordinary...)
	})
	if err != nil {
		return nil, nil, err
	}
	if err := r.skip(2); err != nil {
		return nil, nil, err
	}
	state := readOpen(r)
	if err := r.next(); err != nil {
		return nil, nil, err
	}
	serverHandle := append([]byte(nil), r.opaque()...)
	if err := r.next(); err != nil {
		return nil, nil, err
	}
	a := decode(&r.reader)
	a.handle = serverHandle
	n := fs.entry(&a, &fuse.EntryOut{})
	n.mu.Lock()
	n.opened(state, share, who)
	n.mu.Unlock()
	return n, &a, r.err
}

func shareOf(flags uint32) uint32 {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_WRONLY:
		return shareWrite
	case syscall.O_RDWR:
		return shareRead | shareWrite
	}
	return shareRead
}

func (fs *files) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	folder, who := fs.node(in.NodeId), fs.caller(&in.InHeader)
	mode, flags := in.Mode&^in.Umask, in.Flags
	with := &change{mode: &mode}
	if flags&syscall.O_TRUNC != 0 {
		with.size = new(uint64)
	}
	return fs.run(cancel, in.Pid, func() (func(), error) {
		n, a, err := fs.openNew(folder, who, name, shareOf(flags), flags&syscall.O_EXCL != 0, with)
		return func() {
			fs.entry(a, &out.EntryOut)
			fs.Forget(n.id, 1)
			out.Fh = fs.addHandle(&handle{node: n, who: who})
		}, err
	})
}

func (fs *files) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, who, flags := fs.node(in.NodeId), fs.caller(&in.InHeader), in.Flags
	return fs.run(cancel, in.Pid, func() (func(), error) {
		n.mu.Lock()
		err := fs.openNode(n, who, shareOf(flags))
		n.mu.Unlock()
		if err == nil && flags&syscall.O_TRUNC != 0 {
			_, err = fs.setattr(n, who, &change{size: new(uint64)})
		}
		return func() { out.Fh = fs.addHandle(&handle{node: n, who: who}) }, err
	})
}

func (fs *files) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	h := fs.dropHandle(in.Fh)
	if h == nil {
		return
	}
	flock := in.ReleaseFlags&fuse.FUSE_RELEASE_FLOCK_UNLOCK != 0
	owner := ownerName(in.LockOwner, true)
	// Nobody waits for it.
	go func() {
		h.node.mu.Lock()
		defer h.node.mu.Unlock()
		if flock {
			_ = fs.unlock(h.node, owner, span{0, endless, lockWrite}, true)
		}
		if err := fs.commitLocked(h.node, h.who); err != nil {
			log.Printf("committing at the end: %v", err)
		}
		fs.closeNode(h.node)
	}()
}

func (fs *files) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h, offset, size := fs.handle(in.Fh), in.Offset, int(in.Size)
	if h == nil {
		return nil, fuse.EBADF
	}
	var result []byte
	code := fs.run(cancel, in.Pid, func() (func(), error) {
		data, err := fs.read(h, offset, size)
		return func() { result = data }, err
	})
	if code != fuse.OK {
		return nil, code
	}
	return fuse.ReadResultData(result), fuse.OK
}

func (fs *files) read(h *handle, offset uint64, size int) ([]byte, error) {
	if h.node.isLost() {
		return nil, syscall.EIO
	}
	var data []byte
	for len(data) < size {
		r, err := fs.session.call(h.who, false, func(c *compound) {
			c.putfh(h.node.handle).op(opRead).stateid(h.node.stateid())
			c.u64(offset + uint64(len(data)))
			c.u32(uint32(min(size-len(data), fs.session.largest)))
		})
		if err != nil {
			return nil, err
		}
		if err := r.skip(2); err != nil {
			return nil, err
		}
		end := r.bool()
		part := r.opaque()
		if r.err != nil {
			return nil, r.err
		}
		if data == nil {
			data = part
		} else {
			data = append(data, part...)
		}
		if end || len(part) == 0 {
			break
		}
	}
	return data, nil
}

func (fs *files) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	h, offset := fs.handle(in.Fh), in.Offset
	if h == nil {
		return 0, fuse.EBADF
	}
	kept := append([]byte(nil), data...)
	code := fs.run(cancel, in.Pid, func() (func(), error) { return nil, fs.write(h.node, h.who, offset, kept) })
	if code != fuse.OK {
		return 0, code
	}
	return uint32(len(kept)), fuse.OK
}

func (fs *files) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	return fs.run(cancel, in.Pid, func() (func(), error) { return nil, fs.commit(h.node, h.who) })
}

// FsyncDir has nothing to do: the server answers a change of a folder when it is done.
func (fs *files) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status { return fuse.OK }

// Flush comes whenever a process closes a file, at its death too: what it wrote goes to the disk, as an NFS client does
// it, and its fcntl locks go.
func (fs *files) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	n, owner := h.node, ownerName(in.LockOwner, false)
	n.state.Lock()
	idle := len(n.loose) == 0 && n.holders[owner] == nil
	n.state.Unlock()
	if idle {
		return fuse.OK
	}
	// The kernel does not tell of signals here, so a dying process is looked for.
	asked := make(chan struct{})
	close(asked)
	return fs.run(asked, in.Pid, func() (func(), error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		err := fs.commitLocked(n, h.who)
		if unlocked := fs.unlock(n, owner, span{0, endless, lockWrite}, true); err == nil {
			err = unlocked
		}
		return nil, err
	})
}

// ownerName keeps owners of fcntl locks and of flock locks apart.
func ownerName(owner uint64, flock bool) string {
	kind := "fcntl "
	if flock {
		kind = "flock "
	}
	return kind + strconv.FormatUint(owner, 16)
}

func spanOf(in *fuse.LkIn) span {
	kind := uint32(lockRead)
	if in.Lk.Typ == syscall.F_WRLCK {
		kind = lockWrite
	}
	return span{in.Lk.Start, in.Lk.End, kind}
}

func (fs *files) SetLk(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return fs.setLock(cancel, in, false)
}

func (fs *files) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return fs.setLock(cancel, in, true)
}

func (fs *files) setLock(cancel <-chan struct{}, in *fuse.LkIn, wait bool) fuse.Status {
	h := fs.handle(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	n, wanted, owner := h.node, spanOf(in), ownerName(in.Owner, in.LkFlags&fuse.FUSE_LK_FLOCK != 0)
	if in.Lk.Typ == syscall.F_UNLCK {
		return fs.run(cancel, in.Pid, func() (func(), error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return nil, fs.unlock(n, owner, wanted, false)
		})
	}
	for {
		code := fs.run(cancel, in.Pid, func() (func(), error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			return nil, fs.lock(n, owner, wanted)
		})
		if code != fuse.EAGAIN || !wait {
			return code
		}
		// Somebody who waits for a lock may be interrupted by any signal.
		select {
		case <-cancel:
			return fuse.EINTR
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (fs *files) GetLk(cancel <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	n, wanted, owner := fs.node(in.NodeId), spanOf(in), ownerName(in.Owner, in.LkFlags&fuse.FUSE_LK_FLOCK != 0)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		found, err := fs.test(n, owner, wanted)
		return func() {
			out.Lk.Typ = syscall.F_UNLCK
			if found != nil {
				out.Lk = fuse.FileLock{Start: found.start, End: found.end, Typ: syscall.F_RDLCK}
				if found.kind == lockWrite || found.kind == 4 {
					out.Lk.Typ = syscall.F_WRLCK
				}
			}
		}, err
	})
}

func (fs *files) remove(who *cred, folder []byte, name string) error {
	r, err := fs.session.call(who, true, func(c *compound) { c.putfh(folder).op(opRemove).text(name) })
	if err != nil {
		return err
	}
	return r.skip(2)
}

func (fs *files) rename(who *cred, from []byte, old string, to []byte, name string) error {
	r, err := fs.session.call(who, true, func(c *compound) {
		c.putfh(from).op(opSavefh)
		c.putfh(to).op(opRename).text(old)
		c.text(name)
	})
	if err != nil {
		return err
	}
	return r.skip(4)
}

// hide gives a file that goes while somebody has it open another name until it is closed, as every NFS client does.
// Whether it had to be.
func (fs *files) hide(who *cred, folder []byte, name string) (bool, error) {
	a, err := fs.lookup(who, folder, name)
	if err != nil {
		return false, nil
	}
	n := fs.known(a.handle)
	if n == nil || a.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return false, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handles == 0 || n.hidden != nil || a.Nlink > 1 {
		return false, nil
	}
	fs.mu.Lock()
	fs.hides++
	other := fmt.Sprintf(".nfs%016x%08x", a.Ino, fs.hides)
	fs.mu.Unlock()
	if err := fs.rename(who, folder, name, folder, other); err != nil {
		return false, err
	}
	n.hidden = &hidden{folder, other, who}
	return true, nil
}

func (fs *files) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	folder, who := fs.node(in.NodeId), fs.caller(in)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		if done, err := fs.hide(who, folder.handle, name); done || err != nil {
			return nil, err
		}
		return nil, fs.remove(who, folder.handle, name)
	})
}

func (fs *files) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	folder, who := fs.node(in.NodeId), fs.caller(in)
	return fs.run(cancel, in.Pid, func() (func(), error) { return nil, fs.remove(who, folder.handle, name) })
}

func (fs *files) Rename(cancel <-chan struct{}, in *fuse.RenameIn, old, name string) fuse.Status {
	from, to, who := fs.node(in.NodeId), fs.node(in.Newdir), fs.caller(&in.InHeader)
	if in.Flags != 0 {
		return fuse.EINVAL // NFS knows no renaming that must not replace, and none that exchanges
	}
	return fs.run(cancel, in.Pid, func() (func(), error) {
		source, err := fs.lookup(who, from.handle, old)
		if err != nil {
			return nil, err
		}
		if target, err := fs.lookup(who, to.handle, name); err == nil && string(target.handle) != string(source.handle) {
			if _, err := fs.hide(who, to.handle, name); err != nil {
				return nil, err
			}
		}
		return nil, fs.rename(who, from.handle, old, to.handle, name)
	})
}

func (fs *files) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	n, folder, who := fs.node(in.Oldnodeid), fs.node(in.NodeId), fs.caller(&in.InHeader)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		r, err := fs.session.call(who, true, func(c *compound) {
			c.putfh(n.handle).op(opSavefh)
			c.putfh(folder.handle).op(opLink).text(name)
		})
		if err == nil {
			err = r.skip(4)
		}
		if err != nil {
			return nil, err
		}
		a, err := fs.lookup(who, folder.handle, name)
		return func() { fs.entry(a, out) }, err
	})
}

func (fs *files) Readlink(cancel <-chan struct{}, in *fuse.InHeader) (target []byte, code fuse.Status) {
	n, who := fs.node(in.NodeId), fs.caller(in)
	code = fs.run(cancel, in.Pid, func() (func(), error) {
		r, err := fs.session.call(who, false, func(c *compound) { c.putfh(n.handle).op(opReadlink) })
		if err == nil {
			err = r.skip(2)
		}
		if err != nil {
			return nil, err
		}
		text := r.opaque()
		return func() { target = text }, r.err
	})
	return target, code
}

func (fs *files) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	const read, search, modify, extend, execute = 1, 2, 4, 8, 0x20
	n, who, mask := fs.node(in.NodeId), fs.caller(&in.InHeader), in.Mask
	return fs.run(cancel, in.Pid, func() (func(), error) {
		var want uint32
		if mask&4 != 0 {
			want |= read
		}
		if mask&2 != 0 {
			want |= modify | extend
		}
		if mask&1 != 0 {
			want |= search | execute
		}
		if want == 0 {
			return nil, nil
		}
		r, err := fs.session.call(who, false, func(c *compound) { c.putfh(n.handle).op(opAccess).u32(want) })
		if err == nil {
			err = r.skip(2)
		}
		if err != nil {
			return nil, err
		}
		// A file has no `search` and a folder no `execute`: what cannot be asked is not counted.
		supported := r.u32()
		if granted := r.u32(); granted&supported != want&supported {
			return nil, syscall.EACCES
		}
		return nil, r.err
	})
}

func (fs *files) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	n, who := fs.node(in.NodeId), fs.caller(in)
	return fs.run(cancel, in.Pid, func() (func(), error) {
		r, err := fs.session.call(who, false, func(c *compound) {
			c.putfh(n.handle).op(opGetattr).bitmap(statistics...)
		})
		if err == nil {
			err = r.skip(2)
		}
		if err != nil {
			return nil, err
		}
		a := decode(&r.reader)
		return func() {
			const block = 4096
			out.Bsize, out.Frsize, out.NameLen = block, block, 255
			out.Bavail, out.Bfree, out.Blocks = a.space[0]/block, a.space[1]/block, a.space[2]/block
			out.Ffree, out.Files = a.files[1], a.files[2]
		}, r.err
	})
}

func (fs *files) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.Fh = fs.addHandle(&handle{node: fs.node(in.NodeId), who: fs.caller(&in.InHeader), verf: make([]byte, 8)})
	return fuse.OK
}

func (fs *files) ReleaseDir(in *fuse.ReleaseIn) { fs.dropHandle(in.Fh) }

func (fs *files) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	h, cookie, size := fs.handle(in.Fh), in.Offset, in.Size
	if h == nil {
		return fuse.EBADF
	}
	// The server keeps the first three numbers for this.
	if cookie == 0 && !out.AddDirEntry(fuse.DirEntry{Name: ".", Mode: syscall.S_IFDIR, Off: 1}) {
		return fuse.OK
	}
	if cookie <= 1 && !out.AddDirEntry(fuse.DirEntry{Name: "..", Mode: syscall.S_IFDIR, Off: 2}) {
		return fuse.OK
	}
	if cookie <= 2 {
		cookie = 0
	}
	return fs.run(cancel, in.Pid, func() (func(), error) {
		verf := make([]byte, 8)
		if cookie != 0 {
			verf = h.verf
		}
		r, err := fs.session.call(h.who, false, func(c *compound) {
			c.putfh(h.node.handle).op(opReaddir).u64(cookie)
			c.fixed(verf)
			c.u32(size)
			c.u32(max(4*size, 32<<10))
			c.bitmap(listed...)
		})
		if err == nil {
			err = r.skip(2)
		}
		if err != nil {
			return nil, err
		}
		verf = append([]byte(nil), r.take(8)...)
		var entries []fuse.DirEntry
		for r.bool() {
			e := fuse.DirEntry{Off: r.u64(), Name: r.text()}
			a := decode(&r.reader)
			e.Ino, e.Mode = a.Ino, a.Mode
			entries = append(entries, e)
		}
		return func() {
			h.verf = verf
			for _, e := range entries {
				if !out.AddDirEntry(e) {
					break
				}
			}
		}, r.err
	})
}
