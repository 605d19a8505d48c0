# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scenarios of MySQL and MariaDB."""

from __future__ import annotations

from harness.trial import Scenario
from mysql.copies import cut_off, purged, without_donor
from mysql.killed import killed_operations
from mysql.primaries import automatic, comes_back, primary_lost, restart, restarted, switchover
from mysql.servers import with_each

# A number stays that of its scenario in all results; those between are left for others.
SCENARIOS = {
    11: Scenario("the copy of a new replica breaks off", with_each(cut_off, members=1), in_short=False),
    12: Scenario("a new replica, while the donor that is asked first hangs", with_each(without_donor), in_short=False),
    13: Scenario(
        "an old primary comes back with transactions that nobody else has", with_each(comes_back), in_short=False
    ),
    14: Scenario("a replica was away for longer than the binary logs are kept", with_each(purged), in_short=False),
    # No faults of the list that these numbers come from, and worth their figures.
    41: Scenario("a switchover", with_each(switchover), in_short=False),
    42: Scenario("every pod is replaced", with_each(restart), in_short=False),
    43: Scenario(
        "the primary hangs, and a replica takes over", with_each(primary_lost, mysql_semi_sync=True), in_short=False
    ),
    44: Scenario("the primary's server dies, and its pod", with_each(restarted), in_short=False),
    45: Scenario("the tool is killed while a set shrinks and gets other pods", killed_operations, in_short=False),
    46: Scenario("the primary hangs, and the autopilot replaces it", automatic, in_short=False),
}
