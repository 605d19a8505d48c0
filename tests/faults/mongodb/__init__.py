# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults of a MongoDB replica set."""

from __future__ import annotations

from harness.trial import Scenario
from mongodb.authentication import authenticated
from mongodb.autopilot import follows, loses
from mongodb.empty_disk import empty_disk
from mongodb.hanging import hangs
from mongodb.interrupted import interrupted
from mongodb.keyfile import keyfile_changed
from mongodb.killed_operations import killed_operations
from mongodb.partition import partition
from mongodb.rolling import changes, primary_lost, restart, switchover
from mongodb.scaling import grows, loses_members, shrinks
from mongodb.scheduled_backup import scheduled_backup
from mongodb.stale_addresses import stale_addresses
from mongodb.tls import tls_raised
from mongodb.two_runs import two_runs
from mongodb.unresolvable import unresolvable

# A number stays that of its scenario in all results; those between are left for others.
SCENARIOS = {
    1: Scenario("a member's own or a peer's name does not resolve when the set is formed", unresolvable),
    # The integration target mongodb_replica_set has a pair of its own.
    2: Scenario("two runs at the same moment", two_runs, in_short=False),
    3: Scenario("pod 0, the primary, comes back with an empty disk", empty_disk),
    4: Scenario("it grows from 1 to 9 members, and shrinks again", grows, in_short=False),
    5: Scenario("it shrinks while the primary is a member that leaves", shrinks),
    6: Scenario("it is to shrink while one member hangs, and while two do", loses_members, in_short=False),
    7: Scenario(
        "every pod comes back with an address that the configuration does not have", stale_addresses, in_short=False
    ),
    8: Scenario("the primary is cut off from the others", partition, in_short=False),
    9: Scenario("the tool is killed, or loses its API server, between any two steps", interrupted),
    10: Scenario("a rolling change beside a member that lags, and one that never works", changes, in_short=False),
    # No faults of the list that these numbers come from, and worth their figures.
    26: Scenario("a switchover", switchover, in_short=False),
    27: Scenario("every pod is replaced", restart, in_short=False),
    28: Scenario("the primary is lost", primary_lost, in_short=False),
    29: Scenario("the tool is killed while a set shrinks and gets other pods", killed_operations, in_short=False),
    30: Scenario("a set that is written to gets TLS, and other certificates", tls_raised, in_short=False),
    31: Scenario("a set that is written to gets another key file", keyfile_changed, in_short=False),
    32: Scenario("it is scaled by hand, and its autopilot follows", follows, in_short=False),
    33: Scenario("pod 0 loses its disk beside an autopilot, and is alone with it", loses, in_short=False),
    34: Scenario(
        "a scheduled backup is killed, and the next one restored to a point in time", scheduled_backup, in_short=False
    ),
    35: Scenario("a set that is written to comes to require a login", authenticated, in_short=False),
    36: Scenario("a server hangs, and another one does not serve", hangs, in_short=False),
}
