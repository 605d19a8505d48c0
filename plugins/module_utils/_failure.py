# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The exceptions that end a task cleanly, or ask it to look again."""

from __future__ import annotations

import sys
import typing as t


class Failure(Exception):
    """A clean end: one paragraph for people, raised anywhere, turned into a failed task at one edge.

    ``facts`` (plain data) is returned beside the message.
    """

    def __init__(self, message: str, **facts: t.Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class MissingLibrary(Failure):
    """A Python package that the work needs is not installed where it runs."""

    def __init__(self, package: str, detail: str) -> None:
        super().__init__(
            f"The Python package '{package}' is needed where this task runs and cannot be imported there ({detail}). "
            f"Install it into that Python, for example with '{sys.executable} -m pip install {package}'."
        )


class Unreachable(Failure):
    """No answer from the API server. In the middle of an operation it may come back, so that is waited for."""


class NotYet(Exception):
    """The system is not ready for this step, and waiting may help: the operation looks again until its time is up."""
