# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""What must hold of both servers before anything is imported, and what is worth a warning. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import MOST_MEMBERS, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._import._state import (
    Local,
    Outside,
    Seen,
    Wish,
    flavour_name,
    series,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import MARIADB
from ansible_collections.stateful.kube.plugins.module_utils._operation import Refusal

#: seconds of binary logs with which nobody need hurry
LONG_ENOUGH = 86400
#: server ids of this collection: 100 and the ordinal, and besides that thousands
OWN_IDS = range(100, 100 + MOST_MEMBERS)
_ALL = ("ALL PRIVILEGES", "SUPER")
# Each right, and others that include it.
_RIGHTS: t.Mapping[str, tuple[str, ...]] = {
    "SELECT": (),
    "SHOW VIEW": (),
    "TRIGGER": (),
    "EVENT": (),
    "RELOAD": (),
    "REPLICATION SLAVE": (),
    "REPLICATION CLIENT": (),
    "BINLOG MONITOR": ("REPLICATION CLIENT",),
    "SYSTEM_VARIABLES_ADMIN": ("SUPER",),
    "READ ONLY ADMIN": ("READ_ONLY ADMIN", "SUPER"),
}


def fresh(target: Target, seen: Seen, local: Local) -> t.Optional[Refusal]:
    """Whether the target has nothing that would be lost."""
    found, record = seen.target.stateful_set, seen.target.record
    if record and record.restoring:
        return Refusal(
            f"A restore into {target.name} has not come to its end, and its note would outlive an import. Nothing was "
            "changed.",
            (f"the backup: {record.restoring}",),
            ("run that restore to its end first, with the same options", "import into a new application"),
        )
    if local.databases:
        return Refusal(
            f"{target.name} holds databases already, and an import replaces all that is there. Nothing was changed.",
            (f"its databases: {', '.join(local.databases)}",),
            ("import into a new application", "drop them, where nobody needs them"),
        )
    if (found and found.replicas > 1) or (record and record.members > 1):
        return Refusal(
            f"{target.name} has more than one server, and an import begins with one. Nothing was changed.",
            (f"StatefulSet {target.name} has {found.replicas if found else 0} replicas",),
            ("declare one member (members, in the role mysql_members), and more after the cut-over",),
        )
    former = [claim for ordinal, claims in seen.target.claims.items() if ordinal for claim in claims]
    if former:
        return Refusal(
            f"Claims of former servers of {target.name} are there: such a server would come back with its old data, "
            "and never get what is imported. Nothing was changed.",
            (f"the claims: {', '.join(former)}",),
            ("delete these claims, where nobody needs what is in them",),
        )
    return None


def strange(target: Target, wish: Wish, local: Local) -> t.Optional[Refusal]:
    """Whether somebody has made databases after the import was recorded, and before the server took no writes."""
    if not local.strange:
        return None
    return Refusal(
        f"{target.name} holds databases that are not of the import: clients made them before anything was loaded, and "
        "a load would drop them. Nothing was dropped.",
        (f"its databases: {', '.join(local.strange)}", f"nothing of {wish.source} was loaded yet"),
        (
            "give the import up: state: absent keeps them, and lets clients write again",
            "where nobody needs them: give the import up, drop them, and begin anew",
        ),
    )


def source(target: Target, wish: Wish, local: Local, outside: Outside) -> t.Optional[Refusal]:
    """Whether the source can give what is wanted."""
    if not outside.answers:
        return Refusal(
            f"{wish.source} does not let in the user of Secret {wish.secret} from the pod {target.pod(0)}. "
            "Nothing was changed.",
            (f"the client said: {outside.silence}",),
            (
                "see that name and port are right, and that a firewall lets in the nodes of the cluster",
                f"correct username and password in the Secret {wish.secret}",
            ),
        )
    return (
        _flavours(target, wish, local, outside)
        or lacking(wish, outside)
        or _settings(target, wish, local, outside)
        or _engines(wish, outside)
    )


def lacks(wish: Wish, outside: Outside) -> list[str]:
    """Rights that the account does not have on everything."""
    needed = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT"]
    mariadb = outside.flavour == MARIADB
    if wish.replicate or wish.lock_tables:
        needed.append("RELOAD")
    needed.append("BINLOG MONITOR" if mariadb else "REPLICATION CLIENT")
    if wish.replicate:
        needed.append("REPLICATION SLAVE")
    if wish.stop_writes:
        needed.append("READ ONLY ADMIN" if mariadb else "SYSTEM_VARIABLES_ADMIN")
    return [
        right
        for right in needed
        if "ALL PRIVILEGES" not in outside.rights and not outside.rights & {right, *_RIGHTS[right]}
    ]


def _flavours(target: Target, wish: Wish, local: Local, outside: Outside) -> t.Optional[Refusal]:
    evidence = (f"the source is {outside.version}", f"{target.name} is {local.version}")
    if outside.flavour != flavour_name(local.version):
        return Refusal(
            f"{wish.source} is of another flavour than {target.name}: MySQL and MariaDB neither understand each "
            "other's binary logs nor all of each other's dumps. Nothing was changed.",
            evidence,
            ("declare mysql_image with an image of the source's flavour",),
        )
    if series(outside.version) > series(local.version):
        return Refusal(
            f"{wish.source} is newer than {target.name}, and nothing leads to an older version. Nothing was changed.",
            evidence,
            ("declare mysql_image with an image as new as the source",),
        )
    return None


def lacking(wish: Wish, outside: Outside) -> t.Optional[Refusal]:
    missing = lacks(wish, outside)
    if not missing:
        return None
    return Refusal(
        f"The user of Secret {wish.secret} lacks rights on {wish.source}. Nothing was changed.",
        (f"it has no {', '.join(missing)} on *.*, given to itself and not to a role",),
        (f"grant them there: GRANT {', '.join(missing)} ON *.* TO that user",),
    )


def _settings(target: Target, wish: Wish, local: Local, outside: Outside) -> t.Optional[Refusal]:
    said = outside.variables
    identity = int(said.get("server_id") or 0)
    wrong = []
    if said.get("log_bin", "").upper() not in ("ON", "1"):
        wrong.append(("log_bin is OFF", "log_bin = ON (it needs a restart)"))
    if wish.replicate and said.get("binlog_format", "ROW").upper() != "ROW":
        wrong.append(
            (
                f"binlog_format is {said.get('binlog_format')}",
                "SET GLOBAL binlog_format = ROW, and have all clients connect anew",
            )
        )
    if wish.replicate and said.get("gtid_mode", "").upper().endswith("PERMISSIVE"):
        wrong.append((f"gtid_mode is {said['gtid_mode']}", "finish its change to ON, or to OFF"))
    if wish.replicate and (identity in (0, local.server_id) or identity % 1000 in OWN_IDS):
        wrong.append(
            (
                f"server_id is {identity}, as of servers of {target.name}, which would pass over what it has written",
                "SET GLOBAL server_id to another number, such as 1, there and in its configuration",
            )
        )
    if said.get("lower_case_table_names", "0") != local.lower_case:
        wrong.append(
            (
                f"lower_case_table_names is {said.get('lower_case_table_names')}, and {local.lower_case} here",
                f"make {target.name} anew with that setting in mysql_config",
            )
        )
    if not outside.databases:
        wrong.append(("it has no databases but its own", "see that it is the right server"))
    if not wrong:
        return None
    return Refusal(
        f"{wish.source} cannot be imported from as it is. Nothing was changed.",
        tuple(found for found, _choice in wrong),
        tuple(choice for _found, choice in wrong),
    )


def _engines(wish: Wish, outside: Outside) -> t.Optional[Refusal]:
    if not outside.other_engines or wish.lock_tables:
        return None
    return Refusal(
        f"{wish.source} has tables that are not of InnoDB: what is written to them while they are read would be there "
        "twice, or not at all. Nothing was changed.",
        (f"the tables: {_some(outside.other_engines)}",),
        (
            "alter them to ENGINE = InnoDB",
            "let the source take no writes while it is read: lock_tables: true",
        ),
    )


def warnings(wish: Wish, local: Local, outside: Outside) -> list[str]:
    found: list[str] = []
    if not outside.answers:
        return found
    missing = [name for name in outside.accounts if name not in local.accounts]
    if missing:
        found.append(
            f"Accounts are not imported. {wish.source} has these, which are not here: {_some(missing)}. Make those "
            "that clients need once the import is cut over."
        )
    definers = [name for name in outside.definers if name not in local.accounts]
    if definers:
        found.append(
            f"Views, routines, triggers or events run as these accounts, and fail without them: {_some(definers)}."
        )
    if wish.replicate and outside.keeps and outside.keeps < LONG_ENOUGH:
        found.append(
            f"{wish.source} keeps its binary logs for {outside.keeps} seconds: an import that takes longer cannot go "
            "on (binlog_expire_logs_seconds)."
        )
    if not outside.encrypted:
        found.append(
            f"The conversation with {wish.source} is not encrypted: whoever is between can read it. Where the source "
            "has TLS, say require_tls: true."
        )
    return found


def _some(names: t.Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
