# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Options that name one application of MySQL or MariaDB."""

from __future__ import annotations

import typing as t


def target_arguments() -> dict[str, t.Any]:
    return {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "service": {"type": "str"},
        "cluster_domain": {"type": "str", "default": "cluster.local"},
        "port": {"type": "int", "default": 3306},
        # The names of Secrets, not their content.
        "root_secret": {"type": "str", "no_log": False},
        "replication_secret": {"type": "str", "no_log": False},
    }
