# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Argument specifications that several modules share."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import env_fallback


def _env(name: str) -> tuple[t.Any, list[str]]:
    return (env_fallback, [f"K8S_AUTH_{name}"])


def connection_arguments() -> dict[str, t.Any]:
    """How the API server is reached: names, aliases and environment variables of kubernetes.core."""
    return {
        "kubeconfig": {"type": "raw", "no_log": True, "fallback": _env("KUBECONFIG")},
        "context": {"type": "str", "fallback": _env("CONTEXT")},
        "host": {"type": "str", "fallback": _env("HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": _env("API_KEY")},
        "username": {"type": "str", "fallback": _env("USERNAME")},
        "password": {"type": "str", "no_log": True, "fallback": _env("PASSWORD")},
        "validate_certs": {"type": "bool", "aliases": ["verify_ssl"], "fallback": _env("VERIFY_SSL")},
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": _env("SSL_CA_CERT")},
        "client_cert": {"type": "path", "aliases": ["cert_file"], "fallback": _env("CERT_FILE")},
        "client_key": {"type": "path", "no_log": False, "aliases": ["key_file"], "fallback": _env("KEY_FILE")},
        "proxy": {"type": "str", "fallback": _env("PROXY")},
        "no_proxy": {"type": "str", "fallback": _env("NO_PROXY")},
        "proxy_headers": {
            "type": "dict",
            "apply_defaults": True,
            "options": {
                "proxy_basic_auth": {
                    "type": "str",
                    "no_log": True,
                    "fallback": _env("PROXY_HEADERS_PROXY_BASIC_AUTH"),
                },
                "basic_auth": {"type": "str", "no_log": True, "fallback": _env("PROXY_HEADERS_BASIC_AUTH")},
                "user_agent": {"type": "str", "fallback": _env("PROXY_HEADERS_USER_AGENT")},
            },
        },
        "persist_config": {"type": "bool", "fallback": _env("PERSIST_CONFIG")},
        "impersonate_user": {"type": "str", "fallback": _env("IMPERSONATE_USER")},
        "impersonate_groups": {"type": "list", "elements": "str", "fallback": _env("IMPERSONATE_GROUPS")},
    }


def wait_timeout_argument(default: int) -> dict[str, t.Any]:
    """Seconds that the wait for any one step may take."""
    return {"wait_timeout": {"type": "int", "default": default}}
