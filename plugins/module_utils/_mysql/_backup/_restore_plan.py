# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Plans a restore, and refuses what would overwrite data in silence. Pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Manifest, series
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import LAG_LIMIT, refused
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

#: what a restore comes through, in this order
CLEAR, LOAD, REPLAY, FINISH = "clear", "load", "replay", "finish"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is to be restored, and how."""

    base: Manifest
    slices: tuple[Manifest, ...] = ()
    #: a time; empty for all there is in the backup and these
    until: str = ""
    users: bool = False
    overwrite_data_of: str = ""

    @property
    def identity(self) -> dict[str, t.Any]:
        """What makes a restore that was begun the same as this one."""
        return {
            "backup": self.base.backup,
            "set_id": self.base.set_id,
            "until": self.until,
            "slices": [one.backup for one in self.slices],
        }


@dataclasses.dataclass(frozen=True)
class Around:
    seen: Snapshot
    #: what the primary has; None where there is none that takes writes
    databases: t.Optional[tuple[str, ...]] = None
    #: what is noted of a restore that has not come to its end
    mark: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    #: what this run has done already
    done: tuple[str, ...] = ()


def plan(target: Target, wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    if FINISH in around.done:
        return Plan()
    refusal = refused(target, around.seen) or _refused(target, wish, around)
    if refusal:
        return refusal
    if around.databases is None:
        record = around.seen.record
        name = record.primary if record else target.name
        return Plan((Step("wait", target.name, f"wait until {name} is there and takes writes", change=False),))
    return Plan(tuple(step for step in _every(target, wish, around) if step.action not in around.done))


def promoted(target: Target, seen: Snapshot) -> t.Optional[int]:
    """The primary, where it takes writes."""
    if seen.record is None or seen.record.epoch == 0:
        return None
    view = View(target, as_it_is(seen, LAG_LIMIT), seen)
    return view.primary if view.promoted else None


def _every(target: Target, wish: Wish, around: Around) -> list[Step]:
    base = wish.base
    clear = "note that a restore goes on, so that nobody takes it for complete"
    if around.databases:
        clear = f"DROP the databases that are there ({', '.join(around.databases)}), and note that a restore goes on"
    load = f"load {len(base.tables)} tables of {base.backup}: {base.rows} rows, {base.size} bytes compressed"
    steps = [Step(CLEAR, target.name, clear), Step(LOAD, target.name, load)]
    if wish.slices:
        until = f"before {wish.until}" if wish.until else f"up to {wish.slices[-1].until}"
        files = sum(len(one.logs) for one in wish.slices)
        steps.append(Step(REPLAY, target.name, f"apply what was committed {until}, of {files} binary logs"))
    what = ["compare the number of rows"] if not wish.slices else []
    what += [f"add {base.accounts} accounts"] if wish.users else []
    steps.append(Step(FINISH, target.name, f"{', '.join([*what, 'remove the note'])}"))
    return steps


def _refused(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    typed = wish.overwrite_data_of
    if typed and typed != target.name:
        return Refusal(
            f"overwrite_data_of: expected the name of what is restored into, {target.name}, found {typed}.",
            choices=(f"type {target.name} to overwrite its data", "correct name"),
        )
    primary = promoted(target, around.seen)
    if around.databases is None or primary is None:
        return None
    version, base = around.seen.answer(primary).version, wish.base
    if (MARIADB in version.lower()) != (base.flavour == MARIADB):
        return Refusal(
            f"The backup is of {_product(base.flavour == MARIADB)}, and {target.name} is "
            f"{_product(MARIADB in version.lower())}: neither reads all that the other writes.",
            evidence=(f"{base.backup} is of version {base.version}", f"{target.name} has version {version}"),
            choices=("restore into an application of the same kind",),
        )
    if series(version) < series(base.version):
        return Refusal(
            f"The backup is of version {base.version}, and {target.name} has {version}: an older server may not "
            "understand what a newer one wrote.",
            choices=(f"restore into an application of version {base.version} or newer",),
        )
    mark = around.mark
    if {key: mark.get(key) for key in wish.identity} == wish.identity:
        return None
    if (around.databases or mark) and not typed:
        evidence = [f"its databases are {', '.join(around.databases)}"] if around.databases else []
        if mark:
            evidence.append(f"a restore of {mark.get('backup')} into it has not come to its end")
        return Refusal(
            f"{target.namespace}/{target.name} holds databases, and a restore replaces all of them.",
            evidence=tuple(evidence),
            choices=(
                f"type its name again to lose what it holds: overwrite_data_of={target.name}",
                "restore into an application of another name",
                *(("run the restore that was begun to its end, with the same options",) if mark else ()),
            ),
        )
    return None


def _product(maria: bool) -> str:
    return "MariaDB" if maria else "MySQL"
