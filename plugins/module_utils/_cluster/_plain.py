# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The plain way to log in: a server and a token or certificate that stand in one kubeconfig, or in the options.

Importing the ``kubernetes`` package costs half as much as an empty play. Whoever needs it (plugins that fetch
credentials, several files, proxies, the in-cluster account) gets it; a file that only names a server and a secret is
read here. A test holds both ways against each other.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import os
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._options import ConnectionOptions

_CLUSTER_KEYS = {
    "server",
    "certificate-authority",
    "certificate-authority-data",
    "insecure-skip-tls-verify",
    "tls-server-name",
}
_USER_KEYS = {"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token"}
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


@dataclasses.dataclass
class PlainConfiguration:
    """The part of the official client's ``Configuration`` that a connection uses, by the same names."""

    host: str = ""
    ssl_ca_cert: t.Optional[str] = None
    cert_file: t.Optional[str] = None
    key_file: t.Optional[str] = None
    verify_ssl: bool = True
    assert_hostname: t.Optional[bool] = None
    tls_server_name: t.Optional[str] = None
    proxy: t.Optional[str] = None
    no_proxy: t.Optional[str] = None
    proxy_headers: t.Optional[dict[str, str]] = None
    api_key: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    refresh_api_key_hook: t.Any = None

    def auth_settings(self) -> dict[str, dict[str, str]]:
        token = self.api_key.get("authorization")
        return {"BearerToken": {"in": "header", "key": "authorization", "value": token}} if token else {}


def plain_configuration(
    options: ConnectionOptions, environment: t.Mapping[str, str], private: str
) -> t.Optional[tuple[PlainConfiguration, str]]:
    """The configuration and the context's namespace, or None where the ``kubernetes`` package is needed.

    Credentials that the file holds are written into the folder ``private``.
    """
    if options.proxy or options.persist_config or _has_proxy(environment):
        return None
    source = options.source(environment)
    if source == "options":
        return PlainConfiguration(), "default"
    if source == "in-cluster":
        return None
    found = _entries(options, environment)
    if found is None:
        return None
    cluster, user, namespace, folder = found
    if set(cluster) - _CLUSTER_KEYS or set(user) - _USER_KEYS or not isinstance(cluster.get("server"), str):
        return None
    files = _Files(folder, private)
    try:
        configuration = PlainConfiguration(
            host=cluster["server"].rstrip("/"),
            ssl_ca_cert=files.find(cluster, "certificate-authority"),
            cert_file=files.find(user, "client-certificate"),
            key_file=files.find(user, "client-key"),
            verify_ssl=not cluster.get("insecure-skip-tls-verify"),
            tls_server_name=cluster.get("tls-server-name"),
        )
    except (binascii.Error, ValueError, TypeError, OSError):
        return None  # the package says better what is wrong
    if bool(configuration.cert_file) != bool(configuration.key_file):
        return None
    if user.get("token"):
        configuration.api_key = {"authorization": f"Bearer {str(user['token']).strip()}"}
    return configuration, namespace


def is_plain(environment: t.Mapping[str, str]) -> bool:
    """Whether the cluster that the environment names, or the user's own file, can be reached without the package."""
    options = ConnectionOptions.of({"kubeconfig": environment.get("K8S_AUTH_KUBECONFIG")})
    source = options.source(environment)
    if _has_proxy(environment) or source == "in-cluster":
        return False
    found = _entries(options, environment)
    # Where there is no such file, the tasks bring everything with them.
    if found is None:
        return source == "default"
    return not (set(found[0]) - _CLUSTER_KEYS or set(found[1]) - _USER_KEYS)


def _has_proxy(environment: t.Mapping[str, str]) -> bool:
    return any(environment.get(name) or environment.get(name.lower()) for name in _PROXIES)


def _entries(
    options: ConnectionOptions, environment: t.Mapping[str, str]
) -> t.Optional[tuple[dict[str, t.Any], dict[str, t.Any], str, str]]:
    """Cluster, user, namespace, and the folder that relative paths start from; None where that is not plain."""
    folder = ""
    if isinstance(options.kubeconfig, dict):
        content: t.Any = options.kubeconfig
    else:
        path = options.kubeconfig_path(environment)
        folder = os.path.dirname(os.path.abspath(path))
        content = _load(path)
    try:
        wanted = options.context or content["current-context"]
        context = _named(content["contexts"], wanted)["context"]
        cluster = _named(content["clusters"], context["cluster"])["cluster"]
        user = _named(content["users"], context["user"])["user"] or {}
        return dict(cluster), dict(user), str(context.get("namespace") or "default"), folder
    except (KeyError, TypeError, ValueError, LookupError):
        return None


def _load(path: str) -> t.Any:
    try:
        import yaml

        with open(path, encoding="utf-8") as file:
            return yaml.load(file, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (both are safe)
    except (ImportError, OSError, ValueError, yaml.YAMLError):
        return None


def _named(entries: t.Any, name: str) -> dict[str, t.Any]:
    (entry,) = [entry for entry in entries if entry["name"] == name]
    return dict(entry)


class _Files:
    """Credentials as files: the ones that are named, and new ones for those whose content is given."""

    def __init__(self, folder: str, private: str) -> None:
        self._folder = folder
        self._private = private

    def find(self, section: t.Mapping[str, t.Any], name: str) -> t.Optional[str]:
        content = section.get(f"{name}-data")
        if content:
            path = os.path.join(self._private, name)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(base64.standard_b64decode(content))
            return path
        path = section.get(name) or ""
        return os.path.join(self._folder, path) if path else None
