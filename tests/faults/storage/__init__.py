# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults of storage: servers, exports, provisioners, claims and volumes."""

from __future__ import annotations

from harness.trial import Scenario
from storage.fencing import fencing
from storage.growth import growth
from storage.outage import outage
from storage.provisioner import provisioner
from storage.released import released

# A number stays that of its scenario in all results; those between are left for others.
SCENARIOS = {
    15: Scenario("a single database on NFS whose node hangs, and a second server on its data", fencing, in_short=False),
    22: Scenario("claims are deleted by mistake, and their volumes hold the data", released, in_short=False),
    23: Scenario("an NFS class by which claims would share, nest or overwrite", provisioner, in_short=False),
    24: Scenario(
        "claims grow: a class that cannot, a quota, one that fails, and runs that are killed", growth, in_short=False
    ),
    25: Scenario("an NFS export that squashes, and a server that is gone for a minute", outage, in_short=False),
}
