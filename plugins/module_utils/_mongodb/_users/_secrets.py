# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""The Secrets that users' passwords are kept in: read, made, and written without losing what stands there."""

from __future__ import annotations

from urllib.parse import quote

from ansible_collections.stateful.kube.plugins.module_utils._mongodb._users._declared import User
from ansible_collections.stateful.kube.plugins.module_utils._workload._two_passwords import PASSWORD

# On a Secret that was made here: whose it is.
OWNER = "stateful.kube/mongodb-user"


def connection_string(user: User, password: str, address: str, replica_set: str) -> str:
    """What an application connects with. The Service answers with every member, and the driver finds the primary."""
    # The database that a user is in is mostly the one it works in; admin never is.
    database = "" if user.name.database == "admin" else quote(user.name.database, safe="")
    return (
        f"mongodb://{quote(user.name.name, safe='')}:{quote(password, safe='')}@{address}/{database}"
        f"?replicaSet={quote(replica_set, safe='')}&authSource={quote(user.name.database, safe='')}"
    )


def content(user: User, password: str, address: str, replica_set: str) -> dict[str, str]:
    """What the Secret of a made password holds."""
    return {
        "username": user.name.name,
        PASSWORD: password,
        "database": user.name.database,
        "uri": connection_string(user, password, address, replica_set),
    }


def owner(user: User) -> tuple[str, str]:
    """The annotation that says whose a Secret is."""
    return OWNER, str(user.name)
