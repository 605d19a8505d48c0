# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a scenario says that the tool did not do what it promises."""

from __future__ import annotations


class Failed(Exception):
    """The scenario failed: one sentence that says what was expected and what was seen."""


class Skipped(Exception):
    """The scenario cannot be played here: what it needs."""


def check(condition: object, sentence: str) -> None:
    if not condition:
        raise Failed(sentence)
