# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica set on a StatefulSet, simulated as far as the planner can see and touch it.

It keeps the rules of the real server that matter here (one voting member a reconfiguration, joining voters without an
effective vote, a majority to install a configuration and to elect, votes only for who is as far as the voter), it has a
writer that counts what a majority has acknowledged, and it asserts what must never happen, whoever asks for it.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.stateful.kube.plugins.module_utils._failure import NotYet
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._desired import MemberOptions, Target
from ansible_collections.stateful.kube.plugins.module_utils._mongodb._state import (
    ARBITER,
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
# Seconds that one tick of the simulation takes: a member that misses three writes is behind by more than the limit.
TICK = 4.0

Entry = tuple[int, int]  # the term and the number of a write


@functools.cache
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
    #: it was told to end, and serves on for a while
    going: bool = False
    #: it serves, and takes no writes from the primary
    lagging: bool = False
    #: it was elected, and takes no writes yet
    catching_up: bool = False
    #: until when the other secondaries do not know that it is back: each finds out for itself
    unseen_until: int = 0
    revision: int = 1
    #: the set whose configuration is on its disk
    set_id: str = ""
    has_users: bool = False
    state: str = "STARTUP"
    #: it has all data, so it serves right after a restart
    synced: bool = False
    #: it votes and holds neither data nor users
    arbiter: bool = False
    log: tuple[Entry, ...] = ()

    @property
    def newest(self) -> Entry:
        return self.log[-1] if self.log else (0, 0)


@dataclasses.dataclass
class ReplicaSet:
    """One set, as its majority knows it."""

    config: Config
    joining: set[str]
    primary: int
    has_users: bool = False
    #: writes that a majority has
    acknowledged: set[Entry] = dataclasses.field(default_factory=set)


class World:
    def __init__(self, replicas: int, parallel: bool = True) -> None:
        self.stateful_set = StatefulSet("uid", "1", replicas, "shop", parallel, revision="r1")
        self.nodes: dict[int, Node] = {}
        self.sets: dict[str, ReplicaSet] = {}
        self.initiations = 0
        self.clock = 0
        self.revision = 1
        #: revisions of the template in which no server ever starts
        self.broken: set[int] = set()
        #: whether somebody acts on what was true some time ago
        self.outdated_look = False
        #: which pods were replaced, in order
        self.replaced: list[int] = []
        #: how many members are declared: the others may leave, these never
        self.declared = replicas
        self.may_delete_claims = False
        self.scale(replicas)

    def declare(self, members: int) -> None:
        """What applying the manifests does: pods come at once, and go later."""
        self.declared = members
        self.scale(max(members, self.stateful_set.replicas))

    def scale(self, replicas: int) -> None:
        self._change_set(replicas=replicas)
        for ordinal, node in self.nodes.items():
            node.going = node.going or (ordinal >= replicas and node.exists)
        if self.stateful_set.parallel:
            for ordinal in range(replicas):
                self._come(ordinal)
        else:
            self._come(0)

    def _come(self, ordinal: int) -> None:
        node = self.nodes.setdefault(ordinal, Node(revision=self.revision))
        if not node.exists:
            # A new disk is known to be new: its server's 'not initialised' is believed at once.
            node.starting = node.claim
            node.exists = node.claim = True
            node.revision = self.revision
            node.running = node.revision not in self.broken

    def change_template(self, broken: bool = False) -> None:
        self.revision += 1
        if broken:
            self.broken.add(self.revision)
        self._change_set(revision=f"r{self.revision}")

    def undo_template(self) -> None:
        """The template of before, whose revision has its old name again."""
        self.revision -= 1
        self._change_set(revision=f"r{self.revision}")

    def _change_set(self, **changes: t.Any) -> None:
        version = str(int(self.stateful_set.resource_version) + 1)
        self.stateful_set = dataclasses.replace(self.stateful_set, resource_version=version, **changes)

    # What goes wrong.

    def stop(self, ordinal: int) -> None:
        node = self.nodes[ordinal]
        node.running, node.state = False, "STARTUP"
        for replica_set in self.sets.values():
            if replica_set.primary == ordinal:
                replica_set.primary = -1

    def start(self, ordinal: int) -> None:
        node = self.nodes[ordinal]
        if node.exists and not node.running and node.revision not in self.broken:
            node.running = node.starting = True

    def empty(self, ordinal: int) -> None:
        """The pod comes back with a new disk."""
        self.stop(ordinal)
        old = self.nodes[ordinal]
        self.nodes[ordinal] = Node(
            exists=old.exists,
            going=old.going,
            reachable=old.reachable,
            revision=old.revision,
            running=old.exists and old.revision not in self.broken,
        )

    def can_lose(self, ordinal: int) -> bool:
        """Whether a majority and a candidate keep their data when this member loses its own."""
        for replica_set in self.sets.values():
            voters = [m for m in replica_set.config.members if m.votes and m.host not in replica_set.joining]
            kept = [m for m in voters if self.nodes[_ordinal(m)].synced and _ordinal(m) != ordinal]
            has_users = all(self.nodes[_ordinal(m)].has_users for m in kept if not m.arbiter_only)
            # What was acknowledged is still on a majority without the disk that is lost.
            known = [
                m for m in kept if not m.arbiter_only and replica_set.acknowledged <= set(self.nodes[_ordinal(m)].log)
            ]
            enough = len(kept) * 2 > len(voters) and len(known) * 2 > len(voters)
            return has_users and enough and any(member.electable for member in known)
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
        self.clock += 1
        for ordinal, node in self.nodes.items():
            if node.going or (node.exists and ordinal >= self.stateful_set.replicas):
                self.stop(ordinal)
                node.going = node.exists = False
        for node in self.nodes.values():
            if node.starting and node.synced:
                node.state = ARBITER if node.arbiter else SECONDARY
            if node.starting:
                node.unseen_until = self.clock + 2
            node.starting = False
        wanted = range(self.stateful_set.replicas)
        missing = [o for o in wanted if o not in self.nodes or not self.nodes[o].exists]
        if missing and (missing[0] == 0 or self.stateful_set.parallel or self.nodes[missing[0] - 1].running):
            self._come(missing[0])
        for set_id, replica_set in self.sets.items():
            self._elect(set_id, replica_set)
            if replica_set.primary >= 0 and self.nodes[replica_set.primary].catching_up:
                self.nodes[replica_set.primary].catching_up = False
            elif replica_set.primary >= 0:
                self._write(replica_set)
                self._replicate(set_id, replica_set)
                self._acknowledge(replica_set)

    def _elect(self, set_id: str, replica_set: ReplicaSet) -> None:
        """Whoever is as far as a majority of voters that serve may win, the one with the highest priority does."""
        members = {o: m for o in self.nodes if (m := replica_set.config.member(host(o)))}
        live = [o for o in members if self._serves(o, set_id)]
        voters = [m for m in replica_set.config.members if m.votes and m.host not in replica_set.joining]
        voting = [o for o in live if members[o] in voters]
        candidates = [o for o in live if members[o].electable and host(o) not in replica_set.joining]
        if replica_set.primary in candidates and len(voting) * 2 > len(voters):
            return
        if replica_set.primary >= 0:
            self.nodes[replica_set.primary].state = SECONDARY
        replica_set.primary = -1
        fit = [
            candidate
            for candidate in candidates
            if sum(1 for o in voting if self.nodes[o].newest <= self.nodes[candidate].newest) * 2 > len(voters)
        ]
        if fit:
            best = max(fit, key=lambda ordinal: (members[ordinal].priority, -ordinal))
            self._become_primary(replica_set, best)

    def _become_primary(self, replica_set: ReplicaSet, ordinal: int) -> None:
        node = self.nodes[ordinal]
        lost = replica_set.acknowledged - set(node.log)
        assert not lost, f"shop-{ordinal} becomes primary without acknowledged writes: {sorted(lost)}"
        replica_set.primary, node.state, node.lagging, node.catching_up = ordinal, PRIMARY, False, True
        replica_set.config = dataclasses.replace(replica_set.config, term=replica_set.config.term + 1)

    def _write(self, replica_set: ReplicaSet) -> None:
        node = self.nodes[replica_set.primary]
        node.log = (*node.log, (replica_set.config.term, self.clock))

    def _replicate(self, set_id: str, replica_set: ReplicaSet) -> None:
        source = self.nodes[replica_set.primary]
        for ordinal, node in self.nodes.items():
            if ordinal == replica_set.primary or not node.running or not replica_set.config.member(host(ordinal)):
                continue
            if not node.set_id:
                node.set_id, node.state = set_id, "STARTUP2"
                node.arbiter = bool((m := replica_set.config.member(host(ordinal))) and m.arbiter_only)
            elif node.arbiter and node.set_id == set_id:
                node.state, node.synced = ARBITER, True
            elif node.set_id == set_id and not (node.lagging and node.synced):
                node.state, node.has_users, node.synced = SECONDARY, replica_set.has_users, True
                node.log = source.log
        for name in sorted(replica_set.joining):
            ordinal = ordinal_of(name)
            if self.nodes[ordinal].state in (SECONDARY, ARBITER) and self._majority(replica_set):
                replica_set.joining.discard(name)
                replica_set.config = dataclasses.replace(replica_set.config, version=replica_set.config.version + 1)
                break

    def _acknowledge(self, replica_set: ReplicaSet) -> None:
        entry = self.nodes[replica_set.primary].newest
        if self._on_majority(replica_set, replica_set.config, {entry}):
            replica_set.acknowledged.update(self.nodes[replica_set.primary].log)

    def _on_majority(self, replica_set: ReplicaSet, config: Config, entries: set[Entry]) -> bool:
        voters = [m for m in config.members if m.votes and m.host not in replica_set.joining]
        having = [m for m in voters if not m.arbiter_only and entries <= set(self.nodes[_ordinal(m)].log)]
        # As the server counts: no more than those that hold data can have it.
        return len(having) >= min(len(voters) // 2 + 1, sum(1 for m in voters if not m.arbiter_only))

    def _serves(self, ordinal: int, set_id: str) -> bool:
        node = self.nodes[ordinal]
        return (
            node.running and not node.starting and node.set_id == set_id and node.state in (PRIMARY, SECONDARY, ARBITER)
        )

    def _majority(self, replica_set: ReplicaSet, config: t.Optional[Config] = None) -> bool:
        config = config or replica_set.config
        voters = [m for m in config.members if m.votes and m.host not in replica_set.joining]
        live = [o for o in self.nodes if self._serves(o, config.set_id) and config.member(host(o)) in voters]
        return len(live) * 2 > len(voters)

    # What an observer sees.

    def observe(self) -> Snapshot:
        return Snapshot(
            stateful_set=self.stateful_set,
            pods={o: self._pod(o, node) for o, node in self._pods()},
            claims={o: (f"data-shop-{o}",) for o, node in sorted(self.nodes.items()) if node.claim},
            answers={o: self._answer(o) for o, node in self._pods()},
            root_user="root",
        )

    def _pod(self, ordinal: int, node: Node) -> Pod:
        healthy = node.running and not node.starting
        return Pod(
            f"shop-{ordinal}",
            uid=f"{ordinal}/{node.revision}",
            running=node.running,
            obstacle=None if healthy else "is not ready",
            revision=f"r{node.revision}",
            deleting=node.going,
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
            # Without users nobody may read its configuration.
            return Answer(Kind.REMOVED, config=None if node.arbiter else replica_set.config)
        return Answer(
            Kind.MEMBER if node.has_users else Kind.NO_USER,
            state=node.state,
            set_name=replica_set.config.set_name,
            config=replica_set.config if node.has_users else None,
            statuses=tuple(self._status(member, replica_set, ordinal) for member in replica_set.config.members),
            writable=not node.catching_up,
            voting=replica_set.config.voters - len(replica_set.joining),
            term=replica_set.config.term,
        )

    def _status(self, member: MemberConfig, replica_set: ReplicaSet, by: int) -> MemberStatus:
        ordinal = _ordinal(member)
        node = self.nodes[ordinal]
        alive = node.running and not node.starting and node.set_id == replica_set.config.set_id
        state = node.state if alive else "(not reachable/healthy)"
        its = (replica_set.config.version, replica_set.config.term)
        # Nobody notices at once that a server is another one, at another address.
        silent = 9.0 if self._unseen(ordinal, by) else 1.0
        return MemberStatus(member.host, state, alive, optime=TICK * node.newest[1], silent=silent, config=its)

    def _unseen(self, ordinal: int, by: int) -> bool:
        return by != ordinal and self.clock < self.nodes[ordinal].unseen_until

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
        self._change_set(recorded=step.data["set_id"])

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

    def _do_remove(self, step: Step, seen: Snapshot) -> None:
        ordinal = step.data["ordinal"]
        assert ordinal >= self.declared, "a declared member was removed"
        replica_set = next(iter(self.sets.values()))
        member = replica_set.config.member(host(ordinal))
        if member and member.votes and self._serves(ordinal, replica_set.config.set_id) and not self.outdated_look:
            away = [o for o in range(self.declared) if self._is_away(o, replica_set)]
            assert not away, f"shop-{ordinal} was removed while {away} were away"

        def edit(config: Config) -> Config:
            left = tuple(member for member in config.members if member.host != host(ordinal))
            return dataclasses.replace(config, members=left)

        self._reconfigure(step, seen, edit)
        replica_set.joining.discard(host(ordinal))

    def _do_scale(self, step: Step, seen: Snapshot) -> None:
        assert seen.stateful_set
        if seen.stateful_set.resource_version != self.stateful_set.resource_version:
            raise NotYet("conflict")
        replicas = step.data["replicas"]
        assert replicas >= self.declared, "pods of declared members were taken away"
        for replica_set in self.sets.values():
            left = [m.host for m in replica_set.config.members if _ordinal(m) >= replicas]
            assert not left, f"the pods of members were taken away: {left}"
        self.scale(replicas)
        self._change_set(owed=True)

    def _do_hand_back(self, _step: Step, _seen: Snapshot) -> None:
        self._change_set(owed=False)

    def _do_replace(self, step: Step, _seen: Snapshot) -> None:
        ordinal = step.data["ordinal"]
        node = self.nodes[ordinal]
        if not node.exists or node.going or step.data["uid"] != f"{ordinal}/{node.revision}":
            raise NotYet("it was replaced meanwhile")
        assert f"r{node.revision}" != self.stateful_set.revision, "a new pod was replaced"
        for replica_set in self.sets.values():
            if self._serves(ordinal, replica_set.config.set_id) and not self.outdated_look:
                candidates = [m for m in replica_set.config.members if m.electable]
                assert replica_set.primary != ordinal or len(candidates) == 1, "the primary was taken away"
                away = [o for o in range(self.declared) if o != ordinal and self._is_away(o, replica_set)]
                assert not away, f"shop-{ordinal} was replaced while {away} were away"
                unseen = [o for o in range(self.declared) if o != ordinal and self._unseen(o, by=replica_set.primary)]
                assert not unseen, f"shop-{ordinal} was replaced while the primary did not reach {unseen}"
                primary = self.nodes.get(replica_set.primary)
                writable = bool(primary and not primary.catching_up)
                assert writable, f"shop-{ordinal} was replaced while nobody takes writes"
        node.going = True
        self.replaced.append(ordinal)

    def _is_away(self, ordinal: int, replica_set: ReplicaSet) -> bool:
        member = replica_set.config.member(host(ordinal))
        return bool(member and (self.nodes[ordinal].going or not self._serves(ordinal, replica_set.config.set_id)))

    def _do_delete_claim(self, step: Step, _seen: Snapshot) -> None:
        ordinal = int(step.data["claim"].rpartition("-")[2])
        assert self.may_delete_claims, "a claim was deleted without being asked to"
        assert ordinal >= self.declared, "the claim of a declared member was deleted"
        assert not self.nodes[ordinal].exists, "the claim of a running pod was deleted"
        self.nodes[ordinal] = Node(exists=False, claim=False, running=False)

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
        if replica_set.primary != step.data["ordinal"] or not others or node.catching_up:
            raise NotYet("nobody can take over")
        behind = self.nodes[replica_set.primary].newest[1] - self.nodes[step.data["to"]].newest[1]
        assert behind <= 3 or self.outdated_look or step.data["to"] not in others, (
            f"shop-{step.data['to']} is {behind} writes behind"
        )
        known = [o for o in others if self.nodes[o].reachable and not self.nodes[o].going]
        unseen = [o for o in known if self._unseen(o, by=step.data["to"])]
        assert not unseen or self.outdated_look, f"shop-{step.data['to']} takes over and does not reach {unseen}"
        # The server lets somebody catch up first, and that one is as far as any.
        to = step.data["to"] if step.data["to"] in others else others[0]
        self.nodes[to].log = self.nodes[replica_set.primary].log
        self.nodes[replica_set.primary].state = SECONDARY
        self._become_primary(replica_set, to)

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
        # A voter that has just joined does not count until it has caught up.
        counted = dataclasses.replace(after, members=tuple(m for m in after.members if before.member(m.host)))
        if not self._majority(replica_set) or not self._majority(replica_set, counted):
            raise NotYet("no majority")
        if not self._on_majority(replica_set, counted, replica_set.acknowledged):
            raise NotYet("what was acknowledged is not yet on a majority of the new configuration")
        replica_set.config = after
        return replica_set

    def _check(self, replica_set: ReplicaSet, before: Config, after: Config) -> None:
        old = {member.host: member for member in before.members}
        moved = [m for m in after.members if m.votes != (old[m.host].votes if m.host in old else 0)]
        gone = [m for m in before.members if after.member(m.host) is None]
        assert len([*moved, *(m for m in gone if m.votes)]) <= 1, "two voting members changed in one step"
        assert all(_ordinal(member) >= self.declared for member in gone), "a declared member was left out"
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
        if moved and not self.outdated_look and before.voters - len(replica_set.joining) > 1:
            serving = [m for m in before.members if m.votes and self._serves(_ordinal(m), before.set_id)]
            assert len(serving) * 2 > before.voters, "a voting change without a majority that serves"

    def _asked(self, ordinal: int) -> Node:
        node = self.nodes.get(ordinal)
        if node is None or not node.exists or not node.running or not node.reachable:
            raise NotYet("no answer")
        return node


def _ordinal(member: MemberConfig) -> int:
    return ordinal_of(member.host)


@functools.cache
def ordinal_of(name: str) -> int:
    return int(name.partition(".")[0].rpartition("-")[2])


def _member(number: int, ordinal: int, options: MemberOptions) -> MemberConfig:
    return MemberConfig(number, host(ordinal), **dataclasses.asdict(options))
