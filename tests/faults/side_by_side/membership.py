# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same trouble for three who look after a replica set, and what each ends up with.

Of the others nothing is expected: what they end up with is told. The collection has to keep everything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from mongodb.empty_disk import alone_and_empty
from mongodb.replica_set import Problem, ReplicaSet, pod_of
from pymongo import ReadPreference

from harness import ledger
from harness.cut import cut_off
from harness.ledger import Ledger
from harness.trial import NUMBERS, Trial
from harness.verdict import Failed, Skipped, check
from harness.waiting import until
from harness.writer import Writer
from side_by_side.ways import ALL, WORDS, Ours, Way

MEMBERS = 3
# Seconds: what a run may wait for that does not come, and what may come late.
SHORT = 20
LATER = 60
APART = 60


def grows(trial: Trial) -> None:
    """3 to 5 at once."""
    for way in _ways(trial):
        with way.set_up(MEMBERS) as application, _writing(trial, way, application) as writer:
            writer.wait_for(50, 60)
            way.declare(5, LATER)
            check(not _is_ours(way) or len(_members(application)) == 5, "The set did not grow.")


def pod_0_emptied(trial: Trial) -> None:
    """Pod 0 comes back with an empty disk while no other pod runs; later they do."""
    for way in _ways(trial):
        with way.set_up(MEMBERS) as application, _writing(trial, way, application) as writer:
            writer.wait_for(50, 60)
            with alone_and_empty(trial, application):
                way.declare(MEMBERS, SHORT)
                begun = _initialised(application, 0, LATER)
                way.trial.note(f"alone with its empty disk, pod 0 {'began a set' if begun else 'began no set'}")
                check(not _is_ours(way) or not begun, "A set was begun beside the one that is there.")
            for ordinal in range(application.members):
                _initialised(application, ordinal, 3 * LATER)
            way.declare(MEMBERS, LATER)


def minority(trial: Trial) -> None:
    """The primary is cut off from the others for a minute, and it is asked first."""
    if trial.lab is None:
        raise Skipped("it cuts a pod's network, which only the lab's nodes let it; unset KUBECONFIG to run it there")
    for way in _ways(trial):
        with way.set_up(MEMBERS) as application, _writing(trial, way, application) as writer:
            first = way.first()
            application.make_primary(first)
            writer.wait_for(50, 60)
            before = _members(application)
            with cut_off(trial.api, application.namespace, pod_of(first), "mongod"):
                way.declare(MEMBERS, SHORT)
                time.sleep(APART)
            way.declare(MEMBERS, LATER)
            check(not _is_ours(way) or _members(application) == before, "The members are others than before.")


def _ways(trial: Trial) -> t.Iterator[Way]:
    """Each in a trial of its own: what the others lose is told, and is no failure."""
    for kind in ALL:
        own = dataclasses.replace(trial, folder=trial.folder / kind.__name__.lower(), notes=[], _runs=[])
        own.folder.mkdir()
        trial.say(f"{kind.name}:")
        way = kind(own)
        yield way
        trial.notes.append(f"{kind.name}: {'; '.join(own.notes)}")
        if _is_ours(way):
            trial.acknowledged, trial.lost, trial.longest_gap = own.acknowledged, own.lost, own.longest_gap


def _is_ours(way: Way) -> bool:
    return isinstance(way, Ours)


@contextlib.contextmanager
def _writing(trial: Trial, way: Way, application: ReplicaSet) -> t.Iterator[Writer]:
    """Write meanwhile, and tell in the end what there is."""
    record = way.trial.folder / "acknowledged.txt"
    with Ledger(record) as book, Writer(application.connect, book, first=NUMBERS + 1) as writer:
        yield writer
        writable = "takes writes"
        try:
            writer.wait_for(5, LATER)
        except Failed as failed:
            check(not _is_ours(way), f"Nothing can be written any more: {failed}")
            writable = "takes no writes"
        writer.stop()
    entries = ledger.read(record)
    own = way.trial
    own.acknowledged, own.lost = len(entries), _missing(application, entries)
    own.longest_gap = ledger.longest_gap(entries, writer.ended)
    members, sets = _members(application), _sets(application)
    own.note(
        f"{writable}, {len(members)} members of {application.members} declared, {sum(members.values())} votes, "
        f"{len(sets)} set ids, {own.lost} of {own.acknowledged} acknowledged writes lost, longest gap "
        f"{own.longest_gap:.1f} s"
    )
    if words := way.words():
        own.note(f"it says: {words[:WORDS]}")
    if _is_ours(way):
        check(not own.lost, f"{own.lost} acknowledged writes are lost.")
        check(len(sets) == 1, f"The members have the set ids {', '.join(sorted(sets))}.")


def _sets(application: ReplicaSet) -> set[str]:
    """The set ids of those that answer, each by its own word."""
    found = set()
    for ordinal in range(application.members):
        with contextlib.suppress(*Problem), application.member(ordinal) as client:
            config = client["local"]["system.replset"].find_one({})
            if config:
                found.add(str(config["settings"]["replicaSetId"]))
    return found


def _members(application: ReplicaSet) -> dict[str, int]:
    """The votes of each host by the word of a primary; nothing where none is."""
    primary = application.primary()
    if primary is None:
        return {}
    with contextlib.suppress(*Problem), application.member(primary) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        return {member["host"]: member["votes"] for member in config["members"]}
    return {}


def _missing(application: ReplicaSet, entries: t.Sequence[ledger.Entry]) -> int:
    """How many are missing from the one that has most of them: in favour of whoever is measured."""
    fewest = len(entries)
    for ordinal in range(application.members):
        with contextlib.suppress(*Problem), application.member(ordinal) as client:
            numbers = client["faults"].get_collection("numbers", read_preference=ReadPreference.SECONDARY_PREFERRED)
            there = {document["_id"] for document in numbers.find({}, {"_id": 1})}
            fewest = min(fewest, len(ledger.lost(entries, there)))
    return fewest


def _initialised(application: ReplicaSet, ordinal: int, seconds: float) -> bool:
    """By the word of that pod, once it answers."""
    (found,) = until(
        lambda: (application.initialised(ordinal),), seconds, f"{pod_of(ordinal)} does not answer.", Problem
    )
    return found
