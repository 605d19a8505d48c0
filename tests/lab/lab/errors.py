# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, The stateful.kube authors

"""What the lab says when it cannot go on."""

from __future__ import annotations


class LabError(Exception):
    """Ends a command with one paragraph on the terminal, without a traceback."""


class PrerequisiteError(LabError):
    """Something that the machine must have is not there."""

    def __init__(self, expected: str, found: str, todo: str) -> None:
        super().__init__(f"The lab expected {expected}, and found {found}. {todo}")


class NotServed(LabError):
    """An image cannot be made here because the mirror of this machine does not have what goes into it."""

    #: what the command ends with, so that a test tells it from an image that is broken
    CODE = 4
