# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""A change to an object that is made only to the version that was seen."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._managed import ROLLOUT_MANAGER


def patch_as_seen(
    cluster: Cluster, api_version: str, kind: str, name: str, namespace: str, patch: dict[str, t.Any], step: Step
) -> None:
    """A compare-and-set by what ``patch`` says of uid and version. Raises NotYet where it is another object now."""
    try:
        cluster.merge(api_version, kind, name, namespace, patch, manager=ROLLOUT_MANAGER)
    except ApiError as error:
        if not (error.conflict or error.not_found):
            raise
        raise NotYet(f"the {kind} {name} changed meanwhile; next: {step.sentence}") from error
