# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until the API server denies an account a right.

``wait_refused.py KUBECONFIG NAMESPACE ACCOUNT VERB GROUP RESOURCE``

It decides by a copy of the roles, which a moment after a change is still the one of before.
"""

from __future__ import annotations

import sys
import time

import kubernetes.client
import kubernetes.config

PATIENCE = 60.0


def main(kubeconfig: str, namespace: str, account: str, verb: str, group: str, resource: str) -> None:
    api = kubernetes.client.AuthorizationV1Api(kubernetes.config.new_client_from_config(kubeconfig))
    resource, _slash, part = resource.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": part}
    spec = {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    end = time.monotonic() + PATIENCE
    while api.create_subject_access_review(review).status.allowed:
        if time.monotonic() > end:
            sys.exit(f"{account} may still {verb} {resource} {PATIENCE:.0f} s after its role was made smaller.")
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
