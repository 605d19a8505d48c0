# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How property tests run, all of them."""

from __future__ import annotations

import gc

import hypothesis

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("stateful", deadline=None)
hypothesis.settings.load_profile("stateful")


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: nobody has to look through it for garbage, again and again."""
    gc.freeze()
