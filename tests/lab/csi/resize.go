// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"errors"
	"fmt"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const storage = core.ResourceStorage

// errHangs stands for a call that is never answered: nothing more is said of it.
var errHangs = errors.New("the expansion hangs")

// infeasible is a failure that another attempt at the same size would not mend.
type infeasible struct{ error }

// resizer does the controller's half of growing claims, with the steps and the words in the claim's status of the
// usual sidecar: while an expansion is under way it keeps the size that was begun, whatever the claim asks for since;
// only once that size is infeasible it looks at the claim again. The kubelet does the other half.
type resizer struct {
	client   kubernetes.Interface
	claims   cache.SharedIndexInformer
	store    *store
	queue    workqueue.TypedRateLimitingInterface[string]
	recorder record.EventRecorder
}

func newResizer(
	ctx context.Context, client kubernetes.Interface, claims cache.SharedIndexInformer, store *store,
) *resizer {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	events := record.NewBroadcaster(record.WithContext(ctx))
	events.StartRecordingToSink(&typed.EventSinkImpl{Interface: client.CoreV1().Events("")})
	r := &resizer{
		client:   client,
		claims:   claims,
		store:    store,
		queue:    workqueue.NewTypedRateLimitingQueue(limiter),
		recorder: events.NewRecorder(scheme.Scheme, core.EventSource{Component: "resizer " + driverName}),
	}
	enqueue := func(found any) {
		if key, err := cache.MetaNamespaceKeyFunc(found); err == nil {
			r.queue.Add(key)
		}
	}
	_, err := claims.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, found any) { enqueue(found) },
	})
	check(err)
	return r
}

func (r *resizer) run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), r.claims.HasSynced) {
		return
	}
	go func() {
		<-ctx.Done()
		r.queue.ShutDown()
	}()
	for {
		key, over := r.queue.Get()
		if over {
			return
		}
		switch err := r.look(ctx, key); {
		case err == nil:
			r.queue.Forget(key)
		case errors.Is(err, errHangs):
		default:
			if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				klog.ErrorS(err, "Expansion failed", "claim", key)
			}
			r.queue.AddRateLimited(key)
		}
		r.queue.Done(key)
	}
}

// look brings one claim a step further.
func (r *resizer) look(ctx context.Context, key string) error {
	found, there, err := r.claims.GetIndexer().GetByKey(key)
	if err != nil || !there {
		return err
	}
	claim := found.(*core.PersistentVolumeClaim)
	asked, has := claim.Spec.Resources.Requests[storage], claim.Status.Capacity[storage]
	if claim.Status.Phase != core.ClaimBound || claim.DeletionTimestamp != nil || asked.Cmp(has) <= 0 {
		return nil
	}
	volume, err := r.client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, meta.GetOptions{})
	if err != nil {
		return err
	}
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != driverName {
		return nil
	}
	if _, err := r.store.size(volume.Spec.CSI.VolumeHandle); err != nil {
		return nil // it is on another node
	}
	return r.expand(ctx, claim, volume, target(claim, asked))
}

// target is the size to reach: what the claim asks for, or what was begun before it asked for something else.
func target(claim *core.PersistentVolumeClaim, asked resource.Quantity) resource.Quantity {
	begun, there := claim.Status.AllocatedResources[storage]
	switch claim.Status.AllocatedResourceStatuses[storage] {
	case core.PersistentVolumeClaimControllerResizeInProgress,
		core.PersistentVolumeClaimNodeResizePending,
		core.PersistentVolumeClaimNodeResizeInProgress:
		if there {
			return begun
		}
	}
	return asked
}

func (r *resizer) expand(
	ctx context.Context, claim *core.PersistentVolumeClaim, volume *core.PersistentVolume, wanted resource.Quantity,
) error {
	now := volume.Spec.Capacity[storage]
	if now.Cmp(wanted) < 0 {
		var err error
		begun := core.PersistentVolumeClaimControllerResizeInProgress
		resizing := condition(core.PersistentVolumeClaimResizing, "")
		if !isBegun(claim, wanted) {
			if claim, err = r.tell(ctx, claim, begun, wanted, resizing); err != nil {
				return err
			}
			r.recorder.Eventf(claim, core.EventTypeNormal, "Resizing", "Driver %s is resizing volume %s", driverName, volume.Name)
		}
		size, err := r.grow(claim, volume, roundedUp(wanted.Value()))
		if err != nil {
			return r.fail(ctx, claim, wanted, err)
		}
		grown := volume.DeepCopy()
		grown.Spec.Capacity[storage] = *quantityOf(size)
		if _, err := r.client.CoreV1().PersistentVolumes().Update(ctx, grown, meta.UpdateOptions{}); err != nil {
			return err
		}
	}
	switch claim.Status.AllocatedResourceStatuses[storage] {
	case core.PersistentVolumeClaimNodeResizePending, core.PersistentVolumeClaimNodeResizeInProgress:
		return nil // the kubelet's turn
	}
	pending := condition(core.PersistentVolumeClaimFileSystemResizePending,
		"Waiting for user to (re-)start a pod to finish file system resize of volume on node.")
	if _, err := r.tell(ctx, claim, core.PersistentVolumeClaimNodeResizePending, wanted, pending); err != nil {
		return err
	}
	r.recorder.Event(claim, core.EventTypeNormal, "FileSystemResizeRequired", "Require file system resize of volume on node")
	return nil
}

// isBegun tells whether an attempt at this size was told of before: its failure then stays told until it is mended.
func isBegun(claim *core.PersistentVolumeClaim, wanted resource.Quantity) bool {
	size, there := claim.Status.AllocatedResources[storage]
	switch claim.Status.AllocatedResourceStatuses[storage] {
	case core.PersistentVolumeClaimControllerResizeInProgress, core.PersistentVolumeClaimControllerResizeInfeasible:
		return there && size.Cmp(wanted) == 0
	}
	return false
}

func (r *resizer) grow(claim *core.PersistentVolumeClaim, volume *core.PersistentVolume, size int64) (int64, error) {
	if message, asked := fault(claim, expandFails); asked {
		return 0, errors.New(message)
	}
	if message, asked := fault(claim, expandInfeasible); asked {
		return 0, infeasible{errors.New(message)}
	}
	if _, asked := fault(claim, expandHangs); asked {
		return 0, errHangs
	}
	return size, r.store.grow(volume.Spec.CSI.VolumeHandle, size)
}

// fail tells of a failed attempt and asks for the next one.
func (r *resizer) fail(
	ctx context.Context, claim *core.PersistentVolumeClaim, wanted resource.Quantity, failure error,
) error {
	if errors.Is(failure, errHangs) {
		return failure
	}
	state := core.PersistentVolumeClaimControllerResizeInProgress
	if errors.As(failure, &infeasible{}) {
		state = core.PersistentVolumeClaimControllerResizeInfeasible
	}
	text := fmt.Sprintf("resize volume %q by resizer %q failed: %v", claim.Spec.VolumeName, driverName, failure)
	r.recorder.Event(claim, core.EventTypeWarning, "VolumeResizeFailed", text)
	if _, err := r.tell(ctx, claim, state, wanted, condition(core.PersistentVolumeClaimControllerResizeError, text)); err != nil {
		return err
	}
	return failure
}

// tell writes into the status of a claim how far it is, in place of what was said before.
func (r *resizer) tell(
	ctx context.Context, claim *core.PersistentVolumeClaim, state core.ClaimResourceStatus,
	wanted resource.Quantity, said core.PersistentVolumeClaimCondition,
) (*core.PersistentVolumeClaim, error) {
	told := claim.DeepCopy()
	told.Status.AllocatedResources = core.ResourceList{storage: wanted}
	told.Status.AllocatedResourceStatuses = map[core.ResourceName]core.ClaimResourceStatus{storage: state}
	told.Status.Conditions = nil
	for _, one := range claim.Status.Conditions {
		switch one.Type {
		case core.PersistentVolumeClaimResizing,
			core.PersistentVolumeClaimFileSystemResizePending,
			core.PersistentVolumeClaimControllerResizeError,
			core.PersistentVolumeClaimNodeResizeError:
			if one.Type == said.Type && one.Message == said.Message {
				said.LastTransitionTime = one.LastTransitionTime
			}
		default:
			told.Status.Conditions = append(told.Status.Conditions, one)
		}
	}
	told.Status.Conditions = append(told.Status.Conditions, said)
	return r.client.CoreV1().PersistentVolumeClaims(claim.Namespace).UpdateStatus(ctx, told, meta.UpdateOptions{})
}

func condition(kind core.PersistentVolumeClaimConditionType, message string) core.PersistentVolumeClaimCondition {
	return core.PersistentVolumeClaimCondition{
		Type: kind, Status: core.ConditionTrue, LastTransitionTime: meta.Now(), Message: message,
	}
}
