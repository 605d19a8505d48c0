// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

// The process that holds a pod's namespaces: it sleeps until it is told to
// stop, and reaps children in pods that share one process namespace.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			child, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || child <= 0 {
				break
			}
		}
	}
}
