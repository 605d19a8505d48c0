// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

// mount.nfs mounts an NFS export without the kernel's help: an NFS 4.1 client of its own behind FUSE, for machines whose
// kernel has no NFS client. The lab's kubelets find it on their PATH, under the name `mount` too; every other kind of
// mount is handed on to the system's own program. What it does differently from a real client is in docs/lab.md.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	// Set for the process that stays.
	stays   = "STATEFUL_LAB_NFS_STAYS"
	logFile = "STATEFUL_LAB_NFS_LOG"
	// How long a server that does not answer is waited for; the kubelet tries again.
	patience = 15 * time.Second
	// What mount(8) ends with when mounting failed.
	failed = 32
)

type request struct {
	host, path, target string
	port               string
	readOnly           bool
	reserved           bool
	flags              uintptr
}

func main() {
	arguments := os.Args[1:]
	if filepath.Base(os.Args[0]) == "mount" {
		if !isNFS(arguments) {
			handOn(arguments)
		}
	}
	r, err := parse(arguments)
	if err != nil {
		complain(err)
	}
	if os.Getenv(stays) == "" {
		stay()
		return
	}
	serve(r)
}

func complain(err error) {
	fmt.Fprintf(os.Stderr, "mount.nfs: %v\n", err)
	os.Exit(failed)
}

// isNFS tells whether arguments of mount(8) name an NFS type.
func isNFS(arguments []string) bool {
	for i, word := range arguments {
		kind := ""
		switch {
		case word == "-t" || word == "--types":
			if i+1 < len(arguments) {
				kind = arguments[i+1]
			}
		case strings.HasPrefix(word, "--types="):
			kind = strings.TrimPrefix(word, "--types=")
		case strings.HasPrefix(word, "-t"):
			kind = strings.TrimPrefix(word, "-t")
		}
		if kind == "nfs" || kind == "nfs4" {
			return true
		}
	}
	return false
}

// handOn becomes the next `mount` on PATH.
func handOn(arguments []string) {
	own, _ := os.Executable()
	for _, folder := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/bin", "/bin") {
		candidate := filepath.Join(folder, "mount")
		if real, err := filepath.EvalSymlinks(candidate); err != nil || real == own {
			continue
		}
		err := syscall.Exec(candidate, append([]string{"mount"}, arguments...), os.Environ())
		complain(fmt.Errorf("%s: %w", candidate, err))
	}
	complain(errors.New("there is no other mount on PATH"))
}

// parse reads the arguments of mount.nfs, and those of `mount -t nfs`. Options that it does not know mean nothing to it.
func parse(arguments []string) (*request, error) {
	r := &request{port: "2049", reserved: true}
	var places []string
	var options []string
	for i := 0; i < len(arguments); i++ {
		word := arguments[i]
		switch {
		case word == "--":
			places = append(places, arguments[i+1:]...)
			i = len(arguments)
		case word == "-o" || word == "--options" || word == "-t" || word == "--types":
			if i++; i < len(arguments) && word[len(word)-1] != 't' && word != "--types" {
				options = append(options, strings.Split(arguments[i], ",")...)
			}
		case strings.HasPrefix(word, "-o"):
			options = append(options, strings.Split(word[2:], ",")...)
		case word == "-r" || word == "--read-only":
			options = append(options, "ro")
		case strings.HasPrefix(word, "-"):
		default:
			places = append(places, word)
		}
	}
	if len(places) != 2 {
		return nil, errors.New("expected HOST:PATH and a folder")
	}
	for _, option := range options {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "ro":
			r.readOnly = true
		case "rw":
			r.readOnly = false
		case "port":
			r.port = value
		case "noresvport":
			r.reserved = false
		case "nosuid":
			r.flags |= syscall.MS_NOSUID
		case "nodev":
			r.flags |= syscall.MS_NODEV
		case "noexec":
			r.flags |= syscall.MS_NOEXEC
		case "nfsvers", "vers":
			if !strings.HasPrefix(value, "4") {
				return nil, errors.New("requested NFS version or transport protocol is not supported (only version 4 is)")
			}
		}
	}
	if _, err := strconv.ParseUint(r.port, 10, 16); err != nil {
		return nil, fmt.Errorf("invalid port %q", r.port)
	}
	at := strings.Index(places[0], ":/")
	if at <= 0 {
		return nil, fmt.Errorf("%s: expected HOST:/PATH", places[0])
	}
	r.host, r.path = strings.Trim(places[0][:at], "[]"), path.Clean(places[0][at+1:])
	target, err := filepath.Abs(places[1])
	r.target = target
	return r, err
}

// stay starts this program once more, on its own, and waits until it has mounted or failed. It must outlive whoever
// called, and hold none of their files: the kubelet waits until nobody has its pipe any more.
func stay() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil && n > 2 {
			syscall.CloseOnExec(n)
		}
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		complain(err)
	}
	own, err := os.Executable()
	if err != nil {
		complain(err)
	}
	command := exec.Command(own, os.Args[1:]...)
	command.Args[0] = "mount.nfs"
	command.Dir = "/"
	command.Env = append(os.Environ(), stays+"=1")
	command.ExtraFiles = []*os.File{tell}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Folders in the arguments are as seen from here.
	if len(command.Args) > 0 {
		if r, err := parse(os.Args[1:]); err == nil {
			for i, word := range command.Args {
				if abs, err := filepath.Abs(word); i > 0 && err == nil && abs == r.target {
					command.Args[i] = abs
				}
			}
		}
	}
	if name := os.Getenv(logFile); name != "" {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err == nil {
			command.Stdout, command.Stderr = file, file
		}
	}
	if err := command.Start(); err != nil {
		complain(err)
	}
	tell.Close()
	said, _ := io.ReadAll(ready)
	switch {
	case string(said) == "mounted":
	case len(said) > 0:
		complain(errors.New(string(said)))
	default:
		complain(errors.New("ended before it had mounted anything"))
	}
}

// serve mounts and stays until that is unmounted.
func serve(r *request) {
	log.SetFlags(log.LstdFlags)
	log.SetPrefix(fmt.Sprintf("[%d] %s:%s ", os.Getpid(), r.host, r.path))
	report := os.NewFile(3, "report")
	syscall.CloseOnExec(3)
	fail := func(err error) {
		fmt.Fprint(report, reason(r, err))
		os.Exit(failed)
	}
	s, root, err := connect(r)
	if err != nil {
		fail(err)
	}
	fs := newFiles(s, root)
	flags := uintptr(syscall.MS_MGC_VAL)
	flags |= r.flags
	if r.readOnly {
		flags |= syscall.MS_RDONLY
	}
	server, err := fuse.NewServer(fs, r.target, &fuse.MountOptions{
		AllowOther:         true,
		Name:               "nfs",
		FsName:             r.host + ":" + r.path,
		MaxWrite:           min(256<<10, s.largest),
		EnableLocks:        true,
		DisableXAttrs:      true,
		DisableReadDirPlus: true,
		DirectMountStrict:  true,
		DirectMountFlags:   flags,
	})
	if err != nil {
		fail(fmt.Errorf("mounting on %s: %w", r.target, err))
	}
	done := make(chan struct{})
	go s.keepAlive(done)
	go func() {
		if err := server.WaitMount(); err != nil {
			fail(err)
		}
		fmt.Fprint(report, "mounted")
		report.Close()
	}()
	log.Printf("mounted on %s", r.target)
	server.Serve()
	close(done)
	// Locks and opens go at once if the server is there, and with the lease if it is not.
	ended := make(chan struct{})
	go func() {
		s.end()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
	}
	log.Printf("unmounted from %s", r.target)
}

// connect finds the export and the handle of its top.
func connect(r *request) (*session, []byte, error) {
	deadline := time.Now().Add(patience)
	c := newConnection(net.JoinHostPort(r.host, r.port), r.reserved)
	for {
		err := c.open(time.Until(deadline))
		if err == nil {
			break
		}
		var name *net.DNSError
		if errors.As(err, &name) || time.Until(deadline) < time.Second {
			return nil, nil, err
		}
		time.Sleep(500 * time.Millisecond)
	}
	s := newSession(c)
	type found struct {
		root []byte
		err  error
	}
	answer := make(chan found, 1)
	go func() {
		root, err := s.start(r.path)
		answer <- found{root, err}
	}()
	select {
	case f := <-answer:
		return s, f.root, f.err
	case <-time.After(time.Until(deadline) + patience):
		return nil, nil, errors.New("Connection timed out: the server accepts connections and does not answer")
	}
}

func (s *session) start(folder string) ([]byte, error) {
	if err := s.establish(); err != nil {
		return nil, err
	}
	s.complete()
	names := strings.FieldsFunc(folder, func(c rune) bool { return c == '/' })
	r, err := s.call(&machine, false, func(c *compound) {
		c.op(opPutrootfh)
		for _, name := range names {
			c.op(opLookup).text(name)
		}
		c.op(opGetfh)
		c.op(opGetattr).bitmap(attrType, attrLeaseTime)
	})
	if err != nil {
		return nil, err
	}
	if err := r.skip(len(names) + 2); err != nil {
		return nil, err
	}
	root := append([]byte(nil), r.opaque()...)
	if err := r.next(); err != nil {
		return nil, err
	}
	if a := decode(&r.reader); a.lease > 0 {
		s.lease = time.Duration(a.lease) * time.Second
	}
	return root, r.err
}

// reason says in the words of a real mount.nfs what went wrong.
func reason(r *request, err error) string {
	var name *net.DNSError
	var number syscall.Errno
	var code status4
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("Failed to resolve server %s: Name or service not known", r.host)
	case errors.As(err, &code) && code == 13 || errors.As(err, &code) && code == 1:
		return fmt.Sprintf("access denied by server while mounting %s:%s", r.host, r.path)
	case errors.As(err, &code):
		return fmt.Sprintf("mounting %s:%s failed, reason given by server: %s", r.host, r.path, syscall.Errno(errno(code)))
	case errors.As(err, &number):
		return fmt.Sprintf("%s for %s:%s on %s", number, r.host, r.path, r.target)
	case os.IsTimeout(err):
		return fmt.Sprintf("Connection timed out for %s:%s on %s", r.host, r.path, r.target)
	}
	return err.Error()
}
