// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

// A stand-in for kubernetes-sigs/nfs-subdir-external-provisioner v4.0.2, which cannot be built here: same environment,
// annotations, folder names and class parameters, as its documentation has them. Beyond that it refuses whatever would
// have two volumes share a folder. See docs/lab.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path"
	"strconv"
	"strings"
	"sync"
	"syscall"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// Where the export is mounted.
	mounted   = "/persistentvolumes"
	createdBy = "pv.kubernetes.io/provisioned-by"
)

type provisioner struct {
	share  share
	client kubernetes.Interface
	// One volume at a time: whether a folder is free is found out and made use of in one go.
	mu sync.Mutex
	// Folders given out whose volumes may not be on the API server yet.
	given map[string]string
}

// others finds the paths of all volumes on this server but one.
func (p *provisioner) others(ctx context.Context, but string) (map[string]string, error) {
	list, err := p.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for name, folder := range p.given {
		found[name] = folder
	}
	for _, volume := range list.Items {
		if source := volume.Spec.NFS; source != nil && source.Server == p.share.server {
			found[volume.Name] = source.Path
		}
	}
	delete(found, but)
	return found, nil
}

func (p *provisioner) Provision(ctx context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	volume, err := p.provision(ctx, o)
	return volume, controller.ProvisioningFinished, err
}

func (p *provisioner) provision(ctx context.Context, o controller.ProvisionOptions) (*v1.PersistentVolume, error) {
	if o.PVC.Spec.Selector != nil {
		return nil, errors.New("claim Selector is not supported")
	}
	asked, err := ownershipOf(o.PVC.Annotations)
	if err != nil {
		return nil, err
	}
	c := claim{o.PVC.Namespace, o.PVC.Name, o.PVC.Labels, o.PVC.Annotations}
	folder, err := folderName(o.StorageClass.Parameters["pathPattern"], c, o.PVName)
	if err != nil {
		return nil, err
	}
	where := path.Join(p.share.export, folder)
	p.mu.Lock()
	defer p.mu.Unlock()
	others, err := p.others(ctx, o.PVName)
	if err != nil {
		return nil, err
	}
	for name, other := range others {
		if overlap(where, other) {
			return nil, fmt.Errorf("folder %s is in use by volume %s (%s)", folder, name, other)
		}
	}
	if err := p.share.create(folder, asked); err != nil {
		return nil, err
	}
	p.given[o.PVName] = where
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			AccessModes:                   o.PVC.Spec.AccessModes,
			MountOptions:                  o.StorageClass.MountOptions,
			Capacity: v1.ResourceList{
				v1.ResourceStorage: o.PVC.Spec.Resources.Requests[v1.ResourceStorage],
			},
			PersistentVolumeSource: v1.PersistentVolumeSource{
				NFS: &v1.NFSVolumeSource{Server: p.share.server, Path: where},
			},
		},
	}, nil
}

func (p *provisioner) Delete(ctx context.Context, volume *v1.PersistentVolume) error {
	if volume.Spec.NFS == nil || volume.Spec.NFS.Server != p.share.server {
		return &controller.IgnoredError{Reason: "it is on another server"}
	}
	name := volume.Spec.StorageClassName
	class, err := p.client.StorageV1().StorageClasses().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("the class says what becomes of the folder: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	others, err := p.others(ctx, volume.Name)
	if err != nil {
		return err
	}
	if err := p.share.finish(volume.Spec.NFS.Path, fate(class.Parameters), others); err != nil {
		return err
	}
	delete(p.given, volume.Name)
	return nil
}

func needed(name string) string {
	value := os.Getenv(name)
	if value == "" {
		klog.Fatalf("environment variable %s is not set", name)
	}
	return value
}

func main() {
	server, export, name := needed("NFS_SERVER"), needed("NFS_PATH"), needed("PROVISIONER_NAME")
	election := true
	if text := os.Getenv("ENABLE_LEADER_ELECTION"); text != "" {
		value, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			klog.Fatalf("ENABLE_LEADER_ELECTION is %q: %v", text, err)
		}
		election = value
	}
	config, err := rest.InClusterConfig()
	if file := os.Getenv("KUBECONFIG"); file != "" {
		config, err = clientcmd.BuildConfigFromFlags("", file)
	}
	if err != nil {
		klog.Fatalf("no way to the API server: %v", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		klog.Fatalf("no client: %v", err)
	}
	p := &provisioner{
		share:  share{local: mounted, server: server, export: path.Clean(export)},
		client: client,
		given:  map[string]string{},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	klog.Infof("provisioner %s for %s:%s; leader election: %t", name, server, export, election)
	controller.NewProvisionController(ctx, client, name, p, controller.LeaderElection(election)).Run(ctx)
}
