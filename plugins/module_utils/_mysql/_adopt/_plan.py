# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: no promise is made to others who import it.

"""How a replicated MySQL that somebody else made is taken over, without a restart and while it is written to. Pure.

First the objects are marked as ours, so that no pod is replaced because of what follows. Then the accounts are made,
then all servers come to give each transaction a GTID, one mode after the other, each on all of them. With that replicas
find their place by themselves, and the ordinary planner does the rest.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import (
    ADMIN,
    HEALTH,
    MODES,
    OFF,
    ON,
    ON_PERMISSIVE,
    WARN,
    Found,
    Server,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Desired, Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._plan import plan as ordinary
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import Kind, Record, Snapshot, Source
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload import _adoption as adoption

SECRET = "make_secret"  # noqa: S105
ACCOUNTS = "make_accounts"
CONSISTENCY = "set_consistency"
MODE = "set_gtid_mode"
FOLLOW = "follow"
OWN = "note_own"
WAIT = "wait"
OLDEST = (8, 4)


def application(target: Target) -> adoption.Application:
    return adoption.Application("mysql", "MySQL", target.name, target.namespace, "stateful.kube/root-secret")


def primary_of(target: Target, found: Found) -> t.Optional[int]:
    """The recorded one, else the only one that takes writes and replicates from nobody."""
    record = found.snapshot.record
    if record and record.epoch:
        return target.ordinal(record.primary)
    return found.primaries[0] if len(found.primaries) == 1 else None


def plan(target: Target, wish: Wish, found: Found) -> t.Union[Plan, Refusal]:
    """Without ``accept`` it is for the evidence alone, and plans nothing."""
    for rule in (_whose, _what, _answers, _where, _who, _follow, _logged, _gtids, _let_in, _accepted, _violating):
        refusal = rule(target, wish, found)
        if refusal:
            return refusal
    if not wish.accept:
        return Plan()
    primary = t.cast(int, primary_of(target, found))
    steps = _connected(target, found, primary)
    steps += adoption.marks(application(target), found.objects)
    steps += _secrets(target, found)
    steps += _accounts(target, found, primary)
    steps += _consistency(target, wish, found)
    steps += _modes(target, found, primary)
    steps += _follows(target, found, primary)
    seen = found.snapshot
    desired = Desired(members=len(seen.pods), replace_pods=False)
    if seen.record is None and seen.answer(primary).own != (target.pod(primary), 1):
        steps.append(_own(target, primary))
    elif not steps:
        rest = ordinary(target, desired, seen)
        return rest if isinstance(rest, Refusal) else Plan(rest.steps)
    return Plan((*steps, *_rest(target, desired, seen, primary)))


def _rest(target: Target, desired: Desired, seen: Snapshot, primary: int) -> list[Step]:
    """What the ordinary planner is going to do when these steps are taken."""
    record = seen.record or Record(1, target.pod(primary), desired.members)
    first = seen.answer(primary)
    answers = {
        o: dataclasses.replace(
            answer,
            executed=first.executed,
            received=None,
            purged=None,
            read_only=o != primary,
            own=(record.primary, record.epoch) if o == primary else None,
            source=None if o == primary else Source(target.host(primary), lag=0.0),
        )
        for o, answer in seen.answers.items()
    }
    steps: list[Step] = []
    for known in (seen.record, record):
        if known or not steps:
            later = ordinary(target, desired, dataclasses.replace(seen, record=known, answers=answers))
            steps += [step for step in later.steps if step.change] if isinstance(later, Plan) else []
        if known:
            break
    return steps


# When it is refused


def _whose(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    return adoption.whose(application(target), found.objects, wish.from_helm)


def _what(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    others = {target.pod(o): s.version for o, s in found.servers.items() if s.is_mariadb}
    if others:
        return Refusal(
            f"{', '.join(others)} runs MariaDB, and only MySQL is adopted. Nothing was changed.",
            tuple(f"{name} is {version}" for name, version in others.items()),
            _IMPORT,
        )
    old = {target.pod(o): s.version for o, s in found.servers.items() if s.numbers < OLDEST}
    if old:
        return Refusal(
            f"{', '.join(old)} runs a MySQL older than 8.4, which the role does not know. Nothing was changed.",
            tuple(f"{name} is {version}" for name, version in old.items()),
            ("upgrade it first, one series after the other, as its manual says, and run again", *_IMPORT),
        )
    return None


_IMPORT = (
    "make another set by the playbook stateful.kube.mysql under another name, and bring the data there "
    "(stateful.kube.mysql_import)",
)


def _answers(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    seen = found.snapshot
    replicas = seen.stateful_set.replicas if seen.stateful_set else 0
    ordinals = sorted({*seen.pods, *range(replicas)})
    if not ordinals:
        return Refusal(
            f"The StatefulSet {target.name} has no pods, so there is nobody to ask. Nothing was changed.",
            (),
            ("give it its replicas again (kubectl scale), and run again",),
        )
    denied = [target.pod(o) for o in ordinals if seen.answer(o).kind is Kind.REFUSED]
    if denied:
        return Refusal(
            f"These servers let nobody in with the login that was given: {', '.join(denied)}. Nothing was changed.",
            tuple(f"{target.pod(o)}: {seen.answer(o).detail}" for o in ordinals if not seen.answer(o).serves),
            (
                "give login_user and login_password of an account with all rights (in the role mysql_adopt_login_user "
                "and mysql_adopt_login_password)",
                f"put such an account into Secret {target.namespace}/{target.root_secret}, under username and password",
            ),
        )
    away = [o for o in ordinals if not seen.answer(o).serves or o not in found.servers]
    if away:
        said = ", ".join(f"{target.pod(o)} ({seen.answer(o).detail or 'no answer'})" for o in away)
        return Refusal(
            f"Every server has to answer before it is adopted, and these do not: {said}. Nothing was changed.",
            _evidence(target, found),
            ("bring them back and run again", "scale the StatefulSet down to those that are needed, and run again"),
        )
    return None


def _where(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    if not found.elsewhere:
        return None
    return Refusal(
        f"The data of {target.name} is in {found.elsewhere}, and the role declares one folder of a claim of the "
        "StatefulSet. Nothing was changed.",
        (),
        ("move the data directory into such a folder first, one server after the other", *_IMPORT),
    )


def _who(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    if found.snapshot.record and found.snapshot.record.epoch:
        return None
    writable = [o for o in found.snapshot.servers if not found.snapshot.answers[o].read_only]
    if len(writable) == 1 and found.primaries:
        return None
    names = ", ".join(target.pod(ordinal) for ordinal in writable)
    if writable and not found.primaries:
        why = f"{names} takes writes, and replicates from another server"
    else:
        why = f"{names} take writes" if writable else "none of them takes writes"
    return Refusal(
        f"Exactly one server has to take writes and to replicate from nobody, and {why}. Nothing was changed.",
        _evidence(target, found),
        (
            "make all others read-only (SET GLOBAL super_read_only = ON), in their settings too, and run again",
            "where none takes writes: let the one that has everything take them (SET GLOBAL read_only = OFF)",
        ),
    )


def _follow(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    """Every other one replicates from the primary, without an error."""
    primary = primary_of(target, found)
    if found.snapshot.record or primary is None:
        return None
    wrong = []
    for ordinal in found.snapshot.servers:
        source = found.snapshot.answers[ordinal].source
        if ordinal == primary:
            continue
        if source is None:
            wrong.append(f"{target.pod(ordinal)} replicates from nobody")
        elif source.apply_error or not source.runs:
            wrong.append(f"{target.pod(ordinal)} does not replicate ({source.error or 'it was stopped'})")
        elif found.servers[ordinal].source_identity not in ("", found.snapshot.answers[primary].identity):
            wrong.append(f"{target.pod(ordinal)} replicates from {source.host}, which is not {target.pod(primary)}")
    if not wrong:
        return None
    return Refusal(
        f"Every other server has to replicate from {target.pod(primary)}: {'; '.join(wrong)}. Nothing was changed.",
        _evidence(target, found),
        ("mend its replication (SHOW REPLICA STATUS in that pod says more), and run again",),
    )


def _logged(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    without = [target.pod(ordinal) for ordinal, server in found.servers.items() if not server.logs]
    if not without:
        return None
    return Refusal(
        f"{', '.join(without)} writes no binary log of what it gets from others (log_bin, log_replica_updates), so "
        "nobody could replicate from it. Nothing was changed.",
        (),
        ("take skip_log_bin or log_replica_updates=OFF out of its settings, restart it, and run again",),
    )


def _gtids(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    """What is an argument of the server comes back with every start, whatever the server has kept."""
    fixed = [target.pod(o) for o, server in found.servers.items() if server.by_argument and server.gtid_mode != ON]
    if not fixed:
        return None
    return Refusal(
        f"{', '.join(fixed)} has gtid_mode or enforce_gtid_consistency among its arguments, so a restart would undo "
        "what the adoption does. Nothing was changed.",
        (),
        ("take them out of command or args of the StatefulSet (a file of settings may have them), and run again",),
    )


def _let_in(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    primary = primary_of(target, found)
    if primary is None or primary not in found.refused or found.user == ADMIN:
        return None
    if found.user != "root" and found.user not in found.servers[primary].accounts:
        return None
    return Refusal(
        f"Secret {target.namespace}/{target.root_secret} names {found.user}, and {target.pod(primary)} does not let "
        "it in with the password there. Nothing was changed.",
        (),
        (
            "put the right password there, under password, and the name of the account under username",
            "where nobody needs the Secret, delete it: the adoption makes another one, and an account for it",
        ),
    )


def _accepted(target: Target, wish: Wish, found: Found) -> t.Optional[Refusal]:
    seen, primary = found.snapshot, primary_of(target, found)
    identity = seen.answer(primary).identity if primary is not None else ""
    # Once it is recorded who is primary, that may change, and the run that is repeated stays the same.
    known = {answer.identity for answer in seen.answers.values()} if seen.record else {identity}
    if not wish.accept or wish.accept in known:
        return None
    return Refusal(
        f"accept is {wish.accept}, and the server_uuid of the primary of {target.namespace}/{target.name} is "
        f"{identity}. Nothing was changed.",
        _evidence(target, found),
        ("type the server_uuid that the report shows",),
    )


def _violating(target: Target, _wish: Wish, found: Found) -> t.Optional[Refusal]:
    found_in = {target.pod(o): server.violations for o, server in found.servers.items() if server.violations}
    if not found_in:
        return None
    return Refusal(
        f"Clients of {', '.join(found_in)} send statements that cannot have a GTID, and would get an error for them. "
        "enforce_gtid_consistency stays WARN.",
        tuple(f"{name}: {text}" for name, texts in found_in.items() for text in texts),
        (
            "change these statements, or the engine of the tables (ALTER TABLE … ENGINE = InnoDB), set "
            "enforce_gtid_consistency to OFF on these servers (SET PERSIST), and run again, which watches anew",
        ),
    )


# What is done


def _connected(target: Target, found: Found, primary: int) -> list[Step]:
    """A replica that has lost its connection gets it again by itself, where the name of its source resolves."""
    lost = [
        f"{target.pod(ordinal)} ({answer.source.error or 'no reason known'})"
        for ordinal, answer in found.snapshot.answers.items()
        if ordinal != primary and answer.source and answer.source.receiver == "Connecting"
    ]
    if not lost or found.snapshot.record:
        return []
    return [_wait(target, f"wait until every replica has its connection to {target.pod(primary)}: {', '.join(lost)}")]


def _secrets(target: Target, found: Found) -> list[Step]:
    return [
        Step(
            SECRET,
            name,
            f"{'add the missing keys of' if name in found.secrets else 'create'} Secret {target.namespace}/{name} "
            f"({', '.join(found.lacking[name])}: made once and kept)",
            data={"name": name, "missing": found.lacking[name], "exists": name in found.secrets},
        )
        for name in (target.root_secret, target.replication_secret)
        if found.lacking.get(name)
    ]


def _accounts(target: Target, found: Found, primary: int) -> list[Step]:
    name = target.pod(primary)
    own = found.user if found.user != "root" else ""
    wanted = {one for one in (own, REPLICATION_USER, HEALTH) if one}

    def lacks(server: Server) -> bool:
        return not (wanted <= server.accounts and server.table)

    steps: list[Step] = []
    if lacks(found.servers[primary]) or (own and primary in found.refused):
        steps.append(
            Step(
                ACCOUNTS,
                name,
                f"make the accounts {', '.join(sorted(wanted))} and the schema stateful_kube on {name}",
                data={"ordinal": primary, "user": own},
            )
        )
    late = [target.pod(o) for o, s in found.servers.items() if o != primary and (lacks(s) or o in found.refused)]
    if late:
        steps.append(_wait(target, f"wait until {', '.join(late)} has them too"))
    return steps


def _consistency(target: Target, wish: Wish, found: Found) -> list[Step]:
    """A server warns first of what it is going to refuse."""
    off = [o for o, server in found.servers.items() if server.consistency == OFF]
    warned = [o for o, server in found.servers.items() if server.consistency != ON]
    what = "statements that cannot have a GTID"
    steps = [_set(target, CONSISTENCY, o, f"let {target.pod(o)} warn of {what}", WARN) for o in off]
    short = [o for o in warned if o in off or found.servers[o].watched < wish.watch]
    if short and wish.watch:
        steps.append(_wait(target, f"wait until statements were watched for {wish.watch} s"))
    return steps + [_set(target, CONSISTENCY, o, f"let {target.pod(o)} refuse {what}", ON) for o in warned]


def _modes(target: Target, found: Found, primary: int) -> list[Step]:
    """No server is two modes ahead of another one."""
    ordinals = sorted(found.servers, key=lambda o: (o != primary, o))
    steps: list[Step] = []
    for mode in MODES[1:]:
        behind = [o for o in ordinals if found.servers[o].level < MODES.index(mode)]
        if mode == ON and behind:
            busy = [target.pod(o) for o, server in found.servers.items() if server.anonymous]
            all_ready = all(server.level >= MODES.index(ON_PERMISSIVE) for server in found.servers.values())
            if busy or not all_ready:
                said = f": {', '.join(busy)} has some" if busy else ""
                steps.append(_wait(target, f"wait until no transaction without GTID is under way{said}"))
        steps += [_set(target, MODE, o, f"set gtid_mode of {target.pod(o)} to {mode}", mode, primary) for o in behind]
    return steps


def _follows(target: Target, found: Found, primary: int) -> list[Step]:
    name = target.pod(primary)
    if found.snapshot.record:
        return []
    return [
        Step(
            FOLLOW,
            target.pod(ordinal),
            f"let {target.pod(ordinal)} replicate from {name} by GTID, as {REPLICATION_USER}",
            data={"ordinal": ordinal, "primary": primary},
        )
        for ordinal, server in found.servers.items()
        if ordinal != primary and not _is_attached(target, found, ordinal, server, primary)
    ]


def _is_attached(target: Target, found: Found, ordinal: int, server: Server, primary: int) -> bool:
    source = found.snapshot.answers[ordinal].source
    here = source is not None and source.host == target.host(primary)
    return here and server.auto_position and server.source_user == REPLICATION_USER


def _own(target: Target, primary: int) -> Step:
    name = target.pod(primary)
    return Step(OWN, name, f"note in the data of {name} that it is primary (epoch 1)", data={"ordinal": primary})


def _set(target: Target, action: str, ordinal: int, sentence: str, value: str, primary: int = -1) -> Step:
    return Step(action, target.pod(ordinal), sentence, data={"ordinal": ordinal, "value": value, "primary": primary})


def _wait(target: Target, sentence: str) -> Step:
    return Step(WAIT, target.name, sentence, change=False)


def _evidence(target: Target, found: Found) -> tuple[str, ...]:
    seen, said = found.snapshot, []
    for ordinal in sorted({*seen.pods, *seen.answers}):
        answer, name = seen.answer(ordinal), target.pod(ordinal)
        if not answer.serves:
            said.append(f"{name}: {answer.detail or 'no answer'}")
            continue
        source = f"replicates from {answer.source.host}" if answer.source else "replicates from nobody"
        error = f" ({answer.source.error})" if answer.source and answer.source.error else ""
        said.append(f"{name} {'is read-only' if answer.read_only else 'takes writes'} and {source}{error}")
    return tuple(said)
