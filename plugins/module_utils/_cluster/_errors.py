# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What can go wrong between here and the API server."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import Failure, Unreachable

__all__ = ["ApiError", "Unreachable", "conflicts"]


class ApiError(Failure):
    """The API server answered with an error. ``status`` is the HTTP code, ``reason`` its own word for it."""

    def __init__(self, message: str, status: int, reason: str = "", details: t.Optional[dict[str, t.Any]] = None):
        super().__init__(message, status=status, reason=reason)
        self.status = status
        self.reason = reason
        self.details = details or {}

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409

    @property
    def forbidden(self) -> bool:
        return self.status == 403

    @property
    def malformed(self) -> bool:
        """The object does not fit its kind. Of an apply the server calls that its own failure (500)."""
        return self.status == 400 or "failed to create typed patch object" in str(self)


def conflicts(error: ApiError) -> tuple[tuple[str, str], ...]:
    """The fields that another manager has, and that manager, from the API server's answer."""
    found = []
    for cause in error.details.get("causes") or ():
        if cause.get("reason") == "FieldManagerConflict":
            match = re.search(r'conflict with "([^"]*)"(?: with subresource "([^"]*)")?', str(cause.get("message")))
            manager = match[1] + (f", by {match[2]}" if match[2] else "") if match else str(cause.get("message"))
            found.append((str(cause.get("field")), manager))
    return tuple(found)
