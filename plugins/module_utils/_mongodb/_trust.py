# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the certificates of members are checked against: the authorities in the Secret that their pods have mounted.

Which Secret that is stands in each pod, so no option names it, and while a set is given TLS a member of the older kind
is still spoken to plainly. Nobody between here and the pod can change which of the two it is.
"""

from __future__ import annotations

import base64
import ssl
import time
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster
from ansible_collections.stateful.kube.plugins.module_utils._cluster._tls import ServerTls, context_for
from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import Pod

#: the volume of a pod whose mongod speaks TLS, and the key in its Secret with the authorities
VOLUME = "mongodb-tls"
AUTHORITIES = "ca.pem"
# Seconds after which the Secret is read again: its authorities may be others by then.
KEPT_FOR = 5.0


def tls_secret(pod: t.Mapping[str, t.Any]) -> str:
    """The Secret that this pod (or template) has certificate and authorities from; empty for one without TLS."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume["name"] == VOLUME:
            return str((volume.get("secret") or {}).get("secretName") or "")
    return ""


class Trust:
    def __init__(self, cluster: Cluster, target: Target) -> None:
        self._cluster = cluster
        self._target = target
        self._contexts: dict[str, tuple[float, ssl.SSLContext]] = {}

    def of(self, pod: Pod, service: str) -> t.Optional[t.Callable[[], ServerTls]]:
        """How to speak to the member in this pod, for each connection anew; None for plainly. Raises Failure then."""
        secret, target = pod.tls_secret, self._target
        if not secret:
            return None
        service = target.service or service or target.name
        host = f"{pod.name}.{service}.{target.namespace}.svc.{target.cluster_domain}"
        return lambda: ServerTls(self._context(secret), host)

    def _context(self, secret: str) -> ssl.SSLContext:
        read_at, context = self._contexts.get(secret, (0.0, None))
        if context is None or time.monotonic() - read_at > KEPT_FOR:
            context = self._read(secret)
            self._contexts[secret] = (time.monotonic(), context)
        return context

    def _read(self, name: str) -> ssl.SSLContext:
        namespace = self._target.namespace
        found = self._cluster.get("v1", "Secret", name, namespace) or {}
        text = (found.get("data") or {}).get(AUTHORITIES) or ""
        try:
            return context_for(base64.b64decode(text).decode())
        except (ValueError, ssl.SSLError) as exc:
            raise Failure(
                f"The Secret {namespace}/{name}, which the members have their certificate from, has no authorities in "
                f"PEM under the key {AUTHORITIES} ({exc}). Run the playbook stateful.kube.mongodb, which makes it."
            ) from exc
