# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""Plans a restore, and refuses what would overwrite data in silence. Pure."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._backup_places._overwrite import mistyped
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._format import Manifest, series
from ansible_collections.stateful.kube.plugins.module_utils._mysql._backup._plan import LAG_LIMIT, refused
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import MARIADB, parse
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Snapshot
from ansible_collections.stateful.kube.plugins.module_utils._mysql._switchover_plan import as_it_is
from ansible_collections.stateful.kube.plugins.module_utils._mysql._view import View
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step

#: what a restore comes through, in this order
CLEAR, LOAD, REPLAY, FINISH = "clear", "load", "replay", "finish"
#: ends what a run that was killed has left in the server
END = "end"


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
    #: whether that note is this run's own
    began: bool = False
    #: the session that loads although this run has not begun it
    loading: t.Optional[int] = None
    #: what was loaded last, and how far the server was at the end of that, as the pod has noted
    far: t.Optional[tuple[str, str]] = None


def noted_of(wish: Wish, around: Around, action: str, executed: str, begun: str) -> dict[str, t.Any]:
    """What is noted before a step. What was there, and how far, tells later whether anybody else has written since."""
    databases = around.databases or () if action == CLEAR else wish.base.databases if action == LOAD else None
    record = around.seen.record
    return {
        **wish.identity,
        "epoch": record.epoch if record else 0,
        "imported": record.imported if record else "",
        "step": action,
        "begun": begun,
        "executed": executed,
        "databases": None if databases is None else list(databases),
    }


def plan(target: Target, wish: Wish, around: Around) -> t.Union[Plan, Refusal]:
    if FINISH in around.done:
        return Plan()
    refusal = refused(target, around.seen) or _swapping(target, around.seen) or _refused(target, wish, around)
    if refusal:
        return refusal
    if around.databases is None:
        record = around.seen.record
        name = record.primary if record else target.name
        return Plan((Step("wait", target.name, f"wait until {name} is there and takes writes", change=False),))
    if around.loading is not None and not around.began:
        end = f"end session {around.loading}, which a restore that was killed has left"
        return Plan((Step(END, target.name, end), *_every(target, wish, around)))
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


def _swapping(target: Target, seen: Snapshot) -> t.Optional[Refusal]:
    if seen.record is None or not seen.record.swapping:
        return None
    return Refusal(
        f"A restore of the files of {seen.record.restoring} into {target.name} has not come to its end: members take "
        "copies of them still.",
        choices=("run that restore to its end, with the same options", "restore another backup of files"),
    )


def _refused(target: Target, wish: Wish, around: Around) -> t.Optional[Refusal]:
    typed = wish.overwrite_data_of
    refusal = mistyped(typed, target.name)
    if refusal:
        return refusal
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
    mark, foreign = around.mark, ""
    other = bool(mark) and {key: mark.get(key) for key in wish.identity} != wish.identity
    if mark and not other:
        # While that one goes on nobody can tell. It is ended first.
        known = around.began or around.loading is not None or not around.databases
        foreign = "" if known else _foreign(wish, around, primary)
        if not foreign:
            return None
    if (around.databases or mark) and not typed:
        evidence = [f"its databases are {', '.join(around.databases)}"] if around.databases else []
        if mark:
            evidence.append(f"a restore of {mark.get('backup')} into it has not come to its end")
        if foreign:
            evidence.append(foreign)
        return Refusal(
            f"{target.namespace}/{target.name} holds databases, and a restore replaces all of them.",
            evidence=tuple(evidence),
            choices=(
                f"type its name again to lose what it holds: overwrite_data_of={target.name}",
                "restore into an application of another name",
                *(("run the restore that was begun to its end, with the same options",) if other else ()),
            ),
        )
    return None


def _foreign(wish: Wish, around: Around, primary: int) -> str:
    """Why what is there may be more than what this restore, which was begun earlier, has made itself."""
    mark, record = around.mark, around.seen.record
    executed, then = around.seen.answer(primary).executed, None
    with contextlib.suppress(ValueError):
        then = parse(wish.base.flavour, str(mark.get("executed", "")))
    if executed is None or then is None or record is None:
        return "what it had when that broke off is not known"
    if (mark.get("epoch"), mark.get("imported")) != (record.epoch, record.imported):
        return "another server was made primary since, or data were imported"
    if then.contains(executed):
        return ""
    more = [] if mark.get("databases") is None else sorted({*(around.databases or ())} - {*mark["databases"]})
    if more:
        return f"{', '.join(more)} came since, and is not of that restore"
    step, since = mark.get("step"), "something else has been written to it since"
    if step == CLEAR:
        # Each of them that is gone is one transaction.
        gone = len({*(mark.get("databases") or ())} - {*(around.databases or ())})
        count = executed.minus(then).count
        return "" if count is not None and count <= gone else since
    if step in (LOAD, REPLAY):
        begun, far = around.far or ("", "")
        if not begun or begun != mark.get("begun"):
            return "how far that had come when it broke off is not known, nor what else has been written since"
        with contextlib.suppress(ValueError):
            return "" if parse(wish.base.flavour, far.replace("\n", "")).contains(executed) else since
    # The comparison that comes last writes nothing, and accounts are few.
    return since


def _product(maria: bool) -> str:
    return "MariaDB" if maria else "MySQL"
