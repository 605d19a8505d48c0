// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

// A storage driver for tests. Its volumes are image files of the node, with
// XFS or raw, on loop devices; they grow while they are in use, and fail when
// a test asks for it. It is no storage for anybody's data.
//
// One process a node is all of it: the node part that the kubelet calls, and
// what the usual sidecars do (register with the kubelet, provision, resize,
// take snapshots), each for the volumes of its own node.
package main

import (
	"context"
	"flag"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	clientset "github.com/kubernetes-csi/external-snapshotter/client/v8/clientset/versioned"
	"google.golang.org/grpc"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// Between two attempts at what has failed; tests take faults back and wait for the next one.
	firstRetry, lastRetry = 200 * time.Millisecond, 2 * time.Second
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	node := flag.String("node", "", "the node on which this runs")
	volumes := flag.String("volumes", "", "folder of the image files")
	endpoint := flag.String("endpoint", "", "socket on which the kubelet calls the driver")
	registry := flag.String("registry", "", "folder in which the kubelet looks for sockets of plugins")
	immediate := flag.Bool("immediate", false, "also make volumes for claims that no pod waits for")
	controlling := flag.Bool("snapshot-controller", false, "also be the cluster's snapshot controller")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	store := &store{folder: *volumes}
	check(os.MkdirAll(*volumes, 0o700))
	check(store.removeUnfinished())
	check(store.thaw())

	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	check(err)
	config.QPS, config.Burst = 50, 100
	client, err := kubernetes.NewForConfig(config)
	check(err)
	snapshots, err := clientset.NewForConfig(config)
	check(err)

	driver := grpc.NewServer()
	part := &nodePart{node: *node, store: store, faultOf: faults{client}.of}
	maker := &controllerPart{node: *node, store: store, faultOf: faults{client}.of}
	csi.RegisterIdentityServer(driver, part)
	csi.RegisterNodeServer(driver, part)
	csi.RegisterControllerServer(driver, maker)
	serve(driver, *endpoint)
	// The kubelet asks the driver as soon as it sees this socket.
	announcement := grpc.NewServer()
	registration.RegisterRegistrationServer(announcement, &registrar{endpoint: *endpoint})
	serve(announcement, filepath.Join(*registry, "loop.sock"))

	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	provisioning := controller.NewProvisionController(ctx, client, driverName,
		&provisioner{node: *node, part: maker, immediate: *immediate, client: client, snapshots: snapshots},
		controller.LeaderElection(false),
		controller.ClaimsInformer(claims),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
		controller.RetryIntervalMax(lastRetry),
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0))
	resizing := newResizer(ctx, client, claims, store)
	factory.Start(ctx.Done())
	go provisioning.Run(ctx)
	go resizing.run(ctx)
	snapshotting := &snapshotting{client: client, snapshots: snapshots, node: *node, endpoint: *endpoint}
	go snapshotting.run(ctx, *controlling)

	<-ctx.Done()
	announcement.Stop()
	driver.Stop()
}

// serve answers on a Unix socket, in place of one that a killed predecessor left.
func serve(server *grpc.Server, path string) {
	check(os.MkdirAll(filepath.Dir(path), 0o750))
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		check(err)
	}
	listener, err := net.Listen("unix", path)
	check(err)
	go func() { check(server.Serve(listener)) }()
}

func check(err error) {
	if err != nil {
		klog.ErrorS(err, "The driver ends")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

// registrar tells the kubelet where the driver is.
type registrar struct {
	registration.UnimplementedRegistrationServer
	endpoint string
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              driverName,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(
	_ context.Context, status *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		klog.ErrorS(nil, "The kubelet does not register the driver", "reason", status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}
