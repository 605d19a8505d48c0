# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which API server, and as whom."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stateful.kube.plugins.module_utils._cluster._options import ConnectionOptions
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure

IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("params", "environment", "source"),
    [
        ({"host": "https://h", "api_key": "t"}, {"KUBECONFIG": "/f", **IN_POD}, "options"),
        ({"host": "https://h", "client_cert": "c", "client_key": "k"}, {}, "options"),
        ({"host": "https://h", "username": "u", "password": "p"}, {}, "options"),
        ({"host": "https://h"}, {}, "default"),
        ({"host": "https://h", "client_cert": "c"}, {}, "default"),
        ({"kubeconfig": "/f"}, IN_POD, "kubeconfig"),
        ({"context": "c"}, IN_POD, "kubeconfig"),
        ({}, {"KUBECONFIG": "/f", **IN_POD}, "kubeconfig"),
        ({}, IN_POD, "in-cluster"),
        ({}, {}, "default"),
        ({"host": "", "api_key": "", "kubeconfig": ""}, {}, "default"),
    ],
)
def test_source(params: dict[str, t.Any], environment: dict[str, str], source: str) -> None:
    assert ConnectionOptions.of(params).source(environment) == source


def test_other_parameters_of_the_task_are_no_business_of_the_connection() -> None:
    assert ConnectionOptions.of({"definition": [], "host": "https://h"}).host == "https://h"


def test_an_explicit_path_goes_before_the_environment() -> None:
    options = ConnectionOptions.of({"kubeconfig": "/a"})
    assert options.kubeconfig_path({"KUBECONFIG": "/b"}) == "/a"
    assert ConnectionOptions().kubeconfig_path({"KUBECONFIG": "/b:/c"}) == "/b:/c"
    assert ConnectionOptions().kubeconfig_path({}).endswith("/.kube/config")


def test_secrets_do_not_show_in_the_representation() -> None:
    shown = repr(ConnectionOptions.of({"api_key": "sesame", "password": "open"}))
    assert "sesame" not in shown
    assert "open" not in shown


def test_wrong_kinds_are_named() -> None:
    with pytest.raises(Failure, match="kubeconfig: expected the path"):
        ConnectionOptions.of({"kubeconfig": 5})
    with pytest.raises(Failure, match="impersonate_groups"):
        ConnectionOptions.of({"impersonate_groups": ["admins"]})
