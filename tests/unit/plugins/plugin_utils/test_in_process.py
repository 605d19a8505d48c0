# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which secrets of a task's environment travel as options instead, and how a task ends by a defect."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._arguments import connection_arguments
from ansible_collections.stateful.kube.plugins.module_utils._operation import Task
from ansible_collections.stateful.kube.plugins.plugin_utils._in_process import InProcessAction, secrets_as_options

TOKEN = {"K8S_AUTH_HOST": "https://kube", "K8S_AUTH_API_KEY": "sesame"}


def test_a_token_becomes_an_option_and_leaves_the_environment() -> None:
    options, moved = secrets_as_options(connection_arguments(), {"kind": "Pod"}, TOKEN)
    assert options == {"kind": "Pod", "api_key": "sesame"}
    assert moved == {"K8S_AUTH_API_KEY"}


def test_an_option_that_is_given_wins_and_the_token_leaves_the_environment_all_the_same() -> None:
    options, moved = secrets_as_options(connection_arguments(), {"api_key": "mine"}, TOKEN)
    assert options == {"api_key": "mine"}
    assert moved == {"K8S_AUTH_API_KEY"}


def test_secrets_inside_an_option_are_found() -> None:
    given = {"proxy_headers": {"user_agent": "me"}}
    environment = {"K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH": "me:sesame", "K8S_AUTH_PROXY_HEADERS_USER_AGENT": "you"}
    options, moved = secrets_as_options(connection_arguments(), given, environment)
    assert options == {"proxy_headers": {"user_agent": "me", "proxy_basic_auth": "me:sesame"}}
    assert moved == {"K8S_AUTH_PROXY_HEADERS_PROXY_BASIC_AUTH"}
    assert given == {"proxy_headers": {"user_agent": "me"}}


def test_without_secrets_nothing_moves() -> None:
    given = {"kind": "Pod", "proxy_headers": None}
    assert secrets_as_options(connection_arguments(), given, {"KUBECONFIG": "/k", "K8S_AUTH_HOST": "h"}) == (
        given,
        set(),
    )


def test_a_defect_ends_as_a_failed_task_and_shows_no_secret() -> None:
    def defective(task: Task) -> dict[str, t.Any]:
        task.conceal({"open-sesame"})
        raise KeyError(f"{task.params['api_key']} open-sesame")

    action = InProcessAction.__new__(InProcessAction)
    action.module = types.SimpleNamespace(SPECIFICATION={"argument_spec": connection_arguments()}, run=defective)
    action._task = types.SimpleNamespace(
        args={"api_key": "token-of-mine"}, check_mode=False, diff=False, no_log=False, action="manifests"
    )
    result = action._run_here()
    assert result["failed"]
    assert result["msg"].startswith("KeyError: ")
    assert "defective" in result["exception"]
    assert "sesame" not in str(result)
    assert "token-of-mine" not in str(result)
