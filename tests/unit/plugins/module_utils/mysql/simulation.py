# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replicated MySQL or MariaDB on a StatefulSet, simulated as far as the planner can see and touch it.

It keeps the rules of pods and servers that matter here: what a pod does at its start, what replication takes and
forgets, when a commit is acknowledged, what a Service leads to. It has clients that remember what was acknowledged, and
it asserts what must never happen, whoever asks for it.

A server's id belongs to its data directory here. Acts are in several parts, between which anything may happen
(`World.between`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import BinlogState, GtidSet, History
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import (
    MARIADB,
    MYSQL,
    Answer,
    Kind,
    Record,
    Snapshot,
    Source,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

TARGET = Target(name="shop", namespace="shop", service="shop", root_secret="shop-root")  # noqa: S106
# Seconds that a replica is behind for each transaction that it has received and not applied.
TICK = 4.0
# Transactions that a replica takes, and applies, in one tick.
PACE = 4
# Ticks after which the kubelet has brought the record up to date in a pod that runs.
REFRESH = 4


@dataclasses.dataclass(eq=False)
class Transaction:
    #: the data directory that it was written to
    source: int
    number: int
    #: whether a client was told that it is committed, and that a replica has it
    acknowledged: bool = False
    semi_sync: bool = False
    #: why it may be lost; empty where it must not be
    given_up: str = ""
    #: pods that have forgotten it, and of which it was written down that they had it
    forgotten: set[str] = dataclasses.field(default_factory=set)

    def __repr__(self) -> str:
        return f"{self.source}:{self.number}{'!' if self.acknowledged else ''}"


@dataclasses.dataclass
class Data:
    """A data directory."""

    identity: int
    log: list[Transaction] = dataclasses.field(default_factory=list)
    #: received and not applied
    relay: list[Transaction] = dataclasses.field(default_factory=list)
    own: t.Optional[tuple[str, int]] = None
    source: t.Optional[int] = None
    receiver: bool = True
    applier: bool = True
    #: why the receiver stopped
    error: str = ""
    #: how many of its transactions are in no binary log that it still has
    purged: int = 0
    #: tokens of copies that it was made by
    copied: frozenset[str] = frozenset()

    @property
    def has(self) -> list[Transaction]:
        return [*self.log, *self.relay]


@dataclasses.dataclass
class Node:
    """One pod with its volume."""

    ordinal: int
    #: the pod
    exists: bool = False
    uid: str = ""
    revision: int = 1
    going: bool = False
    role: str = "replica"
    #: its init containers are done
    prepared: bool = False
    #: the record as this pod sees it, and since when
    mounted: t.Optional[Record] = None
    #: its volume was made for it
    new_disk: bool = False
    #: the volume
    claim: bool = False
    data: t.Optional[Data] = None
    #: the server
    running: bool = False
    read_only: bool = True
    #: commits that wait for a replica
    waiting: list[Transaction] = dataclasses.field(default_factory=list)
    #: whether we reach it; whether its node is cut off from everybody but the clients on it
    reachable: bool = True
    lost: bool = False
    #: its kubelet hears and does nothing, while its servers and its network go on
    deaf: bool = False
    #: it applies nothing
    lagging: bool = False
    obstacle: str = ""

    @property
    def writable(self) -> bool:
        return self.running and not self.read_only

    @property
    def loaded(self) -> Data:
        assert self.data
        return self.data


class World:
    def __init__(self, members: int, flavour: str = MYSQL, semi_sync: bool = False) -> None:
        self.flavour = flavour
        self.semi_sync = semi_sync and members > 1
        self.declared = members
        self.revision = 1
        self.broken: set[int] = set()
        self.stateful_set = StatefulSet("uid", "1", members, "shop", revision="r1")
        self.record: t.Optional[Record] = None
        self.routed: t.Optional[str] = None
        self.nodes: dict[int, Node] = {}
        self.clock = 0
        self.numbers = itertools.count(1)
        #: pairs of pods that do not reach each other
        self.cut: set[frozenset[int]] = set()
        self.transactions: list[Transaction] = []
        #: pods whose data the user has given up
        self.may_copy: set[str] = set()
        #: whether a failover was asked for, and nobody has taken writes since; and who was left out
        self.failing_over = False
        self.without: set[str] = set()
        #: called between the parts of an act, and between two questions of a look
        self.between: t.Callable[[], None] = lambda: None
        self._controller()

    # What the role and the user do.

    def declare(self, members: int) -> None:
        """What applying the manifests does: pods come at once, and go later."""
        self.declared = members
        self._change_set(replicas=max(members, self.stateful_set.replicas))
        self._controller()

    def change_template(self, broken: bool = False) -> None:
        self.revision += 1
        if broken:
            self.broken.add(self.revision)
        self._change_set(revision=f"r{self.revision}")

    def undo_template(self) -> None:
        self.revision -= 1
        self._change_set(revision=f"r{self.revision}")

    def _change_set(self, **changes: t.Any) -> None:
        version = str(int(self.stateful_set.resource_version) + 1)
        self.stateful_set = dataclasses.replace(self.stateful_set, resource_version=version, **changes)

    # What clients do.

    def write(self, ordinal: t.Optional[int] = None) -> None:
        """One transaction, by the Service or straight to a server. A server that takes none turns it away."""
        if ordinal is None:
            ordinal = TARGET.ordinal(self.routed) if self.routed else None
            if ordinal is None or self.node(ordinal).lost:
                return
        node = self.node(ordinal)
        if not node.writable:
            return
        others = [other.ordinal for other in self.nodes.values() if other is not node and self._acknowledges(other)]
        assert not others or not self._acknowledges(node), f"shop-{ordinal} takes a write, and {others} would too"
        data = node.loaded
        written = Transaction(data.identity, self._next_number(data))
        data.log.append(written)
        self.transactions.append(written)
        if self.semi_sync:
            node.waiting.append(written)
        else:
            written.acknowledged = True

    def _acknowledges(self, node: Node) -> bool:
        """Whether a write to it could ever be acknowledged, whatever starts anew."""
        return node.writable and (not self.semi_sync or not self._cut_off(node))

    def _cut_off(self, node: Node) -> bool:
        """Whether nobody replicates from it, by what stands in the servers' own data."""
        return not any(other.data and other.data.source == node.ordinal for other in self.nodes.values())

    def _next_number(self, data: Data) -> int:
        if self.flavour == MARIADB:
            return data.log[-1].number + 1 if data.log else 1
        return 1 + max((entry.number for entry in data.log if entry.source == data.identity), default=0)

    # What goes wrong.

    def restart(self, ordinal: int) -> None:
        """The container ends and starts again, in the same pod, with the record as the pod has it."""
        node = self.node(ordinal)
        self._stop(node)
        node.new_disk = False
        self._start(node)

    def stop_threads(self, ordinal: int, receiver: bool) -> None:
        """Somebody stops one that replicates."""
        node = self.node(ordinal)
        if node.running and receiver:
            node.loaded.receiver = False
        elif node.running:
            node.loaded.applier = False

    def crash(self, ordinal: int) -> None:
        self._stop(self.node(ordinal))

    def kill(self, ordinal: int) -> None:
        """The pod is deleted by somebody."""
        node = self.node(ordinal)
        if node.exists:
            node.going = True

    def lose_volume(self, ordinal: int) -> None:
        """The claim and the pod are deleted, and new ones come."""
        node = self.node(ordinal)
        if node.lost:
            return
        self._discard(node, "the volume was lost")
        self._stop(node)
        self.nodes[ordinal] = Node(ordinal, reachable=node.reachable, lagging=node.lagging)

    def lose_node(self, ordinal: int) -> None:
        self.node(ordinal).lost = True

    def fence_node(self, ordinal: int) -> None:
        """Its node is known to be off: the pod goes, and its volume comes to another node."""
        node = self.node(ordinal)
        if node.lost or node.deaf:
            node.lost = node.deaf = False
            self._end(node)

    def deafen(self, ordinal: int) -> None:
        """The kubelet is away; or it is not yet there again, when the network of a node that was lost is."""
        node = self.node(ordinal)
        node.lost, node.deaf = False, True

    def purge(self, ordinal: int) -> None:
        """Binary logs expire: what every replica has had long ago."""
        node = self.node(ordinal)
        if node.data:
            node.data.purged = max(node.data.purged, len(node.data.log) - 3)

    def heal(self) -> None:
        """All faults are over but those that are in the data."""
        self.cut.clear()
        for node in self.nodes.values():
            node.reachable, node.lagging, node.lost, node.deaf = True, False, False, False

    def _discard(self, node: Node, why: str) -> None:
        """What only this volume has is gone for good; what nobody but its writer has is no longer on a replica."""
        if node.data is None:
            return
        discarded, node.data = node.data.has, None
        for entry in discarded:
            holders = self._holders(entry)
            if not holders:
                entry.given_up = entry.given_up or why
            entry.semi_sync = entry.semi_sync and any(o.loaded.identity != entry.source for o in holders)

    def _holders(self, entry: Transaction) -> list[Node]:
        return [node for node in self.nodes.values() if node.data and entry in node.data.has]

    # What time brings.

    def tick(self) -> None:
        self.clock += 1
        for node in list(self.nodes.values()):
            if node.going and not node.lost and not node.deaf:
                self._end(node)
        self._controller()
        for node in self.nodes.values():
            due = node.mounted is None or (self.clock + node.ordinal) % REFRESH == 0
            if node.exists and not node.lost and not node.deaf and due:
                node.mounted = self.record
            if not node.running:
                self._start(node)
        self.replicate()

    def _end(self, node: Node) -> None:
        """The pod is gone, and with it its server. The volume stays."""
        self._stop(node)
        node.exists = node.going = node.prepared = node.new_disk = False
        node.mounted, node.role = None, "replica"

    def _controller(self) -> None:
        """Pods come all at once, each with a claim, and go where there are too many."""
        for ordinal in range(self.stateful_set.replicas):
            node = self.nodes.setdefault(ordinal, Node(ordinal))
            if not node.exists:
                node.new_disk = not node.claim
                node.exists = node.claim = True
                node.revision, node.uid = self.revision, f"uid-{next(self.numbers)}"
                # What is mounted by a new pod is read at that moment.
                node.mounted = self.record
        for node in self.nodes.values():
            if node.ordinal >= self.stateful_set.replicas and node.exists:
                node.going = True

    def _stop(self, node: Node) -> None:
        node.running, node.read_only = False, True
        # They are in its log, and nobody was told so.
        node.waiting.clear()

    def _start(self, node: Node) -> None:
        """What a pod does at its start, by its own record and its own data alone."""
        if not node.exists or node.going or node.lost or node.deaf:
            return
        node.obstacle = ""
        if node.mounted is None:
            node.obstacle = "waits for the ConfigMap shop-record"
            return
        if not node.prepared:
            node.obstacle = self._prepare(node, node.mounted)
            node.prepared = not node.obstacle
        if node.obstacle or node.revision in self.broken or node.data is None:
            node.obstacle = node.obstacle or "crashes"
            return
        data, name = node.data, TARGET.pod(node.ordinal)
        node.running = True
        node.read_only = not (node.mounted.primary == name and data.own == (name, node.mounted.epoch))
        data.receiver, data.applier, data.error = True, True, ""
        if self.flavour == MARIADB:
            self._forget_received(node)
        if node.writable:
            self._assert_may_write(node)

    def _forget_received(self, node: Node) -> None:
        """What MariaDB does whenever both threads start: it fetches again what it has not applied."""
        forgotten = list(node.loaded.relay)
        node.loaded.relay.clear()
        pod = TARGET.pod(node.ordinal)
        noted = self.record.had.get(pod) if self.record else None
        for entry in forgotten:
            if noted and noted.contains(self.history([entry])):
                entry.forgotten.add(pod)
                continue
            # As long as the source is there nothing is lost.
            entry.semi_sync = entry.semi_sync and any(o.loaded.identity != entry.source for o in self._holders(entry))

    def _prepare(self, node: Node, record: Record) -> str:
        """Make data, take a copy, or leave what is there; what keeps it from that."""
        name = TARGET.pod(node.ordinal)
        token = record.copies.get(name)
        if node.data is not None and (token is None or token in node.data.copied or record.primary == name):
            return ""
        if node.data is None and record.primary == name:
            if record.epoch:
                return "refuses to start: the volume of the primary is empty"
            node.data = Data(next(self.numbers))
            return ""
        donor = self._donor(node, record)
        if donor is None:
            return "finds nobody to take a copy from"
        if node.data is not None:
            self._assert_may_replace(node)
            self._discard(node, "a copy took its place")
        log = list(donor.log)
        copied = frozenset({token} if token else ())
        node.data = Data(next(self.numbers), log=log, purged=len(log), copied=copied)
        return ""

    def _assert_may_replace(self, node: Node) -> None:
        primary = self.node(t.cast(int, TARGET.ordinal(t.cast(Record, self.record).primary)))
        more = [entry for entry in node.loaded.has if not primary.data or entry not in primary.data.has]
        asked = TARGET.pod(node.ordinal) in self.may_copy
        assert asked or not more, f"shop-{node.ordinal} takes a copy in place of {more}"

    def _donor(self, node: Node, record: Record) -> t.Optional[Data]:
        primary = t.cast(int, TARGET.ordinal(record.primary))
        others = sorted((o for o in range(record.members) if o not in (node.ordinal, primary)), reverse=True)
        for ordinal in (*others, primary):
            donor = self.nodes.get(ordinal)
            if (
                donor is None
                or ordinal == node.ordinal
                or not donor.running
                or not self._connected(node.ordinal, ordinal)
            ):
                continue
            data = donor.loaded
            if ordinal == primary or (data.source == primary and data.receiver and data.applier and not data.error):
                return data
        return None

    def _connected(self, one: int, other: int) -> bool:
        return not (self.node(one).lost or self.node(other).lost or frozenset({one, other}) in self.cut)

    def _assert_may_write(self, node: Node) -> None:
        """It is the only one, and has all that was acknowledged, but what a failover could not save."""
        writable = [other.ordinal for other in self.nodes.values() if self._acknowledges(other) or other is node]
        assert len(writable) == 1, f"{writable} take writes at once"
        has = set(node.loaded.log)
        for entry in self.transactions:
            if not entry.acknowledged or entry in has or entry.given_up:
                continue
            holders = {TARGET.pod(holder.ordinal): holder for holder in self._holders(entry)}
            lost = f"shop-{node.ordinal} takes writes without {entry}, which {sorted(holders)} have"
            assert self.failing_over, lost
            if entry.semi_sync:
                replicas = {pod for pod, holder in holders.items() if holder.loaded.identity != entry.source}
                assert replicas | entry.forgotten <= self.without, f"{lost}: a failover loses what was promised"
            entry.given_up = "a failover that was asked for"

    # Replication

    def replicate(self) -> None:
        for node in self.nodes.values():
            if node.running and node.loaded.source is not None:
                self._receive(node)
                self._apply(node)

    def _receive(self, node: Node) -> None:
        data = node.loaded
        source = self._source(node)
        if source is None or not data.receiver or data.error:
            return
        theirs, mine = source.loaded, set(data.has)
        missing = [entry for entry in theirs.log if entry not in mine]
        if any(entry in missing for entry in theirs.log[: theirs.purged]):
            data.error = "error 1236: the source has purged required binary logs"
            return
        # MariaDB goes on behind the newest that it has, and MySQL takes whatever it has not.
        if self.flavour == MARIADB and data.has and data.has[-1] not in theirs.log:
            data.error = "error 1236: the GTID is not in the source's binlog"
            return
        for entry in missing[:PACE]:
            data.relay.append(entry)
        for entry in [entry for entry in source.waiting if entry in data.has]:
            self._assert_newest(source)
            entry.acknowledged = entry.semi_sync = True
            source.waiting.remove(entry)

    def _assert_newest(self, source: Node) -> None:
        """Nothing is acknowledged any more for one in whose place another one was let take writes."""
        epoch = source.loaded.own[1] if source.loaded.own else 0
        later = [o for o, node in self.nodes.items() if node.writable and (own := node.loaded.own) and own[1] > epoch]
        assert not later, f"a write to shop-{source.ordinal} is acknowledged, and {later} took over"

    def _source(self, node: Node) -> t.Optional[Node]:
        source = self.nodes.get(t.cast(int, node.loaded.source))
        return source if source and source.running and self._connected(node.ordinal, source.ordinal) else None

    def _apply(self, node: Node) -> None:
        data = node.loaded
        if data.applier and not node.lagging:
            data.log += data.relay[:PACE]
            del data.relay[:PACE]

    # What an observer sees.

    def observe(self) -> Snapshot:
        """Objects first, then replicas, then the primary: and the world goes on between."""
        pods = {o: node for o, node in sorted(self.nodes.items()) if node.exists}
        seen = Snapshot(
            stateful_set=self.stateful_set,
            record=self.record,
            pods={o: self._pod(node) for o, node in pods.items()},
            claims={o: (f"data-shop-{o}",) for o, node in sorted(self.nodes.items()) if node.claim},
            new_disks=frozenset(o for o, node in pods.items() if node.new_disk),
            roles={o: node.role for o, node in pods.items()},
            routed=self.routed,
        )
        primary = TARGET.ordinal(seen.record.primary) if seen.record else None
        answers: dict[int, Answer] = {}
        for ordinal in sorted(pods, key=lambda o: (o == primary, o)):
            self.between()
            answers[ordinal] = self._answer(self.node(ordinal), seen.pods[ordinal])
        return dataclasses.replace(seen, answers=dict(sorted(answers.items())))

    def _pod(self, node: Node) -> Pod:
        return Pod(
            TARGET.pod(node.ordinal),
            uid=node.uid,
            node=f"node-{node.ordinal}",
            running=node.running,
            obstacle=None if self._ready(node) else node.obstacle or "is not ready",
            revision=f"r{node.revision}",
            deleting=node.going,
        )

    def _ready(self, node: Node) -> bool:
        if not node.running or node.lost:
            return False
        data = node.loaded
        return node.writable or (data.source is not None and data.receiver and data.applier and not data.error)

    def _answer(self, node: Node, pod: Pod) -> Answer:
        if not pod.running or not node.running or not node.reachable or node.lost or node.uid != pod.uid:
            return Answer(Kind.UNREACHABLE, "no answer")
        data = node.loaded
        return Answer(
            Kind.SERVER,
            version="11.4.4-MariaDB" if self.flavour == MARIADB else "8.4.4",
            identity=str(data.identity) if self.flavour == MARIADB else _uuid(data.identity),
            executed=self.history(data.log),
            received=self._received(data) if data.source is not None else None,
            purged=None if self.flavour == MARIADB else self.history(data.log[: data.purged]),
            read_only=node.read_only,
            own=data.own,
            source=self._told(node) if data.source is not None else None,
            semi_sync=self.semi_sync,
            waits=self.semi_sync and node.writable,
            uptime=float("inf") if self.flavour == MARIADB else None,
        )

    def history(self, entries: t.Sequence[Transaction]) -> History:
        if self.flavour == MARIADB:
            return BinlogState({(0, entry.source): entry.number for entry in entries})
        found: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for entry in entries:
            found.setdefault((_uuid(entry.source), ""), []).append((entry.number, entry.number))
        return GtidSet(found)

    def _received(self, data: Data) -> History:
        if self.flavour == MARIADB:
            newest = data.has[-1:] if data.applier or (data.receiver and not data.error) else []
            return BinlogState.position("".join(f"0-{entry.source}-{entry.number}" for entry in newest))
        return self.history(data.relay)

    def _told(self, node: Node) -> Source:
        data = node.loaded
        runs = data.receiver and not data.error
        receiver = "No" if not runs else "Yes" if self._source(node) else "Connecting"
        lag = TICK * len(data.relay) if data.applier and receiver == "Yes" else None
        return Source(
            TARGET.host(t.cast(int, data.source)), receiver, "Yes" if data.applier else "No", lag=lag, error=data.error
        )

    # What a planner may do: as the acts do it, part by part.

    def apply(self, step: Step, seen: Snapshot) -> None:
        assert step.change, "a wait was acted on"
        getattr(self, f"_do_{step.action}")(step, seen)

    def _write_record(self, record: Record) -> None:
        """A compare-and-set."""
        live = self.record.resource_version if self.record else ""
        if record.resource_version != live:
            raise NotYet("the record has changed meanwhile")
        if self.record:
            assert record.epoch >= self.record.epoch, "the epoch went back"
            same = record.primary == self.record.primary
            assert same or record.epoch > self.record.epoch, "another primary in the same epoch"
        self.record = dataclasses.replace(record, resource_version=str(next(self.numbers)))

    def _do_record(self, step: Step, seen: Snapshot) -> None:
        data = step.data
        before = seen.record or Record(epoch=0, primary="", members=0)
        record = dataclasses.replace(before, epoch=data["epoch"], primary=data["primary"], members=data["members"])
        if record.epoch != before.epoch:
            record = dataclasses.replace(
                record,
                dismissed=data.get("dismissed", ""),
                dismissed_uid=data.get("dismissed_uid", ""),
                without=tuple(data.get("without", ())),
                had=data.get("had", {}),
                waits="",
                cut_off=data.get("cut_off", False),
            )
        self._write_record(record)
        self.failing_over = self.failing_over or bool(data.get("dismissed"))

    def _do_remember(self, step: Step, seen: Snapshot) -> None:
        self._write_record(dataclasses.replace(t.cast(Record, seen.record), had=step.data["had"]))

    def _do_settle(self, _step: Step, seen: Snapshot) -> None:
        self._write_record(dataclasses.replace(t.cast(Record, seen.record), without=(), had={}))

    def _do_promote(self, step: Step, seen: Snapshot) -> None:
        record = t.cast(Record, seen.record)
        node = self._asked(step.data["ordinal"], seen)
        if seen.answer(node.ordinal).source is not None:
            self._detach(node)
            self.between()
        self._mark(record)
        self.between()
        self._let_write(self._asked(node.ordinal, seen), record.primary, record.epoch)

    def _mark(self, record: Record) -> None:
        self._write_record(dataclasses.replace(record, turn=record.turn + 1, waits=""))

    def _let_write(self, node: Node, pod: str, epoch: int) -> None:
        data = node.loaded
        data.own = (pod, epoch)
        self.between()
        if not node.running or node.data is not data:
            raise NotYet("it did not answer")
        self._assert_may_write(node)
        node.read_only = False
        self.failing_over = False
        self.without.clear()

    def _detach(self, node: Node) -> None:
        node.loaded.relay.clear()
        node.loaded.source = None

    def _do_fence(self, step: Step, seen: Snapshot) -> None:
        self._fence(self._asked(step.data["ordinal"], seen))

    def _fence(self, node: Node) -> None:
        if node.waiting:
            raise NotYet("commits are in the way")
        node.read_only = True
        self.between()
        if not node.running or node.data is None:
            raise NotYet("it did not answer")
        node.data.own = None

    def _do_dismiss(self, step: Step, seen: Snapshot) -> None:
        node = self.node(t.cast(int, TARGET.ordinal(step.target)))
        uid = node.uid if node.exists else "none"
        self.between()
        record = t.cast(Record, seen.record)
        if record.dismissed_uid != uid:
            self._write_record(dataclasses.replace(record, dismissed_uid=uid))
        self.between()
        if uid != "none":
            self._replace(node.ordinal, uid)

    def _replace(self, ordinal: int, uid: str) -> None:
        node = self.node(ordinal)
        if node.exists and node.uid != uid:
            raise NotYet("it was replaced meanwhile")
        node.going = node.exists

    def _do_route(self, step: Step, _seen: Snapshot) -> None:
        self.routed = step.data["pod"]

    def _do_label(self, step: Step, seen: Snapshot) -> None:
        node = self.node(step.data["ordinal"])
        if not node.exists or node.uid != seen.pods[node.ordinal].uid:
            raise NotYet("it was replaced meanwhile")
        node.role = step.data["role"]

    def _do_note(self, _step: Step, seen: Snapshot) -> None:
        record = t.cast(Record, seen.record)
        self._compare(seen)
        self._change_set(recorded=(record.epoch, record.primary))

    def _compare(self, seen: Snapshot) -> None:
        if t.cast(StatefulSet, seen.stateful_set).resource_version != self.stateful_set.resource_version:
            raise NotYet("the StatefulSet has changed meanwhile")

    def _do_attach(self, step: Step, seen: Snapshot) -> None:
        assert seen.answer(step.data["ordinal"]).applied, "told another source before it has applied what it received"
        self._attach(self._asked(step.data["ordinal"], seen), step.data["source"])

    def _attach(self, node: Node, source: int) -> None:
        assert not node.writable, "one that takes writes was made a replica"
        assert source != node.ordinal
        data = node.loaded
        # Telling it a source forgets what it has received.
        data.relay.clear()
        data.source, data.receiver, data.applier, data.error = source, True, True, ""

    def _do_apply(self, step: Step, seen: Snapshot) -> None:
        data = self._asked(step.data["ordinal"], seen).loaded
        if self.flavour == MARIADB and not data.applier and (data.error or not data.receiver):
            self._forget_received(self.node(step.data["ordinal"]))
        data.applier = True

    def _do_halt(self, step: Step, seen: Snapshot) -> None:
        self._asked(step.data["ordinal"], seen).loaded.receiver = False

    def _do_detach(self, step: Step, seen: Snapshot) -> None:
        node = self._asked(step.data["ordinal"], seen)
        node.loaded.receiver = False
        self.between()
        self._detach(self._asked(node.ordinal, seen))

    def _do_waits(self, step: Step, seen: Snapshot) -> None:
        self._write_record(dataclasses.replace(t.cast(Record, seen.record), waits=step.data["by"]))

    def _do_copy(self, step: Step, seen: Snapshot) -> None:
        record, pod, uid = t.cast(Record, seen.record), step.data["pod"], step.data["uid"]
        if record.copies.get(pod) != uid:
            self._write_record(dataclasses.replace(record, copies={**record.copies, pod: uid}))
        self.between()
        self._replace(step.data["ordinal"], uid)

    def _do_forget_copy(self, step: Step, seen: Snapshot) -> None:
        record = t.cast(Record, seen.record)
        copies = {pod: token for pod, token in record.copies.items() if pod != step.data["pod"]}
        self._write_record(dataclasses.replace(record, copies=copies))

    def _do_hand_over(self, step: Step, seen: Snapshot) -> None:
        record, epoch = t.cast(Record, seen.record), step.data["epoch"]
        old, new = self._asked(step.data["from"], seen), self._asked(step.data["to"], seen)
        without = step.data["without"]
        if record.without != without:
            self._write_record(dataclasses.replace(record, without=without))
            record = t.cast(Record, self.record)
            self.between()
        try:
            self._fence(old)
            self.between()
            self._catch_up(old, new, seen)
        except NotYet:
            with contextlib.suppress(NotYet):
                self._take_back(old, record, seen)
            raise
        self.between()
        following = dataclasses.replace(
            record,
            epoch=epoch,
            primary=step.target,
            dismissed="",
            dismissed_uid="",
            without=without,
            had={},
            turn=record.turn + 1,
            waits="",
            cut_off=False,
        )
        self._write_record(following)
        self.between()
        self._detach(self._asked(new.ordinal, seen))
        self.between()
        self._let_write(self._asked(new.ordinal, seen), step.target, epoch)
        self.between()
        self.routed = step.target
        self.between()
        self._attach(self._asked(old.ordinal, seen), new.ordinal)

    def _catch_up(self, old: Node, new: Node, seen: Snapshot) -> None:
        for _wait in range(3):
            self.replicate()
        if not self._same(old, seen) or not self._same(new, seen) or set(old.loaded.log) - set(new.loaded.log):
            raise NotYet("it has not applied what the primary wrote last")

    def _take_back(self, old: Node, record: Record, seen: Snapshot) -> None:
        self._mark(record)
        self.between()
        self._let_write(self._asked(old.ordinal, seen), record.primary, record.epoch)

    def _do_replace(self, step: Step, seen: Snapshot) -> None:
        node = self.node(step.data["ordinal"])
        assert f"r{node.revision}" != self.stateful_set.revision or node.uid != step.data["uid"], (
            "a new pod was replaced"
        )
        taken = node.uid == step.data["uid"] and node.writable and self.declared > 1
        assert not taken or not seen.answer(node.ordinal).serves, "the primary was taken away"
        self._replace(node.ordinal, step.data["uid"])

    def _do_scale(self, step: Step, seen: Snapshot) -> None:
        self._compare(seen)
        # Operations that are told no number go by the record.
        declared = min(self.declared, t.cast(Record, seen.record).members)
        assert step.data["replicas"] >= declared, "pods of declared members were taken away"
        gone = [o for o in self.nodes if o >= step.data["replicas"] and self.node(o).writable]
        assert not gone, "the primary was taken away"
        self._change_set(replicas=step.data["replicas"], owed=True)
        self._controller()

    def _do_hand_back(self, _step: Step, _seen: Snapshot) -> None:
        self._change_set(owed=False)

    def node(self, ordinal: int) -> Node:
        return self.nodes.setdefault(ordinal, Node(ordinal))

    def _asked(self, ordinal: int, seen: Snapshot) -> Node:
        node = self.node(ordinal)
        if not self._same(node, seen):
            raise NotYet("it did not answer")
        return node

    def _same(self, node: Node, seen: Snapshot) -> bool:
        """Whether what we speak to is still that pod."""
        known = seen.pods.get(node.ordinal)
        alive = node.exists and node.running and node.reachable and not node.lost
        return bool(known and known.uid == node.uid and alive and self.nodes.get(node.ordinal) is node)


def _uuid(identity: int) -> str:
    return f"00000000-0000-4000-8000-{identity:012x}"
