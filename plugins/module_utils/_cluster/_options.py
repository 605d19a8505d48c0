# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Which API server, and as whom: decided here from options and environment, without any I/O."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """The connection options of a task, by the names of kubernetes.core."""

    kubeconfig: t.Union[str, dict[str, t.Any], None] = None
    context: t.Optional[str] = None
    host: t.Optional[str] = None
    api_key: t.Optional[str] = dataclasses.field(default=None, repr=False)
    username: t.Optional[str] = None
    password: t.Optional[str] = dataclasses.field(default=None, repr=False)
    validate_certs: t.Optional[bool] = None
    ca_cert: t.Optional[str] = None
    client_cert: t.Optional[str] = None
    client_key: t.Optional[str] = None
    proxy: t.Optional[str] = None
    no_proxy: t.Optional[str] = None
    proxy_headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    persist_config: bool = False
    impersonate_user: t.Optional[str] = None
    impersonate_groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: t.Mapping[str, t.Any]) -> ConnectionOptions:
        """Pick the connection options out of a task's parameters; what is absent or empty is left to the defaults."""
        known = {field.name for field in dataclasses.fields(cls)}
        given = {key: value for key, value in params.items() if key in known and value not in (None, "")}
        headers = {key: value for key, value in (given.pop("proxy_headers", None) or {}).items() if value}
        groups = tuple(given.pop("impersonate_groups", ()))
        options = cls(**given, proxy_headers=headers, impersonate_groups=groups)
        if not isinstance(options.kubeconfig, (str, dict, type(None))):
            raise Failure(
                "kubeconfig: expected the path of a file or its content as a dictionary, "
                f"found {type(options.kubeconfig).__name__}."
            )
        if options.impersonate_groups and not options.impersonate_user:
            raise Failure("impersonate_groups: the API server takes groups only together with impersonate_user.")
        return options

    @property
    def complete(self) -> bool:
        """Whether the options name a server and an identity by themselves, so that no configuration file is read."""
        return bool(
            self.host and (self.api_key or (self.client_cert and self.client_key) or (self.username and self.password))
        )

    def source(self, environment: t.Mapping[str, str]) -> str:
        """Where server and identity come from: ``options``, ``kubeconfig``, ``in-cluster`` or ``default``.

        The order is that of kubernetes.core, except that a KUBECONFIG in the environment goes before the
        in-cluster account, as it does with kubectl.
        """
        if self.complete:
            return "options"
        if self.kubeconfig or self.context or environment.get("KUBECONFIG"):
            return "kubeconfig"
        if environment.get("KUBERNETES_SERVICE_HOST"):
            return "in-cluster"
        return "default"

    def kubeconfig_path(self, environment: t.Mapping[str, str]) -> str:
        path = self.kubeconfig if isinstance(self.kubeconfig, str) else environment.get("KUBECONFIG")
        return os.pathsep.join(os.path.expanduser(part) for part in (path or "~/.kube/config").split(os.pathsep))
