# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The passwords in the Secret of a user of the database, and the order in which they change. Pure.

While the password changes, the database has either of two, and nobody can ask which before a login. So both stand in
the Secret, and whoever logs in tries both. The new one is written beside the old one first, then given to the database,
and then put in the old one's place. The old one is kept beside it: a member that lags, or is delayed on purpose, takes
the old one until it has caught up.
"""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._cluster._secret import annotation, decoded, encoded

PASSWORD = "password"  # noqa: S105 (names of keys)
NEXT = "password-next"
PREVIOUS = "password-previous"
# On the Secret: which rotation made the password that it has, and which one made the next.
ROTATION = "stateful.kube/rotation"
ROTATION_NEXT = "stateful.kube/rotation-next"


def others(secret: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Passwords beside the first that a member may take. Raises ValueError."""
    found = (decoded(secret, NEXT), decoded(secret, PREVIOUS))
    return tuple(password for password in found if password)


def with_next(secret: t.Mapping[str, t.Any], password: str, rotation: str) -> dict[str, t.Any]:
    """The patch that writes another password beside the one in use; it fits this very version of the Secret."""
    return {"metadata": _metadata(secret, {ROTATION_NEXT: rotation or None}), "data": {NEXT: encoded(password)}}


def moved(secret: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The patch that puts the next password into the place of the former one."""
    data = secret["data"]
    stamp = annotation(secret, ROTATION_NEXT) or annotation(secret, ROTATION)
    return {
        "metadata": _metadata(secret, {ROTATION: stamp or None, ROTATION_NEXT: None}),
        "data": {PASSWORD: data[NEXT], NEXT: None, PREVIOUS: data[PASSWORD]},
    }


def owner(secret: t.Mapping[str, t.Any]) -> str:
    """What writes this Secret, by its owner reference; empty where nothing does."""
    owners = secret["metadata"].get("ownerReferences") or ()
    return ", ".join(f"{one['kind']} {one['name']}" for one in owners if one.get("controller"))


def _metadata(secret: t.Mapping[str, t.Any], annotations: t.Mapping[str, t.Optional[str]]) -> dict[str, t.Any]:
    metadata = secret["metadata"]
    return {
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
        "annotations": dict(annotations),
    }
