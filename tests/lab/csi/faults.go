// SPDX-License-Identifier: GPL-3.0-or-later
// Copyright (c) 2026, The stateful.kube authors

package main

import (
	"context"
	"strings"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
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

// faults tells what a test asked for by the claim of a volume.
type faults struct{ client kubernetes.Interface }

// of is the message of a fault of this kind, or nothing.
func (f faults) of(ctx context.Context, volume, kind string) string {
	found, err := f.client.CoreV1().PersistentVolumes().Get(ctx, volume, meta.GetOptions{})
	if err != nil || found.Spec.ClaimRef == nil {
		return ""
	}
	reference := found.Spec.ClaimRef
	claim, err := f.client.CoreV1().PersistentVolumeClaims(reference.Namespace).Get(ctx, reference.Name, meta.GetOptions{})
	if err != nil {
		return ""
	}
	message, _ := fault(claim, kind)
	return message
}
