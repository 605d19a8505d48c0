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
