// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"strings"

	core "k8s.io/api/core/v1"
)

// What a test writes on a claim to have its volume fail: one of the words below, and after a colon, if it likes, the
// message of the failure. When the annotation is gone, the next attempt works.
const faultAnnotation = driverName + "/fault"

const (
	provisionFails   = "provision-fails"
	expandFails      = "expand-fails"      // an error that passes, in the driver's opinion: it tries again
	expandInfeasible = "expand-infeasible" // an error that will not pass for this size: there is no room
	expandHangs      = "expand-hangs"      // no answer
	nodeExpandFails  = "node-expand-fails" // the volume has grown, and its file system does not
)

// fault is the message of a failure if a claim asks for one of this kind.
func fault(claim *core.PersistentVolumeClaim, kind string) (string, bool) {
	asked, message, _ := strings.Cut(claim.Annotations[faultAnnotation], ":")
	if strings.TrimSpace(asked) != kind {
		return "", false
	}
	if message = strings.TrimSpace(message); message == "" {
		message = "a test asked for the fault " + kind
	}
	return message, true
}
