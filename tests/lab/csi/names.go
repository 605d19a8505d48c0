// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

const (
	driverName    = "loop.stateful-lab.local"
	driverVersion = "1"
	// On nodes, and in the affinity of volumes: a volume is where its image file is.
	topologyKey = driverName + "/node"
	// Among the attributes of a volume: the id of the snapshot or volume that it was made from.
	madeFrom = driverName + "/made-from"
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
	snapshotFails    = "snapshot-fails"
)
