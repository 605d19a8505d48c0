# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.stateful.kube.plugins.module_utils._cluster import _connection
from ansible_collections.stateful.kube.plugins.modules import mysql_adopt
from ansible_collections.stateful.kube.plugins.plugin_utils._in_process import InProcessAction

# Imported in the parent before it forks: paid once a run, not once a task. An adoption is rare, so the driver is not.
_connection.preload()


class ActionModule(InProcessAction):
    module = mysql_adopt
