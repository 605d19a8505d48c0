#!/usr/bin/python
# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: objects_info
short_description: Read Kubernetes objects
version_added: 0.1.0
author:
  - The stateful.kube authors (@stateful-kube)
description:
  - Reads objects of one kind. The values of Secrets are returned as they are, so use C(no_log) where you read them.
extends_documentation_fragment:
  - stateful.kube._attributes.info_module
  - stateful.kube._connection
options:
  api_version:
    description: The API group and version of the kind.
    type: str
    default: v1
    aliases: [api, version]
  kind:
    description: The kind of the objects.
    type: str
    required: true
  name:
    description: Name of one object. Without it all objects that match are returned.
    type: str
  namespace:
    description: Namespace of the objects. Without it objects of all namespaces are returned, unless O(name) is given.
    type: str
  label_selectors:
    description: Label selectors that all have to match.
    type: list
    elements: str
    default: []
  field_selectors:
    description: Field selectors that all have to match.
    type: list
    elements: str
    default: []
seealso:
  - module: stateful.kube.manifests
"""

EXAMPLES = r"""
- name: The claims of an application
  stateful.kube.objects_info:
    kind: PersistentVolumeClaim
    namespace: shop
    label_selectors:
      - app.kubernetes.io/instance=shop
  register: claims
"""

RETURN = r"""
resources:
  description: The objects. Empty where nothing matches.
  returned: always
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import connect
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.module_utils._task import run_as_module

SPECIFICATION = {
    "argument_spec": {
        **connection_arguments(),
        "api_version": {"type": "str", "default": "v1", "aliases": ["api", "version"]},
        "kind": {"type": "str", "required": True},
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "field_selectors": {"type": "list", "elements": "str", "default": []},
    },
    "supports_check_mode": True,
}


def run(task: Task) -> dict[str, t.Any]:
    params = task.params
    version, kind, namespace = params["api_version"], params["kind"], params["namespace"]
    with connect(params, task.warn) as cluster:
        if params["name"]:
            one = cluster.get(version, kind, params["name"], namespace or cluster.namespace)
            found = [one] if one else []
        else:
            found = cluster.list(
                version, kind, namespace, ",".join(params["label_selectors"]), ",".join(params["field_selectors"])
            )
    for obj in found:
        obj["metadata"].pop("managedFields", None)
    return {"changed": False, "resources": found}


def main() -> None:
    run_as_module(SPECIFICATION, run)


if __name__ == "__main__":
    main()
