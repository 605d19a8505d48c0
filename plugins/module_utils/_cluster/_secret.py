# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What is in a Secret, and a change to it that does not overwrite somebody else's."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._errors import ApiError
from ansible_collections.stateful.kube.plugins.module_utils._cluster._objects import Cluster, Object
from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet


def decoded(secret: t.Mapping[str, t.Any], key: str) -> t.Optional[str]:
    """The text under this key, or None where there is none. Raises ValueError where it is no text."""
    value = (secret.get("data") or {}).get(key)
    return base64.b64decode(value).decode() if value else None


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def annotation(secret: t.Mapping[str, t.Any], name: str) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(name, ""))


def merge(cluster: Cluster, secret: Object, patch: Object) -> None:
    """Apply the patch, which names the version that it is for. Raises NotYet where the Secret is another one now."""
    metadata = secret["metadata"]
    try:
        cluster.merge("v1", "Secret", metadata["name"], metadata["namespace"], patch)
    except ApiError as error:
        if error.conflict or error.not_found:
            raise NotYet(f"the Secret {metadata['namespace']}/{metadata['name']} has changed meanwhile") from error
        raise
