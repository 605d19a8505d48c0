# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What the steps of replicated MySQL or MariaDB are called. Pure."""

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._workload import _rolling

RECORD = "record"
REMEMBER = "remember"
SETTLE = "settle"
PROMOTE = "promote"
FENCE = "fence"
DISMISS = "dismiss"
ROUTE = "route"
LABEL = "label"
NOTE = "note"
ATTACH = "attach"
HALT = "halt"
DETACH = "detach"
WAITS = "waits"
UNWAIT = "unwait"
APPLY = "apply"
COPY = "copy"
FORGET_COPY = "forget_copy"
HAND_OVER = "hand_over"
REPLACE = _rolling.REPLACE
SCALE = "scale"
HAND_BACK = "hand_back"
