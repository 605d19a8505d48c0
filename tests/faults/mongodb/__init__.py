# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The faults of a MongoDB replica set."""

from __future__ import annotations

import typing as t

from harness.trial import Trial
from mongodb.empty_disk import empty_disk
from mongodb.interrupted import interrupted
from mongodb.two_runs import two_runs
from mongodb.unresolvable import unresolvable

SCENARIOS: dict[int, tuple[str, t.Callable[[Trial], None]]] = {
    1: ("a member's own or a peer's name does not resolve when the set is formed", unresolvable),
    2: ("two runs at the same moment", two_runs),
    3: ("pod 0, the primary, comes back with an empty disk", empty_disk),
    9: ("the tool is killed, or loses its API server, between any two steps", interrupted),
}
