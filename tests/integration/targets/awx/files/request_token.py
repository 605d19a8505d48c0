# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print a short-lived token, as `kubectl create token` does: ``request_token.py KUBECONFIG NAMESPACE ACCOUNT``."""

from __future__ import annotations

import sys

import kubernetes.client
import kubernetes.config


def main(kubeconfig: str, namespace: str, account: str) -> None:
    api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    print(api.create_namespaced_service_account_token(account, namespace, wanted).status.token)


if __name__ == "__main__":
    main(*sys.argv[1:])
