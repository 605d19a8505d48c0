# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set on a StatefulSet, simulated as far as the planner can see and touch it.

It keeps the rules of the real server that matter here (one voting member a reconfiguration, joining voters without an
effective vote, a majority to install a configuration), and it asserts what must never happen, whoever asks for it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    PRIMARY,
    SECONDARY,
    Answer,
    Config,
    Kind,
    MemberConfig,
    MemberStatus,
    Pod,
    Snapshot,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Step

TARGET = Target(name="shop", namespace="shop", replica_set="shop", root_secret="shop-root")  # noqa: S106


def host(ordinal: int) -> str:
    return f"shop-{ordinal}.shop.shop.svc.cluster.local:27017"


@dataclasses.dataclass
class Node:
    """One pod with its disk."""

    #: whether the pod exists; without it there may be a claim with a disk all the same
    exists: bool = True
    claim: bool = True
    running: bool = True
    reachable: bool = True
    #: it runs since a moment only, and has not read its disk yet
    starting: bool = False
    #: the set whose configuration is on its disk
    set_id: str = ""
    has_users: bool = False
    state: str = "STARTUP"
    #: it has all data, so it serves right after a restart
    synced: bool = False


@dataclasses.dataclass
class ReplicaSet:
    """One set, as its majority knows it."""

    config: Config
    joining: set[str]
    primary: int
    has_users: bool = False


class World:
    def __init__(self, replicas: int, parallel: bool = True) -> None:
        self.stateful_set = StatefulSet("uid", "1", replicas, "shop", parallel)
        self.nodes: dict[int, Node] = {}
        self.sets: dict[str, ReplicaSet] = {}
        self.initiations = 0
        self.scale(replicas)

    def scale(self, replicas: int) -> None:
        self.stateful_set = dataclasses.replace(self.stateful_set, replicas=replicas)
        if self.stateful_set.parallel:
            for ordinal in range(replicas):
                self.nodes.setdefault(ordinal, Node())
        else:
            self.nodes.setdefault(0, Node())

    # What goes wrong.

    def stop(self, ordinal: int) -> None:
        node = self.nodes[ordinal]
        node.running, node.state = False, "STARTUP"
        for replica_set in self.sets.values():
            if replica_set.primary == ordinal:
                replica_set.primary = -1

    def start(self, ordinal: int) -> None:
        node = self.nodes[ordinal]
        if not node.running:
            node.running = node.starting = True

    def empty(self, ordinal: int) -> None:
        """The pod comes back with a new disk."""
        self.stop(ordinal)
        self.nodes[ordinal] = Node(reachable=self.nodes[ordinal].reachable)

    def can_lose(self, ordinal: int) -> bool:
        """Whether a majority and a candidate keep their data when this member loses its own."""
        for replica_set in self.sets.values():
            voters = [m for m in replica_set.config.members if m.votes and m.host not in replica_set.joining]
            kept = [m for m in voters if self.nodes[_ordinal(m)].synced and _ordinal(m) != ordinal]
            has_users = all(self.nodes[_ordinal(member)].has_users for member in kept)
            return has_users and len(kept) * 2 > len(voters) and any(member.electable for member in kept)
        return False

    def recreate(self, parallel: bool, forget: bool) -> None:
        """The StatefulSet is made anew over the old claims: its pods come back one by one, or all at once."""
        for ordinal in self.nodes:
            self.stop(ordinal)
            self.nodes[ordinal].exists = False
        recorded = "" if forget else self.stateful_set.recorded
        self.stateful_set = dataclasses.replace(self.stateful_set, parallel=parallel, recorded=recorded)

    def step_down(self) -> None:
        for replica_set in self.sets.values():
            if replica_set.primary >= 0:
                self.nodes[replica_set.primary].state = SECONDARY
                replica_set.primary = -1

    # What time brings.

    def tick(self) -> None:
        """Pods start, elections are held, members catch up, joining members get their vote: a bit of each."""
        for node in self.nodes.values():
            if node.starting and node.synced:
                node.state = SECONDARY
            node.starting = False
        ordinals = sorted(self.nodes)
        if ordinals and len(ordinals) < self.stateful_set.replicas and self.nodes[ordinals[-1]].running:
            self.nodes[len(ordinals)] = Node()
        for node in [node for _ordinal, node in sorted(self.nodes.items()) if not node.exists][:1]:
            # A new disk is known to be new: its server's 'not initialised' is believed at once.
            node.starting = node.claim
            node.exists = node.claim = node.running = True
        for set_id, replica_set in self.sets.items():
            self._elect(set_id, replica_set)
            if replica_set.primary >= 0:
                self._replicate(set_id, replica_set)

    def _elect(self, set_id: str, replica_set: ReplicaSet) -> None:
        members = {o: m for o in self.nodes if (m := replica_set.config.member(host(o)))}
        live = [o for o in members if self._serves(o, set_id)]
        voters = [m for m in replica_set.config.members if m.votes and m.host not in replica_set.joining]
        votes = sum(1 for o in live if members[o] in voters)
        candidates = [o for o in live if members[o].electable and host(o) not in replica_set.joining]
        if replica_set.primary in candidates and votes * 2 > len(voters):
            return
        if replica_set.primary >= 0:
            self.nodes[replica_set.primary].state = SECONDARY
        replica_set.primary = -1
        if candidates and votes * 2 > len(voters):
            best = max(candidates, key=lambda ordinal: (members[ordinal].priority, -ordinal))
            replica_set.primary = best
            self.nodes[best].state = PRIMARY
            replica_set.config = dataclasses.replace(replica_set.config, term=replica_set.config.term + 1)

    def _replicate(self, set_id: str, replica_set: ReplicaSet) -> None:
        for ordinal, node in self.nodes.items():
            if ordinal == replica_set.primary or not node.running or not replica_set.config.member(host(ordinal)):
                continue
            if not node.set_id:
                node.set_id, node.state = set_id, "STARTUP2"
            elif node.set_id == set_id:
                node.state, node.has_users, node.synced = SECONDARY, replica_set.has_users, True
        for name in sorted(replica_set.joining):
            ordinal = int(name.split(".")[0].rpartition("-")[2])
            if self.nodes[ordinal].state == SECONDARY and self._majority(replica_set):
                replica_set.joining.discard(name)
                replica_set.config = dataclasses.replace(replica_set.config, version=replica_set.config.version + 1)
                break

    def _serves(self, ordinal: int, set_id: str) -> bool:
        node = self.nodes[ordinal]
        return node.running and not node.starting and node.set_id == set_id and node.state in (PRIMARY, SECONDARY)

    def _majority(self, replica_set: ReplicaSet) -> bool:
        voters = [m for m in replica_set.config.members if m.votes and m.host not in replica_set.joining]
        set_id = replica_set.config.set_id
        live = [o for o in self.nodes if self._serves(o, set_id) and replica_set.config.member(host(o)) in voters]
        return len(live) * 2 > len(voters)

    # What an observer sees.

    def observe(self) -> Snapshot:
        return Snapshot(
            stateful_set=self.stateful_set,
            pods={o: Pod(f"shop-{o}", running=node.running) for o, node in self._pods()},
            claims={o: (f"data-shop-{o}",) for o, node in sorted(self.nodes.items()) if node.claim},
            answers={o: self._answer(o) for o, node in self._pods()},
            root_user="root",
        )

    def _pods(self) -> list[tuple[int, Node]]:
        return [(ordinal, node) for ordinal, node in sorted(self.nodes.items()) if node.exists]

    def _answer(self, ordinal: int) -> Answer:
        node = self.nodes[ordinal]
        if not node.running or not node.reachable:
            return Answer(Kind.UNREACHABLE, "no answer")
        if node.starting or not node.set_id:
            # What a starting server says, and an empty one: only time, or a disk known to be new, tells them apart.
            return Answer(Kind.UNINITIALISED, settled=not node.starting)
        replica_set = self.sets[node.set_id]
        if not node.has_users and replica_set.has_users and node.state in (PRIMARY, SECONDARY):
            node.has_users = True
        if not replica_set.config.member(host(ordinal)):
            return Answer(Kind.REMOVED, config=replica_set.config)
        return Answer(
            Kind.MEMBER if node.has_users else Kind.NO_USER,
            state=node.state,
            set_name=replica_set.config.set_name,
            config=replica_set.config if node.has_users else None,
            statuses=tuple(self._status(member, replica_set) for member in replica_set.config.members),
            voting=replica_set.config.voters - len(replica_set.joining),
            term=replica_set.config.term,
        )

    def _status(self, member: MemberConfig, replica_set: ReplicaSet) -> MemberStatus:
        ordinal = int(member.host.split(".")[0].rpartition("-")[2])
        node = self.nodes[ordinal]
        alive = node.running and not node.starting and node.set_id == replica_set.config.set_id
        return MemberStatus(member.host, node.state if alive else "(not reachable/healthy)", alive)

    # What a planner may do.

    def apply(self, step: Step, seen: Snapshot) -> None:
        assert step.change, "a wait was acted on"
        getattr(self, f"_do_{step.action}")(step, seen)

    def _do_initiate(self, step: Step, _seen: Snapshot) -> None:
        ordinal = step.data["ordinal"]
        node = self._asked(ordinal)
        if node.set_id or node.starting:
            return  # the server says AlreadyInitialized, which counts as done by somebody else
        assert not self.stateful_set.recorded, "initiated where a set is recorded"
        assert not any(other.set_id for other in self.nodes.values()), "initiated although a disk holds a set"
        assert step.data["options"].electable
        self.initiations += 1
        set_id = f"set{self.initiations}"
        member = _member(0, ordinal, step.data["options"])
        config = Config("shop", set_id, 1, 1, (member,), tuple(sorted(step.data["settings"].items())))
        self.sets[set_id] = ReplicaSet(config, set(), ordinal)
        node.set_id, node.state, node.synced = set_id, PRIMARY, True

    def _do_create_user(self, step: Step, _seen: Snapshot) -> None:
        node = self._asked(step.data["ordinal"])
        if node.state != PRIMARY:
            raise NotYet("not primary")
        assert node.set_id in (self.stateful_set.recorded or node.set_id), "a user in another set than the recorded"
        self.sets[node.set_id].has_users = True
        node.has_users = True

    def _do_record(self, step: Step, seen: Snapshot) -> None:
        assert seen.stateful_set
        if seen.stateful_set.resource_version != self.stateful_set.resource_version:
            raise NotYet("conflict")
        assert not self.stateful_set.recorded, "recorded twice"
        assert step.data["set_id"] in self.sets
        version = str(int(self.stateful_set.resource_version) + 1)
        self.stateful_set = dataclasses.replace(
            self.stateful_set, recorded=step.data["set_id"], resource_version=version
        )

    def _do_add(self, step: Step, seen: Snapshot) -> None:
        ordinal = step.data["ordinal"]

        def edit(config: Config) -> Config:
            new = _member(1 + max(member.id for member in config.members), ordinal, step.data["options"])
            return dataclasses.replace(config, members=(*config.members, new))

        replica_set = self._reconfigure(step, seen, edit)
        if step.data["options"].votes:
            replica_set.joining.add(host(ordinal))

    def _do_change(self, step: Step, seen: Snapshot) -> None:
        ordinal = step.data["ordinal"]

        def edit(config: Config) -> Config:
            members = tuple(
                _member(member.id, ordinal, step.data["options"]) if member.host == host(ordinal) else member
                for member in config.members
            )
            return dataclasses.replace(config, members=members)

        replica_set = self._reconfigure(step, seen, edit)
        if not step.data["options"].votes:
            replica_set.joining.discard(host(ordinal))

    def _do_settings(self, step: Step, seen: Snapshot) -> None:
        def edit(config: Config) -> Config:
            return dataclasses.replace(
                config, settings=tuple(sorted({**dict(config.settings), **step.data["settings"]}.items()))
            )

        self._reconfigure(step, seen, edit)

    def _do_step_down(self, step: Step, _seen: Snapshot) -> None:
        node = self._asked(step.data["ordinal"])
        if node.state != PRIMARY:
            raise NotYet("not primary")
        replica_set = self.sets[node.set_id]
        others = [
            o
            for o in self.nodes
            if o != replica_set.primary
            and self._serves(o, replica_set.config.set_id)
            and (member := replica_set.config.member(host(o)))
            and member.electable
            and member.host not in replica_set.joining
        ]
        if replica_set.primary != step.data["ordinal"] or not others:
            raise NotYet("nobody can take over")
        self.nodes[replica_set.primary].state = SECONDARY
        replica_set.primary = others[0]
        self.nodes[others[0]].state = PRIMARY
        replica_set.config = dataclasses.replace(replica_set.config, term=replica_set.config.term + 1)

    def _reconfigure(self, step: Step, seen: Snapshot, edit: t.Callable[[Config], Config]) -> ReplicaSet:
        if seen.primary is None:
            raise NotYet("no primary")
        node = self._asked(seen.primary)
        if node.state != PRIMARY or node.starting:
            raise NotYet("not primary")
        assert self.stateful_set.recorded == node.set_id, "changed before the set was recorded"
        replica_set = self.sets[node.set_id]
        before = replica_set.config
        if (before.version, before.term) != (step.data["version"], step.data["term"]):
            raise NotYet("the configuration moved")
        after = dataclasses.replace(edit(before), version=before.version + 1)
        self._check(replica_set, before, after)
        if not self._majority(replica_set):
            raise NotYet("no majority")
        replica_set.config = after
        return replica_set

    def _check(self, replica_set: ReplicaSet, before: Config, after: Config) -> None:
        old = {member.host: member for member in before.members}
        moved = [m for m in after.members if m.votes != (old[m.host].votes if m.host in old else 0)]
        assert len(moved) <= 1, "two voting members changed in one step"
        assert {member.host for member in before.members} <= {member.host for member in after.members}
        assert len({member.host for member in after.members}) == len(after.members), "a member twice"
        assert all(member.host == host(_ordinal(member)) for member in after.members), "not a stable name"
        assert 1 <= after.voters <= 7
        assert any(member.electable for member in after.members), "nobody could become primary"
        assert all(m.priority == 0 for m in after.members if not m.votes or m.hidden)
        primary = after.member(host(replica_set.primary))
        assert primary, "the primary was left out"
        assert primary.electable, "the primary could not be elected"
        for member in after.members:
            if member.host not in old:
                node = self.nodes[_ordinal(member)]
                assert node.set_id in ("", before.set_id), "a member of another set was added"
        if moved and before.voters - len(replica_set.joining) > 1:
            serving = [m for m in before.members if m.votes and self._serves(_ordinal(m), before.set_id)]
            assert len(serving) * 2 > before.voters, "a voting change without a majority that serves"

    def _asked(self, ordinal: int) -> Node:
        node = self.nodes.get(ordinal)
        if node is None or not node.exists or not node.running or not node.reachable:
            raise NotYet("no answer")
        return node


def _ordinal(member: MemberConfig) -> int:
    return int(member.host.split(".")[0].rpartition("-")[2])


def _member(number: int, ordinal: int, options: MemberOptions) -> MemberConfig:
    return MemberConfig(number, host(ordinal), **dataclasses.asdict(options))


ACTIONS = (
    planner.INITIATE,
    planner.CREATE_USER,
    planner.RECORD,
    planner.ADD,
    planner.CHANGE,
    planner.SETTINGS,
    planner.STEP_DOWN,
)
