# Copyright (c) 2026, The stateful.kube authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that somebody else has made: what is refused, what is done in which order, and what is to be declared."""

from __future__ import annotations

import dataclasses
import random
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.stateful.kube.plugins.module_utils._mysql import _steps as steps
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt import _plan as planner
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._declare import (
    data_elsewhere,
    differences,
    variables,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._plan import plan
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._report import facts
from ansible_collections.stateful.kube.plugins.module_utils._mysql._adopt._state import (
    ADMIN,
    HEALTH,
    MODES,
    OFF,
    ON,
    WARN,
    Found,
    Server,
    Wish,
)
from ansible_collections.stateful.kube.plugins.module_utils._mysql._desired import Target
from ansible_collections.stateful.kube.plugins.module_utils._mysql._flavour import REPLICATION_USER
from ansible_collections.stateful.kube.plugins.module_utils._mysql._gtid import GtidSet
from ansible_collections.stateful.kube.plugins.module_utils._mysql._state import (
    Answer,
    Kind,
    Record,
    Snapshot,
    Source,
    StatefulSet,
)
from ansible_collections.stateful.kube.plugins.module_utils._operation import Plan, Refusal, Step
from ansible_collections.stateful.kube.plugins.module_utils._workload._adoption import (
    CLAIM,
    MARK,
    SERVICE,
    SET,
    TAKE_OVER,
    Objects,
    Thing,
)
from ansible_collections.stateful.kube.plugins.module_utils._workload._ordinals import Pod

TARGET = Target("mysql", "shop", "mysql", root_secret="mysql-root", replication_secret="mysql-replication")  # noqa: S106
ACCEPT = Wish("uuid-0", watch=2)
ACCOUNTS = frozenset({ADMIN, REPLICATION_USER, HEALTH})
SECRETS = {TARGET.root_secret: ("username", "password"), TARGET.replication_secret: ("password",)}


class World:
    """The example, as it runs: a primary that is written to, and replicas that follow by file and position."""

    def __init__(self, members: int = 3) -> None:
        self.members = members
        self.servers = {
            o: Server("8.4.3", 100 + o, source_identity="uuid-0" if o else "", source_user="root" if o else "")
            for o in range(members)
        }
        self.sources = {o: Source("mysql-0.mysql", lag=0.0) for o in range(1, members)}
        self.own: t.Optional[tuple[str, int]] = None
        self.record: t.Optional[Record] = None
        self.recorded: t.Optional[tuple[int, str]] = None
        self.routed: t.Optional[str] = None
        self.roles: dict[int, str] = {}
        self.marked: set[str] = set()
        self.taken: set[str] = set()
        self.lacking = dict(SECRETS)
        #: replicas that have yet to apply what the primary has written
        self.late: set[int] = set()
        self.answers: dict[int, dict[str, t.Any]] = {}
        self.more: dict[str, t.Any] = {}
        self.of_objects: dict[str, t.Any] = {}

    def found(self) -> Found:
        answers = {
            o: Answer(
                Kind.SERVER,
                version=server.version,
                identity=f"uuid-{o}",
                executed=GtidSet.parse(""),
                read_only=o != 0,
                own=None if o else self.own,
                source=self.sources.get(o),
            )
            for o, server in self.servers.items()
        }
        answers.update({o: dataclasses.replace(answers[o], **change) for o, change in self.answers.items()})
        snapshot = Snapshot(
            StatefulSet("u", "1", self.members, "mysql", recorded=self.recorded, revision="r"),
            self.record,
            {o: Pod(TARGET.pod(o), revision="r") for o in range(self.members)},
            answers=answers,
            roles=self.roles,
            routed=self.routed,
        )
        things = [
            Thing(
                kind,
                name,
                labels=planner.application(TARGET).labels if f"{kind} {name}" in self.marked else {},
                annotations={"stateful.kube/root-secret": "x"} if f"{kind} {name}" in self.marked else {},
                managers=() if kind == CLAIM or f"{kind} {name}" in self.taken else ("kubectl",),
            )
            for kind, name in ((SET, "mysql"), (SERVICE, "mysql"), (SERVICE, "mysql-read"), (CLAIM, "data-mysql-0"))
        ]
        objects = Objects(things[0], tuple(things[1:3]), (things[3],), f"{SET} mysql" in self.marked)
        found = Found(
            snapshot,
            dataclasses.replace(objects, **self.of_objects),
            self.servers,
            self.lacking,
            [name for name, lacking in self.lacking.items() if not lacking],
        )
        return dataclasses.replace(found, **self.more)

    def change(self, ordinal: int, **fields: t.Any) -> None:
        self.servers[ordinal] = dataclasses.replace(self.servers[ordinal], **fields)

    def act(self, step: Step) -> bool:
        """Whether it came about."""
        ordinal = step.data.get("ordinal", 0)
        on_delete = f"{SET} mysql" in self.marked
        assert step.action == MARK or on_delete, "somebody could replace pods meanwhile"
        if step.action == MARK:
            self.marked.add(step.target)
        elif step.action == TAKE_OVER:
            self.taken.add(step.target)
        elif step.action == planner.SECRET:
            self.lacking[step.data["name"]] = ()
        elif step.action == planner.ACCOUNTS:
            assert not any(self.lacking.values()), "accounts get the passwords of the Secrets"
            self.change(0, accounts=ACCOUNTS, table=True)
            self.late |= set(range(1, self.members))
        elif step.action == planner.CONSISTENCY:
            self.change(ordinal, consistency=step.data["value"], watched=0.0)
        elif step.action == planner.MODE:
            return self.mode(step)
        elif step.action == planner.FOLLOW:
            assert all(server.gtid_mode == ON for server in self.servers.values())
            if ordinal in self.late:
                return False
            self.change(ordinal, source_user=REPLICATION_USER, auto_position=True)
            self.sources[ordinal] = Source(TARGET.host(0), lag=0.0)
        else:
            self.rest(step)
        return True

    def mode(self, step: Step) -> bool:
        ordinal, value = step.data["ordinal"], step.data["value"]
        levels = [server.level for server in self.servers.values()]
        # The server itself takes no two steps at once, and the replication of two that are further apart ends.
        assert MODES.index(value) == self.servers[ordinal].level + 1
        assert max(levels) - min(levels) <= 1
        assert self.servers[ordinal].consistency == ON
        if value == ON:
            assert min(levels) >= MODES.index("ON_PERMISSIVE")
            assert not any(server.anonymous for server in self.servers.values())
            if self.late:
                return False
        self.change(ordinal, gtid_mode=value)
        if value == "ON_PERMISSIVE" and not ordinal:
            # What is under way began without one.
            self.change(0, anonymous=2)
            self.late |= set(range(1, self.members))
        return True

    def rest(self, step: Step) -> None:
        """What the ordinary planner does."""
        assert all(self.servers[o].auto_position for o in range(1, self.members)), step
        if step.action == planner.OWN:
            self.own = ("mysql-0", 1)
        elif step.action == steps.RECORD:
            assert self.own == ("mysql-0", step.data["epoch"])
            self.record = Record(step.data["epoch"], step.data["primary"], step.data["members"])
        elif step.action == steps.ROUTE:
            self.routed = step.data["pod"]
        elif step.action == steps.LABEL:
            self.roles[step.data["ordinal"]] = step.data["role"]
        elif step.action == steps.NOTE:
            self.recorded = (1, "mysql-0")
        else:
            raise AssertionError(step)

    def tick(self) -> None:
        """Time passes."""
        for o, server in self.servers.items():
            if server.consistency == WARN:
                self.change(o, watched=server.watched + 1)
        self.change(0, anonymous=max(0, self.servers[0].anonymous - 1))
        for o in sorted(self.late)[:1]:
            self.late.discard(o)
            self.change(o, accounts=self.servers[0].accounts, table=self.servers[0].table)


def planned(world: World, wish: Wish = ACCEPT) -> Plan:
    found = plan(TARGET, wish, world.found())
    assert isinstance(found, Plan), found
    return found


def reason(world: World, wish: Wish = ACCEPT) -> str:
    found = plan(TARGET, wish, world.found())
    assert isinstance(found, Refusal), found
    return found.reason


def adopted(world: World, chance: t.Optional[random.Random] = None) -> World:
    for _turn in range(400):
        left = planned(world).steps
        if not left:
            return world
        # A run that is killed leaves what it has done, and the next one begins with a look.
        done = left[0].change and world.act(left[0])
        if not done or (chance and chance.random() < 0.3):
            world.tick()
    raise AssertionError("no end")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 5))
def test_it_ends_with_an_ordinary_set_wherever_it_is_killed(seed: int, members: int) -> None:
    world = adopted(World(members), random.Random(seed))  # noqa: S311
    assert all(server.gtid_mode == ON and server.consistency == ON for server in world.servers.values())
    assert all(world.servers[o].accounts == ACCOUNTS for o in range(members))
    assert world.record == Record(1, "mysql-0", members)
    assert world.recorded == (1, "mysql-0")
    assert world.routed == "mysql-0"
    assert world.marked == {f"{SET} mysql", f"{SERVICE} mysql", f"{SERVICE} mysql-read", f"{CLAIM} data-mysql-0"}
    assert world.taken == {f"{SET} mysql", f"{SERVICE} mysql", f"{SERVICE} mysql-read"}


def test_what_check_mode_shows_is_what_is_done() -> None:
    world = World(2)
    shown = [(step.action, step.target) for step in planned(world).steps if step.change]
    done = []
    for _turn in range(100):
        left = planned(world).steps
        if not left:
            break
        if left[0].change and world.act(left[0]):
            done.append((left[0].action, left[0].target))
        else:
            world.tick()
    assert done == shown


def test_servers_that_have_gtids_already_only_change_how_they_replicate() -> None:
    world = World(2)
    for ordinal in world.servers:
        world.change(ordinal, gtid_mode=ON, consistency=ON)
    actions = {step.action for step in planned(world).steps}
    assert planner.FOLLOW in actions
    assert not actions & {planner.MODE, planner.CONSISTENCY}


def test_one_that_is_a_mode_ahead_waits_for_the_others() -> None:
    world = World(2)
    for ordinal, mode in ((0, "OFF_PERMISSIVE"), (1, OFF)):
        world.change(ordinal, gtid_mode=mode, consistency=ON)
    modes = [(step.target, step.data["value"]) for step in planned(world).steps if step.action == planner.MODE]
    assert modes[:3] == [("mysql-1", "OFF_PERMISSIVE"), ("mysql-0", "ON_PERMISSIVE"), ("mysql-1", "ON_PERMISSIVE")]


def test_without_the_server_uuid_it_only_looks_and_tells_what_it_would_do() -> None:
    world = World()
    assert planned(world, Wish()).steps == ()
    told = facts(TARGET, world.found(), Wish())
    assert told["would"] == [step.sentence for step in planned(world, dataclasses.replace(ACCEPT, watch=60)).steps]
    assert told["primary_uuid"] == "uuid-0"
    assert told["adopted"] is False
    assert "mysql-1  101  uuid-1       8.4.3    OFF   no      0s      mysql-0.mysql" in told["table"]


def test_the_wrong_server_uuid_is_refused() -> None:
    assert "accept is uuid-1, and the server_uuid" in reason(World(), Wish("uuid-1"))


def test_the_same_command_does_after_another_one_has_become_primary() -> None:
    world = adopted(World(2))
    world.record = Record(2, "mysql-1", 2)
    found = plan(TARGET, ACCEPT, world.found())
    assert not (isinstance(found, Refusal) and "accept is" in found.reason)
    assert "accept is another" in reason(world, Wish("another"))


@pytest.mark.parametrize(
    ("version", "said"),
    [("11.8.2-MariaDB", "runs MariaDB"), ("8.0.40", "older than 8.4"), ("5.7.44", "older than 8.4")],
)
def test_a_server_that_the_role_does_not_know_is_refused(version: str, said: str) -> None:
    world = World()
    world.servers[2] = Server(version)
    # MySQL 5.7 does not know the statements of today.
    world.answers[2] = {"kind": Kind.REFUSED, "detail": "it answers with an error"}
    assert f"mysql-2 runs {'MariaDB' if 'Maria' in said else 'a MySQL'}" in reason(world)
    assert said in reason(world)


def test_a_pod_that_does_not_answer_is_refused() -> None:
    world = World()
    world.answers[1] = {"kind": Kind.UNREACHABLE, "detail": "its pod is Pending"}
    assert "these do not: mysql-1 (its pod is Pending)" in reason(world, Wish())


def test_a_pod_that_is_not_there_is_refused() -> None:
    world = World()
    world.members = 4
    assert "these do not: mysql-3" in reason(world, Wish())


def test_without_pods_there_is_nobody_to_ask() -> None:
    found = World().found()
    empty = dataclasses.replace(found.snapshot, stateful_set=StatefulSet("u", "1", 0), pods={}, answers={})
    refused = plan(TARGET, Wish(), dataclasses.replace(found, snapshot=empty, servers={}))
    assert isinstance(refused, Refusal)
    assert "has no pods" in refused.reason


def test_a_server_that_lets_nobody_in_needs_a_login() -> None:
    world = World()
    world.answers[0] = {"kind": Kind.REFUSED, "detail": "it does not let in the user"}
    assert "let nobody in with the login that was given: mysql-0" in reason(world, Wish())


def test_two_that_take_writes_are_refused() -> None:
    world = World()
    world.answers[1] = {"read_only": False}
    assert "mysql-0, mysql-1 take writes" in reason(world)


def test_none_that_takes_writes_is_refused() -> None:
    world = World()
    world.answers[0] = {"read_only": True}
    assert "none of them takes writes" in reason(world)


def test_a_replica_of_somebody_else_is_no_primary() -> None:
    world = World()
    world.answers[0] = {"source": Source("elsewhere")}
    assert "mysql-0 takes writes, and replicates from another server" in reason(world)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "mysql-1 replicates from nobody"),
        (
            Source("mysql-0.mysql", error="duplicate entry", apply_error="duplicate entry"),
            "mysql-1 does not replicate (duplicate entry)",
        ),
        (Source("mysql-0.mysql", applier="No"), "mysql-1 does not replicate (it was stopped)"),
    ],
)
def test_a_replica_that_does_not_replicate_is_refused(source: t.Optional[Source], said: str) -> None:
    world = World()
    world.answers[1] = {"source": source}
    assert said in reason(world)


def test_a_replica_that_has_lost_its_connection_is_waited_for() -> None:
    world = World()
    world.answers[1] = {"source": Source("mysql-0.mysql", receiver="Connecting", error="Unknown MySQL server host")}
    first = planned(world).steps[0]
    assert (first.change, "mysql-1 (Unknown MySQL server host)" in first.sentence) == (False, True)


def test_a_replica_of_another_server_is_refused() -> None:
    world = World()
    world.change(2, source_identity="uuid-1")
    assert "mysql-2 replicates from mysql-0.mysql, which is not mysql-0" in reason(world)


def test_a_server_that_nobody_could_replicate_from_is_refused() -> None:
    world = World()
    world.change(1, logs=False)
    assert "mysql-1 writes no binary log" in reason(world)


def test_an_argument_that_would_come_back_is_refused() -> None:
    world = World()
    world.change(1, by_argument=True)
    assert "mysql-1 has gtid_mode or enforce_gtid_consistency among its arguments" in reason(world)
    world.change(1, gtid_mode=ON)
    assert isinstance(plan(TARGET, ACCEPT, world.found()), Plan)


def test_statements_that_cannot_have_a_gtid_are_refused() -> None:
    world = World()
    world.change(0, consistency=WARN, violations=("Statement violates GTID consistency: this",))
    found = plan(TARGET, ACCEPT, world.found())
    assert isinstance(found, Refusal)
    assert "Clients of mysql-0 send statements" in found.reason
    assert found.evidence == ("mysql-0: Statement violates GTID consistency: this",)


def test_a_secret_of_somebody_that_does_not_fit_is_refused_and_never_made_to_fit() -> None:
    world = World()
    world.lacking = dict.fromkeys(SECRETS, ())
    world.more = {"user": "root", "refused": (0, 1, 2)}
    assert "names root, and mysql-0 does not let it in" in reason(world)


def test_a_secret_of_somebody_that_fits_is_taken() -> None:
    world = World()
    world.lacking = dict.fromkeys(SECRETS, ())
    world.more = {"user": "root"}
    found = [step for step in planned(world).steps if step.action == planner.ACCOUNTS]
    assert found[0].data["user"] == ""
    assert "stateful_health, stateful_replication and" in found[0].sentence


def test_an_account_of_the_secret_that_is_not_there_is_made() -> None:
    world = World()
    world.lacking = dict.fromkeys(SECRETS, ())
    world.more = {"refused": (0, 1, 2)}
    assert planner.ACCOUNTS in [step.action for step in planned(world).steps]
    # Its Secret was lost, and is another one now.
    world.change(0, accounts=ACCOUNTS, table=True)
    assert planner.ACCOUNTS in [step.action for step in planned(world).steps]


def test_the_password_of_an_account_of_somebody_is_not_changed() -> None:
    world = World()
    world.lacking = dict.fromkeys(SECRETS, ())
    world.more = {"refused": (0, 1, 2), "user": "boss"}
    assert planner.ACCOUNTS in [step.action for step in planned(world).steps]
    world.change(0, accounts=frozenset({"boss"}))
    assert "names boss, and mysql-0 does not let it in" in reason(world)


def test_data_that_the_role_could_not_declare_is_refused() -> None:
    world = World()
    world.more = {"elsewhere": "the topmost folder of the claim data"}
    assert "is in the topmost folder of the claim data" in reason(world)


def test_what_an_operator_owns_is_refused_and_what_helm_manages_on_demand() -> None:
    world = World()
    world.of_objects = {"stateful_set": Thing(SET, "mysql", owner="InnoDBCluster shop")}
    assert "owned by InnoDBCluster shop" in reason(world)
    world.of_objects = {"stateful_set": Thing(SET, "mysql", labels={"app.kubernetes.io/managed-by": "Helm"})}
    assert "Helm manages StatefulSet mysql" in reason(world)
    assert planned(world, dataclasses.replace(ACCEPT, from_helm=True)).steps


# What would have to be declared


def example(mount: dict[str, str], **spec: t.Any) -> dict[str, t.Any]:
    claims = [
        {
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
        }
    ]
    server = {
        "name": "mysql",
        "image": "mysql:8.4",
        "volumeMounts": [mount, {"name": "conf", "mountPath": "/etc/mysql/conf.d"}],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
    }
    pod = {
        "initContainers": [{"name": "init-mysql"}, {"name": "clone-mysql"}],
        "containers": [server, {"name": "xtrabackup", "image": "xtrabackup:1.0"}],
        "volumes": [{"name": "conf", "emptyDir": {}}, {"name": "config-map", "configMap": {"name": "mysql"}}],
    }
    made = {"replicas": 3, "serviceName": "mysql", "volumeClaimTemplates": claims, "template": {"spec": pod}}
    return {"spec": {**made, "selector": {"matchLabels": {"app": "mysql"}}, **spec}}


MOUNT = {"name": "data", "mountPath": "/var/lib/mysql", "subPath": "mysql"}


def test_the_example_is_declared_by_what_never_changes() -> None:
    world = World()
    for ordinal in world.servers:
        own = {"max_connections": "300", "log_bin": "ON", "super_read_only": "ON", "sort_buffer_size": str(ordinal)}
        world.change(ordinal, datadir="/var/lib/mysql/", settings=own)
    assert variables(TARGET, example(MOUNT), world.found(), world.servers[0]) == {
        "mysql_name": "mysql",
        "mysql_namespace": "shop",
        "mysql_members": 3,
        "mysql_image": "mysql:8.4",
        "mysql_selector": {"app": "mysql"},
        "mysql_storage_size": "10Gi",
        "mysql_access_modes": ["ReadWriteOnce"],
        "mysql_data_folder": "mysql",
        "mysql_resources": {"requests": {"cpu": "500m", "memory": "1Gi"}},
        "mysql_config": {"mysqld": {"max_connections": "300"}},
        "mysql_network_policy": False,
    }


def test_other_names_and_ports_are_declared() -> None:
    world = World()
    target = dataclasses.replace(TARGET, port=3307, cluster_domain="lan", root_secret="mine")  # noqa: S106
    raw = example({**MOUNT, "name": "disk"}, serviceName="db")
    raw["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] = "disk"
    raw["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = ""
    raw["spec"]["template"]["spec"]["securityContext"] = {"runAsUser": 27, "fsGroup": 27}
    world.change(0, datadir="/var/lib/mysql/")
    told = variables(target, raw, world.found(), world.servers[0])
    wanted = {
        "mysql_service": "db",
        "mysql_port": 3307,
        "mysql_cluster_domain": "lan",
        "mysql_root_secret": "mine",
        "mysql_claim_name": "disk",
        "mysql_storage_class": "-",
        "mysql_run_as_user": "27",
        "mysql_fs_group": "27",
    }
    assert {key: told[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("mount", "where"),
    [
        (MOUNT, ""),
        ({"name": "data", "mountPath": "/var/lib"}, ""),
        ({"name": "data", "mountPath": "/var/lib/mysql"}, "the topmost folder of the claim data"),
        ({**MOUNT, "subPath": "a/b"}, "the folder a/b of the claim data"),
        ({"name": "data", "mountPath": "/data"}, "no volume at all"),
        ({"name": "conf", "mountPath": "/var/lib/mysql"}, "the volume conf of the pods"),
        ({**MOUNT, "subPathExpr": "$(POD)"}, "a folder of its own for each pod"),
    ],
)
def test_where_the_data_is(mount: dict[str, str], where: str) -> None:
    found = data_elsewhere(example(mount), "/var/lib/mysql/")
    assert found.startswith(where)
    assert bool(found) == bool(where)


def test_what_is_otherwise_is_told() -> None:
    world = World(2)
    world.change(0, datadir="/var/lib/mysql/", binlog="mysql-0-bin", open_accounts=("root@%",), tables=("shop.old",))
    services = [
        {"metadata": {"name": "mysql"}, "spec": {"clusterIP": "None"}},
        {"metadata": {"name": "mysql-read"}, "spec": {"selector": {"app": "mysql"}}},
    ]
    raw = example(MOUNT)
    told = {one.what: one.found for one in differences(TARGET, raw, services, world.found(), 0)}
    assert told == {
        "gtid_mode": "OFF",
        "replication by file and position": "mysql-1",
        "replication account": "root",
        "Secret mysql-root": "none",
        "accounts without a password": "root@%",
        "Service for writing": "none",
        "Service mysql-read": "all servers",
        "updateStrategy": "RollingUpdate",
        "selector": "app=mysql",
        "podManagementPolicy": "OrderedReady",
        "Service mysql": "publishNotReadyAddresses false",
        "folder of the data": "mysql",
        "binary logs": "mysql-0-bin",
        "tables that are not transactional": "shop.old",
        "other containers": "init-mysql, clone-mysql, xtrabackup",
        "ConfigMap": "mysql",
        "user": "what the image says",
    }
