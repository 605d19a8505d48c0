# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the account of a run may do, by the API server's own word."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster


def allowed(cluster: Cluster, verb: str, resource: str, group: str = "", namespace: str = "") -> bool:
    """Whether this account may do it; ``resource`` may name a part, as in ``pods/exec``. Without namespace: in all."""
    name, _slash, part = resource.partition("/")
    attributes = {"group": group, "resource": name, "subresource": part, "verb": verb, "namespace": namespace}
    review = cluster.connection.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        body={
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        },
    )
    return bool((review.get("status") or {}).get("allowed"))
