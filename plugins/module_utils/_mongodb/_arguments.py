# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Options that name one replica set."""

from __future__ import annotations

import typing as t


def target_arguments() -> dict[str, t.Any]:
    return {
        "name": {"type": "str", "required": True},
        "namespace": {"type": "str"},
        "replica_set": {"type": "str"},
        "service": {"type": "str"},
        "cluster_domain": {"type": "str", "default": "cluster.local"},
        "port": {"type": "int", "default": 27017},
        # The name of a Secret, not its content.
        "root_secret": {"type": "str", "no_log": False},
    }


def restrictions_argument() -> dict[str, t.Any]:
    """From and to which addresses a login is allowed."""
    addresses = {"type": "list", "elements": "str"}
    return {
        "type": "list",
        "elements": "dict",
        "options": {"client_source": dict(addresses), "server_address": dict(addresses)},
    }
