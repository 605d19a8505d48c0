# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take all finalizers off a pod: ``let_go.py KUBECONFIG NAMESPACE POD``."""

from __future__ import annotations

import sys

import kubernetes.client
import kubernetes.config


def main(kubeconfig: str, namespace: str, pod: str) -> None:
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
    api.patch_namespaced_pod(pod, namespace, {"metadata": {"finalizers": None}})


if __name__ == "__main__":
    main(*sys.argv[1:])
