// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Numbers of attributes.
const (
	attrType         = 1
	attrChange       = 3
	attrSize         = 4
	attrLeaseTime    = 10
	attrRdattrError  = 11
	attrFilehandle   = 19
	attrFileid       = 20
	attrFilesAvail   = 21
	attrFilesFree    = 22
	attrFilesTotal   = 23
	attrMode         = 33
	attrNumlinks     = 35
	attrOwner        = 36
	attrOwnerGroup   = 37
	attrRawdev       = 41
	attrSpaceAvail   = 42
	attrSpaceFree    = 43
	attrSpaceTotal   = 44
	attrSpaceUsed    = 45
	attrTimeAccess   = 47
	attrAccessSet    = 48
	attrTimeMetadata = 52
	attrTimeModify   = 53
	attrModifySet    = 54
)

var ordinary = []uint{
	attrType, attrSize, attrFileid, attrMode, attrNumlinks, attrOwner, attrOwnerGroup, attrRawdev, attrSpaceUsed,
	attrTimeAccess, attrTimeMetadata, attrTimeModify,
}

var listed = append([]uint{attrRdattrError, attrFilehandle}, ordinary...)

var statistics = []uint{attrFilesAvail, attrFilesFree, attrFilesTotal, attrSpaceAvail, attrSpaceFree, attrSpaceTotal}

// The file types of NFS as those of a mode.
var types = []uint32{
	0, syscall.S_IFREG, syscall.S_IFDIR, syscall.S_IFBLK, syscall.S_IFCHR, syscall.S_IFLNK, syscall.S_IFSOCK, syscall.S_IFIFO,
}

// attributes is what an answer tells of a file.
type attributes struct {
	fuse.Attr
	handle []byte
	lease  uint32
	files  [3]uint64 // for the user, free, in all
	space  [3]uint64
}

func decode(r *reader) attributes {
	a := attributes{}
	words := r.bitmap()
	in := &reader{b: r.opaque()}
	has := func(n uint) bool { return int(n/32) < len(words) && words[n/32]>>(n%32)&1 == 1 }
	each := func(n uint, read func()) {
		if has(n) {
			read()
		}
	}
	var kind uint32
	each(attrType, func() { kind = in.u32() })
	each(attrChange, func() { in.u64() })
	each(attrSize, func() { a.Size = in.u64() })
	each(attrLeaseTime, func() { a.lease = in.u32() })
	each(attrRdattrError, func() { in.u32() })
	each(attrFilehandle, func() { a.handle = append([]byte(nil), in.opaque()...) })
	each(attrFileid, func() { a.Ino = in.u64() })
	for i, n := range []uint{attrFilesAvail, attrFilesFree, attrFilesTotal} {
		each(n, func() { a.files[i] = in.u64() })
	}
	each(attrMode, func() { a.Mode = in.u32() & 0o7777 })
	each(attrNumlinks, func() { a.Nlink = in.u32() })
	each(attrOwner, func() { a.Uid = numeric(in.text()) })
	each(attrOwnerGroup, func() { a.Gid = numeric(in.text()) })
	each(attrRawdev, func() { a.Rdev = in.u32()<<8 | in.u32()&0xff })
	for i, n := range []uint{attrSpaceAvail, attrSpaceFree, attrSpaceTotal} {
		each(n, func() { a.space[i] = in.u64() })
	}
	each(attrSpaceUsed, func() { a.Blocks = (in.u64() + 511) / 512 })
	each(attrTimeAccess, func() { a.Atime, a.Atimensec = in.u64(), in.u32() })
	each(attrTimeMetadata, func() { a.Ctime, a.Ctimensec = in.u64(), in.u32() })
	each(attrTimeModify, func() { a.Mtime, a.Mtimensec = in.u64(), in.u32() })
	if in.err != nil {
		r.err = in.err
	}
	if int(kind) < len(types) {
		a.Mode |= types[kind]
	}
	a.Blksize = 4096
	return a
}

// numeric reads an owner: the lab's server sends numbers, another may send names, which mean nothing here.
func numeric(name string) uint32 {
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return 65534
	}
	return uint32(n)
}

// change is what to set on a file; nil leaves as it is.
type change struct {
	size           *uint64
	mode           *uint32
	uid, gid       *uint32
	access, modify *moment
}

type moment struct {
	now     bool
	seconds uint64
	nanos   uint32
}

func (c *change) encode(w *writer) {
	var numbers []uint
	in := &writer{}
	if c.size != nil {
		numbers = append(numbers, attrSize)
		in.u64(*c.size)
	}
	if c.mode != nil {
		numbers = append(numbers, attrMode)
		in.u32(*c.mode & 0o7777)
	}
	if c.uid != nil {
		numbers = append(numbers, attrOwner)
		in.text(strconv.Itoa(int(*c.uid)))
	}
	if c.gid != nil {
		numbers = append(numbers, attrOwnerGroup)
		in.text(strconv.Itoa(int(*c.gid)))
	}
	for _, t := range []struct {
		number uint
		value  *moment
	}{{attrAccessSet, c.access}, {attrModifySet, c.modify}} {
		if t.value == nil {
			continue
		}
		numbers = append(numbers, t.number)
		in.bool(!t.value.now)
		if !t.value.now {
			in.u64(t.value.seconds)
			in.u32(t.value.nanos)
		}
	}
	w.bitmap(numbers...)
	w.opaque(in.b)
}

var numbers = map[uint32]syscall.Errno{
	63: syscall.ENAMETOOLONG, 66: syscall.ENOTEMPTY, 69: syscall.EDQUOT, 70: syscall.ESTALE,
	10001: syscall.ESTALE, 10004: syscall.EOPNOTSUPP, 10005: syscall.EIO, 10006: syscall.EREMOTEIO,
	10007: syscall.EINVAL, errDenied: syscall.EAGAIN, 10012: syscall.EAGAIN, 10014: syscall.ESTALE,
	10015: syscall.EBUSY, 10016: syscall.EPERM, 10028: syscall.EINVAL, 10029: syscall.ELOOP,
	10032: syscall.EINVAL, 10038: syscall.EBADF, 10039: syscall.EINVAL, 10040: syscall.EINVAL,
	10041: syscall.EINVAL, 10043: syscall.ENOLCK, 10045: syscall.EDEADLK, 10046: syscall.EBUSY,
	10018: syscall.ENOLCK,
}

// errno translates an error for the kernel. The first NFS statuses are those of Unix.
func errno(err error) fuse.Status {
	switch e := err.(type) {
	case nil:
		return fuse.OK
	case syscall.Errno:
		return fuse.Status(e)
	case status4:
		if e < 32 {
			return fuse.Status(e)
		}
		if n, ok := numbers[uint32(e)]; ok {
			return fuse.Status(n)
		}
	}
	return fuse.EIO
}
