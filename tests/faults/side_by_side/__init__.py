# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Others beside the collection, in the same trouble."""

from __future__ import annotations

from harness.trial import Scenario
from side_by_side.membership import grows, minority, pod_0_emptied

SCENARIOS = {
    1: Scenario("3 to 5 members at once", grows, in_short=False),
    2: Scenario("pod 0 comes back with an empty disk, alone", pod_0_emptied, in_short=False),
    3: Scenario("the primary is cut off from the others, and is asked first", minority, in_short=False),
}
