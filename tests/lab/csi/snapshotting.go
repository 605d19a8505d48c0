// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"time"

	clientset "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	snapshotscheme "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned/scheme"
	"github.com/kubernetes-csi/external-snapshotter/client/v8/informers/externalversions"
	common "github.com/kubernetes-csi/external-snapshotter/v8/pkg/common-controller"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/metrics"
	sidecar "github.com/kubernetes-csi/external-snapshotter/v8/pkg/sidecar-controller"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/snapshotter"
	"github.com/kubernetes-csi/external-snapshotter/v8/pkg/utils"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
)

const (
	workers = 2
	resync  = 10 * time.Minute
	// The longest call is a copy; a test's volumes are small.
	callTimeout = 2 * time.Minute
)

// snapshotting is upstream's snapshot controller and csi-snapshotter, in this process: the controllers are theirs, and
// what their commands do around them (flags, leader election, metrics) is not needed here.
type snapshotting struct {
	client    kubernetes.Interface
	snapshots clientset.Interface
	node      string
	endpoint  string
}

// run starts the csi-snapshotter of this node, and on one node the snapshot controller, once their kinds are known.
func (s *snapshotting) run(ctx context.Context, controlling bool) {
	if wait.PollUntilContextCancel(ctx, firstRetry, true, s.kindsAreThere) != nil {
		return
	}
	check(snapshotscheme.AddToScheme(scheme.Scheme)) // for their events
	check(s.startSidecar(ctx))
	if controlling {
		s.startController(ctx)
	}
}

func (s *snapshotting) kindsAreThere(ctx context.Context) (bool, error) {
	one := meta.ListOptions{Limit: 1}
	if _, err := s.snapshots.SnapshotV1().VolumeSnapshots("").List(ctx, one); err != nil {
		return false, nil
	}
	if _, err := s.snapshots.SnapshotV1().VolumeSnapshotContents().List(ctx, one); err != nil {
		return false, nil
	}
	_, err := s.snapshots.SnapshotV1().VolumeSnapshotClasses().List(ctx, one)
	return err == nil, nil
}

// startSidecar has the driver take and delete the snapshots that the snapshot controller says are this node's.
func (s *snapshotting) startSidecar(ctx context.Context) error {
	connection, err := grpc.NewClient("unix://"+s.endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	ours := labels.Set{utils.VolumeSnapshotContentManagedByLabel: s.node}.String()
	contents := externalversions.NewSharedInformerFactoryWithOptions(s.snapshots, resync,
		externalversions.WithTweakListOptions(func(options *meta.ListOptions) { options.LabelSelector = ours }))
	classes := externalversions.NewSharedInformerFactory(s.snapshots, resync)
	controller := sidecar.NewCSISnapshotSideCarController(
		s.snapshots,
		s.client,
		driverName,
		contents.Snapshot().V1().VolumeSnapshotContents(),
		classes.Snapshot().V1().VolumeSnapshotClasses(),
		snapshotter.NewSnapshotter(connection),
		nil, // no groups
		callTimeout,
		resync,
		"snapshot",
		-1, // names with the whole UID
		"groupsnapshot",
		-1,
		false,
		retries(),
		false, // no groups
		contents.Groupsnapshot().V1beta1().VolumeGroupSnapshotContents(),
		classes.Groupsnapshot().V1beta1().VolumeGroupSnapshotClasses(),
		retries(),
	)
	contents.Start(ctx.Done())
	classes.Start(ctx.Done())
	go controller.Run(workers, ctx.Done())
	return nil
}

// startController binds snapshots to their contents, and says which node a snapshot is taken on.
func (s *snapshotting) startController(ctx context.Context) {
	factory := externalversions.NewSharedInformerFactory(s.snapshots, resync)
	own := informers.NewSharedInformerFactory(s.client, resync)
	controller := common.NewCSISnapshotCommonController(
		s.snapshots,
		s.client,
		factory.Snapshot().V1().VolumeSnapshots(),
		factory.Snapshot().V1().VolumeSnapshotContents(),
		factory.Snapshot().V1().VolumeSnapshotClasses(),
		factory.Groupsnapshot().V1beta1().VolumeGroupSnapshots(),
		factory.Groupsnapshot().V1beta1().VolumeGroupSnapshotContents(),
		factory.Groupsnapshot().V1beta1().VolumeGroupSnapshotClasses(),
		own.Core().V1().PersistentVolumeClaims(),
		own.Core().V1().PersistentVolumes(),
		own.Core().V1().Nodes(),
		metrics.NewMetricsManager(),
		resync,
		retries(),
		retries(),
		retries(),
		retries(),
		true,  // each node takes its own
		true,  // no raw volume of the snapshot of a file system
		false, // no groups
	)
	factory.Start(ctx.Done())
	own.Start(ctx.Done())
	go controller.Run(workers, ctx.Done())
}

func retries() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
}
