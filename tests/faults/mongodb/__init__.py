# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults of a MongoDB replica set."""

from __future__ import annotations

from harness.trial import Scenario
from mongodb.empty_disk import empty_disk
from mongodb.interrupted import interrupted
from mongodb.two_runs import two_runs
from mongodb.unresolvable import unresolvable

# A number stays that of its scenario in all results; those between are left for others.
SCENARIOS = {
    1: Scenario("a member's own or a peer's name does not resolve when the set is formed", unresolvable),
    # The integration target mongodb_replica_set has a pair of its own.
    2: Scenario("two runs at the same moment", two_runs, in_short=False),
    3: Scenario("pod 0, the primary, comes back with an empty disk", empty_disk),
    9: Scenario("the tool is killed, or loses its API server, between any two steps", interrupted),
}
