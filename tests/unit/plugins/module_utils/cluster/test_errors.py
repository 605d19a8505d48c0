# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError

APPLY = "failed to create typed patch object (default/x; /v1, Kind=ConfigMap): "


@pytest.mark.parametrize(
    ("status", "message", "malformed"),
    [
        (400, "unknown field", True),
        (500, APPLY + ".dta: field not declared in schema", True),
        (500, APPLY + ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}", True),
        (500, "etcdserver: request timed out", False),
        (422, "spec.capacity: Required value", False),
    ],
)
def test_an_apply_of_a_malformed_object_is_not_taken_for_a_failing_server(
    status: int, message: str, malformed: bool
) -> None:
    assert ApiError(message, status).malformed is malformed
